/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program.c - messages, option errors and endings of programs; see program.h. */
#include "program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "keepalive/region.h"

/* For the signal handler, which is given nothing. */
static struct {
	char text[160];
	size_t len;
	int exit_code;
} sigbus;

static void print_message(void *ctx, enum ka_msg_level level, const char *text)
{
	const char *name = ctx;

	if (level == KA_MSG_DEBUG)
		return;
	flockfile(stderr);
	fprintf(stderr, "%s: %s", name, level == KA_MSG_WARNING ? "warning: " : "");
	ka_program_print_bytes(stderr, text, strlen(text));
	putc('\n', stderr);
	funlockfile(stderr);
}

struct ka_msg_sink ka_program_sink(const char *name)
{
	return (struct ka_msg_sink){.fn = print_message, .ctx = (void *)(uintptr_t)name};
}

static void end_on_sigbus(int sig)
{
	(void)sig;
	(void)!write(STDERR_FILENO, sigbus.text, sigbus.len);
	_exit(sigbus.exit_code);
}

void ka_program_catch_sigbus(const char *name, int exit_code)
{
	int n;

	n = snprintf(sigbus.text, sizeof(sigbus.text),
		     "%s: cannot go on: the region has a memory error, was truncated, or its "
		     "filesystem is full\n",
		     name);
	sigbus.len = (size_t)n < sizeof(sigbus.text) ? (size_t)n : sizeof(sigbus.text) - 1;
	sigbus.exit_code = exit_code;
	ka_region_catch_errors(end_on_sigbus);
}

void ka_program_option_error(const struct ka_msg_sink *sink, int c, char **argv,
			     const char *optstring)
{
	const char *arg = argv[optind - 1];
	char text[3] = {'-', (char)optopt, 0};

	if (c == ':')
		ka_msg(sink, KA_MSG_ERROR, "option '%s' needs a value; try --help",
		       arg[0] == '-' && arg[1] == '-' ? arg : text);
	else if (!optopt)
		ka_msg(sink, KA_MSG_ERROR, "unknown option '%s'; try --help", arg);
	else if (optopt > 255 || (optopt != ':' && strchr(optstring, optopt)))
		ka_msg(sink, KA_MSG_ERROR, "option '%s' takes no value; try --help", arg);
	else
		ka_msg(sink, KA_MSG_ERROR, "unknown option '%s'; try --help", text);
}

void ka_program_version(const char *name)
{
	printf("%s (keepalivefs) %s\n", name, KEEPALIVE_VERSION);
}

int ka_program_check_region(const struct ka_msg_sink *sink, const char *region)
{
	if (*region)
		return 0;
	ka_msg(sink, KA_MSG_ERROR,
	       "cannot use '': a region is a file, a device like /dev/dax0.0, region0, "
	       "dax@ADDRESS, UUID=... or LABEL=...");
	return -EINVAL;
}

int ka_program_end(const struct ka_msg_sink *sink, int code, int failure)
{
	bool failed = ferror(stdout);

	if (fflush(stdout))
		ka_msg(sink, KA_MSG_ERROR, "cannot write the output: %s", strerror(errno));
	else if (failed)
		ka_msg(sink, KA_MSG_ERROR, "cannot write the output");
	else
		return code;
	return code ? code : failure;
}

size_t ka_program_utf8(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t i, len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : 4;
	uint32_t c = p[0];

	if (len == 1)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len > left)
		return 0;
	c &= 0x7fu >> len;
	for (i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

/* C0, DEL, and C1, which in UTF-8 is 0xc2 and a byte below 0xa0. */
static bool is_control(const uint8_t *p, size_t len)
{
	return len == 1 ? p[0] < 32 || p[0] == 127 : p[0] == 0xc2 && p[1] < 0xa0;
}

void ka_program_print_bytes(FILE *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = ka_program_utf8(p + i, len - i);
		if (n && !is_control(p + i, n) && p[i] != '\\') {
			fwrite(p + i, 1, n, out);
			continue;
		}
		fprintf(out, "\\x%02x", p[i]);
		n = 1;
	}
}

char *ka_program_escaped(const char *text)
{
	char *out = NULL;
	size_t bytes;
	FILE *f = open_memstream(&out, &bytes);

	if (!f)
		return NULL;
	ka_program_print_bytes(f, text, strlen(text));
	if (!fclose(f))
		return out;
	free(out);
	return NULL;
}

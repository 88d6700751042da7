/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - what the daemon hands to syslog: one line for each message, whatever names
 * are in it. syslog is replaced.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "log.h"

void __wrap_syslog(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap___syslog_chk(int level, int flag, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static char last[16384];
static int last_level;

static void keep(int level, const char *fmt, va_list ap)
{
	last_level = level;
	vsnprintf(last, sizeof(last), fmt, ap);
}

void __wrap_syslog(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(level, fmt, ap);
	va_end(ap);
}

void __wrap___syslog_chk(int level, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, fmt);
	keep(level, fmt, ap);
	va_end(ap);
}

static int failed;

static void expect(int level, const char *want)
{
	if (last_level == level && !strcmp(last, want))
		return;
	printf("level %d, '%s' instead of level %d, '%s'\n", last_level, last, level, want);
	failed = 1;
}

/* Of characters of four bytes. */
static const char *long_text(void)
{
	static char text[12001];
	size_t i;

	for (i = 0; i + 4 < sizeof(text); i += 4)
		memcpy(text + i, "\xf0\x9f\x98\x80", 4);
	return text;
}

static void expect_whole(size_t skip)
{
	const char *text = last + strlen("/mnt/a\\x0ab: ") + skip;

	if (strlen(text) > 1000 && strlen(text) < 12000 && strlen(text) % 4 == 0 &&
	    !strchr(text, '\\'))
		return;
	printf("%zu bytes, ending in '%s'\n", strlen(text), text + strlen(text) - 8);
	failed = 1;
}

int main(void)
{
	size_t i;

	log_start(false);
	log_detach("/mnt/a\nb");
	ka_msg(log_sink(), KA_MSG_ERROR, "'%s' is damaged", "a\n<3>fake");
	expect(LOG_ERR, "/mnt/a\\x0ab: 'a\\x0a<3>fake' is damaged");
	ka_msg(log_sink(), KA_MSG_WARNING, "'%s'", "\033[2J\r\x7f\xc2\x9b na\xc3\xafve \xff");
	expect(LOG_WARNING, "/mnt/a\\x0ab: '\\x1b[2J\\x0d\\x7f\\xc2\\x9b na\xc3\xafve \\xff'");
	log_msg(KA_MSG_INFO, "%s", "plain");
	expect(LOG_INFO, "/mnt/a\\x0ab: plain");
	/* Longer than there is room for, each way: no half of a character at the end. */
	for (i = 0; i < 4; i++) {
		log_msg(KA_MSG_INFO, "%.*s%s", (int)i, "abc", long_text());
		expect_whole(i);
		ka_msg(log_sink(), KA_MSG_INFO, "%.*s%s", (int)i, "abc", long_text());
		expect_whole(i);
	}
	return failed;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - fsck.keepalivefs: options, signals, the report. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/program.h"
#include "fsck.h"
#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/super.h"
#include "keepalive/util.h"

#define PROGRAM "fsck.keepalivefs"

static const char usage[] =
	"Usage: " PROGRAM " [OPTION]... REGION\n"
	"Checks a keepalivefs filesystem and repairs it.\n"
	"\n"
	"  -n, --no           never write; answer no to everything\n"
	"  -p, --preen        repair what can be repaired without losing anything\n"
	"  -a                 the same as -p\n"
	"  -y, --yes          repair all that can be repaired\n"
	"  -f, --force        check a clean filesystem too, every data checksum included\n"
	"  -v, --verbose      print figures\n"
	"  -C, --progress=FD  write progress to file descriptor FD; 0: a bar on a terminal\n"
	"      --json         print one JSON object\n"
	"  -h, --help         print this and exit\n"
	"  -V, --version      print the version and exit\n"
	"\n"
	"Exit status, as in fsck(8): 0 clean, 1 corrected, 4 errors left,\n"
	"8 could not run, 16 usage, 32 cancelled; sums of them.\n"
	"12: all is lost, the memory of the region was wiped.\n";

enum { OPT_JSON = 256 };

static const struct option long_options[] = {
	{"no", no_argument, NULL, 'n'},	       {"preen", no_argument, NULL, 'p'},
	{"yes", no_argument, NULL, 'y'},       {"force", no_argument, NULL, 'f'},
	{"verbose", no_argument, NULL, 'v'},   {"progress", required_argument, NULL, 'C'},
	{"json", no_argument, NULL, OPT_JSON}, {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},   {0},
};

static void cancel(int sig)
{
	(void)sig;
	fsck_cancelled = 1;
}

static int set_mode(struct fsck *f, enum fsck_mode mode)
{
	if (f->mode != FSCK_ASK && f->mode != mode) {
		ka_msg(f->sink, KA_MSG_ERROR, "only one of -n, -p, -a and -y can be used");
		return FSCK_USAGE;
	}
	f->mode = mode;
	return 0;
}

static int parse_fd(struct fsck *f, const char *text)
{
	char *end;
	long fd = strtol(text, &end, 10);

	if (*end || end == text || fd < 0 || fd > INT32_MAX) {
		ka_msg(f->sink, KA_MSG_ERROR, "'%s' is no file descriptor", text);
		return FSCK_USAGE;
	}
	f->progress_fd = (int)fd;
	return 0;
}

/* 0, an exit status, or -1: printed what was asked for. */
static int parse(struct fsck *f, int argc, char **argv)
{
	static const char short_options[] = ":npayfvC:hV";
	int c, err = 0;

	opterr = 0;
	while (!err && (c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		switch (c) {
		case 'n':
			err = set_mode(f, FSCK_NO);
			break;
		case 'p':
		case 'a':
			err = set_mode(f, FSCK_PREEN);
			break;
		case 'y':
			err = set_mode(f, FSCK_YES);
			break;
		case 'f':
			f->force = true;
			break;
		case 'v':
			f->verbose = true;
			break;
		case 'C':
			err = parse_fd(f, optarg);
			break;
		case OPT_JSON:
			f->report = json_object_new_object();
			f->out = NULL;
			break;
		case 'h':
			fputs(usage, stdout);
			return -1;
		case 'V':
			ka_program_version(PROGRAM);
			return -1;
		default:
			ka_program_option_error(f->sink, c, argv, short_options);
			return FSCK_USAGE;
		}
	}
	if (!err && argc - optind != 1) {
		ka_msg(f->sink, KA_MSG_ERROR, "exactly one REGION is needed; see --help");
		err = FSCK_USAGE;
	}
	f->path = argv[optind];
	return err;
}

/*
 * As with e2fsck: lines to a descriptor, or with 0 a bar, where stdout is a terminal.
 * Nobody who looks on has to ask for the bar.
 */
static void choose_progress(struct fsck *f)
{
	if (f->progress_fd > 0)
		f->progress = fsck_progress_lines;
	else if (!f->report && isatty(STDOUT_FILENO))
		f->progress = fsck_progress_bar;
}

/* Not to be repaired: the kernel took it at boot, or somebody gave it away. */
static bool is_taken(const struct fsck *f)
{
	struct ka_super sb;
	int err = ka_super_read(f->rg, NULL, NULL, &sb);

	if ((err && err != -KA_ERR_SUPER_RO_FEATURE) || ka_region_limit(f->rg) >= sb.owned_bytes)
		return false;
	ka_msg(f->sink, KA_MSG_ERROR,
	       "a part of '%s' that files are in is in use as system memory; what was there is lost",
	       f->path);
	return true;
}

static int check(struct fsck *f)
{
	unsigned flags = KA_REGION_LOCK | (f->mode == FSCK_NO ? 0 : KA_REGION_WRITE);
	int status;

	if (ka_dax_open(NULL, f->path, flags, NULL, f->sink, &f->rg))
		return FSCK_COULD_NOT_RUN;
	status = is_taken(f) ? FSCK_COULD_NOT_RUN : fsck_check(f);
	ka_region_close(f->rg);
	return status;
}

static void begin_report(struct fsck *f)
{
	KA_AUTO_FREE char *region = ka_program_escaped(f->path);

	json_object_object_add(f->report, "region", json_object_new_string(region ?: "?"));
	json_object_object_add(f->report, "problems", json_object_new_array());
}

static void print_report(struct fsck *f, int status)
{
	json_object_object_add(f->report, "found", json_object_new_uint64(f->found));
	json_object_object_add(f->report, "fixed", json_object_new_uint64(f->fixed));
	json_object_object_add(f->report, "status", json_object_new_int(status));
	puts(json_object_to_json_string_ext(f->report,
					    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED));
	json_object_put(f->report);
}

int main(int argc, char **argv)
{
	struct ka_msg_sink sink = ka_program_sink(PROGRAM);
	struct fsck f = {.progress_fd = -1, .sink = &sink, .out = stdout};
	struct sigaction action = {.sa_handler = cancel};
	int status;

	status = parse(&f, argc, argv);
	if (status)
		return status < 0 ? ka_program_end(&sink, 0, FSCK_COULD_NOT_RUN) : status;
	if (ka_program_check_region(&sink, f.path))
		return FSCK_COULD_NOT_RUN;
	if (f.mode == FSCK_ASK && (f.report || !isatty(0) || !isatty(1))) {
		ka_msg(&sink, KA_MSG_ERROR, "asking needs a terminal; use -n, -p or -y");
		return FSCK_USAGE;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ka_program_catch_sigbus(PROGRAM, FSCK_COULD_NOT_RUN);
	if (f.report)
		begin_report(&f);
	choose_progress(&f);
	status = check(&f);
	if (f.report)
		print_report(&f, status);
	return ka_program_end(&sink, status, FSCK_COULD_NOT_RUN);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ctl.h - the commands of keepalivectl, and what they share. */
#ifndef KEEPALIVE_CTL_H
#define KEEPALIVE_CTL_H

#include <getopt.h>
#include <stdbool.h>

#include "keepalive/msg.h"
#include "keepalive/super.h"

#define CTL_NAME "keepalivectl"

/* Exit codes. */
#define CTL_OK	    0
#define CTL_FAILED  1
#define CTL_USAGE   2
#define CTL_DAMAGED 4

#define CTL_OPERANDS 3

/* What getopt gives for options without a short form. */
enum {
	CTL_OPT_OVERWRITE = 256,
	CTL_OPT_RESTORE,
	CTL_OPT_OFF,
	CTL_OPT_OFFSET,
	CTL_OPT_INODE,
	CTL_OPT_PATH,
	CTL_OPT_KEEP,
	CTL_OPT_DRY_RUN,
	CTL_OPT_SIZE,
	CTL_OPT_SVG,
	CTL_OPT_WATCH,
	CTL_OPT_COLOR,
};

struct ctl_args {
	const struct ka_msg_sink *sink;
	const char *target; /* the first operand */
	const char *operand[CTL_OPERANDS];
	int operands;
	bool json;
	bool records;
	const char *share; /* as given, or NULL */
	bool force;
	bool overwrite;
	bool restore;
	bool off;
	const char *offset; /* as given; NULL: not */
	const char *inode;
	const char *path;
	const char *keep; /* sizes, as given; NULL: not */
	const char *size;
	bool dry_run;
	const char *svg; /* file to write, or NULL */
	bool watch;
	const char *seconds; /* as given, or NULL */
	const char *color;
};

struct ctl_command {
	const char *name;
	const char *operand; /* what the command needs, in words */
	int operands_min;    /* 0: exactly one operand */
	int operands_max;
	bool operands_optional;
	const char *help; /* its whole --help */
	const char *short_options;
	const struct option *long_options;
	int (*run)(const struct ctl_args *args); /* an exit code */
};

extern const struct ctl_command ctl_status;
extern const struct ctl_command ctl_dump;
extern const struct ctl_command ctl_scrub;
extern const struct ctl_command ctl_clean;
extern const struct ctl_command ctl_lend;
extern const struct ctl_command ctl_reclaim;
extern const struct ctl_command ctl_extract;
extern const struct ctl_command ctl_image;
extern const struct ctl_command ctl_seal;
extern const struct ctl_command ctl_map;
extern const struct ctl_command ctl_doctor;

/* "clean", "mounted", "sealed": as the superblock says. */
const char *ctl_state_name(enum ka_super_state state);

#endif

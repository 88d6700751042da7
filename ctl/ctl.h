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

struct ctl_args {
	const struct ka_msg_sink *sink;
	const char *target; /* the only operand */
	bool json;
	bool records;
	const char *share; /* as given, or NULL */
};

struct ctl_command {
	const char *name;
	const char *operand;
	const char *help; /* its whole --help */
	const char *short_options;
	const struct option *long_options;
	int (*run)(const struct ctl_args *args); /* an exit code */
};

extern const struct ctl_command ctl_status;
extern const struct ctl_command ctl_dump;
extern const struct ctl_command ctl_scrub;

/* "clean", "mounted", "sealed": as the superblock says. */
const char *ctl_state_name(enum ka_super_state state);

#endif

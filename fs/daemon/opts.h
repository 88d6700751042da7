/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opts.h - the command line of keepalivefs and its mount options. */
#ifndef KEEPALIVE_DAEMON_OPTS_H
#define KEEPALIVE_DAEMON_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/fs.h"

/* Who moves the boundary. */
enum who {
	WHO_AUTO,   /* the daemon */
	WHO_MANUAL, /* keepalivectl */
};

struct opts {
	const char *region; /* as given */
	char *region_path;  /* absolute, or as given where that cannot be found out */
	const char *mountpoint;
	char *mountpoint_path; /* absolute; set by opts_check_mountpoint */
	bool foreground;
	bool rdonly;
	bool noatime;
	bool nodiratime;
	enum ka_verify verify;
	uint64_t ckpt_bytes; /* log between checkpoints; 0: default */
	enum who reclaim;    /* when space is used up while memory is lent */
	enum who lend;	     /* when much is free */
	char *fuse;	     /* the -o string for libfuse */
};

/*
 * Parses the command line. 0: run; 1: done (help or version was printed);
 * negative: was explained to sink.
 */
int opts_parse(struct opts *o, int argc, char **argv, const struct ka_msg_sink *sink);

/* An empty directory that can be entered, or a negative code, explained. */
int opts_check_mountpoint(struct opts *o, const struct ka_msg_sink *sink);

void opts_release(struct opts *o);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fsck.h - what the passes share.
 *
 * fsck reads the filesystem into memory as a mount does, looks for problems,
 * repairs them there, and stores the result as one new checkpoint: until that
 * is published nothing on media has changed, so a check that is interrupted
 * leaves everything as it was.
 */
#ifndef KEEPALIVE_FSCK_H
#define KEEPALIVE_FSCK_H

#include <json-c/json_object.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fs.h"
#include "keepalive/msg.h"
#include "problems.h"

/* Exit status, as in fsck(8); sums of them. */
enum fsck_exit {
	FSCK_CORRECTED = 1,
	FSCK_ERRORS_LEFT = 4,
	FSCK_COULD_NOT_RUN = 8,
	FSCK_USAGE = 16,
	FSCK_CANCELLED = 32,
};

enum fsck_mode {
	FSCK_ASK,
	FSCK_NO,    /* -n */
	FSCK_PREEN, /* -p, -a */
	FSCK_YES,   /* -y */
};

enum fsck_problem {
#define KA_PROBLEM(number, name, how, text, repair) FSCK_P_##name = number,
	KA_PROBLEMS(KA_PROBLEM)
#undef KA_PROBLEM
};

struct fsck {
	const char *path;
	enum fsck_mode mode;
	bool force;
	bool verbose;
	int progress_fd; /* -1: none */
	const struct ka_msg_sink *sink;
	FILE *out; /* for people; NULL: silent */
	struct ka_region *rg;
	struct ka_fs *fs;
	struct ka_recovery recovery;
	json_object *report; /* NULL without --json */
	uint64_t found;
	uint64_t fixed;
	uint64_t checked_bytes;
	bool store; /* something has to be written */
};

/*
 * Checks the filesystem in rg, which the caller has opened (for writing, unless
 * mode is FSCK_NO). Leaves rg open; found and fixed tell how many. Returns the exit status.
 */
int fsck_check(struct fsck *f);

/* Set by a signal: stop soon. */
extern volatile sig_atomic_t fsck_cancelled;

/*
 * Tells of a problem, with a detail of where (printf), and decides whether it
 * is to be repaired, which the caller then does. Counts both.
 */
bool fsck_found(struct fsck *f, enum fsck_problem problem, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Something worth saying that is no problem. */
void fsck_say(struct fsck *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Progress of a pass, to progress_fd, in the format of e2fsck -C. */
void fsck_progress(struct fsck *f, int pass, uint64_t at, uint64_t of);

/* A path that leads to the inode, or "<inode N>"; the caller frees it. */
char *fsck_path_of(struct fsck *f, const struct ka_inode *inode);

/* The passes; 0, or a negative code that ends the check. */
int fsck_pass_super(struct fsck *f);
int fsck_pass_load(struct fsck *f);
int fsck_pass_log(struct fsck *f);
int fsck_pass_data(struct fsck *f);
int fsck_pass_tree(struct fsck *f);
int fsck_pass_usage(struct fsck *f);

/* Instead of the passes, where the core says that all is lost. Returns the exit status. */
int fsck_wiped(struct fsck *f);

#endif

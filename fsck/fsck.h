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

/* Problems that a report lists; there may be more than there is memory. All are counted. */
#define FSCK_LISTED_MAX 10000

struct fsck {
	const char *path;
	enum fsck_mode mode;
	bool force;
	bool verbose;
	/* told how far each pass is; NULL: nobody asks */
	void (*progress)(struct fsck *f, int pass, uint64_t at, uint64_t of);
	int progress_fd;       /* of fsck_progress_lines; -1: not asked for */
	unsigned bar_permille; /* shown by fsck_progress_bar; 0: there is no bar */
	const struct ka_msg_sink *sink;
	FILE *out; /* for people; NULL: silent */
	struct ka_region *rg;
	struct ka_super super; /* as it was read */
	struct ka_fs *fs;
	struct ka_recovery recovery;
	json_object *report; /* NULL without --json */
	uint64_t found;
	uint64_t fixed;
	uint64_t checked_bytes;
	bool store;		  /* something has to be written */
	bool has_older;		  /* checkpoint */
	struct fsck_paths *paths; /* of fsck_path_of */
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

/* Where a problem is, as far as that can be said. */
struct fsck_where {
	const char *path; /* NULL: no file */
	uint64_t offset;  /* of the file, or of the region where there is no path */
	uint64_t length;  /* 0: no range */
};

/* The same, with a place for the report. */
bool fsck_found_at(struct fsck *f, enum fsck_problem problem, const struct fsck_where *where,
		   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Progress of a pass; the numbers are those of the table in check.c. */
enum fsck_pass { PASS_SUPER = 1, PASS_LOAD, PASS_LOG, PASS_DATA, PASS_TREE, PASS_USAGE };
void fsck_progress(struct fsck *f, enum fsck_pass pass, uint64_t at, uint64_t of);

/* For the field progress. A bar goes before anything else is printed to stdout. */
void fsck_progress_lines(struct fsck *f, int pass, uint64_t at, uint64_t of);
void fsck_progress_bar(struct fsck *f, int pass, uint64_t at, uint64_t of);
void fsck_clear_bar(struct fsck *f);

/*
 * A path that leads to the inode, or one that begins with "<inode N>"; the caller
 * frees it. NULL: no memory. Looks through all names once, until fsck_forget_paths,
 * which whoever takes a name away has to call.
 */
char *fsck_path_of(struct fsck *f, const struct ka_inode *inode);
void fsck_forget_paths(struct fsck *f);

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

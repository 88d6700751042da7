/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * salvage.h - reads a filesystem that nobody uses as far as it can be read,
 * stores nothing, and lists what is not whole: on stderr, or in JSON.
 */
#ifndef KEEPALIVE_CTL_SALVAGE_H
#define KEEPALIVE_CTL_SALVAGE_H

#include <json.h>
#include <stdint.h>

#include "ctl.h"
#include "keepalive/ops.h"

struct salvage {
	const struct ctl_args *args;
	struct ka_region *rg;
	struct ka_super super;
	bool older;		  /* the newest checkpoint is damaged, the older was read */
	bool remains;		  /* asked for: without a checkpoint what is left counts */
	struct ka_fs *fs;	  /* NULL where no checkpoint could be read */
	struct json_object *list; /* of problems; NULL: they go to stderr */
	uint64_t problems;
	uint64_t files; /* of any kind, directories too */
	uint64_t bytes; /* of data that was whole */
};

/*
 * Opens the region, which nobody else may have for writing, and loads what is in
 * it. 0, or a negative code that was explained; salvage_close in both cases.
 * -KA_ERR_CKPT_* and other codes of EIO: rg and super are there, fs is not.
 */
int salvage_open(struct salvage *s, const struct ctl_args *args, const char *region);

/*
 * The same; where no checkpoint can be read, what is left of them and of the log makes
 * the filesystem, as fsck would, and what is not sure is listed.
 */
int salvage_open_remains(struct salvage *s, const struct ctl_args *args, const char *region);
void salvage_close(struct salvage *s);

/* Whether this is damage of checkpoint and log, which leaves the superblock. */
bool salvage_is_damage(int err);

/* Lists something; path NULL: of the whole filesystem. */
void salvage_problem(struct salvage *s, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Hands each range of a regular file that has whole data to fn, in order, and
 * lists the others; what is neither is a hole. fn NULL: only lists. 0 or what fn
 * returned.
 */
typedef int salvage_data_fn(void *ctx, uint64_t off, const void *data, size_t len);
int salvage_read(struct salvage *s, const char *path, const struct ka_attr *attr,
		 salvage_data_fn *fn, void *ctx);

/* Reads every file and lists what is damaged. 0 or a negative code. */
int salvage_check(struct salvage *s);

/* The members "problem_count" and "problems" of the report. */
void salvage_report(struct salvage *s, struct json_object *report);

/* CTL_OK or CTL_DAMAGED. */
int salvage_exit(const struct salvage *s);

#endif

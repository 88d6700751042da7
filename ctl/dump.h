/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump.h - what the parts of keepalivectl dump share. JSON is one object; in text
 * each thing has a title and lines, or a line of its own.
 */
#ifndef KEEPALIVE_DUMP_H
#define KEEPALIVE_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl.h"
#include "emit.h"
#include "keepalive/region.h"
#include "keepalive/segment.h"

struct dump {
	const struct ctl_args *args;
	const struct ka_region *rg;
	struct ka_super super;	    /* the valid copy that counts */
	uint64_t segments;	    /* those that are not lent */
	struct ka_super_disk shown; /* the copy shown already */
	bool is_shown;
	bool first; /* member, or element, of the JSON being printed */
};

/* Whether a superblock can be read in spite of this code. */
bool dump_usable(int err);

/* A member of the outermost object, or with key NULL an element; frees obj. */
void dump_put_json(struct dump *d, const char *key, struct json_object *obj);

/* Where the values of one thing go: a fresh object, or lines under a title. */
struct emit dump_emit(const struct dump *d, bool lines);

/* The members "version" and "region". */
void dump_region(struct dump *d);

/* One copy of the superblock; err is what was found wrong with it. */
struct json_object *dump_copy(struct dump *d, int copy, uint64_t addr, int err);

const char *dump_kind_name(enum ka_segment_kind kind);

/* Everything; what lies at an address. 0 or a negative code, explained. */
int dump_all(struct dump *d);
int dump_at(struct dump *d, uint64_t addr);

/* One inode, by path or by number: an exit code. */
int dump_inode(const struct ctl_args *args, const char *path, uint64_t ino);

#endif

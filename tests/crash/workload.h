/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * workload.h - what is done while the power fails: a start state, then operations
 * on a small tree. All of them work on the same few names and ranges, so that two
 * in a row have to do with each other (in the manner of ACE, CrashMonkey).
 *
 * A workload has a name, START:OP+OP, by which it is made again exactly.
 */
#ifndef KA_CRASH_WORKLOAD_H
#define KA_CRASH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memfs.h"

struct op {
	const char *name;
	/* 0, or the negative code of an operation that failed and changed nothing. */
	int (*run)(struct memfs *m, const struct op *op);
	const char *path;
	const char *to; /* second path, target or name of an attribute */
	uint32_t mode;	/* type and permissions, flags of rename, mode of fallocate */
	uint64_t off;
	uint64_t len;
	uint64_t to_off;
	bool later;  /* there is nothing to do for it but after another one */
	bool phase;  /* of the life of the filesystem: the tree stays as it is, */
	bool format; /* ... or goes */
};

struct start {
	const char *name;
	uint64_t bytes; /* of the region */
	int cpus;
	void (*build)(struct memfs *m); /* from the tree that tree_make made */
	bool pairs;			/* worth trying with all pairs */
};

extern const struct op ops[];
extern const size_t op_count;
extern const struct start starts[];
extern const size_t start_count;

/* The largest region of all. */
uint64_t starts_bytes(void);

#define WORKLOAD_OPS  10
#define WORKLOAD_NAME 256

struct workload {
	const struct start *start;
	const struct op *op[WORKLOAD_OPS];
	unsigned count;
	bool each;    /* the power may fail in each operation, else in the last one only */
	int64_t drop; /* the fence of the last one that is left out; -1: none */
	char name[WORKLOAD_NAME];
};

/* Fills in name. */
void workload_of(struct workload *w, const struct start *start, const struct op *first,
		 const struct op *second);
void workload_random(struct workload *w, uint64_t number);
/* The fence that is left out: a part of the name too. */
void workload_drop(struct workload *w, int64_t fence);
/* From its name; *ret_end is what follows it. false: there is none of this name. */
bool workload_parse(struct workload *w, const char *text, const char **ret_end);

/* An open filesystem with the tree, brought to the start state. */
void workload_begin(const struct workload *w, struct memfs *m);
/* Operation number i, on the processor where it is to run. */
int workload_run(const struct workload *w, unsigned i, struct memfs *m);

/* fsck -y of a filesystem that is not open; all it finds must be repaired. */
void workload_repair(struct memfs *m);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk.h - visits a tree of a filesystem, each directory before and after what is
 * in it. Needs no stack for the depth, and nothing may change meanwhile.
 */
#ifndef KEEPALIVE_WALK_H
#define KEEPALIVE_WALK_H

#include <stddef.h>

#include "keepalive/ops.h"

struct walk_entry {
	const char *path; /* absolute; that of the root is "/" */
	const char *name; /* its last part */
	size_t depth;	  /* 0: where the walk began */
	const struct ka_attr *attr;
};

#define WALK_SKIP 1 /* from enter: nothing below it is visited, nor is it left */

/* Anything negative ends the walk. */
struct walk_visitor {
	int (*enter)(void *ctx, const struct walk_entry *e); /* a directory; may be NULL */
	int (*leave)(void *ctx, const struct walk_entry *e); /* the same one; may be NULL */
	int (*other)(void *ctx, const struct walk_entry *e); /* everything else */
};

/* path: where ino was found, absolute and without needless slashes. */
int walk_tree(struct ka_fs *fs, ka_ino_t ino, const char *path, const struct walk_visitor *v,
	      void *ctx);

/*
 * The inode that a path from the root leads to, "." and ".." by their names'
 * rules not taken; *ret_path: the path in the form that walk_tree wants, to be freed.
 */
int walk_lookup(struct ka_fs *fs, const char *path, ka_ino_t *ret_ino, char **ret_path);

#endif

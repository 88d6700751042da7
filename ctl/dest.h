/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dest.h - makes files in a directory that others may write to as well.
 *
 * Nothing is ever followed: a name that is there already, a symbolic link above
 * all, is refused or replaced, never opened. The directory that things are made in
 * is an open descriptor; going up is checked to lead where going down began.
 */
#ifndef KEEPALIVE_DEST_H
#define KEEPALIVE_DEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "keepalive/ops.h"

/* A directory that is being filled. */
struct dest_level {
	dev_t dev; /* of the directory above, to find back */
	ino_t ino;
	bool ours; /* made by us, or to be overwritten: gets its attributes at the end */
};

struct dest {
	int fd;	    /* the directory at hand */
	int top_fd; /* where it began: paths of links are from here */
	bool overwrite;
	struct dest_level *level;
	size_t depth, capacity;
};

/* Begins at the directory fd, which is taken over. 0 or -errno. */
int dest_init(struct dest *d, int fd, bool overwrite);
void dest_release(struct dest *d);

/*
 * Each makes name in the directory at hand. With overwrite, what is there and is
 * no directory goes first. ret_fd: open for writing, or for attributes only.
 */
int dest_file(struct dest *d, const char *name, int *ret_fd);
int dest_symlink(struct dest *d, const char *name, const char *target, int *ret_fd);
int dest_node(struct dest *d, const char *name, mode_t type, dev_t rdev, int *ret_fd);

/* from: path of an earlier one, from where it began. */
int dest_link(struct dest *d, const char *from, const char *name);

/* Makes a directory, unless it is there, and goes into it. */
int dest_enter(struct dest *d, const char *name);

/* Goes up again. *ret_fd: the directory that was left. -ESTALE: it was moved meanwhile. */
int dest_leave(struct dest *d, bool *ret_ours, int *ret_fd);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * index.h - the state of the filesystem in memory: inodes and names.
 *
 * Everything in it comes from records (apply.h) or a checkpoint.
 *
 * Locks: ns guards both hash tables, the directories and next_ino; the
 * counters are atomic.
 */
#ifndef KEEPALIVE_INDEX_H
#define KEEPALIVE_INDEX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "keepalive/dir.h"
#include "keepalive/extent.h"
#include "keepalive/hash.h"
#include "keepalive/inode.h"

struct ka_index {
	pthread_rwlock_t ns;
	struct ka_htab inodes;
	struct ka_htab names;
	ka_ino_t next_ino;
	struct ka_extent_stats extents;
	_Atomic uint64_t name_bytes;  /* of all names */
	_Atomic uint64_t extra_bytes; /* of xattrs and symlink targets */
	_Atomic uint64_t xattrs;
};

/* segs may be NULL where live bytes do not matter. */
void ka_index_init(struct ka_index *ix, struct ka_segs *segs);
void ka_index_release(struct ka_index *ix);

struct ka_inode *ka_index_find(const struct ka_index *ix, ka_ino_t ino);

/*
 * A new inode of this mode, with a directory if it is one, and no names; in
 * the table. ino must be new. NULL: no memory.
 */
struct ka_inode *ka_index_new(struct ka_index *ix, ka_ino_t ino, uint32_t mode);

/* Takes the inode out of the table and frees it and what it has. */
void ka_index_forget(struct ka_index *ix, struct ka_inode *inode);

/* Drops contents and attributes of an inode that nobody can name or has open. */
void ka_index_empty(struct ka_index *ix, struct ka_inode *inode);

/* ka_dir_add and ka_dir_remove, with the counts kept. */
int ka_index_add_name(struct ka_index *ix, struct ka_inode *dir, const char *name,
		      size_t name_bytes, uint64_t cookie, struct ka_inode *inode);
void ka_index_remove_name(struct ka_index *ix, struct ka_dirent *de);

/* ka_xattr_set and ka_xattr_remove, with the counts kept. */
int ka_index_set_xattr(struct ka_index *ix, struct ka_inode *inode, const char *name,
		       size_t name_bytes, const void *value, size_t value_bytes);
int ka_index_remove_xattr(struct ka_index *ix, struct ka_inode *inode, const char *name,
			  size_t name_bytes);

/* Sets the target of a symbolic link, which has none yet. 0 or -ENOMEM. */
int ka_index_set_target(struct ka_index *ix, struct ka_inode *inode, const void *target,
			size_t bytes);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dir.h - the entries of directories.
 *
 * All names of the filesystem are in one hash table, keyed by directory and
 * name. Each directory also has its entries in an array in the order of their
 * cookies: a cookie is given out once per directory, rising, so a reader that
 * goes on behind the cookie it saw last neither repeats nor skips an entry,
 * whatever is created or removed meanwhile. Removed entries leave gaps, which
 * are closed when they are more than half; those at the front are skipped, as a
 * queue is emptied from there.
 *
 * Locks: the ns lock of the index.
 */
#ifndef KEEPALIVE_DIR_H
#define KEEPALIVE_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "keepalive/format.h"
#include "keepalive/hash.h"
#include "keepalive/inode.h"

/* The first cookies stand for "." and "..". */
#define KA_COOKIE_DOT	 1
#define KA_COOKIE_DOTDOT 2
#define KA_COOKIE_FIRST	 3

struct ka_dirent {
	struct ka_hnode node; /* in the index, by directory and name */
	struct ka_inode *dir;
	struct ka_inode *inode;
	uint64_t cookie;
	uint8_t name_bytes;
	char name[]; /* NUL ended */
};

struct ka_dir_slot {
	uint64_t cookie;
	struct ka_dirent *entry; /* NULL: a gap */
};

struct ka_dir {
	struct ka_inode *parent; /* itself for the root; NULL: has no name */
	struct ka_dirent *entry; /* that names it; NULL: none. Changes with the names in parent */
	struct ka_dir_slot *slot;
	size_t slots;
	size_t first; /* there are only gaps below */
	size_t capacity;
	size_t count; /* entries */
	uint64_t next_cookie;
};

struct ka_dirent *ka_dir_find(const struct ka_htab *names, const struct ka_inode *dir,
			      const char *name, size_t name_bytes);

/*
 * Adds an entry that is not there yet. cookie must not be below that of any
 * entry ever added; where it is beyond what a cookie can be, as a repair may find
 * it, all entries get new ones. 0 or -ENOMEM, with nothing changed.
 */
int ka_dir_add(struct ka_htab *names, struct ka_inode *dir, const char *name, size_t name_bytes,
	       uint64_t cookie, struct ka_inode *inode);

/* The entry is a name of another inode from now on. */
void ka_dir_set(struct ka_dirent *de, struct ka_inode *inode);

/* Removes and frees the entry. */
void ka_dir_remove(struct ka_htab *names, struct ka_dirent *de);

/* Index of the first slot to read behind this cookie; dir->slots at the end. */
size_t ka_dir_position(const struct ka_dir *dir, uint64_t cookie);

/* Whether dir lies below top, or is top, or in a loop of directories. */
int ka_dir_is_below(const struct ka_inode *dir, const struct ka_inode *top);

/* Whether it has no cookie left to give out; only hostile media gets there. */
static inline bool ka_dir_is_used_up(const struct ka_dir *dir)
{
	return dir->next_cookie >= KA_NUMBER_LIMIT - 1;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dir.c - directory entries; see dir.h. */
#include "keepalive/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/csum.h"
#include "keepalive/util.h"

#define FIRST_SLOTS 8

static struct ka_dirent *to_dirent(struct ka_hnode *node)
{
	return node ? ka_container_of(node, struct ka_dirent, node) : NULL;
}

struct ka_dirent *ka_dir_find(const struct ka_htab *names, const struct ka_inode *dir,
			      const char *name, size_t name_bytes)
{
	struct ka_hnode *node = ka_htab_first(names, ka_hash_name(dir->ino, name, name_bytes));
	struct ka_dirent *de;

	for (; node; node = ka_htab_next(node)) {
		de = to_dirent(node);
		if (de->dir == dir && de->name_bytes == name_bytes &&
		    !memcmp(de->name, name, name_bytes))
			return de;
	}
	return NULL;
}

size_t ka_dir_position(const struct ka_dir *dir, uint64_t cookie)
{
	size_t low = dir->first, high = dir->slots, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (dir->slot[mid].cookie > cookie)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void close_gaps(struct ka_dir *dir)
{
	size_t from, to = 0;

	for (from = 0; from < dir->slots; from++)
		if (dir->slot[from].entry)
			dir->slot[to++] = dir->slot[from];
	dir->slots = to;
	dir->first = 0;
}

static int grow(struct ka_dir *dir)
{
	size_t capacity = dir->capacity ? dir->capacity * 2 : FIRST_SLOTS;
	struct ka_dir_slot *slot;

	if (dir->slots < dir->capacity)
		return 0;
	slot = realloc(dir->slot, capacity * sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	dir->slot = slot;
	dir->capacity = capacity;
	return 0;
}

/*
 * Gives all entries the lowest cookies there are. Only a repair may, with nobody
 * reading the directory and no records to come that name its cookies.
 */
static void renumber(struct ka_dir *dir)
{
	size_t i;

	close_gaps(dir);
	for (i = 0; i < dir->slots; i++) {
		dir->slot[i].cookie = KA_COOKIE_FIRST + i;
		dir->slot[i].entry->cookie = KA_COOKIE_FIRST + i;
	}
	dir->next_cookie = KA_COOKIE_FIRST + dir->slots;
}

/* The directory that the entry names, if it is one, has it no longer. */
static void let_go(struct ka_dirent *de)
{
	if (S_ISDIR(de->inode->mode) && de->inode->dir->entry == de)
		de->inode->dir->entry = NULL;
}

void ka_dir_set(struct ka_dirent *de, struct ka_inode *inode)
{
	if (de->inode)
		let_go(de);
	de->inode = inode;
	if (S_ISDIR(inode->mode))
		inode->dir->entry = de;
}

int ka_dir_add(struct ka_htab *names, struct ka_inode *dir, const char *name, size_t name_bytes,
	       uint64_t cookie, struct ka_inode *inode)
{
	struct ka_dir *d = dir->dir;
	struct ka_dirent *de = malloc(sizeof(*de) + name_bytes + 1);

	if (!de || grow(d))
		goto undo_alloc;
	if (cookie >= KA_NUMBER_LIMIT - 1) { /* operations and records stop before it */
		renumber(d);
		cookie = d->next_cookie;
	}
	de->node.hash = ka_hash_name(dir->ino, name, name_bytes);
	de->dir = dir;
	de->inode = NULL;
	de->cookie = cookie;
	de->name_bytes = (uint8_t)name_bytes;
	memcpy(de->name, name, name_bytes);
	de->name[name_bytes] = 0;
	if (ka_htab_insert(names, &de->node))
		goto undo_alloc;
	ka_dir_set(de, inode);
	d->slot[d->slots++] = (struct ka_dir_slot){.cookie = cookie, .entry = de};
	d->count++;
	d->next_cookie = cookie + 1;
	return 0;
undo_alloc:
	free(de);
	return -ENOMEM;
}

void ka_dir_remove(struct ka_htab *names, struct ka_dirent *de)
{
	struct ka_dir *d = de->dir->dir;

	d->slot[ka_dir_position(d, de->cookie) - 1].entry = NULL;
	while (d->first < d->slots && !d->slot[d->first].entry)
		d->first++;
	d->count--;
	if (d->slots > FIRST_SLOTS && d->count < d->slots / 2)
		close_gaps(d);
	ka_htab_remove(names, &de->node);
	let_go(de);
	free(de);
}

int ka_dir_is_below(const struct ka_inode *dir, const struct ka_inode *top)
{
	const struct ka_inode *mark = dir;
	uint64_t steps = 0, limit = 1;

	for (; dir; dir = dir->dir->parent) {
		if (dir == top)
			return 1;
		if (dir->dir->parent == dir)
			break;
		/* Hostile media can have loops; Brent's way of noticing them. */
		if (++steps == limit) {
			mark = dir;
			steps = 0;
			limit *= 2;
		} else if (dir == mark && steps) {
			return 1;
		}
	}
	return 0;
}

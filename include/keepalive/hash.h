/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hash.h - a chained hash table of nodes embedded in the caller's objects.
 *
 * It grows by moving a few buckets at each insertion, so that no insertion
 * into a table of millions waits for a rehash (the scheme of Redis's dict).
 * The caller locks: lookups may run together, changes alone.
 */
#ifndef KEEPALIVE_HASH_H
#define KEEPALIVE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct ka_hnode {
	struct ka_hnode *next;
	uint64_t hash;
};

struct ka_htab {
	struct ka_hnode **old;	  /* being emptied; NULL when not growing */
	struct ka_hnode **bucket; /* NULL before the first insertion */
	size_t old_size;	  /* powers of two */
	size_t size;
	size_t moved;	      /* buckets of old that are empty for good */
	_Atomic size_t count; /* may be read without a lock */
};

/* Makes room for count nodes at once. 0 or -ENOMEM. Only on an empty table. */
int ka_htab_reserve(struct ka_htab *tab, size_t count);

/* Inserts node, whose hash the caller has set. 0 or -ENOMEM. */
int ka_htab_insert(struct ka_htab *tab, struct ka_hnode *node);

/* node must be in the table. */
void ka_htab_remove(struct ka_htab *tab, struct ka_hnode *node);

/* The first node with this hash, and the next one; NULL at the end. */
struct ka_hnode *ka_htab_first(const struct ka_htab *tab, uint64_t hash);
struct ka_hnode *ka_htab_next(const struct ka_hnode *node);

/* Calls fn for every node; fn may free the node, and change nothing else. */
void ka_htab_visit(struct ka_htab *tab, void (*fn)(struct ka_hnode *node, void *ctx), void *ctx);

/* Frees the table, not the nodes. */
void ka_htab_release(struct ka_htab *tab);

#endif

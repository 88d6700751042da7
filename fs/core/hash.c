/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hash.c - hash table with incremental growth; see hash.h. */
#include "keepalive/hash.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SIZE 64
#define STEP	   4 /* old buckets moved at each insertion: empties old before new fills */

static struct ka_hnode **head(const struct ka_htab *tab, uint64_t hash)
{
	size_t slot;

	if (tab->old) {
		slot = hash & (tab->old_size - 1);
		if (slot >= tab->moved)
			return &tab->old[slot];
	}
	return &tab->bucket[hash & (tab->size - 1)];
}

static void move_some(struct ka_htab *tab, size_t buckets)
{
	struct ka_hnode *node, *next, **to;

	while (tab->old && buckets--) {
		for (node = tab->old[tab->moved]; node; node = next) {
			next = node->next;
			to = &tab->bucket[node->hash & (tab->size - 1)];
			node->next = *to;
			*to = node;
		}
		if (++tab->moved == tab->old_size) {
			free(tab->old);
			tab->old = NULL;
		}
	}
}

static int grow(struct ka_htab *tab)
{
	size_t size = tab->size ? tab->size * 2 : FIRST_SIZE;
	struct ka_hnode **bucket = calloc(size, sizeof(*bucket));

	if (!bucket)
		return -ENOMEM;
	tab->old = tab->bucket;
	tab->old_size = tab->size;
	tab->moved = 0;
	tab->bucket = bucket;
	tab->size = size;
	return 0;
}

int ka_htab_reserve(struct ka_htab *tab, size_t count)
{
	size_t size = FIRST_SIZE;

	while (size < count)
		size *= 2;
	tab->bucket = calloc(size, sizeof(*tab->bucket));
	if (!tab->bucket)
		return -ENOMEM;
	tab->size = size;
	return 0;
}

int ka_htab_insert(struct ka_htab *tab, struct ka_hnode *node)
{
	struct ka_hnode **to;
	int err;

	if (tab->count >= tab->size && !tab->old) {
		err = grow(tab);
		if (err && !tab->size)
			return err;
	}
	move_some(tab, STEP);
	to = head(tab, node->hash);
	node->next = *to;
	*to = node;
	tab->count++;
	return 0;
}

void ka_htab_remove(struct ka_htab *tab, struct ka_hnode *node)
{
	struct ka_hnode **link = head(tab, node->hash);

	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	tab->count--;
}

static struct ka_hnode *match(struct ka_hnode *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct ka_hnode *ka_htab_first(const struct ka_htab *tab, uint64_t hash)
{
	return tab->size ? match(*head(tab, hash), hash) : NULL;
}

struct ka_hnode *ka_htab_next(const struct ka_hnode *node)
{
	return match(node->next, node->hash);
}

static void visit(struct ka_hnode **bucket, size_t size, void (*fn)(struct ka_hnode *, void *),
		  void *ctx)
{
	struct ka_hnode *node, *next;
	size_t i;

	for (i = 0; i < size; i++) {
		for (node = bucket[i]; node; node = next) {
			next = node->next;
			fn(node, ctx);
		}
	}
}

void ka_htab_visit(struct ka_htab *tab, void (*fn)(struct ka_hnode *node, void *ctx), void *ctx)
{
	if (tab->old)
		visit(tab->old + tab->moved, tab->old_size - tab->moved, fn, ctx);
	visit(tab->bucket, tab->size, fn, ctx);
}

void ka_htab_release(struct ka_htab *tab)
{
	free(tab->old);
	free(tab->bucket);
	*tab = (struct ka_htab){0};
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inos.c - goes through all regular files; see inos.h.
 *
 * The table is not sorted, and to go through all of it for each file would be
 * quadratic: hence some thousands at a time.
 */
#include "inos.h"

#include <errno.h>
#include <stdlib.h>

#include "keepalive/util.h"

#define BATCH 8192

/* The lowest numbers from first on, as a heap with the highest on top. */
struct batch {
	ka_ino_t first;
	ka_ino_t *ino;
	size_t count;
};

static void sift_down(struct batch *b)
{
	size_t at = 0, child;
	ka_ino_t v = b->ino[0];

	while ((child = 2 * at + 1) < b->count) {
		if (child + 1 < b->count && b->ino[child + 1] > b->ino[child])
			child++;
		if (b->ino[child] <= v)
			break;
		b->ino[at] = b->ino[child];
		at = child;
	}
	b->ino[at] = v;
}

static void sift_up(struct batch *b)
{
	size_t at = b->count - 1;
	ka_ino_t v = b->ino[at];

	for (; at && b->ino[(at - 1) / 2] < v; at = (at - 1) / 2)
		b->ino[at] = b->ino[(at - 1) / 2];
	b->ino[at] = v;
}

static void visit(struct ka_hnode *node, void *ctx)
{
	const struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct batch *b = ctx;

	if (!S_ISREG(inode->mode) || inode->ino < b->first)
		return;
	if (b->count < BATCH) {
		b->ino[b->count++] = inode->ino;
		sift_up(b);
	} else if (inode->ino < b->ino[0]) {
		b->ino[0] = inode->ino;
		sift_down(b);
	}
}

static int by_number(const void *a, const void *b)
{
	const ka_ino_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int ka_inos_from(struct ka_fs *fs, ka_ino_t first, ka_ino_t **ret_list, size_t *ret_count)
{
	struct batch b = {.first = first, .ino = malloc(BATCH * sizeof(*b.ino))};

	if (!b.ino)
		return -ENOMEM;
	pthread_rwlock_rdlock(&fs->op_lock);
	pthread_rwlock_rdlock(&fs->index.ns);
	ka_htab_visit(&fs->index.inodes, visit, &b);
	pthread_rwlock_unlock(&fs->index.ns);
	pthread_rwlock_unlock(&fs->op_lock);
	qsort(b.ino, b.count, sizeof(*b.ino), by_number);
	*ret_list = b.ino;
	*ret_count = b.count;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clean_join.c - puts files together that lie in many small pieces; see keepalive/clean.h.
 *
 * What several files share stays where it is: joined, each would have bytes of its own.
 */
#include "clean.h"

#include <errno.h>
#include <stdlib.h>

#include "inos.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "ops.h"

/*
 * A piece below this is small: two of them fit into one record. Larger ones are left alone, unless
 * the whole file fits into one.
 */
#define SMALL (KA_PAYLOAD_MAX / 2)

/* Bytes of the region, [addr, end). */
struct span {
	uint64_t addr;
	uint64_t end;
};

struct spans {
	struct span *list;
	size_t count, room;
	int err;
};

struct join {
	struct ka_clean cl;
	struct spans shared; /* what more than one extent points at, rising */
	bool knows_shared;
};

/* ---- what is shared ------------------------------------------------------------- */

static void add_spans(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	const struct ka_extent *e;
	struct spans *s = ctx;
	struct span *list;

	if (!S_ISREG(inode->mode) || s->err)
		return;
	pthread_rwlock_rdlock(&inode->lock);
	for (e = ka_extents_find(&inode->extents, 0); e; e = ka_extents_next(e)) {
		if (!e->addr)
			continue;
		list = ka_clean_grow(s->list, s->count, &s->room, sizeof(*list));
		if (!list) {
			s->err = -ENOMEM;
			break;
		}
		s->list = list;
		list[s->count++] = (struct span){.addr = e->addr, .end = e->addr + e->len};
	}
	pthread_rwlock_unlock(&inode->lock);
}

static int by_addr(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Of spans that rise, leaves what is in more than one. */
static void keep_overlaps(struct spans *s)
{
	uint64_t seen = 0, end;
	struct span *last;
	size_t i, n = 0;

	for (i = 0; i < s->count; i++) {
		end = ka_min(seen, s->list[i].end);
		seen = ka_max(seen, s->list[i].end);
		if (s->list[i].addr >= end)
			continue;
		last = n ? &s->list[n - 1] : NULL;
		if (last && s->list[i].addr <= last->end)
			last->end = ka_max(last->end, end);
		else
			s->list[n++] = (struct span){.addr = s->list[i].addr, .end = end};
	}
	s->count = n;
}

static int find_shared(struct join *j)
{
	struct ka_fs *fs = j->cl.fs;
	struct spans *s = &j->shared;

	if (j->knows_shared)
		return 0;
	pthread_rwlock_rdlock(&fs->op_lock);
	pthread_rwlock_rdlock(&fs->index.ns);
	ka_htab_visit(&fs->index.inodes, add_spans, s);
	pthread_rwlock_unlock(&fs->index.ns);
	pthread_rwlock_unlock(&fs->op_lock);
	if (s->err)
		return s->err;
	qsort(s->list, s->count, sizeof(*s->list), by_addr);
	keep_overlaps(s);
	j->knows_shared = true;
	return 0;
}

static bool is_shared(const struct spans *s, const struct ka_extent *e)
{
	size_t low = 0, high = s->count, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (s->list[mid].end <= e->addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->count && s->list[low].addr < e->addr + e->len;
}

/* ---- what is in pieces ------------------------------------------------------------ */

/* Small pieces, one behind the other in the file. */
struct run {
	uint64_t off;
	uint64_t end;
	unsigned pieces;
};

static bool goes_on(const struct run *r, const struct ka_extent *e)
{
	return r->pieces && e->off == r->end && e->off + e->len - r->off <= KA_PAYLOAD_MAX;
}

static bool is_small(const struct ka_inode *inode, const struct ka_extent *e)
{
	return e && e->addr && (e->len < SMALL || inode->size <= KA_PAYLOAD_MAX);
}

static bool has_pieces(const struct ka_inode *inode)
{
	const struct ka_extent *e, *next;

	for (e = ka_extents_find(&inode->extents, 0); e; e = next) {
		next = ka_extents_next(e);
		if (is_small(inode, e) && is_small(inode, next) && e->off + e->len == next->off)
			return true;
	}
	return false;
}

static int end_run(struct join *j, const struct ka_inode *inode, const struct run *r)
{
	return r->pieces > 1 ? ka_clean_add(&j->cl, inode->ino, r->off, r->end - r->off) : 0;
}

static int add_runs(struct join *j, const struct ka_inode *inode)
{
	const struct ka_extent *e;
	struct run r = {0};
	int err = 0;

	for (e = ka_extents_find(&inode->extents, 0); !err && e; e = ka_extents_next(e)) {
		if (!is_small(inode, e) || is_shared(&j->shared, e)) {
			err = end_run(j, inode, &r);
			r.pieces = 0;
		} else if (goes_on(&r, e)) {
			r.end = e->off + e->len;
			r.pieces++;
		} else {
			err = end_run(j, inode, &r);
			r = (struct run){.off = e->off, .end = e->off + e->len, .pieces = 1};
		}
	}
	return err ?: end_run(j, inode, &r);
}

static int join_file(struct join *j, ka_ino_t ino)
{
	struct ka_fs *fs = j->cl.fs;
	struct ka_file *file;
	bool is_whole;
	int err = 0;

	if (ka_open(fs, ino, &file))
		return 0; /* gone meanwhile */
	pthread_rwlock_rdlock(&fs->op_lock);
	pthread_rwlock_rdlock(&file->inode->lock);
	is_whole = !has_pieces(file->inode);
	pthread_rwlock_unlock(&file->inode->lock);
	pthread_rwlock_unlock(&fs->op_lock);
	if (!is_whole)
		err = find_shared(j);
	if (!is_whole && !err) {
		pthread_rwlock_rdlock(&fs->op_lock);
		pthread_rwlock_rdlock(&file->inode->lock);
		err = add_runs(j, file->inode);
		pthread_rwlock_unlock(&file->inode->lock);
		pthread_rwlock_unlock(&fs->op_lock);
	}
	ka_close(fs, file);
	return err ?: ka_clean_leave(&j->cl, false);
}

int ka_clean_join(struct ka_fs *fs, uint64_t *ino, uint64_t budget, struct ka_clean_stats *stats)
{
	struct ka_clean_stats before = *stats;
	struct join j = {0};
	ka_ino_t *list = NULL;
	size_t i = 0, count = 0;
	int err = ka_fs_is_rdonly(fs) ? -EROFS : atomic_load(&fs->failed);

	if (err)
		return err;
	pthread_mutex_lock(&fs->clean_lock);
	err = ka_clean_init(&j.cl, fs, stats);
	err = err ?: ka_inos_from(fs, *ino, &list, &count);
	for (; !err && i < count && stats->moved_bytes - before.moved_bytes < budget; i++) {
		err = join_file(&j, list[i]);
		*ino = list[i] + 1;
	}
	if (!err && !count)
		*ino = 0;
	ka_clean_count(fs, &before, stats);
	free(list);
	free(j.shared.list);
	ka_clean_release(&j.cl);
	pthread_mutex_unlock(&fs->clean_lock);
	return err;
}

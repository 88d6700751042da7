/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clean.c - empties segments; see keepalive/clean.h.
 *
 * What lives in a segment is found through the records in it: each WRITE says
 * which file it belongs to, and the file says what of it still lives. That is sorted by
 * file and place, so pieces that belong together come out together, whatever segment
 * they were in. What is left then is shared with other files, or its record cannot be read any
 * more: one look through all files finds that. Sharing is kept: the second file that
 * points at what was moved is made to share the new place.
 */
#include "clean.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"
#include "ops.h"

/* ---- what lives there --------------------------------------------------------- */

/* The parts of files that the records of a segment tell of. */
static int find_by_records(struct ka_clean *cl, uint64_t index)
{
	struct ka_fs *fs = cl->fs;
	struct ka_seg *seg = &fs->segs.seg[index];
	uint64_t at = index * fs->segs.bytes, addr;
	const struct ka_rec_disk *rec;
	struct ka_rec_write_disk w;
	struct ka_scan scan;
	int err = 0, found;

	ka_scan_start(&scan, fs->rg, fs->log.log_id, seg->gen, at + sizeof(struct ka_segment_disk),
		      at + atomic_load(&seg->used));
	for (;;) {
		found = ka_scan_next(&scan, &rec, &addr);
		if (found == KA_SCAN_END || (found < 0 && !ka_scan_resync(&scan)))
			return 0;
		if (found)
			continue;
		/* A copy: the memory may break at any time. */
		if (ka_region_read(fs->rg, addr, &w.h, sizeof(w.h)) ||
		    ka_get16(w.h.type) != KA_REC_WRITE)
			continue;
		if (ka_region_read(fs->rg, addr, &w, sizeof(w)))
			continue;
		cl->told += ka_get32(w.payload.bytes);
		err = ka_clean_add(cl, ka_get64(w.ino), ka_get64(w.off), ka_get32(w.payload.bytes));
		if (err)
			return err;
	}
}

static void visit(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct ka_clean *cl = ctx;
	const struct ka_extent *e;

	if (!S_ISREG(inode->mode) || cl->err)
		return;
	pthread_rwlock_rdlock(&inode->lock);
	for (e = ka_extents_find(&inode->extents, 0); !cl->err && e; e = ka_extents_next(e))
		if (ka_clean_has_to_move(cl, e))
			cl->err = ka_clean_add(cl, inode->ino, e->off, e->len);
	pthread_rwlock_unlock(&inode->lock);
}

/* The same by looking at all files. */
static int find_by_files(struct ka_clean *cl)
{
	struct ka_fs *fs = cl->fs;

	pthread_rwlock_rdlock(&fs->op_lock);
	pthread_rwlock_rdlock(&fs->index.ns);
	ka_htab_visit(&fs->index.inodes, visit, cl);
	pthread_rwlock_unlock(&fs->index.ns);
	pthread_rwlock_unlock(&fs->op_lock);
	return cl->err;
}

static int by_place(const void *a, const void *b)
{
	const struct ka_clean_range *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

/* Sorts, and joins what touches: a place that was written twice is moved once. */
static void sort_ranges(struct ka_clean *cl)
{
	size_t i, n = 0;

	if (!cl->ranges)
		return;
	qsort(cl->range, cl->ranges, sizeof(*cl->range), by_place);
	for (i = 1; i < cl->ranges; i++) {
		struct ka_clean_range *last = &cl->range[n], *r = &cl->range[i];

		if (r->ino == last->ino && r->off <= last->end)
			last->end = ka_max(last->end, r->end);
		else
			cl->range[++n] = *r;
	}
	cl->ranges = n + 1;
}

static bool is_empty(struct ka_clean *cl, const uint64_t *segments, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (atomic_load(&cl->fs->segs.seg[segments[i]].live) &&
		    !atomic_load(&cl->fs->segs.seg[segments[i]].stuck))
			return false;
	return true;
}

/*
 * Whether the segments hold more than what lives in them needs elsewhere. There it needs
 * heads as well, one for each range, or for as many as still live.
 */
static bool pays(struct ka_clean *cl, const uint64_t *segments, size_t count)
{
	struct ka_segs *segs = &cl->fs->segs;
	uint64_t live = 0, heads = cl->ranges * ka_write_head_bytes(&cl->fs->log, 1), need;
	size_t i;

	for (i = 0; i < count; i++)
		live += atomic_load(&segs->seg[segments[i]].live);
	if (cl->told > live) /* in floating point: the product may not fit */
		heads = (uint64_t)((double)heads * (double)live / (double)cl->told);
	need = live + heads + live / cl->fs->log.piece_bytes * 8;
	if (need + count * segs->bytes / KA_CLEAN_GAIN_SHARE <= count * segs->bytes)
		return true;
	for (i = 0; i < count; i++)
		atomic_store(&segs->seg[segments[i]].dense,
			     (uint32_t)atomic_load(&segs->seg[segments[i]].live));
	return false;
}

static int64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int vacate(struct ka_clean *cl, const uint64_t *segments, size_t count)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < count; i++) {
		cl->victim[segments[i]] = true;
		err = find_by_records(cl, segments[i]);
	}
	sort_ranges(cl);
	if (err || (!cl->must && !pays(cl, segments, count)))
		return err;
	err = ka_clean_leave(cl, false);
	if (!err && !is_empty(cl, segments, count)) {
		err = find_by_files(cl);
		sort_ranges(cl);
		err = err ?: ka_clean_leave(cl, true);
	}
	for (i = 0; i < count; i++)
		if (!atomic_load(&cl->fs->segs.seg[segments[i]].live))
			cl->stats->segments++;
	return err;
}

int ka_clean_vacate(struct ka_fs *fs, const uint64_t *segments, size_t count, bool must,
		    struct ka_clean_stats *stats)
{
	uint64_t held[KA_CLEAN_SEGMENTS];
	int64_t start = monotonic_ns();
	struct ka_clean cl;
	size_t i, n = 0;
	int err;

	err = ka_clean_init(&cl, fs, stats);
	cl.must = must;
	if (!err) {
		cl.victim = calloc(fs->segs.count, sizeof(*cl.victim));
		err = cl.victim ? 0 : -ENOMEM;
	}
	if (!err) {
		for (i = 0; i < count; i++)
			if (ka_segs_hold(&fs->segs, segments[i]))
				held[n++] = segments[i];
		err = vacate(&cl, held, n);
		for (i = 0; i < n; i++)
			ka_segs_unhold(&fs->segs, held[i]);
	}
	ka_clean_release(&cl);
	atomic_fetch_add(&fs->moved_ns, (uint64_t)(monotonic_ns() - start));
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clean_move.c - moves parts of files to another place; see clean.h.
 *
 * Crash argument. A move is a WRITE of the bytes that the file has there already, a
 * kept share a CLONE of such bytes, under the file's lock like any other: before its fence
 * the file has the old place, after it the new one, and both hold the same. The old place
 * is free by the rules for all segments, so only when nothing points there, and what a
 * checkpoint says otherwise is overruled by the record in the log behind it.
 */
#include "clean.h"

#include <errno.h>
#include <stdlib.h>

#include "apply.h"
#include "checkpoint.h"
#include "damage.h"
#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "ops.h"

/* Tries of a record that meets broken memory. */
#define STORE_TRIES 4
/* Moves that may wait to be sorted in; beyond it, as many as their square is that of all. */
#define UNSORTED_MIN 64u

void *ka_clean_grow(void *list, size_t count, size_t *room, size_t size)
{
	void *bigger;

	if (count < *room)
		return list;
	bigger = realloc(list, (*room ? 2 * *room : 64) * size);
	if (bigger)
		*room = *room ? 2 * *room : 64;
	return bigger;
}

int ka_clean_init(struct ka_clean *cl, struct ka_fs *fs, struct ka_clean_stats *stats)
{
	*cl = (struct ka_clean){.fs = fs, .stats = stats, .buf = malloc(KA_PAYLOAD_MAX)};
	return cl->buf ? 0 : -ENOMEM;
}

void ka_clean_release(struct ka_clean *cl)
{
	free(cl->victim);
	free(cl->range);
	free(cl->moved);
	free(cl->buf);
}

void ka_clean_count(struct ka_fs *fs, const struct ka_clean_stats *before,
		    const struct ka_clean_stats *stats)
{
	atomic_fetch_add(&fs->cleaned_segments, stats->segments - before->segments);
	atomic_fetch_add(&fs->moved_bytes, stats->moved_bytes - before->moved_bytes);
}

int ka_clean_add(struct ka_clean *cl, ka_ino_t ino, uint64_t off, uint64_t len)
{
	struct ka_clean_range *last = cl->ranges ? &cl->range[cl->ranges - 1] : NULL, *list;

	if (last && last->ino == ino && last->end == off) {
		last->end += len;
		return 0;
	}
	list = ka_clean_grow(cl->range, cl->ranges, &cl->range_room, sizeof(*list));
	if (!list)
		return -ENOMEM;
	cl->range = list;
	list[cl->ranges++] = (struct ka_clean_range){.ino = ino, .off = off, .end = off + len};
	return 0;
}

bool ka_clean_has_to_move(const struct ka_clean *cl, const struct ka_extent *e)
{
	return e->addr && (!cl->victim || cl->victim[ka_segs_index(&cl->fs->segs, e->addr)]);
}

/* ---- where it went --------------------------------------------------------------- */

static int note_moved(struct ka_clean *cl, const struct ka_clean_moved *m)
{
	struct ka_clean_moved *list =
		ka_clean_grow(cl->moved, cl->moves, &cl->move_room, sizeof(*list));

	if (!list)
		return -ENOMEM;
	cl->moved = list;
	list[cl->moves++] = *m;
	return 0;
}

static int by_addr(const void *a, const void *b)
{
	const struct ka_clean_moved *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static bool is_at(const struct ka_clean_moved *m, uint64_t addr)
{
	return m->addr <= addr && addr < m->addr + m->len;
}

/* What was at addr, or NULL. Sorting is put off until there are many to look through. */
static const struct ka_clean_moved *find_moved(struct ka_clean *cl, uint64_t addr)
{
	size_t low = 0, high, mid, i, late = cl->moves - cl->sorted;

	if (late > UNSORTED_MIN && late * late > cl->moves) {
		qsort(cl->moved, cl->moves, sizeof(*cl->moved), by_addr);
		cl->sorted = cl->moves;
	}
	for (i = cl->sorted; i < cl->moves; i++)
		if (is_at(&cl->moved[i], addr))
			return &cl->moved[i];
	high = cl->sorted;
	while (low < high) {
		mid = (low + high) / 2;
		if (cl->moved[mid].addr + cl->moved[mid].len <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < cl->sorted && is_at(&cl->moved[low], addr) ? &cl->moved[low] : NULL;
}

/* ---- moving ------------------------------------------------------------------------ */

/* The part of a file that one record takes along. */
struct run {
	uint64_t off;
	uint64_t len;
	uint64_t born;
	size_t first_move; /* of cl->moved */
};

struct move_args {
	struct ka_clean *cl;
	struct ka_inode *inode;
	uint64_t off; /* where to go on */
	uint64_t end;
	struct ka_damage damage;
	bool is_damaged;
};

static const struct ka_extent *first_victim(const struct move_args *a)
{
	const struct ka_extent *e = ka_extents_find(&a->inode->extents, a->off);

	while (e && e->off < a->end && !ka_clean_has_to_move(a->cl, e))
		e = ka_extents_next(e);
	return e && e->off < a->end ? e : NULL;
}

/* It stays where it is, for fsck or for whoever deletes it. */
static void skip_damage(struct move_args *a, const struct ka_extent *e, uint64_t off, uint64_t len,
			int err)
{
	struct ka_clean *cl = a->cl;
	struct ka_seg *seg = &cl->fs->segs.seg[ka_segs_index(&cl->fs->segs, e->addr)];

	if (!atomic_exchange(&seg->stuck, true))
		cl->stats->stuck++;
	a->damage = (struct ka_damage){.ino = a->inode->ino, .off = off, .len = len, .err = err};
	a->is_damaged = true;
	a->off = off + len;
}

/* Copies what lies one behind the other into the buffer, verified, up to a payload. */
static int gather(struct move_args *a, const struct ka_extent *e, struct run *run)
{
	struct ka_clean *cl = a->cl;
	struct ka_fs *fs = cl->fs;
	uint64_t at, len, addr;
	struct ka_seg *seg;
	int err = 0;

	*run = (struct run){.off = ka_max(a->off, e->off), .first_move = cl->moves};
	for (at = run->off; e && ka_clean_has_to_move(cl, e) && e->off <= at && at < a->end &&
			    run->len < KA_PAYLOAD_MAX;
	     e = ka_extents_next(e)) {
		len = ka_min(ka_min(e->off + e->len, a->end) - at, KA_PAYLOAD_MAX - run->len);
		addr = e->addr + (at - e->off);
		/* Whatever was verified before: a fresh checksum would make wrong bytes right. */
		err = ka_extent_verify(fs, e, addr, len, KA_VERIFY_ALWAYS)
			      ?: ka_region_read(fs->rg, addr, cl->buf + run->len, len);
		if (err && !run->len)
			skip_damage(a, e, at, len, err);
		if (err)
			break;
		err = note_moved(
			cl, &(struct ka_clean_moved){
				    .addr = addr, .len = len, .ino = a->inode->ino, .off = at});
		if (err)
			return err;
		seg = &fs->segs.seg[ka_segs_index(&fs->segs, e->addr)];
		run->born =
			ka_max(run->born, atomic_load(&seg->born) ?: atomic_load(&seg->last_seq));
		run->len += len;
		at += len;
	}
	return 0;
}

/*
 * Splits at the end of a segment, or half of each could stay empty; but not a file that is
 * to be made whole.
 */
static int begin(const struct move_args *a, const struct run *run, size_t *ret_len,
		 struct ka_slot *slot)
{
	struct ka_fs *fs = a->cl->fs;
	uint64_t whole = fs->segs.bytes - sizeof(struct ka_segment_disk);
	size_t most = ka_write_fit(&fs->log, run->len, whole);
	bool may_split = a->cl->victim || a->inode->size > KA_PAYLOAD_MAX;
	size_t least = may_split ? ka_min(most, KA_CLEAN_SPLIT_MIN) : most;
	int err;

	err = ka_log_begin(
		&fs->log, ka_align_up(ka_write_head_bytes(&fs->log, most) + least, KA_RECORD_ALIGN),
		KA_SPACE_CLEAN, slot);
	if (!err)
		*ret_len = ka_write_fit(&fs->log, most, slot->room);
	return err;
}

/* Of what was gathered the part below end was moved, by record seq. */
static void confirm_moves(struct ka_clean *cl, size_t first, uint64_t end, uint64_t seq)
{
	struct ka_clean_moved *m;

	for (; first < cl->moves && cl->moved[first].off < end; first++) {
		m = &cl->moved[first];
		m->seq = seq;
		m->len = ka_min(m->len, end - m->off);
	}
	cl->moves = first;
}

/* Appends the run, or what of it fits, and applies it. */
static int put(struct move_args *a, struct run *run)
{
	union ka_write_head head;
	struct ka_clean *cl = a->cl;
	struct ka_fs *fs = cl->fs;
	struct ka_slot slot;
	struct ka_seg *seg;
	uint64_t addr;
	size_t len;
	int err;

	err = ka_ckpt_room(fs, 4 * KA_CKPT_EXTENT, KA_SPACE_CLEAN);
	err = err ?: begin(a, run, &len, &slot);
	if (err)
		return err;
	addr = slot.addr;
	ka_write_head_init(&head, &fs->log, a->inode->ino, run->off, len, KA_WRITE_MOVED);
	err = ka_log_put(&fs->log, &slot, &head.rec.h, cl->buf);
	if (err)
		return err;
	seg = &fs->segs.seg[ka_segs_index(&fs->segs, addr)];
	atomic_store(&seg->born, ka_max(atomic_load(&seg->born), run->born));
	a->off = run->off + len;
	cl->stats->moved_bytes += len;
	confirm_moves(cl, run->first_move, a->off, ka_get64(head.rec.h.seq));
	return ka_op_applied(fs, ka_apply_write(fs, a->inode, &head.rec, addr));
}

/* One record's worth. */
static int do_move(struct ka_fs *fs, void *arg)
{
	struct move_args *a = arg;
	const struct ka_extent *e;
	struct run run;
	int err = 0;

	(void)fs;
	a->is_damaged = false;
	pthread_rwlock_wrlock(&a->inode->lock);
	e = first_victim(a);
	if (!e) {
		a->off = a->end;
	} else {
		err = gather(a, e, &run);
		if (!err && run.len)
			err = put(a, &run);
		if (err)
			a->cl->moves = run.first_move; /* it is where it was */
	}
	pthread_rwlock_unlock(&a->inode->lock);
	return err;
}

static int move_once(struct move_args *a)
{
	struct ka_fs *fs = a->cl->fs;
	int err, tries = 0;

	do
		err = ka_op_once(fs, true, do_move, a);
	while (err == -KA_ERR_STORE && ++tries < STORE_TRIES);
	if (a->is_damaged && ka_damage_note(fs, &a->damage))
		ka_damage_tell(fs, &a->damage);
	return err;
}

/* ---- sharing ------------------------------------------------------------------------ */

struct share_args {
	struct ka_inode *from;
	struct ka_inode *to;
	const struct ka_clean_moved *m;
	uint64_t addr; /* what the range of to points at */
	uint64_t off;
	uint64_t len; /* in, out: of the range; 0: it cannot be shared */
};

/* What both still have: of from the place it was moved to, of to the old one. */
static uint64_t shareable(const struct share_args *a, uint64_t from_off)
{
	const struct ka_extent *f = ka_extents_find(&a->from->extents, from_off);
	const struct ka_extent *t = ka_extents_find(&a->to->extents, a->off);
	uint64_t len;

	if (!f || f->off > from_off || f->seq != a->m->seq || !t || t->off > a->off ||
	    t->addr + (a->off - t->off) != a->addr)
		return 0;
	len = ka_min(ka_min(f->off + f->len - from_off, t->off + t->len - a->off),
		     ka_min(a->len, a->m->off + a->m->len - from_off));
	if (a->from == a->to && from_off < a->off + len && a->off < from_off + len)
		return 0;
	return len;
}

static int share_locked(struct ka_fs *fs, struct share_args *a)
{
	uint64_t from_off = a->m->off + (a->addr - a->m->addr);
	struct ka_rec_clone_disk rec = {
		.from_ino = ka_put64(a->from->ino),
		.from_off = ka_put64(from_off),
		.ino = ka_put64(a->to->ino),
		.off = ka_put64(a->off),
	};
	struct ka_slot slot;
	int err;

	a->len = shareable(a, from_off);
	if (!a->len)
		return 0;
	rec.len = ka_put64(a->len);
	ka_record_init(&rec.h, KA_REC_CLONE, KA_CLONE_MOVED, sizeof(rec), 0, ka_now_ns());
	err = ka_ckpt_room(fs, 4 * KA_CKPT_EXTENT, KA_SPACE_CLEAN);
	err = err ?: ka_log_begin(&fs->log, sizeof(rec), KA_SPACE_CLEAN, &slot);
	err = err ?: ka_log_put(&fs->log, &slot, &rec.h, NULL);
	return err ?: ka_op_applied(fs, ka_apply_clone(fs, a->from, a->to, &rec));
}

static int do_share(struct ka_fs *fs, void *arg)
{
	struct share_args *a = arg;
	struct ka_lockset locks = {0};
	int err;

	ka_lockset_add(&locks, a->from);
	ka_lockset_add(&locks, a->to);
	ka_lockset_lock(&locks);
	err = share_locked(fs, a);
	ka_lockset_unlock(&locks);
	return err;
}

/* Lets [off, off + *len) of to, which points at addr, share what was moved from there. */
static int share(struct ka_clean *cl, struct ka_inode *to, uint64_t off, uint64_t addr,
		 uint64_t *len)
{
	struct share_args a = {.to = to, .off = off, .addr = addr, .len = *len};
	struct ka_file *from;
	int err;

	*len = 0;
	a.m = find_moved(cl, addr);
	if (!a.m || ka_open(cl->fs, a.m->ino, &from))
		return 0;
	a.from = from->inode;
	err = ka_op_once(cl->fs, true, do_share, &a);
	ka_close(cl->fs, from);
	*len = err ? 0 : a.len;
	return err == -KA_ERR_STORE ? 0 : err; /* moving it will go elsewhere */
}

/* ---- leaving -------------------------------------------------------------------------- */

/* The next place of the file that has to be left. False: there is none. */
static bool look(struct move_args *a, uint64_t *ret_addr, uint64_t *ret_len)
{
	const struct ka_extent *e;

	pthread_rwlock_rdlock(&a->cl->fs->op_lock);
	pthread_rwlock_rdlock(&a->inode->lock);
	e = first_victim(a);
	if (e) {
		a->off = ka_max(a->off, e->off);
		*ret_addr = e->addr + (a->off - e->off);
		*ret_len = ka_min(e->off + e->len, a->end) - a->off;
	}
	pthread_rwlock_unlock(&a->inode->lock);
	pthread_rwlock_unlock(&a->cl->fs->op_lock);
	return e;
}

/* Leaves a range; with sharing, where others were moved already. */
static int leave_range(struct ka_clean *cl, struct ka_inode *inode, const struct ka_clean_range *r,
		       bool sharing)
{
	struct move_args a = {.cl = cl, .inode = inode, .off = r->off, .end = r->end};
	uint64_t addr, len = 0;
	int err = 0;

	while (!err && a.off < r->end) {
		a.end = r->end;
		if (sharing) {
			if (!look(&a, &addr, &len))
				break;
			a.end = a.off + len; /* what follows may be shared */
			err = share(cl, inode, a.off, addr, &len);
			a.off += len;
		}
		if (!err && !len)
			err = move_once(&a);
	}
	return err;
}

int ka_clean_leave(struct ka_clean *cl, bool sharing)
{
	struct ka_file *file = NULL;
	struct ka_clean_range *r;
	int err = 0;
	size_t i;

	for (i = 0; !err && i < cl->ranges; i++) {
		r = &cl->range[i];
		if (file && file->inode->ino != r->ino) {
			ka_close(cl->fs, file);
			file = NULL;
		}
		if (!file && ka_open(cl->fs, r->ino, &file)) {
			file = NULL; /* it is gone, and with it what was there */
			continue;
		}
		err = leave_range(cl, file->inode, r, sharing);
	}
	if (file)
		ka_close(cl->fs, file);
	cl->ranges = 0;
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lend.c - moves the boundary; see keepalive/lend.h.
 *
 * Crash argument. Lending: moving is as safe as ever (clean_move.c), and the slice is still
 * ours while it is emptied. Then a checkpoint below the new boundary and the boundary itself
 * are published by one update of the superblock. Before its first copy is whole the old
 * checkpoint, the log behind it and the old boundary count, and no byte of the slice was
 * touched; afterwards nothing that counts lies there. The memory is released only when both
 * copies are durable; a mount that finds it not yet released does so.
 * Taking back: the memory is had, and the headers of its segments are zeroed and fenced,
 * before the superblock moves the boundary. Until then nobody looks there; afterwards there are
 * free segments of which nothing can be taken for a record.
 */
#include "keepalive/lend.h"

#include <errno.h>
#include <inttypes.h>

#include "checkpoint.h"
#include "clean.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "ops.h"

/* Rounds of moving, cleaning and checkpoints for one slice: writers come in between. */
#define ROUNDS_MIN 64

static uint64_t usable_bytes(const struct ka_fs *fs)
{
	return fs->segs.count * fs->segs.bytes;
}

uint64_t ka_lent_bytes(struct ka_fs *fs)
{
	uint64_t lent;

	pthread_rwlock_rdlock(&fs->op_lock);
	lent = fs->super.capacity_bytes - fs->super.owned_bytes;
	pthread_rwlock_unlock(&fs->op_lock);
	return lent;
}

/* ---- plan ----------------------------------------------------------------------- */

/* Segments that are no use for files: the first, what is kept back, one for each position. */
static uint64_t overhead_segments(struct ka_fs *fs)
{
	return 1 + fs->log.writers + 1 + atomic_load(&fs->segs.ckpt_cost) +
	       ka_segs_kept_back(&fs->segs, KA_SPACE_NORMAL) + ka_growth_reserve(fs);
}

static uint64_t bytes_needed(struct ka_fs *fs)
{
	uint64_t i, bytes = overhead_segments(fs) * fs->segs.bytes;

	for (i = 1; i < fs->segs.count; i++)
		bytes += ka_min(ka_clean_bytes_elsewhere(fs, &fs->segs.seg[i]), fs->segs.bytes);
	return bytes;
}

static uint64_t live_behind(struct ka_fs *fs, uint64_t off)
{
	uint64_t i, bytes = 0;

	for (i = off / fs->segs.bytes; i < fs->segs.count; i++)
		bytes += atomic_load(&fs->segs.seg[i].live);
	return bytes;
}

void ka_lend_plan(struct ka_fs *fs, uint64_t keep_bytes, struct ka_lend_plan *ret)
{
	uint64_t moved = atomic_load(&fs->moved_bytes), need;

	pthread_rwlock_rdlock(&fs->op_lock);
	(void)ka_ckpt_room(fs, 0, KA_SPACE_CKPT);
	need = bytes_needed(fs);
	need = keep_bytes > usable_bytes(fs) - ka_min(need, usable_bytes(fs))
		       ? fs->super.capacity_bytes
		       : ka_super_boundary(&fs->super, need + keep_bytes);
	*ret = (struct ka_lend_plan){.owned_bytes = need};
	ret->move_bytes = live_behind(fs, ret->owned_bytes);
	if (moved >= fs->segs.bytes)
		ret->move_ns = (uint64_t)((double)ret->move_bytes *
					  (double)atomic_load(&fs->moved_ns) / (double)moved);
	pthread_rwlock_unlock(&fs->op_lock);
}

/* ---- lending ---------------------------------------------------------------------- */

enum found {
	FOUND_NOTHING, /* nothing lives there */
	FOUND_SOME,
	FOUND_STUCK,
};

/* Full segments from index limit on in which something lives, as many as there is room for. */
static enum found find_live(struct ka_fs *fs, uint64_t limit, uint64_t *ret, size_t *ret_count)
{
	uint64_t i, room = ka_clean_room(fs), need;
	enum found found = FOUND_NOTHING;
	struct ka_seg *seg;

	*ret_count = 0;
	pthread_mutex_lock(&fs->segs.lock);
	for (i = limit; i < fs->segs.count && *ret_count < KA_CLEAN_SEGMENTS; i++) {
		seg = &fs->segs.seg[i];
		if (seg->state != KA_SEG_FULL || !atomic_load(&seg->live))
			continue;
		if (atomic_load(&seg->stuck)) {
			found = FOUND_STUCK;
			break;
		}
		found = FOUND_SOME;
		need = ka_clean_bytes_elsewhere(fs, seg);
		if (need > room && *ret_count)
			break;
		room -= ka_min(need, room);
		ret[(*ret_count)++] = i;
	}
	pthread_mutex_unlock(&fs->segs.lock);
	return found;
}

/* Makes room below the limit: what a checkpoint frees, or else by cleaning. */
static int make_room(struct ka_fs *fs, struct ka_clean_stats *stats)
{
	int err = ka_clean_step_locked(fs, KA_CLEAN_GREEDY, stats);

	if (err == -ENOSPC && ka_segs_ckpt_helps(&fs->segs))
		err = ka_fs_checkpoint(fs);
	return err;
}

/* Moves everything that lives from index limit on to the front. */
static int vacate(struct ka_fs *fs, uint64_t limit, struct ka_clean_stats *stats)
{
	uint64_t live[KA_CLEAN_SEGMENTS];
	enum found found;
	unsigned rounds;
	size_t count;
	int err;

	for (rounds = 0; rounds < ROUNDS_MIN + 2 * fs->segs.count; rounds++) {
		pthread_rwlock_rdlock(&fs->op_lock);
		ka_log_leave(&fs->log, limit);
		pthread_rwlock_unlock(&fs->op_lock);
		found = find_live(fs, limit, live, &count);
		if (found != FOUND_SOME)
			return found == FOUND_STUCK ? -KA_ERR_LEND_STUCK : 0;
		err = ka_clean_vacate(fs, live, count, true, stats);
		if (err == -KA_ERR_NEED_CKPT)
			err = ka_fs_checkpoint(fs);
		else if (err == -ENOSPC)
			err = make_room(fs, stats);
		if (err)
			return err;
	}
	return -EAGAIN;
}

static bool is_empty(struct ka_fs *fs, uint64_t limit)
{
	uint64_t i;

	for (i = limit; i < fs->segs.count; i++)
		if (fs->segs.seg[i].state == KA_SEG_OPEN || atomic_load(&fs->segs.seg[i].live))
			return false;
	return true;
}

/* Whether there will be the reserve below the limit once the boundary was published. */
static bool has_reserve(struct ka_fs *fs)
{
	uint64_t i, free = atomic_load(&fs->segs.free);
	uint64_t need = ka_segs_kept_back(&fs->segs, KA_SPACE_NORMAL) +
			atomic_load(&fs->segs.ckpt_cost) + ka_growth_reserve(fs);

	for (i = 1; i < fs->segs.limit; i++) {
		const struct ka_seg *seg = &fs->segs.seg[i];

		free += seg->state == KA_SEG_CKPT ||
			(seg->state == KA_SEG_FULL && !atomic_load(&seg->live));
	}
	return free >= need;
}

/*
 * With what is left there has to be room for deletes and checkpoints as ever, and to grow. The
 * caller has op_lock for writing. -EAGAIN: somebody was faster.
 */
static int publish(struct ka_fs *fs, uint64_t owned)
{
	int err;

	if (!is_empty(fs, owned / fs->segs.bytes))
		return -EAGAIN;
	(void)ka_ckpt_room(fs, 0, KA_SPACE_CKPT); /* counts what fallocate has promised just now */
	err = ka_fs_is_rdonly(fs) ? -EROFS : atomic_load(&fs->failed);
	if (!err && !has_reserve(fs))
		err = -ENOSPC;
	return err ?: ka_fs_store_owned(fs, KA_STATE_MOUNTED, owned);
}

/* Empties the last slice, and moves the boundary before it. */
static int leave_slice(struct ka_fs *fs, uint64_t owned, struct ka_clean_stats *stats)
{
	unsigned tries = 0;
	int err;

	do {
		err = vacate(fs, owned / fs->segs.bytes, stats);
		if (err)
			return err;
		pthread_rwlock_wrlock(&fs->op_lock);
		err = publish(fs, owned);
		pthread_rwlock_unlock(&fs->op_lock);
	} while (err == -EAGAIN && ++tries < ROUNDS_MIN);
	return err;
}

static int reclaim_locked(struct ka_fs *fs);

/* The system does not take it: then it is ours again, or, if that fails too, nobody's. */
static int take_again(struct ka_fs *fs, uint64_t owned, int err)
{
	if (reclaim_locked(fs))
		ka_msg(fs->sink, KA_MSG_WARNING,
		       "slice %" PRIu32 " is lent, but the system did not take it: %s",
		       ka_super_slice_of(&fs->super, owned), ka_strerror(err));
	return err;
}

static int lend_locked(struct ka_fs *fs, struct ka_lend_stats *stats)
{
	const struct ka_super *sb = &fs->super;
	struct ka_clean_stats clean = {0}, before = {0};
	uint64_t was = sb->owned_bytes, owned;
	int err;

	if (!ka_region_can_release(fs->rg))
		return -EOPNOTSUPP;
	if (was <= sb->first_slice_bytes)
		return -KA_ERR_LEND_LAST;
	owned = ka_super_slice_off(sb, ka_super_slice_of(sb, was - 1));
	ka_segs_set_limit(&fs->segs, owned / fs->segs.bytes);
	err = leave_slice(fs, owned, &clean);
	ka_clean_count(fs, &before, &clean);
	stats->moved_bytes += clean.moved_bytes;
	if (err) {
		ka_segs_set_limit(&fs->segs, was / fs->segs.bytes);
		return err;
	}
	atomic_store(&fs->reclaim_err, 0); /* another slice is the first */
	err = ka_region_release(fs->rg, owned, was);
	return err ? take_again(fs, owned, err) : 0;
}

int ka_lend_slice(struct ka_fs *fs, struct ka_lend_stats *stats)
{
	int err = ka_fs_is_rdonly(fs) ? -EROFS : atomic_load(&fs->failed);

	if (!err) {
		pthread_mutex_lock(&fs->clean_lock);
		err = lend_locked(fs, stats);
		pthread_mutex_unlock(&fs->clean_lock);
	}
	stats->owned_bytes = fs->super.capacity_bytes - ka_lent_bytes(fs);
	return err;
}

/* ---- taking back -------------------------------------------------------------------- */

/* What somebody else left there must not look like ours. */
static void clear_headers(struct ka_fs *fs, uint64_t from, uint64_t to)
{
	static const struct ka_segment_disk none;
	uint64_t i, addr;

	/* One that the boundary went through is used again from here on, too. */
	for (i = from / fs->segs.bytes; i < fs->segs.count; i++) {
		addr = i * fs->segs.bytes;
		if (addr + fs->segs.bytes > to)
			break;
		ka_region_write(fs->rg, addr, &none, sizeof(none));
		ka_region_flush(fs->rg, addr, sizeof(none));
		if (ka_region_fence(fs->rg)) /* broken: not to be used */
			ka_segs_set_bad(&fs->segs, i);
	}
}

static int reclaim_locked(struct ka_fs *fs)
{
	struct ka_super *sb = &fs->super;
	uint64_t was = sb->owned_bytes, owned;
	int err;

	if (was == sb->capacity_bytes)
		return -KA_ERR_LEND_NONE;
	owned = ka_super_boundary(sb, was + 1);
	err = ka_region_restore(fs->rg, owned);
	if (err) {
		if (!atomic_load(&fs->reclaim_err))
			ka_msg(fs->sink, KA_MSG_WARNING, "cannot take slice %" PRIu64 " back: %s",
			       (uint64_t)ka_super_slice_of(sb, was), ka_strerror(err));
		atomic_store(&fs->reclaim_err, err);
		return err;
	}
	atomic_store(&fs->reclaim_err, 0);
	clear_headers(fs, was, owned);
	pthread_rwlock_wrlock(&fs->op_lock);
	err = ka_fs_is_rdonly(fs) ? -EROFS : atomic_load(&fs->failed);
	if (!err) {
		sb->owned_bytes = owned;
		err = ka_super_write(fs->rg, sb, fs->sink);
		if (err) /* whether it counts nobody can say now */
			ka_fs_fail(fs, err);
	}
	pthread_rwlock_unlock(&fs->op_lock);
	if (err)
		return err;
	ka_segs_set_limit(&fs->segs, owned / fs->segs.bytes);
	atomic_fetch_add(&fs->reclaims, 1);
	return 0;
}

int ka_reclaim_for(struct ka_fs *fs, uint64_t reclaims)
{
	int err = 0;

	pthread_mutex_lock(&fs->clean_lock);
	if (atomic_load(&fs->reclaims) == reclaims)
		err = reclaim_locked(fs);
	pthread_mutex_unlock(&fs->clean_lock);
	return err;
}

int ka_reclaim_slice(struct ka_fs *fs, struct ka_lend_stats *stats)
{
	int err = ka_fs_is_rdonly(fs) ? -EROFS : atomic_load(&fs->failed);

	if (!err) {
		pthread_mutex_lock(&fs->clean_lock);
		err = reclaim_locked(fs);
		pthread_mutex_unlock(&fs->clean_lock);
	}
	stats->owned_bytes = fs->super.capacity_bytes - ka_lent_bytes(fs);
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clean_policy.c - which segments are emptied, and when; see keepalive/clean.h.
 *
 * Cost and benefit are those of the log-structured file system of Rosenblum and
 * Ousterhout (1992): a segment that lives to the share u costs u to move (its
 * memory need not be read as a whole, as on a disk) and gives 1 - u, for as long as
 * its data has been left alone already: benefit/cost = (1 - u) * age / u. The clock
 * is the number of records. What was moved keeps its age, and has a log position of its
 * own, so data that lives long comes to lie together and is left alone from then on.
 */
#include "clean.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/err.h"
#include "keepalive/util.h"
#include "ops.h"

/* Live bytes of one step, in segments: bounds its time. */
#define STEP_LIVE 4
/* What was not worth moving is tried again when so much of it has died, a share. */
#define DENSE_SHARE 64
/* Free segments below which to clean in the background: a share, and at least. */
#define WANTED_SHARE 16
#define WANTED_MIN   4
/* A segment that lives to more than this share is left alone, percent. */
#define LIVE_MAX_BACKGROUND 80
#define LIVE_MAX_CHEAP	    50
#define LIVE_MAX	    98

/* Bytes that a step joins. */
#define JOIN_BUDGET (8ull << 20)

struct candidate {
	uint64_t index;
	uint64_t live;
	double score; /* the highest first */
};

static double score_of(const struct ka_segs *segs, const struct ka_seg *seg, uint64_t live,
		       uint64_t now, enum ka_clean_policy policy)
{
	double share = (double)live / segs->bytes;
	uint64_t born = atomic_load(&seg->born) ?: atomic_load(&seg->last_seq);

	if (policy != KA_CLEAN_COST_BENEFIT)
		return -share;
	return (1 - share) * (double)(now - ka_min(born, now) + 1) / share;
}

static int by_score(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return (x->index > y->index) - (x->index < y->index);
}

static bool is_candidate(const struct ka_segs *segs, const struct ka_seg *seg, uint64_t live,
			 enum ka_clean_policy policy)
{
	static const unsigned live_max[] = {
		[KA_CLEAN_COST_BENEFIT] = LIVE_MAX_BACKGROUND,
		[KA_CLEAN_GREEDY] = LIVE_MAX,
		[KA_CLEAN_CHEAP] = LIVE_MAX_CHEAP,
	};
	uint32_t dense = atomic_load(&seg->dense);

	return seg->state == KA_SEG_FULL && live && live <= segs->bytes / 100 * live_max[policy] &&
	       !atomic_load(&seg->stuck) && (!dense || live + segs->bytes / DENSE_SHARE <= dense);
}

/* All that may be emptied, best first. 0 or -ENOMEM. */
static int list_candidates(struct ka_fs *fs, enum ka_clean_policy policy,
			   struct candidate **ret_list, size_t *ret_count)
{
	struct ka_segs *segs = &fs->segs;
	struct candidate *list = calloc(segs->count, sizeof(*list));
	uint64_t i, live, now = atomic_load(&fs->log.seq);
	size_t count = 0;

	if (!list)
		return -ENOMEM;
	pthread_mutex_lock(&segs->lock);
	for (i = 1; i < segs->count; i++) {
		live = atomic_load(&segs->seg[i].live);
		if (is_candidate(segs, &segs->seg[i], live, policy))
			list[count++] = (struct candidate){
				.index = i,
				.live = live,
				.score = score_of(segs, &segs->seg[i], live, now, policy),
			};
	}
	pthread_mutex_unlock(&segs->lock);
	qsort(list, count, sizeof(*list), by_score);
	*ret_list = list;
	*ret_count = count;
	return 0;
}

uint64_t ka_clean_room(struct ka_fs *fs)
{
	uint64_t segments = ka_segs_takeable(&fs->segs, KA_SPACE_CLEAN);

	return ka_min(segments, STEP_LIVE) * fs->segs.bytes +
	       ka_log_room(&fs->log, KA_CLEAN_SPLIT_MIN);
}

/* The best, as many as there is room for. */
static size_t choose(struct ka_fs *fs, const struct candidate *list, size_t count,
		     uint64_t *victims)
{
	uint64_t need = 0, room = ka_clean_room(fs);
	size_t i, n = 0;

	for (i = 0; i < count && n < KA_CLEAN_SEGMENTS; i++) {
		need += ka_clean_bytes_elsewhere(fs, &fs->segs.seg[list[i].index]);
		if (need > room)
			break;
		victims[n++] = list[i].index;
	}
	return n;
}

static int vacate(struct ka_fs *fs, const uint64_t *victims, size_t count,
		  struct ka_clean_stats *stats)
{
	uint64_t moved = stats->moved_bytes;
	int err = ka_clean_vacate(fs, victims, count, false, stats);

	/* The newest of them are free only when a checkpoint covers what they hold. */
	if (err == -KA_ERR_NEED_CKPT)
		return ka_fs_checkpoint(fs);
	/* Others may have taken the room; what was moved is something gained. */
	return err == -ENOSPC && stats->moved_bytes > moved ? 0 : err;
}

int ka_clean_step_locked(struct ka_fs *fs, enum ka_clean_policy policy,
			 struct ka_clean_stats *stats)
{
	uint64_t victims[KA_CLEAN_SEGMENTS];
	struct ka_clean_stats before = *stats;
	struct candidate *list;
	size_t count;
	int err;

	err = atomic_load(&fs->failed) ?: list_candidates(fs, policy, &list, &count);
	if (err)
		return err;
	count = choose(fs, list, count, victims);
	free(list);
	err = count ? vacate(fs, victims, count, stats) : -ENOSPC;
	ka_clean_count(fs, &before, stats);
	return err;
}

int ka_clean_step(struct ka_fs *fs, enum ka_clean_policy policy, struct ka_clean_stats *stats)
{
	int err;

	if (ka_fs_is_rdonly(fs))
		return -EROFS;
	pthread_mutex_lock(&fs->clean_lock);
	err = ka_clean_step_locked(fs, policy, stats);
	pthread_mutex_unlock(&fs->clean_lock);
	return err;
}

int ka_clean_all_step(struct ka_fs *fs, struct ka_clean_all *all)
{
	int err;

	all->stats = (struct ka_clean_stats){0};
	if (!all->emptied) {
		err = ka_clean_step(fs, KA_CLEAN_GREEDY, &all->stats);
		all->emptied = err == -ENOSPC;
		return all->emptied ? ka_fs_checkpoint(fs) : err;
	}
	/* Last, or what was joined would be split again at the end of a segment. */
	err = ka_clean_join(fs, &all->ino, JOIN_BUDGET, &all->stats);
	if (err == -KA_ERR_NEED_CKPT)
		return ka_fs_checkpoint(fs);
	if (err && err != -ENOSPC)
		return err;
	all->finished = err || !all->ino;
	return all->finished ? ka_fs_checkpoint(fs) : 0;
}

bool ka_clean_is_wanted(struct ka_fs *fs)
{
	struct ka_segs *segs = &fs->segs;
	uint64_t least = ka_max(WANTED_MIN, segs->limit / WANTED_SHARE);

	return !ka_fs_is_rdonly(fs) && !atomic_load(&fs->failed) &&
	       atomic_load(&segs->free) < least + atomic_load(&segs->ckpt_need);
}

uint64_t ka_clean_bytes_elsewhere(struct ka_fs *fs, const struct ka_seg *seg)
{
	uint64_t live = atomic_load(&seg->live);

	return live + atomic_load(&seg->extents) * ka_write_head_bytes(&fs->log, 1) +
	       live / fs->log.piece_bytes * sizeof(struct ka_le64);
}

uint64_t ka_clean_gain(struct ka_fs *fs)
{
	struct ka_segs *segs = &fs->segs;
	uint64_t i, live, need, gain = 0;

	pthread_mutex_lock(&segs->lock);
	for (i = 1; i < segs->count; i++) {
		live = atomic_load(&segs->seg[i].live);
		if (!is_candidate(segs, &segs->seg[i], live, KA_CLEAN_GREEDY))
			continue;
		need = ka_clean_bytes_elsewhere(fs, &segs->seg[i]);
		gain += segs->bytes - ka_min(need + segs->bytes / KA_CLEAN_GAIN_SHARE, segs->bytes);
	}
	pthread_mutex_unlock(&segs->lock);
	return gain;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* segment.c - segment states, live bytes, the reserve; see segment.h. */
#include "keepalive/segment.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

/* Segments that only deletes may take, beside those kept for a checkpoint. */
#define DELETE_RESERVE 3
/* Those of them that the cleaner may fill before it has emptied as many. */
#define CLEAN_RESERVE 2
#define VERIFY_SHIFT  6 /* bytes of region for one bit, log2 */

static size_t bitmap_bytes(const struct ka_segs *segs)
{
	return ((segs->count * segs->bytes) >> VERIFY_SHIFT) / 8 + 1;
}

int ka_segs_init(struct ka_segs *segs, uint64_t count, uint32_t bytes, uint64_t owned_bytes)
{
	uint64_t i;
	void *map;

	*segs = (struct ka_segs){
		.count = count, .bytes = bytes, .hint = 1, .limit = owned_bytes / bytes};
	pthread_mutex_init(&segs->lock, NULL);
	segs->seg = calloc(count, sizeof(*segs->seg));
	if (!segs->seg)
		return -ENOMEM;
	/* Sparse: only what gets verified costs memory. */
	map = mmap(NULL, bitmap_bytes(segs), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	segs->verified = map;
	for (i = 0; i < count; i++) {
		if (!ka_range_ok(i * bytes, bytes, owned_bytes)) {
			segs->seg[i].state = KA_SEG_ABSENT;
			continue;
		}
		segs->seg[i].state = i ? KA_SEG_FREE : KA_SEG_SUPER;
		segs->free += i ? 1 : 0;
	}
	return 0;
}

void ka_segs_release(struct ka_segs *segs)
{
	if (segs->verified)
		munmap((void *)segs->verified, bitmap_bytes(segs));
	free(segs->seg);
	if (segs->count)
		pthread_mutex_destroy(&segs->lock);
	*segs = (struct ka_segs){0};
}

static void make_free(struct ka_segs *segs, uint64_t index)
{
	if (index >= segs->limit) {
		segs->seg[index].state = KA_SEG_ABSENT;
		return;
	}
	if (atomic_load(&segs->seg[index].bad)) {
		segs->seg[index].state = KA_SEG_BAD;
		return;
	}
	segs->seg[index].state = KA_SEG_FREE;
	segs->free++;
	atomic_fetch_add(&segs->freed, 1);
	if (index < segs->hint)
		segs->hint = index;
}

static bool is_dead(const struct ka_seg *seg)
{
	return seg->state == KA_SEG_FULL && !atomic_load(&seg->live) && !seg->held;
}

/* Neither its data nor, for replay, its records are of any use. */
static bool is_unused(const struct ka_segs *segs, const struct ka_seg *seg)
{
	return is_dead(seg) && seg->last_seq <= segs->floor_seq;
}

/*
 * Whether a checkpoint now would free enough: anything at all for what gives
 * space back; else at least as much as it has to write, or a region that is
 * almost full would see a checkpoint at every operation.
 */
static bool checkpoint_helps(const struct ka_segs *segs, enum ka_space_class cls)
{
	uint64_t gain = atomic_load(&segs->ckpt_spare), i;
	uint64_t least = cls == KA_SPACE_DELETE ? 1 : ka_max(1, atomic_load(&segs->ckpt_cost));

	for (i = 1; i < segs->count && gain < least; i++)
		if (is_dead(&segs->seg[i]) && segs->seg[i].last_seq > segs->floor_seq &&
		    !atomic_load(&segs->seg[i].bad))
			gain++;
	return gain >= least;
}

bool ka_segs_ckpt_helps(struct ka_segs *segs)
{
	bool helps;

	pthread_mutex_lock(&segs->lock);
	helps = checkpoint_helps(segs, KA_SPACE_DELETE);
	pthread_mutex_unlock(&segs->lock);
	return helps;
}

uint64_t ka_segs_kept_back(const struct ka_segs *segs, enum ka_space_class cls)
{
	uint64_t ckpt = atomic_load(&segs->ckpt_need);
	uint64_t promised = atomic_load(&segs->prealloc_need);

	switch (cls) {
	case KA_SPACE_CKPT:
		return 0;
	case KA_SPACE_DELETE:
		return ckpt;
	case KA_SPACE_PREALLOC: /* the cleaner may have taken its part just then */
		return ckpt + DELETE_RESERVE - CLEAN_RESERVE;
	case KA_SPACE_CLEAN:
		return ckpt + DELETE_RESERVE - CLEAN_RESERVE + promised;
	case KA_SPACE_NORMAL:
		break;
	}
	return ckpt + DELETE_RESERVE + promised;
}

static void forget_verified(struct ka_segs *segs, uint64_t index)
{
	uint64_t bits = segs->bytes >> VERIFY_SHIFT; /* a multiple of 8 */

	memset((uint8_t *)segs->verified + index * bits / 8, 0, bits / 8);
}

int ka_segs_alloc(struct ka_segs *segs, enum ka_space_class cls, enum ka_seg_state state,
		  uint64_t gen, uint64_t *ret_index)
{
	uint64_t i;
	int err = 0;

	pthread_mutex_lock(&segs->lock);
	if (segs->free <= ka_segs_kept_back(segs, cls)) {
		err = checkpoint_helps(segs, cls) ? -KA_ERR_NEED_CKPT : -ENOSPC;
		goto out;
	}
	for (i = segs->hint; segs->seg[i].state != KA_SEG_FREE; i++)
		assert(i + 1 < segs->count);
	forget_verified(segs, i);
	segs->seg[i].state = state;
	segs->seg[i].gen = gen;
	segs->seg[i].used = 0;
	segs->seg[i].last_seq = 0;
	segs->seg[i].born = 0;
	atomic_store(&segs->seg[i].stuck, false);
	atomic_store(&segs->seg[i].dense, 0);
	segs->free--;
	segs->hint = i + 1;
	*ret_index = i;
out:
	pthread_mutex_unlock(&segs->lock);
	return err;
}

void ka_segs_close(struct ka_segs *segs, uint64_t index, uint32_t used, uint64_t last_seq)
{
	struct ka_seg *seg = &segs->seg[index];

	pthread_mutex_lock(&segs->lock);
	seg->state = KA_SEG_FULL;
	seg->used = used;
	seg->last_seq = last_seq;
	if (is_unused(segs, seg))
		make_free(segs, index);
	pthread_mutex_unlock(&segs->lock);
}

void ka_segs_set_limit(struct ka_segs *segs, uint64_t limit)
{
	uint64_t i;

	pthread_mutex_lock(&segs->lock);
	segs->limit = limit;
	for (i = 1; i < segs->count; i++) {
		struct ka_seg *seg = &segs->seg[i];

		if (i >= limit && (seg->state == KA_SEG_FREE || seg->state == KA_SEG_BAD)) {
			segs->free -= seg->state == KA_SEG_FREE;
			seg->state = KA_SEG_ABSENT;
		} else if (i < limit && seg->state == KA_SEG_ABSENT) {
			seg->prepared = false;
			make_free(segs, i);
		}
	}
	pthread_mutex_unlock(&segs->lock);
}

bool ka_segs_hold(struct ka_segs *segs, uint64_t index)
{
	bool full;

	pthread_mutex_lock(&segs->lock);
	full = segs->seg[index].state == KA_SEG_FULL;
	segs->seg[index].held = full;
	pthread_mutex_unlock(&segs->lock);
	return full;
}

void ka_segs_unhold(struct ka_segs *segs, uint64_t index)
{
	pthread_mutex_lock(&segs->lock);
	segs->seg[index].held = false;
	if (is_unused(segs, &segs->seg[index]))
		make_free(segs, index);
	pthread_mutex_unlock(&segs->lock);
}

void ka_segs_free(struct ka_segs *segs, uint64_t index)
{
	pthread_mutex_lock(&segs->lock);
	if (segs->seg[index].state != KA_SEG_FREE && segs->seg[index].state != KA_SEG_BAD &&
	    segs->seg[index].state != KA_SEG_ABSENT)
		make_free(segs, index);
	pthread_mutex_unlock(&segs->lock);
}

bool ka_segs_set_bad(struct ka_segs *segs, uint64_t index)
{
	struct ka_seg *seg = &segs->seg[index];
	bool news;

	pthread_mutex_lock(&segs->lock);
	news = seg->state != KA_SEG_SUPER && !atomic_exchange(&seg->bad, true);
	if (news && seg->state == KA_SEG_FREE) {
		seg->state = KA_SEG_BAD;
		segs->free--;
	}
	pthread_mutex_unlock(&segs->lock);
	return news;
}

uint64_t ka_segs_bad_bytes(struct ka_segs *segs)
{
	uint64_t i, bytes = 0;

	for (i = 1; i < segs->count; i++)
		bytes += atomic_load(&segs->seg[i].bad) ? segs->bytes : 0;
	return bytes;
}

void ka_segs_live(struct ka_segs *segs, uint64_t addr, uint64_t len)
{
	struct ka_seg *seg = &segs->seg[ka_segs_index(segs, addr)];

	atomic_fetch_add(&seg->extents, 1);
	atomic_fetch_add(&seg->live, len);
}

void ka_segs_dead(struct ka_segs *segs, uint64_t addr, uint64_t len)
{
	uint64_t index = ka_segs_index(segs, addr);
	struct ka_seg *seg = &segs->seg[index];

	atomic_fetch_sub(&seg->extents, 1);
	if (atomic_fetch_sub(&seg->live, len) != len)
		return;
	pthread_mutex_lock(&segs->lock);
	if (is_unused(segs, seg))
		make_free(segs, index);
	pthread_mutex_unlock(&segs->lock);
}

void ka_segs_covered(struct ka_segs *segs, uint64_t floor_seq)
{
	uint64_t i;

	pthread_mutex_lock(&segs->lock);
	segs->floor_seq = floor_seq;
	for (i = 1; i < segs->count; i++)
		if (is_unused(segs, &segs->seg[i]))
			make_free(segs, i);
	pthread_mutex_unlock(&segs->lock);
}

uint64_t ka_segs_avail(struct ka_segs *segs, uint64_t *ret_free_bytes)
{
	uint64_t i, unused = 0, kept = ka_segs_kept_back(segs, KA_SPACE_NORMAL);

	pthread_mutex_lock(&segs->lock);
	for (i = 1; i < segs->count; i++) {
		const struct ka_seg *seg = &segs->seg[i];

		if (atomic_load(&seg->bad))
			continue;
		if (seg->state == KA_SEG_FREE ||
		    (seg->state == KA_SEG_FULL && !atomic_load(&seg->live)))
			unused += segs->bytes;
		else if (seg->state == KA_SEG_OPEN)
			unused += segs->bytes - seg->used;
	}
	pthread_mutex_unlock(&segs->lock);
	*ret_free_bytes = unused;
	kept *= segs->bytes;
	return unused > kept ? unused - kept : 0;
}

uint64_t ka_segs_takeable(struct ka_segs *segs, enum ka_space_class cls)
{
	uint64_t free = atomic_load(&segs->free), kept = ka_segs_kept_back(segs, cls);

	return free - ka_min(free, kept);
}

int ka_segs_check(struct ka_segs *segs, enum ka_space_class cls)
{
	int err;

	if (atomic_load(&segs->free) >= ka_segs_kept_back(segs, cls))
		return 0;
	pthread_mutex_lock(&segs->lock);
	err = checkpoint_helps(segs, cls) ? -KA_ERR_NEED_CKPT : -ENOSPC;
	pthread_mutex_unlock(&segs->lock);
	return err;
}

static uint8_t verify_mask(uint64_t piece_addr)
{
	return (uint8_t)(1u << ((piece_addr >> VERIFY_SHIFT) % 8));
}

bool ka_segs_is_verified(const struct ka_segs *segs, uint64_t piece_addr)
{
	return atomic_load_explicit(&segs->verified[(piece_addr >> VERIFY_SHIFT) / 8],
				    memory_order_relaxed) &
	       verify_mask(piece_addr);
}

void ka_segs_set_verified(struct ka_segs *segs, uint64_t piece_addr)
{
	atomic_fetch_or_explicit(&segs->verified[(piece_addr >> VERIFY_SHIFT) / 8],
				 verify_mask(piece_addr), memory_order_relaxed);
}

void ka_segs_clear_verified(struct ka_segs *segs, uint64_t piece_addr)
{
	atomic_fetch_and_explicit(&segs->verified[(piece_addr >> VERIFY_SHIFT) / 8],
				  (uint8_t)~verify_mask(piece_addr), memory_order_relaxed);
}

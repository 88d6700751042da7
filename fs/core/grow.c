/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grow.c - when memory that is lent comes back by itself; see keepalive/lend.h.
 *
 * A region file has it back at once. Memory that the system uses as RAM has to be emptied first,
 * and what may lie in it are the very pages of the requests that wait for it: those the kernel pins
 * until they are answered. So there memory comes back ahead of time, while writes go on from a
 * reserve: between two requests of a program its pages are free to leave.
 */
#include "keepalive/lend.h"

#include <errno.h>

#include "checkpoint.h"
#include "clean.h"
#include "keepalive/util.h"
#include "ops.h"

/* Enough requests of 1 MiB for the pages of each to be met unpinned; of a small region a part. */
#define RESERVE_BYTES	 (16ull << 20)
#define RESERVE_SEGMENTS 8
#define RESERVE_SHARE	 16

/* Steps of cheap cleaning that are tried before a slice comes; see ka_op_run. */
#define CHEAP_STEPS 4

uint64_t ka_growth_bytes(struct ka_fs *fs)
{
	return fs->opts.reclaim_manual || ka_fs_is_rdonly(fs) || !ka_region_can_release(fs->rg)
		       ? 0
		       : ka_lent_bytes(fs);
}

uint64_t ka_growth_reserve(const struct ka_fs *fs)
{
	uint64_t bytes = ka_max(RESERVE_BYTES, (uint64_t)RESERVE_SEGMENTS * fs->segs.bytes);

	if (fs->opts.reclaim_manual || ka_region_info(fs->rg)->kind != KA_REGION_DEVDAX ||
	    !ka_region_can_release(fs->rg))
		return 0;
	return ka_min(bytes, fs->super.capacity_bytes / RESERVE_SHARE) / fs->segs.bytes;
}

unsigned ka_growth_urgency(struct ka_fs *fs)
{
	uint64_t reserve = ka_growth_reserve(fs), left;

	if (!reserve || ka_region_limit(fs->rg) >= ka_region_info(fs->rg)->capacity_bytes)
		return 0;
	left = ka_segs_takeable(&fs->segs, KA_SPACE_NORMAL);
	if (left >= reserve || !ka_growth_bytes(fs))
		return 0;
	return (unsigned)((reserve - left) * KA_GROWTH_URGENT / reserve);
}

int ka_grow_ahead(struct ka_fs *fs)
{
	struct ka_clean_stats stats = {0};
	unsigned steps = 0;
	uint64_t reclaims;
	int err;

	while (ka_growth_urgency(fs)) {
		reclaims = atomic_load(&fs->reclaims);
		if (!steps++ && ka_segs_ckpt_helps(&fs->segs)) {
			err = ka_fs_checkpoint(fs);
		} else {
			err = steps <= CHEAP_STEPS ? ka_clean_step(fs, KA_CLEAN_CHEAP, &stats)
						   : -ENOSPC;
			if (err)
				err = ka_reclaim_for(fs, reclaims);
		}
		if (err)
			return err;
	}
	return 0;
}

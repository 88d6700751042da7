/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lend.h - the boundary: how much of the region the filesystem owns, and how that
 * changes while it is in use.
 *
 * It owns whole slices from the front; memory behind them is lent to the system. Both ways
 * go slice by slice, each a step that is done or undone as a whole: after a crash the
 * boundary is where the superblock says, and everything that lives is below it.
 */
#ifndef KEEPALIVE_LEND_H
#define KEEPALIVE_LEND_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/fs.h"

struct ka_lend_plan {
	uint64_t owned_bytes; /* what would be left, in whole slices */
	uint64_t move_bytes;  /* live bytes behind that, which have to be moved */
	uint64_t move_ns;     /* how long that takes, about; 0: not known yet */
};

/*
 * How little the filesystem can be content with when keep bytes are to stay free. More
 * than now: nothing can be lent.
 */
void ka_lend_plan(struct ka_fs *fs, uint64_t keep_bytes, struct ka_lend_plan *ret);

struct ka_lend_stats {
	uint64_t owned_bytes; /* now */
	uint64_t moved_bytes; /* added to */
};

/*
 * Lends the last slice, after moving what lives there to the front. 0; -ENOSPC: there is
 * no room to move it to; -KA_ERR_LEND_STUCK: something in it cannot be read;
 * -KA_ERR_LEND_LAST: it is the only one; -EOPNOTSUPP: memory of this region stays;
 * -EROFS and others. What failed has moved data at most.
 */
int ka_lend_slice(struct ka_fs *fs, struct ka_lend_stats *stats);

/*
 * Takes the slice behind the boundary back. 0; -KA_ERR_LEND_NONE: nothing is lent; -EROFS,
 * or why the system does not give it: told, with the number of the slice, once until one succeeds.
 */
int ka_reclaim_slice(struct ka_fs *fs, struct ka_lend_stats *stats);

/*
 * The same for an operation that found no space when fs->reclaims was reclaims: nothing is done
 * where that has risen, as others were faster then.
 */
int ka_reclaim_for(struct ka_fs *fs, uint64_t reclaims);

/* Bytes of the region that are lent. */
uint64_t ka_lent_bytes(struct ka_fs *fs);

/* Those that come back by themselves when they are needed; 0 with reclaim_manual. */
uint64_t ka_growth_bytes(struct ka_fs *fs);

/*
 * Free segments, beside those that are kept back, that ordinary writes are to find while memory
 * comes back: 0 where that takes no time, or where it does not come back by itself.
 */
uint64_t ka_growth_reserve(const struct ka_fs *fs);

/* How much of that is used up while memory is lent: 0: none; KA_GROWTH_URGENT: all. Cheap. */
#define KA_GROWTH_URGENT 8
unsigned ka_growth_urgency(struct ka_fs *fs);

/*
 * Has memory back until the reserve is whole, unless little work makes room as well. 0, or why
 * not. Writes go on meanwhile.
 */
int ka_grow_ahead(struct ka_fs *fs);

#endif

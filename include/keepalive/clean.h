/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clean.h - makes free segments of half-dead ones: moves what lives in them
 * together, elsewhere. And makes files in many pieces whole.
 *
 * It goes in steps; between steps no lock is held. A step locks one file at a
 * time, for as long as a megabyte takes to copy. After a crash everything is
 * either at its old or at its new place.
 *
 * Which segments to empty is policy (clean_policy.c), how is mechanism (clean.c).
 */
#ifndef KEEPALIVE_CLEAN_H
#define KEEPALIVE_CLEAN_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/fs.h"

enum ka_clean_policy {
	/* in the background: what has not changed for long first, where that pays */
	KA_CLEAN_COST_BENEFIT,
	/* space is short: what takes the least work */
	KA_CLEAN_GREEDY,
	/* the same, where that is little work: more memory could be had instead */
	KA_CLEAN_CHEAP,
};

struct ka_clean_stats {
	uint64_t segments;    /* emptied */
	uint64_t moved_bytes; /* of payload */
	uint64_t stuck;	      /* segments with something in them that cannot be read */
};

/*
 * Empties some segments, and writes a checkpoint if only that makes them free.
 * Adds to *stats. 0; -ENOSPC: there is nothing to be gained, or no room to move
 * anything; -EROFS and others.
 */
int ka_clean_step(struct ka_fs *fs, enum ka_clean_policy policy, struct ka_clean_stats *stats);

/*
 * Puts small pieces that lie one behind the other in a file together, in records of up
 * to a megabyte, for the files from *ino on (0 to begin with) until about budget bytes were
 * moved; *ino is where to go on then, 0 when that was all. What files share stays as it is.
 * Adds to *stats. 0; -ENOSPC: no room, a step may make some; -EROFS and others.
 */
int ka_clean_join(struct ka_fs *fs, uint64_t *ino, uint64_t budget, struct ka_clean_stats *stats);

/* Cleaning all that there is to clean, in steps. */
struct ka_clean_all {
	/* Where to go on; zeros to begin with. */
	uint64_t ino;
	bool emptied;
	bool finished;
	/* What this step did. */
	struct ka_clean_stats stats;
};

/*
 * One step of it: empties segments until nothing can be gained, then joins files as far as
 * there is room, and ends with a checkpoint, which makes free what was left. 0, -EROFS and
 * others.
 */
int ka_clean_all_step(struct ka_fs *fs, struct ka_clean_all *all);

/* Whether so few segments are free that a step in the background would be right. */
bool ka_clean_is_wanted(struct ka_fs *fs);

/* Bytes of dead space that steps could make free, about, and rather too few. */
uint64_t ka_clean_gain(struct ka_fs *fs);

#endif

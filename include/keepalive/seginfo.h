/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seginfo.h - what each segment holds, for a picture of the region.
 *
 * Looks without stopping anybody: segments that are asked for one after the other
 * may be of different moments.
 */
#ifndef KEEPALIVE_SEGINFO_H
#define KEEPALIVE_SEGINFO_H

#include <stddef.h>
#include <stdint.h>

#include "keepalive/fs.h"
#include "keepalive/segment.h"

#define KA_SEGINFO_BAD 1u /* a memory error was met in it */

/* Goes through an ioctl as it is; ioctl.h. */
struct ka_seginfo {
	uint64_t last_seq;   /* the newest record in it; 0: none */
	uint32_t live_bytes; /* that files have, shared ones once; at most used_bytes */
	uint32_t used_bytes; /* from its start; of one that is open or full */
	uint16_t state;	     /* enum ka_seg_state: its numbers are permanent here */
	uint16_t flags;
	uint32_t rsv;
};

_Static_assert(sizeof(struct ka_seginfo) == 24, "goes through an ioctl");

/*
 * Fills in up to max segments, from first on. *ret_seq: the last record number that
 * was given out. Returns how many there were.
 */
size_t ka_seginfo_get(struct ka_fs *fs, uint64_t first, size_t max, struct ka_seginfo *ret,
		      uint64_t *ret_seq);

/* A place in the region that was found damaged; zeros to begin with. */
struct ka_damage_place {
	uint64_t index; /* where to go on: which damage, and where in it */
	uint64_t off;
	uint64_t addr;
	uint64_t len; /* 0: none this time, as what was damaged is no longer there */
};

/*
 * The next place of what ka_fs_get_damage lists. Verifies that it is damaged still,
 * so it takes as long as reading that. -ENOENT: there are no more.
 */
int ka_damage_place_next(struct ka_fs *fs, struct ka_damage_place *place);

#endif

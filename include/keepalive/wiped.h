/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wiped.h - tells memory that was wiped from a filesystem that was damaged.
 *
 * Firmware may zero memory, fill it with a pattern, or scramble it, which looks
 * like random bytes. Nothing can be repaired then, and nothing suffered that fsck
 * could name: it is all lost. Memory that never held a filesystem looks the same.
 *
 * To look reads, and never stores. What it costs is bounded, whatever the size.
 */
#ifndef KEEPALIVE_WIPED_H
#define KEEPALIVE_WIPED_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/msg.h"
#include "keepalive/region.h"

struct ka_super;

enum ka_wiped_kind {
	KA_WIPED_NO,	   /* something else is there */
	KA_WIPED_SEGMENTS, /* no: segments of a filesystem are there */
	KA_WIPED_PATTERN,  /* the same 8 bytes all over */
	KA_WIPED_RANDOM,   /* what looks like random bytes */
};

struct ka_wiped {
	enum ka_wiped_kind kind;
	uint8_t pattern[8];
	uint64_t segment_addr; /* KA_WIPED_SEGMENTS: of the first one */
	uint64_t bytes;	       /* of memory in question */
	uint64_t whole_bytes;  /* of them, from the start, every one was looked at */
	uint64_t places;       /* of 4 KiB that were looked at besides */
};

/*
 * Looks at [from, to) of the region. thorough: at every place for a segment, and
 * where there is a pattern at every byte. Else at the first 256 MiB of that, 4 KiB in
 * each MiB of the first GiB, and some 1000 to 2000 places behind.
 * 0, or -KA_ERR_MEMORY: it cannot be read.
 */
int ka_wiped_look(const struct ka_region *rg, uint64_t from, uint64_t to, bool thorough,
		  struct ka_wiped *ret);

/*
 * For a region without any superblock. -KA_ERR_WIPED: it was wiped;
 * -KA_ERR_SUPER_GONE: it is damaged; both were explained. 0: it is foreign.
 * -KA_ERR_MEMORY: it cannot be read, not explained.
 */
int ka_wiped_check(const struct ka_region *rg, const struct ka_msg_sink *sink);

/*
 * For a superblock that stands, but leads nowhere: -KA_ERR_WIPED, explained, if all
 * behind the first segment was wiped; else 0, or -KA_ERR_MEMORY, which was not explained.
 */
int ka_wiped_check_segments(const struct ka_region *rg, const struct ka_super *sb,
			    const struct ka_msg_sink *sink);

#endif

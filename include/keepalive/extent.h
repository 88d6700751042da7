/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * extent.h - which bytes of a file lie where: a red-black tree by file offset.
 *
 * An extent with an address points into the payload of one record. One without
 * is unwritten: room is kept for it and it reads as zeros. What no extent
 * covers is a hole.
 *
 * Locks: the inode's. The counters in struct ka_extent_stats are atomic.
 */
#ifndef KEEPALIVE_EXTENT_H
#define KEEPALIVE_EXTENT_H

#include <bsd/sys/tree.h>
#include <stdatomic.h>
#include <stdint.h>

#include "keepalive/segment.h"

struct ka_extent {
	RB_ENTRY(ka_extent) rb;
	uint64_t off;	/* in the file */
	uint64_t len;	/* bytes, > 0 */
	uint64_t addr;	/* of its first byte in the region; 0: unwritten */
	uint64_t seq;	/* of the record it lies in */
	uint32_t delta; /* addr - delta is the address of that record */
};

RB_HEAD(ka_extent_tree, ka_extent);

struct ka_extents {
	struct ka_extent_tree tree;
	uint64_t bytes; /* of all extents: what st_blocks counts */
};

struct ka_extent_stats {
	struct ka_segs *segs; /* told what lives and dies; may be NULL */
	_Atomic uint64_t count;
	_Atomic uint64_t unwritten_bytes;
};

/* The first extent that ends after off, and the one after an extent; or NULL. */
struct ka_extent *ka_extents_find(const struct ka_extents *ex, uint64_t off);
struct ka_extent *ka_extents_next(const struct ka_extent *e);

/* Makes a hole of [off, off + len). 0 or -ENOMEM, with nothing changed. */
int ka_extents_punch(struct ka_extents *ex, struct ka_extent_stats *st, uint64_t off, uint64_t len);

/* Puts a copy of e in, over what is there. 0 or -ENOMEM, with nothing changed. */
int ka_extents_put(struct ka_extents *ex, struct ka_extent_stats *st, const struct ka_extent *e);

/* Fills the holes of [off, off + len) with unwritten extents. 0 or -ENOMEM. */
int ka_extents_fill(struct ka_extents *ex, struct ka_extent_stats *st, uint64_t off, uint64_t len);

/*
 * Gives [off, off + len) of to what [from_off, ...) of from has, with holes
 * for holes and for what is unwritten. The ranges must not overlap in one file. 0 or -ENOMEM, half done.
 */
int ka_extents_clone(struct ka_extents *to, uint64_t off, const struct ka_extents *from,
		     uint64_t from_off, uint64_t len, struct ka_extent_stats *st);

/* Number of extents that [off, off + len) touches. */
uint64_t ka_extents_count(const struct ka_extents *ex, uint64_t off, uint64_t len);

/* Bytes of [off, off + len) that lie in holes. */
uint64_t ka_extents_holes(const struct ka_extents *ex, uint64_t off, uint64_t len);

/* Drops all. */
void ka_extents_clear(struct ka_extents *ex, struct ka_extent_stats *st);

#endif

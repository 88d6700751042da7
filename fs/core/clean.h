/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clean.h (private) - what the parts of the cleaner share: clean_policy.c says
 * which segments to empty, clean.c finds what lives in them, clean_join.c finds
 * files in many pieces, clean_move.c moves either.
 */
#ifndef KA_CORE_CLEAN_H
#define KA_CORE_CLEAN_H

#include "fs.h"
#include "keepalive/clean.h"

/* Moving has to gain at least this share of the segments. */
#define KA_CLEAN_GAIN_SHARE 32

/* A part of a file that is to be moved, or of which a part is. */
struct ka_clean_range {
	ka_ino_t ino;
	uint64_t off;
	uint64_t end;
};

/* Bytes that were moved: of which file they were when they were. */
struct ka_clean_moved {
	uint64_t addr; /* the old one */
	uint64_t len;
	ka_ino_t ino;
	uint64_t off;
	uint64_t seq; /* of the record with the new one */
};

/* One run of the cleaner. */
struct ka_clean {
	struct ka_fs *fs;
	struct ka_clean_stats *stats;
	bool *victim; /* by segment: to be left; NULL: the ranges move wherever they are */
	struct ka_clean_range *range;
	size_t ranges, range_room;
	uint64_t told; /* bytes that their records had */
	struct ka_clean_moved *moved;
	size_t moves, move_room;
	size_t sorted; /* the first so many of them rise by addr */
	uint8_t *buf;  /* KA_PAYLOAD_MAX */
	bool must;     /* the segments are left whether that pays or not */
	int err;       /* of a visit */
};

/* 0 or -ENOMEM; released in either case. */
int ka_clean_init(struct ka_clean *cl, struct ka_fs *fs, struct ka_clean_stats *stats);
void ka_clean_release(struct ka_clean *cl);

/* Appends to the ranges, or lengthens the last one. 0 or -ENOMEM. */
int ka_clean_add(struct ka_clean *cl, ka_ino_t ino, uint64_t off, uint64_t len);

bool ka_clean_has_to_move(const struct ka_clean *cl, const struct ka_extent *e);

/*
 * Moves what has to move of the ranges, and forgets them. sharing: what shares bytes with
 * something that was moved before gets its new place. Locks one file at a time; takes
 * op_lock. 0, or -ENOSPC and others with part of it done.
 */
int ka_clean_leave(struct ka_clean *cl, bool sharing);

/*
 * Moves what lives in the segments, as far as they are full, elsewhere; without must only
 * where that pays. What cannot be read stays, and its segment is marked as stuck. 0, or
 * -ENOSPC and others with part of it done. The caller has clean_lock.
 */
int ka_clean_vacate(struct ka_fs *fs, const uint64_t *segments, size_t count, bool must,
		    struct ka_clean_stats *stats);

/* Segments that ka_clean_vacate takes at most. */
#define KA_CLEAN_SEGMENTS 16

/* A move is split at the end of a segment where this much of it still fits. */
#define KA_CLEAN_SPLIT_MIN 65536u

/* Bytes that the cleaner can fill for sure before it has emptied any segment. */
uint64_t ka_clean_room(struct ka_fs *fs);

/* ka_clean_step for who has clean_lock. */
int ka_clean_step_locked(struct ka_fs *fs, enum ka_clean_policy policy,
			 struct ka_clean_stats *stats);

/* What lives in the segment would need so much elsewhere, if no two pieces came together. */
uint64_t ka_clean_bytes_elsewhere(struct ka_fs *fs, const struct ka_seg *seg);

/* Adds what came to the stats since before to those of the mount. */
void ka_clean_count(struct ka_fs *fs, const struct ka_clean_stats *before,
		    const struct ka_clean_stats *stats);

/* A longer array, or the same while there is room in it; NULL: no memory. */
void *ka_clean_grow(void *list, size_t count, size_t *room, size_t size);

#endif

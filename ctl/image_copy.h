/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_copy.h - copies segments of a region to a file, or to another region.
 *
 * Crash argument of the latter, as that of mkfs: every superblock of the target is
 * erased and fenced first, then segments are copied, compared and fenced, and the
 * superblock comes last, one copy after the other. Cut before its first copy is
 * whole there is no filesystem; afterwards all that it leads to is there.
 *
 * What is not in use is zero in the copy, wherever that is: were the remains of
 * other times of the same filesystem left there, a recovery could take them for
 * its own.
 */
#ifndef KEEPALIVE_IMAGE_COPY_H
#define KEEPALIVE_IMAGE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/region.h"
#include "keepalive/super.h"

struct image_plan {
	const struct ka_region *from;
	uint64_t bytes;		/* the copy has as many: a multiple of 4096 */
	uint64_t segment_bytes; /* the parts that used is about */
	uint64_t count;		/* of them; the first holds the superblock */
	bool *used;
	/* Told of each range that has a memory error and is zero in the copy. */
	void (*broken)(void *ctx, uint64_t addr, uint64_t len);
	void *ctx;
	uint64_t copied; /* bytes, when it is done */
	uint8_t *buf;	 /* while it copies: one part, and another to compare with */
	uint8_t *other;
};

/* Into an empty file: the first part last; compares. 0, -errno, or -EIO: it is not the same. */
int image_to_file(struct image_plan *p, int fd);

/*
 * Into a region that is as long at least: erases every superblock, copies and
 * compares, and stores sb, which is that of the image, last, for where the region
 * lies. Cut off it leaves no filesystem. fd: of the file that the region is, whose
 * holes need no zeros, or -1. 0 or a negative code; -EIO: it is not the same.
 */
int image_to_region(struct image_plan *p, struct ka_region *to, int fd, const struct ka_super *sb);

#endif

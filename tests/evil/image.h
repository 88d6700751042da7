/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image.h - regions to be damaged: made once, always the same, changed at will,
 * with checksums set right afterwards, and put back.
 *
 * One thread only. What a caller does to an image it does through
 * evil_image_store or says with evil_image_touch, so that it can be put back.
 */
#ifndef KA_EVIL_IMAGE_H
#define KA_EVIL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "items.h"
#include "keepalive/format.h"

enum evil_base {
	EVIL_CLEAN,   /* everything, unmounted */
	EVIL_UNCLEAN, /* everything, and a record of each type behind the checkpoint */
	EVIL_LONG,    /* two log positions, many segments, a checkpoint of two segments */
	EVIL_BASES
};

struct evil_image {
	uint8_t *mem; /* of the region, exactly as large */
	uint64_t bytes;
	uint8_t *base;	/* as it was made */
	uint8_t *dirty; /* a byte for each page of mem that differs from it */
	/* read from the base */
	uint64_t log_id;
	uint32_t segment_bytes;
	uint64_t segments;
	uint64_t ckpt_seq; /* of the newest checkpoint */
	uint64_t copy_addr[KA_SUPER_COPIES];
	uint64_t *rec; /* addresses of all valid records, rising */
	size_t records;
};

/* The image with this base, as it was made. The caller does not free it. */
struct evil_image *evil_image(enum evil_base base);

void evil_image_restore(struct evil_image *img);
void evil_image_touch(struct evil_image *img, uint64_t addr, uint64_t bytes);

/* Cut at the end of the region. */
void evil_image_store(struct evil_image *img, uint64_t addr, const void *src, uint64_t bytes);

struct ka_super_disk *evil_super_at(struct evil_image *img, unsigned copy);
struct ka_segment_disk *evil_segment_at(struct evil_image *img, uint64_t index);
struct ka_rec_disk *evil_rec_at(struct evil_image *img, uint64_t addr);

/* Set the checksums right, after any change. */
void evil_seal_super(struct evil_image *img, unsigned copy);
void evil_seal_segment(struct evil_image *img, uint64_t index);

/* Those of the payload too, as far as what the head says of it makes sense. */
void evil_seal_record(struct evil_image *img, uint64_t addr);

/* The items of the newest checkpoint of the base; they point into the base. */
void evil_ckpt_items(const struct evil_image *img, struct evil_items *ret);

/*
 * Writes a payload as the newest checkpoint, into the segments that the base has
 * it in, and lets both superblocks point at it. ends: where it may be cut into
 * chunks, rising, the last one at its end. False: it did not all go in.
 */
bool evil_ckpt_store(struct evil_image *img, const uint8_t *payload, const size_t *ends,
		     size_t pieces);

#endif

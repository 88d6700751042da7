/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edit.h - the input of a target: not a region but what to change in one.
 *
 * A header, then edits of 16 bytes each. An edit picks a structure of the base
 * image by number (modulo how many there are, so that any bytes mean
 * something), and sets a field of it, copies it, or drops it. When all are
 * done the checksums of what was changed are set right; only then do the edits
 * take effect that store bytes at an address.
 */
#ifndef KA_FUZZ_EDIT_H
#define KA_FUZZ_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "image.h"

struct edit_head {
	uint8_t base;	  /* enum evil_base, modulo */
	uint8_t unsealed; /* its low bit: leave the checksums as they are */
	uint8_t seed;	  /* of the operations */
	uint8_t rsv;
};

enum edit_op {
	EDIT_RECORD,	   /* field of a record */
	EDIT_RECORD_BYTES, /* value over arg bytes behind its fixed part */
	EDIT_RECORD_COPY,  /* record arg once more, before this one */
	EDIT_RECORD_DROP,
	EDIT_ITEM, /* field of an item of the checkpoint */
	EDIT_ITEM_BYTES,
	EDIT_ITEM_COPY,
	EDIT_ITEM_DROP,
	EDIT_SUPER, /* target: copy 0, 1, or both */
	EDIT_SEGMENT,
	EDIT_RAW, /* up to 8 bytes at address arg */
	EDIT_OPS
};

/* How value changes a field: low bits of arg. */
enum edit_how {
	EDIT_SET,
	EDIT_ADD,
	EDIT_XOR,
	EDIT_SAME_AS, /* the field of the structure with number arg / EDIT_HOWS */
	EDIT_HOWS
};

struct edit {
	uint8_t op;
	uint8_t field;
	uint16_t target;
	uint32_t arg;
	uint64_t value;
};

/* The image with all edits done, or NULL for what is too short. */
struct evil_image *edit_apply(const uint8_t *data, size_t size, uint64_t *ret_seed);

#endif

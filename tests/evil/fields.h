/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fields.h - every field of every structure on media, with its place and width,
 * and every number of every item of a checkpoint.
 */
#ifndef KA_EVIL_FIELDS_H
#define KA_EVIL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evil_field {
	const char *name;
	uint16_t off;	/* from the start of the structure */
	uint16_t bytes; /* 1, 2, 4, 8: a number; else bytes */
	bool is_csum;	/* of what the structure covers: sealing would set it right */
};

struct evil_struct {
	const char *name;
	size_t bytes;
	const struct evil_field *field;
	size_t fields;
};

extern const struct evil_struct evil_super;
extern const struct evil_struct evil_segment;
extern const struct evil_struct evil_xattr; /* in a create record */

/* The structure of a record of this type; NULL where there is none. */
const struct evil_struct *evil_record_struct(unsigned type);

/* All of them by number, for tests of the table itself; NULL behind the last. */
const struct evil_struct *evil_any_struct(size_t i);

/* A number of up to 8 bytes in place, little-endian. */
uint64_t evil_field_get(const void *at, const struct evil_field *f);
void evil_field_set(void *at, const struct evil_field *f, uint64_t v);

/*
 * Fields of the items of a checkpoint. kinds: a letter for each, 'n' a number,
 * 's' a signed one, 'b' bytes; names: in the same order, separated by spaces.
 */
struct evil_item_type {
	char tag;
	const char *kinds;
	const char *names;
};

const struct evil_item_type *evil_item_type(uint8_t tag);

/* What a number of this width is set to in turn, beside its value and those beside it. */
#define EVIL_EXTREMES 15
uint64_t evil_extreme(unsigned i, unsigned bytes, uint64_t now);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * items.h - the items of a checkpoint, taken apart to be changed and put together
 * again, whatever sense that makes.
 */
#ifndef KA_EVIL_ITEMS_H
#define KA_EVIL_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVIL_ITEM_NUMBERS 15
#define EVIL_ITEM_STRINGS 2

struct evil_item {
	uint8_t tag;
	uint64_t num[EVIL_ITEM_NUMBERS]; /* signed ones folded */
	struct {
		const uint8_t *p; /* not owned */
		uint32_t bytes;
		uint64_t said; /* the length that is written before them */
	} str[EVIL_ITEM_STRINGS];
};

struct evil_items {
	struct evil_item *item;
	size_t count;
	size_t capacity;
};

/* Appends what can be read of a payload, which must stay; stops where that ends. */
void evil_items_parse(struct evil_items *list, const uint8_t *data, size_t bytes);

/* Puts a copy of item in before the one at at. */
void evil_items_insert(struct evil_items *list, size_t at, const struct evil_item *item);
void evil_items_remove(struct evil_items *list, size_t at);
void evil_items_release(struct evil_items *list);

/* The first with this tag, or NULL. */
struct evil_item *evil_items_find(const struct evil_items *list, uint8_t tag);

/*
 * As bytes, to be freed; ends[i] is where item i ends, if it is not NULL. At least
 * one byte is always allocated.
 */
uint8_t *evil_items_pack(const struct evil_items *list, size_t *ret_bytes, size_t *ends);

/*
 * Fields of an item in the order of its type: numbers, and for bytes the length
 * that is written before them. Behind them all: the tag.
 */
unsigned evil_item_fields(const struct evil_item *item);
uint64_t *evil_item_field(struct evil_item *item, unsigned field);

/* The tag is a byte; this sets it as field number evil_item_fields(). */
void evil_item_set(struct evil_item *item, unsigned field, uint64_t v);
uint64_t evil_item_get(const struct evil_item *item, unsigned field);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* items.c - items of a checkpoint, apart and together; see items.h. */
#include "items.h"

#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "keepalive/format.h"
#include "varint.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Whether this field of the item is there: an unwritten extent has two less. */
static bool is_there(const struct evil_item *item, unsigned number)
{
	return item->tag != KA_ITEM_EXTENT || number < 3 || item->num[2];
}

static bool parse_item(struct ka_cursor *c, struct evil_item *ret)
{
	const struct evil_item_type *type;
	unsigned n = 0, s = 0;
	const char *kind;

	memset(ret, 0, sizeof(*ret));
	ret->tag = *c->p++;
	type = evil_item_type(ret->tag);
	for (kind = type ? type->kinds : ""; *kind; kind++) {
		if (*kind != 'b') {
			if (is_there(ret, n))
				ret->num[n] = ka_varint_get(c);
			n++;
			continue;
		}
		ret->str[s].said = ka_varint_get(c);
		ret->str[s].p = ka_bytes_get(c, ret->str[s].said);
		ret->str[s].bytes = ret->str[s].p ? (uint32_t)ret->str[s].said : 0;
		s++;
	}
	return type && !c->bad;
}

void evil_items_insert(struct evil_items *list, size_t at, const struct evil_item *item)
{
	struct evil_item copy = *item; /* it may be one of the list */

	if (list->count == list->capacity) {
		list->capacity = list->capacity ? 2 * list->capacity : 64;
		list->item = realloc(list->item, list->capacity * sizeof(*list->item));
		must(list->item);
	}
	memmove(list->item + at + 1, list->item + at, (list->count - at) * sizeof(*list->item));
	list->item[at] = copy;
	list->count++;
}

void evil_items_remove(struct evil_items *list, size_t at)
{
	list->count--;
	memmove(list->item + at, list->item + at + 1, (list->count - at) * sizeof(*list->item));
}

void evil_items_parse(struct evil_items *list, const uint8_t *data, size_t bytes)
{
	struct ka_cursor c = {.p = data, .end = data + bytes};
	struct evil_item item;

	while (c.p < c.end && parse_item(&c, &item))
		evil_items_insert(list, list->count, &item);
}

void evil_items_release(struct evil_items *list)
{
	free(list->item);
	*list = (struct evil_items){0};
}

struct evil_item *evil_items_find(const struct evil_items *list, uint8_t tag)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->item[i].tag == tag)
			return &list->item[i];
	return NULL;
}

/* Most bytes that an item can take. */
static size_t room_for(const struct evil_item *item)
{
	return 1 + (EVIL_ITEM_NUMBERS + EVIL_ITEM_STRINGS) * KA_VARINT_MAX + item->str[0].bytes +
	       item->str[1].bytes;
}

static uint8_t *pack_item(uint8_t *p, const struct evil_item *item)
{
	const struct evil_item_type *type = evil_item_type(item->tag);
	const char *kind = type ? type->kinds : "";
	unsigned n = 0, s = 0;

	*p++ = item->tag;
	for (; *kind; kind++) {
		if (*kind != 'b') {
			if (is_there(item, n))
				p = ka_varint_put(p, item->num[n]);
			n++;
			continue;
		}
		p = ka_varint_put(p, item->str[s].said);
		if (item->str[s].bytes)
			memcpy(p, item->str[s].p, item->str[s].bytes);
		p += item->str[s].bytes;
		s++;
	}
	return p;
}

uint8_t *evil_items_pack(const struct evil_items *list, size_t *ret_bytes, size_t *ends)
{
	size_t i, room = 1;
	uint8_t *out, *p;

	for (i = 0; i < list->count; i++)
		room += room_for(&list->item[i]);
	p = out = malloc(room);
	must(out);
	for (i = 0; i < list->count; i++) {
		p = pack_item(p, &list->item[i]);
		if (ends)
			ends[i] = (size_t)(p - out);
	}
	*ret_bytes = (size_t)(p - out);
	return out;
}

unsigned evil_item_fields(const struct evil_item *item)
{
	const struct evil_item_type *type = evil_item_type(item->tag);

	return type ? (unsigned)strlen(type->kinds) : 0;
}

uint64_t *evil_item_field(struct evil_item *item, unsigned field)
{
	const struct evil_item_type *type = evil_item_type(item->tag);
	unsigned i, n = 0, s = 0;

	for (i = 0; i < field; i++) {
		n += type->kinds[i] != 'b';
		s += type->kinds[i] == 'b';
	}
	return type->kinds[field] == 'b' ? &item->str[s].said : &item->num[n];
}

void evil_item_set(struct evil_item *item, unsigned field, uint64_t v)
{
	if (field >= evil_item_fields(item))
		item->tag = (uint8_t)v;
	else
		*evil_item_field(item, field) = v;
}

uint64_t evil_item_get(const struct evil_item *item, unsigned field)
{
	if (field >= evil_item_fields(item))
		return item->tag;
	return *evil_item_field((struct evil_item *)item, field);
}

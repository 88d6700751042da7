/* SPDX-License-Identifier: GPL-2.0-or-later */
/* edit.c - does what an input says to an image; see edit.h. */
#include "edit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "items.h"
#include "keepalive/util.h"

#define RECORDS_MAX 1024
#define STRINGS_MAX (64u << 10) /* bytes of strings that an input can change */
#define GROW_MAX    4096	/* items; an input copies one at a time */

struct editor {
	struct evil_image *img;
	struct edit_head head;
	const uint8_t *edits;
	size_t count;
	uint64_t rec[RECORDS_MAX]; /* addresses, rising */
	bool changed[RECORDS_MAX];
	size_t records;
	struct evil_items items;
	size_t strings_used;
};

static uint8_t strings[STRINGS_MAX];

static struct edit edit_at(const struct editor *ed, size_t i)
{
	struct edit e;

	memcpy(&e, ed->edits + i * sizeof(e), sizeof(e));
	e.op %= EDIT_OPS;
	return e;
}

static uint64_t changed_value(const struct edit *e, uint64_t now, uint64_t other)
{
	switch (e->arg % EDIT_HOWS) {
	case EDIT_ADD:
		return now + e->value;
	case EDIT_XOR:
		return now ^ e->value;
	case EDIT_SAME_AS:
		return other;
	default:
		return e->value;
	}
}

/* ---- items of the checkpoint ---------------------------------------------- */

/* So that the numbers at the start of the checkpoint still fit. */
static void count_item(struct editor *ed, uint8_t tag, uint64_t by)
{
	struct evil_item *head = evil_items_find(&ed->items, KA_ITEM_HEAD);

	if (!head)
		return;
	head->num[3] += tag == KA_ITEM_INODE ? by : 0;
	head->num[4] += tag == KA_ITEM_NAME ? by : 0;
	head->num[5] += tag == KA_ITEM_EXTENT ? by : 0;
}

/* The next item with the tag of item, from where arg says. */
static const struct evil_item *like(const struct editor *ed, const struct evil_item *item,
				    size_t from)
{
	size_t i, n = ed->items.count;

	for (i = 0; i < n; i++)
		if (ed->items.item[(from + i) % n].tag == item->tag)
			return &ed->items.item[(from + i) % n];
	return item;
}

static void set_item(struct editor *ed, struct evil_item *item, const struct edit *e)
{
	unsigned field = e->field % (evil_item_fields(item) + 1);
	const struct evil_item *other = like(ed, item, e->arg / EDIT_HOWS);

	evil_item_set(item, field,
		      changed_value(e, evil_item_get(item, field), evil_item_get(other, field)));
}

/* Changes the string in a copy of its own, its length too. */
static void set_item_bytes(struct editor *ed, struct evil_item *item, const struct edit *e)
{
	unsigned s = e->field & 1;
	uint32_t bytes = item->str[s].bytes, at, n = e->field / 2 % 9;

	if (!item->str[s].p || bytes + n > STRINGS_MAX - ed->strings_used)
		return;
	memcpy(strings + ed->strings_used, item->str[s].p, bytes);
	item->str[s].p = strings + ed->strings_used;
	at = e->arg % (bytes + 1);
	memcpy(strings + ed->strings_used + at, &e->value, n);
	if (e->field & 0x80) { /* it ends there */
		item->str[s].bytes = at + n;
		item->str[s].said = at + n;
	}
	ed->strings_used += bytes + n;
}

static void edit_item(struct editor *ed, const struct edit *e)
{
	size_t at = e->target % ed->items.count;
	struct evil_item copy;

	switch (e->op) {
	case EDIT_ITEM:
		set_item(ed, &ed->items.item[at], e);
		break;
	case EDIT_ITEM_BYTES:
		set_item_bytes(ed, &ed->items.item[at], e);
		break;
	case EDIT_ITEM_COPY:
		copy = ed->items.item[e->arg % ed->items.count];
		count_item(ed, copy.tag, 1);
		if (ed->items.count < GROW_MAX)
			evil_items_insert(&ed->items, at, &copy);
		break;
	case EDIT_ITEM_DROP:
		count_item(ed, ed->items.item[at].tag, (uint64_t)-1);
		if (ed->items.count > 1)
			evil_items_remove(&ed->items, at);
		break;
	default:
		break;
	}
}

static void edit_items(struct editor *ed)
{
	size_t i, bytes, *ends;
	bool any = false;
	uint8_t *payload;
	struct edit e;

	for (i = 0; i < ed->count; i++) {
		e = edit_at(ed, i);
		if (e.op < EDIT_ITEM || e.op > EDIT_ITEM_DROP)
			continue;
		if (!any)
			evil_ckpt_items(ed->img, &ed->items);
		any = true;
		edit_item(ed, &e);
	}
	if (!any)
		return;
	ends = calloc(ed->items.count, sizeof(*ends));
	if (!ends)
		abort();
	payload = evil_items_pack(&ed->items, &bytes, ends);
	evil_ckpt_store(ed->img, payload, ends, ed->items.count);
	free(payload);
	free(ends);
	evil_items_release(&ed->items);
}

/* ---- records --------------------------------------------------------------- */

static struct ka_rec_disk *record(const struct editor *ed, size_t i)
{
	return evil_rec_at(ed->img, ed->rec[i]);
}

static uint64_t segment_end(const struct editor *ed, uint64_t addr)
{
	return ka_align_down(addr, ed->img->segment_bytes) + ed->img->segment_bytes;
}

/* Without what an END covers. As it was made: a field may say anything by now. */
static uint64_t record_end(const struct editor *ed, size_t i)
{
	uint64_t end = segment_end(ed, ed->rec[i]);

	if (ka_get16(record(ed, i)->type) == KA_REC_END)
		return ed->rec[i] + sizeof(struct ka_rec_disk);
	if (i + 1 < ed->records && ed->rec[i + 1] < end)
		return ed->rec[i + 1];
	return ka_min(end, ed->rec[i] + ka_align_up(ka_get32(record(ed, i)->bytes), 8));
}

/* The first record behind i that is in another segment. */
static size_t last_of_segment(const struct editor *ed, size_t i)
{
	uint64_t end = segment_end(ed, ed->rec[i]);

	while (i < ed->records && ed->rec[i] < end)
		i++;
	return i;
}

/* Moves the records from i to the end of their segment by so many bytes. */
static bool shift(struct editor *ed, size_t i, int64_t by)
{
	size_t stop = last_of_segment(ed, i), k;
	uint64_t from = ed->rec[i], to = record_end(ed, stop - 1), end = segment_end(ed, from);
	struct ka_rec_disk *rec;

	if (by > 0 && (uint64_t)by > end - to)
		return false;
	evil_image_touch(ed->img, from, to - from);
	evil_image_touch(ed->img, from + (uint64_t)by, to - from);
	memmove(ed->img->mem + from + by, ed->img->mem + from, to - from);
	for (k = i; k < stop; k++) {
		ed->rec[k] += (uint64_t)by;
		ed->changed[k] = true;
		rec = record(ed, k);
		if (ka_get16(rec->type) == KA_REC_END)
			rec->bytes = ka_put32((uint32_t)(end - ed->rec[k]));
	}
	return true;
}

static void drop_record(struct editor *ed, size_t i)
{
	uint64_t bytes = record_end(ed, i) - ed->rec[i];
	bool more = i + 1 < last_of_segment(ed, i);

	if (ed->records < 2)
		return;
	if (more && !shift(ed, i + 1, -(int64_t)bytes))
		return;
	if (!more) { /* nothing follows: what was there is as if it had never been */
		evil_image_touch(ed->img, ed->rec[i], bytes);
		memset(ed->img->mem + ed->rec[i], 0, bytes);
	}
	ed->records--;
	memmove(ed->rec + i, ed->rec + i + 1, (ed->records - i) * sizeof(*ed->rec));
	memmove(ed->changed + i, ed->changed + i + 1, (ed->records - i) * sizeof(*ed->changed));
}

static void copy_record(struct editor *ed, size_t i, size_t from)
{
	uint64_t bytes = record_end(ed, from) - ed->rec[from], at = ed->rec[i];
	struct ka_rec_disk *rec;
	uint8_t *copy;

	if (ed->records == RECORDS_MAX || bytes > ed->img->segment_bytes)
		return;
	copy = malloc(bytes);
	if (!copy)
		abort();
	memcpy(copy, record(ed, from), bytes);
	if (shift(ed, i, (int64_t)bytes)) {
		memmove(ed->rec + i + 1, ed->rec + i, (ed->records - i) * sizeof(*ed->rec));
		memmove(ed->changed + i + 1, ed->changed + i,
			(ed->records - i) * sizeof(*ed->changed));
		ed->records++;
		ed->rec[i] = at;
		ed->changed[i] = true;
		evil_image_store(ed->img, at, copy, bytes);
		rec = record(ed, i);
		rec->gen = ka_put32((uint32_t)ka_get64(
			evil_segment_at(ed->img, at / ed->img->segment_bytes)->gen));
	}
	free(copy);
}

static void set_record(struct editor *ed, size_t i, const struct edit *e)
{
	struct ka_rec_disk *rec = record(ed, i);
	const struct evil_struct *s = evil_record_struct(ka_get16(rec->type));
	uint64_t now, other;
	const struct evil_field *f;

	if (!s)
		return;
	f = &s->field[e->field % s->fields];
	now = evil_field_get(rec, f);
	other = evil_field_get(record(ed, e->arg / EDIT_HOWS % ed->records), f);
	evil_image_touch(ed->img, ed->rec[i], s->bytes);
	evil_field_set(rec, f, changed_value(e, now, other));
}

static void set_record_bytes(struct editor *ed, size_t i, const struct edit *e)
{
	const struct evil_struct *s = evil_record_struct(ka_get16(record(ed, i)->type));
	uint64_t at, end = record_end(ed, i);

	if (!s || ed->rec[i] + s->bytes >= end)
		return;
	at = ed->rec[i] + s->bytes + e->arg % (end - ed->rec[i] - s->bytes);
	evil_image_store(ed->img, at, &e->value, ka_min(e->field % 9, end - at));
}

static void edit_record(struct editor *ed, const struct edit *e)
{
	size_t i = e->target % ed->records;

	switch (e->op) {
	case EDIT_RECORD:
		ed->changed[i] = true;
		set_record(ed, i, e);
		break;
	case EDIT_RECORD_BYTES:
		ed->changed[i] = true;
		set_record_bytes(ed, i, e);
		break;
	case EDIT_RECORD_COPY:
		copy_record(ed, i, e->arg % ed->records);
		break;
	case EDIT_RECORD_DROP:
		drop_record(ed, i);
		break;
	default:
		break;
	}
}

/* ---- the rest --------------------------------------------------------------- */

static void edit_segment(struct editor *ed, const struct edit *e)
{
	uint64_t index = 1 + e->target % (ed->img->segments - 1);
	uint64_t other = 1 + e->arg / EDIT_HOWS % (ed->img->segments - 1);
	const struct evil_field *f = &evil_segment.field[e->field % evil_segment.fields];
	struct ka_segment_disk *d = evil_segment_at(ed->img, index);

	evil_field_set(d, f,
		       changed_value(e, evil_field_get(d, f),
				     evil_field_get(evil_segment_at(ed->img, other), f)));
	if (!(ed->head.unsealed & 1) && !f->is_csum)
		evil_seal_segment(ed->img, index);
}

static void edit_super(struct editor *ed, const struct edit *e)
{
	const struct evil_field *f = &evil_super.field[e->field % evil_super.fields];
	const struct evil_field *from = &evil_super.field[e->arg / EDIT_HOWS % evil_super.fields];
	struct ka_super_disk *sb;
	unsigned copy;

	for (copy = 0; copy < KA_SUPER_COPIES; copy++) {
		if (e->target % 3 == !copy)
			continue;
		sb = evil_super_at(ed->img, copy);
		evil_field_set(sb, f,
			       changed_value(e, evil_field_get(sb, f), evil_field_get(sb, from)));
		if (!(ed->head.unsealed & 1) && !f->is_csum)
			evil_seal_super(ed->img, copy);
	}
}

static void edit_all(struct editor *ed)
{
	size_t i;

	edit_items(ed);
	for (i = 0; i < ed->count; i++) {
		const struct edit e = edit_at(ed, i);

		if (e.op <= EDIT_RECORD_DROP)
			edit_record(ed, &e);
		else if (e.op == EDIT_SEGMENT)
			edit_segment(ed, &e);
	}
	for (i = 0; i < ed->records; i++)
		if (ed->changed[i] && !(ed->head.unsealed & 1))
			evil_seal_record(ed->img, ed->rec[i]);
	for (i = 0; i < ed->count; i++) {
		const struct edit e = edit_at(ed, i);

		if (e.op == EDIT_SUPER)
			edit_super(ed, &e);
		else if (e.op == EDIT_RAW)
			evil_image_store(ed->img, e.arg % ed->img->bytes, &e.value, e.field % 9);
	}
}

struct evil_image *edit_apply(const uint8_t *data, size_t size, uint64_t *ret_seed)
{
	static struct editor ed;

	if (size < sizeof(ed.head))
		return NULL;
	ed = (struct editor){.edits = data + sizeof(ed.head)};
	memcpy(&ed.head, data, sizeof(ed.head));
	ed.count = (size - sizeof(ed.head)) / sizeof(struct edit);
	ed.img = evil_image(ed.head.base % EVIL_BASES);
	ed.records = ka_min(ed.img->records, RECORDS_MAX / 2);
	memcpy(ed.rec, ed.img->rec, ed.records * sizeof(*ed.rec));
	edit_all(&ed);
	*ret_seed = ed.head.seed;
	return ed.img;
}

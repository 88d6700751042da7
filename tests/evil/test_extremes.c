/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_extremes.c - every field of every structure on media, and every number of
 * every item of a checkpoint, at its extremes in turn, with checksums that fit.
 *
 * Nothing may crash, hang, or store where it may not; what is accepted is served
 * consistently, and what fsck repairs needs no second repair. The failure says
 * which field of what had which value; KA_EXTREME=TEXT tries only what has TEXT
 * in its name. Under ASan, where that takes minutes, every third is tried; KA_SEED says which,
 * KA_SCALE=3 tries all.
 */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"
#include "guard.h"
#include "image.h"
#include "trial.h"

static const char *const base_names[EVIL_BASES] = {"clean", "unclean", "long"};
#define HANG_SECONDS 120 /* a trial takes milliseconds */

#ifdef __SANITIZE_ADDRESS__
#define SHARE 3u
#else
#define SHARE 1u
#endif

static enum evil_base base;
static struct evil_image *img;
static unsigned cases;
static unsigned trials;
static unsigned mounted;

/* Names the case that comes; false: it was not asked for. */
static bool begin(const char *what, const char *field, uint64_t from, uint64_t to)
{
	const char *only = getenv("KA_EXTREME");

	snprintf(evil_what, sizeof(evil_what), "%s: %s.%s: 0x%" PRIx64 " becomes 0x%" PRIx64,
		 base_names[base], what, field, from, to);
	if (only && !strstr(evil_what, only))
		return false;
	if (!only && test_scale() < SHARE && cases++ % SHARE != test_seed() % SHARE)
		return false;
	if (only)
		print_message("%s\n", evil_what);
	evil_image_restore(img);
	return true;
}

/* change makes the same change to the image as it was made. */
typedef void change_fn(void *ctx, uint64_t v);

static void try(change_fn *change, void *ctx, uint64_t v)
{
	alarm(HANG_SECONDS);
	change(ctx, v);
	mounted += evil_trial_mount(img, trials);
#ifdef KA_EVIL_FSCK
	evil_image_restore(img);
	change(ctx, v);
	evil_trial_fsck(img);
#endif
	alarm(0);
	trials++;
}

/* All values of one number, but for what it is. */
static void try_all(const char *what, const char *field, unsigned bytes, uint64_t now,
		    change_fn *change, void *ctx)
{
	uint64_t v, tried[EVIL_EXTREMES];
	unsigned i, j;

	for (i = 0; i < EVIL_EXTREMES; i++) {
		tried[i] = v = evil_extreme(i, bytes, now);
		for (j = 0; j < i && tried[j] != v; j++)
			;
		if (j == i && v != now && begin(what, field, now, v))
			try(change, ctx, v);
	}
}

/* ---- structures of a fixed layout ----------------------------------------- */

struct place {
	uint64_t addr;	 /* of the structure, or of the record that it is in */
	uint64_t within; /* that record */
	const struct evil_field *field;
	enum { SUPER, SEGMENT, RECORD } kind;
	unsigned copies; /* of the superblock: a bit for each */
};

static void set_super(const struct place *p, uint64_t v)
{
	unsigned i;

	for (i = 0; i < KA_SUPER_COPIES; i++) {
		if (!(p->copies & 1u << i))
			continue;
		evil_field_set(evil_super_at(img, i), p->field, v);
		if (!p->field->is_csum)
			evil_seal_super(img, i);
	}
}

static void change_place(void *ctx, uint64_t v)
{
	const struct place *p = ctx;
	uint64_t index = p->addr / img->segment_bytes;

	switch (p->kind) {
	case SUPER:
		set_super(p, v);
		break;
	case SEGMENT:
		evil_field_set(evil_segment_at(img, index), p->field, v);
		if (!p->field->is_csum)
			evil_seal_segment(img, index);
		break;
	case RECORD:
		evil_image_touch(img, p->addr, p->within + p->field->off + sizeof(uint64_t));
		evil_field_set(img->mem + p->addr + p->within, p->field, v);
		if (!p->field->is_csum)
			evil_seal_record(img, p->addr);
		break;
	}
}

static void try_struct(const struct evil_struct *s, struct place p, const char *where)
{
	char what[64];
	size_t i;

	snprintf(what, sizeof(what), "%s %s", where, s->name);
	for (i = 0; i < s->fields; i++) {
		p.field = &s->field[i];
		try_all(what, p.field->name, (unsigned)ka_min(p.field->bytes, 8),
			evil_field_get(img->base + p.addr + p.within, p.field), change_place, &p);
	}
}

/* Each copy alone, and both: alike wherever the superblock comes from, so once. */
static void supers(void)
{
	struct place p = {.kind = SUPER, .copies = 3};

	try_struct(&evil_super, p, "both");
	if (base != EVIL_UNCLEAN)
		return;
	p.copies = 1;
	try_struct(&evil_super, p, "first");
	p = (struct place){.addr = img->copy_addr[1], .kind = SUPER, .copies = 2};
	try_struct(&evil_super, p, "second");
}

/* The first header of each kind, and the first that names one before it. */
static void segments(void)
{
	bool done[KA_SEGMENT_CKPT + 1][2] = {0};
	const struct ka_segment_disk *d;
	char where[32];
	uint64_t i;

	for (i = 1; i < img->segments; i++) {
		struct place p = {.addr = i * img->segment_bytes, .kind = SEGMENT};
		bool *was;

		d = (const void *)(img->base + p.addr);
		if (ka_get64(d->log_id) != img->log_id)
			continue;
		was = &done[ka_get32(d->kind)][ka_get64(d->prev_gen) != 0];
		if (*was)
			continue;
		*was = true;
		snprintf(where, sizeof(where), "segment %" PRIu64, i);
		try_struct(&evil_segment, p, where);
	}
}

static bool is_new(const struct ka_rec_disk *rec)
{
	return ka_get64(rec->seq) > img->ckpt_seq;
}

/* The attributes that a new file inherited, if it has any. */
static void try_inherited(uint64_t addr)
{
	const struct ka_rec_create_disk *c = (const void *)(img->base + addr);
	uint64_t text = ka_get16(c->name_bytes) + ka_get16(c->target_bytes);
	struct place p = {.addr = addr, .kind = RECORD};

	p.within = sizeof(*c) + ka_align_up(text, KA_RECORD_ALIGN);
	if (ka_get32(c->xattr_bytes))
		try_struct(&evil_xattr, p, "inherited");
}

/* What a checkpoint covers is tried in one image, what is to be replayed in the other. */
static bool is_wanted(unsigned type, bool new)
{
	if (base == EVIL_LONG) /* it has little that the others have not */
		return type == KA_REC_END || type == KA_REC_CKPT_LINK;
	return new || base == EVIL_CLEAN || type == KA_REC_WRITE || type == KA_REC_CKPT;
}

/* The first record of each type that a checkpoint covers, and the first that none does. */
static void records(void)
{
	bool done[KA_REC_TYPES][2] = {0};
	const struct ka_rec_disk *rec;
	unsigned type;
	char where[40];
	size_t i;

	for (i = 0; i < img->records; i++) {
		struct place p = {.addr = img->rec[i], .kind = RECORD};

		rec = (const void *)(img->base + p.addr);
		type = ka_get16(rec->type);
		if (type == KA_REC_CREATE && base == EVIL_CLEAN)
			try_inherited(p.addr);
		if (done[type][is_new(rec)] || !is_wanted(type, is_new(rec)))
			continue;
		done[type][is_new(rec)] = true;
		snprintf(where, sizeof(where), "%s at 0x%" PRIx64, is_new(rec) ? "new" : "old",
			 p.addr);
		try_struct(evil_record_struct(type), p, where);
	}
}

/* ---- items of the checkpoint ---------------------------------------------- */

struct item_place {
	struct evil_items items;
	size_t at;
	unsigned field;
};

static void change_item(void *ctx, uint64_t v)
{
	struct item_place *p = ctx;
	struct evil_item *item = &p->items.item[p->at], saved = *item;
	size_t bytes, *ends = calloc(p->items.count, sizeof(*ends));
	uint8_t *payload;

	assert_non_null(ends);
	evil_item_set(item, p->field, v);
	payload = evil_items_pack(&p->items, &bytes, ends);
	evil_ckpt_store(img, payload, ends, p->items.count);
	*item = saved;
	free(payload);
	free(ends);
}

/* The name of field number field in a list of names. */
static void field_name(const char *names, unsigned field, char *buf, size_t bytes)
{
	while (field--)
		names = strchr(names, ' ') + 1;
	snprintf(buf, bytes, "%.*s", (int)strcspn(names, " "), names);
}

static void try_item(struct item_place *p)
{
	const struct evil_item *item = &p->items.item[p->at];
	unsigned fields = evil_item_fields(item);
	char what[40], name[24];

	snprintf(what, sizeof(what), "item %zu %c", p->at, item->tag);
	for (p->field = 0; p->field <= fields; p->field++) {
		if (p->field == fields)
			snprintf(name, sizeof(name), "tag");
		else
			field_name(evil_item_type(item->tag)->names, p->field, name, sizeof(name));
		try_all(what, name, p->field == fields ? 1 : 8, evil_item_get(item, p->field),
			change_item, p);
	}
}

/* The first and the last item of each kind. */
static void items(void)
{
	struct item_place p = {0};
	bool first[256] = {0};
	size_t i, last[256] = {0};

	if (base == EVIL_LONG)
		return;
	evil_ckpt_items(img, &p.items);
	for (i = 0; i < p.items.count; i++)
		last[p.items.item[i].tag] = i;
	for (p.at = 0; p.at < p.items.count; p.at++) {
		uint8_t tag = p.items.item[p.at].tag;

		/* With records to be replayed, only what they depend on. */
		if ((!first[tag] || last[tag] == p.at) &&
		    (base == EVIL_CLEAN || strchr("HSD", tag)))
			try_item(&p);
		first[tag] = true;
	}
	evil_items_release(&p.items);
}

/* ---- the tests -------------------------------------------------------------- */

/* A field that is in no table would never be tried. */
static void the_tables_name_every_byte(void **state)
{
	const struct evil_struct *s;
	size_t i, j, at;

	(void)state;
	for (i = 0; (s = evil_any_struct(i)); i++) {
		for (j = at = 0; j < s->fields; j++) {
			assert_int_equal(s->field[j].off, at);
			at += s->field[j].bytes;
		}
		assert_int_equal(s->bytes, at);
	}
	assert_int_equal(i, 3 + KA_REC_TYPES - KA_REC_END);
}

/* Each type of record has to be there, or its fields would not be tried. */
static void the_images_have_everything(void **state)
{
	bool have[KA_REC_TYPES][2] = {0};
	struct evil_items list;
	unsigned type;
	size_t i;

	(void)state;
	for (base = 0; base < EVIL_BASES; base++) {
		img = evil_image(base);
		for (i = 0; i < img->records; i++) {
			const struct ka_rec_disk *rec = evil_rec_at(img, img->rec[i]);

			have[ka_get16(rec->type)][is_new(rec)] = true;
		}
		evil_ckpt_items(img, &list);
		for (i = 0; i < 9; i++)
			assert_non_null(evil_items_find(&list, (uint8_t) "HSITXEDNZ"[i]));
		evil_items_release(&list);
	}
	for (type = KA_REC_END; type < KA_REC_TYPES; type++) {
		bool of_log = type != KA_REC_CKPT && type != KA_REC_CKPT_LINK;

		assert_true(!of_log || have[type][true]);
		assert_true(have[type][false] || type == KA_REC_END);
	}
}

/* Untouched they are mounted, and fsck finds nothing that it has to repair. */
static void the_images_are_whole(void **state)
{
	(void)state;
	for (base = 0; base < EVIL_BASES; base++) {
		img = evil_image(base);
		snprintf(evil_what, sizeof(evil_what), "%s, untouched", base_names[base]);
		assert_true(evil_trial_mount(img, 1));
#ifdef KA_EVIL_FSCK
		evil_image_restore(img);
		assert_int_equal(evil_trial_fsck(img), base == EVIL_CLEAN ? 0 : 1);
#endif
	}
}

static void on_all_images(void (*fn)(void))
{
	trials = mounted = 0;
	for (base = 0; base < EVIL_BASES; base++) {
		img = evil_image(base);
		fn();
	}
	print_message("%u trials, %u of them could be mounted\n", trials, mounted);
}

static void superblocks_at_their_extremes(void **state)
{
	(void)state;
	on_all_images(supers);
}

static void segment_headers_at_their_extremes(void **state)
{
	(void)state;
	on_all_images(segments);
}

static void records_at_their_extremes(void **state)
{
	(void)state;
	on_all_images(records);
}

static void checkpoint_items_at_their_extremes(void **state)
{
	(void)state;
	on_all_images(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tables_name_every_byte),
		cmocka_unit_test(the_images_have_everything),
		cmocka_unit_test(the_images_are_whole),
		cmocka_unit_test(superblocks_at_their_extremes),
		cmocka_unit_test(segment_headers_at_their_extremes),
		cmocka_unit_test(records_at_their_extremes),
		cmocka_unit_test(checkpoint_items_at_their_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate.c - libFuzzer's custom mutator for inputs that are edits: adds, drops,
 * repeats and changes whole edits, with values that mean something; sometimes
 * it leaves the bytes to libFuzzer.
 */
#include <string.h>

#include "edit.h"
#include "fields.h"
#include "keepalive/util.h"
#include "target.h"
#include "test.h"

#define EDITS_MAX 64

struct input {
	struct edit_head head;
	struct edit edit[EDITS_MAX];
	size_t count;
};

static size_t pick(struct test_rng *rng, size_t limit)
{
	return limit ? (size_t)test_below(rng, limit) : 0;
}

static uint64_t value(struct test_rng *rng)
{
	static const unsigned widths[] = {1, 2, 4, 8};
	unsigned bytes = widths[pick(rng, KA_ARRAY_SIZE(widths))];

	switch (pick(rng, 4)) {
	case 0:
		return test_below(rng, 20);
	case 1:
		return 0 - test_below(rng, 20); /* to be added, most of all */
	case 2:
		return evil_extreme((unsigned)pick(rng, EVIL_EXTREMES), bytes, 0);
	default:
		return test_rand(rng) >> test_below(rng, 64);
	}
}

/* Numbers of structures are small; an address has as many bits as the region. */
static uint32_t argument(struct test_rng *rng, enum edit_op op)
{
	if (op == EDIT_RAW || op == EDIT_RECORD_BYTES)
		return (uint32_t)(test_rand(rng) >> test_below(rng, 56));
	if (op == EDIT_ITEM_BYTES || op == EDIT_RECORD_COPY || op == EDIT_ITEM_COPY)
		return (uint32_t)test_below(rng, 200);
	return (uint32_t)(test_below(rng, 100) * EDIT_HOWS + test_below(rng, EDIT_HOWS));
}

static struct edit new_edit(struct test_rng *rng)
{
	/* Fields of records and items are most of what there is. */
	uint8_t op = (uint8_t)pick(rng, 2 * EDIT_OPS);

	if (op >= EDIT_OPS)
		op = op & 1 ? EDIT_RECORD : EDIT_ITEM;
	return (struct edit){
		.op = op,
		.field = (uint8_t)test_rand(rng),
		.target = (uint16_t)test_below(rng, 200),
		.arg = argument(rng, op),
		.value = value(rng),
	};
}

static void change_edit(struct test_rng *rng, struct edit *e)
{
	const struct edit new = new_edit(rng);

	switch (pick(rng, 6)) {
	case 0:
		e->field = new.field;
		break;
	case 1:
		e->target = (uint16_t)(e->target + pick(rng, 5) - 2);
		break;
	case 2:
		e->target = new.target;
		break;
	case 3:
		e->arg = argument(rng, e->op % EDIT_OPS);
		break;
	case 4:
		e->value += pick(rng, 17) - 8;
		break;
	case 5:
		e->value = new.value;
		break;
	}
}

static void insert(struct input *in, size_t at, struct edit e)
{
	if (in->count == EDITS_MAX)
		return;
	memmove(in->edit + at + 1, in->edit + at, (in->count - at) * sizeof(e));
	in->edit[at] = e;
	in->count++;
}

static void change(struct test_rng *rng, struct input *in)
{
	size_t at = pick(rng, in->count);

	switch (in->count ? pick(rng, 10) : 0) {
	case 0:
	case 1:
		insert(in, pick(rng, in->count + 1), new_edit(rng));
		break;
	case 2:
		in->count--;
		memmove(in->edit + at, in->edit + at + 1, (in->count - at) * sizeof(in->edit[0]));
		break;
	case 3:
		insert(in, pick(rng, in->count + 1), in->edit[at]);
		break;
	case 4:
		in->head.base = (uint8_t)test_rand(rng);
		in->head.seed = (uint8_t)test_rand(rng);
		in->head.unsealed = test_chance(rng, 5);
		break;
	default:
		change_edit(rng, &in->edit[at]);
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct test_rng rng = {.state = seed};
	struct input in = {0};
	size_t bytes;

	if (test_chance(&rng, 20))
		return LLVMFuzzerMutate(data, size, max_size);
	if (size >= sizeof(in.head)) {
		memcpy(&in.head, data, sizeof(in.head));
		bytes = ka_min(size - sizeof(in.head), sizeof(in.edit));
		in.count = bytes / sizeof(in.edit[0]);
		memcpy(in.edit, data + sizeof(in.head), in.count * sizeof(in.edit[0]));
	}
	do
		change(&rng, &in);
	while (test_chance(&rng, 40));
	bytes = in.count * sizeof(in.edit[0]);
	if (sizeof(in.head) + bytes > max_size)
		return size;
	memcpy(data, &in.head, sizeof(in.head));
	memcpy(data + sizeof(in.head), in.edit, bytes);
	return sizeof(in.head) + bytes;
}

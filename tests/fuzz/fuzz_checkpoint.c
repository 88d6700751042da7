/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_checkpoint.c - the input is the payload of a checkpoint. What is believed
 * is shown, written as a checkpoint again, and shows the same.
 */
#include <string.h>

#include "guard.h"
#include "image.h"
#include "items.h"
#include "keepalive/util.h"
#include "target.h"
#include "test.h"
#include "trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evil_image *img = evil_image(EVIL_CLEAN);

	target_begin("checkpoint", data, size);
	if (!size || size > KA_CHUNK_MAX)
		return 0;
	evil_ckpt_store(img, data, &size, 1);
	evil_trial_mount(img, size);
	return 0;
}

static uint64_t value(struct test_rng *rng, uint64_t now)
{
	switch (test_below(rng, 4)) {
	case 0:
		return now + test_below(rng, 9) - 4;
	case 1:
		return test_below(rng, 20);
	case 2:
		return test_rand(rng) >> test_below(rng, 64);
	default:
		return now ^ (1ull << test_below(rng, 64));
	}
}

/* One item is changed, dropped, or put elsewhere once more. */
static void change(struct test_rng *rng, struct evil_items *list)
{
	size_t at = test_below(rng, list->count), from = test_below(rng, list->count);
	struct evil_item *item = &list->item[at], copy = *item;
	unsigned field = (unsigned)test_below(rng, evil_item_fields(item) + 1);

	switch (test_below(rng, 8)) {
	case 0:
		if (list->count > 1)
			evil_items_remove(list, at);
		break;
	case 1:
		evil_items_insert(list, from, &copy);
		break;
	case 2:
		if (field < evil_item_fields(item) && list->item[from].tag == item->tag)
			evil_item_set(item, field, evil_item_get(&list->item[from], field));
		break;
	default:
		if (field < evil_item_fields(item) || test_chance(rng, 5))
			evil_item_set(item, field, value(rng, evil_item_get(item, field)));
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct test_rng rng = {.state = seed};
	struct evil_items list = {0};
	uint8_t *payload;
	size_t bytes;

	evil_items_parse(&list, data, size);
	if (!list.count || test_chance(&rng, 20)) {
		evil_items_release(&list);
		return LLVMFuzzerMutate(data, size, max_size);
	}
	do
		change(&rng, &list);
	while (test_chance(&rng, 40));
	payload = evil_items_pack(&list, &bytes, NULL);
	evil_items_release(&list);
	bytes = ka_min(bytes, max_size);
	memcpy(data, payload, bytes);
	free(payload);
	return bytes;
}

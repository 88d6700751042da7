/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_segment.c - states of segments, the reserve, live bytes, verified bits. */
#include "test.h"

#include <string.h>

#include "keepalive/segment.h"

#define COUNT 32
#define BYTES (256u << 10)
/* Segments that only deletes may take; segment.c has the number. */
#define DELETE_RESERVE 3
#define DELETE_ALONE   1 /* of it, what neither the cleaner nor kept promises may take */

static void init(struct ka_segs *segs)
{
	assert_ok(ka_segs_init(segs, COUNT, BYTES, (uint64_t)COUNT * BYTES));
}

static uint64_t take(struct ka_segs *segs, enum ka_space_class cls)
{
	uint64_t index = 0;

	assert_ok(ka_segs_alloc(segs, cls, KA_SEG_OPEN, 7, &index));
	assert_int_equal(segs->seg[index].state, KA_SEG_OPEN);
	assert_int_equal(segs->seg[index].gen, 7);
	return index;
}

/* How many segments a class may still take; they are given back. */
static uint64_t available(struct ka_segs *segs, enum ka_space_class cls)
{
	uint64_t index[COUNT], n = 0, i;

	while (!ka_segs_alloc(segs, cls, KA_SEG_OPEN, 1, &index[n]))
		n++;
	for (i = 0; i < n; i++)
		ka_segs_free(segs, index[i]);
	return n;
}

static void test_init(void **state)
{
	struct ka_segs segs;
	uint64_t i;

	(void)state;
	init(&segs);
	assert_int_equal(segs.free, COUNT - 1);
	assert_int_equal(segs.seg[0].state, KA_SEG_SUPER);
	for (i = 1; i < COUNT; i++)
		assert_int_equal(segs.seg[i].state, KA_SEG_FREE);
	ka_segs_release(&segs);
	ka_segs_release(&segs);
}

/* What lies beyond the boundary, even by a byte, is not there. */
static void test_owned(void **state)
{
	struct ka_segs segs;
	uint64_t index, i;

	(void)state;
	assert_ok(ka_segs_init(&segs, COUNT, BYTES, 10ull * BYTES - 1));
	assert_int_equal(segs.free, 8);
	for (i = 1; i < COUNT; i++)
		assert_int_equal(segs.seg[i].state, i < 9 ? KA_SEG_FREE : KA_SEG_ABSENT);
	for (i = 1; i < 9; i++) {
		assert_ok(ka_segs_alloc(&segs, KA_SPACE_CKPT, KA_SEG_CKPT, 1, &index));
		assert_int_equal(index, i);
	}
	assert_err(ka_segs_alloc(&segs, KA_SPACE_CKPT, KA_SEG_CKPT, 1, &index), -ENOSPC);
	ka_segs_release(&segs);
}

static void test_lowest_first(void **state)
{
	struct ka_segs segs;
	uint64_t i;

	(void)state;
	init(&segs);
	for (i = 1; i <= 10; i++)
		assert_int_equal(take(&segs, KA_SPACE_NORMAL), i);
	ka_segs_free(&segs, 7);
	ka_segs_free(&segs, 3);
	ka_segs_free(&segs, 3); /* twice is once */
	assert_int_equal(segs.free, COUNT - 1 - 8);
	assert_int_equal(take(&segs, KA_SPACE_NORMAL), 3);
	assert_int_equal(take(&segs, KA_SPACE_NORMAL), 7);
	assert_int_equal(take(&segs, KA_SPACE_NORMAL), 11);
	ka_segs_release(&segs);
}

static void test_classes(void **state)
{
	struct ka_segs segs;

	(void)state;
	init(&segs);
	assert_int_equal(available(&segs, KA_SPACE_NORMAL), COUNT - 1 - DELETE_RESERVE);
	assert_int_equal(available(&segs, KA_SPACE_PREALLOC), COUNT - 1 - DELETE_ALONE);
	assert_int_equal(available(&segs, KA_SPACE_CLEAN), COUNT - 1 - DELETE_ALONE);
	assert_int_equal(available(&segs, KA_SPACE_DELETE), COUNT - 1);
	segs.ckpt_need = 5;
	segs.prealloc_need = 4;
	assert_int_equal(available(&segs, KA_SPACE_CKPT), COUNT - 1);
	assert_int_equal(available(&segs, KA_SPACE_DELETE), COUNT - 1 - 5);
	assert_int_equal(available(&segs, KA_SPACE_PREALLOC), COUNT - 1 - 5 - DELETE_ALONE);
	assert_int_equal(available(&segs, KA_SPACE_CLEAN), COUNT - 1 - 5 - DELETE_ALONE - 4);
	assert_int_equal(available(&segs, KA_SPACE_NORMAL), COUNT - 1 - 5 - DELETE_RESERVE - 4);
	segs.ckpt_need = 1000; /* more than there is */
	assert_int_equal(available(&segs, KA_SPACE_NORMAL), 0);
	assert_int_equal(available(&segs, KA_SPACE_DELETE), 0);
	ka_segs_release(&segs);
}

/* Without space the answer says whether a checkpoint would give some. */
static void test_need_ckpt(void **state)
{
	struct ka_segs segs;
	uint64_t index, i;

	(void)state;
	init(&segs);
	for (i = 1; i < COUNT; i++)
		take(&segs, KA_SPACE_CKPT);
	assert_err(ka_segs_alloc(&segs, KA_SPACE_NORMAL, KA_SEG_OPEN, 1, &index), -ENOSPC);
	ka_segs_live(&segs, 5 * BYTES, 100);
	ka_segs_close(&segs, 5, BYTES, 50); /* full and live */
	assert_err(ka_segs_alloc(&segs, KA_SPACE_NORMAL, KA_SEG_OPEN, 1, &index), -ENOSPC);
	ka_segs_close(&segs, 6, BYTES, 51); /* full and dead, but not covered */
	assert_err(ka_segs_alloc(&segs, KA_SPACE_NORMAL, KA_SEG_OPEN, 1, &index),
		   -KA_ERR_NEED_CKPT);
	assert_err(ka_segs_alloc(&segs, KA_SPACE_CKPT, KA_SEG_OPEN, 1, &index), -KA_ERR_NEED_CKPT);
	ka_segs_covered(&segs, 51);
	assert_ok(ka_segs_alloc(&segs, KA_SPACE_CKPT, KA_SEG_OPEN, 1, &index));
	assert_int_equal(index, 6);
	ka_segs_release(&segs);
}

/*
 * A checkpoint also gives the spare one back. Deletes take what they can get,
 * others only what is worth its price.
 */
static void test_spare_helps(void **state)
{
	struct ka_segs segs;
	uint64_t index, i;

	(void)state;
	init(&segs);
	for (i = 1; i < COUNT; i++)
		take(&segs, KA_SPACE_CKPT);
	segs.ckpt_spare = 2;
	segs.ckpt_cost = 3;
	assert_err(ka_segs_alloc(&segs, KA_SPACE_DELETE, KA_SEG_OPEN, 1, &index),
		   -KA_ERR_NEED_CKPT);
	assert_err(ka_segs_alloc(&segs, KA_SPACE_NORMAL, KA_SEG_OPEN, 1, &index), -ENOSPC);
	ka_segs_close(&segs, 6, BYTES, 51);
	assert_err(ka_segs_alloc(&segs, KA_SPACE_NORMAL, KA_SEG_OPEN, 1, &index),
		   -KA_ERR_NEED_CKPT);
	ka_segs_release(&segs);
}

/* A record needs room kept for a checkpoint even where its segment is open. */
static void test_check(void **state)
{
	struct ka_segs segs;

	(void)state;
	init(&segs);
	segs.ckpt_need = COUNT - 1 - DELETE_RESERVE;
	assert_ok(ka_segs_check(&segs, KA_SPACE_NORMAL));
	take(&segs, KA_SPACE_DELETE);
	assert_err(ka_segs_check(&segs, KA_SPACE_NORMAL), -ENOSPC);
	assert_ok(ka_segs_check(&segs, KA_SPACE_PREALLOC));
	take(&segs, KA_SPACE_DELETE);
	take(&segs, KA_SPACE_DELETE);
	assert_err(ka_segs_check(&segs, KA_SPACE_PREALLOC), -ENOSPC);
	assert_err(ka_segs_check(&segs, KA_SPACE_CLEAN), -ENOSPC);
	assert_ok(ka_segs_check(&segs, KA_SPACE_DELETE));
	assert_ok(ka_segs_check(&segs, KA_SPACE_CKPT));
	ka_segs_release(&segs);
}

/* Full, dead and covered, in whatever order that comes about: free. */
static void test_becomes_free(void **state)
{
	static const char orders[][4] = {"fdc", "fcd", "dfc", "dcf", "cfd", "cdf"};
	struct ka_segs segs;
	size_t o, i;

	(void)state;
	for (o = 0; o < KA_ARRAY_SIZE(orders); o++) {
		init(&segs);
		assert_int_equal(take(&segs, KA_SPACE_NORMAL), 1);
		ka_segs_live(&segs, BYTES + 100, 30);
		ka_segs_live(&segs, BYTES + 100, 30); /* shared */
		ka_segs_dead(&segs, BYTES + 110, 10);
		for (i = 0; i < 3; i++) {
			assert_int_not_equal(segs.seg[1].state, KA_SEG_FREE);
			switch (orders[o][i]) {
			case 'f':
				ka_segs_close(&segs, 1, BYTES, 20);
				break;
			case 'd':
				ka_segs_dead(&segs, BYTES + 100, 50);
				break;
			default:
				ka_segs_covered(&segs, 20);
			}
		}
		assert_int_equal(segs.seg[1].state, KA_SEG_FREE);
		assert_int_equal(segs.free, COUNT - 1);
		ka_segs_release(&segs);
	}
}

static void test_not_covered(void **state)
{
	struct ka_segs segs;

	(void)state;
	init(&segs);
	take(&segs, KA_SPACE_NORMAL);
	ka_segs_close(&segs, 1, BYTES, 20);
	ka_segs_covered(&segs, 19); /* one record short */
	assert_int_equal(segs.seg[1].state, KA_SEG_FULL);
	ka_segs_covered(&segs, 20);
	assert_int_equal(segs.seg[1].state, KA_SEG_FREE);
	ka_segs_release(&segs);
}

/* A checkpoint's segments go by ka_segs_free only. */
static void test_ckpt_stays(void **state)
{
	struct ka_segs segs;
	uint64_t index;

	(void)state;
	init(&segs);
	assert_ok(ka_segs_alloc(&segs, KA_SPACE_CKPT, KA_SEG_CKPT, 1, &index));
	ka_segs_covered(&segs, UINT64_MAX);
	assert_int_equal(segs.seg[index].state, KA_SEG_CKPT);
	ka_segs_free(&segs, index);
	assert_int_equal(segs.seg[index].state, KA_SEG_FREE);
	ka_segs_release(&segs);
}

static void test_avail(void **state)
{
	uint64_t unused, avail, normal;
	struct ka_segs segs;
	uint64_t index;

	(void)state;
	init(&segs);
	segs.ckpt_need = 2;
	avail = ka_segs_avail(&segs, &unused);
	assert_int_equal(unused, (COUNT - 1) * (uint64_t)BYTES);
	assert_int_equal(avail, (COUNT - 1 - 2 - DELETE_RESERVE) * (uint64_t)BYTES);
	index = take(&segs, KA_SPACE_NORMAL);
	segs.seg[index].used = 1000;
	assert_int_equal(ka_segs_avail(&segs, &unused), avail - 1000);
	ka_segs_live(&segs, index * BYTES, 1);
	ka_segs_close(&segs, index, BYTES, 9);
	assert_int_equal(ka_segs_avail(&segs, &unused), avail - BYTES);
	ka_segs_dead(&segs, index * BYTES, 1); /* dead: free after a checkpoint */
	assert_int_equal(ka_segs_avail(&segs, &unused), avail);
	segs.prealloc_need = 1;
	normal = ka_segs_avail(&segs, &unused);
	assert_int_equal(normal, avail - BYTES);
	segs.ckpt_need = 10000;
	assert_int_equal(ka_segs_avail(&segs, &unused), 0);
	assert_int_equal(unused, (COUNT - 1) * (uint64_t)BYTES);
	ka_segs_release(&segs);
}

static void test_verified(void **state)
{
	struct ka_segs segs;
	uint64_t addr, index;

	(void)state;
	init(&segs);
	assert_int_equal(take(&segs, KA_SPACE_NORMAL), 1);
	assert_int_equal(take(&segs, KA_SPACE_NORMAL), 2);
	for (addr = BYTES; addr < 3 * BYTES; addr += 64) {
		assert_false(ka_segs_is_verified(&segs, addr));
		if (addr / 64 % 3 == 0)
			ka_segs_set_verified(&segs, addr);
	}
	ka_segs_set_verified(&segs, (uint64_t)COUNT * BYTES - 64); /* the last there is */
	for (addr = BYTES; addr < 3 * BYTES; addr += 64)
		assert_int_equal(ka_segs_is_verified(&segs, addr), addr / 64 % 3 == 0);
	/* A new use of the segment, and only of that, forgets them. */
	ka_segs_free(&segs, 1);
	assert_int_equal(take(&segs, KA_SPACE_NORMAL), 1);
	for (addr = BYTES; addr < 3 * BYTES; addr += 64)
		assert_int_equal(ka_segs_is_verified(&segs, addr),
				 addr >= 2 * BYTES && addr / 64 % 3 == 0);
	while (!ka_segs_alloc(&segs, KA_SPACE_CKPT, KA_SEG_OPEN, 1, &index))
		;
	assert_false(ka_segs_is_verified(&segs, (uint64_t)COUNT * BYTES - 64));
	ka_segs_release(&segs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),	     cmocka_unit_test(test_owned),
		cmocka_unit_test(test_lowest_first), cmocka_unit_test(test_classes),
		cmocka_unit_test(test_need_ckpt),    cmocka_unit_test(test_spare_helps),
		cmocka_unit_test(test_check),	     cmocka_unit_test(test_becomes_free),
		cmocka_unit_test(test_not_covered),  cmocka_unit_test(test_ckpt_stays),
		cmocka_unit_test(test_avail),	     cmocka_unit_test(test_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

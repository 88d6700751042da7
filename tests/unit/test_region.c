/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_region.c - the store gate: bounds, a region in memory, and the region
 * whose power can be cut, which other tests believe.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "region_cut.h"

#define BYTES 65536u

static void test_bounds(void **state)
{
	uint8_t *mem = calloc(1, BYTES);
	struct ka_region *rg;

	(void)state;
	assert_ok(ka_region_open_mem(mem, BYTES, &rg));
	assert_int_equal(ka_region_info(rg)->kind, KA_REGION_MEM);
	assert_int_equal(ka_region_info(rg)->capacity_bytes, BYTES);
	assert_ptr_equal(ka_region_at(rg, 0, BYTES), mem);
	assert_ptr_equal(ka_region_at(rg, 100, 1), mem + 100);
	assert_ptr_equal(ka_region_at(rg, BYTES, 0), mem + BYTES);
	assert_null(ka_region_at(rg, 0, BYTES + 1));
	assert_null(ka_region_at(rg, BYTES - 1, 2));
	assert_null(ka_region_at(rg, BYTES + 1, 0));
	assert_null(ka_region_at(rg, UINT64_MAX, 1));
	assert_null(ka_region_at(rg, 1, UINT64_MAX));
	ka_region_close(rg);
	ka_region_close(NULL);
	free(mem);
}

static void test_mem(void **state)
{
	uint8_t *mem = calloc(1, BYTES);
	struct ka_region *rg;

	(void)state;
	assert_ok(ka_region_open_mem(mem, BYTES, &rg));
	ka_region_write(rg, 10, "abc", 3);
	ka_region_copy(rg, 13, "def", 3);
	ka_region_flush(rg, 10, 6);
	ka_region_fence(rg);
	assert_ok(ka_region_prepare(rg, 0, BYTES));
	assert_ok(ka_region_sync(rg));
	ka_region_leaving(rg);
	assert_memory_equal(mem + 10, "abcdef", 6);
	ka_region_close(rg);
	free(mem);
}

struct cut {
	struct ka_region *rg;
	struct test_rng rng;
	uint8_t image[BYTES];
};

static void cut_init(struct cut *c)
{
	memset(c, 0, sizeof(*c));
	c->rng = test_rng(1);
	assert_ok(cut_region_open(BYTES, &c->rg));
}

static const uint8_t *image(struct cut *c, enum cut_kind kind)
{
	cut_region_image(c->rg, kind, &c->rng, c->image);
	return c->image;
}

/* Stored, flushed, fenced: only then it is there for sure. */
static void test_cut_steps(void **state)
{
	struct cut c;

	(void)state;
	cut_init(&c);
	ka_region_write(c.rg, 60, "12345678", 8); /* two lines */
	assert_memory_equal(ka_region_at(c.rg, 60, 8), "12345678", 8);
	assert_int_equal(cut_region_open_lines(c.rg), 2);
	assert_int_equal(image(&c, CUT_NONE)[60], 0);
	assert_int_equal(image(&c, CUT_ALL)[67], '8');
	ka_region_fence(c.rg); /* nothing was flushed */
	assert_int_equal(image(&c, CUT_NONE)[60], 0);
	ka_region_flush(c.rg, 63, 1); /* the first line only */
	assert_int_equal(image(&c, CUT_NONE)[60], 0);
	ka_region_fence(c.rg);
	assert_memory_equal(image(&c, CUT_NONE) + 60, "1234", 4);
	assert_int_equal(image(&c, CUT_NONE)[64], 0);
	assert_int_equal(cut_region_open_lines(c.rg), 1);
	assert_int_equal(cut_region_fences(c.rg), 2);
	ka_region_copy(c.rg, 1000, "nt", 2); /* needs no flush */
	ka_region_fence(c.rg);
	assert_memory_equal(image(&c, CUT_NONE) + 1000, "nt", 2);
	ka_region_close(c.rg);
}

/* A line that is stored to after its flush: the fence keeps what was flushed. */
static void test_cut_store_after_flush(void **state)
{
	unsigned old = 0, new = 0;
	struct cut c;
	int i;

	(void)state;
	cut_init(&c);
	ka_region_write(c.rg, 0, "a", 1);
	ka_region_flush(c.rg, 0, 1);
	ka_region_write(c.rg, 0, "b", 1);
	for (i = 0; i < 100; i++) {
		switch (image(&c, CUT_SOME)[0]) {
		case 'a':
			old++;
			break;
		case 'b':
			new ++;
			break;
		default:
			assert_int_equal(c.image[0], 0);
		}
	}
	assert_true(old && new);
	ka_region_fence(c.rg);
	assert_int_equal(image(&c, CUT_NONE)[0], 'a');
	assert_int_equal(image(&c, CUT_ALL)[0], 'b');
	ka_region_close(c.rg);
}

/* Whole lines, or words of them; always words as they were before or after. */
static void test_cut_kinds(void **state)
{
	uint8_t ones[4096];
	unsigned there, mixed, torn, kind;
	struct cut c;
	int i, line, word;

	(void)state;
	memset(ones, 1, sizeof(ones));
	cut_init(&c);
	ka_region_write(c.rg, 0, ones, sizeof(ones));
	for (kind = CUT_SOME; kind <= CUT_TORN; kind++) {
		there = mixed = torn = 0;
		for (i = 0; i < 50; i++) {
			image(&c, kind);
			for (line = 0; line < 64; line++) {
				unsigned words = 0;

				for (word = 0; word < 8; word++) {
					const uint8_t *p = c.image + line * 64 + word * 8;
					uint64_t v;

					memcpy(&v, p, 8);
					assert_true(v == 0 || v == 0x0101010101010101);
					words += v != 0;
				}
				there += words == 8;
				torn += words && words < 8;
			}
			mixed += there && there < 64;
		}
		assert_true(there && mixed);
		assert_int_equal(torn > 0, kind == CUT_TORN);
	}
	ka_region_close(c.rg);
}

static void count_fence(void *ctx, struct ka_region *rg, uint64_t fences)
{
	struct cut *c = ctx;

	assert_int_equal(fences, cut_region_fences(rg));
	assert_int_equal(image(c, CUT_NONE)[0], 0); /* not yet */
	c->rng.state++;
}

static void test_cut_watch(void **state)
{
	struct cut c;
	uint64_t before;

	(void)state;
	cut_init(&c);
	cut_region_watch(c.rg, count_fence, &c);
	before = c.rng.state;
	ka_region_copy(c.rg, 0, "x", 1);
	ka_region_fence(c.rg);
	assert_int_equal(c.rng.state, before + 1);
	cut_region_watch(c.rg, NULL, NULL);
	ka_region_fence(c.rg);
	assert_int_equal(c.rng.state, before + 1);
	assert_int_equal(image(&c, CUT_NONE)[0], 'x');
	ka_region_close(c.rg);
}

static void test_cut_image(void **state)
{
	struct ka_region *again;
	struct cut c;

	(void)state;
	cut_init(&c);
	ka_region_copy(c.rg, 500, "lost", 4);
	ka_region_copy(c.rg, 100, "kept", 4);
	assert_ok(cut_region_open_image(image(&c, CUT_ALL), BYTES, &again));
	assert_memory_equal(ka_region_at(again, 100, 4), "kept", 4);
	cut_region_image(again, CUT_NONE, &c.rng, c.image);
	assert_memory_equal(c.image + 100, "kept", 4); /* durable from the start */
	assert_int_equal(cut_region_open_lines(again), 0);
	cut_region_limit(again, 4096);
	assert_ok(ka_region_prepare(again, 0, 4096));
	assert_err(ka_region_prepare(again, 4096, 1), -ENOSPC);
	ka_region_close(again);
	ka_region_close(c.rg);
}

/* A fence that the program forgot: the next one makes up for it. */
static void test_cut_drop_fence(void **state)
{
	struct cut c;

	(void)state;
	cut_init(&c);
	cut_region_drop_fence(c.rg, 1);
	ka_region_copy(c.rg, 0, "a", 1);
	ka_region_fence(c.rg);
	ka_region_copy(c.rg, 0, "b", 1);
	ka_region_fence(c.rg);
	assert_int_equal(cut_region_fences(c.rg), 2);
	assert_int_equal(image(&c, CUT_NONE)[0], 'a');
	ka_region_fence(c.rg);
	assert_int_equal(image(&c, CUT_NONE)[0], 'b');
	ka_region_close(c.rg);
}

/* Each store to a line may be what arrived; what changes nothing is no version. */
static void test_cut_lines(void **state)
{
	struct cut_line line[8];
	struct cut c;

	(void)state;
	cut_init(&c);
	ka_region_write(c.rg, 0, "a", 1);
	ka_region_write(c.rg, 0, "b", 1);
	ka_region_write(c.rg, 0, "b", 1);
	ka_region_write(c.rg, 100, "\0", 1); /* as it was */
	ka_region_write(c.rg, 200, "c", 1);
	assert_int_equal(cut_region_open_lines(c.rg), 3);
	assert_int_equal(cut_region_lines(c.rg, line), 2);
	assert_true(line[0].line == 0 && line[0].versions == 3);
	assert_true(line[0].version[0][0] == 0 && line[0].version[1][0] == 'a' &&
		    line[0].version[2][0] == 'b');
	assert_true(line[1].line == 3 && line[1].versions == 2);
	ka_region_flush(c.rg, 0, 1);
	ka_region_write(c.rg, 0, "d", 1);
	ka_region_fence(c.rg);
	assert_int_equal(cut_region_lines(c.rg, line), 2);
	assert_true(line[0].versions == 2 && line[0].version[0][0] == 'b' &&
		    line[0].version[1][0] == 'd');
	ka_region_close(c.rg);
}

/* The number depends on what is durable, and not on how it came to be. */
static void test_cut_hash(void **state)
{
	struct cut c, d;

	(void)state;
	cut_init(&c);
	cut_init(&d);
	ka_region_copy(c.rg, 0, "x", 1);
	assert_true(cut_region_hash(c.rg) == cut_region_hash(d.rg)); /* not yet */
	ka_region_fence(c.rg);
	ka_region_copy(c.rg, 500, "y", 1);
	ka_region_fence(c.rg);
	assert_true(cut_region_hash(c.rg) != cut_region_hash(d.rg));
	ka_region_copy(d.rg, 500, "y", 1);
	ka_region_copy(d.rg, 0, "z", 1);
	ka_region_fence(d.rg);
	assert_true(cut_region_hash(c.rg) != cut_region_hash(d.rg));
	ka_region_copy(d.rg, 0, "x", 1);
	ka_region_fence(d.rg);
	assert_true(cut_region_hash(c.rg) == cut_region_hash(d.rg));
	ka_region_close(c.rg);
	ka_region_close(d.rg);
}

static void test_undo(void **state)
{
	struct ka_region *rg;
	struct undo u;
	size_t outer, inner;

	(void)state;
	assert_ok(undo_open(&u, BYTES));
	undo_store(&u, 60, "12345678", 8);
	outer = undo_mark(&u);
	assert_true(undo_untouched(&u));
	undo_store(&u, 62, "ab", 2);
	inner = undo_mark(&u);
	assert_ok(undo_region_open(&u, BYTES, &rg));
	ka_region_write(rg, 60, "zz", 2);
	ka_region_copy(rg, 1000, "zz", 2);
	ka_region_fence(rg);
	assert_memory_equal(ka_region_at(rg, 60, 8), "zzab5678", 8);
	ka_region_close(rg);
	assert_false(undo_untouched(&u));
	undo_back(&u, inner);
	assert_memory_equal(u.mem + 60, "12ab5678", 8);
	assert_int_equal(u.mem[1000], 0);
	undo_store(&u, 60, "yy", 2); /* once more behind the mark that is left */
	undo_back(&u, outer);
	assert_memory_equal(u.mem + 60, "12345678", 8);
	undo_close(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),	  cmocka_unit_test(test_mem),
		cmocka_unit_test(test_cut_steps), cmocka_unit_test(test_cut_store_after_flush),
		cmocka_unit_test(test_cut_kinds), cmocka_unit_test(test_cut_watch),
		cmocka_unit_test(test_cut_image), cmocka_unit_test(test_cut_drop_fence),
		cmocka_unit_test(test_cut_lines), cmocka_unit_test(test_cut_hash),
		cmocka_unit_test(test_undo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

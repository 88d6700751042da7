/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_extent.c - extent trees against an array that says for each byte of
 * the file where it lies.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "keepalive/extent.h"

#define FILE_BYTES 600 /* small: everything meets everything */
#define FILES	   2
#define SEGMENTS   64
#define SEGMENT	   4096

#define HOLE	  0
#define UNWRITTEN 1 /* where an address would be */

struct byte {
	uint64_t addr; /* of the byte, HOLE or UNWRITTEN */
	uint64_t rec;  /* where its record begins */
	uint64_t seq;
};

struct world {
	struct ka_segs segs;
	struct ka_extent_stats st;
	struct ka_extents ex[FILES];
	struct byte want[FILES][FILE_BYTES];
	uint64_t next_addr;
	uint64_t next_seq;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	assert_ok(ka_segs_init(&w->segs, SEGMENTS, SEGMENT, SEGMENTS * SEGMENT));
	w->st.segs = &w->segs;
	w->next_addr = SEGMENT;
}

static void world_release(struct world *w)
{
	int f;

	for (f = 0; f < FILES; f++) {
		ka_extents_clear(&w->ex[f], &w->st);
		assert_int_equal(w->ex[f].bytes, 0);
		assert_null(ka_extents_find(&w->ex[f], 0));
	}
	assert_int_equal(w->st.count, 0);
	assert_int_equal(w->st.unwritten_bytes, 0);
	for (f = 0; f < SEGMENTS; f++)
		assert_int_equal(w->segs.seg[f].live, 0);
	ka_segs_release(&w->segs);
}

static void check_file(const struct world *w, int f, uint64_t *live, uint64_t *count,
		       uint64_t *unwritten)
{
	const struct ka_extent *e = ka_extents_find(&w->ex[f], 0);
	const struct byte *b = w->want[f];
	uint64_t off = 0, bytes = 0, end = 0, i;

	for (; e; e = ka_extents_next(e)) {
		assert_true(e->len > 0 && e->off >= end);
		end = e->off + e->len;
		assert_true(end <= FILE_BYTES);
		for (; off < e->off; off++)
			assert_int_equal(b[off].addr, HOLE);
		for (i = 0; i < e->len; i++, off++) {
			if (!e->addr) {
				assert_int_equal(b[off].addr, UNWRITTEN);
				continue;
			}
			assert_int_equal(b[off].addr, e->addr + i);
			assert_int_equal(b[off].rec, e->addr - e->delta);
			assert_int_equal(b[off].seq, e->seq);
			live[e->addr / SEGMENT]++;
		}
		bytes += e->len;
		*unwritten += e->addr ? 0 : e->len;
		++*count;
	}
	for (; off < FILE_BYTES; off++)
		assert_int_equal(b[off].addr, HOLE);
	assert_int_equal(w->ex[f].bytes, bytes);
}

static void check(const struct world *w)
{
	uint64_t live[SEGMENTS] = {0}, count = 0, unwritten = 0;
	int i;

	for (i = 0; i < FILES; i++)
		check_file(w, i, live, &count, &unwritten);
	assert_int_equal(w->st.count, count);
	assert_int_equal(w->st.unwritten_bytes, unwritten);
	for (i = 0; i < SEGMENTS; i++)
		assert_int_equal(w->segs.seg[i].live, live[i]);
}

static void put(struct world *w, int f, uint64_t off, uint64_t len)
{
	uint32_t delta = 72 + 8;
	struct ka_extent e = {.off = off, .len = len, .seq = ++w->next_seq, .delta = delta};
	uint64_t i;

	if ((w->next_addr % SEGMENT) + delta + len > SEGMENT)
		w->next_addr = ka_align_up(w->next_addr, SEGMENT);
	if (w->next_addr >= SEGMENTS * SEGMENT)
		w->next_addr = SEGMENT; /* again: nothing minds here */
	e.addr = w->next_addr + delta;
	assert_ok(ka_extents_put(&w->ex[f], &w->st, &e));
	for (i = 0; i < len; i++)
		w->want[f][off + i] = (struct byte){e.addr + i, w->next_addr, e.seq};
	w->next_addr = ka_align_up(e.addr + len, 8);
}

static void punch(struct world *w, int f, uint64_t off, uint64_t len)
{
	assert_ok(ka_extents_punch(&w->ex[f], &w->st, off, len));
	memset(&w->want[f][off], 0, len * sizeof(struct byte));
}

static void fill(struct world *w, int f, uint64_t off, uint64_t len)
{
	uint64_t i, holes = 0;

	for (i = off; i < off + len; i++)
		holes += w->want[f][i].addr == HOLE;
	assert_int_equal(ka_extents_holes(&w->ex[f], off, len), holes);
	assert_ok(ka_extents_fill(&w->ex[f], &w->st, off, len));
	assert_int_equal(ka_extents_holes(&w->ex[f], off, len), 0);
	for (i = off; i < off + len; i++)
		if (w->want[f][i].addr == HOLE)
			w->want[f][i].addr = UNWRITTEN;
}

/* Room is promised once: what is unwritten becomes a hole in the copy. */
static void share(struct world *w, int to, uint64_t off, int from, uint64_t from_off, uint64_t len)
{
	uint64_t i;

	if (to == from && off < from_off + len && from_off < off + len)
		return;
	assert_ok(ka_extents_clone(&w->ex[to], off, &w->ex[from], from_off, len, &w->st));
	memmove(&w->want[to][off], &w->want[from][from_off], len * sizeof(struct byte));
	for (i = off; i < off + len; i++)
		if (w->want[to][i].addr == UNWRITTEN)
			memset(&w->want[to][i], 0, sizeof(struct byte));
}

static void find(const struct world *w, int f, uint64_t off)
{
	const struct ka_extent *e = ka_extents_find(&w->ex[f], off);
	uint64_t i = off;

	while (i < FILE_BYTES && w->want[f][i].addr == HOLE)
		i++;
	if (i == FILE_BYTES) {
		assert_null(e);
		return;
	}
	assert_non_null(e);
	assert_true(e->off <= i && e->off + e->len > i);
	if (i > off)
		assert_int_equal(e->off, i);
}

static void test_random(void **state)
{
	struct test_rng rng = test_rng(1);
	uint64_t off, len;
	struct world w;
	int step, f;

	(void)state;
	world_init(&w);
	for (step = 0; step < 40000; step++) {
		f = (int)test_below(&rng, FILES);
		off = test_below(&rng, FILE_BYTES);
		len = 1 + test_below(&rng, test_chance(&rng, 80) ? 20 : FILE_BYTES);
		len = ka_min(len, FILE_BYTES - off);
		switch (test_below(&rng, 8)) {
		case 0 ... 3:
			put(&w, f, off, len);
			break;
		case 4:
			punch(&w, f, off, len);
			break;
		case 5:
			fill(&w, f, off, len);
			break;
		case 6:
			share(&w, f, off, (int)test_below(&rng, FILES),
			      test_below(&rng, FILE_BYTES - len + 1), len);
			break;
		default:
			find(&w, f, off);
		}
		if (step % 16 == 0)
			check(&w);
	}
	check(&w);
	world_release(&w);
}

/* Every way for a range to meet three extents. */
static void test_every_punch(void **state)
{
	uint64_t from, to;
	struct world w;

	(void)state;
	for (from = 0; from < 50; from++) {
		for (to = from + 1; to <= 50; to++) {
			world_init(&w);
			put(&w, 0, 5, 10);
			put(&w, 0, 15, 10); /* touches the first */
			fill(&w, 0, 30, 10);
			punch(&w, 0, from, to - from);
			check(&w);
			world_release(&w);
		}
	}
}

static void test_every_fill(void **state)
{
	uint64_t from, to;
	struct world w;

	(void)state;
	for (from = 0; from < 50; from++) {
		for (to = from + 1; to <= 50; to++) {
			world_init(&w);
			put(&w, 0, 5, 10);
			put(&w, 0, 20, 1);
			put(&w, 0, 30, 10);
			fill(&w, 0, from, to - from);
			check(&w);
			world_release(&w);
		}
	}
}

/* An extent can span both ranges of a clone within one file. */
static void test_clone_inside_one_extent(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	put(&w, 0, 0, 100);
	share(&w, 0, 60, 0, 10, 30);
	check(&w);
	share(&w, 0, 0, 0, 50, 50);
	check(&w);
	share(&w, 0, 100, 0, 0, 100);
	check(&w);
	world_release(&w);
}

/* The far end of what a file can be, as truncation uses it. */
static void test_far_end(void **state)
{
	struct world w;
	struct ka_extent e = {.off = INT64_MAX - 1, .len = 1, .addr = SEGMENT + 200, .delta = 100};

	(void)state;
	world_init(&w);
	put(&w, 0, 0, 10);
	assert_ok(ka_extents_put(&w.ex[0], &w.st, &e));
	assert_int_equal(ka_extents_holes(&w.ex[0], 0, INT64_MAX), (uint64_t)INT64_MAX - 11);
	assert_ok(ka_extents_punch(&w.ex[0], &w.st, 10, UINT64_MAX - 10));
	check(&w);
	world_release(&w);
}

/* A segment that an overwrite stays within never looks dead in between. */
static void test_live_never_dips(void **state)
{
	struct world w;
	uint64_t index;

	(void)state;
	world_init(&w);
	put(&w, 0, 0, 100);
	assert_ok(ka_segs_alloc(&w.segs, KA_SPACE_CKPT, KA_SEG_OPEN, 1, &index));
	assert_int_equal(index, 1);
	ka_segs_close(&w.segs, 1, SEGMENT, 0);
	assert_int_equal(w.segs.seg[1].state, KA_SEG_FULL);
	punch(&w, 0, 50, 10); /* splits it */
	punch(&w, 0, 0, 10);  /* and cuts it */
	assert_int_equal(w.segs.seg[1].state, KA_SEG_FULL);
	punch(&w, 0, 0, 100);
	assert_int_equal(w.segs.seg[1].state, KA_SEG_FREE);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_every_punch),
		cmocka_unit_test(test_every_fill), cmocka_unit_test(test_clone_inside_one_extent),
		cmocka_unit_test(test_far_end),	   cmocka_unit_test(test_live_never_dips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_scan.c - walking over a segment: whole, torn, stale, damaged records. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "keepalive/csum.h"
#include "keepalive/scan.h"

#define SEGMENT 65536u
#define BYTES	(4 * SEGMENT)
#define LOG_ID	0x1234567890abcdefull
#define GEN	9ull

struct world {
	uint8_t *mem;
	struct ka_region *rg;
	uint64_t addr; /* where the next record goes */
	uint64_t seq;
	struct ka_scan scan;
};

/* Segment 1 with a header and whatever was there before. */
static void world_init(struct world *w, uint8_t before)
{
	memset(w, 0, sizeof(*w));
	w->mem = malloc(BYTES);
	assert_non_null(w->mem);
	memset(w->mem, before, BYTES);
	assert_ok(ka_region_open_mem(w->mem, BYTES, &w->rg));
	w->addr = SEGMENT + sizeof(struct ka_segment_disk);
}

static void world_release(struct world *w)
{
	ka_region_close(w->rg);
	free(w->mem);
}

static void start(struct world *w)
{
	ka_scan_start(&w->scan, w->rg, LOG_ID, GEN, SEGMENT + sizeof(struct ka_segment_disk),
		      2 * SEGMENT);
}

static struct ka_rec_disk *append_as(struct world *w, uint64_t log_id, uint32_t gen)
{
	struct ka_rec_setattr_disk *rec = (void *)(w->mem + w->addr);

	memset(rec, 0, sizeof(*rec));
	rec->ino = ka_put64(1);
	ka_record_init(&rec->h, KA_REC_SETATTR, 0, sizeof(*rec), 0, 0);
	rec->h.log_id = ka_put64(log_id);
	rec->h.gen = ka_put32(gen);
	rec->h.seq = ka_put64(++w->seq);
	ka_record_seal(&rec->h, w->addr);
	w->addr += sizeof(*rec);
	return &rec->h;
}

static struct ka_rec_disk *append(struct world *w)
{
	return append_as(w, LOG_ID, GEN);
}

static void append_end(struct world *w)
{
	struct ka_rec_disk *rec = (void *)(w->mem + w->addr);

	memset(rec, 0, sizeof(*rec));
	ka_record_init(rec, KA_REC_END, 0, sizeof(*rec), 2 * SEGMENT - w->addr - sizeof(*rec), 0);
	rec->log_id = ka_put64(LOG_ID);
	rec->gen = ka_put32(GEN);
	rec->seq = ka_put64(++w->seq);
	ka_record_seal(rec, w->addr);
}

static void expect_next(struct world *w, uint64_t seq)
{
	const struct ka_rec_disk *rec = NULL;
	uint64_t addr = 0;

	assert_ok(ka_scan_next(&w->scan, &rec, &addr));
	assert_ptr_equal(rec, w->mem + addr);
	assert_int_equal(ka_get64(rec->seq), seq);
	assert_int_equal(ka_scan_payload_addr(rec, addr), addr + ka_get32(rec->head_bytes));
}

/* Says err, again and again, and does not move. */
static void expect_stop(struct world *w, int err)
{
	const struct ka_rec_disk *rec;
	uint64_t addr, at = w->scan.addr;
	int i;

	for (i = 0; i < 2; i++) {
		assert_err(ka_scan_next(&w->scan, &rec, &addr), err);
		if (err < 0)
			assert_int_equal(w->scan.addr, at);
	}
}

static void test_walk(void **state)
{
	struct world w;
	int i;

	(void)state;
	world_init(&w, 0);
	for (i = 0; i < 10; i++)
		append(&w);
	start(&w);
	for (i = 1; i <= 10; i++)
		expect_next(&w, i);
	expect_stop(&w, -KA_ERR_RECORD_FRAME); /* zeros */
	assert_false(ka_scan_resync(&w.scan));
	world_release(&w);
}

static void test_end(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 0xff);
	append(&w);
	append_end(&w);
	start(&w);
	expect_next(&w, 1);
	expect_stop(&w, KA_SCAN_END);
	assert_int_equal(w.scan.addr, 2 * SEGMENT);
	world_release(&w);
}

/* Too little left for any record is the end as well. */
static void test_full(void **state)
{
	struct world w;
	size_t left;
	uint64_t i;

	(void)state;
	for (left = 0; left <= 56; left += 8) {
		world_init(&w, 0);
		for (i = 0; w.addr + sizeof(struct ka_rec_setattr_disk) <= 2 * SEGMENT - left; i++)
			append(&w);
		start(&w);
		w.scan.end = w.addr + left;
		for (; i; i--)
			expect_next(&w, w.seq - i + 1);
		expect_stop(&w,
			    left < sizeof(struct ka_rec_disk) ? KA_SCAN_END : -KA_ERR_RECORD_FRAME);
		world_release(&w);
	}
}

/* A record that lacks any of its 8-byte words. */
static void test_torn(void **state)
{
	const struct ka_rec_disk *rec;
	struct world w;
	uint64_t addr, at;
	size_t word;
	int err;

	(void)state;
	for (word = 0; word < sizeof(struct ka_rec_setattr_disk) / 8; word++) {
		world_init(&w, 0xee);
		append(&w);
		at = w.addr;
		append(&w);
		memset(w.mem + at + word * 8, 0xee, 8);
		start(&w);
		expect_next(&w, 1);
		err = ka_scan_next(&w.scan, &rec, &addr);
		assert_true(err == -KA_ERR_RECORD_FRAME || err == -KA_ERR_RECORD_STALE ||
			    err == -KA_ERR_RECORD_CSUM);
		assert_int_equal(w.scan.addr, at);
		assert_false(ka_scan_resync(&w.scan));
		world_release(&w);
	}
}

static void test_resync(void **state)
{
	struct world w;
	uint64_t at;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(struct ka_rec_setattr_disk); i++) {
		world_init(&w, 0);
		append(&w);
		at = w.addr;
		append(&w);
		append(&w);
		w.mem[at + i] ^= 0x80;
		start(&w);
		expect_next(&w, 1);
		assert_true(ka_scan_resync(&w.scan));
		expect_next(&w, 3);
		world_release(&w);
	}
}

/* The last place where a record can begin is looked at, and not one more. */
static void test_resync_to_the_end(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 0);
	w.addr = 2 * SEGMENT - sizeof(struct ka_rec_setattr_disk);
	append(&w);
	start(&w);
	assert_true(ka_scan_resync(&w.scan));
	expect_next(&w, 1);
	expect_stop(&w, KA_SCAN_END);
	assert_false(ka_scan_resync(&w.scan));
	world_release(&w);
}

/* What an older use of the segment, or an older filesystem, left is not taken. */
static void test_stale(void **state)
{
	struct world w;
	uint64_t at;

	(void)state;
	world_init(&w, 0);
	at = w.addr;
	append_as(&w, LOG_ID, GEN - 1);
	append_as(&w, LOG_ID, GEN - 1);
	append_as(&w, LOG_ID ^ 1, GEN);
	start(&w);
	expect_stop(&w, -KA_ERR_RECORD_STALE);
	assert_false(ka_scan_resync(&w.scan));

	w.addr = at; /* a new one over the first */
	append(&w);
	start(&w);
	expect_next(&w, 4);
	expect_stop(&w, -KA_ERR_RECORD_STALE);
	world_release(&w);
}

/* A scan whose range is not in the region looks at nothing. */
static void test_outside(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 0);
	ka_scan_start(&w.scan, w.rg, LOG_ID, GEN, BYTES, BYTES + SEGMENT);
	expect_stop(&w, -KA_ERR_RECORD_FRAME);
	ka_scan_start(&w.scan, w.rg, LOG_ID, GEN, BYTES - 64, BYTES + 64);
	expect_stop(&w, -KA_ERR_RECORD_FRAME);
	assert_false(ka_scan_resync(&w.scan));
	world_release(&w);
}

static void put_header(struct world *w, struct ka_segment_disk d)
{
	d.csum = ka_put64(ka_csum((char *)&d + 8, sizeof(d) - 8));
	memcpy(w->mem + SEGMENT, &d, sizeof(d));
}

static void test_header(void **state)
{
	const struct ka_segment_disk good = {
		.magic = ka_put32(KA_SEGMENT_MAGIC),
		.kind = ka_put32(KA_SEGMENT_LOG),
		.log_id = ka_put64(LOG_ID),
		.gen = ka_put64(GEN),
		.index = ka_put64(1),
		.open_seq = ka_put64(100),
		.writer = ka_put32(3),
		.prev_gen = ka_put64(7),
	};
	struct ka_segment_info info;
	struct ka_segment_disk d;
	struct world w;
	size_t bit;

	(void)state;
	world_init(&w, 0);
	put_header(&w, good);
	assert_ok(ka_scan_header(w.rg, LOG_ID, 1, SEGMENT, &info));
	assert_int_equal(info.kind, KA_SEGMENT_LOG);
	assert_int_equal(info.gen, GEN);
	assert_int_equal(info.open_seq, 100);
	assert_int_equal(info.writer, 3);
	assert_int_equal(info.prev_gen, 7);
	for (bit = 0; bit < sizeof(d) * 8; bit++) {
		w.mem[SEGMENT + bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_err(ka_scan_header(w.rg, LOG_ID, 1, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
		w.mem[SEGMENT + bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_err(ka_scan_header(w.rg, LOG_ID + 1, 1, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
	assert_err(ka_scan_header(w.rg, LOG_ID, 2, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
	assert_err(ka_scan_header(w.rg, LOG_ID, 100, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
	/* Wrong fields with a checksum that is right. */
	d = good;
	d.kind = ka_put32(0);
	put_header(&w, d);
	assert_err(ka_scan_header(w.rg, LOG_ID, 1, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
	d.kind = ka_put32(3);
	put_header(&w, d);
	assert_err(ka_scan_header(w.rg, LOG_ID, 1, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
	d = good;
	d.index = ka_put64(2); /* copied from elsewhere */
	put_header(&w, d);
	assert_err(ka_scan_header(w.rg, LOG_ID, 1, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
	d = good;
	d.rsv = ka_put32(1);
	put_header(&w, d);
	assert_err(ka_scan_header(w.rg, LOG_ID, 1, SEGMENT, &info), -KA_ERR_SEGMENT_HEADER);
	d = good;
	d.kind = ka_put32(KA_SEGMENT_CKPT);
	put_header(&w, d);
	assert_ok(ka_scan_header(w.rg, LOG_ID, 1, SEGMENT, &info));
	assert_int_equal(info.kind, KA_SEGMENT_CKPT);
	world_release(&w);
}

/* Heads that all look right and reach far keep a search busy; it gives up. */
static void test_resync_budget(void **state)
{
	const size_t bytes = 4 << 20, size = 64;
	uint8_t *mem = calloc(1, bytes);
	struct ka_region *rg;
	struct ka_scan scan;
	size_t at;

	(void)state;
	assert_non_null(mem);
	for (at = 0; at + KA_HEAD_MAX <= bytes; at += size) {
		struct ka_rec_disk *rec = (void *)(mem + at);

		rec->log_id = ka_put64(LOG_ID);
		rec->gen = ka_put32(GEN);
		rec->bytes = ka_put32(KA_HEAD_MAX);
		rec->head_bytes = ka_put32(KA_HEAD_MAX);
	}
	assert_ok(ka_region_open_mem(mem, bytes, &rg));
	ka_scan_start(&scan, rg, LOG_ID, GEN, 0, bytes);
	assert_false(ka_scan_resync(&scan));
	assert_int_equal(scan.budget, 0);
	assert_int_equal(scan.addr, 0);
	ka_region_close(rg);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),   cmocka_unit_test(test_end),
		cmocka_unit_test(test_full),   cmocka_unit_test(test_torn),
		cmocka_unit_test(test_resync), cmocka_unit_test(test_resync_to_the_end),
		cmocka_unit_test(test_stale),  cmocka_unit_test(test_outside),
		cmocka_unit_test(test_header), cmocka_unit_test(test_resync_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

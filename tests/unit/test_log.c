/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_log.c - appending records: places, order, segment changes, positions. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "keepalive/log.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "region_cut.h"

#define SEGMENT (256u << 10)
#define LOG_ID	0xfeedfacecafebeefull
#define FIRST	sizeof(struct ka_segment_disk) /* of the records in a segment */

struct world {
	struct ka_region *rg; /* a cut region */
	uint64_t count;
	struct ka_segs segs;
	struct ka_log log;
};

static void world_init(struct world *w, uint64_t count)
{
	memset(w, 0, sizeof(*w));
	w->count = count;
	assert_ok(cut_region_open(count * SEGMENT, &w->rg));
	assert_ok(ka_segs_init(&w->segs, count, SEGMENT, count * SEGMENT));
	ka_log_init(&w->log, w->rg, &w->segs, LOG_ID);
	atomic_store(&w->log.gen, 1);
}

static void world_release(struct world *w)
{
	ka_log_release(&w->log);
	ka_segs_release(&w->segs);
	ka_region_close(w->rg);
}

/* Appends a small record; returns its address. */
static uint64_t append(struct world *w)
{
	struct ka_rec_setattr_disk rec = {.ino = ka_put64(1)};
	uint64_t seq = atomic_load(&w->log.seq);
	struct ka_slot slot;

	ka_record_init(&rec.h, KA_REC_SETATTR, 0, sizeof(rec), 0, 5);
	assert_ok(ka_log_begin(&w->log, sizeof(rec), KA_SPACE_NORMAL, &slot));
	assert_true(slot.room >= sizeof(rec));
	ka_log_put(&w->log, &slot, &rec.h, NULL);
	assert_true(ka_get64(rec.h.seq) > seq);
	return slot.addr;
}

/* Appends one with payload. */
static uint64_t append_write(struct world *w, const void *data, uint32_t len)
{
	union {
		struct ka_rec_write_disk rec;
		uint8_t bytes[1024];
	} head = {.rec.ino = ka_put64(1)};
	size_t pieces = (len + w->log.piece_bytes - 1) / w->log.piece_bytes;
	struct ka_slot slot;

	head.rec.payload.bytes = ka_put32(len);
	head.rec.payload.piece_bytes = ka_put32(w->log.piece_bytes);
	ka_record_init(&head.rec.h, KA_REC_WRITE, 0, sizeof(head.rec) + 8 * pieces, len, 5);
	assert_ok(ka_log_begin(&w->log, ka_get32(head.rec.h.bytes), KA_SPACE_NORMAL, &slot));
	ka_log_put(&w->log, &slot, &head.rec.h, data);
	return slot.addr;
}

/* Leaves exactly left bytes of the open segment of position 0. */
static void fill_to(struct world *w, uint64_t left)
{
	struct ka_writer *wr = &w->log.writer[0];
	uint64_t room = wr->end - wr->addr - left;
	uint32_t head = sizeof(struct ka_rec_write_disk);
	uint8_t *data = calloc(1, SEGMENT);

	assert_non_null(data);
	assert_int_equal(left % 8, 0);
	while (room > 16384) {
		append_write(w, data, 8192);
		room = wr->end - wr->addr - left;
	}
	append_write(w, data, (uint32_t)room - head - 8);
	assert_int_equal(wr->end - wr->addr, left);
	free(data);
}

static const struct ka_rec_disk *at(const struct world *w, uint64_t addr)
{
	return ka_region_at(w->rg, addr, sizeof(struct ka_rec_disk));
}

/* Counts the records of a segment, checks their order; *ret_end: closed by an END. */
static size_t scan(const struct world *w, uint64_t index, bool *ret_end)
{
	struct ka_segment_info info;
	const struct ka_rec_disk *rec;
	uint64_t addr, seq = 0;
	struct ka_scan scan;
	size_t n = 0;
	int err;

	assert_ok(ka_scan_header(w->rg, LOG_ID, index, SEGMENT, &info));
	assert_int_equal(info.kind, KA_SEGMENT_LOG);
	ka_scan_start(&scan, w->rg, LOG_ID, info.gen, index * SEGMENT + FIRST,
		      (index + 1) * SEGMENT);
	while (!(err = ka_scan_next(&scan, &rec, &addr))) {
		assert_true(ka_get64(rec->seq) > seq);
		assert_true(ka_get64(rec->seq) > info.open_seq);
		seq = ka_get64(rec->seq);
		if (ka_record_payload(rec))
			assert_ok(ka_payload_check(ka_record_payload(rec),
						   (const char *)rec + ka_get32(rec->head_bytes)));
		n++;
	}
	*ret_end = err == KA_SCAN_END;
	return n;
}

static void test_append(void **state)
{
	struct world w;
	uint64_t addr;
	bool end;
	int i;

	(void)state;
	world_init(&w, 16);
	for (i = 0; i < 100; i++) {
		addr = append(&w);
		assert_int_equal(addr, SEGMENT + FIRST + i * 104u);
		assert_int_equal(ka_get64(at(&w, addr)->seq), i + 1);
		assert_int_equal(w.segs.seg[1].used, FIRST + (i + 1) * 104u);
		assert_int_equal(w.segs.seg[1].last_seq, i + 1);
	}
	assert_int_equal(scan(&w, 1, &end), 100);
	assert_false(end);
	assert_int_equal(w.log.new_bytes, 10400);
	assert_int_equal(w.log.new_records, 100);
	assert_int_equal(w.segs.seg[1].state, KA_SEG_OPEN);
	world_release(&w);
}

/* One fence for a record, and nothing of it is left to chance after that. */
static void test_durable(void **state)
{
	struct test_rng rng = test_rng(1);
	uint8_t *image, *data = malloc(100000);
	uint64_t addr, fences, before;
	struct ka_region *after;
	struct world w;
	int i;

	(void)state;
	assert_non_null(data);
	world_init(&w, 16);
	image = malloc(w.count * SEGMENT);
	assert_non_null(image);
	assert_ok(ka_region_open_mem(image, w.count * SEGMENT, &after));
	append(&w);
	for (i = 0; i < 20; i++) {
		test_fill(&rng, data, 100000);
		before = w.log.writer[0].segment;
		fences = cut_region_fences(w.rg);
		addr = append_write(&w, data, 1 + (uint32_t)test_below(&rng, 100000));
		if (w.log.writer[0].segment == before)
			assert_int_equal(cut_region_fences(w.rg), fences + 1);
		else /* the END and the new header have one of their own */
			assert_in_range(cut_region_fences(w.rg), fences + 2, fences + 3);
		assert_int_equal(cut_region_open_lines(w.rg), 0);
		cut_region_image(w.rg, CUT_NONE, &rng, image);
		assert_memory_equal(image + addr, at(&w, addr), ka_get32(at(&w, addr)->bytes));
	}
	ka_region_close(after);
	free(image);
	free(data);
	world_release(&w);
}

/* What is kept of the payload: its bytes, zeros behind them, checksums. */
static void test_payload(void **state)
{
	static const uint32_t lens[] = {1, 7, 8, 9, 16383, 16384, 16385, 32768, 100001};
	struct test_rng rng = test_rng(2);
	uint8_t *data = malloc(200000);
	const struct ka_payload_disk *pl;
	const struct ka_rec_disk *rec;
	const uint8_t *p;
	struct world w;
	uint64_t addr;
	uint32_t pad, head;
	size_t i;

	(void)state;
	assert_non_null(data);
	test_fill(&rng, data, 200000);
	world_init(&w, 16);
	for (i = 0; i < KA_ARRAY_SIZE(lens); i++) {
		addr = append_write(&w, data, lens[i]);
		rec = at(&w, addr);
		pl = ka_record_payload(rec);
		head = ka_get32(rec->head_bytes);
		p = (const uint8_t *)rec + head;
		assert_memory_equal(p, data, lens[i]);
		assert_ok(ka_payload_check(pl, p));
		for (pad = lens[i]; pad < ka_get32(rec->bytes) - head; pad++)
			assert_int_equal(p[pad], 0);
		assert_true(ka_segs_is_verified(&w.segs, addr + head));
	}
	free(data);
	world_release(&w);
}

/* A segment is closed by an END wherever one fits. */
static void test_segment_change(void **state)
{
	uint64_t left, first, addr;
	struct ka_segment_info info;
	struct world w;
	bool end;

	(void)state;
	for (left = 0; left < 104; left += 8) {
		world_init(&w, 16);
		append(&w);
		fill_to(&w, left);
		first = w.log.writer[0].last_seq;
		addr = append(&w);
		assert_int_equal(addr, 2 * SEGMENT + FIRST);
		scan(&w, 1, &end);
		assert_true(end);
		if (left >= sizeof(struct ka_rec_disk)) {
			assert_int_equal(ka_get16(at(&w, 2 * SEGMENT - left)->type), KA_REC_END);
			assert_int_equal(ka_get32(at(&w, 2 * SEGMENT - left)->bytes), left);
			first++;
		}
		assert_int_equal(ka_get64(at(&w, addr)->seq), first + 1);
		assert_int_equal(w.segs.seg[1].state, KA_SEG_FULL);
		assert_int_equal(w.segs.seg[1].used, SEGMENT);
		assert_int_equal(w.segs.seg[1].last_seq, first);
		assert_ok(ka_scan_header(w.rg, LOG_ID, 2, SEGMENT, &info));
		assert_int_equal(info.open_seq, first);
		assert_int_equal(info.prev_gen, w.segs.seg[1].gen);
		assert_int_equal(info.gen, w.segs.seg[2].gen);
		world_release(&w);
	}
}

struct change {
	uint8_t *image;
	struct test_rng rng;
	struct world *w;
	unsigned headers;
};

/* Where the header of the new segment is there, the END of the old one is too. */
static void check_change(void *ctx, struct ka_region *rg, uint64_t fences)
{
	struct change *c = ctx;
	struct ka_region *after;
	struct ka_segment_info info;
	struct world w = *c->w;
	bool end;
	int i;

	(void)fences;
	assert_ok(ka_region_open_mem(c->image, c->w->count * SEGMENT, &after));
	w.rg = after;
	for (i = 0; i < 40; i++) {
		cut_region_image(rg, (enum cut_kind)(i % CUT_KINDS), &c->rng, c->image);
		if (ka_scan_header(after, LOG_ID, 2, SEGMENT, &info))
			continue;
		c->headers++;
		scan(&w, 1, &end);
		assert_true(end);
	}
	ka_region_close(after);
}

static void test_end_before_header(void **state)
{
	struct change c = {.rng = test_rng(3)};
	struct world w;

	(void)state;
	world_init(&w, 16);
	c.image = malloc(w.count * SEGMENT);
	assert_non_null(c.image);
	c.w = &w;
	append(&w);
	fill_to(&w, 64);
	cut_region_watch(w.rg, check_change, &c);
	append(&w);
	check_change(&c, w.rg, 0);
	assert_true(c.headers >= 40);
	free(c.image);
	world_release(&w);
}

static void test_cancel(void **state)
{
	struct ka_slot slot;
	struct world w;
	uint64_t addr;

	(void)state;
	world_init(&w, 16);
	append(&w);
	assert_ok(ka_log_begin(&w.log, 1000, KA_SPACE_NORMAL, &slot));
	addr = slot.addr;
	ka_log_cancel(&slot);
	assert_int_equal(append(&w), addr);
	assert_int_equal(w.log.new_records, 2);
	world_release(&w);
}

static void test_no_space(void **state)
{
	struct ka_slot slot;
	struct world w;
	uint64_t seq;

	(void)state;
	world_init(&w, 8);
	w.segs.ckpt_need = 1; /* NORMAL: 7 - 1 - 3 */
	append(&w);
	fill_to(&w, 0);
	append(&w);
	fill_to(&w, 0);
	append(&w);
	fill_to(&w, 56); /* no room for a record of 104 bytes */
	assert_int_equal(w.segs.free, 4);
	seq = atomic_load(&w.log.seq);
	/* Segments 1 and 2 are full of what nothing points at: a checkpoint frees them. */
	assert_err(ka_log_begin(&w.log, 104, KA_SPACE_NORMAL, &slot), -KA_ERR_NEED_CKPT);
	ka_segs_live(&w.segs, SEGMENT + 100, 1);
	ka_segs_live(&w.segs, 2 * SEGMENT + 100, 1);
	assert_err(ka_log_begin(&w.log, 104, KA_SPACE_NORMAL, &slot), -ENOSPC);
	assert_int_equal(atomic_load(&w.log.seq), seq); /* nothing has happened */
	assert_int_equal(w.segs.seg[3].state, KA_SEG_OPEN);
	assert_int_equal(w.log.writer[0].segment, 3);
	/* What still fits goes in, and deletes get another segment. */
	assert_ok(ka_log_begin(&w.log, 56, KA_SPACE_NORMAL, &slot));
	ka_log_cancel(&slot);
	assert_ok(ka_log_begin(&w.log, 104, KA_SPACE_DELETE, &slot));
	assert_int_equal(slot.addr, 4 * SEGMENT + FIRST);
	ka_log_cancel(&slot);
	world_release(&w);
}

static void test_writers(void **state)
{
	static const struct {
		int cpus;
		uint64_t segments;
		uint32_t writers;
	} cases[] = {
		{1, 1000, 1}, {2, 16, 1},  {2, 63, 1},	{2, 64, 2},    {8, 64, 2},
		{8, 128, 4},  {4, 256, 4}, {8, 256, 8}, {64, 1000, 8}, {-1, 1000, 1},
	};
	struct ka_segs segs = {0};
	struct ka_log log;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(cases); i++) {
		fixed_cpus = cases[i].cpus;
		segs.count = cases[i].segments;
		ka_log_init(&log, NULL, &segs, LOG_ID);
		assert_int_equal(log.writers, cases[i].writers);
		ka_log_release(&log);
	}
	fixed_cpus = 1;
}

/* A position for each processor; if that is taken, any other. */
static void test_positions(void **state)
{
	struct ka_slot slot[4], one;
	struct world w;
	uint64_t a, b;

	(void)state;
	fixed_cpus = 4;
	world_init(&w, 128);
	assert_int_equal(w.log.writers, 4);
	fixed_cpu = 0;
	a = append(&w);
	assert_int_equal(append(&w), a + 104);
	fixed_cpu = 1;
	b = append(&w);
	assert_int_not_equal(a / SEGMENT, b / SEGMENT);
	fixed_cpu = 5; /* there are more processors than positions */
	assert_int_equal(append(&w), b + 104);
	assert_int_equal(ka_get64(at(&w, b + 104)->seq), 4);
	fixed_cpu = 2;
	for (a = 0; a < 4; a++) {
		assert_ok(ka_log_begin(&w.log, 104, KA_SPACE_NORMAL, &slot[a]));
		assert_int_equal(slot[a].writer->id, (2 + a) % 4);
	}
	ka_log_cancel(&slot[3]);
	assert_ok(ka_log_begin(&w.log, 104, KA_SPACE_NORMAL, &one));
	assert_ptr_equal(one.writer, slot[3].writer);
	ka_log_cancel(&one);
	for (a = 0; a < 3; a++)
		ka_log_cancel(&slot[a]);
	fixed_cpus = 1;
	fixed_cpu = 0;
	world_release(&w);
}

/* Where no segment is to be had, the room of another position is taken. */
static void test_borrow(void **state)
{
	struct ka_slot slot;
	struct world w;

	(void)state;
	fixed_cpus = 2;
	world_init(&w, 64);
	fixed_cpu = 1;
	append(&w);
	fixed_cpu = 0;
	append(&w);
	fill_to(&w, 56);
	w.segs.ckpt_need = 1000;
	assert_ok(ka_log_begin(&w.log, 104, KA_SPACE_NORMAL, &slot));
	assert_int_equal(slot.writer->id, 1);
	ka_log_cancel(&slot);
	assert_err(ka_log_begin(&w.log, SEGMENT - 100, KA_SPACE_NORMAL, &slot), -ENOSPC);
	fixed_cpu = 1;
	append(&w); /* nothing stayed locked */
	fixed_cpus = 1;
	fixed_cpu = 0;
	world_release(&w);
}

static void test_resume(void **state)
{
	struct world w;
	struct ka_log again;
	uint64_t addr;
	bool end;

	(void)state;
	world_init(&w, 16);
	append(&w);
	addr = append(&w);
	ka_log_init(&again, w.rg, &w.segs, LOG_ID);
	again.seq = w.log.seq;
	again.gen = w.log.gen;
	ka_log_release(&w.log);
	w.log = again;
	ka_log_resume(&w.log, 1);
	assert_int_equal(append(&w), addr + 104);
	assert_int_equal(scan(&w, 1, &end), 3);
	world_release(&w);
}

/* Segments of positions that this machine does not have are closed. */
static void test_resume_fewer(void **state)
{
	struct world w;
	uint32_t i;

	(void)state;
	world_init(&w, 16);
	for (i = 1; i <= 3; i++) {
		w.segs.seg[i].state = KA_SEG_OPEN;
		w.segs.seg[i].used = 1000;
		w.segs.seg[i].last_seq = 1;
		w.segs.seg[i].writer = i == 3 ? 0 : i;
		w.segs.seg[i].live = 1;
		w.segs.free--;
		ka_log_resume(&w.log, i);
	}
	assert_int_equal(w.segs.seg[1].state, KA_SEG_FULL);
	assert_int_equal(w.segs.seg[2].state, KA_SEG_FULL);
	assert_int_equal(w.segs.seg[3].state, KA_SEG_OPEN);
	assert_int_equal(w.log.writer[0].segment, 3);
	assert_int_equal(w.log.writer[0].addr, 3 * SEGMENT + 1000);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_durable),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_segment_change),
		cmocka_unit_test(test_end_before_header),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_borrow),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

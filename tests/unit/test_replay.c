/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_replay.c - recovery: what is torn is cut off, what is damaged is told
 * apart from it, and nothing that is left over is taken for new.
 */
#include "test.h"

#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "memfs.h"

#define BYTES KA_CAPACITY_MIN

/* Where the next record of position w goes, if it fits there. */
static uint64_t next_addr(const struct memfs *m, int w)
{
	return m->fs->log.writer[w].addr;
}

static uint64_t room(const struct memfs *m)
{
	const struct ka_writer *w = &m->fs->log.writer[0];

	return w->segment ? w->end - w->addr : 0;
}

/* Leaves exactly left bytes of the open segment of position 0. */
static void fill_segment(struct memfs *m, ka_ino_t ino, uint64_t left)
{
	uint64_t more;

	while (room(m) != left) {
		if (room(m) <= left + 200) { /* on to the next one */
			memfs_write_pattern(m->fs, ino, 0, 8000, 1);
			continue;
		}
		more = room(m) - left;
		if (more > 20000)
			memfs_write_pattern(m->fs, ino, 0, 16000, more);
		else if (more > 10000)
			memfs_write_pattern(m->fs, ino, 0, 4000, more);
		else
			memfs_write_pattern(m->fs, ino, 0, more - 80, more);
	}
}

static struct ka_fs_status status(const struct memfs *m)
{
	struct ka_fs_status st;

	ka_fs_get_status(m->fs, &st);
	return st;
}

static void expect_sound(const struct memfs *m)
{
	if (m->msgs.errors)
		print_error("%s", m->msgs.text);
	assert_int_equal(m->msgs.errors, 0);
	assert_false(status(m).damaged || status(m).rdonly);
	memfs_check(m->fs);
}

static void expect_damaged(const struct memfs *m)
{
	ka_ino_t ino;

	assert_true(status(m).damaged && status(m).rdonly);
	assert_true(test_messages_have(&m->msgs, "is damaged: mounting it read-only"));
	assert_err(memfs_try_create(m->fs, KA_ROOT_INO, "x", S_IFREG, NULL, &ino), -EROFS);
	memfs_check(m->fs);
}

static void expect_dump(const struct memfs *m, char *want)
{
	char *got = memfs_dump(m->fs);

	assert_string_equal(got, want);
	free(got);
}

/* Opens, closes, and finds that not a byte is different. */
static void expect_untouched(struct memfs *m)
{
	uint8_t *copy = malloc(m->bytes);
	int err;

	assert_non_null(copy);
	memcpy(copy, m->mem, m->bytes);
	err = memfs_try_open(m);
	if (!err)
		memfs_close(m);
	assert_memory_equal(copy, m->mem, m->bytes);
	free(copy);
}

/* ---- torn ------------------------------------------------------------- */

/* The last record lacks a word of its head. */
static void test_torn_head(void **state)
{
	char *before, *after;
	struct memfs m;
	uint64_t addr;
	size_t word, words;
	uint64_t old;

	(void)state;
	words = (sizeof(struct ka_rec_create_disk) + 8) / 8;
	for (word = 0; word < words; word++) {
		memfs_make(&m, BYTES);
		memfs_file(m.fs, KA_ROOT_INO, "one");
		before = memfs_dump(m.fs);
		addr = next_addr(&m, 0);
		memfs_file(m.fs, KA_ROOT_INO, "twotwo");
		after = memfs_dump(m.fs);
		memfs_abandon(&m);
		memcpy(&old, m.mem + addr + 8 * word, 8);
		memset(m.mem + addr + 8 * word, 0, 8);
		memfs_open(&m);
		expect_sound(&m);
		if (old) {
			expect_dump(&m, before);
			/* Without the identity it may as well never have been begun. */
			if (word != 1 && word != 4)
				assert_int_equal(status(&m).super.torn, 1);
		} else {
			expect_dump(&m, after);
			assert_int_equal(status(&m).super.torn, 0);
		}
		assert_int_equal(memfs_lookup(m.fs, KA_ROOT_INO, "twotwo") != 0, old == 0);
		memfs_file(m.fs, KA_ROOT_INO, "three");
		free(before);
		before = memfs_dump(m.fs);
		memfs_crash(&m);
		expect_sound(&m);
		expect_dump(&m, before);
		assert_int_equal(status(&m).super.torn, 0);
		free(before);
		free(after);
		memfs_release(&m);
	}
}

/* The last record lacks some of its payload. */
static void test_torn_payload(void **state)
{
	static const uint32_t lens[] = {1, 100, 16384, 16385, 50000};
	struct memfs m;
	ka_ino_t ino;
	uint64_t addr, at;
	char *before;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(lens); i++) {
		memfs_make(&m, BYTES);
		ino = memfs_file(m.fs, KA_ROOT_INO, "file");
		memfs_write_pattern(m.fs, ino, 0, 60000, 1);
		before = memfs_dump(m.fs);
		addr = next_addr(&m, 0);
		memfs_write_pattern(m.fs, ino, 100, lens[i], 2);
		memfs_abandon(&m);
		at = addr + ka_get32(((struct ka_rec_disk *)(m.mem + addr))->head_bytes);
		m.mem[at + lens[i] - 1] ^= 1;
		memfs_open(&m);
		expect_sound(&m);
		expect_dump(&m, before);
		assert_int_equal(status(&m).super.torn, 1);
		memfs_crash(&m); /* the torn one is behind a checkpoint now */
		expect_sound(&m);
		expect_dump(&m, before);
		free(before);
		memfs_release(&m);
	}
}

/* Nothing is behind a torn record, even if the segment once held more. */
static void test_older_use_of_segment(void **state)
{
	struct memfs m;
	ka_ino_t ino;
	uint64_t i;

	(void)state;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	for (i = 0; i < 2000; i++) { /* every segment has been used, all at the same places */
		memfs_write_pattern(m.fs, ino, 0, 4000, i);
		if (i % 100 == 0)
			assert_ok(ka_fs_checkpoint(m.fs));
	}
	for (i = 0; i < 50; i++) {
		memfs_write_pattern(m.fs, ino, 0, 4000, i);
		memfs_crash(&m);
		expect_sound(&m);
		assert_int_equal(status(&m).super.torn, 0);
		assert_true(memfs_has_pattern(m.fs, ino, 0, 4000, i));
	}
	memfs_release(&m);
}

/* ---- damaged ----------------------------------------------------------- */

struct damage {
	struct memfs m;
	ka_ino_t file[3];
	uint64_t addr[6];
};

/* Three files and a write to each, one record after the other. */
static void damage_init(struct damage *d)
{
	char name[] = "a";
	int i;

	memfs_make(&d->m, BYTES);
	memfs_file(d->m.fs, KA_ROOT_INO, "first"); /* opens the segment */
	for (i = 0; i < 3; i++, name[0]++) {
		d->addr[i] = next_addr(&d->m, 0);
		d->file[i] = memfs_file(d->m.fs, KA_ROOT_INO, name);
	}
	for (i = 0; i < 3; i++) {
		d->addr[3 + i] = next_addr(&d->m, 0);
		memfs_write_pattern(d->m.fs, d->file[i], 0, 20000, i);
	}
	memfs_abandon(&d->m);
}

/* A whole record behind a broken one: the broken one had been durable. */
static void test_damaged_head(void **state)
{
	struct damage d;
	int which;

	(void)state;
	for (which = 0; which < 5; which++) {
		damage_init(&d);
		d.m.mem[d.addr[which] + 50] ^= 4;
		expect_untouched(&d.m); /* all of it read-only */
		memfs_open(&d.m);
		expect_damaged(&d.m);
		assert_true(test_messages_have(&d.m.msgs, "damaged record at"));
		if (which >= 3) { /* the write to one of them is lost, the rest is there */
			assert_true(memfs_has_pattern(d.m.fs, d.file[2], 0, 20000, 2));
			assert_int_equal(status(&d.m).super.lost, 1);
		} else {
			/* The file itself is lost, so its data can not be placed. */
			assert_int_equal(
				memfs_lookup(d.m.fs, KA_ROOT_INO, (char[]){(char)('a' + which), 0}),
				0);
			assert_int_equal(status(&d.m).super.lost, 2);
		}
		assert_true(memfs_has_pattern(d.m.fs, d.file[which % 3 ? 0 : 1], 0, 20000,
					      which % 3 ? 0 : 1));
		memfs_release(&d.m);
	}
}

static void test_damaged_payload(void **state)
{
	struct damage d;
	uint8_t buf[100];
	size_t len;

	(void)state;
	damage_init(&d);
	d.m.mem[d.addr[4] + 5000] ^= 4;
	expect_untouched(&d.m);
	test_messages_clear(&d.m.msgs);
	memfs_open(&d.m);
	expect_damaged(&d.m);
	assert_true(test_messages_have(&d.m.msgs, "damaged data at"));
	assert_true(memfs_has_pattern(d.m.fs, d.file[0], 0, 20000, 0));
	assert_true(memfs_has_pattern(d.m.fs, d.file[2], 0, 20000, 2));
	assert_err(memfs_read(d.m.fs, d.file[1], 0, buf, 100, &len), -KA_ERR_PAYLOAD_CSUM);
	assert_true(memfs_has_pattern(d.m.fs, d.file[1], 16384, 3616, 1)); /* another piece */
	memfs_release(&d.m);
}

/* In a segment that was left behind every record had been durable. */
static void test_damaged_end_of_segment(void **state)
{
	struct memfs m;
	ka_ino_t ino;
	uint64_t addr;

	(void)state;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	fill_segment(&m, ino, 104 + 96);
	addr = next_addr(&m, 0);
	memfs_truncate(m.fs, ino, 77); /* 104 bytes, then an END of 96 */
	memfs_write_pattern(m.fs, ino, 0, 1000, 1);
	memfs_abandon(&m);
	m.mem[addr + 96 + 20] ^= 1; /* the END: nothing is lost with it, but it was there */
	expect_untouched(&m);
	m.mem[addr + 96 + 20] ^= 1;
	m.mem[addr + 60] ^= 1;
	expect_untouched(&m);
	memfs_open(&m);
	expect_damaged(&m);
	memfs_release(&m);
}

/*
 * The header of a segment in the middle is gone: what is behind it is found
 * all the same, with its first record gone too. Where all of it is gone the next
 * segment says that there was one.
 */
enum gone { HEADER_GONE, RECORD_TOO, ALL_GONE };

static void missing_segment(enum gone gone)
{
	struct memfs m;
	ka_ino_t ino;
	uint64_t index;
	char name[16];
	int i;

	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	fill_segment(&m, ino, 64);
	for (i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "middle%d", i);
		memfs_file(m.fs, KA_ROOT_INO, name);
	}
	index = m.fs->log.writer[0].segment;
	fill_segment(&m, ino, 64);
	memfs_file(m.fs, KA_ROOT_INO, "last");
	assert_int_not_equal(m.fs->log.writer[0].segment, index);
	memfs_abandon(&m);
	m.mem[index * (256 << 10) + 8] ^= 1;
	if (gone == RECORD_TOO)
		m.mem[index * (256 << 10) + 100] ^= 1;
	if (gone == ALL_GONE)
		memset(m.mem + index * (256 << 10), 0, 256 << 10);
	expect_untouched(&m);
	test_messages_clear(&m.msgs);
	memfs_open(&m);
	expect_damaged(&m);
	assert_true(test_messages_have(&m.msgs, gone == ALL_GONE ? "missing segment before"
								 : "damaged segment at"));
	assert_int_equal(memfs_lookup(m.fs, KA_ROOT_INO, "middle5") != 0, gone != ALL_GONE);
	assert_true(memfs_lookup(m.fs, KA_ROOT_INO, "last"));
	memfs_release(&m);
}

static void test_missing_header(void **state)
{
	(void)state;
	missing_segment(HEADER_GONE);
	missing_segment(RECORD_TOO);
}

static void test_missing_segment(void **state)
{
	(void)state;
	missing_segment(ALL_GONE);
}

/* The same with one that the checkpoint knows as open. */
static void test_missing_open_segment(void **state)
{
	struct memfs m;
	uint64_t index;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_file(m.fs, KA_ROOT_INO, "file");
	index = m.fs->log.writer[0].segment;
	assert_ok(ka_fs_checkpoint(m.fs));
	memfs_file(m.fs, KA_ROOT_INO, "more");
	memfs_abandon(&m);
	m.mem[index * (256 << 10) + 8] ^= 1;
	expect_untouched(&m);
	test_messages_clear(&m.msgs);
	memfs_open(&m);
	expect_damaged(&m);
	assert_true(test_messages_have(&m.msgs, "damaged segment at 0x40000") ||
		    test_messages_have(&m.msgs, "damaged segment at 0x80000"));
	memfs_release(&m);
}

/* ---- what is left over ------------------------------------------------- */

/*
 * A segment was opened and its first record is torn. It stays behind, unused,
 * when recovery finds lower free segments; the next crash must not take it for
 * one that was left behind whole, nor what is in it for new.
 */
static void stale_segment(bool torn_payload)
{
	struct memfs m;
	ka_ino_t bulk, ino;
	struct ka_file *file;
	uint64_t torn, addr;
	char *before;

	memfs_make(&m, BYTES);
	bulk = memfs_file(m.fs, KA_ROOT_INO, "bulk");
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, bulk, 0, 800000, 1); /* three segments of it */
	fill_segment(&m, ino, 104);
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_ok(ka_open(m.fs, bulk, &file));
	assert_ok(
		ka_unlink(m.fs, KA_ROOT_INO, "bulk")); /* gone, with all its space, after a crash */
	fill_segment(&m, ino, 40);
	before = memfs_dump(m.fs);
	memfs_write_pattern(m.fs, ino, 0, 3000, 2);
	torn = m.fs->log.writer[0].segment;
	addr = torn * m.fs->segs.bytes + sizeof(struct ka_segment_disk);
	memfs_abandon(&m);
	free(file);
	m.mem[addr + (torn_payload ? 1000 : 20)] ^= 1;

	memfs_open(&m);
	expect_sound(&m);
	expect_dump(&m, before);
	assert_int_equal(status(&m).super.torn, 1);
	free(before);

	memfs_write_pattern(m.fs, ino, 1000, 500, 3);
	assert_true(m.fs->log.writer[0].segment < torn); /* else this tests nothing */
	before = memfs_dump(m.fs);
	memfs_crash(&m);
	expect_sound(&m);
	expect_dump(&m, before);
	assert_int_equal(status(&m).super.torn, 0); /* nobody looks at it again */
	free(before);
	memfs_release(&m);
}

/*
 * The first record of a segment was torn and dropped; then the segment was to
 * be opened again, and its new header is torn. Nothing is lost by that.
 */
static void test_stale_record_torn_header(void **state)
{
	struct memfs m;
	ka_ino_t ino;
	uint64_t index;
	char *before;

	(void)state;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	fill_segment(&m, ino, 40);
	before = memfs_dump(m.fs);
	memfs_write_pattern(m.fs, ino, 0, 3000, 2);
	index = m.fs->log.writer[0].segment;
	memfs_abandon(&m);
	m.mem[index * (256 << 10) + 1000] ^= 1; /* in the payload: the head is whole */
	m.opts.rdonly = true;			/* a look, as recovery would have it */
	memfs_open(&m);
	expect_dump(&m, before);
	memfs_abandon(&m);
	m.opts.rdonly = false;
	m.mem[index * (256 << 10) + 8] ^= 1;
	memfs_open(&m);
	expect_sound(&m);
	expect_dump(&m, before);
	free(before);
	memfs_release(&m);
}

static void test_stale_segment_torn_head(void **state)
{
	(void)state;
	stale_segment(false);
}

static void test_stale_segment_torn_payload(void **state)
{
	(void)state;
	stale_segment(true);
}

/*
 * A segment that was open at the checkpoint, full to the last bytes, dies
 * without one more record in it and is used again: what replay finds there
 * then, or does not find, is no damage.
 */
static void reused_open_segment(enum ka_segment_kind kind, bool torn)
{
	struct ka_writer *w;
	struct memfs m;
	ka_ino_t ino, other;
	char *before;
	uint64_t index;

	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	other = memfs_file(m.fs, KA_ROOT_INO, "other");
	w = &m.fs->log.writer[0];
	fill_segment(&m, other, 104);
	memfs_write_pattern(m.fs, ino, 0, 1000, 1);
	index = w->segment;
	fill_segment(&m, ino, 40); /* no room for an END */
	assert_int_equal(w->segment, index);
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_ok(ka_fs_checkpoint(m.fs));
	memfs_truncate(m.fs, ino, 0); /* the last that lived in it */
	assert_int_equal(m.fs->segs.seg[index].state, KA_SEG_FREE);
	if (kind == KA_SEGMENT_LOG) {
		while (w->segment != index) {
			fill_segment(&m, other, 40);
			memfs_write_pattern(m.fs, other, 0, 1000, 3);
		}
	}
	before = memfs_dump(m.fs);
	if (kind == KA_SEGMENT_CKPT) {
		/* The power fails before the superblock names the checkpoint. */
		uint8_t *supers = malloc(256 << 10);

		assert_non_null(supers);
		memcpy(supers, m.mem, 256 << 10);
		assert_ok(ka_fs_checkpoint(m.fs));
		memcpy(m.mem, supers, 256 << 10);
		free(supers);
		assert_int_equal(m.fs->segs.seg[index].state, KA_SEG_CKPT);
	}
	memfs_abandon(&m);
	if (torn) { /* nor was the new header durable */
		m.mem[index * (256 << 10) + 16] ^= 1;
		memfs_open(&m);
		expect_sound(&m);
	} else {
		memfs_open(&m);
		expect_sound(&m);
		expect_dump(&m, before);
	}
	free(before);
	memfs_release(&m);
}

static void test_reused_by_log(void **state)
{
	(void)state;
	reused_open_segment(KA_SEGMENT_LOG, false);
}

static void test_reused_by_checkpoint(void **state)
{
	(void)state;
	reused_open_segment(KA_SEGMENT_CKPT, false);
}

static void test_reused_by_checkpoint_torn(void **state)
{
	(void)state;
	reused_open_segment(KA_SEGMENT_CKPT, true);
}

/* ---- several positions ------------------------------------------------- */

/* Each operation depends on the one before, and lies in another segment. */
static void test_positions_in_order(void **state)
{
	struct memfs m;
	struct test_rng rng = test_rng(1);
	ka_ino_t ino = 0;
	char from[16], to[16], *before;
	int i;

	(void)state;
	fixed_cpus = 4;
	memfs_make(&m, 32 << 20);
	assert_int_equal(m.fs->log.writers, 2);
	for (i = 0; i < 600; i++) {
		fixed_cpu = (int)test_below(&rng, 2);
		snprintf(to, sizeof(to), "name%d", i);
		if (!ino)
			ino = memfs_file(m.fs, KA_ROOT_INO, to);
		else
			assert_ok(ka_rename(m.fs, KA_ROOT_INO, from, KA_ROOT_INO, to, 0));
		fixed_cpu = (int)test_below(&rng, 2);
		memfs_write_pattern(m.fs, ino, 0, 5000, i);
		strcpy(from, to);
		if (i % 50 == 49) {
			before = memfs_dump(m.fs);
			memfs_crash(&m);
			expect_sound(&m);
			expect_dump(&m, before);
			assert_true(memfs_has_pattern(m.fs, ino, 0, 5000, i));
			free(before);
		}
	}
	fixed_cpus = 1;
	fixed_cpu = 0;
	memfs_release(&m);
}

/* Two were being written when the power failed: both are torn, neither is damage. */
static void test_both_torn(void **state)
{
	uint64_t addr[2];
	char *before;
	struct memfs m;
	ka_ino_t ino[2];
	int i;

	(void)state;
	fixed_cpus = 2;
	memfs_make(&m, 32 << 20);
	for (i = 0; i < 2; i++) {
		fixed_cpu = i;
		ino[i] = memfs_file(m.fs, KA_ROOT_INO, i ? "one" : "zero");
	}
	before = memfs_dump(m.fs);
	for (i = 0; i < 2; i++) {
		fixed_cpu = i;
		addr[i] = next_addr(&m, i);
		memfs_write_pattern(m.fs, ino[i], 0, 100, 1);
	}
	memfs_abandon(&m);
	m.mem[addr[0] + 60] ^= 1;
	m.mem[addr[1] + 90] ^= 1;
	memfs_open(&m);
	expect_sound(&m);
	expect_dump(&m, before);
	assert_int_equal(status(&m).super.torn, 2);
	fixed_cpus = 1;
	fixed_cpu = 0;
	free(before);
	memfs_release(&m);
}

/* Another machine, fewer or more processors, clean or not. */
static void test_other_processors(void **state)
{
	static const int cpus[] = {2, 1, 8, 1, 2};
	struct memfs m;
	char name[16], *before;
	size_t i, j;

	(void)state;
	fixed_cpus = 8;
	memfs_make(&m, 32 << 20);
	for (i = 0; i < 20; i++) {
		for (j = 0; j < 8; j++) {
			fixed_cpu = (int)j;
			snprintf(name, sizeof(name), "f%zu.%zu", i, j);
			memfs_write_pattern(m.fs, memfs_file(m.fs, KA_ROOT_INO, name), 0, 9000, j);
		}
		fixed_cpus = cpus[i % KA_ARRAY_SIZE(cpus)];
		before = memfs_dump(m.fs);
		if (i % 3)
			memfs_crash(&m);
		else
			memfs_remount(&m);
		expect_sound(&m);
		expect_dump(&m, before);
		free(before);
	}
	fixed_cpus = 1;
	fixed_cpu = 0;
	memfs_release(&m);
}

/* ---- bookkeeping ------------------------------------------------------- */

/* Nothing is lost by crashing over and over: not even space. */
static void test_many_crashes(void **state)
{
	struct memfs m;
	ka_ino_t ino;
	uint64_t i, unused = 0;

	(void)state;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	for (i = 0; i < 100; i++) {
		memfs_write_pattern(m.fs, ino, 0, 100, i);
		memfs_crash(&m);
		expect_sound(&m);
		assert_int_equal(status(&m).super.mounts, i + 2);
		if (i == 5)
			unused = m.fs->segs.free;
		if (i > 5)
			assert_int_equal(m.fs->segs.free, unused);
	}
	assert_true(memfs_has_pattern(m.fs, ino, 0, 100, 99));
	memfs_release(&m);
}

static void test_numbers(void **state)
{
	struct memfs m;
	int64_t before;
	char name[16];
	int i;

	(void)state;
	memfs_make(&m, BYTES);
	assert_int_equal(status(&m).super.unclean_ns, 0);
	for (i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "%d", i);
		memfs_file(m.fs, KA_ROOT_INO, name);
	}
	before = fixed_now_ns;
	memfs_crash(&m);
	assert_true(test_messages_have(&m.msgs, "7 records replayed, 0 torn, 0 lost, 0 orphans"));
	assert_int_equal(status(&m).super.recovered, 7);
	assert_int_equal(status(&m).super.torn, 0);
	assert_int_equal(status(&m).super.lost, 0);
	assert_true(status(&m).super.unclean_ns > before);
	assert_int_equal(status(&m).log_records, 0); /* a fresh checkpoint */
	memfs_remount(&m);
	assert_int_equal(status(&m).super.recovered, 7); /* the last recovery's */
	memfs_release(&m);
}

/* An inode without a name is gone, one that got a name again is not. */
static void test_orphans(void **state)
{
	struct ka_new new = {.mode = S_IFREG | 0600};
	struct ka_file *file;
	struct ka_attr a, b;
	struct memfs m;
	ka_ino_t ino;

	(void)state;
	memfs_make(&m, BYTES);
	assert_ok(ka_create(m.fs, &new, &a));
	assert_ok(ka_create(m.fs, &new, &b));
	memfs_write_pattern(m.fs, a.ino, 0, 1000, 1);
	memfs_write_pattern(m.fs, b.ino, 0, 1000, 2);
	assert_ok(memfs_link(m.fs, b.ino, KA_ROOT_INO, "named"));
	ino = memfs_file(m.fs, KA_ROOT_INO, "open");
	memfs_write_pattern(m.fs, ino, 0, 1000, 3);
	assert_ok(ka_open(m.fs, ino, &file));
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "open"));
	assert_true(memfs_has_pattern(m.fs, ino, 0, 1000, 3));
	memfs_crash(&m);
	free(file);
	expect_sound(&m);
	assert_true(test_messages_have(&m.msgs, "2 orphans dropped"));
	assert_int_equal(status(&m).files, 2);
	assert_err(ka_getattr(m.fs, a.ino, &a), -ESTALE);
	assert_err(ka_getattr(m.fs, ino, &a), -ESTALE);
	assert_true(memfs_has_pattern(m.fs, b.ino, 0, 1000, 2));
	/* Their numbers are not given out again. */
	assert_true(memfs_file(m.fs, KA_ROOT_INO, "new") > ino);
	memfs_release(&m);
}

/* Looking does not touch: an unclean region mounted read-only. */
static void test_read_only(void **state)
{
	struct memfs m;
	char *before;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_write_pattern(m.fs, memfs_file(m.fs, KA_ROOT_INO, "file"), 0, 5000, 1);
	memfs_remount(&m);
	memfs_write_pattern(m.fs, memfs_file(m.fs, KA_ROOT_INO, "more"), 0, 5000, 2);
	before = memfs_dump(m.fs);
	memfs_abandon(&m);
	m.opts.rdonly = true;
	expect_untouched(&m);
	memfs_open(&m);
	expect_dump(&m, before);
	assert_err(ka_unlink(m.fs, KA_ROOT_INO, "file"), -EROFS);
	assert_err(ka_fs_checkpoint(m.fs), -EROFS);
	assert_int_equal(status(&m).super.state, KA_STATE_MOUNTED);
	memfs_close(&m);
	m.opts.rdonly = false;
	memfs_open(&m);
	expect_sound(&m);
	expect_dump(&m, before);
	free(before);
	memfs_release(&m);
}

/* The older checkpoint and all the log behind it lead to the same state. */
static void test_from_older_checkpoint(void **state)
{
	struct ka_recovery rec;
	struct memfs m;
	struct ka_fs *fs;
	char name[16], *want, *got;
	int i;

	(void)state;
	memfs_make(&m, 16 << 20);
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "%d", i);
		memfs_file(m.fs, KA_ROOT_INO, name);
	}
	assert_ok(ka_fs_checkpoint(m.fs));
	for (i = 0; i < 490; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (i % 2)
			memfs_write_pattern(m.fs, memfs_lookup(m.fs, KA_ROOT_INO, name), 0, 3000,
					    i);
		else
			assert_ok(ka_unlink(m.fs, KA_ROOT_INO, name));
	}
	assert_ok(ka_fs_checkpoint(m.fs));
	memfs_file(m.fs, KA_ROOT_INO, "newest");
	want = memfs_dump(m.fs);
	memfs_abandon(&m);
	for (i = 0; i < 2; i++) {
		test_messages_clear(&m.msgs);
		assert_ok(ka_fs_load(m.rg, &m.opts, 1, &rec, &fs));
		assert_int_equal(rec.lost, 0);
		got = memfs_dump(fs);
		assert_string_equal(got, want);
		ka_fs_abandon(fs);
		free(got);
		memfs_open(&m); /* and the same after a clean stop */
		memfs_close(&m);
	}
	free(want);
	memfs_release(&m);
}

/*
 * What the older checkpoint needs is not given away: neither its own segments
 * nor any of the log behind it, however dead that is by now.
 */
static void test_older_checkpoint_after_churn(void **state)
{
	struct ka_recovery rec;
	struct memfs m;
	struct ka_fs *fs;
	ka_ino_t ino;
	char *want, *got;
	int i, round;

	(void)state;
	memfs_make(&m, 16 << 20);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	assert_ok(ka_fs_checkpoint(m.fs));
	for (round = 0; round < 8; round++) {
		for (i = 0; i < 20; i++) /* five segments, all but the last bytes dead */
			memfs_write_pattern(m.fs, ino, (uint64_t)(i % 3) * 1000, 60000, round + i);
		if (round % 2)
			memfs_link(m.fs, ino, KA_ROOT_INO, (char[]){(char)('a' + round), 0});
		want = memfs_dump(m.fs);
		memfs_abandon(&m);
		assert_ok(ka_fs_load(m.rg, &m.opts, 1, &rec, &fs));
		assert_int_equal(rec.lost, 0);
		got = memfs_dump(fs);
		assert_string_equal(got, want);
		ka_fs_abandon(fs);
		free(got);
		free(want);
		memfs_open(&m);
		expect_sound(&m);
		for (i = 0; i < 20; i++)
			memfs_write_pattern(m.fs, ino, (uint64_t)(i % 3) * 1000, 60000, round + i);
		assert_ok(ka_fs_checkpoint(m.fs));
	}
	memfs_release(&m);
}

/* The older checkpoint may be the larger one. */
static void test_older_checkpoint_larger(void **state)
{
	struct ka_recovery rec;
	struct memfs m;
	struct ka_fs *fs;
	char name[16], *want, *got;
	int i;

	(void)state;
	memfs_make(&m, 16 << 20);
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		memfs_file(m.fs, KA_ROOT_INO, name);
	}
	assert_ok(ka_fs_checkpoint(m.fs));
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_ok(ka_unlink(m.fs, KA_ROOT_INO, name));
	}
	assert_ok(ka_fs_checkpoint(m.fs));
	want = memfs_dump(m.fs);
	memfs_abandon(&m);
	assert_ok(ka_fs_load(m.rg, &m.opts, 1, &rec, &fs));
	got = memfs_dump(fs);
	assert_string_equal(got, want);
	ka_fs_abandon(fs);
	free(want);
	free(got);
	memfs_release(&m);
}

/* ---- records that do not fit ------------------------------------------- */

/* Puts a record into the log that no operation would, and lets it be replayed. */
static void append(struct memfs *m, struct ka_rec_disk *head)
{
	struct ka_slot slot;

	assert_ok(ka_log_begin(&m->fs->log, ka_get32(head->bytes), KA_SPACE_NORMAL, &slot));
	ka_log_put(&m->fs->log, &slot, head, NULL);
}

static void append_create(struct memfs *m, uint64_t parent, uint64_t cookie, uint64_t ino,
			  uint32_t mode, const char *name)
{
	union {
		struct ka_rec_create_disk rec;
		uint8_t bytes[512];
	} head = {.rec.parent = ka_put64(parent),
		  .rec.cookie = ka_put64(cookie),
		  .rec.ino = ka_put64(ino),
		  .rec.mode = ka_put32(mode),
		  .rec.name_bytes = ka_put16((uint16_t)strlen(name))};

	memcpy(head.rec.data, name, strlen(name));
	ka_record_init(&head.rec.h, KA_REC_CREATE, 0, sizeof(head.rec) + strlen(name), 0, 1);
	append(m, &head.rec.h);
}

static void append_name(struct memfs *m, enum ka_record_type type, uint64_t parent, uint64_t cookie,
			uint64_t ino, const char *name)
{
	union {
		struct ka_rec_name_disk rec;
		uint8_t bytes[512];
	} head = {.rec.parent = ka_put64(parent),
		  .rec.cookie = ka_put64(cookie),
		  .rec.ino = ka_put64(ino),
		  .rec.name_bytes = ka_put16((uint16_t)strlen(name))};

	memcpy(head.rec.name, name, strlen(name));
	ka_record_init(&head.rec.h, type, 0, sizeof(head.rec) + strlen(name), 0, 1);
	append(m, &head.rec.h);
}

static void append_setattr(struct memfs *m, uint64_t ino, uint32_t valid)
{
	struct ka_rec_setattr_disk rec = {.ino = ka_put64(ino), .valid = ka_put32(valid)};

	ka_record_init(&rec.h, KA_REC_SETATTR, 0, sizeof(rec), 0, 1);
	append(m, &rec.h);
}

static void append_clone(struct memfs *m, uint64_t from, uint64_t from_off, uint64_t ino,
			 uint64_t off, uint64_t len)
{
	struct ka_rec_clone_disk rec = {
		.from_ino = ka_put64(from),
		.from_off = ka_put64(from_off),
		.ino = ka_put64(ino),
		.off = ka_put64(off),
		.len = ka_put64(len),
	};

	ka_record_init(&rec.h, KA_REC_CLONE, 0, sizeof(rec), 0, 1);
	append(m, &rec.h);
}

/* What hangs on a directory that is lost is not told of one by one. */
static void test_many_misfits(void **state)
{
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	for (i = 0; i < 500; i++)
		append_create(&m, 99, 5 + i, 6 + i, S_IFREG, "new");
	memfs_abandon(&m);
	test_messages_clear(&m.msgs);
	memfs_open(&m);
	assert_true(m.fs->rdonly);
	assert_int_equal(status(&m).super.lost, 500);
	assert_true(m.msgs.errors >= 20 && m.msgs.errors < 30);
	assert_true(test_messages_have(&m.msgs, "480 more records like these"));
	memfs_release(&m);
}

/* Each doubles what there is: a hundred of them would not fit into any memory. */
static void test_clones_without_end(void **state)
{
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	assert_int_equal(memfs_file(m.fs, KA_ROOT_INO, "file"), 2);
	memfs_write(m.fs, 2, 0, "x", 1);
	for (i = 0; i < 22; i++)
		append_clone(&m, 2, 0, 2, 1ull << i, 1ull << i);
	memfs_abandon(&m);
	memfs_open(&m);
	assert_true(m.fs->rdonly);
	assert_true(test_messages_have(&m.msgs, "makes too many extents"));
	assert_true(atomic_load(&m.fs->index.extents.count) <= BYTES / 8);
	memfs_release(&m);
}

static void append_space(struct memfs *m, uint64_t ino)
{
	struct ka_rec_space_disk rec = {
		.ino = ka_put64(ino),
		.len = ka_put64(1),
		.what = ka_put32(KA_SPACE_ALLOC),
	};

	ka_record_init(&rec.h, KA_REC_SPACE, 0, sizeof(rec), 0, 1);
	append(m, &rec.h);
}

static void append_rename(struct memfs *m, uint64_t from, uint64_t from_cookie, const char *name,
			  uint64_t to, uint64_t to_cookie, const char *new_name, uint64_t ino,
			  uint64_t other, unsigned flags)
{
	union {
		struct ka_rec_rename_disk rec;
		uint8_t bytes[512];
	} head = {.rec.from_parent = ka_put64(from),
		  .rec.from_cookie = ka_put64(from_cookie),
		  .rec.to_parent = ka_put64(to),
		  .rec.to_cookie = ka_put64(to_cookie),
		  .rec.ino = ka_put64(ino),
		  .rec.other_ino = ka_put64(other),
		  .rec.from_bytes = ka_put16((uint16_t)strlen(name)),
		  .rec.to_bytes = ka_put16((uint16_t)strlen(new_name))};

	memcpy(head.rec.names, name, strlen(name));
	memcpy(head.rec.names + strlen(name), new_name, strlen(new_name));
	ka_record_init(&head.rec.h, KA_REC_RENAME, flags,
		       sizeof(head.rec) + strlen(name) + strlen(new_name), 0, 1);
	append(m, &head.rec.h);
}

static void append_xattr_remove(struct memfs *m, uint64_t ino)
{
	union {
		struct ka_rec_xattr_disk rec;
		uint8_t bytes[96];
	} head = {.rec.ino = ka_put64(ino), .rec.name_bytes = ka_put16(6)};

	memcpy(head.rec.data, "user.x", 6);
	ka_record_init(&head.rec.h, KA_REC_XATTR, KA_XATTR_REMOVE, sizeof(head.rec) + 6, 0, 1);
	append(m, &head.rec.h);
}

static void append_ckpt_link(struct memfs *m)
{
	struct ka_rec_ckpt_link_disk rec = {.next_segment = ka_put64(1)};

	ka_record_init(&rec.h, KA_REC_CKPT_LINK, 0, sizeof(rec), 0, 1);
	append(m, &rec.h);
}

/*
 * Every one of them is refused by name, changes nothing, and makes the mount
 * read-only. Inodes: 2 a directory "dir" (cookie 3), 3 a file "file" (4) of
 * 10000 bytes, 4 a directory "dir/sub" (3), 5 a file "dir/sub/deep" (3).
 */
static void test_misfits(void **state)
{
	const char *text = NULL;
	unsigned which;
	struct memfs m;
	char *before;

	(void)state;
	for (which = 0; which < 32; which++) {
		memfs_make(&m, BYTES);
		assert_int_equal(memfs_dir(m.fs, KA_ROOT_INO, "dir"), 2);
		assert_int_equal(memfs_file(m.fs, KA_ROOT_INO, "file"), 3);
		assert_int_equal(memfs_dir(m.fs, 2, "sub"), 4);
		assert_int_equal(memfs_file(m.fs, 4, "deep"), 5);
		memfs_write_pattern(m.fs, 3, 0, 10000, 1);
		before = memfs_dump(m.fs);
		switch (which) {
		case 0:
			append_create(&m, 1, 5, 3, S_IFREG, "new"); /* that number is taken */
			text = "names an inode that does not exist";
			break;
		case 1:
			append_create(&m, 1, 5, 6, S_IFREG, "file");
			text = "does not fit the directory";
			break;
		case 2:
			append_create(&m, 1, 4, 6, S_IFREG, "new"); /* an old cookie */
			break;
		case 3:
			append_create(&m, 99, 5, 6, S_IFREG, "new");
			break;
		case 4:
			append_create(&m, 3, 5, 6, S_IFREG, "new"); /* in a file */
			break;
		case 5:
			append_create(&m, 1, 5, 6, S_IFLNK, "new"); /* to nowhere */
			text = "does not fit the type";
			break;
		case 6:
			append_create(&m, 1, 5, 6, 0644, "new");
			break;
		case 7:
			append_create(&m, 0, 0, 6, S_IFDIR, ""); /* nameless directory */
			break;
		case 8:
			append_name(&m, KA_REC_LINK, 1, 5, 2, "new"); /* of a directory */
			break;
		case 9:
			append_name(&m, KA_REC_LINK, 1, 5, 99, "new");
			text = "names an inode that does not exist";
			break;
		case 10:
			append_name(&m, KA_REC_LINK, 1, 5, 3, "dir");
			text = "does not fit the directory";
			break;
		case 11:
			append_name(&m, KA_REC_LINK, 1, 2, 3, "new");
			break;
		case 12:
			append_name(&m, KA_REC_REMOVE, 1, 4, 3, "none");
			break;
		case 13:
			append_name(&m, KA_REC_REMOVE, 1, 3, 3, "file"); /* not its cookie */
			break;
		case 14:
			append_name(&m, KA_REC_REMOVE, 1, 4, 5, "file"); /* not its inode */
			break;
		case 15:
			append_name(&m, KA_REC_REMOVE, 1, 3, 2, "dir"); /* not empty */
			break;
		case 16:
			append_rename(&m, 1, 3, "dir", 4, 4, "loop", 2, 0, 0);
			break;
		case 17:
			append_rename(&m, 1, 4, "file", 4, 3, "deep", 3, 0, 0);
			break;
		case 18:
			append_rename(&m, 1, 4, "file", 1, 3, "dir", 3, 2, 0);
			break;
		case 19:
			append_rename(&m, 1, 4, "file", 1, 4, "file", 3, 3, 0);
			break;
		case 20:
			append_rename(&m, 1, 3, "dir", 2, 3, "sub", 2, 4, KA_RENAME_EXCHANGE);
			break;
		case 21:
			append_rename(&m, 1, 4, "file", 1, 2, "new", 3, 0, 0);
			break;
		case 22:
			append_rename(&m, 99, 4, "file", 1, 5, "new", 3, 0, 0);
			break;
		case 23:
			append_setattr(&m, 99, KA_SET_UID);
			text = "names an inode that does not exist";
			break;
		case 24:
			append_setattr(&m, 2, KA_SET_SIZE);
			text = "does not fit the type";
			break;
		case 25:
			append_space(&m, 2);
			break;
		case 26:
			append_clone(&m, 3, 0, 2, 0, 10);
			break;
		case 27:
			append_clone(&m, 3, 9999, 5, 0, 2); /* beyond the end */
			text = "does not fit the file";
			break;
		case 28:
			append_clone(&m, 3, 0, 3, 5, 10); /* onto itself */
			break;
		case 29:
			append_xattr_remove(&m, 3);
			text = "does not fit the directory"; /* no text of its own */
			break;
		case 30:
			append_ckpt_link(&m);
			text = "unknown record type";
			break;
		default:
			append_setattr(&m, KA_NUMBER_LIMIT - 2, 0);
			text = "names an inode that does not exist";
		}
		memfs_abandon(&m);
		m.opts.rdonly = true;
		memfs_open(&m);
		if (!status(&m).damaged || !test_messages_have(&m.msgs, text))
			print_error("case %u: %s", which, m.msgs.text ?: "nothing is said");
		assert_true(status(&m).damaged);
		memfs_close(&m);
		m.opts.rdonly = false;
		expect_untouched(&m);
		test_messages_clear(&m.msgs);
		memfs_open(&m);
		expect_damaged(&m);
		assert_true(test_messages_have(&m.msgs, text));
		assert_int_equal(status(&m).super.lost, 1);
		expect_dump(&m, before);
		free(before);
		memfs_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn_head),
		cmocka_unit_test(test_torn_payload),
		cmocka_unit_test(test_older_use_of_segment),
		cmocka_unit_test(test_damaged_head),
		cmocka_unit_test(test_damaged_payload),
		cmocka_unit_test(test_damaged_end_of_segment),
		cmocka_unit_test(test_missing_header),
		cmocka_unit_test(test_missing_segment),
		cmocka_unit_test(test_missing_open_segment),
		cmocka_unit_test(test_stale_record_torn_header),
		cmocka_unit_test(test_stale_segment_torn_head),
		cmocka_unit_test(test_stale_segment_torn_payload),
		cmocka_unit_test(test_reused_by_log),
		cmocka_unit_test(test_reused_by_checkpoint),
		cmocka_unit_test(test_reused_by_checkpoint_torn),
		cmocka_unit_test(test_positions_in_order),
		cmocka_unit_test(test_both_torn),
		cmocka_unit_test(test_other_processors),
		cmocka_unit_test(test_many_crashes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_from_older_checkpoint),
		cmocka_unit_test(test_older_checkpoint_after_churn),
		cmocka_unit_test(test_older_checkpoint_larger),
		cmocka_unit_test(test_misfits),
		cmocka_unit_test(test_many_misfits),
		cmocka_unit_test(test_clones_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

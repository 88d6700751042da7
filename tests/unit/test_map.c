/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_map.c - where the bytes of a file lie and which are whole: what is needed
 * to save files on a bad day.
 */
#include "test.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "memfs.h"

#define PIECE 16384u

static ka_ino_t start(struct memfs *m)
{
	memfs_make(m, KA_CAPACITY_MIN);
	return memfs_file(m->fs, KA_ROOT_INO, "file");
}

/* One run, as it has to be; returns where it ends. */
static uint64_t expect(struct memfs *m, ka_ino_t ino, uint64_t from, uint64_t off, uint64_t len,
		       int err)
{
	struct ka_run run;

	assert_ok(ka_map(m->fs, ino, from, &run));
	assert_int_equal(run.off, off);
	assert_int_equal(run.len, len);
	assert_err(run.err, err);
	return off + len;
}

static uint64_t addr_of(struct memfs *m, ka_ino_t ino, uint64_t off)
{
	struct ka_run run;

	assert_ok(ka_map(m->fs, ino, off, &run));
	assert_int_equal(run.off, off);
	assert_int_not_equal(run.addr, 0);
	return run.addr;
}

static void test_whole(void **state)
{
	uint8_t want[5000];
	struct ka_run run;
	struct memfs m;
	ka_ino_t ino = start(&m);

	(void)state;
	assert_err(ka_map(m.fs, ino, 0, &run), -ENXIO);
	memfs_write_pattern(m.fs, ino, 100000, 5000, 1);
	memfs_write_pattern(m.fs, ino, 200000, 50000, 1);
	assert_ok(memfs_fallocate(m.fs, ino, FALLOC_FL_KEEP_SIZE, 300000, 7000));
	expect(&m, ino, 0, 100000, 5000, 0);
	expect(&m, ino, 101000, 101000, 4000, 0);
	expect(&m, ino, 105000, 200000, 50000, 0);
	assert_ok(ka_map(m.fs, ino, 100000, &run));
	memfs_pattern(want, sizeof(want), 1, 100000);
	assert_memory_equal(ka_region_at(m.rg, run.addr, run.len), want, sizeof(want));
	assert_true(run.record < run.addr && run.seq > 0);
	assert_ok(ka_map(m.fs, ino, 250000, &run));
	assert_true(run.off == 300000 && run.len == 7000 && !run.addr && !run.record && !run.err);
	assert_err(ka_map(m.fs, ino, 307000, &run), -ENXIO);
	assert_err(ka_map(m.fs, KA_ROOT_INO, 0, &run), -EINVAL);
	assert_err(ka_map(m.fs, 999, 0, &run), -ESTALE);
	memfs_release(&m);
}

static void test_damaged_piece(void **state)
{
	struct memfs m;
	ka_ino_t ino = start(&m);
	uint64_t at;

	(void)state;
	memfs_write_pattern(m.fs, ino, 0, 100000, 1);
	at = addr_of(&m, ino, 0);
	m.mem[at + PIECE + 5] ^= 1;
	m.mem[at + 3 * PIECE] ^= 1;
	m.mem[at + 5 * PIECE - 1] ^= 1;
	at = expect(&m, ino, 0, 0, PIECE, 0);
	at = expect(&m, ino, at, PIECE, PIECE, -KA_ERR_PAYLOAD_CSUM);
	at = expect(&m, ino, at, 2 * PIECE, PIECE, 0);
	at = expect(&m, ino, at, 3 * PIECE, 2 * PIECE, -KA_ERR_PAYLOAD_CSUM);
	at = expect(&m, ino, at, 5 * PIECE, 100000 - 5 * PIECE, 0);
	expect(&m, ino, PIECE + 10, PIECE + 10, PIECE - 10, -KA_ERR_PAYLOAD_CSUM);
	assert_int_equal(at, 100000);
	memfs_release(&m);
}

/* What was cut at both ends: pieces are those of the record, not of the file. */
static void test_damaged_rest(void **state)
{
	struct memfs m;
	ka_ino_t ino = start(&m);
	uint64_t at;

	(void)state;
	memfs_write_pattern(m.fs, ino, 1000, 60000, 1);
	at = addr_of(&m, ino, 1000);
	memfs_write_pattern(m.fs, ino, 10000, 20000, 2);
	m.mem[at + PIECE] ^= 1; /* dead, but under one checksum with what lives behind */
	expect(&m, ino, 0, 1000, 9000, 0);
	expect(&m, ino, 10000, 10000, 20000, 0);
	expect(&m, ino, 30000, 30000, 1000 + 2 * PIECE - 30000, -KA_ERR_PAYLOAD_CSUM);
	expect(&m, ino, 1000 + 2 * PIECE, 1000 + 2 * PIECE, 60000 - 2 * PIECE, 0);
	memfs_release(&m);
}

static void test_damaged_record(void **state)
{
	struct memfs m;
	ka_ino_t ino = start(&m);
	struct ka_run run;

	(void)state;
	memfs_write_pattern(m.fs, ino, 0, 50000, 1);
	memfs_write_pattern(m.fs, ino, 50000, 50000, 1);
	assert_ok(ka_map(m.fs, ino, 0, &run));
	m.mem[run.record + 20] ^= 1;
	expect(&m, ino, 0, 0, 50000, -KA_ERR_EXTENT_RECORD);
	expect(&m, ino, 50000, 50000, 50000, 0);
	memfs_release(&m);
}

static void test_uses_segment(void **state)
{
	struct memfs m;
	ka_ino_t ino = start(&m);
	uint64_t i, used = 0;

	(void)state;
	memfs_write_pattern(m.fs, ino, 0, 30000, 1);
	assert_true(ka_fs_uses_segment(m.fs, 0));
	assert_true(ka_fs_uses_segment(m.fs, addr_of(&m, ino, 0) / m.fs->segs.bytes));
	assert_false(ka_fs_uses_segment(m.fs, m.fs->segs.count));
	for (i = 0; i < m.fs->segs.count; i++)
		used += ka_fs_uses_segment(m.fs, i);
	assert_int_equal(used, m.fs->segs.count - atomic_load(&m.fs->segs.free));
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	     cmocka_unit_test(test_damaged_piece),
		cmocka_unit_test(test_damaged_rest), cmocka_unit_test(test_damaged_record),
		cmocka_unit_test(test_uses_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

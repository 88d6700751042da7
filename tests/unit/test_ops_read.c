/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_ops_read.c - reading: what is handed out, and that wrong bytes never are.
 */
#include "test.h"

#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "memfs.h"

#define BYTES (16ull << 20)
#define PIECE 16384u /* bytes under one checksum; log.c has the number */

struct world {
	struct memfs m;
	ka_ino_t ino;
	struct ka_file *file;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	memfs_make(&w->m, BYTES);
	w->ino = memfs_file(w->m.fs, KA_ROOT_INO, "file");
	assert_ok(ka_open(w->m.fs, w->ino, &w->file));
}

static void world_release(struct world *w)
{
	ka_close(w->m.fs, w->file);
	memfs_release(&w->m);
}

static void remount(struct world *w)
{
	ka_close(w->m.fs, w->file);
	memfs_remount(&w->m);
	assert_ok(ka_open(w->m.fs, w->ino, &w->file));
}

/* Where byte off of the file lies in memory. */
static uint8_t *byte_of(const struct world *w, uint64_t off)
{
	const struct ka_extent *e = ka_extents_find(&w->file->inode->extents, off);

	assert_true(e && e->addr && e->off <= off);
	return w->m.mem + e->addr + (off - e->off);
}

static int read_error(struct world *w, uint64_t off, size_t size)
{
	struct ka_read rd;
	int err = ka_read_begin(w->m.fs, w->file, off, size, &rd);

	if (!err)
		ka_read_end(w->m.fs, &rd);
	return err;
}

/* ---- what is handed out ------------------------------------------------ */

static void test_pointers(void **state)
{
	struct ka_read rd;
	struct world w;

	(void)state;
	world_init(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 100000, 1);
	assert_ok(ka_read_begin(w.m.fs, w.file, 1000, 2000, &rd));
	assert_int_equal(rd.size, 2000);
	assert_int_equal(rd.count, 1);
	assert_ptr_equal(rd.iov[0].iov_base, byte_of(&w, 1000)); /* no copy */
	assert_int_equal(rd.iov[0].iov_len, 2000);
	assert_null(rd.staging);
	ka_read_end(w.m.fs, &rd);
	world_release(&w);
}

static void test_end_of_file(void **state)
{
	static const struct {
		uint64_t off;
		size_t size;
		size_t got;
	} cases[] = {
		{0, 0, 0},
		{0, 1000, 1000},
		{0, 1001, 1000},
		{0, SIZE_MAX / 2, 1000},
		{999, 1, 1},
		{999, 2, 1},
		{1000, 1, 0},
		{1001, 1, 0},
		{UINT64_MAX, 10, 0},
		{500, 0, 0},
		{KA_FILE_MAX, 100, 0},
	};
	struct ka_read rd;
	struct world w;
	size_t i;

	(void)state;
	world_init(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 1000, 1);
	for (i = 0; i < KA_ARRAY_SIZE(cases); i++) {
		assert_ok(ka_read_begin(w.m.fs, w.file, cases[i].off, cases[i].size, &rd));
		assert_int_equal(rd.size, cases[i].got);
		assert_int_equal(rd.count, cases[i].got ? 1 : 0);
		ka_read_end(w.m.fs, &rd);
	}
	world_release(&w);
}

static void test_holes(void **state)
{
	uint8_t *buf = malloc(4 << 20), *want = calloc(1, 4 << 20);
	struct world w;
	size_t len;

	(void)state;
	assert_true(buf && want);
	world_init(&w);
	memfs_write_pattern(w.m.fs, w.ino, 100000, 5000, 1);
	memfs_pattern(want + 100000, 5000, 1, 100000);
	assert_ok(memfs_fallocate(w.m.fs, w.ino, 0, 50000, 10000)); /* unwritten */
	assert_ok(memfs_truncate(w.m.fs, w.ino, 3 << 20));	    /* a hole of 3 MiB */
	assert_ok(memfs_read(w.m.fs, w.ino, 0, buf, 4 << 20, &len));
	assert_int_equal(len, 3 << 20);
	assert_memory_equal(buf, want, 3 << 20);
	assert_ok(memfs_read(w.m.fs, w.ino, 99990, buf, 20, &len));
	assert_memory_equal(buf, want + 99990, 20);
	free(buf);
	free(want);
	world_release(&w);
}

/* More extents than there is room for pointers: copied together. */
static void test_scattered(void **state)
{
	static uint8_t buf[20000], want[20000];
	struct ka_read rd;
	struct world w;
	size_t len, n;

	(void)state;
	world_init(&w);
	for (n = 0; n < 1000; n++) {
		memfs_write_pattern(w.m.fs, w.ino, n * 20, 10, n);
		memfs_pattern(want + n * 20, 10, n, n * 20);
	}
	for (n = 1; n < 130; n++) {
		assert_ok(ka_read_begin(w.m.fs, w.file, 0, n * 10, &rd));
		assert_int_equal(rd.staging != NULL, n > KA_READ_IOVS);
		assert_int_equal(rd.count, n > KA_READ_IOVS ? 1 : n);
		ka_read_end(w.m.fs, &rd);
		assert_ok(memfs_read(w.m.fs, w.ino, 3, buf, n * 10, &len));
		assert_memory_equal(buf, want + 3, n * 10);
	}
	assert_ok(memfs_read(w.m.fs, w.ino, 0, buf, sizeof(buf), &len));
	assert_memory_equal(buf, want, len);
	world_release(&w);
}

/* ---- verify= ----------------------------------------------------------- */

static void test_verify_never(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 50000, 1);
	w.m.opts.verify = KA_VERIFY_NEVER;
	remount(&w);
	*byte_of(&w, 100) ^= 1;
	assert_ok(read_error(&w, 0, 50000));
	assert_err(ka_check_file(w.m.fs, w.ino), -KA_ERR_PAYLOAD_CSUM); /* asked for */
	world_release(&w);
}

static void test_verify_always(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	w.m.opts.verify = KA_VERIFY_ALWAYS;
	remount(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 50000, 1);
	assert_ok(read_error(&w, 0, 50000));
	*byte_of(&w, 100) ^= 1; /* after it was written and read */
	assert_err(read_error(&w, 0, 50000), -KA_ERR_PAYLOAD_CSUM);
	assert_int_equal(ka_errno(-KA_ERR_PAYLOAD_CSUM), EIO);
	*byte_of(&w, 100) ^= 1;
	assert_ok(read_error(&w, 0, 50000));
	world_release(&w);
}

/* Once after a mount: what was good then is not looked at again. */
static void test_verify_first(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 3 * PIECE, 1);
	*byte_of(&w, 100) ^= 1; /* written in this mount: believed */
	assert_ok(read_error(&w, 0, 100));
	*byte_of(&w, 100) ^= 1;
	remount(&w);
	assert_ok(read_error(&w, 0, PIECE));
	*byte_of(&w, 100) ^= 1;
	assert_ok(read_error(&w, 0, PIECE)); /* its first piece was verified */
	*byte_of(&w, PIECE) ^= 1;
	assert_ok(read_error(&w, 0, PIECE));
	assert_err(read_error(&w, PIECE, 1), -KA_ERR_PAYLOAD_CSUM); /* its second was not */
	assert_ok(read_error(&w, 2 * PIECE, PIECE));
	*byte_of(&w, PIECE) ^= 1;
	assert_ok(read_error(&w, PIECE, 1)); /* a failure is not remembered */
	*byte_of(&w, 100) ^= 1;
	remount(&w);
	*byte_of(&w, 100) ^= 1;
	assert_err(read_error(&w, 0, 1), -KA_ERR_PAYLOAD_CSUM); /* another mount */
	world_release(&w);
}

/* Reads of every size at every place around the borders of pieces. */
static void test_pieces(void **state)
{
	static const uint64_t offs[] = {0,	  1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1,
					2 * PIECE};
	struct world w;
	uint64_t bad, off, first, last;
	size_t i, j, k;

	(void)state;
	world_init(&w);
	w.m.opts.verify = KA_VERIFY_ALWAYS;
	remount(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 3 * PIECE - 100, 1);
	for (i = 0; i < KA_ARRAY_SIZE(offs); i++) {
		bad = offs[i];
		*byte_of(&w, bad) ^= 1;
		for (j = 0; j < KA_ARRAY_SIZE(offs); j++) {
			for (k = 1; k < 2 * PIECE; k += PIECE - 1) {
				off = offs[j];
				first = off / PIECE;
				last = (ka_min(off + k, 3 * PIECE - 100) - 1) / PIECE;
				assert_err(read_error(&w, off, k),
					   bad / PIECE >= first && bad / PIECE <= last
						   ? -KA_ERR_PAYLOAD_CSUM
						   : 0);
			}
		}
		*byte_of(&w, bad) ^= 1;
	}
	world_release(&w);
}

/* ---- damage ------------------------------------------------------------ */

/* Damage is told with the file and the range, and no other file suffers. */
static void test_other_files(void **state)
{
	struct world w;
	ka_ino_t other;

	(void)state;
	world_init(&w);
	other = memfs_file(w.m.fs, KA_ROOT_INO, "other");
	memfs_write_pattern(w.m.fs, w.ino, 0, 1000, 1);
	memfs_write_pattern(w.m.fs, other, 0, 1000, 2);
	memfs_write_pattern(w.m.fs, w.ino, 1000, 1000, 1);
	remount(&w);
	*byte_of(&w, 1500) ^= 0x80;
	assert_err(read_error(&w, 0, 2000), -KA_ERR_PAYLOAD_CSUM);
	assert_true(
		test_messages_have(&w.m.msgs, "bytes 1000-1999 cannot be read: payload checksum"));
	assert_true(memfs_has_pattern(w.m.fs, w.ino, 0, 1000, 1)); /* the other record of it */
	assert_true(memfs_has_pattern(w.m.fs, other, 0, 1000, 2));
	assert_ok(ka_check_file(w.m.fs, other));
	assert_err(ka_check_file(w.m.fs, w.ino), -KA_ERR_PAYLOAD_CSUM);
	/* It can be written over, and deleted. */
	memfs_write_pattern(w.m.fs, w.ino, 1000, 1000, 3);
	assert_ok(read_error(&w, 0, 2000));
	assert_ok(ka_check_file(w.m.fs, w.ino));
	world_release(&w);
}

/* The head of the record is gone: then nobody knows what the bytes should be. */
static void test_damaged_head(void **state)
{
	const struct ka_extent *e;
	struct world w;
	uint8_t *head;
	size_t i;

	(void)state;
	world_init(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 1000, 1);
	remount(&w);
	e = ka_extents_find(&w.file->inode->extents, 0);
	head = w.m.mem + e->addr - e->delta;
	for (i = 0; i < e->delta; i++) {
		head[i] ^= 0x20;
		assert_err(read_error(&w, 0, 1000), -KA_ERR_EXTENT_RECORD);
		head[i] ^= 0x20;
	}
	assert_ok(read_error(&w, 0, 1000));
	world_release(&w);
}

/* Another valid record lies where the extent's should: not taken for it. */
static void test_exchanged_records(void **state)
{
	const struct ka_extent *e, *f;
	struct world w;
	ka_ino_t other;
	uint8_t *one, *two, save[2000];
	size_t bytes;

	(void)state;
	world_init(&w);
	other = memfs_file(w.m.fs, KA_ROOT_INO, "other");
	memfs_write_pattern(w.m.fs, w.ino, 0, 1000, 1);
	memfs_write_pattern(w.m.fs, other, 0, 1000, 2);
	remount(&w);
	e = ka_extents_find(&w.file->inode->extents, 0);
	f = ka_extents_find(&ka_index_find(&w.m.fs->index, other)->extents, 0);
	bytes = e->delta + 1000;
	one = w.m.mem + e->addr - e->delta;
	two = w.m.mem + f->addr - f->delta;
	memcpy(save, one, bytes);
	memcpy(one, two, bytes);
	memcpy(two, save, bytes);
	assert_err(read_error(&w, 0, 1000), -KA_ERR_EXTENT_RECORD);
	world_release(&w);
}

/* A part of what a record brought, after the rest was overwritten or shared. */
static void test_slices(void **state)
{
	struct world w;
	ka_ino_t other;
	size_t i;

	(void)state;
	world_init(&w);
	other = memfs_file(w.m.fs, KA_ROOT_INO, "other");
	memfs_write_pattern(w.m.fs, w.ino, 0, 200000, 1);
	memfs_write_pattern(w.m.fs, w.ino, 50000, 7, 2);
	assert_ok(memfs_clone(w.m.fs, w.ino, 100001, other, 3, 60000));
	assert_ok(memfs_fallocate(w.m.fs, w.ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 90001,
				  5000));
	for (i = 0; i < 2; i++) {
		assert_true(memfs_has_pattern(w.m.fs, w.ino, 0, 50000, 1));
		assert_true(memfs_has_pattern(w.m.fs, w.ino, 50000, 7, 2));
		assert_true(memfs_has_pattern(w.m.fs, w.ino, 50007, 39994, 1));
		assert_true(memfs_has_pattern(w.m.fs, w.ino, 95001, 104999, 1));
		assert_ok(ka_check_file(w.m.fs, w.ino));
		assert_ok(ka_check_file(w.m.fs, other));
		remount(&w);
	}
	world_release(&w);
}

static void test_check_file(void **state)
{
	struct world w;
	uint64_t off;

	(void)state;
	world_init(&w);
	memfs_write_pattern(w.m.fs, w.ino, 0, 300000, 1);
	assert_ok(memfs_truncate(w.m.fs, w.ino, 1 << 20));
	for (off = 0; off < 300000; off += 29989) {
		*byte_of(&w, off) ^= 1;
		assert_err(ka_check_file(w.m.fs, w.ino), -KA_ERR_PAYLOAD_CSUM);
		*byte_of(&w, off) ^= 1;
	}
	assert_ok(ka_check_file(w.m.fs, w.ino));
	assert_err(ka_check_file(w.m.fs, 999), -ESTALE);
	assert_ok(ka_check_file(w.m.fs, KA_ROOT_INO));
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_end_of_file),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_verify_never),
		cmocka_unit_test(test_verify_always),
		cmocka_unit_test(test_verify_first),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_damaged_head),
		cmocka_unit_test(test_exchanged_records),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_check_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

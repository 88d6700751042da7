/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_lend.c - the boundary: what lending gives up and keeps, and how memory comes back. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "fs.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"
#include "memfs.h"

#define BYTES (64ull << 20) /* 64 slices of one segment of 1 MiB */
#define MIB   (1ull << 20)

static uint64_t owned(struct memfs *m)
{
	struct ka_super sb;

	assert_ok(ka_super_read(m->rg, NULL, NULL, &sb)); /* what is on media */
	assert_int_equal(sb.owned_bytes, m->fs->super.owned_bytes);
	return sb.owned_bytes;
}

/* Lends until that is refused; how it was. */
static int lend_all(struct memfs *m, struct ka_lend_stats *stats)
{
	int err;

	do {
		err = ka_lend_slice(m->fs, stats);
		memfs_check(m->fs);
	} while (!err);
	return err;
}

static void fill(struct memfs *m, const char *name, uint64_t bytes, uint64_t key)
{
	ka_ino_t ino = memfs_file(m->fs, KA_ROOT_INO, name);
	uint64_t off;

	for (off = 0; off < bytes; off += 100000)
		memfs_write_pattern(m->fs, ino, off, ka_min(100000, bytes - off), key);
}

static bool holds(struct memfs *m, const char *name, uint64_t bytes, uint64_t key)
{
	return memfs_has_pattern(m->fs, memfs_lookup(m->fs, KA_ROOT_INO, name), 0, bytes, key);
}

/* A file at the end comes to the front, as it is, and stays through a crash. */
static void test_lends(void **state)
{
	struct ka_lend_stats stats = {0};
	struct ka_lend_plan plan;
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	fill(&m, "gone", 30 * MIB, 1);
	fill(&m, "kept", 15 * MIB, 2);
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "gone"));
	ka_lend_plan(m.fs, 0, &plan);
	assert_in_range(plan.owned_bytes, 16 * MIB, 30 * MIB);
	assert_in_range(plan.move_bytes, 14 * MIB, 15 * MIB);
	assert_err(lend_all(&m, &stats), -ENOSPC);
	assert_in_range(owned(&m), 16 * MIB, plan.owned_bytes);
	assert_int_equal(stats.owned_bytes, owned(&m));
	assert_in_range(stats.moved_bytes, 14 * MIB, 20 * MIB);
	assert_true(holds(&m, "kept", 15 * MIB, 2));
	memfs_crash(&m);
	assert_int_equal(owned(&m), stats.owned_bytes);
	assert_true(holds(&m, "kept", 15 * MIB, 2));
	memfs_remount(&m);
	assert_int_equal(owned(&m), stats.owned_bytes);
	assert_true(holds(&m, "kept", 15 * MIB, 2));
	memfs_release(&m);
}

/* A crash after every slice. */
static void test_crash(void **state)
{
	struct ka_lend_stats stats = {0};
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	fill(&m, "gone", 30 * MIB, 1);
	fill(&m, "kept", 15 * MIB, 2);
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "gone"));
	for (i = 0; !ka_lend_slice(m.fs, &stats); i++) {
		memfs_crash(&m);
		assert_int_equal(owned(&m), BYTES - (i + 1) * MIB);
		assert_true(holds(&m, "kept", 15 * MIB, 2));
	}
	assert_true(i > 30);
	while (!ka_reclaim_slice(m.fs, &stats)) {
		memfs_crash(&m);
		assert_int_equal(owned(&m), stats.owned_bytes);
	}
	assert_true(holds(&m, "kept", 15 * MIB, 2));
	memfs_release(&m);
}

/* What comes back is garbage, and is used; what was written there stays through a crash. */
static void test_reclaims(void **state)
{
	struct ka_lend_stats stats = {0};
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	fill(&m, "one", 10 * MIB, 1);
	lend_all(&m, &stats);
	while (!ka_reclaim_slice(m.fs, &stats))
		memfs_check(m.fs);
	assert_int_equal(owned(&m), BYTES);
	assert_err(ka_reclaim_slice(m.fs, &stats), -KA_ERR_LEND_NONE);
	fill(&m, "two", 40 * MIB, 2);
	memfs_crash(&m);
	assert_int_equal(m.msgs.errors, 0);
	assert_true(holds(&m, "one", 10 * MIB, 1) && holds(&m, "two", 40 * MIB, 2));
	memfs_release(&m);
}

/* Growth on demand: by no more than is needed, and not at all when that is not wanted. */
static void test_grows(void **state)
{
	struct ka_lend_stats stats = {0};
	struct ka_fs_status st;
	uint64_t before;
	size_t len;
	struct memfs m;
	uint8_t buf[4096] = {0};
	ka_ino_t ino;

	(void)state;
	memfs_make(&m, BYTES);
	lend_all(&m, &stats);
	before = owned(&m);
	ka_fs_get_status(m.fs, &st);
	assert_int_equal(st.growth_bytes, BYTES - before);
	fill(&m, "ten", 10 * MIB, 1);
	assert_in_range(owned(&m), before + 9 * MIB, before + 12 * MIB);
	assert_ok(memfs_fallocate(m.fs, memfs_file(m.fs, KA_ROOT_INO, "more"), 0, 0, 30 * MIB));
	assert_in_range(owned(&m), before + 39 * MIB, BYTES);
	assert_err(memfs_fallocate(m.fs, memfs_file(m.fs, KA_ROOT_INO, "most"), 0, 0, 30 * MIB),
		   -ENOSPC);
	assert_true(holds(&m, "ten", 10 * MIB, 1));
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "more"));
	lend_all(&m, &stats);
	m.opts.reclaim_manual = true;
	memfs_remount(&m);
	before = owned(&m);
	ka_fs_get_status(m.fs, &st);
	assert_int_equal(st.growth_bytes, 0);
	ino = memfs_file(m.fs, KA_ROOT_INO, "full");
	while (!memfs_try_write(m.fs, ino, st.files++ * sizeof(buf), buf, sizeof(buf), &len))
		;
	assert_int_equal(owned(&m), before);
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "full"));
	assert_true(holds(&m, "ten", 10 * MIB, 1));
	memfs_release(&m);
}

struct busy {
	struct memfs *m;
	_Atomic bool stop;
};

static void *stay_busy(void *arg)
{
	struct busy *b = arg;

	while (!atomic_load(&b->stop))
		atomic_fetch_add(&b->m->fs->segs.freed, 1);
	return NULL;
}

/* A cleaner that frees segments all the time, and no more than it takes, is no reason not to grow. */
static void test_grows_beside(void **state)
{
	struct ka_lend_stats stats = {0};
	struct busy b = {0};
	pthread_t thread;
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	lend_all(&m, &stats);
	b.m = &m;
	assert_int_equal(pthread_create(&thread, NULL, stay_busy, &b), 0);
	fill(&m, "ten", 10 * MIB, 1);
	atomic_store(&b.stop, true);
	pthread_join(thread, NULL);
	assert_true(holds(&m, "ten", 10 * MIB, 1));
	memfs_release(&m);
}

/* Somebody has a file open that has to move, and writes to it afterwards. */
static void test_open_file(void **state)
{
	struct ka_lend_stats stats = {0};
	struct ka_file *file;
	struct memfs m;
	ka_ino_t ino;

	(void)state;
	memfs_make(&m, BYTES);
	fill(&m, "gone", 30 * MIB, 1);
	fill(&m, "held", MIB, 2);
	ino = memfs_lookup(m.fs, KA_ROOT_INO, "held");
	assert_ok(ka_open(m.fs, ino, &file));
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "held"));
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "gone"));
	assert_err(lend_all(&m, &stats), -ENOSPC);
	assert_true(owned(&m) < 16 * MIB);
	assert_true(memfs_has_pattern(m.fs, ino, 0, MIB, 2));
	memfs_write_pattern(m.fs, ino, 0, MIB / 2, 3);
	assert_true(memfs_has_pattern(m.fs, ino, 0, MIB / 2, 3));
	ka_close(m.fs, file);
	memfs_check(m.fs);
	memfs_release(&m);
}

/* Bytes that cannot be read cannot be moved: their slice stays, and everything behind is lent. */
static void test_stuck(void **state)
{
	struct ka_lend_stats stats = {0};
	const struct ka_extent *e;
	uint64_t slice;
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	fill(&m, "gone", 30 * MIB, 1);
	fill(&m, "hurt", MIB, 2);
	fill(&m, "kept", 5 * MIB, 3);
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "gone"));
	e = ka_extents_find(
		&ka_index_find(&m.fs->index, memfs_lookup(m.fs, KA_ROOT_INO, "hurt"))->extents,
		500000);
	m.mem[e->addr + (500000 - e->off)] ^= 1;
	slice = e->addr / MIB;
	assert_err(lend_all(&m, &stats), -KA_ERR_LEND_STUCK);
	assert_int_equal(owned(&m), (slice + 1) * MIB);
	assert_true(test_messages_have(&m.msgs, "/hurt"));
	assert_true(holds(&m, "kept", 5 * MIB, 3));
	memfs_file(m.fs, KA_ROOT_INO, "works"); /* the slice is in use as before */
	memfs_check(m.fs);
	memfs_release(&m);
}

/* A filesystem of a few slices in a larger region: the rest is lent from the start. */
static void test_format(void **state)
{
	struct ka_format_opts opts = {.capacity_bytes = BYTES, .owned_bytes = 10 * MIB + 1};
	struct ka_super sb;
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_abandon(&m);
	assert_ok(ka_fs_format(m.rg, &opts, NULL));
	assert_ok(ka_super_read(m.rg, NULL, NULL, &sb));
	assert_int_equal(sb.capacity_bytes, BYTES);
	assert_int_equal(sb.owned_bytes, 11 * MIB);
	memfs_open(&m);
	assert_null(ka_region_at(m.rg, 11 * MIB, 1));
	fill(&m, "grows", 40 * MIB, 1);
	memfs_crash(&m);
	assert_true(holds(&m, "grows", 40 * MIB, 1));
	memfs_release(&m);
}

static void test_refused(void **state)
{
	struct ka_lend_stats stats = {0};
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	assert_ok(ka_fs_seal(m.fs));
	assert_err(ka_lend_slice(m.fs, &stats), -EROFS);
	assert_err(ka_reclaim_slice(m.fs, &stats), -EROFS);
	assert_int_equal(owned(&m), BYTES);
	memfs_release(&m);
}

/* The boundary goes through segments, as where a region begins anywhere in a memory block. */
static void test_odd_slices(void **state)
{
	const struct ka_format_opts opts = {
		.capacity_bytes = BYTES,
		.slice_bytes = 4 * MIB,
		.first_slice_bytes = 4 * MIB + 12 * 4096,
	};
	struct ka_lend_stats stats = {0};
	const uint8_t *header;
	uint64_t was, i;
	struct memfs m;
	unsigned n;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_close(&m);
	assert_ok(ka_fs_format(m.rg, &opts, &m.msgs.sink));
	memfs_open(&m);
	fill(&m, "gone", 40 * MIB, 1); /* leaves headers everywhere */
	fill(&m, "kept", 8 * MIB, 2);
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "gone"));
	lend_all(&m, &stats);
	for (n = 0; n < 3; n++) {
		was = owned(&m);
		assert_int_not_equal(was % MIB, 0);
		assert_ok(ka_reclaim_slice(m.fs, &stats));
		header = ka_region_at(m.rg, was / MIB * MIB, sizeof(struct ka_segment_disk));
		for (i = 0; i < sizeof(struct ka_segment_disk); i++)
			assert_int_equal(header[i], 0);
		memfs_check(m.fs);
	}
	memfs_crash(&m);
	assert_true(holds(&m, "kept", 8 * MIB, 2));
	fill(&m, "more", 6 * MIB, 3);
	memfs_crash(&m);
	assert_true(holds(&m, "kept", 8 * MIB, 2));
	assert_true(holds(&m, "more", 6 * MIB, 3));
	memfs_release(&m);
}

/* What fallocate has promised is kept, however soon lending follows. */
static void test_promised(void **state)
{
	struct ka_lend_stats stats = {0};
	struct ka_lend_plan plan;
	struct memfs m;
	ka_ino_t ino;

	(void)state;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "promised");
	assert_ok(memfs_fallocate(m.fs, ino, 0, 0, 40 * MIB));
	ka_lend_plan(m.fs, 0, &plan);
	assert_in_range(plan.owned_bytes, 40 * MIB, 55 * MIB);
	memfs_remount(&m);
	assert_ok(memfs_fallocate(m.fs, ino, 0, 40 * MIB, MIB));
	assert_err(lend_all(&m, &stats), -ENOSPC);
	assert_in_range(owned(&m), 41 * MIB, 55 * MIB);
	memfs_write_pattern(m.fs, ino, 0, 41 * MIB, 3);
	assert_int_equal(owned(&m), stats.owned_bytes);
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lends),	     cmocka_unit_test(test_crash),
		cmocka_unit_test(test_reclaims),     cmocka_unit_test(test_grows),
		cmocka_unit_test(test_grows_beside), cmocka_unit_test(test_open_file),
		cmocka_unit_test(test_stuck),	     cmocka_unit_test(test_format),
		cmocka_unit_test(test_odd_slices),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

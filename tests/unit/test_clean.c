/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_clean.c - the cleaner: what it frees, what it keeps, what it leaves alone. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "keepalive/clean.h"
#include "memfs.h"

#define BYTES (64ull << 20) /* 64 segments of 1 MiB */
#define MIB   (1ull << 20)

static ka_ino_t file(struct memfs *m, unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "f%u", i);
	return memfs_lookup(m->fs, KA_ROOT_INO, name) ?: memfs_file(m->fs, KA_ROOT_INO, name);
}

static void delete (struct memfs *m, unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "f%u", i);
	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, name));
}

static struct ka_clean_stats clean_all(struct memfs *m, enum ka_clean_policy policy)
{
	struct ka_clean_stats stats = {0};
	int err;

	do {
		err = ka_clean_step(m->fs, policy, &stats);
		memfs_check(m->fs);
	} while (!err);
	assert_err(err, -ENOSPC);
	return stats;
}

/* Extents of the file. */
static uint64_t pieces(struct memfs *m, ka_ino_t ino)
{
	return ka_extents_count(&ka_index_find(&m->fs->index, ino)->extents, 0, 1ull << 40);
}

/* Live bytes in all segments, what is shared counted each time. */
static uint64_t live_bytes(struct memfs *m)
{
	uint64_t i, sum = 0;

	for (i = 1; i < m->fs->segs.count; i++)
		sum += atomic_load(&m->fs->segs.seg[i].live);
	return sum;
}

static uint64_t used_segments(struct memfs *m)
{
	return m->fs->segs.count - m->fs->segs.free;
}

#define FILES 400u
#define EACH  100000u

/* Every fourth of many files stays: a quarter of the space is enough then. */
static void make_holes(struct memfs *m)
{
	unsigned i;

	for (i = 0; i < FILES; i++)
		memfs_write_pattern(m->fs, file(m, i), 0, EACH, i);
	for (i = 0; i < FILES; i++)
		if (i % 4)
			delete (m, i);
}

static void expect_holes(struct memfs *m)
{
	unsigned i;

	for (i = 0; i < FILES; i += 4)
		assert_true(memfs_has_pattern(m->fs, file(m, i), 0, EACH, i));
}

static void test_frees(void **state)
{
	struct ka_clean_stats stats;
	struct memfs m;
	char *before, *after;

	(void)state;
	memfs_make(&m, BYTES);
	make_holes(&m);
	before = memfs_dump(m.fs);
	assert_true(used_segments(&m) > FILES * EACH / MIB);
	stats = clean_all(&m, KA_CLEAN_GREEDY);
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_true(used_segments(&m) < FILES * EACH / MIB / 4 + 10);
	assert_true(stats.segments > 20);
	assert_in_range(stats.moved_bytes, FILES * EACH / 4 / 2, FILES * EACH / 4 * 2);
	expect_holes(&m);
	memfs_crash(&m);
	expect_holes(&m);
	memfs_remount(&m);
	expect_holes(&m);
	after = memfs_dump(m.fs); /* names, modes, times, contents */
	assert_string_equal(before, after);
	free(before);
	free(after);
	memfs_release(&m);
}

/* Moved, and then the machine dies before any checkpoint. */
static void test_crash(void **state)
{
	struct ka_clean_stats stats = {0};
	char *before, *after;
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	make_holes(&m);
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_ok(ka_fs_checkpoint(m.fs));
	before = memfs_dump(m.fs);
	for (i = 0; i < 3; i++) {
		assert_ok(ka_clean_step(m.fs, KA_CLEAN_COST_BENEFIT, &stats));
		memfs_crash(&m);
		after = memfs_dump(m.fs);
		assert_string_equal(before, after);
		free(after);
	}
	assert_true(stats.moved_bytes > 0);
	free(before);
	memfs_release(&m);
}

/* Many small appends of two files in turn come out as one piece each. */
static void test_joins(void **state)
{
	enum { APPENDS = 8000, BYTES_EACH = 100 };
	struct ka_clean_stats stats = {0};
	ka_ino_t a, b;
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	a = file(&m, 0);
	b = file(&m, 1);
	for (i = 0; i < APPENDS; i++) {
		memfs_write_pattern(m.fs, a, i * BYTES_EACH, BYTES_EACH, 1);
		memfs_write_pattern(m.fs, b, i * BYTES_EACH, BYTES_EACH, 2);
	}
	for (i = 0; i < 8; i++) /* fills what is open, so that all of it can be moved */
		memfs_write_pattern(m.fs, file(&m, 2), i * MIB / 2, MIB / 2, 3);
	delete (&m, 2);
	assert_int_equal(pieces(&m, a), APPENDS);
	assert_ok(ka_clean_step(m.fs, KA_CLEAN_GREEDY, &stats));
	assert_in_range(pieces(&m, a), 1, 2); /* the end of a segment may come between */
	assert_in_range(pieces(&m, b), 1, 2);
	memfs_crash(&m);
	assert_in_range(pieces(&m, a), 1, 2);
	assert_true(memfs_has_pattern(m.fs, a, 0, APPENDS * BYTES_EACH, 1));
	assert_true(memfs_has_pattern(m.fs, b, 0, APPENDS * BYTES_EACH, 2));
	memfs_release(&m);
}

static struct ka_clean_stats clean_by_hand(struct memfs *m)
{
	struct ka_clean_stats stats = {0};
	struct ka_clean_all all = {0};

	while (!all.finished) {
		assert_ok(ka_clean_all_step(m->fs, &all));
		stats.moved_bytes += all.stats.moved_bytes;
		stats.segments += all.stats.segments;
	}
	memfs_check(m->fs);
	return stats;
}

/* By hand that is done also where no segment is worth emptying; a second time nothing is. */
static void test_joins_by_hand(void **state)
{
	enum { APPENDS = 1000, BYTES_EACH = 100 };
	struct memfs m;
	ka_ino_t a, b;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	a = file(&m, 0);
	b = file(&m, 1);
	for (i = 0; i < APPENDS; i++) {
		memfs_write_pattern(m.fs, a, i * BYTES_EACH, BYTES_EACH, 1);
		memfs_write_pattern(m.fs, b, 2 * i * BYTES_EACH, BYTES_EACH, 2);
	}
	assert_int_equal(clean_by_hand(&m).moved_bytes, APPENDS * BYTES_EACH);
	assert_int_equal(pieces(&m, a), 1);
	assert_int_equal(pieces(&m, b), APPENDS); /* with holes between */
	assert_int_equal(clean_by_hand(&m).moved_bytes, 0);
	memfs_crash(&m);
	assert_int_equal(pieces(&m, a), 1);
	assert_true(memfs_has_pattern(m.fs, a, 0, APPENDS * BYTES_EACH, 1));
	for (i = 0; i < APPENDS; i++)
		assert_true(memfs_has_pattern(m.fs, b, 2 * i * BYTES_EACH, BYTES_EACH, 2));
	memfs_release(&m);
}

/* Joined, files that share pieces would each need their own. */
static void test_joins_not_shared(void **state)
{
	ka_ino_t a, b;
	struct memfs m;
	uint64_t i, used;

	(void)state;
	memfs_make(&m, BYTES);
	a = file(&m, 0);
	b = file(&m, 1);
	for (i = 0; i < 300; i++)
		memfs_write_pattern(m.fs, a, i * 1000, 1000, 1);
	assert_ok(memfs_clone(m.fs, a, 100000, b, 0, 100000));
	used = live_bytes(&m);
	assert_int_equal(clean_by_hand(&m).moved_bytes, 200000);
	assert_int_equal(live_bytes(&m), used);
	assert_int_equal(pieces(&m, a), 102);
	assert_int_equal(pieces(&m, b), 100);
	assert_true(memfs_has_pattern(m.fs, a, 0, 300000, 1));
	memfs_release(&m);
}

/* What files share they share afterwards, also when the first owner is gone. */
static void test_shared(void **state)
{
	struct memfs m;
	uint64_t used;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	for (i = 0; i < 100; i++)
		memfs_write_pattern(m.fs, file(&m, i), 0, EACH, i);
	for (i = 0; i < 100; i += 4) {
		assert_ok(memfs_clone(m.fs, file(&m, i), 0, file(&m, 1000 + i), 5000, EACH));
		assert_ok(memfs_clone(m.fs, file(&m, i), 1000, file(&m, 2000 + i), 0, 50000));
		assert_ok(memfs_clone(m.fs, file(&m, i), 20000, file(&m, i), 2 * EACH, 3000));
	}
	for (i = 0; i < 100; i++)
		if (i % 4 || i % 8 == 4)
			delete (&m, i);
	used = live_bytes(&m);
	clean_all(&m, KA_CLEAN_GREEDY);
	assert_int_equal(live_bytes(&m), used);
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_ok(ka_fs_checkpoint(m.fs));
	/* 25 files of 100,000 bytes, once: less than 3 MiB. */
	assert_in_range(used_segments(&m), 4, 12);
	memfs_crash(&m);
	for (i = 0; i < 100; i += 4) {
		uint8_t *buf, *want = malloc(EACH);
		size_t len;

		memfs_pattern(want, EACH, i, 0);
		assert_ok(memfs_read_all(m.fs, file(&m, 1000 + i), &buf, &len));
		assert_int_equal(len, EACH + 5000);
		assert_memory_equal(buf + 5000, want, EACH);
		free(buf);
		assert_ok(memfs_read_all(m.fs, file(&m, 2000 + i), &buf, &len));
		assert_int_equal(len, 50000);
		assert_memory_equal(buf, want + 1000, 50000);
		free(buf);
		free(want);
	}
	memfs_release(&m);
}

/* A wrong byte stays wrong: it is not moved under a fresh checksum. */
static void test_damage(void **state)
{
	struct ka_clean_stats stats;
	const struct ka_extent *e;
	size_t len;
	uint8_t buf[100];
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	make_holes(&m);
	e = ka_extents_find(&ka_index_find(&m.fs->index, file(&m, 40))->extents, 50000);
	m.mem[e->addr + (50000 - e->off)] ^= 1;
	stats = clean_all(&m, KA_CLEAN_GREEDY);
	assert_int_equal(stats.stuck, 1);
	assert_true(stats.segments > 20);
	assert_true(test_messages_have(&m.msgs, "/f40"));
	assert_err(memfs_read(m.fs, file(&m, 40), 50000, buf, sizeof(buf), &len),
		   -KA_ERR_PAYLOAD_CSUM);
	for (i = 0; i < FILES; i += 4)
		if (i != 40)
			assert_true(memfs_has_pattern(m.fs, file(&m, i), 0, EACH, i));
	memfs_release(&m);
}

/* Ten times the capacity goes through it at nine tenths full, and is all there. */
static void test_churn(void **state)
{
	enum { COUNT = 1080, SIZE = 48000 };
	uint64_t round[COUNT] = {0}, written = 0;
	struct test_rng rng = test_rng(1);
	struct memfs m;
	unsigned i, n;

	(void)state;
	memfs_make(&m, BYTES);
	for (n = 0; n < COUNT || written < 10 * BYTES; n++) {
		i = n < COUNT ? n : (unsigned)test_below(&rng, COUNT);
		if (round[i])
			delete (&m, i);
		memfs_write_pattern(m.fs, file(&m, i), 0, SIZE, ++round[i] * COUNT + i);
		written += SIZE;
		if (n % 4000 == 0)
			memfs_crash(&m);
	}
	memfs_check(m.fs);
	memfs_remount(&m);
	for (i = 0; i < COUNT; i++)
		assert_true(memfs_has_pattern(m.fs, file(&m, i), 0, SIZE, round[i] * COUNT + i));
	memfs_release(&m);
}

struct keeper {
	struct ka_fs *fs;
	pthread_t thread;
	_Atomic bool stop;
};

/* As the daemon's: cleans when little is free, and so takes what a writer has just made free. */
static void *keep(void *arg)
{
	struct keeper *k = arg;
	struct ka_clean_stats stats = {0};

	while (!atomic_load(&k->stop)) {
		if (ka_clean_is_wanted(k->fs))
			(void)ka_clean_step(k->fs, KA_CLEAN_COST_BENEFIT, &stats);
		if (ka_fs_wants_checkpoint(k->fs))
			(void)ka_fs_checkpoint(k->fs);
		sched_yield();
	}
	return NULL;
}

/* The same beside a keeper, and with sizes of all kinds. No operation may fail. */
static void test_churn_beside(void **state)
{
	static const uint32_t sizes[] = {1000, 4000, 16000, 64000, 256000, 1000000};
	enum { COUNT = 4096 };
	uint32_t size[COUNT] = {0};
	uint64_t live = 0, written = 0, most;
	struct test_rng rng = test_rng(7);
	struct ka_fs_status status;
	struct keeper k = {0};
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	k.fs = m.fs;
	assert_int_equal(pthread_create(&k.thread, NULL, keep, &k), 0);
	ka_fs_get_status(m.fs, &status);
	most = status.avail_bytes / 10 * 9;
	while (written < 8 * BYTES) {
		i = (unsigned)test_below(&rng, COUNT);
		if (size[i]) {
			delete (&m, i);
			live -= size[i];
		}
		size[i] = sizes[test_below(&rng, KA_ARRAY_SIZE(sizes))];
		if (live + size[i] > most) {
			size[i] = 0;
			continue;
		}
		memfs_write_pattern(m.fs, file(&m, i), 0, size[i], i);
		live += size[i];
		written += size[i];
	}
	atomic_store(&k.stop, true);
	pthread_join(k.thread, NULL);
	for (i = 0; i < COUNT; i++)
		if (size[i])
			assert_true(memfs_has_pattern(m.fs, file(&m, i), 0, size[i], i));
	memfs_release(&m);
}

static void test_refused(void **state)
{
	struct ka_clean_stats stats = {0};
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	assert_err(ka_clean_step(m.fs, KA_CLEAN_GREEDY, &stats), -ENOSPC); /* nothing to gain */
	make_holes(&m);
	assert_ok(ka_fs_seal(m.fs));
	assert_err(ka_clean_step(m.fs, KA_CLEAN_GREEDY, &stats), -EROFS);
	assert_int_equal(stats.moved_bytes, 0);
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frees),	      cmocka_unit_test(test_crash),
		cmocka_unit_test(test_joins),	      cmocka_unit_test(test_shared),
		cmocka_unit_test(test_joins_by_hand), cmocka_unit_test(test_joins_not_shared),
		cmocka_unit_test(test_damage),	      cmocka_unit_test(test_churn),
		cmocka_unit_test(test_churn_beside),  cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

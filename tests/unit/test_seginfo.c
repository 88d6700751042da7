/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_seginfo.c - what segments hold, page by page, and where damage lies. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "keepalive/seginfo.h"
#include "memfs.h"

#define BYTES (32u << 20)
#define MANY  4096

static uint64_t addr_of(const struct memfs *m, ka_ino_t ino, uint64_t off)
{
	const struct ka_extent *e =
		ka_extents_find(&ka_index_find(&m->fs->index, ino)->extents, off);

	return e->addr + (off - e->off);
}

/* All of them, a few at a time. */
static size_t get_all(struct ka_fs *fs, size_t page, struct ka_seginfo *ret, uint64_t *ret_seq)
{
	size_t got, n = 0;

	while ((got = ka_seginfo_get(fs, n, page, ret + n, ret_seq)) > 0)
		n += got;
	return n;
}

static uint64_t live_of(const struct ka_seginfo *seg, size_t count)
{
	uint64_t live = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		assert_true(seg[i].live_bytes <= seg[i].used_bytes);
		live += seg[i].live_bytes;
	}
	return live;
}

static void test_pages(void **state)
{
	static const size_t pages[] = {1, 3, MANY};
	struct ka_seginfo seg[MANY];
	uint64_t seq, segment;
	struct memfs m;
	ka_ino_t ino;
	size_t i, n;

	(void)state;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 3000000, 1);
	segment = ka_segs_index(&m.fs->segs, addr_of(&m, ino, 2999999));
	for (i = 0; i < KA_ARRAY_SIZE(pages); i++) {
		n = get_all(m.fs, pages[i], seg, &seq);
		assert_int_equal(n, m.fs->segs.count);
		assert_int_equal(seq, m.fs->log.seq);
		assert_int_equal(seg[0].state, KA_SEG_SUPER);
		assert_int_equal(seg[n - 1].state, KA_SEG_FREE);
		assert_int_equal(seg[segment].last_seq, seq);
		assert_int_equal(live_of(seg, n), 3000000);
	}
	assert_int_equal(ka_seginfo_get(m.fs, UINT64_MAX, MANY, seg, &seq), 0);
	memfs_release(&m);
}

/* Two files with the same bytes, and one that is gone: no segment has more live than used. */
static void test_shared(void **state)
{
	struct ka_seginfo seg[MANY];
	struct memfs m;
	ka_ino_t a, b;
	uint64_t seq;
	unsigned i;
	size_t n;

	(void)state;
	memfs_make(&m, BYTES);
	a = memfs_file(m.fs, KA_ROOT_INO, "a");
	b = memfs_file(m.fs, KA_ROOT_INO, "b");
	memfs_write_pattern(m.fs, a, 0, 1000000, 1);
	for (i = 0; i < 10; i++)
		assert_ok(memfs_clone(m.fs, a, 0, b, i * 1000000, 1000000));
	n = get_all(m.fs, MANY, seg, &seq);
	assert_true(live_of(seg, n) >= 1000000 && live_of(seg, n) < 1100000);
	assert_ok(memfs_truncate(m.fs, a, 0));
	assert_ok(memfs_truncate(m.fs, b, 0));
	n = get_all(m.fs, MANY, seg, &seq);
	assert_int_equal(live_of(seg, n), 0);
	memfs_release(&m);
}

static void test_states(void **state)
{
	struct ka_seginfo seg[MANY];
	size_t i, n, ckpt = 0;
	struct memfs m;
	uint64_t seq;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_remount(&m);
	n = get_all(m.fs, MANY, seg, &seq);
	assert_true(ka_segs_set_bad(&m.fs->segs, n - 1));
	assert_true(ka_segs_set_bad(&m.fs->segs, 1));
	n = get_all(m.fs, MANY, seg, &seq);
	for (i = 0; i < n; i++)
		ckpt += seg[i].state == KA_SEG_CKPT;
	assert_int_equal(ckpt, m.fs->ckpt[0].count + m.fs->ckpt[1].count);
	assert_int_equal(seg[n - 1].state, KA_SEG_BAD);
	assert_int_equal(seg[n - 1].flags, KA_SEGINFO_BAD);
	assert_int_equal(seg[1].flags, KA_SEGINFO_BAD);
	assert_int_equal(seg[2].flags, 0);
	memfs_release(&m);
}

/* Walks all places; -ENOENT has to come. */
static uint64_t places(struct ka_fs *fs, uint64_t *ret_addr, unsigned *ret_count)
{
	struct ka_damage_place place = {0};
	uint64_t bytes = 0;
	int err;

	*ret_count = 0;
	while (!(err = ka_damage_place_next(fs, &place))) {
		if (!place.len)
			continue;
		if (!*ret_count)
			*ret_addr = place.addr;
		bytes += place.len;
		(*ret_count)++;
	}
	assert_err(err, -ENOENT);
	return bytes;
}

static void test_damage(void **state)
{
	uint64_t addr, found = 0;
	unsigned count;
	struct memfs m;
	uint8_t buf[100];
	size_t len;
	ka_ino_t ino;

	(void)state;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 300000, 1);
	assert_int_equal(places(m.fs, &found, &count), 0);
	memfs_remount(&m); /* what was written here counts as verified */
	addr = addr_of(&m, ino, 150000);
	m.mem[addr] ^= 1;
	assert_true(memfs_read(m.fs, ino, 150000, buf, sizeof(buf), &len) < 0);
	assert_int_equal(places(m.fs, &found, &count), sizeof(buf));
	assert_int_equal(count, 1);
	assert_int_equal(found, addr);
	/* Written over it is whole again, and nothing is damaged once the file is gone. */
	memfs_write_pattern(m.fs, ino, 100000, 100000, 2);
	assert_int_equal(places(m.fs, &found, &count), 0);
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "file"));
	assert_int_equal(places(m.fs, &found, &count), 0);
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_full.c - full is not broken: whatever it is that fills a region,
 * everything written stays, it can be unmounted and mounted again, deleting
 * works, and what was freed can be used.
 */
#include "test.h"

#include <endian.h>
#include <linux/falloc.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "keepalive/acl.h"
#include "memfs.h"
#include "region_cut.h"

#define MIB (1ull << 20)

static char *name_of(char name[32], const char *prefix, size_t i)
{
	snprintf(name, 32, "%s%zu", prefix, i);
	return name;
}

static void expect_sound(struct memfs *m)
{
	struct ka_fs_status st;

	if (m->msgs.errors)
		print_error("%s", m->msgs.text);
	assert_int_equal(m->msgs.errors, 0);
	ka_fs_get_status(m->fs, &st);
	assert_false(st.damaged || st.rdonly);
	memfs_check(m->fs);
}

/* What is full can be saved, closed, opened, crashed, and is still the same. */
static void expect_survives(struct memfs *m)
{
	char *want = memfs_dump(m->fs), *got;
	int i;

	for (i = 0; i < 5; i++) {
		switch (i) {
		case 0:
			assert_ok(ka_fs_checkpoint(m->fs));
			break;
		case 1:
		case 3:
			memfs_crash(m);
			break;
		default:
			memfs_remount(m);
		}
		expect_sound(m);
		got = memfs_dump(m->fs);
		assert_string_equal(got, want);
		free(got);
	}
	free(want);
}

/* Unlinks prefix0, prefix1, ... in an order of chance. None may fail. */
static void delete_all(struct memfs *m, const char *prefix, size_t count)
{
	struct test_rng rng = test_rng(count);
	size_t *order = malloc(count * sizeof(*order)), i, j, swap;
	char name[32];

	assert_non_null(order);
	for (i = 0; i < count; i++)
		order[i] = i;
	for (i = 0; i < count; i++) {
		j = test_below(&rng, count);
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	for (i = 0; i < count; i++)
		assert_ok(ka_unlink(m->fs, KA_ROOT_INO, name_of(name, prefix, order[i])));
	free(order);
}

/* Nothing is left, so (nearly) everything can be written. */
static void expect_empty(struct memfs *m)
{
	struct ka_fs_status st;
	ka_ino_t ino;
	uint64_t avail, off;
	uint8_t *buf = calloc(1, 65536);
	size_t written;
	int i;

	for (i = 0; i < 2; i++)
		assert_ok(ka_fs_checkpoint(m->fs));
	expect_sound(m);
	ka_fs_get_status(m->fs, &st);
	assert_int_equal(st.files, 1);
	assert_int_equal(st.extents, 0);
	avail = st.avail_bytes;
	assert_true(avail > m->bytes / 2);
	ino = memfs_file(m->fs, KA_ROOT_INO, "again");
	for (off = 0; !memfs_try_write(m->fs, ino, off, buf, 65536, &written) && written == 65536;
	     off += 65536)
		;
	assert_true(off + 65536 > avail - avail / 8 - 512 * 1024);
	free(buf);
	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, "again"));
}

/* ---- by data ----------------------------------------------------------- */

static size_t fill_with_files(struct memfs *m, const char *prefix, size_t bytes)
{
	uint8_t *buf = malloc(bytes + 1);
	char name[32];
	size_t i, written;
	ka_ino_t ino;
	int err = 0;

	assert_non_null(buf);
	for (i = 0; !err; i++) {
		err = memfs_try_create(m->fs, KA_ROOT_INO, name_of(name, prefix, i), S_IFREG | 0600,
				       NULL, &ino);
		if (err)
			break;
		memfs_pattern(buf, bytes, i, 0);
		err = bytes ? memfs_try_write(m->fs, ino, 0, buf, bytes, &written) : 0;
		if (!err && bytes && written < bytes)
			err = -ENOSPC;
		if (err)
			assert_ok(ka_unlink(m->fs, KA_ROOT_INO, name));
		if (err)
			break;
	}
	assert_err(-ka_errno(err), -ENOSPC);
	free(buf);
	return i;
}

static void test_files(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 5000, 300000};
	struct memfs m;
	char name[32];
	size_t i, j, count;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(sizes); i++) {
		memfs_make(&m, 4 * MIB);
		count = fill_with_files(&m, "file", sizes[i]);
		assert_true(count * (sizes[i] + 200) > MIB);
		expect_survives(&m);
		for (j = 0; j < count; j += 1 + count / 50)
			assert_true(memfs_has_pattern(
				m.fs, memfs_lookup(m.fs, KA_ROOT_INO, name_of(name, "file", j)), 0,
				sizes[i], j));
		delete_all(&m, "file", count);
		expect_empty(&m);
		memfs_release(&m);
	}
}

static void test_symlinks(void **state)
{
	char target[KA_TARGET_MAX + 1], name[32];
	struct memfs m;
	ka_ino_t ino;
	size_t count;

	(void)state;
	memset(target, 't', KA_TARGET_MAX);
	target[KA_TARGET_MAX] = 0;
	memfs_make(&m, 16 * MIB);
	for (count = 0; !memfs_try_create(m.fs, KA_ROOT_INO, name_of(name, "link", count),
					  S_IFLNK | 0777, target, &ino);
	     count++)
		;
	assert_true(count > 500);
	expect_survives(&m);
	delete_all(&m, "link", count);
	expect_empty(&m);
	memfs_release(&m);
}

/* Every position has a segment open: what is in them counts for the reserve too. */
static void test_symlinks_many_positions(void **state)
{
	char target[KA_TARGET_MAX + 1], name[32];
	struct memfs m;
	ka_ino_t ino;
	size_t count;

	(void)state;
	memset(target, 't', KA_TARGET_MAX);
	target[KA_TARGET_MAX] = 0;
	fixed_cpus = 8;
	memfs_make(&m, 512 * MIB);
	assert_int_equal(m.fs->log.writers, 8);
	for (count = 0;; count++) {
		fixed_cpu = (int)(count % 8);
		if (memfs_try_create(m.fs, KA_ROOT_INO, name_of(name, "link", count),
				     S_IFLNK | 0777, target, &ino))
			break;
	}
	assert_true(count > 20000);
	assert_ok(ka_fs_checkpoint(m.fs));
	memfs_remount(&m);
	expect_sound(&m);
	memfs_crash(&m);
	expect_sound(&m);
	delete_all(&m, "link", count);
	fixed_cpus = 1;
	fixed_cpu = 0;
	memfs_release(&m);
}

/* ---- by what only checkpoints hold ------------------------------------- */

static size_t fill_with_xattrs(struct memfs *m, size_t bytes, size_t per_file)
{
	char *value = malloc(bytes + 1), name[32], xattr[32];
	ka_ino_t ino = 0;
	size_t n = 0;

	assert_non_null(value);
	memset(value, 'v', bytes + 1);
	for (;; n++) {
		if (n % per_file == 0 &&
		    memfs_try_create(m->fs, KA_ROOT_INO, name_of(name, "file", n / per_file),
				     S_IFREG | 0600, NULL, &ino))
			break;
		if (ka_setxattr(m->fs, ino, name_of(xattr, "user.", n % per_file), value, bytes, 0))
			break;
	}
	free(value);
	return n ? (n - 1) / per_file + 1 +
			       (n % per_file == 0 &&
				memfs_lookup(m->fs, KA_ROOT_INO,
					     name_of(name, "file", n / per_file)) != 0)
		 : 0;
}

static void full_of_xattrs(uint64_t region, size_t bytes, size_t per_file)
{
	struct memfs m;
	size_t count;

	memfs_make(&m, region);
	count = fill_with_xattrs(&m, bytes, per_file);
	expect_survives(&m);
	delete_all(&m, "file", count);
	expect_empty(&m);
	memfs_release(&m);
}

/* Four of the largest do not fit into a segment of 256 KiB, three do. */
static void test_largest_xattrs(void **state)
{
	(void)state;
	full_of_xattrs(16 * MIB, KA_XATTR_MAX, 1);
	full_of_xattrs(16 * MIB, KA_XATTR_MAX, 30);
	full_of_xattrs(4 * MIB, KA_XATTR_MAX, 1);
}

static void test_awkward_xattrs(void **state)
{
	(void)state;
	full_of_xattrs(16 * MIB, 44000, 7);
	full_of_xattrs(16 * MIB, 33000, 3);
	full_of_xattrs(8 * MIB, 5000, 10);
}

/* The smallest: more of an item is overhead than anything. */
static void test_smallest_xattrs(void **state)
{
	(void)state;
	full_of_xattrs(4 * MIB, 0, 200);
	full_of_xattrs(4 * MIB, 1, 1);
}

/* A file of as many extents as it has bytes. */
static ka_ino_t make_scattered(struct memfs *m, size_t extents)
{
	ka_ino_t ino = memfs_file(m->fs, KA_ROOT_INO, "file0");
	size_t i;

	for (i = 0; i < extents; i++)
		memfs_write(m->fs, ino, 2 * i, "x", 1);
	return ino;
}

/* One small record makes thousands of extents, each to be kept. */
static void test_clones(void **state)
{
	static const size_t extents = 5000;
	struct memfs m;
	ka_ino_t from, ino;
	char name[32];
	size_t i;

	(void)state;
	memfs_make(&m, 8 * MIB);
	from = make_scattered(&m, extents);
	for (i = 1; i < 2000; i++) {
		if (memfs_try_create(m.fs, KA_ROOT_INO, name_of(name, "file", i), S_IFREG | 0600,
				     NULL, &ino))
			break;
		if (memfs_clone(m.fs, from, 0, ino, 0, 2 * extents - 1)) {
			i++;
			break;
		}
	}
	assert_true(i < 2000); /* it cannot go on for ever */
	expect_survives(&m);
	delete_all(&m, "file", i);
	expect_empty(&m);
	memfs_release(&m);
}

/* Filling the holes of a scattered file makes as many extents again. */
static void test_allocated_holes(void **state)
{
	static const size_t extents = 1500;
	struct memfs m;
	ka_ino_t ino;
	char name[32];
	size_t i, j;
	int err = 0;

	(void)state;
	memfs_make(&m, 8 * MIB);
	for (i = 0; i < 2000 && !err; i++) {
		err = memfs_try_create(m.fs, KA_ROOT_INO, name_of(name, "file", i), S_IFREG | 0600,
				       NULL, &ino);
		if (err)
			break;
		for (j = 0; j < extents && !err; j++)
			err = memfs_fallocate(m.fs, ino, FALLOC_FL_KEEP_SIZE, 2 * j, 1);
		if (!err)
			err = memfs_fallocate(m.fs, ino, 0, 0, 4 * extents);
	}
	assert_true(err);
	i = memfs_lookup(m.fs, KA_ROOT_INO, name_of(name, "file", i)) ? i + 1 : i;
	expect_survives(&m);
	delete_all(&m, "file", i);
	expect_empty(&m);
	memfs_release(&m);
}

/* The largest ACL that the kernel hands over, twice for each directory that inherits it. */
static size_t big_acl(struct memfs *m, ka_ino_t dir)
{
	struct posix_acl_xattr_header *head = calloc(1, 4096);
	struct posix_acl_xattr_entry *e = (void *)(head + 1);
	size_t count = 0, users = 507, bytes;

	assert_non_null(head);
	head->a_version = htole32(POSIX_ACL_XATTR_VERSION);
	e[count++].e_tag = htole16(ACL_USER_OBJ);
	while (count <= users) {
		e[count].e_tag = htole16(ACL_USER);
		e[count].e_id = htole32((uint32_t)count);
		count++;
	}
	e[count++].e_tag = htole16(ACL_GROUP_OBJ);
	e[count].e_perm = htole16(7);
	e[count++].e_tag = htole16(ACL_MASK);
	e[count++].e_tag = htole16(ACL_OTHER);
	bytes = sizeof(*head) + count * sizeof(*e);
	assert_ok(ka_setxattr(m->fs, dir, KA_ACL_DEFAULT, head, bytes, 0));
	free(head);
	return bytes;
}

/* Makes directories until there is no room, from a processor of chance each. */
static void make_heirs(struct memfs *m, struct test_rng *rng, ka_ino_t dir)
{
	char name[32];
	int i, err = 0;

	for (i = 0; !err || err == -EEXIST; i++) {
		fixed_cpu = (int)test_below(rng, 8);
		snprintf(name, sizeof(name), "%d", i);
		err = memfs_try_create(m->fs, dir, name, S_IFDIR | 0770, NULL, &(ka_ino_t){0});
	}
	assert_err(err, -ENOSPC);
}

static void drop_heirs(struct memfs *m, struct test_rng *rng, ka_ino_t dir, int count)
{
	char name[32];
	int i;

	for (i = 0; count && i < 100000; i++) {
		fixed_cpu = (int)test_below(rng, 8);
		snprintf(name, sizeof(name), "%d", i);
		if (!memfs_lookup(m->fs, dir, name))
			continue;
		assert_ok(ka_rmdir(m->fs, dir, name));
		if (test_chance(rng, 2))
			memfs_crash(m);
		count--;
	}
}

/* Records that are much larger than what they say; a checkpoint stays possible throughout. */
static void test_inherited_acls(void **state)
{
	struct test_rng rng = test_rng(22);
	struct memfs m;
	ka_ino_t dir;
	int round;

	(void)state;
	fixed_cpus = 8;
	memfs_make(&m, 4 * KA_CAPACITY_MIN);
	dir = memfs_dir(m.fs, KA_ROOT_INO, "dir");
	assert_true(big_acl(&m, dir) > 4000);
	for (round = 0; round < 12; round++) {
		make_heirs(&m, &rng, dir);
		if (test_chance(&rng, 50))
			memfs_crash(&m);
		assert_ok(ka_fs_checkpoint(m.fs));
		if (test_chance(&rng, 50))
			assert_ok(ka_fs_checkpoint(m.fs));
		if (test_chance(&rng, 50))
			memfs_crash(&m);
		memfs_check(m.fs);
		drop_heirs(&m, &rng, dir, round % 3 == 2 ? 100000 : 50);
		if (round % 2)
			assert_ok(ka_fs_checkpoint(m.fs));
	}
	assert_int_equal(m.msgs.errors, 0);
	memfs_release(&m);
	fixed_cpus = 1;
	fixed_cpu = 0;
}

/* ---- the reserve ------------------------------------------------------- */

/*
 * Deletes have a reserve to themselves. Writes that go on whenever they find
 * room, between the deletes, must not use it up.
 */
static void test_writes_stay_out_of_reserve(void **state)
{
	struct test_rng rng = test_rng(1);
	size_t i, j, count, written;
	struct memfs m;
	uint8_t buf[4000];
	ka_ino_t ino;
	char name[32];

	(void)state;
	memfs_make(&m, 4 * MIB);
	ino = memfs_file(m.fs, KA_ROOT_INO, "greedy");
	memfs_pattern(buf, sizeof(buf), 1, 0);
	count = fill_with_files(&m, "file", 700);
	count -= count % 397 == 0;
	for (i = 0; i < count; i++) {
		/* Far apart, so that hardly a segment becomes free. */
		assert_ok(ka_unlink(m.fs, KA_ROOT_INO, name_of(name, "file", i * 397 % count)));
		for (j = 0; j < 20; j++)
			if (memfs_try_write(m.fs, ino, test_below(&rng, 1000) * 4000, buf,
					    sizeof(buf), &written))
				break;
	}
	expect_survives(&m);
	memfs_release(&m);
}

/* The same for what makes names, attributes and extents, each of which is small. */
static void makers_stay_out(int what)
{
	char target[KA_TARGET_MAX + 1], name[32];
	struct memfs m;
	size_t i, j, count, made = 0;
	ka_ino_t ino, first;
	int err;

	memset(target, 't', KA_TARGET_MAX);
	target[KA_TARGET_MAX] = 0;
	memfs_make(&m, 4 * MIB);
	first = memfs_file(m.fs, KA_ROOT_INO, "first");
	count = fill_with_files(&m, "file", 3000);
	for (i = 0; i < count; i++) {
		assert_ok(ka_unlink(m.fs, KA_ROOT_INO, name_of(name, "file", i)));
		for (err = 0, j = 0; !err && j < 3000; j++, made++) {
			name_of(name, "made", made);
			switch (what) {
			case 0:
				err = memfs_try_create(m.fs, KA_ROOT_INO, name, S_IFLNK | 0777,
						       target, &ino);
				break;
			case 1:
				err = memfs_link(m.fs, first, KA_ROOT_INO, name);
				break;
			case 2:
				err = ka_setxattr(m.fs, first, name, target, 4000, 0);
				break;
			default:
				err = memfs_fallocate(m.fs, first, 0, made * 2, 1);
			}
		}
		if (i % 10 == 0)
			assert_ok(ka_fs_checkpoint(m.fs));
	}
	expect_survives(&m);
	memfs_release(&m);
}

static void test_makers_stay_out_of_reserve(void **state)
{
	int what;

	(void)state;
	for (what = 0; what < 4; what++)
		makers_stay_out(what);
}

/* ---- what fallocate promised ------------------------------------------- */

static void keep_promise(uint64_t region, size_t kept, size_t piece)
{
	struct memfs m;
	ka_ino_t ino;
	size_t off, n;

	memfs_make(&m, region);
	ino = memfs_file(m.fs, KA_ROOT_INO, "kept");
	assert_ok(memfs_fallocate(m.fs, ino, 0, 0, kept));
	fill_with_files(&m, "file", 20000);
	for (off = 0; off < kept; off += n) {
		n = ka_min(piece, kept - off);
		memfs_write_pattern(m.fs, ino, off, n, 1);
	}
	assert_true(memfs_has_pattern(m.fs, ino, 0, kept, 1));
	expect_survives(&m);
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "kept"));
	expect_survives(&m);
	memfs_release(&m);
}

static void test_promises(void **state)
{
	(void)state;
	keep_promise(4 * MIB, 800000, 4096);
	keep_promise(8 * MIB, 2 << 20, 65536);
	keep_promise(8 * MIB, 2 << 20, 1 << 20);
	keep_promise(16 * MIB, 4 << 20, 4 << 20);
	keep_promise(64 * MIB, 16 << 20, 128 << 10);
}

/*
 * Room kept for one file is not for another, nor for what the file itself
 * writes beside it: a write that only begins in kept room has no claim.
 */
static void test_promise_to_another(void **state)
{
	struct memfs m;
	ka_ino_t kept, greedy;
	uint8_t *buf = calloc(1, 1 << 20);
	size_t i, written;

	(void)state;
	assert_non_null(buf);
	memfs_make(&m, 8 * MIB);
	kept = memfs_file(m.fs, KA_ROOT_INO, "kept");
	greedy = memfs_file(m.fs, KA_ROOT_INO, "greedy");
	assert_ok(memfs_fallocate(m.fs, kept, 0, 0, 2 << 20));
	for (i = 0; i < 40; i++)
		assert_ok(memfs_fallocate(m.fs, greedy, 0, i << 20, 100));
	fill_with_files(&m, "file", 20000);
	for (i = 0; i < 40; i++)
		memfs_try_write(m.fs, greedy, i << 20, buf, 1 << 20, &written);
	memfs_write_pattern(m.fs, kept, 0, 2 << 20, 1);
	assert_true(memfs_has_pattern(m.fs, kept, 0, 2 << 20, 1));
	free(buf);
	memfs_release(&m);
}

/* The promise outlives a crash and a remount. */
static void test_promise_after_remount(void **state)
{
	struct memfs m;
	ka_ino_t ino;
	int crash;

	(void)state;
	for (crash = 0; crash < 2; crash++) {
		memfs_make(&m, 8 * MIB);
		ino = memfs_file(m.fs, KA_ROOT_INO, "kept");
		assert_ok(memfs_fallocate(m.fs, ino, FALLOC_FL_KEEP_SIZE, 0, 2 << 20));
		if (crash)
			memfs_crash(&m);
		else
			memfs_remount(&m);
		fill_with_files(&m, "file", 20000);
		memfs_write_pattern(m.fs, ino, 0, 2 << 20, 1);
		assert_true(memfs_has_pattern(m.fs, ino, 0, 2 << 20, 1));
		memfs_release(&m);
	}
}

static void test_fallocate_refuses(void **state)
{
	struct ka_fs_status st;
	struct memfs m;
	ka_ino_t ino;
	char *before, *after;

	(void)state;
	memfs_make(&m, 4 * MIB);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	before = memfs_dump(m.fs);
	ka_fs_get_status(m.fs, &st);
	assert_err(memfs_fallocate(m.fs, ino, 0, 0, st.avail_bytes + 1), -ENOSPC);
	assert_err(memfs_fallocate(m.fs, ino, 0, 0, KA_FILE_MAX), -ENOSPC);
	assert_err(memfs_fallocate(m.fs, ino, FALLOC_FL_ZERO_RANGE, 0, KA_FILE_MAX), -ENOSPC);
	after = memfs_dump(m.fs);
	assert_string_equal(before, after);
	free(before);
	free(after);
	memfs_release(&m);
}

/* ---- a sparse file on a full disk -------------------------------------- */

/* The memory behind a segment cannot be had: ENOSPC, and nothing else. */
static void test_no_memory_behind(void **state)
{
	struct ka_region *rg;
	struct memfs m;
	size_t count;

	(void)state;
	assert_ok(cut_region_open(4 * MIB, &rg));
	memfs_on(&m, rg);
	memfs_format(&m);
	memfs_open(&m);
	cut_region_limit(rg, 2 * MIB);
	count = fill_with_files(&m, "file", 5000);
	assert_true(count > 100);
	memfs_check(m.fs);
	cut_region_limit(rg, 0);
	expect_survives(&m);
	memfs_file(m.fs, KA_ROOT_INO, "more");
	delete_all(&m, "file", count);
	expect_sound(&m);
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_symlinks),
		cmocka_unit_test(test_symlinks_many_positions),
		cmocka_unit_test(test_largest_xattrs),
		cmocka_unit_test(test_awkward_xattrs),
		cmocka_unit_test(test_smallest_xattrs),
		cmocka_unit_test(test_clones),
		cmocka_unit_test(test_allocated_holes),
		cmocka_unit_test(test_inherited_acls),
		cmocka_unit_test(test_writes_stay_out_of_reserve),
		cmocka_unit_test(test_makers_stay_out_of_reserve),
		cmocka_unit_test(test_promises),
		cmocka_unit_test(test_promise_to_another),
		cmocka_unit_test(test_promise_after_remount),
		cmocka_unit_test(test_fallocate_refuses),
		cmocka_unit_test(test_no_memory_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

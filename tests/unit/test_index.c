/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_index.c - the tables of inodes and names, and the counts kept of them. */
#include "test.h"

#include <string.h>

#include "keepalive/format.h"
#include "keepalive/index.h"
#include "keepalive/xattr.h"

static void test_new(void **state)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR,
					 S_IFBLK, S_IFIFO, S_IFSOCK};
	struct ka_inode *inode;
	struct ka_index ix;
	size_t i;

	(void)state;
	ka_index_init(&ix, NULL);
	assert_int_equal(ix.next_ino, KA_ROOT_INO + 1);
	for (i = 0; i < KA_ARRAY_SIZE(types); i++) {
		inode = ka_index_new(&ix, 100 + i, types[i] | 0640);
		assert_non_null(inode);
		assert_int_equal(inode->mode, types[i] | 0640);
		assert_int_equal(inode->nlink, 0);
		assert_int_equal(inode->dir != NULL, types[i] == S_IFDIR);
		assert_ptr_equal(ka_index_find(&ix, 100 + i), inode);
		assert_int_equal(ix.next_ino, 101 + i);
	}
	assert_int_equal(ka_index_find(&ix, 101)->dir->next_cookie, KA_COOKIE_FIRST);
	assert_non_null(ka_index_new(&ix, 50, S_IFREG)); /* lower: next_ino stays */
	assert_int_equal(ix.next_ino, 107);
	assert_null(ka_index_find(&ix, 51));
	assert_int_equal(ix.inodes.count, 8);
	ka_index_release(&ix);
}

static void test_forget(void **state)
{
	struct ka_index ix;
	ka_ino_t ino;

	(void)state;
	ka_index_init(&ix, NULL);
	for (ino = 1; ino <= 1000; ino++)
		assert_non_null(ka_index_new(&ix, ino, ino % 3 ? S_IFREG : S_IFDIR));
	for (ino = 1; ino <= 1000; ino += 2)
		ka_index_forget(&ix, ka_index_find(&ix, ino));
	for (ino = 1; ino <= 1000; ino++)
		assert_int_equal(ka_index_find(&ix, ino) != NULL, ino % 2 == 0);
	assert_int_equal(ix.inodes.count, 500);
	assert_int_equal(ix.next_ino, 1001); /* numbers are not reused */
	ka_index_release(&ix);
}

static void test_counts(void **state)
{
	struct ka_inode *dir, *file, *link;
	struct ka_index ix;

	(void)state;
	ka_index_init(&ix, NULL);
	dir = ka_index_new(&ix, 1, S_IFDIR);
	file = ka_index_new(&ix, 2, S_IFREG);
	link = ka_index_new(&ix, 3, S_IFLNK);
	assert_true(dir && file && link);

	assert_ok(ka_index_add_name(&ix, dir, "file", 4, 3, file));
	assert_ok(ka_index_add_name(&ix, dir, "link", 4, 4, link));
	assert_int_equal(ix.name_bytes, 8);
	ka_index_remove_name(&ix, ka_dir_find(&ix.names, dir, "file", 4));
	assert_int_equal(ix.name_bytes, 4);

	assert_ok(ka_index_set_target(&ix, link, "where", 5));
	assert_string_equal(link->target, "where");
	assert_int_equal(ix.extra_bytes, 5);
	assert_ok(ka_index_set_xattr(&ix, file, "user.a", 6, "12345", 5));
	assert_int_equal(ix.extra_bytes, 5 + 11);
	assert_ok(ka_index_set_xattr(&ix, file, "user.a", 6, "1", 1)); /* shorter */
	assert_int_equal(ix.extra_bytes, 5 + 7);
	assert_ok(ka_index_set_xattr(&ix, link, "user.b", 6, "", 0));
	assert_int_equal(ix.extra_bytes, 5 + 7 + 6);
	assert_err(ka_index_remove_xattr(&ix, file, "user.x", 6), -ENODATA);
	assert_ok(ka_index_remove_xattr(&ix, file, "user.a", 6));
	assert_int_equal(ix.extra_bytes, 5 + 6);
	ka_index_forget(&ix, link);
	assert_int_equal(ix.extra_bytes, 0);
	ka_index_release(&ix);
}

/* An emptied inode stays, with nothing in it that takes space. */
static void test_empty(void **state)
{
	struct ka_extent e = {.len = 100, .addr = 5000, .delta = 80, .seq = 1};
	struct ka_inode *file;
	struct ka_segs segs;
	struct ka_index ix;

	(void)state;
	assert_ok(ka_segs_init(&segs, 4, 4096, 4 * 4096));
	ka_index_init(&ix, &segs);
	file = ka_index_new(&ix, 2, S_IFREG);
	assert_non_null(file);
	assert_ok(ka_extents_put(&file->extents, &ix.extents, &e));
	assert_ok(ka_extents_fill(&file->extents, &ix.extents, 100, 50));
	assert_ok(ka_index_set_xattr(&ix, file, "user.a", 6, "12345", 5));
	assert_int_equal(segs.seg[1].live, 100);
	assert_int_equal(ix.extents.count, 2);
	ka_index_empty(&ix, file);
	assert_int_equal(segs.seg[1].live, 0);
	assert_int_equal(ix.extents.count, 0);
	assert_int_equal(ix.extents.unwritten_bytes, 0);
	assert_int_equal(ix.extra_bytes, 0);
	assert_ptr_equal(ka_index_find(&ix, 2), file);
	assert_null(file->xattrs);
	ka_index_release(&ix);
	ka_segs_release(&segs);
}

static void test_time(void **state)
{
	static const struct {
		int64_t ns;
		int64_t sec;
		uint32_t nsec;
	} times[] = {
		{0, 0, 0},
		{1, 0, 1},
		{-1, -1, 999999999},
		{1700000000123456789, 1700000000, 123456789},
		{-1000000000, -1, 0},
		{INT64_MAX, 9223372036, 854775807},
		{INT64_MIN, -9223372037, 145224192},
	};
	struct ka_time t;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(times); i++) {
		t = ka_time_from_ns(times[i].ns);
		assert_int_equal(t.sec, times[i].sec);
		assert_int_equal(t.nsec, times[i].nsec);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),    cmocka_unit_test(test_forget),
		cmocka_unit_test(test_counts), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

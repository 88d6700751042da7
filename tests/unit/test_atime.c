/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_atime.c - when reading updates the time of access, and when not. */
#include "test.h"

#include <stdlib.h>

#include "fs.h"
#include "memfs.h"

static struct ka_attr attr_of(struct memfs *m, ka_ino_t ino)
{
	struct ka_attr attr;

	assert_ok(ka_getattr(m->fs, ino, &attr));
	return attr;
}

static bool has_changed(struct memfs *m, const struct ka_attr *old)
{
	struct ka_attr now = attr_of(m, old->ino);

	assert_int_equal(now.mtime.nsec, old->mtime.nsec);
	assert_int_equal(now.ctime.sec, old->ctime.sec);
	assert_int_equal(now.ctime.nsec, old->ctime.nsec);
	return now.atime.sec != old->atime.sec || now.atime.nsec != old->atime.nsec;
}

static void read_byte(struct memfs *m, ka_ino_t ino, bool noatime)
{
	struct ka_file *file;
	struct ka_read rd;

	assert_ok(ka_open(m->fs, ino, &file));
	file->noatime = noatime;
	assert_ok(ka_read_begin(m->fs, file, 0, 1, &rd));
	ka_read_end(m->fs, &rd);
	ka_close(m->fs, file);
}

static bool no_entry(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	(void)ctx;
	(void)name;
	(void)attr;
	(void)cookie;
	return false;
}

static void read_dir(struct memfs *m, ka_ino_t ino)
{
	assert_ok(ka_readdir(m->fs, ino, 0, false, no_entry, NULL));
}

static void open_with(struct memfs *m, bool noatime, bool nodiratime)
{
	memfs_make(m, KA_CAPACITY_MIN);
	memfs_close(m);
	m->opts.noatime = noatime;
	m->opts.nodiratime = nodiratime;
	memfs_open(m);
}

/* Once after a change, then not again before the next. */
static void test_once_after_a_change(void **state)
{
	struct memfs m;
	struct ka_attr old;
	ka_ino_t ino;

	(void)state;
	open_with(&m, false, false);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 100, 1);
	old = attr_of(&m, ino);
	read_byte(&m, ino, true);
	assert_false(has_changed(&m, &old)); /* O_NOATIME */
	read_byte(&m, ino, false);
	assert_true(has_changed(&m, &old));
	old = attr_of(&m, ino);
	read_byte(&m, ino, false);
	assert_false(has_changed(&m, &old));
	memfs_write_pattern(m.fs, ino, 0, 100, 2);
	old = attr_of(&m, ino);
	read_byte(&m, ino, false);
	assert_true(has_changed(&m, &old));

	/* It is as durable as anything else. */
	old = attr_of(&m, ino);
	memfs_crash(&m);
	assert_false(has_changed(&m, &old));
	memfs_release(&m);
}

static void test_once_a_day(void **state)
{
	struct ka_setattr set = {.valid = KA_SET_ATIME};
	struct memfs m;
	struct ka_attr old;
	ka_ino_t ino;
	int64_t now = ka_now_ns();

	(void)state;
	open_with(&m, false, false);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	set.valid = KA_SET_ATIME | KA_SET_MTIME;
	set.atime = set.mtime = ka_time_from_ns(now + 3600ll * 1000000000); /* newer than ctime */
	set.mtime.sec -= 7200;
	assert_ok(ka_setattr(m.fs, ino, &set, &old));
	read_byte(&m, ino, false);
	assert_false(has_changed(&m, &old));
	set.valid = KA_SET_ATIME;
	set.atime.sec -= 30 * 3600;
	assert_ok(ka_setattr(m.fs, ino, &set, &old));
	read_byte(&m, ino, false);
	assert_true(has_changed(&m, &old));
	memfs_release(&m);
}

/* The clock was set back: the change stays newer than any reading, so not each counts. */
static void test_change_in_the_future(void **state)
{
	struct ka_setattr set = {.valid = KA_SET_MTIME};
	struct ka_fs_status before, after;
	struct memfs m;
	struct ka_attr attr;
	ka_ino_t ino;
	int i;

	(void)state;
	open_with(&m, false, false);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	set.mtime = ka_time_from_ns(ka_now_ns() + 3600ll * 1000000000);
	assert_ok(ka_setattr(m.fs, ino, &set, &attr));
	ka_fs_get_status(m.fs, &before);
	for (i = 0; i < 1000; i++)
		read_byte(&m, ino, false);
	ka_fs_get_status(m.fs, &after);
	assert_true(after.log_records - before.log_records < 10);
	memfs_release(&m);
}

static void test_directories_and_links(void **state)
{
	char target[KA_TARGET_MAX + 1];
	struct ka_attr dir, link;
	struct memfs m;

	(void)state;
	open_with(&m, false, false);
	dir = attr_of(&m, memfs_dir(m.fs, KA_ROOT_INO, "dir"));
	link = attr_of(&m, memfs_symlink(m.fs, KA_ROOT_INO, "link", "target"));
	read_dir(&m, dir.ino);
	assert_true(has_changed(&m, &dir));
	assert_ok(ka_readlink(m.fs, link.ino, target));
	assert_true(has_changed(&m, &link));
	memfs_release(&m);
}

static void test_options(void **state)
{
	struct ka_attr file, dir;
	struct memfs m;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		open_with(&m, i == 0, i == 1);
		file = attr_of(&m, memfs_file(m.fs, KA_ROOT_INO, "file"));
		dir = attr_of(&m, memfs_dir(m.fs, KA_ROOT_INO, "dir"));
		read_dir(&m, dir.ino);
		assert_false(has_changed(&m, &dir));
		read_byte(&m, file.ino, false);
		assert_int_equal(has_changed(&m, &file), i == 1);
		memfs_release(&m);
	}
}

/* Reading stays possible, whatever becomes of the time. */
static void test_full_region(void **state)
{
	uint8_t *buf = calloc(1, 1 << 20);
	struct memfs m;
	ka_ino_t ino;
	size_t n;

	(void)state;
	open_with(&m, false, false);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	for (n = 1 << 20; n; n /= 2)
		while (!memfs_try_write(m.fs, ino, attr_of(&m, ino).size, buf, n, &(size_t){0}))
			;
	read_byte(&m, ino, false);
	read_dir(&m, KA_ROOT_INO);
	memfs_check(m.fs);
	memfs_release(&m);
	free(buf);
}

/* Looking does not touch. */
static void test_read_only(void **state)
{
	struct memfs m;
	struct ka_attr old;

	(void)state;
	open_with(&m, false, false);
	old = attr_of(&m, memfs_file(m.fs, KA_ROOT_INO, "file"));
	memfs_close(&m);
	m.opts.rdonly = true;
	memfs_open(&m);
	read_byte(&m, old.ino, false);
	assert_false(has_changed(&m, &old));
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once_after_a_change),
		cmocka_unit_test(test_once_a_day),
		cmocka_unit_test(test_change_in_the_future),
		cmocka_unit_test(test_directories_and_links),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_full_region),
		cmocka_unit_test(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

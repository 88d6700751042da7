/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_ops.c - every operation: what it changes and, above all, every error.
 */
#include "test.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs.h"
#include "memfs.h"

#define NO_INO 999

/* The same tree for each test. */
struct world {
	struct memfs m;
	struct ka_fs *fs;
	ka_ino_t dir; /* "dir", with "sub" and "inner" in it */
	ka_ino_t sub;
	ka_ino_t inner;
	ka_ino_t file; /* "file", 10000 bytes, and "dir/hard" */
	ka_ino_t link; /* "link" -> "target" */
	ka_ino_t fifo;
	ka_ino_t removed; /* a directory that has no name any more */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct ka_attr attr;

	assert_non_null(w);
	memfs_make(&w->m, KA_CAPACITY_MIN);
	w->fs = w->m.fs;
	w->dir = memfs_dir(w->fs, KA_ROOT_INO, "dir");
	w->sub = memfs_dir(w->fs, w->dir, "sub");
	w->inner = memfs_file(w->fs, w->dir, "inner");
	w->file = memfs_file(w->fs, KA_ROOT_INO, "file");
	w->link = memfs_symlink(w->fs, KA_ROOT_INO, "link", "target");
	w->fifo = memfs_create(w->fs, KA_ROOT_INO, "fifo", S_IFIFO | 0600);
	memfs_write_pattern(w->fs, w->file, 0, 10000, 1);
	assert_ok(memfs_link(w->fs, w->file, w->dir, "hard"));
	w->removed = memfs_dir(w->fs, KA_ROOT_INO, "removed");
	assert_ok(ka_lookup(w->fs, KA_ROOT_INO, "removed", &attr)); /* somebody holds it */
	assert_ok(ka_rmdir(w->fs, KA_ROOT_INO, "removed"));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	memfs_check(w->fs);
	memfs_release(&w->m);
	free(w);
	return 0;
}

static struct ka_attr attr_of(struct world *w, ka_ino_t ino)
{
	struct ka_attr attr;

	assert_ok(ka_getattr(w->fs, ino, &attr));
	return attr;
}

static bool later(const struct ka_time *a, const struct ka_time *b)
{
	return a->sec > b->sec || (a->sec == b->sec && a->nsec > b->nsec);
}

static bool same_time(const struct ka_time *a, const struct ka_time *b)
{
	return a->sec == b->sec && a->nsec == b->nsec;
}

/* Which of the times of ino have changed since old: letters of "amcb". */
static void expect_touched(struct world *w, const struct ka_attr *old, const char *which)
{
	struct ka_attr now = attr_of(w, old->ino);

	assert_int_equal(!same_time(&now.atime, &old->atime), !!strchr(which, 'a'));
	assert_int_equal(later(&now.mtime, &old->mtime), !!strchr(which, 'm'));
	assert_int_equal(later(&now.ctime, &old->ctime), !!strchr(which, 'c'));
	assert_true(same_time(&now.btime, &old->btime));
}

static char long_name[KA_NAME_MAX + 2];

static const char *too_long(void)
{
	memset(long_name, 'n', KA_NAME_MAX + 1);
	return long_name;
}

static const char *longest(void)
{
	return too_long() + 1;
}

/* ---- names ------------------------------------------------------------- */

static void test_lookup(void **state)
{
	struct world *w = *state;
	struct ka_attr attr;

	assert_ok(ka_lookup(w->fs, KA_ROOT_INO, "file", &attr));
	assert_int_equal(attr.ino, w->file);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(attr.size, 10000);
	assert_int_equal(attr.blocks, 20);
	assert_int_equal(ka_index_find(&w->fs->index, w->file)->nlookup, 1);
	ka_forget(w->fs, w->file, 1);
	assert_int_equal(ka_index_find(&w->fs->index, w->file)->nlookup, 0);

	assert_err(ka_lookup(w->fs, KA_ROOT_INO, "none", &attr), -ENOENT);
	assert_err(ka_lookup(w->fs, KA_ROOT_INO, "", &attr), -ENOENT);
	assert_err(ka_lookup(w->fs, KA_ROOT_INO, too_long(), &attr), -ENAMETOOLONG);
	assert_err(ka_lookup(w->fs, w->file, "x", &attr), -ENOTDIR);
	assert_err(ka_lookup(w->fs, NO_INO, "x", &attr), -ESTALE);
	assert_err(ka_lookup(w->fs, w->removed, "x", &attr), -ENOENT);
}

static void test_lookup_dots(void **state)
{
	struct world *w = *state;
	struct ka_attr attr;

	assert_ok(ka_lookup(w->fs, w->sub, ".", &attr));
	assert_int_equal(attr.ino, w->sub);
	assert_ok(ka_lookup(w->fs, w->sub, "..", &attr));
	assert_int_equal(attr.ino, w->dir);
	assert_int_equal(ka_index_find(&w->fs->index, w->dir)->nlookup, 1);
	assert_ok(ka_lookup(w->fs, KA_ROOT_INO, "..", &attr));
	assert_int_equal(attr.ino, KA_ROOT_INO);
	assert_err(ka_lookup(w->fs, w->file, "..", &attr), -ENOTDIR);
	assert_err(ka_lookup(w->fs, w->removed, "..", &attr), -ENOENT);
	assert_ok(ka_lookup(w->fs, w->removed, ".", &attr));
	assert_int_equal(attr.nlink, 0);
}

static void test_forget(void **state)
{
	struct world *w = *state;
	struct ka_attr attr;

	assert_ok(ka_lookup(w->fs, w->dir, "inner", &attr));
	assert_ok(ka_lookup(w->fs, w->dir, "inner", &attr));
	assert_ok(ka_unlink(w->fs, w->dir, "inner"));
	assert_ok(ka_getattr(w->fs, w->inner, &attr)); /* still known */
	assert_int_equal(attr.nlink, 0);
	ka_forget(w->fs, w->inner, 1);
	assert_ok(ka_getattr(w->fs, w->inner, &attr));
	ka_forget(w->fs, w->inner, 1);
	assert_err(ka_getattr(w->fs, w->inner, &attr), -ESTALE);
	ka_forget(w->fs, w->inner, 1); /* nobody minds */
	ka_forget(w->fs, NO_INO, 5);
	ka_forget(w->fs, w->removed, 1);
	assert_err(ka_getattr(w->fs, w->removed, &attr), -ESTALE);
	assert_ok(ka_lookup(w->fs, KA_ROOT_INO, "file", &attr)); /* with names it stays */
	ka_forget(w->fs, w->file, 1);
	assert_ok(ka_getattr(w->fs, w->file, &attr));
}

static void test_create(void **state)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR,
					 S_IFBLK, S_IFIFO, S_IFSOCK};
	struct world *w = *state;
	struct ka_attr attr, parent;
	ka_ino_t last = w->removed;
	uint32_t i;

	for (i = 0; i < KA_ARRAY_SIZE(types); i++) {
		struct ka_new new = {
			.parent = w->sub,
			.name = (char[]){(char)('a' + i), 0},
			.mode = types[i] | 0127,
			.uid = 7,
			.gid = 8,
			.rdev = 5u << 20 | 6,
			.target = types[i] == S_IFLNK ? "to" : NULL,
		};

		parent = attr_of(w, w->sub);
		assert_ok(ka_create(w->fs, &new, &attr));
		assert_true(attr.ino > last);
		last = attr.ino;
		assert_int_equal(attr.mode, types[i] | 0127);
		assert_int_equal(attr.uid, 7);
		assert_int_equal(attr.gid, 8);
		assert_int_equal(attr.rdev, 5u << 20 | 6);
		assert_int_equal(attr.nlink, types[i] == S_IFDIR ? 2 : 1);
		assert_int_equal(attr.size, types[i] == S_IFLNK ? 2 : 0);
		assert_int_equal(attr.blocks, 0);
		assert_true(same_time(&attr.atime, &attr.btime));
		assert_true(same_time(&attr.mtime, &attr.btime));
		assert_true(same_time(&attr.ctime, &attr.btime));
		assert_int_equal(attr_of(w, w->sub).nlink,
				 parent.nlink + (types[i] == S_IFDIR ? 1 : 0));
		expect_touched(w, &parent, "mc");
		assert_int_equal(ka_index_find(&w->fs->index, attr.ino)->nlookup, 1);
	}
}

static int try_create(struct world *w, ka_ino_t parent, const char *name, uint32_t mode,
		      const char *target)
{
	ka_ino_t ino;

	return memfs_try_create(w->fs, parent, name, mode, target, &ino);
}

static void test_create_errors(void **state)
{
	struct world *w = *state;
	char target[KA_TARGET_MAX + 2];
	char *before = memfs_dump(w->fs), *after;

	assert_err(try_create(w, KA_ROOT_INO, "file", S_IFREG, NULL), -EEXIST);
	assert_err(try_create(w, KA_ROOT_INO, "dir", S_IFDIR, NULL), -EEXIST);
	assert_err(try_create(w, w->file, "x", S_IFREG, NULL), -ENOTDIR);
	assert_err(try_create(w, w->link, "x", S_IFREG, NULL), -ENOTDIR);
	assert_err(try_create(w, NO_INO, "x", S_IFREG, NULL), -ESTALE);
	assert_err(try_create(w, w->removed, "x", S_IFREG, NULL), -ENOENT);
	assert_err(try_create(w, KA_ROOT_INO, "", S_IFREG, NULL), -ENOENT);
	assert_err(try_create(w, KA_ROOT_INO, ".", S_IFREG, NULL), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, "..", S_IFDIR, NULL), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, "a/b", S_IFREG, NULL), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, too_long(), S_IFREG, NULL), -ENAMETOOLONG);
	assert_err(try_create(w, KA_ROOT_INO, "x", 0644, NULL), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, "x", S_IFMT, NULL), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, "x", S_IFREG | 0x100000, NULL), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, "x", S_IFLNK | 0777, NULL), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, "x", S_IFREG, "target"), -EINVAL);
	assert_err(try_create(w, KA_ROOT_INO, "x", S_IFLNK | 0777, ""), -ENOENT);
	memset(target, 't', sizeof(target));
	target[KA_TARGET_MAX + 1] = 0;
	assert_err(try_create(w, KA_ROOT_INO, "x", S_IFLNK | 0777, target), -ENAMETOOLONG);
	after = memfs_dump(w->fs);
	assert_string_equal(before, after);
	free(before);
	free(after);
	target[KA_TARGET_MAX] = 0;
	assert_ok(try_create(w, KA_ROOT_INO, longest(), S_IFLNK | 0777, target));
}

/* Without a name: it lives as long as somebody has it, or until it gets one. */
static void test_tmpfile(void **state)
{
	struct world *w = *state;
	struct ka_new new = {.mode = S_IFREG | 0600};
	struct ka_file *file;
	struct ka_attr attr;
	ka_ino_t ino;

	assert_ok(ka_create(w->fs, &new, &attr));
	ino = attr.ino;
	assert_int_equal(attr.nlink, 0);
	assert_ok(ka_open(w->fs, ino, &file));
	ka_forget(w->fs, ino, 1);
	memfs_write_pattern(w->fs, ino, 0, 100, 1);
	assert_ok(memfs_link(w->fs, ino, w->dir, "named"));
	ka_close(w->fs, file);
	assert_int_equal(attr_of(w, ino).nlink, 1);
	assert_true(memfs_has_pattern(w->fs, ino, 0, 100, 1));

	assert_ok(ka_create(w->fs, &new, &attr));
	assert_ok(ka_open(w->fs, attr.ino, &file));
	ka_forget(w->fs, attr.ino, 1);
	assert_ok(ka_getattr(w->fs, attr.ino, &attr));
	ka_close(w->fs, file);
	assert_err(ka_getattr(w->fs, attr.ino, &attr), -ESTALE);
}

/* As Linux's inode_init_owner has it. */
static void test_inherit_group(void **state)
{
	struct world *w = *state;
	struct ka_setattr set = {.valid = KA_SET_MODE | KA_SET_GID, .mode = 02755, .gid = 42};
	struct ka_new new = {.parent = w->sub, .gid = 7};
	struct ka_attr attr;

	assert_ok(ka_setattr(w->fs, w->sub, &set, &attr));
	new.name = "dir";
	new.mode = S_IFDIR | 0755;
	assert_ok(ka_create(w->fs, &new, &attr));
	assert_int_equal(attr.gid, 42);
	assert_int_equal(attr.mode, S_IFDIR | 02755);
	new.name = "file";
	new.mode = S_IFREG | 0755;
	assert_ok(ka_create(w->fs, &new, &attr));
	assert_int_equal(attr.gid, 42);
	assert_int_equal(attr.mode, S_IFREG | 0755);
	new.name = "suid";
	new.mode = S_IFREG | 06755; /* not in the group: the bit goes */
	assert_ok(ka_create(w->fs, &new, &attr));
	assert_int_equal(attr.mode, S_IFREG | 04755);
	new.name = "member";
	new.in_group = true;
	assert_ok(ka_create(w->fs, &new, &attr));
	assert_int_equal(attr.mode, S_IFREG | 06755);
	new.name = "locking"; /* no group execute: means something else */
	new.mode = S_IFREG | 02644;
	new.in_group = false;
	assert_ok(ka_create(w->fs, &new, &attr));
	assert_int_equal(attr.mode, S_IFREG | 02644);
}

static void test_link(void **state)
{
	struct world *w = *state;
	struct ka_attr old = attr_of(w, w->file), dir = attr_of(w, w->sub), attr;

	assert_ok(ka_link(w->fs, w->file, w->sub, "third", &attr));
	assert_int_equal(attr.ino, w->file);
	assert_int_equal(attr.nlink, 3);
	expect_touched(w, &old, "c");
	expect_touched(w, &dir, "mc");
	assert_int_equal(ka_index_find(&w->fs->index, w->file)->nlookup, 1);
	assert_ok(memfs_link(w->fs, w->link, w->sub, "symlinks too"));
	assert_ok(memfs_link(w->fs, w->fifo, w->sub, "and others"));

	assert_err(memfs_link(w->fs, w->file, w->sub, "third"), -EEXIST);
	assert_err(memfs_link(w->fs, w->dir, w->sub, "x"), -EPERM);
	assert_err(memfs_link(w->fs, NO_INO, w->sub, "x"), -ESTALE);
	assert_err(memfs_link(w->fs, w->file, NO_INO, "x"), -ESTALE);
	assert_err(memfs_link(w->fs, w->file, w->file, "x"), -ENOTDIR);
	assert_err(memfs_link(w->fs, w->file, w->removed, "x"), -ENOENT);
	assert_err(memfs_link(w->fs, w->file, w->sub, ""), -ENOENT);
	assert_err(memfs_link(w->fs, w->file, w->sub, ".."), -EINVAL);
	assert_err(memfs_link(w->fs, w->file, w->sub, too_long()), -ENAMETOOLONG);
	ka_index_find(&w->fs->index, w->inner)->nlink = UINT32_MAX;
	assert_err(memfs_link(w->fs, w->inner, w->sub, "x"), -EMLINK);
	ka_index_find(&w->fs->index, w->inner)->nlink = 1;
}

static void test_unlink(void **state)
{
	struct world *w = *state;
	struct ka_attr old = attr_of(w, w->file), root = attr_of(w, KA_ROOT_INO), attr;

	assert_ok(ka_unlink(w->fs, KA_ROOT_INO, "file"));
	assert_int_equal(attr_of(w, w->file).nlink, 1);
	expect_touched(w, &old, "c");
	expect_touched(w, &root, "mc");
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 10000, 1));
	assert_ok(ka_unlink(w->fs, w->dir, "hard"));
	assert_err(ka_getattr(w->fs, w->file, &attr), -ESTALE);
	assert_ok(ka_unlink(w->fs, KA_ROOT_INO, "link"));
	assert_ok(ka_unlink(w->fs, KA_ROOT_INO, "fifo"));

	assert_err(ka_unlink(w->fs, KA_ROOT_INO, "file"), -ENOENT);
	assert_err(ka_unlink(w->fs, KA_ROOT_INO, "dir"), -EISDIR);
	assert_err(ka_unlink(w->fs, w->inner, "x"), -ENOTDIR);
	assert_err(ka_unlink(w->fs, NO_INO, "x"), -ESTALE);
	assert_err(ka_unlink(w->fs, w->removed, "x"), -ENOENT);
	assert_err(ka_unlink(w->fs, KA_ROOT_INO, ""), -ENOENT);
	assert_err(ka_unlink(w->fs, KA_ROOT_INO, too_long()), -ENAMETOOLONG);
}

static void test_rmdir(void **state)
{
	struct world *w = *state;
	struct ka_attr old = attr_of(w, w->dir), attr;

	assert_err(ka_rmdir(w->fs, KA_ROOT_INO, "dir"), -ENOTEMPTY);
	assert_err(ka_rmdir(w->fs, KA_ROOT_INO, "file"), -ENOTDIR);
	assert_err(ka_rmdir(w->fs, KA_ROOT_INO, "none"), -ENOENT);
	assert_err(ka_rmdir(w->fs, KA_ROOT_INO, "."), -EINVAL);
	assert_err(ka_rmdir(w->fs, w->inner, "x"), -ENOTDIR);
	assert_err(ka_rmdir(w->fs, NO_INO, "x"), -ESTALE);
	assert_err(ka_rmdir(w->fs, KA_ROOT_INO, too_long()), -ENAMETOOLONG);

	assert_int_equal(old.nlink, 3);
	assert_ok(ka_rmdir(w->fs, w->dir, "sub"));
	assert_int_equal(attr_of(w, w->dir).nlink, 2);
	expect_touched(w, &old, "mc");
	assert_err(ka_getattr(w->fs, w->sub, &attr), -ESTALE);
}

/* ---- rename ------------------------------------------------------------ */

static void test_rename_move(void **state)
{
	struct world *w = *state;
	struct ka_attr file = attr_of(w, w->inner), from = attr_of(w, w->dir);
	struct ka_attr to = attr_of(w, KA_ROOT_INO), attr;

	assert_ok(ka_rename(w->fs, w->dir, "inner", KA_ROOT_INO, "moved", RENAME_NOREPLACE));
	assert_int_equal(memfs_lookup(w->fs, w->dir, "inner"), 0);
	assert_int_equal(memfs_lookup(w->fs, KA_ROOT_INO, "moved"), w->inner);
	expect_touched(w, &file, "c");
	expect_touched(w, &from, "mc");
	expect_touched(w, &to, "mc");
	assert_int_equal(attr_of(w, w->inner).nlink, 1);

	assert_ok(ka_rename(w->fs, w->dir, "sub", KA_ROOT_INO, "moved dir", 0));
	assert_int_equal(attr_of(w, w->dir).nlink, from.nlink - 1);
	assert_int_equal(attr_of(w, KA_ROOT_INO).nlink, to.nlink + 1);
	assert_ok(ka_lookup(w->fs, w->sub, "..", &attr));
	assert_int_equal(attr.ino, KA_ROOT_INO);
	assert_ok(ka_rename(w->fs, KA_ROOT_INO, "moved", KA_ROOT_INO, "moved again", 0));
	assert_int_equal(memfs_lookup(w->fs, KA_ROOT_INO, "moved again"), w->inner);
}

static void test_rename_replace(void **state)
{
	struct world *w = *state;
	struct ka_attr attr;

	assert_ok(ka_rename(w->fs, KA_ROOT_INO, "link", w->dir, "inner", 0));
	assert_int_equal(memfs_lookup(w->fs, w->dir, "inner"), w->link);
	assert_err(ka_getattr(w->fs, w->inner, &attr), -ESTALE);
	/* One of two names is replaced: the file stays. */
	assert_ok(ka_rename(w->fs, w->dir, "inner", w->dir, "hard", 0));
	assert_int_equal(attr_of(w, w->file).nlink, 1);
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 10000, 1));
	/* An empty directory by another. */
	memfs_dir(w->fs, KA_ROOT_INO, "empty");
	assert_ok(ka_rename(w->fs, w->dir, "sub", KA_ROOT_INO, "empty", 0));
	assert_int_equal(attr_of(w, KA_ROOT_INO).nlink, 4);
	assert_int_equal(attr_of(w, w->dir).nlink, 2);
}

/* The replaced file is open: it can be read to the end. */
static void test_rename_replace_open(void **state)
{
	struct world *w = *state;
	struct ka_file *file;
	struct ka_attr attr;

	memfs_write_pattern(w->fs, w->inner, 0, 5000, 2);
	assert_ok(ka_open(w->fs, w->inner, &file));
	assert_ok(ka_rename(w->fs, KA_ROOT_INO, "fifo", w->dir, "inner", 0));
	assert_true(memfs_has_pattern(w->fs, w->inner, 0, 5000, 2));
	ka_close(w->fs, file);
	assert_err(ka_getattr(w->fs, w->inner, &attr), -ESTALE);
}

/* Two names of one file: POSIX wants nothing to happen. */
static void test_rename_same_file(void **state)
{
	struct world *w = *state;
	char *before = memfs_dump(w->fs), *after;

	assert_ok(ka_rename(w->fs, KA_ROOT_INO, "file", w->dir, "hard", 0));
	assert_ok(ka_rename(w->fs, KA_ROOT_INO, "file", KA_ROOT_INO, "file", 0));
	assert_ok(ka_rename(w->fs, KA_ROOT_INO, "file", w->dir, "hard", RENAME_EXCHANGE));
	after = memfs_dump(w->fs);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void test_rename_exchange(void **state)
{
	struct world *w = *state;
	struct ka_attr a = attr_of(w, w->sub), b = attr_of(w, w->fifo), attr;

	assert_ok(ka_rename(w->fs, w->dir, "sub", KA_ROOT_INO, "fifo", RENAME_EXCHANGE));
	assert_int_equal(memfs_lookup(w->fs, w->dir, "sub"), w->fifo);
	assert_int_equal(memfs_lookup(w->fs, KA_ROOT_INO, "fifo"), w->sub);
	assert_ok(ka_lookup(w->fs, w->sub, "..", &attr));
	assert_int_equal(attr.ino, KA_ROOT_INO);
	assert_int_equal(attr_of(w, w->dir).nlink, 2);
	assert_int_equal(attr_of(w, KA_ROOT_INO).nlink, 4);
	expect_touched(w, &a, "c");
	expect_touched(w, &b, "c");
	/* Two directories, one in the other's parent. */
	memfs_dir(w->fs, w->dir, "deep");
	assert_ok(ka_rename(w->fs, w->dir, "deep", KA_ROOT_INO, "fifo", RENAME_EXCHANGE));
	assert_ok(ka_lookup(w->fs, w->sub, "..", &attr));
	assert_int_equal(attr.ino, w->dir);
}

static void test_rename_errors(void **state)
{
	struct world *w = *state;
	char *before, *after;

	memfs_file(w->fs, w->sub, "deep");
	before = memfs_dump(w->fs);
#define RENAME(from, name, to, new, flags) \
	ka_rename(w->fs, (from), (name), (to), (new), (unsigned)(flags))
	assert_err(RENAME(KA_ROOT_INO, "none", KA_ROOT_INO, "x", 0), -ENOENT);
	assert_err(RENAME(KA_ROOT_INO, "file", w->removed, "x", 0), -ENOENT);
	assert_err(RENAME(w->removed, "file", KA_ROOT_INO, "x", 0), -ENOENT);
	assert_err(RENAME(NO_INO, "file", KA_ROOT_INO, "x", 0), -ESTALE);
	assert_err(RENAME(KA_ROOT_INO, "file", NO_INO, "x", 0), -ESTALE);
	assert_err(RENAME(w->file, "file", KA_ROOT_INO, "x", 0), -ENOTDIR);
	assert_err(RENAME(KA_ROOT_INO, "file", w->file, "x", 0), -ENOTDIR);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, "dir", 0), -EISDIR);
	assert_err(RENAME(KA_ROOT_INO, "dir", KA_ROOT_INO, "file", 0), -ENOTDIR);
	memfs_dir(w->fs, KA_ROOT_INO, "other");
	assert_err(RENAME(KA_ROOT_INO, "other", w->dir, "sub", 0), -ENOTEMPTY);
	assert_ok(ka_rmdir(w->fs, KA_ROOT_INO, "other"));
	assert_err(RENAME(KA_ROOT_INO, "dir", w->dir, "x", 0), -EINVAL);
	assert_err(RENAME(KA_ROOT_INO, "dir", w->sub, "x", 0), -EINVAL);
	assert_err(RENAME(KA_ROOT_INO, "dir", w->sub, "deep", RENAME_EXCHANGE), -EINVAL);
	assert_err(RENAME(w->sub, "deep", KA_ROOT_INO, "dir", RENAME_EXCHANGE), -EINVAL);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, "fifo", RENAME_NOREPLACE), -EEXIST);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, "file", RENAME_NOREPLACE), -EEXIST);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, "none", RENAME_EXCHANGE), -ENOENT);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, "fifo",
			  RENAME_EXCHANGE | RENAME_NOREPLACE),
		   -EINVAL);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, "x", RENAME_WHITEOUT), -EINVAL);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, "x", 1u << 31), -EINVAL);
	assert_err(RENAME(KA_ROOT_INO, "file", KA_ROOT_INO, too_long(), 0), -ENAMETOOLONG);
	assert_err(RENAME(KA_ROOT_INO, too_long(), KA_ROOT_INO, "x", 0), -ENAMETOOLONG);
	assert_err(RENAME(KA_ROOT_INO, "dir", KA_ROOT_INO, ".", 0), -EINVAL);
	assert_err(RENAME(KA_ROOT_INO, "..", KA_ROOT_INO, "x", 0), -EINVAL);
	after = memfs_dump(w->fs);
	/* "other" came and went: only the times of the root differ. */
	assert_string_equal(strchr(before, '\n'), strchr(after, '\n'));
	free(before);
	free(after);
}

/* ---- reading names ----------------------------------------------------- */

static void test_readlink(void **state)
{
	struct world *w = *state;
	char buf[KA_TARGET_MAX + 1];

	assert_ok(ka_readlink(w->fs, w->link, buf));
	assert_string_equal(buf, "target");
	assert_err(ka_readlink(w->fs, w->file, buf), -EINVAL);
	assert_err(ka_readlink(w->fs, w->dir, buf), -EINVAL);
	assert_err(ka_readlink(w->fs, NO_INO, buf), -ESTALE);
}

struct list {
	struct {
		char name[32];
		ka_ino_t ino;
		uint64_t cookie;
	} entry[32];
	size_t count;
	size_t stop; /* refuse from this one on */
};

static bool take(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct list *l = ctx;

	if (l->count == l->stop)
		return false;
	snprintf(l->entry[l->count].name, sizeof(l->entry[0].name), "%s", name);
	l->entry[l->count].ino = attr->ino;
	l->entry[l->count++].cookie = cookie;
	return true;
}

static void test_readdir(void **state)
{
	static const char *const names[] = {".", "..", "sub", "inner", "hard"};
	struct world *w = *state;
	struct list l = {.stop = 32};
	size_t i;

	assert_ok(ka_readdir(w->fs, w->dir, 0, false, take, &l));
	assert_int_equal(l.count, 5);
	for (i = 0; i < 5; i++)
		assert_string_equal(l.entry[i].name, names[i]);
	assert_int_equal(l.entry[0].ino, w->dir);
	assert_int_equal(l.entry[1].ino, KA_ROOT_INO);
	assert_int_equal(l.entry[2].ino, w->sub);
	assert_int_equal(l.entry[4].ino, w->file);
	for (i = 0; i < 5; i++) { /* on from each cookie */
		struct list rest = {.stop = 32};

		assert_ok(ka_readdir(w->fs, w->dir, l.entry[i].cookie, false, take, &rest));
		assert_int_equal(rest.count, 4 - i);
		if (rest.count)
			assert_string_equal(rest.entry[0].name, names[i + 1]);
	}
	assert_err(ka_readdir(w->fs, w->file, 0, false, take, &l), -ENOTDIR);
	assert_err(ka_readdir(w->fs, NO_INO, 0, false, take, &l), -ESTALE);
	l.count = 0;
	assert_ok(ka_readdir(w->fs, w->removed, 0, false, take, &l));
	assert_int_equal(l.count, 2);
	l.count = 0;
	assert_ok(ka_readdir(w->fs, KA_ROOT_INO, UINT64_MAX, false, take, &l));
	assert_int_equal(l.count, 0);
}

/* With plus each entry that was taken counts, the refused one does not. */
static void test_readdir_plus(void **state)
{
	struct world *w = *state;
	struct list l = {.stop = 4};

	assert_ok(ka_readdir(w->fs, w->dir, 0, true, take, &l));
	assert_int_equal(l.count, 4);
	assert_int_equal(ka_index_find(&w->fs->index, w->dir)->nlookup, 0); /* "." */
	assert_int_equal(ka_index_find(&w->fs->index, w->sub)->nlookup, 1);
	assert_int_equal(ka_index_find(&w->fs->index, w->inner)->nlookup, 1);
	assert_int_equal(ka_index_find(&w->fs->index, w->file)->nlookup, 0);
	l.count = 0;
	l.stop = 0;
	assert_ok(ka_readdir(w->fs, w->dir, 0, true, take, &l));
	assert_int_equal(l.count, 0);
}

/* ---- attributes -------------------------------------------------------- */

static int set_size(struct world *w, ka_ino_t ino, uint64_t size)
{
	return memfs_truncate(w->fs, ino, size);
}

static void test_setattr(void **state)
{
	struct world *w = *state;
	struct ka_setattr set = {0};
	struct ka_attr old = attr_of(w, w->file), attr;

	assert_ok(ka_setattr(w->fs, w->file, &set, &attr)); /* nothing: getattr */
	assert_int_equal(attr.ino, w->file);
	assert_int_equal(attr.size, old.size);
	expect_touched(w, &old, "");
	set = (struct ka_setattr){.valid = KA_SET_MODE, .mode = 07531, .uid = 5, .gid = 6};
	assert_ok(ka_setattr(w->fs, w->file, &set, &attr));
	assert_int_equal(attr.mode, S_IFREG | 07531);
	assert_int_equal(attr.uid, 0);
	expect_touched(w, &old, "c");
	set.mode = S_IFDIR | 0644; /* the type does not change */
	assert_ok(ka_setattr(w->fs, w->file, &set, &attr));
	assert_int_equal(attr.mode, S_IFREG | 0644);
	set.valid = KA_SET_UID;
	assert_ok(ka_setattr(w->fs, w->link, &set, &attr));
	assert_int_equal(attr.uid, 5);
	assert_int_equal(attr.gid, 0);
	set.valid = KA_SET_GID;
	assert_ok(ka_setattr(w->fs, w->dir, &set, &attr));
	assert_int_equal(attr.gid, 6);
	set = (struct ka_setattr){
		.valid = KA_SET_ATIME | KA_SET_MTIME,
		.atime = {INT64_MIN, 999999999},
		.mtime = {INT64_MAX, 0},
	};
	assert_ok(ka_setattr(w->fs, w->fifo, &set, &attr));
	assert_true(same_time(&attr.atime, &set.atime));
	assert_true(same_time(&attr.mtime, &set.mtime));
	assert_err(ka_setattr(w->fs, NO_INO, &set, &attr), -ESTALE);
	assert_err(ka_getattr(w->fs, NO_INO, &attr), -ESTALE);
}

static void test_truncate(void **state)
{
	struct world *w = *state;
	struct ka_setattr set = {.valid = KA_SET_SIZE | KA_SET_MTIME, .size = 1, .mtime = {5, 6}};
	struct ka_attr old = attr_of(w, w->file), attr;
	uint8_t buf[20000], zeros[20000] = {0};
	size_t len;

	assert_ok(set_size(w, w->file, 20000));
	expect_touched(w, &old, "mc");
	attr = attr_of(w, w->file);
	assert_int_equal(attr.size, 20000);
	assert_int_equal(attr.blocks, 20); /* a hole */
	assert_ok(memfs_read(w->fs, w->file, 0, buf, sizeof(buf), &len));
	assert_int_equal(len, 20000);
	assert_memory_equal(buf + 10000, zeros, 10000);
	assert_ok(set_size(w, w->file, 100));
	assert_ok(set_size(w, w->file, 10000)); /* what was cut off is zeros now */
	assert_ok(memfs_read(w->fs, w->file, 0, buf, sizeof(buf), &len));
	assert_memory_equal(buf + 100, zeros, 9900);
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 100, 1));
	assert_int_equal(attr_of(w, w->file).blocks, 1);
	old = attr_of(w, w->file);
	assert_ok(set_size(w, w->file, 10000)); /* no change, but touched */
	expect_touched(w, &old, "mc");
	assert_ok(ka_setattr(w->fs, w->file, &set, &attr)); /* a given time wins */
	assert_true(same_time(&attr.mtime, &set.mtime));
	assert_ok(set_size(w, w->file, KA_FILE_MAX));
	assert_err(set_size(w, w->file, KA_FILE_MAX + 1), -EFBIG);
	assert_err(set_size(w, w->file, UINT64_MAX), -EFBIG);
	assert_err(set_size(w, w->dir, 0), -EISDIR);
	assert_err(set_size(w, w->link, 0), -EINVAL);
	assert_err(set_size(w, w->fifo, 0), -EINVAL);
	assert_int_equal(attr_of(w, w->file).size, KA_FILE_MAX);
}

/* ---- files ------------------------------------------------------------- */

static void test_open(void **state)
{
	struct world *w = *state;
	struct ka_file *file;

	assert_err(ka_open(w->fs, w->dir, &file), -EISDIR);
	assert_err(ka_open(w->fs, w->link, &file), -EINVAL);
	assert_err(ka_open(w->fs, w->fifo, &file), -EINVAL);
	assert_err(ka_open(w->fs, NO_INO, &file), -ESTALE);
	assert_ok(ka_open(w->fs, w->file, &file));
	ka_close(w->fs, file);
}

/* An open file without a name is whole until it is closed. */
static void test_unlinked_open(void **state)
{
	struct world *w = *state;
	struct ka_file *one, *two;
	struct ka_attr attr;

	assert_ok(ka_open(w->fs, w->file, &one));
	assert_ok(ka_open(w->fs, w->file, &two));
	assert_ok(ka_unlink(w->fs, KA_ROOT_INO, "file"));
	assert_ok(ka_unlink(w->fs, w->dir, "hard"));
	assert_int_equal(attr_of(w, w->file).nlink, 0);
	memfs_write_pattern(w->fs, w->file, 10000, 1000, 1);
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 11000, 1));
	ka_close(w->fs, one);
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 11000, 1));
	ka_close(w->fs, two);
	assert_err(ka_getattr(w->fs, w->file, &attr), -ESTALE);
}

/*
 * Unlinked, not open, but somebody refers to it (O_PATH, then open by way of
 * /proc/self/fd): what can be opened has its contents, never other bytes.
 */
static void test_unlinked_referenced(void **state)
{
	struct world *w = *state;
	struct ka_file *file;
	struct ka_attr attr;
	int err;

	memfs_write_pattern(w->fs, w->inner, 0, 5000, 2);
	assert_ok(ka_setxattr(w->fs, w->inner, "user.a", "x", 1, 0));
	assert_ok(ka_lookup(w->fs, w->dir, "inner", &attr));
	assert_ok(ka_unlink(w->fs, w->dir, "inner"));
	err = ka_open(w->fs, w->inner, &file);
	if (!err) {
		assert_true(memfs_has_pattern(w->fs, w->inner, 0, 5000, 2));
		assert_int_equal(attr_of(w, w->inner).blocks, 10);
		ka_close(w->fs, file);
	} else {
		assert_true(err == -ESTALE || err == -ENOENT);
	}
	ka_forget(w->fs, w->inner, 1);
	assert_err(ka_getattr(w->fs, w->inner, &attr), -ESTALE);
}

static void test_write(void **state)
{
	struct world *w = *state;
	struct ka_attr old = attr_of(w, w->file);
	struct ka_file *file;
	size_t written = 99;

	assert_ok(ka_open(w->fs, w->file, &file));
	assert_ok(ka_write(w->fs, file, "", 0, 5, true, &written));
	assert_int_equal(written, 0);
	expect_touched(w, &old, "");
	assert_ok(ka_write(w->fs, file, "abc", 3, 5000, false, &written));
	assert_int_equal(written, 3);
	expect_touched(w, &old, "mc");
	assert_int_equal(attr_of(w, w->file).size, 10000);
	assert_ok(ka_write(w->fs, file, "x", 1, 20000, false, &written));
	assert_int_equal(attr_of(w, w->file).size, 20001);
	assert_ok(ka_append(w->fs, file, "yz", 2, false, &written));
	assert_int_equal(written, 2);
	assert_int_equal(attr_of(w, w->file).size, 20003);
	assert_ok(ka_write(w->fs, file, "e", 1, KA_FILE_MAX - 1, false, &written));
	assert_err(ka_write(w->fs, file, "e", 1, KA_FILE_MAX, false, &written), -EFBIG);
	assert_err(ka_write(w->fs, file, "ef", 2, KA_FILE_MAX - 1, false, &written), -EFBIG);
	assert_err(ka_write(w->fs, file, "e", 1, UINT64_MAX, false, &written), -EFBIG);
	assert_err(ka_append(w->fs, file, "e", 1, false, &written), -EFBIG);
	assert_int_equal(written, 0);
	ka_close(w->fs, file);
}

static void test_write_kills(void **state)
{
	static const struct {
		uint32_t before;
		uint32_t after;
	} modes[] = {
		{06777, 0777},	{04755, 0755},	{02755, 0755},
		{02644, 02644}, {06644, 02644}, {01644, 01644},
	};
	struct world *w = *state;
	struct ka_setattr set = {.valid = KA_SET_MODE};
	struct ka_file *file;
	struct ka_attr attr;
	size_t i, written;
	int kill;

	assert_ok(ka_open(w->fs, w->file, &file));
	for (i = 0; i < KA_ARRAY_SIZE(modes); i++) {
		for (kill = 0; kill < 2; kill++) {
			set.mode = modes[i].before;
			assert_ok(ka_setattr(w->fs, w->file, &set, &attr));
			assert_ok(ka_write(w->fs, file, "x", 1, 0, kill, &written));
			assert_int_equal(attr_of(w, w->file).mode & 07777,
					 kill ? modes[i].after : modes[i].before);
		}
	}
	ka_close(w->fs, file);
}

static void test_fallocate(void **state)
{
	struct world *w = *state;
	struct ka_attr old = attr_of(w, w->file);
	uint8_t buf[60000], zeros[60000] = {0};
	size_t len;

#define ALLOC(mode, off, len) memfs_fallocate(w->fs, w->file, (mode), (off), (len))
	assert_ok(ALLOC(0, 0, 5000)); /* all of it is there */
	assert_int_equal(attr_of(w, w->file).blocks, 20);
	expect_touched(w, &old, "mc");
	assert_ok(ALLOC(FALLOC_FL_KEEP_SIZE, 5000, 45000));
	assert_int_equal(attr_of(w, w->file).size, 10000);
	assert_int_equal(attr_of(w, w->file).blocks, (50000 + 511) / 512);
	expect_touched(w, &old, "mc");
	assert_ok(ALLOC(0, 5000, 45000));
	assert_int_equal(attr_of(w, w->file).size, 50000);
	expect_touched(w, &old, "mc");
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 10000, 1));
	assert_ok(memfs_read(w->fs, w->file, 10000, buf, 40000, &len));
	assert_memory_equal(buf, zeros, 40000);

	assert_ok(ALLOC(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, 48000));
	assert_int_equal(attr_of(w, w->file).blocks, (2000 + 511) / 512);
	assert_int_equal(attr_of(w, w->file).size, 50000);
	assert_ok(ALLOC(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 10)); /* beyond */
	assert_int_equal(attr_of(w, w->file).size, 50000);
	assert_ok(ALLOC(FALLOC_FL_ZERO_RANGE, 500, 59500));
	assert_int_equal(attr_of(w, w->file).size, 60000);
	assert_int_equal(attr_of(w, w->file).blocks, (60000 + 511) / 512);
	assert_ok(ALLOC(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 59000, 2000));
	assert_int_equal(attr_of(w, w->file).size, 60000);
	assert_ok(memfs_read(w->fs, w->file, 500, buf, 60000, &len));
	assert_int_equal(len, 59500);
	assert_memory_equal(buf, zeros, len);
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 500, 1));

	assert_err(ALLOC(0, 0, 0), -EINVAL);
	assert_err(ALLOC(0, KA_FILE_MAX, 1), -EFBIG);
	assert_err(ALLOC(0, 1, UINT64_MAX), -EFBIG);
	assert_err(ALLOC(FALLOC_FL_PUNCH_HOLE, 0, 1), -EOPNOTSUPP);
	assert_err(ALLOC(FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -EOPNOTSUPP);
	assert_err(ALLOC(FALLOC_FL_INSERT_RANGE, 0, 4096), -EOPNOTSUPP);
	assert_err(ALLOC(FALLOC_FL_UNSHARE_RANGE, 0, 4096), -EOPNOTSUPP);
	assert_err(ALLOC(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE, 0, 1), -EOPNOTSUPP);
}

static void test_seek(void **state)
{
	static const struct {
		uint64_t off;
		int64_t data;
		int64_t hole;
	} cases[] = {
		/* data 1000-2000 and 2000-3000, unwritten 3000-4000, hole, data 6000-7000, hole */
		{0, 1000, 0},
		{999, 1000, 999},
		{1000, 1000, 3000},
		{1999, 1999, 3000},
		{2000, 2000, 3000},
		{2999, 2999, 3000},
		{3000, 6000, 3000},
		{5000, 6000, 5000},
		{6500, 6500, 7000},
		{7000, -ENXIO, 7000},
		{7999, -ENXIO, 7999},
		{8000, -ENXIO, -ENXIO},
		{UINT64_MAX, -ENXIO, -ENXIO},
	};
	struct world *w = *state;
	struct ka_file *file;
	uint64_t off;
	size_t i;

	memfs_write_pattern(w->fs, w->inner, 1000, 1000, 1);
	memfs_write_pattern(w->fs, w->inner, 2000, 1000, 1);
	assert_ok(memfs_fallocate(w->fs, w->inner, 0, 3000, 1000));
	memfs_write_pattern(w->fs, w->inner, 6000, 1000, 1);
	assert_ok(set_size(w, w->inner, 8000));
	assert_ok(ka_open(w->fs, w->inner, &file));
	for (i = 0; i < KA_ARRAY_SIZE(cases); i++) {
		assert_err(ka_seek(w->fs, file, cases[i].off, SEEK_DATA, &off),
			   cases[i].data < 0 ? (int)cases[i].data : 0);
		if (cases[i].data >= 0)
			assert_int_equal(off, cases[i].data);
		assert_err(ka_seek(w->fs, file, cases[i].off, SEEK_HOLE, &off),
			   cases[i].hole < 0 ? (int)cases[i].hole : 0);
		if (cases[i].hole >= 0)
			assert_int_equal(off, cases[i].hole);
	}
	assert_err(ka_seek(w->fs, file, 0, SEEK_SET, &off), -EINVAL);
	ka_close(w->fs, file);
	/* Data up to the very end: the end is a hole. */
	assert_ok(ka_open(w->fs, w->file, &file));
	assert_ok(ka_seek(w->fs, file, 5, SEEK_HOLE, &off));
	assert_int_equal(off, 10000);
	ka_close(w->fs, file);
	/* Room kept behind the end is neither. */
	assert_ok(memfs_fallocate(w->fs, w->file, FALLOC_FL_KEEP_SIZE, 0, 50000));
	assert_ok(ka_open(w->fs, w->file, &file));
	assert_ok(ka_seek(w->fs, file, 5, SEEK_HOLE, &off));
	assert_int_equal(off, 10000);
	ka_close(w->fs, file);
}

static void test_copy_range(void **state)
{
	struct world *w = *state;
	struct ka_attr old = attr_of(w, w->inner), from = attr_of(w, w->file);
	struct ka_file *in, *out;
	uint64_t copied;
	uint8_t buf[100];
	size_t len;

	assert_ok(ka_open(w->fs, w->file, &in));
	assert_ok(ka_open(w->fs, w->inner, &out));
#define COPY(a, from, b, to, len) ka_copy_range(w->fs, (a), (from), (b), (to), (len), &copied)
	assert_ok(COPY(in, 1000, out, 1000, 2000));
	assert_int_equal(copied, 2000);
	assert_true(memfs_has_pattern(w->fs, w->inner, 1000, 2000, 1));
	assert_int_equal(attr_of(w, w->inner).size, 3000);
	assert_int_equal(attr_of(w, w->inner).blocks, (2000 + 511) / 512);
	expect_touched(w, &old, "mc");
	expect_touched(w, &from, "");
	assert_ok(COPY(in, 9000, out, 9000, UINT64_MAX)); /* up to the end */
	assert_int_equal(copied, 1000);
	assert_ok(COPY(in, 10000, out, 0, 1));
	assert_int_equal(copied, 0);
	assert_ok(COPY(in, UINT64_MAX, out, 0, 1));
	assert_int_equal(copied, 0);
	assert_ok(COPY(in, 0, out, 0, 0));
	assert_int_equal(copied, 0);
	/* A hole in the source makes one. */
	assert_ok(COPY(out, 3000, in, 0, 100));
	assert_ok(memfs_read(w->fs, w->file, 0, buf, 100, &len));
	assert_memory_equal(buf, ((uint8_t[100]){0}), 100);
	/* Within one file. */
	assert_ok(COPY(in, 5000, in, 5010, 10));
	assert_true(memfs_has_pattern(w->fs, w->file, 5000, 10, 1));
	assert_err(COPY(in, 5000, in, 5009, 10), -EINVAL);
	assert_err(COPY(in, 5000, in, 5000, 10), -EINVAL);
	assert_err(COPY(in, 5009, in, 5000, 10), -EINVAL);
	assert_err(COPY(in, 0, out, KA_FILE_MAX - 9, 10), -EFBIG);
	assert_err(COPY(in, 0, out, UINT64_MAX, 10), -EFBIG);
	/* Shared bytes are not changed by writing to one of the two. */
	memfs_write(w->fs, w->file, 1500, "changed", 7);
	assert_true(memfs_has_pattern(w->fs, w->inner, 1000, 2000, 1));
	ka_close(w->fs, in);
	ka_close(w->fs, out);
	assert_ok(ka_unlink(w->fs, KA_ROOT_INO, "file"));
	assert_ok(ka_unlink(w->fs, w->dir, "hard"));
	assert_true(memfs_has_pattern(w->fs, w->inner, 1000, 2000, 1));
}

/* ---- extended attributes ----------------------------------------------- */

static void test_xattr(void **state)
{
	struct world *w = *state;
	struct ka_attr old = attr_of(w, w->dir);
	char buf[64], list[64];
	size_t bytes;

	assert_ok(ka_setxattr(w->fs, w->dir, "user.a", "one", 3, XATTR_CREATE));
	expect_touched(w, &old, "c");
	assert_ok(ka_setxattr(w->fs, w->dir, "user.b", NULL, 0, 0));
	assert_ok(ka_setxattr(w->fs, w->dir, "user.a", "three", 5, XATTR_REPLACE));
	assert_ok(ka_getxattr(w->fs, w->dir, "user.a", NULL, 0, &bytes));
	assert_int_equal(bytes, 5);
	assert_ok(ka_getxattr(w->fs, w->dir, "user.a", buf, 5, &bytes));
	assert_memory_equal(buf, "three", 5);
	assert_err(ka_getxattr(w->fs, w->dir, "user.a", buf, 4, &bytes), -ERANGE);
	assert_ok(ka_getxattr(w->fs, w->dir, "user.b", buf, 1, &bytes));
	assert_int_equal(bytes, 0);
	assert_ok(ka_listxattr(w->fs, w->dir, true, NULL, 0, &bytes));
	assert_int_equal(bytes, 14);
	assert_ok(ka_listxattr(w->fs, w->dir, true, list, 14, &bytes));
	assert_memory_equal(list, "user.a\0user.b", 14);
	assert_err(ka_listxattr(w->fs, w->dir, true, list, 13, &bytes), -ERANGE);
	assert_ok(ka_listxattr(w->fs, w->file, true, list, 14, &bytes));
	assert_int_equal(bytes, 0);
	assert_ok(ka_setxattr(w->fs, w->dir, "trusted.t", "x", 1, 0));
	assert_ok(ka_listxattr(w->fs, w->dir, false, NULL, 0, &bytes));
	assert_int_equal(bytes, 14); /* not for everybody */
	assert_ok(ka_listxattr(w->fs, w->dir, true, NULL, 0, &bytes));
	assert_int_equal(bytes, 24);
	old = attr_of(w, w->dir);
	assert_ok(ka_removexattr(w->fs, w->dir, "user.a"));
	expect_touched(w, &old, "c");
	assert_err(ka_getxattr(w->fs, w->dir, "user.a", buf, 64, &bytes), -ENODATA);
}

static void test_xattr_errors(void **state)
{
	struct world *w = *state;
	char *big = calloc(1, KA_XATTR_MAX + 1), buf[8], name[KA_XATTR_NAME_MAX + 1];
	size_t bytes;

	assert_non_null(big);
	assert_ok(ka_setxattr(w->fs, w->file, "user.a", "x", 1, 0));
	assert_err(ka_setxattr(w->fs, w->file, "user.", "x", 1, 0), -EINVAL);
	assert_err(ka_setxattr(w->fs, w->file, "other", "x", 1, 0), -EOPNOTSUPP);
	assert_err(ka_setxattr(w->fs, w->file, "system.other", "x", 1, 0), -EOPNOTSUPP);
	assert_err(ka_getxattr(w->fs, w->file, "system.other", buf, 8, &bytes), -EOPNOTSUPP);
	assert_err(ka_removexattr(w->fs, w->file, "x.y"), -EOPNOTSUPP);
	assert_ok(ka_removexattr(w->fs, w->file, "system.posix_acl_access")); /* there is none */
	assert_err(ka_setxattr(w->fs, w->file, "user.a", "y", 1, XATTR_CREATE), -EEXIST);
	assert_err(ka_setxattr(w->fs, w->file, "user.b", "y", 1, XATTR_REPLACE), -ENODATA);
	assert_err(ka_setxattr(w->fs, w->file, "", "y", 1, 0), -ERANGE);
	assert_err(ka_setxattr(w->fs, w->file, too_long(), "y", 1, 0), -ERANGE);
	assert_err(ka_setxattr(w->fs, w->file, "user.b", big, KA_XATTR_MAX + 1, 0), -E2BIG);
	assert_err(ka_setxattr(w->fs, NO_INO, "user.a", "y", 1, 0), -ESTALE);
	assert_err(ka_removexattr(w->fs, w->file, "user.b"), -ENODATA);
	assert_err(ka_removexattr(w->fs, w->file, ""), -ERANGE);
	assert_err(ka_removexattr(w->fs, NO_INO, "user.a"), -ESTALE);
	assert_err(ka_getxattr(w->fs, w->file, "user.b", buf, 8, &bytes), -ENODATA);
	assert_err(ka_getxattr(w->fs, NO_INO, "user.a", buf, 8, &bytes), -ESTALE);
	assert_err(ka_listxattr(w->fs, NO_INO, true, buf, 8, &bytes), -ESTALE);
	memcpy(memset(name, 'n', KA_XATTR_NAME_MAX), "user.", 5);
	name[KA_XATTR_NAME_MAX] = 0;
	assert_ok(ka_setxattr(w->fs, w->file, name, big, KA_XATTR_MAX, 0));
	free(big);
}

/* ---- all of them ------------------------------------------------------- */

/* Every operation that changes something, on a filesystem that may not change. */
static void expect_all(struct world *w, int err)
{
	struct ka_setattr set = {.valid = KA_SET_UID};
	struct ka_file *file;
	struct ka_attr attr;
	uint64_t copied;
	size_t written;

	assert_err(try_create(w, KA_ROOT_INO, "x", S_IFREG, NULL), err);
	assert_err(memfs_link(w->fs, w->file, KA_ROOT_INO, "x"), err);
	assert_err(ka_unlink(w->fs, KA_ROOT_INO, "file"), err);
	assert_err(ka_rmdir(w->fs, w->dir, "sub"), err);
	assert_err(ka_rename(w->fs, KA_ROOT_INO, "file", KA_ROOT_INO, "x", 0), err);
	assert_err(ka_setattr(w->fs, w->file, &set, &attr), err);
	assert_err(ka_setxattr(w->fs, w->file, "user.a", "x", 1, 0), err);
	assert_err(ka_removexattr(w->fs, w->file, "user.a"), err);
	assert_err(ka_fs_checkpoint(w->fs), err);
	if (ka_open(w->fs, w->file, &file))
		return;
	assert_err(ka_write(w->fs, file, "x", 1, 0, false, &written), err);
	assert_err(ka_append(w->fs, file, "x", 1, false, &written), err);
	assert_err(ka_fallocate(w->fs, file, 0, 0, 100), err);
	assert_err(ka_copy_range(w->fs, file, 0, file, 20000, 100, &copied), err);
	ka_close(w->fs, file);
}

static void test_read_only(void **state)
{
	struct world *w = *state;
	char *before = memfs_dump(w->fs), *after;
	struct ka_attr attr;

	memfs_close(&w->m);
	w->m.opts.rdonly = true;
	memfs_open(&w->m);
	w->fs = w->m.fs;
	expect_all(w, -EROFS);
	assert_ok(ka_lookup(w->fs, KA_ROOT_INO, "file", &attr));
	assert_true(memfs_has_pattern(w->fs, w->file, 0, 10000, 1));
	after = memfs_dump(w->fs);
	assert_string_equal(before, after);
	assert_false(ka_fs_wants_checkpoint(w->fs));
	free(before);
	free(after);
}

/* After an internal error everything stops, and a new mount is fine. */
static void test_failed(void **state)
{
	struct world *w = *state;
	char *before = memfs_dump(w->fs), *after;
	struct ka_attr attr;
	struct ka_file *file;
	struct ka_read rd;
	int err;

	assert_ok(ka_open(w->fs, w->file, &file));
	ka_fs_fail(w->fs, -ENOMEM);
	ka_fs_fail(w->fs, -EIO); /* said once */
	assert_int_equal(w->m.msgs.errors, 1);
	assert_true(test_messages_have(&w->m.msgs, "stopped"));
	expect_all(w, -KA_ERR_FAILED);
	assert_err(ka_getattr(w->fs, w->file, &attr), -KA_ERR_FAILED);
	assert_err(ka_read_begin(w->fs, file, 0, 10, &rd), -KA_ERR_FAILED);
	assert_false(ka_fs_wants_checkpoint(w->fs));
	ka_close(w->fs, file);
	err = ka_fs_close(w->m.fs); /* stores nothing */
	w->m.fs = NULL;
	assert_err(err, -KA_ERR_FAILED);
	memfs_open(&w->m);
	w->fs = w->m.fs;
	after = memfs_dump(w->fs);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void test_wants_checkpoint(void **state)
{
	struct world *w = *state;
	int i;

	w->m.opts.ckpt_bytes = 10000;
	memfs_remount(&w->m);
	w->fs = w->m.fs;
	assert_false(ka_fs_wants_checkpoint(w->fs));
	memfs_write_pattern(w->fs, w->file, 0, 9000, 1);
	assert_false(ka_fs_wants_checkpoint(w->fs));
	memfs_write_pattern(w->fs, w->file, 0, 1000, 1);
	assert_true(ka_fs_wants_checkpoint(w->fs));
	assert_ok(ka_fs_checkpoint(w->fs));
	assert_false(ka_fs_wants_checkpoint(w->fs));
	w->m.opts.ckpt_bytes = 0;
	memfs_remount(&w->m);
	w->fs = w->m.fs;
	for (i = 0; i < 8 && !ka_fs_wants_checkpoint(w->fs); i++)
		memfs_write_pattern(w->fs, w->file, 0, 100000, 1);
	assert_int_equal(i, 6); /* an eighth of the capacity */
}

static void test_status(void **state)
{
	struct world *w = *state;
	struct ka_fs_status st, now;

	ka_fs_get_status(w->fs, &st);
	assert_int_equal(st.files, 8);
	assert_int_equal(st.extents, 1);
	assert_int_equal(st.super.state, KA_STATE_MOUNTED);
	assert_string_equal(st.super.label, "test");
	assert_true(st.used_bytes + st.free_bytes <= KA_CAPACITY_MIN);
	assert_true(st.avail_bytes <= st.free_bytes);
	assert_true(st.log_records >= 9 && st.log_bytes >= 10000);
	memfs_write_pattern(w->fs, w->inner, 0, 100000, 1);
	ka_fs_get_status(w->fs, &now);
	assert_in_range(st.free_bytes - now.free_bytes, 100000, 101000);
	assert_int_equal(now.log_records, st.log_records + 1);
}

/* A directory that gave out its last cookie takes no more names, and loses none. */
static void test_cookies_used_up(void **state)
{
	struct world *w = *state;
	struct ka_inode *dir = ka_index_find(&w->fs->index, w->sub);
	ka_ino_t ino;

	dir->dir->next_cookie = KA_NUMBER_LIMIT - 2;
	memfs_file(w->fs, w->sub, "last");
	assert_err(memfs_try_create(w->fs, w->sub, "new", S_IFREG | 0644, NULL, &ino), -ENOSPC);
	assert_err(memfs_link(w->fs, w->file, w->sub, "new"), -ENOSPC);
	assert_err(ka_rename(w->fs, KA_ROOT_INO, "file", w->sub, "new", 0), -ENOSPC);
	assert_ok(ka_rename(w->fs, KA_ROOT_INO, "file", w->sub, "last", 0));
	memfs_remount(&w->m);
	w->fs = w->m.fs;
	assert_int_equal(memfs_lookup(w->fs, w->sub, "last"), w->file);
	assert_ok(ka_unlink(w->fs, w->sub, "last"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lookup),
		TEST(test_lookup_dots),
		TEST(test_forget),
		TEST(test_create),
		TEST(test_create_errors),
		TEST(test_tmpfile),
		TEST(test_inherit_group),
		TEST(test_link),
		TEST(test_cookies_used_up),
		TEST(test_unlink),
		TEST(test_rmdir),
		TEST(test_rename_move),
		TEST(test_rename_replace),
		TEST(test_rename_replace_open),
		TEST(test_rename_same_file),
		TEST(test_rename_exchange),
		TEST(test_rename_errors),
		TEST(test_readlink),
		TEST(test_readdir),
		TEST(test_readdir_plus),
		TEST(test_setattr),
		TEST(test_truncate),
		TEST(test_open),
		TEST(test_unlinked_open),
		TEST(test_unlinked_referenced),
		TEST(test_write),
		TEST(test_write_kills),
		TEST(test_fallocate),
		TEST(test_seek),
		TEST(test_copy_range),
		TEST(test_xattr),
		TEST(test_xattr_errors),
		TEST(test_read_only),
		TEST(test_failed),
		TEST(test_wants_checkpoint),
		TEST(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tree.c - a filesystem with everything in it; see tree.h. */
#include "tree.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "memfs.h"

/* What setfacl makes of "user::rw-,user:7:r--,group::r--,mask::r--,other::r--". */
static const uint8_t acl[] = {
	2,  0, 0, 0,			     /* version */
	1,  0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* the owner */
	2,  0, 4, 0, 7,	   0,	 0,    0,    /* user 7 */
	4,  0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* the group */
	16, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* mask */
	32, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* others */
};

/* Bytes that tell the file and the place, and that can be packed well. */
static void fill(struct ka_fs *fs, ka_ino_t ino, uint64_t off, size_t len, unsigned key)
{
	uint8_t *buf = malloc(len);
	size_t i;

	assert_non_null(buf);
	for (i = 0; i < len; i++)
		buf[i] = (uint8_t)((off + i) / 256 + key * 37);
	memfs_write(fs, ino, off, buf, len);
	free(buf);
}

static void set_xattr(struct ka_fs *fs, ka_ino_t ino, const char *name, const void *value,
		      size_t bytes)
{
	assert_ok(ka_setxattr(fs, ino, name, value, bytes, 0));
}

static void make_device(struct ka_fs *fs, const char *name, uint32_t mode, uint32_t rdev)
{
	struct ka_new new = {.parent = KA_ROOT_INO, .name = name, .mode = mode, .rdev = rdev};
	struct ka_attr attr;

	assert_ok(ka_create(fs, &new, &attr));
	ka_forget(fs, attr.ino, 1);
}

static void make_special(struct ka_fs *fs)
{
	make_device(fs, "char", S_IFCHR | 0600, 1 << 20 | 3);
	make_device(fs, "block", S_IFBLK | 0660, 259 << 20 | 65536);
	memfs_create(fs, KA_ROOT_INO, "fifo", S_IFIFO | 0644);
	memfs_create(fs, KA_ROOT_INO, "socket", S_IFSOCK | 0755);
	memfs_symlink(fs, KA_ROOT_INO, "symlink", "dir/sub/../file");
}

/* Several pieces, an overwritten middle, a hole, room kept, shared bytes. */
static void make_files(struct ka_fs *fs, ka_ino_t dir)
{
	ka_ino_t file = memfs_file(fs, dir, "file"), sparse, copy;

	fill(fs, file, 0, 40000, 1);
	fill(fs, file, 10000, 3000, 2);
	assert_ok(memfs_link(fs, file, KA_ROOT_INO, "hardlink"));
	sparse = memfs_file(fs, dir, "sparse");
	fill(fs, sparse, 0, 100, 3);
	fill(fs, sparse, 1 << 20, 5000, 4);
	assert_ok(memfs_fallocate(fs, sparse, FALLOC_FL_KEEP_SIZE, 8192, 70000));
	assert_ok(memfs_fallocate(fs, sparse, FALLOC_FL_ZERO_RANGE, (1 << 20) + 1000, 2000));
	assert_ok(memfs_fallocate(fs, sparse, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 50, 20));
	copy = memfs_file(fs, dir, "copy");
	assert_ok(memfs_clone(fs, file, 5000, copy, 0, 20000));
	memfs_file(fs, dir, "empty");
}

static void change_attributes(struct ka_fs *fs, ka_ino_t ino)
{
	struct ka_setattr set = {
		.valid = KA_SET_MODE | KA_SET_UID | KA_SET_GID | KA_SET_ATIME | KA_SET_MTIME,
		.mode = 06751,
		.uid = 1000,
		.gid = 0xfffffffe,
		.atime = {.sec = -2, .nsec = 999999999},
		.mtime = {.sec = 1ll << 40, .nsec = 1},
	};
	struct ka_attr attr;

	assert_ok(ka_setattr(fs, ino, &set, &attr));
}

static void make_attributes(struct ka_fs *fs, ka_ino_t dir)
{
	ka_ino_t file = memfs_lookup(fs, dir, "file");

	change_attributes(fs, memfs_lookup(fs, dir, "copy"));
	set_xattr(fs, file, "user.empty", "", 0);
	set_xattr(fs, file, "user.text", "value of an attribute", 21);
	set_xattr(fs, file, "trusted.gone", "x", 1);
	assert_ok(ka_removexattr(fs, file, "trusted.gone"));
	set_xattr(fs, file, "system.posix_acl_access", acl, sizeof(acl));
	set_xattr(fs, dir, "system.posix_acl_default", acl, sizeof(acl));
	memfs_file(fs, dir, "inherits");
	memfs_dir(fs, dir, "inherits too");
}

void evil_tree(struct ka_fs *fs)
{
	ka_ino_t dir = memfs_dir(fs, KA_ROOT_INO, "dir"), sub = memfs_dir(fs, dir, "sub");

	make_special(fs);
	make_files(fs, dir);
	make_attributes(fs, dir);
	fill(fs, memfs_file(fs, sub, "old"), 0, 1000, 5);
	assert_ok(ka_rename(fs, sub, "old", sub, "n\xc3\xa4me \xff\n", 0));
	memfs_file(fs, sub, "removed");
	assert_ok(ka_unlink(fs, sub, "removed"));
}

void evil_tree_more(struct ka_fs *fs)
{
	ka_ino_t dir = memfs_lookup(fs, KA_ROOT_INO, "dir"), sub = memfs_lookup(fs, dir, "sub");
	ka_ino_t file = memfs_lookup(fs, dir, "file"), fresh, empty;
	struct ka_new unnamed = {.parent = dir, .mode = S_IFREG | 0600};
	struct ka_attr attr;

	fresh = memfs_file(fs, sub, "fresh");
	fill(fs, fresh, 0, 70000, 6);
	fill(fs, file, 39000, 3000, 7);
	assert_ok(memfs_link(fs, fresh, dir, "second"));
	assert_ok(memfs_clone(fs, fresh, 100, file, 100000, 5000));
	assert_ok(memfs_fallocate(fs, file, 0, 200000, 10000));
	assert_ok(memfs_fallocate(fs, fresh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 300));
	assert_ok(memfs_truncate(fs, file, 150000));
	change_attributes(fs, fresh);
	set_xattr(fs, fresh, "user.new", "another", 7);
	set_xattr(fs, fresh, "system.posix_acl_access", acl, sizeof(acl));
	assert_ok(ka_removexattr(fs, file, "user.text"));
	memfs_symlink(fs, sub, "link", "../../hardlink");
	empty = memfs_dir(fs, dir, "moves");
	assert_ok(ka_rename(fs, dir, "moves", sub, "moved", 0));
	memfs_file(fs, empty, "inside");
	assert_ok(ka_rename(fs, dir, "copy", dir, "empty", 0));
	assert_ok(ka_rename(fs, dir, "sparse", sub, "moved", RENAME_EXCHANGE));
	memfs_dir(fs, KA_ROOT_INO, "short");
	assert_ok(ka_rmdir(fs, KA_ROOT_INO, "short"));
	assert_ok(ka_unlink(fs, KA_ROOT_INO, "fifo"));
	assert_ok(ka_create(fs, &unnamed, &attr)); /* an orphan once this is cut off */
}

void evil_tree_large(struct ka_fs *fs)
{
	static uint8_t value[KA_XATTR_MAX];
	char name[16];
	int i;

	for (i = 0; i < 5; i++) {
		memset(value, 'a' + i, sizeof(value));
		snprintf(name, sizeof(name), "user.large%d", i);
		set_xattr(fs, KA_ROOT_INO, name, value, sizeof(value));
	}
}

void evil_tree_fill(struct ka_fs *fs, unsigned segments)
{
	ka_ino_t file = memfs_file(fs, KA_ROOT_INO, "filler");
	uint64_t off = 0, step = 60000, end = segments * (uint64_t)KA_SEGMENT_MIN;

	for (; off < end; off += step)
		fill(fs, file, off, step, (unsigned)off);
}

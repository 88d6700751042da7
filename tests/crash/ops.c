/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops.c - the operations of workloads; see workload.h. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fsck.h"
#include "keepalive/clean.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"
#include "workload.h"

/* ---- paths ------------------------------------------------------------ */

/* The directory that a path of one or two names lies in, and the last name; 0: none. */
static ka_ino_t parent_of(struct memfs *m, const char *path, const char **ret_name)
{
	const char *slash = strchr(path, '/');
	char dir[16];

	*ret_name = slash ? slash + 1 : path;
	if (!slash)
		return KA_ROOT_INO;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = 0;
	return memfs_lookup(m->fs, KA_ROOT_INO, dir);
}

static bool is_a(struct memfs *m, ka_ino_t ino, uint32_t type)
{
	struct ka_attr attr;

	return ino && !ka_getattr(m->fs, ino, &attr) && (attr.mode & S_IFMT) == type;
}

/* The directory for a new name, 0 if there is none such any more. */
static ka_ino_t parent_dir(struct memfs *m, const char *path, const char **ret_name)
{
	ka_ino_t ino = parent_of(m, path, ret_name);

	return is_a(m, ino, S_IFDIR) ? ino : 0;
}

static ka_ino_t find(struct memfs *m, const char *path)
{
	const char *name;
	ka_ino_t dir = parent_dir(m, path, &name);

	return dir ? memfs_lookup(m->fs, dir, name) : 0;
}

static ka_ino_t find_file(struct memfs *m, const char *path)
{
	ka_ino_t ino = find(m, path);

	return is_a(m, ino, S_IFREG) ? ino : 0;
}

/* ---- names ------------------------------------------------------------ */

static int run_create(struct memfs *m, const struct op *op)
{
	struct ka_new new = {.mode = op->mode, .uid = 3, .gid = 4, .rdev = (uint32_t)op->off};
	struct ka_attr attr;
	int err;

	new.parent = parent_dir(m, op->path, &new.name);
	new.target = op->to;
	if (!new.parent)
		return -ENOENT;
	err = ka_create(m->fs, &new, &attr);
	if (!err)
		ka_forget(m->fs, attr.ino, 1);
	return err;
}

/* Without a name first; then, if there is a path, with that one. */
static int run_tmpfile(struct memfs *m, const struct op *op)
{
	struct ka_new new = {.mode = S_IFREG | 0600};
	struct ka_attr attr;
	uint8_t buf[300];
	size_t written;
	int err;

	err = ka_create(m->fs, &new, &attr);
	if (err)
		return err;
	memfs_pattern(buf, sizeof(buf), 9, 0);
	err = memfs_try_write(m->fs, attr.ino, 0, buf, sizeof(buf), &written);
	if (!err && op->path)
		err = memfs_link(m->fs, attr.ino, KA_ROOT_INO, op->path);
	ka_forget(m->fs, attr.ino, 1);
	return err;
}

static int run_link(struct memfs *m, const struct op *op)
{
	const char *name;
	ka_ino_t ino = find_file(m, op->path), dir = parent_dir(m, op->to, &name);

	return ino && dir ? memfs_link(m->fs, ino, dir, name) : -ENOENT;
}

static int run_unlink(struct memfs *m, const struct op *op)
{
	const char *name;
	ka_ino_t dir = parent_dir(m, op->path, &name);

	return dir ? ka_unlink(m->fs, dir, name) : -ENOENT;
}

static int run_rmdir(struct memfs *m, const struct op *op)
{
	const char *name;
	ka_ino_t dir = parent_dir(m, op->path, &name);

	return dir ? ka_rmdir(m->fs, dir, name) : -ENOENT;
}

static int run_rename(struct memfs *m, const struct op *op)
{
	const char *name, *to_name;
	ka_ino_t dir = parent_dir(m, op->path, &name), to = parent_dir(m, op->to, &to_name);

	return dir && to ? ka_rename(m->fs, dir, name, to, to_name, op->mode) : -ENOENT;
}

/* ---- contents --------------------------------------------------------- */

static int run_write(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find_file(m, op->path);
	uint8_t *buf;
	size_t written;
	int err;

	if (!ino)
		return -ENOENT;
	buf = malloc(op->len);
	assert_non_null(buf);
	memfs_pattern(buf, op->len, (uint64_t)fixed_now_ns, op->off);
	err = memfs_try_write(m->fs, ino, op->off, buf, op->len, &written);
	free(buf);
	return err;
}

/* Appends, or with an offset writes there and takes the set-user-ID bit away. */
static int run_write_open(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find_file(m, op->path);
	uint8_t buf[1000];
	struct ka_file *file;
	size_t written;
	int err;

	if (!ino)
		return -ENOENT;
	assert_true(op->len <= sizeof(buf));
	memfs_pattern(buf, op->len, 5, 0);
	assert_ok(ka_open(m->fs, ino, &file));
	err = op->off ? ka_write(m->fs, file, buf, op->len, op->off, true, &written)
		      : ka_append(m->fs, file, buf, op->len, false, &written);
	ka_close(m->fs, file);
	return err;
}

/*
 * Written to after its last name has gone, and gone with the last close. With a
 * mode a checkpoint holds it meanwhile.
 */
static int run_unlink_open(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find_file(m, op->path);
	struct ka_file *file;
	size_t written;
	int err;

	if (!ino)
		return -ENOENT;
	assert_ok(ka_open(m->fs, ino, &file));
	err = run_unlink(m, op);
	if (!err)
		err = ka_write(m->fs, file, "late", 4, op->off, false, &written);
	if (!err && op->mode)
		err = ka_fs_checkpoint(m->fs);
	ka_close(m->fs, file);
	return err;
}

static int run_truncate(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find_file(m, op->path);

	return ino ? memfs_truncate(m->fs, ino, op->len) : -ENOENT;
}

static int run_fallocate(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find_file(m, op->path);

	return ino ? memfs_fallocate(m->fs, ino, (int)op->mode, op->off, op->len) : -ENOENT;
}

static int run_clone(struct memfs *m, const struct op *op)
{
	ka_ino_t from = find_file(m, op->path), to = find_file(m, op->to);
	struct ka_attr attr;

	if (!from || !to)
		return -ENOENT;
	assert_ok(ka_getattr(m->fs, from, &attr));
	if (attr.size < op->off + op->len)
		return -EINVAL;
	return memfs_clone(m->fs, from, op->off, to, op->to_off, op->len);
}

/* ---- attributes ------------------------------------------------------- */

static int run_setattr(struct memfs *m, const struct op *op)
{
	struct ka_setattr set = {
		.valid = (uint32_t)op->off,
		.mode = op->mode,
		.uid = 1000,
		.gid = 1001,
		.atime = {-5, 6},
		.mtime = {1ll << 40, 999999999},
	};
	ka_ino_t ino = find(m, op->path);
	struct ka_attr attr;

	return ino ? ka_setattr(m->fs, ino, &set, &attr) : -ENOENT;
}

static int run_setxattr(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find(m, op->path);
	char *value;
	int err;

	if (!ino)
		return -ENOENT;
	value = malloc(op->len);
	assert_non_null(value);
	memset(value, 'v', op->len);
	err = ka_setxattr(m->fs, ino, op->to, value, op->len, 0);
	free(value);
	return err;
}

static int run_removexattr(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find(m, op->path);

	return ino ? ka_removexattr(m->fs, ino, op->to) : -ENOENT;
}

/* u::rwx u:0:r-- g::r-x m::r-x o::--- */
static int run_acl(struct memfs *m, const struct op *op)
{
	static const uint16_t tag[] = {1, 2, 4, 0x10, 0x20}, perm[] = {7, 4, 5, 5, 0};
	uint8_t acl[4 + 5 * 8] = {2};
	ka_ino_t ino = find(m, op->path);
	int i;

	for (i = 0; i < 5; i++) {
		acl[4 + 8 * i] = (uint8_t)tag[i];
		acl[6 + 8 * i] = (uint8_t)perm[i];
		memset(acl + 8 + 8 * i, tag[i] == 2 ? 0 : 0xff, 4);
	}
	return ino ? ka_setxattr(m->fs, ino, op->to, acl, sizeof(acl), 0) : -ENOENT;
}

static int run_read(struct memfs *m, const struct op *op)
{
	ka_ino_t ino = find_file(m, op->path);
	char buf[100];
	size_t len;
	int err;

	if (!ino)
		return -ENOENT;
	ka_fs_set_noatime(m->fs, false);
	err = memfs_read(m->fs, ino, 0, buf, sizeof(buf), &len);
	ka_fs_set_noatime(m->fs, true);
	return err;
}

/* ---- phases ----------------------------------------------------------- */

static int run_checkpoint(struct memfs *m, const struct op *op)
{
	(void)op;
	return ka_fs_checkpoint(m->fs);
}

/* Moves what lives in segments with holes, also what is shared, and joins pieces. */
static int run_clean(struct memfs *m, const struct op *op)
{
	struct ka_clean_all all = {0};
	int err = 0;

	(void)op;
	while (!err && !all.finished)
		err = ka_clean_all_step(m->fs, &all);
	return err;
}

/* As long as there is anything to give up. */
static int run_lend(struct memfs *m, const struct op *op)
{
	struct ka_lend_stats stats = {0};
	int err = 0;

	(void)op;
	while (!err)
		err = ka_lend_slice(m->fs, &stats);
	return err == -ENOSPC ? 0 : err;
}

static int run_reclaim(struct memfs *m, const struct op *op)
{
	struct ka_lend_stats stats = {0};
	int err = ka_reclaim_slice(m->fs, &stats);

	(void)op;
	return err == -KA_ERR_LEND_NONE ? 0 : err;
}

static int run_remount(struct memfs *m, const struct op *op)
{
	(void)op;
	memfs_remount(m);
	return 0;
}

static int run_recovery(struct memfs *m, const struct op *op)
{
	(void)op;
	memfs_crash(m);
	return 0;
}

void workload_repair(struct memfs *m)
{
	struct fsck f = {
		.path = "crash",
		.mode = FSCK_YES,
		.progress_fd = -1,
		.sink = &m->msgs.sink,
		.rg = m->rg,
	};

	assert_int_equal(fsck_check(&f) & ~FSCK_CORRECTED, 0);
}

/* A crash, and fsck -y instead of a mount. */
static int run_fsck(struct memfs *m, const struct op *op)
{
	(void)op;
	memfs_abandon(m);
	workload_repair(m);
	memfs_open(m);
	return 0;
}

static int run_format(struct memfs *m, const struct op *op)
{
	(void)op;
	memfs_abandon(m);
	memfs_format(m);
	memfs_open(m);
	return 0;
}

#define REG  (S_IFREG | 0644)
#define KEEP FALLOC_FL_KEEP_SIZE

/* Fields: name, function, path, to, mode, off, len, to_off. */
const struct op ops[] = {
	{"create", run_create, "n", NULL, REG},
	{"create-d", run_create, "d/n", NULL, REG},
	{"mkdir", run_create, "n", NULL, S_IFDIR | 0755},
	{"symlink", run_create, "n", "some/where", S_IFLNK | 0777},
	{"mknod", run_create, "n", NULL, S_IFCHR | 0600, 5u << 20 | 7},
	{"tmpfile", run_tmpfile},
	{"tmpfile-link", run_tmpfile, "n"},
	{"link", run_link, "a", "n"},
	{"link-d", run_link, "a", "d/n"},
	{"unlink", run_unlink, "a"},
	{"unlink-b", run_unlink, "d/b"},
	{"unlink-h", run_unlink, "d/h"},
	{"unlink-n", run_unlink, "n", .later = true},
	{"rmdir", run_rmdir, "e"},
	{"rmdir-n", run_rmdir, "n", .later = true},
	{"rename", run_rename, "a", "n"},
	{"rename-into", run_rename, "a", "d/n"},
	{"rename-over", run_rename, "a", "d/b"},
	{"rename-back", run_rename, "n", "a", .later = true},
	{"rename-dir", run_rename, "d", "n"},
	{"rename-dir-over", run_rename, "d", "e"},
	{"rename-dir-into", run_rename, "e", "d/n"},
	{"exchange", run_rename, "a", "d/b", RENAME_EXCHANGE},
	{"exchange-dir", run_rename, "a", "e", RENAME_EXCHANGE},
	{"noreplace", run_rename, "d/b", "n", RENAME_NOREPLACE},
	{"write", run_write, "a", NULL, 0, 0, 500},
	{"overwrite", run_write, "a", NULL, 0, 1000, 2500},
	{"write-hole", run_write, "a", NULL, 0, 30000, 700},
	{"write-b", run_write, "d/b", NULL, 0, 1000, 1000},
	{"write-long", run_write, "a", NULL, 0, 100, 9000},
	{"write-n", run_write, "n", NULL, 0, 10, 100, .later = true},
	{"append", run_write_open, "a", NULL, 0, 0, 700},
	{"write-kill", run_write_open, "u", NULL, 0, 10, 20},
	{"unlink-open", run_unlink_open, "d/b", NULL, 0, 50},
	{"orphan", run_unlink_open, "d/b", NULL, 1, 50},
	{"truncate", run_truncate, "a", NULL, 0, 0, 500},
	{"truncate-0", run_truncate, "a", NULL, 0, 0, 0},
	{"truncate-b", run_truncate, "d/b", NULL, 0, 0, 700},
	{"extend", run_truncate, "a", NULL, 0, 0, 40000},
	{"allocate", run_fallocate, "a", NULL, 0, 15000, 20000},
	{"allocate-keep", run_fallocate, "a", NULL, KEEP, 15000, 20000},
	{"punch", run_fallocate, "a", NULL, FALLOC_FL_PUNCH_HOLE | KEEP, 800, 3000},
	{"zero", run_fallocate, "a", NULL, FALLOC_FL_ZERO_RANGE, 1500, 4000},
	{"clone", run_clone, "a", "d/b", 0, 500, 5000, 200},
	{"clone-self", run_clone, "a", "a", 0, 0, 3000, 30000},
	{"chmod", run_setattr, "a", NULL, 0123, KA_SET_MODE},
	{"chown", run_setattr, "d", NULL, 0, KA_SET_UID | KA_SET_GID},
	{"utimes", run_setattr, "a", NULL, 0, KA_SET_ATIME | KA_SET_MTIME},
	{"setxattr", run_setxattr, "a", "user.new", 0, 0, 40},
	{"replace-xattr", run_setxattr, "a", "user.old", 0, 0, 5000},
	{"removexattr", run_removexattr, "a", "user.old"},
	{"default-acl", run_acl, "d", "system.posix_acl_default"},
	{"access-acl", run_acl, "a", "system.posix_acl_access"},
	{"atime", run_read, "a"},
	{"checkpoint", run_checkpoint},
	{"clean", run_clean},
	{"lend", run_lend},
	{"reclaim", run_reclaim},
	{"remount", run_remount, .phase = true},
	{"recovery", run_recovery, .phase = true},
	{"fsck", run_fsck, .phase = true},
	{"format", run_format, .phase = true, .format = true},
};
const size_t op_count = KA_ARRAY_SIZE(ops);

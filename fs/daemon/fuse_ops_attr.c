/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_ops_attr.c - attributes, plain and extended; statfs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "fuse_ops.h"
#include "keepalive/acl.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "server.h"

/* df counts in it; the filesystem has no blocks. */
#define COUNT_BYTES 4096
/* What a small file costs in the log: says how many more there could be. */
#define FILE_COST_BYTES 256

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ka_attr attr;
	struct stat st;
	int err;

	(void)fi;
	err = ka_getattr(server_of(req)->fs, ino, &attr);
	if (err) {
		reply_code(req, err);
		return;
	}
	attr_to_stat(&attr, &st);
	fuse_reply_attr(req, &st, CACHE_SECONDS);
}

static struct ka_time from_timespec(struct timespec ts)
{
	return (struct ka_time){.sec = ts.tv_sec, .nsec = (uint32_t)ts.tv_nsec};
}

static void convert_setattr(const struct stat *st, int to_set, struct ka_setattr *ret)
{
	struct ka_time now = ka_time_from_ns(ka_now_ns());

	*ret = (struct ka_setattr){
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime = to_set & FUSE_SET_ATTR_ATIME_NOW ? now : from_timespec(st->st_atim),
		.mtime = to_set & FUSE_SET_ATTR_MTIME_NOW ? now : from_timespec(st->st_mtim),
	};
	ret->valid = (to_set & FUSE_SET_ATTR_MODE ? KA_SET_MODE : 0) |
		     (to_set & FUSE_SET_ATTR_UID ? KA_SET_UID : 0) |
		     (to_set & FUSE_SET_ATTR_GID ? KA_SET_GID : 0) |
		     (to_set & FUSE_SET_ATTR_SIZE ? KA_SET_SIZE : 0) |
		     (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW) ? KA_SET_ATIME : 0) |
		     (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW) ? KA_SET_MTIME : 0);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		struct fuse_file_info *fi)
{
	struct server *sv = server_of(req);
	struct ka_setattr set;
	struct ka_attr attr;
	struct stat after;
	int err;

	(void)fi;
	convert_setattr(st, to_set, &set);
	err = ka_setattr(sv->fs, ino, &set, &attr);
	if (err) {
		reply_code(req, err);
		return;
	}
	if ((set.valid & KA_SET_MODE) && (set.mode & (S_ISUID | S_ISGID)))
		cache_set_privileged(&sv->cache, ino);
	attr_to_stat(&attr, &after);
	fuse_reply_attr(req, &after, CACHE_SECONDS);
	keeper_poke(&sv->keeper);
}

/* ---- extended attributes ------------------------------------------------------- */

/* Whether a new access ACL takes S_ISGID away: libfuse does not pass on what the kernel says. */
static bool loses_setgid(fuse_req_t req, fuse_ino_t ino)
{
	struct ka_attr attr;

	return !ka_getattr(server_of(req)->fs, ino, &attr) && (attr.mode & S_ISGID) &&
	       !has_group(req, attr.gid);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	struct server *sv = server_of(req);
	int err;

	if (!strcmp(name, KA_ACL_ACCESS) && loses_setgid(req, ino))
		flags |= KA_XATTR_KILL_SGID;
	err = ka_setxattr(sv->fs, ino, name, value, size, flags);
	if (!err && !strcmp(name, XATTR_CAPABILITY))
		cache_set_privileged(&sv->cache, ino);
	reply_changed(req, err);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	reply_changed(req, ka_removexattr(server_of(req)->fs, ino, name));
}

/* Where there are none, who asks does not matter, and finding that out is spared. */
static bool sees_trusted(fuse_req_t req, fuse_ino_t ino)
{
	struct ka_fs *fs = server_of(req)->fs;
	size_t some, all;

	if (ka_listxattr(fs, ino, false, NULL, 0, &some) ||
	    ka_listxattr(fs, ino, true, NULL, 0, &all) || some == all)
		return false;
	return has_sys_admin(req);
}

/* name NULL: the list of names. */
static void reply_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct ka_fs *fs = server_of(req)->fs;
	KA_AUTO_FREE char *buf = NULL;
	size_t bytes;
	int err;

	if (size) {
		buf = malloc(size);
		if (!buf) {
			reply_code(req, -ENOMEM);
			return;
		}
	}
	err = name ? ka_getxattr(fs, ino, name, buf, size, &bytes)
		   : ka_listxattr(fs, ino, sees_trusted(req, ino), buf, size, &bytes);
	if (err)
		reply_code(req, err);
	else if (size)
		fuse_reply_buf(req, buf, bytes);
	else
		fuse_reply_xattr(req, bytes);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	reply_xattr(req, ino, name, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	reply_xattr(req, ino, NULL, size);
}

/* ---- the whole filesystem ---------------------------------------------------------- */

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct ka_fs_status status;
	struct statvfs sv;
	uint64_t avail;

	(void)ino;
	ka_fs_get_status(server_of(req)->fs, &status);
	avail = status.avail_bytes + status.growth_bytes;
	sv = (struct statvfs){
		.f_bsize = COUNT_BYTES,
		.f_frsize = COUNT_BYTES,
		.f_blocks = status.super.capacity_bytes / COUNT_BYTES,
		.f_bfree = (status.free_bytes + status.growth_bytes) / COUNT_BYTES,
		.f_bavail = avail / COUNT_BYTES,
		.f_files = status.files + avail / FILE_COST_BYTES,
		.f_ffree = avail / FILE_COST_BYTES,
		.f_favail = avail / FILE_COST_BYTES,
		.f_namemax = KA_NAME_MAX,
	};
	fuse_reply_statfs(req, &sv);
}

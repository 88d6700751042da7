/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_inode.c - attributes, answers and new files in FUSE's terms. */
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fuse_ops.h"
#include "keepalive/err.h"
#include "server.h"

/* cp takes it for the size of its buffer: one request each. */
#define FILE_BLOCK_BYTES (1 << 20)
#define BLOCK_BYTES	 4096

/* Inode numbers are never used again, so every generation is the first. */
#define GENERATION 1

static struct timespec to_timespec(struct ka_time t)
{
	return (struct timespec){.tv_sec = t.sec, .tv_nsec = t.nsec};
}

void attr_to_stat(const struct ka_attr *attr, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = makedev(attr->rdev >> 20, attr->rdev & 0xfffff),
		.st_size = (off_t)attr->size,
		.st_blocks = (blkcnt_t)attr->blocks,
		.st_blksize = S_ISREG(attr->mode) ? FILE_BLOCK_BYTES : BLOCK_BYTES,
		.st_atim = to_timespec(attr->atime),
		.st_mtim = to_timespec(attr->mtime),
		.st_ctim = to_timespec(attr->ctime),
	};
}

void attr_to_entry(const struct ka_attr *attr, struct fuse_entry_param *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ino = attr->ino;
	ret->generation = GENERATION;
	ret->attr_timeout = CACHE_SECONDS;
	ret->entry_timeout = CACHE_SECONDS;
	attr_to_stat(attr, &ret->attr);
}

void reply_code(fuse_req_t req, int err)
{
	fuse_reply_err(req, err ? ka_errno(err) : 0);
}

void reply_ioctl(fuse_req_t req, int err)
{
	if (err)
		reply_code(req, err);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

void reply_changed(fuse_req_t req, int err)
{
	struct server *sv = server_of(req);

	reply_code(req, err);
	keeper_poke(&sv->keeper);
}

void reply_entry(fuse_req_t req, int err, const struct ka_attr *attr)
{
	struct server *sv = server_of(req);
	struct fuse_entry_param entry;

	if (err) {
		reply_code(req, err);
		return;
	}
	attr_to_entry(attr, &entry);
	if (fuse_reply_entry(req, &entry))
		ka_forget(sv->fs, attr->ino, 1); /* the caller was killed meanwhile */
}

/* Whether S_ISGID may stay; only matters for what is executable by the group. */
static bool keeps_setgid(fuse_req_t req, fuse_ino_t parent, mode_t mode)
{
	struct ka_attr dir;

	if ((mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP))
		return true;
	return !ka_getattr(server_of(req)->fs, parent, &dir) && has_group(req, dir.gid);
}

struct ka_new new_file(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct ka_new){
		.parent = parent,
		.name = name,
		.mode = mode,
		.umask = S_ISLNK(mode) ? 0 : ctx->umask,
		.uid = ctx->uid,
		.gid = ctx->gid,
		.in_group = keeps_setgid(req, parent, mode),
	};
}

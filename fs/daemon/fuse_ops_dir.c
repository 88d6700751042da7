/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_ops_dir.c - names and directories.
 *
 * Directories are not opened: the kernel is told that it need not ask, reads
 * them by inode and position, and caches what it has read until it changes
 * them itself.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fuse_ops.h"
#include "keepalive/dir.h"
#include "keepalive/util.h"
#include "server.h"

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_entry_param absent = {.entry_timeout = CACHE_SECONDS};
	struct ka_attr attr;
	int err = ka_lookup(server_of(req)->fs, parent, name, &attr);

	if (err == -ENOENT)
		fuse_reply_entry(req, &absent); /* the kernel remembers that too */
	else
		reply_entry(req, err, &attr);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	ka_forget(server_of(req)->fs, ino, nlookup);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct ka_fs *fs = server_of(req)->fs;
	size_t i;

	for (i = 0; i < count; i++)
		ka_forget(fs, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* ---- making and removing -------------------------------------------------------- */

static void create_entry(fuse_req_t req, const struct ka_new *new)
{
	struct server *sv = server_of(req);
	struct ka_attr attr;

	reply_entry(req, ka_create(sv->fs, new, &attr), &attr);
	keeper_poke(&sv->keeper);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct ka_new new = new_file(req, parent, name, mode);

	if (S_ISCHR(mode) || S_ISBLK(mode))
		new.rdev = major(rdev) << 20 | minor(rdev);
	create_entry(req, &new);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct ka_new new = new_file(req, parent, name, S_IFDIR | (mode & 07777));

	create_entry(req, &new);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct ka_new new = new_file(req, parent, name, S_IFLNK | 0777);

	new.target = target;
	create_entry(req, &new);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct server *sv = server_of(req);
	char target[KA_TARGET_MAX + 1];
	int err = ka_readlink(sv->fs, ino, target);

	if (err)
		reply_code(req, err);
	else
		fuse_reply_readlink(req, target);
	keeper_poke(&sv->keeper); /* the time of access is a record too */
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct server *sv = server_of(req);
	struct ka_attr attr;

	reply_entry(req, ka_link(sv->fs, ino, parent, name, &attr), &attr);
	keeper_poke(&sv->keeper);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_changed(req, ka_unlink(server_of(req)->fs, parent, name));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_changed(req, ka_rmdir(server_of(req)->fs, parent, name));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
	       const char *to_name, unsigned flags)
{
	reply_changed(req, ka_rename(server_of(req)->fs, parent, name, to_parent, to_name, flags));
}

/* ---- reading directories ----------------------------------------------------------- */

/* Kernels before 5.1 ask all the same. */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (server_of(req)->no_opendir) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->fh = 0;
	fuse_reply_open(req, fi);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

struct listing {
	fuse_req_t req;
	char *buf;
	size_t size;
	size_t used;
};

static bool add_entry(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct listing *l = ctx;
	struct stat st = {.st_ino = attr->ino, .st_mode = attr->mode};
	size_t room = l->size - l->used;
	size_t need = fuse_add_direntry(l->req, l->buf + l->used, room, name, &st, (off_t)cookie);

	if (need > room)
		return false;
	l->used += need;
	return true;
}

static bool add_entry_plus(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct listing *l = ctx;
	struct fuse_entry_param entry;
	size_t need, room = l->size - l->used;

	attr_to_entry(attr, &entry);
	need = fuse_add_direntry_plus(l->req, l->buf + l->used, room, name, &entry, (off_t)cookie);
	if (need > room)
		return false;
	l->used += need;
	return true;
}

/* The kernel did not get them: gives the references back. */
static void forget_listing(struct ka_fs *fs, const struct listing *l)
{
	const struct fuse_direntplus *dp;
	size_t at;

	for (at = 0; at < l->used; at += FUSE_DIRENTPLUS_SIZE(dp)) {
		dp = (const struct fuse_direntplus *)(l->buf + at);
		if (dp->dirent.off > KA_COOKIE_DOTDOT)
			ka_forget(fs, dp->entry_out.nodeid, 1);
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct server *sv = server_of(req);
	struct ka_fs *fs = sv->fs;
	KA_AUTO_FREE char *buf = malloc(size);
	struct listing l = {.req = req, .buf = buf, .size = size};
	int err;

	if (!buf) {
		reply_code(req, -ENOMEM);
		return;
	}
	err = ka_readdir(fs, ino, (uint64_t)off, plus, plus ? add_entry_plus : add_entry, &l);
	if (err)
		reply_code(req, err);
	else if (fuse_reply_buf(req, l.buf, l.used) && plus)
		forget_listing(fs, &l);
	keeper_poke(&sv->keeper); /* the time of access is a record too */
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

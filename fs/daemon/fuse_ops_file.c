/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_ops_file.c - open files: reading, writing, allocating, sharing.
 *
 * What goes through the page cache and what does not: fuse_cache.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuse_ops.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "server.h"

/* The answer has 32 bits for what was copied. */
#define COPY_MAX (1ull << 31)

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/* As soon as the kernel has an answer, it may close the file. */
static struct handle *get_handle(const struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	atomic_fetch_add(&h->refs, 1);
	return h;
}

/* ---- open, close ------------------------------------------------------------- */

void put_handle(struct server *sv, struct handle *h)
{
	if (atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	cache_close(&sv->cache, h);
	ka_close(sv->fs, h->file);
	free(h);
}

static int open_handle(struct server *sv, fuse_ino_t ino, int flags, struct handle **ret)
{
	struct handle *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->refs = 1;
	err = ka_open(sv->fs, ino, &h->file);
	if (err) {
		free(h);
		return err;
	}
	err = cache_open(&sv->cache, ino, flags, h);
	if (err) {
		ka_close(sv->fs, h->file);
		free(h);
		return err;
	}
	*ret = h;
	return 0;
}

static bool has_capability_xattr(struct ka_fs *fs, fuse_ino_t ino)
{
	size_t bytes;

	return !ka_getxattr(fs, ino, XATTR_CAPABILITY, NULL, 0, &bytes);
}

/*
 * To truncate by opening takes privileges away as a write does: the kernel
 * leaves that to us along with the truncation. One record for size and mode.
 */
static int truncate_file(fuse_req_t req, const struct ka_attr *old)
{
	struct ka_fs *fs = server_of(req)->fs;
	struct ka_setattr set = {.valid = KA_SET_SIZE, .mode = old->mode & 07777};
	struct ka_attr attr;
	int err;

	if (has_capability_xattr(fs, old->ino)) {
		err = ka_removexattr(fs, old->ino, XATTR_CAPABILITY);
		if (err)
			return err;
	}
	if ((old->mode & (S_ISUID | S_ISGID)) && !has_fsetid(req)) {
		set.mode &= ~(uint32_t)S_ISUID;
		if (set.mode & S_IXGRP)
			set.mode &= ~(uint32_t)S_ISGID;
	}
	if (set.mode != (old->mode & 07777))
		set.valid |= KA_SET_MODE;
	return ka_setattr(fs, old->ino, &set, &attr);
}

/* What an open for writing has to look at, or do, before it is answered. */
static int prepare_writing(fuse_req_t req, fuse_ino_t ino, int flags)
{
	struct server *sv = server_of(req);
	struct ka_attr attr;
	int err;

	if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return 0;
	if (ka_fs_is_rdonly(sv->fs))
		return -EROFS; /* sealed: the kernel knows nothing of it */
	err = ka_getattr(sv->fs, ino, &attr);
	if (err)
		return err;
	if ((attr.mode & (S_ISUID | S_ISGID)) || has_capability_xattr(sv->fs, ino))
		cache_set_privileged(&sv->cache, ino);
	return flags & O_TRUNC ? truncate_file(req, &attr) : 0;
}

static void fill_open(struct server *sv, struct fuse_file_info *fi, struct handle *h)
{
	h->file->noatime = fi->flags & O_NOATIME;
	fi->fh = (uintptr_t)h;
	fi->direct_io = h->direct;
	/* Of what is read from the cache we would never hear. */
	fi->keep_cache = !h->direct &&
			 ((fi->flags & O_ACCMODE) == O_WRONLY || !ka_atime_is_due(sv->fs, h->file));
	fi->noflush = 1;
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct server *sv = server_of(req);
	struct handle *h;
	int err;

	err = open_handle(sv, ino, fi->flags, &h);
	if (err) {
		reply_code(req, err);
		return;
	}
	err = prepare_writing(req, ino, fi->flags);
	if (err) {
		put_handle(sv, h);
		reply_code(req, err);
		return;
	}
	fill_open(sv, fi, h);
	if (fuse_reply_open(req, fi))
		put_handle(sv, h); /* the caller was killed meanwhile */
}

static void create_file(fuse_req_t req, const struct ka_new *new, struct fuse_file_info *fi)
{
	struct server *sv = server_of(req);
	struct fuse_entry_param entry;
	struct ka_attr attr;
	struct handle *h;
	int err;

	err = ka_create(sv->fs, new, &attr);
	if (err) {
		reply_code(req, err);
		return;
	}
	err = open_handle(sv, attr.ino, fi->flags, &h);
	if (err) {
		ka_forget(sv->fs, attr.ino, 1);
		reply_code(req, err);
		return;
	}
	if (attr.mode & (S_ISUID | S_ISGID))
		cache_set_privileged(&sv->cache, attr.ino);
	attr_to_entry(&attr, &entry);
	fill_open(sv, fi, h);
	if (fuse_reply_create(req, &entry, fi)) {
		put_handle(sv, h);
		ka_forget(sv->fs, attr.ino, 1);
	}
	keeper_poke(&sv->keeper);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct ka_new new = new_file(req, parent, name, S_IFREG | (mode & 07777));

	create_file(req, &new, fi);
}

#if KA_FUSE_HAS_TMPFILE
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct ka_new new = new_file(req, parent, NULL, S_IFREG | (mode & 07777));

	create_file(req, &new, fi);
}
#endif

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	put_handle(server_of(req), handle_of(fi));
	fuse_reply_err(req, 0);
}

/* ---- read, write ---------------------------------------------------------------- */

/*
 * Answered from the region itself. Where the memory turns out to be broken
 * while the kernel copies from it, the kernel makes EIO of it.
 */
static int read_handle(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct server *sv = server_of(req);
	struct ka_read rd;
	int err;

	err = ka_read_begin(sv->fs, h->file, (uint64_t)off, size, &rd);
	if (err)
		return err;
	err = fuse_reply_iov(req, rd.iov, rd.count);
	if (err == -EFAULT || err == -EHWPOISON)
		ka_read_failed(sv->fs, &rd);
	else
		ka_read_end(sv->fs, &rd);
	return 0;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct server *sv = server_of(req);
	struct handle *h = get_handle(fi);
	int err;

	(void)ino;
	err = read_handle(req, h, size, off);
	if (err < -KA_ERR_BASE)
		atomic_fetch_add(&sv->io_errors, 1); /* the core has said which bytes */
	if (err)
		reply_code(req, err);
	put_handle(sv, h);
	keeper_poke(&sv->keeper); /* times of access are records too */
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct server *sv = server_of(req);
	struct handle *h = get_handle(fi);
	size_t written;
	int err;

	(void)ino;
	/* Appended is all or nothing; and of what the kernel writes back it forgets all. */
	size = grower_pace(&sv->grower, size, fi->writepage || fi->flags & O_APPEND);
	if (cache_is_mixed(h)) {
		mixed_write(&sv->mixed, req, h, buf, size, off);
		return;
	}
	err = ka_write(sv->fs, h->file, buf, size, (uint64_t)off, false, &written);
	if (!err && cache_is_mixed(h)) {
		mixed_written(&sv->mixed, req, h, written, off);
		return;
	}
	if (err)
		reply_code(req, err);
	else
		fuse_reply_write(req, written);
	put_handle(sv, h);
	keeper_poke(&sv->keeper);
}

/* ---- the rest --------------------------------------------------------------------- */

/* Every operation is durable already, but for a region in the cache of a disk. */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct server *sv = server_of(req);

	(void)ino;
	(void)datasync;
	(void)fi;
	if (sv->needs_sync)
		reply_code(req, ka_region_sync(sv->rg));
	else
		fuse_reply_err(req, ENOSYS); /* the kernel does not ask again */
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi)
{
	(void)ino;
	reply_changed(req, ka_fallocate(server_of(req)->fs, handle_of(fi)->file, mode,
					(uint64_t)off, (uint64_t)len));
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	uint64_t found;
	int err;

	(void)ino;
	err = ka_seek(server_of(req)->fs, handle_of(fi)->file, (uint64_t)off, whence, &found);
	if (err)
		reply_code(req, err);
	else
		fuse_reply_lseek(req, (off_t)found);
}

/* The kernel drops what it has cached of the target. */
void op_copy_file_range(fuse_req_t req, fuse_ino_t from_ino, off_t from_off,
			struct fuse_file_info *from_fi, fuse_ino_t to_ino, off_t to_off,
			struct fuse_file_info *to_fi, size_t len, int flags)
{
	struct server *sv = server_of(req);
	uint64_t copied;
	int err;

	(void)from_ino;
	(void)to_ino;
	(void)flags;
	err = ka_copy_range(sv->fs, handle_of(from_fi)->file, (uint64_t)from_off,
			    handle_of(to_fi)->file, (uint64_t)to_off, ka_min(len, COPY_MAX),
			    &copied);
	if (err)
		reply_code(req, err);
	else
		fuse_reply_write(req, copied);
	keeper_poke(&sv->keeper);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_ops.h - FUSE requests to filesystem operations: what the files
 * fuse_*.c share.
 *
 * Only this daemon changes the filesystem and only one kernel asks for it, so
 * the kernel may keep names, attributes and pages as long as it likes.
 */
#ifndef KEEPALIVE_DAEMON_FUSE_OPS_H
#define KEEPALIVE_DAEMON_FUSE_OPS_H

#include <fuse_lowlevel.h>

#include "keepalive/ops.h"

#define CACHE_SECONDS 86400.0

/* What libfuse carries is decided by its headers, at build time. */
#define KA_FUSE_HAS_TMPFILE (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17))

/* What a write takes away beside mode bits. */
#define XATTR_CAPABILITY "security.capability"

struct server;

extern const struct fuse_lowlevel_ops fuse_ops;

static inline struct server *server_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- fuse_inode.c ------------------------------------------------------------ */

void attr_to_stat(const struct ka_attr *attr, struct stat *ret);
void attr_to_entry(const struct ka_attr *attr, struct fuse_entry_param *ret);

/* Answers with a code: 0, or a negative one of either kind. */
void reply_code(fuse_req_t req, int err);

/* The same to an ioctl that has nothing to hand back. */
void reply_ioctl(fuse_req_t req, int err);

/* The same after an operation that may have written. */
void reply_changed(fuse_req_t req, int err);

/* Answers with an inode that counts a reference, which is given back if that fails. */
void reply_entry(fuse_req_t req, int err, const struct ka_attr *attr);

/* The new file that req asks for; the rest is up to the caller. */
struct ka_new new_file(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);

/* ---- fuse_caller.c ------------------------------------------------------------ */

/* Whether a write by the sender leaves S_ISUID and S_ISGID: root with CAP_FSETID. */
bool has_fsetid(fuse_req_t req);

/* Whether it may see trusted.* attributes. */
bool has_sys_admin(fuse_req_t req);

/* Whether it may keep S_ISGID on files of this group: is in it, or the same. */
bool has_group(fuse_req_t req, gid_t gid);

/* ---- fuse_init.c -------------------------------------------------------------- */

void op_init(void *userdata, struct fuse_conn_info *conn);

/* ---- fuse_ioctl.c -------------------------------------------------------------- */

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_bytes, size_t out_bytes);

/* ---- fuse_ops_attr.c ----------------------------------------------------------- */

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		struct fuse_file_info *fi);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

/* ---- fuse_ops_dir.c ------------------------------------------------------------ */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
	       const char *to_name, unsigned flags);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* ---- fuse_ops_file.c ----------------------------------------------------------- */

struct handle;

/* Gives a reference back; the last one closes the file. */
void put_handle(struct server *sv, struct handle *h);

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t from_ino, off_t from_off,
			struct fuse_file_info *from_fi, fuse_ino_t to_ino, off_t to_off,
			struct fuse_file_info *to_fi, size_t len, int flags);

#endif

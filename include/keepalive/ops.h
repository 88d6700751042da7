/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops.h - file operations, as a server of system calls needs them.
 *
 * Each call is one operation: when it returns 0 its effect is durable, and if
 * the machine dies within it, it has happened wholly or not at all (a write of
 * more than one record: each record). Errors are those of Linux, negative;
 * private codes may come too, ka_errno() maps them.
 *
 * Permissions are the caller's business (default_permissions); everything else
 * that POSIX says about the operation is done here. Names are NUL ended and
 * must not contain '/'. All calls may be made from any thread.
 *
 * Reading (ka_read_begin, ka_readdir, ka_readlink) updates the time of access by
 * the rule of relatime: where it is not newer than that of the last change, or a
 * day old. Where that cannot be done, for lack of space say, it is left undone.
 *
 * An inode handed out by ka_lookup, ka_create, ka_link or ka_readdir with plus
 * counts one reference more; ka_forget takes them back. An inode without names,
 * references and open files is gone.
 */
#ifndef KEEPALIVE_OPS_H
#define KEEPALIVE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "keepalive/fs.h"
#include "keepalive/inode.h"

struct ka_attr {
	ka_ino_t ino;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev; /* major << 20 | minor */
	uint64_t size;
	uint64_t blocks; /* of 512 bytes */
	struct ka_time atime;
	struct ka_time mtime;
	struct ka_time ctime;
	struct ka_time btime;
};

/* name may be "." or "..". */
int ka_lookup(struct ka_fs *fs, ka_ino_t parent, const char *name, struct ka_attr *ret);
void ka_forget(struct ka_fs *fs, ka_ino_t ino, uint64_t references);

int ka_getattr(struct ka_fs *fs, ka_ino_t ino, struct ka_attr *ret);

/*
 * One path that leads to the inode, for messages; the caller frees it. -ENOENT: none does.
 * Of one that is PATH_MAX bytes long or more the end, behind "...".
 */
int ka_path_of(struct ka_fs *fs, ka_ino_t ino, char **ret_path);

/* What to change: the valid bits are KA_SET_* of format.h, but for CTIME. */
struct ka_setattr {
	uint32_t valid;
	uint32_t mode; /* permission bits */
	uint32_t uid;
	uint32_t gid;
	uint64_t size;
	struct ka_time atime;
	struct ka_time mtime;
};
int ka_setattr(struct ka_fs *fs, ka_ino_t ino, const struct ka_setattr *set, struct ka_attr *ret);

/* A new file of any type: regular, directory, symbolic link, device, ... */
struct ka_new {
	ka_ino_t parent;  /* whose owner and ACL rules hold; 0: none, where there is no name */
	const char *name; /* NULL: without a name (O_TMPFILE) */
	uint32_t mode;	  /* type and permissions */
	uint32_t umask;	  /* taken from mode, unless the parent has a default ACL */
	uint32_t uid;
	uint32_t gid; /* a set-group-ID parent overrules it */
	uint32_t rdev;
	const char *target; /* symbolic links only */
	bool in_group;	    /* the caller may keep S_ISGID on files of that group */
};
int ka_create(struct ka_fs *fs, const struct ka_new *new, struct ka_attr *ret);
int ka_link(struct ka_fs *fs, ka_ino_t ino, ka_ino_t parent, const char *name, struct ka_attr *ret);
int ka_unlink(struct ka_fs *fs, ka_ino_t parent, const char *name);
int ka_rmdir(struct ka_fs *fs, ka_ino_t parent, const char *name);

/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE. */
int ka_rename(struct ka_fs *fs, ka_ino_t from_parent, const char *from_name, ka_ino_t to_parent,
	      const char *to_name, unsigned flags);

/* The target, NUL ended, into buf of KA_TARGET_MAX + 1 bytes. */
int ka_readlink(struct ka_fs *fs, ka_ino_t ino, char *buf);

/*
 * Calls fn for each entry behind cookie ("." and ".." first, from cookie 0),
 * until it returns false; that entry then counts as not seen. With plus, each
 * entry taken but "." and ".." counts a reference. fn must not call back.
 */
typedef bool ka_readdir_fn(void *ctx, const char *name, const struct ka_attr *attr,
			   uint64_t cookie);
int ka_readdir(struct ka_fs *fs, ka_ino_t ino, uint64_t cookie, bool plus, ka_readdir_fn *fn,
	       void *ctx);

/* An open regular file keeps its inode. */
struct ka_file {
	struct ka_inode *inode;
	bool noatime; /* O_NOATIME; the caller may set it */
};
int ka_open(struct ka_fs *fs, ka_ino_t ino, struct ka_file **ret);

/* Whether the next read would update the time of access. */
bool ka_atime_is_due(struct ka_fs *fs, const struct ka_file *file);
void ka_close(struct ka_fs *fs, struct ka_file *file);

/*
 * A read: the bytes as they lie in the region, verified as asked for. From
 * begin to end the file cannot change, so end must follow soon; it may be closed
 * meanwhile, as the reader of a reply can be faster than who sent it. size is
 * cut at the end of the file.
 */
#define KA_READ_IOVS 64
struct ka_read {
	struct ka_inode *inode;
	uint64_t off;
	size_t size;
	int count;
	const struct iovec *iov;
	struct iovec own[KA_READ_IOVS];
	void *staging; /* copy of a range too scattered for own */
};
int ka_read_begin(struct ka_fs *fs, struct ka_file *file, uint64_t off, size_t size,
		  struct ka_read *rd);
void ka_read_end(struct ka_fs *fs, struct ka_read *rd);

/*
 * In place of ka_read_end where somebody else, the kernel, met a memory error. Finds
 * out where it is, notes it and tells of it, as ka_read_begin would have done.
 */
void ka_read_failed(struct ka_fs *fs, struct ka_read *rd);

/*
 * Writes len bytes. A short count means that the rest failed. kill: the mode
 * bits S_ISUID and S_ISGID (with group execute) go.
 */
int ka_write(struct ka_fs *fs, struct ka_file *file, const void *buf, size_t len, uint64_t off,
	     bool kill, size_t *ret_written);

/* Appends at the end of the file, wherever that is by then. */
int ka_append(struct ka_fs *fs, struct ka_file *file, const void *buf, size_t len, bool kill,
	      size_t *ret_written);

/* mode: FALLOC_FL_* of linux/falloc.h but collapse and insert. */
int ka_fallocate(struct ka_fs *fs, struct ka_file *file, int mode, uint64_t off, uint64_t len);

/* whence: SEEK_DATA or SEEK_HOLE. */
int ka_seek(struct ka_fs *fs, struct ka_file *file, uint64_t off, int whence, uint64_t *ret_off);

/* Shares the bytes, up to the end of from. */
int ka_copy_range(struct ka_fs *fs, struct ka_file *from, uint64_t from_off, struct ka_file *to,
		  uint64_t to_off, uint64_t len, uint64_t *ret_copied);

/*
 * Names are in user.*, trusted.*, security.* or one of the two POSIX ACLs in
 * system.*; any other: -EOPNOTSUPP, a bare prefix: -EINVAL.
 * flags: XATTR_CREATE, XATTR_REPLACE; KA_XATTR_KILL_SGID: where an access ACL
 * changes the mode, S_ISGID goes, as the caller is not of the file's group.
 */
#define KA_XATTR_KILL_SGID 0x10000
int ka_setxattr(struct ka_fs *fs, ka_ino_t ino, const char *name, const void *value,
		size_t value_bytes, int flags);
int ka_removexattr(struct ka_fs *fs, ka_ino_t ino, const char *name);

/* size 0: only *ret_bytes; else -ERANGE where it does not fit. */
int ka_getxattr(struct ka_fs *fs, ka_ino_t ino, const char *name, void *buf, size_t size,
		size_t *ret_bytes);

/* trusted_too: those in trusted.* too, which are not for everybody. */
int ka_listxattr(struct ka_fs *fs, ka_ino_t ino, bool trusted_too, char *buf, size_t size,
		 size_t *ret_bytes);

/* Checks that every byte of the file is whole. 0 or -KA_ERR_*. */
int ka_check_file(struct ka_fs *fs, ka_ino_t ino);

/* Neighbouring bytes of a file that lie in one record and are whole, or are not. */
struct ka_run {
	uint64_t off; /* in the file; may lie behind its end */
	uint64_t len;
	uint64_t addr;	 /* of the first byte in the region; 0: room is kept, reads as zeros */
	uint64_t record; /* address of the record; 0 if addr is */
	uint64_t seq;	 /* of the record */
	int err;	 /* why the bytes cannot be believed; 0: every checksum was right */
};

/*
 * The first run that ends behind off, from off or its own beginning on; what lies
 * before it is a hole. Verifies, whatever verify= says. What addr leads to stays
 * as it is only while nothing is written. -ENXIO: there is none.
 */
int ka_map(struct ka_fs *fs, ka_ino_t ino, uint64_t off, struct ka_run *ret);

#endif

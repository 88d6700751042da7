/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops_attr.c - attributes, plain and extended. */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "keepalive/acl.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "keepalive/xattr.h"

struct attr_args {
	ka_ino_t ino;
	const struct ka_setattr *set;
	struct ka_attr *ret;
};

static int do_getattr(struct ka_fs *fs, void *arg)
{
	struct attr_args *a = arg;
	struct ka_inode *inode;
	int err = -ESTALE;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, a->ino);
	if (inode) {
		ka_attr_read(inode, a->ret);
		err = 0;
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_getattr(struct ka_fs *fs, ka_ino_t ino, struct ka_attr *ret)
{
	return ka_op_run(fs, false, do_getattr, &(struct attr_args){.ino = ino, .ret = ret});
}

/* Shrinking a file gives space back, so it may use the reserve. */
static enum ka_space_class setattr_class(const struct ka_inode *inode, const struct ka_setattr *set)
{
	bool shrinks = (set->valid & KA_SET_SIZE) && set->size < inode->size;

	return shrinks ? KA_SPACE_DELETE : KA_SPACE_NORMAL;
}

static int check_setattr(const struct ka_inode *inode, const struct ka_setattr *set)
{
	if (!(set->valid & KA_SET_SIZE))
		return 0;
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -EINVAL;
	return set->size > KA_FILE_MAX ? -EFBIG : 0;
}

static int setattr_locked(struct ka_fs *fs, struct ka_inode *inode, const struct ka_setattr *set)
{
	struct ka_rec_setattr_disk rec = {0};
	int64_t now = ka_now_ns();
	struct ka_time mtime = set->mtime;
	uint32_t valid = set->valid | KA_SET_CTIME;
	int err;

	err = check_setattr(inode, set);
	if (err)
		return err;
	if ((valid & KA_SET_SIZE) && !(valid & KA_SET_MTIME)) {
		valid |= KA_SET_MTIME;
		mtime = ka_time_from_ns(now);
	}
	rec.ino = ka_put64(inode->ino);
	rec.valid = ka_put32(valid);
	rec.mode = ka_put32(valid & KA_SET_MODE ? set->mode & 07777 : 0);
	rec.uid = ka_put32(set->uid);
	rec.gid = ka_put32(set->gid);
	rec.size = ka_put64(valid & KA_SET_SIZE ? set->size : 0);
	if (valid & KA_SET_ATIME) {
		rec.atime_sec = ka_put64((uint64_t)set->atime.sec);
		rec.atime_nsec = ka_put32(set->atime.nsec);
	}
	if (valid & KA_SET_MTIME) {
		rec.mtime_sec = ka_put64((uint64_t)mtime.sec);
		rec.mtime_nsec = ka_put32(mtime.nsec);
	}
	ka_record_init(&rec.h, KA_REC_SETATTR, 0, sizeof(rec), 0, now);
	return ka_op_commit(fs, &rec.h, setattr_class(inode, set));
}

static int do_setattr(struct ka_fs *fs, void *arg)
{
	struct attr_args *a = arg;
	struct ka_inode *inode;
	int err = -ESTALE;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, a->ino);
	if (inode) {
		pthread_rwlock_wrlock(&inode->lock);
		err = setattr_locked(fs, inode, a->set);
		if (!err)
			ka_attr_fill(inode, a->ret);
		pthread_rwlock_unlock(&inode->lock);
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_setattr(struct ka_fs *fs, ka_ino_t ino, const struct ka_setattr *set, struct ka_attr *ret)
{
	if (!set->valid)
		return ka_getattr(fs, ino, ret);
	return ka_op_run(fs, true, do_setattr,
			 &(struct attr_args){.ino = ino, .set = set, .ret = ret});
}

struct xattr_args {
	ka_ino_t ino;
	const char *name; /* NULL: the list of all */
	size_t name_bytes;
	const void *value; /* NULL: remove */
	size_t value_bytes;
	int flags;
	bool trusted; /* listed as well */
	char *buf;
	size_t size;
	size_t *ret_bytes;
};

static int check_setxattr(const struct ka_inode *inode, const struct xattr_args *a)
{
	bool exists = ka_xattr_find(inode->xattrs, a->name, a->name_bytes);

	if (!a->value)
		return exists ? 0 : -ENODATA;
	if ((a->flags & XATTR_CREATE) && exists)
		return -EEXIST;
	if ((a->flags & XATTR_REPLACE) && !exists)
		return -ENODATA;
	return 0;
}

static const char trusted[] = "trusted.";

/* As Linux resolves them: a known prefix and something behind it. */
static int check_xattr_name(const char *name)
{
	static const char *const prefixes[] = {"user.", trusted, "security."};
	size_t i, len;

	for (i = 0; i < KA_ARRAY_SIZE(prefixes); i++) {
		len = strlen(prefixes[i]);
		if (!strncmp(name, prefixes[i], len))
			return name[len] ? 0 : -EINVAL;
	}
	return strcmp(name, KA_ACL_ACCESS) && strcmp(name, KA_ACL_DEFAULT) ? -EOPNOTSUPP : 0;
}

static bool is_acl(const struct xattr_args *a, const char *which)
{
	return a->name_bytes == strlen(which) && !memcmp(a->name, which, a->name_bytes);
}

/* What a new ACL means for the mode. *ret_drop: the mode says it all. */
static int check_acl(const struct ka_inode *inode, const struct xattr_args *a, uint32_t *ret_mode,
		     bool *ret_drop)
{
	bool access = is_acl(a, KA_ACL_ACCESS), extended;
	uint32_t perm;
	int err;

	*ret_mode = inode->mode & 07777;
	*ret_drop = false;
	if (!a->value || (!access && !is_acl(a, KA_ACL_DEFAULT)))
		return 0;
	if (S_ISLNK(inode->mode))
		return -EOPNOTSUPP;
	if (!access && !S_ISDIR(inode->mode))
		return -EACCES;
	err = ka_acl_parse(a->value, a->value_bytes, &perm, &extended);
	if (!err && access) {
		*ret_mode = (inode->mode & 07000) | perm;
		if (a->flags & KA_XATTR_KILL_SGID)
			*ret_mode &= ~(uint32_t)S_ISGID;
		*ret_drop = !extended;
	}
	return err;
}

/* The ACL that was set is no more than a chmod. */
static int chmod_locked(struct ka_fs *fs, struct ka_inode *inode, uint32_t mode)
{
	struct ka_setattr set = {.valid = KA_SET_MODE, .mode = mode};

	return setattr_locked(fs, inode, &set);
}

static int setxattr_locked(struct ka_fs *fs, struct ka_inode *inode, const struct xattr_args *a)
{
	size_t value_bytes = a->value_bytes, bytes;
	unsigned flags = a->value ? 0 : KA_XATTR_REMOVE;
	KA_AUTO_FREE struct ka_rec_xattr_disk *rec = NULL;
	uint32_t mode;
	bool drop;
	int err;

	err = check_setxattr(inode, a);
	if (err == -ENODATA && !a->value && (is_acl(a, KA_ACL_ACCESS) || is_acl(a, KA_ACL_DEFAULT)))
		return 0; /* there is no ACL: as wanted */
	if (!err)
		err = check_acl(inode, a, &mode, &drop);
	if (err)
		return err;
	if (drop && !ka_xattr_find(inode->xattrs, a->name, a->name_bytes))
		return chmod_locked(fs, inode, mode);
	if (drop) {
		flags |= KA_XATTR_REMOVE;
		value_bytes = 0;
	}
	if (mode != (inode->mode & 07777))
		flags |= KA_XATTR_SET_MODE;
	bytes = sizeof(struct ka_rec_xattr_disk) + a->name_bytes + value_bytes;
	rec = calloc(1, ka_align_up(bytes, KA_RECORD_ALIGN));
	if (!rec)
		return -ENOMEM;
	rec->ino = ka_put64(inode->ino);
	rec->name_bytes = ka_put16((uint16_t)a->name_bytes);
	rec->value_bytes = ka_put32((uint32_t)value_bytes);
	rec->mode = ka_put32(flags & KA_XATTR_SET_MODE ? mode : 0);
	memcpy(rec->data, a->name, a->name_bytes);
	if (value_bytes)
		memcpy(rec->data + a->name_bytes, a->value, value_bytes);
	ka_record_init(&rec->h, KA_REC_XATTR, flags, bytes, 0, ka_now_ns());
	return ka_op_commit(fs, &rec->h,
			    flags & KA_XATTR_REMOVE ? KA_SPACE_DELETE : KA_SPACE_NORMAL);
}

static int do_setxattr(struct ka_fs *fs, void *arg)
{
	struct xattr_args *a = arg;
	struct ka_inode *inode;
	int err = -ESTALE;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, a->ino);
	if (inode) {
		pthread_rwlock_wrlock(&inode->lock);
		err = setxattr_locked(fs, inode, a);
		pthread_rwlock_unlock(&inode->lock);
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_setxattr(struct ka_fs *fs, ka_ino_t ino, const char *name, const void *value,
		size_t value_bytes, int flags)
{
	struct xattr_args a = {
		.ino = ino,
		.name = name,
		.name_bytes = strlen(name),
		.value = value ?: "",
		.value_bytes = value_bytes,
		.flags = flags,
	};

	if (!a.name_bytes || a.name_bytes > KA_XATTR_NAME_MAX)
		return -ERANGE;
	if (value_bytes > KA_XATTR_MAX)
		return -E2BIG;
	return check_xattr_name(name) ?: ka_op_run(fs, true, do_setxattr, &a);
}

int ka_removexattr(struct ka_fs *fs, ka_ino_t ino, const char *name)
{
	struct xattr_args a = {.ino = ino, .name = name, .name_bytes = strlen(name)};

	if (!a.name_bytes || a.name_bytes > KA_XATTR_NAME_MAX)
		return -ERANGE;
	return check_xattr_name(name) ?: ka_op_run(fs, true, do_setxattr, &a);
}

static int give(const struct xattr_args *a, size_t *at, const void *data, size_t len)
{
	if (a->size) {
		if (len > a->size - *at)
			return -ERANGE;
		memcpy(a->buf + *at, data, len);
	}
	*at += len;
	return 0;
}

static int list_xattrs(const struct ka_inode *inode, const struct xattr_args *a)
{
	const struct ka_xattr *x;
	size_t at = 0;
	int err = 0;

	for (x = inode->xattrs; !err && x; x = x->next) {
		if (!a->trusted && x->name_bytes >= strlen(trusted) &&
		    !memcmp(x->data, trusted, strlen(trusted)))
			continue;
		err = give(a, &at, x->data, x->name_bytes);
		if (!err)
			err = give(a, &at, "", 1);
	}
	*a->ret_bytes = at;
	return err;
}

static int get_xattr(const struct ka_inode *inode, const struct xattr_args *a)
{
	const struct ka_xattr *x = ka_xattr_find(inode->xattrs, a->name, a->name_bytes);
	size_t at = 0;
	int err;

	if (!x)
		return -ENODATA;
	err = give(a, &at, ka_xattr_value(x), x->value_bytes);
	*a->ret_bytes = at;
	if (!err && a->size && is_acl(a, KA_ACL_ACCESS))
		ka_acl_set_perm(a->buf, at, inode->mode);
	return err;
}

static int do_getxattr(struct ka_fs *fs, void *arg)
{
	struct xattr_args *a = arg;
	struct ka_inode *inode;
	int err = -ESTALE;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, a->ino);
	if (inode) {
		pthread_rwlock_rdlock(&inode->lock);
		err = a->name ? get_xattr(inode, a) : list_xattrs(inode, a);
		pthread_rwlock_unlock(&inode->lock);
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_getxattr(struct ka_fs *fs, ka_ino_t ino, const char *name, void *buf, size_t size,
		size_t *ret_bytes)
{
	struct xattr_args a = {
		.ino = ino,
		.name = name,
		.name_bytes = strlen(name),
		.buf = buf,
		.size = size,
		.ret_bytes = ret_bytes,
	};

	return check_xattr_name(name) ?: ka_op_run(fs, false, do_getxattr, &a);
}

int ka_listxattr(struct ka_fs *fs, ka_ino_t ino, bool trusted_too, char *buf, size_t size,
		 size_t *ret_bytes)
{
	return ka_op_run(fs, false, do_getxattr,
			 &(struct xattr_args){.ino = ino,
					      .trusted = trusted_too,
					      .buf = buf,
					      .size = size,
					      .ret_bytes = ret_bytes});
}

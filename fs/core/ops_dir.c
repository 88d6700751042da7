/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_dir.c - operations on names.
 *
 * All of them that change something hold ns for writing from the first check
 * to the end of the update, the commit of the record included: a microsecond,
 * where the request takes several to arrive.
 */
#include "ops.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/acl.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "keepalive/xattr.h"

struct name_args {
	ka_ino_t parent;
	const char *name;
	size_t len;
	ka_ino_t ino; /* of a link */
	bool rmdir;
	const struct ka_new *new;
	struct ka_attr *ret;
};

static int check_name(const char *name, size_t *ret_len)
{
	size_t len = strlen(name);

	if (len > KA_NAME_MAX)
		return -ENAMETOOLONG;
	if (!ka_record_name_ok(name, len))
		return len ? -EINVAL : -ENOENT;
	*ret_len = len;
	return 0;
}

/* A directory that exists and was not removed. */
static int find_dir(struct ka_fs *fs, ka_ino_t ino, struct ka_inode **ret)
{
	*ret = ka_index_find(&fs->index, ino);
	if (!*ret)
		return -ESTALE;
	if (!S_ISDIR((*ret)->mode))
		return -ENOTDIR;
	return (*ret)->nlink ? 0 : -ENOENT;
}

static void hand_out(struct ka_inode *inode, struct ka_attr *ret)
{
	ka_attr_read(inode, ret);
	atomic_fetch_add(&inode->nlookup, 1);
}

static int do_lookup(struct ka_fs *fs, void *arg)
{
	struct name_args *a = arg;
	struct ka_inode *dir = ka_index_find(&fs->index, a->parent);
	struct ka_dirent *de;

	if (!dir)
		return -ESTALE;
	if (!strcmp(a->name, ".")) {
		hand_out(dir, a->ret);
		return 0;
	}
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (!strcmp(a->name, "..")) {
		if (!dir->dir->parent)
			return -ENOENT;
		hand_out(dir->dir->parent, a->ret);
		return 0;
	}
	de = ka_dir_find(&fs->index.names, dir, a->name, a->len);
	if (!de)
		return -ENOENT;
	hand_out(de->inode, a->ret);
	return 0;
}

static int lookup_locked(struct ka_fs *fs, void *arg)
{
	int err;

	pthread_rwlock_rdlock(&fs->index.ns);
	err = do_lookup(fs, arg);
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_lookup(struct ka_fs *fs, ka_ino_t parent, const char *name, struct ka_attr *ret)
{
	struct name_args a = {.parent = parent, .name = name, .len = strlen(name), .ret = ret};

	if (a.len > KA_NAME_MAX)
		return -ENAMETOOLONG;
	return ka_op_run(fs, false, lookup_locked, &a);
}

void ka_forget(struct ka_fs *fs, ka_ino_t ino, uint64_t references)
{
	struct ka_inode *inode;
	bool last = false;

	pthread_rwlock_rdlock(&fs->op_lock);
	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, ino);
	if (inode)
		last = atomic_fetch_sub(&inode->nlookup, references) == references;
	pthread_rwlock_unlock(&fs->index.ns);
	if (last) { /* again, as the lock was dropped */
		pthread_rwlock_wrlock(&fs->index.ns);
		inode = ka_index_find(&fs->index, ino);
		if (inode && !atomic_load(&inode->nlookup))
			ka_inode_reap(fs, inode, false);
		pthread_rwlock_unlock(&fs->index.ns);
	}
	pthread_rwlock_unlock(&fs->op_lock);
}

/* What a new inode has from its directory. */
struct heritage {
	uint32_t mode;
	uint32_t gid;
	const struct ka_xattr *acl; /* the default ACL of the directory; NULL: none */
	bool access;		    /* it becomes the access ACL; the mode does not say it all */
};

static const struct ka_xattr *default_acl(const struct ka_inode *dir)
{
	return ka_xattr_find(dir->xattrs, KA_ACL_DEFAULT, strlen(KA_ACL_DEFAULT));
}

/* Group and mode as Linux gives them (inode_init_owner, posix_acl_create). */
static int inherit(const struct ka_inode *dir, const struct ka_new *new, struct heritage *ret)
{
	uint32_t perm;
	int err;

	*ret = (struct heritage){.mode = new->mode, .gid = new->gid};
	if (dir && (dir->mode & S_ISGID)) {
		ret->gid = dir->gid;
		if (S_ISDIR(new->mode))
			ret->mode |= S_ISGID;
		else if ((new->mode &(S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && !new->in_group)
			ret->mode &= ~(uint32_t)S_ISGID;
	}
	if (S_ISLNK(new->mode))
		return 0;
	ret->acl = dir ? default_acl(dir) : NULL;
	if (!ret->acl) {
		ret->mode &= ~(new->umask & 0777);
		return 0;
	}
	err = ka_acl_parse(ka_xattr_value(ret->acl), ret->acl->value_bytes, &perm, &ret->access);
	if (err)
		return -EIO;
	ret->mode &= perm | ~0777u;
	return 0;
}

/* Of one attribute in a create record. */
static size_t xattr_disk_bytes(const char *name, size_t value_bytes)
{
	return ka_align_up(sizeof(struct ka_xattr_disk) + strlen(name) + value_bytes,
			   KA_RECORD_ALIGN);
}

static size_t heritage_bytes(const struct heritage *h)
{
	size_t bytes = 0;

	if (h->acl && h->access)
		bytes += xattr_disk_bytes(KA_ACL_ACCESS, h->acl->value_bytes);
	if (h->acl && S_ISDIR(h->mode))
		bytes += xattr_disk_bytes(KA_ACL_DEFAULT, h->acl->value_bytes);
	return bytes;
}

static uint8_t *put_xattr(uint8_t *p, const char *name, const struct ka_xattr *acl)
{
	struct ka_xattr_disk *x = (void *)p;
	size_t len = strlen(name);

	x->name_bytes = ka_put16((uint16_t)len);
	x->value_bytes = ka_put32(acl->value_bytes);
	memcpy(x->data, name, len);
	memcpy(x->data + len, ka_xattr_value(acl), acl->value_bytes);
	return p + xattr_disk_bytes(name, acl->value_bytes);
}

static void put_heritage(uint8_t *p, const struct heritage *h)
{
	uint8_t *value = p + sizeof(struct ka_xattr_disk) + strlen(KA_ACL_ACCESS);

	if (h->acl && h->access) {
		p = put_xattr(p, KA_ACL_ACCESS, h->acl);
		ka_acl_set_perm(value, h->acl->value_bytes, h->mode);
	}
	if (h->acl && S_ISDIR(h->mode))
		put_xattr(p, KA_ACL_DEFAULT, h->acl);
}

/* The record of a create, to be freed; NULL: no memory. */
static struct ka_rec_create_disk *new_create(const struct name_args *a, const struct ka_inode *dir,
					     const struct heritage *h, ka_ino_t ino)
{
	const struct ka_new *new = a->new;
	size_t target = new->target ? strlen(new->target) : 0, xattrs = heritage_bytes(h);
	size_t text = ka_align_up(a->len + target, KA_RECORD_ALIGN);
	size_t bytes = sizeof(struct ka_rec_create_disk) + text + xattrs;
	struct ka_rec_create_disk *rec = calloc(1, bytes);

	if (!rec)
		return NULL;
	if (new->name) {
		rec->parent = ka_put64(dir->ino);
		rec->cookie = ka_put64(dir->dir->next_cookie);
	}
	rec->ino = ka_put64(ino);
	rec->mode = ka_put32(h->mode);
	rec->uid = ka_put32(new->uid);
	rec->gid = ka_put32(h->gid);
	rec->rdev = ka_put32(new->rdev);
	rec->target_bytes = ka_put16((uint16_t)target);
	rec->name_bytes = ka_put16((uint16_t)a->len);
	rec->xattr_bytes = ka_put32((uint32_t)xattrs);
	memcpy(rec->data, a->name, a->len);
	memcpy(rec->data + a->len, new->target ?: "", target);
	put_heritage(rec->data + text, h);
	ka_record_init(&rec->h, KA_REC_CREATE, 0, bytes, 0, ka_now_ns());
	return rec;
}

static int create_locked(struct ka_fs *fs, const struct name_args *a, struct ka_inode *dir)
{
	KA_AUTO_FREE struct ka_rec_create_disk *rec = NULL;
	ka_ino_t ino = fs->index.next_ino;
	struct ka_lockset locks = {0};
	struct heritage h;
	int err;

	if (a->new->name && ka_dir_is_used_up(dir->dir))
		return -ENOSPC;
	err = inherit(dir, a->new, &h);
	if (err)
		return err;
	rec = new_create(a, dir, &h, ino);
	if (!rec)
		return -ENOMEM;
	ka_lockset_add(&locks, a->new->name ? dir : NULL);
	ka_lockset_lock(&locks);
	err = ka_op_commit(fs, &rec->h, KA_SPACE_NORMAL);
	ka_lockset_unlock(&locks);
	if (!err)
		hand_out(ka_index_find(&fs->index, ino), a->ret);
	return err;
}

static int do_create(struct ka_fs *fs, void *arg)
{
	struct name_args *a = arg;
	struct ka_inode *dir = NULL;
	int err = 0;

	pthread_rwlock_wrlock(&fs->index.ns);
	if (a->parent) {
		err = find_dir(fs, a->parent, &dir);
		if (!err && a->new->name &&ka_dir_find(&fs->index.names, dir, a->name, a->len))
			err = -EEXIST;
	}
	if (!err)
		err = create_locked(fs, a, dir);
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_create(struct ka_fs *fs, const struct ka_new *new, struct ka_attr *ret)
{
	struct name_args a = {.parent = new->parent, .new = new, .ret = ret};
	int err = 0;

	if (!ka_record_mode_ok(new->mode) || S_ISLNK(new->mode) != !!new->target)
		return -EINVAL;
	if (new->target && !new->target[0])
		return -ENOENT;
	if (new->target && strlen(new->target) > KA_TARGET_MAX)
		return -ENAMETOOLONG;
	if (new->name && !new->parent)
		return -EINVAL;
	a.name = new->name ?: "";
	if (new->name)
		err = check_name(new->name, &a.len);
	return err ?: ka_op_run(fs, true, do_create, &a);
}

/* A LINK or REMOVE record, committed under the locks of both inodes. */
static int commit_name(struct ka_fs *fs, enum ka_record_type type, const struct name_args *a,
		       struct ka_inode *dir, struct ka_inode *inode, uint64_t cookie)
{
	union {
		struct ka_rec_name_disk rec;
		uint8_t bytes[sizeof(struct ka_rec_name_disk) + KA_NAME_MAX + 8];
	} head = {0};
	struct ka_lockset locks = {0};
	int err;

	head.rec.parent = ka_put64(dir->ino);
	head.rec.cookie = ka_put64(cookie);
	head.rec.ino = ka_put64(inode->ino);
	head.rec.name_bytes = ka_put16((uint16_t)a->len);
	memcpy(head.rec.name, a->name, a->len);
	ka_record_init(&head.rec.h, type, 0, sizeof(head.rec) + a->len, 0, ka_now_ns());
	ka_lockset_add(&locks, dir);
	ka_lockset_add(&locks, inode);
	ka_lockset_lock(&locks);
	err = ka_op_commit(fs, &head.rec.h,
			   type == KA_REC_REMOVE ? KA_SPACE_DELETE : KA_SPACE_NORMAL);
	ka_lockset_unlock(&locks);
	return err;
}

static int link_locked(struct ka_fs *fs, struct name_args *a)
{
	struct ka_inode *inode = ka_index_find(&fs->index, a->ino), *dir;
	int err;

	err = find_dir(fs, a->parent, &dir);
	if (err)
		return err;
	if (!inode || inode->gone)
		return -ESTALE;
	if (S_ISDIR(inode->mode))
		return -EPERM;
	if (inode->nlink == UINT32_MAX)
		return -EMLINK;
	if (ka_dir_find(&fs->index.names, dir, a->name, a->len))
		return -EEXIST;
	if (ka_dir_is_used_up(dir->dir))
		return -ENOSPC;
	err = commit_name(fs, KA_REC_LINK, a, dir, inode, dir->dir->next_cookie);
	if (!err)
		hand_out(inode, a->ret);
	return err;
}

static int do_link(struct ka_fs *fs, void *arg)
{
	int err;

	pthread_rwlock_wrlock(&fs->index.ns);
	err = link_locked(fs, arg);
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_link(struct ka_fs *fs, ka_ino_t ino, ka_ino_t parent, const char *name, struct ka_attr *ret)
{
	struct name_args a = {.parent = parent, .name = name, .ino = ino, .ret = ret};
	int err = check_name(name, &a.len);

	return err ?: ka_op_run(fs, true, do_link, &a);
}

static int remove_locked(struct ka_fs *fs, const struct name_args *a)
{
	struct ka_inode *dir, *inode;
	struct ka_dirent *de;
	int err;

	err = find_dir(fs, a->parent, &dir);
	if (err)
		return err;
	de = ka_dir_find(&fs->index.names, dir, a->name, a->len);
	if (!de)
		return -ENOENT;
	inode = de->inode;
	if (a->rmdir && !S_ISDIR(inode->mode))
		return -ENOTDIR;
	if (!a->rmdir && S_ISDIR(inode->mode))
		return -EISDIR;
	if (a->rmdir && inode->dir->count)
		return -ENOTEMPTY;
	err = commit_name(fs, KA_REC_REMOVE, a, dir, inode, de->cookie);
	if (!err)
		ka_inode_reap(fs, inode, true);
	return err;
}

static int do_remove(struct ka_fs *fs, void *arg)
{
	int err;

	pthread_rwlock_wrlock(&fs->index.ns);
	err = remove_locked(fs, arg);
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

static int remove_name(struct ka_fs *fs, ka_ino_t parent, const char *name, bool rmdir)
{
	struct name_args a = {.parent = parent, .name = name, .rmdir = rmdir};
	int err = check_name(name, &a.len);

	return err ?: ka_op_run(fs, true, do_remove, &a);
}

int ka_unlink(struct ka_fs *fs, ka_ino_t parent, const char *name)
{
	return remove_name(fs, parent, name, false);
}

int ka_rmdir(struct ka_fs *fs, ka_ino_t parent, const char *name)
{
	return remove_name(fs, parent, name, true);
}

struct link_args {
	ka_ino_t ino;
	char *buf;
};

static int do_readlink(struct ka_fs *fs, void *arg)
{
	struct link_args *a = arg;
	struct ka_inode *inode;
	int err = -ESTALE;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, a->ino);
	if (inode && !S_ISLNK(inode->mode)) {
		err = -EINVAL;
	} else if (inode) {
		strcpy(a->buf, inode->target); /* of KA_TARGET_MAX at most, and never changes */
		err = 0;
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_readlink(struct ka_fs *fs, ka_ino_t ino, char *buf)
{
	int err = ka_op_run(fs, false, do_readlink, &(struct link_args){.ino = ino, .buf = buf});

	if (!err)
		ka_ino_accessed(fs, ino);
	return err;
}

struct readdir_args {
	ka_ino_t ino;
	uint64_t cookie;
	bool plus;
	ka_readdir_fn *fn;
	void *ctx;
};

/* The entries that every directory has and no record makes. */
static bool give_dots(const struct readdir_args *a, struct ka_inode *dir)
{
	struct ka_inode *up = dir->dir->parent ?: dir;
	struct ka_attr attr;

	if (a->cookie < KA_COOKIE_DOT) {
		ka_attr_read(dir, &attr);
		if (!a->fn(a->ctx, ".", &attr, KA_COOKIE_DOT))
			return false;
	}
	if (a->cookie < KA_COOKIE_DOTDOT) {
		ka_attr_read(up, &attr);
		return a->fn(a->ctx, "..", &attr, KA_COOKIE_DOTDOT);
	}
	return true;
}

static int do_readdir(struct ka_fs *fs, void *arg)
{
	const struct readdir_args *a = arg;
	struct ka_inode *dir = ka_index_find(&fs->index, a->ino);
	struct ka_dirent *de;
	struct ka_attr attr;
	size_t i;

	if (!dir)
		return -ESTALE;
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (!give_dots(a, dir))
		return 0;
	for (i = ka_dir_position(dir->dir, a->cookie); i < dir->dir->slots; i++) {
		de = dir->dir->slot[i].entry;
		if (!de)
			continue;
		ka_attr_read(de->inode, &attr);
		if (!a->fn(a->ctx, de->name, &attr, de->cookie))
			break;
		if (a->plus)
			atomic_fetch_add(&de->inode->nlookup, 1);
	}
	return 0;
}

static int readdir_locked(struct ka_fs *fs, void *arg)
{
	int err;

	pthread_rwlock_rdlock(&fs->index.ns);
	err = do_readdir(fs, arg);
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_readdir(struct ka_fs *fs, ka_ino_t ino, uint64_t cookie, bool plus, ka_readdir_fn *fn,
	       void *ctx)
{
	int err = ka_op_run(
		fs, false, readdir_locked,
		&(struct readdir_args){
			.ino = ino, .cookie = cookie, .plus = plus, .fn = fn, .ctx = ctx});

	if (!err)
		ka_ino_accessed(fs, ino);
	return err;
}

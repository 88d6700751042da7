/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * apply.c - what records mean; see apply.h.
 *
 * Every function first checks that the record fits, then changes the state. An
 * operation has checked the same things before it made the record, so there a
 * mismatch is a bug; in replay it is damage.
 */
#include "apply.h"

#include <errno.h>
#include <string.h>

#include "checkpoint.h"
#include "keepalive/dir.h"
#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "keepalive/xattr.h"

static struct ka_time time_of(const struct ka_rec_disk *rec)
{
	return ka_time_from_ns((int64_t)ka_get64(rec->time_ns));
}

static void touch(struct ka_inode *inode, const struct ka_rec_disk *rec)
{
	inode->mtime = inode->ctime = time_of(rec);
}

/* A directory that can take names: it exists and was not removed. */
static struct ka_inode *find_dir(struct ka_fs *fs, struct ka_le64 ino)
{
	struct ka_inode *dir = ka_index_find(&fs->index, ka_get64(ino));

	return dir && S_ISDIR(dir->mode) && dir->nlink ? dir : NULL;
}

int ka_apply_write(struct ka_fs *fs, struct ka_inode *inode, const struct ka_rec_write_disk *rec,
		   uint64_t addr)
{
	uint32_t head = ka_get32(rec->h.head_bytes), flags = ka_get16(rec->h.flags);
	struct ka_extent e = {
		.off = ka_get64(rec->off),
		.len = ka_get32(rec->payload.bytes),
		.addr = addr + head,
		.seq = ka_get64(rec->h.seq),
		.delta = head,
	};
	int err;

	if (!S_ISREG(inode->mode))
		return -KA_ERR_REPLAY_TYPE;
	err = ka_extents_put(&inode->extents, &fs->index.extents, &e);
	if (err)
		return err;
	inode->size = ka_max(inode->size, e.off + e.len);
	if (flags & KA_WRITE_KILL_SUID)
		inode->mode &= ~(uint32_t)S_ISUID;
	if (flags & KA_WRITE_KILL_SGID)
		inode->mode &= ~(uint32_t)S_ISGID;
	if (!(flags & KA_WRITE_MOVED))
		touch(inode, &rec->h);
	return 0;
}

int ka_apply_space(struct ka_fs *fs, struct ka_inode *inode, const struct ka_rec_space_disk *rec)
{
	uint64_t off = ka_get64(rec->off), len = ka_get64(rec->len);
	bool keep = ka_get16(rec->h.flags) & KA_SPACE_KEEP_SIZE;
	uint32_t what = ka_get32(rec->what);
	int err = 0;

	if (!S_ISREG(inode->mode))
		return -KA_ERR_REPLAY_TYPE;
	if (what != KA_SPACE_ALLOC)
		err = ka_extents_punch(&inode->extents, &fs->index.extents, off, len);
	if (!err && what != KA_SPACE_PUNCH)
		err = ka_extents_fill(&inode->extents, &fs->index.extents, off, len);
	if (err)
		return err;
	if (!keep && what != KA_SPACE_PUNCH)
		inode->size = ka_max(inode->size, off + len);
	touch(inode, &rec->h);
	return 0;
}

bool ka_apply_has_room(const struct ka_fs *fs, uint64_t more, unsigned cost)
{
	uint64_t limit = fs->segs.count * fs->segs.bytes / cost;

	return more <= limit - ka_min(limit, atomic_load(&fs->index.extents.count));
}

int ka_apply_clone(struct ka_fs *fs, struct ka_inode *from, struct ka_inode *to,
		   const struct ka_rec_clone_disk *rec)
{
	uint64_t off = ka_get64(rec->off), from_off = ka_get64(rec->from_off);
	uint64_t len = ka_get64(rec->len);
	int err;

	if (!S_ISREG(from->mode) || !S_ISREG(to->mode))
		return -KA_ERR_REPLAY_TYPE;
	if (!ka_range_ok(from_off, len, from->size) ||
	    (from == to && off < from_off + len && from_off < off + len))
		return -KA_ERR_REPLAY_RANGE;
	/* An operation has asked for more room than this. */
	if (!ka_apply_has_room(fs, ka_extents_count(&from->extents, from_off, len),
			       KA_CKPT_EXTENT_MIN))
		return -KA_ERR_REPLAY_SPACE;
	err = ka_extents_clone(&to->extents, off, &from->extents, from_off, len,
			       &fs->index.extents);
	if (err)
		return err;
	to->size = ka_max(to->size, off + len);
	if (!(ka_get16(rec->h.flags) & KA_CLONE_MOVED))
		touch(to, &rec->h);
	return 0;
}

static int add_xattrs(struct ka_fs *fs, struct ka_inode *inode, const uint8_t *p, size_t left)
{
	const struct ka_xattr_disk *x;
	size_t bytes, name, value;
	int err = 0;

	for (; !err && left; p += bytes, left -= bytes) {
		x = (const void *)p;
		name = ka_get16(x->name_bytes);
		value = ka_get32(x->value_bytes);
		bytes = ka_align_up(sizeof(*x) + name + value, KA_RECORD_ALIGN);
		err = ka_index_set_xattr(&fs->index, inode, (const char *)x->data, name,
					 x->data + name, value);
	}
	return err;
}

int ka_apply_inode(struct ka_fs *fs, const struct ka_rec_create_disk *c,
		   struct ka_inode **ret_inode)
{
	size_t name = ka_get16(c->name_bytes), target = ka_get16(c->target_bytes);
	size_t text = ka_align_up(name + target, KA_RECORD_ALIGN);
	uint32_t mode = ka_get32(c->mode);
	struct ka_inode *inode = ka_index_new(&fs->index, ka_get64(c->ino), mode);
	int err = 0;

	if (!inode)
		return -ENOMEM;
	inode->uid = ka_get32(c->uid);
	inode->gid = ka_get32(c->gid);
	inode->rdev = ka_get32(c->rdev);
	inode->atime = inode->mtime = inode->ctime = inode->btime = time_of(&c->h);
	if (S_ISLNK(mode)) {
		err = ka_index_set_target(&fs->index, inode, c->data + name, target);
		inode->size = target;
	}
	if (!err)
		err = add_xattrs(fs, inode, c->data + text, ka_get32(c->xattr_bytes));
	if (err)
		ka_index_forget(&fs->index, inode);
	else
		*ret_inode = inode;
	return err;
}

static int apply_create(struct ka_fs *fs, const struct ka_rec_create_disk *c)
{
	struct ka_inode *dir = NULL, *inode;
	size_t name = ka_get16(c->name_bytes);
	uint32_t mode = ka_get32(c->mode);
	int err;

	if (!ka_record_mode_ok(mode) || S_ISLNK(mode) != (ka_get16(c->target_bytes) > 0) ||
	    (S_ISDIR(mode) && !name))
		return -KA_ERR_REPLAY_TYPE;
	if (ka_index_find(&fs->index, ka_get64(c->ino)))
		return -KA_ERR_REPLAY_INODE;
	if (name) {
		dir = find_dir(fs, c->parent);
		if (!dir || ka_get64(c->cookie) < dir->dir->next_cookie ||
		    ka_dir_find(&fs->index.names, dir, (const char *)c->data, name))
			return -KA_ERR_REPLAY_NAME;
	}
	err = ka_apply_inode(fs, c, &inode);
	if (err || !name)
		return err;
	err = ka_index_add_name(&fs->index, dir, (const char *)c->data, name, ka_get64(c->cookie),
				inode);
	if (err)
		return err;
	inode->nlink = 1;
	if (S_ISDIR(mode)) {
		inode->nlink = 2;
		inode->dir->parent = dir;
		dir->nlink++;
	}
	touch(dir, &c->h);
	return 0;
}

static int apply_link(struct ka_fs *fs, const struct ka_rec_name_disk *n)
{
	struct ka_inode *dir = find_dir(fs, n->parent);
	struct ka_inode *inode = ka_index_find(&fs->index, ka_get64(n->ino));
	size_t name = ka_get16(n->name_bytes);
	int err;

	if (!inode)
		return -KA_ERR_REPLAY_INODE;
	if (S_ISDIR(inode->mode))
		return -KA_ERR_REPLAY_TYPE;
	if (!dir || ka_get64(n->cookie) < dir->dir->next_cookie ||
	    ka_dir_find(&fs->index.names, dir, (const char *)n->name, name))
		return -KA_ERR_REPLAY_NAME;
	err = ka_index_add_name(&fs->index, dir, (const char *)n->name, name, ka_get64(n->cookie),
				inode);
	if (err)
		return err;
	inode->nlink++;
	inode->ctime = time_of(&n->h);
	touch(dir, &n->h);
	return 0;
}

/* The inode lost a name in dir. */
static void drop_link(struct ka_inode *dir, struct ka_inode *inode, const struct ka_rec_disk *rec)
{
	if (S_ISDIR(inode->mode)) {
		inode->nlink = 0;
		inode->dir->parent = NULL;
		dir->nlink--;
	} else {
		inode->nlink--;
	}
	inode->ctime = time_of(rec);
}

static int apply_remove(struct ka_fs *fs, const struct ka_rec_name_disk *n)
{
	struct ka_inode *dir = find_dir(fs, n->parent), *inode;
	struct ka_dirent *de;

	de = dir ? ka_dir_find(&fs->index.names, dir, (const char *)n->name,
			       ka_get16(n->name_bytes))
		 : NULL;
	if (!de || de->cookie != ka_get64(n->cookie) || de->inode->ino != ka_get64(n->ino))
		return -KA_ERR_REPLAY_NAME;
	inode = de->inode;
	if (S_ISDIR(inode->mode) && inode->dir->count)
		return -KA_ERR_REPLAY_NAME;
	ka_index_remove_name(&fs->index, de);
	drop_link(dir, inode, &n->h);
	touch(dir, &n->h);
	return 0;
}

/* What a rename record is about, found and checked. */
struct rename {
	struct ka_inode *from_dir;
	struct ka_inode *to_dir;
	struct ka_dirent *from;
	struct ka_dirent *to; /* NULL: a new name */
	const char *to_name;
	size_t to_bytes;
};

static int find_rename(struct ka_fs *fs, const struct ka_rec_rename_disk *r, struct rename *ret)
{
	size_t from_bytes = ka_get16(r->from_bytes);

	ret->from_dir = find_dir(fs, r->from_parent);
	ret->to_dir = find_dir(fs, r->to_parent);
	if (!ret->from_dir || !ret->to_dir)
		return -KA_ERR_REPLAY_NAME;
	ret->to_name = (const char *)r->names + from_bytes;
	ret->to_bytes = ka_get16(r->to_bytes);
	ret->from =
		ka_dir_find(&fs->index.names, ret->from_dir, (const char *)r->names, from_bytes);
	ret->to = ka_dir_find(&fs->index.names, ret->to_dir, ret->to_name, ret->to_bytes);
	if (!ret->from || ret->from->cookie != ka_get64(r->from_cookie) ||
	    ret->from->inode->ino != ka_get64(r->ino) || ret->from == ret->to)
		return -KA_ERR_REPLAY_NAME;
	if (!ret->to)
		return r->other_ino.v || ka_get64(r->to_cookie) < ret->to_dir->dir->next_cookie
			       ? -KA_ERR_REPLAY_NAME
			       : 0;
	if (ret->to->cookie != ka_get64(r->to_cookie) ||
	    ret->to->inode->ino != ka_get64(r->other_ino))
		return -KA_ERR_REPLAY_NAME;
	return 0;
}

/* A directory must not come to lie below itself. */
static bool would_loop(const struct ka_inode *moved, const struct ka_inode *to_dir)
{
	return S_ISDIR(moved->mode) && ka_dir_is_below(to_dir, moved);
}

static void set_parent(struct ka_inode *inode, struct ka_inode *from, struct ka_inode *to)
{
	if (!S_ISDIR(inode->mode))
		return;
	inode->dir->parent = to;
	from->nlink--;
	to->nlink++;
}

static int apply_exchange(const struct ka_rec_rename_disk *r, const struct rename *p)
{
	struct ka_inode *one = p->from->inode, *two = p->to->inode;

	if (would_loop(one, p->to_dir) || would_loop(two, p->from_dir))
		return -KA_ERR_REPLAY_NAME;
	ka_dir_set(p->from, two);
	ka_dir_set(p->to, one);
	set_parent(one, p->from_dir, p->to_dir);
	set_parent(two, p->to_dir, p->from_dir);
	one->ctime = two->ctime = time_of(&r->h);
	return 0;
}

static int apply_move(struct ka_fs *fs, const struct ka_rec_rename_disk *r, const struct rename *p)
{
	struct ka_inode *inode = p->from->inode, *gone = p->to ? p->to->inode : NULL;
	int err;

	if (would_loop(inode, p->to_dir) || gone == inode)
		return -KA_ERR_REPLAY_NAME;
	if (gone && (S_ISDIR(gone->mode) != S_ISDIR(inode->mode) ||
		     (S_ISDIR(gone->mode) && gone->dir->count)))
		return -KA_ERR_REPLAY_NAME;
	if (gone) { /* the name stays, with its cookie */
		ka_dir_set(p->to, inode);
		drop_link(p->to_dir, gone, &r->h);
	} else {
		err = ka_index_add_name(&fs->index, p->to_dir, p->to_name, p->to_bytes,
					ka_get64(r->to_cookie), inode);
		if (err)
			return err;
	}
	ka_index_remove_name(&fs->index, p->from);
	set_parent(inode, p->from_dir, p->to_dir);
	inode->ctime = time_of(&r->h);
	return 0;
}

static int apply_rename(struct ka_fs *fs, const struct ka_rec_rename_disk *r)
{
	struct rename p;
	int err;

	err = find_rename(fs, r, &p);
	if (err)
		return err;
	if (ka_get16(r->h.flags) & KA_RENAME_EXCHANGE)
		err = apply_exchange(r, &p);
	else
		err = apply_move(fs, r, &p);
	if (err)
		return err;
	touch(p.from_dir, &r->h);
	touch(p.to_dir, &r->h);
	return 0;
}

int ka_apply_size(struct ka_fs *fs, struct ka_inode *inode, uint64_t size)
{
	int err = 0;

	if (!S_ISREG(inode->mode))
		return -KA_ERR_REPLAY_TYPE;
	/* What fallocate kept beyond the end goes too, as with ext4. */
	if (size <= inode->size)
		err = ka_extents_punch(&inode->extents, &fs->index.extents, size,
				       UINT64_MAX - size);
	if (!err)
		inode->size = size;
	return err;
}

static int apply_setattr(struct ka_fs *fs, const struct ka_rec_setattr_disk *s)
{
	struct ka_inode *inode = ka_index_find(&fs->index, ka_get64(s->ino));
	uint32_t valid = ka_get32(s->valid);
	int err;

	if (!inode)
		return -KA_ERR_REPLAY_INODE;
	if (valid & KA_SET_SIZE) {
		err = ka_apply_size(fs, inode, ka_get64(s->size));
		if (err)
			return err;
	}
	if (valid & KA_SET_MODE)
		inode->mode = (inode->mode & S_IFMT) | ka_get32(s->mode);
	if (valid & KA_SET_UID)
		inode->uid = ka_get32(s->uid);
	if (valid & KA_SET_GID)
		inode->gid = ka_get32(s->gid);
	if (valid & KA_SET_ATIME)
		inode->atime =
			(struct ka_time){(int64_t)ka_get64(s->atime_sec), ka_get32(s->atime_nsec)};
	if (valid & KA_SET_MTIME)
		inode->mtime =
			(struct ka_time){(int64_t)ka_get64(s->mtime_sec), ka_get32(s->mtime_nsec)};
	if (valid & KA_SET_CTIME)
		inode->ctime = time_of(&s->h);
	return 0;
}

static int apply_xattr(struct ka_fs *fs, const struct ka_rec_xattr_disk *x)
{
	struct ka_inode *inode = ka_index_find(&fs->index, ka_get64(x->ino));
	size_t name = ka_get16(x->name_bytes), value = ka_get32(x->value_bytes);
	uint32_t flags = ka_get16(x->h.flags);
	int err;

	if (!inode)
		return -KA_ERR_REPLAY_INODE;
	if (flags & KA_XATTR_REMOVE)
		err = ka_index_remove_xattr(&fs->index, inode, (const char *)x->data, name)
			      ? -KA_ERR_REPLAY_NAME
			      : 0;
	else
		err = ka_index_set_xattr(&fs->index, inode, (const char *)x->data, name,
					 x->data + name, value);
	if (err)
		return err;
	if (flags & KA_XATTR_SET_MODE)
		inode->mode = (inode->mode & S_IFMT) | ka_get32(x->mode);
	inode->ctime = time_of(&x->h);
	return 0;
}

/* The inode of a record that writes into one, for replay. */
static struct ka_inode *find_inode(struct ka_fs *fs, struct ka_le64 ino)
{
	return ka_index_find(&fs->index, ka_get64(ino));
}

int ka_apply(struct ka_fs *fs, const struct ka_rec_disk *rec, uint64_t addr)
{
	const struct ka_rec_write_disk *w = (const void *)rec;
	const struct ka_rec_space_disk *s = (const void *)rec;
	const struct ka_rec_clone_disk *c = (const void *)rec;
	struct ka_inode *inode, *from;

	switch (ka_get16(rec->type)) {
	case KA_REC_END:
		return 0;
	case KA_REC_WRITE:
		inode = find_inode(fs, w->ino);
		return inode ? ka_apply_write(fs, inode, w, addr) : -KA_ERR_REPLAY_INODE;
	case KA_REC_SPACE:
		inode = find_inode(fs, s->ino);
		return inode ? ka_apply_space(fs, inode, s) : -KA_ERR_REPLAY_INODE;
	case KA_REC_CLONE:
		inode = find_inode(fs, c->ino);
		from = find_inode(fs, c->from_ino);
		return inode && from ? ka_apply_clone(fs, from, inode, c) : -KA_ERR_REPLAY_INODE;
	case KA_REC_CREATE:
		return apply_create(fs, (const void *)rec);
	case KA_REC_LINK:
		return apply_link(fs, (const void *)rec);
	case KA_REC_REMOVE:
		return apply_remove(fs, (const void *)rec);
	case KA_REC_RENAME:
		return apply_rename(fs, (const void *)rec);
	case KA_REC_SETATTR:
		return apply_setattr(fs, (const void *)rec);
	case KA_REC_XATTR:
		return apply_xattr(fs, (const void *)rec);
	default:
		return -KA_ERR_RECORD_TYPE;
	}
}

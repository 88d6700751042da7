/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_model.c - random operations on a filesystem and on a plain tree beside
 * it, which has to say the same all the time: after each operation the same
 * answer, and every now and then, above all after a remount or a crash, the
 * same names, attributes and contents.
 *
 * The one answer that the tree does not know is ENOSPC: it may come from all
 * that does not give space back, and must leave the state as it was.
 */
#include "test.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs.h"
#include "keepalive/clean.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"
#include "memfs.h"

#define RUNS	   20
#define STEPS	   2000 /* of each run */
#define NODES	   70	/* above it more is deleted than made */
#define NAMES	   24	/* different ones in use */
#define FILE_BYTES (512u << 10)
#define COMPARE	   200 /* steps between full comparisons */

struct xattr {
	struct xattr *next;
	char name[32];
	size_t bytes;
	char value[];
};

struct node {
	ka_ino_t ino;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev;
	uint32_t nlink;
	uint64_t size;
	uint8_t *data; /* of FILE_BYTES */
	char *target;
	struct xattr *xattrs;
	struct node *parent; /* of a directory */
	size_t entries;
	struct ka_file *file; /* open */
};

struct entry {
	struct node *dir;
	struct node *node;
	char name[KA_NAME_MAX + 1];
};

struct model {
	struct memfs m;
	struct test_rng rng;
	struct node *root;
	struct node **node;
	size_t nodes;
	struct entry *entry;
	size_t entries;
	bool greedy; /* long writes: the region fills up */
	int full;    /* steps left in which to delete rather than to make */
	unsigned enospc;
	uint8_t *buf; /* of FILE_BYTES */
};

/* ---- the tree ---------------------------------------------------------- */

static uint64_t below(struct model *o, uint64_t limit)
{
	return test_below(&o->rng, limit);
}

static struct node *new_node(struct model *o, ka_ino_t ino, uint32_t mode)
{
	struct node *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->ino = ino;
	n->mode = mode;
	n->nlink = S_ISDIR(mode) ? 2 : 1;
	if (S_ISREG(mode)) {
		n->data = calloc(1, FILE_BYTES);
		assert_non_null(n->data);
	}
	o->node = realloc(o->node, (o->nodes + 1) * sizeof(struct node *));
	assert_non_null(o->node);
	o->node[o->nodes++] = n;
	return n;
}

static void free_xattrs(struct node *n)
{
	struct xattr *x;

	while ((x = n->xattrs)) {
		n->xattrs = x->next;
		free(x);
	}
}

/* An inode without names and handles is gone. */
static void reap(struct model *o, struct node *n)
{
	size_t i;

	if (n->nlink || n->file)
		return;
	for (i = 0; o->node[i] != n; i++)
		;
	o->node[i] = o->node[--o->nodes];
	free_xattrs(n);
	free(n->data);
	free(n->target);
	free(n);
}

static struct entry *find_entry(struct model *o, const struct node *dir, const char *name)
{
	size_t i;

	for (i = 0; i < o->entries; i++)
		if (o->entry[i].dir == dir && !strcmp(o->entry[i].name, name))
			return &o->entry[i];
	return NULL;
}

static void add_entry(struct model *o, struct node *dir, const char *name, struct node *n)
{
	struct entry *e;

	o->entry = realloc(o->entry, (o->entries + 1) * sizeof(*o->entry));
	assert_non_null(o->entry);
	e = &o->entry[o->entries++];
	e->dir = dir;
	e->node = n;
	strcpy(e->name, name);
	dir->entries++;
	if (S_ISDIR(n->mode)) {
		n->parent = dir;
		dir->nlink++;
	}
}

static void drop_entry(struct model *o, struct entry *e)
{
	struct node *n = e->node;

	e->dir->entries--;
	if (S_ISDIR(n->mode)) {
		e->dir->nlink--;
		n->parent = NULL;
	}
	*e = o->entry[--o->entries];
}

/* One name less. */
static void unlink_entry(struct model *o, struct entry *e)
{
	struct node *n = e->node;

	drop_entry(o, e);
	n->nlink = S_ISDIR(n->mode) ? 0 : n->nlink - 1;
	reap(o, n);
}

static bool is_below(const struct node *dir, const struct node *top)
{
	for (; dir; dir = dir->parent)
		if (dir == top)
			return true;
	return false;
}

/* ---- choosing ---------------------------------------------------------- */

/* A node that can be named, of these types (bits of mode >> 12), or NULL. */
static struct node *pick(struct model *o, unsigned types)
{
	struct node *n;
	int tries;

	for (tries = 0; tries < 200; tries++) {
		n = o->node[below(o, o->nodes)];
		if ((types & 1u << (n->mode >> 12)) && (n->nlink || n->file))
			return n;
	}
	return NULL;
}

#define TYPE(mode) (1u << ((mode) >> 12))
#define ANY	   (~0u)

static struct node *pick_dir(struct model *o)
{
	return pick(o, TYPE(S_IFDIR));
}

static struct node *pick_file(struct model *o)
{
	return pick(o, TYPE(S_IFREG));
}

static struct entry *pick_entry(struct model *o)
{
	return o->entries ? &o->entry[below(o, o->entries)] : NULL;
}

/* Some are long, so that directories fill segments. */
static void pick_name(struct model *o, char *name)
{
	uint64_t i = below(o, NAMES);

	memset(name, 'x', KA_NAME_MAX);
	name[i % 5 ? 0 : i * 10] = 0;
	snprintf(name + strlen(name), KA_NAME_MAX + 1 - strlen(name), "n%lu", (unsigned long)i);
}

/* A range of a file; mostly short. */
static void pick_range(struct model *o, uint64_t *off, uint64_t *len)
{
	uint64_t most = test_chance(&o->rng, o->greedy ? 60 : 10) ? FILE_BYTES / 2 : 9000;

	*off = below(o, test_chance(&o->rng, 50) ? 20000 : FILE_BYTES);
	*len = 1 + below(o, test_chance(&o->rng, 30) ? 64 : most);
	*len = ka_min(*len, FILE_BYTES - *off);
}

static const char *doing; /* for who reads of a failure */

/* ---- answers ----------------------------------------------------------- */

/*
 * Whether it has happened. frees: it gives space back, so there is no excuse.
 */
static bool happened(struct model *o, int err, int want, bool frees)
{
	err = -ka_errno(err);
	if (err == -ENOSPC && want == 0 && !frees) {
		o->enospc++;
		o->full = 10;
		return false;
	}
	if (err != want)
		print_error("%s\n", doing);
	assert_err(err, want);
	return !err;
}

/* ---- operations -------------------------------------------------------- */

static struct ka_file *handle(struct model *o, struct node *n)
{
	struct ka_file *file;

	if (n->file)
		return n->file;
	assert_ok(ka_open(o->m.fs, n->ino, &file));
	return file;
}

static void drop_handle(struct model *o, struct node *n, struct ka_file *file)
{
	if (file != n->file)
		ka_close(o->m.fs, file);
}

static struct xattr **find_xattr(struct node *n, const char *name)
{
	struct xattr **x;

	for (x = &n->xattrs; *x && strcmp((*x)->name, name); x = &(*x)->next)
		;
	return x;
}

static void drop_xattr(struct xattr **link)
{
	struct xattr *x = *link;

	*link = x->next;
	free(x);
}

/* ---- ACLs of one form: owner, user 1000, group, mask, others ------------------ */

#define ACL_BYTES   44
#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define PERM_OF(i)  (4 + 8 * (i) + 2) /* where entry i has its permissions */

static void make_acl(struct model *o, char *value)
{
	static const char tag[] = {1, 2, 4, 0x10, 0x20};
	int i;

	memset(value, 0, ACL_BYTES);
	value[0] = 2;
	for (i = 0; i < 5; i++) {
		value[4 + 8 * i] = tag[i];
		value[PERM_OF(i)] = (char)below(o, 8);
		memset(value + 8 + 8 * i, 0xff, 4);
	}
	memcpy(value + 16, "\350\003\0\0", 4);
}

static uint32_t mode_of_acl(const char *value)
{
	return (uint32_t)(value[PERM_OF(0)] << 6 | value[PERM_OF(3)] << 3 | value[PERM_OF(4)]);
}

/* The mode is what counts where both say something. */
static void fit_acl(char *value, uint32_t mode)
{
	value[PERM_OF(0)] = (char)(mode >> 6 & 7);
	value[PERM_OF(3)] = (char)(mode >> 3 & 7);
	value[PERM_OF(4)] = (char)(mode & 7);
}

static void put_xattr(struct node *n, const char *name, const void *value, size_t bytes)
{
	struct xattr **link = find_xattr(n, name), *x = malloc(sizeof(*x) + bytes);

	assert_non_null(x);
	if (*link)
		drop_xattr(link);
	strcpy(x->name, name);
	x->bytes = bytes;
	memcpy(x->value, value, bytes);
	x->next = n->xattrs;
	n->xattrs = x;
}

static void inherit_acl(struct node *n, const struct xattr *acl)
{
	put_xattr(n, ACL_ACCESS, acl->value, acl->bytes);
	if (S_ISDIR(n->mode))
		put_xattr(n, ACL_DEFAULT, acl->value, acl->bytes);
}

static void op_acl(struct model *o)
{
	struct node *n = pick(o, ANY);
	bool def = S_ISDIR(n->mode) && test_chance(&o->rng, 70);
	const char *name = def ? ACL_DEFAULT : ACL_ACCESS;
	struct xattr **link = find_xattr(n, name);
	int want = S_ISLNK(n->mode) ? -EOPNOTSUPP : 0;
	char value[ACL_BYTES];

	if (test_chance(&o->rng, 40)) {
		if (happened(o, ka_removexattr(o->m.fs, n->ino, name), 0, true) && *link)
			drop_xattr(link);
		return;
	}
	make_acl(o, value);
	if (!happened(o, ka_setxattr(o->m.fs, n->ino, name, value, ACL_BYTES, 0), want, false))
		return;
	put_xattr(n, name, value, ACL_BYTES);
	if (!def)
		n->mode = (n->mode & ~0777u) | mode_of_acl(value);
}

static void op_create(struct model *o)
{
	static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFREG, S_IFDIR,
					 S_IFLNK, S_IFIFO, S_IFCHR, S_IFSOCK};
	struct node *dir = test_chance(&o->rng, 95) ? pick_dir(o) : pick(o, ANY), *n;
	uint32_t type = types[below(o, KA_ARRAY_SIZE(types))];
	char name[KA_NAME_MAX + 1], target[200];
	struct ka_new new = {
		.parent = dir->ino,
		.name = name,
		.mode = type | (uint32_t)below(o, 01000),
		.umask = (uint32_t)below(o, 01000),
		.uid = (uint32_t)below(o, 3),
		.gid = (uint32_t)below(o, 3),
		.rdev = type == S_IFCHR ? (uint32_t)test_rand(&o->rng) : 0,
	};
	const struct xattr *acl = type == S_IFLNK ? NULL : *find_xattr(dir, ACL_DEFAULT);
	struct ka_attr attr;
	uint32_t mode;
	int want = 0;

	pick_name(o, name);
	if (type == S_IFLNK) {
		memset(target, 't', sizeof(target));
		target[1 + below(o, sizeof(target) - 1)] = 0;
		target[sizeof(target) - 1] = 0;
		new.target = target;
	}
	if (!S_ISDIR(dir->mode))
		want = -ENOTDIR;
	else if (find_entry(o, dir, name))
		want = -EEXIST;
	if (!happened(o, ka_create(o->m.fs, &new, &attr), want, false))
		return;
	mode = new.mode | (type == S_IFDIR ? dir->mode & S_ISGID : 0);
	if (acl)
		mode &= mode_of_acl(acl->value) | ~0777u;
	else if (type != S_IFLNK)
		mode &= ~new.umask;
	assert_int_equal(attr.mode, mode);
	ka_forget(o->m.fs, attr.ino, 1);
	n = new_node(o, attr.ino, attr.mode);
	n->uid = new.uid;
	n->gid = dir->mode & S_ISGID ? dir->gid : new.gid;
	n->rdev = new.rdev;
	if (acl)
		inherit_acl(n, acl);
	if (new.target) {
		n->target = strdup(target);
		n->size = strlen(target);
	}
	add_entry(o, dir, name, n);
}

static void op_tmpfile(struct model *o)
{
	struct ka_new new = {.mode = S_IFREG | 0600};
	struct ka_attr attr;
	struct node *n;

	if (!happened(o, ka_create(o->m.fs, &new, &attr), 0, false))
		return;
	n = new_node(o, attr.ino, attr.mode);
	n->nlink = 0;
	assert_ok(ka_open(o->m.fs, n->ino, &n->file));
	ka_forget(o->m.fs, attr.ino, 1);
}

static void op_link(struct model *o)
{
	struct node *dir = pick_dir(o), *n = pick(o, ANY);
	char name[KA_NAME_MAX + 1];
	int want = 0;

	pick_name(o, name);
	if (S_ISDIR(n->mode))
		want = -EPERM;
	else if (find_entry(o, dir, name))
		want = -EEXIST;
	if (!happened(o, memfs_link(o->m.fs, n->ino, dir->ino, name), want, false))
		return;
	add_entry(o, dir, name, n);
	n->nlink++;
}

static void op_remove(struct model *o)
{
	struct entry *e = pick_entry(o), none = {0};
	bool rmdir = test_chance(&o->rng, 50);
	int want = 0;

	if (!e || test_chance(&o->rng, 5)) {
		none.dir = pick_dir(o);
		pick_name(o, none.name);
		e = find_entry(o, none.dir, none.name) ?: &none;
	}
	if (e->node && test_chance(&o->rng, 90))
		rmdir = S_ISDIR(e->node->mode);
	if (!e->node)
		want = -ENOENT;
	else if (rmdir && !S_ISDIR(e->node->mode))
		want = -ENOTDIR;
	else if (!rmdir && S_ISDIR(e->node->mode))
		want = -EISDIR;
	else if (rmdir && e->node->entries)
		want = -ENOTEMPTY;
	if (happened(o,
		     rmdir ? ka_rmdir(o->m.fs, e->dir->ino, e->name)
			   : ka_unlink(o->m.fs, e->dir->ino, e->name),
		     want, true))
		unlink_entry(o, e);
}

static int rename_error(const struct entry *from, const struct node *to_dir, const struct entry *to,
			unsigned flags)
{
	if (!from || ((flags & RENAME_EXCHANGE) && !to))
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && to)
		return -EEXIST;
	if (S_ISDIR(from->node->mode) && is_below(to_dir, from->node))
		return -EINVAL;
	if (flags & RENAME_EXCHANGE)
		return S_ISDIR(to->node->mode) && is_below(from->dir, to->node) ? -EINVAL : 0;
	if (!to)
		return 0;
	if (S_ISDIR(to->node->mode) && !S_ISDIR(from->node->mode))
		return -EISDIR;
	if (!S_ISDIR(to->node->mode) && S_ISDIR(from->node->mode))
		return -ENOTDIR;
	return to->node->entries ? -ENOTEMPTY : 0;
}

static void op_rename(struct model *o)
{
	static const unsigned choice[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	unsigned flags = choice[below(o, KA_ARRAY_SIZE(choice))];
	struct entry *from = pick_entry(o), *to = pick_entry(o), old;
	struct node *to_dir = pick_dir(o), *n;
	char name[KA_NAME_MAX + 1];
	int err;

	if (!from)
		return;
	pick_name(o, name);
	if (test_chance(&o->rng, 50)) { /* onto one that is there */
		to_dir = to->dir;
		strcpy(name, to->name);
	}
	to = find_entry(o, to_dir, name);
	old = *from;
	/* Whoever is replaced gives space back, a plain move may not find any. */
	err = ka_rename(o->m.fs, from->dir->ino, from->name, to_dir->ino, name, flags);
	if (!happened(o, err, rename_error(from, to_dir, to, flags), to && !flags))
		return;
	if (to && to->node == from->node)
		return;
	if (flags & RENAME_EXCHANGE) {
		n = to->node;
		drop_entry(o, find_entry(o, to_dir, name));
		drop_entry(o, find_entry(o, old.dir, old.name));
		add_entry(o, to_dir, name, old.node);
		add_entry(o, old.dir, old.name, n);
		return;
	}
	if (to)
		unlink_entry(o, to);
	drop_entry(o, find_entry(o, old.dir, old.name));
	add_entry(o, to_dir, name, old.node);
}

static void op_write(struct model *o)
{
	struct node *n = pick_file(o);
	bool append = test_chance(&o->rng, 20), kill = test_chance(&o->rng, 30);
	struct ka_file *file;
	uint64_t off, len;
	size_t written;
	int err;

	if (!n)
		return;
	pick_range(o, &off, &len);
	if (append) {
		off = n->size;
		len = ka_min(len, FILE_BYTES - off);
	}
	if (!len)
		return;
	test_fill(&o->rng, o->buf, len);
	file = handle(o, n);
	err = append ? ka_append(o->m.fs, file, o->buf, len, kill, &written)
		     : ka_write(o->m.fs, file, o->buf, len, off, kill, &written);
	drop_handle(o, n, file);
	assert_true(written <= len && (!err || !written));
	happened(o, err, 0, false);
	if (!written)
		return;
	if (written < len)
		o->full = 10;
	memcpy(n->data + off, o->buf, written);
	n->size = ka_max(n->size, off + written);
	if (kill)
		n->mode &= ~(uint32_t)(S_ISUID | (n->mode & S_IXGRP ? S_ISGID : 0));
}

/* What is cut off is zero when the file grows again. */
static void set_size(struct node *n, uint64_t size)
{
	if (size < n->size)
		memset(n->data + size, 0, n->size - size);
	n->size = size;
}

static void op_truncate(struct model *o)
{
	struct node *n = pick_file(o);
	uint64_t size;

	if (!n)
		return;
	size = test_chance(&o->rng, 30) ? below(o, 100) : below(o, FILE_BYTES + 1);
	if (test_chance(&o->rng, 50))
		size = ka_min(size, n->size / 2);
	if (happened(o, memfs_truncate(o->m.fs, n->ino, size), 0, size < n->size))
		set_size(n, size);
}

static void op_fallocate(struct model *o)
{
	static const int modes[] = {
		0,
		FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE,
	};
	int mode = modes[below(o, KA_ARRAY_SIZE(modes))];
	bool punch = mode & FALLOC_FL_PUNCH_HOLE;
	struct node *n = pick_file(o);
	uint64_t off, len;

	if (!n)
		return;
	pick_range(o, &off, &len);
	if (!happened(o, memfs_fallocate(o->m.fs, n->ino, mode, off, len),
		      mode & FALLOC_FL_COLLAPSE_RANGE ? -EOPNOTSUPP : 0, punch))
		return;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(n->data + off, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		n->size = ka_max(n->size, off + len);
}

static void op_clone(struct model *o)
{
	struct node *from = pick_file(o), *to = test_chance(&o->rng, 30) ? from : pick_file(o);
	uint64_t off, len, to_off, copied = 99, unused;
	struct ka_file *in, *out;
	int err, want = 0;

	if (!from || !to)
		return;
	pick_range(o, &off, &len);
	pick_range(o, &to_off, &unused);
	to_off = ka_min(to_off, FILE_BYTES - len);
	in = handle(o, from);
	out = handle(o, to);
	err = ka_copy_range(o->m.fs, in, off, out, to_off, len, &copied);
	drop_handle(o, from, in);
	drop_handle(o, to, out);
	len = off < from->size ? ka_min(len, from->size - off) : 0;
	if (from == to && len && off < to_off + len && to_off < off + len)
		want = -EINVAL;
	if (!happened(o, err, want, false))
		return;
	assert_int_equal(copied, len);
	if (!len)
		return;
	memcpy(to->data + to_off, from->data + off, len);
	to->size = ka_max(to->size, to_off + len);
}

static void op_setattr(struct model *o)
{
	struct ka_setattr set = {
		.valid = (uint32_t)below(o, KA_SET_CTIME) & ~KA_SET_SIZE,
		.mode = (uint32_t)below(o, 010000),
		.uid = (uint32_t)below(o, 5),
		.gid = (uint32_t)below(o, 5),
		.atime = {(int64_t)test_rand(&o->rng) >> below(o, 64), 999999999},
		.mtime = {-1, 1},
	};
	struct node *n = pick(o, ANY);
	struct ka_attr attr;

	if (!happened(o, ka_setattr(o->m.fs, n->ino, &set, &attr), 0, false))
		return;
	if (set.valid & KA_SET_MODE)
		n->mode = (n->mode & S_IFMT) | set.mode;
	if (set.valid & KA_SET_UID)
		n->uid = set.uid;
	if (set.valid & KA_SET_GID)
		n->gid = set.gid;
	if (set.valid & KA_SET_ATIME)
		assert_memory_equal(&attr.atime, &set.atime, sizeof(attr.atime));
	if (set.valid & KA_SET_MTIME)
		assert_memory_equal(&attr.mtime, &set.mtime, sizeof(attr.mtime));
}

static void op_xattr(struct model *o)
{
	static const int flags[] = {0, 0, XATTR_CREATE, XATTR_REPLACE};
	int flag = flags[below(o, KA_ARRAY_SIZE(flags))], want = 0;
	struct node *n = pick(o, ANY);
	struct xattr **link, *x;
	char name[32];
	size_t bytes = below(o, test_chance(&o->rng, 95) ? 100 : 1 + KA_XATTR_MAX);

	snprintf(name, sizeof(name), "user.x%lu", (unsigned long)below(o, 6));
	link = find_xattr(n, name);
	if (test_chance(&o->rng, 35)) {
		if (happened(o, ka_removexattr(o->m.fs, n->ino, name), *link ? 0 : -ENODATA, true))
			drop_xattr(link);
		return;
	}
	if (flag == XATTR_CREATE && *link)
		want = -EEXIST;
	if (flag == XATTR_REPLACE && !*link)
		want = -ENODATA;
	x = malloc(sizeof(*x) + bytes);
	assert_non_null(x);
	strcpy(x->name, name);
	x->bytes = bytes;
	test_fill(&o->rng, x->value, bytes);
	if (!happened(o, ka_setxattr(o->m.fs, n->ino, name, x->value, bytes, flag), want, false)) {
		free(x);
		return;
	}
	if (*link)
		drop_xattr(link);
	x->next = n->xattrs;
	n->xattrs = x;
}

static void op_handle(struct model *o)
{
	struct node *n = pick_file(o);

	if (!n)
		return;
	if (!n->file) {
		assert_ok(ka_open(o->m.fs, n->ino, &n->file));
		return;
	}
	ka_close(o->m.fs, n->file);
	n->file = NULL;
	reap(o, n);
}

static void op_read(struct model *o)
{
	struct node *n = pick_file(o);
	uint64_t off, len, want;
	struct ka_read rd;
	struct ka_file *file;
	size_t at = 0;
	int i;

	if (!n)
		return;
	pick_range(o, &off, &len);
	want = off < n->size ? ka_min(len, n->size - off) : 0;
	file = handle(o, n);
	assert_ok(ka_read_begin(o->m.fs, file, off, len, &rd));
	assert_int_equal(rd.size, want);
	for (i = 0; i < rd.count; i++) {
		assert_memory_equal(rd.iov[i].iov_base, n->data + off + at, rd.iov[i].iov_len);
		at += rd.iov[i].iov_len;
	}
	assert_int_equal(at, want);
	ka_read_end(o->m.fs, &rd);
	drop_handle(o, n, file);
}

static void op_lookup(struct model *o)
{
	struct node *dir = pick_dir(o);
	char name[KA_NAME_MAX + 1];
	struct entry *e;

	pick_name(o, name);
	e = find_entry(o, dir, name);
	if (!dir->nlink)
		return;
	assert_int_equal(memfs_lookup(o->m.fs, dir->ino, name), e ? e->node->ino : 0);
}

/* ---- comparing --------------------------------------------------------- */

struct listing {
	struct model *o;
	const struct node *dir;
	uint64_t last; /* cookie */
	size_t seen;
	size_t stop; /* entries to take; 0: all */
};

static bool see_entry(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct listing *l = ctx;
	const struct entry *e;

	assert_true(cookie > l->last);
	if (l->stop && l->seen == l->stop)
		return false;
	l->last = cookie;
	l->seen++;
	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		assert_int_equal(attr->ino,
				 name[1] && l->dir->parent ? l->dir->parent->ino : l->dir->ino);
		return true;
	}
	e = find_entry(l->o, l->dir, name);
	assert_non_null(e);
	assert_int_equal(attr->ino, e->node->ino);
	assert_int_equal(attr->mode, e->node->mode);
	return true;
}

/* All at once, or in pieces that go on behind the last cookie. */
static void compare_dir(struct model *o, const struct node *n)
{
	struct listing l = {.o = o, .dir = n};
	size_t total = n->entries + 2, before;
	size_t piece = test_chance(&o->rng, 50) ? 0 : 1 + below(o, total);

	do {
		before = l.seen;
		l.stop = piece ? l.seen + piece : 0;
		assert_ok(ka_readdir(o->m.fs, n->ino, l.last, false, see_entry, &l));
	} while (piece && l.seen > before);
	assert_int_equal(l.seen, total);
}

static void compare_xattrs(struct model *o, const struct node *n)
{
	static char value[KA_XATTR_MAX];
	struct xattr *x;
	size_t bytes, list = 0;

	for (x = n->xattrs; x; x = x->next) {
		if (!strcmp(x->name, ACL_ACCESS))
			fit_acl(x->value, n->mode);
		assert_ok(ka_getxattr(o->m.fs, n->ino, x->name, value, sizeof(value), &bytes));
		assert_int_equal(bytes, x->bytes);
		assert_memory_equal(value, x->value, bytes);
		list += strlen(x->name) + 1;
	}
	assert_ok(ka_listxattr(o->m.fs, n->ino, true, NULL, 0, &bytes));
	assert_int_equal(bytes, list);
}

static void compare_contents(struct model *o, struct node *n)
{
	struct ka_file *file = handle(o, n);
	struct ka_read rd;
	size_t at = 0;
	int i;

	assert_ok(ka_read_begin(o->m.fs, file, 0, FILE_BYTES, &rd));
	assert_int_equal(rd.size, n->size);
	for (i = 0; i < rd.count; i++) {
		assert_memory_equal(rd.iov[i].iov_base, n->data + at, rd.iov[i].iov_len);
		at += rd.iov[i].iov_len;
	}
	assert_int_equal(at, n->size);
	ka_read_end(o->m.fs, &rd);
	drop_handle(o, n, file);
	assert_ok(ka_check_file(o->m.fs, n->ino));
}

static void compare_node(struct model *o, struct node *n)
{
	char target[KA_TARGET_MAX + 1];
	struct ka_attr a;

	assert_ok(ka_getattr(o->m.fs, n->ino, &a));
	assert_int_equal(a.ino, n->ino);
	assert_int_equal(a.mode, n->mode);
	assert_int_equal(a.uid, n->uid);
	assert_int_equal(a.gid, n->gid);
	assert_int_equal(a.rdev, n->rdev);
	assert_int_equal(a.nlink, n->nlink);
	assert_int_equal(a.size, n->size);
	compare_xattrs(o, n);
	if (S_ISDIR(n->mode))
		compare_dir(o, n);
	else if (S_ISREG(n->mode))
		compare_contents(o, n);
	if (S_ISLNK(n->mode)) {
		assert_ok(ka_readlink(o->m.fs, n->ino, target));
		assert_string_equal(target, n->target);
	}
}

static void compare(struct model *o)
{
	struct ka_fs_status st;
	size_t i;

	assert_int_equal(o->m.msgs.errors, 0);
	memfs_check(o->m.fs);
	for (i = 0; i < o->nodes; i++)
		compare_node(o, o->node[i]);
	ka_fs_get_status(o->m.fs, &st);
	assert_int_equal(st.files, o->nodes);
	assert_false(st.damaged || st.rdonly);
}

/* ---- life cycle -------------------------------------------------------- */

/* Handles end with the filesystem, and what only they kept. */
static void close_handles(struct model *o, bool crash)
{
	struct node *n;
	size_t i;

	for (i = o->nodes; i-- > 0;) {
		n = o->node[i];
		if (!n->file)
			continue;
		if (crash)
			free(n->file);
		else
			ka_close(o->m.fs, n->file);
		n->file = NULL;
		reap(o, n);
	}
}

static void again(struct model *o, bool crash)
{
	char *before, *after;

	if (!crash)
		close_handles(o, false);
	before = memfs_dump(o->m.fs);
	if (crash) {
		memfs_abandon(&o->m);
		close_handles(o, true);
	} else {
		memfs_close(&o->m);
	}
	o->m.opts.verify = test_chance(&o->rng, 50) ? KA_VERIFY_FIRST : KA_VERIFY_ALWAYS;
	memfs_open(&o->m);
	assert_int_equal(test_messages_have(&o->m.msgs, "unclean"), crash);
	compare(o);
	after = memfs_dump(o->m.fs);
	assert_string_equal(before, after); /* times, cookies, blocks and all */
	free(before);
	free(after);
	test_messages_clear(&o->m.msgs);
}

/*
 * A checkpoint that finds no room is an error of its own (it is said, too),
 * never a reason for anything else to go wrong.
 */
static void op_checkpoint(struct model *o)
{
	assert_ok(ka_fs_checkpoint(o->m.fs));
}

static void op_clean(struct model *o)
{
	struct ka_clean_stats stats = {0};
	int err = ka_clean_step(o->m.fs, below(o, 2) ? KA_CLEAN_GREEDY : KA_CLEAN_COST_BENEFIT,
				&stats);

	assert_true(!err || err == -ENOSPC);
	assert_int_equal(stats.stuck, 0);
}

/* What cannot be lent for want of room stays. */
static void op_lend(struct model *o)
{
	struct ka_lend_stats stats = {0};
	int err = 0;

	while (!err && below(o, 4))
		err = ka_lend_slice(o->m.fs, &stats);
	assert_true(!err || err == -ENOSPC || err == -KA_ERR_LEND_LAST);
}

static void op_reclaim(struct model *o)
{
	struct ka_lend_stats stats = {0};
	int err = 0;

	while (!err && below(o, 4))
		err = ka_reclaim_slice(o->m.fs, &stats);
	assert_true(!err || err == -KA_ERR_LEND_NONE);
}

static void op_remount(struct model *o)
{
	again(o, false);
}

static void op_crash(struct model *o)
{
	again(o, true);
}

static const struct {
	const char *name;
	void (*fn)(struct model *o);
	unsigned weight;
	unsigned weight_full; /* after ENOSPC */
} ops[] = {
	{"create", op_create, 120, 40},	    {"tmpfile", op_tmpfile, 5, 1},
	{"link", op_link, 40, 10},	    {"remove", op_remove, 90, 300},
	{"rename", op_rename, 100, 100},    {"write", op_write, 250, 60},
	{"truncate", op_truncate, 50, 200}, {"fallocate", op_fallocate, 60, 60},
	{"clone", op_clone, 60, 20},	    {"setattr", op_setattr, 40, 20},
	{"xattr", op_xattr, 60, 60},	    {"acl", op_acl, 30, 30},
	{"handle", op_handle, 50, 50},	    {"read", op_read, 80, 40},
	{"lookup", op_lookup, 20, 20},	    {"checkpoint", op_checkpoint, 6, 12},
	{"remount", op_remount, 3, 3},	    {"crash", op_crash, 8, 8},
	{"clean", op_clean, 20, 20},	    {"lend", op_lend, 10, 10},
	{"reclaim", op_reclaim, 8, 8},
};

static void step(struct model *o)
{
	bool full = o->full > 0 || o->nodes > NODES;
	unsigned total = 0, at;
	size_t i;

	o->full -= o->full > 0;
	fixed_cpu = (int)below(o, 8);
	for (i = 0; i < KA_ARRAY_SIZE(ops); i++)
		total += full ? ops[i].weight_full : ops[i].weight;
	at = (unsigned)below(o, total);
	for (i = 0; at >= (full ? ops[i].weight_full : ops[i].weight); i++)
		at -= full ? ops[i].weight_full : ops[i].weight;
	doing = ops[i].name;
	ops[i].fn(o);
}

/* In the end everything can be deleted, and nothing is left of it. */
static void clear(struct model *o)
{
	struct ka_lend_stats lend = {0};
	struct ka_fs_status st;
	struct entry *e;
	size_t i;

	close_handles(o, false);
	while (o->entries) {
		for (i = 0; i < o->entries; i++) {
			e = &o->entry[i];
			if (e->node->entries)
				continue;
			assert_ok(S_ISDIR(e->node->mode)
					  ? ka_rmdir(o->m.fs, e->dir->ino, e->name)
					  : ka_unlink(o->m.fs, e->dir->ino, e->name));
			unlink_entry(o, e);
		}
	}
	free_xattrs(o->root);
	for (i = 0; i < 6; i++)
		ka_removexattr(o->m.fs, KA_ROOT_INO,
			       (char[]){'u', 's', 'e', 'r', '.', 'x', (char)('0' + i), 0});
	ka_removexattr(o->m.fs, KA_ROOT_INO, ACL_ACCESS);
	ka_removexattr(o->m.fs, KA_ROOT_INO, ACL_DEFAULT);
	compare(o);
	assert_ok(ka_fs_checkpoint(o->m.fs));
	assert_ok(ka_fs_checkpoint(o->m.fs));
	ka_fs_get_status(o->m.fs, &st);
	assert_int_equal(st.files, 1);
	assert_int_equal(st.extents, 0);
	/* Two checkpoints of next to nothing, and what the positions and the cleaner have open. */
	while (!ka_reclaim_slice(o->m.fs, &lend))
		;
	assert_true(o->m.fs->segs.free + 1 + 2 + o->m.fs->log.writers + 1 >= o->m.fs->segs.count);
}

static void run(uint64_t stream, uint64_t bytes, int cpus, bool greedy)
{
	struct model o = {.rng = test_rng(stream), .buf = malloc(FILE_BYTES), .greedy = greedy};
	struct ka_attr root;
	int i;

	assert_non_null(o.buf);
	fixed_cpus = cpus;
	memfs_make(&o.m, bytes);
	o.root = new_node(&o, KA_ROOT_INO, S_IFDIR | 0755);
	assert_ok(ka_getattr(o.m.fs, KA_ROOT_INO, &root));
	for (i = 0; i < STEPS; i++) {
		step(&o);
		if (i % COMPARE == 0)
			compare(&o);
	}
	compare(&o);
	clear(&o);
	print_message("%lu MiB: %u times ENOSPC\n", (unsigned long)(bytes >> 20), o.enospc);
	fixed_cpus = 1;
	fixed_cpu = 0;
	memfs_release(&o.m);
	o.root->nlink = 0;
	reap(&o, o.root);
	free(o.node);
	free(o.entry);
	free(o.buf);
}

static void test_model(void **state)
{
	static const uint64_t sizes[] = {4, 64, 8, 16, 32};
	uint64_t i;

	(void)state;
	for (i = 0; i < RUNS * test_scale(); i++)
		run(i, sizes[i % KA_ARRAY_SIZE(sizes)] << 20, 1 + (int)(i / 5 % 4) * 3, i / 5 % 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops_rename.c - rename: move, replace, exchange; locks as in ops_dir.c. */
#include "ops.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

struct rename_args {
	ka_ino_t from_parent;
	ka_ino_t to_parent;
	const char *from_name;
	const char *to_name;
	size_t from_len;
	size_t to_len;
	unsigned flags;
};

/* What the names lead to. */
struct rename_ends {
	struct ka_inode *from_dir;
	struct ka_inode *to_dir;
	struct ka_dirent *from;
	struct ka_dirent *to; /* NULL: not there yet */
};

static int find_ends(struct ka_fs *fs, const struct rename_args *a, struct rename_ends *e)
{
	e->from_dir = ka_index_find(&fs->index, a->from_parent);
	e->to_dir = ka_index_find(&fs->index, a->to_parent);
	if (!e->from_dir || !e->to_dir)
		return -ESTALE;
	if (!S_ISDIR(e->from_dir->mode) || !S_ISDIR(e->to_dir->mode))
		return -ENOTDIR;
	e->from = ka_dir_find(&fs->index.names, e->from_dir, a->from_name, a->from_len);
	e->to = ka_dir_find(&fs->index.names, e->to_dir, a->to_name, a->to_len);
	return e->from && e->to_dir->nlink ? 0 : -ENOENT;
}

static bool moves_below_itself(const struct ka_dirent *de, const struct ka_inode *to_dir)
{
	return S_ISDIR(de->inode->mode) && ka_dir_is_below(to_dir, de->inode);
}

static int check_replace(const struct rename_ends *e)
{
	const struct ka_inode *gone = e->to->inode, *moved = e->from->inode;

	if (S_ISDIR(gone->mode) && !S_ISDIR(moved->mode))
		return -EISDIR;
	if (!S_ISDIR(gone->mode) && S_ISDIR(moved->mode))
		return -ENOTDIR;
	if (S_ISDIR(gone->mode) && gone->dir->count)
		return -ENOTEMPTY;
	return 0;
}

static int check_rename(const struct rename_args *a, const struct rename_ends *e)
{
	bool exchange = a->flags & RENAME_EXCHANGE;

	if (exchange && !e->to)
		return -ENOENT;
	if ((a->flags & RENAME_NOREPLACE) && e->to)
		return -EEXIST;
	if (moves_below_itself(e->from, e->to_dir))
		return -EINVAL;
	if (exchange)
		return moves_below_itself(e->to, e->from_dir) ? -EINVAL : 0;
	return e->to ? check_replace(e) : 0;
}

static int commit_rename(struct ka_fs *fs, const struct rename_args *a, const struct rename_ends *e)
{
	union {
		struct ka_rec_rename_disk rec;
		uint8_t bytes[sizeof(struct ka_rec_rename_disk) + 2 * KA_NAME_MAX + 8];
	} head = {0};
	uint64_t cookie = e->to ? e->to->cookie : e->to_dir->dir->next_cookie;
	unsigned flags = a->flags & RENAME_EXCHANGE ? KA_RENAME_EXCHANGE : 0;
	struct ka_lockset locks = {0};
	int err;

	head.rec.from_parent = ka_put64(a->from_parent);
	head.rec.from_cookie = ka_put64(e->from->cookie);
	head.rec.to_parent = ka_put64(a->to_parent);
	head.rec.to_cookie = ka_put64(cookie);
	head.rec.ino = ka_put64(e->from->inode->ino);
	head.rec.other_ino = ka_put64(e->to ? e->to->inode->ino : 0);
	head.rec.from_bytes = ka_put16((uint16_t)a->from_len);
	head.rec.to_bytes = ka_put16((uint16_t)a->to_len);
	memcpy(head.rec.names, a->from_name, a->from_len);
	memcpy(head.rec.names + a->from_len, a->to_name, a->to_len);
	ka_record_init(&head.rec.h, KA_REC_RENAME, flags,
		       sizeof(head.rec) + a->from_len + a->to_len, 0, ka_now_ns());
	ka_lockset_add(&locks, e->from_dir);
	ka_lockset_add(&locks, e->to_dir);
	ka_lockset_add(&locks, e->from->inode);
	ka_lockset_add(&locks, e->to ? e->to->inode : NULL);
	ka_lockset_lock(&locks);
	/* Replacing gives space back, so it is let into the reserve like a delete. */
	err = ka_op_commit(fs, &head.rec.h, e->to && !flags ? KA_SPACE_DELETE : KA_SPACE_NORMAL);
	ka_lockset_unlock(&locks);
	return err;
}

static int rename_locked(struct ka_fs *fs, const struct rename_args *a)
{
	struct ka_inode *replaced = NULL;
	struct rename_ends e;
	int err;

	err = find_ends(fs, a, &e);
	if (!err)
		err = check_rename(a, &e);
	if (err)
		return err;
	/* Two names of one file: POSIX wants nothing to happen. */
	if (e.to && e.to->inode == e.from->inode)
		return 0;
	if (!e.to && ka_dir_is_used_up(e.to_dir->dir))
		return -ENOSPC;
	if (e.to && !(a->flags & RENAME_EXCHANGE))
		replaced = e.to->inode;
	err = commit_rename(fs, a, &e);
	if (!err && replaced)
		ka_inode_reap(fs, replaced, true);
	return err;
}

static int do_rename(struct ka_fs *fs, void *arg)
{
	int err;

	pthread_rwlock_wrlock(&fs->index.ns);
	err = rename_locked(fs, arg);
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_rename(struct ka_fs *fs, ka_ino_t from_parent, const char *from_name, ka_ino_t to_parent,
	      const char *to_name, unsigned flags)
{
	struct rename_args a = {
		.from_parent = from_parent,
		.to_parent = to_parent,
		.from_name = from_name,
		.to_name = to_name,
		.from_len = strlen(from_name),
		.to_len = strlen(to_name),
		.flags = flags,
	};

	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (a.from_len > KA_NAME_MAX || a.to_len > KA_NAME_MAX)
		return -ENAMETOOLONG;
	if (!ka_record_name_ok(from_name, a.from_len) || !ka_record_name_ok(to_name, a.to_len))
		return -EINVAL;
	return ka_op_run(fs, true, do_rename, &a);
}

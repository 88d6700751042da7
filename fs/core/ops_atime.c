/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_atime.c - times of access, by the rule of relatime (Linux,
 * relatime_need_update): an update is due where the time of access is not newer
 * than those of the last change, or more than a day old. So a file costs one
 * record for the first read after a change, and one a day.
 */
#include "ops.h"

#include <errno.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

#define DAY_SECONDS (24 * 60 * 60)

static bool is_later(struct ka_time a, struct ka_time b)
{
	return a.sec != b.sec ? a.sec > b.sec : a.nsec > b.nsec;
}

/* The caller holds the inode's lock. */
static bool is_due(const struct ka_fs *fs, const struct ka_inode *inode, struct ka_time now)
{
	struct ka_time changed;

	if (ka_fs_is_rdonly(fs) || atomic_load(&fs->noatime) ||
	    (S_ISDIR(inode->mode) && atomic_load(&fs->nodiratime)))
		return false;
	if (now.sec - DAY_SECONDS >= inode->atime.sec)
		return true;
	changed = is_later(inode->mtime, inode->ctime) ? inode->mtime : inode->ctime;
	if (is_later(inode->atime, changed))
		return false;
	/* A change in the future (the clock was set back) stays due: once a second will do. */
	return !is_later(changed, now) || inode->atime.sec != now.sec;
}

static bool is_due_now(struct ka_inode *inode, const struct ka_fs *fs)
{
	bool due;

	pthread_rwlock_rdlock(&inode->lock);
	due = is_due(fs, inode, ka_time_from_ns(ka_now_ns()));
	pthread_rwlock_unlock(&inode->lock);
	return due;
}

static int commit_atime(struct ka_fs *fs, struct ka_inode *inode)
{
	struct ka_rec_setattr_disk rec = {0};
	int64_t now = ka_now_ns();
	struct ka_time atime = ka_time_from_ns(now);

	if (!is_due(fs, inode, atime))
		return 0; /* somebody was faster */
	rec.ino = ka_put64(inode->ino);
	rec.valid = ka_put32(KA_SET_ATIME);
	rec.atime_sec = ka_put64((uint64_t)atime.sec);
	rec.atime_nsec = ka_put32(atime.nsec);
	ka_record_init(&rec.h, KA_REC_SETATTR, 0, sizeof(rec), 0, now);
	return ka_op_commit(fs, &rec.h, KA_SPACE_NORMAL);
}

static int do_update(struct ka_fs *fs, void *arg)
{
	struct ka_inode *inode;
	int err = 0;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, *(ka_ino_t *)arg);
	if (inode && is_due_now(inode, fs)) {
		pthread_rwlock_wrlock(&inode->lock);
		err = commit_atime(fs, inode);
		pthread_rwlock_unlock(&inode->lock);
	}
	pthread_rwlock_unlock(&fs->index.ns);
	/* Not worth a checkpoint. */
	return err == -KA_ERR_NEED_CKPT ? -ENOSPC : err;
}

void ka_ino_accessed(struct ka_fs *fs, ka_ino_t ino)
{
	if (!ka_fs_is_rdonly(fs) && !atomic_load(&fs->noatime))
		(void)ka_op_run(fs, true, do_update, &ino);
}

void ka_inode_accessed(struct ka_fs *fs, struct ka_inode *inode)
{
	if (is_due_now(inode, fs))
		ka_ino_accessed(fs, inode->ino);
}

bool ka_atime_is_due(struct ka_fs *fs, const struct ka_file *file)
{
	return !file->noatime && is_due_now(file->inode, fs);
}

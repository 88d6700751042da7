/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops_util.c - running, committing, locking: what every operation needs. */
#include "ops.h"

#include <errno.h>

#include "apply.h"
#include "checkpoint.h"
#include "keepalive/clean.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"

/*
 * Two checkpoints free what one keeps for the spare; others may take it first. And
 * segments with memory errors may be met one after the other.
 */
#define TRIES 4

/* What a record may add to a checkpoint beside its own strings. */
#define RECORD_GROWTH 128

int ka_op_once(struct ka_fs *fs, bool modify, int (*fn)(struct ka_fs *fs, void *arg), void *arg)
{
	int err = atomic_load(&fs->failed);

	if (err)
		return err;
	pthread_rwlock_rdlock(&fs->op_lock);
	/* Under the lock: what was let in before a seal is behind it. */
	err = modify && ka_fs_is_rdonly(fs) ? -EROFS : fn(fs, arg);
	pthread_rwlock_unlock(&fs->op_lock);
	return err;
}

/*
 * Makes room by other means than a checkpoint, if there are. freed, reclaims: those of fs when
 * there was none. cheap: steps of cheap cleaning since memory came back; what was moved may be
 * worth moving again for ever, so a few that did not help are enough.
 */
static int make_room(struct ka_fs *fs, uint64_t freed, uint64_t reclaims, unsigned *cheap,
		     bool *ret_cleaned)
{
	struct ka_clean_stats stats = {0};
	int err = -ENOSPC;

	if (ka_growth_bytes(fs)) {
		if ((*cheap)++ < TRIES)
			err = ka_clean_step(fs, KA_CLEAN_CHEAP, &stats);
		if (err == -ENOSPC) {
			err = ka_reclaim_for(fs, reclaims);
			*cheap = 0;
		}
	}
	if (err)
		err = ka_clean_step(fs, KA_CLEAN_GREEDY, &stats);
	*ret_cleaned = !err;
	if (err != -ENOSPC)
		return err;
	/* Somebody else may have emptied segments meanwhile. */
	if (atomic_load(&fs->segs.freed) != freed)
		return 0;
	return ka_segs_ckpt_helps(&fs->segs) ? ka_fs_checkpoint(fs) : -ENOSPC;
}

/*
 * A checkpoint may cost as many segments as it frees, so where one was not enough there is
 * cleaning, which goes on as long as it gains something.
 */
int ka_op_run(struct ka_fs *fs, bool modify, int (*fn)(struct ka_fs *fs, void *arg), void *arg)
{
	unsigned stores = 0, fruitless = 0, cheap = 0;
	uint64_t tries = 0, freed, reclaims;
	bool checkpoint = false, cleaned;
	int err, room;

	for (;;) {
		freed = atomic_load(&fs->segs.freed);
		reclaims = atomic_load(&fs->reclaims);
		err = ka_op_once(fs, modify, fn, arg);
		if (err == -KA_ERR_STORE) {
			if (++stores == TRIES)
				return err;
			continue;
		}
		if (!modify || (err != -KA_ERR_NEED_CKPT && err != -ENOSPC))
			return err;
		/* Others may take each time what was made free: they get on, so give up. */
		if (fruitless == TRIES || ++tries > 2 * fs->segs.count)
			return -ENOSPC;
		checkpoint = err == -KA_ERR_NEED_CKPT && !checkpoint;
		cleaned = false;
		if (fs->opts.waits)
			fs->opts.waits(fs->opts.ctx);
		room = checkpoint ? ka_fs_checkpoint(fs)
				  : make_room(fs, freed, reclaims, &cheap, &cleaned);
		if (room)
			return err == -ENOSPC ? -ENOSPC : room;
		fruitless = cleaned ? 0 : fruitless + 1;
	}
}

int ka_op_applied(struct ka_fs *fs, int err)
{
	if (!err)
		return 0;
	ka_fs_fail(fs, err);
	return -KA_ERR_FAILED;
}

int ka_op_commit(struct ka_fs *fs, struct ka_rec_disk *head, enum ka_space_class cls)
{
	uint32_t bytes = ka_get32(head->bytes);
	struct ka_slot slot;
	uint64_t addr;
	int err;

	err = ka_ckpt_room(fs, cls == KA_SPACE_DELETE ? 0 : bytes + RECORD_GROWTH, cls);
	if (err)
		return err;
	err = ka_log_begin(&fs->log, bytes, cls, &slot);
	if (err)
		return err;
	addr = slot.addr;
	err = ka_log_put(&fs->log, &slot, head, NULL);
	return err ?: ka_op_applied(fs, ka_apply(fs, head, addr));
}

void ka_lockset_add(struct ka_lockset *set, struct ka_inode *inode)
{
	int i, at = 0;

	if (!inode)
		return;
	for (i = 0; i < set->count; i++) {
		if (set->inode[i] == inode)
			return;
		if (set->inode[i]->ino < inode->ino)
			at = i + 1;
	}
	for (i = set->count++; i > at; i--)
		set->inode[i] = set->inode[i - 1];
	set->inode[at] = inode;
}

void ka_lockset_lock(struct ka_lockset *set)
{
	int i;

	for (i = 0; i < set->count; i++)
		pthread_rwlock_wrlock(&set->inode[i]->lock);
}

void ka_lockset_unlock(struct ka_lockset *set)
{
	while (set->count)
		pthread_rwlock_unlock(&set->inode[--set->count]->lock);
}

void ka_attr_fill(const struct ka_inode *inode, struct ka_attr *ret)
{
	*ret = (struct ka_attr){
		.ino = inode->ino,
		.mode = inode->mode,
		.nlink = inode->nlink,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev = inode->rdev,
		.size = inode->size,
		.blocks = (inode->extents.bytes + 511) / 512,
		.atime = inode->atime,
		.mtime = inode->mtime,
		.ctime = inode->ctime,
		.btime = inode->btime,
	};
}

void ka_attr_read(struct ka_inode *inode, struct ka_attr *ret)
{
	pthread_rwlock_rdlock(&inode->lock);
	ka_attr_fill(inode, ret);
	pthread_rwlock_unlock(&inode->lock);
}

void ka_inode_reap(struct ka_fs *fs, struct ka_inode *inode, bool drop)
{
	if (inode->nlink || atomic_load(&inode->opens))
		return;
	if (!atomic_load(&inode->nlookup)) {
		ka_index_forget(&fs->index, inode);
		return;
	}
	if (!drop)
		return;
	/* Its space is wanted now, not when the kernel gets round to forgetting it. */
	pthread_rwlock_wrlock(&inode->lock);
	ka_index_empty(&fs->index, inode);
	inode->gone = true;
	pthread_rwlock_unlock(&inode->lock);
}

void ka_inode_close(struct ka_fs *fs, struct ka_inode *inode)
{
	uint32_t opens = atomic_load(&inode->opens);
	ka_ino_t ino = inode->ino;
	bool reap;

	while (opens > 1)
		if (atomic_compare_exchange_weak(&inode->opens, &opens, opens - 1))
			return;
	/* The last one, as it seems: nlink is to be read before the inode may go. */
	pthread_rwlock_rdlock(&fs->index.ns);
	reap = atomic_fetch_sub(&inode->opens, 1) == 1 && !inode->nlink;
	pthread_rwlock_unlock(&fs->index.ns);
	if (!reap)
		return;
	pthread_rwlock_wrlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, ino); /* another thread may have been faster */
	if (inode)
		ka_inode_reap(fs, inode, false);
	pthread_rwlock_unlock(&fs->index.ns);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seal.c - the state between two kernels: everything is in the checkpoint, and
 * nothing follows.
 *
 * Crash argument. Sealing: no operation is under way while op_lock is held, and
 * none that changes something is let in afterwards; the checkpoint and the state
 * are published by one update of the superblock. Before its first copy is whole
 * the state is "mounted" with the old checkpoint and the log behind it, which
 * recovery replays; afterwards the new checkpoint is all there is. Unsealing: the
 * update only changes the state. Before its first copy is whole nothing lies behind
 * the checkpoint; afterwards recovery looks, and finds nothing either. Both
 * copies are durable before op_lock lets the first record through.
 */
#include <errno.h>

#include "fs.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

bool ka_fs_is_rdonly(const struct ka_fs *fs)
{
	return fs->rdonly || atomic_load(&fs->sealed);
}

/* The caller has op_lock for writing. */
static int seal_locked(struct ka_fs *fs)
{
	int64_t clean_ns = fs->super.clean_ns;
	int err;

	if (atomic_load(&fs->sealed))
		return 0;
	err = atomic_load(&fs->failed);
	if (err)
		return err;
	fs->super.clean_ns = ka_now_ns();
	err = ka_fs_store(fs, KA_STATE_SEALED);
	if (err)
		fs->super.clean_ns = clean_ns;
	else
		atomic_store(&fs->sealed, true);
	return err;
}

/* The caller has op_lock for writing. */
static int unseal_locked(struct ka_fs *fs)
{
	int err;

	if (!atomic_load(&fs->sealed))
		return 0;
	fs->super.state = KA_STATE_MOUNTED;
	err = ka_super_write(fs->rg, &fs->super, fs->sink); /* before the first record */
	if (err)
		fs->super.state = KA_STATE_SEALED;
	else
		atomic_store(&fs->sealed, false);
	return err;
}

static int run(struct ka_fs *fs, int (*fn)(struct ka_fs *fs))
{
	int err;

	if (fs->rdonly)
		return -EROFS;
	pthread_rwlock_wrlock(&fs->op_lock);
	err = fn(fs);
	pthread_rwlock_unlock(&fs->op_lock);
	return err ?: ka_region_sync(fs->rg);
}

int ka_fs_seal(struct ka_fs *fs)
{
	int err = run(fs, seal_locked);

	if (err && err != -EROFS)
		ka_msg(fs->sink, KA_MSG_ERROR, "cannot seal: %s", ka_strerror(err));
	return err;
}

int ka_fs_unseal(struct ka_fs *fs)
{
	return run(fs, unseal_locked);
}

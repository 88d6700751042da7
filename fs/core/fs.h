/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fs.h (private) - the mounted filesystem as the upper layers share it.
 *
 * Lock order, outermost first:
 *   clean_lock   one step of the cleaner
 *   op_lock      read: one operation; write: a checkpoint, which needs quiet
 *   index.ns     names, the inode table
 *   inode.lock   several in the order of ino
 *   writer.lock  a position of the log, between ka_log_begin and ka_log_put
 *   segs.lock    leaf
 *   damages.lock leaf
 */
#ifndef KA_CORE_FS_H
#define KA_CORE_FS_H

#include <pthread.h>
#include <stdatomic.h>

#include "keepalive/fs.h"
#include "keepalive/index.h"
#include "keepalive/log.h"
#include "keepalive/salvage.h"
#include "keepalive/segment.h"

/* The segments that one checkpoint occupies. */
struct ka_ckpt_segments {
	uint64_t *index;
	size_t count;
	size_t capacity;
	uint64_t chunks; /* that ka_ckpt_mark found whole */
};

/* What could not be read since the mount; damage.h. */
struct ka_damages {
	pthread_mutex_t lock;
	struct ka_damage *list;
	size_t count;
	uint64_t unlisted; /* times that more came when the list was full */
};

void ka_salvage_stats_release(struct ka_salvage_stats *st);

struct ka_fs {
	struct ka_region *rg;
	struct ka_fs_opts opts;
	const struct ka_msg_sink *sink;
	struct ka_super super; /* as last stored */
	struct ka_segs segs;
	struct ka_log log;
	struct ka_index index;
	struct ka_ckpt_segments ckpt[2]; /* of super.ckpt */
	int spare_err;			 /* why the older of them could not be used; 0: it could */
	pthread_rwlock_t op_lock;
	pthread_mutex_t clean_lock;			/* one cleaner at a time */
	_Atomic uint64_t cleaned_segments, moved_bytes; /* since the mount */
	_Atomic uint64_t moved_ns;			/* that this took */
	_Atomic uint64_t reclaims;			/* slices taken back since the mount */
	_Atomic int reclaim_err; /* why the first lent slice did not come back, which was told */
	_Atomic int failed;	 /* code that every operation answers; 0: none */
	bool rdonly;
	_Atomic bool sealed; /* changes under op_lock for writing */
	_Atomic bool noatime;
	_Atomic bool nodiratime;
	bool damaged;
	struct ka_damages damages;
	uint64_t wrong_links; /* link counts that loading had to correct */
	struct ka_salvage_stats salvage;
};

struct ka_recovery {
	bool done; /* the shutdown was not clean */
	uint64_t records;
	uint64_t torn;
	uint64_t lost;
	uint64_t orphans;
};

/* Not one checkpoint and the log behind it, but all that is left of either. */
#define KA_LOAD_SALVAGE 2u

/*
 * Reads everything from checkpoint which (0 newest, 1 older; replay makes up
 * for the difference), or KA_LOAD_SALVAGE, and stores nothing. For fsck;
 * ka_fs_open starts with it.
 */
int ka_fs_load(struct ka_region *rg, const struct ka_fs_opts *opts, unsigned which,
	       struct ka_recovery *ret_recovery, struct ka_fs **ret_fs);

/*
 * Writes a checkpoint and publishes it with this state. The caller has op_lock
 * for writing, or the filesystem to itself.
 */
int ka_fs_store(struct ka_fs *fs, enum ka_super_state state);

/*
 * The same, and with it another boundary. Nothing may live or be needed at or above
 * owned_bytes, where segs.limit is; the older checkpoint is given up.
 */
int ka_fs_store_owned(struct ka_fs *fs, enum ka_super_state state, uint64_t owned_bytes);

/*
 * The state in memory no longer follows the log (no memory in the middle of an
 * update): stop. What is durable is right, and a new mount reads it.
 */
void ka_fs_fail(struct ka_fs *fs, int err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fs.c - format, open, checkpoint, close; see keepalive/fs.h.
 *
 * Crash argument of a checkpoint: ckpt_write.c. Of opening after a clean stop:
 * the state becomes "mounted" durably before the first record is appended, so
 * a record is never behind a checkpoint that claims to be all. Of opening
 * after an unclean one: replay stores nothing; the fresh checkpoint and the
 * state are published by one update of the superblock.
 */
#include "fs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "damage.h"
#include "keepalive/clean.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"
#include "keepalive/ops.h"
#include "keepalive/util.h"
#include "keepalive/wiped.h"
#include "replay.h"
#include "salvage.h"

/*
 * Log since the last checkpoint that asks for the next: bounds both replay
 * time and the memory that only replay needs.
 */
#define CKPT_BYTES_MAX	 (512ull << 20)
#define CKPT_RECORDS_MAX (256ull << 10)
/* Segments kept free for the older checkpoint to stay. */
#define KEEP_OLD_SHARE 4
#define KEEP_OLD_SPARE 3 /* beside those of the next checkpoint */
/* Segments with memory errors that one checkpoint may meet. */
#define STORE_TRIES 16
/* Numbers of each kind for one mount: nine years of a million operations a second. */
#define NUMBERS_SPARE (1ull << 48)

void ka_fs_fail(struct ka_fs *fs, int err)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&fs->failed, &none, -KA_ERR_FAILED))
		ka_msg(fs->sink, KA_MSG_ERROR,
		       "stopped: %s; what was written is safe, unmount and mount again",
		       ka_strerror(err));
}

static void init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void ka_fs_abandon(struct ka_fs *fs)
{
	if (!fs)
		return;
	ka_region_set_limit(fs->rg, ka_region_info(fs->rg)->capacity_bytes);
	ka_salvage_stats_release(&fs->salvage);
	free(fs->ckpt[0].index);
	free(fs->ckpt[1].index);
	ka_index_release(&fs->index);
	ka_log_release(&fs->log);
	ka_segs_release(&fs->segs);
	pthread_rwlock_destroy(&fs->op_lock);
	pthread_mutex_destroy(&fs->clean_lock);
	pthread_mutex_destroy(&fs->damages.lock);
	free(fs->damages.list);
	free(fs);
}

/* An empty state over a region whose superblock is fs->super. */
static int init_state(struct ka_fs *fs)
{
	struct ka_super *sb = &fs->super;
	int err;

	ka_region_set_limit(fs->rg, sb->owned_bytes);
	if (ka_region_limit(fs->rg) < sb->owned_bytes)
		return -KA_ERR_DAX_SYSTEM_RAM;
	err = ka_segs_init(&fs->segs, sb->segments, sb->segment_bytes, sb->owned_bytes);
	ka_log_init(&fs->log, fs->rg, &fs->segs, sb->log_id);
	return err;
}

void ka_fs_set_noatime(struct ka_fs *fs, bool noatime)
{
	atomic_store(&fs->noatime, noatime);
}

void ka_fs_set_nodiratime(struct ka_fs *fs, bool nodiratime)
{
	atomic_store(&fs->nodiratime, nodiratime);
}

static struct ka_fs *new_fs(struct ka_region *rg, const struct ka_fs_opts *opts)
{
	struct ka_fs *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	fs->rg = rg;
	fs->opts = *opts;
	fs->sink = opts->sink;
	fs->rdonly = opts->rdonly;
	ka_fs_set_noatime(fs, opts->noatime);
	ka_fs_set_nodiratime(fs, opts->nodiratime);
	init_lock(&fs->op_lock);
	pthread_mutex_init(&fs->clean_lock, NULL);
	pthread_mutex_init(&fs->damages.lock, NULL);
	ka_index_init(&fs->index, &fs->segs);
	return fs;
}

/*
 * The older checkpoint stays as a spare while there is plenty of room: it must not be
 * in the way of the next one. cost: segments of the one that was just written.
 */
static bool keep_old(const struct ka_fs *fs, uint64_t cost)
{
	return fs->ckpt[0].count && fs->segs.free > fs->segs.count / KEEP_OLD_SHARE &&
	       fs->segs.free > ka_max(cost, atomic_load(&fs->segs.ckpt_cost)) + KEEP_OLD_SPARE;
}

/* Where memory turns out to be broken, once more elsewhere. */
static int write_checkpoint(struct ka_fs *fs, uint64_t owned_bytes, struct ka_ckpt_ptr *ret_ptr,
			    struct ka_ckpt_segments *segments)
{
	unsigned tries = 0;
	int err;

	do
		err = ka_ckpt_write(fs, owned_bytes, ret_ptr, segments);
	while (err == -KA_ERR_STORE && ++tries < STORE_TRIES);
	return err;
}

int ka_fs_store(struct ka_fs *fs, enum ka_super_state state)
{
	return ka_fs_store_owned(fs, state, fs->super.owned_bytes);
}

int ka_fs_store_owned(struct ka_fs *fs, enum ka_super_state state, uint64_t owned_bytes)
{
	struct ka_ckpt_segments segments = {0};
	struct ka_super *sb = &fs->super;
	struct ka_ckpt_ptr ptr;
	bool keep;
	int err;

	err = write_checkpoint(fs, owned_bytes, &ptr, &segments);
	if (err)
		return err;
	/* What is replayed behind the older one may lie where the memory goes. */
	keep = owned_bytes == sb->owned_bytes && keep_old(fs, segments.count);
	sb->ckpt[1] = keep ? sb->ckpt[0] : (struct ka_ckpt_ptr){0};
	sb->ckpt[0] = ptr;
	sb->state = state;
	sb->owned_bytes = owned_bytes;
	err = ka_super_write(fs->rg, sb, fs->sink); /* from here on the new one counts */
	if (err) {
		/* Which one counts nobody can say now, so nothing is free. */
		free(segments.index);
		ka_fs_fail(fs, err);
		return err;
	}
	ka_ckpt_segments_free(fs, &fs->ckpt[1]);
	if (keep)
		fs->ckpt[1] = fs->ckpt[0];
	else
		ka_ckpt_segments_free(fs, &fs->ckpt[0]);
	fs->ckpt[0] = segments;
	ka_segs_covered(&fs->segs, keep ? sb->ckpt[1].seq : ptr.seq);
	atomic_store(&fs->log.new_bytes, 0);
	atomic_store(&fs->log.new_records, 0);
	atomic_store(&fs->log.wants_ckpt, false);
	return 0;
}

int ka_fs_checkpoint(struct ka_fs *fs)
{
	int err;

	if (fs->rdonly)
		return -EROFS;
	pthread_rwlock_wrlock(&fs->op_lock);
	if (atomic_load(&fs->sealed))
		err = -EROFS;
	else
		err = atomic_load(&fs->failed) ?: ka_fs_store(fs, KA_STATE_MOUNTED);
	pthread_rwlock_unlock(&fs->op_lock);
	if (err && err != -EROFS)
		ka_msg(fs->sink, KA_MSG_ERROR, "cannot write a checkpoint: %s", ka_strerror(err));
	return err;
}

bool ka_fs_wants_checkpoint(const struct ka_fs *fs)
{
	uint64_t bytes =
		fs->opts.ckpt_bytes ?: ka_min(CKPT_BYTES_MAX, fs->super.capacity_bytes / 8);
	/* A large index is worth more log: at most as much again is written. */
	uint64_t records = ka_max(CKPT_RECORDS_MAX, fs->index.inodes.count / 2);

	return !ka_fs_is_rdonly(fs) && !atomic_load(&fs->failed) &&
	       (atomic_load(&fs->log.wants_ckpt) || atomic_load(&fs->log.new_bytes) > bytes ||
		atomic_load(&fs->log.new_records) > records);
}

int ka_fs_plan(const struct ka_region_info *info, const struct ka_format_opts *opts,
	       struct ka_super *ret_sb)
{
	uint64_t capacity = ka_min(opts->capacity_bytes, info->capacity_bytes);
	uint64_t slice = opts->slice_bytes, first = opts->first_slice_bytes ?: slice;
	int err;

	memset(ret_sb, 0, sizeof(*ret_sb));
	/* A device that is not carved is one slice. */
	if (!slice && info->kind == KA_REGION_DEVDAX)
		first = slice = ka_align_up(capacity, KA_SEGMENT_MAX);
	err = ka_super_geometry(ret_sb, capacity, slice, first);
	if (err)
		return err;
	ret_sb->disk_version = KA_DISK_VERSION;
	memcpy(ret_sb->uuid, opts->uuid, sizeof(ret_sb->uuid));
	memcpy(ret_sb->label, opts->label, sizeof(ret_sb->label));
	ret_sb->phys_addr = info->phys_addr;
	ret_sb->owned_bytes = capacity;
	if (opts->owned_bytes)
		ret_sb->owned_bytes = ka_super_boundary(ret_sb, opts->owned_bytes);
	ret_sb->state = KA_STATE_CLEAN;
	ret_sb->mkfs_ns = ka_now_ns();
	return ka_super_new_log_id(ret_sb);
}

static int make_root(struct ka_fs *fs, const struct ka_format_opts *opts)
{
	struct ka_inode *root = ka_index_new(&fs->index, KA_ROOT_INO, S_IFDIR | 0755);

	if (!root)
		return -ENOMEM;
	root->nlink = 2;
	root->uid = opts->root_uid;
	root->gid = opts->root_gid;
	root->dir->parent = root;
	root->atime = root->mtime = root->ctime = root->btime = ka_time_from_ns(fs->super.mkfs_ns);
	return 0;
}

int ka_fs_format(struct ka_region *rg, const struct ka_format_opts *opts,
		 const struct ka_msg_sink *sink)
{
	struct ka_fs_opts fs_opts = {.sink = sink};
	struct ka_fs *fs = new_fs(rg, &fs_opts);
	int err;

	if (!fs)
		return -ENOMEM;
	err = ka_fs_plan(ka_region_info(rg), opts, &fs->super);
	if (!err)
		err = init_state(fs);
	if (!err)
		err = make_root(fs, opts);
	if (!err) {
		atomic_store(&fs->log.gen, 1);
		ka_region_set_limit(rg, ka_region_info(rg)->capacity_bytes);
		err = ka_super_erase(rg);
		ka_region_set_limit(rg, fs->super.owned_bytes);
	}
	if (!err)
		err = ka_fs_store(fs, KA_STATE_CLEAN);
	if (!err && fs->super.owned_bytes < fs->super.capacity_bytes)
		err = ka_region_release(rg, fs->super.owned_bytes, fs->super.capacity_bytes);
	if (!err || err == -EOPNOTSUPP) /* the first mount does it */
		err = ka_region_sync(rg);
	ka_fs_abandon(fs);
	return err;
}

/* Segments that a clean checkpoint left open are gone on with. */
static void resume_segments(struct ka_fs *fs)
{
	uint64_t i;

	for (i = 1; i < fs->segs.count; i++)
		if (fs->segs.seg[i].state == KA_SEG_OPEN)
			ka_log_resume(&fs->log, i);
}

static int recover(struct ka_fs *fs, uint64_t ckpt_seq, struct ka_recovery *ret)
{
	struct ka_replay_stats stats;
	int err;

	err = ka_replay(fs, ckpt_seq, &stats);
	if (err)
		return err;
	*ret = (struct ka_recovery){
		.done = true,
		.records = stats.records,
		.torn = stats.torn,
		.lost = stats.lost,
		.orphans = ka_drop_orphans(fs),
	};
	fs->super.recovered = stats.records;
	fs->super.torn = stats.torn;
	fs->super.lost = stats.lost;
	fs->super.unclean_ns = ka_now_ns();
	return 0;
}

/* The older checkpoint was read because the newest could not be: it is no spare. */
static void forget_newest(struct ka_fs *fs)
{
	fs->super.ckpt[0] = fs->super.ckpt[1];
	fs->super.ckpt[1] = (struct ka_ckpt_ptr){0};
	fs->ckpt[0] = fs->ckpt[1];
	fs->ckpt[1] = (struct ka_ckpt_segments){0};
}

/* What was salvaged lies in no checkpoint: the superblock names none until one is stored. */
static int salvage(struct ka_fs *fs, struct ka_recovery *ret)
{
	int err = ka_salvage(fs, &fs->salvage);

	if (err)
		return err;
	fs->super.ckpt[0] = fs->super.ckpt[1] = (struct ka_ckpt_ptr){0};
	*ret = (struct ka_recovery){
		.done = true,
		.records = fs->salvage.records,
		.orphans = ka_drop_orphans(fs),
	};
	return 0;
}

static int load(struct ka_fs *fs, unsigned which, struct ka_recovery *ret)
{
	struct ka_ckpt_head head;
	int err;

	if (fs->opts.super) {
		fs->super = *fs->opts.super;
		err = 0;
	} else {
		err = ka_super_read(fs->rg, fs->sink, NULL, &fs->super);
	}
	if (err == -KA_ERR_SUPER_RO_FEATURE && fs->rdonly)
		err = 0;
	if (err)
		return err;
	err = init_state(fs);
	if (err)
		return err;
	if (which == KA_LOAD_SALVAGE)
		return salvage(fs, ret);
	err = ka_ckpt_read(fs, &fs->super.ckpt[which], &head, &fs->ckpt[which]);
	/* Firmware that spared the first megabyte leaves a superblock alone. */
	if (err <= -KA_ERR_BASE &&
	    ka_wiped_check_segments(fs->rg, &fs->super, fs->sink) == -KA_ERR_WIPED)
		return -KA_ERR_WIPED;
	if (err) {
		ka_msg(fs->sink, KA_MSG_ERROR, "cannot read the %s checkpoint of '%s': %s",
		       which ? "older" : "newest", ka_region_info(fs->rg)->path, ka_strerror(err));
		return err;
	}
	if (which)
		forget_newest(fs);
	else
		fs->spare_err = ka_ckpt_mark(fs, &fs->super.ckpt[1], &fs->ckpt[1]);
	if (fs->spare_err == -ENOMEM)
		return -ENOMEM;
	atomic_store(&fs->log.seq, head.seq);
	atomic_store(&fs->log.gen, head.next_gen);
	if (fs->super.state == KA_STATE_MOUNTED || which)
		err = recover(fs, head.seq, ret);
	else if (fs->super.state == KA_STATE_SEALED)
		ret->orphans = ka_drop_orphans(fs); /* they were open when it was sealed */
	return err;
}

int ka_fs_load(struct ka_region *rg, const struct ka_fs_opts *opts, unsigned which,
	       struct ka_recovery *ret_recovery, struct ka_fs **ret_fs)
{
	struct ka_fs *fs = new_fs(rg, opts);
	int err;

	if (!fs)
		return -ENOMEM;
	*ret_recovery = (struct ka_recovery){0};
	err = load(fs, which, ret_recovery);
	if (err)
		ka_fs_abandon(fs);
	else
		*ret_fs = fs;
	return err;
}

static int start_writing(struct ka_fs *fs, bool unclean)
{
	struct ka_super *sb = &fs->super;

	/* A crash may have come before that. */
	if (sb->owned_bytes < sb->capacity_bytes)
		(void)ka_region_release(fs->rg, sb->owned_bytes, sb->capacity_bytes);
	sb->mount_ns = ka_now_ns();
	sb->mounts++;
	ka_segs_covered(&fs->segs, sb->ckpt[1].addr ? sb->ckpt[1].seq : sb->ckpt[0].seq);
	(void)ka_ckpt_room(fs, 0, KA_SPACE_CKPT); /* for the first reserve */
	if (unclean)
		return ka_fs_store(fs, KA_STATE_MOUNTED);
	resume_segments(fs);
	sb->state = KA_STATE_MOUNTED;
	return ka_super_write(fs->rg, sb, fs->sink); /* before the first record */
}

/* Whether media is to blame, and not in the superblock. */
static bool is_damage(int err)
{
	return err <= -KA_ERR_MEMORY && err > -KA_ERR_NEED_CKPT;
}

static int load_remains(struct ka_region *rg, const struct ka_fs_opts *opts,
			struct ka_recovery *rec, struct ka_fs **ret_fs)
{
	struct ka_fs *fs;
	int err;

	err = ka_fs_load(rg, opts, KA_LOAD_SALVAGE, rec, &fs);
	if (err)
		return err;
	err = ka_salvage_connect(fs);
	if (err)
		ka_fs_abandon(fs);
	else
		*ret_fs = fs;
	return err;
}

/* The older checkpoint and the log behind it hold the same state; it is a spare for that. */
static int load_best(struct ka_region *rg, const struct ka_fs_opts *opts, struct ka_recovery *rec,
		     struct ka_fs **ret_fs)
{
	int err, err2;

	err = ka_fs_load(rg, opts, 0, rec, ret_fs);
	if (!is_damage(err))
		return err;
	err2 = ka_fs_load(rg, opts, 1, rec, ret_fs);
	if (is_damage(err2) && opts->salvage && opts->rdonly)
		return load_remains(rg, opts, rec, ret_fs);
	if (err2)
		return err;
	ka_msg(opts->sink, KA_MSG_WARNING, "using the older checkpoint of '%s' instead",
	       ka_region_info(rg)->path);
	(*ret_fs)->damaged = true;
	return 0;
}

/*
 * Whether enough numbers are left for whatever a mount may do. An honest
 * filesystem never comes near; media can say anything, and a record with a number
 * beyond the limit would be lost.
 */
static bool has_numbers(const struct ka_fs *fs)
{
	return atomic_load(&fs->log.seq) < KA_NUMBER_LIMIT - NUMBERS_SPARE &&
	       fs->index.next_ino < KA_NUMBER_LIMIT - NUMBERS_SPARE &&
	       atomic_load(&fs->log.gen) < KA_GEN_LIMIT - NUMBERS_SPARE;
}

int ka_fs_open(struct ka_region *rg, const struct ka_fs_opts *opts, struct ka_fs **ret_fs)
{
	struct ka_recovery rec;
	struct ka_fs *fs;
	int err;

	err = load_best(rg, opts, &rec, &fs);
	if (err)
		return err;
	if (rec.done && !ka_fs_salvaged(fs))
		ka_msg(fs->sink, KA_MSG_INFO,
		       "recovered from an unclean shutdown: %" PRIu64 " records replayed, %" PRIu64
		       " torn, %" PRIu64 " lost, %" PRIu64 " orphans dropped",
		       rec.records, rec.torn, rec.lost, rec.orphans);
	fs->damaged |= ka_fs_salvaged(fs) || rec.lost || fs->wrong_links ||
		       (fs->super.flags & KA_SUPER_DAMAGED);
	if (fs->damaged && !fs->rdonly) {
		ka_msg(fs->sink, KA_MSG_ERROR,
		       "'%s' is damaged: mounting it read-only; run fsck.keepalivefs",
		       ka_region_info(rg)->path);
		fs->rdonly = true;
	}
	if (!fs->rdonly && !has_numbers(fs)) {
		ka_msg(fs->sink, KA_MSG_ERROR,
		       "'%s' has used up its numbers: mounting it read-only; copy its files to a "
		       "new filesystem",
		       ka_region_info(rg)->path);
		fs->rdonly = true;
	}
	err = fs->rdonly ? 0 : start_writing(fs, rec.done);
	if (err)
		ka_fs_abandon(fs);
	else
		*ret_fs = fs;
	return err;
}

int ka_fs_close(struct ka_fs *fs)
{
	int err = 0;

	/* What is sealed is as clean as can be. */
	if (!ka_fs_is_rdonly(fs)) {
		err = atomic_load(&fs->failed);
		if (!err) {
			ka_drop_orphans(fs);
			fs->super.clean_ns = ka_now_ns();
			err = ka_fs_store(fs, KA_STATE_CLEAN);
		}
		if (!err)
			err = ka_region_sync(fs->rg);
		if (err)
			ka_msg(fs->sink, KA_MSG_ERROR,
			       "cannot unmount cleanly: %s; the next mount will recover",
			       ka_strerror(err));
	}
	ka_fs_abandon(fs);
	return err;
}

void ka_fs_get_status(struct ka_fs *fs, struct ka_fs_status *ret)
{
	uint64_t usable, gain, growth = ka_growth_bytes(fs);

	pthread_rwlock_rdlock(&fs->op_lock);
	*ret = (struct ka_fs_status){
		.super = fs->super,
		.files = fs->index.inodes.count,
		.extents = atomic_load(&fs->index.extents.count),
		.log_bytes = atomic_load(&fs->log.new_bytes),
		.log_records = atomic_load(&fs->log.new_records),
		.bad_bytes = ka_segs_bad_bytes(&fs->segs),
		.cleaned_segments = atomic_load(&fs->cleaned_segments),
		.moved_bytes = atomic_load(&fs->moved_bytes),
		.rdonly = fs->rdonly,
		.damaged = fs->damaged,
		.unlisted = ka_damage_unlisted(fs),
		.reclaim_err = atomic_load(&fs->reclaim_err),
		.spare_err = fs->spare_err,
	};
	gain = ka_clean_gain(fs);
	ret->growth_bytes = growth;
	ret->avail_bytes = ka_segs_avail(&fs->segs, &ret->free_bytes) + gain;
	ret->free_bytes += gain;
	usable = ka_min(fs->super.owned_bytes, fs->super.segments * fs->super.segment_bytes);
	ret->used_bytes = usable - ka_min(ret->free_bytes, usable);
	pthread_rwlock_unlock(&fs->op_lock);
}

bool ka_fs_uses_segment(struct ka_fs *fs, uint64_t index)
{
	enum ka_seg_state state;

	if (index >= fs->segs.count)
		return false;
	pthread_mutex_lock(&fs->segs.lock);
	state = fs->segs.seg[index].state;
	pthread_mutex_unlock(&fs->segs.lock);
	return state != KA_SEG_FREE && state != KA_SEG_ABSENT && state != KA_SEG_BAD;
}

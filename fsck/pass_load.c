/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pass_load.c - superblock and checkpoints: from bytes to a filesystem in memory. */
#include <inttypes.h>

#include "fsck.h"
#include "keepalive/err.h"
#include "keepalive/super.h"
#include "keepalive/util.h"

/* Silent at first: two damaged copies may make a whole one. */
static int read_super(struct fsck *f, struct ka_super_report *rep)
{
	int err = ka_super_read(f->rg, NULL, rep, &f->super);

	if (!err)
		return 0;
	if ((err == -KA_ERR_SUPER_CSUM || err == -KA_ERR_NOT_KEEPALIVE ||
	     err == -KA_ERR_SUPER_FIELD || err == -KA_ERR_SUPER_GONE) &&
	    !ka_super_merge(f->rg, &f->super)) {
		fsck_found(f, FSCK_P_SUPER_BOTH, "0x%" PRIx64 " and 0x%" PRIx64,
			   f->super.copy_addr[0], f->super.copy_addr[1]);
		return 0;
	}
	if (err == -KA_ERR_SUPER_RO_FEATURE)
		ka_msg(f->sink, KA_MSG_ERROR,
		       "'%s' has features that this program does not know; use a newer one",
		       f->path);
	return ka_super_read(f->rg, f->sink, rep, &f->super); /* says why */
}

/*
 * One update is between the copies: it was cut off there, and the newer one is what
 * counts; the next update evens it out. Further apart, one was not written for long.
 */
static void compare_copies(struct fsck *f, const struct ka_super_report *rep)
{
	uint64_t low = ka_min(rep->copy_seq[0], rep->copy_seq[1]);
	uint64_t high = ka_max(rep->copy_seq[0], rep->copy_seq[1]);

	if (low == high)
		return;
	if (high - low > 1) {
		fsck_found(f, FSCK_P_SUPER_STALE, "%" PRIu64 " and %" PRIu64, rep->copy_seq[0],
			   rep->copy_seq[1]);
		return;
	}
	fsck_say(f, "an update of the superblock was cut off between its copies");
	f->store = f->mode != FSCK_NO;
}

int fsck_pass_super(struct fsck *f)
{
	struct ka_super *sb = &f->super;
	struct ka_super_report rep;
	int err, i;
	bool both;

	err = read_super(f, &rep);
	if (err)
		return err;
	both = f->found;
	for (i = 0; i < KA_SUPER_COPIES && !both; i++)
		if (rep.copy_err[i])
			fsck_found(f, FSCK_P_SUPER_COPY, "copy %d at 0x%" PRIx64 ": %s", i,
				   sb->copy_addr[i], ka_strerror(rep.copy_err[i]));
	if (!rep.copy_err[0] && !rep.copy_err[1])
		compare_copies(f, &rep);
	f->has_older = sb->ckpt[1].addr;
	if (sb->flags & KA_SUPER_DAMAGED)
		f->force = true; /* somebody saw damage: look at everything */
	return 0;
}

static bool is_damage(int err)
{
	return err <= -KA_ERR_BASE;
}

/* The older checkpoint is a spare: loading has looked whether it could be used. */
static void check_spare(struct fsck *f)
{
	uint64_t chunks = f->fs->super.ckpt[1].chunks;

	if (f->fs->spare_err)
		fsck_found(f, FSCK_P_CKPT_OLDER, "chunk %" PRIu64 " of %" PRIu64 ": %s",
			   ka_min(f->fs->ckpt[1].chunks + 1, chunks), chunks,
			   ka_strerror(f->fs->spare_err));
}

static const struct ka_fs_opts *load_opts(const struct fsck *f, struct ka_fs_opts *ret)
{
	*ret = (struct ka_fs_opts){
		.verify = KA_VERIFY_ALWAYS,
		.thorough = true,
		.super = &f->super,
		.sink = f->sink,
	};
	return ret;
}

/* Everything that is left of checkpoints and log, whatever it is. */
static int salvage(struct fsck *f)
{
	struct ka_recovery was = f->recovery;
	struct ka_fs_opts opts;
	int err;

	ka_fs_abandon(f->fs);
	f->fs = NULL;
	err = ka_fs_load(f->rg, load_opts(f, &opts), KA_LOAD_SALVAGE, &f->recovery, &f->fs);
	if (err)
		return err;
	f->recovery.torn = was.torn;
	f->recovery.lost = was.lost;
	f->force = true; /* nothing about it is sure */
	fsck_say(f,
		 "rebuilt from %" PRIu64 " chunks of checkpoints and %" PRIu64
		 " records of the log; files that were deleted may be back",
		 f->fs->salvage.chunks, f->fs->salvage.records);
	if (!f->fs->salvage.chunks && !f->fs->salvage.records)
		ka_msg(f->sink, KA_MSG_WARNING, "nothing of the files in '%s' is left%s", f->path,
		       f->mode == FSCK_NO ? "" : "; an empty filesystem is made");
	return 0;
}

/* What is not to be repaired is only reported: nothing may be stored over it. */
static void found_risky(struct fsck *f, bool fix)
{
	if (!fix)
		f->mode = FSCK_NO;
}

static int load_checkpoint(struct fsck *f)
{
	struct ka_fs_opts opts;
	int err, err2;

	err = ka_fs_load(f->rg, load_opts(f, &opts), 0, &f->recovery, &f->fs);
	if (!err)
		check_spare(f);
	if (!is_damage(err) || err == -KA_ERR_WIPED)
		return err;
	err2 = ka_fs_load(f->rg, &opts, 1, &f->recovery, &f->fs);
	if (!err2) {
		found_risky(f, fsck_found(f, FSCK_P_CKPT_NEWEST, "%s", ka_strerror(err)));
		return 0;
	}
	if (!is_damage(err2))
		return err2;
	found_risky(f, fsck_found(f, FSCK_P_CKPT_BOTH, "%s; older one: %s", ka_strerror(err),
				  f->has_older ? ka_strerror(err2) : "there is none"));
	return salvage(f);
}

int fsck_pass_load(struct fsck *f)
{
	int err;

	err = load_checkpoint(f);
	if (err)
		return err;
	if (f->fs->wrong_links)
		fsck_found(f, FSCK_P_NLINK, "%" PRIu64 " of them", f->fs->wrong_links);
	if (f->recovery.done && !f->fs->salvage.records)
		fsck_say(f,
			 "recovering from an unclean shutdown: %" PRIu64
			 " records replayed, %" PRIu64 " torn, %" PRIu64 " orphans dropped",
			 f->recovery.records, f->recovery.torn, f->recovery.orphans);
	if (f->recovery.done && f->mode != FSCK_NO)
		f->store = true;
	if (!f->recovery.lost)
		return 0;
	/* A checkpoint would make the loss final; what hangs on it can be kept. */
	found_risky(f, fsck_found(f, FSCK_P_LOG_LOST, "%" PRIu64 " of them", f->recovery.lost));
	return salvage(f);
}

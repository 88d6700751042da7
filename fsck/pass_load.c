/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pass_load.c - superblock and checkpoints: from bytes to a filesystem in memory. */
#include <inttypes.h>

#include "checkpoint.h"
#include "fsck.h"
#include "keepalive/err.h"
#include "keepalive/super.h"

int fsck_pass_super(struct fsck *f)
{
	struct ka_super_report rep;
	struct ka_super sb;
	int err, i;

	err = ka_super_read(f->rg, f->sink, &rep, &sb);
	if (err)
		return err;
	for (i = 0; i < KA_SUPER_COPIES; i++)
		if (rep.copy_err[i])
			fsck_found(f, FSCK_P_SUPER_COPY, "copy %d at 0x%" PRIx64 ": %s", i,
				   sb.copy_addr[i], ka_strerror(rep.copy_err[i]));
	/* What a cut between the two leaves; the next update evens it out. */
	if (!rep.copy_err[0] && !rep.copy_err[1] && rep.copy_seq[0] != rep.copy_seq[1])
		fsck_found(f, FSCK_P_SUPER_STALE, "%" PRIu64 " and %" PRIu64, rep.copy_seq[0],
			   rep.copy_seq[1]);
	if (sb.flags & KA_SUPER_DAMAGED)
		f->force = true; /* somebody saw damage: look at everything */
	return 0;
}

static bool is_damage(int err)
{
	return err <= -KA_ERR_BASE;
}

/* The older checkpoint is a spare: look whether it could be used. */
static void check_spare(struct fsck *f)
{
	const struct ka_ckpt_ptr *ptr = &f->fs->super.ckpt[1];
	struct ka_ckpt_walk walk;
	const uint8_t *data;
	uint64_t i, segment, total = 0;
	size_t bytes;
	int err = 0;

	if (!ptr->addr)
		return;
	ka_ckpt_walk_start(&walk, f->rg, &f->fs->super, ptr);
	for (i = 0; !err && i < ptr->chunks; i++) {
		err = ka_ckpt_walk_next(&walk, &data, &bytes, &segment);
		total += err ? 0 : bytes;
	}
	if (!err && total != ptr->bytes)
		err = -KA_ERR_CKPT_CHAIN;
	if (err)
		fsck_found(f, FSCK_P_CKPT_OLDER, "chunk %" PRIu64 " of %" PRIu64 ": %s", i,
			   ptr->chunks, ka_strerror(err));
}

int fsck_pass_load(struct fsck *f)
{
	struct ka_fs_opts opts = {.verify = KA_VERIFY_ALWAYS, .sink = f->sink};
	int err, err2;

	err = ka_fs_load(f->rg, &opts, 0, &f->recovery, &f->fs);
	if (err == -KA_ERR_WIPED)
		return err;
	if (is_damage(err)) {
		err2 = ka_fs_load(f->rg, &opts, 1, &f->recovery, &f->fs);
		if (err2) {
			fsck_found(f, FSCK_P_CKPT_BOTH, "%s; older one: %s", ka_strerror(err),
				   ka_strerror(err2));
			return err;
		}
		if (!fsck_found(f, FSCK_P_CKPT_NEWEST, "%s", ka_strerror(err)))
			f->mode = FSCK_NO; /* nothing may be stored over the damage */
	} else if (err) {
		return err;
	} else {
		check_spare(f);
	}
	if (f->fs->wrong_links)
		fsck_found(f, FSCK_P_NLINK, "%" PRIu64 " of them", f->fs->wrong_links);
	if (!f->recovery.done)
		return 0;
	fsck_say(f,
		 "recovering from an unclean shutdown: %" PRIu64 " records replayed, %" PRIu64
		 " torn, %" PRIu64 " orphans dropped",
		 f->recovery.records, f->recovery.torn, f->recovery.orphans);
	if (f->mode != FSCK_NO)
		f->store = true;
	if (f->recovery.lost &&
	    !fsck_found(f, FSCK_P_LOG_LOST, "%" PRIu64 " of them", f->recovery.lost))
		f->mode = FSCK_NO; /* a checkpoint would make the loss final */
	return 0;
}

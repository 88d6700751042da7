/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.c - the order of the passes, what is stored in the end, exit status. */
#include <inttypes.h>
#include <json-c/json.h>

#include "checkpoint.h"
#include "fsck.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

volatile sig_atomic_t fsck_cancelled;

/* Their numbers, from 1, are those of progress; fsck.keepalivefs(8) has the table too. */
static const struct {
	const char *name;
	int (*run)(struct fsck *f);
	bool always; /* also on a clean filesystem without -f */
} passes[] = {
	[PASS_SUPER] = {"superblock", fsck_pass_super, true},
	[PASS_LOAD] = {"checkpoints and log", fsck_pass_load, true},
	[PASS_LOG] = {"segments", fsck_pass_log, false},
	[PASS_DATA] = {"data", fsck_pass_data, false},
	[PASS_TREE] = {"names", fsck_pass_tree, false},
	[PASS_USAGE] = {"accounting", fsck_pass_usage, false},
};

static bool is_clean(const struct fsck *f)
{
	return !f->recovery.done && !f->found && !f->force;
}

void fsck_progress(struct fsck *f, enum fsck_pass pass, uint64_t at, uint64_t of)
{
	if (f->progress)
		f->progress(f, pass, at, of);
}

static int run_passes(struct fsck *f)
{
	enum fsck_pass i;
	int err = 0;

	for (i = PASS_SUPER; !err && !fsck_cancelled && i <= PASS_USAGE; i++) {
		if (!passes[i].always && is_clean(f))
			break;
		if (f->verbose)
			fsck_say(f, "pass %d: checking %s", (int)i, passes[i].name);
		fsck_progress(f, i, 0, 1);
		err = passes[i].run(f);
		if (!err)
			fsck_progress(f, i, 1, 1);
	}
	return err;
}

/*
 * Where there is no room beside everything that is there, what the newest checkpoint
 * does not need goes: the older one; or, when there is none, records that a rebuild
 * has read. If the machine dies then, another run has less to work with.
 */
static int store_checkpoint(struct fsck *f)
{
	struct ka_fs *fs = f->fs;
	const struct ka_ckpt_ptr *ckpt = fs->super.ckpt;
	bool rebuilt = !ckpt[0].addr;
	int err;

	ka_segs_covered(&fs->segs, ckpt[1].addr ? ckpt[1].seq : ckpt[0].seq);
	err = ka_fs_store(fs, KA_STATE_CLEAN);
	if (err != -ENOSPC)
		return err;
	ka_ckpt_segments_free(fs, &fs->ckpt[1]);
	fs->super.ckpt[1] = (struct ka_ckpt_ptr){0};
	ka_segs_covered(&fs->segs, rebuilt ? atomic_load(&fs->log.seq) : ckpt[0].seq);
	return ka_fs_store(fs, KA_STATE_CLEAN);
}

/* What was repaired in memory only does not count. */
static void forget_repairs(struct fsck *f)
{
	json_object *list;
	size_t i;

	f->fixed = 0;
	if (!f->report || !json_object_object_get_ex(f->report, "problems", &list))
		return;
	for (i = 0; i < json_object_array_length(list); i++)
		json_object_object_add(json_object_array_get_idx(list, i), "fixed",
				       json_object_new_boolean(false));
}

/* What was repaired is stored, and that some damage was left with it. */
static int store(struct fsck *f, bool *ret_stored)
{
	struct ka_super *sb = &f->fs->super;
	bool left = f->found > f->fixed;
	int err;

	if (!left && (sb->flags & KA_SUPER_DAMAGED))
		fsck_found(f, FSCK_P_FLAGGED, "in the superblock");
	if (!f->store || f->mode == FSCK_NO || fsck_cancelled)
		return 0;
	if (left)
		sb->flags |= KA_SUPER_DAMAGED;
	else
		sb->flags &= ~KA_SUPER_DAMAGED;
	sb->clean_ns = ka_now_ns();
	err = store_checkpoint(f) ?: ka_region_sync(f->rg);
	*ret_stored = !err;
	if (err)
		ka_msg(f->sink, KA_MSG_ERROR, "cannot store what was repaired in '%s': %s", f->path,
		       ka_strerror(err));
	return err;
}

static void summarize(struct fsck *f)
{
	const struct ka_index *ix = &f->fs->index;
	char size[16];

	fsck_say(f, "%s%" PRIu64 " files, %" PRIu64 " extents%s%s", is_clean(f) ? "clean, " : "",
		 (uint64_t)ix->inodes.count, (uint64_t)atomic_load(&ix->extents.count),
		 f->checked_bytes ? ", checked data: " : "",
		 f->checked_bytes ? ka_format_size(size, f->checked_bytes) : "");
	if (f->found)
		fsck_say(f, "%" PRIu64 " problems found, %" PRIu64 " repaired", f->found, f->fixed);
	if (!f->report)
		return;
	json_object_object_add(f->report, "files", json_object_new_uint64(ix->inodes.count));
	json_object_object_add(f->report, "checked_bytes",
			       json_object_new_uint64(f->checked_bytes));
	json_object_object_add(f->report, "recovered_records",
			       json_object_new_uint64(f->recovery.records));
	json_object_object_add(f->report, "torn_records", json_object_new_uint64(f->recovery.torn));
	json_object_object_add(f->report, "lost_records", json_object_new_uint64(f->recovery.lost));
	json_object_object_add(
		f->report, "rebuilt",
		json_object_new_boolean(f->fs->salvage.records || f->fs->salvage.chunks));
}

static int exit_status(const struct fsck *f, bool stored)
{
	int status = 0;

	if (fsck_cancelled)
		status |= FSCK_CANCELLED;
	if (stored)
		status |= FSCK_CORRECTED;
	if (f->found > (stored ? f->fixed : 0))
		status |= FSCK_ERRORS_LEFT;
	return status;
}

static int check(struct fsck *f, bool *ret_stored)
{
	int err;

	err = run_passes(f);
	if (err || !f->fs) {
		forget_repairs(f);
		if (err && err > -KA_ERR_BASE) /* of other errors the core has said why */
			ka_msg(f->sink, KA_MSG_ERROR, "cannot check '%s': %s", f->path,
			       ka_strerror(err));
		return err;
	}
	err = store(f, ret_stored);
	if (!*ret_stored)
		forget_repairs(f);
	if (!fsck_cancelled)
		summarize(f);
	return err;
}

int fsck_check(struct fsck *f)
{
	bool stored = false;
	int err;

	err = check(f, &stored);
	fsck_clear_bar(f);
	fsck_forget_paths(f);
	ka_fs_abandon(f->fs);
	f->fs = NULL;
	if (!err)
		return exit_status(f, stored);
	if (err == -KA_ERR_WIPED)
		return fsck_wiped(f);
	return f->found ? FSCK_ERRORS_LEFT : FSCK_COULD_NOT_RUN;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.c - the order of the passes, what is stored in the end, exit status. */
#include <inttypes.h>
#include <json-c/json.h>

#include "fsck.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

volatile sig_atomic_t fsck_cancelled;

static const struct {
	const char *name;
	int (*run)(struct fsck *f);
	bool always; /* also on a clean filesystem without -f */
} passes[] = {
	{"superblock", fsck_pass_super, true}, {"checkpoint and log", fsck_pass_load, true},
	{"segments", fsck_pass_log, false},    {"data", fsck_pass_data, false},
	{"names", fsck_pass_tree, false},      {"accounting", fsck_pass_usage, false},
};

static bool is_clean(const struct fsck *f)
{
	return !f->recovery.done && !f->found && !f->force;
}

static int run_passes(struct fsck *f)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && !fsck_cancelled && i < KA_ARRAY_SIZE(passes); i++) {
		if (!passes[i].always && is_clean(f))
			break;
		if (f->verbose && !passes[i].always)
			fsck_say(f, "checking %s", passes[i].name);
		err = passes[i].run(f);
	}
	return err;
}

/* Whether what was repaired may be stored: not over damage that was left. */
static int store(struct fsck *f)
{
	struct ka_super *sb = &f->fs->super;
	bool left = f->found > f->fixed;

	if (!left && (sb->flags & KA_SUPER_DAMAGED))
		fsck_found(f, FSCK_P_FLAGGED, "in the superblock");
	if (!f->store || f->mode == FSCK_NO || fsck_cancelled)
		return 0;
	if (left)
		sb->flags |= KA_SUPER_DAMAGED;
	else
		sb->flags &= ~KA_SUPER_DAMAGED;
	sb->clean_ns = ka_now_ns();
	return ka_fs_store(f->fs, KA_STATE_CLEAN) ?: ka_region_sync(f->rg);
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
	if (err || !f->fs)
		return err;
	err = store(f);
	*ret_stored = !err && f->store && f->mode != FSCK_NO && !fsck_cancelled;
	if (!fsck_cancelled)
		summarize(f);
	return err;
}

int fsck_check(struct fsck *f)
{
	bool stored = false;
	int err;

	err = check(f, &stored);
	ka_fs_abandon(f->fs);
	f->fs = NULL;
	if (!err)
		return exit_status(f, stored);
	if (err == -KA_ERR_WIPED)
		return fsck_wiped(f);
	if (f->found) /* damage that cannot be repaired */
		return FSCK_ERRORS_LEFT;
	if (err <= -KA_ERR_BASE) /* the core has said why */
		return FSCK_COULD_NOT_RUN;
	ka_msg(f->sink, KA_MSG_ERROR, "cannot check '%s': %s", f->path, ka_strerror(err));
	return FSCK_COULD_NOT_RUN;
}

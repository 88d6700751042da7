/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pass_wiped.c - memory that was wiped: there is nothing to check.
 *
 * Nobody gets an empty filesystem for the one that is lost without having asked
 * for it, and not over bytes that might still be of use to somebody: only where
 * every single one is of a pattern.
 */
#include <string.h>
#include <uuid/uuid.h>

#include "fsck.h"
#include "keepalive/err.h"
#include "keepalive/wiped.h"

/* What a superblock that still stands says stays: who mounts by it finds it. */
static void keep_identity(const struct fsck *f, struct ka_format_opts *ret)
{
	struct ka_super sb;

	*ret = (struct ka_format_opts){.root_uid = getuid(), .root_gid = getgid()};
	if (ka_super_read(f->rg, NULL, NULL, &sb)) {
		uuid_generate(ret->uuid);
		ret->capacity_bytes = ka_region_info(f->rg)->capacity_bytes;
		return;
	}
	memcpy(ret->uuid, sb.uuid, sizeof(ret->uuid));
	memcpy(ret->label, sb.label, sizeof(ret->label));
	ret->capacity_bytes = sb.capacity_bytes;
	ret->slice_bytes = sb.slice_bytes;
}

static bool is_pattern(const struct fsck *f)
{
	struct ka_wiped w;
	struct ka_super sb;
	bool stands = !ka_super_read(f->rg, NULL, NULL, &sb);

	return !ka_wiped_look(f->rg, stands ? sb.segment_bytes : 0,
			      stands ? sb.owned_bytes : ka_region_info(f->rg)->capacity_bytes, true,
			      &w) &&
	       w.kind == KA_WIPED_PATTERN;
}

static int make_empty(struct fsck *f)
{
	struct ka_format_opts opts;
	int err;

	keep_identity(f, &opts);
	err = ka_fs_format(f->rg, &opts, f->sink);
	if (err) {
		ka_msg(f->sink, KA_MSG_ERROR, "cannot make a filesystem in '%s': %s", f->path,
		       ka_strerror(err));
		return FSCK_ERRORS_LEFT | FSCK_COULD_NOT_RUN;
	}
	ka_msg(f->sink, KA_MSG_WARNING,
	       "'%s' is an empty filesystem now; all that was in the old one is lost", f->path);
	return FSCK_CORRECTED;
}

int fsck_wiped(struct fsck *f)
{
	enum fsck_mode mode = f->mode;
	bool may = (mode == FSCK_YES || mode == FSCK_ASK) && is_pattern(f);

	if (!may)
		f->mode = FSCK_NO;
	if (fsck_found(f, FSCK_P_WIPED, "there is nothing to repair"))
		return make_empty(f);
	if (mode == FSCK_YES && !may)
		ka_msg(f->sink, KA_MSG_ERROR,
		       "cannot tell whether what is in '%s' is of use to somebody; "
		       "'mkfs.keepalivefs -f' makes a new filesystem whatever it is",
		       f->path);
	return FSCK_ERRORS_LEFT | FSCK_COULD_NOT_RUN;
}

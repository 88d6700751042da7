/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_ioctl.c - what keepalivectl and mount.keepalivefs ask for; see ioctl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuse_ops.h"
#include "keepalive/clean.h"
#include "keepalive/err.h"
#include "keepalive/ioctl.h"
#include "keepalive/lend.h"
#include "keepalive/scrub.h"
#include "keepalive/util.h"
#include "server.h"

/* More would keep others waiting: a step holds the lock of a file. */
#define SCRUB_BUDGET_MAX (16ull << 20)

static void reply_status(fuse_req_t req)
{
	struct server *sv = server_of(req);
	struct ka_fs_status status;
	struct ka_super_disk super;
	struct ka_ioc_status ioc;

	ka_fs_get_status(sv->fs, &status);
	ioc = (struct ka_ioc_status){
		.version = 1,
		.rdonly = status.rdonly,
		.damaged = status.damaged,
		.used_bytes = status.used_bytes,
		.free_bytes = status.free_bytes,
		.avail_bytes = status.avail_bytes,
		.growth_bytes = status.growth_bytes,
		.files = status.files,
		.extents = status.extents,
		.log_bytes = status.log_bytes,
		.log_records = status.log_records,
		.io_errors = atomic_load(&sv->io_errors),
		.bad_bytes = status.bad_bytes,
		.cleaned_segments = status.cleaned_segments,
		.moved_bytes = status.moved_bytes,
		.unlisted = status.unlisted,
	};
	if (status.reclaim_err)
		ram_reason(sv, ioc.stays);
	if (status.reclaim_err && !ioc.stays[0])
		snprintf(ioc.stays, sizeof(ioc.stays), "%s", ka_strerror(status.reclaim_err));
	strncpy(ioc.region_path, sv->region_name, sizeof(ioc.region_path) - 1);
	ka_super_encode(&status.super, 0, &super);
	memcpy(ioc.super, &super, sizeof(ioc.super));
	fuse_reply_ioctl(req, 0, &ioc, sizeof(ioc));
}

static void set_atime(fuse_req_t req, const struct ka_ioc_atime *in)
{
	if (in->mask & KA_IOC_NOATIME)
		ka_fs_set_noatime(server_of(req)->fs, in->flags & KA_IOC_NOATIME);
	if (in->mask & KA_IOC_NODIRATIME)
		ka_fs_set_nodiratime(server_of(req)->fs, in->flags & KA_IOC_NODIRATIME);
	fuse_reply_ioctl(req, 0, NULL, 0);
}

static void fill_damage(struct ka_fs *fs, const struct ka_damage *d, struct ka_ioc_damage *ret)
{
	KA_AUTO_FREE char *path = NULL;

	if (!d->what && ka_path_of(fs, d->ino, &path))
		path = NULL;
	ret->ino = d->ino;
	ret->off = d->off;
	ret->len = d->len;
	snprintf(ret->reason, sizeof(ret->reason), "%s", ka_strerror(d->err));
	snprintf(ret->path, sizeof(ret->path), "%s", d->what ?: path ?: "");
}

static void get_damage(fuse_req_t req, const struct ka_ioc_damage *in)
{
	struct ka_fs *fs = server_of(req)->fs;
	struct ka_ioc_damage out = {.index = in->index};
	struct ka_damage d;
	int err = ka_fs_get_damage(fs, in->index, &d);

	if (err) {
		reply_code(req, err);
		return;
	}
	fill_damage(fs, &d, &out);
	fuse_reply_ioctl(req, 0, &out, sizeof(out));
}

static void scrub(fuse_req_t req, const struct ka_ioc_scrub *in)
{
	struct ka_fs *fs = server_of(req)->fs;
	struct ka_scrub s = {.ino = in->ino, .off = in->off};
	struct ka_ioc_scrub out = {.budget = in->budget};
	int err = ka_scrub_step(fs, &s, ka_min(in->budget, SCRUB_BUDGET_MAX));

	if (err) {
		reply_code(req, err);
		return;
	}
	out.ino = s.ino;
	out.off = s.off;
	out.bytes = s.bytes;
	out.files = s.files;
	out.total = ka_scrub_total(fs);
	out.finished = s.finished;
	out.is_damaged = s.is_damaged;
	if (s.is_damaged)
		fill_damage(fs, &s.damage, &out.damage);
	fuse_reply_ioctl(req, 0, &out, sizeof(out));
}

static void clean(fuse_req_t req, const struct ka_ioc_clean *in)
{
	struct ka_fs *fs = server_of(req)->fs;
	struct ka_clean_all all = {.ino = in->ino, .emptied = in->emptied};
	int err = ka_clean_all_step(fs, &all);
	struct ka_ioc_clean out = {
		.ino = all.ino,
		.emptied = all.emptied,
		.finished = all.finished,
		.moved_bytes = all.stats.moved_bytes,
		.segments = all.stats.segments,
		.stuck = all.stats.stuck,
		.gain_bytes = ka_clean_gain(fs),
	};

	if (err)
		reply_code(req, err);
	else
		fuse_reply_ioctl(req, 0, &out, sizeof(out));
}

static void lend(fuse_req_t req, const struct ka_ioc_lend *in)
{
	struct ka_fs *fs = server_of(req)->fs;
	struct ka_lend_stats stats = {0};
	struct ka_fs_status status;
	struct ka_ioc_lend out = {.flags = in->flags, .keep_bytes = in->keep_bytes};
	struct ka_lend_plan plan;

	if (in->flags & ~KA_IOC_LEND_PLAN) {
		reply_code(req, -EINVAL);
		return;
	}
	if (!in->flags && ka_fs_is_rdonly(fs)) {
		reply_code(req, -EROFS);
		return;
	}
	if (!ka_region_can_release(server_of(req)->rg)) {
		reply_code(req, -EOPNOTSUPP);
		return;
	}
	ka_lend_plan(fs, in->keep_bytes, &plan);
	ka_fs_get_status(fs, &status);
	out.finished = plan.owned_bytes >= status.super.owned_bytes;
	if (!out.finished && !(in->flags & KA_IOC_LEND_PLAN))
		out.error = ka_lend_slice(fs, &stats);
	ka_fs_get_status(fs, &status);
	out.slice_bytes = status.super.slice_bytes;
	out.capacity_bytes = status.super.capacity_bytes;
	out.owned_bytes = status.super.owned_bytes;
	out.plan_bytes = ka_min(plan.owned_bytes, out.owned_bytes);
	out.move_bytes = plan.move_bytes;
	out.move_ns = plan.move_ns;
	out.moved_bytes = stats.moved_bytes;
	out.slice = ka_super_slice_of(&status.super, status.super.owned_bytes - 1);
	fuse_reply_ioctl(req, 0, &out, sizeof(out));
}

static void reclaim(fuse_req_t req)
{
	struct ka_fs *fs = server_of(req)->fs;
	struct ka_lend_stats stats = {0};
	struct ka_ioc_reclaim out = {.error = ka_reclaim_slice(fs, &stats)};
	struct ka_fs_status status;

	ka_fs_get_status(fs, &status);
	out.slice_bytes = status.super.slice_bytes;
	out.capacity_bytes = status.super.capacity_bytes;
	out.owned_bytes = status.super.owned_bytes;
	out.slice = ka_super_slice_of(&status.super, out.owned_bytes);
	fuse_reply_ioctl(req, 0, &out, sizeof(out));
}

static void get_segments(fuse_req_t req, const struct ka_ioc_segments *in)
{
	struct ka_ioc_segments out = {.first = in->first};

	out.count = (uint32_t)ka_seginfo_get(server_of(req)->fs, in->first, KA_IOC_SEGMENTS_MAX,
					     out.segment, &out.seq);
	fuse_reply_ioctl(req, 0, &out, sizeof(out));
}

static void damage_place(fuse_req_t req, const struct ka_damage_place *in)
{
	struct ka_damage_place place = *in;
	int err = ka_damage_place_next(server_of(req)->fs, &place);

	if (err)
		reply_code(req, err);
	else
		fuse_reply_ioctl(req, 0, &place, sizeof(place));
}

static void set_seal(fuse_req_t req, const struct ka_ioc_seal *in)
{
	struct server *sv = server_of(req);

	if (in->on > 1 || in->rsv)
		reply_code(req, -EINVAL);
	else if (in->on)
		mixed_seal(&sv->mixed, req);
	else
		reply_ioctl(req, ka_fs_unseal(sv->fs));
}

/* Root and whoever runs the daemon. */
static bool is_master(fuse_req_t req)
{
	uid_t uid = fuse_req_ctx(req)->uid;

	return !uid || uid == geteuid();
}

/* What the number of a request says of its argument. */
static size_t in_size(unsigned cmd)
{
	return _IOC_DIR(cmd) & _IOC_WRITE ? _IOC_SIZE(cmd) : 0;
}

static size_t out_size(unsigned cmd)
{
	return _IOC_DIR(cmd) & _IOC_READ ? _IOC_SIZE(cmd) : 0;
}

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_bytes, size_t out_bytes)
{
	(void)arg;
	(void)fi;
	if (ino != FUSE_ROOT_ID || !(flags & FUSE_IOCTL_DIR) || in_bytes < in_size(cmd) ||
	    out_bytes < out_size(cmd))
		fuse_reply_err(req, ENOTTY);
	else if (cmd == KA_IOC_STATUS)
		reply_status(req);
	else if (cmd == KA_IOC_GET_SEGMENTS)
		get_segments(req, in);
	else if (!is_master(req)) /* paths are not for everybody either */
		fuse_reply_err(req, EPERM);
	else if (cmd == KA_IOC_GET_DAMAGE)
		get_damage(req, in);
	else if (cmd == KA_IOC_SET_ATIME)
		set_atime(req, in);
	else if (cmd == KA_IOC_SEAL)
		set_seal(req, in);
	else if (cmd == KA_IOC_SCRUB)
		scrub(req, in);
	else if (cmd == KA_IOC_CLEAN)
		clean(req, in);
	else if (cmd == KA_IOC_LEND)
		lend(req, in);
	else if (cmd == KA_IOC_RECLAIM)
		reclaim(req);
	else if (cmd == KA_IOC_DAMAGE_PLACE)
		damage_place(req, in);
	else
		fuse_reply_err(req, ENOTTY);
}

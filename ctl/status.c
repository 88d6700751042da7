/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status.c - keepalivectl status: identity, sizes, use, state and history of a
 * filesystem, from its daemon where there is one, else from its region.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <uuid/uuid.h>

#include "config.h"
#include "ctl.h"
#include "emit.h"
#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/fs.h"
#include "keepalive/util.h"
#include "keepalive/wiped.h"
#include "mounts.h"
#include "program.h"

/* How long a daemon on its way out is waited for. */
#define LEAVING_MS    10000
#define LEAVING_TRIES 1000

struct status {
	struct mount_status m; /* without a daemon: filled in from the region */
	const char *state;
	char *mount_point; /* NULL: none, or not known */
	char *path;	   /* of the region, absolute */
	bool has_figures;  /* used, free, files, ... are known */
	bool in_use;
	bool wiped; /* all or nothing but the superblock is gone */
};

/* ---- gathering ----------------------------------------------------------- */

static const char *state_name(const struct ka_super *sb, bool in_use)
{
	if (sb->state == KA_STATE_MOUNTED)
		return in_use ? "mounted" : "unclean";
	return ctl_state_name(sb->state);
}

static void from_daemon(struct status *st)
{
	st->state = st->m.super.state == KA_STATE_SEALED ? "sealed" : "mounted";
	st->has_figures = true;
	st->in_use = true;
}

static int ask_mount(const struct ctl_args *args, dev_t dev, struct status *st)
{
	int err = mount_ask(args->target, &st->m);

	if (err) {
		mount_explain(args->sink, args->target, err);
		return err;
	}
	from_daemon(st);
	st->mount_point = mount_point_of(dev);
	return 0;
}

/* Counts what is in a region that nobody uses: recovers it in memory. */
static void read_figures(const struct ctl_args *args, struct ka_region *rg, struct status *st)
{
	const struct ka_fs_opts opts = {.rdonly = true};
	struct ka_fs_status figures;
	struct ka_fs *fs;
	bool served;
	int err;

	err = ka_fs_open(rg, &opts, &fs);
	if (err == -KA_ERR_WIPED) {
		st->wiped = true;
		(void)ka_wiped_check_segments(rg, &st->m.super, args->sink); /* says it */
		return;
	}
	if (err) {
		ka_msg(args->sink, KA_MSG_WARNING,
		       "cannot count what '%s' holds: %s; run fsck.keepalivefs", args->target,
		       ka_strerror(err));
		st->m.ioc.damaged = ka_errno(err) == EIO;
		return;
	}
	ka_fs_get_status(fs, &figures);
	ka_fs_abandon(fs);
	/* A daemon that came meanwhile changed things under the count. */
	if (ka_region_has_others(rg, &served))
		return;
	st->m.ioc.damaged = figures.damaged;
	st->m.ioc.used_bytes = figures.used_bytes;
	st->m.ioc.free_bytes = figures.free_bytes;
	st->m.ioc.avail_bytes = figures.avail_bytes;
	st->m.ioc.files = figures.files;
	st->m.ioc.extents = figures.extents;
	st->m.ioc.bad_bytes = figures.bad_bytes;
	st->m.ioc.log_bytes = figures.log_bytes;
	st->m.ioc.log_records = figures.log_records;
	st->has_figures = true;
}

/* Whether somebody has the region, waiting for a daemon that is about to leave. */
static bool is_used(const struct ka_region *rg)
{
	const struct timespec pause = {.tv_nsec = LEAVING_MS * 1000000l / LEAVING_TRIES};
	bool served;
	int tries;

	for (tries = 0; tries < LEAVING_TRIES; tries++) {
		if (!ka_region_has_others(rg, &served))
			return false;
		if (served)
			return true;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* No superblock is there to say anything: what is known is how much memory there is. */
static void set_wiped(const struct ka_region *rg, struct status *st)
{
	memset(&st->m.super, 0, sizeof(st->m.super));
	st->m.super.capacity_bytes = ka_region_info(rg)->capacity_bytes;
	st->m.super.owned_bytes = st->m.super.capacity_bytes;
	st->wiped = true;
}

static int read_region(const struct ctl_args *args, struct status *st)
{
	struct ka_region *rg;
	int err;

	err = ka_dax_open(NULL, args->target, 0, NULL, args->sink, &rg);
	if (err)
		return err;
	st->path = ka_dax_name(rg);
	st->in_use = is_used(rg);
	err = ka_super_read(rg, args->sink, NULL, &st->m.super);
	if (err == -KA_ERR_SUPER_RO_FEATURE)
		err = 0;
	if (err == -KA_ERR_WIPED) {
		set_wiped(rg, st);
		err = 0;
	}
	if (!err && !st->in_use && !st->wiped)
		read_figures(args, rg, st);
	ka_region_close(rg);
	st->state = st->wiped ? "wiped" : state_name(&st->m.super, st->in_use);
	return err;
}

static int ask_region(const struct ctl_args *args, struct status *st)
{
	const char *path;
	int err;

	err = ka_program_check_region(args->sink, args->target);
	err = err ?: read_region(args, st);
	if (err)
		return err;
	path = st->path;
	if (st->in_use && path)
		st->mount_point = mount_find_region(path, &st->m);
	if (st->mount_point) {
		from_daemon(st);
		return 0;
	}
	snprintf(st->m.ioc.region_path, sizeof(st->m.ioc.region_path), "%s", path ?: args->target);
	return 0;
}

/* ---- showing ------------------------------------------------------------- */

static struct json_object *child(struct json_object *parent, const char *key)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(parent, key, obj);
	return obj;
}

static void emit_figure(struct emit *e, const struct status *st, const char *key, uint64_t v)
{
	if (st->has_figures)
		emit_u64(e, key, v);
	else
		emit_text(e, key, NULL);
}

/* Whether a slice was asked for in vain; the daemon says why. */
static bool stays_lent(const struct status *st)
{
	return st->m.ioc.stays[0] && st->m.super.owned_bytes < st->m.super.capacity_bytes;
}

static void json_region(struct json_object *root, const struct status *st)
{
	struct emit e = {.obj = child(root, "region")};
	const struct ka_ioc_status *ioc = &st->m.ioc;
	const struct ka_super *sb = &st->m.super;

	emit_bytes(&e, "path", st->m.ioc.region_path, strlen(st->m.ioc.region_path));
	emit_u64(&e, "capacity_bytes", sb->capacity_bytes);
	emit_u64(&e, "slice_bytes", sb->slice_bytes);
	emit_u64(&e, "slices", sb->slices);
	emit_u64(&e, "segment_bytes", sb->segment_bytes);
	emit_u64(&e, "segments", sb->segments);
	emit_u64(&e, "owned_bytes", sb->owned_bytes);
	emit_u64(&e, "lent_bytes", sb->capacity_bytes - sb->owned_bytes);
	emit_u64(&e, "phys_addr", sb->phys_addr);
	if (stays_lent(st)) {
		emit_u64(&e, "stuck_slice", ka_super_slice_of(sb, sb->owned_bytes));
		emit_bytes(&e, "stuck_reason", ioc->stays, strlen(ioc->stays));
	} else {
		emit_text(&e, "stuck_slice", NULL);
		emit_text(&e, "stuck_reason", NULL);
	}
}

static void json_fs(struct json_object *root, const struct status *st)
{
	const struct ka_ioc_status *ioc = &st->m.ioc;
	struct emit e = {.obj = child(root, "fs")};

	emit_figure(&e, st, "used_bytes", ioc->used_bytes);
	emit_figure(&e, st, "free_bytes", ioc->free_bytes);
	emit_figure(&e, st, "avail_bytes", ioc->avail_bytes);
	emit_figure(&e, st, "files", ioc->files);
	emit_figure(&e, st, "extents", ioc->extents);
	emit_u64(&e, "bad_bytes", ioc->bad_bytes);
	emit_bool(&e, "damaged", ioc->damaged || st->m.super.flags & KA_SUPER_DAMAGED);
	e.obj = child(root, "mount");
	if (st->mount_point)
		emit_bytes(&e, "point", st->mount_point, strlen(st->mount_point));
	else
		emit_text(&e, "point", NULL);
	emit_u64(&e, "count", st->m.super.mounts);
	emit_bool(&e, "read_only", ioc->rdonly);
	emit_u64(&e, "io_errors", ioc->io_errors);
	emit_u64(&e, "cleaned_segments", ioc->cleaned_segments);
	emit_u64(&e, "moved_bytes", ioc->moved_bytes);
}

/* Calls fn for what could not be read since the mount, in the order in which it was met. */
static void each_damage(const struct status *st,
			void (*fn)(void *ctx, const struct ka_ioc_damage *d), void *ctx)
{
	KA_AUTO_CLOSE int fd = -1;
	struct ka_ioc_damage d;
	uint64_t i;

	if (!st->mount_point)
		return;
	fd = open(st->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; fd >= 0; i++) {
		d.index = i;
		if (ioctl(fd, KA_IOC_GET_DAMAGE, &d))
			return; /* no more, or not for this user */
		d.path[sizeof(d.path) - 1] = 0;
		d.reason[sizeof(d.reason) - 1] = 0;
		fn(ctx, &d);
	}
}

static void add_damage(void *ctx, const struct ka_ioc_damage *d)
{
	json_object_array_add(ctx, emit_damage(d));
}

static void json_damage(struct json_object *root, const struct status *st)
{
	struct json_object *list = json_object_new_array();
	struct emit e = {.obj = root};

	each_damage(st, add_damage, list);
	json_object_object_add(root, "damage", list);
	emit_u64(&e, "damage_unlisted", st->m.ioc.unlisted);
}

static void show_damage(void *ctx, const struct ka_ioc_damage *d)
{
	(void)ctx;
	emit_damage_line(d);
}

static void json_history(struct json_object *root, const struct status *st)
{
	const struct ka_super *sb = &st->m.super;
	struct emit e = {.obj = child(root, "time")};

	emit_time(&e, "mkfs", sb->mkfs_ns);
	emit_time(&e, "last_mount", sb->mount_ns);
	emit_time(&e, "last_clean_shutdown", sb->clean_ns);
	emit_time(&e, "last_unclean_shutdown", sb->unclean_ns);
	e.obj = child(root, "last_recovery");
	emit_u64(&e, "recovered_records", sb->recovered);
	emit_u64(&e, "torn_records", sb->torn);
	emit_u64(&e, "lost_records", sb->lost);
	e.obj = child(root, "checkpoint");
	emit_u64(&e, "seq", sb->ckpt[0].seq);
	emit_u64(&e, "addr", sb->ckpt[0].addr);
	emit_u64(&e, "bytes", sb->ckpt[0].bytes);
	emit_figure(&e, st, "log_bytes_since", st->m.ioc.log_bytes);
	emit_figure(&e, st, "log_records_since", st->m.ioc.log_records);
}

static void print_json(const struct status *st)
{
	struct json_object *root = json_object_new_object();
	const struct ka_super *sb = &st->m.super;
	struct emit e = {.obj = root};

	emit_text(&e, "version", KEEPALIVE_VERSION);
	if (sb->disk_version) {
		emit_u64(&e, "format", sb->disk_version);
		emit_uuid(&e, "uuid", sb->uuid);
		emit_bytes(&e, "label", sb->label, strlen(sb->label));
	} else {
		emit_text(&e, "format", NULL);
		emit_text(&e, "uuid", NULL);
		emit_text(&e, "label", NULL);
	}
	emit_text(&e, "state", st->state);
	json_region(root, st);
	json_fs(root, st);
	json_history(root, st);
	json_damage(root, st);
	emit_print(root);
}

static void print_size(const char *what, uint64_t bytes)
{
	char size[16];

	printf("%-18s %10s  (%" PRIu64 " bytes)\n", what, ka_format_size(size, bytes), bytes);
}

static void print_text(const char *what, const char *text)
{
	printf("%-18s ", what);
	ka_program_print_bytes(stdout, text, strlen(text));
	putchar('\n');
}

static void print_time(const char *what, int64_t ns)
{
	char text[40];

	print_text(what, emit_local_time(text, ns));
}

static void print_identity(const struct status *st)
{
	const struct ka_super *sb = &st->m.super;
	bool damaged = st->m.ioc.damaged || sb->flags & KA_SUPER_DAMAGED;
	char uuid[UUID_STR_LEN];

	uuid_unparse_lower(sb->uuid, uuid);
	print_text("Region:", st->m.ioc.region_path);
	print_text("UUID:", uuid);
	print_text("Label:", sb->label[0] ? sb->label : "none");
	printf("%-18s %s%s%s\n", "State:", st->state, damaged ? ", damaged" : "",
	       st->m.ioc.rdonly ? ", read-only" : "");
	if (st->mount_point)
		print_text("Mounted on:", st->mount_point);
	printf("%-18s disk version %" PRIu32 ", %" PRIu64 " segments, %" PRIu32 " slices\n",
	       "Format:", sb->disk_version, sb->segments, sb->slices);
}

static void print_human(const struct status *st)
{
	const struct ka_super *sb = &st->m.super;

	if (!sb->disk_version) {
		print_text("Region:", st->m.ioc.region_path);
		print_text("State:", st->state);
		print_size("Capacity:", sb->capacity_bytes);
		return;
	}
	print_identity(st);
	print_size("Capacity:", sb->capacity_bytes);
	print_size("Owned:", sb->owned_bytes);
	print_size("Lent:", sb->capacity_bytes - sb->owned_bytes);
	if (stays_lent(st)) {
		printf("%-18s slice %" PRIu32 ": ",
		       "Stays lent:", ka_super_slice_of(sb, sb->owned_bytes));
		ka_program_print_bytes(stdout, st->m.ioc.stays, strlen(st->m.ioc.stays));
		putchar('\n');
	}
	if (st->has_figures) {
		print_size("Used:", st->m.ioc.used_bytes);
		print_size("Free:", st->m.ioc.free_bytes);
		print_size("Available:", st->m.ioc.avail_bytes);
		printf("%-18s %10" PRIu64 "\n", "Files:", st->m.ioc.files);
	} else {
		printf("%-18s not known\n", "Used and free:");
	}
	print_time("Made:", sb->mkfs_ns);
	print_time("Last mount:", sb->mount_ns);
	print_time("Last clean end:", sb->clean_ns);
	print_time("Last recovery:", sb->unclean_ns);
	if (sb->unclean_ns)
		printf("%-18s %" PRIu64 " records recovered, %" PRIu64 " torn, %" PRIu64 " lost\n",
		       "", sb->recovered, sb->torn, sb->lost);
	printf("%-18s %" PRIu64 "\n", "Mounts:", sb->mounts);
	if (st->m.ioc.moved_bytes)
		print_size("Moved to clean:", st->m.ioc.moved_bytes);
	if (st->m.ioc.io_errors)
		printf("%-18s %" PRIu64 "\n", "Failed reads:", st->m.ioc.io_errors);
	if (st->m.ioc.bad_bytes)
		print_size("Bad memory:", st->m.ioc.bad_bytes);
	each_damage(st, show_damage, NULL);
	if (st->m.ioc.unlisted)
		printf("and more damage, met %" PRIu64 " times\n", st->m.ioc.unlisted);
}

static int run_status(const struct ctl_args *args)
{
	struct status *st = calloc(1, sizeof(*st));
	struct stat target;
	int err;

	if (!st)
		return CTL_FAILED;
	err = stat(args->target, &target) ? -errno : 0;
	if (!err && S_ISDIR(target.st_mode))
		err = ask_mount(args, target.st_dev, st);
	else if (mount_is_dead(err))
		mount_explain(args->sink, args->target, err);
	else
		err = ask_region(args, st);
	if (!err && args->json)
		print_json(st);
	else if (!err)
		print_human(st);
	free(st->mount_point);
	free(st->path);
	free(st);
	return err ? CTL_FAILED : CTL_OK;
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_status = {
	.name = "status",
	.operand = "TARGET",
	.help = "Usage: " CTL_NAME " status [--json] TARGET\n"
		"Show the identity, sizes, use, state and history of a filesystem.\n"
		"TARGET is where it is mounted, or its region. Nothing is changed.\n"
		"\n"
		"  -j, --json     print one JSON object\n"
		"  -h, --help     print this help\n"
		"  -V, --version  print the version\n",
	.short_options = ":jhV",
	.long_options = long_options,
	.run = run_status,
};

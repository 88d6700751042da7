/* SPDX-License-Identifier: GPL-2.0-or-later */
/* salvage.c - reads what can be read; see salvage.h. */
#include "salvage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "emit.h"
#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/salvage.h"
#include "keepalive/util.h"
#include "program.h"
#include "walk.h"

bool salvage_is_damage(int err)
{
	return err <= -KA_ERR_BASE && ka_errno(err) == EIO;
}

/* To have to take the older checkpoint is no loss, where all of the log was there. */
static bool is_damaged(const struct salvage *s, const struct ka_fs_status *status)
{
	if (s->older && !status->super.lost && !(status->super.flags & KA_SUPER_DAMAGED))
		return false;
	return status->damaged;
}

/* Names whose files are gone; what is not sure in files is listed with them. */
static void list_lost(struct salvage *s, const struct ka_salvage_lost *lost)
{
	KA_AUTO_FREE char *dir = NULL, *path = NULL;

	if (ka_path_of(s->fs, lost->dir, &dir))
		dir = NULL;
	if (asprintf(&path, "%s/%s", dir && dir[1] ? dir : "", lost->name) < 0)
		path = NULL;
	salvage_problem(s, path ?: lost->name, "the file is lost, inode %" PRIu64, lost->ino);
}

static void list_remains(struct salvage *s, const struct ka_salvage_stats *st)
{
	const struct ka_salvage_lost *lost;

	salvage_problem(s, NULL,
			"no checkpoint can be read: rebuilt from %" PRIu64
			" chunks of checkpoints and %" PRIu64
			" records of the log; files may be missing, and deleted ones be back",
			st->chunks, st->records);
	for (lost = st->lost; lost; lost = lost->next)
		list_lost(s, lost);
}

static int load(struct salvage *s)
{
	const struct ka_fs_opts opts = {
		.rdonly = true,
		.salvage = s->remains,
		.noatime = true,
		.sink = s->args->sink,
	};
	struct ka_fs_status status;
	int err;

	err = ka_fs_open(s->rg, &opts, &s->fs);
	if (err)
		return err;
	if (ka_fs_salvaged(s->fs)) {
		list_remains(s, ka_fs_salvaged(s->fs));
		return 0;
	}
	ka_fs_get_status(s->fs, &status);
	s->older = status.super.ckpt[0].addr != s->super.ckpt[0].addr;
	if (is_damaged(s, &status))
		salvage_problem(s, NULL,
				"the filesystem is damaged: names, attributes or the "
				"newest changes may be missing; see fsck.keepalivefs");
	return 0;
}

static int open_region(struct salvage *s, const struct ctl_args *args, const char *region,
		       bool remains)
{
	int err;

	*s = (struct salvage){.args = args, .remains = remains};
	if (args->json)
		s->list = json_object_new_array();
	err = ka_program_check_region(args->sink, region);
	err = err ?: ka_dax_open(NULL, region, KA_REGION_LOCK, NULL, args->sink, &s->rg);
	err = err ?: ka_super_read(s->rg, args->sink, NULL, &s->super);
	if (err && err != -KA_ERR_SUPER_RO_FEATURE)
		return err;
	err = load(s);
	/* Of damage, and of memory that was wiped, the core has spoken. */
	if (err && !salvage_is_damage(err) && err != -KA_ERR_WIPED)
		ka_msg(args->sink, KA_MSG_ERROR, "cannot read '%s': %s", region, ka_strerror(err));
	return err;
}

int salvage_open(struct salvage *s, const struct ctl_args *args, const char *region)
{
	return open_region(s, args, region, false);
}

int salvage_open_remains(struct salvage *s, const struct ctl_args *args, const char *region)
{
	return open_region(s, args, region, true);
}

void salvage_close(struct salvage *s)
{
	ka_fs_abandon(s->fs);
	ka_region_close(s->rg);
	json_object_put(s->list);
}

static void list(struct salvage *s, const char *path, const struct ka_run *range,
		 const char *reason)
{
	struct emit e = {.obj = s->list ? json_object_new_object() : NULL};

	s->problems++;
	if (e.obj) {
		if (path)
			emit_bytes(&e, "path", path, strlen(path));
		else
			emit_text(&e, "path", NULL);
		if (range) {
			emit_u64(&e, "off", range->off);
			emit_u64(&e, "len", range->len);
		}
		emit_bytes(&e, "reason", reason, strlen(reason)); /* with names in it */
		json_object_array_add(s->list, e.obj);
	} else if (range && !range->err) {
		ka_msg(s->args->sink, KA_MSG_ERROR, "'%s': bytes %" PRIu64 "-%" PRIu64 ": %s", path,
		       range->off, range->off + range->len - 1, reason);
	} else if (range) {
		ka_msg(s->args->sink, KA_MSG_ERROR,
		       "'%s': bytes %" PRIu64 "-%" PRIu64 " are damaged: %s", path, range->off,
		       range->off + range->len - 1, reason);
	} else if (path) {
		ka_msg(s->args->sink, KA_MSG_ERROR, "'%s': %s", path, reason);
	} else {
		ka_msg(s->args->sink, KA_MSG_ERROR, "%s", reason);
	}
}

void salvage_problem(struct salvage *s, const char *path, const char *fmt, ...)
{
	KA_AUTO_FREE char *reason = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&reason, fmt, ap) < 0)
		reason = NULL;
	va_end(ap);
	list(s, path, NULL, reason ?: fmt);
}

/* Neighbours with the same fault are one. */
static void note_damage(struct salvage *s, const char *path, struct ka_run *bad,
			const struct ka_run *run)
{
	if (bad->len && run && run->err == bad->err && run->off == bad->off + bad->len) {
		bad->len += run->len;
		return;
	}
	if (bad->len)
		list(s, path, bad, ka_strerror(bad->err));
	*bad = run ? *run : (struct ka_run){0};
}

/* What a rebuild could not know for sure about the file. */
static void list_doubts(struct salvage *s, const char *path, uint64_t ino)
{
	const struct ka_salvage_stats *st = ka_fs_salvaged(s->fs);
	size_t low = 0, high = st ? st->doubts : 0, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (st->doubt[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	for (; st && low < st->doubts && st->doubt[low].ino == ino; low++)
		list(s, path,
		     &(struct ka_run){.off = st->doubt[low].off, .len = st->doubt[low].len},
		     "contents may be old or incomplete");
}

static int give_data(struct salvage *s, const struct ka_run *run, salvage_data_fn *fn, void *ctx)
{
	s->bytes += run->len;
	return fn ? fn(ctx, run->off, ka_region_at(s->rg, run->addr, run->len), run->len) : 0;
}

int salvage_read(struct salvage *s, const char *path, const struct ka_attr *attr,
		 salvage_data_fn *fn, void *ctx)
{
	struct ka_run run, bad = {0};
	uint64_t off = 0;
	int err = 0;

	while (!err && off < attr->size) {
		err = ka_map(s->fs, attr->ino, off, &run);
		if (err == -ENXIO || (!err && run.off >= attr->size)) {
			err = 0;
			break;
		}
		if (err)
			break;
		run.len = ka_min(run.len, attr->size - run.off);
		off = run.off + run.len;
		if (run.err)
			note_damage(s, path, &bad, &run);
		else if (run.addr)
			err = give_data(s, &run, fn, ctx);
	}
	note_damage(s, path, &bad, NULL);
	list_doubts(s, path, attr->ino);
	return err;
}

static int check_dir(void *ctx, const struct walk_entry *e)
{
	struct salvage *s = ctx;

	(void)e;
	s->files++;
	return 0;
}

static int check_other(void *ctx, const struct walk_entry *e)
{
	struct salvage *s = ctx;

	s->files++;
	return S_ISREG(e->attr->mode) ? salvage_read(s, e->path, e->attr, NULL, NULL) : 0;
}

int salvage_check(struct salvage *s)
{
	static const struct walk_visitor visitor = {.enter = check_dir, .other = check_other};

	return walk_tree(s->fs, KA_ROOT_INO, "/", &visitor, s);
}

void salvage_report(struct salvage *s, struct json_object *report)
{
	json_object_object_add(report, "problem_count", json_object_new_uint64(s->problems));
	json_object_object_add(report, "problems", json_object_get(s->list));
}

int salvage_exit(const struct salvage *s)
{
	return s->problems ? CTL_DAMAGED : CTL_OK;
}

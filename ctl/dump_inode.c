/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump_inode.c - keepalivectl dump --inode and --path: one inode as a mount would
 * have it, with where its contents lie and whether they are whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"
#include "keepalive/dir.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "salvage.h"
#include "walk.h"

struct inode_dump {
	struct salvage s;
	struct dump d;
	struct ka_attr attr;
};

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	}
	return "?";
}

static void show_attrs(struct inode_dump *x, struct emit *e, const char *path)
{
	const struct ka_attr *a = &x->attr;
	char target[KA_TARGET_MAX + 1];

	if (!e->obj)
		printf("inode %" PRIu64 "\n", a->ino);
	else
		emit_u64(e, "ino", a->ino);
	if (path)
		emit_bytes(e, "path", path, strlen(path));
	emit_text(e, "type", type_name(a->mode));
	emit_mode(e, "mode", a->mode & 07777);
	emit_u64(e, "uid", a->uid);
	emit_u64(e, "gid", a->gid);
	emit_u64(e, "nlink", a->nlink);
	if (S_ISCHR(a->mode) || S_ISBLK(a->mode)) {
		emit_u64(e, "major", a->rdev >> 20);
		emit_u64(e, "minor", a->rdev & 0xfffff);
	}
	emit_u64(e, "size", a->size);
	emit_u64(e, "blocks", a->blocks);
	emit_time_sec(e, "atime", a->atime.sec, a->atime.nsec);
	emit_time_sec(e, "mtime", a->mtime.sec, a->mtime.nsec);
	emit_time_sec(e, "ctime", a->ctime.sec, a->ctime.nsec);
	emit_time_sec(e, "btime", a->btime.sec, a->btime.nsec);
	if (S_ISLNK(a->mode) && !ka_readlink(x->s.fs, a->ino, target))
		emit_bytes(e, "target", target, strlen(target));
}

/* One line, or element, of a list. */
static struct emit begin_row(struct inode_dump *x, const char *what)
{
	struct emit row = dump_emit(&x->d, false);

	if (!row.obj)
		printf("  %s", what);
	return row;
}

static void end_row(struct emit *row, struct json_object *list)
{
	if (row->obj)
		json_object_array_add(list, row->obj);
	else
		putchar('\n');
}

static struct json_object *begin_list(const struct emit *e, const char *key)
{
	struct json_object *list = NULL;

	if (e->obj) {
		list = json_object_new_array();
		json_object_object_add(e->obj, key, list);
	}
	return list;
}

static int show_xattrs(struct inode_dump *x, struct emit *e)
{
	KA_AUTO_FREE char *names = NULL, *value = malloc(KA_XATTR_MAX);
	struct json_object *list = begin_list(e, "xattrs");
	size_t bytes = 0, len;
	struct emit row;
	char *name;
	int err;

	err = ka_listxattr(x->s.fs, x->attr.ino, true, NULL, 0, &bytes);
	if (err || !bytes)
		return err;
	names = malloc(bytes);
	if (!names || !value)
		return -ENOMEM;
	err = ka_listxattr(x->s.fs, x->attr.ino, true, names, bytes, &bytes);
	for (name = names; !err && name < names + bytes; name += strlen(name) + 1) {
		/* A name that no operation can make is shown without its value. */
		if (ka_getxattr(x->s.fs, x->attr.ino, name, value, KA_XATTR_MAX, &len))
			len = 0;
		row = begin_row(x, "xattr");
		emit_bytes(&row, "name", name, strlen(name));
		emit_u64(&row, "value_bytes", len);
		emit_bytes(&row, "value", value, len);
		end_row(&row, list);
	}
	return err;
}

static int show_extents(struct inode_dump *x, struct emit *e)
{
	struct json_object *list = begin_list(e, "extents");
	struct ka_run run;
	uint64_t off = 0;
	struct emit row;
	int err;

	for (;;) {
		err = ka_map(x->s.fs, x->attr.ino, off, &run);
		if (err)
			return err == -ENXIO ? 0 : err;
		row = begin_row(x, "extent");
		emit_u64(&row, "off", run.off);
		emit_u64(&row, "len", run.len);
		emit_text(&row, "data", run.err ? "damaged" : run.addr ? "ok" : "unwritten");
		if (run.addr) {
			emit_hex(&row, "addr", run.addr);
			emit_hex(&row, "record", run.record);
			emit_u64(&row, "seq", run.seq);
		}
		if (run.err || row.obj)
			emit_text(&row, "error", run.err ? ka_strerror(run.err) : NULL);
		end_row(&row, list);
		off = run.off + run.len;
	}
}

struct entries {
	struct inode_dump *x;
	struct json_object *list;
};

static bool show_entry(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct entries *en = ctx;
	struct emit row = begin_row(en->x, "entry");

	emit_u64(&row, "cookie", cookie);
	emit_u64(&row, "ino", attr->ino);
	emit_text(&row, "type", type_name(attr->mode));
	emit_bytes(&row, "name", name, strlen(name));
	end_row(&row, en->list);
	return true;
}

static int show_entries(struct inode_dump *x, struct emit *e)
{
	struct entries en = {.x = x, .list = begin_list(e, "entries")};

	return ka_readdir(x->s.fs, x->attr.ino, KA_COOKIE_DOTDOT, false, show_entry, &en);
}

static int show(struct inode_dump *x, const char *path)
{
	struct emit e = dump_emit(&x->d, true);
	int err;

	if (e.obj)
		putchar('{');
	dump_region(&x->d);
	show_attrs(x, &e, path);
	err = show_xattrs(x, &e);
	if (!err && S_ISREG(x->attr.mode))
		err = show_extents(x, &e);
	if (!err && S_ISDIR(x->attr.mode))
		err = show_entries(x, &e);
	if (e.obj) {
		dump_put_json(&x->d, "inode", e.obj);
		puts("\n}");
	}
	return err;
}

static int find(struct inode_dump *x, const char *path, ka_ino_t ino, char **ret_path)
{
	const struct ctl_args *args = x->s.args;
	int err = path ? walk_lookup(x->s.fs, path, &ino, ret_path) : 0;

	err = err ?: ka_getattr(x->s.fs, ino, &x->attr);
	if (err == -ESTALE)
		ka_msg(args->sink, KA_MSG_ERROR, "there is no inode %" PRIu64 " in '%s'", ino,
		       args->target);
	else if (err)
		ka_msg(args->sink, KA_MSG_ERROR, "cannot find '%s' in '%s': %s", path, args->target,
		       ka_strerror(err));
	return err;
}

int dump_inode(const struct ctl_args *args, const char *path, uint64_t ino)
{
	struct inode_dump x = {.d = {.args = args, .first = true}};
	KA_AUTO_FREE char *clean = NULL;
	int err;

	err = salvage_open(&x.s, args, args->target);
	x.d.rg = x.s.rg;
	if (!err)
		err = find(&x, path, ino, &clean);
	if (!err) {
		err = show(&x, clean);
		if (err)
			ka_msg(args->sink, KA_MSG_ERROR, "cannot show it all: %s",
			       ka_strerror(err));
	}
	salvage_close(&x.s);
	return err ? CTL_FAILED : CTL_OK;
}

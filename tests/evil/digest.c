/* SPDX-License-Identifier: GPL-2.0-or-later */
/* digest.c - what a filesystem shows, as text; see trial.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guard.h"
#include "keepalive/csum.h"
#include "keepalive/dir.h"
#include "keepalive/err.h"
#include "keepalive/ops.h"
#include "keepalive/util.h"
#include "trial.h"

#define STEP	  65536u
#define STEPS_MAX 64	/* of one file */
#define TOTAL_MAX 2000	/* of all files */
#define NAMES_MAX 50000 /* more than any image can hold that is tried */

struct digest {
	struct ka_fs *fs;
	FILE *out;
	unsigned steps;
	unsigned names;
};

/* What an operation may answer; more than that is a bug by itself. */
static int sane(int err, const char *what)
{
	if (err > 0 || err <= -KA_ERR_LIMIT || err == -KA_ERR_FAILED || err == -KA_ERR_NEED_CKPT)
		evil_fail("%s answers %d: %s", what, err, ka_strerror(err));
	return err;
}

/* Adds what is read at off; returns how much that was, or 0. */
static size_t put_bytes(struct digest *d, struct ka_file *file, uint64_t off, size_t size)
{
	static uint8_t bytes[STEP];
	struct ka_read rd;
	size_t got;
	int err, i;

	err = sane(ka_read_begin(d->fs, file, off, size, &rd), "read");
	if (err) {
		fprintf(d->out, " %" PRIu64 ": %s", off, ka_strerror(err));
		return 0;
	}
	for (i = 0, got = 0; i < rd.count; i++) {
		if (rd.iov[i].iov_len > size - got)
			evil_fail("read of %zu bytes at %" PRIu64 " gives more", size, off);
		memcpy(bytes + got, rd.iov[i].iov_base, rd.iov[i].iov_len);
		got += rd.iov[i].iov_len;
	}
	if (got != rd.size)
		evil_fail("read at %" PRIu64 " says %zu bytes, gives %zu", off, rd.size, got);
	fprintf(d->out, " %" PRIu64 "+%zu=%016" PRIx64, off, got, ka_csum(bytes, got));
	ka_read_end(d->fs, &rd);
	return got;
}

/* Data and holes from the start, a part of each, at most so many. */
static void put_contents(struct digest *d, ka_ino_t ino, uint64_t size)
{
	uint64_t off = 0, data, hole;
	struct ka_file *file;
	int i;

	if (sane(ka_open(d->fs, ino, &file), "open"))
		evil_fail("inode %" PRIu64 " cannot be opened", ino);
	put_bytes(d, file, 0, STEP);
	put_bytes(d, file, size - ka_min(size, 10), STEP);
	put_bytes(d, file, UINT64_MAX - STEP, STEP);
	for (i = 0; i < STEPS_MAX && d->steps++ < TOTAL_MAX; i++) {
		if (sane(ka_seek(d->fs, file, off, SEEK_DATA, &data), "seek"))
			break;
		if (data < off || data >= size || ka_seek(d->fs, file, data, SEEK_HOLE, &hole) ||
		    hole <= data || hole > size)
			evil_fail("inode %" PRIu64 ": data behind %" PRIu64 " is at %" PRIu64, ino,
				  off, data);
		fprintf(d->out, " [%" PRIu64 ",%" PRIu64 ")", data, hole);
		put_bytes(d, file, data, ka_min(hole - data, STEP));
		off = hole;
	}
	ka_close(d->fs, file);
}

static void put_xattrs(const struct digest *d, ka_ino_t ino)
{
	static char value[KA_XATTR_MAX];
	size_t bytes, len;
	char *list, *name;
	int err;

	if (sane(ka_listxattr(d->fs, ino, true, NULL, 0, &bytes), "listxattr"))
		evil_fail("attributes of inode %" PRIu64 " cannot be listed", ino);
	list = malloc(bytes + 1);
	if (!list)
		abort();
	if (bytes && ka_listxattr(d->fs, ino, true, list, bytes, &bytes))
		evil_fail("attributes of inode %" PRIu64 " cannot be listed twice", ino);
	for (name = list; name < list + bytes; name += strlen(name) + 1) {
		err = sane(ka_getxattr(d->fs, ino, name, value, sizeof(value), &len), "getxattr");
		fprintf(d->out, "\n  %s: ", name);
		if (err)
			fputs(ka_strerror(err), d->out);
		else
			fprintf(d->out, "%zu bytes %016" PRIx64, len, ka_csum(value, len));
	}
	free(list);
}

static void put_time(const struct digest *d, const struct ka_time *t)
{
	fprintf(d->out, " %" PRId64 ".%09u", t->sec, t->nsec);
}

static void put_inode(struct digest *d, const struct ka_attr *a)
{
	static char target[KA_TARGET_MAX + 1];

	fprintf(d->out, "%" PRIu64 " %o %u %u:%u %x %" PRIu64 " %" PRIu64, a->ino, a->mode,
		a->nlink, a->uid, a->gid, a->rdev, a->size, a->blocks);
	put_time(d, &a->atime);
	put_time(d, &a->mtime);
	put_time(d, &a->ctime);
	put_time(d, &a->btime);
	if (S_ISLNK(a->mode)) {
		if (ka_readlink(d->fs, a->ino, target))
			evil_fail("target of inode %" PRIu64 " cannot be read", a->ino);
		fprintf(d->out, " -> %s", target);
	}
	if (S_ISREG(a->mode))
		put_contents(d, a->ino, a->size);
	put_xattrs(d, a->ino);
	fputc('\n', d->out);
}

/* Names are collected first, as readdir's callback must not call back. */
struct entry {
	struct ka_attr attr;
	uint64_t cookie;
	char *name;
};

struct entries {
	struct entry *entry;
	size_t count;
};

static bool collect(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct entries *list = ctx;

	list->entry = realloc(list->entry, (list->count + 1) * sizeof(*list->entry));
	if (!list->entry)
		abort();
	list->entry[list->count++] =
		(struct entry){.attr = *attr, .cookie = cookie, .name = strdup(name)};
	return list->count < NAMES_MAX;
}

/* A name has to lead to the inode that it is listed with. */
static void check_name(const struct digest *d, ka_ino_t dir, const struct entry *e)
{
	struct ka_attr attr;

	if (ka_lookup(d->fs, dir, e->name, &attr) || attr.ino != e->attr.ino)
		evil_fail("name '%s' in inode %" PRIu64 " is listed, not found", e->name, dir);
	ka_forget(d->fs, attr.ino, 1);
}

static void put_dir(struct digest *d, ka_ino_t dir)
{
	struct entries list = {0};
	size_t i;

	if (sane(ka_readdir(d->fs, dir, KA_COOKIE_DOTDOT, false, collect, &list), "readdir"))
		evil_fail("directory %" PRIu64 " cannot be read", dir);
	for (i = 0; i < list.count; i++) {
		struct entry *e = &list.entry[i];

		if (d->names++ > NAMES_MAX)
			evil_fail("names without end");
		check_name(d, dir, e);
		fprintf(d->out, "%" PRIu64 "/%s %" PRIu64 " = ", dir, e->name, e->cookie);
		put_inode(d, &e->attr);
		if (S_ISDIR(e->attr.mode))
			put_dir(d, e->attr.ino);
		free(e->name);
	}
	free(list.entry);
}

char *evil_digest(struct ka_fs *fs)
{
	struct digest d = {.fs = fs};
	struct ka_fs_status status;
	struct ka_attr root;
	char *text = NULL;
	size_t bytes;

	d.out = open_memstream(&text, &bytes);
	if (!d.out)
		abort();
	ka_fs_get_status(fs, &status);
	if (status.avail_bytes > status.free_bytes ||
	    status.free_bytes > status.super.capacity_bytes)
		evil_fail("%" PRIu64 " bytes are free", status.free_bytes);
	if (ka_getattr(fs, KA_ROOT_INO, &root))
		evil_fail("there is no root directory");
	put_inode(&d, &root);
	put_dir(&d, KA_ROOT_INO);
	fclose(d.out);
	return text;
}

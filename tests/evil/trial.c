/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trial.c - mounts what may be anything and works on it; see trial.h. */
#include "trial.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "guard.h"
#include "keepalive/dir.h"
#include "keepalive/err.h"
#include "keepalive/ops.h"
#include "test.h"

#define FOUND_MAX 12

struct found {
	ka_ino_t dir;
	ka_ino_t ino;
	uint32_t mode;
	char name[KA_NAME_MAX + 1];
};

struct finding {
	struct found found[FOUND_MAX];
	unsigned count;
	ka_ino_t dir;
};

static bool note(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct finding *f = ctx;
	struct found *n = &f->found[f->count];

	(void)cookie;
	if (f->count == FOUND_MAX)
		return false;
	*n = (struct found){.dir = f->dir, .ino = attr->ino, .mode = attr->mode};
	strcpy(n->name, name);
	f->count++;
	return true;
}

/* Some names of the root and of the first directories in it. */
static void find_some(struct ka_fs *fs, struct finding *f)
{
	unsigned i;

	f->count = 0;
	f->dir = KA_ROOT_INO;
	(void)ka_readdir(fs, f->dir, KA_COOKIE_DOTDOT, false, note, f);
	for (i = 0; i < f->count && f->count < FOUND_MAX; i++) {
		if (!S_ISDIR(f->found[i].mode))
			continue;
		f->dir = f->found[i].ino;
		(void)ka_readdir(fs, f->dir, KA_COOKIE_DOTDOT, false, note, f);
	}
}

static void change_file(struct ka_fs *fs, ka_ino_t ino, unsigned how)
{
	static const uint8_t data[3000] = {'d', 'a', 't', 'a'};
	struct ka_setattr set = {.valid = KA_SET_SIZE};
	struct ka_file *file;
	struct ka_attr attr;
	size_t written;
	uint64_t copied;

	if (ka_open(fs, ino, &file) || ka_getattr(fs, ino, &attr))
		return;
	switch (how % 8) {
	case 0:
		(void)ka_append(fs, file, data, sizeof(data), true, &written);
		break;
	case 1:
		(void)ka_write(fs, file, data, sizeof(data), attr.size / 2, false, &written);
		break;
	case 2:
		set.size = attr.size / 2;
		(void)ka_setattr(fs, ino, &set, &attr);
		break;
	case 3:
		set.size = attr.size + 100;
		(void)ka_setattr(fs, ino, &set, &attr);
		break;
	case 4:
		(void)ka_fallocate(fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   attr.size / 4, attr.size / 2 + 1);
		break;
	case 5:
		(void)ka_fallocate(fs, file, 0, attr.size / 2, 10000);
		break;
	case 6:
		(void)ka_copy_range(fs, file, 0, file, attr.size, attr.size / 2 + 1, &copied);
		break;
	case 7:
		(void)ka_fallocate(fs, file, FALLOC_FL_ZERO_RANGE, attr.size / 3, 3000);
		break;
	}
	ka_close(fs, file);
}

/* What was written is read back, whatever numbers the record got. */
static void write_and_read(struct ka_fs *fs, ka_ino_t ino)
{
	static const uint8_t data[3000] = {'n', 'e', 'w'};
	struct ka_file *file;
	struct ka_read rd;
	size_t written;

	if (ka_open(fs, ino, &file))
		evil_fail("a new file cannot be opened");
	if (!ka_write(fs, file, data, sizeof(data), 0, false, &written) && written) {
		if (ka_read_begin(fs, file, 0, written, &rd))
			evil_fail("what was written cannot be read");
		if (rd.count != 1 || memcmp(rd.iov[0].iov_base, data, written) != 0)
			evil_fail("what was written reads differently");
		ka_read_end(fs, &rd);
	}
	ka_close(fs, file);
}

static void change_names(struct ka_fs *fs, const struct found *n, unsigned how)
{
	struct ka_attr attr;

	switch (how % 6) {
	case 0:
		(void)ka_unlink(fs, n->dir, n->name);
		break;
	case 1:
		(void)ka_rmdir(fs, n->dir, n->name);
		break;
	case 2:
		(void)ka_rename(fs, n->dir, n->name, KA_ROOT_INO, "moved", 0);
		break;
	case 3:
		(void)ka_rename(fs, n->dir, n->name, KA_ROOT_INO, "dir", RENAME_EXCHANGE);
		break;
	case 4:
		if (!ka_link(fs, n->ino, n->dir, "linked", &attr))
			ka_forget(fs, n->ino, 1);
		break;
	case 5:
		(void)ka_setxattr(fs, n->ino, "user.evil", "x", 1, 0);
		(void)ka_removexattr(fs, n->ino, "user.text");
		break;
	}
}

static void make_some(struct ka_fs *fs, const struct finding *f, unsigned how)
{
	static const struct {
		const char *name;
		uint32_t mode;
	} news[] = {
		{"new", S_IFREG | 0644}, {"newdir", S_IFDIR | 0755}, {"newlink", S_IFLNK | 0777}};
	unsigned i;

	for (i = 0; i < KA_ARRAY_SIZE(news); i++) {
		struct ka_new new = {.parent = KA_ROOT_INO, .name = news[i].name};
		struct ka_attr attr;

		new.mode = news[i].mode;
		new.target = S_ISLNK(new.mode) ? "target" : NULL;
		if (how & 1 && f->count && S_ISDIR(f->found[how / 2 % f->count].mode))
			new.parent = f->found[how / 2 % f->count].ino;
		if (ka_create(fs, &new, &attr))
			continue;
		if (S_ISREG(new.mode))
			write_and_read(fs, attr.ino);
		ka_forget(fs, attr.ino, 1);
	}
}

void evil_operate(struct ka_fs *fs, uint64_t seed)
{
	struct test_rng rng = {.state = seed};
	struct finding *f = calloc(1, sizeof(*f));
	unsigned i;

	if (!f)
		abort();
	find_some(fs, f);
	make_some(fs, f, (unsigned)test_below(&rng, 64));
	for (i = 0; i < f->count; i++) {
		if (S_ISREG(f->found[i].mode))
			change_file(fs, f->found[i].ino, (unsigned)test_below(&rng, 8));
		if (test_chance(&rng, 50))
			change_names(fs, &f->found[i], (unsigned)test_below(&rng, 6));
		if (test_chance(&rng, 10))
			(void)ka_fs_checkpoint(fs);
	}
	free(f);
}

static void same(const char *a, const char *b, const char *what)
{
	size_t i = 0;

	if (!strcmp(a, b))
		return;
	while (a[i] == b[i])
		i++;
	while (i && a[i - 1] != '\n')
		i--;
	evil_fail("%s:\n- %.*s\n+ %.*s", what, (int)strcspn(a + i, "\n"), a + i,
		  (int)strcspn(b + i, "\n"), b + i);
}

static int open_fs(struct ka_region *rg, bool rdonly, bool salvage, enum ka_verify verify,
		   struct ka_fs **ret_fs)
{
	struct ka_fs_opts opts = {
		.rdonly = rdonly,
		.salvage = salvage,
		.verify = verify,
		.noatime = true, /* to look at it must not change it */
		.sink = &evil_sink,
	};
	int err = ka_fs_open(rg, &opts, ret_fs);

	if (err > 0 || err <= -KA_ERR_LIMIT)
		evil_fail("mount answers %d", err);
	return err;
}

/* Refused, or all that it shows. */
static char *look(struct evil_image *img, bool salvage, int *ret_err)
{
	struct ka_region *rg = evil_guard_open(img, true);
	char *text = NULL;
	struct ka_fs *fs;

	*ret_err = open_fs(rg, true, salvage, KA_VERIFY_ALWAYS, &fs);
	if (!*ret_err) {
		text = evil_digest(fs);
		if (ka_fs_close(fs))
			evil_fail("read-only unmount fails");
	}
	ka_region_close(rg);
	return text;
}

/*
 * Cut off there it can be recovered. What that shows is open: media that claims to be
 * clean and has records behind the checkpoint has them mixed with the new ones.
 */
static void cut(struct evil_image *img)
{
	int err;

	free(look(img, false, &err));
	if (err)
		evil_fail("cannot be mounted after it was cut off: %s", ka_strerror(err));
}

/* Unmounted, whether that worked or not it shows what was there before. */
static void close_and_compare(struct evil_image *img, struct ka_region *rg, struct ka_fs *fs,
			      const char *before)
{
	struct ka_fs *again;
	char *after;
	int err;

	err = ka_fs_close(fs);
	if (err && err != -ENOSPC)
		evil_fail("unmount: %s", ka_strerror(err));
	err = open_fs(rg, false, false, KA_VERIFY_FIRST, &again);
	if (err == -ENOSPC) {
		free(look(img, false, &err));
		return;
	}
	if (err)
		evil_fail("cannot be mounted after it was unmounted: %s", ka_strerror(err));
	after = evil_digest(again);
	same(before, after, "after unmounting it");
	free(after);
	ka_fs_abandon(again);
}

bool evil_trial_mount(struct evil_image *img, uint64_t seed)
{
	struct ka_region *rg;
	char *seen, *now;
	struct ka_fs *fs;
	int err, rderr;

	seen = look(img, false, &rderr);
	rg = evil_guard_open(img, false);
	err = open_fs(rg, false, false, KA_VERIFY_FIRST, &fs);
	if (rderr && !err)
		evil_fail("mounted for writing only");
	if (rderr) /* what is left can be read */
		free(look(img, true, &rderr));
	if (!err) {
		now = evil_digest(fs);
		same(seen, now, "mounted for writing");
		free(now);
		evil_operate(fs, seed);
		now = evil_digest(fs);
		cut(img);
		close_and_compare(img, rg, fs, now);
		free(now);
	}
	free(seen);
	ka_region_close(rg);
	return !err;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_crash.c - the power fails at every fence of every kind of operation,
 * with any subset of what was not fenced: afterwards the operation has
 * happened or it has not, and what had returned is there.
 *
 * Each outcome is mounted, looked at, used, crashed and mounted again, because
 * recovery must leave something that works, not only something that looks
 * right. For some operations the power fails once more during the recovery.
 */
#include "test.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "memfs.h"
#include "region_cut.h"

/* Of the region, and of every image of it. */
static uint64_t bytes = KA_CAPACITY_MIN;
/* Of each kind of cut, at each fence. */
#define ROUNDS	    3
#define DEEP_ROUNDS 1

/* ---- what an image holds ---------------------------------------------- */

/* In a full region something has to go first. */
static ka_ino_t new_file(struct ka_fs *fs, const char *name)
{
	static const uint32_t mode = S_IFREG | 0644;
	ka_ino_t ino;

	if (memfs_try_create(fs, KA_ROOT_INO, name, mode, NULL, &ino)) {
		assert_ok(ka_unlink(fs,
				    memfs_lookup(fs, memfs_lookup(fs, KA_ROOT_INO, "dir"), "sub"),
				    "ballast"));
		assert_ok(memfs_try_create(fs, KA_ROOT_INO, name, mode, NULL, &ino));
	}
	return ino;
}

/* Goes on with an open filesystem, crashes it, and looks again. */
static void live_on(struct memfs *m, uint64_t key)
{
	ka_ino_t ino;
	char *before, *after;
	int i;

	for (i = 0; i < 2; i++) {
		ino = new_file(m->fs, i ? "later" : "after");
		memfs_write_pattern(m->fs, ino, 100, 5000, key);
		before = memfs_dump(m->fs);
		if (i)
			memfs_remount(m);
		else
			memfs_crash(m);
		assert_int_equal(m->msgs.errors, 0);
		memfs_check(m->fs);
		after = memfs_dump(m->fs);
		assert_string_equal(after, before);
		assert_true(memfs_has_pattern(m->fs, ino, 100, 5000, key));
		free(before);
		free(after);
	}
}

static const char *playing; /* the scene, for who reads of a failure */

static void complain(const struct memfs *m)
{
	if (m->msgs.errors)
		print_error("%s: %s", playing, m->msgs.text);
	assert_int_equal(m->msgs.errors, 0);
}

/* Mounts what a cut left, which must not look damaged; its dump, to be freed. */
static char *recover(void *image, bool live)
{
	struct ka_fs_status st;
	struct memfs m;
	char *dump;

	memfs_over(&m, image, bytes);
	if (memfs_try_open(&m))
		complain(&m);
	assert_non_null(m.fs);
	complain(&m);
	ka_fs_get_status(m.fs, &st);
	assert_false(st.damaged || st.rdonly);
	assert_int_equal(st.super.lost, 0);
	memfs_check(m.fs);
	dump = memfs_dump(m.fs);
	if (live)
		live_on(&m, 77);
	memfs_release(&m);
	return dump;
}

/* ---- cutting ----------------------------------------------------------- */

struct outcome {
	char *dump;
	uint64_t fence; /* where it was seen first */
	enum cut_kind kind;
};

struct explorer {
	struct test_rng rng;
	uint8_t *image;
	uint8_t *scratch;
	struct outcome *list;
	size_t count;
	bool deep;					      /* cut the recovery too */
	void (*verify)(struct explorer *x, struct ka_fs *fs); /* or NULL */
	unsigned images;
};

static void explorer_init(struct explorer *x, uint64_t stream, bool deep)
{
	*x = (struct explorer){
		.rng = test_rng(stream),
		.image = malloc(bytes),
		.scratch = malloc(bytes),
		.deep = deep,
	};
	assert_true(x->image && x->scratch);
}

static void explorer_clear(struct explorer *x)
{
	while (x->count)
		free(x->list[--x->count].dump);
}

static void explorer_release(struct explorer *x)
{
	explorer_clear(x);
	free(x->list);
	free(x->image);
	free(x->scratch);
}

/* Takes dump over. */
static void add_outcome(struct explorer *x, char *dump, uint64_t fence, enum cut_kind kind)
{
	size_t i;

	for (i = 0; i < x->count; i++) {
		if (!strcmp(x->list[i].dump, dump)) {
			free(dump);
			return;
		}
	}
	x->list = realloc(x->list, (x->count + 1) * sizeof(*x->list));
	assert_non_null(x->list);
	x->list[x->count++] = (struct outcome){dump, fence, kind};
}

/* Losing everything, or nothing, can be done in one way only. */
static int rounds_of(enum cut_kind kind, int rounds)
{
	return kind < CUT_SOME ? 1 : rounds * (int)test_scale();
}

struct inner {
	struct explorer *x;
	const char *want;
};

/* The recovery was cut too: nothing but the same state may come of it. */
static void cut_recovery(void *ctx, struct ka_region *rg, uint64_t fence)
{
	struct inner *in = ctx;
	enum cut_kind kind;
	char *dump;
	int i;

	(void)fence;
	for (kind = 0; kind < CUT_KINDS; kind++) {
		for (i = 0; i < rounds_of(kind, DEEP_ROUNDS); i++) {
			cut_region_image(rg, kind, &in->x->rng, in->x->scratch);
			dump = recover(in->x->scratch, test_chance(&in->x->rng, 30));
			assert_string_equal(dump, in->want);
			free(dump);
			in->x->images++;
		}
	}
}

static void cut_again(struct explorer *x, const char *want)
{
	struct inner in = {.x = x, .want = want};
	struct ka_region *rg;
	struct memfs m;

	assert_ok(cut_region_open_image(x->image, bytes, &rg));
	memfs_on(&m, rg);
	cut_region_watch(rg, cut_recovery, &in);
	memfs_open(&m);
	cut_recovery(&in, rg, 0);
	memfs_release(&m);
}

static void cut_here(void *ctx, struct ka_region *rg, uint64_t fence)
{
	struct explorer *x = ctx;
	enum cut_kind kind;
	char *dump;
	int i;

	for (kind = 0; kind < CUT_KINDS; kind++) {
		for (i = 0; i < rounds_of(kind, ROUNDS); i++) {
			cut_region_image(rg, kind, &x->rng, x->image);
			memcpy(x->scratch, x->image, bytes);
			dump = recover(x->scratch, i == 0);
			if (x->deep)
				cut_again(x, dump);
			add_outcome(x, dump, fence, kind);
			x->images++;
		}
	}
}

/* ---- the operations ---------------------------------------------------- */

/* What every scene starts with. */
struct tree {
	ka_ino_t dir, sub, full, file, inner, other, big, empty;
};

static const char value[64] = "value";

static int set_xattr(struct ka_fs *fs, ka_ino_t ino, const char *name, const void *p, size_t len)
{
	return ka_setxattr(fs, ino, name, p, len, 0);
}

static void make_tree(struct ka_fs *fs, struct tree *t)
{
	t->dir = memfs_dir(fs, KA_ROOT_INO, "dir");
	t->sub = memfs_dir(fs, t->dir, "sub");
	t->full = memfs_dir(fs, KA_ROOT_INO, "full");
	t->inner = memfs_file(fs, t->full, "inner");
	t->file = memfs_file(fs, KA_ROOT_INO, "file");
	t->other = memfs_file(fs, t->dir, "other");
	t->big = memfs_file(fs, KA_ROOT_INO, "big");
	t->empty = memfs_dir(fs, KA_ROOT_INO, "empty");
	memfs_symlink(fs, KA_ROOT_INO, "symlink", "some/where");
	assert_ok(memfs_link(fs, t->file, t->dir, "hard"));
	memfs_write_pattern(fs, t->file, 0, 10000, 1);
	memfs_write_pattern(fs, t->inner, 5000, 3000, 2);
	memfs_write_pattern(fs, t->big, 0, 200000, 3);
	assert_ok(set_xattr(fs, t->file, "user.old", value, 20));
}

struct scene {
	const char *name;
	void (*prepare)(struct memfs *m, const struct tree *t); /* or NULL */
	void (*run)(struct memfs *m, const struct tree *t);
};

static void run_create(struct memfs *m, const struct tree *t)
{
	memfs_file(m->fs, t->dir, "new");
}

static void run_mkdir(struct memfs *m, const struct tree *t)
{
	memfs_dir(m->fs, t->dir, "new");
}

static void run_symlink(struct memfs *m, const struct tree *t)
{
	char target[KA_TARGET_MAX + 1];

	memset(target, 't', KA_TARGET_MAX);
	target[KA_TARGET_MAX] = 0;
	memfs_symlink(m->fs, t->dir, "new", target);
}

static void run_mknod(struct memfs *m, const struct tree *t)
{
	struct ka_new new = {.parent = t->dir,
			     .name = "new",
			     .mode = S_IFCHR | 0600,
			     .rdev = 5u << 20 | 7,
			     .uid = 3,
			     .gid = 4};
	struct ka_attr attr;

	assert_ok(ka_create(m->fs, &new, &attr));
}

static void prepare_default_acl(struct memfs *m, const struct tree *t)
{
	/* u::rwx u:0:r-- g::r-x m::r-x o::--- */
	uint8_t acl[4 + 5 * 8] = {2};
	static const uint16_t tag[] = {1, 2, 4, 0x10, 0x20}, perm[] = {7, 4, 5, 5, 0};
	int i;

	for (i = 0; i < 5; i++) {
		acl[4 + 8 * i] = (uint8_t)tag[i];
		acl[6 + 8 * i] = (uint8_t)perm[i];
		memset(acl + 8 + 8 * i, tag[i] == 2 ? 0 : 0xff, 4);
	}
	assert_ok(ka_setxattr(m->fs, t->dir, "system.posix_acl_default", acl, sizeof(acl), 0));
}

/* The ACLs come with the name, or not at all. */
static void run_inherit_acl(struct memfs *m, const struct tree *t)
{
	memfs_dir(m->fs, t->dir, "new");
}

/* Without a name: there is nothing to see, before or after. */
static void run_tmpfile(struct memfs *m, const struct tree *t)
{
	struct ka_new new = {.mode = S_IFREG | 0600};
	struct ka_attr attr;

	(void)t;
	assert_ok(ka_create(m->fs, &new, &attr));
	memfs_write_pattern(m->fs, attr.ino, 0, 1000, 9);
}

static ka_ino_t nameless;

static void prepare_tmpfile(struct memfs *m, const struct tree *t)
{
	struct ka_new new = {.mode = S_IFREG | 0600};
	struct ka_attr attr;

	(void)t;
	assert_ok(ka_create(m->fs, &new, &attr));
	nameless = attr.ino;
}

static void run_link_tmpfile(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_link(m->fs, nameless, t->dir, "named"));
}

static void run_link(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_link(m->fs, t->file, t->sub, "another"));
}

static void run_unlink(struct memfs *m, const struct tree *t)
{
	(void)t;
	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, "big"));
}

static void run_unlink_one_of_two(struct memfs *m, const struct tree *t)
{
	assert_ok(ka_unlink(m->fs, t->dir, "hard"));
}

static void run_rmdir(struct memfs *m, const struct tree *t)
{
	(void)t;
	assert_ok(ka_rmdir(m->fs, KA_ROOT_INO, "empty"));
}

static void run_rename(struct memfs *m, const struct tree *t)
{
	assert_ok(ka_rename(m->fs, KA_ROOT_INO, "file", t->sub, "moved", 0));
}

static void run_rename_dir(struct memfs *m, const struct tree *t)
{
	assert_ok(ka_rename(m->fs, KA_ROOT_INO, "full", t->sub, "moved", RENAME_NOREPLACE));
}

static void run_rename_replace(struct memfs *m, const struct tree *t)
{
	(void)t;
	assert_ok(ka_rename(m->fs, KA_ROOT_INO, "file", KA_ROOT_INO, "big", 0));
}

static void run_rename_replace_dir(struct memfs *m, const struct tree *t)
{
	(void)t;
	assert_ok(ka_rename(m->fs, KA_ROOT_INO, "full", KA_ROOT_INO, "empty", 0));
}

static void run_exchange(struct memfs *m, const struct tree *t)
{
	assert_ok(ka_rename(m->fs, KA_ROOT_INO, "full", t->dir, "other", RENAME_EXCHANGE));
}

static void run_overwrite(struct memfs *m, const struct tree *t)
{
	memfs_write_pattern(m->fs, t->file, 3000, 1001, 4);
}

static void run_append(struct memfs *m, const struct tree *t)
{
	uint8_t buf[700];
	struct ka_file *file;
	size_t written;

	memfs_pattern(buf, sizeof(buf), 5, 0);
	assert_ok(ka_open(m->fs, t->file, &file));
	assert_ok(ka_append(m->fs, file, buf, sizeof(buf), false, &written));
	ka_close(m->fs, file);
	assert_int_equal(written, sizeof(buf));
}

static void run_write_behind_hole(struct memfs *m, const struct tree *t)
{
	memfs_write_pattern(m->fs, t->other, 1 << 20, 4000, 6);
}

static void prepare_suid(struct memfs *m, const struct tree *t)
{
	struct ka_setattr set = {.valid = KA_SET_MODE, .mode = 06755};
	struct ka_attr attr;

	assert_ok(ka_setattr(m->fs, t->file, &set, &attr));
}

static void run_write_kills_suid(struct memfs *m, const struct tree *t)
{
	struct ka_file *file;
	size_t written;

	assert_ok(ka_open(m->fs, t->file, &file));
	assert_ok(ka_write(m->fs, file, "x", 1, 0, true, &written));
	ka_close(m->fs, file);
}

static void run_shrink(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_truncate(m->fs, t->big, 777));
}

static void run_extend(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_truncate(m->fs, t->file, 1 << 20));
}

static void run_setattr(struct memfs *m, const struct tree *t)
{
	struct ka_setattr set = {
		.valid = KA_SET_MODE | KA_SET_UID | KA_SET_GID | KA_SET_ATIME | KA_SET_MTIME,
		.mode = 0123,
		.uid = 1000,
		.gid = 1001,
		.atime = {-5, 6},
		.mtime = {1ll << 40, 999999999},
	};
	struct ka_attr attr;

	assert_ok(ka_setattr(m->fs, t->sub, &set, &attr));
}

static void run_setxattr(struct memfs *m, const struct tree *t)
{
	assert_ok(set_xattr(m->fs, t->dir, "user.new", value, sizeof(value)));
}

static void run_replace_xattr(struct memfs *m, const struct tree *t)
{
	char *large = malloc(KA_XATTR_MAX);

	assert_non_null(large);
	memset(large, 'L', KA_XATTR_MAX);
	assert_ok(set_xattr(m->fs, t->file, "user.old", large, KA_XATTR_MAX));
	free(large);
}

static void run_removexattr(struct memfs *m, const struct tree *t)
{
	assert_ok(ka_removexattr(m->fs, t->file, "user.old"));
}

static void run_allocate(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_fallocate(m->fs, t->inner, 0, 0, 50000));
}

static void run_allocate_keep(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_fallocate(m->fs, t->inner, FALLOC_FL_KEEP_SIZE, 0, 50000));
}

static void run_punch(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_fallocate(m->fs, t->big, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000,
				  100000));
}

static void run_zero(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_fallocate(m->fs, t->big, FALLOC_FL_ZERO_RANGE, 150000, 100000));
}

static void run_clone(struct memfs *m, const struct tree *t)
{
	assert_ok(memfs_clone(m->fs, t->big, 1000, t->other, 500, 150000));
}

static void run_checkpoint(struct memfs *m, const struct tree *t)
{
	(void)t;
	assert_ok(ka_fs_checkpoint(m->fs));
}

static void run_remount(struct memfs *m, const struct tree *t)
{
	(void)t;
	memfs_remount(m);
}

static void run_recovery(struct memfs *m, const struct tree *t)
{
	(void)t;
	memfs_crash(m);
}

static const struct scene scenes[] = {
	{"create", NULL, run_create},
	{"mkdir", NULL, run_mkdir},
	{"symlink", NULL, run_symlink},
	{"mknod", NULL, run_mknod},
	{"mkdir with ACLs", prepare_default_acl, run_inherit_acl},
	{"tmpfile", NULL, run_tmpfile},
	{"link a tmpfile", prepare_tmpfile, run_link_tmpfile},
	{"link", NULL, run_link},
	{"unlink", NULL, run_unlink},
	{"unlink one of two", NULL, run_unlink_one_of_two},
	{"rmdir", NULL, run_rmdir},
	{"rename", NULL, run_rename},
	{"rename dir", NULL, run_rename_dir},
	{"rename replace", NULL, run_rename_replace},
	{"rename replace dir", NULL, run_rename_replace_dir},
	{"exchange", NULL, run_exchange},
	{"overwrite", NULL, run_overwrite},
	{"append", NULL, run_append},
	{"write behind a hole", NULL, run_write_behind_hole},
	{"write kills suid", prepare_suid, run_write_kills_suid},
	{"shrink", NULL, run_shrink},
	{"extend", NULL, run_extend},
	{"setattr", NULL, run_setattr},
	{"setxattr", NULL, run_setxattr},
	{"replace xattr", NULL, run_replace_xattr},
	{"removexattr", NULL, run_removexattr},
	{"allocate", NULL, run_allocate},
	{"allocate keep", NULL, run_allocate_keep},
	{"punch", NULL, run_punch},
	{"zero", NULL, run_zero},
	{"clone", NULL, run_clone},
	{"checkpoint", NULL, run_checkpoint},
	{"remount", NULL, run_remount},
	{"recovery", NULL, run_recovery},
};

/* ---- staging ----------------------------------------------------------- */

/* Fills the open segment until exactly left bytes of it remain. */
static void fill_segment(struct memfs *m, uint64_t left)
{
	struct ka_writer *w = &m->fs->log.writer[0];
	ka_ino_t ino = memfs_lookup(m->fs, KA_ROOT_INO, "filler");
	uint64_t room;

	if (!ino)
		ino = memfs_file(m->fs, KA_ROOT_INO, "filler");
	for (;;) {
		room = w->end - w->addr;
		if (room == left)
			return;
		assert_true(room > left + 200); /* callers ask for less than there is */
		room -= left;
		if (room > 20000)
			memfs_write_pattern(m->fs, ino, 0, 16000, room);
		else if (room > 10000)
			memfs_write_pattern(m->fs, ino, 0, 4000, room);
		else
			memfs_write_pattern(m->fs, ino, 0, room - 80, room);
	}
}

enum start {
	START_CLEAN,  /* mounted, nothing done since */
	START_LOG,    /* all of it is in the log behind the checkpoint */
	START_CHANGE, /* the next record opens a segment, after an END */
	START_TIGHT,  /* the same where no END fits */
	START_OTHER,  /* the next record goes to another position, which is open */
	START_KINDS
};

static void stage(struct memfs *m, struct tree *t, const struct scene *s, enum start start)
{
	struct ka_region *rg;

	assert_ok(cut_region_open(bytes, &rg));
	memfs_on(m, rg);
	memfs_format(m);
	memfs_open(m);
	make_tree(m->fs, t);
	if (s->prepare)
		s->prepare(m, t);
	if (start == START_CLEAN && !s->prepare)
		memfs_remount(m);
	if (start == START_OTHER) {
		assert_int_equal(m->fs->log.writers, 2);
		fixed_cpu = 1;
		memfs_file(m->fs, t->sub, "by another");
		fixed_cpu = 0;
		memfs_write_pattern(m->fs, t->file, 0, 100, 9);
		fixed_cpu = 1;
	}
	if (start == START_CHANGE || start == START_TIGHT)
		fill_segment(m, start == START_CHANGE ? 72 : 40);
}

/* Every outcome is one of those. */
static void expect_outcomes(const struct explorer *x, const struct scene *s, const char *before,
			    const char *after)
{
	size_t i;

	for (i = 0; i < x->count; i++) {
		if (!strcmp(x->list[i].dump, before) || !strcmp(x->list[i].dump, after))
			continue;
		print_error("%s, cut kind %d at fence %lu:\n%s\nbefore:\n%s\nafter:\n%s\n", s->name,
			    (int)x->list[i].kind, (unsigned long)x->list[i].fence, x->list[i].dump,
			    before, after);
		fail();
	}
}

static void play(const struct scene *s, enum start start, uint64_t stream, bool deep)
{
	char *before, *after;
	struct explorer x;
	struct memfs m;
	struct tree t;

	playing = s->name;
	stage(&m, &t, s, start);
	explorer_init(&x, stream, deep);
	before = memfs_dump(m.fs);
	cut_region_watch(m.rg, cut_here, &x);
	s->run(&m, &t);
	cut_region_watch(m.rg, NULL, NULL);
	after = memfs_dump(m.fs);
	expect_outcomes(&x, s, before, after);
	assert_true(x.images > 0);
	/* It returned: from now on only this. */
	explorer_clear(&x);
	x.deep = false;
	cut_here(&x, m.rg, UINT64_MAX);
	expect_outcomes(&x, s, after, after);
	free(before);
	free(after);
	explorer_release(&x);
	memfs_release(&m);
}

static void test_each(void **state, enum start start)
{
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(scenes); i++)
		play(&scenes[i], start, 100 * start + i, false);
}

static void test_from_clean(void **state)
{
	test_each(state, START_CLEAN);
}

static void test_from_log(void **state)
{
	test_each(state, START_LOG);
}

static void test_segment_change(void **state)
{
	test_each(state, START_CHANGE);
}

static void test_segment_change_without_end(void **state)
{
	test_each(state, START_TIGHT);
}

/* The operation is written at another position than what it depends on. */
static void test_two_positions(void **state)
{
	static const char *const names[] = {"create",	   "unlink",	 "overwrite", "clone",
					    "rename",	   "checkpoint", "remount",   "recovery",
					    "removexattr", "link"};
	size_t i, j;

	(void)state;
	bytes = 16 << 20;
	fixed_cpus = 2;
	for (i = 0; i < KA_ARRAY_SIZE(names); i++)
		for (j = 0; j < KA_ARRAY_SIZE(scenes); j++)
			if (!strcmp(scenes[j].name, names[i]))
				play(&scenes[j], START_OTHER, 7000 + i, false);
	bytes = KA_CAPACITY_MIN;
	fixed_cpus = 1;
	fixed_cpu = 0;
}

/* The power fails in the operation, and again in the recovery. */
static void test_twice(void **state)
{
	static const char *const names[] = {"create",	  "unlink",  "overwrite", "rename replace",
					    "checkpoint", "remount", "recovery"};
	size_t i, j;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(names); i++)
		for (j = 0; j < KA_ARRAY_SIZE(scenes); j++)
			if (!strcmp(scenes[j].name, names[i]))
				play(&scenes[j], i % 2 ? START_LOG : START_CHANGE, 1000 + i, true);
}

/* ---- scenes of their own ----------------------------------------------- */

/* So little room that the spare checkpoint is given up. */
static void prepare_tight(struct memfs *m, const struct tree *t)
{
	ka_ino_t ino = memfs_file(m->fs, t->sub, "ballast");
	uint64_t off = 0;
	int i;

	for (i = 0; i < 2; i++) { /* again, as giving up the spare makes room */
		while (m->fs->segs.free > m->fs->segs.count / 4 + 1) {
			memfs_write_pattern(m->fs, ino, off, 100000, 8);
			off += 100000;
		}
		assert_ok(ka_fs_checkpoint(m->fs));
	}
	assert_int_equal(m->fs->super.ckpt[1].addr, 0);
	memfs_file(m->fs, t->sub, "more");
}

/*
 * Without a spare the old checkpoint's segments are free once the new one is
 * published, but the second copy of the superblock may still name them.
 */
static void test_tight_twice(void **state)
{
	static const struct scene tight[] = {
		{"checkpoint in a full region", prepare_tight, run_checkpoint},
		{"recovery in a full region", prepare_tight, run_recovery},
		{"remount in a full region", prepare_tight, run_remount},
		{"unlink in a full region", prepare_tight, run_unlink},
	};
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(tight); i++)
		play(&tight[i], START_LOG, 2000 + i, true);
}

/* Nothing but names, and all of them covered: what is open holds nothing that lives. */
static void prepare_no_data(struct memfs *m, const struct tree *t)
{
	(void)t;
	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, "file"));
	assert_ok(ka_unlink(m->fs, t->dir, "hard"));
	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, "big"));
	assert_ok(ka_unlink(m->fs, t->full, "inner"));
	assert_ok(ka_fs_checkpoint(m->fs));
	assert_ok(ka_fs_checkpoint(m->fs));
}

/* Then comes a machine with fewer positions, which closes what it cannot use. */
static void prepare_no_data_other(struct memfs *m, const struct tree *t)
{
	fixed_cpu = 1;
	memfs_file(m->fs, t->sub, "by another");
	prepare_no_data(m, t);
	memfs_close(m);
	fixed_cpus = 1;
	fixed_cpu = 0;
	memfs_open(m);
}

/*
 * An open segment without anything alive in it is free after a recovery, and
 * the next to be used. The checkpoint that counts still calls it open.
 */
static void test_open_segment_without_data(void **state)
{
	static const struct scene idle[] = {
		{"recovery without data", prepare_no_data, run_recovery},
		{"remount without data", prepare_no_data, run_remount},
		{"checkpoint without data", prepare_no_data, run_checkpoint},
	};
	static const struct scene other = {"checkpoint on a smaller machine", prepare_no_data_other,
					   run_checkpoint};
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(idle); i++)
		play(&idle[i], START_LOG, 8000 + i, true);
	bytes = 16 << 20;
	fixed_cpus = 2;
	play(&other, START_LOG, 8100, false);
	bytes = KA_CAPACITY_MIN;
}

/* Overwrites until a segment is needed that only a checkpoint can free. */
static void prepare_need_ckpt(struct memfs *m, const struct tree *t)
{
	struct ka_writer *w = &m->fs->log.writer[0];
	uint64_t off = 0;
	ka_ino_t ino = memfs_file(m->fs, t->sub, "ballast");

	while (m->fs->segs.free > 4) {
		memfs_write_pattern(m->fs, ino, off % 1500000, 100000, off);
		off += 100000;
	}
	while (w->end - w->addr > 1000)
		memfs_write_pattern(m->fs, ino, 0, ka_min(8000, w->end - w->addr - 500), 5);
}

static void run_need_ckpt(struct memfs *m, const struct tree *t)
{
	uint64_t seq = m->fs->super.ckpt[0].seq;

	memfs_write_pattern(m->fs, t->file, 0, 5000, 1234);
	assert_true(m->fs->super.ckpt[0].seq > seq);
}

static void test_write_that_needs_checkpoint(void **state)
{
	static const struct scene s = {"write that needs a checkpoint", prepare_need_ckpt,
				       run_need_ckpt};

	(void)state;
	play(&s, START_LOG, 3000, false);
}

/* An unlinked file that is still open is gone after the crash, space and all. */
static void test_unlinked_open_file(void **state)
{
	struct ka_fs_status st;
	struct ka_file *file;
	struct explorer x;
	struct memfs m;
	struct tree t;
	char *after;

	(void)state;
	stage(&m, &t, &scenes[0], START_LOG);
	explorer_init(&x, 4000, false);
	assert_ok(ka_open(m.fs, t.big, &file));
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "big"));
	after = memfs_dump(m.fs);
	cut_region_watch(m.rg, cut_here, &x);
	assert_ok(ka_fs_checkpoint(m.fs)); /* it holds the file without a name */
	cut_region_watch(m.rg, NULL, NULL);
	expect_outcomes(&x, &scenes[0], after, after);
	ka_fs_get_status(m.fs, &st);
	memfs_abandon(&m);
	free(file);
	memfs_open(&m);
	assert_true(test_messages_have(&m.msgs, "1 orphans dropped"));
	assert_int_equal(m.fs->index.inodes.count, st.files - 1);
	memfs_check(m.fs);
	free(after);
	explorer_release(&x);
	memfs_release(&m);
}

/* ---- a write of several records --------------------------------------- */

#define LONG 700000u

struct long_write {
	struct explorer x;
	uint64_t edge[16]; /* where a record begins */
	size_t edges;
	unsigned seen;
	uint8_t *old;
	uint8_t *new;
	uint8_t *got;
	size_t lens[4096];
	size_t outcomes;
};

/* Of each outcome only how much of the new bytes is there. */
static void cut_long(void *ctx, struct ka_region *rg, uint64_t fence)
{
	struct long_write *l = ctx;
	struct memfs m;
	enum cut_kind kind;
	ka_ino_t ino;
	size_t len, i;

	(void)fence;
	for (kind = 0; kind < CUT_KINDS; kind++) {
		cut_region_image(rg, kind, &l->x.rng, l->x.image);
		memfs_over(&m, l->x.image, bytes);
		memfs_open(&m);
		complain(&m);
		memfs_check(m.fs);
		ino = memfs_lookup(m.fs, KA_ROOT_INO, "long");
		assert_true(memfs_has_pattern(m.fs, memfs_lookup(m.fs, KA_ROOT_INO, "file"), 0,
					      10000, 1));
		assert_ok(memfs_read(m.fs, ino, 0, l->got, LONG, &len));
		assert_int_equal(len, LONG);
		for (i = 0; i < LONG && l->got[i] == l->new[i]; i++)
			;
		l->lens[l->outcomes++] = i;
		assert_memory_equal(l->got + i, l->old + i, LONG - i);
		memfs_release(&m);
	}
}

static void test_long_write(void **state)
{
	struct long_write l = {0};
	const struct ka_extent *e;
	struct memfs m;
	struct tree t;
	ka_ino_t ino;
	size_t i, j;

	(void)state;
	stage(&m, &t, &scenes[0], START_LOG);
	explorer_init(&l.x, 5000, false);
	l.old = malloc(LONG);
	l.new = malloc(LONG);
	l.got = malloc(LONG);
	assert_true(l.old && l.new &&l.got);
	memset(l.old, 1, LONG); /* no byte of it is as in the new one */
	memset(l.new, 2, LONG);
	ino = memfs_file(m.fs, KA_ROOT_INO, "long");
	memfs_write(m.fs, ino, 0, l.old, LONG);
	cut_region_watch(m.rg, cut_long, &l);
	memfs_write(m.fs, ino, 0, l.new, LONG);
	cut_region_watch(m.rg, NULL, NULL);
	for (e = ka_extents_find(&ka_index_find(&m.fs->index, ino)->extents, 0); e;
	     e = ka_extents_next(e))
		l.edge[l.edges++] = e->off;
	assert_true(l.edges >= 3);
	for (i = 0; i < l.outcomes; i++) {
		for (j = 0; j < l.edges && l.lens[i] != l.edge[j]; j++)
			;
		assert_true(j < l.edges || l.lens[i] == LONG);
	}
	i = l.outcomes;
	cut_long(&l, m.rg, 0);
	for (; i < l.outcomes; i++)
		assert_int_equal(l.lens[i], LONG);
	free(l.old);
	free(l.new);
	free(l.got);
	explorer_release(&l.x);
	memfs_release(&m);
}

/* ---- formatting -------------------------------------------------------- */

struct format {
	struct explorer x;
	unsigned nothing, old, fresh;
};

/* The old filesystem whole, none at all, or the new one. */
static void cut_format(void *ctx, struct ka_region *rg, uint64_t fence)
{
	struct format *f = ctx;
	struct memfs m;
	int err, i;

	(void)fence;
	for (i = 0; i < 24; i++) {
		cut_region_image(rg, (enum cut_kind)(i % CUT_KINDS), &f->x.rng, f->x.image);
		memfs_over(&m, f->x.image, bytes);
		err = memfs_try_open(&m);
		if (err) {
			assert_true(err == -KA_ERR_NOT_KEEPALIVE || err == -KA_ERR_SUPER_CSUM);
			f->nothing++;
		} else if (memfs_lookup(m.fs, KA_ROOT_INO, "file")) {
			complain(&m);
			f->old++;
		} else {
			complain(&m);
			assert_int_equal(m.fs->index.inodes.count, 1);
			f->fresh++;
		}
		memfs_release(&m);
	}
}

static void test_format(void **state)
{
	struct format f = {0};
	struct memfs m;
	struct tree t;

	(void)state;
	stage(&m, &t, &scenes[0], START_LOG);
	memfs_abandon(&m);
	explorer_init(&f.x, 6000, false);
	cut_region_watch(m.rg, cut_format, &f);
	memfs_format(&m);
	cut_region_watch(m.rg, NULL, NULL);
	assert_true(f.nothing && f.old && f.fresh);
	f.nothing = f.old = 0;
	cut_format(&f, m.rg, 0);
	assert_int_equal(f.nothing + f.old, 0);
	explorer_release(&f.x);
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_clean),
		cmocka_unit_test(test_from_log),
		cmocka_unit_test(test_segment_change),
		cmocka_unit_test(test_segment_change_without_end),
		cmocka_unit_test(test_two_positions),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_tight_twice),
		cmocka_unit_test(test_open_segment_without_data),
		cmocka_unit_test(test_write_that_needs_checkpoint),
		cmocka_unit_test(test_unlinked_open_file),
		cmocka_unit_test(test_long_write),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_seal.c - sealing: nothing changes afterwards, what had returned is there
 * without a recovery, and taking it back is durable before the first record.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "memfs.h"
#include "region_cut.h"

#define BYTES KA_CAPACITY_MIN

struct tree {
	ka_ino_t dir, file, other;
};

static void make_tree(struct memfs *m, struct tree *t)
{
	t->dir = memfs_dir(m->fs, KA_ROOT_INO, "dir");
	t->file = memfs_file(m->fs, t->dir, "file");
	t->other = memfs_file(m->fs, KA_ROOT_INO, "other");
	memfs_write_pattern(m->fs, t->file, 0, 50000, 1);
	assert_ok(ka_setxattr(m->fs, t->file, "user.a", "b", 1, 0));
}

static enum ka_super_state state_of(struct memfs *m)
{
	struct ka_super sb;

	assert_ok(ka_super_read(m->rg, NULL, NULL, &sb));
	return sb.state;
}

static uint8_t *copy_of(const struct memfs *m)
{
	uint8_t *copy = malloc(m->bytes);

	assert_non_null(copy);
	memcpy(copy, m->mem, m->bytes);
	return copy;
}

static void refuse_names(struct ka_fs *fs, const struct tree *t)
{
	ka_ino_t ino;

	assert_err(memfs_try_create(fs, KA_ROOT_INO, "new", S_IFREG | 0644, NULL, &ino), -EROFS);
	assert_err(memfs_try_create(fs, KA_ROOT_INO, "new", S_IFDIR | 0755, NULL, &ino), -EROFS);
	assert_err(memfs_try_create(fs, KA_ROOT_INO, "new", S_IFLNK | 0777, "x", &ino), -EROFS);
	assert_err(memfs_link(fs, t->file, KA_ROOT_INO, "new"), -EROFS);
	assert_err(ka_unlink(fs, KA_ROOT_INO, "other"), -EROFS);
	assert_err(ka_rmdir(fs, KA_ROOT_INO, "dir"), -EROFS);
	assert_err(ka_rename(fs, KA_ROOT_INO, "other", t->dir, "moved", 0), -EROFS);
}

static void refuse_contents(struct ka_fs *fs, const struct tree *t, struct ka_file *file)
{
	struct ka_setattr set = {.valid = KA_SET_MODE, .mode = 0600};
	struct ka_attr attr;
	uint64_t copied;
	size_t n;

	assert_err(ka_write(fs, file, "x", 1, 0, false, &n), -EROFS);
	assert_err(ka_append(fs, file, "x", 1, false, &n), -EROFS);
	assert_err(ka_fallocate(fs, file, 0, 0, 100000), -EROFS);
	assert_err(ka_fallocate(fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
		   -EROFS);
	assert_err(ka_copy_range(fs, file, 0, file, 60000, 4096, &copied), -EROFS);
	assert_err(ka_setattr(fs, t->file, &set, &attr), -EROFS);
	assert_err(memfs_truncate(fs, t->file, 10), -EROFS);
	assert_err(ka_setxattr(fs, t->file, "user.c", "d", 1, 0), -EROFS);
	assert_err(ka_removexattr(fs, t->file, "user.a"), -EROFS);
	assert_err(ka_fs_checkpoint(fs), -EROFS);
}

/* Open files and reading included: with times of access kept, too. */
static void test_nothing_changes(void **state)
{
	struct ka_file *file;
	struct memfs m;
	struct tree t;
	uint8_t *before;
	char *dump, *after;

	(void)state;
	memfs_make(&m, BYTES);
	make_tree(&m, &t);
	ka_fs_set_noatime(m.fs, false);
	assert_ok(ka_open(m.fs, t.file, &file));
	dump = memfs_dump(m.fs);
	assert_false(ka_fs_is_rdonly(m.fs));
	assert_ok(ka_fs_seal(m.fs));
	assert_true(ka_fs_is_rdonly(m.fs));
	assert_int_equal(state_of(&m), KA_STATE_SEALED);
	before = copy_of(&m);
	refuse_names(m.fs, &t);
	refuse_contents(m.fs, &t, file);
	assert_false(ka_atime_is_due(m.fs, file));
	assert_false(ka_fs_wants_checkpoint(m.fs));
	assert_true(memfs_has_pattern(m.fs, t.file, 0, 50000, 1));
	ka_close(m.fs, file);
	assert_ok(ka_fs_seal(m.fs)); /* once is enough */
	free(memfs_dump(m.fs));
	memfs_check(m.fs);
	memfs_close(&m);
	assert_memory_equal(m.mem, before, m.bytes);
	/* The next mount for writing takes it back; it has nothing to recover. */
	memfs_open(&m);
	assert_int_equal(state_of(&m), KA_STATE_MOUNTED);
	assert_false(test_messages_have(&m.msgs, "recovered"));
	assert_int_equal(m.fs->super.recovered, 0);
	assert_int_equal(m.fs->super.unclean_ns, 0);
	after = memfs_dump(m.fs);
	assert_int_equal(strlen(after), strlen(dump)); /* but for a time of access */
	free(after);
	free(dump);
	free(before);
	memfs_release(&m);
}

/* kill -9 of the daemon, or the reboot: as after a clean end. */
static void test_needs_no_recovery(void **state)
{
	struct memfs m;
	struct tree t;
	char *dump, *after;

	(void)state;
	memfs_make(&m, BYTES);
	make_tree(&m, &t);
	dump = memfs_dump(m.fs);
	assert_ok(ka_fs_seal(m.fs));
	memfs_abandon(&m);
	assert_int_equal(state_of(&m), KA_STATE_SEALED);
	m.opts.rdonly = true;
	memfs_open(&m);
	assert_int_equal(state_of(&m), KA_STATE_SEALED);
	assert_err(ka_fs_seal(m.fs), -EROFS);
	assert_err(ka_fs_unseal(m.fs), -EROFS);
	memfs_close(&m);
	m.opts.rdonly = false;
	memfs_open(&m);
	assert_false(test_messages_have(&m.msgs, "recovered"));
	after = memfs_dump(m.fs);
	assert_string_equal(after, dump);
	memfs_write_pattern(m.fs, t.other, 0, 100, 3);
	memfs_crash(&m);
	assert_true(memfs_has_pattern(m.fs, t.other, 0, 100, 3));
	free(after);
	free(dump);
	memfs_release(&m);
}

static void test_unseal(void **state)
{
	struct memfs m;
	struct tree t;
	int i;

	(void)state;
	memfs_make(&m, BYTES);
	make_tree(&m, &t);
	assert_ok(ka_fs_unseal(m.fs)); /* nothing to take back */
	for (i = 0; i < 3; i++) {
		assert_ok(ka_fs_seal(m.fs));
		assert_ok(ka_fs_unseal(m.fs));
		assert_int_equal(state_of(&m), KA_STATE_MOUNTED);
		memfs_write_pattern(m.fs, t.other, 0, 3000, (uint64_t)i);
		assert_ok(ka_unlink(m.fs, memfs_lookup(m.fs, KA_ROOT_INO, "dir"), "file"));
		t.file = memfs_file(m.fs, t.dir, "file");
		memfs_check(m.fs);
		memfs_crash(&m);
		assert_true(memfs_has_pattern(m.fs, t.other, 0, 3000, (uint64_t)i));
		memfs_check(m.fs);
	}
	memfs_release(&m);
}

/* A file without a name stays readable, and is gone after the reboot. */
static void test_orphans(void **state)
{
	struct ka_fs_status st;
	struct ka_file *file;
	struct memfs m;
	struct tree t;

	(void)state;
	memfs_make(&m, BYTES);
	make_tree(&m, &t);
	assert_ok(ka_open(m.fs, t.file, &file));
	assert_ok(ka_unlink(m.fs, t.dir, "file"));
	assert_ok(ka_fs_seal(m.fs));
	assert_true(memfs_has_pattern(m.fs, t.file, 0, 50000, 1));
	assert_ok(ka_fs_unseal(m.fs));
	assert_true(memfs_has_pattern(m.fs, t.file, 0, 50000, 1));
	assert_ok(ka_fs_seal(m.fs));
	memfs_abandon(&m);
	free(file);
	memfs_open(&m);
	ka_fs_get_status(m.fs, &st);
	assert_int_equal(st.files, 3);
	memfs_check(m.fs);
	memfs_write_pattern(m.fs, t.other, 0, 200000, 5);
	memfs_crash(&m);
	ka_fs_get_status(m.fs, &st);
	assert_int_equal(st.files, 3);
	assert_false(st.damaged);
	assert_true(memfs_has_pattern(m.fs, t.other, 0, 200000, 5));
	memfs_release(&m);
}

/* ---- the power fails ------------------------------------------------------ */

struct cutter {
	struct test_rng rng;
	uint8_t *image;
	char *want[2]; /* before and after what is under way */
	bool sealed;   /* it had returned that it is sealed */
	unsigned images;
};

static void look(struct cutter *c)
{
	enum ka_super_state was;
	struct memfs m;
	char *dump;

	memfs_over(&m, c->image, BYTES);
	was = state_of(&m);
	if (c->sealed)
		assert_int_equal(was, KA_STATE_SEALED);
	memfs_open(&m);
	assert_int_equal(m.msgs.errors, 0);
	assert_int_equal(m.fs->super.lost, 0);
	assert_int_equal(test_messages_have(&m.msgs, "recovered"), was == KA_STATE_MOUNTED);
	memfs_check(m.fs);
	dump = memfs_dump(m.fs);
	assert_true(!strcmp(dump, c->want[0]) || (c->want[1] && !strcmp(dump, c->want[1])));
	free(dump);
	memfs_file(m.fs, KA_ROOT_INO, "later");
	memfs_crash(&m);
	assert_true(memfs_lookup(m.fs, KA_ROOT_INO, "later") != 0);
	memfs_release(&m);
	c->images++;
}

static void cut_here(void *ctx, struct ka_region *rg, uint64_t fence)
{
	struct cutter *c = ctx;
	enum cut_kind kind;
	unsigned i;

	(void)fence;
	for (kind = 0; kind < CUT_KINDS; kind++) {
		for (i = 0; i < (kind < CUT_SOME ? 1 : 4 * test_scale()); i++) {
			cut_region_image(rg, kind, &c->rng, c->image);
			look(c);
		}
	}
}

/* What want[0] and want[1] are from here on. */
static void expect(struct cutter *c, char *before, char *after)
{
	free(c->want[0]);
	free(c->want[1]);
	c->want[0] = before;
	c->want[1] = after;
}

/* seal, stay, unseal, write, at each fence and after each step. */
static void test_cuts(void **state)
{
	struct cutter c = {.rng = test_rng(1), .image = malloc(BYTES)};
	struct ka_region *rg;
	struct memfs m;
	struct tree t;
	int round;

	(void)state;
	assert_non_null(c.image);
	assert_ok(cut_region_open(BYTES, &rg));
	memfs_on(&m, rg);
	memfs_format(&m);
	memfs_open(&m);
	make_tree(&m, &t);
	for (round = 0; round < 3; round++) {
		expect(&c, memfs_dump(m.fs), NULL);
		cut_region_watch(rg, cut_here, &c);
		assert_ok(ka_fs_seal(m.fs));
		c.sealed = true;
		cut_here(&c, rg, 0);
		c.sealed = false;
		assert_ok(ka_fs_unseal(m.fs));
		cut_here(&c, rg, 0);
		cut_region_watch(rg, NULL, NULL);
		/* In one record, so that there is nothing between before and after. */
		memfs_write_pattern(m.fs, t.other, 0, 6000, 10 + (uint64_t)round);
		expect(&c, memfs_dump(m.fs), NULL);
		cut_here(&c, rg, 0);
	}
	print_message("%u images\n", c.images);
	expect(&c, NULL, NULL);
	free(c.image);
	memfs_release(&m);
}

/* ---- others write meanwhile ------------------------------------------------ */

struct writer {
	struct ka_fs *fs;
	ka_ino_t ino;
	uint64_t returned; /* bytes of writes that did */
	int err;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	struct ka_file *file;
	char buf[100];
	size_t n;

	memset(buf, 'w', sizeof(buf));
	assert_ok(ka_open(w->fs, w->ino, &file));
	while (!(w->err = ka_append(w->fs, file, buf, sizeof(buf), false, &n)))
		w->returned += n;
	ka_close(w->fs, file);
	return NULL;
}

/* Each write is either refused or in what the next kernel finds. */
static void test_against_writers(void **state)
{
	struct writer w[3];
	struct ka_attr attr;
	pthread_t thread[3];
	struct memfs m;
	char name[8] = "w0";
	size_t i;

	(void)state;
	memfs_make(&m, 64ull << 20);
	for (i = 0; i < KA_ARRAY_SIZE(w); i++) {
		name[1] = (char)('0' + i);
		w[i] = (struct writer){.fs = m.fs, .ino = memfs_file(m.fs, KA_ROOT_INO, name)};
		assert_int_equal(pthread_create(&thread[i], NULL, write_on, &w[i]), 0);
	}
	do
		assert_ok(ka_getattr(m.fs, w[0].ino, &attr));
	while (attr.size < 10000);
	assert_ok(ka_fs_seal(m.fs));
	for (i = 0; i < KA_ARRAY_SIZE(w); i++) {
		pthread_join(thread[i], NULL);
		assert_err(w[i].err, -EROFS);
	}
	memfs_abandon(&m);
	memfs_open(&m);
	assert_false(test_messages_have(&m.msgs, "recovered"));
	for (i = 0; i < KA_ARRAY_SIZE(w); i++) {
		assert_ok(ka_getattr(m.fs, w[i].ino, &attr));
		assert_int_equal(attr.size, w[i].returned);
	}
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_changes),
		cmocka_unit_test(test_needs_no_recovery),
		cmocka_unit_test(test_unseal),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_against_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

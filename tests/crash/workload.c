/* SPDX-License-Identifier: GPL-2.0-or-later */
/* workload.c - start states, names of workloads; see workload.h. */
#include "workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"

#define SMALL KA_CAPACITY_MIN
#define LARGE (16u << 20) /* room for two writer positions */

/* What every start state has. */
static void tree_make(struct memfs *m)
{
	struct ka_setattr suid = {.valid = KA_SET_MODE, .mode = 06755};
	struct ka_fs *fs = m->fs;
	struct ka_attr attr;
	ka_ino_t a, b, d, u;

	a = memfs_file(fs, KA_ROOT_INO, "a");
	d = memfs_dir(fs, KA_ROOT_INO, "d");
	b = memfs_file(fs, d, "b");
	u = memfs_file(fs, KA_ROOT_INO, "u");
	memfs_dir(fs, KA_ROOT_INO, "e");
	memfs_symlink(fs, KA_ROOT_INO, "s", "some/where");
	assert_ok(memfs_link(fs, a, d, "h"));
	memfs_write_pattern(fs, a, 0, 20000, 1);
	memfs_write_pattern(fs, b, 100, 1500, 2);
	memfs_write_pattern(fs, u, 0, 100, 3);
	assert_ok(ka_setxattr(fs, a, "user.old", "value", 5, 0));
	assert_ok(ka_setattr(fs, u, &suid, &attr));
}

/* ---- start states ----------------------------------------------------- */

/* Nothing in the log. */
static void build_clean(struct memfs *m)
{
	memfs_remount(m);
}

/* Two checkpoints, and some log behind them. */
static void build_log(struct memfs *m)
{
	ka_ino_t a;

	assert_ok(ka_fs_checkpoint(m->fs));
	assert_ok(ka_fs_checkpoint(m->fs));
	a = memfs_lookup(m->fs, KA_ROOT_INO, "a");
	memfs_write_pattern(m->fs, a, 5000, 3000, 4);
	memfs_file(m->fs, memfs_lookup(m->fs, KA_ROOT_INO, "d"), "behind");
	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, "s"));
}

/* Fills the open segment until exactly left bytes of it remain. */
static void fill_segment(struct memfs *m, uint64_t left)
{
	struct ka_writer *w = &m->fs->log.writer[0];
	ka_ino_t ino = memfs_file(m->fs, KA_ROOT_INO, "filler");
	uint64_t room;

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

/* The next record opens a segment, after an END ... */
static void build_change(struct memfs *m)
{
	fill_segment(m, 72);
}

/* ... or without one, as none fits. */
static void build_no_end(struct memfs *m)
{
	fill_segment(m, 40);
}

/* A long write is split over two segments. */
static void build_split(struct memfs *m)
{
	fill_segment(m, 6000);
}

/* So little room that the spare checkpoint is given up. */
static void build_no_spare(struct memfs *m)
{
	ka_ino_t ino = memfs_file(m->fs, KA_ROOT_INO, "ballast");
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
	memfs_file(m->fs, KA_ROOT_INO, "more");
}

/* Overwritten until a segment is needed that only a checkpoint can free. */
static void build_full(struct memfs *m)
{
	struct ka_writer *w = &m->fs->log.writer[0];
	ka_ino_t ino = memfs_file(m->fs, KA_ROOT_INO, "ballast");
	uint64_t off = 0;

	while (m->fs->segs.free > 4) {
		memfs_write_pattern(m->fs, ino, off % 1500000, 100000, off);
		off += 100000;
	}
	while (w->end - w->addr > 1000)
		memfs_write_pattern(m->fs, ino, 0, ka_min(8000, w->end - w->addr - 500), 5);
	while (w->end - w->addr > 100)
		memfs_write_pattern(m->fs, ino, 0, 1, 5);
}

/* Both positions have a segment; what is done next goes to the other one. */
static void build_two(struct memfs *m)
{
	assert_int_equal(m->fs->log.writers, 2);
	fixed_cpu = 1;
	memfs_file(m->fs, memfs_lookup(m->fs, KA_ROOT_INO, "d"), "by another");
	fixed_cpu = 0;
	memfs_write_pattern(m->fs, memfs_lookup(m->fs, KA_ROOT_INO, "a"), 0, 100, 9);
}

/*
 * Nothing but names, and all of them covered: the open segment holds nothing
 * that lives. It is free after a recovery, and the next to be used, while the
 * checkpoint that counts still calls it open.
 */
static void build_no_data(struct memfs *m)
{
	ka_ino_t d = memfs_lookup(m->fs, KA_ROOT_INO, "d");

	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, "a"));
	assert_ok(ka_unlink(m->fs, d, "h"));
	assert_ok(ka_unlink(m->fs, d, "b"));
	assert_ok(ka_unlink(m->fs, KA_ROOT_INO, "u"));
	assert_ok(ka_fs_checkpoint(m->fs));
	assert_ok(ka_fs_checkpoint(m->fs));
}

/* Full segments with a little in each, some of it covered, some shared. */
static void build_holes(struct memfs *m)
{
	ka_ino_t ballast = memfs_file(m->fs, KA_ROOT_INO, "ballast");
	ka_ino_t kept = memfs_file(m->fs, KA_ROOT_INO, "kept");
	ka_ino_t share = memfs_file(m->fs, KA_ROOT_INO, "share");
	unsigned i;

	for (i = 0; i < 24; i++) {
		if (i == 12)
			assert_ok(ka_fs_checkpoint(m->fs));
		memfs_write_pattern(m->fs, ballast, i % 2 * 50000, 50000, i);
		memfs_write_pattern(m->fs, kept, i * 1000, 1000, i);
	}
	assert_ok(memfs_clone(m->fs, kept, 500, share, 0, 3000));
	assert_ok(memfs_truncate(m->fs, ballast, 1000));
}

/* What lives lies at the end, some of it uncovered; in front there is room. */
static void build_tail(struct memfs *m)
{
	ka_ino_t ballast = memfs_file(m->fs, KA_ROOT_INO, "ballast"), ino;
	char name[16];
	unsigned i;

	for (i = 0; m->fs->segs.free > 6; i++)
		memfs_write_pattern(m->fs, ballast, i * 50000ull, 50000, i);
	for (i = 0; m->fs->segs.free > 4; i++) {
		if (i == 1)
			assert_ok(ka_fs_checkpoint(m->fs));
		snprintf(name, sizeof(name), "tail%u", i);
		ino = memfs_file(m->fs, KA_ROOT_INO, name);
		memfs_write_pattern(m->fs, ino, 0, 90000, i);
	}
	assert_ok(memfs_truncate(m->fs, ballast, 1000));
}

/* Then comes a machine with fewer processors, which closes what it cannot use. */
static void build_smaller(struct memfs *m)
{
	fixed_cpu = 1;
	build_no_data(m);
	memfs_close(m);
	fixed_cpus = 1;
	fixed_cpu = 0;
	memfs_open(m);
}

const struct start starts[] = {
	{"clean", SMALL, 1, build_clean, true},	    {"log", SMALL, 1, build_log, true},
	{"change", SMALL, 1, build_change, true},   {"noend", SMALL, 1, build_no_end, false},
	{"split", SMALL, 1, build_split, true},	    {"nospare", SMALL, 1, build_no_spare, false},
	{"holes", SMALL, 1, build_holes, true},	    {"tail", SMALL, 1, build_tail, true},
	{"full", SMALL, 1, build_full, true},	    {"two", LARGE, 2, build_two, true},
	{"nodata", SMALL, 1, build_no_data, false}, {"smaller", LARGE, 2, build_smaller, false},
};
const size_t start_count = KA_ARRAY_SIZE(starts);

uint64_t starts_bytes(void)
{
	return LARGE;
}

/* ---- names ------------------------------------------------------------ */

void workload_of(struct workload *w, const struct start *start, const struct op *first,
		 const struct op *second)
{
	*w = (struct workload){.start = start, .op = {first, second}, .drop = -1};
	w->count = second ? 2 : 1;
	snprintf(w->name, sizeof(w->name), "%s:%s%s%s", start->name, first->name, second ? "+" : "",
		 second ? second->name : "");
}

#define RANDOM "random-"

void workload_random(struct workload *w, uint64_t number)
{
	struct test_rng rng = test_rng(number ^ 0x776f726bull << 32);
	unsigned i;

	*w = (struct workload){.each = true, .drop = -1};
	w->start = &starts[test_below(&rng, start_count)];
	w->count = 3 + (unsigned)test_below(&rng, WORKLOAD_OPS - 2);
	for (i = 0; i < w->count; i++) {
		do
			w->op[i] = &ops[test_below(&rng, op_count)];
		while (w->op[i]->format && i + 1 < w->count); /* only as the last one */
	}
	snprintf(w->name, sizeof(w->name), "%s:" RANDOM "%" PRIu64, w->start->name, number);
}

void workload_drop(struct workload *w, int64_t fence)
{
	size_t len = strlen(w->name);

	w->drop = fence;
	snprintf(w->name + len, sizeof(w->name) - len, "!%" PRId64, fence);
}

static const struct start *find_start(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < start_count; i++)
		if (strlen(starts[i].name) == len && !memcmp(starts[i].name, name, len))
			return &starts[i];
	return NULL;
}

static const struct op *find_op(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < op_count; i++)
		if (strlen(ops[i].name) == len && !memcmp(ops[i].name, name, len))
			return &ops[i];
	return NULL;
}

bool workload_parse(struct workload *w, const char *text, const char **ret_end)
{
	size_t len = strcspn(text, ":");
	const struct op *op[2] = {NULL, NULL};
	const struct start *start = find_start(text, len);
	char *end;
	int i;

	if (!start || !text[len])
		return false;
	text += len + 1;
	if (!strncmp(text, RANDOM, strlen(RANDOM))) {
		workload_random(w, strtoull(text + strlen(RANDOM), &end, 10));
		*ret_end = end;
		return w->start == start;
	}
	for (i = 0; i < 2; i++) {
		len = strcspn(text, "+!@");
		op[i] = find_op(text, len);
		if (!op[i])
			return false;
		text += len;
		if (*text != '+' || i)
			break;
		text++;
	}
	workload_of(w, start, op[0], op[1]);
	if (*text == '!') {
		workload_drop(w, strtoll(text + 1, &end, 10));
		text = end;
	}
	*ret_end = text;
	return true;
}

/* ---- running ---------------------------------------------------------- */

void workload_begin(const struct workload *w, struct memfs *m)
{
	fixed_cpus = w->start->cpus;
	memfs_format(m);
	memfs_open(m);
	tree_make(m);
	w->start->build(m);
}

int workload_run(const struct workload *w, unsigned i, struct memfs *m)
{
	/* Where there are two positions, they take turns. */
	fixed_cpu = (int)(i + 1) % fixed_cpus;
	return w->op[i]->run(m, w->op[i]);
}

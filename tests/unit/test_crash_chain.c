/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_crash_chain.c - one power cut after the other on the same region: what
 * each of them leaves is what the next life begins with, half written segments
 * of many lives included. A cut may hit an operation, a checkpoint, a recovery
 * or the recovery of a recovery. The state is always that before or after the
 * operation which was cut.
 */
#include "test.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "memfs.h"
#include "region_cut.h"

#define LIVES 250
#define NAMES 12

struct chain {
	struct test_rng rng;
	uint64_t bytes;
	struct memfs m;
	uint8_t *image;
	bool taken;	 /* image is what the cut left */
	uint64_t fences; /* until the cut */
	unsigned during, after, recoveries, full;
};

static uint64_t below(struct chain *c, uint64_t limit)
{
	return test_below(&c->rng, limit);
}

static void pick_name(struct chain *c, char name[16])
{
	snprintf(name, 16, "n%d", (int)below(c, NAMES));
}

/* A regular file by a name of chance, or 0. */
static ka_ino_t pick_file(struct chain *c)
{
	struct ka_attr attr;
	char name[16];

	pick_name(c, name);
	if (ka_lookup(c->m.fs, KA_ROOT_INO, name, &attr))
		return 0;
	ka_forget(c->m.fs, attr.ino, 1);
	return S_ISREG(attr.mode) ? attr.ino : 0;
}

/*
 * One operation of at most one record, or a checkpoint. It may fail, for lack
 * of space too: then nothing has changed.
 */
static void operate(struct chain *c)
{
	static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFDIR, S_IFLNK};
	uint32_t type = types[below(c, 4)];
	struct ka_fs *fs = c->m.fs;
	char name[16], other[16], value[3000];
	ka_ino_t ino = pick_file(c), to = pick_file(c);
	uint64_t off = below(c, 50000);
	size_t len = 1 + below(c, 4000), written;

	pick_name(c, name);
	pick_name(c, other);
	fixed_cpu = (int)below(c, 2);
	switch (below(c, 12)) {
	case 0:
		memfs_try_create(fs, KA_ROOT_INO, name, type | 0644,
				 type == S_IFLNK ? "target" : NULL, &ino);
		break;
	case 1:
		if (ka_unlink(fs, KA_ROOT_INO, name))
			ka_rmdir(fs, KA_ROOT_INO, name);
		break;
	case 2:
		ka_rename(fs, KA_ROOT_INO, name, KA_ROOT_INO, other,
			  below(c, 2) ? RENAME_EXCHANGE : 0);
		break;
	case 3:
		if (ino)
			memfs_link(fs, ino, KA_ROOT_INO, other);
		break;
	case 4:
		if (ino)
			memfs_truncate(fs, ino, below(c, 2) ? off : 0);
		break;
	case 5:
		if (ino)
			memfs_fallocate(fs, ino,
					below(c, 2) ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
						    : 0,
					off, len);
		break;
	case 6:
		if (ino && to && ino != to) {
			struct ka_attr attr;

			assert_ok(ka_getattr(fs, ino, &attr));
			if (attr.size)
				memfs_clone(fs, ino, 0, to, off, attr.size);
		}
		break;
	case 7:
		memset(value, (int)off, sizeof(value));
		if (ino && ka_setxattr(fs, ino, "user.a", value, len % sizeof(value), 0))
			ka_removexattr(fs, ino, "user.a");
		break;
	case 8:
		if (!below(c, 3))
			ka_fs_checkpoint(fs);
		break;
	default:
		memset(value, (int)len, sizeof(value));
		if (ino &&
		    memfs_try_write(fs, ino, off, value, ka_min(len, sizeof(value)), &written))
			c->full++;
	}
}

/* Long writes, so that segments fill up and are used again. */
static void churn(struct chain *c)
{
	uint8_t *buf = malloc(200000);
	ka_ino_t ino = pick_file(c);
	size_t written;

	assert_non_null(buf);
	test_fill(&c->rng, buf, 200000);
	if (ino &&
	    memfs_try_write(c->m.fs, ino, below(c, 100000), buf, 1 + below(c, 200000), &written))
		ka_unlink(c->m.fs, KA_ROOT_INO, (char[]){'n', (char)('0' + below(c, 10)), 0});
	free(buf);
}

static void cut(struct chain *c, struct ka_region *rg)
{
	cut_region_image(rg, (enum cut_kind)below(c, CUT_KINDS), &c->rng, c->image);
	c->taken = true;
}

static void count_down(void *ctx, struct ka_region *rg, uint64_t fences)
{
	struct chain *c = ctx;

	(void)fences;
	if (!c->taken && !c->fences--)
		cut(c, rg);
}

/* From now on the power fails at one of the next fences. */
static void arm(struct chain *c, uint64_t limit)
{
	c->taken = false;
	c->fences = below(c, limit);
	cut_region_watch(c->m.rg, count_down, c);
}

/* The next life: on what the cut left. */
static void boot(struct chain *c)
{
	struct ka_region *rg;

	assert_ok(cut_region_open_image(c->image, c->bytes, &rg));
	memfs_on(&c->m, rg);
}

static void expect_sound(struct chain *c)
{
	struct ka_fs_status st;

	if (c->m.msgs.errors)
		print_error("%s", c->m.msgs.text);
	assert_int_equal(c->m.msgs.errors, 0);
	ka_fs_get_status(c->m.fs, &st);
	assert_false(st.damaged || st.rdonly);
	assert_int_equal(st.super.lost, 0);
	memfs_check(c->m.fs);
}

/* Recovers, though the power may fail in that too, several times. */
static void recover(struct chain *c)
{
	for (;;) {
		boot(c);
		arm(c, 20);
		if (memfs_try_open(&c->m))
			print_error("%s", c->m.msgs.text ?: "");
		assert_non_null(c->m.fs);
		if (!c->taken)
			break;
		c->recoveries++;
		memfs_release(&c->m);
	}
	cut_region_watch(c->m.rg, NULL, NULL);
	expect_sound(c);
}

static void live(struct chain *c)
{
	char *before = NULL, *after, *got;
	uint64_t i, steps = below(c, 30);
	bool during;

	for (i = 0; i < steps; i++) {
		operate(c);
		if (!below(c, 4))
			churn(c);
	}
	if (!below(c, 6))
		memfs_remount(&c->m);
	test_messages_clear(&c->m.msgs); /* a checkpoint may have found no room */
	arm(c, 8);
	for (i = 0; !c->taken && i < 10; i++) {
		free(before);
		before = memfs_dump(c->m.fs);
		operate(c);
	}
	during = c->taken;
	cut_region_watch(c->m.rg, NULL, NULL);
	after = memfs_dump(c->m.fs);
	if (!during)
		cut(c, c->m.rg);
	memfs_release(&c->m);

	recover(c);
	got = memfs_dump(c->m.fs);
	if (strcmp(got, after) && (!during || strcmp(got, before))) {
		print_error("before:\n%s\nafter:\n%s\ngot:\n%s\n", before, after, got);
		fail();
	}
	c->during += during;
	c->after += !during;
	free(before);
	free(after);
	free(got);
}

static void run(uint64_t stream, uint64_t bytes, int cpus, unsigned lives)
{
	struct chain c = {.rng = test_rng(stream), .bytes = bytes, .image = malloc(bytes)};
	struct ka_region *rg;
	char name[16];
	unsigned i;

	assert_non_null(c.image);
	fixed_cpus = cpus;
	assert_ok(cut_region_open(bytes, &rg));
	memfs_on(&c.m, rg);
	memfs_format(&c.m);
	memfs_open(&c.m);
	for (i = 0; i < NAMES / 2; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		memfs_write_pattern(c.m.fs, memfs_file(c.m.fs, KA_ROOT_INO, name), 0, 30000, i);
	}
	for (i = 0; i < lives; i++)
		live(&c);
	print_message("cut %u times within, %u times after an operation, %u times in recovery; "
		      "full %u times\n",
		      c.during, c.after, c.recoveries, c.full);
	assert_true(c.during && c.after && c.recoveries);
	memfs_release(&c.m);
	fixed_cpus = 1;
	fixed_cpu = 0;
	free(c.image);
}

static void test_small(void **state)
{
	(void)state;
	run(1, KA_CAPACITY_MIN, 1, LIVES * test_scale());
}

static void test_two_positions(void **state)
{
	(void)state;
	run(2, 16 << 20, 2, LIVES / 5 * test_scale());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_two_positions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_image.c - the power fails while an image is restored over another life of
 * the same filesystem: there is none afterwards, or that of the image, whole. And
 * memory errors while one is made.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "image_copy.h"
#include "memfs.h"
#include "poison.h"
#include "region_cut.h"

#define BYTES KA_CAPACITY_MIN

struct cutter {
	struct test_rng rng;
	uint8_t *image;
	char *want;
	unsigned none, whole;
};

/* Goes on, and crashes: nothing of the other life may come up. */
static void live_on(struct cutter *c)
{
	char *before, *after;
	struct memfs m;
	ka_ino_t ino;

	memfs_over(&m, c->image, BYTES);
	memfs_open(&m);
	before = memfs_dump(m.fs);
	assert_string_equal(before, c->want);
	free(before);
	ino = memfs_file(m.fs, KA_ROOT_INO, "next");
	memfs_write_pattern(m.fs, ino, 0, 3000, 9);
	before = memfs_dump(m.fs);
	memfs_crash(&m);
	assert_int_equal(m.msgs.errors, 0);
	assert_int_equal(m.fs->super.lost, 0);
	memfs_check(m.fs);
	after = memfs_dump(m.fs);
	assert_string_equal(after, before);
	free(before);
	free(after);
	memfs_release(&m);
	c->whole++;
}

static void look(struct cutter *c)
{
	struct ka_region *rg;
	struct ka_super sb;
	int err;

	assert_ok(ka_region_open_mem(c->image, BYTES, &rg));
	err = ka_super_read(rg, NULL, NULL, &sb);
	ka_region_close(rg);
	if (err) {
		/* Torn, or not there. */
		assert_true(err == -KA_ERR_NOT_KEEPALIVE || err == -KA_ERR_SUPER_CSUM ||
			    err == -KA_ERR_SUPER_GONE || err == -KA_ERR_WIPED);
		c->none++;
	} else {
		live_on(c);
	}
}

static void cut_here(void *ctx, struct ka_region *rg, uint64_t fence)
{
	struct cutter *c = ctx;
	enum cut_kind kind;
	unsigned i;

	if (!fence) /* until its superblocks are gone the other life may be there */
		return;
	for (kind = 0; kind < CUT_KINDS; kind++) {
		for (i = 0; i < (kind < CUT_SOME ? 1 : 3 * test_scale()); i++) {
			cut_region_image(rg, kind, &c->rng, c->image);
			look(c);
		}
	}
}

static void fill(struct memfs *m, const char *name, unsigned files, uint64_t key)
{
	char text[24];
	unsigned i;

	for (i = 0; i < files; i++) {
		snprintf(text, sizeof(text), "%s%u", name, i);
		memfs_write_pattern(m->fs, memfs_file(m->fs, KA_ROOT_INO, text), 0, 30000, key);
	}
}

static void plan_of(struct memfs *m, struct image_plan *p)
{
	uint64_t i;

	*p = (struct image_plan){
		.from = m->rg,
		.bytes = m->bytes,
		.segment_bytes = m->fs->segs.bytes,
		.count = m->fs->segs.count,
		.used = calloc(m->fs->segs.count, sizeof(bool)),
	};
	assert_non_null(p->used);
	for (i = 0; i < p->count; i++)
		p->used[i] = ka_fs_uses_segment(m->fs, i);
}

/* How the filesystem of the image ended. */
static void restore(bool sealed)
{
	struct cutter c = {.rng = test_rng(sealed), .image = malloc(BYTES)};
	struct image_plan plan;
	struct ka_region *to;
	struct memfs m, other;
	uint8_t *copy = malloc(BYTES);
	char *dump;

	assert_true(c.image && copy);
	memfs_make(&m, BYTES);
	fill(&m, "first", 5, 1);
	c.want = memfs_dump(m.fs);
	if (sealed)
		assert_ok(ka_fs_seal(m.fs));
	else
		memfs_close(&m);
	memfs_abandon(&m);
	/* The other life goes on from there, and is longer. */
	memcpy(copy, m.mem, BYTES);
	memfs_over(&other, copy, BYTES);
	memfs_open(&other);
	fill(&other, "other", 40, 2);
	memfs_release(&other);
	m.opts.rdonly = true;
	memfs_open(&m);
	plan_of(&m, &plan);
	assert_ok(cut_region_open_image(copy, BYTES, &to));
	cut_region_watch(to, cut_here, &c);
	assert_ok(image_to_region(&plan, to, -1, &m.fs->super));
	cut_here(&c, to, cut_region_fences(to));
	cut_region_watch(to, NULL, NULL);
	assert_true(c.none > 0 && c.whole > 0);
	memfs_on(&other, to);
	other.opts.rdonly = true;
	memfs_open(&other);
	dump = memfs_dump(other.fs);
	assert_string_equal(dump, c.want);
	assert_int_equal(other.fs->super.state, sealed ? KA_STATE_SEALED : KA_STATE_CLEAN);
	free(dump);
	memfs_release(&other);
	memfs_release(&m);
	free(plan.used);
	free(c.want);
	free(c.image);
	free(copy);
}

static void test_clean(void **state)
{
	(void)state;
	restore(false);
}

static void test_sealed(void **state)
{
	(void)state;
	restore(true);
}

/* ---- memory errors -------------------------------------------------------- */

static uint64_t broken_addr, broken_count;

static void note_broken(void *ctx, uint64_t addr, uint64_t len)
{
	(void)ctx;
	assert_int_equal(len, POISON_PAGE);
	broken_addr = addr;
	broken_count++;
}

/* One page of a file, in a region that is read and never ends the program. */
static void test_memory_error(void **state)
{
	FILE *file = tmpfile();
	struct image_plan plan;
	struct poison poison;
	struct ka_run run;
	struct memfs m;
	uint8_t *copy = malloc(BYTES);
	uint64_t page;
	ka_ino_t ino;

	(void)state;
	assert_true(file && copy);
	ka_region_catch_errors(NULL); /* here, as cmocka has its own until now */
	poison_make(&poison, BYTES);
	memfs_over(&m, poison.mem, BYTES);
	memfs_format(&m);
	memfs_open(&m);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 50000, 1);
	assert_ok(ka_map(m.fs, ino, 24000, &run));
	page = ka_align_down(run.addr, POISON_PAGE);
	memcpy(copy, poison.mem, BYTES);
	memset(copy + page, 0, POISON_PAGE);
	plan_of(&m, &plan);
	plan.broken = note_broken;
	poison_break(&poison, page, 1);
	assert_ok(image_to_file(&plan, fileno(file)));
	assert_int_equal(broken_count, 1);
	assert_int_equal(broken_addr, page);
	/* And who asks for the runs of the file gets the piece, not the rest. */
	assert_ok(ka_map(m.fs, ino, 0, &run));
	assert_true(!run.err && run.len >= 16384);
	assert_ok(ka_map(m.fs, ino, 24000, &run));
	assert_err(run.err, -KA_ERR_MEMORY);
	poison_heal(&poison);
	assert_int_equal(pread(fileno(file), poison.mem, BYTES, 0), BYTES);
	assert_memory_equal(poison.mem, copy, BYTES);
	fclose(file);
	free(plan.used);
	free(copy);
	memfs_release(&m);
	poison_release(&poison);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_memory_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

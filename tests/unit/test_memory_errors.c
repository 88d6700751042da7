/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_memory_errors.c - SIGBUS at any place of the region: one operation
 * fails or goes elsewhere, everything else lives on.
 */
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs.h"
#include "keepalive/scan.h"
#include "memfs.h"
#include "poison.h"

#define BYTES (8u << 20)

struct world {
	struct poison p;
	struct memfs m;
};

static void world_init(struct world *w)
{
	ka_region_catch_errors(NULL);
	poison_make(&w->p, BYTES);
	memfs_over(&w->m, w->p.mem, BYTES);
	memfs_format(&w->m);
	memfs_open(&w->m);
}

static void world_release(struct world *w)
{
	memfs_release(&w->m);
	poison_release(&w->p);
}

static uint64_t addr_of(struct world *w, ka_ino_t ino, uint64_t off)
{
	const struct ka_extent *e =
		ka_extents_find(&ka_index_find(&w->m.fs->index, ino)->extents, off);

	return e->addr + (off - e->off);
}

static int read_error(struct world *w, ka_ino_t ino, uint64_t off, size_t len)
{
	uint8_t *buf = malloc(len);
	size_t got;
	int err = memfs_read(w->m.fs, ino, off, buf, len, &got);

	free(buf);
	return err;
}

/* ---- guards ------------------------------------------------------------ */

static int touch(void *arg)
{
	return *(volatile uint8_t *)arg;
}

static int touch_inside(void *arg)
{
	struct world *w = arg;

	assert_err(ka_region_guard(w->m.rg, touch, w->p.mem + 5 * POISON_PAGE + 7), -KA_ERR_MEMORY);
	return touch(w->p.mem + 5 * POISON_PAGE + 9); /* to the outer one */
}

static void test_guards(void **state)
{
	struct world w;
	uint8_t byte;

	(void)state;
	world_init(&w);
	memfs_abandon(&w.m);
	w.p.mem[4 * POISON_PAGE] = 77;
	poison_break(&w.p, 5 * POISON_PAGE, 1);
	assert_int_equal(ka_region_guard(w.m.rg, touch, w.p.mem + 4 * POISON_PAGE), 77);
	assert_err(ka_region_guard(w.m.rg, touch_inside, &w), -KA_ERR_MEMORY);
	assert_int_equal(ka_region_error_off(), 5 * POISON_PAGE + 9);
	assert_err(ka_region_read(w.m.rg, 6 * POISON_PAGE - 1, &byte, 1), -KA_ERR_MEMORY);
	assert_ok(ka_region_read(w.m.rg, 6 * POISON_PAGE, &byte, 1));
	assert_err(ka_region_read(w.m.rg, BYTES, &byte, 1), -KA_ERR_REGION_SHORT);
	world_release(&w);
}

/* Without a guard, or elsewhere, it is what it always was. */
static void test_not_ours(void **state)
{
	static uint8_t *other;
	struct poison alien;
	struct world w;
	int status;
	pid_t child;
	int i;

	(void)state;
	world_init(&w);
	poison_make(&alien, POISON_PAGE);
	poison_break(&alien, 0, 1);
	poison_break(&w.p, 0, 1);
	other = alien.mem;
	for (i = 0; i < 2; i++) {
		child = fork();
		if (!child) {
			if (i)
				ka_region_guard(w.m.rg, touch, other);
			else
				touch(w.p.mem);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	}
	poison_release(&alien);
	world_release(&w);
}

/* The fence tells of stores since the last one, once. */
static void test_stores(void **state)
{
	static const uint8_t data[300];
	struct world w;

	(void)state;
	world_init(&w);
	memfs_abandon(&w.m);
	poison_break(&w.p, 5 * POISON_PAGE, 1);
	ka_region_write(w.m.rg, 4 * POISON_PAGE, data, sizeof(data));
	assert_ok(ka_region_fence(w.m.rg));
	ka_region_write(w.m.rg, 5 * POISON_PAGE - 1, data, sizeof(data));
	ka_region_write(w.m.rg, 4 * POISON_PAGE, data, sizeof(data));
	assert_err(ka_region_fence(w.m.rg), -KA_ERR_STORE);
	assert_ok(ka_region_fence(w.m.rg));
	ka_region_copy(w.m.rg, 5 * POISON_PAGE, data, sizeof(data));
	assert_err(ka_region_fence(w.m.rg), -KA_ERR_STORE);
	world_release(&w);
}

/* ---- reading ----------------------------------------------------------- */

static void test_read(void **state)
{
	uint64_t bytes, addr, seg;
	struct ka_fs_status st;
	struct ka_damage d;
	struct world w;
	ka_ino_t dir, one, two;
	char *path;

	(void)state;
	world_init(&w);
	bytes = w.m.fs->segs.bytes;
	dir = memfs_dir(w.m.fs, KA_ROOT_INO, "dir");
	one = memfs_file(w.m.fs, dir, "one");
	two = memfs_file(w.m.fs, KA_ROOT_INO, "two");
	memfs_write_pattern(w.m.fs, one, 0, 2 * bytes, 1);
	memfs_write_pattern(w.m.fs, two, 0, 2 * bytes, 2);
	memfs_remount(&w.m);
	addr = addr_of(&w, one, 100000);
	seg = addr / bytes;
	poison_break(&w.p, addr, 1);
	assert_err(read_error(&w, one, 100000, 1), -KA_ERR_MEMORY);
	assert_true(test_messages_have(&w.m.msgs, "'/dir/one'"));
	assert_true(test_messages_have(&w.m.msgs, "memory error"));
	/* Told once, remembered, and shown. */
	test_messages_clear(&w.m.msgs);
	assert_err(read_error(&w, one, 100000, 1), -KA_ERR_MEMORY);
	assert_int_equal(w.m.msgs.errors, 0);
	assert_ok(ka_fs_get_damage(w.m.fs, 0, &d));
	assert_true(d.ino == one && d.off == 100000 && d.len == 1 && d.err == -KA_ERR_MEMORY);
	assert_err(ka_fs_get_damage(w.m.fs, 1, &d), -ENOENT);
	ka_fs_get_status(w.m.fs, &st);
	assert_int_equal(st.bad_bytes, bytes);
	assert_ok(ka_path_of(w.m.fs, one, &path));
	assert_string_equal(path, "/dir/one");
	free(path);
	/* Everything else can be read, and the segment is not used again. */
	assert_true(memfs_has_pattern(w.m.fs, one, 0, 50000, 1));
	assert_true(memfs_has_pattern(w.m.fs, one, 150000, 2 * bytes - 150000, 1));
	assert_true(memfs_has_pattern(w.m.fs, two, 0, 2 * bytes, 2));
	assert_ok(ka_unlink(w.m.fs, dir, "one"));
	assert_ok(ka_unlink(w.m.fs, KA_ROOT_INO, "two"));
	assert_ok(ka_fs_checkpoint(w.m.fs));
	assert_ok(ka_fs_checkpoint(w.m.fs));
	assert_int_equal(w.m.fs->segs.seg[seg].state, KA_SEG_BAD);
	memfs_check(w.m.fs);
	memfs_remount(&w.m);
	assert_int_equal(w.m.fs->segs.seg[seg].state, KA_SEG_BAD);
	memfs_crash(&w.m);
	assert_int_equal(w.m.fs->segs.seg[seg].state, KA_SEG_BAD);
	ka_fs_get_status(w.m.fs, &st);
	assert_int_equal(st.bad_bytes, bytes);
	assert_true(st.avail_bytes > 0 && st.avail_bytes < BYTES - 2 * bytes);
	memfs_check(w.m.fs);
	world_release(&w);
}

/* What verification does not look at meets it too: pieces put together. */
static void test_read_scattered(void **state)
{
	struct world w;
	ka_ino_t ino;
	unsigned i;

	(void)state;
	world_init(&w);
	ino = memfs_file(w.m.fs, KA_ROOT_INO, "scattered");
	for (i = 0; i < 2 * KA_READ_IOVS; i++)
		memfs_write_pattern(w.m.fs, ino, i * 100, 100, 1);
	w.m.fs->opts.verify = KA_VERIFY_NEVER;
	assert_ok(read_error(&w, ino, 0, 200 * KA_READ_IOVS));
	poison_break(&w.p, addr_of(&w, ino, 100 * KA_READ_IOVS), 1);
	assert_err(read_error(&w, ino, 0, 200 * KA_READ_IOVS), -KA_ERR_MEMORY);
	world_release(&w);
}

/* ---- storing ----------------------------------------------------------- */

/* Appends to a file so that the next record begins with a page, which holds nothing else. */
static void go_to_page(struct world *w, ka_ino_t ino)
{
	const struct ka_writer *writer = &w->m.fs->log.writer[0];
	uint64_t head = sizeof(struct ka_rec_write_disk) + 8;

	memfs_write_pattern(w->m.fs, ino, 0, POISON_PAGE - (writer->addr + head) % POISON_PAGE, 9);
	assert_int_equal(writer->addr % POISON_PAGE, 0);
}

/* The open segment breaks: what comes goes to another, and a crash keeps all of it. */
static void break_open_segment(struct world *w, uint64_t from, uint64_t len)
{
	struct ka_writer *writer = &w->m.fs->log.writer[0];

	poison_break(&w->p, writer->addr + from, len);
}

static void test_append(void **state)
{
	static const struct {
		uint64_t from;
		uint64_t len;
		bool damaged; /* if the machine dies before the next checkpoint */
	} cases[] = {
		{5 * POISON_PAGE, 1, false},		   /* the payload */
		{0, 100, true},				   /* the head, and so the END */
		{0, 16 * POISON_PAGE, true},		   /* everything */
		{40000 + POISON_PAGE, POISON_PAGE, false}, /* behind it */
	};
	struct world w;
	ka_ino_t ino, other;
	uint64_t seg;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(cases); i++) {
		world_init(&w);
		other = memfs_file(w.m.fs, KA_ROOT_INO, "other");
		ino = memfs_file(w.m.fs, KA_ROOT_INO, "file");
		memfs_write_pattern(w.m.fs, other, 0, 10000, 1);
		go_to_page(&w, memfs_file(w.m.fs, KA_ROOT_INO, "ballast"));
		seg = w.m.fs->log.writer[0].segment;
		break_open_segment(&w, cases[i].from, cases[i].len);
		memfs_write_pattern(w.m.fs, ino, 0, 40000, 2);
		memfs_write_pattern(w.m.fs, ino, 40000, 40000, 2);
		assert_true(memfs_has_pattern(w.m.fs, ino, 0, 80000, 2));
		assert_true(w.m.fs->segs.seg[seg].bad);
		assert_int_equal(ka_fs_wants_checkpoint(w.m.fs), cases[i].damaged);
		if (cases[i].damaged)
			assert_ok(ka_fs_checkpoint(w.m.fs));
		assert_false(ka_fs_wants_checkpoint(w.m.fs));
		memfs_crash(&w.m);
		assert_false(w.m.fs->damaged);
		assert_true(memfs_has_pattern(w.m.fs, ino, 0, 80000, 2));
		assert_true(memfs_has_pattern(w.m.fs, other, 0, 10000, 1));
		memfs_check(w.m.fs);
		memfs_remount(&w.m);
		assert_true(memfs_has_pattern(w.m.fs, ino, 0, 80000, 2));
		world_release(&w);
	}
}

/* Every kind of operation goes elsewhere. */
static void test_other_records(void **state)
{
	struct world w;
	ka_ino_t ino, to, ballast;
	unsigned i;

	(void)state;
	world_init(&w);
	ino = memfs_file(w.m.fs, KA_ROOT_INO, "file");
	to = memfs_file(w.m.fs, KA_ROOT_INO, "to");
	memfs_write_pattern(w.m.fs, ino, 0, 10000, 1);
	ballast = memfs_file(w.m.fs, KA_ROOT_INO, "ballast");
	for (i = 0; i < 4; i++) {
		go_to_page(&w, ballast);
		break_open_segment(&w, 0, 1);
		switch (i) {
		case 0:
			assert_ok(ka_unlink(w.m.fs, KA_ROOT_INO, "to"));
			to = memfs_file(w.m.fs, KA_ROOT_INO, "to");
			break;
		case 1:
			assert_ok(memfs_fallocate(w.m.fs, to, 0, 0, 5000));
			break;
		case 2:
			assert_ok(memfs_clone(w.m.fs, ino, 0, to, 0, 10000));
			break;
		default:
			assert_ok(memfs_truncate(w.m.fs, ino, 4000));
		}
	}
	assert_ok(ka_fs_checkpoint(w.m.fs));
	memfs_crash(&w.m);
	assert_true(memfs_has_pattern(w.m.fs, to, 0, 10000, 1));
	assert_true(memfs_has_pattern(w.m.fs, ino, 0, 4000, 1));
	world_release(&w);
}

/* The next segments cannot be opened: as if they were not there. */
static void test_next_segments(void **state)
{
	struct world w;
	uint64_t bytes, seg;
	ka_ino_t ino;

	(void)state;
	world_init(&w);
	bytes = w.m.fs->segs.bytes;
	ino = memfs_file(w.m.fs, KA_ROOT_INO, "file");
	seg = w.m.fs->segs.hint;
	poison_break(&w.p, seg * bytes, 1);
	poison_break(&w.p, (seg + 1) * bytes, 1);
	memfs_write_pattern(w.m.fs, ino, 0, 2 * bytes, 2);
	assert_int_equal(w.m.fs->segs.seg[seg].state, KA_SEG_BAD);
	assert_int_equal(w.m.fs->segs.seg[seg + 1].state, KA_SEG_BAD);
	memfs_crash(&w.m);
	assert_true(memfs_has_pattern(w.m.fs, ino, 0, 2 * bytes, 2));
	memfs_check(w.m.fs);
	world_release(&w);
}

/* All that is free is broken: no space, and still no end. */
static void test_nothing_left(void **state)
{
	uint8_t *buf = calloc(1, BYTES);
	size_t written;
	uint64_t from;
	struct world w;
	ka_ino_t ino;
	int err = 0;

	(void)state;
	world_init(&w);
	ino = memfs_file(w.m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(w.m.fs, ino, 0, 5000, 1);
	from = w.m.fs->segs.hint * w.m.fs->segs.bytes;
	poison_break(&w.p, from, BYTES - from);
	while (!err)
		err = memfs_try_write(w.m.fs, ino, 5000, buf, 100000, &written);
	assert_err(err, -ENOSPC);
	assert_true(memfs_has_pattern(w.m.fs, ino, 0, 5000, 1));
	poison_heal(&w.p);
	free(buf);
	world_release(&w);
}

static void test_checkpoint(void **state)
{
	struct world w;
	uint64_t seg;
	ka_ino_t ino;
	unsigned i;

	(void)state;
	world_init(&w);
	ino = memfs_file(w.m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(w.m.fs, ino, 0, 5000, 1);
	for (i = 0; i < 3; i++) {
		seg = w.m.fs->segs.hint;
		while (w.m.fs->segs.seg[seg].state != KA_SEG_FREE)
			seg++;
		poison_break(&w.p, seg * w.m.fs->segs.bytes + i * 20, 1);
		assert_ok(ka_fs_checkpoint(w.m.fs));
		assert_int_equal(w.m.fs->segs.seg[seg].state, KA_SEG_BAD);
	}
	memfs_check(w.m.fs);
	memfs_remount(&w.m);
	assert_true(memfs_has_pattern(w.m.fs, ino, 0, 5000, 1));
	world_release(&w);
}

/* ---- superblock -------------------------------------------------------- */

static void test_one_superblock(void **state)
{
	struct world w;
	ka_ino_t ino;
	int copy;

	(void)state;
	for (copy = 0; copy < 2; copy++) {
		world_init(&w);
		ino = memfs_file(w.m.fs, KA_ROOT_INO, "file");
		memfs_write_pattern(w.m.fs, ino, 0, 5000, 1);
		poison_break(&w.p, w.m.fs->super.copy_addr[copy], 1);
		assert_ok(ka_fs_checkpoint(w.m.fs));
		assert_true(test_messages_have(&w.m.msgs,
					       copy ? "superblock copy 1" : "superblock copy 0"));
		memfs_write_pattern(w.m.fs, ino, 5000, 5000, 1);
		memfs_crash(&w.m);
		assert_true(memfs_has_pattern(w.m.fs, ino, 0, 10000, 1));
		memfs_remount(&w.m);
		assert_true(memfs_has_pattern(w.m.fs, ino, 0, 10000, 1));
		assert_false(w.m.fs->damaged);
		world_release(&w);
	}
}

static void test_both_superblocks(void **state)
{
	struct world w;
	ka_ino_t ino;

	(void)state;
	world_init(&w);
	ino = memfs_file(w.m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(w.m.fs, ino, 0, 5000, 1);
	poison_break(&w.p, w.m.fs->super.copy_addr[0], 1);
	poison_break(&w.p, w.m.fs->super.copy_addr[1], 1);
	assert_err(ka_fs_checkpoint(w.m.fs), -KA_ERR_STORE);
	assert_err(memfs_truncate(w.m.fs, ino, 0), -KA_ERR_FAILED);
	memfs_abandon(&w.m);
	assert_err(memfs_try_open(&w.m), -KA_ERR_MEMORY);
	poison_heal(&w.p);
	memfs_open(&w.m);
	assert_true(memfs_has_pattern(w.m.fs, ino, 0, 5000, 1));
	world_release(&w);
}

/* ---- recovery ---------------------------------------------------------- */

/* In the log: what is lost is told, the rest is there, nothing is stored. */
static void test_recovery(void **state)
{
	uint64_t addr, mid;
	struct world w;
	ka_ino_t one, two;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		world_init(&w);
		one = memfs_file(w.m.fs, KA_ROOT_INO, "one");
		two = memfs_file(w.m.fs, KA_ROOT_INO, "two");
		memfs_write_pattern(w.m.fs, one, 0, 50000, 1);
		mid = w.m.fs->log.writer[0].addr;
		memfs_write_pattern(w.m.fs, one, 50000, 50000, 1);
		memfs_write_pattern(w.m.fs, two, 0, 50000, 2);
		/* the head of a record, its data, or the head of the segment */
		addr = i == 0	? mid
		       : i == 1 ? addr_of(&w, one, 60000)
				: ka_align_down(mid, w.m.fs->segs.bytes);
		poison_break(&w.p, addr, 1);
		memfs_abandon(&w.m);
		memfs_open(&w.m);
		assert_true(w.m.fs->damaged && w.m.fs->rdonly);
		assert_true(w.m.msgs.errors > 0);
		if (i < 2) {
			two = memfs_lookup(w.m.fs, KA_ROOT_INO, "two");
			assert_true(two && memfs_has_pattern(w.m.fs, two, 0, 50000, 2));
			assert_true(memfs_has_pattern(w.m.fs, one, 0, 30000, 1));
		}
		memfs_abandon(&w.m);
		poison_heal(&w.p);
		memfs_open(&w.m);
		assert_false(w.m.fs->damaged);
		assert_true(memfs_has_pattern(w.m.fs, one, 0, 100000, 1));
		world_release(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guards),	       cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_stores),	       cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_scattered), cmocka_unit_test(test_append),
		cmocka_unit_test(test_other_records),  cmocka_unit_test(test_next_segments),
		cmocka_unit_test(test_nothing_left),   cmocka_unit_test(test_checkpoint),
		cmocka_unit_test(test_one_superblock), cmocka_unit_test(test_both_superblocks),
		cmocka_unit_test(test_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

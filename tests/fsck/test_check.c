/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_check.c - fsck as a library: being cancelled, what it reports, and how it
 * copes with many lost files at once.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "fsck.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "memfs.h"

#define BYTES (16u << 20)
#define MANY  20000

struct run {
	struct fsck f;
	struct test_messages msgs;
	int passes; /* bits of those that told of progress */
	int cancel_at;
	bool said;   /* that repairs could not be stored */
	bool warned; /* that nothing is left */
};

static struct run *running;

static void watch(struct fsck *f, int pass, uint64_t at, uint64_t of)
{
	(void)f;
	assert_true(at <= of);
	running->passes |= 1 << pass;
	if (pass == running->cancel_at)
		fsck_cancelled = 1;
}

static int run(struct run *r, struct memfs *m, enum fsck_mode mode)
{
	int status;

	running = r;
	test_messages_init(&r->msgs);
	r->f.path = "memory";
	r->f.mode = mode;
	r->f.force = true;
	r->f.rg = m->rg;
	r->f.sink = &r->msgs.sink;
	r->f.progress = watch;
	status = fsck_check(&r->f);
	fsck_cancelled = 0;
	r->said = test_messages_have(&r->msgs, "cannot store what was repaired");
	r->warned = test_messages_have(&r->msgs, "nothing of the files in 'memory' is left");
	test_messages_release(&r->msgs);
	return status;
}

static int check(struct memfs *m, enum fsck_mode mode)
{
	struct run r = {0};

	return run(&r, m, mode);
}

/* One file, whose data is damaged. */
static void make_damaged(struct memfs *m)
{
	ka_ino_t ino;
	uint64_t addr;

	memfs_make(m, BYTES);
	ino = memfs_file(m->fs, memfs_dir(m->fs, KA_ROOT_INO, "dir"), "na\tme");
	memfs_write_pattern(m->fs, ino, 0, 100000, 1);
	addr = ka_extents_find(&ka_index_find(&m->fs->index, ino)->extents, 0)->addr;
	memfs_close(m);
	m->mem[addr + 20000] ^= 1;
}

static void test_cancel(void **unused)
{
	uint8_t *before = malloc(BYTES);
	struct memfs m;
	int pass;

	(void)unused;
	assert_non_null(before);
	make_damaged(&m);
	memcpy(before, m.mem, BYTES);
	for (pass = PASS_SUPER; pass <= PASS_USAGE; pass++) {
		struct run r = {.cancel_at = pass};
		int status = run(&r, &m, FSCK_YES);

		assert_true(status & FSCK_CANCELLED);
		assert_false(status & FSCK_CORRECTED);
		assert_int_equal(r.f.fixed, 0);
		assert_memory_equal(before, m.mem, BYTES);
	}
	assert_int_equal(check(&m, FSCK_YES), FSCK_CORRECTED);
	assert_int_equal(check(&m, FSCK_NO), 0);
	memfs_release(&m);
	free(before);
}

static json_object *get(json_object *o, const char *key)
{
	json_object *v;

	assert_true(json_object_object_get_ex(o, key, &v));
	return v;
}

/* What was written over cuts an extent in the middle of a piece: the next goes by it. */
static void test_exact_range(void **unused)
{
	struct run r = {.f.report = json_object_new_object()};
	struct ka_inode *inode;
	json_object *p;
	struct memfs m;
	uint64_t addr;
	ka_ino_t ino;

	(void)unused;
	json_object_object_add(r.f.report, "problems", json_object_new_array());
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 100000, 1);
	inode = ka_index_find(&m.fs->index, ino);
	addr = ka_extents_find(&inode->extents, 0)->addr;
	memfs_write_pattern(m.fs, ino, 0, 5000, 2);
	memfs_close(&m);
	m.mem[addr + 20000] ^= 1;
	assert_int_equal(run(&r, &m, FSCK_NO), FSCK_ERRORS_LEFT);
	assert_int_equal(json_object_array_length(get(r.f.report, "problems")), 1);
	p = json_object_array_get_idx(get(r.f.report, "problems"), 0);
	assert_int_equal(json_object_get_uint64(get(p, "offset")), 16384);
	assert_int_equal(json_object_get_uint64(get(p, "length")), 16384);
	json_object_put(r.f.report);
	memfs_release(&m);
}

static void test_report(void **unused)
{
	struct run r = {.f.report = json_object_new_object()};
	json_object *p;
	struct memfs m;

	(void)unused;
	json_object_object_add(r.f.report, "problems", json_object_new_array());
	make_damaged(&m);
	assert_int_equal(run(&r, &m, FSCK_YES), FSCK_CORRECTED);
	assert_int_equal(r.passes, 0x7e); /* all six */
	assert_int_equal(json_object_array_length(get(r.f.report, "problems")), 1);
	p = json_object_array_get_idx(get(r.f.report, "problems"), 0);
	assert_int_equal(json_object_get_int(get(p, "number")), FSCK_P_DATA);
	assert_string_equal(json_object_get_string(get(p, "path")), "/dir/na\\x09me");
	assert_int_equal(json_object_get_uint64(get(p, "offset")), 16384);
	assert_int_equal(json_object_get_uint64(get(p, "length")), 16384);
	assert_true(json_object_get_boolean(get(p, "fixed")));
	assert_true(*json_object_get_string(get(p, "repair")));
	assert_int_equal(json_object_get_uint64(get(r.f.report, "files")), 3);
	assert_int_equal(json_object_get_uint64(get(r.f.report, "checked_bytes")), 100000);
	assert_int_equal(json_object_get_uint64(get(r.f.report, "recovered_records")), 0);
	assert_int_equal(json_object_get_uint64(get(r.f.report, "torn_records")), 0);
	assert_int_equal(json_object_get_uint64(get(r.f.report, "lost_records")), 0);
	assert_false(json_object_get_boolean(get(r.f.report, "rebuilt")));
	json_object_put(r.f.report);
	memfs_release(&m);
}

/* All of these lose their names at once, and every second has a wrong link count. */
static void lose_names(struct memfs *m, unsigned count)
{
	struct ka_fs_opts opts = {0};
	struct ka_recovery rec;
	struct ka_inode *root;
	struct ka_dirent *de;
	struct ka_fs *fs;
	char name[16];
	unsigned i;

	assert_ok(ka_fs_load(m->rg, &opts, 0, &rec, &fs));
	root = ka_index_find(&fs->index, KA_ROOT_INO);
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		de = ka_dir_find(&fs->index.names, root, name, strlen(name));
		if (i % 2)
			de->inode->nlink = 3;
		if (S_ISDIR(de->inode->mode)) {
			root->nlink--;
			de->inode->dir->parent = NULL;
		}
		ka_index_remove_name(&fs->index, de);
	}
	assert_ok(ka_fs_store(fs, KA_STATE_CLEAN));
	ka_fs_abandon(fs);
}

static void test_many_lost(void **unused)
{
	struct run r = {.f.report = json_object_new_object()};
	ka_ino_t dir, ino;
	struct memfs m;
	char name[16];
	unsigned i;

	(void)unused;
	memfs_make(&m, BYTES);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		if (i % 5) {
			memfs_create(m.fs, KA_ROOT_INO, name, S_IFREG | 0600);
		} else { /* with something below, which has its name */
			dir = memfs_dir(m.fs, KA_ROOT_INO, name);
			memfs_create(m.fs, dir, "below", S_IFREG | 0600);
		}
	}
	memfs_close(&m);
	json_object_object_add(r.f.report, "problems", json_object_new_array());
	lose_names(&m, MANY);
	assert_int_equal(run(&r, &m, FSCK_YES), FSCK_CORRECTED);
	assert_true(r.f.found >= MANY);
	assert_int_equal(r.f.found, r.f.fixed);
	assert_int_equal(json_object_array_length(get(r.f.report, "problems")), FSCK_LISTED_MAX);
	json_object_put(r.f.report);
	assert_int_equal(check(&m, FSCK_NO), 0);
	memfs_open(&m);
	assert_false(m.fs->rdonly);
	dir = memfs_lookup(m.fs, KA_ROOT_INO, "lost+found");
	assert_true(dir);
	assert_int_equal(ka_index_find(&m.fs->index, dir)->dir->count, MANY);
	ino = memfs_lookup(m.fs, memfs_lookup(m.fs, dir, "#2"), "below");
	assert_true(ino);
	memfs_check(m.fs);
	memfs_release(&m);
}

static void put_clone(struct memfs *m, ka_ino_t ino, uint64_t len)
{
	struct ka_rec_clone_disk rec = {
		.from_ino = ka_put64(ino),
		.ino = ka_put64(ino),
		.off = ka_put64(len),
		.len = ka_put64(len),
	};
	struct ka_slot slot;

	ka_record_init(&rec.h, KA_REC_CLONE, 0, sizeof(rec), 0, 1);
	assert_ok(ka_log_begin(&m->fs->log, sizeof(rec), KA_SPACE_NORMAL, &slot));
	ka_log_put(&m->fs->log, &slot, &rec.h, NULL);
}

/* Records that double a file until nothing has room for it: what there is room for stays. */
static void test_clones_without_end(void **unused)
{
	struct memfs m;
	ka_ino_t ino;
	unsigned i;

	(void)unused;
	memfs_make(&m, KA_CAPACITY_MIN);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write(m.fs, ino, 0, "x", 1);
	for (i = 0; i < 60; i++)
		put_clone(&m, ino, 1ull << i);
	memfs_abandon(&m);
	assert_int_equal(check(&m, FSCK_YES), FSCK_CORRECTED);
	assert_int_equal(check(&m, FSCK_NO), 0);
	memfs_open(&m);
	assert_false(m.fs->rdonly);
	assert_int_equal(memfs_lookup(m.fs, KA_ROOT_INO, "file"), ino);
	memfs_check(m.fs);
	memfs_release(&m);
}

/* Bytes of somebody else over all segments: nobody gets an empty filesystem unwarned. */
static void test_nothing_left(void **unused)
{
	struct run r = {0}, y = {0};
	struct memfs m;
	uint64_t i;

	(void)unused;
	memfs_make(&m, BYTES);
	memfs_write_pattern(m.fs, memfs_file(m.fs, KA_ROOT_INO, "file"), 0, 100000, 1);
	memfs_close(&m);
	for (i = 256 << 10; i < BYTES; i++)
		m.mem[i] = (uint8_t)('0' + i * i / 7 % 10);
	assert_int_equal(run(&r, &m, FSCK_NO), FSCK_ERRORS_LEFT);
	assert_true(r.warned);
	assert_int_equal(run(&y, &m, FSCK_YES), FSCK_CORRECTED);
	assert_true(y.warned);
	assert_int_equal(check(&m, FSCK_NO), 0);
	memfs_release(&m);
}

/* More than there is room for, and found all the same: nothing counts as repaired. */
static void test_no_room(void **unused)
{
	struct run r = {.f.report = json_object_new_object()};
	json_object *p;
	struct memfs m;
	ka_ino_t ino;
	unsigned i;

	(void)unused;
	json_object_object_add(r.f.report, "problems", json_object_new_array());
	memfs_make(&m, KA_CAPACITY_MIN);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write(m.fs, ino, 0, "x", 1);
	for (i = 0; i < 19; i++)
		put_clone(&m, ino, 1ull << i);
	memfs_abandon(&m);
	m.mem[100] ^= 1; /* copy 0 of the superblock */
	assert_int_equal(run(&r, &m, FSCK_YES), FSCK_ERRORS_LEFT);
	assert_true(r.said);
	assert_int_equal(r.f.found, 1);
	assert_int_equal(r.f.fixed, 0);
	p = json_object_array_get_idx(get(r.f.report, "problems"), 0);
	assert_false(json_object_get_boolean(get(p, "fixed")));
	json_object_put(r.f.report);
	memfs_release(&m);
}

/*
 * A cut between the copies of the superblock leaves them one update apart, which is
 * no error; more than that is one. Both come out alike.
 */
static void test_copies_apart(void **unused)
{
	struct ka_super_disk disk;
	struct ka_super sb;
	struct memfs m;
	unsigned apart;

	(void)unused;
	for (apart = 1; apart <= 2; apart++) {
		memfs_make(&m, BYTES);
		memfs_close(&m);
		assert_ok(ka_super_read(m.rg, NULL, NULL, &sb));
		sb.seq -= apart;
		ka_super_encode(&sb, 1, &disk);
		memcpy(m.mem + sb.copy_addr[1], &disk, sizeof(disk));
		assert_int_equal(check(&m, FSCK_NO), apart == 1 ? 0 : FSCK_ERRORS_LEFT);
		assert_memory_equal(m.mem + sb.copy_addr[1], &disk, sizeof(disk));
		assert_int_equal(check(&m, FSCK_PREEN), FSCK_CORRECTED);
		assert_memory_not_equal(m.mem + sb.copy_addr[1], &disk, sizeof(disk));
		assert_int_equal(check(&m, FSCK_NO), 0);
		memfs_release(&m);
	}
}

/* A checkpoint that is not to be used, and none beside it. */
static void spoil_checkpoints(struct memfs *m, struct ka_super *sb)
{
	struct ka_super_disk disk;
	unsigned i;

	assert_ok(ka_super_read(m->rg, NULL, NULL, sb));
	sb->ckpt[0].bytes++;
	sb->ckpt[1] = (struct ka_ckpt_ptr){0};
	for (i = 0; i < KA_SUPER_COPIES; i++) {
		ka_super_encode(sb, i, &disk);
		memcpy(m->mem + sb->copy_addr[i], &disk, sizeof(disk));
	}
}

/* Puts a copy of the record that holds data behind the first chunk of the checkpoint. */
static void put_write(struct memfs *m, const struct ka_super *sb, uint64_t data)
{
	uint64_t at = ka_align_down(sb->ckpt[0].addr, sb->segment_bytes), rec = data;
	const struct ka_segment_disk *seg = (const void *)(m->mem + at);
	struct ka_rec_disk *copy;

	do
		rec -= KA_RECORD_ALIGN;
	while (ka_get64(((struct ka_rec_disk *)(m->mem + rec))->log_id) != sb->log_id);
	at = sb->ckpt[0].addr +
	     ka_get32(((struct ka_rec_disk *)(m->mem + sb->ckpt[0].addr))->bytes);
	copy = (void *)(m->mem + at);
	memcpy(copy, m->mem + rec, ka_get32(((struct ka_rec_disk *)(m->mem + rec))->bytes));
	copy->gen = ka_put32((uint32_t)ka_get64(seg->gen));
	copy->seq = ka_put64(sb->ckpt[0].seq + 100);
	ka_record_seal(copy, at);
}

/* What is no part of a checkpoint, in a segment of one, nobody has written. */
static void test_record_among_chunks(void **unused)
{
	struct memfs m;
	struct ka_super sb;
	uint64_t addr;
	ka_ino_t ino;

	(void)unused;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 10000, 1);
	addr = ka_extents_find(&ka_index_find(&m.fs->index, ino)->extents, 0)->addr;
	memfs_close(&m);
	spoil_checkpoints(&m, &sb);
	put_write(&m, &sb, addr);
	assert_int_equal(check(&m, FSCK_YES), FSCK_CORRECTED);
	assert_int_equal(check(&m, FSCK_NO), 0);
	memfs_open(&m);
	assert_false(m.fs->rdonly);
	assert_true(memfs_has_pattern(m.fs, ino, 0, 10000, 1));
	memfs_check(m.fs);
	memfs_release(&m);
}

/* Numbers begin at 1. A record with none is read all the same, and its segment is in use. */
static void test_record_without_number(void **unused)
{
	struct ka_rec_disk *rec;
	struct memfs m;
	uint64_t addr;
	ka_ino_t ino;

	(void)unused;
	memfs_make(&m, BYTES);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_crash(&m); /* so that a new segment begins */
	memfs_write_pattern(m.fs, ino, 0, 10000, 1);
	addr = ka_extents_find(&ka_index_find(&m.fs->index, ino)->extents, 0)->addr;
	addr = ka_align_down(addr, m.fs->segs.bytes) + sizeof(struct ka_segment_disk);
	memfs_abandon(&m);
	rec = (void *)(m.mem + addr);
	assert_int_equal(ka_get16(rec->type), KA_REC_WRITE);
	rec->seq = ka_put64(0);
	ka_record_seal(rec, addr);
	assert_int_equal(check(&m, FSCK_NO), 0);
	memfs_open(&m);
	assert_true(memfs_has_pattern(m.fs, ino, 0, 10000, 1));
	memfs_check(m.fs);
	memfs_release(&m);
}

static uint64_t segment_in(const struct ka_fs *fs, enum ka_seg_state state)
{
	uint64_t i = 1;

	while (fs->segs.seg[i].state != state)
		i++;
	return i;
}

static int store_and_load(struct memfs *m, struct fsck *f)
{
	struct ka_fs_opts opts = {.sink = &m->msgs.sink};
	struct ka_recovery rec;
	int err;

	assert_ok(ka_fs_store(f->fs, KA_STATE_CLEAN));
	assert_ok(ka_fs_store(f->fs, KA_STATE_CLEAN)); /* now the older one is given up */
	ka_fs_abandon(f->fs);
	err = ka_fs_load(m->rg, &opts, 0, &rec, &f->fs);
	return err;
}

/*
 * Loading lets no extent into a segment that holds no log. Should one come there all
 * the same, in whatever state, what is said to be repaired is.
 */
static void test_usage(void **unused)
{
	static const enum ka_seg_state states[] = {KA_SEG_FREE, KA_SEG_BAD, KA_SEG_CKPT};
	struct ka_extent e;
	struct memfs m;
	uint64_t index;
	ka_ino_t ino;
	unsigned i;

	(void)unused;
	for (i = 0; i < KA_ARRAY_SIZE(states); i++) {
		struct ka_fs_opts opts = {0};
		struct ka_recovery rec;
		struct fsck f = {.path = "memory", .mode = FSCK_YES};
		struct ka_inode *inode;

		memfs_make(&m, BYTES);
		ino = memfs_file(m.fs, KA_ROOT_INO, "file");
		memfs_write_pattern(m.fs, ino, 0, 10000, 1);
		memfs_close(&m);
		f.rg = m.rg;
		assert_ok(ka_fs_load(m.rg, &opts, 0, &rec, &f.fs));
		if (states[i] == KA_SEG_BAD)
			assert_true(ka_segs_set_bad(&f.fs->segs, segment_in(f.fs, KA_SEG_FREE)));
		index = segment_in(f.fs, states[i]);
		inode = ka_index_find(&f.fs->index, ino);
		e = *ka_extents_find(&inode->extents, 0);
		e.addr = index * f.fs->segs.bytes + e.addr % f.fs->segs.bytes;
		e.off = 1 << 20;
		inode->size = e.off + e.len;
		assert_ok(ka_extents_put(&inode->extents, &f.fs->index.extents, &e));
		assert_ok(fsck_pass_usage(&f));
		assert_int_equal(f.found, 1);
		assert_int_equal(f.fixed, 1);
		assert_ok(store_and_load(&m, &f));
		f.found = 0;
		assert_ok(fsck_pass_usage(&f));
		assert_int_equal(f.found, 0);
		assert_int_equal(f.fs->segs.seg[index].state, KA_SEG_FULL);
		ka_fs_abandon(f.fs);
		memfs_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_exact_range),
		cmocka_unit_test(test_many_lost),
		cmocka_unit_test(test_clones_without_end),
		cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_copies_apart),
		cmocka_unit_test(test_record_among_chunks),
		cmocka_unit_test(test_record_without_number),
		cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_checkpoint.c - what is written is what is read, of everything; and of
 * what was changed on media nothing is believed.
 */
#include "test.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "fs.h"
#include "keepalive/csum.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "memfs.h"
#include "region_cut.h"
#include "varint.h"

#define SEGMENT (256u << 10)

static struct ka_fs_status status(const struct memfs *m)
{
	struct ka_fs_status st;

	ka_fs_get_status(m->fs, &st);
	return st;
}

static void expect_sound(const struct memfs *m)
{
	if (m->msgs.errors)
		print_error("%s", m->msgs.text);
	assert_int_equal(m->msgs.errors, 0);
	assert_false(status(m).damaged || status(m).rdonly);
	memfs_check(m->fs);
}

/* Through a checkpoint that recovery reads, and through that of a clean stop. */
static void expect_round_trip(struct memfs *m)
{
	char *before = memfs_dump(m->fs), *after;
	struct ka_fs_status st = status(m), now;
	int clean;

	for (clean = 0; clean < 2; clean++) {
		if (clean) {
			memfs_remount(m);
		} else {
			assert_ok(ka_fs_checkpoint(m->fs));
			memfs_crash(m);
			assert_true(test_messages_have(&m->msgs, " 0 records replayed"));
		}
		expect_sound(m);
		after = memfs_dump(m->fs);
		assert_string_equal(before, after);
		free(after);
		now = status(m);
		assert_int_equal(now.files, st.files);
		assert_int_equal(now.extents, st.extents);
	}
	free(before);
}

/* ---- round trips ------------------------------------------------------- */

static void test_empty(void **state)
{
	struct memfs m;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	expect_round_trip(&m);
	memfs_release(&m);
}

static void test_types(void **state)
{
	static const uint32_t modes[] = {S_IFREG | 07777, S_IFDIR | 01777, S_IFCHR | 0600,
					 S_IFBLK,	  S_IFIFO | 0644,  S_IFSOCK | 0755};
	char name[16], target[KA_TARGET_MAX + 1];
	struct ka_new new = {.parent = KA_ROOT_INO, .name = name};
	struct ka_setattr set = {.valid = KA_SET_ATIME | KA_SET_MTIME};
	struct ka_attr attr;
	struct memfs m;
	size_t i;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	for (i = 0; i < KA_ARRAY_SIZE(modes); i++) {
		snprintf(name, sizeof(name), "type%zu", i);
		new.mode = modes[i];
		new.uid = i % 2 ? UINT32_MAX : (uint32_t)i;
		new.gid = i % 2 ? (uint32_t)i : UINT32_MAX;
		new.rdev = i % 2 ? UINT32_MAX : 0;
		assert_ok(ka_create(m.fs, &new, &attr));
		set.atime = (struct ka_time){i % 2 ? INT64_MIN : INT64_MAX, 999999999};
		set.mtime = (struct ka_time){-1, (uint32_t)i};
		assert_ok(ka_setattr(m.fs, attr.ino, &set, &attr));
	}
	memset(target, 'x', KA_TARGET_MAX);
	target[KA_TARGET_MAX] = 0;
	memfs_symlink(m.fs, KA_ROOT_INO, "long", target);
	memfs_symlink(m.fs, KA_ROOT_INO, "short", "x");
	expect_round_trip(&m);
	memfs_release(&m);
}

static void test_extents(void **state)
{
	struct memfs m;
	ka_ino_t a, b;

	(void)state;
	memfs_make(&m, 16 << 20);
	a = memfs_file(m.fs, KA_ROOT_INO, "a");
	b = memfs_file(m.fs, KA_ROOT_INO, "b");
	memfs_write_pattern(m.fs, a, 0, 700000, 1); /* several records */
	memfs_write_pattern(m.fs, a, 5000, 3, 2);   /* splits one */
	assert_ok(memfs_fallocate(m.fs, a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10000, 1));
	assert_ok(memfs_fallocate(m.fs, a, FALLOC_FL_ZERO_RANGE, 650000, 100000));
	assert_ok(
		memfs_fallocate(m.fs, b, FALLOC_FL_KEEP_SIZE, 1000, 1 << 20)); /* beyond the end */
	assert_ok(memfs_clone(m.fs, a, 4999, b, 777, 600000));
	assert_ok(memfs_truncate(m.fs, b, 1 << 21));
	memfs_write_pattern(m.fs, b, (1 << 21) - 1, 1, 3);
	expect_round_trip(&m);
	assert_true(memfs_has_pattern(m.fs, a, 5000, 3, 2));
	assert_true(memfs_has_pattern(m.fs, b, (1 << 21) - 1, 1, 3));
	assert_ok(ka_check_file(m.fs, a));
	assert_ok(ka_check_file(m.fs, b));
	memfs_release(&m);
}

/* The largest file there can be, with a byte at its end. */
static void test_largest_file(void **state)
{
	struct ka_attr attr;
	struct memfs m;
	ka_ino_t ino;
	uint8_t byte;
	size_t len;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	ino = memfs_file(m.fs, KA_ROOT_INO, "largest");
	memfs_write(m.fs, ino, KA_FILE_MAX - 1, "x", 1);
	memfs_remount(&m);
	expect_sound(&m);
	assert_ok(ka_getattr(m.fs, ino, &attr));
	assert_int_equal(attr.size, KA_FILE_MAX);
	assert_ok(memfs_read(m.fs, ino, KA_FILE_MAX - 1, &byte, 1, &len));
	assert_true(len == 1 && byte == 'x');
	memfs_release(&m);
}

static void test_xattrs(void **state)
{
	char *value = malloc(KA_XATTR_MAX), name[KA_XATTR_NAME_MAX + 1];
	struct test_rng rng = test_rng(1);
	struct memfs m;
	ka_ino_t ino;
	size_t i;

	(void)state;
	assert_non_null(value);
	test_fill(&rng, value, KA_XATTR_MAX);
	memfs_make(&m, 16 << 20);
	memcpy(memset(name, 'n', sizeof(name)), "user.", 5);
	name[KA_XATTR_NAME_MAX] = 0;
	for (i = 0; i < 12; i++) {
		ino = i % 3 ? memfs_file(m.fs, KA_ROOT_INO, (char[]){(char)('a' + i), 0})
			    : memfs_dir(m.fs, KA_ROOT_INO, (char[]){(char)('a' + i), 0});
		assert_ok(ka_setxattr(m.fs, ino, "user.empty", NULL, 0, 0));
		assert_ok(ka_setxattr(m.fs, ino, "user.small", value, i, 0));
		assert_ok(ka_setxattr(m.fs, ino, name, value, KA_XATTR_MAX - i, 0));
	}
	assert_ok(ka_setxattr(m.fs, KA_ROOT_INO, "trusted.of root", value, 100, 0));
	expect_round_trip(&m);
	free(value);
	memfs_release(&m);
}

/* Directories of many names, over several segments, with gaps. */
static void test_big_directories(void **state)
{
	struct test_rng rng = test_rng(2);
	ka_ino_t dir[3], ino;
	struct memfs m;
	char name[KA_NAME_MAX + 1];
	size_t i, len;

	(void)state;
	memfs_make(&m, 64 << 20);
	for (i = 0; i < 3; i++)
		dir[i] = memfs_dir(m.fs, i ? dir[i - 1] : KA_ROOT_INO, "dir");
	ino = memfs_file(m.fs, KA_ROOT_INO, "many names");
	for (i = 0; i < 20000; i++) {
		len = (size_t)snprintf(name, sizeof(name), "%zu-", i);
		memset(name + len, 'x', sizeof(name) - len);
		name[len + test_below(&rng, KA_NAME_MAX + 1 - len)] = 0;
		assert_ok(memfs_link(m.fs, ino, dir[i % 3], name));
		if (test_chance(&rng, 30))
			assert_ok(ka_unlink(m.fs, dir[i % 3], name));
	}
	expect_round_trip(&m);
	assert_true(m.fs->ckpt[0].count >= 2);
	memfs_release(&m);
}

/* Numbers go on where they were, even if what had the last ones is gone. */
static void test_numbers_go_on(void **state)
{
	struct ka_attr attr;
	struct memfs m;
	ka_ino_t last, dir;
	uint64_t cookie;
	int i;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	dir = memfs_dir(m.fs, KA_ROOT_INO, "dir");
	for (i = 0; i < 3; i++) {
		last = memfs_file(m.fs, dir, "gone");
		cookie = ka_index_find(&m.fs->index, dir)->dir->next_cookie;
		assert_ok(ka_unlink(m.fs, dir, "gone"));
		if (i == 1)
			assert_ok(ka_fs_checkpoint(m.fs));
		if (i)
			memfs_crash(&m);
		else
			memfs_remount(&m);
		expect_sound(&m);
		assert_int_equal(ka_index_find(&m.fs->index, dir)->dir->next_cookie, cookie);
		assert_true(memfs_file(m.fs, KA_ROOT_INO, "new") > last);
		assert_ok(ka_lookup(m.fs, dir, "..", &attr));
		assert_int_equal(attr.ino, KA_ROOT_INO);
		assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "new"));
	}
	memfs_release(&m);
}

/* A file without a name that is still open is in the checkpoint, too. */
static void test_open_file(void **state)
{
	struct ka_file *file;
	struct memfs m;
	ka_ino_t ino;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 300000, 1);
	assert_ok(ka_open(m.fs, ino, &file));
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "file"));
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_true(memfs_has_pattern(m.fs, ino, 0, 300000, 1)); /* its space was not freed */
	assert_ok(memfs_link(m.fs, ino, KA_ROOT_INO, "back"));	 /* as linkat does with O_TMPFILE */
	memfs_crash(&m);
	free(file);
	expect_sound(&m);
	assert_true(memfs_has_pattern(m.fs, ino, 0, 300000, 1));
	memfs_release(&m);
}

/* ---- room -------------------------------------------------------------- */

static uint64_t ckpt_segments(const struct memfs *m)
{
	uint64_t i, n = 0;

	for (i = 0; i < m->fs->segs.count; i++)
		n += m->fs->segs.seg[i].state == KA_SEG_CKPT;
	return n;
}

/* The newest and the one before, and not one segment more. */
static void test_two_are_kept(void **state)
{
	struct memfs m;
	char name[16];
	int i;

	(void)state;
	memfs_make(&m, 16 << 20);
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "%d", i);
		memfs_file(m.fs, KA_ROOT_INO, name);
		if (i % 5 == 4)
			memfs_remount(&m);
		else if (i % 7 == 6)
			memfs_crash(&m);
		else
			assert_ok(ka_fs_checkpoint(m.fs));
		assert_int_equal(ckpt_segments(&m), m.fs->ckpt[0].count + m.fs->ckpt[1].count);
		assert_int_equal(m.fs->ckpt[0].count, 1);
		assert_int_equal(m.fs->ckpt[1].count, 1);
		expect_sound(&m);
	}
	memfs_release(&m);
}

/* A checkpoint that fails changes nothing. */
static void test_no_room(void **state)
{
	struct ka_region *rg;
	struct memfs m;
	char *before, *after;
	uint64_t unused;

	(void)state;
	assert_ok(cut_region_open(KA_CAPACITY_MIN, &rg));
	memfs_on(&m, rg);
	memfs_format(&m);
	memfs_open(&m);
	memfs_write_pattern(m.fs, memfs_file(m.fs, KA_ROOT_INO, "file"), 0, 100000, 1);
	before = memfs_dump(m.fs);
	unused = m.fs->segs.free;
	cut_region_limit(rg, 1); /* no memory behind any segment */
	assert_err(ka_fs_checkpoint(m.fs), -ENOSPC);
	assert_true(test_messages_have(&m.msgs, "cannot write a checkpoint"));
	assert_int_equal(m.fs->segs.free, unused);
	memfs_check(m.fs);
	memfs_file(m.fs, KA_ROOT_INO, "more"); /* life goes on in the open segment */
	assert_ok(ka_unlink(m.fs, KA_ROOT_INO, "more"));
	cut_region_limit(rg, 0);
	memfs_crash(&m);
	after = memfs_dump(m.fs);
	assert_non_null(strstr(after, "/file"));
	assert_ok(ka_fs_checkpoint(m.fs));
	free(before);
	free(after);
	memfs_release(&m);
}

/* The spare counts as room that a checkpoint gives back. */
static void test_spare_is_known(void **state)
{
	struct memfs m;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	memfs_file(m.fs, KA_ROOT_INO, "a");
	assert_int_equal(m.fs->segs.ckpt_spare, 0);
	assert_ok(ka_fs_checkpoint(m.fs));
	memfs_file(m.fs, KA_ROOT_INO, "b");
	assert_int_equal(m.fs->ckpt[1].count, 1);
	assert_int_equal(m.fs->segs.ckpt_spare, 1);
	memfs_release(&m);
}

/*
 * What is kept free for a checkpoint is enough for it: whatever the tree
 * consists of.
 */
static void expect_enough(struct memfs *m, const char *what)
{
	uint64_t need;

	(void)ka_ckpt_room(m->fs, 0, KA_SPACE_CKPT);
	need = atomic_load(&m->fs->segs.ckpt_need);
	assert_ok(ka_fs_checkpoint(m->fs));
	if (m->fs->ckpt[0].count > need)
		print_error("%s: %zu segments, %lu kept free\n", what, m->fs->ckpt[0].count,
			    (unsigned long)need);
	assert_true(m->fs->ckpt[0].count <= need);
}

static void test_need(void **state)
{
	static const size_t values[] = {0, 10, 1000, 5000, 22000, 33000, 44000, KA_XATTR_MAX};
	char *value = calloc(1, KA_XATTR_MAX), name[32], target[KA_TARGET_MAX + 1];
	struct memfs m;
	ka_ino_t ino = 0;
	size_t i, j;

	(void)state;
	assert_non_null(value);
	for (i = 0; i < KA_ARRAY_SIZE(values); i++) {
		memfs_make(&m, values[i] ? 64 << 20 : 16 << 20);
		for (j = 0; j < (values[i] ? ka_min(5000, (8 << 20) / values[i]) : 150000); j++) {
			if (j % 100 == 0) {
				snprintf(name, sizeof(name), "f%zu", j);
				ino = memfs_file(m.fs, KA_ROOT_INO, name);
			}
			snprintf(name, sizeof(name), "user.%zu", j % 100);
			assert_ok(ka_setxattr(m.fs, ino, name, value, values[i], 0));
		}
		expect_enough(&m, "attributes");
		memfs_release(&m);
	}
	free(value);

	memfs_make(&m, 64 << 20);
	memset(target, 't', KA_TARGET_MAX);
	target[KA_TARGET_MAX] = 0;
	for (j = 0; j < 2000; j++) {
		snprintf(name, sizeof(name), "%zu", j);
		memfs_symlink(m.fs, KA_ROOT_INO, name, target);
	}
	expect_enough(&m, "links");
	ino = memfs_file(m.fs, KA_ROOT_INO, "scattered");
	for (j = 0; j < 20000; j++)
		memfs_write(m.fs, ino, j << 20, "x", 1);
	expect_enough(&m, "extents");
	for (j = 0; j < 20000; j++) {
		snprintf(name, sizeof(name), "n%zu", j);
		assert_ok(memfs_link(m.fs, ino, KA_ROOT_INO, name));
	}
	expect_enough(&m, "names");
	for (j = 0; j < 20000; j++) {
		struct ka_new new = {.parent = KA_ROOT_INO,
				     .name = name,
				     .mode = S_IFREG | 07777,
				     .uid = UINT32_MAX,
				     .gid = UINT32_MAX,
				     .rdev = UINT32_MAX};
		struct ka_setattr set = {.valid = KA_SET_SIZE | KA_SET_ATIME | KA_SET_MTIME,
					 .size = KA_FILE_MAX,
					 .atime = {INT64_MAX, 999999999},
					 .mtime = {INT64_MIN, 999999999}};
		struct ka_attr attr;

		snprintf(name, sizeof(name), "i%zu", j);
		assert_ok(ka_create(m.fs, &new, &attr));
		assert_ok(ka_setattr(m.fs, attr.ino, &set, &attr));
	}
	expect_enough(&m, "inodes");
	memfs_release(&m);
}

/* ---- changed on media -------------------------------------------------- */

/* A small filesystem with one item of each kind, closed. */
static void make_small(struct memfs *m)
{
	ka_ino_t dir, file;

	memfs_make(m, KA_CAPACITY_MIN);
	dir = memfs_dir(m->fs, KA_ROOT_INO, "dir");
	file = memfs_file(m->fs, dir, "file");
	memfs_write_pattern(m->fs, file, 0, 5000, 1);
	assert_ok(memfs_fallocate(m->fs, file, 0, 10000, 1000));
	assert_ok(ka_setxattr(m->fs, file, "user.a", "value", 5, 0));
	memfs_symlink(m->fs, KA_ROOT_INO, "link", "target");
	assert_ok(memfs_link(m->fs, file, KA_ROOT_INO, "hard"));
	memfs_dir(m->fs, dir, "sub");
}

/* The one record of the newest checkpoint of a closed region. */
static struct ka_rec_ckpt_disk *chunk_of(const struct memfs *m, uint64_t *ret_addr)
{
	struct ka_super sb;

	assert_ok(ka_super_read(m->rg, NULL, NULL, &sb));
	assert_int_equal(sb.ckpt[0].chunks, 1);
	*ret_addr = sb.ckpt[0].addr;
	return (void *)(m->mem + sb.ckpt[0].addr);
}

/*
 * Every byte of the header and the record: it does not matter, or the older
 * checkpoint and the log behind it give the same state, read-only.
 */
static void test_flips(void **state)
{
	struct ka_rec_ckpt_disk *rec;
	uint64_t addr, at, end, opened = 0;
	struct memfs m;
	char *want, *got;
	int bit;

	(void)state;
	make_small(&m);
	want = memfs_dump(m.fs);
	memfs_close(&m);
	m.opts.rdonly = true;
	rec = chunk_of(&m, &addr);
	end = addr + ka_get32(rec->h.bytes) + 64;
	for (at = ka_align_down(addr, SEGMENT); at < end; at++) {
		for (bit = 0; bit < 8; bit += 3) {
			m.mem[at] ^= (uint8_t)(1u << bit);
			memfs_open(&m);
			got = memfs_dump(m.fs);
			assert_string_equal(got, want);
			free(got);
			assert_int_equal(
				m.fs->damaged,
				test_messages_have(&m.msgs, "cannot read the newest checkpoint"));
			opened += !m.fs->damaged;
			memfs_abandon(&m);
			test_messages_clear(&m.msgs);
			m.mem[at] ^= (uint8_t)(1u << bit);
		}
	}
	/* Only padding and what lies behind does not matter. */
	assert_true(opened <= 3 * (64 + 8));
	free(want);
	memfs_release(&m);
}

/* Puts the checksums right again, as somebody would who means it. */
static void reseal(struct ka_rec_ckpt_disk *rec, uint64_t addr)
{
	const uint8_t *data = (const uint8_t *)rec + ka_get32(rec->h.head_bytes);

	rec->piece_csum[0] = ka_put64(ka_csum(data, ka_get32(rec->payload.bytes)));
	ka_record_seal(&rec->h, addr);
}

static bool count_entry(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	(void)name;
	(void)attr;
	(void)cookie;
	++*(size_t *)ctx;
	return *(size_t *)ctx < 1000;
}

/* Uses a filesystem that nobody can trust; only a crash is wrong. */
static void use(struct memfs *m)
{
	ka_ino_t ino, made;
	uint8_t buf[100];
	size_t len, n = 0;

	for (ino = 1; ino < 10; ino++) {
		ka_readdir(m->fs, ino, 0, false, count_entry, &n);
		memfs_read(m->fs, ino, 0, buf, sizeof(buf), &len);
		ka_check_file(m->fs, ino);
		if (memfs_try_create(m->fs, ino, "made", S_IFREG | 0600, NULL, &made))
			continue;
		memfs_try_write(m->fs, made, 0, "hello", 5, &len);
		ka_rename(m->fs, ino, "made", KA_ROOT_INO, "moved", 0);
		ka_rename(m->fs, KA_ROOT_INO, "dir", ino, "below", 0);
		ka_unlink(m->fs, KA_ROOT_INO, "hard");
		ka_unlink(m->fs, ino, "file");
		ka_rmdir(m->fs, ino, "sub");
		ka_unlink(m->fs, KA_ROOT_INO, "moved");
	}
	ka_fs_checkpoint(m->fs);
}

/*
 * The same with checksums that are right: what the items say is all wrong, and
 * is refused or leads to something odd, but never out of bounds (ASan watches)
 * and never into a loop.
 */
static void test_hostile_items(void **state)
{
	static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff, 'I', 'N', 'D', 'E', 'S', 'Z'};
	struct ka_rec_ckpt_disk *rec;
	uint64_t addr, i, bytes;
	uint8_t *data, *copy, old;
	unsigned opened = 0, state_clean;
	struct memfs m;
	size_t v;

	(void)state;
	for (state_clean = 0; state_clean < 2; state_clean++) {
		make_small(&m);
		if (state_clean) {
			memfs_close(&m);
		} else {
			assert_ok(ka_fs_checkpoint(m.fs));
			memfs_abandon(&m);
		}
		rec = chunk_of(&m, &addr);
		data = (uint8_t *)rec + ka_get32(rec->h.head_bytes);
		bytes = ka_get32(rec->payload.bytes);
		copy = malloc(m.bytes);
		assert_non_null(copy);
		memcpy(copy, m.mem, m.bytes);
		for (i = 0; i < bytes; i++) {
			for (v = 0; v < KA_ARRAY_SIZE(values); v++) {
				old = data[i];
				data[i] = v < 6 ? (uint8_t)(old + values[v] + 1) : values[v];
				reseal(rec, addr);
				if (!memfs_try_open(&m)) {
					opened++;
					use(&m);
					memfs_abandon(&m);
					memcpy(m.mem, copy, m.bytes);
				}
				test_messages_clear(&m.msgs);
				data[i] = old;
			}
		}
		reseal(rec, addr);
		free(copy);
		memfs_open(&m);
		memfs_check(m.fs);
		memfs_release(&m);
	}
	assert_true(opened > 0);
}

/* Items put together at random from pieces that are right by themselves. */
static void test_shuffled_items(void **state)
{
	struct test_rng rng = test_rng(3);
	struct ka_rec_ckpt_disk *rec;
	uint64_t addr, bytes, at, len;
	uint8_t *data, *copy;
	struct memfs m;
	int round, n;

	(void)state;
	make_small(&m);
	memfs_close(&m);
	rec = chunk_of(&m, &addr);
	data = (uint8_t *)rec + ka_get32(rec->h.head_bytes);
	bytes = ka_get32(rec->payload.bytes);
	copy = malloc(m.bytes);
	assert_non_null(copy);
	memcpy(copy, m.mem, m.bytes);
	for (round = 0; round < 1500; round++) {
		for (n = 1 + (int)test_below(&rng, 4); n; n--) {
			len = 1 + test_below(&rng, 30);
			at = test_below(&rng, bytes - len);
			memmove(data + at, data + test_below(&rng, bytes - len), len);
		}
		reseal(rec, addr);
		if (!memfs_try_open(&m)) {
			use(&m);
			memfs_abandon(&m);
		}
		test_messages_clear(&m.msgs);
		memcpy(m.mem, copy, m.bytes);
	}
	free(copy);
	memfs_release(&m);
}

/* The pointer in the superblock that does not fit what it leads to. */
static void test_pointers(void **state)
{
	struct ka_super sb, bad;
	struct memfs m;
	char *want, *got;
	unsigned which;

	(void)state;
	make_small(&m);
	want = memfs_dump(m.fs);
	memfs_close(&m);
	assert_ok(ka_super_read(m.rg, NULL, NULL, &sb));
	for (which = 0; which < 10; which++) {
		bad = sb;
		switch (which) {
		case 0:
			bad.ckpt[0].seq++;
			break;
		case 1:
			bad.ckpt[0].seq = 0;
			break;
		case 2:
			bad.ckpt[0].chunks++;
			break;
		case 3:
			bad.ckpt[0].chunks = UINT64_MAX;
			break;
		case 4:
			bad.ckpt[0].addr += 8;
			break;
		case 5:
			bad.ckpt[0].addr = 15 * SEGMENT + 64; /* nothing is there */
			break;
		case 6:
			bad.ckpt[0].addr = bad.ckpt[1].addr; /* of the older one */
			break;
		case 7:
			bad.ckpt[0].bytes += 1;
			break;
		case 8:
			bad.ckpt[0].bytes = UINT64_MAX;
			break;
		default:
			bad.log_id ^= 1;
		}
		assert_ok(ka_super_write(m.rg, &bad, NULL));
		if (!memfs_try_open(&m)) { /* with the older one */
			assert_true(m.fs->damaged && m.fs->rdonly);
			got = memfs_dump(m.fs);
			assert_string_equal(got, want);
			free(got);
			memfs_abandon(&m);
		}
		assert_true(m.msgs.errors > 0);
		test_messages_clear(&m.msgs);
		assert_ok(ka_super_write(m.rg, &sb, NULL));
	}
	memfs_open(&m);
	got = memfs_dump(m.fs);
	assert_string_equal(got, want);
	free(got);
	free(want);
	memfs_release(&m);
}

/* As a mount does it, but without going on to the older one. */
static int load_newest(struct memfs *m)
{
	struct ka_recovery rec;
	struct ka_fs *fs;
	int err;

	err = ka_fs_load(m->rg, &m->opts, 0, &rec, &fs);
	if (!err)
		ka_fs_abandon(fs);
	return err;
}

/* A chain of segments that leads back into itself. */
static void test_chain_loop(void **state)
{
	struct ka_rec_ckpt_link_disk *link;
	const struct ka_rec_disk *rec;
	struct ka_segment_info info;
	struct ka_super sb;
	struct ka_scan scan;
	struct memfs m;
	char name[16];
	uint64_t addr = 0, seg;
	int i, err;

	(void)state;
	memfs_make(&m, 16 << 20);
	for (i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		memfs_file(m.fs, KA_ROOT_INO, name);
	}
	memfs_close(&m);
	assert_ok(ka_super_read(m.rg, NULL, NULL, &sb));
	seg = sb.ckpt[0].addr / SEGMENT;
	assert_ok(ka_scan_header(m.rg, sb.log_id, seg, SEGMENT, &info));
	ka_scan_start(&scan, m.rg, sb.log_id, info.gen, sb.ckpt[0].addr, (seg + 1) * SEGMENT);
	do
		err = ka_scan_next(&scan, &rec, &addr);
	while (!err && ka_get16(rec->type) != KA_REC_CKPT_LINK);
	assert_ok(err);
	link = (void *)(m.mem + addr);
	link->next_segment = ka_put64(seg);
	ka_record_seal(&link->h, addr);
	assert_true(load_newest(&m) < 0);
	link->next_segment = ka_put64(UINT64_MAX / SEGMENT);
	ka_record_seal(&link->h, addr);
	assert_true(load_newest(&m) < 0);
	link->next_segment = ka_put64(0);
	ka_record_seal(&link->h, addr);
	assert_true(load_newest(&m) < 0);
	/* The very first record leads to itself. */
	memcpy(m.mem + sb.ckpt[0].addr, link, sizeof(*link));
	link = (void *)(m.mem + sb.ckpt[0].addr);
	link->next_segment = ka_put64(seg);
	ka_record_seal(&link->h, sb.ckpt[0].addr);
	assert_err(load_newest(&m), -KA_ERR_CKPT_CHAIN);
	memfs_release(&m);
}

/* ---- trees that cannot be ---------------------------------------------- */

/*
 * Writes the checkpoint of a state that no operation makes, and leaves m with a
 * copy of the region. What is in memory cannot be taken apart: it leaks.
 */
static uint8_t *store_impossible(struct memfs *m)
{
	static struct ka_index *leaked[32];
	static size_t leaks;
	uint8_t *copy = malloc(m->bytes);

	assert_non_null(copy);
	assert_ok(ka_fs_store(m->fs, KA_STATE_MOUNTED));
	assert_true(leaks < KA_ARRAY_SIZE(leaked));
	leaked[leaks] = malloc(sizeof(struct ka_index));
	assert_non_null(leaked[leaks]);
	*leaked[leaks++] = m->fs->index;
	ka_index_init(&m->fs->index, NULL);
	memfs_abandon(m);
	memcpy(copy, m->mem, m->bytes);
	return copy;
}

/* It must be refused, or open read-only as damaged. */
static void expect_refused(struct memfs *m, const char *what)
{
	uint8_t *copy = store_impossible(m);

	if (!memfs_try_open(m)) {
		if (!status(m).damaged)
			print_error("%s: taken for sound\n", what);
		assert_true(status(m).damaged && status(m).rdonly);
		use(m);
	}
	assert_memory_equal(copy, m->mem, m->bytes);
	free(copy);
	memfs_release(m);
}

/* It may open, as long as nothing comes of it that is worse. */
static void expect_harmless(struct memfs *m)
{
	bool rdonly;
	int i;

	free(store_impossible(m));
	for (i = 0; i < 3; i++) {
		if (memfs_try_open(m))
			break;
		rdonly = m->fs->rdonly;
		use(m);
		if (i == 1 && !rdonly)
			memfs_close(m);
		else
			memfs_abandon(m);
	}
	memfs_release(m);
}

static struct ka_inode *inode_of(const struct memfs *m, ka_ino_t parent, const char *name)
{
	return ka_index_find(&m->fs->index, memfs_lookup(m->fs, parent, name));
}

static void test_link_counts(void **state)
{
	static const uint32_t counts[] = {0, 1, 3, UINT32_MAX};
	struct memfs m;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(counts); i++) { /* it has two names */
		make_small(&m);
		inode_of(&m, KA_ROOT_INO, "hard")->nlink = counts[i];
		expect_refused(&m, "link count of a file");
		make_small(&m);
		inode_of(&m, KA_ROOT_INO, "dir")->nlink = counts[i] == 3 ? 5 : counts[i];
		expect_refused(&m, "link count of a directory");
	}
	make_small(&m);
	ka_index_find(&m.fs->index, KA_ROOT_INO)->nlink = 1;
	expect_refused(&m, "link count of the root");
}

/* Two directories, each the other's parent, away from the root. */
static void test_directory_loop(void **state)
{
	struct ka_dirent *de;
	struct ka_inode *dir, *sub;
	struct memfs m;

	(void)state;
	make_small(&m);
	dir = inode_of(&m, KA_ROOT_INO, "dir");
	sub = inode_of(&m, dir->ino, "sub");
	de = ka_dir_find(&m.fs->index.names, ka_index_find(&m.fs->index, KA_ROOT_INO), "dir", 3);
	ka_index_remove_name(&m.fs->index, de);
	assert_ok(ka_index_add_name(&m.fs->index, sub, "dir", 3, KA_COOKIE_FIRST, dir));
	dir->dir->parent = sub;
	dir->nlink = sub->nlink = 3;
	ka_index_find(&m.fs->index, KA_ROOT_INO)->nlink--;
	expect_harmless(&m);
}

/* A directory without a name, but alive. */
static void test_lost_directory(void **state)
{
	struct memfs m;
	struct ka_dirent *de;

	(void)state;
	make_small(&m);
	de = ka_dir_find(&m.fs->index.names, ka_index_find(&m.fs->index, KA_ROOT_INO), "dir", 3);
	ka_index_remove_name(&m.fs->index, de);
	ka_index_find(&m.fs->index, KA_ROOT_INO)->nlink--;
	expect_harmless(&m);
}

/* Names in a directory that was removed. */
static void test_names_in_removed_directory(void **state)
{
	struct memfs m;
	struct ka_dirent *de;
	struct ka_inode *dir;

	(void)state;
	make_small(&m);
	dir = inode_of(&m, KA_ROOT_INO, "dir");
	de = ka_dir_find(&m.fs->index.names, ka_index_find(&m.fs->index, KA_ROOT_INO), "dir", 3);
	ka_index_remove_name(&m.fs->index, de);
	ka_index_find(&m.fs->index, KA_ROOT_INO)->nlink--;
	dir->nlink = 0;
	dir->dir->parent = NULL;
	expect_harmless(&m);
}

/* Data in a segment that is free for others to take. */
static void test_extent_in_free_segment(void **state)
{
	struct memfs m;
	struct ka_extent *e;

	(void)state;
	make_small(&m);
	e = ka_extents_find(&inode_of(&m, KA_ROOT_INO, "hard")->extents, 0);
	e->addr += 8 * SEGMENT;
	expect_refused(&m, "extent in a free segment");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_extents),
		cmocka_unit_test(test_largest_file),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_big_directories),
		cmocka_unit_test(test_numbers_go_on),
		cmocka_unit_test(test_open_file),
		cmocka_unit_test(test_two_are_kept),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_spare_is_known),
		cmocka_unit_test(test_need),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_hostile_items),
		cmocka_unit_test(test_shuffled_items),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_chain_loop),
		cmocka_unit_test(test_link_counts),
		cmocka_unit_test(test_directory_loop),
		cmocka_unit_test(test_lost_directory),
		cmocka_unit_test(test_names_in_removed_directory),
		cmocka_unit_test(test_extent_in_free_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

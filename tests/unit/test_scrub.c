/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_scrub.c - finds each damaged range and structure, and nothing else. */
#include "test.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "keepalive/scrub.h"
#include "memfs.h"

#define BYTES (16u << 20)
#define PIECE 16384u
#define FILES 20

struct found {
	struct ka_damage damage[64];
	size_t count;
	uint64_t bytes;
	uint64_t files;
};

/* Everything, in steps of this size. */
static void scrub(struct ka_fs *fs, uint64_t budget, struct found *ret)
{
	struct ka_scrub s = {0};

	*ret = (struct found){0};
	do {
		assert_ok(ka_scrub_step(fs, &s, budget));
		assert_true(s.bytes < budget + PIECE);
		if (s.is_damaged)
			ret->damage[ret->count++] = s.damage;
		ret->bytes += s.bytes;
		ret->files += s.files;
	} while (!s.finished);
}

static void make(struct memfs *m, ka_ino_t *ino)
{
	char name[16];
	unsigned i;

	memfs_make(m, BYTES);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ino[i] = memfs_file(m->fs, KA_ROOT_INO, name);
		memfs_write_pattern(m->fs, ino[i], (i % 3) * 5000, i * 10000, i);
	}
	memfs_symlink(m->fs, KA_ROOT_INO, "link", "target");
	assert_ok(memfs_truncate(m->fs, ino[3], 1 << 30));
}

static uint64_t addr_of(const struct memfs *m, ka_ino_t ino, uint64_t off)
{
	const struct ka_extent *e =
		ka_extents_find(&ka_index_find(&m->fs->index, ino)->extents, off);

	return e->addr + (off - e->off);
}

static void test_clean(void **state)
{
	static const uint64_t budgets[] = {1, PIECE, 100000, UINT64_MAX / 2};
	ka_ino_t ino[FILES];
	struct found found;
	struct memfs m;
	size_t i;

	(void)state;
	make(&m, ino);
	for (i = 0; i < KA_ARRAY_SIZE(budgets); i++) {
		scrub(m.fs, budgets[i], &found);
		assert_int_equal(found.count, 0);
		assert_int_equal(found.files, FILES);
		assert_int_equal(found.bytes, ka_scrub_total(m.fs));
		assert_int_equal(found.bytes, FILES * (FILES - 1) / 2 * 10000);
	}
	memfs_release(&m);
}

/* Exactly the pieces that are damaged, together where they adjoin. */
static void test_damage(void **state)
{
	ka_ino_t ino[FILES];
	struct found found;
	struct memfs m;
	uint64_t budget;

	(void)state;
	make(&m, ino);
	memfs_write_pattern(m.fs, ino[6], 0, 100, 99);	/* what is left begins in a piece */
	m.mem[addr_of(&m, ino[6], 20000)] ^= 1;		/* the second piece */
	m.mem[addr_of(&m, ino[9], 1 * PIECE + 1)] ^= 1; /* two that adjoin, */
	m.mem[addr_of(&m, ino[9], 2 * PIECE + 1)] ^= 1;
	m.mem[addr_of(&m, ino[9], 90000 - 1)] ^= 1; /* and the last, short one */
	for (budget = PIECE; budget <= 100 * PIECE; budget *= 100) {
		test_messages_clear(&m.msgs);
		scrub(m.fs, budget, &found);
		assert_true(found.damage[0].ino == ino[6] && found.damage[0].off == PIECE &&
			    found.damage[0].len == PIECE &&
			    found.damage[0].err == -KA_ERR_PAYLOAD_CSUM);
		assert_int_equal(found.files, FILES);
		assert_int_equal(found.bytes, ka_scrub_total(m.fs));
	}
	assert_int_equal(found.count, 3);
	assert_true(found.damage[1].ino == ino[9] && found.damage[1].off == PIECE &&
		    found.damage[1].len == 2 * PIECE);
	assert_true(found.damage[2].ino == ino[9] && found.damage[2].off == 5 * PIECE &&
		    found.damage[2].len == 90000 - 5 * PIECE);
	memfs_release(&m);
}

/* Superblock and checkpoints are healed from memory. */
static void test_structures(void **state)
{
	static const char *const names[] = {"superblock copy 0", "superblock copy 1",
					    "newest checkpoint", "older checkpoint"};
	struct ka_super sb;
	ka_ino_t ino[FILES];
	struct found found;
	struct memfs m;
	uint64_t addr;
	unsigned i, rdonly;

	(void)state;
	for (rdonly = 0; rdonly < 2; rdonly++) {
		for (i = 0; i < 4; i++) {
			make(&m, ino);
			assert_ok(ka_fs_checkpoint(m.fs));
			assert_ok(ka_fs_checkpoint(m.fs));
			if (rdonly) {
				memfs_close(&m);
				m.opts.rdonly = true;
				memfs_open(&m);
			}
			sb = m.fs->super;
			addr = i < 2 ? sb.copy_addr[i] + 100 : sb.ckpt[i - 2].addr + 200;
			m.mem[addr] ^= 1;
			scrub(m.fs, 1 << 20, &found);
			assert_int_equal(found.count, 1);
			assert_string_equal(found.damage[0].what, names[i]);
			assert_true(test_messages_have(&m.msgs, names[i]));
			scrub(m.fs, 1 << 20, &found);
			assert_int_equal(found.count, rdonly);
			if (!rdonly) {
				memfs_crash(&m);
				assert_false(m.fs->damaged);
				assert_int_equal(m.msgs.errors, 1);
			}
			memfs_release(&m);
		}
	}
}

/* Files that come and go between two steps. */
static void test_changes(void **state)
{
	struct ka_scrub s = {0};
	ka_ino_t ino[FILES];
	struct memfs m;
	char name[16];
	unsigned i = 0;

	(void)state;
	make(&m, ino);
	do {
		assert_ok(ka_scrub_step(m.fs, &s, 30000));
		assert_false(s.is_damaged);
		snprintf(name, sizeof(name), "f%u", i);
		if (i < FILES) {
			assert_ok(ka_unlink(m.fs, KA_ROOT_INO, name));
			ino[i] = memfs_file(m.fs, KA_ROOT_INO, name);
			memfs_write_pattern(m.fs, ino[i++], 0, 40000, 5);
		}
	} while (!s.finished);
	assert_int_equal(i, FILES);
	memfs_check(m.fs);
	memfs_release(&m);
}

/* Moves dir's entry elsewhere, as no operation would. */
static void graft(struct memfs *m, ka_ino_t from_dir, const char *name, ka_ino_t to_dir)
{
	struct ka_index *ix = &m->fs->index;
	struct ka_inode *from = ka_index_find(ix, from_dir), *to = ka_index_find(ix, to_dir);
	struct ka_dirent *de = ka_dir_find(&ix->names, from, name, strlen(name));
	struct ka_inode *inode = de->inode;

	ka_index_remove_name(ix, de);
	assert_ok(ka_index_add_name(ix, to, name, strlen(name), to->dir->next_cookie++, inode));
	inode->dir->parent = to;
	from->nlink--;
	to->nlink++;
}

/* Directories below themselves, and some deeper than any path: there is an end to telling. */
static void test_endless_paths(void **state)
{
	ka_ino_t a, b, dir, file[2];
	char name[200], *path;
	struct found found;
	struct memfs m;
	unsigned i;

	(void)state;
	memfs_make(&m, BYTES);
	a = memfs_dir(m.fs, KA_ROOT_INO, "a");
	b = memfs_dir(m.fs, a, "b");
	file[0] = memfs_file(m.fs, b, "looped");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	for (dir = KA_ROOT_INO, i = 0; i < 50; i++)
		dir = memfs_dir(m.fs, dir, name);
	file[1] = memfs_file(m.fs, dir, "deep");
	for (i = 0; i < 2; i++)
		memfs_write_pattern(m.fs, file[i], 0, 1000, i);
	graft(&m, KA_ROOT_INO, "a", b);
	memfs_remount(&m); /* nothing in the loop is reached, but it is there */
	assert_false(m.fs->damaged);
	for (i = 0; i < 2; i++)
		m.mem[addr_of(&m, file[i], 0)] ^= 1;
	scrub(m.fs, 1 << 20, &found);
	assert_int_equal(found.count, 2);
	assert_true(found.damage[0].ino == file[0] && found.damage[1].ino == file[1]);
	assert_true(test_messages_have(&m.msgs, "/a/b/a/b/looped' (inode"));
	assert_true(test_messages_have(&m.msgs, "/deep' (inode"));
	/* The range and the reason are there too. */
	assert_true(test_messages_have(&m.msgs, "bytes 0-999 cannot be read: payload"));
	for (i = 0; i < 2; i++) {
		assert_ok(ka_path_of(m.fs, file[i], &path));
		assert_true(!strncmp(path, "...", 3) && strlen(path) == PATH_MAX - 1);
		free(path);
	}
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),	      cmocka_unit_test(test_damage),
		cmocka_unit_test(test_structures),    cmocka_unit_test(test_changes),
		cmocka_unit_test(test_endless_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

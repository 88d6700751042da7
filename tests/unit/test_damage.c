/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_damage.c - what is told of damage: each range once, and in whole characters. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "damage.h"
#include "memfs.h"

#define BYTES  (16u << 20)
#define LISTED 1024u
#define MORE   "more than 1024 ranges"

static bool note(struct memfs *m, uint64_t i)
{
	const struct ka_damage d = {
		.ino = KA_ROOT_INO, .off = i * 8192, .len = 4096, .err = -KA_ERR_PAYLOAD_CSUM};

	return ka_damage_note(m->fs, &d);
}

/* A full list is told of once, and then nothing, however often it is met. */
static void test_full(void **state)
{
	struct ka_fs_status status;
	struct ka_damage d;
	struct memfs m;
	uint64_t i;

	(void)state;
	memfs_make(&m, BYTES);
	for (i = 0; i < LISTED; i++)
		assert_true(note(&m, i));
	assert_false(note(&m, 7));
	assert_false(test_messages_have(&m.msgs, MORE));
	assert_false(note(&m, LISTED));
	assert_true(test_messages_have(&m.msgs, MORE));
	test_messages_clear(&m.msgs);
	for (i = 0; i < 3 * LISTED; i++)
		assert_false(note(&m, i));
	assert_int_equal(m.msgs.len, 0);
	assert_ok(ka_fs_get_damage(m.fs, LISTED - 1, &d));
	assert_err(ka_fs_get_damage(m.fs, LISTED, &d), -ENOENT);
	ka_fs_get_status(m.fs, &status);
	assert_int_equal(status.unlisted, 1 + 2 * LISTED);
	memfs_release(&m);
}

/* Names of characters with two bytes, so deep that the path is cut; at both parities. */
static void check_path(const char *file)
{
	char name[256] = "";
	struct ka_damage d = {.len = 1, .err = -KA_ERR_PAYLOAD_CSUM};
	ka_ino_t ino = KA_ROOT_INO;
	const char *cut;
	struct memfs m;
	unsigned i;

	for (i = 0; i < 250; i += 2)
		memcpy(name + i, "\xc3\xa4", 3);
	memfs_make(&m, BYTES);
	for (i = 0; i < 3; i++)
		ino = memfs_dir(m.fs, ino, name);
	d.ino = memfs_file(m.fs, ino, file);
	test_messages_clear(&m.msgs);
	ka_damage_tell(m.fs, &d);
	cut = strstr(m.msgs.text, "'...");
	assert_non_null(cut);
	assert_memory_equal(cut + 4, "\xc3\xa4", 2);
	assert_true(test_messages_have(&m.msgs, file));
	memfs_release(&m);
}

static void test_characters(void **state)
{
	(void)state;
	check_path("even");
	check_path("odder");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

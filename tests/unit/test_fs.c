/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_fs.c - formatting, and the states that a filesystem goes through. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "memfs.h"

#define BYTES (8ull << 20)

static struct ka_format_opts example(void)
{
	struct ka_format_opts opts = {
		.uuid = "0123456789abcde",
		.label = "a label",
		.capacity_bytes = BYTES,
		.root_uid = 1000,
		.root_gid = 1001,
	};

	return opts;
}

static struct ka_super super_of(const struct memfs *m)
{
	struct ka_super sb;

	assert_ok(ka_super_read(m->rg, NULL, NULL, &sb));
	return sb;
}

static void test_plan(void **state)
{
	struct ka_region_info info = {.kind = KA_REGION_FILE, .capacity_bytes = BYTES};
	struct ka_format_opts opts = example();
	struct ka_super sb;

	(void)state;
	assert_ok(ka_fs_plan(&info, &opts, &sb));
	assert_int_equal(sb.capacity_bytes, BYTES);
	assert_int_equal(sb.owned_bytes, BYTES);
	assert_memory_equal(sb.uuid, opts.uuid, 16);
	assert_string_equal(sb.label, "a label");
	assert_int_equal(sb.disk_version, KA_DISK_VERSION);
	assert_int_equal(sb.state, KA_STATE_CLEAN);
	assert_int_not_equal(sb.log_id, 0);
	opts.capacity_bytes = 2 * BYTES; /* more than there is */
	assert_ok(ka_fs_plan(&info, &opts, &sb));
	assert_int_equal(sb.capacity_bytes, BYTES);
	opts.capacity_bytes = BYTES - 1;
	assert_ok(ka_fs_plan(&info, &opts, &sb));
	assert_int_equal(sb.capacity_bytes, BYTES - 1);
	opts.capacity_bytes = KA_CAPACITY_MIN - 1;
	assert_err(ka_fs_plan(&info, &opts, &sb), -KA_ERR_REGION_SMALL);
	info.capacity_bytes = KA_CAPACITY_MIN - 1;
	opts.capacity_bytes = UINT64_MAX;
	assert_err(ka_fs_plan(&info, &opts, &sb), -KA_ERR_REGION_SMALL);
	info = (struct ka_region_info){
		.kind = KA_REGION_DEVDAX, .capacity_bytes = 1ull << 30, .phys_addr = 0x180000000};
	assert_ok(ka_fs_plan(&info, &opts, &sb)); /* one slice until it is carved */
	assert_int_equal(sb.slices, 1);
	assert_int_equal(sb.phys_addr, 0x180000000);
	opts.slice_bytes = 128ull << 20;
	assert_ok(ka_fs_plan(&info, &opts, &sb));
	assert_int_equal(sb.slices, 8);
	opts.slice_bytes = 12345;
	assert_err(ka_fs_plan(&info, &opts, &sb), -KA_ERR_SUPER_FIELD);
}

static void test_format(void **state)
{
	uint8_t *mem = calloc(1, BYTES);
	struct ka_format_opts opts = example();
	struct ka_attr root;
	struct ka_super sb;
	struct memfs m;

	(void)state;
	memfs_over(&m, mem, BYTES);
	assert_ok(ka_fs_format(m.rg, &opts, NULL));
	sb = super_of(&m);
	assert_int_equal(sb.state, KA_STATE_CLEAN);
	assert_int_equal(sb.mounts, 0);
	assert_int_equal(sb.mount_ns, 0);
	memfs_open(&m);
	assert_ok(ka_getattr(m.fs, KA_ROOT_INO, &root));
	assert_int_equal(root.mode, S_IFDIR | 0755);
	assert_int_equal(root.uid, 1000);
	assert_int_equal(root.gid, 1001);
	assert_int_equal(root.nlink, 2);
	assert_int_equal(root.mtime.sec, sb.mkfs_ns / 1000000000);
	memfs_check(m.fs);
	memfs_release(&m);

	memfs_over(&m, mem, BYTES);
	opts.capacity_bytes = 1 << 20;
	sb = super_of(&m);
	assert_err(ka_fs_format(m.rg, &opts, NULL), -KA_ERR_REGION_SMALL);
	assert_int_equal(super_of(&m).log_id, sb.log_id); /* the old one is untouched */
	memfs_release(&m);
	free(mem);
}

/* Where an older superblock could be found: those are erased. */
static bool is_copy_place(uint64_t addr)
{
	return ka_is_pow2(ka_align_up(addr + 1, KA_SUPER_BYTES));
}

/* Part of the region, and not one byte beyond it but for older superblocks. */
static void test_format_part(void **state)
{
	uint8_t *mem = malloc(2 * BYTES);
	struct ka_format_opts opts = example();
	struct memfs m;
	uint64_t i;

	(void)state;
	assert_non_null(mem);
	memset(mem, 0xcd, 2 * BYTES);
	memfs_over(&m, mem, 2 * BYTES);
	opts.capacity_bytes = BYTES + 4096; /* nor in the odd end of it */
	assert_ok(ka_fs_format(m.rg, &opts, NULL));
	memfs_open(&m);
	while (m.fs->segs.free > 5)
		memfs_write_pattern(m.fs,
				    memfs_lookup(m.fs, KA_ROOT_INO, "file")
					    ?: memfs_file(m.fs, KA_ROOT_INO, "file"),
				    m.fs->segs.free << 20, 200000, 1);
	memfs_remount(&m);
	memfs_release(&m);
	for (i = BYTES; i < 2 * BYTES; i++)
		if (mem[i] != 0xcd && !is_copy_place(i))
			break;
	assert_int_equal(i, 2 * BYTES);
	free(mem);
}

/* What an older filesystem left does not come back, whatever happens next. */
static void test_format_again(void **state)
{
	struct ka_super first, second;
	struct memfs m;
	char *before, *after;
	int i;

	(void)state;
	memfs_make(&m, BYTES);
	for (i = 0; i < 100; i++)
		memfs_write_pattern(m.fs,
				    memfs_file(m.fs, KA_ROOT_INO, (char[]){(char)(i + 128), 0}), 0,
				    30000, i);
	memfs_abandon(&m);
	first = super_of(&m);
	memfs_format(&m); /* the same UUID, even */
	second = super_of(&m);
	assert_int_not_equal(first.log_id, second.log_id);
	memfs_open(&m);
	for (i = 0; i < 3; i++) {
		memfs_file(m.fs, KA_ROOT_INO, (char[]){(char)('a' + i), 0});
		before = memfs_dump(m.fs);
		memfs_crash(&m);
		assert_int_equal(m.msgs.errors, 0);
		after = memfs_dump(m.fs);
		assert_string_equal(before, after);
		assert_int_equal(m.fs->index.inodes.count, 2 + i);
		free(before);
		free(after);
	}
	memfs_release(&m);
}

/* A superblock of a larger or smaller filesystem that was there before. */
static void test_format_smaller(void **state)
{
	uint8_t *mem = calloc(1, 256 << 20);
	struct ka_format_opts opts = example();
	struct ka_super_report report;
	struct ka_super sb;
	struct memfs m;

	(void)state;
	assert_non_null(mem);
	memfs_over(&m, mem, 256 << 20);
	memfs_format(&m); /* its second copy lies at 2 MiB */
	assert_ok(ka_fs_format(m.rg, &opts, NULL));
	memset(mem, 0, 4096); /* and the first of the new one is lost */
	assert_ok(ka_super_read(m.rg, NULL, &report, &sb));
	assert_int_equal(sb.capacity_bytes, BYTES);
	memset(mem + report.copy_addr[1], 0, 4096);
	assert_err(ka_super_read(m.rg, NULL, NULL, &sb), -KA_ERR_SUPER_GONE);
	memfs_release(&m);
	free(mem);
}

static void test_states(void **state)
{
	struct ka_super sb;
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	sb = super_of(&m);
	assert_int_equal(sb.state, KA_STATE_MOUNTED);
	assert_int_equal(sb.mounts, 1);
	assert_true(sb.mount_ns > sb.mkfs_ns);
	assert_int_equal(sb.clean_ns, 0);
	memfs_close(&m);
	sb = super_of(&m);
	assert_int_equal(sb.state, KA_STATE_CLEAN);
	assert_true(sb.clean_ns > sb.mount_ns);
	assert_int_equal(sb.unclean_ns, 0);
	memfs_open(&m);
	assert_false(test_messages_have(&m.msgs, "recovered"));
	assert_int_equal(super_of(&m).mounts, 2);
	assert_ok(ka_fs_checkpoint(m.fs));
	assert_int_equal(super_of(&m).state, KA_STATE_MOUNTED);
	memfs_crash(&m);
	assert_true(test_messages_have(&m.msgs, "recovered from an unclean shutdown"));
	sb = super_of(&m);
	assert_int_equal(sb.mounts, 3);
	assert_true(sb.unclean_ns > sb.clean_ns);
	memfs_release(&m);
}

/* A clean filesystem that is only looked at stays as it is. */
static void test_read_only(void **state)
{
	uint8_t *copy = malloc(BYTES);
	struct memfs m;

	(void)state;
	assert_non_null(copy);
	memfs_make(&m, BYTES);
	memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_close(&m);
	memcpy(copy, m.mem, BYTES);
	m.opts.rdonly = true;
	memfs_open(&m);
	assert_true(memfs_lookup(m.fs, KA_ROOT_INO, "file"));
	memfs_close(&m);
	assert_memory_equal(copy, m.mem, BYTES);
	free(copy);
	memfs_release(&m);
}

/* Features that this program does not know. */
static void test_features(void **state)
{
	struct ka_super sb;
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_close(&m);
	sb = super_of(&m);
	sb.feature_ro_compat = 1;
	assert_ok(ka_super_write(m.rg, &sb, NULL));
	assert_err(memfs_try_open(&m), -KA_ERR_SUPER_RO_FEATURE);
	m.opts.rdonly = true;
	memfs_open(&m);
	assert_true(memfs_lookup(m.fs, KA_ROOT_INO, "file"));
	memfs_close(&m);
	sb.feature_incompat = 2;
	assert_ok(ka_super_write(m.rg, &sb, NULL));
	assert_err(memfs_try_open(&m), -KA_ERR_SUPER_FEATURE);
	memfs_release(&m);
}

/* What fsck has not looked at yet. */
static void test_damaged_flag(void **state)
{
	struct ka_fs_status st;
	struct ka_super sb;
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_close(&m);
	sb = super_of(&m);
	sb.flags |= KA_SUPER_DAMAGED;
	assert_ok(ka_super_write(m.rg, &sb, NULL));
	memfs_open(&m);
	ka_fs_get_status(m.fs, &st);
	assert_true(st.damaged && st.rdonly);
	assert_true(test_messages_have(&m.msgs, "run fsck.keepalivefs"));
	memfs_release(&m);
}

/*
 * What only might be a superblock stays: a format that is cut off then must not
 * have taken bytes of a filesystem that is there still.
 */
static void test_format_spares_data(void **state)
{
	struct memfs m;

	(void)state;
	memfs_make(&m, BYTES);
	memfs_abandon(&m);
	memset(m.mem + (4 << 20) - KA_SUPER_BYTES, 'd', KA_SUPER_BYTES);
	memset(m.mem + (8 << 20) - KA_SUPER_BYTES, 'd', KA_SUPER_BYTES);
	memcpy(m.mem + (8 << 20) - KA_SUPER_BYTES, KA_SUPER_MAGIC, 8);
	memfs_format(&m);
	assert_int_equal(m.mem[(4 << 20) - 1], 'd');
	assert_int_equal(m.mem[(4 << 20) - KA_SUPER_BYTES], 'd');
	assert_int_equal(m.mem[(8 << 20) - 1], 0);
	assert_int_equal(m.mem[(8 << 20) - KA_SUPER_BYTES], 0);
	memfs_release(&m);
}

enum number { SEQ, INO, GEN };

static void set_number(struct ka_fs *fs, enum number which, uint64_t v)
{
	if (which == SEQ)
		atomic_store(&fs->log.seq, v);
	else if (which == INO)
		fs->index.next_ino = v;
	else
		atomic_store(&fs->log.gen, v);
}

/* Media may say that hardly any numbers are left: what had one beyond would be lost. */
static void test_numbers(void **state)
{
	static const uint64_t limit[] = {KA_NUMBER_LIMIT, KA_NUMBER_LIMIT, KA_GEN_LIMIT};
	struct ka_fs_status st;
	struct memfs m;
	unsigned i;

	(void)state;
	for (i = SEQ; i <= GEN; i++) {
		memfs_make(&m, BYTES);
		set_number(m.fs, i, limit[i] - 1000);
		memfs_remount(&m);
		ka_fs_get_status(m.fs, &st);
		assert_true(st.rdonly && !st.damaged);
		assert_true(test_messages_have(&m.msgs, "used up its numbers"));
		assert_int_equal(memfs_lookup(m.fs, KA_ROOT_INO, "none"), 0);
		memfs_close(&m);
		memfs_release(&m);
	}
}

/* No checkpoint is written that could not be read. */
static void test_numbers_used_up(void **state)
{
	static const uint64_t limit[] = {KA_NUMBER_LIMIT, KA_NUMBER_LIMIT, KA_GEN_LIMIT};
	struct memfs m;
	unsigned i;

	(void)state;
	for (i = SEQ; i <= GEN; i++) {
		memfs_make(&m, BYTES);
		memfs_file(m.fs, KA_ROOT_INO, "file");
		set_number(m.fs, i, limit[i]);
		assert_err(ka_fs_checkpoint(m.fs), -EOVERFLOW);
		memfs_crash(&m);
		assert_true(memfs_lookup(m.fs, KA_ROOT_INO, "file") != 0);
		memfs_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_part),
		cmocka_unit_test(test_format_again),
		cmocka_unit_test(test_format_smaller),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_damaged_flag),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_numbers_used_up),
		cmocka_unit_test(test_format_spares_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_region_parts.c - regions of several parts, some of which the system has. Files stand
 * for the devices, and what stands for the system fills them with something else.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"
#include "keepalive/region.h"
#include "memfs.h"

#define PARTS 64
#define PART  (1u << 20)

static char dir[64];
static char path[PARTS][96];
static struct ka_region_part part[PARTS];
static struct test_messages msgs;

/* The system. */
static struct {
	bool refuses_to_take;
	bool refuses_to_give;
	unsigned has;
} sys;

static int sys_release(void *ctx, uint64_t off, uint64_t bytes)
{
	int fd;

	(void)ctx;
	assert_int_equal(off % PART, 0);
	assert_int_equal(bytes, PART);
	if (sys.refuses_to_take)
		return -KA_ERR_DAX_NODE;
	sys.has++;
	fd = open(path[off / PART], O_WRONLY);
	assert_ok(ftruncate(fd, 0)); /* whoever looks there now dies */
	close(fd);
	return 0;
}

static int sys_restore(void *ctx, uint64_t off, uint64_t bytes)
{
	static uint8_t garbage[PART];
	int fd;

	(void)ctx;
	assert_int_equal(bytes, PART);
	if (sys.refuses_to_give)
		return -KA_ERR_DAX_BLOCK;
	fd = open(path[off / PART], O_RDWR);
	if (lseek(fd, 0, SEEK_END))
		return fd; /* it was never taken */
	sys.has--;
	memset(garbage, 0xa5, sizeof(garbage));
	assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
	return fd;
}

static const struct ka_region_ram ram = {.release = sys_release, .restore = sys_restore};

static int setup(void **state)
{
	int fd, i;

	(void)state;
	memset(&sys, 0, sizeof(sys));
	test_messages_init(&msgs);
	strcpy(dir, "/tmp/keepalive-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (i = 0; i < PARTS; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/part%d", dir, i);
		fd = open(path[i], O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, PART))
			return -1;
		close(fd);
		part[i] = (struct ka_region_part){(uint64_t)i * PART, PART, path[i]};
	}
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	test_messages_release(&msgs);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static int try_open(struct ka_region **ret_rg)
{
	const struct ka_region_layout layout = {
		.name = "parts",
		.phys_addr = 0x180000000,
		.part = part,
		.parts = PARTS,
		.ram = &ram,
	};

	return ka_region_open_parts(&layout, KA_REGION_WRITE | KA_REGION_LOCK | KA_REGION_NOWAIT,
				    &msgs.sink, ret_rg);
}

static struct ka_region *open_parts(void)
{
	struct ka_region *rg;

	assert_ok(try_open(&rg));
	return rg;
}

static void test_seams(void **state)
{
	struct ka_region *rg = open_parts(), *other;
	char text[] = "over the seam", found[32];

	(void)state;
	assert_int_equal(ka_region_info(rg)->capacity_bytes, PARTS * PART);
	assert_int_equal(ka_region_info(rg)->phys_addr, 0x180000000);
	assert_string_equal(ka_region_info(rg)->path, "parts");
	ka_region_copy(rg, 3 * PART - 5, text, sizeof(text));
	assert_ok(ka_region_fence(rg));
	assert_string_equal(ka_region_at(rg, 3 * PART - 5, sizeof(text)), text);
	assert_err(try_open(&other), -KA_ERR_REGION_BUSY);
	ka_region_close(rg);

	rg = open_parts(); /* each is where it was, in its own file */
	assert_ok(ka_region_read(rg, 3 * PART - 5, found, sizeof(text)));
	assert_string_equal(found, text);
	ka_region_close(rg);
}

/* Nobody is there to give it to. */
static void test_stays(void **state)
{
	const struct ka_region_layout layout = {.name = "parts", .part = part, .parts = PARTS};
	struct ka_region *rg;

	(void)state;
	assert_ok(ka_region_open_parts(&layout, KA_REGION_WRITE, &msgs.sink, &rg));
	assert_false(ka_region_can_release(rg));
	assert_err(ka_region_release(rg, 60 * PART, PARTS * PART), -EOPNOTSUPP);
	ka_region_close(rg);
}

static void test_release(void **state)
{
	struct ka_region *rg = open_parts();

	(void)state;
	assert_true(ka_region_can_release(rg));
	assert_ok(ka_region_release(rg, 60 * PART, PARTS * PART));
	assert_int_equal(sys.has, 4);
	assert_null(ka_region_at(rg, 60 * PART, 1));
	ka_region_set_limit(rg, PARTS * PART); /* what is not there cannot be seen */
	assert_int_equal(ka_region_limit(rg), 60 * PART);

	assert_ok(ka_region_restore(rg, 62 * PART));
	assert_int_equal(sys.has, 2);
	assert_int_equal(*(const uint8_t *)ka_region_at(rg, 62 * PART - 1, 1), 0xa5);
	assert_null(ka_region_at(rg, 62 * PART, 1));
	sys.refuses_to_give = true;
	assert_err(ka_region_restore(rg, 63 * PART), -KA_ERR_DAX_BLOCK);
	assert_int_equal(ka_region_limit(rg), 62 * PART);
	ka_region_close(rg);
}

/* As a mount finds it while memory is lent. */
static void test_absent(void **state)
{
	struct ka_region *rg;

	(void)state;
	part[62].path = part[63].path = NULL;
	rg = open_parts();
	assert_int_equal(ka_region_info(rg)->capacity_bytes, PARTS * PART);
	assert_int_equal(ka_region_limit(rg), 62 * PART);
	assert_ok(ka_region_release(rg, 62 * PART, PARTS * PART));
	assert_int_equal(sys.has, 0); /* it has them already */
	assert_ok(ka_region_restore(rg, 63 * PART));
	assert_int_equal(ka_region_limit(rg), 63 * PART);
	ka_region_close(rg);

	assert_ok(truncate(path[61], PART / 2)); /* not what it was */
	assert_err(try_open(&rg), -KA_ERR_REGION_SHORT);
	unlink(path[61]);
	assert_int_equal(try_open(&rg), -ENOENT);
}

/* Open, with a slice for each part. */
static void make(struct memfs *m)
{
	const struct ka_format_opts opts = {.capacity_bytes = PARTS * PART, .slice_bytes = PART};

	memfs_on(m, open_parts());
	assert_ok(ka_fs_format(m->rg, &opts, NULL));
	memfs_open(m);
}

static uint64_t fill(struct memfs *m, ka_ino_t *ret_ino)
{
	uint64_t off, bytes = 20 * PART;

	*ret_ino = memfs_file(m->fs, KA_ROOT_INO, "file");
	for (off = 0; off < bytes; off += PART)
		memfs_write_pattern(m->fs, *ret_ino, off, PART, 1);
	return bytes;
}

/* A whole filesystem: lent, taken back, and both refused by the system in the middle. */
static void test_filesystem(void **state)
{
	struct ka_lend_stats stats = {0};
	struct ka_fs_status status;
	struct memfs m;
	uint64_t bytes, owned;
	unsigned had;
	ka_ino_t ino;

	(void)state;
	make(&m);
	bytes = fill(&m, &ino);
	while (!ka_lend_slice(m.fs, &stats))
		;
	assert_true(sys.has > 25);
	assert_true(memfs_has_pattern(m.fs, ino, 0, bytes, 1));

	had = sys.has;
	assert_ok(ka_reclaim_slice(m.fs, &stats));
	assert_ok(ka_reclaim_slice(m.fs, &stats));
	assert_int_equal(sys.has, had - 2);
	owned = stats.owned_bytes;
	sys.refuses_to_take = true;
	assert_err(ka_lend_slice(m.fs, &stats), -KA_ERR_DAX_NODE);
	assert_int_equal(stats.owned_bytes, owned); /* as before */
	assert_int_equal(m.fs->super.owned_bytes, owned);
	sys.refuses_to_take = false;
	sys.refuses_to_give = true;
	assert_err(ka_reclaim_slice(m.fs, &stats), -KA_ERR_DAX_BLOCK);
	assert_int_equal(m.fs->super.owned_bytes, owned);
	ka_fs_get_status(m.fs, &status);
	assert_int_equal(status.reclaim_err, -KA_ERR_DAX_BLOCK);
	sys.refuses_to_give = false;
	assert_ok(ka_reclaim_slice(m.fs, &stats));
	ka_fs_get_status(m.fs, &status);
	assert_int_equal(status.reclaim_err, 0);
	owned = stats.owned_bytes;
	memfs_check(m.fs);
	assert_true(memfs_has_pattern(m.fs, ino, 0, bytes, 1));
	memfs_crash(&m); /* the boundary is where it was */
	assert_int_equal(m.fs->super.owned_bytes, owned);
	assert_true(memfs_has_pattern(m.fs, ino, 0, bytes, 1));
	while (!ka_reclaim_slice(m.fs, &stats))
		;
	assert_int_equal(sys.has, 0);
	memfs_remount(&m);
	assert_true(memfs_has_pattern(m.fs, ino, 0, bytes, 1));
	memfs_release(&m);
}

/* As many megabytes as can be written until urgency is at least that. */
static unsigned write_until(struct memfs *m, ka_ino_t ino, uint64_t *bytes, unsigned urgency)
{
	unsigned writes = 0;

	while (ka_growth_urgency(m->fs) < urgency) {
		memfs_write_pattern(m->fs, ino, *bytes, PART, 1);
		*bytes += PART;
		writes++;
	}
	return writes;
}

/* Memory comes back while there is still room, and without it writes end as ever. */
static void test_ahead(void **state)
{
	struct ka_lend_stats stats = {0};
	struct memfs m;
	uint64_t bytes;
	unsigned had;
	ka_ino_t ino;

	(void)state;
	make(&m);
	bytes = fill(&m, &ino);
	while (!ka_lend_slice(m.fs, &stats))
		;
	assert_int_equal(ka_growth_urgency(m.fs), 0); /* it was left free */
	assert_ok(ka_grow_ahead(m.fs));
	had = sys.has;

	assert_in_range(write_until(&m, ino, &bytes, KA_GROWTH_URGENT / 2), 1, 4);
	assert_int_equal(sys.has, had); /* by itself nothing comes yet */
	sys.refuses_to_give = true;
	assert_err(ka_grow_ahead(m.fs), -KA_ERR_DAX_BLOCK);
	assert_in_range(write_until(&m, ino, &bytes, KA_GROWTH_URGENT), 1, 4);
	sys.refuses_to_give = false;
	assert_ok(ka_grow_ahead(m.fs));
	assert_int_equal(ka_growth_urgency(m.fs), 0);
	assert_in_range(had - sys.has, 2, 5); /* as much as is needed, and no more */
	assert_true(memfs_has_pattern(m.fs, ino, 0, bytes, 1));

	while (!ka_reclaim_slice(m.fs, &stats))
		;
	while (ka_segs_takeable(&m.fs->segs, KA_SPACE_NORMAL)) {
		memfs_write_pattern(m.fs, ino, bytes, PART, 1);
		bytes += PART;
	}
	assert_int_equal(ka_growth_urgency(m.fs), 0); /* nothing is lent */
	assert_true(memfs_has_pattern(m.fs, ino, 0, bytes, 1));
	memfs_release(&m);
}

/* What the superblock says is ours, and the system has: not opened, nothing stored. */
static void test_taken(void **state)
{
	struct memfs m;
	ka_ino_t ino;

	(void)state;
	make(&m);
	fill(&m, &ino);
	memfs_close(&m);
	memfs_release(&m);
	part[40].path = NULL;
	memfs_on(&m, open_parts());
	assert_err(memfs_try_open(&m), -KA_ERR_DAX_SYSTEM_RAM);
	memfs_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_seams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filesystem, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
	};

	return cmocka_run_group_tests_name("region_parts", tests, NULL, NULL);
}

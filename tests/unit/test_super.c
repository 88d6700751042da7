/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_super.c - the superblock: two copies, validation, geometry. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "keepalive/csum.h"
#include "keepalive/super.h"
#include "region_cut.h"

#define CAPACITY (16ull << 20)

static struct ka_super example(uint64_t capacity)
{
	struct ka_super sb = {
		.disk_version = KA_DISK_VERSION,
		.uuid = "0123456789abcde",
		.log_id = 0x1122334455667788,
		.label = "a label",
		.phys_addr = 0x180000000,
		.seq = 41,
		.state = KA_STATE_MOUNTED,
		.mkfs_ns = 1700000000000000001,
		.mount_ns = 1700000000000000002,
		.clean_ns = 1700000000000000003,
		.unclean_ns = -4,
		.mounts = 5,
		.recovered = 6,
		.torn = 7,
		.lost = 8,
		.flags = KA_SUPER_DAMAGED,
	};

	assert_ok(ka_super_geometry(&sb, capacity, 0, 0));
	sb.owned_bytes = sb.slice_bytes * (sb.slices - 1); /* the last one is lent */
	sb.ckpt[0] = (struct ka_ckpt_ptr){10, sb.segment_bytes + 64, 3, 1000};
	sb.ckpt[1] = (struct ka_ckpt_ptr){9, sb.segment_bytes * 2 + 64, 2, 900};
	return sb;
}

static struct ka_region *region_of(void *mem, uint64_t bytes)
{
	struct ka_region *rg;

	assert_ok(ka_region_open_mem(mem, bytes, &rg));
	return rg;
}

#define assert_same(a, b, field) assert_memory_equal(&(a)->field, &(b)->field, sizeof((a)->field))

static void assert_super_equal(const struct ka_super *a, const struct ka_super *b)
{
	assert_same(a, b, disk_version);
	assert_same(a, b, feature_compat);
	assert_same(a, b, feature_ro_compat);
	assert_same(a, b, feature_incompat);
	assert_same(a, b, uuid);
	assert_same(a, b, log_id);
	assert_same(a, b, label);
	assert_same(a, b, capacity_bytes);
	assert_same(a, b, slice_bytes);
	assert_same(a, b, first_slice_bytes);
	assert_same(a, b, segment_bytes);
	assert_same(a, b, slices);
	assert_same(a, b, segments);
	assert_same(a, b, phys_addr);
	assert_same(a, b, copy_addr);
	assert_same(a, b, seq);
	assert_same(a, b, state);
	assert_same(a, b, owned_bytes);
	assert_same(a, b, flags);
	assert_same(a, b, ckpt);
	assert_same(a, b, mkfs_ns);
	assert_same(a, b, mount_ns);
	assert_same(a, b, clean_ns);
	assert_same(a, b, unclean_ns);
	assert_same(a, b, mounts);
	assert_same(a, b, recovered);
	assert_same(a, b, torn);
	assert_same(a, b, lost);
}

static void test_round_trip(void **state)
{
	struct ka_super sb = example(CAPACITY), back;
	uint8_t *mem = calloc(1, CAPACITY);
	struct ka_region *rg = region_of(mem, CAPACITY);
	struct ka_super_report report;

	(void)state;
	assert_ok(ka_super_write(rg, &sb, NULL));
	assert_int_equal(sb.seq, 42);
	assert_ok(ka_super_read(rg, NULL, &report, &back));
	assert_super_equal(&sb, &back);
	assert_int_equal(report.copy_err[0], 0);
	assert_int_equal(report.copy_err[1], 0);
	assert_int_equal(report.copy_seq[0], 42);
	assert_int_equal(report.copy_seq[1], 42);
	assert_int_equal(report.copy_addr[0], 0);
	assert_int_equal(report.copy_addr[1], sb.segment_bytes - 4096);
	ka_region_close(rg);
	free(mem);
}

static void make_disk(struct ka_super_disk *disk)
{
	struct ka_super sb = example(CAPACITY);
	uint8_t *mem = calloc(1, CAPACITY);
	struct ka_region *rg = region_of(mem, CAPACITY);

	assert_ok(ka_super_write(rg, &sb, NULL));
	memcpy(disk, mem, sizeof(*disk));
	ka_region_close(rg);
	free(mem);
}

static void seal(struct ka_super_disk *disk)
{
	disk->csum = ka_put64(ka_csum(disk, offsetof(struct ka_super_disk, csum)));
}

static void test_every_flip(void **state)
{
	struct ka_super_disk disk;
	struct ka_super sb;
	size_t bit;
	int err;

	(void)state;
	make_disk(&disk);
	for (bit = 0; bit < sizeof(disk) * 8; bit++) {
		((uint8_t *)&disk)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		err = ka_super_decode(&disk, &sb);
		assert_true(err == -KA_ERR_SUPER_CSUM || err == -KA_ERR_NOT_KEEPALIVE ||
			    err == -KA_ERR_SUPER_VERSION);
		((uint8_t *)&disk)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_ok(ka_super_decode(&disk, &sb));
}

/* One field at a time, with a checksum that is right. */
static void test_refusals(void **state)
{
#define AT(field, value, err)                                                  \
	{                                                                      \
#field " = " #value, offsetof(struct ka_super_disk, field),    \
			sizeof(((struct ka_super_disk *)0)->field), value, err \
	}
#define FIELD -KA_ERR_SUPER_FIELD
	const uint32_t segment = 256u << 10;
	const struct {
		const char *what;
		size_t off;
		size_t bytes;
		uint64_t value;
		int err;
	} cases[] = {
		AT(magic, 0, -KA_ERR_NOT_KEEPALIVE),
		AT(disk_version, 0, FIELD),
		AT(disk_version, 2, -KA_ERR_SUPER_VERSION),
		AT(disk_version, UINT32_MAX, -KA_ERR_SUPER_VERSION),
		AT(super_bytes, 0, FIELD),
		AT(super_bytes, 8192, FIELD),
		AT(feature_compat, UINT64_MAX, 0), /* nothing to mind */
		AT(feature_ro_compat, 1, -KA_ERR_SUPER_RO_FEATURE),
		AT(feature_ro_compat, 1ull << 63, -KA_ERR_SUPER_RO_FEATURE),
		AT(feature_incompat, 1, -KA_ERR_SUPER_FEATURE),
		AT(feature_incompat, 1ull << 63, -KA_ERR_SUPER_FEATURE),
		AT(log_id, 0, FIELD),
		AT(label[63], 'x', FIELD),
		AT(capacity_bytes, 0, FIELD),
		AT(capacity_bytes, (4u << 20) - 1, FIELD),
		AT(capacity_bytes, 1ull << 63, FIELD),
		AT(capacity_bytes, UINT64_MAX, FIELD),
		AT(capacity_bytes, 1ull << 40, FIELD), /* other segments */
		AT(slice_bytes, 1, FIELD),
		AT(slice_bytes, segment / 2, FIELD),
		AT(slice_bytes, segment * 2, FIELD), /* fits, but not the others */
		AT(slice_bytes, UINT64_MAX, FIELD),
		AT(first_slice_bytes, 0, FIELD),
		AT(first_slice_bytes, segment * 3, FIELD),
		AT(segment_bytes, 0, FIELD),
		AT(segment_bytes, 1, FIELD),
		AT(segment_bytes, segment * 2, FIELD),
		AT(segment_bytes, UINT32_MAX, FIELD),
		AT(slices, 0, FIELD),
		AT(slices, 1, FIELD),
		AT(slices, UINT32_MAX, FIELD),
		AT(segments, 0, FIELD),
		AT(segments, 63, FIELD),
		AT(segments, 65, FIELD),
		AT(segments, UINT64_MAX, FIELD),
		AT(copy_addr[0], 4096, FIELD),
		AT(copy_addr[1], 0, FIELD),
		AT(copy_addr[1], UINT64_MAX, FIELD),
		AT(copy, 2, FIELD),
		AT(copy, UINT32_MAX, FIELD),
		AT(state, 0, FIELD),
		AT(state, KA_STATE_CLEAN, 0),
		AT(state, KA_STATE_SEALED, 0),
		AT(state, 4, FIELD),
		AT(state, UINT32_MAX, FIELD),
		AT(owned_bytes, 0, FIELD),
		AT(owned_bytes, segment - 1, FIELD),
		AT(owned_bytes, CAPACITY, 0),
		AT(owned_bytes, CAPACITY - 4096, FIELD), /* not whole slices */
		AT(owned_bytes, CAPACITY + 1, FIELD),
		AT(owned_bytes, CAPACITY + segment, FIELD),
		AT(owned_bytes, UINT64_MAX, FIELD),
		AT(flags, 0, 0),
		AT(flags, 2, FIELD),
		AT(flags, UINT64_MAX, FIELD),
		AT(ckpt[0].addr, 0, FIELD), /* there is always one */
		AT(ckpt[0].addr, segment - 8, FIELD),
		AT(ckpt[0].addr, segment + 4, FIELD),
		AT(ckpt[0].addr, CAPACITY, FIELD),
		AT(ckpt[0].addr, CAPACITY - 64, FIELD), /* behind the boundary */
		AT(ckpt[0].addr, UINT64_MAX - 7, FIELD),
		AT(ckpt[0].chunks, 0, FIELD),
		AT(ckpt[1].addr, 0, FIELD), /* but the rest of it is not zero */
		AT(ckpt[1].addr, segment - 8, FIELD),
		AT(ckpt[1].addr, UINT64_MAX - 7, FIELD),
		AT(ckpt[1].chunks, 0, FIELD),
		AT(rsv[0], 1, FIELD),
		AT(rsv[3735], 1, FIELD),
		AT(rsv[1000], 0x80, FIELD),
	};
	struct ka_super_disk good, disk;
	struct ka_super sb;
	size_t i;
	int err;

	(void)state;
	make_disk(&good);
	for (i = 0; i < KA_ARRAY_SIZE(cases); i++) {
		disk = good;
		memcpy((char *)&disk + cases[i].off, &cases[i].value, cases[i].bytes);
		seal(&disk);
		err = ka_super_decode(&disk, &sb);
		if (err != cases[i].err)
			print_error("%s\n", cases[i].what);
		assert_err(err, cases[i].err);
	}
	disk = good;
	memset(&disk.ckpt[1], 0, sizeof(disk.ckpt[1])); /* no older one: fine */
	seal(&disk);
	assert_ok(ka_super_decode(&disk, &sb));
}

/* Slices of no size: nobody may divide by that. */
static void test_no_slices(void **state)
{
	struct ka_super_disk disk;
	struct ka_super sb;

	(void)state;
	make_disk(&disk);
	disk.slice_bytes = ka_put64(0);
	seal(&disk);
	assert_err(ka_super_decode(&disk, &sb), -KA_ERR_SUPER_FIELD);
}

/* Damage is not to pass for a newer version, which keeps its checksum here too. */
static void test_damage_is_no_version(void **state)
{
	struct ka_super_disk disk;
	struct ka_super sb;

	(void)state;
	make_disk(&disk);
	disk.disk_version = ka_put32(7);
	assert_err(ka_super_decode(&disk, &sb), -KA_ERR_SUPER_CSUM);
	seal(&disk);
	assert_err(ka_super_decode(&disk, &sb), -KA_ERR_SUPER_VERSION);
	assert_int_equal(sb.disk_version, 7);
}

/* The newer copy counts, whichever it is; a damaged one does not. */
static void test_copies(void **state)
{
	uint8_t *mem = calloc(1, CAPACITY);
	struct ka_region *rg = region_of(mem, CAPACITY);
	struct ka_super sb = example(CAPACITY), back;
	struct ka_super_disk *copy[2], old[2];
	struct ka_super_report report;
	int i, newer;

	(void)state;
	copy[0] = (void *)mem;
	copy[1] = (void *)(mem + sb.copy_addr[1]);
	for (newer = 0; newer < 2; newer++) {
		assert_ok(ka_super_write(rg, &sb, NULL));
		memcpy(&old[0], copy[0], sizeof(old[0]));
		memcpy(&old[1], copy[1], sizeof(old[1]));
		sb.mounts++;
		assert_ok(ka_super_write(rg, &sb, NULL));
		memcpy(copy[!newer], &old[!newer], sizeof(old[0]));
		assert_ok(ka_super_read(rg, NULL, &report, &back));
		assert_super_equal(&back, &sb);
		assert_int_equal(report.copy_seq[newer], sb.seq);
		assert_int_equal(report.copy_seq[!newer], sb.seq - 1);

		copy[newer]->mounts = ka_put64(0); /* damaged */
		assert_ok(ka_super_read(rg, NULL, &report, &back));
		assert_int_equal(back.seq, sb.seq - 1);
		assert_int_equal(back.mounts, sb.mounts - 1);
		assert_int_equal(report.copy_err[newer], -KA_ERR_SUPER_CSUM);
		assert_int_equal(report.copy_err[!newer], 0);
		sb = back;
	}
	for (i = 0; i < 2; i++)
		copy[i]->mounts = ka_put64(0);
	assert_err(ka_super_read(rg, NULL, &report, &back), -KA_ERR_SUPER_CSUM);
	memset(mem, 0, CAPACITY);
	assert_err(ka_super_read(rg, NULL, NULL, &back), -KA_ERR_WIPED);
	ka_region_close(rg);
	free(mem);
}

/* With the first copy gone, the second is found in regions of every size. */
static void test_second_copy_alone(void **state)
{
	static const uint64_t sizes[] = {4, 16, 17, 31, 32, 64, 127, 128, 300};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(sizes); i++) {
		bytes = sizes[i] << 20;
		uint8_t *mem = calloc(1, bytes);
		struct ka_region *rg = region_of(mem, bytes);
		struct ka_super sb = example(bytes), back;
		struct ka_super_report report;

		assert_ok(ka_super_write(rg, &sb, NULL));
		memset(mem, 0xee, sizeof(struct ka_super_disk));
		assert_ok(ka_super_read(rg, NULL, &report, &back));
		assert_super_equal(&sb, &back);
		assert_int_equal(report.copy_err[0], -KA_ERR_NOT_KEEPALIVE);
		assert_int_equal(report.copy_addr[1], sb.copy_addr[1]);
		ka_region_close(rg);
		free(mem);
	}
}

static void test_messages(void **state)
{
	uint8_t *mem = calloc(1, CAPACITY);
	struct ka_region *rg = region_of(mem, CAPACITY), *shorter;
	struct ka_super sb = example(CAPACITY), back;
	struct ka_super_disk *disk = (void *)mem;
	struct test_messages msgs;

	(void)state;
	test_messages_init(&msgs);
	mem[CAPACITY / 2] = 1;
	assert_err(ka_super_read(rg, &msgs.sink, NULL, &back), -KA_ERR_NOT_KEEPALIVE);
	assert_true(test_messages_have(&msgs, "'memory' is not a keepalivefs region"));

	assert_ok(ka_super_write(rg, &sb, NULL));
	shorter = region_of(mem, CAPACITY - 4096);
	assert_err(ka_super_read(shorter, &msgs.sink, NULL, &back), -KA_ERR_REGION_SHORT);
	assert_true(test_messages_have(&msgs, "truncated"));
	ka_region_close(shorter);

	test_messages_clear(&msgs);
	disk->feature_incompat = ka_put64(0x40);
	seal(disk);
	/* The second copy does not overrule an honest refusal. */
	assert_err(ka_super_read(rg, &msgs.sink, NULL, &back), -KA_ERR_SUPER_FEATURE);
	assert_true(test_messages_have(&msgs, "0x40"));
	disk->disk_version = ka_put32(9);
	seal(disk);
	assert_err(ka_super_read(rg, &msgs.sink, NULL, &back), -KA_ERR_SUPER_VERSION);
	assert_true(test_messages_have(&msgs, "disk version 9"));
	assert_int_equal(msgs.errors, 2);

	assert_ok(ka_super_write(rg, &sb, NULL));
	disk->feature_ro_compat = ka_put64(2);
	disk->super_seq = ka_put64(1000);
	seal(disk);
	assert_err(ka_super_read(rg, NULL, NULL, &back), -KA_ERR_SUPER_RO_FEATURE);
	assert_int_equal(back.feature_ro_compat, 2); /* filled all the same */
	test_messages_release(&msgs);
	ka_region_close(rg);
	free(mem);
}

struct torn {
	uint8_t *image;
	struct ka_super old;
	struct ka_super new;
	struct test_rng rng;
	unsigned olds, news;
};

static void check_torn(void *ctx, struct ka_region *rg, uint64_t fences)
{
	struct torn *t = ctx;
	struct ka_region *after;
	struct ka_super back;
	enum cut_kind kind;
	int i;

	(void)fences;
	after = region_of(t->image, KA_CAPACITY_MIN);
	for (i = 0; i < 40; i++) {
		kind = (enum cut_kind)(i % CUT_KINDS);
		cut_region_image(rg, kind, &t->rng, t->image);
		assert_ok(ka_super_read(after, NULL, NULL, &back));
		if (back.seq == t->old.seq) {
			assert_super_equal(&back, &t->old);
			t->olds++;
		} else {
			assert_super_equal(&back, &t->new);
			t->news++;
		}
	}
	ka_region_close(after);
}

/* Whenever the power fails in an update, it is the old one or the new one. */
static void test_torn_update(void **state)
{
	struct torn t = {.image = malloc(KA_CAPACITY_MIN), .rng = test_rng(1)};
	struct ka_super sb = example(KA_CAPACITY_MIN);
	struct ka_region *rg;
	uint64_t fences;
	int i;

	(void)state;
	assert_ok(cut_region_open(KA_CAPACITY_MIN, &rg));
	assert_ok(ka_super_write(rg, &sb, NULL));
	cut_region_watch(rg, check_torn, &t);
	for (i = 0; i < 5; i++) {
		t.old = sb;
		sb.mounts++;
		sb.ckpt[0].seq += 100;
		sb.label[0]++;
		t.new = sb;
		t.new.seq++;
		fences = cut_region_fences(rg);
		assert_ok(ka_super_write(rg, &sb, NULL));
		assert_int_equal(cut_region_fences(rg) - fences, 2);
		t.olds = 0;
		check_torn(&t, rg, 0); /* it returned: the new one, for good */
		assert_int_equal(t.olds, 0);
	}
	assert_true(t.news > 0);
	ka_region_close(rg);
	free(t.image);
}

/* With one copy damaged, the update must not begin with the other. */
static void test_torn_update_of_one(void **state)
{
	struct torn t = {.image = malloc(KA_CAPACITY_MIN), .rng = test_rng(3)};
	struct ka_super sb = example(KA_CAPACITY_MIN), read;
	struct ka_region *rg;
	uint8_t zero = 0;
	int bad;

	(void)state;
	for (bad = 0; bad < 2; bad++) {
		assert_ok(cut_region_open(KA_CAPACITY_MIN, &rg));
		assert_ok(ka_super_write(rg, &sb, NULL));
		ka_region_write(rg, sb.copy_addr[bad] + 16, &zero, 1);
		ka_region_write(rg, sb.copy_addr[bad] + 200, "damage", 6);
		ka_region_flush(rg, sb.copy_addr[bad], 4096);
		ka_region_fence(rg);
		assert_ok(ka_super_read(rg, NULL, NULL, &read));
		t.old = t.new = read;
		t.new.mounts++;
		t.new.seq++;
		read.mounts++;
		cut_region_watch(rg, check_torn, &t);
		assert_ok(ka_super_write(rg, &read, NULL));
		ka_region_close(rg);
	}
	free(t.image);
}

static void check_geometry(uint64_t capacity, uint64_t slice)
{
	struct ka_super sb = {0};
	uint64_t segment;

	assert_ok(ka_super_geometry(&sb, capacity, slice, slice));
	segment = sb.segment_bytes;
	assert_int_equal(sb.capacity_bytes, capacity);
	assert_true(ka_is_pow2(segment));
	assert_true(segment >= KA_SEGMENT_MIN && segment <= KA_SEGMENT_MAX);
	assert_int_equal(sb.segments, capacity / segment);
	assert_true(sb.segments >= 16);
	assert_true(segment == KA_SEGMENT_MIN || sb.segments >= 64);
	assert_int_equal(sb.copy_addr[0], 0);
	assert_int_equal(sb.copy_addr[1], segment - KA_SUPER_BYTES);
	assert_true(sb.slices >= 1 && sb.slices <= KA_SLICES_MAX);
	assert_true(sb.slice_bytes && sb.slice_bytes % segment == 0);
	if (slice)
		assert_int_equal(sb.slice_bytes, slice);
	assert_int_equal(sb.first_slice_bytes, sb.slice_bytes);
	/* The slices cover the capacity, and none is beyond it. */
	assert_true((sb.slices - 1) * sb.slice_bytes < capacity);
	assert_true(sb.slice_bytes >= capacity ||
		    capacity - (sb.slices - 1) * sb.slice_bytes <= sb.slice_bytes);
}

static void test_geometry(void **state)
{
	static const uint64_t small[] = {0, 1, 4096, 1 << 20, KA_CAPACITY_MIN - 1};
	struct test_rng rng = test_rng(2);
	struct ka_super sb = {0};
	uint64_t capacity;
	unsigned shift;
	int i;

	(void)state;
	for (i = 0; i < (int)KA_ARRAY_SIZE(small); i++)
		assert_err(ka_super_geometry(&sb, small[i], 0, 0), -KA_ERR_REGION_SMALL);
	assert_err(ka_super_geometry(&sb, KA_FILE_MAX + 1, 0, 0), -KA_ERR_REGION_SMALL);
	assert_err(ka_super_geometry(&sb, UINT64_MAX, 0, 0), -KA_ERR_REGION_SMALL);
	assert_int_equal(sb.capacity_bytes, 0); /* untouched */
	for (shift = 22; shift < 63; shift++) {
		check_geometry(1ull << shift, 0);
		check_geometry((1ull << shift) + 1, 0);
		check_geometry((2ull << shift) - 1, 0);
	}
	check_geometry(KA_FILE_MAX, 0);
	for (i = 0; i < 20000; i++) {
		capacity = KA_CAPACITY_MIN + (test_rand(&rng) >> (2 + test_below(&rng, 40)));
		check_geometry(capacity, 0);
		check_geometry(capacity,
			       ka_align_up(capacity / (1 + test_below(&rng, 60)) + 1, 2u << 20));
	}
}

static void test_slices(void **state)
{
	struct ka_super sb = {0};

	(void)state;
	check_geometry(1ull << 30, 128ull << 20);
	check_geometry(1ull << 30, 2ull << 30); /* one, larger than all */
	assert_err(ka_super_geometry(&sb, 1ull << 30, 1, 1), -KA_ERR_SUPER_FIELD);
	assert_err(ka_super_geometry(&sb, 1ull << 30, (2u << 20) + 4096, (2u << 20) + 4096),
		   -KA_ERR_SUPER_FIELD);
	assert_err(ka_super_geometry(&sb, 1ull << 30, 2u << 20, 2u << 20),
		   -KA_ERR_SUPER_FIELD); /* 512 */
	assert_err(ka_super_geometry(&sb, 1ull << 30, UINT64_MAX, UINT64_MAX), -KA_ERR_SUPER_FIELD);
}

/* As on a region that begins in the middle of a memory block. */
static void test_first_slice(void **state)
{
	struct ka_super sb = {0};
	const uint64_t mib = 1 << 20;

	(void)state;
	assert_ok(ka_super_geometry(&sb, 1024 * mib, 128 * mib, 254 * mib));
	assert_int_equal(sb.slices, 8);
	assert_int_equal(ka_super_slice_off(&sb, 0), 0);
	assert_int_equal(ka_super_slice_off(&sb, 1), 254 * mib);
	assert_int_equal(ka_super_slice_off(&sb, 2), 382 * mib);
	assert_int_equal(ka_super_slice_off(&sb, 7), 1022 * mib); /* 2 MiB are left */
	assert_int_equal(ka_super_slice_off(&sb, 8), 1024 * mib);
	assert_int_equal(ka_super_slice_of(&sb, 254 * mib - 1), 0);
	assert_int_equal(ka_super_slice_of(&sb, 254 * mib), 1);
	assert_int_equal(ka_super_slice_of(&sb, 1024 * mib - 1), 7);
	assert_int_equal(ka_super_boundary(&sb, 0), 254 * mib);
	assert_int_equal(ka_super_boundary(&sb, 254 * mib), 254 * mib);
	assert_int_equal(ka_super_boundary(&sb, 254 * mib + 1), 382 * mib);
	assert_int_equal(ka_super_boundary(&sb, 1022 * mib), 1022 * mib);
	assert_int_equal(ka_super_boundary(&sb, 1022 * mib + 1), 1024 * mib);
	assert_int_equal(ka_super_boundary(&sb, UINT64_MAX), 1024 * mib);

	assert_ok(ka_super_geometry(&sb, 100 * mib, 128 * mib, 130 * mib)); /* one for all */
	assert_int_equal(sb.slices, 1);
	assert_int_equal(ka_super_boundary(&sb, 1), 100 * mib);
	assert_err(ka_super_geometry(&sb, 1024 * mib, 128 * mib, 127 * mib), -KA_ERR_SUPER_FIELD);
	assert_err(ka_super_geometry(&sb, 1024 * mib, 128 * mib, 256 * mib), -KA_ERR_SUPER_FIELD);
	assert_err(ka_super_geometry(&sb, 1024 * mib, 128 * mib, 128 * mib + 1),
		   -KA_ERR_SUPER_FIELD);
}

static void test_log_id(void **state)
{
	struct ka_super a = example(CAPACITY), b = a;

	(void)state;
	assert_ok(ka_super_new_log_id(&a));
	assert_ok(ka_super_new_log_id(&b));
	assert_int_not_equal(a.log_id, 0);
	assert_int_not_equal(a.log_id, b.log_id); /* the UUID is not all of it */
}

struct revive {
	uint64_t addr;		  /* of the copy */
	struct ka_super_disk cut; /* the update that was cut off */
	uint8_t *image;		  /* what the power leaves */
	unsigned tried;
};

/* Whatever single word arrives, the update that was cut off does not come to life. */
static void try_words(void *ctx, struct ka_region *rg, uint64_t fences)
{
	struct revive *r = ctx;
	struct cut_line *line = calloc(cut_region_open_lines(rg) + 1, sizeof(*line));
	size_t i, at, lines = cut_region_lines(rg, line);
	uint8_t *to, was[CUT_WORD];

	(void)fences;
	cut_region_image(rg, CUT_NONE, NULL, r->image);
	for (i = 0; i < lines; i++) {
		for (at = 0; at < CUT_LINE; at += CUT_WORD, r->tried++) {
			to = r->image + line[i].line * CUT_LINE + at;
			memcpy(was, to, CUT_WORD);
			memcpy(to, line[i].version[line[i].versions - 1] + at, CUT_WORD);
			assert_memory_not_equal(r->image + r->addr, &r->cut, sizeof(r->cut));
			memcpy(to, was, CUT_WORD);
		}
	}
	free(line);
}

/*
 * Two updates in a row are cut off, and the second has in one word what the first lacked
 * there: its checksum must be gone by then, as the checkpoint that it names may be.
 */
static void test_no_revival(void **state)
{
	struct ka_super sb = example(CAPACITY), first;
	struct revive r = {.addr = sb.copy_addr[1], .image = malloc(CAPACITY)};
	uint8_t *image = calloc(1, CAPACITY);
	struct ka_super_disk disk;
	struct ka_region *rg;

	(void)state;
	ka_super_encode(&sb, 0, &disk);
	memcpy(image, &disk, sizeof(disk));
	first = sb;
	first.seq++;
	first.ckpt[0] = (struct ka_ckpt_ptr){20, 3 * sb.segment_bytes + 64, 1, 500};
	ka_super_encode(&first, 1, &r.cut);
	disk = r.cut;
	disk.ckpt[0].addr = ka_put64(sb.ckpt[0].addr); /* this word is still the old one */
	memcpy(image + r.addr, &disk, sizeof(disk));

	assert_ok(cut_region_open_image(image, CAPACITY, &rg));
	assert_ok(ka_super_read(rg, NULL, NULL, &sb));
	assert_int_equal(sb.seq, 41);
	sb.ckpt[0] = (struct ka_ckpt_ptr){30, 3 * sb.segment_bytes + 64, 2, 600};
	cut_region_watch(rg, try_words, &r);
	assert_ok(ka_super_write(rg, &sb, NULL));
	assert_in_range(r.tried, 16, 1000);
	ka_region_close(rg);
	free(r.image);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_flip),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_slices),
		cmocka_unit_test(test_damage_is_no_version),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_second_copy_alone),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_torn_update),
		cmocka_unit_test(test_torn_update_of_one),
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_first_slice),
		cmocka_unit_test(test_log_id),
		cmocka_unit_test(test_no_revival),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

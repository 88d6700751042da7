/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_carve.c - cutting a DAX region into slices, whatever it was like before. */
#include "test.h"

#include "fake_machine.h"
#include "keepalive/carve.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

#define MIB   (1ull << 20)
#define GIB   (1ull << 30)
#define START (6 * GIB)

static struct ka_carving carving(uint64_t start, uint64_t bytes)
{
	struct ka_carve_sizes sizes;
	struct ka_carving want;
	struct ka_super sb = {0};

	ka_carve_choose(start, bytes, FAKE_BLOCK, &sizes);
	assert_ok(ka_super_geometry(&sb, bytes, sizes.slice_bytes, sizes.first_slice_bytes));
	ka_carving_of(&sb, start, &want);
	return want;
}

static void check_sizes(uint64_t start, uint64_t bytes, uint64_t block)
{
	struct ka_carve_sizes sizes;
	struct ka_super sb = {0};
	uint32_t i;

	ka_carve_choose(start, bytes, block, &sizes);
	assert_ok(ka_super_geometry(&sb, bytes, sizes.slice_bytes, sizes.first_slice_bytes));
	assert_in_range(sb.slices, 1, KA_SLICES_MAX);
	if (sb.slices == 1)
		return;
	assert_int_equal(sizes.slice_bytes % block, 0);
	/* All but the first begin with a block, so whole blocks are all that they have. */
	for (i = 1; i < sb.slices; i++)
		assert_int_equal((start + ka_super_slice_off(&sb, i)) % block, 0);
	assert_true(sizes.unlendable_bytes < block);
}

static void test_sizes(void **state)
{
	struct test_rng rng = test_rng(3);
	struct ka_carve_sizes sizes;
	uint64_t block;
	int i;

	(void)state;
	ka_carve_choose(START, GIB, FAKE_BLOCK, &sizes);
	assert_int_equal(sizes.slice_bytes, FAKE_BLOCK);
	assert_int_equal(sizes.first_slice_bytes, FAKE_BLOCK);
	assert_int_equal(sizes.unlendable_bytes, 0);
	/* As with memmap=, but beginning a little later. */
	ka_carve_choose(START + 2 * MIB, GIB, FAKE_BLOCK, &sizes);
	assert_int_equal(sizes.first_slice_bytes, 254 * MIB);
	assert_int_equal(sizes.unlendable_bytes, 2 * MIB);
	/* One slice: no hot-plug, or not two blocks. */
	ka_carve_choose(START, GIB, 0, &sizes);
	assert_int_equal(sizes.slice_bytes, GIB);
	ka_carve_choose(START + 2 * MIB, 256 * MIB, FAKE_BLOCK, &sizes);
	assert_true(sizes.slice_bytes >= 256 * MIB);
	ka_carve_choose(START, 256 * MIB, FAKE_BLOCK, &sizes);
	assert_int_equal(sizes.slice_bytes, FAKE_BLOCK);
	for (i = 0; i < 10000; i++) {
		block = FAKE_BLOCK << test_below(&rng, 5);
		check_sizes(ka_align_down(test_rand(&rng) >> 16, 2 * MIB),
			    64 * MIB + 2 * MIB * test_below(&rng, 1 << test_below(&rng, 24)),
			    block);
	}
}

static size_t with_memory(const struct fake_machine *f)
{
	size_t i, n = 0;

	for (i = 0; i < f->devs; i++)
		n += f->dev[i].bytes ? 1 : 0;
	return n;
}

static void expect_carved(struct fake_machine *f, const struct ka_carving *want)
{
	struct ka_dax_region *r;
	size_t count;
	uint32_t i;

	assert_ok(f->m.ops->regions(&f->m, &r, &count));
	assert_int_equal(ka_carve_look(r, want), KA_CARVED_AS_WANTED);
	for (i = 0; i < want->slices; i++)
		assert_non_null(ka_carve_device(r, want, i));
	assert_int_equal(with_memory(f), want->slices);
	assert_false(f->stuck);
	ka_dax_regions_free(r, count);
}

static void test_found(void **state)
{
	struct ka_carving want = carving(START + 2 * MIB, GIB);
	struct fake_machine f;
	unsigned calls;

	(void)state;
	fake_machine_init(&f, START + 2 * MIB, GIB);
	assert_ok(ka_carve(&f.m, 0, &want, NULL)); /* idle */
	expect_carved(&f, &want);
	calls = f.calls;
	assert_ok(ka_carve(&f.m, 0, &want, NULL)); /* again */
	assert_int_equal(f.calls, calls);

	fake_machine_boot(&f); /* one device, in use by nobody */
	fake_machine_add(&f, f.start, f.bytes, KA_DAX_DEVDAX);
	assert_ok(ka_carve(&f.m, 0, &want, NULL));
	expect_carved(&f, &want);

	fake_machine_boot(&f); /* not enabled, as since 6.3 */
	fake_machine_add(&f, f.start, f.bytes, KA_DAX_UNBOUND);
	assert_ok(ka_carve(&f.m, 0, &want, NULL));
	expect_carved(&f, &want);

	assert_int_equal(ka_carve(&f.m, 7, &want, NULL), -ENODEV);
}

static void refused(struct fake_machine *f, const struct ka_carving *want, int err)
{
	size_t before = with_memory(f);

	f->calls = 0;
	assert_err(ka_carve(&f->m, 0, want, NULL), err);
	assert_int_equal(f->calls, 0);
	assert_int_equal(with_memory(f), before);
}

static void test_refused(void **state)
{
	struct ka_carving want = carving(START, GIB);
	struct fake_machine f;

	(void)state;
	fake_machine_init(&f, START, GIB);
	fake_machine_add(&f, START, GIB, KA_DAX_KMEM); /* taken at boot */
	refused(&f, &want, -KA_ERR_DAX_SYSTEM_RAM);

	fake_machine_boot(&f); /* by hand */
	fake_machine_add(&f, START, 300 * MIB, KA_DAX_DEVDAX);
	refused(&f, &want, -KA_ERR_DAX_CARVED);

	fake_machine_boot(&f); /* of two ranges */
	fake_machine_add(&f, START, FAKE_BLOCK, KA_DAX_UNBOUND)->ranges = 2;
	refused(&f, &want, -KA_ERR_DAX_CARVED);
}

/* The machine stops, or only one step fails: the next run completes it. */
static void test_cut(void **state)
{
	struct ka_carving want = carving(START, GIB);
	struct fake_machine f;
	bool whole, cut;
	unsigned at, done;

	(void)state;
	for (whole = false;; whole = true) {
		for (cut = false;; cut = true) {
			for (at = 1, done = 0; !done; at++) {
				fake_machine_init(&f, START, GIB);
				if (whole)
					fake_machine_add(&f, START, GIB, KA_DAX_DEVDAX);
				f.fail_at = at;
				f.cut = cut;
				done = !ka_carve(&f.m, 0, &want, NULL);
				f.fail_at = 0;
				assert_ok(ka_carve(&f.m, 0, &want, NULL));
				expect_carved(&f, &want);
			}
			assert_true(at > want.slices);
			if (cut)
				break;
		}
		if (whole)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests_name("carve", tests, NULL, NULL);
}

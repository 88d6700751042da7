/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hotplug.c - lending memory of a slice and having it back; every step fails once. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "fake_machine.h"
#include "keepalive/err.h"
#include "keepalive/hotplug.h"

#define GIB    (1ull << 30)
#define START  (6 * GIB)
#define FIRST  (START / FAKE_BLOCK + 2) /* block of the slice */
#define BLOCKS 3

static void make(struct fake_machine *f, enum ka_online_policy policy)
{
	fake_machine_init(f, START, GIB);
	fake_machine_add(f, START, 2 * FAKE_BLOCK, KA_DAX_DEVDAX);
	fake_machine_add(f, FIRST * FAKE_BLOCK, BLOCKS * FAKE_BLOCK, KA_DAX_DEVDAX);
	f->policy = policy;
	f->block[FIRST + BLOCKS] = KA_BLOCK_MOVABLE; /* of somebody else, right behind it */
}

static const struct ka_dax_dev *slice(const struct fake_machine *f)
{
	return &f->dev[2];
}

/* All blocks of it are like this, and it is bound to that; nothing else has changed. */
static void expect(const struct fake_machine *f, enum ka_dax_driver driver,
		   enum ka_block_state state, enum ka_online_policy policy)
{
	uint64_t b;

	assert_int_equal(slice(f)->driver, driver);
	for (b = FIRST; b < FIRST + BLOCKS; b++)
		assert_int_equal(f->block[b], state);
	assert_int_equal(f->dev[1].driver, KA_DAX_DEVDAX);
	assert_int_equal(f->block[FIRST + BLOCKS], KA_BLOCK_MOVABLE);
	assert_int_equal(f->policy, policy);
	assert_false(f->stuck);
}

static void test_both_ways(void **state)
{
	char reason[KA_REASON_MAX] = "";
	struct fake_machine f;
	int policy;

	(void)state;
	for (policy = KA_ONLINE_OFFLINE; policy <= KA_ONLINE_MOVABLE; policy++) {
		make(&f, (enum ka_online_policy)policy);
		assert_ok(ka_hotplug_lend(&f.m, slice(&f), reason));
		expect(&f, KA_DAX_KMEM, KA_BLOCK_MOVABLE, (enum ka_online_policy)policy);
		assert_ok(ka_hotplug_lend(&f.m, slice(&f), reason)); /* again */
		expect(&f, KA_DAX_KMEM, KA_BLOCK_MOVABLE, (enum ka_online_policy)policy);
		assert_ok(ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason));
		expect(&f, KA_DAX_DEVDAX, KA_BLOCK_ABSENT, (enum ka_online_policy)policy);
		assert_ok(ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason));
		assert_string_equal(reason, "");
	}
}

/* What is not a whole block stays with whoever has it. */
static void test_no_block(void **state)
{
	char reason[KA_REASON_MAX] = "";
	struct fake_machine f;

	(void)state;
	make(&f, KA_ONLINE_OFFLINE);
	fake_machine_add(&f, START + GIB - (2 << 20), 2 << 20, KA_DAX_DEVDAX);
	assert_ok(ka_hotplug_lend(&f.m, &f.dev[3], reason));
	assert_int_equal(f.dev[3].driver, KA_DAX_DEVDAX);
	assert_ok(ka_hotplug_reclaim(&f.m, &f.dev[3], 1000, reason));
}

static void test_no_node(void **state)
{
	char reason[KA_REASON_MAX] = "";
	struct fake_machine f;

	(void)state;
	make(&f, KA_ONLINE_ONLINE);
	f.dev[2].target_node = -1;
	assert_err(ka_hotplug_lend(&f.m, slice(&f), reason), -KA_ERR_DAX_NODE);
	assert_non_null(strstr(reason, "NUMA node"));
	expect(&f, KA_DAX_DEVDAX, KA_BLOCK_ABSENT, KA_ONLINE_ONLINE);
}

/* A block that does not go offline: all stay in use, and the next try gets them. */
static void test_pinned(void **state)
{
	char reason[KA_REASON_MAX] = "", number[16];
	struct fake_machine f;
	uint64_t b;

	(void)state;
	for (b = FIRST; b < FIRST + BLOCKS; b++) {
		make(&f, KA_ONLINE_OFFLINE);
		assert_ok(ka_hotplug_lend(&f.m, slice(&f), reason));
		f.pinned[b] = true;
		assert_err(ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason), -KA_ERR_DAX_BLOCK);
		snprintf(number, sizeof(number), "block %u ", (unsigned)b);
		assert_non_null(strstr(reason, number));
		expect(&f, KA_DAX_KMEM, KA_BLOCK_MOVABLE, KA_ONLINE_OFFLINE);
		f.pinned[b] = false;
		assert_ok(ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason));
		expect(&f, KA_DAX_DEVDAX, KA_BLOCK_ABSENT, KA_ONLINE_OFFLINE);
	}
}

/*
 * Every step fails in turn. Lending that fails leaves the slice as it was, one step of the
 * undoing excepted; and whatever is left, the next try completes it.
 */
static void test_lend_fails(void **state)
{
	char reason[KA_REASON_MAX];
	struct fake_machine f;
	unsigned at;
	int err;

	(void)state;
	for (at = 1;; at++) {
		make(&f, KA_ONLINE_OFFLINE);
		f.fail_at = at;
		reason[0] = 0;
		err = ka_hotplug_lend(&f.m, slice(&f), reason);
		if (!err)
			break;
		assert_true(reason[0]);
		expect(&f, KA_DAX_DEVDAX, KA_BLOCK_ABSENT, KA_ONLINE_OFFLINE);
		assert_ok(ka_hotplug_lend(&f.m, slice(&f), reason));
		expect(&f, KA_DAX_KMEM, KA_BLOCK_MOVABLE, KA_ONLINE_OFFLINE);
	}
	assert_int_equal(at, 1 + 1 + BLOCKS);
}

static void test_reclaim_fails(void **state)
{
	char reason[KA_REASON_MAX];
	struct fake_machine f;
	unsigned at;
	int err;

	(void)state;
	for (at = 1;; at++) {
		make(&f, KA_ONLINE_OFFLINE);
		assert_ok(ka_hotplug_lend(&f.m, slice(&f), reason));
		f.calls = 0;
		f.fail_at = at;
		reason[0] = 0;
		err = ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason);
		if (!err)
			break;
		assert_true(reason[0]);
		assert_false(f.stuck);
		assert_ok(ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason));
		expect(&f, KA_DAX_DEVDAX, KA_BLOCK_ABSENT, KA_ONLINE_OFFLINE);
	}
	assert_int_equal(at, BLOCKS + 2 + 1);
}

/* Killed at any step, whichever way it went; then both ways work. */
static void test_killed(void **state)
{
	char reason[KA_REASON_MAX];
	struct fake_machine f;
	unsigned at, way;

	(void)state;
	for (way = 0; way < 2; way++) {
		for (at = 1; at < 12; at++) {
			make(&f, KA_ONLINE_ONLINE);
			if (way)
				assert_ok(ka_hotplug_lend(&f.m, slice(&f), reason));
			f.calls = 0;
			f.fail_at = at;
			f.cut = true;
			if (way)
				(void)ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason);
			else
				(void)ka_hotplug_lend(&f.m, slice(&f), reason);
			f.fail_at = 0;
			if (at % 2) {
				assert_ok(ka_hotplug_lend(&f.m, slice(&f), reason));
				assert_int_equal(f.block[FIRST], KA_BLOCK_MOVABLE);
			}
			assert_ok(ka_hotplug_reclaim(&f.m, slice(&f), 1000, reason));
			assert_int_equal(slice(&f)->driver, KA_DAX_DEVDAX);
			assert_false(f.stuck);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),  cmocka_unit_test(test_no_block),
		cmocka_unit_test(test_no_node),	   cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_lend_fails), cmocka_unit_test(test_reclaim_fails),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests_name("hotplug", tests, NULL, NULL);
}

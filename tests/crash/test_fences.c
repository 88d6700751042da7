/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_fences.c - the explorer sees: without any one of the fences that a commit
 * rests on it finds violations, and with all of them none.
 *
 * The numbers count the fences of the one operation that is tried, from 0. Which is
 * which is said beside each; DESIGN.md, "Crash arguments", says what they are for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "explorer.h"
#include "region_cut.h"

struct fence {
	const char *workload;
	int64_t number;
	int64_t of; /* fences that the operation has */
};

static const struct fence fences[] = {
	/*
	 * Append (argument 1): the record is durable before the operation returns.
	 * Without, what had returned is not there. Of a record with payload as well.
	 */
	{"log:create", 0, 1},
	{"log:write", 0, 1},
	{"two:create", 0, 1},
	{"log:removexattr", 0, 1},
	/*
	 * Next segment (argument 2): 0 is END before the header of the next: else a
	 * header names a segment that has no end, which is damage. 1 is that header
	 * before its first record: else a record lies behind no header. 2 is the record.
	 */
	{"change:create", 0, 3},
	{"change:create", 1, 3},
	{"change:create", 2, 3},
	/* No room for an END: 0 is the header, 1 the record. */
	{"noend:create", 0, 2},
	{"noend:create", 1, 2},
	/*
	 * A write of two records: 0 is the first of them, which fills the old segment (no
	 * END fits behind it): else the next header names one with a damaged end. 1 is
	 * that header, 2 the second record.
	 */
	{"split:write-long", 0, 3},
	{"split:write-long", 1, 3},
	{"split:write-long", 2, 3},
	/*
	 * Checkpoint (argument 3): 0 is all chunks before the superblock: else it names
	 * a checkpoint that is not whole. 1 is the first copy of the superblock before
	 * the other is touched: else both may be torn. 2 is the second copy: else it may
	 * be torn although nobody is writing it. The filesystem is still there then, by
	 * the first copy; what comes of it if an update follows at once stands below.
	 */
	{"log:checkpoint", 0, 3},
	{"log:checkpoint", 1, 3},
	{"log:checkpoint", 2, 3},
	{"nospare:checkpoint", 0, 3},
	{"nospare:checkpoint", 1, 3},
	/*
	 * Clean stop and mount (arguments 3 and 5): 0 and 1 as above. 2 is the second copy
	 * before the mount stores the first one again: else both may be torn. 3 is the copy
	 * that says "mounted" before the other is touched, 4 that other one.
	 */
	{"log:remount", 0, 5},
	{"log:remount", 1, 5},
	{"log:remount", 2, 5},
	{"log:remount", 3, 5},
	{"log:remount", 4, 5},
	/* Mount after an unclean stop (argument 6): a checkpoint again. */
	{"log:recovery", 0, 3},
	{"log:recovery", 1, 3},
	{"log:recovery", 2, 3},
	/*
	 * mkfs (argument 7): 0 is the erasure of the old superblocks before anything that
	 * they lead to is overwritten (here the old checkpoint): else the old filesystem is
	 * there and damaged. 1 is the new checkpoint before the superblock.
	 * Not here: 2 and 3, the copies of the superblock. A format that is cut off may
	 * leave nothing, so both may be torn at once, and no cut tells whether 2 is there.
	 * Durable on return is what 3 promises; in this operation the fences of a mount
	 * follow, 4 and 5, which make up for it. Both are those of every update.
	 */
	{"change:format", 0, 6},
	{"change:format", 1, 6},
	/* fsck -y publishes a checkpoint (argument 8); 3 and 4 are the mount. */
	{"log:fsck", 0, 5},
	{"log:fsck", 1, 5},
	{"log:fsck", 2, 5},
};

/* Violations of a workload, found by a process of its own: what is wrong may end it. */
static uint64_t violations(const char *name, int64_t drop)
{
	struct explorer x;
	struct workload w;
	const char *end;
	uint64_t count;
	int status;
	pid_t pid;

	assert_true(workload_parse(&w, name, &end) && !*end);
	if (drop >= 0)
		workload_drop(&w, drop);
	assert_ok(explorer_open(&x, 100000));
	x.per_point = UINT64_MAX; /* no chance to miss it */
	x.inner_every = 0;	  /* it is about the operation, not what recovers it */
	x.quiet = drop >= 0;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (drop >= 0 && !freopen("/dev/null", "w", stderr))
			_exit(1);
		explorer_run(&x, &w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	count = atomic_load(&x.tally->violations);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		count++; /* an assertion about a state */
	explorer_close(&x);
	return count;
}

static void test_none_missing(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(fences); i++)
		if (!i || strcmp(fences[i].workload, fences[i - 1].workload))
			assert_int_equal(violations(fences[i].workload, -1), 0);
}

static void test_each_missing(void **state)
{
	uint64_t count, blind = 0;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(fences); i++) {
		count = violations(fences[i].workload, fences[i].number);
		print_message("%s without fence %" PRId64 ": %" PRIu64 " violations\n",
			      fences[i].workload, fences[i].number, count);
		blind += !count;
	}
	assert_int_equal(blind, 0);
}

static void begin(struct memfs *m, const struct workload *w)
{
	struct ka_region *rg;

	fixed_restart();
	assert_ok(cut_region_open(w->start->bytes, &rg));
	memfs_on(m, rg);
	workload_begin(w, m);
}

/* The numbers in the table mean what they are said to mean. */
static void test_fences_counted(void **state)
{
	struct workload w;
	const char *end;
	struct memfs m;
	uint64_t before;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(fences); i++) {
		assert_true(workload_parse(&w, fences[i].workload, &end));
		begin(&m, &w);
		before = cut_region_fences(m.rg);
		assert_ok(workload_run(&w, 0, &m));
		if (cut_region_fences(m.rg) - before != (uint64_t)fences[i].of)
			fail_msg("%s has %" PRIu64 " fences", w.name,
				 cut_region_fences(m.rg) - before);
		memfs_release(&m);
	}
}

/* None of the operations is tried for nothing. */
static void test_operations_work(void **state)
{
	struct workload w;
	struct memfs m;
	size_t i;
	int err;

	(void)state;
	for (i = 0; i < op_count; i++) {
		workload_of(&w, &starts[0], &ops[i], NULL);
		begin(&m, &w);
		err = workload_run(&w, 0, &m);
		if (!err != !ops[i].later)
			fail_msg("%s: %s", w.name, ka_strerror(err));
		memfs_release(&m);
	}
}

/* A name leads to the workload that it is the name of. */
static void test_names(void **state)
{
	struct workload w, again;
	const char *end;
	uint64_t i;

	(void)state;
	for (i = 0; i < 100; i++) {
		workload_random(&w, i);
		assert_true(workload_parse(&again, w.name, &end) && !*end);
		assert_memory_equal(&w, &again, sizeof(w));
	}
	workload_of(&w, &starts[1], &ops[2], &ops[3]);
	workload_drop(&w, 4);
	assert_true(workload_parse(&again, w.name, &end) && !*end);
	assert_string_equal(w.name, again.name);
	assert_true(again.drop == 4 && again.op[1] == &ops[3] && again.count == 2);
	assert_false(workload_parse(&w, "log:creat@1.1", &end));
	assert_false(workload_parse(&w, "nowhere:create", &end));
}

/* An id is one state, if there is such a one. */
static void test_ids(void **state)
{
	struct explorer x;

	(void)state;
	assert_ok(explorer_open(&x, 1000));
	assert_true(explorer_replay(&x, "log:create@0.1"));
	assert_int_equal(atomic_load(&x.tally->states), 1);
	assert_false(explorer_replay(&x, "log:create@0.1/mount@99.1"));
	assert_false(explorer_replay(&x, "log:create@0.1/nothing@0.1"));
	assert_false(explorer_replay(&x, "log:create@0"));
	assert_true(explorer_replay(&x, "log:create@0.2/mount@0.1"));
	assert_int_equal(atomic_load(&x.tally->inner), 1);
	assert_int_equal(atomic_load(&x.tally->violations), 0);
	explorer_close(&x);
	assert_ok(explorer_open(&x, 1000));
	assert_false(explorer_replay(&x, "log:create@99.1"));
	explorer_close(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_operations_work),
		cmocka_unit_test(test_fences_counted),
		cmocka_unit_test(test_none_missing),
		cmocka_unit_test(test_each_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

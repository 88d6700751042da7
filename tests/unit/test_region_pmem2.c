/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_region_pmem2.c - regular files as regions: mapping, stores, locks, and
 * what is refused. Devices are for the tests in virtual machines.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keepalive/fs.h"
#include "keepalive/ops.h"
#include "keepalive/region.h"
#include "memfs.h"

#define BYTES (8u << 20)

static char dir[64];
static struct test_messages msgs;

static const char *path_of(const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[0]), "%s/%s", dir, name);
	return path[turn];
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/keepalive-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	test_messages_init(&msgs);
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

static const char *make_file(const char *name, off_t bytes)
{
	const char *path = path_of(name);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_ok(ftruncate(fd, bytes));
	close(fd);
	return path;
}

static int try_open(const char *path, unsigned flags, struct ka_region **ret)
{
	return ka_region_open(path, flags, &msgs.sink, ret);
}

static void test_open(void **state)
{
	const char *path = make_file("region", BYTES + 4095);
	const struct ka_region_info *info;
	struct ka_region *rg;

	(void)state;
	assert_ok(try_open(path, 0, &rg));
	info = ka_region_info(rg);
	assert_int_equal(info->kind, KA_REGION_FILE);
	assert_int_equal(info->capacity_bytes, BYTES); /* whole pages */
	assert_int_equal(info->phys_addr, 0);
	assert_string_equal(info->path, path);
	assert_true(info->path != path);
	assert_true((uintptr_t)ka_region_at(rg, 0, BYTES) % (2u << 20) == 0);
	ka_region_close(rg);
	assert_null(msgs.text);
}

/* Stores are in the file, whoever looks. */
static void test_store(void **state)
{
	const char *path = make_file("region", BYTES);
	uint8_t *data = malloc(100000), *back = malloc(100000);
	struct test_rng rng = test_rng(1);
	struct ka_region *rg;
	struct stat st;
	size_t i;
	int fd;

	(void)state;
	assert_true(data && back);
	assert_ok(try_open(path, KA_REGION_WRITE, &rg));
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	for (i = 0; i < 50; i++) {
		size_t len = 1 + test_below(&rng, 99999), off = test_below(&rng, BYTES - len);

		test_fill(&rng, data, len);
		if (i % 2) {
			ka_region_copy(rg, off, data, len);
		} else {
			ka_region_write(rg, off, data, len);
			ka_region_flush(rg, off, len);
		}
		ka_region_fence(rg);
		assert_memory_equal(ka_region_at(rg, off, len), data, len);
		assert_int_equal(pread(fd, back, len, (off_t)off), len);
		assert_memory_equal(back, data, len);
	}
	assert_ok(ka_region_prepare(rg, 0, BYTES));
	assert_ok(fstat(fd, &st));
	assert_true((uint64_t)st.st_blocks * 512 >= BYTES);
	assert_ok(ka_region_sync(rg));
	close(fd);
	ka_region_close(rg);
	free(data);
	free(back);
}

/* A region not opened for writing cannot be stored to at all. */
static void test_read_only_faults(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *rg;
	int status;
	pid_t pid;

	(void)state;
	assert_ok(try_open(path, 0, &rg));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		ka_region_write(rg, 0, "x", 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* A sanitizer catches the signal and exits instead. */
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status));
	assert_int_equal(*(const char *)ka_region_at(rg, 0, 1), 0);
	ka_region_close(rg);
}

static void test_lock(void **state)
{
	const unsigned both = KA_REGION_WRITE | KA_REGION_LOCK | KA_REGION_NOWAIT;
	const char *path = make_file("region", BYTES);
	struct ka_region *rg, *other;
	bool used = true;

	(void)state;
	assert_ok(ka_region_in_use(path, &used));
	assert_false(used);
	assert_ok(try_open(path, both, &rg));
	assert_ok(ka_region_in_use(path, &used));
	assert_true(used);
	assert_err(try_open(path, both, &other), -KA_ERR_REGION_BUSY);
	assert_true(test_messages_have(&msgs, "is in use by another program"));
	assert_true(test_messages_have(&msgs, path));
	/* Readers that lock want nobody to write. */
	assert_err(try_open(path, KA_REGION_LOCK | KA_REGION_NOWAIT, &other), -KA_ERR_REGION_BUSY);
	/* Who does not ask for the lock gets in. */
	assert_ok(try_open(path, 0, &other));
	ka_region_close(other);
	ka_region_close(rg);
	assert_ok(ka_region_in_use(path, &used));
	assert_false(used);
	assert_ok(try_open(path, both, &rg));
	ka_region_close(rg);
}

static void test_readers_share(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *one, *two, *writer;
	bool used;

	(void)state;
	assert_ok(try_open(path, KA_REGION_LOCK | KA_REGION_NOWAIT, &one));
	assert_ok(try_open(path, KA_REGION_LOCK | KA_REGION_NOWAIT, &two));
	assert_err(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK | KA_REGION_NOWAIT, &writer),
		   -KA_ERR_REGION_BUSY);
	ka_region_close(one);
	assert_ok(ka_region_in_use(path, &used));
	assert_true(used);
	ka_region_close(two);
	assert_ok(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK | KA_REGION_NOWAIT, &writer));
	ka_region_close(writer);
}

/* The lock ends with the process that holds it, however that ends. */
static void test_lock_ends_with_process(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *rg;
	int pipes[2], status;
	bool used = false;
	char byte;
	pid_t pid;

	(void)state;
	assert_ok(pipe(pipes));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &rg) ||
		    write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_ok(ka_region_in_use(path, &used));
	assert_true(used);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_ok(ka_region_in_use(path, &used));
	assert_false(used);
	close(pipes[0]);
	close(pipes[1]);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	/* By another name: fixed.c stands before clock_gettime. */
	timespec_get(&ts, TIME_UTC);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One who serves and goes on serving is not waited for longer than a moment. */
static void test_busy_soon(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *rg, *other;
	int64_t start;

	(void)state;
	assert_ok(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &rg));
	start = now_ms();
	assert_err(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &other), -KA_ERR_REGION_BUSY);
	assert_in_range(now_ms() - start, 100, 5000);
	ka_region_close(rg);
}

static void *close_later(void *arg)
{
	const struct timespec pause = {.tv_nsec = 800 * 1000000};

	nanosleep(&pause, NULL);
	ka_region_close(arg);
	return NULL;
}

/* One on its way out is waited for. */
static void test_leaving(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *rg, *other;
	pthread_t thread;
	int64_t start;
	bool used;

	(void)state;
	assert_ok(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &rg));
	ka_region_leaving(rg);
	assert_ok(ka_region_in_use(path, &used));
	assert_true(used); /* until it is gone */
	assert_err(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK | KA_REGION_NOWAIT, &other),
		   -KA_ERR_REGION_BUSY);
	start = now_ms();
	assert_int_equal(pthread_create(&thread, NULL, close_later, rg), 0);
	assert_ok(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &other));
	assert_true(now_ms() - start >= 700);
	pthread_join(thread, NULL);
	ka_region_close(other);
}

static void test_refused(void **state)
{
	static const struct {
		off_t bytes;
		int err;
	} sizes[] = {
		{0, -KA_ERR_NOT_KEEPALIVE},
		{1, -KA_ERR_NOT_KEEPALIVE},
		{4096, -KA_ERR_REGION_SMALL},
		{65535, -KA_ERR_REGION_SMALL},
	};
	struct ka_region *rg;
	struct stat st;
	const char *path;
	bool used;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(sizes); i++) {
		test_messages_clear(&msgs);
		path = make_file("small", sizes[i].bytes);
		assert_err(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &rg), sizes[i].err);
		assert_true(test_messages_have(&msgs, "too small"));
		assert_int_equal(msgs.errors, 1);	  /* one clear line */
		assert_ok(ka_region_in_use(path, &used)); /* and no lock left */
		assert_false(used);
		assert_ok(stat(path, &st));
		assert_int_equal(st.st_size, sizes[i].bytes);
		unlink(path);
	}
	assert_ok(try_open(make_file("enough", 65536), 0, &rg));
	ka_region_close(rg);

	test_messages_clear(&msgs);
	assert_err(try_open(path_of("none"), KA_REGION_WRITE, &rg), -ENOENT);
	assert_true(test_messages_have(&msgs, "No such file or directory"));
	assert_err(ka_region_in_use(path_of("none"), &used), -ENOENT);
	test_messages_clear(&msgs);
	assert_err(try_open(dir, KA_REGION_WRITE, &rg), -EISDIR);
	assert_true(test_messages_have(&msgs, "is a directory, not a region"));
	test_messages_clear(&msgs);
	assert_err(try_open(dir, 0, &rg), -KA_ERR_REGION_TYPE);
	assert_int_equal(msgs.errors, 1);
	assert_err(try_open("/dev/null", KA_REGION_WRITE, &rg), -KA_ERR_REGION_TYPE);
	assert_err(try_open("/dev/zero", 0, &rg), -KA_ERR_REGION_TYPE);
	assert_ok(mkfifo(path_of("fifo"), 0600));
	assert_err(try_open(path_of("fifo"), 0, &rg), -KA_ERR_REGION_TYPE); /* nor does it hang */
	test_messages_clear(&msgs);
	assert_err(try_open(path_of("a/b/c"), 0, &rg), -ENOENT);
}

static void test_no_permission(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *rg;

	(void)state;
	if (!geteuid())
		skip(); /* root may */
	assert_ok(chmod(path, 0400));
	assert_err(try_open(path, KA_REGION_WRITE, &rg), -EACCES);
	assert_true(test_messages_have(&msgs, "Permission denied"));
	assert_ok(try_open(path, 0, &rg));
	ka_region_close(rg);
}

/* No descriptor and no mapping stays behind, whatever happened. */
static size_t count_entries(const char *path, const char *part)
{
	FILE *in = fopen(path, "r");
	char line[512];
	size_t n = 0;

	assert_non_null(in);
	while (fgets(line, sizeof(line), in))
		n += !!strstr(line, part);
	fclose(in);
	return n;
}

static void test_no_leaks(void **state)
{
	const char *path = make_file("region", BYTES), *small;
	struct ka_region *rg;
	int fd, again, i;

	(void)state;
	fd = dup(0);
	close(fd);
	small = make_file("small", 100);
	for (i = 0; i < 10; i++) {
		assert_ok(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &rg));
		ka_region_close(rg);
		assert_true(try_open(small, 0, &rg) < 0);
		assert_true(try_open(dir, 0, &rg) < 0);
	}
	again = dup(0);
	close(again);
	assert_int_equal(fd, again);
	assert_int_equal(count_entries("/proc/self/maps", dir), 0);
}

/* A whole filesystem in a file, across processes in effect. */
static void test_filesystem(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *rg;
	struct memfs m;
	char *before, *after;
	ka_ino_t ino;
	int i;

	(void)state;
	assert_ok(try_open(path, KA_REGION_WRITE | KA_REGION_LOCK, &rg));
	memfs_on(&m, rg);
	memfs_format(&m);
	memfs_open(&m);
	ino = memfs_file(m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(m.fs, ino, 0, 1000000, 1);
	before = memfs_dump(m.fs);
	for (i = 0; i < 4; i++) {
		if (i % 2)
			memfs_abandon(&m);
		else
			memfs_close(&m);
		memfs_release(&m);
		assert_ok(try_open(path, i < 2 ? KA_REGION_WRITE | KA_REGION_LOCK : KA_REGION_LOCK,
				   &rg));
		memfs_on(&m, rg);
		m.opts.rdonly = i >= 2;
		memfs_open(&m);
		assert_true(memfs_has_pattern(m.fs, ino, 0, 1000000, 1));
		after = memfs_dump(m.fs);
		assert_string_equal(before, after);
		free(after);
	}
	free(before);
	memfs_release(&m);
}

/* The file was cut short: refused by name, not by SIGBUS. */
static void test_truncated(void **state)
{
	const char *path = make_file("region", BYTES);
	struct ka_region *rg;
	struct memfs m;

	(void)state;
	assert_ok(try_open(path, KA_REGION_WRITE, &rg));
	memfs_on(&m, rg);
	memfs_format(&m);
	memfs_release(&m);
	assert_ok(truncate(path, BYTES / 2));
	assert_ok(try_open(path, KA_REGION_WRITE, &rg));
	memfs_on(&m, rg);
	assert_err(memfs_try_open(&m), -KA_ERR_REGION_SHORT);
	assert_true(test_messages_have(&m.msgs, "it was truncated"));
	memfs_release(&m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open),
		TEST(test_store),
		TEST(test_read_only_faults),
		TEST(test_lock),
		TEST(test_readers_share),
		TEST(test_lock_ends_with_process),
		TEST(test_busy_soon),
		TEST(test_leaving),
		TEST(test_refused),
		TEST(test_no_permission),
		TEST(test_no_leaks),
		TEST(test_filesystem),
		TEST(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

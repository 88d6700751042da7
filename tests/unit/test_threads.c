/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_threads.c - many threads on one filesystem. What each of them did is
 * there afterwards, after a crash too; a thread sanitizer watches the locks
 * (meson setup -Db_sanitize=thread).
 */
#include "test.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "memfs.h"

#define THREADS 6
#define STEPS	4000
#define SHARED	8	       /* names that all of them fight for */
#define BYTES	(512ull << 20) /* eight positions */

struct shared {
	struct memfs m;
	ka_ino_t common; /* a directory */
	ka_ino_t log;	 /* a file that all append to */
	_Atomic int running;
};

struct worker {
	struct shared *s;
	int id;
	struct test_rng rng;
	ka_ino_t own;	   /* a directory, nobody else's */
	uint64_t key[16];  /* of own file i; 0: it is not there */
	unsigned appended; /* records in the log */
};

struct log_record {
	uint32_t worker;
	uint32_t number;
	uint8_t pad[56];
};

/* Errors that come of losing a race, and no others. */
static void may_lose(int err)
{
	if (err && err != -ENOENT && err != -EEXIST && err != -ESTALE && err != -ENOTEMPTY &&
	    err != -EISDIR && err != -ENOTDIR && err != -EINVAL && err != -EPERM)
		assert_ok(err);
}

static void own_step(struct worker *w, struct ka_fs *fs)
{
	size_t i = test_below(&w->rng, KA_ARRAY_SIZE(w->key));
	char name[16];
	ka_ino_t ino;

	snprintf(name, sizeof(name), "own%zu", i);
	if (!w->key[i]) {
		ino = memfs_file(fs, w->own, name);
		w->key[i] = 1 + test_rand(&w->rng) % 1000;
		memfs_write_pattern(fs, ino, 0, 3000, w->key[i]);
		return;
	}
	ino = memfs_lookup(fs, w->own, name);
	assert_true(ino && memfs_has_pattern(fs, ino, 0, 3000, w->key[i]));
	if (test_chance(&w->rng, 30)) {
		assert_ok(ka_unlink(fs, w->own, name));
		w->key[i] = 0;
	} else {
		w->key[i] = 1 + test_rand(&w->rng) % 1000;
		memfs_write_pattern(fs, ino, 0, 3000, w->key[i]);
	}
}

/* Opens by number: whoever removes it meanwhile may be faster. */
static void use_shared_file(struct worker *w, struct ka_fs *fs, ka_ino_t ino)
{
	struct ka_file *file;
	struct ka_read rd;
	uint64_t copied;
	size_t written;

	if (ka_open(fs, ino, &file))
		return;
	assert_ok(ka_write(fs, file, "shared", 6, test_below(&w->rng, 5000), true, &written));
	assert_ok(ka_read_begin(fs, file, 0, 6000, &rd));
	ka_read_end(fs, &rd);
	assert_ok(ka_fallocate(fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       test_below(&w->rng, 5000), 100));
	assert_ok(ka_copy_range(fs, file, 0, file, 10000, 500, &copied));
	ka_close(fs, file);
}

static bool ignore(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	(void)ctx;
	(void)name;
	(void)attr;
	return cookie < 100000;
}

static void shared_step(struct worker *w, struct ka_fs *fs)
{
	struct ka_new new = {.parent = w->s->common, .mode = S_IFREG | 0644};
	unsigned flags = test_chance(&w->rng, 30) ? RENAME_EXCHANGE : 0;
	char name[16], other[16];
	struct ka_attr attr;
	int err;

	snprintf(name, sizeof(name), "n%d", (int)test_below(&w->rng, SHARED));
	snprintf(other, sizeof(other), "n%d", (int)test_below(&w->rng, SHARED));
	new.name = name;
	switch (test_below(&w->rng, 8)) {
	case 0:
		new.mode = test_chance(&w->rng, 20) ? S_IFDIR | 0755 : new.mode;
		err = ka_create(fs, &new, &attr);
		if (!err)
			ka_forget(fs, attr.ino, 1);
		break;
	case 1:
		err = ka_unlink(fs, w->s->common, name);
		break;
	case 2:
		err = ka_rmdir(fs, w->s->common, name);
		break;
	case 3:
		err = ka_rename(fs, w->s->common, name, w->s->common, other, flags);
		break;
	case 4:
		err = ka_lookup(fs, w->s->common, name, &attr);
		if (!err) {
			err = ka_link(fs, attr.ino, w->s->common, other, &attr);
			ka_forget(fs, attr.ino, err ? 1 : 2);
		}
		break;
	case 5:
		err = ka_readdir(fs, w->s->common, 0, false, ignore, NULL);
		break;
	case 6:
		err = ka_lookup(fs, w->s->common, name, &attr);
		if (!err) {
			err = ka_setxattr(fs, attr.ino, "user.a", name, 3, 0);
			ka_forget(fs, attr.ino, 1);
		}
		break;
	default:
		err = ka_lookup(fs, w->s->common, name, &attr);
		if (!err) {
			use_shared_file(w, fs, attr.ino);
			ka_forget(fs, attr.ino, 1);
		}
	}
	may_lose(err);
}

static void append_step(struct worker *w, struct ka_fs *fs)
{
	struct log_record rec = {.worker = (uint32_t)w->id, .number = w->appended++};
	struct ka_file *file;
	size_t written;

	assert_ok(ka_open(fs, w->s->log, &file));
	assert_ok(ka_append(fs, file, &rec, sizeof(rec), false, &written));
	assert_int_equal(written, sizeof(rec));
	ka_close(fs, file);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct ka_fs *fs = w->s->m.fs;
	int i;

	fixed_cpu = w->id;
	for (i = 0; i < STEPS; i++) {
		switch (test_below(&w->rng, 4)) {
		case 0:
			own_step(w, fs);
			break;
		case 1:
			append_step(w, fs);
			break;
		default:
			shared_step(w, fs);
		}
	}
	atomic_fetch_sub(&w->s->running, 1);
	return NULL;
}

static void *make_checkpoints(void *arg)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	struct shared *s = arg;
	struct ka_fs_status st;

	while (atomic_load(&s->running)) {
		assert_ok(ka_fs_checkpoint(s->m.fs));
		ka_fs_get_status(s->m.fs, &st);
		assert_false(st.damaged);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void check_own(const struct worker *w, struct ka_fs *fs)
{
	char name[16];
	ka_ino_t ino;
	size_t i;

	for (i = 0; i < KA_ARRAY_SIZE(w->key); i++) {
		snprintf(name, sizeof(name), "own%zu", i);
		ino = memfs_lookup(fs, w->own, name);
		assert_int_equal(ino != 0, w->key[i] != 0);
		if (ino)
			assert_true(memfs_has_pattern(fs, ino, 0, 3000, w->key[i]));
	}
}

/* Every record is there, those of each worker in their order. */
static void check_log(const struct shared *s, const struct worker *w)
{
	unsigned next[THREADS] = {0};
	struct log_record *rec;
	uint8_t *buf;
	size_t len, i;

	assert_ok(memfs_read_all(s->m.fs, s->log, &buf, &len));
	assert_int_equal(len % sizeof(*rec), 0);
	for (i = 0; i < len / sizeof(*rec); i++) {
		rec = (struct log_record *)buf + i;
		assert_true(rec->worker < THREADS);
		assert_int_equal(rec->number, next[rec->worker]++);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(next[i], w[i].appended);
	free(buf);
}

static void run(int cpus, uint64_t stream)
{
	struct worker w[THREADS] = {0};
	pthread_t thread[THREADS], keeper;
	struct shared s = {0};
	char name[16], *before, *after;
	int i, again;

	fixed_cpus = cpus;
	memfs_make(&s.m, BYTES);
	s.common = memfs_dir(s.m.fs, KA_ROOT_INO, "common");
	s.log = memfs_file(s.m.fs, KA_ROOT_INO, "log");
	atomic_store(&s.running, THREADS);
	for (i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "dir%d", i);
		w[i].s = &s;
		w[i].id = i;
		w[i].rng = test_rng(stream * 100 + (uint64_t)i);
		w[i].own = memfs_dir(s.m.fs, KA_ROOT_INO, name);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
	assert_int_equal(pthread_create(&keeper, NULL, make_checkpoints, &s), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_join(keeper, NULL);
	before = memfs_dump(s.m.fs);
	for (again = 0; again < 3; again++) {
		assert_int_equal(s.m.msgs.errors, 0);
		memfs_check(s.m.fs);
		for (i = 0; i < THREADS; i++)
			check_own(&w[i], s.m.fs);
		check_log(&s, w);
		after = memfs_dump(s.m.fs);
		assert_string_equal(before, after);
		free(after);
		if (again)
			memfs_remount(&s.m);
		else
			memfs_crash(&s.m);
	}
	free(before);
	fixed_cpus = 1;
	memfs_release(&s.m);
}

static void test_one_position(void **state)
{
	(void)state;
	run(1, 1);
}

static void test_several_positions(void **state)
{
	(void)state;
	run(8, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_position),
		cmocka_unit_test(test_several_positions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_dir.c - directory entries: names, cookies that stay, ancestry. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "keepalive/index.h"

#define NAMES 500

struct world {
	struct ka_index ix;
	struct ka_inode *dir;
	struct ka_inode *file;
	uint64_t cookie[NAMES]; /* of name i; 0: it is not there */
	size_t count;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	ka_index_init(&w->ix, NULL);
	w->dir = ka_index_new(&w->ix, 1, S_IFDIR | 0755);
	w->file = ka_index_new(&w->ix, 2, S_IFREG | 0644);
	assert_true(w->dir && w->file);
}

static struct ka_dirent *find(struct world *w, size_t i)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "name%zu", i);

	return ka_dir_find(&w->ix.names, w->dir, name, (size_t)len);
}

static void add(struct world *w, size_t i)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "name%zu", i);

	w->cookie[i] = w->dir->dir->next_cookie;
	assert_ok(ka_index_add_name(&w->ix, w->dir, name, (size_t)len, w->cookie[i], w->file));
	w->count++;
}

static void drop(struct world *w, size_t i)
{
	ka_index_remove_name(&w->ix, find(w, i));
	w->cookie[i] = 0;
	w->count--;
}

static void check(struct world *w)
{
	const struct ka_dir *d = w->dir->dir;
	const struct ka_dirent *de;
	size_t i, there = 0;

	for (i = 0; i < NAMES; i++) {
		de = find(w, i);
		assert_int_equal(de != NULL, w->cookie[i] != 0);
		if (!de)
			continue;
		assert_int_equal(de->cookie, w->cookie[i]);
		assert_ptr_equal(d->slot[ka_dir_position(d, de->cookie) - 1].entry, de);
	}
	for (i = 0; i < d->slots; i++) {
		there += d->slot[i].entry != NULL;
		if (i)
			assert_true(d->slot[i].cookie > d->slot[i - 1].cookie);
	}
	assert_int_equal(there, w->count);
	assert_int_equal(d->count, w->count);
	assert_true(d->slots <= 8 || d->count >= d->slots / 2); /* gaps get closed */
}

static void test_random(void **state)
{
	struct test_rng rng = test_rng(1);
	struct world w;
	size_t step, i;

	(void)state;
	world_init(&w);
	for (step = 0; step < 20000; step++) {
		i = test_below(&rng, step < 10000 ? NAMES : 20);
		if (!w.cookie[i])
			add(&w, i);
		else if (step >= 5000 || test_chance(&rng, 30))
			drop(&w, i);
		if (step % 100 == 0)
			check(&w);
	}
	for (i = 0; i < NAMES; i++)
		if (w.cookie[i])
			drop(&w, i);
	check(&w);
	ka_index_release(&w.ix);
}

/*
 * A reader that goes on behind the last cookie sees each entry that is there
 * all the time exactly once, whatever else comes and goes.
 */
static void test_reader_under_change(void **state)
{
	struct test_rng rng = test_rng(2);
	unsigned seen[NAMES] = {0};
	const struct ka_dir *d;
	uint64_t cookie = 0;
	struct world w;
	size_t i, at;

	(void)state;
	world_init(&w);
	for (i = 0; i < NAMES; i++)
		add(&w, i);
	d = w.dir->dir;
	for (at = ka_dir_position(d, cookie); at < d->slots; at = ka_dir_position(d, cookie)) {
		cookie = d->slot[at].cookie;
		if (d->slot[at].entry) {
			assert_int_equal(sscanf(d->slot[at].entry->name, "name%zu", &i), 1);
			seen[i]++;
		}
		i = test_below(&rng, NAMES);
		if (i % 2 == 0) /* the odd ones stay */
			continue;
		i = i / 2 * 2;
		if (w.cookie[i])
			drop(&w, i);
		else if (test_chance(&rng, 20))
			add(&w, i);
	}
	for (i = 1; i < NAMES; i += 2)
		assert_int_equal(seen[i], 1);
	ka_index_release(&w.ix);
}

static void test_position(void **state)
{
	struct world w;
	struct ka_dir *d;
	uint64_t cookie;
	size_t i, want;

	(void)state;
	world_init(&w);
	d = w.dir->dir;
	assert_int_equal(ka_dir_position(d, 0), 0);
	assert_int_equal(ka_dir_position(d, UINT64_MAX), 0);
	for (i = 0; i < 20; i++)
		add(&w, i);
	for (i = 0; i < 20; i += 3)
		drop(&w, i);
	for (cookie = 0; cookie < 30; cookie++) {
		for (want = 1; want < d->slots && d->slot[want].cookie <= cookie; want++)
			; /* from 1: there is a gap at the front */
		assert_int_equal(ka_dir_position(d, cookie), want);
	}
	ka_index_release(&w.ix);
}

/* A queue is emptied from the front: whoever looks there finds no gaps. */
static void test_queue(void **state)
{
	struct world w;
	struct ka_dir *d;
	size_t i;

	(void)state;
	world_init(&w);
	d = w.dir->dir;
	for (i = 0; i < 40; i++)
		add(&w, i);
	for (i = 0; i < 40; i++) {
		assert_ptr_equal(d->slot[ka_dir_position(d, 0)].entry, find(&w, i));
		drop(&w, i);
	}
	assert_int_equal(ka_dir_position(d, 0), d->slots);
	add(&w, 0);
	assert_non_null(d->slot[ka_dir_position(d, 0)].entry);
	ka_index_release(&w.ix);
}

/* A cookie is given out once, even if its entry is gone and was the last. */
static void test_cookies_rise(void **state)
{
	struct world w;
	uint64_t last;

	(void)state;
	world_init(&w);
	assert_int_equal(w.dir->dir->next_cookie, KA_COOKIE_FIRST);
	add(&w, 0);
	last = w.cookie[0];
	drop(&w, 0);
	add(&w, 0);
	assert_true(w.cookie[0] > last);
	ka_index_release(&w.ix);
}

/* The same name in two directories, and names of every length. */
static void test_names(void **state)
{
	char name[256];
	struct ka_inode *other;
	struct ka_dirent *de;
	struct world w;
	size_t len;

	(void)state;
	world_init(&w);
	other = ka_index_new(&w.ix, 3, S_IFDIR | 0755);
	assert_non_null(other);
	memset(name, 'x', sizeof(name));
	for (len = 1; len <= 255; len++) {
		assert_ok(ka_index_add_name(&w.ix, w.dir, name, len, 2 + len, w.file));
		assert_ok(ka_index_add_name(&w.ix, other, name, len, 2 + len, other));
	}
	for (len = 1; len <= 255; len++) {
		de = ka_dir_find(&w.ix.names, w.dir, name, len);
		assert_non_null(de);
		assert_ptr_equal(de->inode, w.file);
		assert_int_equal(strlen(de->name), len);
		ka_index_remove_name(&w.ix, de);
		assert_null(ka_dir_find(&w.ix.names, w.dir, name, len));
		assert_ptr_equal(ka_dir_find(&w.ix.names, other, name, len)->inode, other);
	}
	ka_index_release(&w.ix);
}

/* A directory knows its entry, through renames and exchanges. */
static void test_entry(void **state)
{
	struct ka_inode *d[2], *file;
	struct ka_dirent *de[2];
	struct world w;
	int i;

	(void)state;
	world_init(&w);
	file = ka_index_new(&w.ix, 9, S_IFREG | 0644);
	assert_non_null(file);
	for (i = 0; i < 2; i++) {
		d[i] = ka_index_new(&w.ix, 10 + (ka_ino_t)i, S_IFDIR | 0755);
		assert_non_null(d[i]);
		assert_null(d[i]->dir->entry);
		assert_int_equal(ka_index_add_name(&w.ix, w.dir, i ? "b" : "a", 1,
						   w.dir->dir->next_cookie, d[i]),
				 0);
		de[i] = ka_dir_find(&w.ix.names, w.dir, i ? "b" : "a", 1);
		assert_ptr_equal(d[i]->dir->entry, de[i]);
	}
	ka_dir_set(de[0], d[1]);
	assert_null(d[0]->dir->entry);
	ka_dir_set(de[1], d[0]);
	assert_ptr_equal(d[1]->dir->entry, de[0]);
	assert_ptr_equal(d[0]->dir->entry, de[1]);
	ka_dir_set(de[0], file);
	assert_null(d[1]->dir->entry);
	ka_index_remove_name(&w.ix, de[0]);
	assert_ptr_equal(d[0]->dir->entry, de[1]);
	ka_index_remove_name(&w.ix, de[1]);
	assert_null(d[0]->dir->entry);
	ka_index_release(&w.ix);
}

static void test_below_what(void **state)
{
	struct ka_inode *d[5];
	struct world w;
	int i, j;

	(void)state;
	world_init(&w);
	for (i = 0; i < 5; i++) { /* d[0] the root, d[i] below d[i - 1] */
		d[i] = i ? ka_index_new(&w.ix, 10 + (ka_ino_t)i, S_IFDIR | 0755) : w.dir;
		assert_non_null(d[i]);
		d[i]->dir->parent = i ? d[i - 1] : d[0];
	}
	for (i = 0; i < 5; i++)
		for (j = 0; j < 5; j++)
			assert_int_equal(ka_dir_is_below(d[i], d[j]), i >= j);
	d[2]->dir->parent = NULL; /* was removed */
	assert_false(ka_dir_is_below(d[4], d[0]));
	assert_true(ka_dir_is_below(d[4], d[2]));
	ka_index_release(&w.ix);
}

/* Media can say that the last cookie was given out; a repair still adds a name. */
static void test_cookies_used_up(void **state)
{
	struct world w;
	size_t i;

	(void)state;
	world_init(&w);
	for (i = 0; i < 5; i++)
		add(&w, i);
	drop(&w, 1);
	w.dir->dir->next_cookie = KA_NUMBER_LIMIT - 1;
	add(&w, 5);
	for (i = 0; i < 6; i++)
		w.cookie[i] = i == 1 ? 0 : find(&w, i)->cookie;
	assert_int_equal(w.cookie[0], KA_COOKIE_FIRST);
	assert_int_equal(w.cookie[5], KA_COOKIE_FIRST + 4);
	assert_int_equal(w.dir->dir->next_cookie, KA_COOKIE_FIRST + 5);
	check(&w);
	ka_index_release(&w.ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_reader_under_change),
		cmocka_unit_test(test_position),   cmocka_unit_test(test_cookies_rise),
		cmocka_unit_test(test_queue),	   cmocka_unit_test(test_names),
		cmocka_unit_test(test_below_what), cmocka_unit_test(test_cookies_used_up),
		cmocka_unit_test(test_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hash.c - the hash table: growth while in use, removal, visiting. */
#include "test.h"

#include <stdlib.h>

#include "keepalive/hash.h"

#define NODES 20000

struct item {
	struct ka_hnode node;
	bool in;
	unsigned seen;
};

static struct item *to_item(struct ka_hnode *node)
{
	return ka_container_of(node, struct item, node);
}

static bool finds(const struct ka_htab *tab, const struct item *item)
{
	struct ka_hnode *node;

	for (node = ka_htab_first(tab, item->node.hash); node; node = ka_htab_next(node)) {
		assert_int_equal(node->hash, item->node.hash);
		if (node == &item->node)
			return true;
	}
	return false;
}

static void see(struct ka_hnode *node, void *ctx)
{
	to_item(node)->seen++;
	++*(size_t *)ctx;
}

/* Every item that is in is seen once, the others never. */
static void check_visit(struct ka_htab *tab, struct item *item, size_t count)
{
	size_t i, seen = 0, in = 0;

	ka_htab_visit(tab, see, &seen);
	for (i = 0; i < count; i++) {
		assert_int_equal(item[i].seen, item[i].in);
		item[i].seen = 0;
		in += item[i].in;
	}
	assert_int_equal(seen, in);
	assert_int_equal(tab->count, in);
}

static void test_empty(void **state)
{
	struct ka_htab tab = {0};
	size_t seen = 0;

	(void)state;
	assert_null(ka_htab_first(&tab, 1));
	ka_htab_visit(&tab, see, &seen);
	assert_int_equal(seen, 0);
	ka_htab_release(&tab);
	ka_htab_release(&tab);
}

/* Inserts all and looks for all so far whenever the table is half moved. */
static void test_growth(void **state)
{
	struct item *item = calloc(NODES, sizeof(*item));
	struct test_rng rng = test_rng(1);
	struct ka_htab tab = {0};
	size_t i, j, growths = 0;

	(void)state;
	assert_non_null(item);
	for (i = 0; i < NODES; i++) {
		item[i].node.hash = test_rand(&rng);
		assert_ok(ka_htab_insert(&tab, &item[i].node));
		item[i].in = true;
		assert_true(finds(&tab, &item[i]));
		if (!tab.old || tab.moved < tab.old_size / 2 || tab.moved >= tab.old_size / 2 + 4)
			continue;
		growths++;
		for (j = 0; j <= i; j++)
			assert_true(finds(&tab, &item[j]));
		check_visit(&tab, item, NODES);
	}
	assert_true(growths >= 5);
	assert_true(tab.size >= NODES && tab.size <= 2 * NODES);
	ka_htab_release(&tab);
	free(item);
}

/* At no time does an insertion move more than a few buckets. */
static void test_growth_is_gradual(void **state)
{
	struct item *item = calloc(NODES, sizeof(*item));
	struct test_rng rng = test_rng(2);
	struct ka_htab tab = {0};
	size_t i, before;

	(void)state;
	assert_non_null(item);
	for (i = 0; i < NODES; i++) {
		before = tab.old ? tab.moved : 0;
		item[i].node.hash = test_rand(&rng);
		assert_ok(ka_htab_insert(&tab, &item[i].node));
		if (tab.old)
			assert_true(tab.moved - before <= 16);
		assert_true(tab.count <= 2 * tab.size);
	}
	ka_htab_release(&tab);
	free(item);
}

static void test_random(void **state)
{
	struct item *item = calloc(NODES, sizeof(*item));
	struct test_rng rng = test_rng(3);
	struct ka_htab tab = {0};
	size_t i, step, span;

	(void)state;
	assert_non_null(item);
	for (i = 0; i < NODES; i++) /* few different ones: long chains, doubles */
		item[i].node.hash = i % 3 ? test_rand(&rng) : test_below(&rng, 50) * 64;
	for (step = 0; step < 100000; step++) {
		span = step < 50000 ? NODES : 500; /* grows, then shrinks */
		i = test_below(&rng, span);
		if (item[i].in && (step >= 50000 || test_chance(&rng, 60)))
			ka_htab_remove(&tab, &item[i].node);
		else if (!item[i].in)
			assert_ok(ka_htab_insert(&tab, &item[i].node));
		else
			continue;
		item[i].in = !item[i].in;
		assert_int_equal(finds(&tab, &item[i]), item[i].in);
		if (step % 5000 == 0)
			check_visit(&tab, item, NODES);
	}
	for (i = 0; i < NODES; i++)
		assert_int_equal(finds(&tab, &item[i]), item[i].in);
	check_visit(&tab, item, NODES);
	ka_htab_release(&tab);
	free(item);
}

static void test_same_hash(void **state)
{
	struct item item[100] = {0};
	struct ka_htab tab = {0};
	size_t i, n = 0;
	struct ka_hnode *node;

	(void)state;
	for (i = 0; i < 100; i++) {
		item[i].node.hash = 7;
		assert_ok(ka_htab_insert(&tab, &item[i].node));
	}
	for (node = ka_htab_first(&tab, 7); node; node = ka_htab_next(node))
		n++;
	assert_int_equal(n, 100);
	assert_null(ka_htab_first(&tab, 7 + 64)); /* the same bucket */
	for (i = 0; i < 100; i += 2)
		ka_htab_remove(&tab, &item[i].node);
	for (i = 0; i < 100; i++)
		assert_int_equal(finds(&tab, &item[i]), i % 2);
	ka_htab_release(&tab);
}

static void test_reserve(void **state)
{
	struct ka_htab tab = {0};
	struct item *item = calloc(1000, sizeof(*item));
	struct test_rng rng = test_rng(4);
	size_t i, size;

	(void)state;
	assert_non_null(item);
	assert_ok(ka_htab_reserve(&tab, 1000));
	size = tab.size;
	assert_true(size >= 1000);
	for (i = 0; i < 1000; i++) {
		item[i].node.hash = test_rand(&rng);
		item[i].in = true;
		assert_ok(ka_htab_insert(&tab, &item[i].node));
	}
	assert_true(tab.size == size && !tab.old);
	check_visit(&tab, item, 1000);
	ka_htab_release(&tab);
	free(item);
}

static void free_item(struct ka_hnode *node, void *ctx)
{
	(void)ctx;
	free(to_item(node));
}

/* fn may free what it is given: ASan tells if the walk looks back. */
static void test_visit_frees(void **state)
{
	struct test_rng rng = test_rng(5);
	struct ka_htab tab = {0};
	struct item *item;
	size_t i;

	(void)state;
	for (i = 0; i < 100; i++) { /* stops in the middle of growing */
		item = calloc(1, sizeof(*item));
		assert_non_null(item);
		item->node.hash = test_rand(&rng);
		assert_ok(ka_htab_insert(&tab, &item->node));
		if (tab.old && tab.moved)
			break;
	}
	assert_non_null(tab.old);
	ka_htab_visit(&tab, free_item, NULL);
	ka_htab_release(&tab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_growth_is_gradual),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_same_hash),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_visit_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

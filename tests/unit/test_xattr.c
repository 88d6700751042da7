/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_xattr.c - the list of extended attributes of one inode. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/format.h"
#include "keepalive/xattr.h"

static int set(struct ka_xattr **list, const char *name, const char *value)
{
	return ka_xattr_set(list, name, strlen(name), value, strlen(value));
}

static void expect(const struct ka_xattr *list, const char *name, const char *value)
{
	const struct ka_xattr *x = ka_xattr_find(list, name, strlen(name));

	if (!value) {
		assert_null(x);
		return;
	}
	assert_non_null(x);
	assert_int_equal(x->name_bytes, strlen(name));
	assert_memory_equal(x->data, name, x->name_bytes);
	assert_int_equal(x->value_bytes, strlen(value));
	assert_memory_equal(ka_xattr_value(x), value, x->value_bytes);
}

static void test_set(void **state)
{
	struct ka_xattr *list = NULL;

	(void)state;
	expect(list, "user.a", NULL);
	assert_ok(set(&list, "user.a", "one"));
	assert_ok(set(&list, "user.ab", "two"));
	assert_ok(set(&list, "user.", "three"));
	expect(list, "user.a", "one");
	expect(list, "user.ab", "two");
	expect(list, "user.", "three");
	expect(list, "user.abc", NULL); /* neither prefix nor extension */
	expect(list, "user", NULL);
	assert_ok(set(&list, "user.ab", "a much longer value than before"));
	assert_ok(set(&list, "user.a", ""));
	expect(list, "user.a", "");
	expect(list, "user.ab", "a much longer value than before");
	expect(list, "user.", "three");
	ka_xattr_free_all(&list);
	assert_null(list);
	ka_xattr_free_all(&list);
}

static void test_remove(void **state)
{
	static const char *const names[] = {"first", "middle", "last"};
	struct ka_xattr *list = NULL;
	size_t gone, i;

	(void)state;
	assert_err(ka_xattr_remove(&list, "x", 1), -ENODATA);
	for (gone = 0; gone < 3; gone++) {
		for (i = 0; i < 3; i++)
			assert_ok(set(&list, names[i], names[i]));
		assert_ok(ka_xattr_remove(&list, names[gone], strlen(names[gone])));
		assert_err(ka_xattr_remove(&list, names[gone], strlen(names[gone])), -ENODATA);
		for (i = 0; i < 3; i++)
			expect(list, names[i], i == gone ? NULL : names[i]);
		ka_xattr_free_all(&list);
	}
}

/* A replaced one keeps its place, so that a listing does not jump. */
static void test_order(void **state)
{
	struct ka_xattr *list = NULL, *x;
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "user.%d", i);
		assert_ok(set(&list, name, name));
	}
	assert_ok(set(&list, "user.20", "new"));
	for (x = list, i = 0; x; x = x->next, i++) {
		snprintf(name, sizeof(name), "user.%d", i);
		assert_memory_equal(x->data, name, x->name_bytes);
	}
	assert_int_equal(i, 50);
	ka_xattr_free_all(&list);
}

static void test_largest(void **state)
{
	char *value = malloc(KA_XATTR_MAX), name[KA_XATTR_NAME_MAX];
	struct ka_xattr *list = NULL;
	const struct ka_xattr *x;

	(void)state;
	assert_non_null(value);
	memset(value, 'v', KA_XATTR_MAX);
	memset(name, 'n', sizeof(name));
	assert_ok(ka_xattr_set(&list, name, sizeof(name), value, KA_XATTR_MAX));
	x = ka_xattr_find(list, name, sizeof(name));
	assert_non_null(x);
	assert_int_equal(x->name_bytes, KA_XATTR_NAME_MAX);
	assert_int_equal(x->value_bytes, KA_XATTR_MAX);
	assert_memory_equal(ka_xattr_value(x), value, KA_XATTR_MAX);
	assert_ok(ka_xattr_set(&list, "e", 1, NULL, 0));
	x = ka_xattr_find(list, "e", 1);
	assert_non_null(x);
	assert_int_equal(x->value_bytes, 0);
	ka_xattr_free_all(&list);
	free(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

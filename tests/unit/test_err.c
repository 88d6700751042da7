/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_err.c - error codes, and messages. */
#include "test.h"

#include <string.h>

static const struct {
	int code;
	int no;
	const char *name;
} codes[] = {
#define X(name, no, text) {KA_ERR_##name, no, #name},
	KA_ERR_TABLE(X)
#undef X
};

static void test_private_codes(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(codes); i++) {
		assert_int_equal(codes[i].code, KA_ERR_BASE + 1 + (int)i);
		assert_int_equal(ka_errno(-codes[i].code), codes[i].no);
		assert_true(codes[i].no > 0 && codes[i].no < 134);
		assert_true(strlen(ka_strerror(-codes[i].code)) > 10);
		assert_string_not_equal(ka_strerror(-codes[i].code), "unknown error");
		for (j = 0; j < i; j++)
			assert_string_not_equal(ka_strerror(-codes[i].code),
						ka_strerror(-codes[j].code));
	}
}

static void test_plain_codes(void **state)
{
	(void)state;
	assert_int_equal(ka_errno(0), 0);
	assert_int_equal(ka_errno(-ENOENT), ENOENT);
	assert_int_equal(ka_errno(-ENOSPC), ENOSPC);
	assert_string_equal(ka_strerror(-ENOENT), "No such file or directory");
}

static void test_no_codes(void **state)
{
	(void)state;
	assert_string_equal(ka_strerror(-KA_ERR_BASE), "unknown error");
	assert_string_equal(ka_strerror(-KA_ERR_LIMIT), "unknown error");
	assert_string_equal(ka_strerror(-KA_ERR_LIMIT - 100), "unknown error");
	assert_string_equal(ka_strerror(1234567), "unknown error");
	assert_string_equal(ka_strerror(-4095), "unknown error");
}

static void test_messages(void **state)
{
	struct test_messages m;
	char big[20000]; /* more than a message holds */

	(void)state;
	test_messages_init(&m);
	ka_msg(&m.sink, KA_MSG_ERROR, "%s is %d", "seven", 7);
	assert_string_equal(m.text, "seven is 7\n");
	assert_int_equal(m.errors, 1);
	ka_msg(&m.sink, KA_MSG_INFO, "%s", "more");
	assert_string_equal(m.text, "seven is 7\nmore\n");
	assert_int_equal(m.errors, 1);

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	test_messages_clear(&m);
	ka_msg(&m.sink, KA_MSG_WARNING, "%s", big);
	assert_true(m.len > 8192 && m.len < sizeof(big));
	assert_true(m.text[m.len - 1] == '\n' && m.text[m.len - 2] == 'x');
	test_messages_release(&m);
}

static void test_no_sink(void **state)
{
	struct ka_msg_sink mute = {0};

	(void)state;
	ka_msg(NULL, KA_MSG_ERROR, "%d", 1);
	ka_msg(&mute, KA_MSG_ERROR, "%d", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private_codes), cmocka_unit_test(test_plain_codes),
		cmocka_unit_test(test_no_codes),      cmocka_unit_test(test_messages),
		cmocka_unit_test(test_no_sink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_util.c - sizes as people write them, ranges, variable-length numbers. */
#include "test.h"

#include <limits.h>
#include <string.h>

#include "varint.h"

static void test_parse_size(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"4096", 4096},
		{"18446744073709551615", UINT64_MAX},
		{"1K", 1024},
		{"1k", 1024},
		{"1KB", 1024},
		{"1kib", 1024},
		{"1KiB", 1024},
		{"3M", 3ull << 20},
		{"3MiB", 3ull << 20},
		{"2G", 2ull << 30},
		{"2gb", 2ull << 30},
		{"5T", 5ull << 40},
		{"007K", 7168},
		{"16777215T", 16777215ull << 40},
	};
	static const char *const bad[] = {
		"",    "K",   "-1",  "+1",   " 1", "1 ",  "1 K",    "1.5G", "0x10", "1P",
		"1Ki", "1KK", "1iB", "1KBx", "G1", "1G2", "1KiBiB", "1\n",  "1Kb ", "1e3",
	};
	static const char *const big[] = {
		"18446744073709551616",
		"16777216T",
		"18014398509481984K",
		"99999999999999999999999",
	};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(good); i++) {
		assert_ok(ka_parse_size(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	bytes = 42;
	for (i = 0; i < KA_ARRAY_SIZE(bad); i++)
		assert_err(ka_parse_size(bad[i], &bytes), -EINVAL);
	for (i = 0; i < KA_ARRAY_SIZE(big); i++)
		assert_err(ka_parse_size(big[i], &bytes), -ERANGE);
	assert_int_equal(bytes, 42); /* untouched by failures */
}

static void test_format_size(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0 B"},
		{1, "1 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{10 << 10, "10.0 KiB"},
		{100 << 10, "100 KiB"},
		{1023 << 10, "1023 KiB"},
		{1 << 20, "1.0 MiB"},
		{3ull << 30, "3.0 GiB"},
		{5ull << 40, "5.0 TiB"},
		{7ull << 50, "7.0 PiB"},
		{UINT64_MAX, "16.0 EiB"},
	};
	char buf[16];
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(sizes); i++) {
		assert_ptr_equal(ka_format_size(buf, sizes[i].bytes), buf);
		assert_string_equal(buf, sizes[i].text);
	}
}

/* What is written with a unit is read back as the same number. */
static void test_format_parse(void **state)
{
	char buf[16], *dot;
	uint64_t v, bytes;

	(void)state;
	for (v = 1; v < 1024ull << 40; v *= 2) {
		ka_format_size(buf, v);
		dot = strstr(buf, ".0");
		if (dot)
			memmove(dot, dot + 2, strlen(dot + 2) + 1);
		dot = strchr(buf, ' ');
		memmove(dot, dot + 1, strlen(dot + 1) + 1);
		if (v < 1024)
			*strchr(buf, 'B') = 0;
		assert_ok(ka_parse_size(buf, &bytes));
		assert_int_equal(bytes, v);
	}
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(ka_align_up(0, 8), 0);
	assert_int_equal(ka_align_up(1, 8), 8);
	assert_int_equal(ka_align_up(8, 8), 8);
	assert_int_equal(ka_align_down(15, 8), 8);
	assert_true(ka_is_pow2(1) && ka_is_pow2(1ull << 63));
	assert_false(ka_is_pow2(0) || ka_is_pow2(3) || ka_is_pow2(UINT64_MAX));
	assert_int_equal(ka_min(1, UINT64_MAX), 1);
	assert_int_equal(ka_max(1, UINT64_MAX), UINT64_MAX);
}

static void test_range(void **state)
{
	(void)state;
	assert_true(ka_range_ok(0, 0, 0));
	assert_true(ka_range_ok(0, 10, 10));
	assert_true(ka_range_ok(10, 0, 10));
	assert_false(ka_range_ok(10, 1, 10));
	assert_false(ka_range_ok(11, 0, 10));
	assert_false(ka_range_ok(1, UINT64_MAX, 10)); /* the sum is 0 */
	assert_false(ka_range_ok(UINT64_MAX, 1, 10));
	assert_true(ka_range_ok(UINT64_MAX, 0, UINT64_MAX));
}

static void test_clock(void **state)
{
	int64_t first = ka_now_ns();

	(void)state;
	assert_true(first > 0);
	assert_true(ka_now_ns() > first); /* fixed.c stands in */
}

static void test_varint(void **state)
{
	static const uint64_t edges[] = {
		0, 1, 127, 128, 16383, 16384, UINT32_MAX, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
	struct test_rng rng = test_rng(1);
	uint8_t buf[KA_VARINT_MAX];
	struct ka_cursor c;
	uint64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		v = i < KA_ARRAY_SIZE(edges) ? edges[i] : test_rand(&rng) >> test_below(&rng, 64);
		c = (struct ka_cursor){.p = buf, .end = ka_varint_put(buf, v)};
		assert_true(c.end <= buf + sizeof(buf));
		assert_int_equal(ka_varint_get(&c), v);
		assert_true(!c.bad && c.p == c.end);
		assert_int_equal(ka_zigzag(ka_unzigzag(v)), v);
		c = (struct ka_cursor){.p = buf, .end = ka_varint_put(buf, v) - 1};
		assert_int_equal(ka_varint_get(&c), 0); /* cut short */
		assert_true(c.bad && c.p == c.end);
	}
	assert_int_equal(ka_zigzag(-1), 1);
	assert_int_equal(ka_unzigzag(UINT64_MAX), INT64_MIN);
}

static void test_varint_bad(void **state)
{
	static const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
					   0x80, 0x80, 0x80, 0x80, 0x01};
	static const uint8_t too_big[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
	struct ka_cursor c = {.p = too_long, .end = too_long + sizeof(too_long)};

	(void)state;
	assert_int_equal(ka_varint_get(&c), 0);
	assert_true(c.bad);
	c = (struct ka_cursor){.p = too_big, .end = too_big + sizeof(too_big)};
	assert_int_equal(ka_varint_get(&c), 0);
	assert_true(c.bad);
	assert_null(ka_bytes_get(&c, 0)); /* bad once, bad for good */
}

static void test_bytes_get(void **state)
{
	static const uint8_t data[4] = {1, 2, 3, 4};
	struct ka_cursor c = {.p = data, .end = data + 4};

	(void)state;
	assert_ptr_equal(ka_bytes_get(&c, 3), data);
	assert_ptr_equal(ka_bytes_get(&c, 1), data + 3);
	assert_ptr_equal(ka_bytes_get(&c, 0), data + 4);
	assert_null(ka_bytes_get(&c, 1));
	assert_true(c.bad);
	c = (struct ka_cursor){.p = data, .end = data + 4};
	assert_null(ka_bytes_get(&c, UINT64_MAX));
}

/* What is said about the longest paths is whole. */
static const char *format(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static const char *format(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ka_vformat(buf, size, fmt, ap);
	va_end(ap);
	return buf;
}

/* Between characters, if it is UTF-8; what is none is cut where it ends. */
static void test_cut(void **state)
{
	static const struct {
		size_t size;
		const char *text;
		const char *want;
	} cases[] = {
		{1, "abc", ""},
		{4, "abc", "abc"},
		{3, "abc", "ab"},
		{2, "\xc3\xaf", ""},
		{3, "\xc3\xaf", "\xc3\xaf"},
		{3, "a\xc3\xaf", "a"},
		{4, "a\xc3\xaf.", "a\xc3\xaf"},
		{5, "a\xe2\x82\xac.", "a\xe2\x82\xac"},
		{4, "a\xe2\x82\xac.", "a"},
		{3, "a\xe2\x82\xac.", "a"},
		{5, "a\xf0\x9f\x98\x80", "a"},
		{6, "a\xf0\x9f\x98\x80.", "a\xf0\x9f\x98\x80"},
		{5, "\x80\x80\x80\x80\x80\x80", "\x80\x80\x80\x80"},
		{3, "\x80\x80\x80", "\x80\x80"},
		{3, "a\xc3", "a\xc3"}, /* all of it fits */
	};
	char buf[16];
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(cases); i++)
		assert_string_equal(format(buf, cases[i].size, "%s", cases[i].text), cases[i].want);
	assert_int_equal(ka_utf8_rest("a\x80"), 0);
	assert_int_equal(ka_utf8_rest("\x80\x80."), 2);
	assert_int_equal(ka_utf8_rest("\x80\x80\x80\x80."), 0);
	assert_int_equal(ka_utf8_rest(""), 0);
}

static void test_long_message(void **state)
{
	struct test_messages m;
	char path[PATH_MAX];

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	test_messages_init(&m);
	ka_msg(&m.sink, KA_MSG_ERROR, "'%s', '%s': bytes 1-2 are damaged", path, path);
	assert_true(test_messages_have(&m, "': bytes 1-2 are damaged"));
	test_messages_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_size),   cmocka_unit_test(test_format_size),
		cmocka_unit_test(test_format_parse), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_range),	     cmocka_unit_test(test_clock),
		cmocka_unit_test(test_varint),	     cmocka_unit_test(test_varint_bad),
		cmocka_unit_test(test_bytes_get),    cmocka_unit_test(test_long_message),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

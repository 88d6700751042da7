/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_csum.c - the checksum is on media: it must never change.
 *
 * The numbers are those of xxhash's own sanity check (cli/xsum_sanity_check.c
 * of its repository, seed 0) over the buffer that it uses.
 */
#include "test.h"

#include <string.h>

#include "keepalive/csum.h"

#define PRIME32 2654435761ull
#define PRIME64 11400714785074694797ull

static uint8_t sanity[2367];

static void fill_sanity(void)
{
	uint64_t gen = PRIME32;
	size_t i;

	for (i = 0; i < sizeof(sanity); i++) {
		sanity[i] = (uint8_t)(gen >> 56);
		gen *= PRIME64;
	}
}

static void test_known(void **state)
{
	static const struct {
		size_t len;
		uint64_t csum;
	} known[] = {
		{0, 0x2d06800538d394c2},    {1, 0xc44bdff4074eecdb},	{6, 0x27b56a84cd2d7325},
		{12, 0xa713daf0dfbb77e7},   {24, 0xa3fe70bf9d3510eb},	{48, 0x397da259ecba1f11},
		{80, 0xbcdefbbb2c47c90a},   {195, 0xcd94217ee362ec3a},	{403, 0xcdeb804d65c6dea4},
		{512, 0x617e49599013cb6b},  {2048, 0xdd59e2c3a5f038e0}, {2240, 0x6e73a90539cf2948},
		{2367, 0xcb37aeb9e5d361ed},
	};
	size_t i;

	(void)state;
	fill_sanity();
	for (i = 0; i < KA_ARRAY_SIZE(known); i++)
		assert_int_equal(ka_csum(sanity, known[i].len), known[i].csum);
	assert_int_equal(ka_csum("a", 1), 0xe6c632b61e964e1f);
	assert_int_equal(ka_csum("abc", 3), 0x78af5f94892f3950);
}

static void test_every_bit_counts(void **state)
{
	uint64_t whole = ka_csum(sanity, 403);
	size_t bit;

	(void)state;
	for (bit = 0; bit < 403 * 8; bit++) {
		sanity[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_not_equal(ka_csum(sanity, 403), whole);
		sanity[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_int_equal(ka_csum(sanity, 403), whole);
}

static void test_hashes(void **state)
{
	uint64_t one = 1;

	(void)state;
	assert_int_equal(ka_hash_name(0, "abc", 3), ka_csum("abc", 3));
	assert_int_not_equal(ka_hash_name(1, "abc", 3), ka_hash_name(2, "abc", 3));
	assert_int_not_equal(ka_hash_name(1, "abc", 3), ka_hash_name(1, "abd", 3));
	assert_int_equal(ka_hash_u64(1), ka_csum(&one, sizeof(one)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

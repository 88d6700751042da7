/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_wiped.c - what was wiped, what is damaged, what belongs to somebody else. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "checkpoint.h"
#include "keepalive/format.h"
#include "keepalive/fs.h"
#include "keepalive/wiped.h"
#include "memfs.h"
#include "poison.h"

#define BYTES	(16ull << 20)
#define SEGMENT (256ull << 10)
#define LARGE	(600ull << 20)

struct wiped {
	uint8_t *mem;
	struct ka_region *rg;
	struct test_messages msgs;
	struct test_rng rng;
};

static void start(struct wiped *w, uint64_t bytes)
{
	w->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(w->mem != MAP_FAILED);
	assert_ok(ka_region_open_mem(w->mem, bytes, &w->rg));
	test_messages_init(&w->msgs);
	w->rng = test_rng(1);
}

static void end(struct wiped *w)
{
	munmap(w->mem, ka_region_info(w->rg)->capacity_bytes);
	ka_region_close(w->rg);
	test_messages_release(&w->msgs);
}

/* Reads the superblock, as everybody does, and expects a code and words for it. */
static void expect(struct wiped *w, int want, const char *words)
{
	struct ka_super sb;

	test_messages_clear(&w->msgs);
	assert_err(ka_super_read(w->rg, &w->msgs.sink, NULL, &sb), want);
	if (!test_messages_have(&w->msgs, words))
		fail_msg("no '%s' in: %s", words, w->msgs.text);
	assert_int_equal(w->msgs.errors, 1);
}

static void format(struct wiped *w)
{
	const struct ka_format_opts opts = {.capacity_bytes = BYTES, .label = "here"};

	assert_ok(ka_fs_format(w->rg, &opts, NULL));
}

static void destroy_supers(struct wiped *w)
{
	memset(w->mem, 0, KA_SUPER_BYTES);
	memset(w->mem + SEGMENT - KA_SUPER_BYTES, 0, KA_SUPER_BYTES);
}

static void fill_words(struct wiped *w, const void *word, size_t len)
{
	size_t i;

	for (i = 0; i < BYTES; i += len)
		memcpy(w->mem + i, word, len);
}

static void test_patterns(void **state)
{
	struct wiped w;

	(void)state;
	start(&w, BYTES);
	expect(&w, -KA_ERR_WIPED,
	       "'memory': lost: expected a superblock at 0x0 and its copy at 0x3f000, found zeros "
	       "in all of 16.0 MiB; the memory was wiped");
	memset(w.mem, 0xff, BYTES);
	expect(&w, -KA_ERR_WIPED, "found bytes 0xff in all of 16.0 MiB");
	fill_words(&w, "\xde\xad\xbe\xef\x01\x02\x03\x04", 8);
	expect(&w, -KA_ERR_WIPED, "found deadbeef01020304 over and over in all of 16.0 MiB");
	fill_words(&w, "\xde\xad\xbe\xef", 4);
	expect(&w, -KA_ERR_WIPED, "found deadbeefdeadbeef over and over");
	fill_words(&w, "sixteen byte txt", 16);
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not a keepalivefs region");
	end(&w);
}

/* One byte anywhere that is not the pattern makes it somebody's. */
static void test_single_byte(void **state)
{
	struct wiped w;
	uint64_t at;
	int i;

	(void)state;
	start(&w, BYTES);
	for (i = 0; i < 200; i++) {
		at = i ? test_below(&w.rng, BYTES) : BYTES - 1;
		w.mem[at] = 0x10;
		expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not a keepalivefs region");
		w.mem[at] = 0;
	}
	expect(&w, -KA_ERR_WIPED, "lost");
	end(&w);
}

static void test_random(void **state)
{
	struct wiped w;
	int i;

	(void)state;
	start(&w, BYTES);
	for (i = 0; i < 4; i++) {
		test_fill(&w.rng, w.mem, BYTES);
		expect(&w, -KA_ERR_WIPED,
		       "found random bytes in all of 135 places looked at in 16.0 MiB; the memory was "
		       "scrambled");
	}
	memset(w.mem + 5 * SEGMENT, 0, 4096); /* not all of it */
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not a keepalivefs region");
	end(&w);
}

/* What is there in ordinary files, all of them without a superblock of ours. */
static void test_foreign(void **state)
{
	static const char text[] = "It was the best of times, it was the worst of times, ";
	struct wiped w;
	size_t i;

	(void)state;
	start(&w, BYTES);
	fill_words(&w, text, 32);
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not");
	for (i = 0; i < BYTES; i++) /* all values equally often */
		w.mem[i] = (uint8_t)i;
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not");
	for (i = 0; i < BYTES / 8; i++) /* each address holds itself */
		((uint64_t *)w.mem)[i] = i * 8;
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not");
	/* As ext4: a superblock at 1024, tables, data behind, zeros around. */
	memset(w.mem, 0, BYTES);
	test_fill(&w.rng, w.mem + 1024, 200);
	w.mem[1024 + 56] = 0x53;
	w.mem[1024 + 57] = 0xef;
	test_fill(&w.rng, w.mem + BYTES / 2, BYTES / 4);
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not");
	end(&w);
}

static void test_small(void **state)
{
	struct wiped w;

	(void)state;
	start(&w, 1 << 20); /* no filesystem of ours was ever that small */
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not");
	end(&w);
}

static void test_damaged(void **state)
{
	struct ka_super_disk *disk;
	struct wiped w;

	(void)state;
	start(&w, BYTES);
	format(&w);
	destroy_supers(&w);
	expect(&w, -KA_ERR_SUPER_GONE, "segments of a filesystem are there, the first at 0x40000");
	/* Nothing but the header of a single segment, at another size of segments. */
	memmove(w.mem + SEGMENT * 9, w.mem + SEGMENT, sizeof(struct ka_segment_disk));
	memset(w.mem + SEGMENT, 0, SEGMENT);
	expect(&w, -KA_ERR_NOT_KEEPALIVE, "is not"); /* it is not where it says it is */
	/* A copy with our magic is ours, whichever it is and whatever is around. */
	memset(w.mem, 0, BYTES);
	disk = (void *)w.mem;
	memcpy(disk->magic, KA_SUPER_MAGIC, sizeof(disk->magic));
	expect(&w, -KA_ERR_SUPER_CSUM, "checksum is wrong");
	memset(w.mem, 0, BYTES);
	disk = (void *)(w.mem + SEGMENT - KA_SUPER_BYTES);
	memcpy(disk->magic, KA_SUPER_MAGIC, sizeof(disk->magic));
	expect(&w, -KA_ERR_SUPER_CSUM, "checksum is wrong");
	end(&w);
}

/* A header at the very end of a region that is else all zeros, for each size. */
static void test_headers(void **state)
{
	static const uint64_t sizes[] = {20, 40, 80, 300, 599};
	const struct ka_format_opts opts = {.capacity_bytes = 0};
	struct ka_format_opts o = opts;
	struct ka_super sb;
	struct wiped w;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(sizes); i++) {
		start(&w, LARGE);
		o.capacity_bytes = sizes[i] << 20;
		assert_ok(ka_fs_format(w.rg, &o, NULL));
		assert_ok(ka_super_read(w.rg, NULL, NULL, &sb));
		memset(w.mem + sb.copy_addr[0], 0, KA_SUPER_BYTES);
		memset(w.mem + sb.copy_addr[1], 0, KA_SUPER_BYTES);
		expect(&w, -KA_ERR_SUPER_GONE, "segments of a filesystem are there");
		end(&w);
	}
}

/* What a large region costs is bounded; who needs to know can have all of it. */
static void test_bounded(void **state)
{
	struct ka_wiped found;
	struct wiped w;

	(void)state;
	start(&w, LARGE);
	expect(&w, -KA_ERR_WIPED, "zeros in the first 256 MiB and in all of");
	w.mem[(400ull << 20) + 12345] = 1; /* at none of the places */
	assert_ok(ka_wiped_look(w.rg, 0, LARGE, false, &found));
	assert_int_equal(found.kind, KA_WIPED_PATTERN);
	assert_ok(ka_wiped_look(w.rg, 0, LARGE, true, &found));
	assert_int_equal(found.kind, KA_WIPED_NO);
	w.mem[400ull << 20] = 1; /* at one */
	assert_ok(ka_wiped_look(w.rg, 0, LARGE, false, &found));
	assert_int_equal(found.kind, KA_WIPED_NO);
	w.mem[400ull << 20] = 0;
	w.mem[100 << 20 | 12345] = 1; /* where all is looked at */
	assert_ok(ka_wiped_look(w.rg, 0, LARGE, false, &found));
	assert_int_equal(found.kind, KA_WIPED_NO);
	end(&w);
}

/* Far behind, some places stand for the others. */
static void test_far(void **state)
{
	const uint64_t bytes = 8ull << 30, place = 6ull << 30, step = 6 << 20;
	struct ka_wiped found;
	struct wiped w;

	(void)state;
	start(&w, bytes);
	expect(&w, -KA_ERR_WIPED, "zeros in the first 256 MiB and in all of");
	w.mem[place + step / 3] = 1;
	assert_ok(ka_wiped_look(w.rg, 0, bytes, false, &found));
	assert_int_equal(found.kind, KA_WIPED_PATTERN);
	assert_in_range(found.places, 1000, 4000);
	w.mem[place + step] = 1;
	assert_ok(ka_wiped_look(w.rg, 0, bytes, false, &found));
	assert_int_equal(found.kind, KA_WIPED_NO);
	end(&w);
}

/* Only the first segment was spared. */
static void test_segments(void **state)
{
	const struct ka_fs_opts opts = {.rdonly = true};
	struct wiped w;
	struct ka_fs *fs;
	int random;

	(void)state;
	for (random = 0; random < 2; random++) {
		start(&w, BYTES);
		format(&w);
		w.mem[SEGMENT] ^= 1; /* damage of one segment is no more than that */
		assert_err(ka_fs_open(w.rg, &opts, &fs), -KA_ERR_SEGMENT_HEADER);
		if (random)
			test_fill(&w.rng, w.mem + SEGMENT, BYTES - SEGMENT);
		else
			memset(w.mem + SEGMENT, 0, BYTES - SEGMENT);
		assert_err(ka_fs_open(w.rg, &opts, &fs), -KA_ERR_WIPED);
		w.mem[BYTES - 100] ^= 1;
		if (!random)
			assert_err(ka_fs_open(w.rg, &opts, &fs), -KA_ERR_SEGMENT_HEADER);
		end(&w);
	}
}

/* What cannot be read says nothing. */
static void test_memory_errors(void **state)
{
	struct test_messages msgs;
	struct poison p;
	struct ka_region *rg;
	struct ka_super sb;

	(void)state;
	ka_region_catch_errors(NULL);
	poison_make(&p, BYTES);
	assert_ok(ka_region_open_mem(p.mem, BYTES, &rg));
	test_messages_init(&msgs);
	assert_err(ka_super_read(rg, &msgs.sink, NULL, &sb), -KA_ERR_WIPED);
	poison_break(&p, BYTES / 2 + 12345, 1);
	assert_err(ka_super_read(rg, &msgs.sink, NULL, &sb), -KA_ERR_MEMORY);
	assert_true(test_messages_have(&msgs, "cannot use 'memory': memory error"));
	poison_heal(&p);
	poison_break(&p, SEGMENT - KA_SUPER_BYTES, 1); /* where a copy could be */
	assert_err(ka_super_read(rg, &msgs.sink, NULL, &sb), -KA_ERR_MEMORY);
	ka_region_close(rg);
	poison_release(&p);
	test_messages_release(&msgs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),      cmocka_unit_test(test_single_byte),
		cmocka_unit_test(test_random),	      cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_small),	      cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_headers),	      cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_far),	      cmocka_unit_test(test_segments),
		cmocka_unit_test(test_memory_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

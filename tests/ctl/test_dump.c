/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_dump.c - keepalivectl dump of memory that is broken, or of a region file that is
 * truncated meanwhile: it says where, and goes on.
 */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump.h"
#include "fs.h"
#include "keepalive/util.h"
#include "memfs.h"
#include "poison.h"

#define BYTES (16u << 20)

/* Of main.c, which brings all commands. */
const char *ctl_state_name(enum ka_super_state state)
{
	(void)state;
	return "some";
}

struct broken {
	struct poison p;
	struct memfs m;
	struct ctl_args args;
	uint64_t data; /* of a file */
	uint32_t segment_bytes;
};

static void make(struct broken *b)
{
	ka_ino_t ino;

	*b = (struct broken){0};
	poison_make(&b->p, BYTES);
	memfs_over(&b->m, b->p.mem, BYTES);
	memfs_format(&b->m);
	memfs_open(&b->m);
	ino = memfs_file(b->m.fs, KA_ROOT_INO, "file");
	memfs_write_pattern(b->m.fs, ino, 0, 100000, 1);
	memfs_file(b->m.fs, KA_ROOT_INO, "behind");
	b->data = ka_extents_find(&ka_index_find(&b->m.fs->index, ino)->extents, 0)->addr;
	b->segment_bytes = b->m.fs->segs.bytes;
	memfs_close(&b->m);
	b->args = (struct ctl_args){.target = "memory", .sink = &b->m.msgs.sink};
}

/* What it prints, to be freed; at UINT64_MAX: all. */
static char *dump(struct broken *b, uint64_t at)
{
	struct dump d = {.args = &b->args, .rg = b->m.rg, .first = true};
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	char *text = calloc(1, 1 << 20);

	assert_true(file && text && saved >= 0);
	fflush(stdout);
	assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
	if (at == UINT64_MAX)
		assert_ok(dump_all(&d));
	else
		assert_ok(dump_at(&d, at));
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static void expect(struct broken *b, uint64_t at, const char *want)
{
	char *text = dump(b, at);

	if (!strstr(text, want)) {
		print_error("no '%s' in:\n", want);
		puts(text); /* cmocka cuts what is long */
		fail();
	}
	free(text);
}

static void expect_error(struct broken *b, uint64_t at, const char *before, uint64_t addr)
{
	char want[200];

	snprintf(want, sizeof(want), "%smemory error at 0x%" PRIx64, before, addr);
	expect(b, at, want);
}

static void test_broken(void **unused)
{
	uint64_t page, last;
	struct broken b;
	unsigned json;

	(void)unused;
	ka_region_catch_errors(NULL);
	for (json = 0; json < 2; json++) {
		make(&b);
		b.args.json = json;
		b.args.records = true;
		/* A page of data: its record is shown, and those behind it. */
		page = ka_align_up(b.data, POISON_PAGE);
		poison_break(&b.p, page, 1);
		expect_error(
			&b, UINT64_MAX,
			json ? "\"payload_error\": \"" : "payload=damaged payload_error=", page);
		expect(&b, UINT64_MAX, json ? "\"name\": \"behind\"" : "name='behind'");
		expect_error(&b, page, "", page);
		/* The header of a segment, and all behind it: as when the file is truncated. */
		last = (BYTES / b.segment_bytes - 1) * b.segment_bytes;
		poison_break(&b.p, last - b.segment_bytes, 2 * b.segment_bytes);
		expect_error(&b, UINT64_MAX, "", last - b.segment_bytes);
		expect_error(&b, UINT64_MAX, "", last);
		expect_error(&b, last, "", last);
		expect_error(&b, last + 4096, "", last + 4096);
		/* The first page of a segment that is in use. */
		page = ka_align_down(b.data, b.segment_bytes);
		poison_break(&b.p, page, 1);
		expect_error(&b, UINT64_MAX, "", page);
		/* A copy of the superblock. */
		poison_break(&b.p, b.segment_bytes - 4096, 1);
		expect(&b, UINT64_MAX, json ? "\"segments_lent\": 0" : "segments lent: 0");
		expect(&b, b.segment_bytes - 4096, "memory error");
		memfs_release(&b.m);
		poison_release(&b.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

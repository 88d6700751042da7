/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_picture.c - keepalivectl map on made-up facts: sums, cells, looks, and whole
 * pictures compared with those kept in tests/ctl/map (KA_WRITE=1 makes them anew).
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

#define SEGMENT (2u << 20)

static void add(struct map *map, enum ka_seg_state state, uint64_t count, uint32_t live,
		uint32_t used, uint64_t seq)
{
	for (; count; count--)
		map->seg[map->count++] = (struct ka_seginfo){
			.state = (uint16_t)state,
			.live_bytes = live,
			.used_bytes = used,
			.last_seq = seq,
		};
}

static struct map new_map(uint64_t count)
{
	struct map map = {
		.target = (char *)"/srv/<state> & \"more\"",
		.region = (char *)"/dev/dax0.0",
		.segment_bytes = SEGMENT,
		.seq = 100000,
		.damage_known = true,
		.seg = calloc(count, sizeof(struct ka_seginfo)),
	};

	assert_non_null(map.seg);
	return map;
}

/* Everything that can be in a region; the last lent segments are beyond the boundary. */
static struct map all_kinds(void)
{
	struct map map = new_map(200);
	unsigned i;

	add(&map, KA_SEG_SUPER, 1, 0, 0, 0);
	for (i = 1; i <= 8; i++)
		add(&map, KA_SEG_FULL, 4, SEGMENT / 8 * i, SEGMENT, 100000 - (1u << (2 * i)));
	add(&map, KA_SEG_FULL, 7, 0, SEGMENT, 50000);
	add(&map, KA_SEG_CKPT, 3, 0, 0, 0);
	add(&map, KA_SEG_OPEN, 2, SEGMENT / 4, SEGMENT / 2, 99999);
	add(&map, KA_SEG_FREE, 30, 0, 0, 0);
	add(&map, KA_SEG_BAD, 1, 0, 0, 0);
	add(&map, KA_SEG_FREE, 30, 0, 0, 0);
	map.owned_bytes = map.count * SEGMENT;
	add(&map, KA_SEG_ABSENT, 160 - map.count, 0, 0, 0);
	map.capacity_bytes = map.count * SEGMENT;
	map.reserved_bytes = 5 * SEGMENT;
	map.seg[6].flags = MAP_DAMAGED;
	map.seg[75].flags = KA_SEGINFO_BAD;
	return map;
}

/* ---- sums and cells --------------------------------------------------------------- */

static void test_sums(void **state)
{
	struct map map = all_kinds();
	struct map_sum sum;
	uint64_t i;

	(void)state;
	map_sum(&map, &sum);
	assert_int_equal(map_mix_total(&sum.all), map.capacity_bytes);
	assert_int_equal(map_mix_live(&sum.all), SEGMENT / 8 * (4 * 36 + 4));
	assert_int_equal(sum.all.bytes[MAP_DEAD], SEGMENT / 8 * (4 * 28 + 7 * 8 + 4));
	assert_int_equal(sum.all.bytes[MAP_FREE], SEGMENT * (60 - 5 + 1));
	assert_int_equal(sum.all.bytes[MAP_RESERVED], SEGMENT * 5);
	assert_int_equal(sum.all.bytes[MAP_LENT], map.capacity_bytes - map.owned_bytes);
	assert_int_equal(sum.all.bytes[MAP_UNUSABLE], SEGMENT);
	assert_int_equal(sum.damaged, 2);
	assert_int_equal(sum.boundary, map.owned_bytes / SEGMENT);
	/* The reserve is what writes come to last. */
	for (i = 0; i < sum.boundary; i++)
		if (map.seg[i].state == KA_SEG_FREE)
			assert_true(i < sum.reserved_from || i >= sum.boundary - 5);
	/* More than is free in whole segments: all of them. */
	map.reserved_bytes = UINT64_MAX;
	map_sum(&map, &sum);
	assert_int_equal(sum.all.bytes[MAP_RESERVED], SEGMENT * 60);
	assert_int_equal(map_mix_total(&sum.all), map.capacity_bytes);
	free(map.seg);
}

static void test_heats(void **state)
{
	struct map map = new_map(10);
	struct map_sum sum;

	(void)state;
	/* Nothing live: how old the rest is does not matter. */
	add(&map, KA_SEG_FULL, 1, 0, SEGMENT, 1);
	map_sum(&map, &sum);
	assert_int_equal(sum.heat_max[MAP_HEATS - 2], 0);
	/* A record that is newer than what was asked for before it is as new as can be. */
	add(&map, KA_SEG_FULL, 1, 10, SEGMENT, 100001);
	add(&map, KA_SEG_FULL, 1, 20, SEGMENT, 100000 - 1024);
	add(&map, KA_SEG_FULL, 1, 40, SEGMENT, 100000 - 256);
	add(&map, KA_SEG_FULL, 1, 80, SEGMENT, 100000 - 4);
	map_sum(&map, &sum);
	assert_int_equal(sum.heat_max[0], 4);
	assert_int_equal(sum.heat_max[3], 256);
	assert_int_equal(sum.all.bytes[MAP_LIVE], 90);
	assert_int_equal(sum.all.bytes[MAP_LIVE + 3], 40);
	assert_int_equal(sum.all.bytes[MAP_LIVE + 4], 20);
	free(map.seg);
}

/* Whatever the grid, its cells have together what the region has. */
static void test_cells_add_up(void **state)
{
	struct map map = all_kinds();
	struct map_mix mix, all;
	uint64_t most, cell;
	struct map_grid grid;
	struct map_sum sum;
	unsigned boundaries;
	int c;

	(void)state;
	map_sum(&map, &sum);
	for (most = 0; most < 700; most++) {
		grid = map_grid(&map, most, most);
		assert_true(grid.cells <= ka_max(most, 1) && grid.cells > 0);
		all = (struct map_mix){0};
		boundaries = 0;
		for (cell = 0; cell < grid.cells; cell++) {
			map_cell(&map, &sum, &grid, cell, &mix);
			assert_true(map_mix_total(&mix) > 0);
			boundaries += mix.boundary;
			for (c = 0; c < MAP_CLASSES; c++)
				all.bytes[c] += mix.bytes[c];
		}
		assert_memory_equal(all.bytes, sum.all.bytes, sizeof(all.bytes));
		assert_int_equal(boundaries, 1);
	}
	free(map.seg);
}

static struct map_mix mix_of(enum map_class c, uint64_t bytes, enum map_class d, uint64_t more)
{
	struct map_mix mix = {0};

	mix.bytes[c] = bytes;
	mix.bytes[d] += more;
	return mix;
}

static void test_looks(void **state)
{
	struct map_mix mix = mix_of(MAP_LIVE + 2, 1, MAP_FREE, 1u << 30);
	struct map_look look = map_look(&mix);

	(void)state;
	/* One live byte shows, and so does one that is not. */
	assert_int_equal(look.kind, MAP_BAR);
	assert_int_equal(look.eighths, 1);
	assert_int_equal(look.heat, MAP_LIVE + 2);
	assert_int_equal(look.fill, MAP_FREE);
	mix = mix_of(MAP_LIVE, 1u << 30, MAP_DEAD, 1);
	assert_int_equal(map_look(&mix).eighths, 7);
	mix = mix_of(MAP_LIVE, 1u << 30, MAP_DEAD, 0);
	assert_int_equal(map_look(&mix).eighths, 8);
	mix = mix_of(MAP_LIVE, 1u << 20, MAP_DEAD, 1u << 20);
	assert_int_equal(map_look(&mix).eighths, 4);
	/* What most of the live bytes have decides on the heat. */
	mix = mix_of(MAP_LIVE, 10, MAP_LIVE + 4, 11);
	assert_int_equal(map_look(&mix).heat, MAP_LIVE + 4);
	mix = mix_of(MAP_CKPT, 10, MAP_LIVE, 11);
	assert_int_equal(map_look(&mix).kind, MAP_BAR);
	mix = mix_of(MAP_CKPT, 10, MAP_FREE, 1000);
	assert_int_equal(map_look(&mix).fill, MAP_CKPT);
	mix = mix_of(MAP_SUPER, 1, MAP_LIVE, 1000);
	assert_int_equal(map_look(&mix).fill, MAP_SUPER);
	mix.damaged = true;
	assert_int_equal(map_look(&mix).kind, MAP_BROKEN);
	mix = mix_of(MAP_DEAD, 10, MAP_LENT, 9);
	assert_int_equal(map_look(&mix).fill, MAP_DEAD);
	mix = (struct map_mix){0};
	assert_int_equal(map_look(&mix).kind, MAP_PLAIN);
}

/* ---- whole pictures ----------------------------------------------------------------- */

static char *path_of(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", MAP_KEPT, name) > 0);
	return path;
}

static char *read_kept(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(in);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, in) > 0);
	fclose(in);
	return text;
}

static void compare(const char *name, const char *text)
{
	char *path = path_of(name), *kept;
	FILE *out;

	if (getenv("KA_WRITE")) {
		out = fopen(path, "w");
		assert_non_null(out);
		fputs(text, out);
		assert_int_equal(fclose(out), 0);
	}
	kept = read_kept(path);
	if (strcmp(text, kept) != 0) {
		print_error("%s is another:\n%s", path, text);
		fail();
	}
	free(kept);
	free(path);
}

static char *draw(const struct map *map, const struct map_term_opts *opts)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	map_draw_term(out, map, opts);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_terminal(void **state)
{
	static const struct {
		const char *name;
		struct map_term_opts opts;
	} kinds[] = {
		{"unicode.txt", {.width = 80, .rows = 16, .unicode = true}},
		{"ascii.txt", {.width = 60, .rows = 16}},
		{"colour.txt", {.width = 100, .rows = 16, .unicode = true, .colour = true}},
		{"narrow.txt", {.width = 1, .rows = 3}},
		{"small.txt", {.width = 80, .rows = 1, .unicode = true}},
	};
	struct map map = all_kinds();
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(kinds); i++) {
		text = draw(&map, &kinds[i].opts);
		compare(kinds[i].name, text);
		free(text);
	}
	free(map.seg);
}

/* The lines of the picture and the legend, and none that is longer than the terminal. */
static void check_lines(const char *text, unsigned width, unsigned rows)
{
	unsigned lines = 0, columns;
	const char *p = text;

	while (*p) {
		for (columns = 0; *p != '\n'; p++)
			columns += (*p & 0xc0) != 0x80;
		assert_true(columns <= width);
		lines++;
		p++;
	}
	assert_true(lines <= rows + MAP_TERM_LEGEND - 1);
}

static void test_lines_fit(void **state)
{
	struct map_term_opts opts = {.unicode = true};
	struct map map = all_kinds();
	char *text;

	(void)state;
	for (opts.width = 20; opts.width < 300; opts.width += 7) {
		for (opts.rows = 1; opts.rows < 20; opts.rows += 3) {
			text = draw(&map, &opts);
			check_lines(text, opts.width, opts.rows);
			free(text);
		}
	}
	free(map.seg);
}

static char *draw_svg(const struct map *map)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	map_draw_svg(out, map);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_svg(void **state)
{
	struct map map = all_kinds();
	char *text = draw_svg(&map);

	(void)state;
	compare("picture.svg", text);
	free(text);
	/* What XML cannot hold is not in it. */
	map.target = (char *)"a\001b\377\xef\xbf\xbf]]>\xc3\xa4";
	text = draw_svg(&map);
	assert_non_null(strstr(text, ">Segments of a?b??]]&#62;\xc3\xa4</title>"));
	free(text);
	free(map.seg);
}

/* 1 TiB: many segments go into a cell, and the picture is no larger. */
static void test_large(void **state)
{
	struct map_term_opts opts = {.width = 80, .rows = 16, .unicode = true};
	struct map map = new_map(1 << 19);
	char *text;

	(void)state;
	add(&map, KA_SEG_SUPER, 1, 0, 0, 0);
	add(&map, KA_SEG_FULL, 200000, SEGMENT, SEGMENT, 5);
	add(&map, KA_SEG_FULL, 50000, SEGMENT / 2, SEGMENT, 90000);
	add(&map, KA_SEG_FREE, (1 << 19) - 250001, 0, 0, 0);
	map.seg[400000].flags = KA_SEGINFO_BAD;
	map.capacity_bytes = map.owned_bytes = map.count * SEGMENT;
	text = draw(&map, &opts);
	compare("large.txt", text);
	free(text);
	text = draw_svg(&map);
	assert_true(strlen(text) < 200000);
	free(text);
	free(map.seg);
}

static void test_json(void **state)
{
	struct map map = all_kinds();
	struct json_object *root = map_to_json(&map), *list, *run, *value;
	uint64_t next = 0;
	size_t i;

	(void)state;
	assert_true(json_object_object_get_ex(root, "segments", &list));
	for (i = 0; i < json_object_array_length(list); i++) {
		run = json_object_array_get_idx(list, i);
		assert_true(json_object_object_get_ex(run, "first", &value));
		assert_int_equal(json_object_get_uint64(value), next);
		assert_true(json_object_object_get_ex(run, "count", &value));
		next += json_object_get_uint64(value);
	}
	assert_int_equal(next, map.count);
	assert_true(i < 30);
	assert_true(json_object_object_get_ex(root, "bytes", &list));
	assert_true(json_object_object_get_ex(list, "lent", &value));
	assert_int_equal(json_object_get_uint64(value), map.capacity_bytes - map.owned_bytes);
	json_object_put(root);
	free(map.seg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),	     cmocka_unit_test(test_heats),
		cmocka_unit_test(test_cells_add_up), cmocka_unit_test(test_looks),
		cmocka_unit_test(test_terminal),     cmocka_unit_test(test_lines_fit),
		cmocka_unit_test(test_svg),	     cmocka_unit_test(test_large),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

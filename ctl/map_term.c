/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map_term.c - the picture for a terminal, or for text anywhere; see map.h. */
#include <inttypes.h>
#include <string.h>

#include "keepalive/util.h"
#include "map.h"
#include "program.h"

#define LABEL_WIDTH 9 /* "1.25 GiB" and what separates it */
#define WIDTH_MIN   20
/* Where each segment can have several cells: rows to spend on that. */
#define ROWS_ENOUGH 2

/* The sixteen colours that every theme has made to go together; 0: as it is. */
struct paint {
	int fg;
	int bg;
	bool bold;
};

struct style {
	const char *unicode;
	const char *ascii;
	struct paint paint;
};

static const struct style styles[MAP_CLASSES] = {
	[MAP_LIVE] = {"█", "#", {.fg = 31}},
	[MAP_LIVE + 1] = {"█", "#", {.fg = 33}},
	[MAP_LIVE + 2] = {"█", "#", {.fg = 32}},
	[MAP_LIVE + 3] = {"█", "#", {.fg = 36}},
	[MAP_LIVE + 4] = {"█", "#", {.fg = 34}},
	[MAP_DEAD] = {"░", "x", {.fg = 90}},
	[MAP_FREE] = {"·", ".", {0}},
	[MAP_RESERVED] = {":", ":", {0}},
	[MAP_LENT] = {"╱", "/", {.fg = 90}},
	[MAP_CKPT] = {"C", "C", {.fg = 35, .bold = true}},
	[MAP_SUPER] = {"S", "S", {.fg = 35, .bold = true}},
	[MAP_UNUSABLE] = {"!", "!", {.fg = 97, .bg = 41, .bold = true}},
};

static const struct style boundary_style = {"┃", "|", {.bold = true}};

static const char *const unicode_bars[] = {"▁", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii_bars[] = {"-", "-", "-", "=", "=", "+", "+", "*", "#"};

struct term {
	FILE *out;
	const struct map_term_opts *opts;
	const struct map *map;
	struct map_sum sum;
	struct paint now;
};

static void put_paint(FILE *out, struct paint p)
{
	fputs("\033[0", out);
	if (p.bold)
		fputs(";1", out);
	if (p.fg)
		fprintf(out, ";%d", p.fg);
	if (p.bg)
		fprintf(out, ";%d", p.bg);
	fputc('m', out);
}

static void set_paint(struct term *t, struct paint p)
{
	if (!t->opts->colour || (p.fg == t->now.fg && p.bg == t->now.bg && p.bold == t->now.bold))
		return;
	put_paint(t->out, p);
	t->now = p;
}

static void put(struct term *t, const struct style *s)
{
	set_paint(t, s->paint);
	fputs(t->opts->unicode ? s->unicode : s->ascii, t->out);
}

static void end_line(struct term *t)
{
	set_paint(t, (struct paint){0});
	fputc('\n', t->out);
}

/* Dead bytes behind a bar are grey, as a block can have two colours but one shape. */
static void put_bar(struct term *t, const struct map_look *look)
{
	struct style s = styles[look->heat];

	s.unicode = unicode_bars[look->eighths];
	s.ascii = ascii_bars[look->eighths];
	if (look->fill == MAP_DEAD && look->eighths < 8 && t->opts->unicode)
		s.paint.bg = 100;
	put(t, &s);
}

static void put_cell(struct term *t, const struct map_grid *grid, uint64_t cell)
{
	struct map_look look;
	struct map_mix mix;

	map_cell(t->map, &t->sum, grid, cell, &mix);
	look = map_look(&mix);
	if (look.kind == MAP_BROKEN)
		put(t, &styles[MAP_UNUSABLE]);
	else if (look.boundary)
		put(t, &boundary_style);
	else if (look.kind == MAP_BAR)
		put_bar(t, &look);
	else
		put(t, &styles[look.fill]);
}

/* As much of an explanation as fits behind column used. */
static void put_text(struct term *t, unsigned used, const char *text)
{
	unsigned room = t->opts->width > used ? t->opts->width - used : 0;

	set_paint(t, (struct paint){0});
	fprintf(t->out, "%.*s", (int)room, text);
}

static void put_grid(struct term *t, const struct map_grid *grid, uint64_t columns)
{
	uint64_t cell;
	char size[16];

	for (cell = 0; cell < grid->cells; cell++) {
		if (!(cell % columns))
			fprintf(t->out, "%*s ", LABEL_WIDTH,
				ka_format_size(size, cell / grid->split * grid->per_cell *
							     t->map->segment_bytes));
		put_cell(t, grid, cell);
		if (!((cell + 1) % columns) || cell + 1 == grid->cells)
			end_line(t);
	}
}

/* Its end, where it is too long: that says more. */
static void put_name(struct term *t)
{
	const char *name = t->map->target;
	size_t len = strlen(name), room = t->opts->width;

	if (len > room) {
		fputs("...", t->out);
		name += len - room + 3;
		while ((*name & 0xc0) == 0x80) /* the rest of a character */
			name++;
	}
	ka_program_print_bytes(t->out, name, strlen(name));
}

static void put_title(struct term *t, const struct map_grid *grid)
{
	char text[128];

	put_name(t);
	end_line(t);
	put_text(t, 0, map_scale_text(text, t->map, grid));
	end_line(t);
}

static void put_entry(struct term *t, const struct style *s, const char *name, uint64_t bytes,
		      const char *text)
{
	char size[16], line[64];

	fputs("  ", t->out);
	if (s)
		put(t, s);
	else
		fputc(' ', t->out);
	set_paint(t, (struct paint){0});
	snprintf(line, sizeof(line), " %-11s%9s  ", name, ka_format_size(size, bytes));
	put_text(t, 3, line);
	put_text(t, 3 + (unsigned)strlen(line), text);
	end_line(t);
}

static void put_live(struct term *t)
{
	bool colour = t->opts->colour; /* else all heats look the same */
	unsigned heat;
	char text[64];

	put_entry(t, colour ? NULL : &styles[MAP_LIVE], map_class_name(MAP_LIVE),
		  map_mix_live(&t->sum.all), "what files hold; in a cell the height is its share");
	for (heat = 0; heat < MAP_HEATS; heat++)
		put_entry(t, colour ? &styles[MAP_LIVE + heat] : NULL, "",
			  t->sum.all.bytes[MAP_LIVE + heat], map_heat_text(text, &t->sum, heat));
}

static void put_boundary(struct term *t)
{
	const struct map *map = t->map;

	if (t->sum.boundary == map->count)
		put_entry(t, NULL, "boundary", map->owned_bytes, "nothing is lent");
	else
		put_entry(t, &boundary_style, "boundary", map->owned_bytes,
			  "what lies behind it is lent");
}

static void put_damage(struct term *t)
{
	const char *more = t->map->damage_known ? "" : " that is known";
	char text[128];

	snprintf(text, sizeof(text), "out of use; damage in %" PRIu64 " %s%s", t->sum.damaged,
		 t->sum.damaged == 1 ? "segment" : "segments", more);
	put_entry(t, &styles[MAP_UNUSABLE], map_class_name(MAP_UNUSABLE),
		  t->sum.all.bytes[MAP_UNUSABLE], text);
}

static void put_legend(struct term *t)
{
	int c;

	put_live(t);
	for (c = MAP_DEAD; c < MAP_UNUSABLE; c++)
		put_entry(t, &styles[c], map_class_name((enum map_class)c), t->sum.all.bytes[c],
			  map_class_text((enum map_class)c));
	put_boundary(t);
	put_damage(t);
}

void map_draw_term(FILE *out, const struct map *map, const struct map_term_opts *opts)
{
	struct map_term_opts fit = *opts;
	struct term t = {.out = out, .opts = &fit, .map = map};
	struct map_grid grid;
	uint64_t columns;

	fit.width = (unsigned)ka_max(opts->width, WIDTH_MIN);
	columns = fit.width - LABEL_WIDTH - 1;
	grid = map_grid(map, ROWS_ENOUGH * columns, ka_max(opts->rows, 1) * columns);
	map_sum(map, &t.sum);
	put_title(&t, &grid);
	put_grid(&t, &grid, columns);
	end_line(&t);
	put_legend(&t);
}

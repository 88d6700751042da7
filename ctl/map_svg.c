/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_svg.c - the picture as SVG; see map.h.
 *
 * One path for each colour holds all of its cells: small, and it can be scaled. The
 * picture brings a background of its own, which follows the colour scheme of who
 * looks; title and description tell what is in it to those who do not see it.
 */
#include <inttypes.h>
#include <string.h>

#include "keepalive/util.h"
#include "map.h"
#include "program.h"

#define COLUMNS	    76
#define ROWS_MAX    40
#define ROWS_ENOUGH 2
#define CELL	    10 /* and 2 to the next */
#define PITCH	    12
#define MARGIN	    24
#define LABEL	    72 /* what the addresses of the rows take */
#define GRID_TOP    72
#define LEGEND_ROW  24
#define LEGEND_ROWS 8 /* in each of its two columns */
#define WIDTH	    (MARGIN + LABEL + COLUMNS * PITCH + MARGIN)

static const char style[] =
	"<style>\n"
	".kmap .card{fill:#fff;stroke:#d0d7de}\n"
	".kmap text{fill:#1f2328;font:13px system-ui,sans-serif}\n"
	".kmap .name{font-size:17px;font-weight:600}\n"
	".kmap .dim{fill:#59636e}\n"
	".kmap .addr{fill:#59636e;font-size:11px;text-anchor:end}\n"
	".kmap .h0{fill:#d73027}.kmap .h1{fill:#f4874b}.kmap .h2{fill:#e6b93c}\n"
	".kmap .h3{fill:#74add1}.kmap .h4{fill:#4575b4}\n"
	".kmap .dead{fill:#8c959f}.kmap .free{fill:#e6eaef}\n"
	".kmap .dots{fill:#59636e}.kmap .hatch{stroke:#8c959f;stroke-width:1.5}\n"
	".kmap .superblock{fill:#1f2328}.kmap .checkpoint{fill:#8250df}\n"
	".kmap .damaged{fill:#fff;stroke:#cf222e;stroke-width:1.5}\n"
	".kmap .cross{fill:none;stroke:#cf222e;stroke-width:2}\n"
	".kmap .boundary{fill:none;stroke:#1f2328;stroke-width:2.5}\n"
	"@media (prefers-color-scheme:dark){\n"
	".kmap .card{fill:#151b23;stroke:#3d444d}.kmap text{fill:#f0f6fc}\n"
	".kmap .dim,.kmap .addr{fill:#9198a1}\n"
	".kmap .dead{fill:#6e7681}.kmap .free{fill:#2a313c}.kmap .dots{fill:#9198a1}\n"
	".kmap .hatch{stroke:#6e7681}.kmap .superblock{fill:#f0f6fc}\n"
	".kmap .checkpoint{fill:#ab7df8}.kmap .boundary{stroke:#f0f6fc}\n"
	"}\n"
	"</style>\n"
	"<defs>\n"
	"<pattern id=\"kmap-dots\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
	"<rect class=\"free\" width=\"5\" height=\"5\"/>"
	"<circle class=\"dots\" cx=\"2.5\" cy=\"2.5\" r=\"1\"/></pattern>\n"
	"<pattern id=\"kmap-hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
	"patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0V5\"/></pattern>\n"
	"</defs>\n";

static const char *const paints[MAP_CLASSES] = {
	[MAP_LIVE] = "class=\"h0\"",
	[MAP_LIVE + 1] = "class=\"h1\"",
	[MAP_LIVE + 2] = "class=\"h2\"",
	[MAP_LIVE + 3] = "class=\"h3\"",
	[MAP_LIVE + 4] = "class=\"h4\"",
	[MAP_DEAD] = "class=\"dead\"",
	[MAP_FREE] = "class=\"free\"",
	[MAP_RESERVED] = "fill=\"url(#kmap-dots)\"",
	[MAP_LENT] = "fill=\"url(#kmap-hatch)\"",
	[MAP_CKPT] = "class=\"checkpoint\"",
	[MAP_SUPER] = "class=\"superblock\"",
	[MAP_UNUSABLE] = "class=\"damaged\"",
};

struct svg {
	FILE *out;
	const struct map *map;
	struct map_sum sum;
	struct map_grid grid;
	uint64_t rows;
	uint64_t legend_top;
};

/* What XML cannot hold, and what would be read as markup, is replaced. */
static void put_escaped(FILE *out, const char *text)
{
	size_t left = strlen(text), n;

	for (; left; text += n, left -= n) {
		n = ka_program_utf8((const uint8_t *)text, left);
		if (n == 1 && strchr("<>&\"'", *text)) {
			fprintf(out, "&#%d;", *text);
		} else if (!n || (n == 1 && (*text < ' ' || *text == 127)) ||
			   !strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3)) {
			fputc('?', out);
			n = n ?: 1;
		} else {
			fwrite(text, 1, n, out);
		}
	}
}

/* ---- cells ----------------------------------------------------------------- */

static uint64_t x_of(uint64_t cell)
{
	return MARGIN + LABEL + cell % COLUMNS * PITCH;
}

static uint64_t y_of(uint64_t cell)
{
	return GRID_TOP + cell / COLUMNS * PITCH;
}

/* The part of the cell that class c paints: its lower end, in eighths of its height. */
static unsigned part_of(const struct map_look *look, enum map_class c)
{
	switch (look->kind) {
	case MAP_BROKEN:
		return c == MAP_UNUSABLE ? 8 : 0;
	case MAP_BAR:
		if (c == look->heat)
			return look->eighths;
		break; /* the rest is behind it */
	case MAP_PLAIN:
		break;
	}
	return c == look->fill ? 8 : 0;
}

static struct map_look look_at(const struct svg *s, uint64_t cell)
{
	struct map_mix mix;

	map_cell(s->map, &s->sum, &s->grid, cell, &mix);
	return map_look(&mix);
}

static void put_class(const struct svg *s, enum map_class c)
{
	struct map_look look;
	double height;
	uint64_t cell;
	bool any = false;

	for (cell = 0; cell < s->grid.cells; cell++) {
		look = look_at(s, cell);
		height = part_of(&look, c) * CELL / 8.0;
		if (height <= 0)
			continue;
		if (!any)
			fprintf(s->out, "<path %s d=\"", paints[c]);
		any = true;
		fprintf(s->out, "M%" PRIu64 " %gh%dv%gh-%dz", x_of(cell),
			(double)y_of(cell) + CELL - height, CELL, height, CELL);
	}
	if (any)
		fputs("\"/>\n", s->out);
}

static void put_cross(FILE *out, uint64_t x, uint64_t y)
{
	fprintf(out, "<path class=\"cross\" d=\"M%" PRIu64 " %" PRIu64 "l6 6m0-6l-6 6\"/>\n", x + 2,
		y + 2);
}

/* Lies over the cells: crosses, and the line of the boundary. */
static void put_marks(const struct svg *s)
{
	struct map_look look;
	uint64_t cell;

	for (cell = 0; cell < s->grid.cells; cell++) {
		look = look_at(s, cell);
		if (look.kind == MAP_BROKEN)
			put_cross(s->out, x_of(cell), y_of(cell));
		if (look.boundary)
			fprintf(s->out,
				"<path class=\"boundary\" d=\"M%" PRIu64 " %" PRIu64
				"v14m-3-14h6m-6 14h6\"/>\n",
				x_of(cell) - 1, y_of(cell) - 2);
	}
}

static void put_grid(const struct svg *s)
{
	uint64_t row, cell;
	char size[16];
	int c;

	for (row = 0; row < s->rows; row += 2) {
		cell = row * COLUMNS;
		fprintf(s->out, "<text class=\"addr\" x=\"%d\" y=\"%" PRIu64 "\">%s</text>\n",
			MARGIN + LABEL - 8, y_of(cell) + CELL - 1,
			ka_format_size(size, cell / s->grid.split * s->grid.per_cell *
						     s->map->segment_bytes));
	}
	for (c = MAP_CLASSES - 1; c >= 0; c--) /* bars lie over what is behind them */
		put_class(s, (enum map_class)c);
	put_marks(s);
}

/* ---- legend ---------------------------------------------------------------- */

static uint64_t legend_x(unsigned slot)
{
	return MARGIN + (uint64_t)(slot / LEGEND_ROWS) * (WIDTH - 2 * MARGIN) / 2;
}

static uint64_t legend_y(const struct svg *s, unsigned slot)
{
	return s->legend_top + (uint64_t)(slot % LEGEND_ROWS) * LEGEND_ROW;
}

static void put_entry(const struct svg *s, unsigned slot, const char *paint, const char *name,
		      uint64_t bytes, const char *text)
{
	uint64_t x = legend_x(slot), y = legend_y(s, slot);
	char size[16];

	if (paint)
		fprintf(s->out, "<path %s d=\"M%" PRIu64 " %" PRIu64 "h%dv%dh-%dz\"/>\n", paint, x,
			y, CELL, CELL, CELL);
	fprintf(s->out,
		"<text x=\"%" PRIu64 "\" y=\"%" PRIu64 "\">%s</text>"
		"<text x=\"%" PRIu64 "\" y=\"%" PRIu64 "\" text-anchor=\"end\">%s</text>"
		"<text class=\"dim\" x=\"%" PRIu64 "\" y=\"%" PRIu64 "\">%s</text>\n",
		x + 18, y + CELL, name, x + 165, y + CELL, ka_format_size(size, bytes), x + 177,
		y + CELL, text);
}

static void put_legend(const struct svg *s)
{
	bool lent = s->sum.boundary < s->map->count;
	unsigned slot = 0, heat;
	char text[96];
	int c;

	put_entry(s, slot++, NULL, map_class_name(MAP_LIVE), map_mix_live(&s->sum.all),
		  "what files hold; the height is its share");
	for (heat = 0; heat < MAP_HEATS; heat++)
		put_entry(s, slot++, paints[MAP_LIVE + heat], "", s->sum.all.bytes[MAP_LIVE + heat],
			  map_heat_text(text, &s->sum, heat));
	for (c = MAP_DEAD; c < MAP_UNUSABLE; c++)
		put_entry(s, slot++, paints[c], map_class_name((enum map_class)c),
			  s->sum.all.bytes[c], map_class_text((enum map_class)c));
	snprintf(text, sizeof(text), "out of use; damage in %" PRIu64 " %s%s", s->sum.damaged,
		 s->sum.damaged == 1 ? "segment" : "segments",
		 s->map->damage_known ? "" : " that is known");
	put_cross(s->out, legend_x(slot), legend_y(s, slot));
	put_entry(s, slot++, NULL, map_class_name(MAP_UNUSABLE), s->sum.all.bytes[MAP_UNUSABLE],
		  text);
	fprintf(s->out,
		"<path class=\"boundary\" d=\"M%" PRIu64 " %" PRIu64 "v14m-3-14h6m-6 14h6\"/>\n",
		legend_x(slot) + CELL / 2, legend_y(s, slot) - 2);
	put_entry(s, slot, NULL, "boundary", s->map->owned_bytes,
		  lent ? "what lies behind it is lent" : "nothing is lent");
}

/* ---- the whole --------------------------------------------------------------- */

static void put_size(const struct svg *s, const char *what, uint64_t bytes, const char *end)
{
	char size[16];

	fprintf(s->out, "%s %s%s", what, ka_format_size(size, bytes), end);
}

static void put_description(const struct svg *s)
{
	int c;

	fputs("<title id=\"kmap-title\">Segments of ", s->out);
	put_escaped(s->out, s->map->target);
	fputs("</title>\n<desc id=\"kmap-desc\">", s->out);
	put_size(s, "Capacity", s->map->capacity_bytes, ", ");
	fprintf(s->out, "%" PRIu64 " segments ", s->map->count);
	put_size(s, "of", s->map->segment_bytes, ": ");
	put_size(s, map_class_name(MAP_LIVE), map_mix_live(&s->sum.all), ", ");
	for (c = MAP_DEAD; c < MAP_CLASSES; c++)
		put_size(s, map_class_name((enum map_class)c), s->sum.all.bytes[c],
			 c + 1 < MAP_CLASSES ? ", " : "; ");
	put_size(s, "boundary at", s->map->owned_bytes, "; ");
	fprintf(s->out, "%" PRIu64 " segments have damage.</desc>\n", s->sum.damaged);
}

static void put_head(const struct svg *s, uint64_t height)
{
	char scale[128];

	fprintf(s->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"kmap\" role=\"img\" "
		"aria-labelledby=\"kmap-title kmap-desc\" width=\"%d\" height=\"%" PRIu64
		"\" viewBox=\"0 0 %d %" PRIu64 "\">\n",
		WIDTH, height, WIDTH, height);
	put_description(s);
	fputs(style, s->out);
	fprintf(s->out,
		"<rect class=\"card\" x=\".5\" y=\".5\" width=\"%d\" height=\"%" PRIu64
		"\" rx=\"8\"/>\n<text class=\"name\" x=\"%d\" y=\"32\">",
		WIDTH - 1, height - 1, MARGIN);
	put_escaped(s->out, s->map->target);
	fprintf(s->out, "</text>\n<text class=\"dim\" x=\"%d\" y=\"54\">%s</text>\n", MARGIN,
		map_scale_text(scale, s->map, &s->grid));
}

void map_draw_svg(FILE *out, const struct map *map)
{
	struct svg s = {.out = out, .map = map};

	s.grid = map_grid(map, ROWS_ENOUGH * COLUMNS, ROWS_MAX * COLUMNS);
	s.rows = (s.grid.cells + COLUMNS - 1) / COLUMNS;
	s.legend_top = GRID_TOP + s.rows * PITCH + MARGIN;
	map_sum(map, &s.sum);
	put_head(&s, s.legend_top + LEGEND_ROWS * LEGEND_ROW + MARGIN / 2);
	put_grid(&s);
	put_legend(&s);
	fputs("</svg>\n", out);
}

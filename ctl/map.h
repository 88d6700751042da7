/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map.h - a picture of a region: what the parts of keepalivectl map share.
 *
 * The command (map.c) has a struct map fetched (map_fetch.c) and drawn, once or again
 * and again (map_watch.c). Summing up (map_sum.c) and drawing (map_term.c, map_svg.c,
 * map_json.c) see nothing else, so that the same facts give the same picture.
 */
#ifndef KEEPALIVE_MAP_H
#define KEEPALIVE_MAP_H

#include <json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl.h"
#include "keepalive/seginfo.h"

/* Beside KA_SEGINFO_BAD in the flags of a segment: damage was met in it, and is there. */
#define MAP_DAMAGED 0x8000u

struct map {
	char *target; /* as people call it */
	char *region; /* path of it */
	uint64_t capacity_bytes;
	uint64_t owned_bytes; /* what lies behind is lent */
	uint64_t segment_bytes;
	uint64_t reserved_bytes; /* of what is free: kept from ordinary writes */
	uint64_t seq;		 /* the last record number given out */
	bool damage_known;	 /* a daemon told what it met */
	uint64_t count;
	struct ka_seginfo *seg;
};

/* How long ago, in records, the newest record of a segment was written: 0 is hottest. */
#define MAP_HEATS 5

/* What bytes of the region are used for; live ones by their heat. */
enum map_class {
	MAP_LIVE,
	MAP_DEAD = MAP_LIVE + MAP_HEATS,
	MAP_FREE,
	MAP_RESERVED,
	MAP_LENT,
	MAP_CKPT,
	MAP_SUPER,
	MAP_UNUSABLE, /* with memory errors, and empty */
	MAP_CLASSES,
};

struct map_mix {
	uint64_t bytes[MAP_CLASSES];
	bool damaged;  /* some of it */
	bool boundary; /* what is lent begins here */
};

struct map_sum {
	struct map_mix all;
	uint64_t damaged;		  /* segments with damage in them */
	uint64_t reserved_from;		  /* free segments from this one on are the reserve */
	uint64_t boundary;		  /* the first segment that is lent; map.count: none */
	uint64_t heat_max[MAP_HEATS - 1]; /* age up to which each but the last goes */
};

/*
 * How segments go into cells: several into one, or, where there are few, one into
 * several, which show what is in it in the order of the classes.
 */
struct map_grid {
	uint64_t cells;
	uint64_t per_cell; /* segments */
	uint64_t split;	   /* cells for one segment; 1 unless per_cell is */
};

void map_sum(const struct map *map, struct map_sum *ret);

/* At most most cells, and at least enough where one segment can have several. */
struct map_grid map_grid(const struct map *map, uint64_t enough, uint64_t most);

void map_cell(const struct map *map, const struct map_sum *sum, const struct map_grid *grid,
	      uint64_t cell, struct map_mix *ret);

uint64_t map_mix_total(const struct map_mix *mix);
uint64_t map_mix_live(const struct map_mix *mix);

/*
 * What a cell looks like. Damage, the superblock and checkpoints would drown among
 * many segments, so each of them shows where there is any; else live bytes show as a
 * bar of so many eighths, of the heat that most of them have, before the largest of the rest.
 */
struct map_look {
	enum { MAP_PLAIN, MAP_BAR, MAP_BROKEN } kind;
	enum map_class fill; /* of a bar: what is behind it */
	enum map_class heat; /* of a bar: MAP_LIVE and on */
	unsigned eighths;    /* of a bar: 1 to 8 */
	bool boundary;
};

struct map_look map_look(const struct map_mix *mix);

/* Words for the legends: "dead", and what that means. */
const char *map_class_name(enum map_class c);
const char *map_class_text(enum map_class c);

/* "written up to 12 records ago", of a heat from 0 on. */
char *map_heat_text(char buf[64], const struct map_sum *sum, unsigned heat);

/* "1.0 GiB, 512 segments of 2.0 MiB; each cell is a segment". */
char *map_scale_text(char buf[128], const struct map *map, const struct map_grid *grid);

struct map_term_opts {
	unsigned width; /* columns */
	unsigned rows;	/* of the picture, without the legend; at most */
	bool unicode;
	bool colour;
};

/* Lines of the title, the legend, and what separates them, and one for the prompt. */
#define MAP_TERM_LEGEND 18

void map_draw_term(FILE *out, const struct map *map, const struct map_term_opts *opts);
void map_draw_svg(FILE *out, const struct map *map);
struct json_object *map_to_json(const struct map *map);

/* 0 or a negative code, explained. map_release in any case. */
int map_fetch(const struct ctl_args *args, struct map *ret);
void map_release(struct map *map);

/*
 * Draws it again every so often, in place on a terminal, else one below the other,
 * until SIGINT, SIGTERM or SIGHUP, which is 0, or until it cannot be fetched any more,
 * which is explained. The terminal is as it was afterwards, and while this is stopped.
 */
int map_watch(const struct ctl_args *args, double seconds, struct map_term_opts *term);

/* Whether stdout is a terminal that can do more than lines of text. */
bool map_is_terminal(void);

/* Columns and rows of the terminal on stdout; false: it is none. */
bool map_terminal_size(unsigned *ret_columns, unsigned *ret_rows);

/* Width and rows: as much as the terminal has room for. */
void map_choose_size(struct map_term_opts *term);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map_sum.c - from segments to sums, cells, and what a cell looks like; see map.h. */
#include <inttypes.h>

#include "keepalive/util.h"
#include "map.h"

/* Each heat goes this many times as far back as the one before, log2. */
#define HEAT_SHIFT 2

uint64_t map_mix_total(const struct map_mix *mix)
{
	uint64_t sum = 0;
	int c;

	for (c = 0; c < MAP_CLASSES; c++)
		sum += mix->bytes[c];
	return sum;
}

uint64_t map_mix_live(const struct map_mix *mix)
{
	uint64_t sum = 0;
	int c;

	for (c = MAP_LIVE; c < MAP_LIVE + MAP_HEATS; c++)
		sum += mix->bytes[c];
	return sum;
}

static uint64_t age_of(const struct map *map, const struct ka_seginfo *seg)
{
	return map->seq > seg->last_seq ? map->seq - seg->last_seq : 0;
}

static enum map_class heat_of(const struct map *map, const struct map_sum *sum,
			      const struct ka_seginfo *seg)
{
	uint64_t age = age_of(map, seg);
	int heat = 0;

	while (heat < MAP_HEATS - 1 && age > sum->heat_max[heat])
		heat++;
	return (enum map_class)(MAP_LIVE + heat);
}

/* Steps of equal length on a logarithmic scale, from the oldest live data on. */
static void choose_heats(const struct map *map, struct map_sum *sum)
{
	uint64_t i, oldest = 0;
	int heat;

	for (i = 0; i < map->count; i++)
		if (map->seg[i].live_bytes)
			oldest = ka_max(oldest, age_of(map, &map->seg[i]));
	for (heat = MAP_HEATS - 2; heat >= 0; heat--) {
		oldest >>= HEAT_SHIFT;
		sum->heat_max[heat] = oldest;
	}
}

/*
 * Writes take the lowest free segment, so that what they leave in the end are
 * the highest ones.
 */
static uint64_t find_reserve(const struct map *map)
{
	uint64_t i = map->count, from = i, left = map->reserved_bytes;

	while (left && i-- > 0) {
		if (map->seg[i].state != KA_SEG_FREE)
			continue;
		left -= ka_min(left, map->segment_bytes);
		from = i;
	}
	return from;
}

/* Of a segment that is written to, or full. Room behind what is full is lost as well. */
static void add_used(const struct map *map, const struct map_sum *sum, const struct ka_seginfo *seg,
		     struct map_mix *mix)
{
	uint64_t bytes = map->segment_bytes, used = bytes, live;

	if (seg->state == KA_SEG_OPEN)
		used = ka_min(seg->used_bytes, bytes);
	live = ka_min(seg->live_bytes, used);
	mix->bytes[heat_of(map, sum, seg)] += live;
	mix->bytes[MAP_DEAD] += used - live;
	mix->bytes[MAP_FREE] += bytes - used;
}

static void add_segment(const struct map *map, const struct map_sum *sum, uint64_t index,
			struct map_mix *mix)
{
	const struct ka_seginfo *seg = &map->seg[index];
	enum map_class c = MAP_LENT;

	mix->damaged |= seg->flags & (KA_SEGINFO_BAD | MAP_DAMAGED);
	mix->boundary |= index == sum->boundary;
	switch ((enum ka_seg_state)seg->state) {
	case KA_SEG_OPEN:
	case KA_SEG_FULL:
		add_used(map, sum, seg, mix);
		return;
	case KA_SEG_FREE:
		c = index < sum->reserved_from ? MAP_FREE : MAP_RESERVED;
		break;
	case KA_SEG_SUPER:
		c = MAP_SUPER;
		break;
	case KA_SEG_CKPT:
		c = MAP_CKPT;
		break;
	case KA_SEG_ABSENT:
		break;
	case KA_SEG_BAD:
		c = MAP_UNUSABLE;
		break;
	}
	mix->bytes[c] += map->segment_bytes;
}

void map_sum(const struct map *map, struct map_sum *ret)
{
	uint64_t i;

	*ret = (struct map_sum){
		.reserved_from = find_reserve(map),
		.boundary = ka_min(map->owned_bytes / map->segment_bytes, map->count),
	};
	choose_heats(map, ret);
	for (i = 0; i < map->count; i++) {
		add_segment(map, ret, i, &ret->all);
		ret->damaged += map->seg[i].flags & (KA_SEGINFO_BAD | MAP_DAMAGED) ? 1 : 0;
	}
}

struct map_grid map_grid(const struct map *map, uint64_t enough, uint64_t most)
{
	struct map_grid grid = {.per_cell = 1, .split = 1};

	most = ka_max(most, 1);
	if (map->count > most)
		grid.per_cell = (map->count + most - 1) / most;
	else if (map->count)
		grid.split = ka_max(1, ka_min(enough, most) / map->count);
	grid.cells = (map->count + grid.per_cell - 1) / grid.per_cell * grid.split;
	return grid;
}

/* The part [from, to) of what is in mix, in the order of the classes. */
static void cut(struct map_mix *mix, uint64_t from, uint64_t to)
{
	uint64_t at = 0, bytes, start, end;
	int c;

	for (c = 0; c < MAP_CLASSES; c++) {
		bytes = mix->bytes[c];
		start = ka_max(at, from);
		end = ka_min(at + bytes, to);
		mix->bytes[c] = start < end ? end - start : 0;
		at += bytes;
	}
}

void map_cell(const struct map *map, const struct map_sum *sum, const struct map_grid *grid,
	      uint64_t cell, struct map_mix *ret)
{
	uint64_t first = cell / grid->split * grid->per_cell, part = cell % grid->split, i;
	uint64_t bytes = map->segment_bytes;

	*ret = (struct map_mix){0};
	for (i = first; i < ka_min(first + grid->per_cell, map->count); i++)
		add_segment(map, sum, i, ret);
	if (grid->split == 1)
		return;
	cut(ret, bytes * part / grid->split, bytes * (part + 1) / grid->split);
	ret->boundary = ret->boundary && !part;
}

/* The one that most bytes are of, among those from first up to last. */
static enum map_class largest(const struct map_mix *mix, enum map_class first, enum map_class last)
{
	enum map_class best = first;
	int c;

	for (c = first; c <= (int)last; c++)
		if (mix->bytes[c] > mix->bytes[best])
			best = (enum map_class)c;
	return best;
}

struct map_look map_look(const struct map_mix *mix)
{
	uint64_t live = map_mix_live(mix), total = map_mix_total(mix);
	struct map_look look = {
		.fill = largest(mix, MAP_DEAD, MAP_LENT),
		.boundary = mix->boundary,
	};

	if (mix->damaged)
		look.kind = MAP_BROKEN;
	else if (mix->bytes[MAP_SUPER])
		look.fill = MAP_SUPER;
	else if (mix->bytes[MAP_CKPT] && mix->bytes[MAP_CKPT] >= live)
		look.fill = MAP_CKPT;
	else if (live) {
		look.kind = MAP_BAR;
		look.heat = largest(mix, MAP_LIVE, MAP_LIVE + MAP_HEATS - 1);
		/* To the nearest, but something is never nothing, nor all but all. */
		look.eighths = (unsigned)((16 * live + total) / (2 * total));
		look.eighths = (unsigned)ka_max(1, look.eighths);
		if (live < total)
			look.eighths = (unsigned)ka_min(7, look.eighths);
	}
	return look;
}

const char *map_class_name(enum map_class c)
{
	static const char *const names[MAP_CLASSES] = {
		[MAP_DEAD] = "dead",	    [MAP_FREE] = "free",       [MAP_RESERVED] = "reserved",
		[MAP_LENT] = "lent",	    [MAP_CKPT] = "checkpoint", [MAP_SUPER] = "superblock",
		[MAP_UNUSABLE] = "damaged",
	};

	return names[c] ?: "live";
}

const char *map_class_text(enum map_class c)
{
	static const char *const texts[MAP_CLASSES] = {
		[MAP_DEAD] = "deleted or replaced, heads of records",
		[MAP_FREE] = "nothing in it",
		[MAP_RESERVED] = "free, for deleting and for checkpoints",
		[MAP_LENT] = "the system has it",
		[MAP_CKPT] = "the index, saved",
		[MAP_SUPER] = "where everything begins",
		[MAP_UNUSABLE] = "out of use",
	};

	return texts[c] ?: "what files hold";
}

char *map_heat_text(char buf[64], const struct map_sum *sum, unsigned heat)
{
	if (heat == MAP_HEATS - 1)
		snprintf(buf, 64, "longer ago");
	else
		snprintf(buf, 64, "written up to %" PRIu64 " records ago", sum->heat_max[heat]);
	return buf;
}

char *map_scale_text(char buf[128], const struct map *map, const struct map_grid *grid)
{
	char capacity[16], segment[16];
	int n;

	n = snprintf(buf, 128, "%s, %" PRIu64 " segments of %s; ",
		     ka_format_size(capacity, map->capacity_bytes), map->count,
		     ka_format_size(segment, map->segment_bytes));
	if (grid->per_cell > 1)
		snprintf(buf + n, 128 - (size_t)n, "each cell is %" PRIu64 " segments",
			 grid->per_cell);
	else if (grid->split > 1)
		snprintf(buf + n, 128 - (size_t)n, "each segment is %" PRIu64 " cells",
			 grid->split);
	else
		snprintf(buf + n, 128 - (size_t)n, "each cell is a segment");
	return buf;
}

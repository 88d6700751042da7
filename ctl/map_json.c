/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map_json.c - the facts behind the picture; see map.h. */
#include <string.h>

#include "config.h"
#include "emit.h"
#include "keepalive/util.h"
#include "map.h"

static struct json_object *child(struct json_object *parent, const char *key)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(parent, key, obj);
	return obj;
}

static void add_region(struct json_object *root, const struct map *map)
{
	struct emit e = {.obj = child(root, "region")};

	emit_bytes(&e, "path", map->region, strlen(map->region));
	emit_u64(&e, "capacity_bytes", map->capacity_bytes);
	emit_u64(&e, "owned_bytes", map->owned_bytes);
	emit_u64(&e, "lent_bytes", map->capacity_bytes - map->owned_bytes);
	emit_u64(&e, "segment_bytes", map->segment_bytes);
	emit_u64(&e, "segments", map->count);
}

static void add_sums(struct json_object *root, const struct map *map, const struct map_sum *sum)
{
	struct emit e = {.obj = child(root, "bytes")};
	int c;

	emit_u64(&e, map_class_name(MAP_LIVE), map_mix_live(&sum->all));
	for (c = MAP_DEAD; c < MAP_CLASSES; c++)
		emit_u64(&e, map_class_name((enum map_class)c), sum->all.bytes[c]);
	e.obj = root;
	emit_u64(&e, "damaged_segments", sum->damaged);
	emit_bool(&e, "damage_known", map->damage_known);
}

static void add_heats(struct json_object *root, const struct map_sum *sum)
{
	struct json_object *list = json_object_new_array();
	unsigned heat;

	for (heat = 0; heat < MAP_HEATS; heat++) {
		struct emit e = {.obj = json_object_new_object()};

		if (heat < MAP_HEATS - 1)
			emit_u64(&e, "max_age", sum->heat_max[heat]);
		else
			emit_text(&e, "max_age", NULL);
		emit_u64(&e, "bytes", sum->all.bytes[MAP_LIVE + heat]);
		json_object_array_add(list, e.obj);
	}
	json_object_object_add(root, "heat", list);
}

static const char *state_name(const struct ka_seginfo *seg)
{
	static const char *const names[] = {
		[KA_SEG_FREE] = "free",	  [KA_SEG_SUPER] = "superblock", [KA_SEG_OPEN] = "open",
		[KA_SEG_FULL] = "full",	  [KA_SEG_CKPT] = "checkpoint",	 [KA_SEG_ABSENT] = "lent",
		[KA_SEG_BAD] = "damaged",
	};

	return seg->state < KA_ARRAY_SIZE(names) ? names[seg->state] : NULL;
}

static struct json_object *run_of(const struct map *map, uint64_t first, uint64_t count)
{
	const struct ka_seginfo *seg = &map->seg[first];
	struct emit e = {.obj = json_object_new_object()};

	emit_u64(&e, "first", first);
	emit_u64(&e, "count", count);
	emit_text(&e, "state", state_name(seg));
	emit_u64(&e, "live_bytes", seg->live_bytes);
	emit_u64(&e, "used_bytes", seg->used_bytes);
	emit_u64(&e, "last_seq", seg->last_seq);
	emit_bool(&e, "damaged", seg->flags & (KA_SEGINFO_BAD | MAP_DAMAGED));
	return e.obj;
}

/* Neighbours of which the same can be said are one element. */
static void add_segments(struct json_object *root, const struct map *map)
{
	struct json_object *list = json_object_new_array();
	uint64_t first = 0, i;

	for (i = 1; i <= map->count; i++) {
		if (i < map->count && !memcmp(&map->seg[i], &map->seg[first], sizeof(*map->seg)))
			continue;
		json_object_array_add(list, run_of(map, first, i - first));
		first = i;
	}
	json_object_object_add(root, "segments", list);
}

struct json_object *map_to_json(const struct map *map)
{
	struct json_object *root = json_object_new_object();
	struct emit e = {.obj = root};
	struct map_sum sum;

	map_sum(map, &sum);
	emit_text(&e, "version", KEEPALIVE_VERSION);
	add_region(root, map);
	emit_u64(&e, "seq", map->seq);
	add_sums(root, map, &sum);
	add_heats(root, &sum);
	add_segments(root, map);
	return root;
}

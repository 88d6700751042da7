/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_fetch.c - the facts for a map, from the daemon of a mounted filesystem, or
 * from a region that nobody uses, recovered in memory; see map.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/ioctl.h"
#include "keepalive/util.h"
#include "map.h"
#include "mounts.h"
#include "salvage.h"

static int set_super(struct map *map, const struct ka_super *sb)
{
	map->capacity_bytes = sb->capacity_bytes;
	map->owned_bytes = sb->owned_bytes;
	map->segment_bytes = sb->segment_bytes;
	map->count = sb->segments;
	map->seg = calloc(map->count, sizeof(*map->seg));
	return map->seg ? 0 : -ENOMEM;
}

/* ---- of a daemon ------------------------------------------------------------- */

/* Whatever a daemon says has to fit. */
static int ask_page(int fd, struct map *map, uint64_t first, uint64_t *ret_count)
{
	struct ka_ioc_segments page = {.first = first};
	uint32_t i;

	if (ioctl(fd, KA_IOC_GET_SEGMENTS, &page))
		return errno == ENOTTY ? -EPROTO : -errno;
	if (!page.count || page.count > KA_ARRAY_SIZE(page.segment) ||
	    page.count > map->count - first)
		return -EPROTO;
	for (i = 0; i < page.count; i++)
		if (page.segment[i].state > KA_SEG_BAD)
			return -EPROTO;
	memcpy(&map->seg[first], page.segment, page.count * sizeof(*map->seg));
	map->seq = page.seq;
	*ret_count = page.count;
	return 0;
}

static void mark_damage(struct map *map, uint64_t addr, uint64_t len)
{
	uint64_t i;

	if (!len || !ka_range_ok(addr, len, map->count * map->segment_bytes))
		return;
	for (i = addr / map->segment_bytes; i <= (addr + len - 1) / map->segment_bytes; i++)
		map->seg[i].flags |= MAP_DAMAGED;
}

/* Only root and who runs the daemon get to know. */
static int ask_damage(int fd, struct map *map)
{
	struct ka_damage_place place = {0};

	while (!ioctl(fd, KA_IOC_DAMAGE_PLACE, &place))
		mark_damage(map, place.addr, place.len);
	map->damage_known = errno == ENOENT;
	return errno == ENOENT || errno == EPERM ? 0 : -errno;
}

static int ask_all(const char *dir, struct map *map)
{
	KA_AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t at = 0, count = 0;
	int err = fd < 0 ? -errno : 0;

	for (; !err && at < map->count; at += count)
		err = ask_page(fd, map, at, &count);
	return err ?: ask_damage(fd, map);
}

static int fetch_mount(const struct ctl_args *args, const char *dir, struct map *map)
{
	struct mount_status *m = malloc(sizeof(*m));
	int err = m ? mount_ask(dir, m) : -ENOMEM;

	if (!err) {
		map->region = strdup(m->ioc.region_path);
		map->reserved_bytes = m->ioc.free_bytes - m->ioc.avail_bytes;
		err = map->region ? set_super(map, &m->super) : -ENOMEM;
	}
	err = err ?: ask_all(dir, map);
	if (err)
		mount_explain(args->sink, dir, err);
	free(m);
	return err;
}

/* ---- of a region --------------------------------------------------------------- */

static int read_all(struct salvage *s, struct map *map)
{
	struct ka_fs_status status;
	int err;

	ka_fs_get_status(s->fs, &status);
	map->reserved_bytes = status.free_bytes - status.avail_bytes;
	map->region = ka_dax_name(s->rg);
	err = map->region ? set_super(map, &status.super) : -ENOMEM;
	if (!err)
		(void)ka_seginfo_get(s->fs, 0, map->count, map->seg, &map->seq);
	return err;
}

static int fetch_region(const struct ctl_args *args, struct map *map)
{
	struct ctl_args plain = *args;
	struct salvage s;
	int err;

	plain.json = false; /* what is wrong goes to stderr */
	err = salvage_open(&s, &plain, args->target);
	if (err)
		goto out; /* it is explained */
	err = read_all(&s, map);
	if (err)
		ka_msg(args->sink, KA_MSG_ERROR, "cannot read '%s': %s", args->target,
		       ka_strerror(err));
out:
	salvage_close(&s);
	return err;
}

/* Where the region is mounted, if it is; to be freed, or NULL. */
static char *mounted_at(const char *region)
{
	KA_AUTO_FREE char *name = NULL;
	struct mount_status *m;
	struct ka_region *rg;
	char *point = NULL;
	bool served;

	if (ka_dax_open(NULL, region, 0, NULL, NULL, &rg))
		return NULL;
	if (ka_region_has_others(rg, &served) && served)
		name = ka_dax_name(rg);
	ka_region_close(rg);
	m = malloc(sizeof(*m));
	if (name && m)
		point = mount_find_region(name, m);
	free(m);
	return point;
}

int map_fetch(const struct ctl_args *args, struct map *ret)
{
	KA_AUTO_FREE char *point = NULL;
	struct stat st;
	bool is_name = ka_dax_is_name(args->target);
	int err = !is_name && stat(args->target, &st) ? -errno : 0;

	*ret = (struct map){.target = strdup(args->target)};
	if (!ret->target) {
		ka_msg(args->sink, KA_MSG_ERROR, "%s", ka_strerror(-ENOMEM));
		return -ENOMEM;
	}
	if (mount_is_dead(err)) {
		mount_explain(args->sink, args->target, err);
		return err;
	}
	if (!err && !is_name && S_ISDIR(st.st_mode))
		return fetch_mount(args, args->target, ret);
	if (!err)
		point = mounted_at(args->target);
	return point ? fetch_mount(args, point, ret) : fetch_region(args, ret);
}

void map_release(struct map *map)
{
	free(map->target);
	free(map->region);
	free(map->seg);
	*map = (struct map){0};
}

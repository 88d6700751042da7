/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dax.c - opens regions by name; see keepalive/dax.h.
 *
 * To look at a whole region is to have all its memory in devices for a while: what no device
 * has gets one, what has no driver is bound to device_dax, and both are undone at the end.
 * Where system memory begins, what can be seen ends.
 */
#include "keepalive/dax.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "keepalive/err.h"
#include "keepalive/hotplug.h"
#include "keepalive/super.h"
#include "keepalive/util.h"

enum form {
	FORM_PATH,
	FORM_ID,
	FORM_ADDRESS,
	FORM_UUID,
	FORM_LABEL,
};

struct name {
	enum form form;
	const char *text; /* behind the "UUID=" */
	uint64_t number;
};

/* What was done to look, to be undone in reverse. */
struct undo {
	char name[KA_DAX_NAME_MAX];
	bool made; /* else bound */
};

/* A whole region, from being found until it is closed. */
struct dax {
	struct ka_machine *m;
	const struct ka_msg_sink *sink; /* while it is opened */
	int id;
	uint64_t start;
	bool own_machine;
	char *name; /* "dax@0x180000000" */
	struct ka_region_part *part;
	char (*path)[KA_DAX_PATH_MAX];
	size_t parts;
	struct undo *undo;
	size_t undos;
};

/* ---- names ------------------------------------------------------------------------- */

static bool parse_number(const char *text, int base, uint64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, base);
	return !errno && !*end;
}

static struct name parse_name(const char *text)
{
	struct name n = {.text = text};

	if (!strncmp(text, "UUID=", 5))
		n = (struct name){.form = FORM_UUID, .text = text + 5};
	else if (!strncmp(text, "LABEL=", 6))
		n = (struct name){.form = FORM_LABEL, .text = text + 6};
	else if (!strncmp(text, "dax@", 4) && parse_number(text + 4, 0, &n.number))
		n.form = FORM_ADDRESS;
	else if (!strncmp(text, "region", 6) && parse_number(text + 6, 10, &n.number) &&
		 n.number <= INT32_MAX)
		n.form = FORM_ID;
	return n;
}

bool ka_dax_is_name(const char *name)
{
	return parse_name(name).form != FORM_PATH;
}

static bool is_meant(const struct name *n, const struct ka_super *sb)
{
	char uuid[UUID_STR_LEN];

	if (n->form == FORM_LABEL)
		return !strcmp(n->text, sb->label);
	uuid_unparse_lower(sb->uuid, uuid);
	return !strcasecmp(n->text, uuid);
}

/* ---- all of it in devices ------------------------------------------------------------ */

static int note_undo(struct dax *dax, const char *name, bool made)
{
	struct undo *list = realloc(dax->undo, (dax->undos + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	dax->undo = list;
	list[dax->undos] = (struct undo){.made = made};
	memcpy(list[dax->undos++].name, name, strnlen(name, KA_DAX_NAME_MAX - 1));
	return 0;
}

static void undo_all(struct dax *dax)
{
	const struct undo *u;

	while (dax->undos) {
		u = &dax->undo[--dax->undos];
		if (dax->m->ops->bind(dax->m, u->name, KA_DAX_UNBOUND))
			continue;
		if (u->made)
			(void)dax->m->ops->destroy(dax->m, u->name);
	}
}

static int bind_for_now(struct dax *dax, const char *name, bool made)
{
	int err = note_undo(dax, name, made);

	err = err ?: dax->m->ops->bind(dax->m, name, KA_DAX_DEVDAX);
	if (err)
		ka_msg(dax->sink, KA_MSG_ERROR,
		       "cannot bind '%s' to device_dax: %s; the kernel's log may say more", name,
		       ka_strerror(err));
	return err;
}

static int make_for_now(struct dax *dax, uint64_t start, uint64_t bytes, char name[KA_DAX_NAME_MAX])
{
	int err = dax->m->ops->create(dax->m, dax->id, start, bytes, name);

	if (err) {
		ka_msg(dax->sink, KA_MSG_ERROR,
		       "cannot make a device in region%d to look at it: %s", dax->id,
		       ka_strerror(err));
		return err;
	}
	return bind_for_now(dax, name, true);
}

/* name NULL: the system has it. */
static int add_part(struct dax *dax, uint64_t start, uint64_t bytes, const char *name)
{
	size_t n = dax->parts;
	struct ka_region_part *part = realloc(dax->part, (n + 1) * sizeof(*part));
	char(*path)[KA_DAX_PATH_MAX] = realloc(dax->path, (n + 1) * sizeof(*path));
	size_t i;

	dax->part = part ?: dax->part;
	dax->path = path ?: dax->path;
	if (!part || !path)
		return -ENOMEM;
	part[n] = (struct ka_region_part){.off = start - dax->start, .bytes = bytes};
	path[n][0] = 0;
	if (name)
		dax->m->ops->path(dax->m, name, path[n]);
	dax->parts++;
	for (i = 0; i < dax->parts; i++) /* they may have moved */
		part[i].path = path[i][0] ? path[i] : NULL;
	return 0;
}

static void forget_parts(struct dax *dax)
{
	free(dax->part);
	free(dax->path);
	dax->part = NULL;
	dax->path = NULL;
	dax->parts = 0;
}

/* Up to where the next device with memory begins, or to the end. */
static int add_gap(struct dax *dax, uint64_t from, uint64_t to)
{
	char name[KA_DAX_NAME_MAX];
	int err;

	if (from == to)
		return 0;
	err = make_for_now(dax, from, to - from, name);
	return err ?: add_part(dax, from, to - from, name);
}

static bool can_be_seen(const struct ka_dax_dev *dev, uint64_t at)
{
	return dev->ranges == 1 && dev->start >= at &&
	       (dev->driver == KA_DAX_DEVDAX || dev->driver == KA_DAX_UNBOUND);
}

/* The parts as they are, and what has to be done for them for a while. */
static int find_parts(struct dax *dax, const struct ka_dax_region *region)
{
	uint64_t at = region->start, end = at + region->bytes;
	bool seen = true;
	size_t i;
	int err = 0;

	for (i = 0; !err && seen && i < region->devs; i++) {
		const struct ka_dax_dev *dev = &region->dev[i];

		if (!dev->bytes)
			continue;
		seen = can_be_seen(dev, at);
		if (!seen)
			break;
		err = add_gap(dax, at, dev->start);
		if (!err && dev->driver == KA_DAX_UNBOUND)
			err = bind_for_now(dax, dev->name, false);
		err = err ?: add_part(dax, dev->start, dev->bytes, dev->name);
		at = dev->start + dev->bytes;
	}
	if (!err && at < end)
		err = seen ? add_gap(dax, at, end) : add_part(dax, at, end - at, NULL);
	if (!err && !dax->part[0].path) {
		ka_msg(dax->sink, KA_MSG_ERROR,
		       "region%d is in use as system memory; see 'keepalivectl doctor'", dax->id);
		err = -KA_ERR_DAX_SYSTEM_RAM;
	}
	return err;
}

static struct ka_region_layout layout_of(const struct dax *dax)
{
	return (struct ka_region_layout){
		.name = dax->name,
		.phys_addr = dax->start,
		.part = dax->part,
		.parts = dax->parts,
	};
}

static int peek(struct dax *dax, const struct ka_msg_sink *sink, struct ka_super *ret_sb)
{
	struct ka_region_layout layout = layout_of(dax);
	struct ka_region *rg;
	int err = ka_region_open_parts(&layout, 0, sink, &rg);

	if (err)
		return err;
	err = ka_super_read(rg, sink, NULL, ret_sb);
	ka_region_close(rg);
	return err == -KA_ERR_SUPER_RO_FEATURE ? 0 : err;
}

/* ---- cut for good ------------------------------------------------------------------------ */

/* Those that are ours can be mapped, those that are lent are with the system, as a whole. */
static int settle_slice(struct dax *dax, const struct ka_carving *want, uint32_t i, bool ours,
			const struct ka_dax_region *region)
{
	struct ka_dax_dev *dev = ka_carve_device(region, want, i);
	char reason[KA_REASON_MAX] = "";
	int err = dev ? 0 : -ENODEV;

	if (!err && ours && dev->driver == KA_DAX_KMEM) {
		ka_msg(dax->sink, KA_MSG_ERROR,
		       "slice %" PRIu32 " of region%d is in use as system memory, but was never "
		       "lent; see 'keepalivectl doctor'",
		       i, dax->id);
		return -KA_ERR_DAX_SYSTEM_RAM;
	}
	if (!err && dev->driver == KA_DAX_KMEM) {
		if (ka_hotplug_lend(dax->m, dev, reason))
			ka_msg(dax->sink, KA_MSG_WARNING, "slice %" PRIu32 " is lent in part: %s",
			       i, reason);
		return add_part(dax, dev->start, dev->bytes, NULL);
	}
	if (!err && dev->driver != KA_DAX_DEVDAX)
		err = dax->m->ops->bind(dax->m, dev->name, KA_DAX_DEVDAX);
	if (err)
		ka_msg(dax->sink, KA_MSG_ERROR, "cannot use slice %" PRIu32 " of region%d: %s", i,
		       dax->id, ka_strerror(err));
	return err ?: add_part(dax, dev->start, dev->bytes, dev->name);
}

static int settle_slices(struct dax *dax, const struct ka_super *sb, const struct ka_carving *want)
{
	struct ka_dax_region *regions, *region;
	size_t count;
	uint32_t i;
	int err = dax->m->ops->regions(dax->m, &regions, &count);

	if (err)
		return err;
	region = ka_dax_region_find(regions, count, dax->id);
	if (!region)
		err = -ENODEV;
	for (i = 0; !err && i < sb->slices; i++)
		err = settle_slice(dax, want, i, want->off[i] < sb->owned_bytes, region);
	ka_dax_regions_free(regions, count);
	return err;
}

/* A device that somebody has mounted is not taken apart. */
static int check_unused(struct dax *dax, const struct ka_dax_region *region,
			const struct ka_carving *want)
{
	bool used;

	if (ka_carve_look(region, want) != KA_CARVED_WHOLE ||
	    ka_region_in_use(dax->part[0].path, &used) || !used)
		return 0;
	ka_msg(dax->sink, KA_MSG_ERROR, "'%s' is in use by another program; unmount it first",
	       dax->part[0].path);
	return -KA_ERR_REGION_BUSY;
}

static int carve(struct dax *dax, const struct ka_dax_region *region)
{
	struct ka_carving want;
	struct ka_super sb;
	int err = peek(dax, dax->sink, &sb);

	if (err)
		return err;
	ka_carving_of(&sb, dax->start, &want);
	err = check_unused(dax, region, &want);
	if (err)
		return err;
	undo_all(dax);
	forget_parts(dax);
	err = ka_carve(dax->m, dax->id, &want, dax->sink);
	return err ?: settle_slices(dax, &sb, &want);
}

/* ---- opening -------------------------------------------------------------------------------- */

static void release(void *arg)
{
	struct dax *dax = arg;

	undo_all(dax);
	forget_parts(dax);
	free(dax->undo);
	free(dax->name);
	if (dax->own_machine)
		ka_machine_close(dax->m);
	free(dax);
}

static struct dax *new_dax(struct ka_machine *m, const struct ka_dax_region *region,
			   const struct ka_msg_sink *sink)
{
	struct dax *dax = calloc(1, sizeof(*dax));

	if (!dax)
		return NULL;
	*dax = (struct dax){.m = m, .sink = sink, .id = region->id, .start = region->start};
	if (asprintf(&dax->name, "dax@0x%" PRIx64, region->start) >= 0)
		return dax;
	free(dax);
	return NULL;
}

/* own_machine: the region closes the machine, unless this fails. */
static int open_whole(struct ka_machine *m, bool own_machine, unsigned flags,
		      const struct ka_dax_region *region, const struct ka_region_ram *ram,
		      const struct ka_msg_sink *sink, struct ka_region **ret_rg)
{
	struct dax *dax = new_dax(m, region, sink);
	struct ka_region_layout layout;
	int err = dax ? find_parts(dax, region) : -ENOMEM;

	if (!err && flags & KA_DAX_CARVE)
		err = carve(dax, region);
	if (err) {
		if (dax)
			release(dax);
		return err;
	}
	layout = layout_of(dax);
	layout.ram = ram;
	layout.closed = release;
	layout.ctx = dax;
	err = ka_region_open_parts(&layout, flags & ~KA_DAX_CARVE, sink, ret_rg);
	if (!err)
		dax->own_machine = own_machine;
	return err;
}

/* A region that cannot be cut is the one device that it has. */
static int open_region(struct ka_machine *m, bool own_machine, unsigned flags,
		       const struct ka_dax_region *region, const struct ka_region_ram *ram,
		       const struct ka_msg_sink *sink, struct ka_region **ret_rg)
{
	char path[KA_DAX_PATH_MAX];
	int err;

	if (region->dynamic)
		return open_whole(m, own_machine, flags, region, ram, sink, ret_rg);
	if (!region->devs)
		return -ENODEV;
	m->ops->path(m, region->dev[0].name, path);
	err = ka_region_open(path, flags & ~KA_DAX_CARVE, sink, ret_rg);
	if (!err && own_machine)
		ka_machine_close(m);
	return err;
}

/* Whether the filesystem in this region is the one that is meant; as if nobody had looked. */
static bool holds(struct ka_machine *m, const struct ka_dax_region *region, const struct name *n)
{
	struct ka_region *rg;
	struct ka_super sb;
	int err = open_region(m, false, 0, region, NULL, NULL, &rg);

	if (err)
		return false;
	err = ka_super_read(rg, NULL, NULL, &sb);
	ka_region_close(rg);
	return (!err || err == -KA_ERR_SUPER_RO_FEATURE) && is_meant(n, &sb);
}

static const struct ka_dax_region *resolve(struct ka_machine *m, const char *name,
					   struct ka_dax_region *regions, size_t count)
{
	struct name n = parse_name(name);
	size_t i;

	if (n.form == FORM_ID)
		return ka_dax_region_find(regions, count, (int)n.number);
	if (n.form == FORM_ADDRESS)
		return ka_dax_region_at(regions, count, n.number);
	for (i = 0; i < count; i++)
		if (holds(m, &regions[i], &n))
			return &regions[i];
	return NULL;
}

/* The lock lasts until the region itself is locked, where it is. */
static int open_by_name(struct ka_machine *m, bool own_machine, const char *name, unsigned flags,
			const struct ka_region_ram *ram, const struct ka_msg_sink *sink,
			struct ka_region **ret_rg)
{
	KA_AUTO_CLOSE int lock_fd = m->ops->lock(m);
	const struct ka_dax_region *region;
	struct ka_dax_region *regions;
	size_t count;
	int err = lock_fd < 0 ? lock_fd : m->ops->regions(m, &regions, &count);

	if (err) {
		ka_msg(sink, KA_MSG_ERROR, "cannot list DAX regions: %s", ka_strerror(err));
		return err;
	}
	region = resolve(m, name, regions, count);
	if (!region)
		ka_msg(sink, KA_MSG_ERROR,
		       "no DAX region is, or holds, '%s'; 'daxctl list -R' shows what there is",
		       name);
	err = region ? open_region(m, own_machine, flags, region, ram, sink, ret_rg) : -ENODEV;
	ka_dax_regions_free(regions, count);
	return err;
}

int ka_dax_open(struct ka_machine *m, const char *name, unsigned flags,
		const struct ka_region_ram *ram, const struct ka_msg_sink *sink,
		struct ka_region **ret_rg)
{
	bool own_machine = !m;
	int err = 0;

	if (!ka_dax_is_name(name))
		return ka_region_open(name, flags & ~KA_DAX_CARVE, sink, ret_rg);
	if (!m)
		err = ka_machine_open(&m);
	if (err)
		return err;
	err = open_by_name(m, own_machine, name, flags, ram, sink, ret_rg);
	if (err && own_machine)
		ka_machine_close(m);
	return err;
}

char *ka_dax_name(const struct ka_region *rg)
{
	const char *path = ka_region_info(rg)->path;

	return (ka_dax_is_name(path) ? NULL : realpath(path, NULL)) ?: strdup(path);
}

static char *first_path(struct ka_machine *m, const struct ka_dax_region *region)
{
	char path[KA_DAX_PATH_MAX];
	size_t i;

	for (i = 0; i < region->devs; i++) {
		if (!region->dev[i].bytes || region->dev[i].start != region->start)
			continue;
		m->ops->path(m, region->dev[i].name, path);
		return strdup(path);
	}
	return NULL;
}

char *ka_dax_lock_path(struct ka_machine *m, const char *name)
{
	const struct ka_dax_region *region = NULL;
	struct ka_machine *own = NULL;
	struct ka_dax_region *regions;
	char *path = NULL;
	size_t count;

	if (!ka_dax_is_name(name))
		return strdup(name);
	if (!m && ka_machine_open(&own))
		return NULL;
	m = m ?: own;
	if (!m->ops->regions(m, &regions, &count)) {
		region = resolve(m, name, regions, count);
		path = region ? first_path(m, region) : NULL;
		ka_dax_regions_free(regions, count);
	}
	ka_machine_close(own);
	return path;
}

static bool parse_device(const char *name, int *ret_region)
{
	KA_AUTO_FREE char *path = realpath(name, NULL);
	int dev, end = 0;

	return path && sscanf(path, "/dev/dax%d.%d%n", ret_region, &dev, &end) == 2 && !path[end];
}

int ka_dax_find(struct ka_machine *m, const char *name, int *ret_id)
{
	struct name n = parse_name(name);
	bool looks_inside = n.form == FORM_UUID || n.form == FORM_LABEL;
	KA_AUTO_CLOSE int lock_fd = looks_inside ? m->ops->lock(m) : -1;
	const struct ka_dax_region *region;
	struct ka_dax_region *regions;
	size_t count;
	int err;

	if (n.form == FORM_PATH) {
		if (access(name, F_OK))
			return -errno;
		return parse_device(name, ret_id) ? 0 : -ENOTBLK;
	}
	if (looks_inside && lock_fd < 0)
		return lock_fd;
	err = m->ops->regions(m, &regions, &count);
	if (err)
		return err;
	region = resolve(m, name, regions, count);
	if (region)
		*ret_id = region->id;
	ka_dax_regions_free(regions, count);
	return region ? 0 : -ENODEV;
}

bool ka_dax_choose(struct ka_machine *m, const struct ka_region *rg, struct ka_carve_sizes *ret)
{
	const struct ka_region_info *info = ka_region_info(rg);
	struct ka_machine *own = NULL;

	if (!ka_dax_is_name(info->path) || (!m && ka_machine_open(&own)))
		return false;
	m = m ?: own;
	ka_carve_choose(info->phys_addr, info->capacity_bytes, m->ops->block_bytes(m), ret);
	ka_machine_close(own);
	return true;
}

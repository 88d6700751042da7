/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * carve.c - cuts a region into slices; see keepalive/carve.h.
 *
 * A cut takes no memory contents along: devices are names for ranges. One that is in use is
 * never unbound, as only a device of full size is ever taken apart, and only when its lock is free.
 */
#include "keepalive/carve.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

void ka_carving_of(const struct ka_super *sb, uint64_t start, struct ka_carving *ret)
{
	uint32_t i;

	*ret = (struct ka_carving){.start = start, .slices = sb->slices};
	for (i = 0; i <= sb->slices; i++)
		ret->off[i] = ka_super_slice_off(sb, i);
}

/* ---- sizes ------------------------------------------------------------------------ */

static uint64_t slices_of(uint64_t bytes, uint64_t front, uint64_t slice)
{
	uint64_t first = front + slice;

	return 1 + (bytes > first ? (bytes - first + slice - 1) / slice : 0);
}

void ka_carve_choose(uint64_t start, uint64_t bytes, uint64_t block_bytes,
		     struct ka_carve_sizes *ret)
{
	uint64_t front = block_bytes ? ka_align_up(start, block_bytes) - start : 0, slice;

	if (!block_bytes || front > bytes || bytes - front < 2 * block_bytes) {
		slice = ka_align_up(bytes, KA_SEGMENT_MAX);
		*ret = (struct ka_carve_sizes){.slice_bytes = slice, .first_slice_bytes = slice};
		return;
	}
	slice = block_bytes;
	while (slices_of(bytes, front, slice) > KA_SLICES_MAX)
		slice += block_bytes;
	*ret = (struct ka_carve_sizes){
		.slice_bytes = slice,
		.first_slice_bytes = front + slice,
		.unlendable_bytes = (start + bytes) % block_bytes,
	};
}

/* ---- what there is ------------------------------------------------------------------ */

struct ka_dax_region *ka_dax_region_find(struct ka_dax_region *regions, size_t count, int id)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (regions[i].id == id)
			return &regions[i];
	return NULL;
}

struct ka_dax_region *ka_dax_region_at(struct ka_dax_region *regions, size_t count, uint64_t start)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (regions[i].start == start)
			return &regions[i];
	return NULL;
}

static bool is_slice(const struct ka_dax_dev *dev, const struct ka_carving *want, uint32_t i)
{
	return dev->ranges == 1 && dev->start == want->start + want->off[i] &&
	       dev->bytes == want->off[i + 1] - want->off[i];
}

struct ka_dax_dev *ka_carve_device(const struct ka_dax_region *region,
				   const struct ka_carving *want, uint32_t slice)
{
	size_t i;

	for (i = 0; i < region->devs; i++)
		if (is_slice(&region->dev[i], want, slice))
			return &region->dev[i];
	return NULL;
}

static bool is_any_slice(const struct ka_dax_dev *dev, const struct ka_carving *want)
{
	uint32_t i;

	for (i = 0; i < want->slices; i++)
		if (is_slice(dev, want, i))
			return true;
	return false;
}

static bool is_whole(const struct ka_dax_dev *dev, const struct ka_dax_region *region)
{
	return dev->ranges == 1 && dev->start == region->start && dev->bytes == region->bytes;
}

enum ka_carved ka_carve_look(const struct ka_dax_region *region, const struct ka_carving *want)
{
	size_t i, slices = 0, others = 0;
	bool whole = false;

	for (i = 0; i < region->devs; i++) {
		const struct ka_dax_dev *dev = &region->dev[i];

		if (!dev->bytes)
			continue;
		if (is_any_slice(dev, want))
			slices++;
		else if (is_whole(dev, region))
			whole = true;
		else
			others++;
	}
	if (others)
		return KA_CARVED_OTHERWISE;
	if (whole)
		return KA_CARVED_WHOLE;
	if (!slices)
		return KA_CARVED_NOT;
	return slices == want->slices ? KA_CARVED_AS_WANTED : KA_CARVED_PARTLY;
}

/* ---- cutting ------------------------------------------------------------------------ */

/* Nothing may be said of one that is system memory but that it is. */
static int take_apart(struct ka_machine *m, const struct ka_dax_region *region,
		      const struct ka_msg_sink *sink)
{
	const struct ka_dax_dev *dev = NULL;
	size_t i;
	int err;

	for (i = 0; i < region->devs; i++)
		if (is_whole(&region->dev[i], region))
			dev = &region->dev[i];
	if (dev->driver == KA_DAX_KMEM) {
		ka_msg(sink, KA_MSG_ERROR,
		       "region%d is in use as system memory; see 'keepalivectl doctor'",
		       region->id);
		return -KA_ERR_DAX_SYSTEM_RAM;
	}
	err = m->ops->bind(m, dev->name, KA_DAX_UNBOUND);
	err = err ?: m->ops->destroy(m, dev->name);
	if (err)
		ka_msg(sink, KA_MSG_ERROR, "cannot take '%s' apart: %s", dev->name,
		       ka_strerror(err));
	return err;
}

static int make_slices(struct ka_machine *m, int id, const struct ka_dax_region *region, bool none,
		       const struct ka_carving *want, const struct ka_msg_sink *sink)
{
	char name[KA_DAX_NAME_MAX];
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < want->slices; i++) {
		if (!none && ka_carve_device(region, want, i))
			continue;
		err = m->ops->create(m, id, want->start + want->off[i],
				     want->off[i + 1] - want->off[i], name);
		if (err)
			ka_msg(sink, KA_MSG_ERROR,
			       "cannot make a device of slice %" PRIu32 " of region%d: %s", i, id,
			       ka_strerror(err));
	}
	return err;
}

static int cut(struct ka_machine *m, const struct ka_dax_region *region,
	       const struct ka_carving *want, const struct ka_msg_sink *sink)
{
	enum ka_carved found = ka_carve_look(region, want);
	int err = 0;

	if (found == KA_CARVED_OTHERWISE) {
		ka_msg(sink, KA_MSG_ERROR,
		       "region%d is cut into devices in some other way; 'daxctl list -r %d -D' shows "
		       "them, 'daxctl destroy-device' frees the memory",
		       region->id, region->id);
		return -KA_ERR_DAX_CARVED;
	}
	if (found == KA_CARVED_WHOLE)
		err = take_apart(m, region, sink);
	return err ?: make_slices(m, region->id, region, found == KA_CARVED_WHOLE, want, sink);
}

int ka_carve(struct ka_machine *m, int id, const struct ka_carving *want,
	     const struct ka_msg_sink *sink)
{
	struct ka_dax_region *regions, *region;
	size_t count;
	int err = m->ops->regions(m, &regions, &count);

	if (err)
		return err;
	region = ka_dax_region_find(regions, count, id);
	err = region ? cut(m, region, want, sink) : -ENODEV;
	ka_dax_regions_free(regions, count);
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.c - the store gate's common half: bounds, then the back end.
 *
 * An address outside the region is a bug of the caller, never the fault of
 * media: whoever takes an address from media asks ka_region_at first.
 */
#include "region.h"

#include <assert.h>

#include "keepalive/util.h"

const struct ka_region_info *ka_region_info(const struct ka_region *rg)
{
	return &rg->info;
}

const void *ka_region_at(const struct ka_region *rg, uint64_t off, uint64_t len)
{
	return ka_range_ok(off, len, rg->info.capacity_bytes) ? rg->base + off : NULL;
}

void ka_region_write(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	assert(ka_range_ok(off, len, rg->info.capacity_bytes));
	rg->ops->write(rg, off, src, len);
}

void ka_region_copy(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	assert(ka_range_ok(off, len, rg->info.capacity_bytes));
	rg->ops->copy(rg, off, src, len);
}

void ka_region_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	assert(ka_range_ok(off, len, rg->info.capacity_bytes));
	rg->ops->flush(rg, off, len);
}

void ka_region_fence(struct ka_region *rg)
{
	rg->ops->fence(rg);
}

int ka_region_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	assert(ka_range_ok(off, len, rg->info.capacity_bytes));
	return rg->ops->prepare(rg, off, len);
}

int ka_region_sync(struct ka_region *rg)
{
	return rg->ops->sync(rg);
}

void ka_region_leaving(struct ka_region *rg)
{
	rg->ops->leaving(rg);
}

void ka_region_close(struct ka_region *rg)
{
	if (rg)
		rg->ops->close(rg);
}

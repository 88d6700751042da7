/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.c - the store gate's common half: bounds, then the back end.
 *
 * An address outside the region is a bug of the caller, never the fault of
 * media: whoever takes an address from media asks ka_region_at first.
 */
#include "region.h"

#include <assert.h>
#include <errno.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

const struct ka_region_info *ka_region_info(const struct ka_region *rg)
{
	return &rg->info;
}

const void *ka_region_at(const struct ka_region *rg, uint64_t off, uint64_t len)
{
	return ka_range_ok(off, len, ka_region_limit(rg)) ? rg->base + off : NULL;
}

/*
 * Stores run under a guard. One that meets a memory error is remembered, by
 * thread, until the fence that would have made it durable.
 */
static _Thread_local const struct ka_region *store_failed;

struct store_args {
	struct ka_region *rg;
	void (*fn)(struct ka_region *rg, uint64_t off, const void *src, size_t len);
	uint64_t off;
	const void *src;
	size_t len;
};

static int do_store(void *arg)
{
	const struct store_args *a = arg;

	a->fn(a->rg, a->off, a->src, a->len);
	return 0;
}

static void run_store(struct store_args *a)
{
	assert(ka_range_ok(a->off, a->len, ka_region_limit(a->rg)));
	if (ka_region_guard(a->rg, do_store, a))
		store_failed = a->rg;
}

void ka_region_write(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	run_store(&(struct store_args){rg, rg->ops->write, off, src, len});
}

void ka_region_copy(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	run_store(&(struct store_args){rg, rg->ops->copy, off, src, len});
}

static void flush(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	(void)src;
	rg->ops->flush(rg, off, len);
}

void ka_region_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	run_store(&(struct store_args){rg, flush, off, NULL, len});
}

int ka_region_fence(struct ka_region *rg)
{
	rg->ops->fence(rg);
	if (store_failed != rg)
		return 0;
	store_failed = NULL;
	return -KA_ERR_STORE;
}

int ka_region_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	assert(ka_range_ok(off, len, ka_region_limit(rg)));
	return rg->ops->prepare(rg, off, len);
}

bool ka_region_exists(struct ka_region *rg, uint64_t off, size_t len)
{
	return !rg->ops->exists || rg->ops->exists(rg, off, len);
}

void ka_region_set_limit(struct ka_region *rg, uint64_t bytes)
{
	uint64_t foreign = rg->info.capacity_bytes - bytes;

	assert(bytes <= rg->info.capacity_bytes);
	atomic_store(&rg->foreign_bytes, ka_max(foreign, atomic_load(&rg->absent_bytes)));
}

uint64_t ka_region_limit(const struct ka_region *rg)
{
	return rg->info.capacity_bytes - atomic_load(&rg->foreign_bytes);
}

bool ka_region_can_release(const struct ka_region *rg)
{
	return rg->ops->release && !rg->stays;
}

int ka_region_release(struct ka_region *rg, uint64_t off, uint64_t end)
{
	assert(end >= off && end <= rg->info.capacity_bytes);
	ka_region_set_limit(rg, off);
	if (!ka_region_can_release(rg))
		return -EOPNOTSUPP;
	if (off < end)
		atomic_store(&rg->absent_bytes, rg->info.capacity_bytes - off);
	return rg->ops->release(rg, off, end - off);
}

int ka_region_restore(struct ka_region *rg, uint64_t end)
{
	uint64_t off = ka_region_limit(rg);
	int err;

	assert(end >= off && end <= rg->info.capacity_bytes);
	if (!ka_region_can_release(rg))
		return -EOPNOTSUPP;
	err = rg->ops->restore(rg, off, end - off);
	if (err)
		return err;
	atomic_store(&rg->absent_bytes, rg->info.capacity_bytes - end);
	ka_region_set_limit(rg, end);
	return 0;
}

int ka_region_sync(struct ka_region *rg)
{
	return rg->ops->sync(rg);
}

bool ka_region_has_others(const struct ka_region *rg, bool *ret_served)
{
	*ret_served = false;
	return rg->ops->others && rg->ops->others(rg, ret_served);
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

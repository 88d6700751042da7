/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* region_mem.c - ordinary memory as a region, for tests. */
#include "region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void mem_write(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	memcpy(rg->base + off, src, len);
}

static void mem_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	(void)rg;
	(void)off;
	(void)len;
}

static void mem_nothing(struct ka_region *rg)
{
	(void)rg;
}

static int mem_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	(void)rg;
	(void)off;
	(void)len;
	return 0;
}

/* What somebody else leaves: anything. */
static void mem_spoil(struct ka_region *rg, uint64_t off, uint64_t len)
{
	uint64_t i, v = off ^ len;

	for (i = 0; i < len; i++) {
		v = v * 6364136223846793005ull + 1442695040888963407ull;
		rg->base[off + i] = (uint8_t)(v >> 56);
	}
}

/* And again when it is had back. */
static int mem_release(struct ka_region *rg, uint64_t off, uint64_t len)
{
	mem_spoil(rg, off, len);
	return 0;
}

static int mem_sync(struct ka_region *rg)
{
	(void)rg;
	return 0;
}

static void mem_close(struct ka_region *rg)
{
	free(rg);
}

static const struct ka_region_ops mem_ops = {
	.write = mem_write,
	.copy = mem_write,
	.flush = mem_flush,
	.fence = mem_nothing,
	.prepare = mem_prepare,
	.sync = mem_sync,
	.release = mem_release,
	.restore = mem_release,
	.leaving = mem_nothing,
	.close = mem_close,
};

int ka_region_open_mem(void *mem, uint64_t bytes, struct ka_region **ret_rg)
{
	struct ka_region *rg = calloc(1, sizeof(*rg));

	if (!rg)
		return -ENOMEM;
	rg->ops = &mem_ops;
	rg->base = mem;
	rg->info = (struct ka_region_info){
		.kind = KA_REGION_MEM,
		.path = "memory",
		.capacity_bytes = bytes,
	};
	*ret_rg = rg;
	return 0;
}

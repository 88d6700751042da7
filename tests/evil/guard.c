/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guard.c - a region that watches what is stored; see guard.h. */
#include "guard.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/super.h"
#include "keepalive/util.h"
#include "region.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size)	((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

/* No trial needs a fraction of it: more is a loop. */
#define STORES_MAX 1000000

struct guard {
	struct ka_region rg;
	struct evil_image *img;
	bool readonly;
	uint64_t limit; /* the boundary */
	uint64_t stores;
};

char evil_what[512] = "?";

void evil_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", evil_what);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static void see_message(void *ctx, enum ka_msg_level level, const char *text)
{
	(void)ctx;
	(void)level;
	if (!strncmp(text, "stopped:", 8))
		evil_fail("%s", text);
	if (getenv("KA_EVIL_VERBOSE"))
		fprintf(stderr, "%s\n", text);
}

const struct ka_msg_sink evil_sink = {.fn = see_message};

static struct guard *to_guard(struct ka_region *rg)
{
	return ka_container_of(rg, struct guard, rg);
}

/* A copy, or the checksum of one that is not right. */
static bool is_super(const struct guard *g, uint64_t off, size_t len)
{
	uint64_t csum = offsetof(struct ka_super_disk, csum);

	return (len == KA_SUPER_BYTES && (off == 0 || off == g->img->copy_addr[1])) ||
	       (len == sizeof(struct ka_le64) &&
		(off == csum || off == g->img->copy_addr[1] + csum));
}

static void guard_write(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	struct guard *g = to_guard(rg);

	if (g->readonly)
		evil_fail("store of %zu bytes at 0x%" PRIx64 " while only looking", len, off);
	if (!ka_range_ok(off, len, g->limit))
		evil_fail("store of %zu bytes at 0x%" PRIx64 ", beyond the boundary 0x%" PRIx64,
			  len, off, g->limit);
	if (off < g->img->segment_bytes && !is_super(g, off, len))
		evil_fail("store of %zu bytes at 0x%" PRIx64 " in the first segment", len, off);
	if (++g->stores > STORES_MAX)
		evil_fail("too many stores");
	evil_image_store(g->img, off, src, len);
}

static void guard_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	const struct guard *g = to_guard(rg);

	if (!ka_range_ok(off, len, g->limit))
		evil_fail("flush of %zu bytes at 0x%" PRIx64 ", beyond the boundary", len, off);
}

static void guard_nothing(struct ka_region *rg)
{
	(void)rg;
}

static int guard_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	const struct guard *g = to_guard(rg);

	if (g->readonly || !ka_range_ok(off, len, g->limit))
		evil_fail("%zu bytes at 0x%" PRIx64 " prepared for a store", len, off);
	return 0;
}

static int guard_sync(struct ka_region *rg)
{
	(void)rg;
	return 0;
}

static void guard_close(struct ka_region *rg)
{
	struct guard *g = to_guard(rg);

	ASAN_UNPOISON_MEMORY_REGION(g->img->mem, g->img->bytes);
	free(g);
}

static const struct ka_region_ops guard_ops = {
	.write = guard_write,
	.copy = guard_write,
	.flush = guard_flush,
	.fence = guard_nothing,
	.prepare = guard_prepare,
	.sync = guard_sync,
	.leaving = guard_nothing,
	.close = guard_close,
};

struct ka_region *evil_guard_open(struct evil_image *img, bool readonly)
{
	struct guard *g = calloc(1, sizeof(*g));
	struct ka_super sb;

	if (!g)
		abort();
	g->rg.ops = &guard_ops;
	g->rg.base = img->mem;
	g->rg.info = (struct ka_region_info){
		.kind = KA_REGION_MEM,
		.path = "memory",
		.capacity_bytes = img->bytes,
	};
	g->img = img;
	g->readonly = readonly;
	g->limit = img->bytes;
	if (!ka_super_read(&g->rg, NULL, NULL, &sb))
		g->limit = sb.owned_bytes;
	/* Copy 1 may be looked for at the ends of larger segments than there are. */
	ASAN_POISON_MEMORY_REGION(img->mem + g->limit, img->bytes - g->limit);
	return &g->rg;
}

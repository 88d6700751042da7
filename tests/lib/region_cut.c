/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_cut.c - a region whose power can be cut; see region_cut.h. */
#include "region_cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "region.h"

#define LINE 64u
#define WORD 8u

/* Bits of the state of a line; none: durable. */
#define DIRTY	1u
#define PENDING 2u

struct cut_region {
	struct ka_region rg; /* base: what the core works on */
	uint8_t *flushed;    /* contents of pending lines when they were flushed */
	uint8_t *durable;
	uint8_t *state; /* of each line */
	size_t *open;	/* lines with a state, in the order of their first store */
	size_t open_count;
	uint64_t fences;
	uint64_t limit; /* 0: none */
	cut_fn *watch;
	void *watch_ctx;
};

static struct cut_region *to_cut(const struct ka_region *rg)
{
	return (struct cut_region *)rg;
}

static void mark(struct cut_region *c, size_t line, uint8_t bit)
{
	if (!c->state[line])
		c->open[c->open_count++] = line;
	c->state[line] |= bit;
}

static void cut_write(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	struct cut_region *c = to_cut(rg);
	size_t line;

	memcpy(rg->base + off, src, len);
	for (line = off / LINE; len && line <= (off + len - 1) / LINE; line++)
		mark(c, line, DIRTY);
}

static void cut_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	struct cut_region *c = to_cut(rg);
	size_t line;

	for (line = off / LINE; len && line <= (off + len - 1) / LINE; line++) {
		if (!(c->state[line] & DIRTY))
			continue;
		memcpy(c->flushed + line * LINE, rg->base + line * LINE, LINE);
		c->state[line] = PENDING;
	}
}

/*
 * The ends of a non-temporal copy that do not fill a line are stored and
 * flushed, as libpmem2 does it.
 */
static void cut_copy(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	cut_write(rg, off, src, len);
	cut_flush(rg, off, len);
}

static void cut_fence(struct ka_region *rg)
{
	struct cut_region *c = to_cut(rg);
	size_t i, line, left = 0;

	if (c->watch)
		c->watch(c->watch_ctx, rg, c->fences);
	for (i = 0; i < c->open_count; i++) {
		line = c->open[i];
		if (c->state[line] & PENDING)
			memcpy(c->durable + line * LINE, c->flushed + line * LINE, LINE);
		c->state[line] &= ~PENDING;
		if (c->state[line])
			c->open[left++] = line;
	}
	c->open_count = left;
	c->fences++;
}

static int cut_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	const struct cut_region *c = to_cut(rg);

	return c->limit && off + len > c->limit ? -ENOSPC : 0;
}

static int cut_sync(struct ka_region *rg)
{
	(void)rg;
	return 0;
}

static void cut_leaving(struct ka_region *rg)
{
	(void)rg;
}

static void cut_close(struct ka_region *rg)
{
	struct cut_region *c = to_cut(rg);

	free(rg->base);
	free(c->flushed);
	free(c->durable);
	free(c->state);
	free(c->open);
	free(c);
}

static const struct ka_region_ops cut_ops = {
	.write = cut_write,
	.copy = cut_copy,
	.flush = cut_flush,
	.fence = cut_fence,
	.prepare = cut_prepare,
	.sync = cut_sync,
	.leaving = cut_leaving,
	.close = cut_close,
};

int cut_region_open(uint64_t bytes, struct ka_region **ret_rg)
{
	struct cut_region *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->rg.ops = &cut_ops;
	c->rg.info = (struct ka_region_info){
		.kind = KA_REGION_MEM,
		.path = "cut",
		.capacity_bytes = bytes,
	};
	c->rg.base = calloc(1, bytes);
	c->flushed = malloc(bytes);
	c->durable = calloc(1, bytes);
	c->state = calloc(bytes / LINE, 1);
	c->open = calloc(bytes / LINE, sizeof(*c->open));
	if (!c->rg.base || !c->flushed || !c->durable || !c->state || !c->open) {
		cut_close(&c->rg);
		return -ENOMEM;
	}
	*ret_rg = &c->rg;
	return 0;
}

int cut_region_open_image(const void *image, uint64_t bytes, struct ka_region **ret_rg)
{
	int err = cut_region_open(bytes, ret_rg);

	if (err)
		return err;
	memcpy((*ret_rg)->base, image, bytes);
	memcpy(to_cut(*ret_rg)->durable, image, bytes);
	return 0;
}

void cut_region_watch(struct ka_region *rg, cut_fn *fn, void *ctx)
{
	to_cut(rg)->watch = fn;
	to_cut(rg)->watch_ctx = ctx;
}

void cut_region_limit(struct ka_region *rg, uint64_t bytes)
{
	to_cut(rg)->limit = bytes;
}

uint64_t cut_region_fences(const struct ka_region *rg)
{
	return to_cut(rg)->fences;
}

size_t cut_region_open_lines(const struct ka_region *rg)
{
	return to_cut(rg)->open_count;
}

/* The 8 bytes at off of a line that is both dirty and pending have two candidates. */
static const uint8_t *pick(const struct cut_region *c, size_t line, size_t off,
			   struct test_rng *rng)
{
	const uint8_t *latest = c->rg.base + off;

	if (c->state[line] == (DIRTY | PENDING) && test_chance(rng, 50))
		latest = c->flushed + off;
	return latest;
}

void cut_region_image(const struct ka_region *rg, enum cut_kind kind, struct test_rng *rng,
		      void *image)
{
	const struct cut_region *c = to_cut(rg);
	uint8_t *out = image;
	size_t i, line, word, off;
	unsigned percent;

	memcpy(out, c->durable, rg->info.capacity_bytes);
	if (kind == CUT_NONE)
		return;
	/* Few, half or nearly all of them. */
	percent = kind == CUT_ALL ? 100 : (unsigned[]){10, 50, 90}[test_below(rng, 3)];
	for (i = 0; i < c->open_count; i++) {
		line = c->open[i];
		if (kind != CUT_TORN && !test_chance(rng, percent))
			continue;
		for (word = 0; word < LINE / WORD; word++) {
			off = line * LINE + word * WORD;
			if (kind == CUT_TORN && !test_chance(rng, percent))
				continue;
			memcpy(out + off,
			       kind == CUT_ALL ? rg->base + off : pick(c, line, off, rng), WORD);
		}
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_cut.c - a region whose power can be cut; see region_cut.h. */
#include "region_cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/csum.h"
#include "region.h"

#define STORES_MAX (CUT_VERSIONS - 1)

/* A line that is not durable: what each store to it since then left. */
struct open_line {
	size_t line;
	unsigned stores;
	unsigned flushed; /* a fence makes so many of them durable */
	uint8_t stored[STORES_MAX][CUT_LINE];
};

struct cut_region {
	struct ka_region rg; /* base: what the core works on */
	struct undo *base;
	struct undo *durable;
	struct undo *mirror; /* or NULL */
	struct undo own[2];  /* base and durable, where the caller has none */
	uint32_t *slot;	     /* of each line: its place in open + 1; 0: it is durable */
	struct open_line *open;
	size_t open_count;
	size_t open_room;
	uint64_t hash; /* of durable */
	uint64_t fences;
	uint64_t drop;	/* the fence that does nothing */
	uint64_t limit; /* 0: none */
	cut_fn *watch;
	void *watch_ctx;
};

static struct cut_region *to_cut(const struct ka_region *rg)
{
	return (struct cut_region *)rg;
}

static struct open_line *open_line(struct cut_region *c, size_t line)
{
	struct open_line *o;

	if (!c->slot[line]) {
		if (c->open_count == c->open_room) {
			c->open_room = c->open_room ? 2 * c->open_room : 256;
			c->open = realloc(c->open, c->open_room * sizeof(*c->open));
			if (!c->open)
				abort();
		}
		o = &c->open[c->open_count++];
		o->line = line;
		o->stores = o->flushed = 0;
		c->slot[line] = (uint32_t)c->open_count;
	}
	return &c->open[c->slot[line] - 1];
}

static void cut_write(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	struct cut_region *c = to_cut(rg);
	struct open_line *o;
	size_t line;

	undo_store(c->base, off, src, len);
	for (line = off / CUT_LINE; len && line <= (off + len - 1) / CUT_LINE; line++) {
		o = open_line(c, line);
		if (o->stores == STORES_MAX)
			fail_msg("a line was stored to %u times between two fences: "
				 "raise CUT_VERSIONS",
				 o->stores + 1);
		memcpy(o->stored[o->stores++], rg->base + line * CUT_LINE, CUT_LINE);
	}
}

static void cut_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	struct cut_region *c = to_cut(rg);
	struct open_line *o;
	size_t line;

	for (line = off / CUT_LINE; len && line <= (off + len - 1) / CUT_LINE; line++) {
		if (!c->slot[line])
			continue;
		o = &c->open[c->slot[line] - 1];
		o->flushed = o->stores;
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

uint64_t cut_hash_change(uint64_t hash, size_t line, const void *before, const void *after)
{
	return hash - ka_csum_at(line, before, CUT_LINE) + ka_csum_at(line, after, CUT_LINE);
}

static void make_durable(struct cut_region *c, struct open_line *o)
{
	uint64_t off = (uint64_t)o->line * CUT_LINE;
	const uint8_t *now = o->stored[o->flushed - 1];

	c->hash = cut_hash_change(c->hash, o->line, c->durable->mem + off, now);
	undo_store(c->durable, off, now, CUT_LINE);
	if (c->mirror)
		undo_store(c->mirror, off, now, CUT_LINE);
	o->stores -= o->flushed;
	memmove(o->stored, o->stored[o->flushed], (size_t)o->stores * CUT_LINE);
	o->flushed = 0;
}

static void cut_fence(struct ka_region *rg)
{
	struct cut_region *c = to_cut(rg);
	struct open_line *o;
	size_t i, left = 0;

	if (c->watch)
		c->watch(c->watch_ctx, rg, c->fences);
	if (c->fences++ == c->drop)
		return;
	for (i = 0; i < c->open_count; i++) {
		o = &c->open[i];
		if (o->flushed)
			make_durable(c, o);
		c->slot[o->line] = 0;
		if (!o->stores)
			continue;
		if (left != i)
			c->open[left] = *o;
		c->slot[o->line] = (uint32_t)++left;
	}
	c->open_count = left;
}

static int cut_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	const struct cut_region *c = to_cut(rg);

	return c->limit && off + len > c->limit ? -ENOSPC : 0;
}

/*
 * Memory that goes to somebody else, or comes from there: what was not durable yet is lost, and
 * the rest is garbage, at once and for good.
 */
static int cut_spoil(struct ka_region *rg, uint64_t off, uint64_t len)
{
	struct cut_region *c = to_cut(rg);
	uint8_t line[CUT_LINE];
	struct open_line *o;
	uint64_t at;

	for (at = off; at < off + len; at += CUT_LINE) {
		if (at % UNDO_PAGE >= UNDO_GARBAGE)
			continue;
		undo_garbage(at, line);
		o = open_line(c, at / CUT_LINE);
		o->stores = 0;
		undo_store(c->base, at, line, sizeof(line));
		memcpy(o->stored[o->stores++], line, sizeof(line));
		o->flushed = 1;
		make_durable(c, o);
	}
	return 0;
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

	undo_close(&c->own[0]);
	undo_close(&c->own[1]);
	free(c->slot);
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
	.release = cut_spoil,
	.restore = cut_spoil,
	.leaving = cut_leaving,
	.close = cut_close,
};

static struct cut_region *new_region(uint64_t bytes)
{
	struct cut_region *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->rg.ops = &cut_ops;
	c->rg.info = (struct ka_region_info){
		.kind = KA_REGION_MEM,
		.path = "cut",
		.capacity_bytes = bytes,
	};
	c->drop = UINT64_MAX;
	c->slot = calloc(bytes / CUT_LINE, sizeof(*c->slot));
	if (c->slot)
		return c;
	free(c);
	return NULL;
}

int cut_region_over(struct undo *base, struct undo *durable, struct undo *mirror, uint64_t bytes,
		    struct ka_region **ret_rg)
{
	struct cut_region *c = new_region(bytes);

	if (!c)
		return -ENOMEM;
	c->base = base;
	c->durable = durable;
	c->mirror = mirror;
	c->rg.base = base->mem;
	*ret_rg = &c->rg;
	return 0;
}

int cut_region_open(uint64_t bytes, struct ka_region **ret_rg)
{
	struct cut_region *c = new_region(bytes);

	if (!c)
		return -ENOMEM;
	if (undo_open(&c->own[0], bytes) || undo_open(&c->own[1], bytes)) {
		cut_close(&c->rg);
		return -ENOMEM;
	}
	c->base = &c->own[0];
	c->durable = &c->own[1];
	c->rg.base = c->base->mem;
	*ret_rg = &c->rg;
	return 0;
}

int cut_region_open_image(const void *image, uint64_t bytes, struct ka_region **ret_rg)
{
	int err = cut_region_open(bytes, ret_rg);

	if (err)
		return err;
	memcpy(to_cut(*ret_rg)->base->mem, image, bytes);
	memcpy(to_cut(*ret_rg)->durable->mem, image, bytes);
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

void cut_region_drop_fence(struct ka_region *rg, uint64_t fence)
{
	to_cut(rg)->drop = fence;
}

uint64_t cut_region_fences(const struct ka_region *rg)
{
	return to_cut(rg)->fences;
}

size_t cut_region_open_lines(const struct ka_region *rg)
{
	return to_cut(rg)->open_count;
}

uint64_t cut_region_hash(const struct ka_region *rg)
{
	return to_cut(rg)->hash;
}

void cut_region_set_hash(struct ka_region *rg, uint64_t hash)
{
	to_cut(rg)->hash = hash;
}

size_t cut_region_lines(const struct ka_region *rg, struct cut_line *line)
{
	const struct cut_region *c = to_cut(rg);
	size_t i, count = 0;
	unsigned s;

	for (i = 0; i < c->open_count; i++) {
		const struct open_line *o = &c->open[i];
		struct cut_line *l = &line[count];

		l->line = o->line;
		l->versions = 1;
		l->version[0] = c->durable->mem + o->line * CUT_LINE;
		for (s = 0; s < o->stores; s++)
			if (memcmp(o->stored[s], l->version[l->versions - 1], CUT_LINE))
				l->version[l->versions++] = o->stored[s];
		count += l->versions > 1;
	}
	return count;
}

/* One of the versions behind the first, for a line or for a word of it. */
static const uint8_t *pick(const struct cut_line *l, enum cut_kind kind, struct test_rng *rng)
{
	unsigned last = l->versions - 1;

	return l->version[kind == CUT_ALL ? last : 1 + test_below(rng, last)];
}

void cut_region_image(const struct ka_region *rg, enum cut_kind kind, struct test_rng *rng,
		      void *image)
{
	const struct cut_region *c = to_cut(rg);
	struct cut_line *line = calloc(c->open_count + 1, sizeof(*line));
	uint8_t *out = image;
	size_t i, at, count = 0;
	unsigned percent = 0;

	assert_non_null(line);
	memcpy(out, c->durable->mem, rg->info.capacity_bytes);
	if (kind != CUT_NONE)
		count = cut_region_lines(rg, line);
	/* Few, half or nearly all of them. */
	if (kind != CUT_NONE)
		percent = kind == CUT_ALL ? 100 : (unsigned[]){10, 50, 90}[test_below(rng, 3)];
	for (i = 0; i < count; i++) {
		if (kind != CUT_TORN && test_chance(rng, percent))
			memcpy(out + line[i].line * CUT_LINE, pick(&line[i], kind, rng), CUT_LINE);
		for (at = 0; kind == CUT_TORN && at < CUT_LINE; at += CUT_WORD)
			if (test_chance(rng, percent))
				memcpy(out + line[i].line * CUT_LINE + at,
				       pick(&line[i], kind, rng) + at, CUT_WORD);
	}
	free(line);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* undo.c - memory that can be put back as it was; see undo.h. */
#include "undo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "test.h"

#include "region.h"

int undo_open(struct undo *u, uint64_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*u = (struct undo){.bytes = bytes};
	if (mem == MAP_FAILED)
		return -ENOMEM;
	u->mem = mem;
	u->newest = calloc(bytes / UNDO_LINE, sizeof(*u->newest));
	if (u->newest)
		return 0;
	undo_close(u);
	return -ENOMEM;
}

void undo_close(struct undo *u)
{
	if (u->mem)
		munmap(u->mem, u->bytes);
	free(u->newest);
	free(u->entry);
	*u = (struct undo){0};
}

static void save(struct undo *u, uint32_t line)
{
	struct undo_entry *e;

	if (u->newest[line] > u->mark)
		return;
	if (u->count == u->room) {
		u->room = u->room ? 2 * u->room : 1024;
		u->entry = realloc(u->entry, u->room * sizeof(*u->entry));
		if (!u->entry)
			abort();
	}
	e = &u->entry[u->count++];
	e->line = line;
	e->before = u->newest[line];
	memcpy(e->old, u->mem + (uint64_t)line * UNDO_LINE, UNDO_LINE);
	u->newest[line] = (uint32_t)u->count;
}

void undo_store(struct undo *u, uint64_t off, const void *src, size_t len)
{
	uint64_t line;

	for (line = off / UNDO_LINE; len && line <= (off + len - 1) / UNDO_LINE; line++)
		save(u, (uint32_t)line);
	memcpy(u->mem + off, src, len);
}

size_t undo_mark(struct undo *u)
{
	size_t before = u->mark;

	u->mark = u->count;
	return before;
}

void undo_back(struct undo *u, size_t before)
{
	const struct undo_entry *e;

	while (u->count > u->mark) {
		e = &u->entry[--u->count];
		memcpy(u->mem + (uint64_t)e->line * UNDO_LINE, e->old, UNDO_LINE);
		u->newest[e->line] = e->before;
	}
	u->mark = before;
}

bool undo_untouched(const struct undo *u)
{
	return u->count == u->mark;
}

/* ---- as a region ------------------------------------------------------ */

struct undo_region {
	struct ka_region rg;
	struct undo *undo;
};

static void region_store(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	undo_store(((struct undo_region *)rg)->undo, off, src, len);
}

static void region_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	(void)rg;
	(void)off;
	(void)len;
}

static void region_nothing(struct ka_region *rg)
{
	(void)rg;
}

static int region_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	region_flush(rg, off, len);
	return 0;
}

void undo_garbage(uint64_t off, uint8_t *line)
{
	struct test_rng rng = {.state = off};

	test_fill(&rng, line, UNDO_LINE);
}

/* What somebody else had leaves nothing of ours; here, to be quick, at the front of each page. */
static int region_spoil(struct ka_region *rg, uint64_t off, uint64_t len)
{
	uint8_t line[UNDO_LINE];
	uint64_t at;

	for (at = off; at < off + len; at += UNDO_LINE) {
		if (at % UNDO_PAGE >= UNDO_GARBAGE)
			continue;
		undo_garbage(at, line);
		region_store(rg, at, line, sizeof(line));
	}
	return 0;
}

static int region_sync(struct ka_region *rg)
{
	(void)rg;
	return 0;
}

static void region_close(struct ka_region *rg)
{
	free(rg);
}

static const struct ka_region_ops undo_ops = {
	.write = region_store,
	.copy = region_store,
	.flush = region_flush,
	.fence = region_nothing,
	.prepare = region_prepare,
	.sync = region_sync,
	.release = region_spoil,
	.restore = region_spoil,
	.leaving = region_nothing,
	.close = region_close,
};

int undo_region_open(struct undo *u, uint64_t bytes, struct ka_region **ret_rg)
{
	struct undo_region *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->rg.ops = &undo_ops;
	r->rg.base = u->mem;
	r->rg.info = (struct ka_region_info){
		.kind = KA_REGION_MEM,
		.path = "undo",
		.capacity_bytes = bytes,
	};
	r->undo = u;
	*ret_rg = &r->rg;
	return 0;
}

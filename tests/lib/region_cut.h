/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_cut.h - a region whose power can be cut.
 *
 * Beside the memory that the core works on it keeps what would be there after
 * a power cut. A cache line that was stored to is dirty; flushing it (or
 * storing non-temporally) makes it pending; a fence makes what was flushed
 * durable. A line that was flushed and stored to again is both: the fence
 * makes the flushed contents durable, the later ones may get lost.
 *
 * Any line that is not durable may have reached the memory all the same, by
 * itself and in units of 8 bytes, as any of the stores to it left it since.
 * cut_region_image makes one such outcome by chance; who wants to choose gets
 * the lines from cut_region_lines.
 *
 * One thread only.
 */
#ifndef KA_REGION_CUT_H
#define KA_REGION_CUT_H

#include <stddef.h>
#include <stdint.h>

#include "keepalive/region.h"
#include "test.h"
#include "undo.h"

#define CUT_LINE 64u
#define CUT_WORD 8u

/* What becomes of the lines that are not durable. */
enum cut_kind {
	CUT_NONE, /* all are lost */
	CUT_ALL,  /* all arrived */
	CUT_SOME, /* any of them arrived */
	CUT_TORN, /* any 8 bytes of them arrived */
	CUT_KINDS
};

/* A region of bytes zeros, durable. -ENOMEM. */
int cut_region_open(uint64_t bytes, struct ka_region **ret_rg);

/* The same with the contents of image, which is copied. */
int cut_region_open_image(const void *image, uint64_t bytes, struct ka_region **ret_rg);

/*
 * The same over memory of the caller, of which the first bytes are used: base is
 * what the core works on, durable what a cut would leave. Both hold the same. What
 * becomes durable is stored to mirror too, unless that is NULL.
 */
int cut_region_over(struct undo *base, struct undo *durable, struct undo *mirror, uint64_t bytes,
		    struct ka_region **ret_rg);

/*
 * fn is called before each fence takes effect, with the number of fences
 * before it: where the power can fail. It may make images, and nothing else
 * with this region. NULL: no more.
 */
typedef void cut_fn(void *ctx, struct ka_region *rg, uint64_t fences);
void cut_region_watch(struct ka_region *rg, cut_fn *fn, void *ctx);

/*
 * Preparing memory beyond so many bytes fails with -ENOSPC, as it does for a
 * sparse file on a full disk. 0: never.
 */
void cut_region_limit(struct ka_region *rg, uint64_t bytes);

/*
 * The fence before which there were so many is forgotten by the program: nothing
 * becomes durable by it. UINT64_MAX: none.
 */
void cut_region_drop_fence(struct ka_region *rg, uint64_t fence);

/* Fences since the region was opened. */
uint64_t cut_region_fences(const struct ka_region *rg);

/* Lines that a cut could lose now. */
size_t cut_region_open_lines(const struct ka_region *rg);

/*
 * A line that could be lost, and what it could hold: version 0 is what is durable,
 * the last one what was stored last. No two neighbours are the same.
 */
#define CUT_VERSIONS 9
struct cut_line {
	size_t line;
	unsigned versions; /* at least 2 */
	const uint8_t *version[CUT_VERSIONS];
};

/*
 * The lines that differ from what is durable, in the order of their first store;
 * line has room for cut_region_open_lines of them. They hold until the next store.
 */
size_t cut_region_lines(const struct ka_region *rg, struct cut_line *line);

/*
 * A number for all that is durable now, and what it becomes if a line changes: the
 * same contents have the same number, in any order of changes.
 */
uint64_t cut_region_hash(const struct ka_region *rg);
uint64_t cut_hash_change(uint64_t hash, size_t line, const void *before, const void *after);

/* Where the number begins; 0 unless somebody knows better. */
void cut_region_set_hash(struct ka_region *rg, uint64_t hash);

/* What the memory holds if the power fails now; into image, as large as the region. */
void cut_region_image(const struct ka_region *rg, enum cut_kind kind, struct test_rng *rng,
		      void *image);

#endif

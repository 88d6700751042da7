/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* extent.c - extent trees; see extent.h. The tree is libbsd's. */
#include "keepalive/extent.h"

#include <errno.h>
#include <stdlib.h>

#include "keepalive/util.h"

static int compare(const struct ka_extent *a, const struct ka_extent *b)
{
	return (a->off > b->off) - (a->off < b->off);
}

/* Not RB_GENERATE_STATIC: libbsd's needs a macro that glibc does not have. */
RB_GENERATE_INTERNAL(ka_extent_tree, ka_extent, rb, compare, static __attribute__((unused)))

static uint64_t end_of(const struct ka_extent *e)
{
	return e->off + e->len;
}

/* The part [off, off + len) of e as an extent of its own. */
static struct ka_extent slice(const struct ka_extent *e, uint64_t off, uint64_t len)
{
	struct ka_extent part = {.off = off, .len = len, .seq = e->seq};

	if (e->addr) {
		part.addr = e->addr + (off - e->off);
		part.delta = e->delta + (uint32_t)(off - e->off);
	}
	return part;
}

static void count_in(struct ka_extents *ex, struct ka_extent_stats *st, const struct ka_extent *e)
{
	ex->bytes += e->len;
	if (!e->addr)
		atomic_fetch_add(&st->unwritten_bytes, e->len);
	else if (st->segs)
		ka_segs_live(st->segs, e->addr, e->len);
}

static void count_out(struct ka_extents *ex, struct ka_extent_stats *st, const struct ka_extent *e)
{
	ex->bytes -= e->len;
	if (!e->addr)
		atomic_fetch_sub(&st->unwritten_bytes, e->len);
	else if (st->segs)
		ka_segs_dead(st->segs, e->addr, e->len);
}

/* Replaces what *e says, accounts included; new must fit in its place. */
static void reshape(struct ka_extents *ex, struct ka_extent_stats *st, struct ka_extent *e,
		    const struct ka_extent *new)
{
	struct ka_extent old = *e;

	/* In this order, so that a segment shared by both never looks dead. */
	count_in(ex, st, new);
	e->off = new->off;
	e->len = new->len;
	e->addr = new->addr;
	e->delta = new->delta;
	count_out(ex, st, &old);
}

static void insert(struct ka_extents *ex, struct ka_extent_stats *st, struct ka_extent *e)
{
	count_in(ex, st, e);
	RB_INSERT(ka_extent_tree, &ex->tree, e);
	atomic_fetch_add(&st->count, 1);
}

static void drop(struct ka_extents *ex, struct ka_extent_stats *st, struct ka_extent *e)
{
	RB_REMOVE(ka_extent_tree, &ex->tree, e);
	atomic_fetch_sub(&st->count, 1);
	count_out(ex, st, e);
	free(e);
}

struct ka_extent *ka_extents_find(const struct ka_extents *ex, uint64_t off)
{
	struct ka_extent *e = RB_ROOT(&ex->tree), *best = NULL;

	while (e) {
		if (end_of(e) > off) {
			best = e;
			e = RB_LEFT(e, rb);
		} else {
			e = RB_RIGHT(e, rb);
		}
	}
	return best;
}

struct ka_extent *ka_extents_next(const struct ka_extent *e)
{
	return RB_NEXT(ka_extent_tree, NULL, (struct ka_extent *)e);
}

int ka_extents_punch(struct ka_extents *ex, struct ka_extent_stats *st, uint64_t off, uint64_t len)
{
	struct ka_extent *e = ka_extents_find(ex, off), *next, *right, part;
	uint64_t end = off + len;

	if (e && e->off < off && end_of(e) > end) { /* a hole in the middle: two remain */
		right = malloc(sizeof(*right));
		if (!right)
			return -ENOMEM;
		*right = slice(e, end, end_of(e) - end);
		part = slice(e, e->off, off - e->off);
		count_in(ex, st, right); /* before the rest of it dies */
		reshape(ex, st, e, &part);
		RB_INSERT(ka_extent_tree, &ex->tree, right);
		atomic_fetch_add(&st->count, 1);
		return 0;
	}
	for (; e && e->off < end; e = next) {
		next = ka_extents_next(e);
		if (e->off < off) {
			part = slice(e, e->off, off - e->off);
			reshape(ex, st, e, &part);
		} else if (end_of(e) > end) {
			part = slice(e, end, end_of(e) - end);
			reshape(ex, st, e, &part);
		} else {
			drop(ex, st, e);
		}
	}
	return 0;
}

int ka_extents_put(struct ka_extents *ex, struct ka_extent_stats *st, const struct ka_extent *e)
{
	struct ka_extent *copy = malloc(sizeof(*copy));
	int err;

	if (!copy)
		return -ENOMEM;
	*copy = *e;
	err = ka_extents_punch(ex, st, e->off, e->len);
	if (err)
		free(copy);
	else
		insert(ex, st, copy);
	return err;
}

int ka_extents_fill(struct ka_extents *ex, struct ka_extent_stats *st, uint64_t off, uint64_t len)
{
	uint64_t end = off + len, stop;
	struct ka_extent *e = ka_extents_find(ex, off), *hole;

	while (off < end) {
		stop = e ? ka_min(e->off, end) : end;
		if (off < stop) {
			hole = calloc(1, sizeof(*hole));
			if (!hole)
				return -ENOMEM;
			hole->off = off;
			hole->len = stop - off;
			insert(ex, st, hole);
		}
		if (!e)
			break;
		off = end_of(e);
		e = ka_extents_next(e);
	}
	return 0;
}

int ka_extents_clone(struct ka_extents *to, uint64_t off, const struct ka_extents *from,
		     uint64_t from_off, uint64_t len, struct ka_extent_stats *st)
{
	uint64_t from_end = from_off + len, start, stop;
	const struct ka_extent *e;
	struct ka_extent part;
	int err;

	err = ka_extents_punch(to, st, off, len);
	for (e = ka_extents_find(from, from_off); !err && e && e->off < from_end;
	     e = ka_extents_next(e)) {
		if (!e->addr)
			continue; /* room is promised once; the copy has a hole there */
		start = ka_max(e->off, from_off);
		stop = ka_min(end_of(e), from_end);
		part = slice(e, start, stop - start);
		part.off = off + (start - from_off);
		err = ka_extents_put(to, st, &part);
	}
	return err;
}

uint64_t ka_extents_count(const struct ka_extents *ex, uint64_t off, uint64_t len)
{
	const struct ka_extent *e;
	uint64_t n = 0;

	for (e = ka_extents_find(ex, off); e && e->off < off + len; e = ka_extents_next(e))
		n++;
	return n;
}

uint64_t ka_extents_holes(const struct ka_extents *ex, uint64_t off, uint64_t len)
{
	uint64_t end = off + len, holes = len;
	const struct ka_extent *e;

	for (e = ka_extents_find(ex, off); e && e->off < end; e = ka_extents_next(e))
		holes -= ka_min(end_of(e), end) - ka_max(e->off, off);
	return holes;
}

void ka_extents_clear(struct ka_extents *ex, struct ka_extent_stats *st)
{
	struct ka_extent *e;

	while ((e = RB_ROOT(&ex->tree)))
		drop(ex, st, e);
}

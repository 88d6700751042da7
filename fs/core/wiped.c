/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wiped.c - wiped, damaged, or foreign; see wiped.h. */
#include "keepalive/wiped.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "keepalive/csum.h"
#include "keepalive/err.h"
#include "keepalive/format.h"
#include "keepalive/super.h"
#include "keepalive/util.h"

#define BLOCK	    4096u
#define WHOLE_BYTES (256ull << 20)

/*
 * Segments have 256 KiB to 2 MiB, and less than 2 MiB only in filesystems below
 * 128 MiB: so the small steps come to every place where a header can be, and to one
 * between each two. From 1 GiB on only some are looked at: the filesystem takes the
 * lowest segments first, and each place in a sparse file costs reading ahead.
 */
#define SMALL_LIMIT (128ull << 20)
#define SMALL_STEP  (KA_SEGMENT_MIN / 2)
#define LARGE_LIMIT (1ull << 30)
#define LARGE_STEP  (1ull << 20)
#define FAR_PLACES  1024
#define HEADER_MAX  (2ull << 20) /* the largest segment */

/* Of 4096 random bytes, 16 have a given value; that 65 have is one case in 10^18. */
#define SAME_MAX 64

struct look {
	const struct ka_region *rg;
	uint64_t from;
	uint64_t to;
	bool thorough;
	const uint8_t *pattern; /* NULL: random bytes */
	uint64_t places;
};

/* The next place behind addr. */
static uint64_t next_place(const struct look *l, uint64_t addr)
{
	uint64_t step = addr < SMALL_LIMIT ? SMALL_STEP : LARGE_STEP;

	if (addr >= LARGE_LIMIT && !l->thorough)
		step = ka_max(1, (l->to - LARGE_LIMIT) / FAR_PLACES / HEADER_MAX) * HEADER_MAX;
	return addr - addr % step + step;
}

/* ---- segments of a filesystem ------------------------------------------------ */

/* Whoever's it is: its superblock would say, but is not there. */
static bool is_header(const struct ka_region *rg, uint64_t addr)
{
	const struct ka_segment_disk *d = ka_region_at(rg, addr, sizeof(*d));
	uint64_t bytes;

	if (!d || ka_get32(d->magic) != KA_SEGMENT_MAGIC ||
	    ka_get64(d->csum) !=
		    ka_csum((const char *)d + sizeof(d->csum), sizeof(*d) - sizeof(d->csum)))
		return false;
	for (bytes = KA_SEGMENT_MIN; bytes <= HEADER_MAX; bytes *= 2)
		if (addr % bytes == 0 && addr / bytes == ka_get64(d->index))
			return true;
	return false;
}

static bool find_header(const struct look *l, uint64_t *ret_addr)
{
	uint64_t addr;

	for (addr = l->from; addr < l->to; addr = next_place(l, addr)) {
		if (addr % KA_SEGMENT_MIN || !is_header(l->rg, addr))
			continue;
		*ret_addr = addr;
		return true;
	}
	return false;
}

/* ---- a pattern, random bytes ----------------------------------------------------- */

static bool repeats(const struct ka_region *rg, uint64_t addr, uint64_t len, const uint8_t *pattern)
{
	const uint8_t *p = ka_region_at(rg, addr, len);

	return p && len >= 8 && !memcmp(p, pattern, 8) && !memcmp(p, p + 8, len - 8);
}

/*
 * No byte is much more frequent than others, and no distance between neighbours:
 * a ramp has all bytes equally often, too. Text, code, and tables fail by far. What was
 * compressed or encrypted passes.
 */
static bool is_random(const struct ka_region *rg, uint64_t addr)
{
	const uint8_t *p = ka_region_at(rg, addr, BLOCK);
	uint16_t value[256] = {0}, step[256] = {0};
	size_t i;

	for (i = 0; p && i < BLOCK; i++) {
		value[p[i]]++;
		step[(uint8_t)(p[i] - p[i ? i - 1 : 0])]++;
	}
	for (i = 0; p && i < KA_ARRAY_SIZE(value); i++)
		if (value[i] > SAME_MAX || step[i] > SAME_MAX)
			return false;
	return p;
}

/* What reaches over the end is no place. */
static bool place_ok(struct look *l, uint64_t addr)
{
	if (addr < l->from || !ka_range_ok(addr, BLOCK, l->to))
		return true;
	l->places++;
	return l->pattern ? repeats(l->rg, addr, BLOCK, l->pattern) : is_random(l->rg, addr);
}

/* Where superblocks can be, then where segments begin and between. */
static bool all_places_ok(struct look *l)
{
	uint64_t addr;

	if (!place_ok(l, l->from))
		return false;
	for (addr = KA_SEGMENT_MIN; addr <= KA_SEGMENT_MAX; addr *= 2)
		if (!place_ok(l, addr - KA_SUPER_BYTES))
			return false;
	for (addr = next_place(l, l->from); addr < l->to; addr = next_place(l, addr))
		if (!place_ok(l, addr))
			return false;
	return true;
}

struct search {
	struct look look;
	struct ka_wiped *ret;
};

/* Memory errors end it wherever it is. */
static int search(void *arg)
{
	struct search *s = arg;
	struct look *l = &s->look;
	struct ka_wiped *ret = s->ret;

	if (find_header(l, &ret->segment_addr)) {
		ret->kind = KA_WIPED_SEGMENTS;
		return 0;
	}
	memcpy(ret->pattern, ka_region_at(l->rg, l->from, BLOCK), sizeof(ret->pattern));
	l->pattern = ret->pattern;
	ret->whole_bytes = l->thorough ? ret->bytes : ka_min(ret->bytes, WHOLE_BYTES);
	if (all_places_ok(l) && repeats(l->rg, l->from, ret->whole_bytes, ret->pattern)) {
		ret->kind = KA_WIPED_PATTERN;
	} else {
		l->pattern = NULL;
		l->places = 0;
		ret->whole_bytes = 0;
		ret->kind = all_places_ok(l) ? KA_WIPED_RANDOM : KA_WIPED_NO;
	}
	ret->places = l->places;
	return 0;
}

int ka_wiped_look(const struct ka_region *rg, uint64_t from, uint64_t to, bool thorough,
		  struct ka_wiped *ret)
{
	struct ka_wiped found = {.kind = KA_WIPED_NO, .bytes = to - from};
	struct search s = {
		.look = {.rg = rg, .from = from, .to = to, .thorough = thorough},
		.ret = &found,
	};
	int err = 0;

	if (to > from && to - from >= BLOCK && ka_region_at(rg, from, to - from))
		err = ka_region_guard(rg, search, &s);
	if (!err)
		*ret = found;
	return err;
}

/* ---- what it means ------------------------------------------------------------------- */

static void name_pattern(char *buf, size_t size, const uint8_t *p)
{
	if (memcmp(p, p + 1, 7))
		snprintf(buf, size, "%02x%02x%02x%02x%02x%02x%02x%02x over and over", p[0], p[1],
			 p[2], p[3], p[4], p[5], p[6], p[7]);
	else if (p[0])
		snprintf(buf, size, "bytes 0x%02x", p[0]);
	else
		snprintf(buf, size, "zeros");
}

/* What is there, and where it was looked. */
static void describe(char *buf, size_t size, const struct ka_wiped *w)
{
	char what[64], bytes[16];

	if (w->kind == KA_WIPED_RANDOM) {
		snprintf(buf, size, "random bytes in all of %" PRIu64 " places looked at in %s",
			 w->places, ka_format_size(bytes, w->bytes));
		return;
	}
	name_pattern(what, sizeof(what), w->pattern);
	if (w->whole_bytes == w->bytes)
		snprintf(buf, size, "%s in all of %s", what, ka_format_size(bytes, w->bytes));
	else
		snprintf(buf, size, "%s in the first %s and in all of %" PRIu64 " places of 4 KiB",
			 what, ka_format_size(bytes, w->whole_bytes), w->places);
}

static int verdict(const struct ka_region *rg, const struct ka_wiped *w,
		   const struct ka_msg_sink *sink, const char *expected, const char *advice)
{
	const char *path = ka_region_info(rg)->path;
	char found[160];

	switch (w->kind) {
	case KA_WIPED_NO:
		return 0;
	case KA_WIPED_SEGMENTS:
		ka_msg(sink, KA_MSG_ERROR,
		       "'%s' is damaged: both copies of the superblock are destroyed, but segments "
		       "of a filesystem are there, the first at 0x%" PRIx64,
		       path, w->segment_addr);
		return -KA_ERR_SUPER_GONE;
	case KA_WIPED_PATTERN:
	case KA_WIPED_RANDOM:
		break;
	}
	describe(found, sizeof(found), w);
	ka_msg(sink, KA_MSG_ERROR, "'%s': lost: expected %s, found %s; the memory was %s%s", path,
	       expected, found, w->kind == KA_WIPED_PATTERN ? "wiped" : "scrambled", advice);
	return -KA_ERR_WIPED;
}

int ka_wiped_check(const struct ka_region *rg, const struct ka_msg_sink *sink)
{
	uint64_t capacity = ka_region_info(rg)->capacity_bytes;
	struct ka_super sb = {0};
	struct ka_wiped w;
	char expected[80];
	int err;

	if (ka_super_geometry(&sb, capacity, 0, 0))
		return 0; /* too small for any filesystem */
	err = ka_wiped_look(rg, 0, capacity, false, &w);
	if (err)
		return err;
	snprintf(expected, sizeof(expected),
		 "a superblock at 0x%" PRIx64 " and its copy at 0x%" PRIx64, sb.copy_addr[0],
		 sb.copy_addr[1]);
	return verdict(rg, &w, sink, expected,
		       " (or never formatted); mkfs.keepalivefs makes a new filesystem");
}

int ka_wiped_check_segments(const struct ka_region *rg, const struct ka_super *sb,
			    const struct ka_msg_sink *sink)
{
	struct ka_wiped w;
	char expected[80];
	int err;

	err = ka_wiped_look(rg, sb->segment_bytes, sb->owned_bytes, false, &w);
	if (err || w.kind == KA_WIPED_SEGMENTS)
		return err; /* damage like any other */
	snprintf(expected, sizeof(expected), "segments from 0x%" PRIx32 " on behind the superblock",
		 sb->segment_bytes);
	return verdict(rg, &w, sink, expected, "; mkfs.keepalivefs -f makes a new filesystem");
}

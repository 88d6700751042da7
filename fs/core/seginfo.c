/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seginfo.c - what each segment holds; see keepalive/seginfo.h. */
#include "keepalive/seginfo.h"

#include <errno.h>

#include "fs.h"
#include "keepalive/ops.h"
#include "keepalive/util.h"

/* The lock of the segments is held. */
static void fill(const struct ka_segs *segs, const struct ka_seg *seg, struct ka_seginfo *ret)
{
	*ret = (struct ka_seginfo){
		.state = (uint16_t)seg->state,
		.flags = atomic_load(&seg->bad) ? KA_SEGINFO_BAD : 0,
	};
	if (seg->state != KA_SEG_OPEN && seg->state != KA_SEG_FULL)
		return;
	ret->last_seq = atomic_load(&seg->last_seq);
	ret->used_bytes = (uint32_t)ka_min(atomic_load(&seg->used), segs->bytes);
	/* What several files share counts for each of them. */
	ret->live_bytes = (uint32_t)ka_min(atomic_load(&seg->live), ret->used_bytes);
}

size_t ka_seginfo_get(struct ka_fs *fs, uint64_t first, size_t max, struct ka_seginfo *ret,
		      uint64_t *ret_seq)
{
	struct ka_segs *segs = &fs->segs;
	size_t i, count;

	count = first < segs->count ? (size_t)ka_min(max, segs->count - first) : 0;
	pthread_mutex_lock(&segs->lock);
	for (i = 0; i < count; i++)
		fill(segs, &segs->seg[first + i], &ret[i]);
	pthread_mutex_unlock(&segs->lock);
	*ret_seq = atomic_load(&fs->log.seq); /* after: none of them is newer */
	return count;
}

static void next_damage(struct ka_damage_place *place)
{
	place->index++;
	place->off = 0;
}

/* One run of the file from place->off on; len stays 0 where it is whole. */
static int next_run(struct ka_fs *fs, const struct ka_damage *d, struct ka_damage_place *place)
{
	uint64_t off = ka_max(place->off, d->off), end = d->off + d->len;
	struct ka_run run;
	int err = ka_map(fs, d->ino, off, &run);

	if (err == -ESTALE || err == -EINVAL || err == -ENXIO || (!err && run.off >= end)) {
		next_damage(place);
		return 0;
	}
	if (err)
		return err;
	if (run.err) {
		place->addr = run.addr;
		place->len = ka_min(run.len, end - run.off);
	}
	place->off = run.off + run.len;
	if (place->off >= end)
		next_damage(place);
	return 0;
}

int ka_damage_place_next(struct ka_fs *fs, struct ka_damage_place *place)
{
	struct ka_damage d;
	int err = ka_fs_get_damage(fs, place->index, &d);

	if (err)
		return err;
	place->addr = place->len = 0;
	if (!d.what)
		return next_run(fs, &d, place);
	place->addr = d.off;
	place->len = d.len;
	next_damage(place);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.c - recovery; see replay.h.
 *
 * Where records are looked for: behind the fill mark of the segments that were
 * open when the checkpoint was made, and in every segment opened since, which
 * its generation tells: the checkpoint notes where later ones begin.
 *
 * What is torn and what is damaged: a position of the log fences each record
 * before it begins the next, and the END of a segment before the next segment.
 * So only the newest segment of each position may stop short, and only at its
 * last record. Anything else that is not whole had been durable once.
 */
#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"

/* Where a segment that was used has something. */
#define PROBE_BYTES (64u << 10)
#define PROBE_STEP  4096u

/* One lost directory makes a record of each file in it damaged: people want the first. */
#define TOLD_MAX 20

struct found {
	uint64_t seq;
	uint64_t addr;
};

/* A segment with records behind the checkpoint. */
struct source {
	uint64_t index;
	uint64_t start; /* where they begin */
	bool was_open;	/* says the checkpoint */
	struct ka_segment_info info;
};

struct replay {
	struct ka_fs *fs;
	uint64_t ckpt_seq;
	uint64_t ckpt_gen; /* segments opened since have this one or a higher */
	struct source *source;
	size_t sources;
	size_t ended; /* sources that are read up to the end of their segment */
	struct found *found;
	size_t count;
	size_t capacity;
	uint64_t max_seq;
	struct ka_replay_stats *stats;
};

static void report(struct replay *r, uint64_t addr, int err, const char *what)
{
	bool told = r->stats->lost++ < TOLD_MAX;

	ka_msg(r->fs->sink, told ? KA_MSG_ERROR : KA_MSG_DEBUG, "%s at 0x%" PRIx64 ": %s", what,
	       addr, ka_strerror(err));
}

static void report_rest(const struct replay *r)
{
	if (r->stats->lost > TOLD_MAX)
		ka_msg(r->fs->sink, KA_MSG_ERROR, "%" PRIu64 " more records like these",
		       r->stats->lost - TOLD_MAX);
}

static int add_found(struct replay *r, const struct ka_rec_disk *rec, uint64_t addr)
{
	size_t capacity = r->capacity ? r->capacity * 2 : 1024;
	struct found *bigger;

	if (r->count == r->capacity) {
		bigger = realloc(r->found, capacity * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		r->found = bigger;
		r->capacity = capacity;
	}
	r->found[r->count++] = (struct found){.seq = ka_get64(rec->seq), .addr = addr};
	return 0;
}

static bool payload_whole(const struct replay *r, const struct ka_rec_disk *rec, uint64_t addr)
{
	const struct ka_payload_disk *pl = ka_record_payload(rec);
	uint64_t at = ka_scan_payload_addr(rec, addr);
	uint32_t i, pieces;

	if (!pl)
		return true;
	if (ka_scan_payload_check(r->fs->rg, rec))
		return false;
	pieces = ka_payload_pieces(pl);
	for (i = 0; i < pieces; i++)
		ka_segs_set_verified(&r->fs->segs, at + (uint64_t)i * ka_get32(pl->piece_bytes));
	return true;
}

/* Whether a header that is not whole was durable once: a record like this says so. */
static bool proves_segment(const struct replay *r, const struct ka_rec_disk *rec, uint64_t addr)
{
	if (ka_get64(rec->seq) <= r->ckpt_seq || ka_get16(rec->type) == KA_REC_CKPT ||
	    ka_get16(rec->type) == KA_REC_CKPT_LINK) /* a checkpoint that was cut off */
		return false;
	/*
	 * What an earlier recovery dropped as torn may be there, the header over it
	 * torn in turn.
	 */
	return payload_whole(r, rec, addr);
}

/*
 * A header that is not whole, with a record behind it that the checkpoint does
 * not cover: the header was durable before. Makes up for it, as far as needed.
 * far: looks for such a record in the whole segment, not only at its beginning.
 */
static bool rebuild_header(const struct replay *r, uint64_t start, bool far,
			   struct ka_segment_info *ret)
{
	uint64_t addr = start + sizeof(struct ka_segment_disk), end = start + r->fs->segs.bytes;
	uint64_t gen = atomic_load(&r->fs->log.gen), limit = far ? end : addr + 1;
	const struct ka_rec_disk *rec;

	for (;; addr += ka_get32(rec->bytes)) {
		rec = ka_scan_any(r->fs->rg, r->fs->super.log_id, addr, limit, end, &addr);
		if (!rec)
			return false;
		if (proves_segment(r, rec, addr))
			break;
	}
	*ret = (struct ka_segment_info){
		.kind = KA_SEGMENT_LOG,
		.gen = (gen & ~(uint64_t)UINT32_MAX) | ka_get32(rec->gen),
		.open_seq = ka_get64(rec->seq) - 1,
	};
	return true;
}

/* No generation is given out twice, whatever was cut off. */
static void pass_gen(struct replay *r, uint64_t gen)
{
	if (gen >= atomic_load(&r->fs->log.gen))
		atomic_store(&r->fs->log.gen, gen + 1);
}

/* The checkpoint knows the segment, so a header is not needed to go on in it. */
static bool is_known_source(const struct replay *r, const struct ka_seg *seg, struct source *ret)
{
	uint64_t used = atomic_load(&seg->used), at = ret->index * r->fs->segs.bytes + used;
	const struct ka_rec_disk *rec = NULL;
	struct ka_scan scan;

	if (seg->state != KA_SEG_OPEN)
		return false;
	ka_scan_start(&scan, r->fs->rg, r->fs->super.log_id, seg->gen, at,
		      (ret->index + 1) * r->fs->segs.bytes);
	if (ka_scan_next(&scan, &rec, &at) < 0 || !rec)
		return false;
	ret->start = ret->index * r->fs->segs.bytes + used;
	ret->info = (struct ka_segment_info){.kind = KA_SEGMENT_LOG, .gen = seg->gen};
	return true;
}

/*
 * Whether a segment was never used, by the look of it: in a region that is mostly
 * empty, reading all of each would take as long as the region is large.
 */
static bool is_untouched(const struct replay *r, uint64_t start)
{
	static const uint8_t zeros[64];
	uint8_t bytes[sizeof(zeros)];
	uint64_t at;

	for (at = start; at < start + PROBE_BYTES; at += PROBE_STEP)
		if (ka_region_read(r->fs->rg, at, bytes, sizeof(bytes)) ||
		    memcmp(bytes, zeros, sizeof(bytes)) != 0)
			return false;
	return true;
}

static bool is_source(struct replay *r, uint64_t index, bool far, struct source *ret)
{
	const struct ka_seg *seg = &r->fs->segs.seg[index];
	uint32_t bytes = r->fs->segs.bytes;
	int err;

	if (seg->state == KA_SEG_SUPER || seg->state == KA_SEG_CKPT || seg->state == KA_SEG_ABSENT)
		return false;
	ret->index = index;
	ret->start = index * bytes + sizeof(struct ka_segment_disk);
	ret->was_open = seg->state == KA_SEG_OPEN;
	err = ka_scan_header(r->fs->rg, r->fs->super.log_id, index, bytes, &ret->info);
	/* Opened since or free, nobody knows; if the checkpoint knows, it says so. */
	if (err == -KA_ERR_MEMORY && ka_segs_set_bad(&r->fs->segs, index) &&
	    seg->state == KA_SEG_BAD)
		report(r, index * bytes, err, "segment that cannot be read");
	if (err) {
		far = far && !is_untouched(r, index * bytes);
		if (!is_known_source(r, seg, ret) &&
		    !rebuild_header(r, index * bytes, far, &ret->info))
			return false;
		report(r, index * bytes, -KA_ERR_SEGMENT_HEADER, "damaged segment");
		pass_gen(r, ret->info.gen);
		return true;
	}
	pass_gen(r, ret->info.gen);
	if (ret->info.kind != KA_SEGMENT_LOG)
		return false;
	if (ret->info.gen >= r->ckpt_gen)
		return true;
	if (seg->state != KA_SEG_OPEN || seg->gen != ret->info.gen)
		return false;
	ret->start = index * bytes + atomic_load(&seg->used);
	return true;
}

static int find_sources(struct replay *r)
{
	uint64_t i;

	r->source = calloc(r->fs->segs.count, sizeof(*r->source));
	if (!r->source)
		return -ENOMEM;
	for (i = 1; i < r->fs->segs.count; i++)
		if (is_source(r, i, false, &r->source[r->sources]))
			r->sources++;
	return 0;
}

/* Whether its position went on to another segment, so that this one is whole. */
static bool was_closed(const struct replay *r, const struct source *s)
{
	size_t i;

	for (i = 0; i < r->sources; i++)
		if (r->source[i].info.prev_gen == s->info.gen)
			return true;
	return false;
}

/* Whether a record was begun at addr, and not just never reached. */
static bool was_begun(const struct ka_scan *scan)
{
	struct ka_rec_disk rec;

	return !ka_region_read(scan->rg, scan->addr, &rec, sizeof(rec)) &&
	       ka_get64(rec.log_id) == scan->ident.log_id && ka_get32(rec.gen) == scan->ident.gen;
}

/* Whether nothing whole follows behind the record that was just read. */
static bool was_last(const struct ka_scan *scan)
{
	struct ka_scan rest = *scan;
	const struct ka_rec_disk *rec;
	uint64_t addr;

	if (rest.end - rest.addr < sizeof(*rec))
		return true;
	return ka_scan_next(&rest, &rec, &addr) < 0 && !ka_scan_resync(&rest) && rest.budget;
}

static bool has_source(const struct replay *r, uint64_t index)
{
	size_t i;

	for (i = 0; i < r->sources; i++)
		if (r->source[i].index == index)
			return true;
	return false;
}

/* Reads one segment, up to *ret_end; its newest record has number *ret_last. */
static int read_source(struct replay *r, const struct source *s, uint64_t *ret_end,
		       uint64_t *ret_last)
{
	uint64_t end = (s->index + 1) * r->fs->segs.bytes, addr, bad;
	bool closed = was_closed(r, s);
	const struct ka_rec_disk *rec;
	struct ka_scan scan;
	int err;

	*ret_end = s->start;
	*ret_last = 0;
	ka_scan_start(&scan, r->fs->rg, r->fs->super.log_id, s->info.gen, s->start, end);
	for (;;) {
		err = ka_scan_next(&scan, &rec, &addr);
		if (err == KA_SCAN_END)
			break;
		if (err) {
			bad = scan.addr;
			if (ka_scan_resync(&scan)) {
				report(r, bad, err, "damaged record");
				continue;
			}
			if (closed || !scan.budget)
				report(r, bad, err, "damaged end of a segment");
			else if (was_begun(&scan))
				r->stats->torn++;
			return 0;
		}
		if (!payload_whole(r, rec, addr)) {
			if (!closed && was_last(&scan)) {
				r->stats->torn++;
				return 0;
			}
			report(r, addr, -KA_ERR_PAYLOAD_CSUM, "damaged data");
		}
		*ret_last = ka_max(*ret_last, ka_get64(rec->seq));
		*ret_end = scan.addr;
		err = add_found(r, rec, addr);
		if (err)
			return err;
	}
	*ret_end = end;
	return 0;
}

static int take_source(struct replay *r, const struct source *s)
{
	struct ka_seg *seg = &r->fs->segs.seg[s->index];
	uint64_t end, last;
	int err;

	err = read_source(r, s, &end, &last);
	if (err)
		return err;
	if (end == (s->index + 1) * r->fs->segs.bytes)
		r->ended++;
	if (seg->state == KA_SEG_FREE) {
		if (end == s->start)
			return 0; /* opened, never used */
		r->fs->segs.free--;
	}
	seg->state = KA_SEG_FULL; /* nobody appends behind a torn record */
	seg->gen = s->info.gen;
	atomic_store(&seg->used, (uint32_t)(end - s->index * r->fs->segs.bytes));
	atomic_store(&seg->last_seq, ka_max(atomic_load(&seg->last_seq), last));
	r->max_seq = ka_max(r->max_seq, last);
	return 0;
}

/*
 * A segment that came to its end has one behind it, but for a cut just then; so has a
 * mount that was not clean. Where that one is not to be seen, its header and its first
 * records are gone: only then are segments without a header looked through.
 */
static bool lacks_source(const struct replay *r)
{
	size_t i, followed = 0;

	for (i = 0; i < r->sources; i++)
		followed += was_closed(r, &r->source[i]);
	return r->fs->opts.thorough || !r->sources || r->ended > followed;
}

static int read_sources(struct replay *r)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < r->sources; i++)
		err = take_source(r, &r->source[i]);
	for (i = 1; !err && lacks_source(r) && i < r->fs->segs.count; i++)
		if (!has_source(r, i) && is_source(r, i, true, &r->source[r->sources]))
			err = take_source(r, &r->source[r->sources++]);
	return err;
}

static int by_seq(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

int ka_replay_copy_head(const struct ka_fs *fs, uint64_t addr, struct ka_rec_disk *head)
{
	uint32_t bytes;
	int err;

	err = ka_region_read(fs->rg, addr, head, sizeof(*head));
	if (err)
		return err;
	bytes = ka_get32(head->head_bytes);
	if (bytes < sizeof(*head) || bytes > KA_HEAD_MAX)
		return -KA_ERR_RECORD_FRAME;
	return ka_region_read(fs->rg, addr, head, bytes);
}

static int apply_all(struct replay *r)
{
	KA_AUTO_FREE struct ka_rec_disk *head = malloc(KA_HEAD_MAX);
	size_t i;
	int err;

	if (!head)
		return -ENOMEM;
	qsort(r->found, r->count, sizeof(*r->found), by_seq);
	for (i = 0; i < r->count; i++) {
		err = ka_replay_copy_head(r->fs, r->found[i].addr, head);
		err = err ?: ka_apply(r->fs, head, r->found[i].addr);
		if (err == -ENOMEM)
			return err;
		if (err)
			report(r, r->found[i].addr, err, "record that cannot be applied");
		else
			r->stats->records++;
	}
	return 0;
}

/*
 * Segments that must be there and are not: one that was open when the
 * checkpoint was made, or one that the next of its position names.
 */
static void check_sources(struct replay *r)
{
	uint64_t prev, i;
	size_t s, t;

	for (i = 1; i < r->fs->segs.count; i++) {
		struct ka_seg *seg = &r->fs->segs.seg[i];

		if (seg->state != KA_SEG_OPEN)
			continue;
		seg->state = KA_SEG_FULL;
		/* Full to the last bytes: it had nothing to add, and may be in use again. */
		if (r->fs->segs.bytes - atomic_load(&seg->used) < sizeof(struct ka_rec_disk))
			continue;
		report(r, i * r->fs->segs.bytes, -KA_ERR_SEGMENT_HEADER, "damaged segment");
	}
	for (s = 0; s < r->sources; s++) {
		prev = r->source[s].info.prev_gen;
		for (t = 0; t < r->sources && r->source[t].info.gen != prev; t++)
			;
		if (prev >= r->ckpt_gen && t == r->sources)
			report(r, r->source[s].index * r->fs->segs.bytes, -KA_ERR_SEGMENT_HEADER,
			       "missing segment before the one");
	}
}

/*
 * A segment that the checkpoint calls open has to stay as it is until a newer
 * one counts, were it empty: the next recovery would miss it. So its closing
 * takes a number, like the END of any other, that only that one covers.
 */
static void close_sources(struct replay *r)
{
	uint64_t seq = r->max_seq + 1;
	size_t i;

	for (i = 0; i < r->sources; i++) {
		if (!r->source[i].was_open)
			continue;
		atomic_store(&r->fs->segs.seg[r->source[i].index].last_seq, seq);
		r->max_seq = seq;
	}
}

int ka_replay(struct ka_fs *fs, uint64_t ckpt_seq, struct ka_replay_stats *ret)
{
	struct replay r = {
		.fs = fs,
		.ckpt_seq = ckpt_seq,
		.ckpt_gen = atomic_load(&fs->log.gen),
		.max_seq = ckpt_seq,
		.stats = ret,
	};
	int err;

	*ret = (struct ka_replay_stats){0};
	err = find_sources(&r);
	if (!err)
		err = read_sources(&r);
	if (!err)
		check_sources(&r);
	if (!err && r.count)
		err = apply_all(&r);
	close_sources(&r);
	report_rest(&r);
	atomic_store(&fs->log.seq, r.max_seq);
	free(r.source);
	free(r.found);
	return err;
}

struct orphans {
	struct ka_inode **list;
	size_t count;
};

static void collect_orphan(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct orphans *o = ctx;

	if (inode->nlink)
		return;
	if (o->list)
		o->list[o->count] = inode;
	o->count++;
}

uint64_t ka_drop_orphans(struct ka_fs *fs)
{
	struct orphans o = {0};
	size_t i, n;

	ka_htab_visit(&fs->index.inodes, collect_orphan, &o);
	n = o.count;
	o.list = n ? malloc(n * sizeof(struct ka_inode *)) : NULL;
	if (!o.list)
		return 0;
	o.count = 0;
	ka_htab_visit(&fs->index.inodes, collect_orphan, &o);
	for (i = 0; i < n; i++)
		ka_index_forget(&fs->index, o.list[i]);
	free(o.list);
	return n;
}

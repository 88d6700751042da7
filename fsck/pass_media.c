/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pass_media.c - segments, records, data checksums, space accounting. */
#include <inttypes.h>
#include <stdlib.h>

#include "fsck.h"
#include "keepalive/err.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"
#include "ops.h"

/*
 * The records of the segment are walked no more; data in it that extents point
 * at stays. With its last live byte it becomes free like any other.
 */
static void give_up_records(struct ka_seg *seg)
{
	seg->state = KA_SEG_FULL;
	atomic_store(&seg->used, sizeof(struct ka_segment_disk));
}

/*
 * Nothing in it lives, and every checkpoint there is covers its records: a mount
 * counts it as free. It may be in use again, by a checkpoint that was cut off.
 */
static bool is_over(const struct fsck *f, const struct ka_seg *seg)
{
	const struct ka_super *sb = &f->fs->super;
	uint64_t floor_seq = sb->ckpt[sb->ckpt[1].addr ? 1 : 0].seq;

	return seg->state == KA_SEG_FULL && !atomic_load(&seg->live) &&
	       atomic_load(&seg->last_seq) <= floor_seq;
}

/*
 * Walks the records of a segment that is in use. What they did is in the
 * checkpoint already; what still counts in them is data, which the next pass
 * checks by itself. So a damaged record is no loss, but it is damage.
 */
static void check_segment(struct fsck *f, uint64_t index)
{
	struct ka_seg *seg = &f->fs->segs.seg[index];
	uint64_t start = index * f->fs->segs.bytes, addr;
	const struct ka_rec_disk *rec;
	struct ka_segment_info info;
	struct ka_scan scan;
	bool fix = false;
	int err;

	if (is_over(f, seg) || atomic_load(&seg->used) <= sizeof(struct ka_segment_disk))
		return; /* empty, or given up by an earlier run */
	err = ka_scan_header(f->rg, f->fs->super.log_id, index, f->fs->segs.bytes, &info);
	if (err || info.gen != seg->gen || info.kind != KA_SEGMENT_LOG) {
		if (fsck_found_at(f, FSCK_P_LOG_SEGMENT,
				  &(struct fsck_where){NULL, start, sizeof(struct ka_segment_disk)},
				  "segment %" PRIu64 " at 0x%" PRIx64, index, start))
			give_up_records(seg);
		return;
	}
	ka_scan_start(&scan, f->rg, f->fs->super.log_id, seg->gen,
		      start + sizeof(struct ka_segment_disk), start + atomic_load(&seg->used));
	for (;;) {
		err = ka_scan_next(&scan, &rec, &addr);
		if (err == KA_SCAN_END)
			break;
		if (!err)
			continue;
		fix |= fsck_found(f, FSCK_P_LOG_RECORD, "segment %" PRIu64 ", 0x%" PRIx64 ": %s",
				  index, scan.addr, ka_strerror(err));
		if (!ka_scan_resync(&scan))
			break;
	}
	if (fix)
		give_up_records(seg);
}

int fsck_pass_log(struct fsck *f)
{
	struct ka_segs *segs = &f->fs->segs;
	uint64_t i;

	for (i = 1; i < segs->count && !fsck_cancelled; i++) {
		if (segs->seg[i].state == KA_SEG_FULL || segs->seg[i].state == KA_SEG_OPEN)
			check_segment(f, i);
		fsck_progress(f, PASS_LOG, i, segs->count - 1);
	}
	return 0;
}

struct data_pass {
	struct fsck *f;
	uint64_t total; /* bytes that extents point at */
	uint64_t told;	/* of them, when progress was told last */
	int err;
};

/* One range of a file that has to go. */
static int drop_range(struct fsck *f, struct ka_inode *inode, uint64_t off, uint64_t len)
{
	return ka_extents_punch(&inode->extents, &f->fs->index.extents, off, len);
}

/* Checks the piece that the byte at off lies in; returns how far it goes from there. */
static uint64_t check_step(struct fsck *f, const struct ka_extent *e, uint64_t off, bool *ret_bad)
{
	uint64_t addr = e->addr + (off - e->off);
	uint64_t len = ka_extent_piece_end(f->fs, e, addr) - addr;

	*ret_bad = ka_extent_verify(f->fs, e, addr, len, KA_VERIFY_FIRST);
	return len;
}

/* Piece by piece, so that exactly what is damaged is named, and goes. */
static void check_extent(struct data_pass *p, struct ka_inode *inode, const struct ka_extent *ext)
{
	struct ka_extent e = *ext; /* a repair may free it */
	uint64_t off = e.off, end = e.off + e.len, len, bad_from = 0;
	bool bad, in_bad = false;
	KA_AUTO_FREE char *path = NULL;

	while (!p->err && !fsck_cancelled && (off < end || in_bad)) {
		bad = false;
		len = off < end ? check_step(p->f, &e, off, &bad) : 0;
		if (bad && !in_bad)
			bad_from = off;
		if (in_bad && !bad) {
			if (!path)
				path = fsck_path_of(p->f, inode);
			if (fsck_found_at(p->f, FSCK_P_DATA,
					  &(struct fsck_where){path, bad_from, off - bad_from},
					  "%s: bytes %" PRIu64 "-%" PRIu64, path ?: "?", bad_from,
					  off - 1))
				p->err = drop_range(p->f, inode, bad_from, off - bad_from);
		}
		in_bad = bad;
		off += len;
	}
	p->f->checked_bytes += e.len;
	if (p->f->checked_bytes - p->told >= p->total / 256) {
		p->told = p->f->checked_bytes;
		fsck_progress(p->f, PASS_DATA, p->told, p->total);
	}
}

static void check_data(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct data_pass *p = ctx;
	const struct ka_extent *e;
	uint64_t off = 0;

	if (!S_ISREG(inode->mode))
		return;
	while (!p->err && !fsck_cancelled && (e = ka_extents_find(&inode->extents, off))) {
		off = e->off + e->len;
		if (e->addr)
			check_extent(p, inode, e);
	}
}

int fsck_pass_data(struct fsck *f)
{
	struct data_pass p = {.f = f};
	uint64_t i;

	for (i = 1; i < f->fs->segs.count; i++)
		p.total += atomic_load(&f->fs->segs.seg[i].live);
	if (f->force)
		ka_htab_visit(&f->fs->index.inodes, check_data, &p);
	return p.err;
}

/* It stays when the checkpoint goes. */
static void leave_checkpoint(struct ka_ckpt_segments *ckpt, uint64_t index)
{
	size_t i;

	for (i = 0; i < ckpt->count; i++)
		if (ckpt->index[i] == index)
			ckpt->index[i--] = ckpt->index[--ckpt->count];
}

/* Nobody knows of any records; its header may be anything. */
static void count_as_used(struct ka_fs *fs, uint64_t index)
{
	struct ka_seg *seg = &fs->segs.seg[index];

	if (seg->state == KA_SEG_FREE)
		fs->segs.free--;
	leave_checkpoint(&fs->ckpt[0], index);
	leave_checkpoint(&fs->ckpt[1], index);
	give_up_records(seg);
}

/*
 * A belt for braces: loading lets no extent into a segment that holds no log, nor into
 * one that does not exist.
 */
int fsck_pass_usage(struct fsck *f)
{
	struct ka_segs *segs = &f->fs->segs;
	uint64_t i;

	for (i = 1; i < segs->count; i++) {
		struct ka_seg *seg = &segs->seg[i];

		if (!atomic_load(&seg->live) || seg->state == KA_SEG_FULL ||
		    seg->state == KA_SEG_OPEN)
			continue;
		if (fsck_found(f, FSCK_P_USAGE, "segment %" PRIu64 ", %" PRIu64 " bytes", i,
			       atomic_load(&seg->live)))
			count_as_used(f->fs, i);
	}
	return 0;
}

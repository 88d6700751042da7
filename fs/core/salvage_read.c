/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * salvage_read.c - finds all records and chunks that are whole, and reads the
 * chunks; see salvage.h.
 */
#include "salvage.h"

#include <errno.h>
#include <stdlib.h>

#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "varint.h"

static void *grown(void *list, size_t count, size_t *capacity, size_t bytes)
{
	size_t bigger = *capacity ? *capacity * 2 : 1024;
	void *p;

	if (count < *capacity)
		return list;
	p = realloc(list, bigger * bytes);
	if (p)
		*capacity = bigger;
	return p;
}

static int add_record(struct ka_salvage *sv, const struct ka_rec_disk *rec, uint64_t addr)
{
	struct ka_salvage_record *list =
		grown(sv->record, sv->records, &sv->record_capacity, sizeof(*list));

	if (!list)
		return -ENOMEM;
	sv->record = list;
	list[sv->records++] = (struct ka_salvage_record){.seq = ka_get64(rec->seq), .addr = addr};
	sv->max_seq = ka_max(sv->max_seq, ka_get64(rec->seq));
	return 0;
}

static int add_chunk(struct ka_salvage *sv, const struct ka_rec_disk *rec, uint64_t addr,
		     uint64_t gen)
{
	const struct ka_rec_ckpt_disk *c = (const void *)rec;
	struct ka_salvage_chunk *list;

	if (ka_scan_payload_check(sv->fs->rg, rec))
		return 0;
	list = grown(sv->chunk, sv->chunks, &sv->chunk_capacity, sizeof(*list));
	if (!list)
		return -ENOMEM;
	sv->chunk = list;
	list[sv->chunks++] = (struct ka_salvage_chunk){
		.seq = ka_get64(rec->seq),
		.gen = gen,
		.ordinal = ka_get64(c->ordinal),
		.addr = ka_scan_payload_addr(rec, addr),
		.bytes = ka_get32(c->payload.bytes),
	};
	return 0;
}

/* Of the segment that a record belongs in. */
static enum ka_segment_kind kind_of(const struct ka_rec_disk *rec)
{
	return ka_get16(rec->type) == KA_REC_CKPT || ka_get16(rec->type) == KA_REC_CKPT_LINK
		       ? KA_SEGMENT_CKPT
		       : KA_SEGMENT_LOG;
}

/* A segment without a header is what its first whole record says. */
static bool find_segment(const struct ka_salvage *sv, uint64_t index, struct ka_segment_info *ret)
{
	const struct ka_fs *fs = sv->fs;
	uint64_t gen = atomic_load(&fs->log.gen), start = index * fs->segs.bytes, addr;
	const struct ka_rec_disk *rec;

	if (!ka_scan_header(fs->rg, fs->super.log_id, index, fs->segs.bytes, ret))
		return true;
	rec = ka_scan_any(fs->rg, fs->super.log_id, start + sizeof(struct ka_segment_disk),
			  start + fs->segs.bytes, start + fs->segs.bytes, &addr);
	if (!rec)
		return false;
	*ret = (struct ka_segment_info){
		.kind = kind_of(rec),
		.gen = (gen & ~(uint64_t)UINT32_MAX) | ka_get32(rec->gen),
	};
	return true;
}

/* Whether its position went on to another segment: then all of it was finished. */
static bool was_closed(const struct ka_salvage *sv, uint64_t gen)
{
	uint64_t i;

	for (i = 1; i < sv->fs->segs.count; i++)
		if (sv->prev_gen[i] == gen)
			return true;
	return false;
}

/* Payload that is not whole behind which nothing follows was never finished. */
static bool was_torn(const struct ka_salvage *sv, const struct ka_scan *scan,
		     const struct ka_rec_disk *rec, uint64_t gen)
{
	const struct ka_rec_disk *next;
	struct ka_scan rest = *scan;
	uint64_t addr;

	if (!ka_record_payload(rec) || !ka_scan_payload_check(scan->rg, rec))
		return false;
	return rest.end - rest.addr >= sizeof(*rec) && ka_scan_next(&rest, &next, &addr) < 0 &&
	       !ka_scan_resync(&rest) && !was_closed(sv, gen);
}

/*
 * What is in a segment of the other kind nobody has written. Data there would be lost with
 * the checkpoint.
 */
static int take_record(struct ka_salvage *sv, const struct ka_scan *scan,
		       const struct ka_rec_disk *rec, uint64_t addr,
		       const struct ka_segment_info *info)
{
	if (kind_of(rec) != info->kind || ka_get16(rec->type) == KA_REC_CKPT_LINK ||
	    was_torn(sv, scan, rec, info->gen))
		return 0;
	if (info->kind == KA_SEGMENT_CKPT)
		return add_chunk(sv, rec, addr, info->gen);
	return add_record(sv, rec, addr);
}

static int survey_segment(struct ka_salvage *sv, uint64_t index, const struct ka_segment_info *info)
{
	struct ka_fs *fs = sv->fs;
	struct ka_seg *seg = &fs->segs.seg[index];
	uint64_t start = index * fs->segs.bytes, addr;
	uint64_t end = start + fs->segs.bytes, used = sizeof(struct ka_segment_disk);
	const struct ka_rec_disk *rec;
	struct ka_scan scan;
	int err;

	seg->gen = info->gen;
	ka_scan_start(&scan, fs->rg, fs->super.log_id, info->gen, start + used, end);
	for (;;) {
		rec = NULL;
		err = ka_scan_next(&scan, &rec, &addr);
		if (err < 0 && !ka_scan_resync(&scan))
			break;
		if (err < 0)
			continue;
		used = scan.addr - start;
		if (rec && take_record(sv, &scan, rec, addr, info))
			return -ENOMEM;
		if (err == KA_SCAN_END)
			break;
	}
	if (info->kind != KA_SEGMENT_LOG)
		return 0;
	seg->state = KA_SEG_FULL;
	atomic_store(&seg->used, (uint32_t)used);
	fs->segs.free--;
	return 0;
}

int ka_salvage_survey(struct ka_salvage *sv)
{
	struct ka_fs *fs = sv->fs;
	struct ka_segment_info info;
	uint64_t i;
	int err;

	sv->prev_gen = calloc(fs->segs.count, sizeof(*sv->prev_gen));
	if (!sv->prev_gen)
		return -ENOMEM;
	/* First those with a header: they tell how far the numbers have come. */
	for (i = 1; i < fs->segs.count; i++) {
		if (fs->segs.seg[i].state != KA_SEG_FREE ||
		    ka_scan_header(fs->rg, fs->super.log_id, i, fs->segs.bytes, &info))
			continue;
		sv->prev_gen[i] = info.prev_gen;
		if (info.gen >= atomic_load(&fs->log.gen))
			atomic_store(&fs->log.gen, info.gen + 1);
	}
	for (i = 1; i < fs->segs.count; i++) {
		if (fs->segs.seg[i].state != KA_SEG_FREE || !find_segment(sv, i, &info))
			continue;
		if (info.gen >= atomic_load(&fs->log.gen))
			atomic_store(&fs->log.gen, info.gen + 1);
		err = survey_segment(sv, i, &info);
		if (err)
			return err;
	}
	return 0;
}

/* ---- chunks ------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
	const struct ka_salvage_chunk *x = a, *y = b;

	if (x->gen != y->gen)
		return (x->gen > y->gen) - (x->gen < y->gen);
	return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/*
 * Generations tell checkpoints with the same number apart: the segments of one
 * have consecutive ones, and the next checkpoint leaves a gap.
 */
static bool goes_on(const struct ka_salvage_chunk *before, const struct ka_salvage_chunk *c)
{
	return before && c->ordinal == before->ordinal + 1 &&
	       (c->gen == before->gen || c->gen == before->gen + 1);
}

/* What reading one checkpoint keeps in mind. */
struct pass {
	struct ka_salvage *sv;
	struct ka_ckpt_reader r;
	uint64_t seq;
	uint64_t inodes;
	uint64_t names;
};

/* Its last items may follow in a chunk that is lost. */
static int break_inode(struct pass *p)
{
	struct ka_inode *inode = p->r.inode, *copy;
	struct ka_salvage_object *o;

	p->r.inode = NULL;
	if (!inode)
		return 0;
	o = ka_salvage_object(p->sv, inode->ino);
	if (!o)
		return -ENOMEM;
	if (S_ISLNK(inode->mode) && !inode->target) { /* nothing without it */
		ka_index_forget(&p->sv->fs->index, inode);
		o->base = 0;
		return 0;
	}
	copy = calloc(1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *inode; /* extents and attributes are its own now */
	inode->extents = (struct ka_extents){0};
	inode->xattrs = NULL;
	if (S_ISREG(inode->mode))
		inode->size = 0;
	o->partial = copy;
	o->partial_base = o->base;
	o->known_to = p->r.extent_end;
	o->base = 0;
	return 0;
}

static int break_context(struct pass *p)
{
	struct ka_salvage_object *o;

	if (p->r.dir) {
		o = ka_salvage_object(p->sv, p->r.dir->ino);
		if (!o)
			return -ENOMEM;
		o->dir_whole = false;
	}
	ka_ckpt_finish_dir(&p->r);
	return break_inode(p);
}

static int note_inode(struct pass *p)
{
	struct ka_inode *inode = p->r.inode;
	struct ka_salvage_object *o;

	p->inodes++;
	if (!inode)
		return 0; /* a newer checkpoint has it */
	o = ka_salvage_object(p->sv, inode->ino);
	if (!o)
		return -ENOMEM;
	if (!ka_salvage_may_exist(p->sv, inode->ino, p->seq)) { /* the newer has it no more */
		ka_index_forget(&p->sv->fs->index, inode);
		p->r.inode = NULL;
		return 0;
	}
	o->base = p->seq;
	if (inode->ino == KA_ROOT_INO && S_ISDIR(inode->mode))
		inode->dir->parent = inode;
	return 0;
}

static int note_dir(struct pass *p)
{
	struct ka_inode *dir = p->r.dir;
	struct ka_salvage_object *o = ka_salvage_object(p->sv, dir->ino);

	if (!o)
		return -ENOMEM;
	if (!o->base && !o->partial && !o->dir_base &&
	    !ka_salvage_may_exist(p->sv, dir->ino, p->seq)) {
		ka_index_forget(&p->sv->fs->index, dir); /* was just made */
		p->r.dir = NULL;
		return 0;
	}
	if (o->dir_base || p->sv->base[0].all_names) { /* a newer checkpoint has its names */
		p->r.dir = NULL;
		return 0;
	}
	o->made = !o->base && !o->partial;
	if (o->made) {
		dir->nlink = 2;
		dir->atime = dir->mtime = dir->ctime = dir->btime = ka_time_from_ns(ka_now_ns());
		p->sv->stats->made++;
	}
	o->wanted = true;
	o->dir_base = p->seq;
	o->own_names = p->r.next_cookie;
	o->dir_whole = true; /* until it breaks off */
	return 0;
}

static int note_name(struct pass *p)
{
	struct ka_salvage_object *o;

	p->names++;
	if (!p->r.lost_name || !ka_salvage_may_exist(p->sv, p->r.lost_ino, p->seq))
		return 0;
	o = ka_salvage_object(p->sv, p->r.lost_ino);
	if (!o)
		return -ENOMEM;
	o->wanted = true;
	return ka_salvage_keep_name(p->sv, p->r.dir->ino, p->r.lost_ino,
				    (const char *)p->r.lost_name, p->r.lost_bytes, 0);
}

static int note_item(struct pass *p, uint8_t tag)
{
	switch (tag) {
	case KA_ITEM_INODE:
		return note_inode(p);
	case KA_ITEM_DIR:
		p->r.inode = NULL;
		return note_dir(p);
	case KA_ITEM_NAME:
		return note_name(p);
	case KA_ITEM_EXTENT:
		return p->r.lost_len && p->r.inode ? ka_salvage_doubt(p->sv, p->r.inode->ino,
								      p->r.lost_off, p->r.lost_len)
						   : 0;
	case KA_ITEM_END:
		p->r.inode = NULL;
		return 0;
	default:
		return 0;
	}
}

static int read_chunk(struct pass *p, const struct ka_salvage_chunk *chunk)
{
	KA_AUTO_FREE uint8_t *data = malloc(KA_CHUNK_MAX);
	struct ka_cursor c = {.p = data, .end = data + chunk->bytes};
	uint8_t tag;
	int err;

	if (!data)
		return -ENOMEM;
	/* A copy, as the items are read while memory is taken: see ka_region_guard. */
	err = ka_region_read(p->sv->fs->rg, chunk->addr, data, chunk->bytes);
	while (!err && c.p < c.end) {
		tag = *c.p;
		err = ka_ckpt_get_item(&p->r, &c);
		p->r.head.seq = p->seq;
		if (!err && c.bad)
			err = -KA_ERR_CKPT_ITEM;
		if (!err)
			err = note_item(p, tag);
	}
	if (err == -ENOMEM)
		return err;
	return err ? break_context(p) : 0; /* made by nobody: what was read stands */
}

static void start_pass(struct pass *p, struct ka_salvage *sv, uint64_t seq)
{
	*p = (struct pass){.sv = sv, .seq = seq};
	p->r.fs = sv->fs;
	p->r.lenient = true;
	p->r.bytes = UINT64_MAX;
	p->r.head.seq = seq;
	p->r.head.next_ino = KA_NUMBER_LIMIT - 1;
	p->r.head.next_gen = KA_NUMBER_LIMIT / 4;
}

static bool belongs(const struct ka_salvage_base *b, const struct ka_salvage_chunk *c)
{
	return c->seq == b->seq && c->gen >= b->from_gen && c->gen < b->to_gen;
}

static int read_checkpoint(struct ka_salvage *sv, struct ka_salvage_base *base)
{
	const struct ka_salvage_chunk *before = NULL;
	struct pass p;
	size_t i;
	int err = 0;

	start_pass(&p, sv, base->seq);
	for (i = 0; !err && i < sv->chunks; i++) {
		if (!belongs(base, &sv->chunk[i]))
			continue;
		if (!goes_on(before, &sv->chunk[i]))
			err = break_context(&p);
		before = &sv->chunk[i];
		if (!err)
			err = read_chunk(&p, before);
		sv->stats->chunks++;
	}
	if (!err)
		err = break_context(&p);
	base->all_inodes = p.r.has_head && p.inodes >= p.r.head.inodes;
	base->all_names = p.r.has_head && p.names >= p.r.head.names;
	if (p.r.has_head) {
		sv->fs->index.next_ino = ka_max(sv->fs->index.next_ino, p.r.head.next_ino);
		if (p.r.head.next_gen > atomic_load(&sv->fs->log.gen))
			atomic_store(&sv->fs->log.gen, p.r.head.next_gen);
	}
	return err;
}

/*
 * Which of the chunks with the number of the checkpoint are its own: a mount without
 * a change makes another with the same number. The pointer tells where the first
 * is; without that, the newest there are. It has no more segments than that.
 */
static void find_own(struct ka_salvage *sv, unsigned which)
{
	const struct ka_ckpt_ptr *ptr = &sv->fs->super.ckpt[which];
	struct ka_salvage_base *b = &sv->base[which];
	uint64_t segments = ptr->bytes / (sv->fs->segs.bytes / 2) + 2, newest = 0;
	const struct ka_salvage_chunk *c;
	size_t i;

	for (i = 0; i < sv->chunks; i++) {
		c = &sv->chunk[i];
		if (c->seq != b->seq || (which && belongs(&sv->base[0], c)))
			continue;
		newest = ka_max(newest, c->gen);
		if (c->ordinal || ka_segs_index(&sv->fs->segs, c->addr) !=
					  ka_segs_index(&sv->fs->segs, ptr->addr))
			continue;
		b->from_gen = c->gen;
		b->to_gen = c->gen + segments;
		return;
	}
	b->to_gen = newest + 1;
	b->from_gen = newest + 1 - ka_min(newest + 1, segments);
}

/* Nothing is stored over what is left of the checkpoints before a new one counts. */
static int keep_segments(struct ka_salvage *sv, const struct ka_salvage_base *base)
{
	struct ka_fs *fs = sv->fs;
	uint64_t index;
	size_t i;

	for (i = 0; i < sv->chunks; i++) {
		index = ka_segs_index(&fs->segs, sv->chunk[i].addr);
		if (!belongs(base, &sv->chunk[i]) || fs->segs.seg[index].state != KA_SEG_FREE)
			continue;
		if (ka_ckpt_segments_add(&fs->ckpt[1], index))
			return -ENOMEM;
		fs->segs.seg[index].state = KA_SEG_CKPT;
		fs->segs.free--;
	}
	return 0;
}

int ka_salvage_checkpoints(struct ka_salvage *sv)
{
	struct ka_salvage_base *b = sv->base;
	unsigned i;
	int err = 0;

	if (sv->chunks)
		qsort(sv->chunk, sv->chunks, sizeof(*sv->chunk), by_place);
	for (i = 0; !err && i < 2; i++) {
		b[i].seq = sv->fs->super.ckpt[i].seq;
		sv->max_seq = ka_max(sv->max_seq, b[i].seq);
		if (!sv->fs->super.ckpt[i].addr)
			continue;
		find_own(sv, i);
		err = keep_segments(sv, &b[i]);
		/* Of what the newest has all of, the older knows nothing more. */
		if (!err && !(i && b[0].all_inodes && b[0].all_names))
			err = read_checkpoint(sv, &b[i]);
	}
	return err;
}

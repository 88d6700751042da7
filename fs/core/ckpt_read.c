/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ckpt_read.c - reads a checkpoint back, believing nothing; see checkpoint.h. */
#include "checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/dir.h"
#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"
#include "varint.h"

/* The fewest bytes of an item: bounds what the head item can promise. */
#define ITEM_MIN 4

void ka_ckpt_walk_start(struct ka_ckpt_walk *walk, const struct ka_region *rg,
			const struct ka_super *sb, const struct ka_ckpt_ptr *ptr)
{
	*walk = (struct ka_ckpt_walk){
		.rg = rg,
		.log_id = sb->log_id,
		.seq = ptr->seq,
		.addr = ptr->addr,
		.limit = ka_min(sb->owned_bytes, sb->segments * sb->segment_bytes),
		.segment_bytes = sb->segment_bytes,
		.segments_left = sb->segments,
	};
}

/* One record of the checkpoint at walk->addr, whose segment is what it says. */
static int walk_record(struct ka_ckpt_walk *walk, const struct ka_rec_disk **ret_rec,
		       uint64_t *ret_addr)
{
	uint64_t index = walk->addr / walk->segment_bytes;
	struct ka_segment_info info;
	struct ka_scan scan;
	int err;

	if (!index || (index + 1) * walk->segment_bytes > walk->limit)
		return -KA_ERR_CKPT_CHAIN;
	err = ka_scan_header(walk->rg, walk->log_id, index, walk->segment_bytes, &info);
	if (err)
		return err;
	if (info.kind != KA_SEGMENT_CKPT)
		return -KA_ERR_CKPT_CHAIN;
	ka_scan_start(&scan, walk->rg, walk->log_id, info.gen, walk->addr,
		      (index + 1) * walk->segment_bytes);
	err = ka_scan_next(&scan, ret_rec, ret_addr);
	if (err)
		return err > 0 ? -KA_ERR_CKPT_CHAIN : err;
	if (ka_get64((*ret_rec)->seq) != walk->seq)
		return -KA_ERR_CKPT_CHAIN;
	walk->addr = scan.addr;
	return 0;
}

int ka_ckpt_walk_next(struct ka_ckpt_walk *walk, const uint8_t **ret_data, size_t *ret_bytes,
		      uint64_t *ret_segment)
{
	const struct ka_rec_ckpt_link_disk *link;
	const struct ka_rec_ckpt_disk *chunk;
	const struct ka_rec_disk *rec;
	uint64_t addr, segment = 0;
	int err;

	if (!walk->ordinal)
		segment = walk->addr / walk->segment_bytes;
	for (;;) {
		err = walk_record(walk, &rec, &addr);
		if (err)
			return err;
		if (ka_get16(rec->type) != KA_REC_CKPT_LINK)
			break;
		link = (const void *)rec;
		segment = ka_get64(link->next_segment);
		if (!walk->segments_left-- || segment >= walk->limit / walk->segment_bytes)
			return -KA_ERR_CKPT_CHAIN;
		walk->addr = segment * walk->segment_bytes + sizeof(struct ka_segment_disk);
	}
	chunk = (const void *)rec;
	if (ka_get16(rec->type) != KA_REC_CKPT || ka_get64(chunk->ordinal) != walk->ordinal)
		return -KA_ERR_CKPT_CHAIN;
	*ret_data = (const uint8_t *)rec + ka_get32(rec->head_bytes);
	err = ka_scan_payload_check(walk->rg, rec);
	if (err)
		return err;
	walk->ordinal++;
	*ret_bytes = ka_get32(chunk->payload.bytes);
	*ret_segment = segment;
	return 0;
}

int ka_ckpt_mark(struct ka_fs *fs, const struct ka_ckpt_ptr *ptr, struct ka_ckpt_segments *segments)
{
	uint64_t segment, i, total = 0;
	struct ka_ckpt_walk walk;
	const uint8_t *data;
	size_t bytes;
	int err;

	if (!ptr->addr)
		return 0;
	ka_ckpt_walk_start(&walk, fs->rg, &fs->super, ptr);
	for (i = 0; i < ptr->chunks; i++) {
		err = ka_ckpt_walk_next(&walk, &data, &bytes, &segment);
		if (err)
			return err;
		total += bytes;
		segments->chunks++;
		if (!segment || fs->segs.seg[segment].state != KA_SEG_FREE)
			continue;
		err = ka_ckpt_segments_add(segments, segment);
		if (err)
			return err;
		fs->segs.seg[segment].state = KA_SEG_CKPT;
		fs->segs.free--;
	}
	return total == ptr->bytes ? 0 : -KA_ERR_CKPT_CHAIN;
}

static int item_err(bool ok)
{
	return ok ? 0 : -KA_ERR_CKPT_ITEM;
}

static int get_head(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint64_t bytes = r->bytes;
	struct ka_ckpt_head *h = &r->head;
	int err;

	h->seq = ka_varint_get(c);
	h->next_ino = ka_varint_get(c);
	h->next_gen = ka_varint_get(c);
	h->inodes = ka_varint_get(c);
	h->names = ka_varint_get(c);
	h->extents = ka_varint_get(c);
	if ((r->has_head && !r->lenient) || h->next_ino >= KA_NUMBER_LIMIT ||
	    h->next_gen >= KA_GEN_LIMIT || h->seq >= KA_NUMBER_LIMIT ||
	    h->inodes > bytes / ITEM_MIN || h->names > bytes / ITEM_MIN)
		return -KA_ERR_CKPT_ITEM;
	r->has_head = true;
	if (r->lenient)
		return 0;
	err = ka_htab_reserve(&r->fs->index.inodes, h->inodes);
	return err ?: ka_htab_reserve(&r->fs->index.names, h->names);
}

static int get_segment(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint64_t index = ka_varint_get(c), flags = ka_varint_get(c), gen = ka_varint_get(c);
	uint64_t used = ka_varint_get(c), writer = ka_varint_get(c), last = ka_varint_get(c);
	struct ka_segs *segs = &r->fs->segs;
	struct ka_seg *seg;

	if (!index || index >= segs->count ||
	    (segs->seg[index].state != KA_SEG_FREE && !r->lenient) ||
	    flags & ~(uint64_t)(KA_ITEM_SEGMENT_OPEN | KA_ITEM_SEGMENT_BAD) ||
	    used < sizeof(struct ka_segment_disk) || used > segs->bytes || used % KA_RECORD_ALIGN ||
	    writer > UINT32_MAX || gen >= r->head.next_gen || last > r->head.seq)
		return -KA_ERR_CKPT_ITEM;
	seg = &segs->seg[index];
	atomic_store(&seg->bad, (flags & KA_ITEM_SEGMENT_BAD) != 0);
	if (seg->state != KA_SEG_FREE)
		return 0; /* what lies there tells more */
	seg->state = flags & KA_ITEM_SEGMENT_OPEN ? KA_SEG_OPEN : KA_SEG_FULL;
	seg->gen = gen;
	atomic_store(&seg->used, (uint32_t)used);
	seg->writer = (uint32_t)writer;
	atomic_store(&seg->last_seq, last);
	segs->free--;
	return 0;
}

static bool get_time(struct ka_cursor *c, struct ka_time *t)
{
	uint64_t nsec;

	t->sec = ka_unzigzag(ka_varint_get(c));
	nsec = ka_varint_get(c);
	/* A salvage keeps the inode all the same, and stores what stands here. */
	t->nsec = nsec < 1000000000 ? (uint32_t)nsec : 0;
	return nsec < 1000000000;
}

static int skip_times(struct ka_cursor *c)
{
	struct ka_time t;
	int i;

	for (i = 0; i < 4; i++)
		if (!get_time(c, &t))
			return -KA_ERR_CKPT_ITEM;
	return 0;
}

static int get_inode(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint64_t ino = ka_varint_get(c), mode = ka_varint_get(c), uid = ka_varint_get(c);
	uint64_t gid = ka_varint_get(c), nlink = ka_varint_get(c), rdev = ka_varint_get(c);
	uint64_t size = ka_varint_get(c);
	struct ka_inode *inode;

	if (c->bad || !ino || ino >= r->head.next_ino || !ka_record_mode_ok(mode) ||
	    uid > UINT32_MAX || gid > UINT32_MAX || nlink > UINT32_MAX || rdev > UINT32_MAX ||
	    size > KA_FILE_MAX || (ka_index_find(&r->fs->index, ino) && !r->lenient))
		return -KA_ERR_CKPT_ITEM;
	r->inode = NULL;
	if (ka_index_find(&r->fs->index, ino))
		return skip_times(c);
	inode = ka_index_new(&r->fs->index, ino, (uint32_t)mode);
	if (!inode)
		return -ENOMEM;
	inode->uid = (uint32_t)uid;
	inode->gid = (uint32_t)gid;
	inode->nlink = (uint32_t)nlink;
	inode->rdev = (uint32_t)rdev;
	inode->size = size;
	r->inode = inode;
	r->extent_end = 0;
	return item_err(get_time(c, &inode->atime) && get_time(c, &inode->mtime) &&
			get_time(c, &inode->ctime) && get_time(c, &inode->btime));
}

static int get_target(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint64_t len = ka_varint_get(c);
	const uint8_t *target = ka_bytes_get(c, len);

	if (target && !r->inode && r->lenient)
		return 0;
	if (!target || !len || len > KA_TARGET_MAX || memchr(target, 0, len) || !r->inode ||
	    !S_ISLNK(r->inode->mode) || r->inode->target)
		return -KA_ERR_CKPT_ITEM;
	return ka_index_set_target(&r->fs->index, r->inode, target, len);
}

static int get_xattr(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint64_t name_len = ka_varint_get(c), value_len;
	const uint8_t *name = ka_bytes_get(c, name_len), *value;

	value_len = ka_varint_get(c);
	value = ka_bytes_get(c, value_len);
	if (value && !r->inode && r->lenient)
		return 0;
	if (!name || !value || !name_len || name_len > KA_XATTR_NAME_MAX ||
	    value_len > KA_XATTR_MAX || memchr(name, 0, name_len) || !r->inode)
		return -KA_ERR_CKPT_ITEM;
	return ka_index_set_xattr(&r->fs->index, r->inode, (const char *)name, name_len, value,
				  value_len);
}

/* An extent lies within one segment of the log, behind the head of its record. */
static bool place_ok(const struct ka_segs *segs, const struct ka_extent *e)
{
	uint64_t index = ka_segs_index(segs, e->addr), in_segment = e->addr % segs->bytes;

	return index < segs->count &&
	       (segs->seg[index].state == KA_SEG_FULL || segs->seg[index].state == KA_SEG_OPEN) &&
	       ka_range_ok(in_segment, e->len, segs->bytes) &&
	       e->delta >= sizeof(struct ka_rec_write_disk) &&
	       e->delta <= in_segment - ka_min(in_segment, sizeof(struct ka_segment_disk)) &&
	       (e->addr - e->delta) % KA_RECORD_ALIGN == 0;
}

/*
 * In a salvage the segments are not known for sure. One that nothing else is
 * known of is taken for one of the log: reading tells. What leads elsewhere is noted.
 */
static bool adopt_segment(struct ka_ckpt_reader *r, const struct ka_extent *e)
{
	struct ka_segs *segs = &r->fs->segs;
	uint64_t index = ka_segs_index(segs, e->addr);

	if (!e->addr)
		return true;
	if (index < segs->count && segs->seg[index].state == KA_SEG_FREE) {
		segs->seg[index].state = KA_SEG_FULL;
		atomic_store(&segs->seg[index].used, sizeof(struct ka_segment_disk));
		segs->free--;
	}
	if (place_ok(segs, e))
		return true;
	r->lost_off = e->off;
	r->lost_len = e->len;
	return false;
}

static int get_extent(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	struct ka_extent e = {0};
	uint64_t delta = 0;

	e.off = ka_varint_get(c);
	e.len = ka_varint_get(c);
	e.addr = ka_varint_get(c);
	if (e.addr) {
		e.seq = ka_varint_get(c);
		delta = ka_varint_get(c);
		e.delta = (uint32_t)delta;
	}
	if (r->lenient && (!r->inode || !adopt_segment(r, &e)))
		return item_err(!c->bad);
	if (c->bad || !r->inode || !S_ISREG(r->inode->mode) || !e.len ||
	    !ka_range_ok(e.off, e.len, KA_FILE_MAX) || e.off < r->extent_end ||
	    delta > UINT32_MAX || e.seq > r->head.seq || (e.addr && !place_ok(&r->fs->segs, &e)))
		return -KA_ERR_CKPT_ITEM;
	r->extent_end = e.off + e.len;
	return ka_extents_put(&r->inode->extents, &r->fs->index.extents, &e);
}

/* The names of a directory may stop short of the next cookie it gives out. */
void ka_ckpt_finish_dir(struct ka_ckpt_reader *r)
{
	if (r->dir)
		r->dir->dir->next_cookie = r->next_cookie;
	r->dir = NULL;
}

static int get_dir(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint64_t ino = ka_varint_get(c), next_cookie = ka_varint_get(c);
	struct ka_inode *dir;

	ka_ckpt_finish_dir(r);
	if (next_cookie < KA_COOKIE_FIRST || next_cookie >= KA_NUMBER_LIMIT)
		return -KA_ERR_CKPT_ITEM;
	dir = ka_index_find(&r->fs->index, ino);
	if (!dir && r->lenient && ino && ino < r->head.next_ino)
		dir = ka_index_new(&r->fs->index, ino, S_IFDIR | 0700);
	if (!dir || !S_ISDIR(dir->mode) || (dir->dir->count && !r->lenient))
		return -KA_ERR_CKPT_ITEM;
	r->dir = dir; /* not before it is right: a salvage finishes it whatever follows */
	r->next_cookie = next_cookie;
	return 0;
}

/* Whether a name that is right in itself has a place in what a salvage has so far. */
static bool fits(const struct ka_ckpt_reader *r, const struct ka_inode *inode, const uint8_t *name,
		 size_t len)
{
	if (!r->dir || !inode || !ka_record_name_ok(name, len))
		return false;
	if (ka_dir_find(&r->fs->index.names, r->dir, (const char *)name, len))
		return false;
	return !S_ISDIR(inode->mode) || (!inode->dir->parent && !ka_dir_is_below(r->dir, inode));
}

static int get_name(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint64_t cookie = ka_varint_get(c), ino = ka_varint_get(c), len = ka_varint_get(c);
	const uint8_t *name = ka_bytes_get(c, len);
	struct ka_inode *inode = ka_index_find(&r->fs->index, ino);

	if (name && r->lenient && !fits(r, inode, name, len)) {
		r->lost_name = !inode && r->dir && ka_record_name_ok(name, len) ? name : NULL;
		r->lost_bytes = len;
		r->lost_ino = ino;
		return 0;
	}
	if (!name || !r->dir || !inode || cookie < r->dir->dir->next_cookie ||
	    cookie >= r->next_cookie || !ka_record_name_ok(name, len) ||
	    ka_dir_find(&r->fs->index.names, r->dir, (const char *)name, len))
		return -KA_ERR_CKPT_ITEM;
	if (S_ISDIR(inode->mode)) {
		if (inode->dir->parent || ino == KA_ROOT_INO)
			return -KA_ERR_CKPT_ITEM;
		inode->dir->parent = r->dir;
		r->dir->names++; /* ".." */
	}
	inode->names++;
	return ka_index_add_name(&r->fs->index, r->dir, (const char *)name, len, cookie, inode);
}

/* A symbolic link is followed by its target at once. */
static bool lacks_target(const struct ka_ckpt_reader *r)
{
	return r->inode && S_ISLNK(r->inode->mode) && !r->inode->target;
}

int ka_ckpt_get_item(struct ka_ckpt_reader *r, struct ka_cursor *c)
{
	uint8_t tag = *c->p++;

	r->lost_name = NULL;
	r->lost_len = 0;
	if (r->lenient && tag != KA_ITEM_TARGET && lacks_target(r))
		return -KA_ERR_CKPT_ITEM;
	if (!r->lenient && (r->has_end || r->has_head == (tag == KA_ITEM_HEAD) ||
			    (tag != KA_ITEM_TARGET && lacks_target(r))))
		return -KA_ERR_CKPT_ITEM;
	switch (tag) {
	case KA_ITEM_HEAD:
		return get_head(r, c);
	case KA_ITEM_SEGMENT:
		return get_segment(r, c);
	case KA_ITEM_INODE:
		return get_inode(r, c);
	case KA_ITEM_TARGET:
		return get_target(r, c);
	case KA_ITEM_XATTR:
		return get_xattr(r, c);
	case KA_ITEM_EXTENT:
		return get_extent(r, c);
	case KA_ITEM_DIR:
		return get_dir(r, c);
	case KA_ITEM_NAME:
		return get_name(r, c);
	case KA_ITEM_END:
		ka_ckpt_finish_dir(r);
		r->has_end = true;
		return 0;
	default:
		return -KA_ERR_CKPT_ITEM;
	}
}

static int get_chunk(struct ka_ckpt_reader *r, const uint8_t *data, size_t bytes)
{
	struct ka_cursor c = {.p = data, .end = data + bytes};
	int err = 0;

	while (!err && c.p < c.end) {
		err = ka_ckpt_get_item(r, &c);
		if (!err && c.bad)
			err = -KA_ERR_CKPT_ITEM;
	}
	return err;
}

/* What only the whole can show: a root, and the numbers that were promised. */
static bool complete(const struct ka_ckpt_reader *r, const struct ka_ckpt_ptr *ptr)
{
	const struct ka_index *ix = &r->fs->index;
	const struct ka_inode *root = ka_index_find(ix, KA_ROOT_INO);

	return r->has_end && r->head.seq == ptr->seq && ix->inodes.count == r->head.inodes &&
	       ix->names.count == r->head.names &&
	       atomic_load(&ix->extents.count) == r->head.extents && root && S_ISDIR(root->mode) &&
	       root->nlink;
}

/* No operation leaves a directory that is gone and has entries. */
static bool is_impossible(const struct ka_inode *inode)
{
	return S_ISDIR(inode->mode) && !inode->nlink && inode->dir->count;
}

static bool has_name(const struct ka_inode *inode)
{
	if (S_ISDIR(inode->mode))
		return inode->ino == KA_ROOT_INO || inode->dir->parent;
	return inode->names;
}

/*
 * Makes the link counts agree with the names. An inode without any name keeps
 * its own: it is an orphan, or something for fsck to connect.
 */
static void check_links(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	uint32_t want = inode->names + (S_ISDIR(inode->mode) ? 1 : 0);
	struct ka_fs *fs = ctx;

	if (inode->ino == KA_ROOT_INO)
		want++; /* the root has no name, yet counts like one */
	if (inode->nlink == want || (!has_name(inode) && !is_impossible(inode)))
		return;
	ka_msg(fs->sink, KA_MSG_ERROR,
	       "inode %" PRIu64 ": link count is %" PRIu32 " instead of %" PRIu32, inode->ino,
	       inode->nlink, want);
	inode->nlink = want;
	fs->wrong_links++;
}

int ka_ckpt_read(struct ka_fs *fs, const struct ka_ckpt_ptr *ptr, struct ka_ckpt_head *ret_head,
		 struct ka_ckpt_segments *segments)
{
	KA_AUTO_FREE uint8_t *chunk = malloc(KA_CHUNK_MAX);
	const uint8_t *base = ka_region_at(fs->rg, 0, 0), *data;
	struct ka_ckpt_reader r = {.fs = fs, .bytes = ptr->bytes};
	struct ka_ckpt_walk walk;
	uint64_t i, segment;
	size_t bytes;
	int err;

	err = chunk ? ka_ckpt_mark(fs, ptr, segments) : -ENOMEM;
	if (err)
		return err;
	ka_ckpt_walk_start(&walk, fs->rg, &fs->super, ptr);
	for (i = 0; i < ptr->chunks; i++) {
		err = ka_ckpt_walk_next(&walk, &data, &bytes, &segment);
		/* A copy, as the items are read while memory is taken: see ka_region_guard. */
		if (!err)
			err = ka_region_read(fs->rg, (uint64_t)(data - base), chunk, bytes);
		if (!err)
			err = get_chunk(&r, chunk, bytes);
		if (err)
			return err;
	}
	if (!complete(&r, ptr))
		return -KA_ERR_CKPT_CHAIN;
	fs->index.next_ino = r.head.next_ino;
	ka_index_find(&fs->index, KA_ROOT_INO)->dir->parent =
		ka_index_find(&fs->index, KA_ROOT_INO);
	ka_htab_visit(&fs->index.inodes, check_links, fs);
	*ret_head = r.head;
	return 0;
}

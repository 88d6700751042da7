/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ckpt_write.c - writes a checkpoint; see checkpoint.h.
 *
 * Crash argument. The chunks go into free segments and are fenced before the
 * superblock names them. Until then the old checkpoint and the log behind it
 * are untouched, because nothing that they need is ever free; afterwards the
 * new one holds all of it. Only then are the old segments given back.
 */
#include "checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "keepalive/xattr.h"
#include "varint.h"

#define PIECE_BYTES KA_PIECE_MAX
/* Head of a chunk, with a checksum for each piece. */
#define CHUNK_HEAD (sizeof(struct ka_rec_ckpt_disk) + 8 * (KA_CHUNK_MAX / PIECE_BYTES))
/* Kept free at the end of each segment for the link to the next. */
#define LINK_BYTES sizeof(struct ka_rec_ckpt_link_disk)

/* Most bytes of an item but for its strings; see the put_ functions. */
#define INODE_ITEM (1 + 18 * KA_VARINT_MAX)
#define SMALL_ITEM (1 + 6 * KA_VARINT_MAX)

struct writer {
	struct ka_fs *fs;
	struct ka_ckpt_segments *segments;
	struct ka_ckpt_ptr ptr;
	uint64_t gen;
	uint64_t next_gen; /* above those of all segments of this checkpoint */
	uint64_t addr;	   /* where the next record goes; 0 before the first segment */
	uint64_t end;
	uint8_t *chunk;
	size_t used;
	size_t limit; /* of this chunk */
	int err;
};

int ka_ckpt_segments_add(struct ka_ckpt_segments *s, uint64_t index)
{
	size_t capacity = s->capacity ? s->capacity * 2 : 8;
	uint64_t *bigger;

	if (s->count == s->capacity) {
		bigger = realloc(s->index, capacity * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		s->index = bigger;
		s->capacity = capacity;
	}
	s->index[s->count++] = index;
	return 0;
}

void ka_ckpt_segments_free(struct ka_fs *fs, struct ka_ckpt_segments *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		ka_segs_free(&fs->segs, s->index[i]);
	free(s->index);
	*s = (struct ka_ckpt_segments){0};
}

/*
 * Upper bounds of what an item costs, its strings aside (inode numbers and
 * cookies below 2^35): the reserve must never fall short of the checkpoint.
 */
#define INODE_COST   128 /* with the item of a directory */
#define NAME_COST    16
#define XATTR_COST   8
#define SEGMENT_COST 40

int ka_ckpt_room(struct ka_fs *fs, uint64_t growth, enum ka_space_class cls)
{
	const struct ka_index *ix = &fs->index;
	uint64_t room = fs->segs.bytes - sizeof(struct ka_segment_disk) - LINK_BYTES - CHUNK_HEAD;
	uint64_t extra = atomic_load(&ix->extra_bytes) + growth;
	uint64_t bytes = INODE_COST * ix->inodes.count + NAME_COST * ix->names.count +
			 atomic_load(&ix->name_bytes) +
			 KA_CKPT_EXTENT * atomic_load(&ix->extents.count) + extra +
			 XATTR_COST * atomic_load(&ix->xattrs) + SEGMENT_COST * fs->segs.count;
	uint64_t kept = atomic_load(&ix->extents.unwritten_bytes);
	uint64_t now = fs->ckpt[0].count + fs->ckpt[1].count, need;

	/* An item that does not fit moves on, and leaves that much unused. */
	room -= ka_min(extra, KA_XATTR_MAX + SMALL_ITEM + KA_XATTR_NAME_MAX);
	bytes += bytes / 64; /* heads of chunks */
	need = bytes / room + 1;
	atomic_store(&fs->segs.ckpt_cost, need);
	atomic_store(&fs->segs.ckpt_spare, fs->ckpt[1].count);
	/*
	 * The next checkpoint is written beside the ones there are, which are free
	 * only then; and the one after it has to be possible as well.
	 */
	atomic_store(&fs->segs.ckpt_need, ka_max(need, 2 * need - ka_min(2 * need, now)));
	kept += kept / 16; /* the heads of the records to come */
	atomic_store(&fs->segs.prealloc_need, kept ? kept / room + 1 : 0);
	return ka_segs_check(&fs->segs, cls);
}

static void store(struct writer *w, struct ka_rec_disk *head, const void *payload)
{
	head->log_id = ka_put64(w->fs->super.log_id);
	head->gen = ka_put32((uint32_t)w->gen);
	head->seq = ka_put64(w->ptr.seq);
	ka_log_store(&w->fs->log, w->addr, head, payload);
	w->addr += ka_get32(head->bytes);
}

static int next_segment(struct writer *w)
{
	struct ka_rec_ckpt_link_disk link = {0};
	struct ka_fs *fs = w->fs;
	uint64_t gen, index;
	int err;

	err = ka_log_take_segment(&fs->log, KA_SPACE_CKPT, KA_SEG_CKPT, &index, &gen);
	if (err)
		return -ENOSPC;
	err = ka_ckpt_segments_add(w->segments, index);
	if (err) {
		ka_segs_free(&fs->segs, index);
		return err;
	}
	if (w->addr) {
		ka_record_init(&link.h, KA_REC_CKPT_LINK, 0, sizeof(link), 0, 0);
		link.next_segment = ka_put64(index);
		store(w, &link.h, NULL);
	}
	ka_log_store_header(&fs->log, index, KA_SEGMENT_CKPT, gen, w->ptr.seq, NULL);
	w->gen = gen;
	w->addr = index * fs->segs.bytes + sizeof(struct ka_segment_disk);
	w->end = (index + 1) * fs->segs.bytes;
	if (!w->ptr.addr)
		w->ptr.addr = w->addr;
	return 0;
}

static void flush_chunk(struct writer *w)
{
	union {
		struct ka_rec_ckpt_disk rec;
		uint8_t bytes[CHUNK_HEAD];
	} head = {0};
	size_t pieces = (w->used + PIECE_BYTES - 1) / PIECE_BYTES;

	if (!w->used)
		return;
	head.rec.ordinal = ka_put64(w->ptr.chunks);
	head.rec.payload.bytes = ka_put32((uint32_t)w->used);
	head.rec.payload.piece_bytes = ka_put32(PIECE_BYTES);
	ka_record_init(&head.rec.h, KA_REC_CKPT, 0, sizeof(head.rec) + 8 * pieces, w->used, 0);
	store(w, &head.rec.h, w->chunk);
	w->ptr.chunks++;
	w->ptr.bytes += w->used;
	w->used = 0;
	w->limit = 0;
}

/* Payload that a chunk can have in what is left of the segment. */
static size_t chunk_limit(const struct writer *w)
{
	uint64_t left = w->end - w->addr, heads = CHUNK_HEAD + LINK_BYTES + KA_RECORD_ALIGN;

	return left > heads ? ka_min(left - heads, KA_CHUNK_MAX) : 0;
}

/* Where an item of up to bytes can be put; NULL once something went wrong. */
static uint8_t *begin_item(struct writer *w, size_t bytes, uint8_t tag)
{
	uint8_t *p;

	if (w->err)
		return NULL;
	if (w->used + bytes > w->limit) {
		flush_chunk(w);
		w->limit = chunk_limit(w);
		if (bytes > w->limit) {
			w->err = next_segment(w);
			if (w->err)
				return NULL;
			w->limit = chunk_limit(w);
		}
	}
	p = w->chunk + w->used;
	*p++ = tag;
	return p;
}

static void end_item(struct writer *w, const uint8_t *p)
{
	w->used = (size_t)(p - w->chunk);
}

static uint8_t *put_bytes(uint8_t *p, const void *data, size_t len)
{
	p = ka_varint_put(p, len);
	memcpy(p, data, len);
	return p + len;
}

static void put_head(struct writer *w)
{
	const struct ka_index *ix = &w->fs->index;
	uint8_t *p = begin_item(w, SMALL_ITEM, KA_ITEM_HEAD);

	if (!p)
		return;
	p = ka_varint_put(p, w->ptr.seq);
	p = ka_varint_put(p, ix->next_ino);
	p = ka_varint_put(p, w->next_gen);
	p = ka_varint_put(p, ix->inodes.count);
	p = ka_varint_put(p, ix->names.count);
	p = ka_varint_put(p, atomic_load(&ix->extents.count));
	end_item(w, p);
}

static unsigned segment_flags(const struct ka_seg *seg)
{
	return (seg->state == KA_SEG_OPEN ? KA_ITEM_SEGMENT_OPEN : 0) |
	       (atomic_load(&seg->bad) ? KA_ITEM_SEGMENT_BAD : 0);
}

/* Those above the boundary do not exist, and nothing lives there. */
static void put_segments(struct writer *w, uint64_t owned_bytes)
{
	struct ka_segs *segs = &w->fs->segs;
	uint64_t i;
	uint8_t *p;

	for (i = 1; i < segs->count && (i + 1) * segs->bytes <= owned_bytes; i++) {
		const struct ka_seg *seg = &segs->seg[i];

		if (seg->state != KA_SEG_OPEN && seg->state != KA_SEG_FULL &&
		    seg->state != KA_SEG_BAD)
			continue;
		p = begin_item(w, SMALL_ITEM, KA_ITEM_SEGMENT);
		if (!p)
			return;
		p = ka_varint_put(p, i);
		p = ka_varint_put(p, segment_flags(seg));
		p = ka_varint_put(p, seg->gen);
		p = ka_varint_put(p,
				  ka_max(atomic_load(&seg->used), sizeof(struct ka_segment_disk)));
		p = ka_varint_put(p, seg->writer);
		p = ka_varint_put(p, atomic_load(&seg->last_seq));
		end_item(w, p);
	}
}

static uint8_t *put_time(uint8_t *p, const struct ka_time *t)
{
	p = ka_varint_put(p, ka_zigzag(t->sec));
	return ka_varint_put(p, t->nsec);
}

static void put_inode(struct writer *w, const struct ka_inode *inode)
{
	uint8_t *p = begin_item(w, INODE_ITEM, KA_ITEM_INODE);

	if (!p)
		return;
	p = ka_varint_put(p, inode->ino);
	p = ka_varint_put(p, inode->mode);
	p = ka_varint_put(p, inode->uid);
	p = ka_varint_put(p, inode->gid);
	p = ka_varint_put(p, inode->nlink);
	p = ka_varint_put(p, inode->rdev);
	p = ka_varint_put(p, inode->size);
	p = put_time(p, &inode->atime);
	p = put_time(p, &inode->mtime);
	p = put_time(p, &inode->ctime);
	p = put_time(p, &inode->btime);
	end_item(w, p);
}

static void put_xattrs(struct writer *w, const struct ka_inode *inode)
{
	const struct ka_xattr *x;
	uint8_t *p;

	for (x = inode->xattrs; x; x = x->next) {
		p = begin_item(w, SMALL_ITEM + x->name_bytes + x->value_bytes, KA_ITEM_XATTR);
		if (!p)
			return;
		p = put_bytes(p, x->data, x->name_bytes);
		p = put_bytes(p, ka_xattr_value(x), x->value_bytes);
		end_item(w, p);
	}
}

static void put_extents(struct writer *w, const struct ka_inode *inode)
{
	const struct ka_extent *e;
	uint8_t *p;

	for (e = ka_extents_find(&inode->extents, 0); e; e = ka_extents_next(e)) {
		p = begin_item(w, SMALL_ITEM, KA_ITEM_EXTENT);
		if (!p)
			return;
		p = ka_varint_put(p, e->off);
		p = ka_varint_put(p, e->len);
		p = ka_varint_put(p, e->addr);
		if (e->addr) {
			p = ka_varint_put(p, e->seq);
			p = ka_varint_put(p, e->delta);
		}
		end_item(w, p);
	}
}

static void visit_inode(struct ka_hnode *node, void *ctx)
{
	const struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct writer *w = ctx;
	uint8_t *p;

	put_inode(w, inode);
	if (S_ISLNK(inode->mode)) {
		p = begin_item(w, SMALL_ITEM + KA_TARGET_MAX, KA_ITEM_TARGET);
		if (p)
			end_item(w, put_bytes(p, inode->target, strlen(inode->target)));
	}
	put_xattrs(w, inode);
	put_extents(w, inode);
}

/* Directories come after all inodes, so that reading finds what names name. */
static void visit_dir(struct ka_hnode *node, void *ctx)
{
	const struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	const struct ka_dirent *de;
	struct writer *w = ctx;
	uint8_t *p;
	size_t i;

	if (!S_ISDIR(inode->mode))
		return;
	p = begin_item(w, SMALL_ITEM, KA_ITEM_DIR);
	if (!p)
		return;
	p = ka_varint_put(p, inode->ino);
	p = ka_varint_put(p, inode->dir->next_cookie);
	end_item(w, p);
	for (i = 0; i < inode->dir->slots; i++) {
		de = inode->dir->slot[i].entry;
		if (!de)
			continue;
		p = begin_item(w, SMALL_ITEM + de->name_bytes, KA_ITEM_NAME);
		if (!p)
			return;
		p = ka_varint_put(p, de->cookie);
		p = ka_varint_put(p, de->inode->ino);
		end_item(w, put_bytes(p, de->name, de->name_bytes));
	}
}

/* What a reader would refuse must not replace what it can read; see ka_fs_open. */
static int check_numbers(const struct writer *w)
{
	if (w->ptr.seq >= KA_NUMBER_LIMIT || w->fs->index.next_ino >= KA_NUMBER_LIMIT ||
	    w->next_gen >= KA_GEN_LIMIT)
		return -EOVERFLOW;
	return 0;
}

int ka_ckpt_write(struct ka_fs *fs, uint64_t owned_bytes, struct ka_ckpt_ptr *ret_ptr,
		  struct ka_ckpt_segments *segments)
{
	struct writer w = {
		.fs = fs,
		.segments = segments,
		.ptr.seq = atomic_load(&fs->log.seq),
		.next_gen = atomic_load(&fs->log.gen) + fs->segs.count,
		.chunk = malloc(KA_CHUNK_MAX),
	};
	uint8_t *p;
	int err;

	w.err = w.chunk ? check_numbers(&w) : -ENOMEM;
	if (!w.err)
		w.err = next_segment(&w);
	w.limit = w.err ? 0 : chunk_limit(&w);
	put_head(&w);
	put_segments(&w, owned_bytes);
	ka_htab_visit(&fs->index.inodes, visit_inode, &w);
	ka_htab_visit(&fs->index.inodes, visit_dir, &w);
	p = begin_item(&w, SMALL_ITEM, KA_ITEM_END);
	if (p) {
		end_item(&w, p);
		flush_chunk(&w);
	}
	err = ka_region_fence(fs->rg); /* all of it before the superblock points at it */
	if (err)
		ka_log_broken(&fs->log, ka_segs_index(&fs->segs, ka_region_error_off()));
	w.err = w.err ?: err;
	free(w.chunk);
	/* Recovery tells by this what was opened later, so nothing later is below. */
	atomic_store(&fs->log.gen, w.next_gen);
	if (w.err) {
		ka_ckpt_segments_free(fs, segments);
		return w.err;
	}
	*ret_ptr = w.ptr;
	return 0;
}

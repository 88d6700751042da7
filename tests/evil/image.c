/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.c - regions to be damaged; see image.h. */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "fields.h"
#include "keepalive/csum.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "memfs.h"
#include "tree.h"

#define PAGE	    4096u
#define SMALL_BYTES (5ull << 20)
#define LONG_BYTES  (16ull << 20) /* the least with two log positions */

static void *must_alloc(size_t bytes)
{
	void *p = aligned_alloc(PAGE, ka_align_up(bytes, PAGE));

	if (!p)
		abort();
	memset(p, 0, bytes);
	return p;
}

/* ---- making them --------------------------------------------------------- */

/* Two checkpoints of the whole, so that the older one is no empty one. */
static void make_clean(struct memfs *m)
{
	evil_tree(m->fs);
	memfs_remount(m);
	assert_ok(ka_fs_checkpoint(m->fs));
	memfs_close(m);
}

static void make_unclean(struct memfs *m)
{
	make_clean(m);
	memfs_open(m);
	evil_tree_more(m->fs);
	memfs_abandon(m);
}

/* Threads on both processors have gone through several segments. */
static void make_long(struct memfs *m)
{
	evil_tree(m->fs);
	evil_tree_large(m->fs);
	memfs_remount(m);
	evil_tree_fill(m->fs, 2);
	fixed_cpu = 1;
	evil_tree_more(m->fs);
	memfs_write_pattern(m->fs, memfs_file(m->fs, KA_ROOT_INO, "other"), 0, 500000, 1);
	fixed_cpu = 0;
	memfs_abandon(m);
}

static void (*const makers[EVIL_BASES])(struct memfs *m) = {
	[EVIL_CLEAN] = make_clean,
	[EVIL_UNCLEAN] = make_unclean,
	[EVIL_LONG] = make_long,
};

static void note_super(struct evil_image *img)
{
	const struct ka_super_disk *sb = evil_super_at(img, 0);

	img->log_id = ka_get64(sb->log_id);
	img->segment_bytes = ka_get32(sb->segment_bytes);
	img->segments = ka_get64(sb->segments);
	img->ckpt_seq = ka_get64(sb->ckpt[0].seq);
	img->copy_addr[1] = ka_get64(sb->copy_addr[1]);
}

static void note_records(struct evil_image *img, const struct ka_region *rg, uint64_t index)
{
	uint64_t start = index * img->segment_bytes, addr;
	const struct ka_rec_disk *rec;
	struct ka_segment_info info;
	struct ka_scan scan;
	int err;

	if (ka_scan_header(rg, img->log_id, index, img->segment_bytes, &info))
		return;
	ka_scan_start(&scan, rg, img->log_id, info.gen, start + sizeof(struct ka_segment_disk),
		      start + img->segment_bytes);
	do {
		rec = NULL;
		err = ka_scan_next(&scan, &rec, &addr);
		if (!rec)
			break;
		img->rec = realloc(img->rec, (img->records + 1) * sizeof(*img->rec));
		assert_non_null(img->rec);
		img->rec[img->records++] = addr;
	} while (!err);
}

static void make(struct evil_image *img, enum evil_base base)
{
	struct memfs m;
	uint64_t i;

	img->bytes = base == EVIL_LONG ? LONG_BYTES : SMALL_BYTES;
	img->mem = must_alloc(img->bytes);
	img->base = must_alloc(img->bytes);
	img->dirty = must_alloc(img->bytes / PAGE + 1);
	setenv("KA_SEED", "1", false);
	fixed_cpus = 2;
	memfs_over(&m, img->mem, img->bytes);
	memfs_format(&m);
	memfs_open(&m);
	makers[base](&m);
	note_super(img);
	for (i = 1; i < img->segments; i++)
		note_records(img, m.rg, i);
	memcpy(img->base, img->mem, img->bytes);
	memfs_release(&m);
}

struct evil_image *evil_image(enum evil_base base)
{
	static struct evil_image images[EVIL_BASES];

	if (!images[base].mem)
		make(&images[base], base);
	evil_image_restore(&images[base]);
	return &images[base];
}

/* ---- changing them ------------------------------------------------------- */

void evil_image_restore(struct evil_image *img)
{
	uint64_t i, at;

	for (i = 0; i * PAGE < img->bytes; i++) {
		if (!img->dirty[i])
			continue;
		at = i * PAGE;
		memcpy(img->mem + at, img->base + at, ka_min(PAGE, img->bytes - at));
		img->dirty[i] = 0;
	}
}

void evil_image_touch(struct evil_image *img, uint64_t addr, uint64_t bytes)
{
	uint64_t first = addr / PAGE;

	if (bytes)
		memset(img->dirty + first, 1, (addr + bytes - 1) / PAGE - first + 1);
}

void evil_image_store(struct evil_image *img, uint64_t addr, const void *src, uint64_t bytes)
{
	addr = ka_min(addr, img->bytes);
	bytes = ka_min(bytes, img->bytes - addr);
	evil_image_touch(img, addr, bytes);
	if (bytes)
		memcpy(img->mem + addr, src, bytes);
}

struct ka_super_disk *evil_super_at(struct evil_image *img, unsigned copy)
{
	evil_image_touch(img, img->copy_addr[copy], KA_SUPER_BYTES);
	return (void *)(img->mem + img->copy_addr[copy]);
}

struct ka_segment_disk *evil_segment_at(struct evil_image *img, uint64_t index)
{
	evil_image_touch(img, index * img->segment_bytes, sizeof(struct ka_segment_disk));
	return (void *)(img->mem + index * img->segment_bytes);
}

struct ka_rec_disk *evil_rec_at(struct evil_image *img, uint64_t addr)
{
	return (void *)(img->mem + addr);
}

void evil_seal_super(struct evil_image *img, unsigned copy)
{
	struct ka_super_disk *sb = evil_super_at(img, copy);

	sb->csum = ka_put64(ka_csum(sb, offsetof(struct ka_super_disk, csum)));
}

void evil_seal_segment(struct evil_image *img, uint64_t index)
{
	struct ka_segment_disk *d = evil_segment_at(img, index);

	d->csum =
		ka_put64(ka_csum((const char *)d + sizeof(d->csum), sizeof(*d) - sizeof(d->csum)));
}

/* Sums the pieces of [data, data + room) that the payload says to have. */
static void seal_payload(struct ka_payload_disk *pl, size_t csums, const uint8_t *data, size_t room)
{
	struct ka_le64 *csum = (struct ka_le64 *)(pl + 1);
	uint64_t bytes = ka_get32(pl->bytes), piece = ka_get32(pl->piece_bytes), at, i;

	for (i = 0, at = 0; piece && i < csums && at < bytes && at < room; i++, at += piece)
		csum[i] =
			ka_put64(ka_csum(data + at, ka_min(piece, ka_min(bytes - at, room - at))));
}

void evil_seal_record(struct evil_image *img, uint64_t addr)
{
	uint64_t end = ka_align_down(addr, img->segment_bytes) + img->segment_bytes;
	uint64_t room = ka_min(end, img->bytes) - addr, head;
	struct ka_rec_disk *rec = evil_rec_at(img, addr);
	const struct evil_struct *type;
	struct ka_payload_disk *pl;
	size_t fixed;

	head = ka_get32(rec->head_bytes);
	if (head < sizeof(*rec) || head > room || head > KA_HEAD_MAX)
		return;
	evil_image_touch(img, addr, head);
	pl = (struct ka_payload_disk *)ka_record_payload(rec);
	type = evil_record_struct(ka_get16(rec->type));
	fixed = pl ? type->bytes : 0;
	if (pl && head >= fixed)
		seal_payload(pl, (head - fixed) / sizeof(struct ka_le64),
			     (const uint8_t *)rec + head, room - head);
	ka_record_seal(rec, addr);
}

/* ---- checkpoints --------------------------------------------------------- */

static struct ka_region *base_region(const struct evil_image *img)
{
	struct ka_region *rg;

	assert_ok(ka_region_open_mem(img->base, img->bytes, &rg));
	return rg;
}

static void start_walk(const struct evil_image *img, struct ka_region *rg,
		       struct ka_ckpt_walk *walk, uint64_t *ret_chunks)
{
	struct ka_super sb;

	(void)img;
	assert_ok(ka_super_read(rg, NULL, NULL, &sb));
	ka_ckpt_walk_start(walk, rg, &sb, &sb.ckpt[0]);
	*ret_chunks = sb.ckpt[0].chunks;
}

void evil_ckpt_items(const struct evil_image *img, struct evil_items *ret)
{
	struct ka_region *rg = base_region(img);
	uint64_t chunks, segment;
	struct ka_ckpt_walk walk;
	const uint8_t *data;
	size_t bytes;

	*ret = (struct evil_items){0};
	start_walk(img, rg, &walk, &chunks);
	while (chunks--) {
		assert_ok(ka_ckpt_walk_next(&walk, &data, &bytes, &segment));
		evil_items_parse(ret, data, bytes);
	}
	ka_region_close(rg);
}

/* Where a checkpoint is written: the segments that it has in the base. */
struct place {
	struct evil_image *img;
	uint64_t segment[16];
	size_t segments;
	size_t in; /* the one being written */
	uint64_t addr;
	uint64_t chunks;
	uint64_t bytes;
};

static void find_place(struct evil_image *img, struct place *p)
{
	struct ka_region *rg = base_region(img);
	uint64_t chunks, segment;
	struct ka_ckpt_walk walk;
	const uint8_t *data;
	size_t bytes;

	*p = (struct place){.img = img};
	start_walk(img, rg, &walk, &chunks);
	while (chunks--) {
		assert_ok(ka_ckpt_walk_next(&walk, &data, &bytes, &segment));
		if (segment && p->segments < KA_ARRAY_SIZE(p->segment))
			p->segment[p->segments++] = segment;
	}
	ka_region_close(rg);
	p->addr = p->segment[0] * img->segment_bytes + sizeof(struct ka_segment_disk);
}

static uint64_t left_in(const struct place *p)
{
	return (p->segment[p->in] + 1) * p->img->segment_bytes - p->addr;
}

static void put_record(struct place *p, struct ka_rec_disk *head, const uint8_t *payload,
		       size_t bytes)
{
	const struct ka_segment_disk *seg = evil_segment_at(p->img, p->segment[p->in]);
	uint64_t addr = p->addr;

	head->log_id = ka_put64(p->img->log_id);
	head->gen = ka_put32((uint32_t)ka_get64(seg->gen));
	head->seq = ka_put64(p->img->ckpt_seq);
	evil_image_store(p->img, addr, head, ka_get32(head->head_bytes));
	evil_image_store(p->img, addr + ka_get32(head->head_bytes), payload, bytes);
	evil_seal_record(p->img, addr);
	p->addr += ka_get32(head->bytes);
}

static bool next_segment(struct place *p)
{
	struct ka_rec_ckpt_link_disk link = {0};

	if (p->in + 1 >= p->segments)
		return false;
	ka_record_init(&link.h, KA_REC_CKPT_LINK, 0, sizeof(link), 0, 0);
	link.next_segment = ka_put64(p->segment[p->in + 1]);
	put_record(p, &link.h, NULL, 0);
	p->in++;
	p->addr = p->segment[p->in] * p->img->segment_bytes + sizeof(struct ka_segment_disk);
	return true;
}

#define PIECES	   (KA_CHUNK_MAX / KA_PIECE_MAX)
#define CHUNK_HEAD (sizeof(struct ka_rec_ckpt_disk) + PIECES * sizeof(struct ka_le64))

static bool put_chunk(struct place *p, const uint8_t *payload, size_t bytes)
{
	union {
		struct ka_rec_ckpt_disk rec;
		uint8_t bytes[CHUNK_HEAD];
	} head = {0};
	size_t pieces = (bytes + KA_PIECE_MAX - 1) / KA_PIECE_MAX;

	if (left_in(p) <
		    CHUNK_HEAD + bytes + KA_RECORD_ALIGN + sizeof(struct ka_rec_ckpt_link_disk) &&
	    !next_segment(p))
		return false;
	head.rec.ordinal = ka_put64(p->chunks);
	head.rec.payload.bytes = ka_put32((uint32_t)bytes);
	head.rec.payload.piece_bytes = ka_put32(KA_PIECE_MAX);
	ka_record_init(&head.rec.h, KA_REC_CKPT, 0,
		       sizeof(head.rec) + pieces * sizeof(struct ka_le64), bytes, 0);
	put_record(p, &head.rec.h, payload, bytes);
	p->chunks++;
	p->bytes += bytes;
	return true;
}

static void point_at(const struct place *p)
{
	struct ka_super_disk *sb;
	unsigned i;

	for (i = 0; i < KA_SUPER_COPIES; i++) {
		sb = evil_super_at(p->img, i);
		sb->ckpt[0].addr = ka_put64(p->segment[0] * p->img->segment_bytes +
					    sizeof(struct ka_segment_disk));
		sb->ckpt[0].chunks = ka_put64(p->chunks);
		sb->ckpt[0].bytes = ka_put64(p->bytes);
		evil_seal_super(p->img, i);
	}
}

bool evil_ckpt_store(struct evil_image *img, const uint8_t *payload, const size_t *ends,
		     size_t pieces)
{
	size_t from = 0, to = 0, i;
	struct place p;
	bool ok = true;

	find_place(img, &p);
	for (i = 0; ok && i < pieces; i++) {
		if (ends[i] - from > KA_CHUNK_MAX && to > from) {
			ok = put_chunk(&p, payload + from, to - from);
			from = to;
		}
		ok = ok && ends[i] - from <= KA_CHUNK_MAX;
		to = ends[i];
	}
	if (ok && to > from)
		ok = put_chunk(&p, payload + from, to - from);
	point_at(&p);
	return ok;
}

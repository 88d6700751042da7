/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump.c - keepalivectl dump of a whole region: superblock copies, checkpoints, segments, and
 * with --records every record, as far as they are valid.
 *
 * Media is believed only where a validator of the core has passed. JSON is
 * printed member by member, so that a large log need not fit into memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "ctl.h"
#include "dump.h"
#include "dump_record.h"
#include "emit.h"
#include "keepalive/err.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"
#include "program.h"

/* ---- output -------------------------------------------------------------- */

void dump_put_json(struct dump *d, const char *key, struct json_object *obj)
{
	fputs(d->first ? "\n" : ",\n", stdout);
	d->first = false;
	if (key)
		printf("\"%s\": ", key);
	fputs(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_SPACED |
							  JSON_C_TO_STRING_NOSLASHESCAPE),
	      stdout);
	json_object_put(obj);
}

struct emit dump_emit(const struct dump *d, bool lines)
{
	return (struct emit){
		.obj = d->args->json ? json_object_new_object() : NULL,
		.lines = lines,
	};
}

/* ---- superblock ---------------------------------------------------------- */

bool dump_usable(int err)
{
	return !err || err == -KA_ERR_SUPER_RO_FEATURE;
}

static void super_geometry(struct emit *e, const struct ka_super *sb)
{
	emit_u64(e, "disk_version", sb->disk_version);
	emit_hex(e, "feature_compat", sb->feature_compat);
	emit_hex(e, "feature_ro_compat", sb->feature_ro_compat);
	emit_hex(e, "feature_incompat", sb->feature_incompat);
	emit_uuid(e, "uuid", sb->uuid);
	emit_hex(e, "log_id", sb->log_id);
	emit_bytes(e, "label", sb->label, strlen(sb->label));
	emit_u64(e, "capacity_bytes", sb->capacity_bytes);
	emit_u64(e, "slice_bytes", sb->slice_bytes);
	emit_u64(e, "first_slice_bytes", sb->first_slice_bytes);
	emit_u64(e, "slices", sb->slices);
	emit_u64(e, "segment_bytes", sb->segment_bytes);
	emit_u64(e, "segments", sb->segments);
	emit_hex(e, "phys_addr", sb->phys_addr);
}

static void super_state(struct emit *e, const struct ka_super *sb)
{
	emit_text(e, "state", ctl_state_name(sb->state));
	emit_u64(e, "owned_bytes", sb->owned_bytes);
	emit_hex(e, "flags", sb->flags);
	emit_time(e, "mkfs_time", sb->mkfs_ns);
	emit_time(e, "mount_time", sb->mount_ns);
	emit_time(e, "clean_time", sb->clean_ns);
	emit_time(e, "unclean_time", sb->unclean_ns);
	emit_u64(e, "mounts", sb->mounts);
	emit_u64(e, "recovered", sb->recovered);
	emit_u64(e, "torn", sb->torn);
	emit_u64(e, "lost", sb->lost);
}

/* Whether two copies differ in nothing but their number. */
static bool same_copy(const struct ka_super_disk *a, const struct ka_super_disk *b)
{
	size_t behind = offsetof(struct ka_super_disk, copy) + sizeof(a->copy);

	return !memcmp(a, b, offsetof(struct ka_super_disk, copy)) &&
	       !memcmp((const char *)a + behind, (const char *)b + behind,
		       offsetof(struct ka_super_disk, csum) - behind);
}

struct json_object *dump_copy(struct dump *d, int copy, uint64_t addr, int err)
{
	struct emit e = dump_emit(d, true);
	struct ka_super_disk disk;
	struct ka_super sb;

	if (!d->args->json) {
		printf("superblock copy %d", copy);
		if (addr || !copy)
			printf(" at 0x%" PRIx64, addr);
		printf(": %s\n", err ? ka_strerror(err) : "valid");
	} else {
		emit_u64(&e, "copy", (uint64_t)copy);
		emit_hex(&e, "addr", addr);
		emit_bool(&e, "valid", dump_usable(err));
		emit_text(&e, "error", err ? ka_strerror(err) : NULL);
	}
	if (!dump_usable(err) || ka_region_read(d->rg, addr, &disk, sizeof(disk)) ||
	    !dump_usable(ka_super_decode(&disk, &sb)))
		return e.obj;
	if (!d->args->json && d->is_shown && same_copy(&d->shown, &disk))
		return NULL;
	d->shown = disk;
	d->is_shown = true;
	emit_u64(&e, "super_seq", sb.seq);
	super_geometry(&e, &sb);
	super_state(&e, &sb);
	return e.obj;
}

/* 0, or why no copy can be used, which was explained. */
static int dump_super(struct dump *d)
{
	struct json_object *copies = d->args->json ? json_object_new_array() : NULL;
	struct ka_super_report rep;
	struct json_object *obj;
	int i, err;

	err = ka_super_read(d->rg, d->args->sink, &rep, &d->super);
	for (i = 0; i < KA_SUPER_COPIES; i++) {
		obj = dump_copy(d, i, rep.copy_addr[i], rep.copy_err[i]);
		if (copies)
			json_object_array_add(copies, obj);
	}
	if (copies)
		dump_put_json(d, "superblocks", copies);
	return dump_usable(err) ? 0 : err;
}

/* ---- checkpoints --------------------------------------------------------- */

static uint64_t segment_addr(const struct dump *d, uint64_t index)
{
	return index * d->super.segment_bytes;
}

/* Starts to scan a checkpoint at addr, in whatever segment that is. */
static int enter_ckpt(const struct dump *d, uint64_t addr, struct ka_scan *ret_scan)
{
	uint64_t index = addr / d->super.segment_bytes;
	struct ka_segment_info info;
	int err;

	if (!index || index >= d->segments)
		return -KA_ERR_CKPT_CHAIN;
	err = ka_scan_header(d->rg, d->super.log_id, index, d->super.segment_bytes, &info);
	if (err)
		return err;
	if (info.kind != KA_SEGMENT_CKPT)
		return -KA_ERR_CKPT_CHAIN;
	ka_scan_start(ret_scan, d->rg, d->super.log_id, info.gen, addr, segment_addr(d, index + 1));
	return 0;
}

/* The next chunk, through links, of which hops limits the number. */
static int next_chunk(const struct dump *d, struct ka_scan *scan, uint64_t *hops,
		      const struct ka_rec_disk **ret_rec, uint64_t *ret_addr)
{
	const struct ka_rec_ckpt_link_disk *link;
	uint64_t next;
	int err;

	for (;;) {
		err = ka_scan_next(scan, ret_rec, ret_addr);
		if (err)
			return err < 0 ? err : -KA_ERR_CKPT_CHAIN;
		if (ka_get16((*ret_rec)->type) == KA_REC_CKPT)
			return 0;
		if (ka_get16((*ret_rec)->type) != KA_REC_CKPT_LINK || !(*hops)--)
			return -KA_ERR_CKPT_CHAIN;
		link = (const void *)*ret_rec;
		next = ka_get64(link->next_segment);
		if (next >= d->segments)
			return -KA_ERR_CKPT_CHAIN;
		err = enter_ckpt(d, segment_addr(d, next) + sizeof(struct ka_segment_disk), scan);
		if (err)
			return err;
	}
}

static void dump_chunk(const struct dump *d, const struct ka_rec_disk *rec, uint64_t addr,
		       struct json_object *chunks)
{
	struct emit e = dump_emit(d, false);

	if (!chunks)
		fputs("  chunk", stdout);
	dump_record(&e, d->rg, rec, addr);
	if (chunks)
		json_object_array_add(chunks, e.obj);
	else
		putchar('\n');
}

/* Returns the first thing that is wrong with the chain, or 0. */
static int dump_chunks(const struct dump *d, const struct ka_ckpt_ptr *ptr,
		       struct json_object *chunks)
{
	const struct ka_rec_ckpt_disk *chunk;
	const struct ka_rec_disk *rec;
	uint64_t i, addr, hops = d->segments;
	struct ka_scan scan;
	int err;

	err = enter_ckpt(d, ptr->addr, &scan);
	for (i = 0; !err && i < ptr->chunks; i++) {
		err = next_chunk(d, &scan, &hops, &rec, &addr);
		if (err)
			break;
		dump_chunk(d, rec, addr, chunks);
		chunk = (const void *)rec;
		if (ka_get64(chunk->ordinal) != i || ka_get64(rec->seq) != ptr->seq)
			err = -KA_ERR_CKPT_CHAIN;
	}
	return err;
}

static struct json_object *dump_ckpt_ptr(const struct dump *d, const struct ka_ckpt_ptr *ptr,
					 const char *what)
{
	struct emit e = dump_emit(d, false);
	struct json_object *chunks = e.obj ? json_object_new_array() : NULL;
	int err;

	if (e.obj)
		emit_text(&e, "which", what);
	else
		printf("%s checkpoint:", what);
	emit_u64(&e, "seq", ptr->seq);
	emit_hex(&e, "addr", ptr->addr);
	emit_u64(&e, "chunks", ptr->chunks);
	emit_u64(&e, "bytes", ptr->bytes);
	if (!e.obj)
		putchar('\n');
	err = dump_chunks(d, ptr, chunks);
	if (e.obj) {
		json_object_object_add(e.obj, "chunk_records", chunks);
		emit_text(&e, "error", err ? ka_strerror(err) : NULL);
	} else if (err) {
		printf("  not complete: %s\n", ka_strerror(err));
	}
	return e.obj;
}

static void dump_checkpoints(struct dump *d)
{
	static const char *const which[] = {"newest", "previous"};
	struct json_object *all = d->args->json ? json_object_new_array() : NULL;
	struct json_object *obj;
	size_t i;

	for (i = 0; i < KA_ARRAY_SIZE(which); i++) {
		if (!d->super.ckpt[i].addr)
			continue;
		obj = dump_ckpt_ptr(d, &d->super.ckpt[i], which[i]);
		if (all)
			json_object_array_add(all, obj);
	}
	if (all)
		dump_put_json(d, "checkpoints", all);
}

/* ---- segments ------------------------------------------------------------ */

/* What a walk over one segment found. */
struct walk {
	uint64_t records;
	uint64_t bytes; /* of them */
	uint64_t first_seq, last_seq;
	uint64_t gaps;	    /* places where a record should be and another follows */
	uint64_t end_addr;  /* where it stopped */
	const char *end;    /* how */
	int err;	    /* what is wrong there */
	uint64_t error_off; /* of a memory error */
};

/* Whether a record of this use of the segment was begun where the scan is. */
static bool was_begun(const struct ka_scan *scan)
{
	struct ka_rec_disk rec;

	return !ka_region_read(scan->rg, scan->addr, &rec, sizeof(rec)) &&
	       ka_get64(rec.log_id) == scan->ident.log_id && ka_get32(rec.gen) == scan->ident.gen;
}

static void see_record(const struct dump *d, struct walk *w, const struct ka_rec_disk *rec,
		       uint64_t addr, struct json_object *records)
{
	struct emit e;

	if (!w->records++)
		w->first_seq = ka_get64(rec->seq);
	w->last_seq = ka_get64(rec->seq);
	if (ka_get16(rec->type) != KA_REC_END)
		w->bytes += ka_get32(rec->bytes);
	if (!d->args->records)
		return;
	e = dump_emit(d, false);
	if (!e.obj)
		fputs("   ", stdout);
	dump_record(&e, d->rg, rec, addr);
	if (e.obj)
		json_object_array_add(records, e.obj);
	else
		putchar('\n');
}

/* What w says is wrong, from there to where the next record is. */
static void see_gap(const struct dump *d, struct walk *w, uint64_t from, uint64_t to,
		    struct json_object *records)
{
	char buf[DUMP_REASON_MAX];
	struct emit e;

	w->gaps++;
	if (!d->args->records)
		return;
	e = dump_emit(d, false);
	if (!e.obj)
		fputs("   ", stdout);
	emit_hex(&e, "addr", from);
	emit_text(&e, "type", "damaged");
	emit_u64(&e, "bytes", to - from);
	emit_text(&e, "error", dump_reason(buf, w->err, w->error_off));
	if (e.obj)
		json_object_array_add(records, e.obj);
	else
		putchar('\n');
}

static void walk_segment(const struct dump *d, uint64_t index, const struct ka_segment_info *info,
			 struct walk *w, struct json_object *records)
{
	uint64_t addr, from = segment_addr(d, index) + sizeof(struct ka_segment_disk);
	const struct ka_rec_disk *rec;
	struct ka_scan scan;
	int err;

	*w = (struct walk){.end = info->kind == KA_SEGMENT_LOG ? "open" : "end"};
	ka_scan_start(&scan, d->rg, d->super.log_id, info->gen, from, segment_addr(d, index + 1));
	for (;;) {
		rec = NULL;
		err = ka_scan_next(&scan, &rec, &addr);
		if (err >= 0 && rec)
			see_record(d, w, rec, addr, records);
		if (err == KA_SCAN_END) {
			w->end = rec ? "closed" : "full";
			w->end_addr = rec ? addr : scan.addr;
			return;
		}
		if (!err)
			continue;
		from = scan.addr;
		w->err = err;
		w->error_off = ka_region_error_off();
		if (ka_scan_resync(&scan)) {
			see_gap(d, w, from, scan.addr, records);
			w->err = 0;
			continue;
		}
		w->end_addr = from;
		if (err == -KA_ERR_MEMORY)
			w->end = "unreadable";
		else if (was_begun(&scan))
			w->end = "torn";
		else
			w->err = 0;
		return;
	}
}

const char *dump_kind_name(enum ka_segment_kind kind)
{
	return kind == KA_SEGMENT_LOG ? "log" : "checkpoint";
}

static void print_header(const struct dump *d, uint64_t index, const struct ka_segment_info *info)
{
	printf("segment %" PRIu64 ": %s gen=%" PRIu64 " writer=%" PRIu32 " prev_gen=%" PRIu64
	       " open_seq=%" PRIu64 "%s",
	       index, dump_kind_name(info->kind), info->gen, info->writer, info->prev_gen,
	       info->open_seq, d->args->records ? "\n" : "");
}

static void print_walk(const struct dump *d, const struct walk *w)
{
	char buf[DUMP_REASON_MAX];

	printf("%s records=%" PRIu64 " bytes=%" PRIu64, d->args->records ? " " : "", w->records,
	       w->bytes);
	if (w->records)
		printf(" seq=%" PRIu64 "..%" PRIu64, w->first_seq, w->last_seq);
	if (w->gaps)
		printf(" damaged_places=%" PRIu64, w->gaps);
	printf(" %s at 0x%" PRIx64, w->end, w->end_addr);
	if (w->err)
		printf(": %s", dump_reason(buf, w->err, w->error_off));
	putchar('\n');
}

static void json_segment(struct dump *d, uint64_t index, const struct ka_segment_info *info,
			 const struct walk *w, struct json_object *records)
{
	struct emit e = dump_emit(d, false);
	char buf[DUMP_REASON_MAX];

	emit_u64(&e, "index", index);
	emit_hex(&e, "addr", segment_addr(d, index));
	emit_text(&e, "kind", dump_kind_name(info->kind));
	emit_u64(&e, "gen", info->gen);
	emit_u64(&e, "writer", info->writer);
	emit_u64(&e, "prev_gen", info->prev_gen);
	emit_u64(&e, "open_seq", info->open_seq);
	emit_u64(&e, "records", w->records);
	emit_u64(&e, "bytes", w->bytes);
	emit_u64(&e, "first_seq", w->first_seq);
	emit_u64(&e, "last_seq", w->last_seq);
	emit_u64(&e, "damaged_places", w->gaps);
	emit_text(&e, "end", w->end);
	emit_hex(&e, "end_addr", w->end_addr);
	emit_text(&e, "error", dump_reason(buf, w->err, w->error_off));
	if (records)
		json_object_object_add(e.obj, "record_list", records);
	dump_put_json(d, NULL, e.obj);
}

static void dump_segment(struct dump *d, uint64_t index, const struct ka_segment_info *info)
{
	struct json_object *records = NULL;
	struct walk w;

	if (d->args->json && d->args->records)
		records = json_object_new_array();
	if (!d->args->json)
		print_header(d, index, info);
	walk_segment(d, index, info, &w, records);
	if (d->args->json)
		json_segment(d, index, info, &w, records);
	else
		print_walk(d, &w);
}

/* A header of this filesystem that is broken, not one that never was. */
static bool is_damaged_header(const struct dump *d, uint64_t index)
{
	struct ka_segment_disk h;

	return !ka_region_read(d->rg, segment_addr(d, index), &h, sizeof(h)) &&
	       (ka_get32(h.magic) == KA_SEGMENT_MAGIC || ka_get64(h.log_id) == d->super.log_id);
}

static void dump_bad_header(struct dump *d, uint64_t index, const char *reason)
{
	struct emit e = dump_emit(d, false);

	if (!e.obj) {
		printf("segment %" PRIu64 ": %s\n", index, reason);
		return;
	}
	emit_u64(&e, "index", index);
	emit_hex(&e, "addr", segment_addr(d, index));
	emit_text(&e, "kind", NULL);
	emit_text(&e, "error", reason);
	dump_put_json(d, NULL, e.obj);
}

static void print_rest(const struct dump *d, uint64_t unused)
{
	if (!d->args->json) {
		printf("segments without a header: %" PRIu64 "\n", unused);
		printf("segments lent: %" PRIu64 "\n", d->super.segments - d->segments);
		return;
	}
	printf("\n],\n\"segments_without_header\": %" PRIu64, unused);
	printf(",\n\"segments_lent\": %" PRIu64, d->super.segments - d->segments);
}

/* The first one holds the superblock; what is lent is not looked at. */
static void dump_segments(struct dump *d)
{
	struct ka_segment_info info;
	char buf[DUMP_REASON_MAX];
	uint64_t i, unused = 0;
	int err;

	if (d->args->json)
		fputs(",\n\"segments\": [", stdout);
	d->first = true;
	for (i = 1; i < d->segments; i++) {
		err = ka_scan_header(d->rg, d->super.log_id, i, d->super.segment_bytes, &info);
		if (!err)
			dump_segment(d, i, &info);
		else if (err == -KA_ERR_MEMORY || is_damaged_header(d, i))
			dump_bad_header(d, i, dump_reason(buf, err, ka_region_error_off()));
		else
			unused++;
	}
	print_rest(d, unused);
}

/* ---- the whole ------------------------------------------------------------ */

void dump_region(struct dump *d)
{
	const struct ka_region_info *info = ka_region_info(d->rg);
	struct emit e = dump_emit(d, true);

	if (!e.obj)
		return;
	emit_bytes(&e, "path", info->path, strlen(info->path));
	emit_u64(&e, "bytes", info->capacity_bytes);
	dump_put_json(d, "version", json_object_new_string(KEEPALIVE_VERSION));
	dump_put_json(d, "region", e.obj);
}

int dump_all(struct dump *d)
{
	int err;

	if (d->args->json)
		putchar('{');
	dump_region(d);
	err = dump_super(d);
	if (!err) {
		d->segments =
			ka_min(d->super.segments, d->super.owned_bytes / d->super.segment_bytes);
		dump_checkpoints(d);
		dump_segments(d);
	}
	if (d->args->json)
		puts("\n}");
	return err;
}

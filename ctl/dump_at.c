/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump_at.c - keepalivectl dump --offset: whatever lies at an address.
 *
 * A record is looked for at the address itself first, so that one is found in a
 * segment that is destroyed; then by walking from the head of the segment.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dump.h"
#include "dump_record.h"
#include "keepalive/err.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"

/* Begins the answer; its values go to the emit that it returns. */
static struct emit begin(struct dump *d, const char *what, uint64_t addr, int err)
{
	struct emit e = dump_emit(d, true);
	char buf[DUMP_REASON_MAX];
	const char *reason = dump_reason(buf, err, ka_region_error_off());

	if (!e.obj) {
		printf("%s at 0x%" PRIx64 ": %s\n", what, addr, reason ?: "valid");
		return e;
	}
	emit_text(&e, "what", what);
	emit_hex(&e, "addr", addr);
	emit_bool(&e, "valid", !err);
	emit_text(&e, "error", reason);
	return e;
}

static void finish(struct dump *d, struct emit *e)
{
	if (e->obj)
		dump_put_json(d, "at", e->obj);
}

/* ---- superblock ------------------------------------------------------------- */

static bool has_magic(const struct dump *d, uint64_t addr)
{
	struct ka_super_disk disk;

	return !ka_region_read(d->rg, addr, &disk, sizeof(disk)) &&
	       !memcmp(disk.magic, KA_SUPER_MAGIC, sizeof(disk.magic));
}

/* Where a copy is, or could be: also where no copy is usable. */
static bool is_super(const struct dump *d, uint64_t addr, bool known)
{
	uint64_t end = addr + KA_SUPER_BYTES;

	if (!addr || (known && addr == d->super.copy_addr[1]))
		return true;
	return !known && ka_is_pow2(end) && end >= KA_SEGMENT_MIN && end <= KA_SEGMENT_MAX &&
	       has_magic(d, addr);
}

static void show_super(struct dump *d, uint64_t addr)
{
	struct ka_super_disk disk;
	struct json_object *obj;
	struct ka_super sb;
	int err;

	err = ka_region_read(d->rg, addr, &disk, sizeof(disk));
	err = err ?: ka_super_decode(&disk, &sb);
	obj = dump_copy(d, addr != 0, addr, err);
	if (!d->args->json)
		return;
	json_object_object_add(obj, "what", json_object_new_string("superblock"));
	dump_put_json(d, "at", obj);
}

/* ---- segment ------------------------------------------------------------------ */

static void show_header(struct dump *d, uint64_t index)
{
	uint64_t addr = index * d->super.segment_bytes;
	struct ka_segment_info info;
	struct ka_segment_disk h;
	int unread = ka_region_read(d->rg, addr, &h, sizeof(h));
	int err = ka_scan_header(d->rg, d->super.log_id, index, d->super.segment_bytes, &info);
	struct emit e = begin(d, "segment header", addr, unread ?: err);

	emit_u64(&e, "segment", index);
	if (!err) {
		emit_text(&e, "kind", dump_kind_name(info.kind));
	} else if (!unread) {
		emit_hex(&e, "magic", ka_get32(h.magic));
		emit_u64(&e, "kind_number", ka_get32(h.kind));
		emit_u64(&e, "index", ka_get64(h.index));
	}
	if (!unread) {
		emit_hex(&e, "log_id", ka_get64(h.log_id));
		emit_u64(&e, "gen", ka_get64(h.gen));
		emit_u64(&e, "open_seq", ka_get64(h.open_seq));
		emit_u64(&e, "writer", ka_get32(h.writer));
		emit_u64(&e, "prev_gen", ka_get64(h.prev_gen));
	}
	finish(d, &e);
}

/* ---- record -------------------------------------------------------------------- */

/* The fields as they lie there, whatever they are worth. */
static void show_raw(struct dump *d, uint64_t addr, int err)
{
	struct ka_rec_disk rec;
	int unread = ka_region_read(d->rg, addr, &rec, sizeof(rec));
	struct emit e = begin(d, "no record", addr, unread ?: err);

	if (!unread) {
		emit_hex(&e, "csum", ka_get64(rec.csum));
		emit_hex(&e, "log_id", ka_get64(rec.log_id));
		emit_u64(&e, "seq", ka_get64(rec.seq));
		emit_u64(&e, "gen", ka_get32(rec.gen));
		emit_u64(&e, "bytes", ka_get32(rec.bytes));
		emit_u64(&e, "head_bytes", ka_get32(rec.head_bytes));
		emit_text(&e, "type", ka_record_type_name(ka_get16(rec.type)));
		emit_hex(&e, "flags", ka_get16(rec.flags));
	}
	finish(d, &e);
}

static void show_record(struct dump *d, const struct ka_rec_disk *rec, uint64_t addr, uint64_t at)
{
	struct emit e = begin(d, "record", addr, 0);
	uint64_t in = at - addr, head = ka_get32(rec->head_bytes);

	e.lines = true;
	emit_u64(&e, "gen", ka_get32(rec->gen));
	emit_u64(&e, "head_bytes", head);
	emit_text(&e, "part", in < head ? "head" : "data");
	emit_u64(&e, "part_off", in < head ? in : in - head);
	dump_record(&e, d->rg, rec, addr);
	finish(d, &e);
}

/* A record that begins at addr, of the use of the segment that it says itself. */
static int own_record(const struct dump *d, uint64_t addr, uint64_t end,
		      const struct ka_rec_disk **ret_rec)
{
	struct ka_rec_disk head;
	struct ka_scan scan;
	uint64_t at;
	int err;

	if (addr % KA_RECORD_ALIGN || end - addr < sizeof(head))
		return -KA_ERR_RECORD_FRAME;
	err = ka_region_read(d->rg, addr, &head, sizeof(head));
	if (err)
		return err;
	ka_scan_start(&scan, d->rg, d->super.log_id, ka_get32(head.gen), addr, end);
	err = ka_scan_next(&scan, ret_rec, &at);
	return err == KA_SCAN_END ? 0 : err;
}

/* Walks from the head of the segment to the record with the byte at at. */
static bool find_record(const struct dump *d, uint64_t index, uint64_t at,
			const struct ka_rec_disk **ret_rec, uint64_t *ret_addr)
{
	uint64_t bytes = d->super.segment_bytes, start = index * bytes;
	struct ka_segment_info info;
	struct ka_scan scan;
	int err;

	if (ka_scan_header(d->rg, d->super.log_id, index, (uint32_t)bytes, &info))
		return false;
	ka_scan_start(&scan, d->rg, d->super.log_id, info.gen,
		      start + sizeof(struct ka_segment_disk), start + bytes);
	while (scan.addr <= at) {
		*ret_rec = NULL;
		err = ka_scan_next(&scan, ret_rec, ret_addr);
		if (*ret_rec && ka_range_ok(at - *ret_addr, 1, ka_get32((*ret_rec)->bytes)))
			return true;
		if (err > 0 || (err && !ka_scan_resync(&scan)))
			return false;
	}
	return false;
}

static void show_in_log(struct dump *d, uint64_t index, uint64_t at)
{
	uint64_t end = (index + 1) * d->super.segment_bytes, addr;
	const struct ka_rec_disk *rec;
	int err = own_record(d, at, end, &rec);

	if (!err)
		show_record(d, rec, at, at);
	else if (find_record(d, index, at, &rec, &addr))
		show_record(d, rec, addr, at);
	else
		show_raw(d, ka_align_down(at, KA_RECORD_ALIGN), err);
}

/* ---- which ----------------------------------------------------------------------- */

static void show_nothing(struct dump *d, const char *what, uint64_t addr)
{
	struct emit e = dump_emit(d, true);

	if (!e.obj) {
		printf("%s at 0x%" PRIx64 "\n", what, addr);
		return;
	}
	emit_text(&e, "what", what);
	emit_hex(&e, "addr", addr);
	finish(d, &e);
}

static void show(struct dump *d, uint64_t addr)
{
	uint64_t index = addr / d->super.segment_bytes;

	if (index < d->super.segments && index >= d->segments)
		show_nothing(d, "lent memory", addr);
	else if (!index || index >= d->segments)
		show_nothing(d, "unused space", addr);
	else if (addr % d->super.segment_bytes < sizeof(struct ka_segment_disk))
		show_header(d, index);
	else
		show_in_log(d, index, addr);
}

static int read_super(struct dump *d)
{
	int err = ka_super_read(d->rg, d->args->sink, NULL, &d->super);

	if (!dump_usable(err))
		return err;
	d->segments = ka_min(d->super.segments, d->super.owned_bytes / d->super.segment_bytes);
	return 0;
}

int dump_at(struct dump *d, uint64_t addr)
{
	bool super = is_super(d, addr, false);
	int err = 0;

	if (!ka_region_at(d->rg, addr, 1)) {
		ka_msg(d->args->sink, KA_MSG_ERROR, "'%s' ends at 0x%" PRIx64 ", before 0x%" PRIx64,
		       ka_region_info(d->rg)->path, ka_region_info(d->rg)->capacity_bytes, addr);
		return -KA_ERR_REGION_SHORT;
	}
	if (!super)
		err = read_super(d);
	if (err)
		return err;
	if (d->args->json)
		putchar('{');
	dump_region(d);
	if (super || is_super(d, addr, true))
		show_super(d, addr);
	else
		show(d, addr);
	if (d->args->json)
		puts("\n}");
	return 0;
}

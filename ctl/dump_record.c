/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump_record.c - decoding printers of records; see dump_record.h.
 *
 * ka_record_validate has checked every length, so that fields are followed
 * without looking twice.
 */
#include "dump_record.h"

#include <inttypes.h>
#include <stdio.h>

#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"

const char *dump_reason(char buf[DUMP_REASON_MAX], int err, uint64_t error_off)
{
	if (!err)
		return NULL;
	if (err != -KA_ERR_MEMORY)
		return ka_strerror(err);
	snprintf(buf, DUMP_REASON_MAX, "%s at 0x%" PRIx64, ka_strerror(err), error_off);
	return buf;
}

static void dump_payload(struct emit *e, const struct ka_region *rg, const struct ka_rec_disk *rec)
{
	const struct ka_payload_disk *pl = ka_record_payload(rec);
	int err = ka_scan_payload_check(rg, rec);
	char buf[DUMP_REASON_MAX];

	emit_u64(e, "len", ka_get32(pl->bytes));
	emit_u64(e, "piece_bytes", ka_get32(pl->piece_bytes));
	emit_text(e, "payload", err ? "damaged" : "ok");
	if (err == -KA_ERR_MEMORY)
		emit_text(e, "payload_error", dump_reason(buf, err, ka_region_error_off()));
}

static void dump_write(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_write_disk *w = (const void *)rec;

	emit_u64(e, "ino", ka_get64(w->ino));
	emit_u64(e, "off", ka_get64(w->off));
	if (ka_get16(rec->flags) & KA_WRITE_KILL_SUID)
		emit_bool(e, "kill_suid", true);
	if (ka_get16(rec->flags) & KA_WRITE_KILL_SGID)
		emit_bool(e, "kill_sgid", true);
	if (ka_get16(rec->flags) & KA_WRITE_MOVED)
		emit_bool(e, "moved", true);
}

static uint64_t count_xattrs(const uint8_t *p, size_t left)
{
	const struct ka_xattr_disk *x;
	uint64_t count = 0;
	size_t bytes;

	for (; left; left -= bytes) {
		x = (const void *)p;
		bytes = ka_align_up(sizeof(*x) + ka_get16(x->name_bytes) + ka_get32(x->value_bytes),
				    KA_RECORD_ALIGN);
		p += bytes;
		count++;
	}
	return count;
}

static void dump_create(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_create_disk *c = (const void *)rec;
	size_t name = ka_get16(c->name_bytes), target = ka_get16(c->target_bytes);

	emit_u64(e, "ino", ka_get64(c->ino));
	emit_u64(e, "parent", ka_get64(c->parent));
	emit_u64(e, "cookie", ka_get64(c->cookie));
	emit_bytes(e, "name", c->data, name);
	emit_mode(e, "mode", ka_get32(c->mode));
	emit_u64(e, "uid", ka_get32(c->uid));
	emit_u64(e, "gid", ka_get32(c->gid));
	if (ka_get32(c->rdev))
		emit_hex(e, "rdev", ka_get32(c->rdev));
	if (target)
		emit_bytes(e, "target", c->data + name, target);
	if (ka_get32(c->xattr_bytes))
		emit_u64(e, "xattrs",
			 count_xattrs(c->data + ka_align_up(name + target, KA_RECORD_ALIGN),
				      ka_get32(c->xattr_bytes)));
}

static void dump_name(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_name_disk *n = (const void *)rec;

	emit_u64(e, "ino", ka_get64(n->ino));
	emit_u64(e, "parent", ka_get64(n->parent));
	emit_u64(e, "cookie", ka_get64(n->cookie));
	emit_bytes(e, "name", n->name, ka_get16(n->name_bytes));
}

static void dump_rename(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_rename_disk *r = (const void *)rec;
	size_t from = ka_get16(r->from_bytes), to = ka_get16(r->to_bytes);

	emit_u64(e, "ino", ka_get64(r->ino));
	emit_u64(e, "from_parent", ka_get64(r->from_parent));
	emit_u64(e, "from_cookie", ka_get64(r->from_cookie));
	emit_bytes(e, "from", r->names, from);
	emit_u64(e, "to_parent", ka_get64(r->to_parent));
	emit_u64(e, "to_cookie", ka_get64(r->to_cookie));
	emit_bytes(e, "to", r->names + from, to);
	if (ka_get64(r->other_ino))
		emit_u64(e, "other_ino", ka_get64(r->other_ino));
	if (ka_get16(rec->flags) & KA_RENAME_EXCHANGE)
		emit_bool(e, "exchange", true);
}

static void dump_setattr(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_setattr_disk *s = (const void *)rec;
	uint32_t valid = ka_get32(s->valid);

	emit_u64(e, "ino", ka_get64(s->ino));
	if (valid & KA_SET_MODE)
		emit_mode(e, "mode", ka_get32(s->mode));
	if (valid & KA_SET_UID)
		emit_u64(e, "uid", ka_get32(s->uid));
	if (valid & KA_SET_GID)
		emit_u64(e, "gid", ka_get32(s->gid));
	if (valid & KA_SET_SIZE)
		emit_u64(e, "size", ka_get64(s->size));
	if (valid & KA_SET_ATIME)
		emit_time_sec(e, "atime", (int64_t)ka_get64(s->atime_sec), ka_get32(s->atime_nsec));
	if (valid & KA_SET_MTIME)
		emit_time_sec(e, "mtime", (int64_t)ka_get64(s->mtime_sec), ka_get32(s->mtime_nsec));
	if (valid & KA_SET_CTIME)
		emit_bool(e, "ctime", true);
}

static void dump_xattr(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_xattr_disk *x = (const void *)rec;

	emit_u64(e, "ino", ka_get64(x->ino));
	emit_bytes(e, "name", x->data, ka_get16(x->name_bytes));
	if (ka_get16(rec->flags) & KA_XATTR_REMOVE)
		emit_bool(e, "remove", true);
	else
		emit_u64(e, "value_bytes", ka_get32(x->value_bytes));
	if (ka_get16(rec->flags) & KA_XATTR_SET_MODE)
		emit_mode(e, "mode", ka_get32(x->mode));
}

static void dump_space(struct emit *e, const struct ka_rec_disk *rec)
{
	static const char *const what[] = {
		[KA_SPACE_ALLOC] = "allocate",
		[KA_SPACE_PUNCH] = "punch",
		[KA_SPACE_ZERO] = "zero",
	};
	const struct ka_rec_space_disk *s = (const void *)rec;

	emit_text(e, "what", what[ka_get32(s->what)]);
	emit_u64(e, "ino", ka_get64(s->ino));
	emit_u64(e, "off", ka_get64(s->off));
	emit_u64(e, "len", ka_get64(s->len));
	if (ka_get16(rec->flags) & KA_SPACE_KEEP_SIZE)
		emit_bool(e, "keep_size", true);
}

static void dump_clone(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_clone_disk *c = (const void *)rec;

	emit_u64(e, "ino", ka_get64(c->ino));
	emit_u64(e, "off", ka_get64(c->off));
	emit_u64(e, "len", ka_get64(c->len));
	emit_u64(e, "from_ino", ka_get64(c->from_ino));
	emit_u64(e, "from_off", ka_get64(c->from_off));
	if (ka_get16(rec->flags) & KA_CLONE_MOVED)
		emit_bool(e, "moved", true);
}

static void dump_ckpt(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_ckpt_disk *c = (const void *)rec;

	emit_u64(e, "ordinal", ka_get64(c->ordinal));
}

static void dump_ckpt_link(struct emit *e, const struct ka_rec_disk *rec)
{
	const struct ka_rec_ckpt_link_disk *l = (const void *)rec;

	emit_u64(e, "next_segment", ka_get64(l->next_segment));
}

/* A type that is missing here shows its common fields only. */
static void (*const printers[KA_REC_TYPES])(struct emit *e, const struct ka_rec_disk *rec) = {
	[KA_REC_WRITE] = dump_write,	     [KA_REC_CREATE] = dump_create,
	[KA_REC_LINK] = dump_name,	     [KA_REC_REMOVE] = dump_name,
	[KA_REC_RENAME] = dump_rename,	     [KA_REC_SETATTR] = dump_setattr,
	[KA_REC_XATTR] = dump_xattr,	     [KA_REC_SPACE] = dump_space,
	[KA_REC_CLONE] = dump_clone,	     [KA_REC_CKPT] = dump_ckpt,
	[KA_REC_CKPT_LINK] = dump_ckpt_link,
};

void dump_record(struct emit *e, const struct ka_region *rg, const struct ka_rec_disk *rec,
		 uint64_t addr)
{
	unsigned type = ka_get16(rec->type);

	emit_hex(e, "addr", addr);
	emit_text(e, "type", ka_record_type_name(type));
	emit_u64(e, "seq", ka_get64(rec->seq));
	emit_u64(e, "bytes", ka_get32(rec->bytes));
	emit_time(e, "time", (int64_t)ka_get64(rec->time_ns));
	if (type < KA_REC_TYPES && printers[type])
		printers[type](e, rec);
	if (ka_record_payload(rec))
		dump_payload(e, rg, rec);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* record.c - making and validating one record; see record.h. */
#include "keepalive/record.h"

#include <string.h>
#include <sys/stat.h>

#include "keepalive/csum.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

#define NSEC_LIMIT 1000000000u

void ka_record_init(struct ka_rec_disk *head, enum ka_record_type type, unsigned flags,
		    size_t head_bytes, size_t payload_bytes, int64_t time_ns)
{
	size_t padded = ka_align_up(head_bytes, KA_RECORD_ALIGN);

	memset((char *)head + head_bytes, 0, padded - head_bytes);
	head->time_ns = ka_put64((uint64_t)time_ns);
	head->head_bytes = ka_put32((uint32_t)padded);
	head->bytes = ka_put32((uint32_t)ka_align_up(padded + payload_bytes, KA_RECORD_ALIGN));
	head->type = ka_put16((uint16_t)type);
	head->flags = ka_put16((uint16_t)flags);
}

static uint64_t head_csum(const struct ka_rec_disk *head, uint64_t addr)
{
	return ka_csum_at(addr, (const char *)head + sizeof(head->csum),
			  ka_get32(head->head_bytes) - sizeof(head->csum));
}

void ka_record_seal(struct ka_rec_disk *head, uint64_t addr)
{
	head->csum = ka_put64(head_csum(head, addr));
}

static int check_frame(const struct ka_rec_disk *rec, uint64_t avail)
{
	uint32_t bytes, head;

	if (avail < sizeof(*rec))
		return -KA_ERR_RECORD_FRAME;
	bytes = ka_get32(rec->bytes);
	head = ka_get32(rec->head_bytes);
	if (head < sizeof(*rec) || head > KA_HEAD_MAX || head > bytes || bytes > avail ||
	    head % KA_RECORD_ALIGN || bytes % KA_RECORD_ALIGN)
		return -KA_ERR_RECORD_FRAME;
	return 0;
}

static bool is_zero(const void *p, size_t len)
{
	static const uint8_t zeros[KA_RECORD_ALIGN];

	return len <= sizeof(zeros) && !memcmp(p, zeros, len);
}

/* A head of a fixed part and then data bytes, padded with zeros. */
static bool tail_ok(const struct ka_rec_disk *rec, size_t fixed, uint64_t data)
{
	size_t head = ka_get32(rec->head_bytes);

	if (head < fixed || ka_get32(rec->bytes) != head || data > head - fixed)
		return false;
	return is_zero((const char *)rec + fixed + data, head - fixed - data);
}

bool ka_record_name_ok(const void *bytes, size_t len)
{
	const uint8_t *name = bytes;

	return len > 0 && len <= KA_NAME_MAX && !memchr(name, 0, len) && !memchr(name, '/', len) &&
	       !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

bool ka_record_mode_ok(uint64_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return !(mode & ~(uint64_t)(S_IFMT | 07777));
	default:
		return false;
	}
}

/* An inode number or cookie of media; zero is neither. */
static bool number_ok(struct ka_le64 v)
{
	return v.v && ka_get64(v) < KA_NUMBER_LIMIT - 1; /* the next one counts too */
}

static bool range_ok(uint64_t off, uint64_t len)
{
	return len && ka_range_ok(off, len, KA_FILE_MAX);
}

static bool payload_ok(const struct ka_rec_disk *rec, size_t fixed,
		       const struct ka_payload_disk *pl, uint32_t limit)
{
	uint32_t bytes = ka_get32(pl->bytes), piece = ka_get32(pl->piece_bytes);
	uint64_t head = ka_get32(rec->head_bytes), csums;

	if (!bytes || bytes > limit || !ka_is_pow2(piece) || piece < KA_PIECE_MIN ||
	    piece > KA_PIECE_MAX)
		return false;
	csums = 8ull * ka_payload_pieces(pl);
	return head == fixed + csums &&
	       ka_get32(rec->bytes) == ka_align_up(head + bytes, KA_RECORD_ALIGN);
}

static bool write_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_write_disk *w = (const void *)rec;
	uint32_t flags = ka_get16(rec->flags);

	return payload_ok(rec, sizeof(*w), &w->payload, KA_PAYLOAD_MAX) && number_ok(w->ino) &&
	       range_ok(ka_get64(w->off), ka_get32(w->payload.bytes)) &&
	       (flags == KA_WRITE_MOVED || !(flags & ~(KA_WRITE_KILL_SUID | KA_WRITE_KILL_SGID)));
}

static bool xattrs_ok(const uint8_t *p, size_t left)
{
	while (left) {
		const struct ka_xattr_disk *x = (const void *)p;
		size_t bytes, name, value;

		if (left < sizeof(*x))
			return false;
		name = ka_get16(x->name_bytes);
		value = ka_get32(x->value_bytes);
		if (!name || name > KA_XATTR_NAME_MAX || value > KA_XATTR_MAX || ka_get16(x->rsv))
			return false;
		bytes = ka_align_up(sizeof(*x) + name + value, KA_RECORD_ALIGN);
		if (bytes > left || memchr(x->data, 0, name))
			return false;
		p += bytes;
		left -= bytes;
	}
	return true;
}

static bool create_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_create_disk *c = (const void *)rec;
	size_t name = ka_get16(c->name_bytes), target = ka_get16(c->target_bytes);
	size_t text = ka_align_up(name + target, KA_RECORD_ALIGN), xattr = ka_get32(c->xattr_bytes);
	bool named = number_ok(c->parent);

	if (target > KA_TARGET_MAX || name > KA_NAME_MAX || xattr > KA_HEAD_MAX ||
	    !tail_ok(rec, sizeof(*c), text + xattr) || ka_get16(rec->flags))
		return false;
	return number_ok(c->ino) && named == (name > 0) && (named || !c->parent.v) &&
	       (!named || (number_ok(c->cookie) && ka_record_name_ok(c->data, name))) &&
	       !memchr(c->data + name, 0, target) && xattr % KA_RECORD_ALIGN == 0 &&
	       is_zero(c->data + name + target, text - name - target) &&
	       xattrs_ok(c->data + text, xattr);
}

static bool name_record_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_name_disk *n = (const void *)rec;
	size_t name = ka_get16(n->name_bytes);

	return tail_ok(rec, sizeof(*n), name) && ka_record_name_ok(n->name, name) &&
	       is_zero(n->rsv, sizeof(n->rsv)) && number_ok(n->parent) && number_ok(n->ino) &&
	       number_ok(n->cookie) && !ka_get16(rec->flags);
}

static bool rename_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_rename_disk *r = (const void *)rec;
	size_t from = ka_get16(r->from_bytes), to = ka_get16(r->to_bytes);

	return tail_ok(rec, sizeof(*r), from + to) && ka_record_name_ok(r->names, from) &&
	       ka_record_name_ok(r->names + from, to) && is_zero(r->rsv, sizeof(r->rsv)) &&
	       number_ok(r->from_parent) && number_ok(r->to_parent) && number_ok(r->ino) &&
	       number_ok(r->from_cookie) && number_ok(r->to_cookie) &&
	       !(ka_get16(rec->flags) & ~KA_RENAME_EXCHANGE) &&
	       (ka_get64(r->other_ino) || !ka_get16(rec->flags));
}

static bool setattr_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_setattr_disk *s = (const void *)rec;

	return tail_ok(rec, sizeof(*s), 0) && number_ok(s->ino) && !ka_get16(rec->flags) &&
	       !(ka_get32(s->valid) & ~KA_SET_ALL) && !(ka_get32(s->mode) & ~07777u) &&
	       ka_get64(s->size) <= KA_FILE_MAX && ka_get32(s->atime_nsec) < NSEC_LIMIT &&
	       ka_get32(s->mtime_nsec) < NSEC_LIMIT;
}

static bool xattr_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_xattr_disk *x = (const void *)rec;
	size_t name = ka_get16(x->name_bytes), value = ka_get32(x->value_bytes);

	return value <= KA_XATTR_MAX && tail_ok(rec, sizeof(*x), name + value) && name &&
	       name <= KA_XATTR_NAME_MAX && !memchr(x->data, 0, name) &&
	       is_zero(x->rsv, sizeof(x->rsv)) && number_ok(x->ino) &&
	       !(ka_get32(x->mode) & ~07777u) &&
	       !(ka_get16(rec->flags) & ~(KA_XATTR_REMOVE | KA_XATTR_SET_MODE));
}

static bool space_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_space_disk *s = (const void *)rec;
	uint32_t what = ka_get32(s->what);

	return tail_ok(rec, sizeof(*s), 0) && number_ok(s->ino) && !ka_get32(s->rsv) &&
	       range_ok(ka_get64(s->off), ka_get64(s->len)) && what >= KA_SPACE_ALLOC &&
	       what <= KA_SPACE_ZERO && !(ka_get16(rec->flags) & ~KA_SPACE_KEEP_SIZE);
}

static bool clone_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_clone_disk *c = (const void *)rec;
	uint64_t len = ka_get64(c->len);

	return tail_ok(rec, sizeof(*c), 0) && number_ok(c->ino) && number_ok(c->from_ino) &&
	       range_ok(ka_get64(c->off), len) && range_ok(ka_get64(c->from_off), len) &&
	       !(ka_get16(rec->flags) & ~KA_CLONE_MOVED);
}

static bool ckpt_ok(const struct ka_rec_disk *rec)
{
	const struct ka_rec_ckpt_disk *c = (const void *)rec;

	return payload_ok(rec, sizeof(*c), &c->payload, KA_CHUNK_MAX) && !ka_get16(rec->flags);
}

static bool ckpt_link_ok(const struct ka_rec_disk *rec)
{
	return tail_ok(rec, sizeof(struct ka_rec_ckpt_link_disk), 0) && !ka_get16(rec->flags);
}

/* An END covers the rest of its segment, whatever lies there. */
static bool end_ok(const struct ka_rec_disk *rec)
{
	return ka_get32(rec->head_bytes) == sizeof(*rec) && !ka_get16(rec->flags);
}

static const struct {
	const char *name;
	size_t fixed_bytes;
	bool (*ok)(const struct ka_rec_disk *rec);
} types[KA_REC_TYPES] = {
	[KA_REC_END] = {"end", sizeof(struct ka_rec_disk), end_ok},
	[KA_REC_WRITE] = {"write", sizeof(struct ka_rec_write_disk), write_ok},
	[KA_REC_CREATE] = {"create", sizeof(struct ka_rec_create_disk), create_ok},
	[KA_REC_LINK] = {"link", sizeof(struct ka_rec_name_disk), name_record_ok},
	[KA_REC_REMOVE] = {"remove", sizeof(struct ka_rec_name_disk), name_record_ok},
	[KA_REC_RENAME] = {"rename", sizeof(struct ka_rec_rename_disk), rename_ok},
	[KA_REC_SETATTR] = {"setattr", sizeof(struct ka_rec_setattr_disk), setattr_ok},
	[KA_REC_XATTR] = {"xattr", sizeof(struct ka_rec_xattr_disk), xattr_ok},
	[KA_REC_SPACE] = {"space", sizeof(struct ka_rec_space_disk), space_ok},
	[KA_REC_CLONE] = {"clone", sizeof(struct ka_rec_clone_disk), clone_ok},
	[KA_REC_CKPT] = {"checkpoint", sizeof(struct ka_rec_ckpt_disk), ckpt_ok},
	[KA_REC_CKPT_LINK] = {"checkpoint-link", sizeof(struct ka_rec_ckpt_link_disk),
			      ckpt_link_ok},
};

int ka_record_check_frame(const struct ka_rec_disk *rec, uint64_t avail,
			  const struct ka_rec_ident *ident)
{
	int err = check_frame(rec, avail);

	if (err)
		return err;
	if (ka_get64(rec->log_id) != ident->log_id || ka_get32(rec->gen) != ident->gen)
		return -KA_ERR_RECORD_STALE;
	return 0;
}

int ka_record_validate(const struct ka_rec_disk *rec, uint64_t addr, uint64_t avail,
		       const struct ka_rec_ident *ident)
{
	unsigned type;
	int err;

	err = ka_record_check_frame(rec, avail, ident);
	if (err)
		return err;
	if (head_csum(rec, addr) != ka_get64(rec->csum))
		return -KA_ERR_RECORD_CSUM;
	type = ka_get16(rec->type);
	if (type >= KA_REC_TYPES || !types[type].ok)
		return -KA_ERR_RECORD_TYPE;
	/* The head, and with it every field that the rules look at, is inside the record. */
	if (ka_get64(rec->seq) >= KA_NUMBER_LIMIT ||
	    ka_get32(rec->head_bytes) < types[type].fixed_bytes || !types[type].ok(rec))
		return -KA_ERR_RECORD_FIELD;
	return 0;
}

const struct ka_payload_disk *ka_record_payload(const struct ka_rec_disk *rec)
{
	switch (ka_get16(rec->type)) {
	case KA_REC_WRITE:
		return &((const struct ka_rec_write_disk *)rec)->payload;
	case KA_REC_CKPT:
		return &((const struct ka_rec_ckpt_disk *)rec)->payload;
	default:
		return NULL;
	}
}

uint32_t ka_payload_piece_len(const struct ka_payload_disk *pl, uint32_t i)
{
	uint32_t piece = ka_get32(pl->piece_bytes), bytes = ka_get32(pl->bytes);

	return (uint32_t)ka_min(piece, bytes - i * piece);
}

int ka_payload_check(const struct ka_payload_disk *pl, const void *data)
{
	const struct ka_le64 *csum = ka_payload_csums(pl);
	uint32_t i, pieces = ka_payload_pieces(pl), len;
	const uint8_t *p = data;

	for (i = 0; i < pieces; i++) {
		len = ka_payload_piece_len(pl, i);
		if (ka_csum(p, len) != ka_get64(csum[i]))
			return -KA_ERR_PAYLOAD_CSUM;
		p += len;
	}
	return 0;
}

const char *ka_record_type_name(unsigned type)
{
	return type < KA_REC_TYPES && types[type].name ? types[type].name : "?";
}

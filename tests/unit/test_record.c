/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_record.c - validators of records: for each type one that is right, then
 * each of its fields at values that are not.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keepalive/csum.h"
#include "keepalive/record.h"

static const struct ka_rec_ident ident = {.log_id = 0xabcdef0123456789, .gen = 77};

/* Room for any head, and for the payload of a write where it is needed. */
struct buffer {
	union {
		struct ka_rec_disk h;
		struct ka_rec_write_disk write;
		struct ka_rec_create_disk create;
		struct ka_rec_name_disk name;
		struct ka_rec_rename_disk rename;
		struct ka_rec_setattr_disk setattr;
		struct ka_rec_xattr_disk xattr;
		struct ka_rec_space_disk space;
		struct ka_rec_clone_disk clone;
		struct ka_rec_ckpt_disk ckpt;
		struct ka_rec_ckpt_link_disk link;
		uint8_t bytes[200 << 10];
	};
};

static struct buffer *new_buffer(void)
{
	struct buffer *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	return b;
}

static void finish(struct buffer *b, enum ka_record_type type, size_t head, size_t payload)
{
	ka_record_init(&b->h, type, 0, head, payload, 1700000000000000000);
	b->h.log_id = ka_put64(ident.log_id);
	b->h.gen = ka_put32(ident.gen);
	b->h.seq = ka_put64(5);
	ka_record_seal(&b->h, 0);
}

static void make_end(struct buffer *b)
{
	finish(b, KA_REC_END, sizeof(b->h), 8000);
}

static void make_write(struct buffer *b)
{
	b->write.ino = ka_put64(9);
	b->write.off = ka_put64(1000);
	b->write.payload.bytes = ka_put32(10001);
	b->write.payload.piece_bytes = ka_put32(4096);
	finish(b, KA_REC_WRITE, sizeof(b->write) + 3 * 8, 10001);
}

/* A name, a target and one attribute. */
static void make_create(struct buffer *b)
{
	struct ka_xattr_disk *x = (void *)(b->create.data + 16);

	b->create.parent = ka_put64(1);
	b->create.cookie = ka_put64(3);
	b->create.ino = ka_put64(9);
	b->create.mode = ka_put32(S_IFLNK | 0777);
	b->create.name_bytes = ka_put16(5);
	b->create.target_bytes = ka_put16(6);
	memcpy(b->create.data,
	       "hello"
	       "target",
	       11);
	b->create.xattr_bytes = ka_put32(24);
	x->name_bytes = ka_put16(6);
	x->value_bytes = ka_put32(7);
	memcpy(x->data,
	       "user.a"
	       "1234567",
	       13);
	finish(b, KA_REC_CREATE, sizeof(b->create) + 16 + 24, 0);
}

static void make_name(struct buffer *b, enum ka_record_type type)
{
	b->name.parent = ka_put64(1);
	b->name.cookie = ka_put64(3);
	b->name.ino = ka_put64(9);
	b->name.name_bytes = ka_put16(5);
	memcpy(b->name.name, "hello", 5);
	finish(b, type, sizeof(b->name) + 5, 0);
}

static void make_link(struct buffer *b)
{
	make_name(b, KA_REC_LINK);
}

static void make_remove(struct buffer *b)
{
	make_name(b, KA_REC_REMOVE);
}

static void make_rename(struct buffer *b)
{
	b->rename.from_parent = ka_put64(1);
	b->rename.from_cookie = ka_put64(3);
	b->rename.to_cookie = ka_put64(4);
	b->rename.to_parent = ka_put64(2);
	b->rename.ino = ka_put64(9);
	b->rename.from_bytes = ka_put16(5);
	b->rename.to_bytes = ka_put16(6);
	memcpy(b->rename.names,
	       "hello"
	       "world!",
	       11);
	finish(b, KA_REC_RENAME, sizeof(b->rename) + 11, 0);
}

static void make_setattr(struct buffer *b)
{
	b->setattr.ino = ka_put64(9);
	b->setattr.valid = ka_put32(KA_SET_ALL);
	b->setattr.mode = ka_put32(07777);
	b->setattr.size = ka_put64(KA_FILE_MAX);
	b->setattr.atime_sec = ka_put64((uint64_t)-5);
	b->setattr.atime_nsec = ka_put32(999999999);
	b->setattr.mtime_nsec = ka_put32(999999999);
	finish(b, KA_REC_SETATTR, sizeof(b->setattr), 0);
}

static void make_xattr(struct buffer *b)
{
	b->xattr.ino = ka_put64(9);
	b->xattr.mode = ka_put32(07777);
	b->xattr.name_bytes = ka_put16(6);
	b->xattr.value_bytes = ka_put32(3);
	memcpy(b->xattr.data,
	       "user.a"
	       "xyz",
	       9);
	finish(b, KA_REC_XATTR, sizeof(b->xattr) + 9, 0);
}

static void make_space(struct buffer *b)
{
	b->space.ino = ka_put64(9);
	b->space.off = ka_put64(1);
	b->space.len = ka_put64(KA_FILE_MAX - 1);
	b->space.what = ka_put32(KA_SPACE_ZERO);
	finish(b, KA_REC_SPACE, sizeof(b->space), 0);
}

static void make_clone(struct buffer *b)
{
	b->clone.from_ino = ka_put64(8);
	b->clone.ino = ka_put64(9);
	b->clone.len = ka_put64(100);
	b->clone.from_off = ka_put64(KA_FILE_MAX - 100);
	b->clone.off = ka_put64(1000);
	finish(b, KA_REC_CLONE, sizeof(b->clone), 0);
}

static void make_ckpt(struct buffer *b)
{
	b->ckpt.ordinal = ka_put64(3);
	b->ckpt.payload.bytes = ka_put32(KA_CHUNK_MAX);
	b->ckpt.payload.piece_bytes = ka_put32(KA_PIECE_MAX);
	finish(b, KA_REC_CKPT, sizeof(b->ckpt) + 16, KA_CHUNK_MAX);
}

static void make_ckpt_link(struct buffer *b)
{
	b->link.next_segment = ka_put64(3);
	finish(b, KA_REC_CKPT_LINK, sizeof(b->link), 0);
}

static const struct {
	const char *name;
	void (*make)(struct buffer *b);
} kinds[] = {
	{"end", make_end},	   {"write", make_write},     {"create", make_create},
	{"link", make_link},	   {"remove", make_remove},   {"rename", make_rename},
	{"setattr", make_setattr}, {"xattr", make_xattr},     {"space", make_space},
	{"clone", make_clone},	   {"checkpoint", make_ckpt}, {"checkpoint-link", make_ckpt_link},
};

static void test_valid(void **state)
{
	struct buffer *b;
	uint32_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(kinds); i++) {
		b = new_buffer();
		kinds[i].make(b);
		bytes = ka_get32(b->h.bytes);
		assert_ok(ka_record_validate(&b->h, 0, bytes, &ident));
		assert_ok(ka_record_validate(&b->h, 0, UINT64_MAX, &ident));
		assert_err(ka_record_validate(&b->h, 0, bytes - 1, &ident), -KA_ERR_RECORD_FRAME);
		assert_err(ka_record_validate(&b->h, 0, 0, &ident), -KA_ERR_RECORD_FRAME);
		assert_int_equal(bytes % KA_RECORD_ALIGN, 0);
		assert_string_equal(ka_record_type_name(ka_get16(b->h.type)), kinds[i].name);
		free(b);
	}
}

/*
 * Whatever bit of the head is flipped, the record is not believed, and nothing
 * is read beyond the bytes there are (ASan watches a buffer cut to size).
 */
static void test_flips(void **state)
{
	struct buffer *b = new_buffer();
	uint8_t *exact;
	uint32_t bytes, head;
	size_t i, bit;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(kinds); i++) {
		memset(b, 0, sizeof(*b));
		kinds[i].make(b);
		bytes = ka_get32(b->h.bytes);
		head = ka_get32(b->h.head_bytes);
		exact = malloc(bytes);
		assert_non_null(exact);
		memcpy(exact, b, bytes);
		for (bit = 0; bit < head * 8; bit++) {
			exact[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			assert_true(ka_record_validate((void *)exact, 0, bytes, &ident) < 0);
			exact[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		}
		assert_ok(ka_record_validate((void *)exact, 0, bytes, &ident));
		free(exact);
	}
	free(b);
}

/*
 * The same for random changes of a head that is sealed again: any answer will
 * do, but no byte outside may be looked at.
 */
static void test_random_heads(void **state)
{
	struct test_rng rng = test_rng(1);
	struct buffer *b = new_buffer();
	uint8_t *exact;
	uint32_t bytes, head;
	size_t i, round, n;

	(void)state;
	for (round = 0; round < 20000; round++) {
		i = test_below(&rng, KA_ARRAY_SIZE(kinds));
		memset(b, 0, 4096);
		kinds[i].make(b);
		bytes = ka_get32(b->h.bytes);
		head = ka_get32(b->h.head_bytes);
		if (bytes > 16384)
			continue;
		exact = malloc(bytes);
		assert_non_null(exact);
		memcpy(exact, b, bytes);
		for (n = 1 + test_below(&rng, 3); n; n--)
			exact[32 + test_below(&rng, head - 32)] =
				(uint8_t)(test_rand(&rng) >> test_below(&rng, 64));
		b = memcpy(b, exact, bytes);
		head = ka_get32(b->h.head_bytes);
		if (head >= sizeof(struct ka_rec_disk) && head <= bytes)
			ka_record_seal((void *)exact, 0);
		if (!ka_record_validate((void *)exact, 0, bytes, &ident) &&
		    ka_record_payload((void *)exact))
			ka_payload_check(ka_record_payload((void *)exact), exact + head);
		free(exact);
	}
	free(b);
}

static void test_frame(void **state)
{
	static const struct {
		uint32_t bytes;
		uint32_t head;
	} bad[] = {
		{0, 0},
		{104, 0},
		{104, 40},
		{104, 47},
		{104, 49},
		{104, 112},
		{100, 104},
		{101, 101},
		{108, 104},
		{0, 104},
		{96, 104},
		{112, 4},
		{UINT32_MAX, 104},
		{0xfffffff8, 104},
		{104, 0xfffffff8},
		{0xfffffff8, 0xfffffff8},
	};
	struct buffer *b = new_buffer();
	size_t i;

	(void)state;
	make_setattr(b);
	assert_int_equal(ka_get32(b->h.bytes), 104);
	for (i = 0; i < KA_ARRAY_SIZE(bad); i++) {
		b->h.bytes = ka_put32(bad[i].bytes);
		b->h.head_bytes = ka_put32(bad[i].head);
		assert_err(ka_record_validate(&b->h, 0, sizeof(*b), &ident), -KA_ERR_RECORD_FRAME);
	}
	free(b);
}

static void test_identity(void **state)
{
	struct ka_rec_ident other;
	struct buffer *b = new_buffer();

	(void)state;
	make_setattr(b);
	other = ident;
	other.gen++;
	assert_err(ka_record_validate(&b->h, 0, sizeof(*b), &other), -KA_ERR_RECORD_STALE);
	other = ident;
	other.log_id ^= 1ull << 63;
	assert_err(ka_record_validate(&b->h, 0, sizeof(*b), &other), -KA_ERR_RECORD_STALE);
	free(b);
}

static void test_types(void **state)
{
	static const uint16_t bad[] = {0, KA_REC_TYPES, 0x100 | KA_REC_SETATTR, UINT16_MAX};
	struct buffer *b = new_buffer();
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(bad); i++) {
		make_setattr(b);
		b->h.type = ka_put16(bad[i]);
		ka_record_seal(&b->h, 0);
		assert_err(ka_record_validate(&b->h, 0, sizeof(*b), &ident), -KA_ERR_RECORD_TYPE);
	}
	assert_string_equal(ka_record_type_name(0), "?");
	assert_string_equal(ka_record_type_name(KA_REC_TYPES), "?");
	assert_string_equal(ka_record_type_name(UINT32_MAX), "?");
	free(b);
}

/* The head of a type that is too short for its fixed part. */
static void test_short_heads(void **state)
{
	struct buffer *b = new_buffer();
	uint32_t head;
	size_t i;

	(void)state;
	for (i = 1; i < KA_ARRAY_SIZE(kinds); i++) {
		memset(b, 0, sizeof(*b));
		kinds[i].make(b);
		for (head = sizeof(b->h); head < 56; head += 8) {
			b->h.head_bytes = b->h.bytes = ka_put32(head);
			ka_record_seal(&b->h, 0);
			assert_err(ka_record_validate(&b->h, 0, head, &ident),
				   -KA_ERR_RECORD_FIELD);
		}
	}
	free(b);
}

struct field {
	const char *what;
	void (*make)(struct buffer *b);
	size_t off;
	size_t bytes;
	uint64_t value;
	bool fine;
};

#define F(kind, type, field, value)                                                       \
	{                                                                                 \
#kind " " #field " = " #value, make_##kind, offsetof(struct type, field), \
			sizeof(((struct type *)0)->field), value, false                   \
	}
#define FINE(kind, type, field, value)                                                    \
	{                                                                                 \
#kind " " #field " = " #value, make_##kind, offsetof(struct type, field), \
			sizeof(((struct type *)0)->field), value, true                    \
	}

static const struct field fields[] = {
	F(end, ka_rec_disk, flags, 1),
	F(end, ka_rec_disk, head_bytes, 56),

	F(write, ka_rec_write_disk, ino, 0),
	FINE(write, ka_rec_write_disk, ino, KA_NUMBER_LIMIT - 2),
	F(write, ka_rec_write_disk, ino, KA_NUMBER_LIMIT - 1), /* the next one counts too */
	F(write, ka_rec_write_disk, ino, KA_NUMBER_LIMIT),
	F(write, ka_rec_disk, seq, KA_NUMBER_LIMIT),
	F(write, ka_rec_write_disk, off, UINT64_MAX),
	F(write, ka_rec_write_disk, off, KA_FILE_MAX),
	F(write, ka_rec_write_disk, off, KA_FILE_MAX - 10000),
	FINE(write, ka_rec_write_disk, off, KA_FILE_MAX - 10001),
	F(write, ka_rec_write_disk, payload.bytes, 0),
	F(write, ka_rec_write_disk, payload.bytes, 8192),
	F(write, ka_rec_write_disk, payload.bytes, 10017), /* one word more */
	F(write, ka_rec_write_disk, payload.bytes, UINT32_MAX),
	F(write, ka_rec_write_disk, payload.piece_bytes, 0),
	F(write, ka_rec_write_disk, payload.piece_bytes, 1),
	F(write, ka_rec_write_disk, payload.piece_bytes, 2048),
	F(write, ka_rec_write_disk, payload.piece_bytes, 4097),
	F(write, ka_rec_write_disk, payload.piece_bytes, 8192),
	F(write, ka_rec_write_disk, payload.piece_bytes, 131072),
	F(write, ka_rec_write_disk, payload.piece_bytes, UINT32_MAX),
	F(write, ka_rec_write_disk, payload.piece_bytes, 1u << 31),
	F(write, ka_rec_disk, flags, 8),
	F(write, ka_rec_disk, flags, KA_WRITE_MOVED | KA_WRITE_KILL_SUID),
	F(write, ka_rec_disk, flags, UINT16_MAX),
	FINE(write, ka_rec_disk, flags, KA_WRITE_KILL_SUID | KA_WRITE_KILL_SGID),
	FINE(write, ka_rec_disk, flags, KA_WRITE_MOVED),
	F(write, ka_rec_disk, head_bytes, 88),
	F(write, ka_rec_disk, head_bytes, 104),

	F(create, ka_rec_create_disk, ino, 0),
	F(create, ka_rec_create_disk, ino, KA_NUMBER_LIMIT),
	F(create, ka_rec_create_disk, ino, UINT64_MAX), /* the next would be 0 */
	F(create, ka_rec_create_disk, parent, 0),	/* but a name */
	F(create, ka_rec_create_disk, parent, KA_NUMBER_LIMIT),
	F(create, ka_rec_create_disk, cookie, 0),
	F(create, ka_rec_create_disk, cookie, UINT64_MAX),
	F(create, ka_rec_create_disk, name_bytes, 0),
	F(create, ka_rec_create_disk, name_bytes, 6),
	F(create, ka_rec_create_disk, name_bytes, 256),
	F(create, ka_rec_create_disk, name_bytes, UINT16_MAX),
	F(create, ka_rec_create_disk, target_bytes, 12),
	F(create, ka_rec_create_disk, target_bytes, KA_TARGET_MAX + 1),
	F(create, ka_rec_create_disk, target_bytes, UINT16_MAX),
	F(create, ka_rec_create_disk, xattr_bytes, 0),
	F(create, ka_rec_create_disk, xattr_bytes, 1),
	F(create, ka_rec_create_disk, xattr_bytes, 16),
	F(create, ka_rec_create_disk, xattr_bytes, 32),
	F(create, ka_rec_create_disk, xattr_bytes, UINT32_MAX),
	F(create, ka_rec_create_disk, data[0], '/'),
	F(create, ka_rec_create_disk, data[4], 0),
	F(create, ka_rec_create_disk, data[5], 0),  /* in the target */
	F(create, ka_rec_create_disk, data[11], 1), /* padding */
	F(create, ka_rec_create_disk, data[15], 1),
	F(create, ka_rec_create_disk, data[16], 0xff), /* value_bytes */
	F(create, ka_rec_create_disk, data[20], 0),    /* name_bytes */
	F(create, ka_rec_create_disk, data[21], 0xff),
	F(create, ka_rec_create_disk, data[22], 1), /* rsv */
	F(create, ka_rec_create_disk, data[24], 0), /* name */
	F(create, ka_rec_disk, flags, 1),

	F(link, ka_rec_name_disk, parent, 0),
	F(link, ka_rec_name_disk, ino, 0),
	F(link, ka_rec_name_disk, ino, UINT64_MAX),
	F(link, ka_rec_name_disk, cookie, 0),
	F(link, ka_rec_name_disk, cookie, UINT64_MAX),
	F(link, ka_rec_name_disk, name_bytes, 0),
	F(link, ka_rec_name_disk, name_bytes, 4), /* padding is not zero then */
	F(link, ka_rec_name_disk, name_bytes, 6), /* a NUL in the name */
	F(link, ka_rec_name_disk, name_bytes, 9),
	F(link, ka_rec_name_disk, name_bytes, UINT16_MAX),
	F(link, ka_rec_name_disk, name[0], 0),
	F(link, ka_rec_name_disk, name[2], '/'),
	F(link, ka_rec_name_disk, name[7], 1),
	F(link, ka_rec_name_disk, rsv[0], 1),
	F(link, ka_rec_name_disk, rsv[5], 1),
	F(link, ka_rec_disk, flags, 1),
	F(remove, ka_rec_name_disk, parent, 0),
	F(remove, ka_rec_name_disk, ino, 0),
	F(remove, ka_rec_name_disk, name_bytes, 0),
	F(remove, ka_rec_disk, flags, 0x8000),

	F(rename, ka_rec_rename_disk, from_parent, 0),
	F(rename, ka_rec_rename_disk, to_parent, 0),
	F(rename, ka_rec_rename_disk, ino, 0),
	F(rename, ka_rec_rename_disk, ino, UINT64_MAX),
	F(rename, ka_rec_rename_disk, from_cookie, 0),
	F(rename, ka_rec_rename_disk, from_cookie, UINT64_MAX),
	F(rename, ka_rec_rename_disk, to_cookie, 0),
	F(rename, ka_rec_rename_disk, to_cookie, UINT64_MAX),
	F(rename, ka_rec_rename_disk, from_bytes, 0),
	F(rename, ka_rec_rename_disk, to_bytes, 0),
	F(rename, ka_rec_rename_disk, from_bytes, 11),
	F(rename, ka_rec_rename_disk, from_bytes, UINT16_MAX),
	F(rename, ka_rec_rename_disk, to_bytes, UINT16_MAX),
	F(rename, ka_rec_rename_disk, names[0], '/'),
	F(rename, ka_rec_rename_disk, names[5], 0),
	F(rename, ka_rec_rename_disk, names[11], 1),
	F(rename, ka_rec_rename_disk, rsv[0], 1),
	F(rename, ka_rec_rename_disk, rsv[3], 1),
	F(rename, ka_rec_disk, flags, KA_RENAME_EXCHANGE), /* with nobody */
	F(rename, ka_rec_disk, flags, 2),

	F(setattr, ka_rec_setattr_disk, ino, 0),
	F(setattr, ka_rec_setattr_disk, valid, KA_SET_ALL + 1),
	F(setattr, ka_rec_setattr_disk, valid, UINT32_MAX),
	F(setattr, ka_rec_setattr_disk, mode, 010000),
	F(setattr, ka_rec_setattr_disk, mode, S_IFREG | 0644),
	F(setattr, ka_rec_setattr_disk, size, KA_FILE_MAX + 1),
	F(setattr, ka_rec_setattr_disk, size, UINT64_MAX),
	FINE(setattr, ka_rec_setattr_disk, mtime_sec, UINT64_MAX),
	F(setattr, ka_rec_setattr_disk, atime_nsec, 1000000000),
	F(setattr, ka_rec_setattr_disk, mtime_nsec, 1000000000),
	F(setattr, ka_rec_setattr_disk, mtime_nsec, UINT32_MAX),
	F(setattr, ka_rec_disk, flags, 1),
	F(setattr, ka_rec_disk, bytes, 112),

	F(xattr, ka_rec_xattr_disk, ino, 0),
	F(xattr, ka_rec_xattr_disk, mode, 010000),
	F(xattr, ka_rec_xattr_disk, name_bytes, 0),
	F(xattr, ka_rec_xattr_disk, name_bytes, 256),
	F(xattr, ka_rec_xattr_disk, name_bytes, UINT16_MAX),
	F(xattr, ka_rec_xattr_disk, value_bytes, 11),
	F(xattr, ka_rec_xattr_disk, value_bytes, KA_XATTR_MAX + 1),
	F(xattr, ka_rec_xattr_disk, value_bytes, UINT32_MAX),
	F(xattr, ka_rec_xattr_disk, data[0], 0),
	F(xattr, ka_rec_xattr_disk, data[9], 1),
	F(xattr, ka_rec_xattr_disk, rsv[0], 1),
	F(xattr, ka_rec_xattr_disk, rsv[5], 1),
	F(xattr, ka_rec_disk, flags, 4),

	F(space, ka_rec_space_disk, ino, 0),
	F(space, ka_rec_space_disk, len, 0),
	F(space, ka_rec_space_disk, len, KA_FILE_MAX),
	F(space, ka_rec_space_disk, len, UINT64_MAX),
	F(space, ka_rec_space_disk, off, 2),
	F(space, ka_rec_space_disk, off, UINT64_MAX),
	F(space, ka_rec_space_disk, what, 0),
	F(space, ka_rec_space_disk, what, 4),
	F(space, ka_rec_space_disk, what, UINT32_MAX),
	F(space, ka_rec_space_disk, rsv, 1),
	F(space, ka_rec_disk, flags, 2),

	F(clone, ka_rec_clone_disk, ino, 0),
	F(clone, ka_rec_clone_disk, from_ino, 0),
	F(clone, ka_rec_clone_disk, len, 0),
	F(clone, ka_rec_clone_disk, len, 101),
	F(clone, ka_rec_clone_disk, len, UINT64_MAX),
	F(clone, ka_rec_clone_disk, off, UINT64_MAX),
	F(clone, ka_rec_clone_disk, off, KA_FILE_MAX - 99),
	F(clone, ka_rec_clone_disk, from_off, KA_FILE_MAX - 99),
	F(clone, ka_rec_disk, flags, 2),
	FINE(clone, ka_rec_disk, flags, KA_CLONE_MOVED),

	F(ckpt, ka_rec_ckpt_disk, payload.bytes, 0),
	F(ckpt, ka_rec_ckpt_disk, payload.bytes, KA_CHUNK_MAX + 8),
	F(ckpt, ka_rec_ckpt_disk, payload.bytes, KA_CHUNK_MAX - 8),
	F(ckpt, ka_rec_ckpt_disk, payload.piece_bytes, 0),
	F(ckpt, ka_rec_ckpt_disk, payload.piece_bytes, KA_PIECE_MAX / 2),
	F(ckpt, ka_rec_disk, flags, 1),

	F(ckpt_link, ka_rec_disk, flags, 1),
	F(ckpt_link, ka_rec_disk, bytes, 64),
};

/* Each record sealed again, so that only the rules of its type are left. */
static void test_fields(void **state)
{
	struct buffer *b = new_buffer();
	size_t i;
	int err;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(fields); i++) {
		memset(b, 0, sizeof(*b));
		fields[i].make(b);
		memcpy(b->bytes + fields[i].off, &fields[i].value, fields[i].bytes);
		ka_record_seal(&b->h, 0);
		err = ka_record_validate(&b->h, 0, sizeof(*b), &ident);
		if (err != (fields[i].fine ? 0 : -KA_ERR_RECORD_FIELD))
			print_error("%s\n", fields[i].what);
		assert_err(err, fields[i].fine ? 0 : -KA_ERR_RECORD_FIELD);
	}
	free(b);
}

/* The same with a value that only makes sense beside another. */
static void test_combined(void **state)
{
	struct buffer *b = new_buffer();

	(void)state;
	make_rename(b);
	b->rename.other_ino = ka_put64(4);
	b->h.flags = ka_put16(KA_RENAME_EXCHANGE);
	ka_record_seal(&b->h, 0);
	assert_ok(ka_record_validate(&b->h, 0, sizeof(*b), &ident));

	memset(b, 0, sizeof(*b)); /* O_TMPFILE: no parent, no name */
	b->create.ino = ka_put64(9);
	b->create.mode = ka_put32(S_IFREG | 0600);
	finish(b, KA_REC_CREATE, sizeof(b->create), 0);
	assert_ok(ka_record_validate(&b->h, 0, sizeof(*b), &ident));

	memset(b, 0, sizeof(*b)); /* the largest attribute */
	b->xattr.ino = ka_put64(9);
	b->xattr.name_bytes = ka_put16(KA_XATTR_NAME_MAX);
	b->xattr.value_bytes = ka_put32(KA_XATTR_MAX);
	memset(b->xattr.data, 'n', KA_XATTR_NAME_MAX);
	finish(b, KA_REC_XATTR, sizeof(b->xattr) + KA_XATTR_NAME_MAX + KA_XATTR_MAX, 0);
	assert_ok(ka_record_validate(&b->h, 0, sizeof(*b), &ident));
	free(b);
}

static void test_payload(void **state)
{
	struct buffer *b = new_buffer();
	const struct ka_payload_disk *pl;
	static uint8_t data[10001];
	struct test_rng rng = test_rng(2);
	size_t i;

	(void)state;
	make_write(b);
	test_fill(&rng, data, sizeof(data));
	pl = ka_record_payload(&b->h);
	assert_ptr_equal(pl, &b->write.payload);
	assert_int_equal(ka_payload_pieces(pl), 3);
	assert_int_equal(ka_payload_piece_len(pl, 0), 4096);
	assert_int_equal(ka_payload_piece_len(pl, 2), 10001 - 8192);
	assert_err(ka_payload_check(pl, data), -KA_ERR_PAYLOAD_CSUM);
	for (i = 0; i < 3; i++)
		b->write.piece_csum[i] =
			ka_put64(ka_csum(data + i * 4096, ka_payload_piece_len(pl, (uint32_t)i)));
	assert_ok(ka_payload_check(pl, data));
	for (i = 0; i < sizeof(data); i += 97) {
		data[i] ^= 0x10;
		assert_err(ka_payload_check(pl, data), -KA_ERR_PAYLOAD_CSUM);
		data[i] ^= 0x10;
	}
	data[10000] ^= 1;
	assert_err(ka_payload_check(pl, data), -KA_ERR_PAYLOAD_CSUM);
	make_ckpt(b);
	assert_ptr_equal(ka_record_payload(&b->h), &b->ckpt.payload);
	make_setattr(b);
	assert_null(ka_record_payload(&b->h));
	free(b);
}

static void test_names(void **state)
{
	char name[300];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_true(ka_record_name_ok("a", 1));
	assert_true(ka_record_name_ok(name, 255));
	assert_true(ka_record_name_ok("...", 3));
	assert_true(ka_record_name_ok(".a", 2));
	assert_true(ka_record_name_ok("\xff\xfe\n", 3));
	assert_false(ka_record_name_ok("", 0));
	assert_false(ka_record_name_ok(name, 256));
	assert_false(ka_record_name_ok(".", 1));
	assert_false(ka_record_name_ok("..", 2));
	assert_false(ka_record_name_ok("a/b", 3));
	assert_false(ka_record_name_ok("a\0b", 3));
}

static void test_modes(void **state)
{
	(void)state;
	assert_true(ka_record_mode_ok(S_IFREG));
	assert_true(ka_record_mode_ok(S_IFDIR | 07777));
	assert_true(ka_record_mode_ok(S_IFSOCK | 0600));
	assert_false(ka_record_mode_ok(0644));
	assert_false(ka_record_mode_ok(S_IFMT));
	assert_false(ka_record_mode_ok(0030000));
	assert_false(ka_record_mode_ok(S_IFREG | 0x100000));
	assert_false(ka_record_mode_ok(S_IFREG | 1ull << 40));
}

/* What a head of odd length is padded to, with zeros. */
/* The name of an attribute goes beyond the record, and the record to the end of memory. */
static void test_xattr_overrun(void **state)
{
	const struct ka_rec_ident mine = {.log_id = 1, .gen = 1};
	size_t bytes = sizeof(struct ka_rec_create_disk) + 8 + sizeof(struct ka_xattr_disk);
	struct ka_rec_create_disk *c = calloc(1, bytes); /* for a sanitizer to watch */
	struct ka_xattr_disk *x;

	(void)state;
	assert_non_null(c);
	x = (void *)(c->data + 8);
	c->parent = ka_put64(1);
	c->cookie = ka_put64(3);
	c->ino = ka_put64(9);
	c->mode = ka_put32(S_IFREG | 0644);
	c->name_bytes = ka_put16(1);
	c->data[0] = 'a';
	c->xattr_bytes = ka_put32(sizeof(*x));
	x->name_bytes = ka_put16(KA_XATTR_NAME_MAX);
	ka_record_init(&c->h, KA_REC_CREATE, 0, bytes, 0, 0);
	c->h.log_id = ka_put64(1);
	c->h.gen = ka_put32(1);
	c->h.seq = ka_put64(5);
	ka_record_seal(&c->h, 0);
	assert_int_not_equal(ka_record_validate(&c->h, 0, bytes, &mine), 0);
	free(c);
}

static void test_init(void **state)
{
	struct buffer *b = new_buffer();
	size_t extra;

	(void)state;
	for (extra = 0; extra < 20; extra++) {
		memset(b, 0xff, 1024);
		ka_record_init(&b->h, KA_REC_WRITE, 3, 100 + extra, 13, -7);
		assert_int_equal(ka_get32(b->h.head_bytes), (100 + extra + 7) / 8 * 8);
		assert_int_equal(ka_get32(b->h.bytes),
				 (ka_get32(b->h.head_bytes) + 13 + 7) / 8 * 8);
		assert_int_equal(ka_get16(b->h.type), KA_REC_WRITE);
		assert_int_equal(ka_get16(b->h.flags), 3);
		assert_int_equal((int64_t)ka_get64(b->h.time_ns), -7);
		if (extra % 8 != 4)
			assert_int_equal(b->bytes[100 + extra], 0);
		assert_int_equal(b->bytes[ka_get32(b->h.head_bytes)], 0xff);
	}
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),	     cmocka_unit_test(test_flips),
		cmocka_unit_test(test_random_heads), cmocka_unit_test(test_frame),
		cmocka_unit_test(test_identity),     cmocka_unit_test(test_types),
		cmocka_unit_test(test_short_heads),  cmocka_unit_test(test_fields),
		cmocka_unit_test(test_combined),     cmocka_unit_test(test_payload),
		cmocka_unit_test(test_names),	     cmocka_unit_test(test_modes),
		cmocka_unit_test(test_init),	     cmocka_unit_test(test_xattr_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

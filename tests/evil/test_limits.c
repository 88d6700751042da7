/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_limits.c - records built by hand, with all lengths and checksums right: the
 * largest that the rules allow is valid, one more is refused, with the right
 * error. test_record has the fields one by one; here what only fits together.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keepalive/record.h"

#define ROOM (512u << 10)

static const struct ka_rec_ident ident = {.log_id = 0x1122334455667788, .gen = 5};
static union {
	struct ka_rec_disk h;
	struct ka_rec_write_disk write;
	struct ka_rec_create_disk create;
	struct ka_rec_rename_disk rename;
	struct ka_rec_xattr_disk xattr;
	struct ka_rec_ckpt_disk ckpt;
	uint8_t bytes[ROOM];
} rec;

static int validate(enum ka_record_type type, unsigned flags, size_t head, size_t payload)
{
	ka_record_init(&rec.h, type, flags, head, payload, 0);
	rec.h.log_id = ka_put64(ident.log_id);
	rec.h.gen = ka_put32(ident.gen);
	rec.h.seq = ka_put64(1);
	ka_record_seal(&rec.h, 4096);
	/* Of the payload only the place is looked at, which there is. */
	return ka_record_validate(&rec.h, 4096, 4 << 20, &ident);
}

static size_t pieces(uint32_t bytes, uint32_t piece)
{
	return ((size_t)bytes + piece - 1) / piece * sizeof(struct ka_le64);
}

static int write_of(uint32_t bytes, uint32_t piece)
{
	memset(&rec, 0, sizeof(rec.write));
	rec.write.ino = ka_put64(2);
	rec.write.payload.bytes = ka_put32(bytes);
	rec.write.payload.piece_bytes = ka_put32(piece);
	return validate(KA_REC_WRITE, 0, sizeof(rec.write) + pieces(bytes, piece), bytes);
}

static int ckpt_of(uint32_t bytes, uint32_t piece)
{
	memset(&rec, 0, sizeof(rec.ckpt));
	rec.ckpt.payload.bytes = ka_put32(bytes);
	rec.ckpt.payload.piece_bytes = ka_put32(piece);
	return validate(KA_REC_CKPT, 0, sizeof(rec.ckpt) + pieces(bytes, piece), bytes);
}

static void test_payloads(void **state)
{
	(void)state;
	assert_ok(write_of(1, KA_PIECE_MIN));
	assert_ok(write_of(KA_PAYLOAD_MAX, KA_PIECE_MIN));
	assert_ok(write_of(KA_PAYLOAD_MAX, KA_PIECE_MAX));
	assert_err(write_of(KA_PAYLOAD_MAX + 1, KA_PIECE_MIN), -KA_ERR_RECORD_FIELD);
	assert_err(write_of(KA_PAYLOAD_MAX + 1, KA_PIECE_MAX), -KA_ERR_RECORD_FIELD);
	assert_err(write_of(KA_PAYLOAD_MAX, KA_PIECE_MIN / 2), -KA_ERR_RECORD_FIELD);
	assert_err(write_of(KA_PAYLOAD_MAX, KA_PIECE_MAX * 2), -KA_ERR_RECORD_FIELD);
	assert_err(write_of(10000, 6000), -KA_ERR_RECORD_FIELD);
	assert_ok(ckpt_of(KA_CHUNK_MAX, KA_PIECE_MAX));
	assert_err(ckpt_of(KA_CHUNK_MAX + 1, KA_PIECE_MAX), -KA_ERR_RECORD_FIELD);
	assert_err(ckpt_of(KA_CHUNK_MAX, KA_PIECE_MAX * 2), -KA_ERR_RECORD_FIELD);
}

/* A new file without a name, which inherits one attribute; returns what is said of it. */
static int create_with(size_t name, size_t value)
{
	struct ka_xattr_disk *x = (void *)rec.create.data;
	size_t bytes = ka_align_up(sizeof(*x) + name + value, KA_RECORD_ALIGN);

	memset(&rec, 0, sizeof(rec.create) + bytes);
	rec.create.ino = ka_put64(2);
	rec.create.mode = ka_put32(S_IFREG | 0644);
	rec.create.xattr_bytes = ka_put32((uint32_t)bytes);
	x->name_bytes = ka_put16((uint16_t)name);
	x->value_bytes = ka_put32((uint32_t)value);
	memset(x->data, 'x', name + value);
	return validate(KA_REC_CREATE, 0, sizeof(rec.create) + bytes, 0);
}

static int xattr_with(size_t name, size_t value)
{
	memset(&rec, 0, sizeof(rec.xattr));
	rec.xattr.ino = ka_put64(2);
	rec.xattr.name_bytes = ka_put16((uint16_t)name);
	rec.xattr.value_bytes = ka_put32((uint32_t)value);
	memset(rec.xattr.data, 'x', name + value);
	return validate(KA_REC_XATTR, 0, sizeof(rec.xattr) + name + value, 0);
}

static void test_attributes(void **state)
{
	int (*const with[])(size_t name, size_t value) = {create_with, xattr_with};
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(with); i++) {
		assert_ok(with[i](1, 0));
		assert_ok(with[i](KA_XATTR_NAME_MAX, KA_XATTR_MAX));
		assert_err(with[i](0, 5), -KA_ERR_RECORD_FIELD);
		assert_err(with[i](KA_XATTR_NAME_MAX + 1, 5), -KA_ERR_RECORD_FIELD);
		assert_err(with[i](5, KA_XATTR_MAX + 1), -KA_ERR_RECORD_FIELD);
	}
}

/* The head ends where it may at most: what is behind it is not even summed. */
static void test_long_heads(void **state)
{
	(void)state;
	memset(&rec, 0, sizeof(rec));
	rec.create.ino = ka_put64(2);
	assert_err(validate(KA_REC_CREATE, 0, KA_HEAD_MAX, 0), -KA_ERR_RECORD_FIELD);
	assert_err(validate(KA_REC_CREATE, 0, KA_HEAD_MAX + KA_RECORD_ALIGN, 0),
		   -KA_ERR_RECORD_FRAME);
}

/* No name means no parent: a number that no parent can have is not the same. */
static void test_parents(void **state)
{
	static const uint64_t bad[] = {KA_NUMBER_LIMIT - 1, KA_NUMBER_LIMIT, UINT64_MAX};
	size_t i;

	(void)state;
	for (i = 0; i < KA_ARRAY_SIZE(bad); i++) {
		assert_ok(create_with(1, 0));
		rec.create.parent = ka_put64(bad[i]);
		assert_err(validate(KA_REC_CREATE, 0, ka_get32(rec.h.head_bytes), 0),
			   -KA_ERR_RECORD_FIELD);
	}
}

static void test_rename_flags(void **state)
{
	unsigned flags;

	(void)state;
	memset(&rec, 0, sizeof(rec.rename) + 8);
	rec.rename.from_parent = rec.rename.to_parent = ka_put64(1);
	rec.rename.from_cookie = ka_put64(3);
	rec.rename.to_cookie = ka_put64(4);
	rec.rename.ino = ka_put64(2);
	rec.rename.other_ino = ka_put64(3);
	rec.rename.from_bytes = rec.rename.to_bytes = ka_put16(1);
	memcpy(rec.rename.names, "ab", 2);
	for (flags = 0; flags <= UINT16_MAX; flags++)
		assert_err(validate(KA_REC_RENAME, flags, sizeof(rec.rename) + 2, 0),
			   flags > KA_RENAME_EXCHANGE ? -KA_ERR_RECORD_FIELD : 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payloads),     cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_long_heads),   cmocka_unit_test(test_parents),
		cmocka_unit_test(test_rename_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fields.c - tables of what lies where; see fields.h. */
#include "fields.h"

#include <string.h>

#include "keepalive/format.h"
#include "keepalive/util.h"

#define AT(type, f)                                                                \
	{                                                                          \
#f, offsetof(struct type, f), sizeof(((struct type *)0)->f), false \
	}
#define CSUM(type, f)                                                             \
	{                                                                         \
#f, offsetof(struct type, f), sizeof(((struct type *)0)->f), true \
	}
#define STRUCT(type, f)                                         \
	{                                                       \
#type, sizeof(struct type), f, KA_ARRAY_SIZE(f) \
	}

static const struct evil_field super_fields[] = {
	AT(ka_super_disk, magic),
	AT(ka_super_disk, disk_version),
	AT(ka_super_disk, super_bytes),
	AT(ka_super_disk, feature_compat),
	AT(ka_super_disk, feature_ro_compat),
	AT(ka_super_disk, feature_incompat),
	AT(ka_super_disk, uuid),
	AT(ka_super_disk, log_id),
	AT(ka_super_disk, label),
	AT(ka_super_disk, capacity_bytes),
	AT(ka_super_disk, slice_bytes),
	AT(ka_super_disk, first_slice_bytes),
	AT(ka_super_disk, segment_bytes),
	AT(ka_super_disk, slices),
	AT(ka_super_disk, segments),
	AT(ka_super_disk, phys_addr),
	AT(ka_super_disk, copy_addr[0]),
	AT(ka_super_disk, copy_addr[1]),
	AT(ka_super_disk, super_seq),
	AT(ka_super_disk, copy),
	AT(ka_super_disk, state),
	AT(ka_super_disk, owned_bytes),
	AT(ka_super_disk, flags),
	AT(ka_super_disk, ckpt[0].seq),
	AT(ka_super_disk, ckpt[0].addr),
	AT(ka_super_disk, ckpt[0].chunks),
	AT(ka_super_disk, ckpt[0].bytes),
	AT(ka_super_disk, ckpt[1].seq),
	AT(ka_super_disk, ckpt[1].addr),
	AT(ka_super_disk, ckpt[1].chunks),
	AT(ka_super_disk, ckpt[1].bytes),
	AT(ka_super_disk, mkfs_ns),
	AT(ka_super_disk, mount_ns),
	AT(ka_super_disk, clean_ns),
	AT(ka_super_disk, unclean_ns),
	AT(ka_super_disk, mounts),
	AT(ka_super_disk, recovered),
	AT(ka_super_disk, torn),
	AT(ka_super_disk, lost),
	AT(ka_super_disk, rsv),
	CSUM(ka_super_disk, csum),
};
const struct evil_struct evil_super = STRUCT(ka_super_disk, super_fields);

static const struct evil_field segment_fields[] = {
	CSUM(ka_segment_disk, csum),   AT(ka_segment_disk, magic),  AT(ka_segment_disk, kind),
	AT(ka_segment_disk, log_id),   AT(ka_segment_disk, gen),    AT(ka_segment_disk, index),
	AT(ka_segment_disk, open_seq), AT(ka_segment_disk, writer), AT(ka_segment_disk, rsv),
	AT(ka_segment_disk, prev_gen),
};
const struct evil_struct evil_segment = STRUCT(ka_segment_disk, segment_fields);

static const struct evil_field xattr_fields[] = {
	AT(ka_xattr_disk, value_bytes),
	AT(ka_xattr_disk, name_bytes),
	AT(ka_xattr_disk, rsv),
};
const struct evil_struct evil_xattr = STRUCT(ka_xattr_disk, xattr_fields);

/* The common head, in a struct that has it as its member h. */
#define HEAD(t)                                                                         \
	CSUM(t, h.csum), AT(t, h.log_id), AT(t, h.seq), AT(t, h.time_ns), AT(t, h.gen), \
		AT(t, h.bytes), AT(t, h.head_bytes), AT(t, h.type), AT(t, h.flags)
#define PAYLOAD(type) AT(type, payload.bytes), AT(type, payload.piece_bytes)

static const struct evil_field end_fields[] = {
	CSUM(ka_rec_disk, csum),     AT(ka_rec_disk, log_id), AT(ka_rec_disk, seq),
	AT(ka_rec_disk, time_ns),    AT(ka_rec_disk, gen),    AT(ka_rec_disk, bytes),
	AT(ka_rec_disk, head_bytes), AT(ka_rec_disk, type),   AT(ka_rec_disk, flags),
};

static const struct evil_field write_fields[] = {
	HEAD(ka_rec_write_disk),
	AT(ka_rec_write_disk, ino),
	AT(ka_rec_write_disk, off),
	PAYLOAD(ka_rec_write_disk),
};

static const struct evil_field create_fields[] = {
	HEAD(ka_rec_create_disk),
	AT(ka_rec_create_disk, parent),
	AT(ka_rec_create_disk, cookie),
	AT(ka_rec_create_disk, ino),
	AT(ka_rec_create_disk, mode),
	AT(ka_rec_create_disk, uid),
	AT(ka_rec_create_disk, gid),
	AT(ka_rec_create_disk, rdev),
	AT(ka_rec_create_disk, xattr_bytes),
	AT(ka_rec_create_disk, target_bytes),
	AT(ka_rec_create_disk, name_bytes),
};

static const struct evil_field name_fields[] = {
	HEAD(ka_rec_name_disk),	   AT(ka_rec_name_disk, parent),     AT(ka_rec_name_disk, cookie),
	AT(ka_rec_name_disk, ino), AT(ka_rec_name_disk, name_bytes), AT(ka_rec_name_disk, rsv),
};

static const struct evil_field rename_fields[] = {
	HEAD(ka_rec_rename_disk),
	AT(ka_rec_rename_disk, from_parent),
	AT(ka_rec_rename_disk, from_cookie),
	AT(ka_rec_rename_disk, to_parent),
	AT(ka_rec_rename_disk, to_cookie),
	AT(ka_rec_rename_disk, ino),
	AT(ka_rec_rename_disk, other_ino),
	AT(ka_rec_rename_disk, from_bytes),
	AT(ka_rec_rename_disk, to_bytes),
	AT(ka_rec_rename_disk, rsv),
};

static const struct evil_field setattr_fields[] = {
	HEAD(ka_rec_setattr_disk),	     AT(ka_rec_setattr_disk, ino),
	AT(ka_rec_setattr_disk, valid),	     AT(ka_rec_setattr_disk, mode),
	AT(ka_rec_setattr_disk, uid),	     AT(ka_rec_setattr_disk, gid),
	AT(ka_rec_setattr_disk, size),	     AT(ka_rec_setattr_disk, atime_sec),
	AT(ka_rec_setattr_disk, mtime_sec),  AT(ka_rec_setattr_disk, atime_nsec),
	AT(ka_rec_setattr_disk, mtime_nsec),
};

static const struct evil_field rec_xattr_fields[] = {
	HEAD(ka_rec_xattr_disk),	   AT(ka_rec_xattr_disk, ino),
	AT(ka_rec_xattr_disk, mode),	   AT(ka_rec_xattr_disk, value_bytes),
	AT(ka_rec_xattr_disk, name_bytes), AT(ka_rec_xattr_disk, rsv),
};

static const struct evil_field space_fields[] = {
	HEAD(ka_rec_space_disk),    AT(ka_rec_space_disk, ino),	 AT(ka_rec_space_disk, off),
	AT(ka_rec_space_disk, len), AT(ka_rec_space_disk, what), AT(ka_rec_space_disk, rsv),
};

static const struct evil_field clone_fields[] = {
	HEAD(ka_rec_clone_disk),	 AT(ka_rec_clone_disk, from_ino),
	AT(ka_rec_clone_disk, from_off), AT(ka_rec_clone_disk, ino),
	AT(ka_rec_clone_disk, off),	 AT(ka_rec_clone_disk, len),
};

static const struct evil_field ckpt_fields[] = {
	HEAD(ka_rec_ckpt_disk),
	AT(ka_rec_ckpt_disk, ordinal),
	PAYLOAD(ka_rec_ckpt_disk),
};

static const struct evil_field link_fields[] = {
	HEAD(ka_rec_ckpt_link_disk),
	AT(ka_rec_ckpt_link_disk, next_segment),
};

static const struct evil_struct records[KA_REC_TYPES] = {
	[KA_REC_END] = STRUCT(ka_rec_disk, end_fields),
	[KA_REC_WRITE] = STRUCT(ka_rec_write_disk, write_fields),
	[KA_REC_CREATE] = STRUCT(ka_rec_create_disk, create_fields),
	[KA_REC_LINK] = STRUCT(ka_rec_name_disk, name_fields),
	[KA_REC_REMOVE] = STRUCT(ka_rec_name_disk, name_fields),
	[KA_REC_RENAME] = STRUCT(ka_rec_rename_disk, rename_fields),
	[KA_REC_SETATTR] = STRUCT(ka_rec_setattr_disk, setattr_fields),
	[KA_REC_XATTR] = STRUCT(ka_rec_xattr_disk, rec_xattr_fields),
	[KA_REC_SPACE] = STRUCT(ka_rec_space_disk, space_fields),
	[KA_REC_CLONE] = STRUCT(ka_rec_clone_disk, clone_fields),
	[KA_REC_CKPT] = STRUCT(ka_rec_ckpt_disk, ckpt_fields),
	[KA_REC_CKPT_LINK] = STRUCT(ka_rec_ckpt_link_disk, link_fields),
};

const struct evil_struct *evil_record_struct(unsigned type)
{
	return type < KA_REC_TYPES && records[type].name ? &records[type] : NULL;
}

const struct evil_struct *evil_any_struct(size_t i)
{
	static const struct evil_struct *const others[] = {&evil_super, &evil_segment, &evil_xattr};

	if (i < KA_ARRAY_SIZE(others))
		return others[i];
	return evil_record_struct((unsigned)(i - KA_ARRAY_SIZE(others) + KA_REC_END));
}

uint64_t evil_field_get(const void *at, const struct evil_field *f)
{
	struct ka_le64 v = {0};

	memcpy(&v, (const char *)at + f->off, ka_min(f->bytes, sizeof(v)));
	return ka_get64(v);
}

void evil_field_set(void *at, const struct evil_field *f, uint64_t v)
{
	struct ka_le64 disk = ka_put64(v);

	memcpy((char *)at + f->off, &disk, ka_min(f->bytes, sizeof(disk)));
}

static const struct evil_item_type item_types[] = {
	{KA_ITEM_HEAD, "nnnnnn", "seq next_ino next_gen inodes names extents"},
	{KA_ITEM_SEGMENT, "nnnnnn", "index open gen used writer last_seq"},
	{KA_ITEM_INODE, "nnnnnnnsnsnsnsn",
	 "ino mode uid gid nlink rdev size atime atime_nsec mtime mtime_nsec ctime ctime_nsec "
	 "btime btime_nsec"},
	{KA_ITEM_TARGET, "b", "target"},
	{KA_ITEM_XATTR, "bb", "name value"},
	{KA_ITEM_EXTENT, "nnnnn", "off len addr seq delta"},
	{KA_ITEM_DIR, "nn", "ino next_cookie"},
	{KA_ITEM_NAME, "nnb", "cookie ino name"},
	{KA_ITEM_END, "", ""},
};

const struct evil_item_type *evil_item_type(uint8_t tag)
{
	size_t i;

	for (i = 0; i < KA_ARRAY_SIZE(item_types); i++)
		if (item_types[i].tag == (char)tag)
			return &item_types[i];
	return NULL;
}

uint64_t evil_extreme(unsigned i, unsigned bytes, uint64_t now)
{
	uint64_t max = bytes >= 8 ? UINT64_MAX : (1ull << (8 * bytes)) - 1;
	const uint64_t values[EVIL_EXTREMES] = {
		0,
		1,
		max,
		max - 1,
		max / 2,
		max / 2 - 1, /* the highest number that some fields may have */
		max / 2 - 2,
		max / 2 + 1,
		max / 4 + 1,
		1ull << 31,
		UINT32_MAX,
		1ull << 32,
		now + 1,
		now - 1,
		now ^ (1ull << (4 * bytes)),
	};

	return values[i] & max;
}

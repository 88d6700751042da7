/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format.h - the bytes of disk version 1, and nothing else.
 *
 * FORMAT.md explains every field. All numbers are little-endian, wrapped in
 * structs so that a forgotten conversion does not compile. No struct is packed:
 * every field is naturally aligned and every hole is a named rsv field that
 * must be zero. Sizes and offsets are asserted beside each struct.
 *
 * Addresses in the region are byte offsets from its start.
 */
#ifndef KEEPALIVE_FORMAT_H
#define KEEPALIVE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

struct ka_le16 {
	uint16_t v;
};
struct ka_le32 {
	uint32_t v;
};
struct ka_le64 {
	uint64_t v;
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define KA_SWAP(bits, x) (x)
#else
#define KA_SWAP(bits, x) __builtin_bswap##bits(x)
#endif

#define KA_DEFINE_LE(bits)                                                     \
	static inline uint##bits##_t ka_get##bits(struct ka_le##bits x)        \
	{                                                                      \
		return (uint##bits##_t)KA_SWAP(bits, x.v);                     \
	}                                                                      \
	static inline struct ka_le##bits ka_put##bits(uint##bits##_t x)        \
	{                                                                      \
		return (struct ka_le##bits){(uint##bits##_t)KA_SWAP(bits, x)}; \
	}
KA_DEFINE_LE(16)
KA_DEFINE_LE(32)
KA_DEFINE_LE(64)

#define KA_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " size")
#define KA_ASSERT_AT(type, field, off) \
	_Static_assert(offsetof(type, field) == (off), #type "." #field " offset")

/* ---- limits ---------------------------------------------------------- */

#define KA_DISK_VERSION	  1
#define KA_LABEL_MAX	  63 /* bytes; the field is NUL padded */
#define KA_NAME_MAX	  255
#define KA_TARGET_MAX	  4095	/* symlink target, bytes */
#define KA_XATTR_MAX	  65536 /* value of one extended attribute, bytes */
#define KA_XATTR_NAME_MAX 255
#define KA_FILE_MAX	  ((uint64_t)INT64_MAX) /* file size, bytes */
/* Inode numbers, cookies, generations, sequence numbers stay below. */
#define KA_NUMBER_LIMIT ((uint64_t)INT64_MAX)
#define KA_GEN_LIMIT	(KA_NUMBER_LIMIT / 4) /* generations: of a segment header */
#define KA_ROOT_INO	1

#define KA_SEGMENT_MIN	(256u << 10)
#define KA_SEGMENT_MAX	(1u << 30)
#define KA_CAPACITY_MIN (4ull << 20)
#define KA_SLICES_MAX	64
/* Payload of one data record; a larger write becomes several records. */
#define KA_PAYLOAD_MAX (1u << 20)
#define KA_PIECE_MIN   4096u /* bytes under one payload checksum */
#define KA_PIECE_MAX   65536u
#define KA_CHUNK_MAX   (128u << 10) /* payload of one checkpoint record */

/* ---- superblock ------------------------------------------------------ */

#define KA_SUPER_MAGIC	"KEEPALIV"
#define KA_SUPER_BYTES	4096
#define KA_SUPER_COPIES 2

enum ka_super_state {
	KA_STATE_CLEAN = 1,   /* the newest checkpoint is all there is */
	KA_STATE_MOUNTED = 2, /* records may follow the checkpoint */
	KA_STATE_SEALED = 3,  /* clean; who sealed it takes no more writes */
};

/* Damage was found and not repaired yet: mount read-only, run fsck. */
#define KA_SUPER_DAMAGED 1ull

/* Features of this version; FORMAT.md keeps the registry of bits. */
#define KA_COMPAT_KNOWN	   0ull
#define KA_RO_COMPAT_KNOWN 0ull
#define KA_INCOMPAT_KNOWN  0ull

struct ka_ckpt_ptr_disk {
	struct ka_le64 seq;    /* the checkpoint holds every record up to this one */
	struct ka_le64 addr;   /* of its first record; 0: there is none */
	struct ka_le64 chunks; /* number of its records */
	struct ka_le64 bytes;  /* payload of them all */
};
KA_ASSERT_SIZE(struct ka_ckpt_ptr_disk, 32);

struct ka_super_disk {
	uint8_t magic[8];
	struct ka_le32 disk_version;
	struct ka_le32 super_bytes;
	struct ka_le64 feature_compat;
	struct ka_le64 feature_ro_compat;
	struct ka_le64 feature_incompat;
	uint8_t uuid[16];
	struct ka_le64 log_id; /* hash of the UUID and a random number of mkfs */
	uint8_t label[64];
	/* geometry */
	struct ka_le64 capacity_bytes;
	struct ka_le64 slice_bytes;
	struct ka_le64 first_slice_bytes;
	struct ka_le32 segment_bytes;
	struct ka_le32 slices;
	struct ka_le64 segments;  /* whole ones in the capacity */
	struct ka_le64 phys_addr; /* of the region when it was formatted; 0: a file */
	struct ka_le64 copy_addr[KA_SUPER_COPIES];
	/* what changes */
	struct ka_le64 super_seq;   /* of this update; the higher valid copy counts */
	struct ka_le32 copy;	    /* which copy this is */
	struct ka_le32 state;	    /* enum ka_super_state */
	struct ka_le64 owned_bytes; /* the boundary: beyond it memory may be lent */
	struct ka_le64 flags;
	struct ka_ckpt_ptr_disk ckpt[2]; /* the newest and the one before */
	struct ka_le64 mkfs_ns;		 /* times: ns since 1970; 0: never */
	struct ka_le64 mount_ns;
	struct ka_le64 clean_ns;
	struct ka_le64 unclean_ns;
	struct ka_le64 mounts;
	struct ka_le64 recovered; /* records replayed by the last recovery */
	struct ka_le64 torn;	  /* records cut off by it */
	struct ka_le64 lost;	  /* records it found damaged */
	uint8_t rsv[3736];
	struct ka_le64 csum; /* of all the bytes before it */
};
KA_ASSERT_SIZE(struct ka_super_disk, KA_SUPER_BYTES);
KA_ASSERT_AT(struct ka_super_disk, uuid, 40);
KA_ASSERT_AT(struct ka_super_disk, capacity_bytes, 128);
KA_ASSERT_AT(struct ka_super_disk, copy_addr, 176);
KA_ASSERT_AT(struct ka_super_disk, super_seq, 192);
KA_ASSERT_AT(struct ka_super_disk, ckpt, 224);
KA_ASSERT_AT(struct ka_super_disk, mkfs_ns, 288);
KA_ASSERT_AT(struct ka_super_disk, rsv, 352);
KA_ASSERT_AT(struct ka_super_disk, csum, 4088);

/* ---- segments -------------------------------------------------------- */

#define KA_SEGMENT_MAGIC 0x4745534bu /* "KSEG" */

enum ka_segment_kind {
	KA_SEGMENT_LOG = 1,
	KA_SEGMENT_CKPT = 2,
};

struct ka_segment_disk {
	struct ka_le64 csum; /* of the bytes after it */
	struct ka_le32 magic;
	struct ka_le32 kind; /* enum ka_segment_kind */
	struct ka_le64 log_id;
	struct ka_le64 gen;	 /* how many segments were opened before, ever */
	struct ka_le64 index;	 /* of this segment in the region */
	struct ka_le64 open_seq; /* every record in it has a higher number */
	struct ka_le32 writer;	 /* the writer position that opened it */
	struct ka_le32 rsv;
	struct ka_le64 prev_gen; /* of that position's segment before; 0: none */
};
KA_ASSERT_SIZE(struct ka_segment_disk, 64);

/* ---- records --------------------------------------------------------- */

/* Numbers are permanent. FORMAT.md lists those kept for later versions. */
enum ka_record_type {
	KA_REC_END = 1,	   /* the segment was closed here */
	KA_REC_WRITE = 2,  /* bytes of a file */
	KA_REC_CREATE = 3, /* a new inode and its first name */
	KA_REC_LINK = 4,   /* one more name */
	KA_REC_REMOVE = 5, /* one name less: unlink, rmdir */
	KA_REC_RENAME = 6, /* move, replace, exchange */
	KA_REC_SETATTR = 7,
	KA_REC_XATTR = 8,
	KA_REC_SPACE = 9,      /* allocate, punch, zero */
	KA_REC_CLONE = 10,     /* share a range with another file */
	KA_REC_CKPT = 11,      /* one chunk of a checkpoint */
	KA_REC_CKPT_LINK = 12, /* the checkpoint goes on in another segment */
	KA_REC_TYPES
};

#define KA_RECORD_ALIGN 8u

struct ka_rec_disk {
	struct ka_le64 csum; /* of bytes 8 .. head_bytes, seeded with the address */
	struct ka_le64 log_id;
	struct ka_le64 seq;
	struct ka_le64 time_ns;	   /* signed, since 1970 */
	struct ka_le32 gen;	   /* low half of the segment's */
	struct ka_le32 bytes;	   /* the whole record, padding included */
	struct ka_le32 head_bytes; /* where the payload starts; else = bytes */
	struct ka_le16 type;	   /* enum ka_record_type */
	struct ka_le16 flags;	   /* meaning depends on the type */
};
KA_ASSERT_SIZE(struct ka_rec_disk, 48);
KA_ASSERT_AT(struct ka_rec_disk, gen, 32);
KA_ASSERT_AT(struct ka_rec_disk, type, 44);

/* What every record with payload shares; checksums of the pieces follow. */
struct ka_payload_disk {
	struct ka_le32 bytes;
	struct ka_le32 piece_bytes; /* a power of two */
};
KA_ASSERT_SIZE(struct ka_payload_disk, 8);

#define KA_WRITE_KILL_SUID 1u /* flags: the write took these mode bits away */
#define KA_WRITE_KILL_SGID 2u
#define KA_WRITE_MOVED	   4u /* flags: the same bytes at another place */

struct ka_rec_write_disk {
	struct ka_rec_disk h;
	struct ka_le64 ino;
	struct ka_le64 off;
	struct ka_payload_disk payload;
	struct ka_le64 piece_csum[];
};
KA_ASSERT_SIZE(struct ka_rec_write_disk, 72);

struct ka_rec_create_disk {
	struct ka_rec_disk h;
	struct ka_le64 parent; /* 0: no name yet */
	struct ka_le64 cookie;
	struct ka_le64 ino;
	struct ka_le32 mode;
	struct ka_le32 uid;
	struct ka_le32 gid;
	struct ka_le32 rdev; /* major << 20 | minor */
	struct ka_le32 xattr_bytes;
	struct ka_le16 target_bytes;
	struct ka_le16 name_bytes;
	uint8_t data[]; /* name, symlink target, ka_xattr_disk entries */
};
KA_ASSERT_SIZE(struct ka_rec_create_disk, 96);

/* One extended attribute inside a create record; padded to 8 bytes. */
struct ka_xattr_disk {
	struct ka_le32 value_bytes;
	struct ka_le16 name_bytes;
	struct ka_le16 rsv;
	uint8_t data[]; /* name, value */
};
KA_ASSERT_SIZE(struct ka_xattr_disk, 8);

/* KA_REC_LINK and KA_REC_REMOVE */
struct ka_rec_name_disk {
	struct ka_rec_disk h;
	struct ka_le64 parent;
	struct ka_le64 cookie;
	struct ka_le64 ino;
	struct ka_le16 name_bytes;
	uint8_t rsv[6];
	uint8_t name[];
};
KA_ASSERT_SIZE(struct ka_rec_name_disk, 80);

#define KA_RENAME_EXCHANGE 1u /* flags */

struct ka_rec_rename_disk {
	struct ka_rec_disk h;
	struct ka_le64 from_parent;
	struct ka_le64 from_cookie;
	struct ka_le64 to_parent;
	struct ka_le64 to_cookie;
	struct ka_le64 ino;
	struct ka_le64 other_ino; /* replaced or exchanged; 0: none */
	struct ka_le16 from_bytes;
	struct ka_le16 to_bytes;
	uint8_t rsv[4];
	uint8_t names[]; /* from, to */
};
KA_ASSERT_SIZE(struct ka_rec_rename_disk, 104);

#define KA_SET_MODE  1u
#define KA_SET_UID   2u
#define KA_SET_GID   4u
#define KA_SET_SIZE  8u
#define KA_SET_ATIME 16u
#define KA_SET_MTIME 32u
#define KA_SET_CTIME 64u /* ctime becomes the record's time */
#define KA_SET_ALL   127u

struct ka_rec_setattr_disk {
	struct ka_rec_disk h;
	struct ka_le64 ino;
	struct ka_le32 valid; /* KA_SET_* */
	struct ka_le32 mode;  /* permission bits, suid, sgid, sticky */
	struct ka_le32 uid;
	struct ka_le32 gid;
	struct ka_le64 size;
	struct ka_le64 atime_sec; /* signed */
	struct ka_le64 mtime_sec;
	struct ka_le32 atime_nsec;
	struct ka_le32 mtime_nsec;
};
KA_ASSERT_SIZE(struct ka_rec_setattr_disk, 104);

#define KA_XATTR_REMOVE	  1u /* flags */
#define KA_XATTR_SET_MODE 2u /* an access ACL changed the permission bits */

struct ka_rec_xattr_disk {
	struct ka_rec_disk h;
	struct ka_le64 ino;
	struct ka_le32 mode;
	struct ka_le32 value_bytes;
	struct ka_le16 name_bytes;
	uint8_t rsv[6];
	uint8_t data[]; /* name, value */
};
KA_ASSERT_SIZE(struct ka_rec_xattr_disk, 72);

enum ka_space_what {
	KA_SPACE_ALLOC = 1, /* make room; what is there stays */
	KA_SPACE_PUNCH = 2, /* make a hole */
	KA_SPACE_ZERO = 3,  /* zeros, with room kept for them */
};
#define KA_SPACE_KEEP_SIZE 1u /* flags */

struct ka_rec_space_disk {
	struct ka_rec_disk h;
	struct ka_le64 ino;
	struct ka_le64 off;
	struct ka_le64 len;
	struct ka_le32 what;
	struct ka_le32 rsv;
};
KA_ASSERT_SIZE(struct ka_rec_space_disk, 80);

#define KA_CLONE_MOVED 1u /* flags: what the range has already, at another place */

struct ka_rec_clone_disk {
	struct ka_rec_disk h;
	struct ka_le64 from_ino;
	struct ka_le64 from_off;
	struct ka_le64 ino;
	struct ka_le64 off;
	struct ka_le64 len;
};
KA_ASSERT_SIZE(struct ka_rec_clone_disk, 88);

struct ka_rec_ckpt_disk {
	struct ka_rec_disk h; /* seq: what the checkpoint covers */
	struct ka_le64 ordinal;
	struct ka_payload_disk payload;
	struct ka_le64 piece_csum[];
};
KA_ASSERT_SIZE(struct ka_rec_ckpt_disk, 64);

struct ka_rec_ckpt_link_disk {
	struct ka_rec_disk h;
	struct ka_le64 next_segment;
};
KA_ASSERT_SIZE(struct ka_rec_ckpt_link_disk, 56);

/* Largest head: a create with a name, a target and inherited ACLs. */
#define KA_HEAD_MAX (160u << 10)

/* ---- items of a checkpoint ------------------------------------------- */

/*
 * The payload of a checkpoint is a list of items that never straddle two
 * records: a tag byte, then fields as LEB128 numbers (signed ones zigzag) and
 * byte strings with a length before them. FORMAT.md lists the fields.
 */
enum ka_item_tag {
	KA_ITEM_HEAD = 'H',
	KA_ITEM_SEGMENT = 'S',
	KA_ITEM_INODE = 'I',
	KA_ITEM_TARGET = 'T',
	KA_ITEM_XATTR = 'X',
	KA_ITEM_EXTENT = 'E',
	KA_ITEM_DIR = 'D',
	KA_ITEM_NAME = 'N',
	KA_ITEM_END = 'Z',
};

/* Flags of KA_ITEM_SEGMENT. */
#define KA_ITEM_SEGMENT_OPEN 1u /* its position goes on there */
#define KA_ITEM_SEGMENT_BAD  2u /* a memory error was met there: not to be used again */

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * super.h - the two copies of the superblock, in the first segment.
 *
 * An update stores first the copy that the superblock was not read from, which
 * may be torn or older, fences, then the other one, fences: whenever the machine
 * dies, the newest copy that was whole before still is, or a newer one is. Of
 * two whole copies the one with the higher super_seq counts. Callers serialize
 * updates.
 */
#ifndef KEEPALIVE_SUPER_H
#define KEEPALIVE_SUPER_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/format.h"
#include "keepalive/msg.h"
#include "keepalive/region.h"

struct ka_ckpt_ptr {
	uint64_t seq;
	uint64_t addr; /* 0: none */
	uint64_t chunks;
	uint64_t bytes;
};

/* The superblock in host order; see format.h for the fields. */
struct ka_super {
	uint32_t disk_version;
	uint64_t feature_compat;
	uint64_t feature_ro_compat;
	uint64_t feature_incompat;
	uint8_t uuid[16];
	uint64_t log_id;
	char label[KA_LABEL_MAX + 1];
	uint64_t capacity_bytes;
	uint64_t slice_bytes;
	uint64_t first_slice_bytes;
	uint32_t segment_bytes;
	uint32_t slices;
	uint64_t segments;
	uint64_t phys_addr;
	uint64_t copy_addr[KA_SUPER_COPIES];
	uint64_t seq;
	uint32_t copy; /* the one this was read from, to be stored last */
	enum ka_super_state state;
	uint64_t owned_bytes;
	uint64_t flags;
	struct ka_ckpt_ptr ckpt[2];
	int64_t mkfs_ns;
	int64_t mount_ns;
	int64_t clean_ns;
	int64_t unclean_ns;
	uint64_t mounts;
	uint64_t recovered;
	uint64_t torn;
	uint64_t lost;
};

/* What ka_super_read found out about each copy: 0 or the code that damns it. */
struct ka_super_report {
	int copy_err[KA_SUPER_COPIES];
	uint64_t copy_seq[KA_SUPER_COPIES];
	uint64_t copy_addr[KA_SUPER_COPIES];
};

/*
 * Reads the newer valid copy. Explains a failure to sink. report may be NULL.
 * -KA_ERR_SUPER_RO_FEATURE: ret_sb is filled, but nothing may be written.
 */
int ka_super_read(const struct ka_region *rg, const struct ka_msg_sink *sink,
		  struct ka_super_report *report, struct ka_super *ret_sb);

/* Decodes and validates one copy that lies at addr. Silent. */
int ka_super_decode(const struct ka_super_disk *disk, struct ka_super *ret_sb);

/*
 * Puts one superblock together from two copies that are both damaged, not at the same bytes:
 * its checksum proves it. -KA_ERR_SUPER_CSUM: that does not go. For fsck.
 */
int ka_super_merge(const struct ka_region *rg, struct ka_super *ret_sb);

/*
 * Stores sb to both copies with the next sequence number. Durable on return. With
 * a memory error at one of them the other has to do, which sink is told.
 * -KA_ERR_STORE: neither could be stored.
 */
int ka_super_write(struct ka_region *rg, struct ka_super *sb, const struct ka_msg_sink *sink);

/* The bytes of this copy. */
void ka_super_encode(const struct ka_super *sb, uint32_t copy, struct ka_super_disk *ret_disk);

/*
 * Zeroes every superblock, wherever a copy could be, durably: none comes back to life
 * when what follows is cut off. What is none stays: until the erasure is durable the
 * old filesystem is there, and whole. 0 or -KA_ERR_STORE.
 */
int ka_super_erase(struct ka_region *rg);

/*
 * Fills in the geometry for capacity bytes: segment size, slices, copies; the
 * rest of sb stays. slice_bytes 0 lets it choose; else the first slice is as large as the
 * others, or by less than twice larger. -KA_ERR_REGION_SMALL, -KA_ERR_SUPER_FIELD.
 */
int ka_super_geometry(struct ka_super *sb, uint64_t capacity_bytes, uint64_t slice_bytes,
		      uint64_t first_slice_bytes);

/* The slice that the byte at off is in. */
uint32_t ka_super_slice_of(const struct ka_super *sb, uint64_t off);

/* Where a slice begins; of the one behind the last the capacity. */
uint64_t ka_super_slice_off(const struct ka_super *sb, uint32_t slice);

/* The first end of a slice that is not below bytes; never 0 and never above the capacity. */
uint64_t ka_super_boundary(const struct ka_super *sb, uint64_t bytes);

/* log_id from the UUID and fresh random bytes. 0 or -errno. */
int ka_super_new_log_id(struct ka_super *sb);

#endif

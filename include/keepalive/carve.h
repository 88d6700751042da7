/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * carve.h - the slices of a dynamic DAX region: each is a device of its own.
 *
 * The kernel forgets over a boot how a region was cut, so the first mount cuts it again, by
 * what the superblock says. What the kernel presents then may be nothing, one device of
 * full size, what is wanted, or a part of it, from a run that was cut off: each ends as what is
 * wanted, and a second run changes nothing.
 */
#ifndef KEEPALIVE_CARVE_H
#define KEEPALIVE_CARVE_H

#include <stdint.h>

#include "keepalive/format.h"
#include "keepalive/machine.h"
#include "keepalive/msg.h"
#include "keepalive/super.h"

/* How a region is to be cut. */
struct ka_carving {
	uint64_t start; /* physical address of the region */
	uint32_t slices;
	uint64_t off[KA_SLICES_MAX + 1]; /* of each slice, and of the end */
};

void ka_carving_of(const struct ka_super *sb, uint64_t start, struct ka_carving *ret);

struct ka_carve_sizes {
	uint64_t slice_bytes;
	uint64_t first_slice_bytes;
	uint64_t unlendable_bytes; /* in no whole block: at the end, not usable by the system */
};

/*
 * The sizes for a new filesystem in [start, start + bytes) of physical memory: the fewest
 * whole memory blocks for a slice. Where there are no two blocks, or block_bytes is 0, it is
 * one slice.
 */
void ka_carve_choose(uint64_t start, uint64_t bytes, uint64_t block_bytes,
		     struct ka_carve_sizes *ret);

enum ka_carved {
	KA_CARVED_NOT,	 /* no device has memory */
	KA_CARVED_WHOLE, /* one has all */
	KA_CARVED_AS_WANTED,
	KA_CARVED_PARTLY, /* some are as wanted, and there are no others */
	KA_CARVED_OTHERWISE,
};

enum ka_carved ka_carve_look(const struct ka_dax_region *region, const struct ka_carving *want);

/* The device that a slice is, or NULL. */
struct ka_dax_dev *ka_carve_device(const struct ka_dax_region *region,
				   const struct ka_carving *want, uint32_t slice);

/*
 * Cuts it as wanted. The caller holds the lock of the region, and knows that nobody uses it
 * where it is one device. -KA_ERR_DAX_CARVED where it is cut in some other way,
 * -KA_ERR_DAX_SYSTEM_RAM where the one device is in use as system memory; both before
 * anything is changed, and explained. Others in the middle: to be completed by the next try.
 */
int ka_carve(struct ka_machine *m, int region, const struct ka_carving *want,
	     const struct ka_msg_sink *sink);

/* The region with this id, or the one that begins at this address; NULL: there is none. */
struct ka_dax_region *ka_dax_region_find(struct ka_dax_region *regions, size_t count, int id);
struct ka_dax_region *ka_dax_region_at(struct ka_dax_region *regions, size_t count, uint64_t start);

#endif

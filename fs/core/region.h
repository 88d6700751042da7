/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.h (private) - what a back end of the store gate provides.
 */
#ifndef KA_CORE_REGION_H
#define KA_CORE_REGION_H

#include <stdatomic.h>

#include "keepalive/region.h"

struct ka_region_ops {
	void (*write)(struct ka_region *rg, uint64_t off, const void *src, size_t len);
	void (*copy)(struct ka_region *rg, uint64_t off, const void *src, size_t len);
	void (*flush)(struct ka_region *rg, uint64_t off, size_t len);
	void (*fence)(struct ka_region *rg);
	int (*prepare)(struct ka_region *rg, uint64_t off, size_t len);
	bool (*exists)(struct ka_region *rg, uint64_t off, size_t len); /* NULL: always */
	int (*sync)(struct ka_region *rg);
	/* Whole slices; both NULL: this memory stays. After an error of restore it is released. */
	int (*release)(struct ka_region *rg, uint64_t off, uint64_t len);
	int (*restore)(struct ka_region *rg, uint64_t off, uint64_t len);
	void (*leaving)(struct ka_region *rg);
	bool (*others)(const struct ka_region *rg, bool *ret_served); /* NULL: none ever */
	void (*close)(struct ka_region *rg);			      /* frees rg too */
};

/* A back end embeds this as its first member. */
struct ka_region {
	const struct ka_region_ops *ops;
	struct ka_region_info info;
	bool stays;			/* all of it: as if release and restore were NULL */
	uint8_t *base;			/* of the window of capacity_bytes */
	_Atomic uint64_t foreign_bytes; /* at the end of the region, that are not ours */
	_Atomic uint64_t absent_bytes;	/* of those, that are not mapped either */
};

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signatures.h - what a region holds already: a keepalivefs, or anything that
 * libblkid knows (filesystems, RAID members, partition tables, swap, ...).
 */
#ifndef KEEPALIVE_SIGNATURES_H
#define KEEPALIVE_SIGNATURES_H

#include <stddef.h>
#include <stdint.h>

#include "keepalive/msg.h"
#include "keepalive/region.h"

#define KA_SIGNATURES_MAX 64

struct ka_signature {
	char what[128]; /* "an ext4 filesystem labelled 'home'" */
	uint64_t off;	/* of its magic; 0 bytes long where that is not known */
	uint64_t len;
};

struct ka_signatures {
	size_t count;
	struct ka_signature sig[KA_SIGNATURES_MAX];
};

/* Reads, never stores. 0, or a negative code, explained to sink. */
int ka_signatures_find(const struct ka_region *rg, const struct ka_msg_sink *sink,
		       struct ka_signatures *ret_found);

/* Zeroes their magics, durably, so that nothing finds what is overwritten. 0 or -KA_ERR_STORE. */
int ka_signatures_wipe(struct ka_region *rg, const struct ka_signatures *found);

#endif

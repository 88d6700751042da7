/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * poison.h - memory for a region, pages of which can be broken: to touch those
 * is SIGBUS, as with poison on a DAX device.
 *
 * A broken page is mapped from a file without bytes, which is what truncating a
 * region file under its users gives. What it held comes back when it heals.
 */
#ifndef KA_POISON_H
#define KA_POISON_H

#include <stdint.h>

#define POISON_PAGE 4096u

struct poison {
	uint8_t *mem;
	uint64_t bytes;
	int fd;
	int none_fd;
};

/* bytes zeros. */
void poison_make(struct poison *p, uint64_t bytes);

/* Breaks every page that [off, off + len) touches. */
void poison_break(struct poison *p, uint64_t off, uint64_t len);

/* All pages work again. */
void poison_heal(struct poison *p);

void poison_release(struct poison *p);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard.h - a region over an image that watches what is stored, and the end of
 * the program when something goes wrong.
 *
 * A store has to lie in the region, below the boundary that the superblock
 * says, and in the first segment only where a superblock is; none at all where
 * the region is only looked at. Under AddressSanitizer nothing beyond the
 * boundary may even be read.
 */
#ifndef KA_EVIL_GUARD_H
#define KA_EVIL_GUARD_H

#include <stdbool.h>

#include "image.h"
#include "keepalive/region.h"

/* What is being tried, for messages; printed before evil_fail ends the program. */
extern char evil_what[512];
void evil_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* img has to stay. */
struct ka_region *evil_guard_open(struct evil_image *img, bool readonly);

/* A sink for messages, which sees to it that no operation stopped the filesystem. */
extern const struct ka_msg_sink evil_sink;

#endif

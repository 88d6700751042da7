/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper_dax.h - what the helper does for slices of a DAX region; see helper.h.
 */
#ifndef KEEPALIVE_DAEMON_HELPER_DAX_H
#define KEEPALIVE_DAEMON_HELPER_DAX_H

#include <stdint.h>

#include "keepalive/hotplug.h"

/* For all blocks of a slice, on their way back. */
#define HELPER_OFFLINE_MS 10000

struct helper_dax {
	struct ka_machine *m; /* NULL: no region yet */
	uint64_t start;
	uint64_t bytes;
};

/* The region that begins at this physical address. 0 or -errno. */
int helper_dax_region(struct helper_dax *d, uint64_t start, uint64_t bytes);

/*
 * A slice at off, never the first. 0, or a code and why. What comes back while a kernel is loaded for
 * kexec may be overwritten by it (before a fix of October 2024): that is a reason beside 0.
 */
int helper_dax_lend(struct helper_dax *d, uint64_t off, uint64_t bytes, char reason[KA_REASON_MAX]);
int helper_dax_reclaim(struct helper_dax *d, uint64_t off, uint64_t bytes,
		       char reason[KA_REASON_MAX], int *ret_fd);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seen.h - which images were judged already, and what came of it. Shared with the
 * processes that are forked later, so that none does what another one did.
 */
#ifndef KA_CRASH_SEEN_H
#define KA_CRASH_SEEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct seen_slot {
	_Atomic uint64_t key;	/* of the image; 0: free */
	_Atomic uint64_t value; /* what came of it; 0: not known yet */
};

struct seen {
	struct seen_slot *slot;
	uint64_t slots;
};

/* Room for so many images. -ENOMEM. */
int seen_open(struct seen *s, uint64_t images);
void seen_close(struct seen *s);

/*
 * The slot of this image; *ret_new if it was not there. NULL: there is no room for
 * more, which counts as new to nobody.
 */
struct seen_slot *seen_find(struct seen *s, uint64_t image, bool *ret_new);

#endif

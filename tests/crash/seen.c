/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seen.c - which images were judged already; see seen.h. */
#include "seen.h"

#include <errno.h>
#include <sys/mman.h>

#include "keepalive/util.h"

/* Steps of a search: the table is never so full that more are needed. */
#define STEPS 1000

int seen_open(struct seen *s, uint64_t images)
{
	void *map;

	for (s->slots = 1024; s->slots < 2 * images; s->slots *= 2)
		;
	map = mmap(NULL, s->slots * sizeof(*s->slot), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	s->slot = map;
	return 0;
}

void seen_close(struct seen *s)
{
	munmap(s->slot, s->slots * sizeof(*s->slot));
}

struct seen_slot *seen_find(struct seen *s, uint64_t image, bool *ret_new)
{
	uint64_t key = image ? image : 1, i, have;
	struct seen_slot *slot;

	*ret_new = false;
	for (i = 0; i < ka_min(STEPS, s->slots); i++) {
		slot = &s->slot[(key + i) % s->slots];
		have = 0;
		if (atomic_compare_exchange_strong(&slot->key, &have, key)) {
			*ret_new = true;
			return slot;
		}
		if (have == key)
			return slot;
	}
	return NULL;
}

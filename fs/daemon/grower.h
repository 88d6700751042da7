/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grower.h - the thread that has lent memory back before the space for files is used up, where
 * that takes time (see ka_grow_ahead), and the pace of writes meanwhile.
 *
 * The pages that a write comes from are pinned until it is answered, and where they lie in the
 * memory that is to come back, that has to wait for a moment between two writes. So a write is not
 * made to wait until there is memory; it is served from the reserve, but the more slowly, the
 * less is left of it: the first ones come soon one after the other, for many such moments, and the
 * last ones leave the kernel its time. Of long ones, when half of it is used up, only a part is done:
 * its pages are free while the program comes with the rest.
 */
#ifndef KEEPALIVE_DAEMON_GROWER_H
#define KEEPALIVE_DAEMON_GROWER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

struct grower {
	struct server *sv;
	pthread_t thread;
	pthread_mutex_t lock;	/* of all below; a leaf */
	pthread_cond_t changed; /* monotonic clock */
	int64_t begin_ms;	/* while growing: since when */
	int64_t failed_ms;	/* when it did not succeed; 0: never, or it did since */
	bool growing;
	bool stop;
	bool started;
};

/* Nothing happens where memory comes back at once. 0 or -errno. */
int grower_start(struct grower *g, struct server *sv);

/*
 * Before a write of so many bytes, without locks: begins to grow when it is time, and waits as
 * above. How many of them to write, which is all of them for one that has to be whole.
 */
size_t grower_pace(struct grower *g, size_t bytes, bool whole);

/* Ends the thread, which may be waiting for memory. */
void grower_stop(struct grower *g);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_mixed.h - direct writes that need the kernel's caches to be told, and
 * sealing, before which the kernel has to write back what is in them.
 *
 * Telling may wait for pages that a reader has locked, so for a thread that
 * serves reads, and must not be done by one. Such requests are therefore handed
 * to a thread of their own, which answers them too.
 */
#ifndef KEEPALIVE_DAEMON_FUSE_MIXED_H
#define KEEPALIVE_DAEMON_FUSE_MIXED_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fuse_cache.h"

struct server;
struct mixed_job;

struct mixed {
	struct server *sv;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below; a leaf */
	pthread_cond_t more;
	pthread_cond_t done; /* one more of them */
	struct mixed_job *first, **last;
	uint64_t jobs_queued; /* since the start */
	uint64_t jobs_done;
	bool started;
	bool closing; /* the caches do not matter any more */
	bool stop;
};

int mixed_start(struct mixed *m, struct server *sv);

/* Both take over the caller's reference to h, and answer req. */

/* A write to be done. */
void mixed_write(struct mixed *m, fuse_req_t req, struct handle *h, const char *buf, size_t size,
		 off_t off);

/* A write that was done, but became mixed meanwhile. */
void mixed_written(struct mixed *m, fuse_req_t req, struct handle *h, size_t written, off_t off);

/* Writes back what is in mapped files, seals the filesystem, and answers req. */
void mixed_seal(struct mixed *m, fuse_req_t req);

/*
 * The daemon ends: waits for what was handed over so far, after which nothing is
 * told any more. Not for what comes meanwhile: writers need not stop. To be called
 * while requests are still served.
 */
void mixed_quiesce(struct mixed *m);

/* Ends the thread, after the mount is gone. */
void mixed_stop(struct mixed *m);

#endif

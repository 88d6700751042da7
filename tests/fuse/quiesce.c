/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quiesce.c - mixed_quiesce waits for what was handed over before, not for writers
 * that never stop: here each job that is done hands over the next one, from before
 * it counts as done, so that the queue is never empty.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse_mixed.h"
#include "fuse_ops.h"
#include "server.h"

#define QUEUED	     10
#define HANG_SECONDS 20

static struct server sv;
static struct handle handle;
static _Atomic unsigned answered;
static _Atomic bool stop;

static void hand_over(void)
{
	mixed_written(&sv.mixed, NULL, &handle, 0, 0);
}

/* ---- what fuse_mixed.c calls -------------------------------------------------- */

void put_handle(struct server *server, struct handle *h)
{
	(void)server;
	(void)h;
	if (!atomic_load(&stop))
		hand_over();
}

int fuse_reply_write(fuse_req_t req, size_t count)
{
	(void)req;
	(void)count;
	atomic_fetch_add(&answered, 1);
	return 0;
}

void keeper_poke(struct keeper *k)
{
	(void)k;
}

void reply_code(fuse_req_t req, int err)
{
	(void)req;
	(void)err;
	abort();
}

void reply_ioctl(fuse_req_t req, int err)
{
	(void)req;
	(void)err;
	abort();
}

bool has_fsetid(fuse_req_t req)
{
	(void)req;
	abort();
}

int cache_list(struct cache *c, ka_ino_t **ret_list, size_t *ret_count)
{
	(void)c;
	(void)ret_list;
	(void)ret_count;
	abort();
}

/* ---- the test ---------------------------------------------------------------- */

int main(void)
{
	unsigned i;

	alarm(HANG_SECONDS); /* it waits for an empty queue: for ever */
	if (mixed_start(&sv.mixed, &sv))
		return 99;
	for (i = 0; i < QUEUED; i++)
		hand_over();
	mixed_quiesce(&sv.mixed);
	if (atomic_load(&answered) < QUEUED) {
		fprintf(stderr, "only %u of %u were answered\n", answered, QUEUED);
		return 1;
	}
	atomic_store(&stop, true);
	mixed_stop(&sv.mixed);
	return 0;
}

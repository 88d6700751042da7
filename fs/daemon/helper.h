/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper.h - the process beside the daemon that keeps what little privilege a mount
 * needs after it was made: to unmount it, or make it read-only; to lend a slice of a
 * DAX region to the system and have it back.
 *
 * The daemon reads what clients and media send it; the helper reads one letter of it,
 * out of a few, and for a slice where it lies. It knows by itself which mount it is about,
 * and is told which region before the daemon reads what that holds. It is forked off before
 * the region is opened, so it holds no lock and no memory of it. It ends with the
 * daemon, and leaves the mount alone then.
 */
#ifndef KEEPALIVE_DAEMON_HELPER_H
#define KEEPALIVE_DAEMON_HELPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keepalive/hotplug.h"

/* What it can be asked for. Each is answered when it is done. */
enum helper_request {
	HELPER_MOUNTED = 'm',	/* the mount was made: remember which one it is */
	HELPER_ANSWERS = 'a',	/* does it answer? If it does, set how far to read ahead */
	HELPER_READ_ONLY = 'r', /* show it as read-only */
	HELPER_UNMOUNT = 'u',	/* detach it, if it is still there */
	HELPER_REGION = 'd',	/* this DAX region is what slices are of; once */
	HELPER_LEND = 'l',	/* a slice to the system */
	HELPER_RECLAIM = 't',	/* and back: the answer comes with a descriptor of it */
};

/* One packet each way. */
struct helper_question {
	uint64_t off; /* of HELPER_REGION the physical address, else into the region */
	uint64_t bytes;
	char request;
};

struct helper_answer {
	int32_t err;
	char reason[KA_REASON_MAX]; /* why a slice stays where it is, or empty */
};

struct helper {
	int fd; /* -1: there is none */
	pid_t pid;
	pthread_mutex_t lock; /* one question at a time */
};

/*
 * Before there are threads. mountpoint is absolute. lends: it has to be able to lend slices. 0 or
 * -errno.
 */
int helper_start(struct helper *h, const char *mountpoint, bool lends);

/*
 * 0 or a code. -ETIMEDOUT: it has not answered for seconds; it is not asked again, so from then on
 * this fails at once.
 */
int helper_ask(struct helper *h, enum helper_request request);

/*
 * The same about a range. ret, which may be NULL, is the whole answer; ret_fd, which may be
 * NULL too, what came with it, or -1.
 */
int helper_ask_range(struct helper *h, enum helper_request request, uint64_t off, uint64_t bytes,
		     struct helper_answer *ret, int *ret_fd);

/* Ends it and waits for that, but not for long: somebody may have stopped it. */
void helper_stop(struct helper *h);

/* Where the title of a process goes: the words that it was started with. */
void helper_init_title(int argc, char **argv);

#endif

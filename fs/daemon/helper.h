/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper.h - the process beside the daemon that keeps what little privilege a mount
 * needs after it was made: to unmount it, or make it read-only.
 *
 * The daemon reads what clients and media send it; the helper reads one byte of it,
 * out of a few, and knows by itself which mount it is about. It is forked off before
 * the region is opened, so it holds no lock and no memory of it. It ends with the
 * daemon, and leaves the mount alone then.
 */
#ifndef KEEPALIVE_DAEMON_HELPER_H
#define KEEPALIVE_DAEMON_HELPER_H

#include <sys/types.h>

/* What it can be asked for. Each is answered when it is done. */
enum helper_request {
	HELPER_MOUNTED = 'm',	/* the mount was made: remember which one it is */
	HELPER_ANSWERS = 'a',	/* does it answer? If it does, set how far to read ahead */
	HELPER_READ_ONLY = 'r', /* show it as read-only */
	HELPER_UNMOUNT = 'u',	/* detach it, if it is still there */
};

struct helper {
	int fd; /* -1: there is none */
	pid_t pid;
};

/* Before there are threads. mountpoint is absolute. 0 or -errno. */
int helper_start(struct helper *h, const char *mountpoint);

/*
 * 0 or -errno. One thread at a time. -ETIMEDOUT: it has not answered for seconds;
 * it is not asked again, so from then on this fails at once.
 */
int helper_ask(struct helper *h, enum helper_request request);

/* Ends it and waits for that, but not for long: somebody may have stopped it. */
void helper_stop(struct helper *h);

/* Where the title of a process goes: the words that it was started with. */
void helper_init_title(int argc, char **argv);

#endif

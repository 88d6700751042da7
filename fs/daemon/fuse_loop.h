/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_loop.h - the threads that serve requests.
 *
 * Most requests take less time than to wake up a thread for them. libfuse's
 * own loop always has a second thread waiting, which the kernel then gives the
 * next request to: each one goes to a thread, and often a core, that has to be
 * woken and knows nothing of the last. That costs more than half of the speed.
 *
 * Here one thread, the leader, takes requests and serves them itself, as long
 * as they are short. When one comes that moves a lot of data while there are
 * other clients, or that may wait for a disk, the leader makes another thread
 * the leader first; so those do run side by side.
 */
#ifndef KEEPALIVE_DAEMON_FUSE_LOOP_H
#define KEEPALIVE_DAEMON_FUSE_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fuse_session;

/* More than most machines have cores to spare; each has a buffer of 1 MiB. */
#define LOOP_THREADS_MAX 10

struct loop {
	struct fuse_session *se; /* the owner sets it */
	int64_t calm_until;	 /* does not wait awake before; the leader's */
	int64_t awake_ns;	 /* how long it waits awake; the leader's */
	pid_t long_client;	 /* of the last long request; the leader's */
	pthread_mutex_t lock;	 /* of all below; a leaf */
	pthread_cond_t promoted;
	pthread_t leader;
	bool has_leader;
	bool left; /* no thread takes requests any more */
	int err;
	unsigned parked;  /* threads that wait to become the leader */
	unsigned threads; /* beside the one that runs the loop */
	pthread_t thread[LOOP_THREADS_MAX];
};

/* Once per process, before any thread: how a leader is woken to end. */
void loop_init(struct loop *l);

/* Serves until the mount is gone or loop_end is called. 0 or -errno. */
int loop_run(struct loop *l);

/*
 * What the calling thread serves will wait for long: if it is the leader, another is from now on.
 * Does nothing in any other thread.
 */
void loop_give_way(struct loop *l);

/* Makes the loop end and waits until it takes no more requests. */
void loop_end(struct loop *l);

#endif

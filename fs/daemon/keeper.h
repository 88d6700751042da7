/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper.h - the thread beside those that serve requests: it takes signals,
 * writes checkpoints, cleans when space is short, lends when there is plenty
 * (lend=auto), and completes the start.
 *
 * Once the kernel has shaken hands, it asks the mount for its attributes, so
 * what it reports to the parent is that the mount answers. SIGTERM and SIGINT
 * end the daemon, SIGHUP writes a checkpoint: a daemon outlives the terminal
 * that it was started from.
 */
#ifndef KEEPALIVE_DAEMON_KEEPER_H
#define KEEPALIVE_DAEMON_KEEPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct server;

struct keeper {
	struct server *sv;
	pthread_t thread;
	int signal_fd;
	int kick_fd;
	int null_fd;   /* for when it leaves the terminal */
	int parent_fd; /* -1: nobody waits; else one byte: the exit code */
	int64_t much_ms; /* with lend=auto: since when much is free, monotonic; 0: it is not; -1: lending */
	bool started;
	_Atomic bool kicked;	   /* a checkpoint was asked for */
	_Atomic bool clean_kicked; /* and the cleaner */
	_Atomic bool shaken;	   /* INIT was processed */
	_Atomic bool ready;	   /* the mount answers */
	_Atomic bool stop;
};

/* Blocks the signals that the keeper takes, in all threads to come. 0 or -errno. */
int keeper_init(struct keeper *k, struct server *sv, int parent_fd);

int keeper_start(struct keeper *k);

/* From the init callback: the kernel has shaken hands. */
void keeper_shaken(struct keeper *k);

/* After an operation that wrote something: cheap. */
void keeper_poke(struct keeper *k);

/* Ends the thread, which may finish a checkpoint first. */
void keeper_stop(struct keeper *k);

void keeper_release(struct keeper *k);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * explorer.h - runs a workload, and at each fence and behind each operation makes
 * what memory could hold if the power failed there. Each such image is judged,
 * and compared with what may be: all operations that had returned are there, the
 * one under way is there or is not (of a write of several records: the records so
 * far). For some of the images the power fails again while they are recovered.
 *
 * States have ids: WORKLOAD@POINT.NUMBER, or with a second failure
 * WORKLOAD@POINT.NUMBER/PHASE@POINT.NUMBER. With the same seed an id means the same
 * state for ever, whatever else is explored.
 */
#ifndef KA_CRASH_EXPLORER_H
#define KA_CRASH_EXPLORER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "seen.h"
#include "undo.h"
#include "workload.h"

/* Shared between processes. */
struct tally {
	_Atomic uint64_t next; /* workload to be done */
	_Atomic uint64_t workloads;
	_Atomic uint64_t states;   /* distinct images that were judged */
	_Atomic uint64_t inner;	   /* ... of them after a second failure */
	_Atomic uint64_t repeated; /* images that were made again */
	_Atomic uint64_t violations;
	_Atomic bool stop; /* somebody has had enough */
};

/* One state, to be looked at alone. */
struct place {
	unsigned point;
	uint64_t number;
};

struct replay {
	struct place outer;
	struct place inner;
	const struct phase *phase; /* NULL: there is no inner */
};

struct explorer {
	struct seen seen;
	struct tally *tally;
	struct undo memory[3]; /* what runs; what is durable of it; the same once more */
	uint64_t per_point;    /* states at each point, at most; at least 2 */
	uint64_t inner_per_point;
	uint64_t inner_every; /* of so many states one is recovered with a failure */
	uint64_t live_every;  /* of so many states one is written to */
	const struct replay *replay;
	bool quiet; /* violations are counted only */
};

/* 0 or -ENOMEM. images: how many it may meet. */
int explorer_open(struct explorer *x, uint64_t images);
void explorer_close(struct explorer *x);

void explorer_run(struct explorer *x, const struct workload *w);

/* The state alone that id names; false: no such id. */
bool explorer_replay(struct explorer *x, const char *id);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h - appending records. Knows nothing of inodes.
 *
 * There are several writer positions, each with an open segment of its own, so
 * that threads append without waiting for each other. A position appends one
 * record at a time and fences it before the next one: in the segments of one
 * position, a whole record after a broken one means damage, not a torn tail.
 *
 * Appending takes two steps: ka_log_begin locks a position and promises room,
 * ka_log_put stores the record there, durable when it returns, and unlocks.
 *
 * Locks: the position's mutex is held between begin and put; segment states
 * are locked under it.
 */
#ifndef KEEPALIVE_LOG_H
#define KEEPALIVE_LOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "keepalive/format.h"
#include "keepalive/region.h"
#include "keepalive/segment.h"

#define KA_WRITERS_MAX	  8
#define KA_WRITER_CLEANER KA_WRITERS_MAX /* for what the cleaner moves: it lives longer */

struct ka_writer {
	pthread_mutex_t lock;
	uint32_t id;
	uint64_t segment; /* 0: none open */
	uint64_t gen;
	uint64_t addr; /* where the next record goes */
	uint64_t end;
	uint64_t last_seq;
};

struct ka_log {
	struct ka_region *rg;
	struct ka_segs *segs;
	uint64_t log_id;
	uint32_t piece_bytes;
	_Atomic uint64_t seq; /* the last one given out */
	_Atomic uint64_t gen; /* the next one */
	/* since the last checkpoint, for deciding when to make the next */
	_Atomic uint64_t new_bytes;
	_Atomic uint64_t new_records;
	/* a segment could not be ended as it should: only a checkpoint makes that good */
	_Atomic bool wants_ckpt;
	uint32_t writers; /* for operations */
	struct ka_writer writer[KA_WRITERS_MAX + 1];
};

/* A place for one record. */
struct ka_slot {
	struct ka_writer *writer;
	uint64_t addr;
	uint64_t room; /* bytes */
};

void ka_log_init(struct ka_log *log, struct ka_region *rg, struct ka_segs *segs, uint64_t log_id);
void ka_log_release(struct ka_log *log);

/* Goes on in a segment that a clean checkpoint left open. */
void ka_log_resume(struct ka_log *log, uint64_t index);

/*
 * Locks a position with room for bytes. Segments with memory errors are passed
 * over. -ENOSPC, or -KA_ERR_NEED_CKPT where a
 * checkpoint would help; nothing is locked then.
 */
int ka_log_begin(struct ka_log *log, size_t bytes, enum ka_space_class cls, struct ka_slot *ret);

/*
 * Appends the record whose head is in memory; payload may be NULL where head
 * has none. Adds identity, sequence number and checksums to head. When it
 * returns 0 the record is durable, and head->seq tells its number. -KA_ERR_STORE:
 * the memory is broken there, and nothing has happened; trying again will
 * go elsewhere.
 */
int ka_log_put(struct ka_log *log, struct ka_slot *slot, struct ka_rec_disk *head,
	       const void *payload);

/* Lets go of the slot without appending. */
void ka_log_cancel(struct ka_slot *slot);

/*
 * Bytes that records which can be split down to least bytes find in the segments in which
 * positions stand. Takes the locks of the positions.
 */
uint64_t ka_log_room(struct ka_log *log, uint64_t least);

/*
 * Ends the segments from index limit on in which positions stand: the next record goes
 * elsewhere. Takes the locks of the positions.
 */
void ka_log_leave(struct ka_log *log, uint64_t limit);

/*
 * Takes a free segment as ka_segs_alloc does, under a new generation, and
 * prepares its memory. For the log itself and for checkpoints.
 */
int ka_log_take_segment(struct ka_log *log, enum ka_space_class cls, enum ka_seg_state state,
			uint64_t *ret_index, uint64_t *ret_gen);

/*
 * A memory error was met in segment index, which is not used again; nor are others
 * that have gone with it, as a region file was truncated.
 */
void ka_log_broken(struct ka_log *log, uint64_t index);

/*
 * Stores the header of segment index; the caller fences. writer: the position
 * that goes on there; NULL for the segments of a checkpoint.
 */
void ka_log_store_header(struct ka_log *log, uint64_t index, enum ka_segment_kind kind,
			 uint64_t gen, uint64_t open_seq, const struct ka_writer *writer);

/* Stores head and payload at addr, flushed, not fenced. head is complete but
 * for its checksums. */
void ka_log_store(struct ka_log *log, uint64_t addr, struct ka_rec_disk *head, const void *payload);

#endif

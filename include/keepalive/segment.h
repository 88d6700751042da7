/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * segment.h - what the memory of the region is used for, by segment.
 *
 * A segment is free, open (a writer appends to it), full, or part of a
 * checkpoint. A full one becomes free when no byte in it is live and no
 * record in it is needed for replay, that is, when a checkpoint covers it.
 * One with a memory error in it is bad: it is used no more once it is empty.
 *
 * It also remembers which pieces of payload have been verified since the
 * mount: a bit for each 64 bytes of region, as no two pieces begin closer.
 *
 * Locks: ka_segs.lock for states and counts; live counts and verified bits are
 * atomic. The lock is a leaf: nothing else is taken under it.
 */
#ifndef KEEPALIVE_SEGMENT_H
#define KEEPALIVE_SEGMENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "keepalive/format.h"
#include "keepalive/region.h"

enum ka_seg_state {
	KA_SEG_FREE,
	KA_SEG_SUPER, /* holds the superblock: the first one */
	KA_SEG_OPEN,
	KA_SEG_FULL,
	KA_SEG_CKPT,
	KA_SEG_ABSENT, /* beyond the boundary */
	KA_SEG_BAD,    /* nothing in it, and never to be used again */
};

struct ka_seg {
	_Atomic uint64_t live;	  /* bytes that extents point at, each time counted */
	_Atomic uint32_t extents; /* those */
	enum ka_seg_state state;
	_Atomic uint32_t used;	   /* bytes from its start; meaningful while open or full */
	uint32_t writer;	   /* while open */
	bool held;		   /* its bytes are being read: not free yet */
	bool prepared;		   /* its memory was prepared since the mount */
	_Atomic bool bad;	   /* a memory error was met in it */
	_Atomic bool stuck;	   /* something in it cannot be moved */
	_Atomic uint32_t dense;	   /* live bytes with which moving it did not pay; 0: not tried */
	uint64_t gen;		   /* of its present use */
	_Atomic uint64_t last_seq; /* the newest record in it */
	_Atomic uint64_t born;	   /* the newest that wrote data rather than moved it */
};

/* Who asks for a segment: how deep into the reserve it may go. */
enum ka_space_class {
	KA_SPACE_NORMAL,
	KA_SPACE_PREALLOC, /* what fallocate kept room for */
	KA_SPACE_CLEAN,	   /* what moves data together */
	KA_SPACE_DELETE,   /* what gives space back */
	KA_SPACE_CKPT,
};

struct ka_segs {
	pthread_mutex_t lock;
	struct ka_seg *seg;
	uint64_t count;		/* segments in the capacity */
	uint32_t bytes;		/* of one */
	_Atomic uint64_t free;	/* in state free */
	_Atomic uint64_t freed; /* how often one became free */
	uint64_t hint;		/* no free one below it */
	uint64_t limit;		/* from here on none is given out, and none becomes free */
	/* free segments that have to stay for checkpoints; the owner keeps it up to date */
	_Atomic uint64_t ckpt_need;
	_Atomic uint64_t ckpt_cost;	/* segments that the next one will take */
	_Atomic uint64_t ckpt_spare;	/* segments of the older one, which it will give back */
	_Atomic uint64_t prealloc_need; /* and what was promised by fallocate */
	uint64_t floor_seq;		/* records up to it are not needed for replay */
	_Atomic uint8_t *verified;
};

/* Every segment below owned bytes is free but the first. 0 or -ENOMEM. */
int ka_segs_init(struct ka_segs *segs, uint64_t count, uint32_t bytes, uint64_t owned_bytes);
void ka_segs_release(struct ka_segs *segs);

static inline uint64_t ka_segs_index(const struct ka_segs *segs, uint64_t addr)
{
	return addr / segs->bytes;
}

/*
 * Takes the lowest free segment into state (open or checkpoint).
 * -KA_ERR_NEED_CKPT: none, but a checkpoint would free some; -ENOSPC: none.
 */
int ka_segs_alloc(struct ka_segs *segs, enum ka_space_class cls, enum ka_seg_state state,
		  uint64_t gen, uint64_t *ret_index);

/*
 * Whether a record of this class may be appended at all, be it to a segment that
 * is open already. The same codes.
 */
int ka_segs_check(struct ka_segs *segs, enum ka_space_class cls);

/* Whether a checkpoint now would free anything. */
bool ka_segs_ckpt_helps(struct ka_segs *segs);

/* An open segment is done. */
void ka_segs_close(struct ka_segs *segs, uint64_t index, uint32_t used, uint64_t last_seq);

/* A memory error was met there: not to be used again. Tells whether that is news. */
bool ka_segs_set_bad(struct ka_segs *segs, uint64_t index);

/* Free segments that an operation of this class leaves alone. */
uint64_t ka_segs_kept_back(const struct ka_segs *segs, enum ka_space_class cls);

/* Segments that an operation of this class can still take. */
uint64_t ka_segs_takeable(struct ka_segs *segs, enum ka_space_class cls);

/*
 * From now on the segments from index limit on are not used for anything new: those that are
 * or become free are absent. Absent ones below it are free, and their memory is taken for new.
 */
void ka_segs_set_limit(struct ka_segs *segs, uint64_t limit);

/* Bytes of segments that are bad, those with live data in them too. */
uint64_t ka_segs_bad_bytes(struct ka_segs *segs);

/*
 * Keeps a full segment from becoming free, so that its bytes stay, and lets go again.
 * False: it is not full.
 */
bool ka_segs_hold(struct ka_segs *segs, uint64_t index);
void ka_segs_unhold(struct ka_segs *segs, uint64_t index);

/* Back to free, whatever it was; or out of use, where it is bad. */
void ka_segs_free(struct ka_segs *segs, uint64_t index);

/* An extent, [addr, addr + len), came to life, or died. It lies within one segment. */
void ka_segs_live(struct ka_segs *segs, uint64_t addr, uint64_t len);
void ka_segs_dead(struct ka_segs *segs, uint64_t addr, uint64_t len);

/* A checkpoint covers all up to floor_seq: frees what that makes free. */
void ka_segs_covered(struct ka_segs *segs, uint64_t floor_seq);

/* Bytes that ordinary writes can still have, and all those in no use. */
uint64_t ka_segs_avail(struct ka_segs *segs, uint64_t *ret_free_bytes);

bool ka_segs_is_verified(const struct ka_segs *segs, uint64_t piece_addr);
void ka_segs_set_verified(struct ka_segs *segs, uint64_t piece_addr);
void ka_segs_clear_verified(struct ka_segs *segs, uint64_t piece_addr);

#endif

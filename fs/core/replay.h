/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.h (private) - brings the index up to date after an unclean shutdown.
 *
 * Locks: the caller has the filesystem to itself.
 */
#ifndef KA_CORE_REPLAY_H
#define KA_CORE_REPLAY_H

#include "fs.h"

struct ka_rec_disk;

struct ka_replay_stats {
	uint64_t records; /* applied */
	uint64_t torn;	  /* cut off at the end of a segment: never returned */
	uint64_t lost;	  /* damaged: they had returned */
};

/*
 * Applies every whole record behind the checkpoint, in the order of their
 * numbers. Segments that hold some become full, the rest stay free. Damage is
 * told to the sink and counted, and the rest is applied. 0 or -ENOMEM.
 */
int ka_replay(struct ka_fs *fs, uint64_t ckpt_seq, struct ka_replay_stats *ret);

/*
 * Copies the head of a record that was valid a moment ago out of reach of memory
 * errors, to KA_HEAD_MAX bytes. 0 or a negative code.
 */
int ka_replay_copy_head(const struct ka_fs *fs, uint64_t addr, struct ka_rec_disk *head);

/* Drops every inode without a name: it was open at most when the machine died. */
uint64_t ka_drop_orphans(struct ka_fs *fs);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * salvage.h (private) - a filesystem from whatever is left of it: the whole
 * chunks of damaged checkpoints, and every whole record in the log.
 *
 * What each thing is known by. A checkpoint with number N says of an inode or a
 * directory what every record up to N did to it. So each has a *base*, the
 * number of the checkpoint that it was read from (0: none), and records up to its base
 * never touch it: bytes that a checkpoint knows stay right, whatever old
 * records still lie about. Records above it take effect in their order, by ka_apply
 * where they are about an inode. What they need and is not there is made: the inode of
 * a write, the directory of a name.
 *
 * Segments are used again, so that of old records only some are left. An inode
 * that no checkpoint knows is made of them only if it can still exist: not if
 * all inodes of a checkpoint as new as the record were read and it is not among
 * them, nor if all names were and none leads to it. Where numbers are missing behind the
 * first record of such an inode, its contents are in doubt, which is told.
 *
 * Locks: the caller has the filesystem to itself. Nothing is stored.
 */
#ifndef KA_CORE_SALVAGE_H
#define KA_CORE_SALVAGE_H

#include "checkpoint.h"
#include "fs.h"
#include "keepalive/scan.h"

/* A name that leads to an inode which is not there yet. */
struct ka_salvage_name {
	struct ka_hnode node;		      /* by inode, directory and name */
	struct ka_salvage_name *next, **link; /* of the inode, the newest first; what points here */
	ka_ino_t dir;
	ka_ino_t ino;
	uint64_t seq; /* of the record that gave it; 0: a checkpoint did */
	size_t bytes;
	char name[];
};

/* What is known of an inode beside what the index says. */
struct ka_salvage_object {
	struct ka_hnode node;
	ka_ino_t ino;
	uint64_t base;	    /* of the inode */
	uint64_t dir_base;  /* of the names in it */
	uint64_t own_names; /* names with cookies below came from the checkpoint */
	uint64_t first;	    /* number of the first record about it; UINT64_MAX: none */
	bool dir_whole;	    /* all its names were read */
	bool wanted;	    /* some name of a checkpoint leads to it */
	bool removed;	    /* its last name went before it was seen */
	bool made;	    /* nothing says what its attributes were */
	struct ka_salvage_name *names;
	/* its items broke off: as of partial_base, up to known_to */
	uint64_t partial_base;
	uint64_t known_to;
	struct ka_inode *partial;
	/*
	 * Others share bytes with it as it was before its base: what records up to
	 * there make of it, apart from the index. NULL: nobody needs it.
	 */
	struct ka_inode *past;
};

struct ka_salvage_record {
	uint64_t seq;
	uint64_t addr;
};

/* A whole chunk of a checkpoint. */
struct ka_salvage_chunk {
	uint64_t seq;
	uint64_t gen;
	uint64_t ordinal;
	uint64_t addr; /* of its payload */
	uint32_t bytes;
};

/* What was read of one checkpoint. */
struct ka_salvage_base {
	uint64_t seq;
	uint64_t from_gen; /* of its segments */
	uint64_t to_gen;   /* above all of them */
	bool all_inodes;
	bool all_names;
};

struct ka_salvage {
	struct ka_fs *fs;
	struct ka_salvage_stats *stats;
	struct ka_htab objects;
	struct ka_htab names; /* that are kept */
	uint64_t *prev_gen;   /* of the segment before, as the header of each says; 0: none */
	struct ka_salvage_record *record;
	size_t records;
	size_t record_capacity;
	struct ka_salvage_chunk *chunk;
	size_t chunks;
	size_t chunk_capacity;
	struct ka_salvage_base base[2]; /* the newest first; seq 0: none */
	uint64_t max_seq;
	uint64_t last_gap; /* no number above it is missing */
};

/* Makes fs->index, the segments and the log of what can be found. 0 or -ENOMEM. */
int ka_salvage(struct ka_fs *fs, struct ka_salvage_stats *ret);

/* Names in lost+found for what has none, in memory only. 0 or -ENOMEM. */
int ka_salvage_connect(struct ka_fs *fs);

/* The steps of it. */
int ka_salvage_survey(struct ka_salvage *sv);	   /* records and chunks; salvage_read.c */
int ka_salvage_checkpoints(struct ka_salvage *sv); /* what they say; salvage_read.c */

/*
 * Whether an inode that is not in the index may have existed behind the record or
 * checkpoint with this number, for all that checkpoints as new as that tell.
 */
bool ka_salvage_may_exist(const struct ka_salvage *sv, ka_ino_t ino, uint64_t seq);

/* The object of an inode number, made if need be; NULL: no memory. */
struct ka_salvage_object *ka_salvage_object(struct ka_salvage *sv, ka_ino_t ino);

/* Keeps a name for the end, when its inode may be there. 0 or -ENOMEM. */
int ka_salvage_keep_name(struct ka_salvage *sv, ka_ino_t dir, ka_ino_t ino, const char *name,
			 size_t bytes, uint64_t seq);

/* Tells that these bytes of an inode may not be what they were. 0 or -ENOMEM. */
int ka_salvage_doubt(struct ka_salvage *sv, ka_ino_t ino, uint64_t off, uint64_t len);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * checkpoint.h (private) - a snapshot of the index, in segments of the log.
 *
 * Locks: the caller has op_lock for writing, or the filesystem to itself.
 */
#ifndef KA_CORE_CHECKPOINT_H
#define KA_CORE_CHECKPOINT_H

#include "fs.h"

/* What the first item of a checkpoint says. */
struct ka_ckpt_head {
	uint64_t seq;
	uint64_t next_ino;
	uint64_t next_gen;
	uint64_t inodes;
	uint64_t names;
	uint64_t extents;
};

/*
 * Writes the index, as it is for who owns so many bytes, into free segments, which are noted in segments, and makes
 * it durable; it counts once a superblock points at it. On failure (-ENOSPC,
 * -ENOMEM, -KA_ERR_STORE: trying again will avoid the place) the segments are free
 * again and nothing is changed.
 */
int ka_ckpt_write(struct ka_fs *fs, uint64_t owned_bytes, struct ka_ckpt_ptr *ret_ptr,
		  struct ka_ckpt_segments *segments);

/*
 * Reads the checkpoint into the empty index and the segment table, believing
 * nothing. -KA_ERR_CKPT_*, -KA_ERR_PAYLOAD_CSUM, ...: the index is unusable.
 */
int ka_ckpt_read(struct ka_fs *fs, const struct ka_ckpt_ptr *ptr, struct ka_ckpt_head *ret_head,
		 struct ka_ckpt_segments *segments);

/*
 * Marks the segments of a checkpoint, so that they are not taken for free, and
 * checks its framing. Stops at the first thing that is not right.
 */
int ka_ckpt_mark(struct ka_fs *fs, const struct ka_ckpt_ptr *ptr,
		 struct ka_ckpt_segments *segments);

/*
 * Asks whether the index may grow by growth bytes of checkpoint and the log by
 * a record of this class. Every operation asks, not only when it needs another
 * segment: the room that a checkpoint will need grows with each record, and
 * must never be more than there is. 0, -ENOSPC or -KA_ERR_NEED_CKPT.
 */
int ka_ckpt_room(struct ka_fs *fs, uint64_t growth, enum ka_space_class cls);

/* What one more extent costs in a checkpoint, bytes. */
#define KA_CKPT_EXTENT 32

/* What it takes at least, where it is not unwritten. */
#define KA_CKPT_EXTENT_MIN 8

/* Gives the segments back. */
void ka_ckpt_segments_free(struct ka_fs *fs, struct ka_ckpt_segments *segments);

int ka_ckpt_segments_add(struct ka_ckpt_segments *segments, uint64_t index);

/*
 * Walks the records of a checkpoint: starts with addr of the pointer, goes
 * through links. Used for reading, marking, dumping.
 */
struct ka_ckpt_walk {
	const struct ka_region *rg;
	uint64_t log_id;
	uint64_t seq;
	uint64_t addr;
	uint64_t limit; /* owned bytes */
	uint64_t ordinal;
	uint32_t segment_bytes;
	uint64_t segments_left; /* bounds a chain that bites its tail */
};

void ka_ckpt_walk_start(struct ka_ckpt_walk *walk, const struct ka_region *rg,
			const struct ka_super *sb, const struct ka_ckpt_ptr *ptr);

/*
 * The next chunk: its payload, checked. *ret_segment: the segment it lies in,
 * if that was entered with this chunk, else 0. 0 or a negative code.
 */
int ka_ckpt_walk_next(struct ka_ckpt_walk *walk, const uint8_t **ret_data, size_t *ret_bytes,
		      uint64_t *ret_segment);

/*
 * Reads items. Strict, for a mount: whatever is not right is an error. Lenient,
 * for a salvage, which may have chunks of two checkpoints with gaps: what is in
 * the index already stays as it is, an item that belongs to one that was not
 * seen is skipped, and so is a name whose inode is not there.
 */
struct ka_ckpt_reader {
	struct ka_fs *fs;
	uint64_t bytes; /* of the whole checkpoint */
	struct ka_ckpt_head head;
	struct ka_inode *inode; /* that targets, xattrs, extents belong to */
	struct ka_inode *dir;	/* that names belong to */
	uint64_t next_cookie;	/* of dir, when all its names are in */
	uint64_t extent_end;	/* of the last extent of inode */
	bool has_head, has_end;
	bool lenient;
	/* lenient: of the last item, an extent that leads nowhere (lost_len is not 0) */
	uint64_t lost_off;
	uint64_t lost_len;
	/* and a name whose inode is not there (lost_name is not NULL) */
	const uint8_t *lost_name;
	size_t lost_bytes;
	ka_ino_t lost_ino;
};

struct ka_cursor;

/* Reads one item. 0, -KA_ERR_CKPT_ITEM or -ENOMEM. */
int ka_ckpt_get_item(struct ka_ckpt_reader *r, struct ka_cursor *c);

/* Behind the last name of r->dir. */
void ka_ckpt_finish_dir(struct ka_ckpt_reader *r);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * salvage.h - what a filesystem that was made of remains (ka_fs_opts.salvage) had
 * to be made of, and what could not be known for sure.
 */
#ifndef KEEPALIVE_SALVAGE_H
#define KEEPALIVE_SALVAGE_H

#include <stddef.h>
#include <stdint.h>

struct ka_fs;

/* Where files go that lost their names, as "#INODE": a directory of the root. */
#define KA_LOST_FOUND "lost+found"

/* Bytes of an inode of which it is not known for sure what they were. */
struct ka_salvage_range {
	uint64_t ino;
	uint64_t off;
	uint64_t len;
};

/* A name whose inode is lost. */
struct ka_salvage_lost {
	struct ka_salvage_lost *next;
	uint64_t dir;
	uint64_t ino;
	char name[];
};

struct ka_salvage_stats {
	uint64_t chunks;		/* of checkpoints, whole */
	uint64_t records;		/* looked at */
	uint64_t made;			/* inodes that only other things tell of */
	struct ka_salvage_range *doubt; /* by inode, then by place */
	size_t doubts;
	struct ka_salvage_lost *lost;
};

/* NULL: the filesystem was read from a checkpoint. */
const struct ka_salvage_stats *ka_fs_salvaged(const struct ka_fs *fs);

#endif

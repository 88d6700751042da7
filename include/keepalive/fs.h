/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fs.h - the life of a mounted filesystem: format, open, checkpoint, close.
 *
 * The caller owns the region and closes it after the filesystem. Nothing here
 * starts a thread; the program decides when to make checkpoints.
 */
#ifndef KEEPALIVE_FS_H
#define KEEPALIVE_FS_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/msg.h"
#include "keepalive/region.h"
#include "keepalive/super.h"

struct ka_fs;

enum ka_verify {
	KA_VERIFY_FIRST, /* each piece at its first read after a mount */
	KA_VERIFY_ALWAYS,
	KA_VERIFY_NEVER,
};

struct ka_fs_opts {
	bool rdonly; /* replays in memory, stores nothing */
	enum ka_verify verify;
	bool salvage; /* where no checkpoint can be read, makes do with what is left; with rdonly */
	bool noatime; /* reading does not update the time of access */
	bool nodiratime;     /* ... of directories */
	bool reclaim_manual; /* memory that is lent does not come back by itself */
	bool thorough;	     /* recovery looks through every segment without a header */
	uint64_t ckpt_bytes; /* log since the last checkpoint that asks for one; 0: default */
	const struct ka_super *super;	/* counts instead of what is stored; NULL: read it */
	const struct ka_msg_sink *sink; /* may be NULL; must outlive the filesystem */
	/* Called where an operation has to wait for room, without a lock; may be NULL. */
	void (*waits)(void *ctx);
	void *ctx;
};

struct ka_format_opts {
	uint8_t uuid[16];
	char label[KA_LABEL_MAX + 1];
	uint64_t capacity_bytes;    /* of the region to use */
	uint64_t owned_bytes;	    /* of those, rounded up to slices; the rest is lent. 0: all */
	uint64_t slice_bytes;	    /* 0: chosen */
	uint64_t first_slice_bytes; /* 0: as large as the others */
	uint32_t root_uid;
	uint32_t root_gid;
};

/* What ka_fs_format would make; nothing is stored. 0 or -KA_ERR_*. */
int ka_fs_plan(const struct ka_region_info *info, const struct ka_format_opts *opts,
	       struct ka_super *ret_sb);

/*
 * Makes an empty filesystem. The superblock is stored last: a format that is
 * cut off leaves no filesystem. 0 or a negative code.
 */
int ka_fs_format(struct ka_region *rg, const struct ka_format_opts *opts,
		 const struct ka_msg_sink *sink);

/*
 * Opens the filesystem in a region: reads the checkpoint, replays what came
 * after it, and unless rdonly, marks it as mounted (after an unclean shutdown:
 * with a fresh checkpoint). A region not opened for writing needs rdonly.
 * Damage that recovery cannot work around: -KA_ERR_*, explained to the sink.
 */
int ka_fs_open(struct ka_region *rg, const struct ka_fs_opts *opts, struct ka_fs **ret_fs);

/*
 * Ends it cleanly: checkpoint, clean state. Nobody may be inside an operation.
 * Frees fs whatever it returns.
 */
int ka_fs_close(struct ka_fs *fs);

/* Frees fs and stores nothing: what a crash would leave. */
void ka_fs_abandon(struct ka_fs *fs);

/* Change what the options of these names said, at any time. */
void ka_fs_set_noatime(struct ka_fs *fs, bool noatime);
void ka_fs_set_nodiratime(struct ka_fs *fs, bool nodiratime);

/* Writes a checkpoint; operations wait meanwhile. */
int ka_fs_checkpoint(struct ka_fs *fs);

/* Whether enough was written since the last one. Cheap. */
bool ka_fs_wants_checkpoint(const struct ka_fs *fs);

/*
 * The last step before the memory is left alone: a checkpoint and the state
 * "sealed", durable; everything that would change something is refused with -EROFS
 * from then on, by open files too. Closing leaves it so. A filesystem that is
 * sealed already stays it. 0, -EROFS where it was opened read-only, or the reason.
 */
int ka_fs_seal(struct ka_fs *fs);

/* Takes that back: "mounted" is durable before anything is written. */
int ka_fs_unseal(struct ka_fs *fs);

/* Whether operations that change something are refused, for whatever reason. */
bool ka_fs_is_rdonly(const struct ka_fs *fs);

struct ka_fs_status {
	struct ka_super super; /* as on media now */
	uint64_t used_bytes;   /* in no way available to ordinary writes */
	uint64_t free_bytes;
	uint64_t avail_bytes;  /* free without the reserve */
	uint64_t growth_bytes; /* lent, and comes back when it is needed */
	uint64_t files;	       /* inodes, the root included */
	uint64_t extents;
	uint64_t log_bytes; /* since the last checkpoint */
	uint64_t log_records;
	uint64_t bad_bytes;	   /* of segments with memory errors, which are not used any more */
	uint64_t cleaned_segments; /* that the cleaner emptied since the mount */
	uint64_t moved_bytes;	   /* which took it so much moving */
	bool rdonly;		   /* opened so, or damaged; not: sealed, which super.state tells */
	bool damaged;
	uint64_t unlisted; /* damaged ranges that ka_fs_get_damage does not know */
	int reclaim_err;   /* why the first lent slice did not come back when asked for; 0: none */
	int spare_err; /* why opening found that the older checkpoint is no spare; 0: it is one */
};

void ka_fs_get_status(struct ka_fs *fs, struct ka_fs_status *ret);

/* Whether a segment holds anything that is in use: records, data, a checkpoint. */
bool ka_fs_uses_segment(struct ka_fs *fs, uint64_t index);

/* What could not be read since the mount: a range of a file, or of a structure. */
struct ka_damage {
	const char *what; /* "superblock copy 0", ...; NULL: a file; static storage */
	uint64_t ino;	  /* of the file */
	uint64_t off;	  /* in the file, or in the region */
	uint64_t len;
	int err; /* negative code */
};

/* The i-th of them, in the order in which they were met. -ENOENT: there are no more. */
int ka_fs_get_damage(struct ka_fs *fs, size_t i, struct ka_damage *ret);

#endif

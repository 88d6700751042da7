/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ioctl.h - how keepalivectl talks to the daemon: ioctls on the mount point.
 *
 * FUSE carries them as they are ("restricted" ioctls: sizes come from the
 * number), so the structs are of fixed size and have no pointers.
 */
#ifndef KEEPALIVE_IOCTL_H
#define KEEPALIVE_IOCTL_H

#include <linux/ioctl.h>
#include <stdint.h>

#include "keepalive/seginfo.h"

#define KA_IOC_PATH_MAX 4096

struct ka_ioc_status {
	uint32_t version; /* of this struct: 1 */
	uint32_t rdonly;
	uint32_t damaged;
	uint32_t rsv;
	uint64_t used_bytes;
	uint64_t free_bytes;
	uint64_t avail_bytes;
	uint64_t growth_bytes; /* lent, and comes back when it is needed */
	uint64_t files;
	uint64_t extents;
	uint64_t log_bytes;
	uint64_t log_records;
	uint64_t io_errors;	   /* reads that failed verification since the mount */
	uint64_t bad_bytes;	   /* of segments with memory errors */
	uint64_t cleaned_segments; /* that the cleaner emptied since the mount */
	uint64_t moved_bytes;	   /* which took it so much moving */
	uint64_t unlisted; /* times that there was more damage than KA_IOC_GET_DAMAGE can tell */
	char stays
		[200]; /* why the first lent slice did not come back; empty: it was not asked for */
	char region_path[KA_IOC_PATH_MAX]; /* absolute */
	uint8_t super[4096];		   /* struct ka_super_disk as on media */
};

#define KA_IOC_STATUS _IOR('K', 0x41, struct ka_ioc_status)

/*
 * After a remount: which times of access are kept no more; mask: which of the
 * flags count. For root and the owner of the daemon.
 */
#define KA_IOC_NOATIME	  1u
#define KA_IOC_NODIRATIME 2u

struct ka_ioc_atime {
	uint32_t flags;
	uint32_t mask;
};

#define KA_IOC_SET_ATIME _IOW('K', 0x42, struct ka_ioc_atime)

/* Seals the filesystem, or takes that back; for root and the owner of the daemon. */
struct ka_ioc_seal {
	uint32_t on; /* 1 or 0 */
	uint32_t rsv;
};

#define KA_IOC_SEAL _IOW('K', 0x44, struct ka_ioc_seal)

/* Something that cannot be read. */
struct ka_ioc_damage {
	uint64_t index; /* in: which of them, in the order in which they were met */
	uint64_t ino;	/* 0: no file but what path says, and off is in the region */
	uint64_t off;
	uint64_t len;
	char reason[64];
	char path[KA_IOC_PATH_MAX]; /* empty: none leads there any more */
};

/*
 * One that was met since the mount. ENOENT: there are no more. For root and the
 * owner of the daemon, as are the others that follow.
 */
#define KA_IOC_GET_DAMAGE _IOWR('K', 0x50, struct ka_ioc_damage)

/* One step of verifying everything; scrub.h. */
struct ka_ioc_scrub {
	uint64_t ino; /* in, out: where to go on; zeros to begin with */
	uint64_t off;
	uint64_t budget; /* in: bytes to verify */
	uint64_t bytes;	 /* out: those that were */
	uint64_t files;
	uint64_t total; /* about as many in all */
	uint32_t finished;
	uint32_t is_damaged; /* it stopped at this: */
	struct ka_ioc_damage damage;
};

#define KA_IOC_SCRUB _IOWR('K', 0x51, struct ka_ioc_scrub)

/* One step of cleaning everything; clean.h. */
struct ka_ioc_clean {
	uint64_t ino; /* in, out: where to go on; zeros to begin with */
	uint32_t emptied;
	uint32_t finished;
	uint64_t moved_bytes; /* out: of this step */
	uint64_t segments;
	uint64_t stuck;
	uint64_t gain_bytes; /* dead space that is left to make free, about */
};

#define KA_IOC_CLEAN _IOWR('K', 0x52, struct ka_ioc_clean)

/* Lends the last slice, or says what that would come to; lend.h. */
#define KA_IOC_LEND_PLAN 1u /* nothing is done */

struct ka_ioc_lend {
	uint32_t flags;
	uint32_t finished; /* out: there is no more that can be lent, and keep_bytes kept */
	int32_t error;	   /* out: why the slice stays, a code of err.h; 0: it does not */
	uint32_t rsv;
	uint64_t slice_bytes;
	uint64_t keep_bytes; /* in: free space that stays */
	uint64_t capacity_bytes;
	uint64_t owned_bytes; /* now */
	uint64_t plan_bytes;  /* owned when all is done, about */
	uint64_t move_bytes;  /* that have to be moved for that */
	uint64_t move_ns;     /* how long that takes, about; 0: not known */
	uint64_t moved_bytes; /* in this step */
	uint64_t slice;	      /* that error is about */
};

#define KA_IOC_LEND _IOWR('K', 0x53, struct ka_ioc_lend)

/* Takes one slice back. */
struct ka_ioc_reclaim {
	int32_t error; /* why the system keeps it, a code of err.h; 0: it does not */
	uint32_t rsv;
	uint64_t slice_bytes;
	uint64_t capacity_bytes;
	uint64_t owned_bytes; /* now */
	uint64_t slice;	      /* that error is about */
};

#define KA_IOC_RECLAIM _IOR('K', 0x54, struct ka_ioc_reclaim)

/* What segments hold, a page at a time; seginfo.h. For everybody. */
#define KA_IOC_SEGMENTS_MAX 640 /* 16383 bytes is as large as an ioctl can be */

struct ka_ioc_segments {
	uint64_t first; /* in: number of the first one */
	uint32_t count; /* out: how many follow; 0: there are no more */
	uint32_t rsv;
	uint64_t seq; /* out: the last record number given out */
	struct ka_seginfo segment[KA_IOC_SEGMENTS_MAX];
};

#define KA_IOC_GET_SEGMENTS _IOWR('K', 0x60, struct ka_ioc_segments)

/* Where the damage of KA_IOC_GET_DAMAGE lies, a step at a time; seginfo.h. */
#define KA_IOC_DAMAGE_PLACE _IOWR('K', 0x61, struct ka_damage_place)

#endif

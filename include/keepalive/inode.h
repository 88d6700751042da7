/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inode.h - an inode in memory.
 *
 * Locks: inode.lock guards everything in the inode but what belongs to the
 * namespace (a directory's entries, guarded by the index's ns lock) and the
 * atomic counters. Several inode locks are taken in the order of ino.
 */
#ifndef KEEPALIVE_INODE_H
#define KEEPALIVE_INODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "keepalive/extent.h"
#include "keepalive/hash.h"

typedef uint64_t ka_ino_t;

struct ka_dir;
struct ka_xattr;

struct ka_time {
	int64_t sec;
	uint32_t nsec;
};

struct ka_inode {
	struct ka_hnode node; /* in the index, by ino */
	ka_ino_t ino;
	uint32_t mode; /* type and permissions, as in struct stat */
	uint32_t uid;
	uint32_t gid;
	uint32_t nlink;
	uint32_t rdev; /* major << 20 | minor */
	uint64_t size;
	struct ka_time atime;
	struct ka_time mtime;
	struct ka_time ctime;
	struct ka_time btime;
	struct ka_extents extents; /* regular files */
	union {
		struct ka_dir *dir; /* directories */
		char *target;	    /* symbolic links; NUL ended */
	};
	struct ka_xattr *xattrs;
	pthread_rwlock_t lock;
	_Atomic uint64_t nlookup; /* references of the kernel */
	_Atomic uint32_t opens;	  /* open handles */
	bool gone;		  /* its contents were dropped; guarded by ns too */
	/* for loading and fsck, which have the filesystem to themselves */
	bool named;	/* some directory names it */
	bool reached;	/* from the root */
	uint32_t names; /* names, and ".." of subdirectories */
};

/* ns since 1970 to seconds and the nanoseconds after them, before 1970 too. */
static inline struct ka_time ka_time_from_ns(int64_t ns)
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		sec--;
	}
	return (struct ka_time){.sec = sec, .nsec = (uint32_t)rest};
}

#endif

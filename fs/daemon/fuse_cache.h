/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_cache.h - which open files go through the kernel's page cache: the rule.
 *
 * A file opened for writing only is opened "direct": its writes come in
 * requests of 1 MiB, past the page cache, which doubles the speed of cp. All
 * other opens are cached, because only cached files can be mapped. The kernel
 * sees to it that cached opens agree with each other; the rest is up to us,
 * since kernels before 6.6 leave pages in the cache alone when a direct write
 * changes what is under them, and later ones drop them before the write only,
 * so that a reader may bring the old bytes back while the write is under way.
 *
 * 1. An open is direct if it is O_WRONLY and no cached open of the inode exists
 *    at that moment. It is answered without keep_cache: the kernel drops all
 *    pages of the inode, so that a direct open starts with none in the cache.
 * 2. All others are cached and keep the cache: pages in it come from cached
 *    opens, and agree with the file by 1 and 3. They drop it only where the next
 *    read should update the time of access, as that has to reach us.
 * 3. Where a cached open has come while a direct one exists, the two are mixed:
 *    each direct write goes through fuse_mixed.c, which drops the pages it
 *    covers before (so that what a mapping has changed is written back first)
 *    and after it, and only then answers it. A write that became mixed while
 *    it was under way is treated like that from there on.
 *
 * So, whatever is read after a write has returned is what was written. What
 * remains is a store through a shared mapping at the very moment of a direct
 * write to the same page: either may win, for the page, as a page is what the
 * kernel writes back.
 *
 * The kernel takes privileges (set-user-ID, capabilities) from a file that is
 * written, but not for direct writes. While an inode with direct opens has
 * such, they are mixed as well, and fuse_mixed.c does it.
 *
 * O_APPEND needs nothing: the kernel gives the offset under its inode lock, and
 * knows the size, being the only client.
 *
 * Locks: cache.lock guards the table; the counters of an inode are changed
 * under it and may be read without.
 */
#ifndef KEEPALIVE_DAEMON_FUSE_CACHE_H
#define KEEPALIVE_DAEMON_FUSE_CACHE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "keepalive/ops.h"

/* An inode that has open files. */
struct open_inode {
	struct open_inode *next; /* in its bucket */
	ka_ino_t ino;
	unsigned opens;
	_Atomic unsigned cached; /* opens through the page cache */
	_Atomic bool privileged; /* may have something that a write must take away */
};

/* What fuse_file_info.fh points to. */
struct handle {
	struct ka_file *file;
	struct open_inode *inode;
	_Atomic unsigned refs; /* the kernel's, and one for each request under way */
	bool direct;
};

#define CACHE_BUCKETS 1024 /* a power of two */

struct cache {
	pthread_mutex_t lock;
	struct open_inode **bucket;
};

int cache_init(struct cache *c);
void cache_release(struct cache *c);

/*
 * Registers an open with these flags and decides on h->direct. 0 or -ENOMEM.
 * Before a direct open is answered, the caller looks for privileges.
 */
int cache_open(struct cache *c, ka_ino_t ino, int flags, struct handle *h);
void cache_close(struct cache *c, struct handle *h);

/* The inodes that have cached opens, to be freed. 0 or -ENOMEM. */
int cache_list(struct cache *c, ka_ino_t **ret_list, size_t *ret_count);

/* The inode may have privileges, from now on. */
void cache_set_privileged(struct cache *c, ka_ino_t ino);

/* Whether a write through this handle has to go through fuse_mixed.c. */
static inline bool cache_is_mixed(const struct handle *h)
{
	return h->direct && (atomic_load(&h->inode->cached) || atomic_load(&h->inode->privileged));
}

#endif

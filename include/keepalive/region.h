/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.h - the store gate: the memory that survives, and the only functions
 * that store to it.
 *
 * A region is one range of addresses [0, capacity). Reads go through const
 * pointers into it; every store goes through the functions below, so that a
 * test back end can record stores, flushes and fences. A store is durable
 * after a flush of its bytes (ka_region_copy flushes by itself) and then a
 * fence by the same thread.
 *
 * Memory behind the limit is not ours: it is neither read nor stored to. It can be
 * given back to the system (ka_region_release), and asked for again.
 *
 * Memory can be broken: to touch poison on a DAX device, or a region file that
 * was truncated under us, is SIGBUS. Of stores that met one the next fence tells.
 * Reads go through ka_region_guard or ka_region_read where an error is to be one,
 * and not the end of the program.
 *
 * Locks: none. Callers see to it that no two threads store to the same bytes.
 */
#ifndef KEEPALIVE_REGION_H
#define KEEPALIVE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keepalive/msg.h"

struct ka_region;

enum ka_region_kind {
	KA_REGION_FILE,
	KA_REGION_DEVDAX,
	KA_REGION_MEM, /* ordinary memory, for tests */
};

struct ka_region_info {
	enum ka_region_kind kind;
	const char *path; /* as given; owned by the region */
	uint64_t capacity_bytes;
	uint64_t phys_addr; /* 0 where there is none or it is not known */
	bool needs_sync;    /* page cache of a disk: see ka_region_sync */
};

/* Flags of ka_region_open. */
#define KA_REGION_WRITE	 1u /* else every store faults */
#define KA_REGION_LOCK	 2u /* nobody else may have the region; -KA_ERR_REGION_BUSY */
#define KA_REGION_NOWAIT 4u /* do not wait for a daemon on its way out */

/*
 * Maps the regular file or devdax device at path. With KA_REGION_LOCK the
 * caller becomes the only user; a daemon that has begun to shut down (see
 * ka_region_leaving) is waited for, up to 10 s. The lock ends with the process.
 */
int ka_region_open(const char *path, unsigned flags, const struct ka_msg_sink *sink,
		   struct ka_region **ret_rg);

/* A part of a region that is a device of its own. */
struct ka_region_part {
	uint64_t off;
	uint64_t bytes;
	const char *path; /* NULL: the system has it */
};

/* What hands parts of a region to the system and has them back; see ka_region_release. */
struct ka_region_ram {
	/* The part is not mapped or open here any more. 0 or a code: it is as before. */
	int (*release)(void *ctx, uint64_t off, uint64_t bytes);
	/* A descriptor of its device, or a code. */
	int (*restore)(void *ctx, uint64_t off, uint64_t bytes);
	void *ctx;
};

/* Regions that are not one file or device. What it points at is needed during the call only. */
struct ka_region_layout {
	const char *name; /* instead of a path */
	uint64_t phys_addr;
	const struct ka_region_part *part; /* one behind the other, from 0 on */
	size_t parts;
	const struct ka_region_ram *ram; /* stays in use; NULL: the memory stays */
	/* When it was closed, also after an open that fails; may be NULL. */
	void (*closed)(void *ctx);
	void *ctx;
};

/*
 * As ka_region_open, for a region of several parts. The first is the one that is locked; the
 * limit is where the first part begins that the system has.
 */
int ka_region_open_parts(const struct ka_region_layout *layout, unsigned flags,
			 const struct ka_msg_sink *sink, struct ka_region **ret_rg);

/* Takes memory of the caller as a region. For tests. */
int ka_region_open_mem(void *mem, uint64_t bytes, struct ka_region **ret_rg);

/* Whether some program holds the lock on the region at path. Never waits. */
int ka_region_in_use(const char *path, bool *ret_used);

/* Whether one holds it that has not said ka_region_leaving. Never waits. */
int ka_region_is_served(const char *path, bool *ret_served);

/*
 * The same of a region that is open: whether others have it locked, and whether one of
 * them has not said that it is leaving.
 */
bool ka_region_has_others(const struct ka_region *rg, bool *ret_served);

/* Says that this holder of the lock will be gone soon. */
void ka_region_leaving(struct ka_region *rg);

/* Unmaps and unlocks. NULL is fine. */
void ka_region_close(struct ka_region *rg);

const struct ka_region_info *ka_region_info(const struct ka_region *rg);

/* The bytes [off, off + len), or NULL where that is not inside the region, or behind its limit. */
const void *ka_region_at(const struct ka_region *rg, uint64_t off, uint64_t len);

/* Ordinary store; becomes durable by ka_region_flush and ka_region_fence. */
void ka_region_write(struct ka_region *rg, uint64_t off, const void *src, size_t len);

/* Non-temporal store, flushed by itself; durable after ka_region_fence. */
void ka_region_copy(struct ka_region *rg, uint64_t off, const void *src, size_t len);

void ka_region_flush(struct ka_region *rg, uint64_t off, size_t len);

/*
 * 0, or -KA_ERR_STORE where a store, flush or copy of this thread since its last
 * fence met a memory error: at least one byte was not stored.
 */
int ka_region_fence(struct ka_region *rg);

/*
 * From now on SIGBUS in this process is a memory error of a region, or else
 * goes to fallback (which may be NULL, and may return) and then ends the process.
 */
void ka_region_catch_errors(void (*fallback)(int sig));

/*
 * Calls fn, which reads the region through pointers into it. What fn answers, or
 * -KA_ERR_MEMORY: it was left in the middle, at a memory error. So it must not
 * take locks or memory, and what it has written must not matter then.
 */
int ka_region_guard(const struct ka_region *rg, int (*fn)(void *arg), void *arg);

/* Copies bytes out. 0, -KA_ERR_MEMORY, or -KA_ERR_REGION_SHORT outside of it. */
int ka_region_read(const struct ka_region *rg, uint64_t off, void *dst, size_t len);

/* Where in the region this thread met its last memory error. */
uint64_t ka_region_error_off(void);

/*
 * Makes sure that stores to these bytes will find memory, all at once, which is
 * several times faster than page by page. -ENOSPC where a file region has no
 * room on its own filesystem; -KA_ERR_MEMORY where the memory is broken or cut off.
 */
int ka_region_prepare(struct ka_region *rg, uint64_t off, size_t len);

/* Whether these bytes are there still: a region file can be truncated under its users. */
bool ka_region_exists(struct ka_region *rg, uint64_t off, size_t len);

/*
 * From now on what lies at or above bytes is not ours. It has to be the capacity at most.
 * Memory that was released, or never there, stays behind the limit.
 */
void ka_region_set_limit(struct ka_region *rg, uint64_t bytes);
uint64_t ka_region_limit(const struct ka_region *rg);

/* Whether memory of this region can be given back and had again. */
bool ka_region_can_release(const struct ka_region *rg);

/*
 * Gives the memory in [off, end) back to the system, after lowering the limit to off: what was
 * there is gone. 0, -EOPNOTSUPP or another code; the limit is lowered in any case.
 */
int ka_region_release(struct ka_region *rg, uint64_t off, uint64_t end);

/*
 * Has the memory from the limit up to end back, with whatever in it, and raises the limit.
 * 0 or a code, with the limit as it was: -EOPNOTSUPP, -ENOSPC and others where the system
 * does not give it.
 */
int ka_region_restore(struct ka_region *rg, uint64_t end);

/*
 * For a region in the page cache of a disk: writes everything back. Nothing to
 * do on DAX. 0 or -errno.
 */
int ka_region_sync(struct ka_region *rg);

#endif

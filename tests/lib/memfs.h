/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memfs.h - a filesystem in memory, and what tests do with one.
 *
 * Whatever is not expected to fail is checked here. References that the core
 * counts for the kernel are given back at once, so that an inode goes with its
 * last name unless it is open.
 */
#ifndef KA_MEMFS_H
#define KA_MEMFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keepalive/fs.h"
#include "keepalive/ops.h"
#include "test.h"

struct memfs {
	struct test_messages msgs;
	struct ka_fs_opts opts; /* for the next open; noatime is set */
	struct ka_region *rg;
	uint8_t *mem; /* of the region; NULL where that is a cut region's */
	uint64_t bytes;
	bool own_mem;
	struct ka_fs *fs; /* NULL while it is not open */
};

/* A new region of zeros, formatted and open. */
void memfs_make(struct memfs *m, uint64_t bytes);

/* A region over mem, which the caller keeps; nothing is formatted or opened. */
void memfs_over(struct memfs *m, void *mem, uint64_t bytes);

/* The same over any region, which m then owns. */
void memfs_on(struct memfs *m, struct ka_region *rg);

void memfs_format(struct memfs *m);
int memfs_try_open(struct memfs *m);
void memfs_open(struct memfs *m);
void memfs_close(struct memfs *m);
void memfs_abandon(struct memfs *m);
void memfs_remount(struct memfs *m); /* close, open */
void memfs_crash(struct memfs *m);   /* abandon, open */
void memfs_release(struct memfs *m); /* abandons what is open */

/* New inodes; 0 uid and gid. */
ka_ino_t memfs_create(struct ka_fs *fs, ka_ino_t parent, const char *name, uint32_t mode);
ka_ino_t memfs_file(struct ka_fs *fs, ka_ino_t parent, const char *name);
ka_ino_t memfs_dir(struct ka_fs *fs, ka_ino_t parent, const char *name);
ka_ino_t memfs_symlink(struct ka_fs *fs, ka_ino_t parent, const char *name, const char *target);

/* Whole operations on names and numbers. */
int memfs_try_create(struct ka_fs *fs, ka_ino_t parent, const char *name, uint32_t mode,
		     const char *target, ka_ino_t *ret_ino);
int memfs_link(struct ka_fs *fs, ka_ino_t ino, ka_ino_t parent, const char *name);
ka_ino_t memfs_lookup(struct ka_fs *fs, ka_ino_t parent, const char *name); /* 0: none */
int memfs_truncate(struct ka_fs *fs, ka_ino_t ino, uint64_t size);
int memfs_fallocate(struct ka_fs *fs, ka_ino_t ino, int mode, uint64_t off, uint64_t len);
int memfs_clone(struct ka_fs *fs, ka_ino_t from, uint64_t from_off, ka_ino_t to, uint64_t to_off,
		uint64_t len);

/* All of it must go in; try: 0 with what went in, or an error. */
void memfs_write(struct ka_fs *fs, ka_ino_t ino, uint64_t off, const void *buf, size_t len);
int memfs_try_write(struct ka_fs *fs, ka_ino_t ino, uint64_t off, const void *buf, size_t len,
		    size_t *ret_written);

/* Bytes that tell the file and the place they are for. */
void memfs_pattern(void *buf, size_t len, uint64_t key, uint64_t off);
void memfs_write_pattern(struct ka_fs *fs, ka_ino_t ino, uint64_t off, size_t len, uint64_t key);

/* Reads up to len bytes; *ret_len tells how many there were. 0 or what the core said. */
int memfs_read(struct ka_fs *fs, ka_ino_t ino, uint64_t off, void *buf, size_t len,
	       size_t *ret_len);
/* The whole file, to be freed. */
int memfs_read_all(struct ka_fs *fs, ka_ino_t ino, uint8_t **ret_buf, size_t *ret_len);
bool memfs_has_pattern(struct ka_fs *fs, ka_ino_t ino, uint64_t off, size_t len, uint64_t key);

/*
 * Everything that names lead to as text, a line for each: path, attributes,
 * times, extended attributes, contents (or the error that reading gave). To
 * be freed.
 */
char *memfs_dump(struct ka_fs *fs);

/*
 * Checks what must hold at any time: counts against what is counted, link
 * counts against names, live bytes of segments against extents.
 */
void memfs_check(struct ka_fs *fs);

#endif

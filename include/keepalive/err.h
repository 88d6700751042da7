/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * err.h - error codes.
 *
 * Functions return 0 or a negative code: a plain -errno where a system call or
 * a file operation failed, or one of the private codes below for what no errno
 * can say. Each private code is raised in one place.
 */
#ifndef KEEPALIVE_ERR_H
#define KEEPALIVE_ERR_H

#include <errno.h>

/* name, errno at the edge to FUSE, text for people */
#define KA_ERR_TABLE(X)                                                      \
	X(NOT_KEEPALIVE, EINVAL, "not a keepalivefs region")                 \
	X(SUPER_CSUM, EINVAL, "superblock checksum is wrong")                \
	X(SUPER_VERSION, EINVAL, "disk version is newer than this program")  \
	X(SUPER_FEATURE, EINVAL, "unknown incompatible feature")             \
	X(SUPER_RO_FEATURE, EROFS, "unknown feature, read-only is possible") \
	X(SUPER_GONE, EIO, "both superblock copies are destroyed")           \
	X(WIPED, ENODATA, "lost: the memory was wiped, or never formatted")  \
	X(SUPER_FIELD, EINVAL, "superblock field is out of range")           \
	X(REGION_SHORT, EINVAL, "region is smaller than its filesystem")     \
	X(REGION_SMALL, ENOSPC, "region is too small for a filesystem")      \
	X(REGION_TYPE, EINVAL, "neither a regular file nor a dax device")    \
	X(REGION_BUSY, EBUSY, "region is in use")                            \
	X(MEMORY, EIO, "memory error")                                       \
	X(STORE, EIO, "memory error while storing")                          \
	X(SEGMENT_HEADER, EIO, "segment header is not valid")                \
	X(RECORD_CSUM, EIO, "record checksum is wrong")                      \
	X(RECORD_FRAME, EIO, "record length is impossible")                  \
	X(RECORD_STALE, EIO, "record is of an older use of the segment")     \
	X(RECORD_TYPE, EIO, "unknown record type")                           \
	X(RECORD_FIELD, EIO, "record field is out of range")                 \
	X(PAYLOAD_CSUM, EIO, "payload checksum is wrong")                    \
	X(EXTENT_RECORD, EIO, "extent does not point at its record")         \
	X(CKPT_CHAIN, EIO, "checkpoint is not complete")                     \
	X(CKPT_ITEM, EIO, "checkpoint item is not valid")                    \
	X(REPLAY_INODE, EIO, "record names an inode that does not exist")    \
	X(REPLAY_NAME, EIO, "record does not fit the directory")             \
	X(REPLAY_TYPE, EIO, "record does not fit the type of its inode")     \
	X(REPLAY_RANGE, EIO, "record does not fit the file")                 \
	X(REPLAY_SPACE, EIO, "record makes too many extents")                \
	X(NEED_CKPT, ENOSPC, "a checkpoint has to free space first")         \
	X(DAMAGED, EROFS, "filesystem is damaged; run fsck.keepalivefs")     \
	X(FAILED, EIO, "filesystem has stopped after an internal error")     \
	X(LEND_STUCK, EIO, "something in the slice cannot be read")          \
	X(LEND_LAST, ENOSPC, "the first slice cannot be lent")               \
	X(LEND_NONE, EINVAL, "nothing is lent")                              \
	X(DAX_CARVED, EBUSY, "region is cut into other devices")             \
	X(DAX_SYSTEM_RAM, EBUSY, "memory is in use by the system")           \
	X(DAX_NODE, EOPNOTSUPP, "memory belongs to no NUMA node")            \
	X(DAX_ZONE, EBUSY, "memory was not onlined as movable")              \
	X(DAX_BLOCK, EBUSY, "memory block does not go offline")

enum ka_err {
	KA_ERR_BASE = 4096, /* above every errno */
#define X(name, no, text) KA_ERR_##name,
	KA_ERR_TABLE(X)
#undef X
		KA_ERR_LIMIT
};

/* The errno for a negative code of either kind, positive. */
int ka_errno(int err);

/* A text for a negative code of either kind; never NULL, static storage. */
const char *ka_strerror(int err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops.h (private) - what the files ops_*.c share. */
#ifndef KA_CORE_OPS_H
#define KA_CORE_OPS_H

#include "fs.h"
#include "keepalive/ops.h"
#include "keepalive/record.h"

/*
 * Runs fn under op_lock, and again after a checkpoint where it says
 * -KA_ERR_NEED_CKPT, or at once where it says -KA_ERR_STORE; fn must have undone
 * everything then, or remember in arg how far it got. modify: refused where the filesystem is read-only.
 */
int ka_op_run(struct ka_fs *fs, bool modify, int (*fn)(struct ka_fs *fs, void *arg), void *arg);

/* The same, once. */
int ka_op_once(struct ka_fs *fs, bool modify, int (*fn)(struct ka_fs *fs, void *arg), void *arg);

/*
 * Puts a record without payload into the log and applies it. When this fails
 * with -ENOSPC, -KA_ERR_NEED_CKPT or -KA_ERR_STORE nothing has happened.
 */
int ka_op_commit(struct ka_fs *fs, struct ka_rec_disk *head, enum ka_space_class cls);

/* A failed apply of a record that is in the log: stops the filesystem. */
int ka_op_applied(struct ka_fs *fs, int err);

/* The head of a WRITE record, with room for the checksums of any payload. */
union ka_write_head {
	struct ka_rec_write_disk rec;
	uint8_t bytes[sizeof(struct ka_rec_write_disk) + 8 * (KA_PAYLOAD_MAX / KA_PIECE_MIN)];
};

/* Its bytes for so much payload; and the payload, at most want, that fits into room with it. */
size_t ka_write_head_bytes(const struct ka_log *log, size_t payload);
size_t ka_write_fit(const struct ka_log *log, size_t want, uint64_t room);

void ka_write_head_init(union ka_write_head *head, const struct ka_log *log, ka_ino_t ino,
			uint64_t off, size_t payload, unsigned flags);

/* Locks for writing, in the order of ino; NULL and doubles are left out. */
struct ka_lockset {
	struct ka_inode *inode[4];
	int count;
};
void ka_lockset_add(struct ka_lockset *set, struct ka_inode *inode);
void ka_lockset_lock(struct ka_lockset *set);
void ka_lockset_unlock(struct ka_lockset *set);

/* The caller holds the inode's lock. */
void ka_attr_fill(const struct ka_inode *inode, struct ka_attr *ret);

/* The same, taking the lock for it. */
void ka_attr_read(struct ka_inode *inode, struct ka_attr *ret);

/*
 * The inode was read: updates its time of access where relatime asks for it.
 * Needs something that keeps the inode, and no lock.
 */
void ka_inode_accessed(struct ka_fs *fs, struct ka_inode *inode);

/* The same by number. */
void ka_ino_accessed(struct ka_fs *fs, ka_ino_t ino);

/*
 * Drops an inode that has no name, is not open and not referred to. With drop,
 * as its name was removed just now, the contents of one that is referred to
 * go already, and nobody can open it then. Needs ns for writing, and
 * no inode lock.
 */
void ka_inode_reap(struct ka_fs *fs, struct ka_inode *inode, bool drop);

/*
 * Gives up one of inode->opens, and what hangs on it. Needs op_lock, and no
 * other lock; the inode may be gone afterwards.
 */
void ka_inode_close(struct ka_fs *fs, struct ka_inode *inode);

/* Checks that the pieces under [addr, addr + len) of e are whole, as verify= says. */
int ka_extent_verify(struct ka_fs *fs, const struct ka_extent *e, uint64_t addr, uint64_t len,
		     enum ka_verify how);

/*
 * Where the piece with the byte at addr, which is in e, ends within e, going by the
 * record's head; where that makes no sense, the end of e.
 */
uint64_t ka_extent_piece_end(const struct ka_fs *fs, const struct ka_extent *e, uint64_t addr);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * apply.h (private) - what a record means: the only code that changes the
 * index, for an operation that has just put the record into the log and for
 * replay alike.
 *
 * Locks: the caller holds what the record touches: ns for writing where names
 * change, else the locks of the inodes.
 */
#ifndef KA_CORE_APPLY_H
#define KA_CORE_APPLY_H

#include "fs.h"
#include "keepalive/format.h"

/*
 * Applies a valid record whose place in the region is addr. rec may be a copy
 * in memory of the head. -KA_ERR_REPLAY_*: it does not fit the state, which is
 * unchanged then; -ENOMEM: the state may be half changed.
 */
int ka_apply(struct ka_fs *fs, const struct ka_rec_disk *rec, uint64_t addr);

/* The same for those that an open file can do without looking up its inode. */
int ka_apply_write(struct ka_fs *fs, struct ka_inode *inode, const struct ka_rec_write_disk *rec,
		   uint64_t addr);
int ka_apply_space(struct ka_fs *fs, struct ka_inode *inode, const struct ka_rec_space_disk *rec);
int ka_apply_clone(struct ka_fs *fs, struct ka_inode *from, struct ka_inode *to,
		   const struct ka_rec_clone_disk *rec);

/*
 * Whether a region of this size may have so many extents more, if each takes cost
 * bytes of a checkpoint: a few clones, each doubling what there is, could ask for all
 * memory of the machine.
 */
bool ka_apply_has_room(const struct ka_fs *fs, uint64_t more, unsigned cost);

/* What SETATTR does to the size. */
int ka_apply_size(struct ka_fs *fs, struct ka_inode *inode, uint64_t size);

/* The inode of a CREATE record that nothing else has the number of, without its name. 0 or -ENOMEM. */
int ka_apply_inode(struct ka_fs *fs, const struct ka_rec_create_disk *rec,
		   struct ka_inode **ret_inode);

#endif

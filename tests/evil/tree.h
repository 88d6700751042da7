/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree.h - a small filesystem with everything that the format can say: each
 * kind of inode, name, attribute and extent, and each type of record.
 */
#ifndef KA_EVIL_TREE_H
#define KA_EVIL_TREE_H

#include "keepalive/fs.h"

/* Fills an empty filesystem. */
void evil_tree(struct ka_fs *fs);

/* Goes on with one that evil_tree filled: a record of each type, all different. */
void evil_tree_more(struct ka_fs *fs);

/* So many bytes of attributes that a checkpoint has to go on in another segment. */
void evil_tree_large(struct ka_fs *fs);

/* Writes until so many more segments are full. */
void evil_tree_fill(struct ka_fs *fs, unsigned segments);

#endif

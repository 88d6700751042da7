/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inos.h (private) - goes through all regular files, in the order of their inode
 * numbers, for what works in steps and keeps no state between them.
 */
#ifndef KA_CORE_INOS_H
#define KA_CORE_INOS_H

#include "fs.h"

/*
 * The lowest inode numbers of regular files from first on, some thousands at most and rising;
 * none: there are no more. The caller frees the list. Takes op_lock and index.ns. 0 or -ENOMEM.
 */
int ka_inos_from(struct ka_fs *fs, ka_ino_t first, ka_ino_t **ret_list, size_t *ret_count);

#endif

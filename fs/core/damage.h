/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * damage.h (private) - notes what could not be read since the mount, to tell of
 * each range once and to show them all in the status.
 *
 * Locks: damages.lock, a leaf.
 */
#ifndef KA_CORE_DAMAGE_H
#define KA_CORE_DAMAGE_H

#include "fs.h"
#include "keepalive/ops.h"

/*
 * Notes a range. Tells whether it is news; then ka_damage_tell is due. Once the
 * list is full nothing is news any more, as nobody can tell: the sink hears so once.
 */
bool ka_damage_note(struct ka_fs *fs, const struct ka_damage *d);

/* How many times there was more than can be noted. */
uint64_t ka_damage_unlisted(struct ka_fs *fs);

/* Tells the sink of it, with a path. Takes op_lock and ns: none may be held. */
void ka_damage_tell(struct ka_fs *fs, const struct ka_damage *d);

#endif

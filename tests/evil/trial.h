/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trial.h - everything that is done with an image that may hold anything. What
 * must not happen ends the program (evil_fail); an image that is refused is fine.
 */
#ifndef KA_EVIL_TRIAL_H
#define KA_EVIL_TRIAL_H

#include "image.h"
#include "keepalive/fs.h"

/*
 * All that names lead to as text, to be freed: attributes, names, what reading
 * gives, errors included. Bounded, whatever sizes and extents say.
 */
char *evil_digest(struct ka_fs *fs);

/* Operations of all kinds on what is there; any of them may fail. */
void evil_operate(struct ka_fs *fs, uint64_t seed);

/*
 * Mounts read-only, where nothing may be stored, then for writing: both show the
 * same. Operates, unmounts, mounts: that shows what was there at the end.
 * Whether it could be mounted.
 */
bool evil_trial_mount(struct evil_image *img, uint64_t seed);

/*
 * fsck -n -f, which may store nothing; fsck -y -f; where that left no errors,
 * fsck -n -f has nothing to say, and a mount works. Returns what -y did.
 */
int evil_trial_fsck(struct evil_image *img);

#endif

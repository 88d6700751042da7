/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scrub.h - reads everything and verifies every checksum, while others work.
 *
 * It goes in steps, so that the caller decides how much of the machine it may
 * have. Between steps no lock is held, and files may come, go and change: what is
 * there from beginning to end is looked at, and nothing is called damaged that
 * is not.
 */
#ifndef KEEPALIVE_SCRUB_H
#define KEEPALIVE_SCRUB_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/fs.h"

struct ka_scrub {
	/* Where to go on; zeros to begin with. */
	uint64_t ino;
	uint64_t off;
	/* What this step did. */
	uint64_t bytes;
	uint64_t files; /* begun */
	bool finished;
	bool is_damaged; /* stopped at the damage below; it goes on behind it */
	struct ka_damage damage;
};

/*
 * Verifies about budget bytes, up to the first damage, which is noted and told as
 * a reader's is. The first step looks at the superblock copies and the
 * checkpoints; damage there is healed by writing them anew, unless the filesystem
 * is read-only. 0 or a negative code.
 */
int ka_scrub_step(struct ka_fs *fs, struct ka_scrub *s, uint64_t budget);

/* About how many bytes the steps will verify in all. */
uint64_t ka_scrub_total(struct ka_fs *fs);

#endif

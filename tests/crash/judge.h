/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge.h - what becomes of one image that a cut may have left: checked, mounted,
 * looked at, unmounted, mounted again, as a machine would do it.
 */
#ifndef KA_CRASH_JUDGE_H
#define KA_CRASH_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "undo.h"

struct verdict {
	char *dump;	     /* the tree; "" where there is no filesystem; NULL with a problem */
	const char *problem; /* NULL: it is sound, or there is none at all */
	bool super;	     /* fsck found the two superblock copies to differ, or one torn */
	char *messages;	     /* of the core, may be NULL */
	char *fsck_says;     /* of the image as the cut left it; may be NULL */
};

/* What verdict.dump says of a region that holds no filesystem. */
#define JUDGE_NOTHING ""

/* The image, bytes long, is as before afterwards. live: it is written to as well. */
void judge(struct undo *image, uint64_t bytes, bool live, struct verdict *ret);
void verdict_release(struct verdict *v);

#endif

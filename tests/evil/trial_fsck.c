/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trial_fsck.c - checks what may be anything, repairs it, checks again; see trial.h. */
#include <stdlib.h>
#include <string.h>

#include "fsck.h"
#include "guard.h"
#include "keepalive/err.h"
#include "trial.h"

static int run(struct evil_image *img, enum fsck_mode mode)
{
	struct fsck f = {.path = "memory", .mode = mode, .force = true, .progress_fd = -1};
	int status;

	f.sink = &evil_sink;
	f.out = getenv("KA_EVIL_VERBOSE") ? stderr : NULL;
	f.rg = evil_guard_open(img, mode == FSCK_NO);
	status = fsck_check(&f);
	ka_region_close(f.rg);
	if (status & ~(FSCK_CORRECTED | FSCK_ERRORS_LEFT | FSCK_COULD_NOT_RUN))
		evil_fail("fsck: exit status %d", status);
	return status;
}

static void mount_repaired(struct evil_image *img)
{
	struct ka_region *rg = evil_guard_open(img, false);
	struct ka_fs_opts opts = {.noatime = true, .sink = &evil_sink};
	struct ka_fs_status status;
	struct ka_fs *fs;
	int err;

	err = ka_fs_open(rg, &opts, &fs);
	if (err)
		evil_fail("repaired, and cannot be mounted: %s", ka_strerror(err));
	ka_fs_get_status(fs, &status);
	if (status.damaged)
		evil_fail("repaired, and mounted as damaged");
	free(evil_digest(fs));
	ka_fs_abandon(fs);
	ka_region_close(rg);
}

/* What -p repairs it repairs at once; and what it leaves, it leaves alone. */
static void preen_it(struct evil_image *img, int found)
{
	int first = run(img, FSCK_PREEN), second, third;

	if (found == 0 && first & ~(FSCK_CORRECTED | FSCK_COULD_NOT_RUN))
		evil_fail("fsck -n finds nothing, fsck -p answers %d", first);
	if (first & FSCK_COULD_NOT_RUN)
		return;
	second = run(img, FSCK_PREEN);
	third = run(img, FSCK_NO);
	if (second & FSCK_CORRECTED || (second & FSCK_ERRORS_LEFT) != (first & FSCK_ERRORS_LEFT) ||
	    third != second)
		evil_fail("fsck -n answers %d, -p %d, -p again %d, -n again %d", found, first,
			  second, third);
}

/* The image is as before then. */
static void preen(struct evil_image *img, int found)
{
	uint8_t *before = malloc(img->bytes);

	if (!before)
		evil_fail("no memory");
	memcpy(before, img->mem, img->bytes);
	preen_it(img, found);
	memcpy(img->mem, before, img->bytes);
	free(before);
}

int evil_trial_fsck(struct evil_image *img)
{
	int first, second, third;

	first = run(img, FSCK_NO);
	preen(img, first);
	second = run(img, FSCK_YES);
	/* It may be unable to store a checkpoint, for want of numbers or of room. */
	if (first == 0 && second & ~(FSCK_CORRECTED | FSCK_COULD_NOT_RUN))
		evil_fail("fsck -n finds nothing, fsck -y answers %d", second);
	if (second & (FSCK_ERRORS_LEFT | FSCK_COULD_NOT_RUN))
		return second;
	third = run(img, FSCK_NO);
	if (third)
		evil_fail("fsck -n answers %d, -y %d, -n again %d", first, second, third);
	mount_repaired(img);
	return second;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trial_fsck.c - checks what may be anything, repairs it, checks again; see trial.h. */
#include <stdlib.h>

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

int evil_trial_fsck(struct evil_image *img)
{
	int first, second, third;

	first = run(img, FSCK_NO);
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

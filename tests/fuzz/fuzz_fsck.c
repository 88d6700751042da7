/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_fsck.c - checks a changed image, repairs it, checks and mounts it again. */
#include "edit.h"
#include "target.h"
#include "trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evil_image *img;
	uint64_t seed;

	img = edit_apply(data, size, &seed);
	target_begin("fsck", data, size);
	if (img)
		evil_trial_fsck(img);
	return 0;
}

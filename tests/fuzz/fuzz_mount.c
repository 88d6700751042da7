/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_mount.c - mounts a changed image, reads all, operates, mounts it again. */
#include "edit.h"
#include "target.h"
#include "trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evil_image *img;
	uint64_t seed;

	img = edit_apply(data, size, &seed);
	target_begin("mount", data, size);
	if (img)
		evil_trial_mount(img, seed);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper_dax.c - slices of a DAX region to the system and back, for the daemon; see helper_dax.h.
 *
 * Whatever the daemon asks for, only whole devices behind the first of its own region are
 * touched.
 */
#include "helper_dax.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

int helper_dax_region(struct helper_dax *d, uint64_t start, uint64_t bytes)
{
	int err = d->m ? -EBUSY : ka_machine_open(&d->m);

	if (err)
		return err;
	d->start = start;
	d->bytes = bytes;
	/* It may be what memory is waited for with, when there is none. */
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	return 0;
}

/* The device with exactly this range. */
static int find(struct helper_dax *d, uint64_t off, uint64_t bytes, struct ka_dax_dev *ret)
{
	struct ka_dax_region *regions;
	size_t count, i, j;
	int err;

	if (!d->m || !off || !ka_range_ok(off, bytes, d->bytes))
		return -EINVAL;
	err = d->m->ops->regions(d->m, &regions, &count);
	if (err)
		return err;
	err = -ENODEV;
	for (i = 0; i < count; i++) {
		for (j = 0; j < regions[i].devs; j++) {
			const struct ka_dax_dev *dev = &regions[i].dev[j];

			if (dev->start != d->start + off || dev->bytes != bytes || dev->ranges != 1)
				continue;
			*ret = *dev;
			err = 0;
		}
	}
	ka_dax_regions_free(regions, count);
	return err;
}

int helper_dax_lend(struct helper_dax *d, uint64_t off, uint64_t bytes, char reason[KA_REASON_MAX])
{
	struct ka_dax_dev dev;
	int err = find(d, off, bytes, &dev);

	return err ?: ka_hotplug_lend(d->m, &dev, reason);
}

/* The file says 0 or 1. */
static bool kernel_is_loaded(void)
{
	KA_AUTO_CLOSE int fd = open("/sys/kernel/kexec_loaded", O_RDONLY | O_CLOEXEC);
	char c;

	return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

int helper_dax_reclaim(struct helper_dax *d, uint64_t off, uint64_t bytes,
		       char reason[KA_REASON_MAX], int *ret_fd)
{
	char path[KA_DAX_PATH_MAX];
	struct ka_dax_dev dev;
	int err = find(d, off, bytes, &dev);

	err = err ?: ka_hotplug_reclaim(d->m, &dev, HELPER_OFFLINE_MS, reason);
	if (err)
		return err;
	d->m->ops->path(d->m, dev.name, path);
	*ret_fd = open(path, O_RDWR | O_CLOEXEC);
	if (*ret_fd >= 0) {
		if (kernel_is_loaded())
			snprintf(reason, KA_REASON_MAX,
				 "a kernel is loaded for kexec, which may copy it there: load it "
				 "again with 'kexec -l', or not at all with 'kexec -u'");
		return 0;
	}
	err = -errno;
	snprintf(reason, KA_REASON_MAX, "cannot open %s: %s", path, ka_strerror(err));
	return err;
}

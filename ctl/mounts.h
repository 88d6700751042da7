/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.h - asks mounted filesystems, and finds them. */
#ifndef KEEPALIVE_MOUNTS_H
#define KEEPALIVE_MOUNTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "keepalive/ioctl.h"
#include "keepalive/super.h"

/* What a daemon says about itself, its superblock decoded. */
struct mount_status {
	struct ka_ioc_status ioc;
	struct ka_super super;
};

/* Asks the filesystem mounted at dir. 0 or -errno; -ENOTTY: no keepalivefs. */
int mount_ask(const char *dir, struct mount_status *ret);

/* Whether a code says that a mount has lost its daemon, or is just losing it. */
bool mount_is_dead(int err);

/* Says why mount_ask failed with err. */
void mount_explain(const struct ka_msg_sink *sink, const char *dir, int err);

/* The mount point of the filesystem with this device number; to be freed, or NULL. */
char *mount_point_of(dev_t dev);

/* The one whose region is at the absolute path; to be freed, or NULL. */
char *mount_find_region(const char *path, struct mount_status *ret);

#endif

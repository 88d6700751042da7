/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dax.h - regions by the names that people give them.
 *
 * A file or a device by its path; a dynamic DAX region as a whole by its id ("region0") or the
 * physical address of its first byte ("dax@0x180000000"); any of them but files by what the
 * superblock says ("UUID=...", "LABEL=..."). A whole region is made of the devices that it is
 * cut into, in order; what no device has is had for as long as it is open.
 */
#ifndef KEEPALIVE_DAX_H
#define KEEPALIVE_DAX_H

#include <stdbool.h>

#include "keepalive/carve.h"
#include "keepalive/machine.h"
#include "keepalive/msg.h"
#include "keepalive/region.h"

/* Whether a name is one of those that are no path. */
bool ka_dax_is_name(const char *name);

/*
 * Beside the flags of ka_region_open: cuts a whole region into slices as its superblock says,
 * for good, and completes what lending or taking back has left half done. Without it a
 * device is as it was once the region is closed.
 */
#define KA_DAX_CARVE 0x100u

/*
 * Opens the region with this name, a path too. ram is what lends parts of a whole region;
 * NULL: nobody does. m NULL: the machine that this runs on; else it is in use until the
 * region is closed. 0 or a code, explained.
 */
int ka_dax_open(struct ka_machine *m, const char *name, unsigned flags,
		const struct ka_region_ram *ram, const struct ka_msg_sink *sink,
		struct ka_region **ret_rg);

/*
 * What a region that is open is called, absolute and the same however it was found: a path,
 * or "dax@ADDRESS". To be freed; NULL: no memory.
 */
char *ka_dax_name(const struct ka_region *rg);

/*
 * The path of the file or device that is locked while the region with this name is in use.
 * To be freed; NULL: there is none.
 */
char *ka_dax_lock_path(struct ka_machine *m, const char *name);

/*
 * The id of the region with this name, or that has the device with this path. 0 or a code: -ENODEV
 * where there is none, -ENOTBLK where the path is no DAX device.
 */
int ka_dax_find(struct ka_machine *m, const char *name, int *ret_id);

/*
 * The sizes of slices for a new filesystem in a region that is open; false: it is not one that
 * can be cut, so there is nothing to choose.
 */
bool ka_dax_choose(struct ka_machine *m, const struct ka_region *rg, struct ka_carve_sizes *ret);

#endif

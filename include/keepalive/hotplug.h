/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug.h - the memory of a slice becomes system memory, and comes back.
 *
 * Both ways everything or nothing: what fails half-way is undone, and where even that fails the
 * reason says so. What a run that was cut off has left is completed by the next.
 */
#ifndef KEEPALIVE_HOTPLUG_H
#define KEEPALIVE_HOTPLUG_H

#include "keepalive/machine.h"

#define KA_REASON_MAX 200

/*
 * Binds the device to kmem and onlines each of its memory blocks as movable, whatever the
 * policy of the machine. A slice without a whole block is left alone: nobody can use it
 * then. 0, or a code and the reason: it is as before.
 */
int ka_hotplug_lend(struct ka_machine *m, const struct ka_dax_dev *dev, char reason[KA_REASON_MAX]);

/*
 * Takes each block offline and binds the device to device_dax. 0, or a code and the
 * reason, which names the block: then all are online as before. timeout_ms is for all
 * blocks together; putting back what was taken offline comes on top.
 */
int ka_hotplug_reclaim(struct ka_machine *m, const struct ka_dax_dev *dev, unsigned timeout_ms,
		       char reason[KA_REASON_MAX]);

#endif

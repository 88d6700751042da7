/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* machine.c - what all machines have in common; see keepalive/machine.h. */
#include "keepalive/machine.h"

#include <stdlib.h>

void ka_machine_close(struct ka_machine *m)
{
	if (m)
		m->ops->close(m);
}

void ka_dax_regions_free(struct ka_dax_region *regions, size_t count)
{
	size_t i;

	for (i = 0; regions && i < count; i++)
		free(regions[i].dev);
	free(regions);
}

static int by_start(const void *a, const void *b)
{
	const struct ka_dax_dev *x = a, *y = b;

	if (!x->bytes != !y->bytes)
		return x->bytes ? 1 : -1;
	return (x->start > y->start) - (x->start < y->start);
}

void ka_dax_region_sort(struct ka_dax_region *region)
{
	qsort(region->dev, region->devs, sizeof(*region->dev), by_start);
}

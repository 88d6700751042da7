/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slices - carving and hot-plug on a real machine, without a filesystem: for scenarios in
 * tests/vm. Acts on region 0.
 *
 * slices show | carve | lend SLICE | reclaim SLICE MILLISECONDS
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/carve.h"
#include "keepalive/err.h"
#include "keepalive/hotplug.h"

static void print_message(void *ctx, enum ka_msg_level level, const char *text)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "slices: %s\n", text);
}

static const struct ka_msg_sink sink = {print_message, NULL};

static struct ka_machine *machine;
static struct ka_dax_region *region;
static struct ka_carving want;

static int fail(const char *what, int err)
{
	fprintf(stderr, "slices: %s: %s\n", what, ka_strerror(err));
	return 1;
}

static int show(void)
{
	static const char *const drivers[] = {"none", "device_dax", "kmem", "other"};
	const struct ka_dax_dev *dev;
	size_t i;

	printf("region %#" PRIx64 " bytes %" PRIu64 " dynamic %d slices %" PRIu32 " look %d\n",
	       region->start, region->bytes, region->dynamic, want.slices,
	       ka_carve_look(region, &want));
	for (i = 0; i < region->devs; i++) {
		dev = &region->dev[i];
		printf("%s %#" PRIx64 " bytes %" PRIu64 " ranges %" PRIu32 " driver %s\n",
		       dev->name, dev->start, dev->bytes, dev->ranges, drivers[dev->driver]);
	}
	return 0;
}

/* It has said why. */
static int carve(void)
{
	return ka_carve(machine, region->id, &want, &sink) ? 1 : 0;
}

static int hotplug(const char *what, const char *slice, const char *ms)
{
	char reason[KA_REASON_MAX] = "";
	const struct ka_dax_dev *dev = NULL;
	uint32_t i = (uint32_t)strtoul(slice, NULL, 10);
	int err;

	if (i < want.slices)
		dev = ka_carve_device(region, &want, i);
	if (!dev)
		return fail(slice, -ENODEV);
	err = !strcmp(what, "lend")
		      ? ka_hotplug_lend(machine, dev, reason)
		      : ka_hotplug_reclaim(machine, dev, (unsigned)strtoul(ms, NULL, 10), reason);
	return err ? fail(reason, err) : 0;
}

static int plan(void)
{
	struct ka_carve_sizes sizes;
	struct ka_super sb = {0};
	int err;

	ka_carve_choose(region->start, region->bytes, machine->ops->block_bytes(machine), &sizes);
	err = ka_super_geometry(&sb, region->bytes, sizes.slice_bytes, sizes.first_slice_bytes);
	ka_carving_of(&sb, region->start, &want);
	return err;
}

int main(int argc, char **argv)
{
	struct ka_dax_region *regions;
	size_t count;
	int err = ka_machine_open(&machine);

	err = err ?: machine->ops->regions(machine, &regions, &count);
	if (err)
		return fail("regions", err);
	region = ka_dax_region_find(regions, count, 0);
	err = region ? plan() : -ENODEV;
	if (err)
		return fail("region 0", err);
	if (argc == 2 && !strcmp(argv[1], "show"))
		return show();
	if (argc == 2 && !strcmp(argv[1], "carve"))
		return carve();
	if (argc > 2 && (!strcmp(argv[1], "lend") || argc > 3))
		return hotplug(argv[1], argv[2], argc > 3 ? argv[3] : "0");
	fprintf(stderr, "usage: slices show | carve | lend SLICE | reclaim SLICE MILLISECONDS\n");
	return 2;
}

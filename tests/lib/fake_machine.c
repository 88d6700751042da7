/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fake_machine.c - see fake_machine.h. */
#include "fake_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

static struct fake_machine *to_fake(struct ka_machine *m)
{
	return ka_container_of(m, struct fake_machine, m);
}

/* Whether this call, which changes something, fails. */
static bool fails(struct fake_machine *f)
{
	f->calls++;
	return f->fail_at && (f->cut ? f->calls >= f->fail_at : f->calls == f->fail_at);
}

static struct ka_dax_dev *find(struct fake_machine *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->devs; i++)
		if (!strcmp(f->dev[i].name, name))
			return &f->dev[i];
	return NULL;
}

static int fake_regions(struct ka_machine *m, struct ka_dax_region **ret, size_t *ret_count)
{
	struct fake_machine *f = to_fake(m);
	struct ka_dax_region *r = calloc(1, sizeof(*r));

	*r = (struct ka_dax_region){
		.start = f->start,
		.bytes = f->bytes,
		.align = 2 << 20,
		.dynamic = true,
		.devs = f->devs,
		.dev = calloc(f->devs + 1, sizeof(*r->dev)),
	};
	memcpy(r->dev, f->dev, f->devs * sizeof(*r->dev));
	ka_dax_region_sort(r);
	*ret = r;
	*ret_count = 1;
	return 0;
}

struct ka_dax_dev *fake_machine_add(struct fake_machine *f, uint64_t start, uint64_t bytes,
				    enum ka_dax_driver driver)
{
	struct ka_dax_dev *dev = &f->dev[f->devs];

	*dev = (struct ka_dax_dev){
		.start = start,
		.bytes = bytes,
		.ranges = 1,
		.target_node = f->target_node,
		.driver = driver,
	};
	snprintf(dev->name, sizeof(dev->name), "dax0.%zu", f->devs++);
	return dev;
}

static int fake_create(struct ka_machine *m, int region, uint64_t start, uint64_t bytes,
		       char ret_name[KA_DAX_NAME_MAX])
{
	struct fake_machine *f = to_fake(m);
	size_t i;

	if (fails(f))
		return -EIO;
	if (region || !bytes || start < f->start || start + bytes > f->start + f->bytes)
		return -EINVAL;
	for (i = 0; i < f->devs; i++)
		if (f->dev[i].bytes && start < f->dev[i].start + f->dev[i].bytes &&
		    f->dev[i].start < start + bytes)
			return -ENOSPC;
	strcpy(ret_name, fake_machine_add(f, start, bytes, KA_DAX_UNBOUND)->name);
	return 0;
}

static int fake_destroy(struct ka_machine *m, const char *name)
{
	struct fake_machine *f = to_fake(m);
	struct ka_dax_dev *dev = find(f, name);

	if (fails(f))
		return -EIO;
	if (!dev)
		return -ENODEV;
	if (dev->driver != KA_DAX_UNBOUND)
		return -EBUSY;
	dev->bytes = 0;
	return 0;
}

/* All blocks of which a part is in the device, or all that are wholly in it. */
static void set_blocks(struct fake_machine *f, const struct ka_dax_dev *dev,
		       enum ka_block_state state)
{
	uint64_t b = (dev->start + FAKE_BLOCK - 1) / FAKE_BLOCK;

	for (; (b + 1) * FAKE_BLOCK <= dev->start + dev->bytes; b++)
		f->block[b] = state;
}

static bool has_online(struct fake_machine *f, const struct ka_dax_dev *dev)
{
	uint64_t b = (dev->start + FAKE_BLOCK - 1) / FAKE_BLOCK;

	for (; (b + 1) * FAKE_BLOCK <= dev->start + dev->bytes; b++)
		if (f->block[b] > KA_BLOCK_OFFLINE)
			return true;
	return false;
}

static int fake_bind(struct ka_machine *m, const char *name, enum ka_dax_driver driver)
{
	static const enum ka_block_state fresh[] = {
		[KA_ONLINE_OFFLINE] = KA_BLOCK_OFFLINE,
		[KA_ONLINE_ONLINE] = KA_BLOCK_ONLINE,
		[KA_ONLINE_KERNEL] = KA_BLOCK_ONLINE,
		[KA_ONLINE_MOVABLE] = KA_BLOCK_MOVABLE,
	};
	struct fake_machine *f = to_fake(m);
	struct ka_dax_dev *dev = find(f, name);

	if (!dev)
		return -ENODEV;
	if (dev->driver == KA_DAX_KMEM && driver != KA_DAX_KMEM) {
		if (fails(f))
			return -EIO;
		if (has_online(f, dev))
			f->stuck = true;
		else
			set_blocks(f, dev, KA_BLOCK_ABSENT);
	}
	dev->driver = KA_DAX_UNBOUND;
	if (driver == KA_DAX_UNBOUND)
		return 0;
	if (fails(f) || !dev->bytes)
		return -EIO;
	if (driver == KA_DAX_KMEM) {
		if (dev->target_node < 0)
			return -EINVAL;
		set_blocks(f, dev, fresh[f->policy]);
	}
	dev->driver = driver;
	return 0;
}

static void fake_path(struct ka_machine *m, const char *name, char ret_path[KA_DAX_PATH_MAX])
{
	snprintf(ret_path, KA_DAX_PATH_MAX, "%s/%s", to_fake(m)->dir ?: "/nowhere", name);
}

static uint64_t fake_block_bytes(struct ka_machine *m)
{
	(void)m;
	return FAKE_BLOCK;
}

static enum ka_block_state fake_block_state(struct ka_machine *m, uint64_t block)
{
	return to_fake(m)->block[block];
}

static int fake_block_online(struct ka_machine *m, uint64_t block)
{
	struct fake_machine *f = to_fake(m);

	if (fails(f))
		return -EIO;
	if (f->block[block] != KA_BLOCK_OFFLINE)
		return -EINVAL;
	f->block[block] = KA_BLOCK_MOVABLE;
	return 0;
}

static int fake_block_offline(struct ka_machine *m, uint64_t block, unsigned timeout_ms)
{
	struct fake_machine *f = to_fake(m);

	if (fails(f))
		return -EIO;
	if (f->pinned[block] || !timeout_ms)
		return -ETIME;
	if (f->block[block] < KA_BLOCK_ONLINE)
		return -EINVAL;
	f->block[block] = KA_BLOCK_OFFLINE;
	return 0;
}

static int fake_get_policy(struct ka_machine *m, enum ka_online_policy *ret)
{
	*ret = to_fake(m)->policy;
	return 0;
}

static int fake_set_policy(struct ka_machine *m, enum ka_online_policy policy)
{
	if (fails(to_fake(m)))
		return -EIO;
	to_fake(m)->policy = policy;
	return 0;
}

static int fake_lock(struct ka_machine *m)
{
	(void)m;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void fake_close(struct ka_machine *m)
{
	(void)m;
}

static const struct ka_machine_ops fake_ops = {
	.regions = fake_regions,
	.create = fake_create,
	.destroy = fake_destroy,
	.bind = fake_bind,
	.path = fake_path,
	.block_bytes = fake_block_bytes,
	.block_state = fake_block_state,
	.block_online = fake_block_online,
	.block_offline = fake_block_offline,
	.get_policy = fake_get_policy,
	.set_policy = fake_set_policy,
	.lock = fake_lock,
	.close = fake_close,
};

void fake_machine_init(struct fake_machine *f, uint64_t start, uint64_t bytes)
{
	*f = (struct fake_machine){.m.ops = &fake_ops, .start = start, .bytes = bytes};
	fake_machine_boot(f);
}

void fake_machine_boot(struct fake_machine *f)
{
	memset(f->block, 0, sizeof(f->block));
	f->devs = 0;
	fake_machine_add(f, 0, 0, KA_DAX_UNBOUND); /* the seed */
	f->dev[0].ranges = 0;
}

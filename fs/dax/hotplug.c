/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug.c - system memory and back; see keepalive/hotplug.h.
 *
 * Block by block through sysfs, not by daxctl_memory_online and its like: those take the first
 * block behind a device for one of its own, which is in the next slice here, know no time
 * limit, and undo nothing. And the removal of kmem is one-shot: unbinding while one block is
 * online leaves memory that nobody gets rid of before the next boot. So every block is
 * looked at again before that.
 */
#include "keepalive/hotplug.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

/* For blocks that were onlined a moment ago, so hardly anything can be in them. */
#define UNDO_MS 2000

/* The whole memory blocks of a device. */
struct blocks {
	uint64_t first;
	uint64_t end;
};

static struct blocks blocks_of(struct ka_machine *m, const struct ka_dax_dev *dev)
{
	uint64_t bytes = m->ops->block_bytes(m);
	struct blocks b = {0};

	if (bytes) {
		b.first = (dev->start + bytes - 1) / bytes;
		b.end = ka_max(b.first, (dev->start + dev->bytes) / bytes);
	}
	return b;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool is_online(enum ka_block_state state)
{
	return state == KA_BLOCK_ONLINE || state == KA_BLOCK_MOVABLE || state == KA_BLOCK_GOING;
}

/* ---- the policy of the machine ---------------------------------------------------- */

/* While this lasts new memory stays offline until we online it, in the zone that it has to be in. */
struct policy {
	enum ka_online_policy was;
	bool changed;
};

static void settle_policy(struct ka_machine *m, struct policy *p)
{
	*p = (struct policy){0};
	if (m->ops->get_policy(m, &p->was) || p->was == KA_ONLINE_OFFLINE ||
	    p->was == KA_ONLINE_MOVABLE)
		return;
	p->changed = !m->ops->set_policy(m, KA_ONLINE_OFFLINE);
}

static void restore_policy(struct ka_machine *m, const struct policy *p)
{
	if (p->changed)
		m->ops->set_policy(m, p->was);
}

/* ---- lending -------------------------------------------------------------------------- */

/* Movable, also where somebody else was faster and has chosen another zone. */
static int online(struct ka_machine *m, uint64_t block)
{
	enum ka_block_state state = m->ops->block_state(m, block);
	int err = 0;

	if (state == KA_BLOCK_MOVABLE)
		return 0;
	if (state == KA_BLOCK_ABSENT)
		return -ENODEV;
	if (state == KA_BLOCK_ONLINE)
		err = m->ops->block_offline(m, block, UNDO_MS);
	err = err ?: m->ops->block_online(m, block);
	if (err)
		return err;
	return m->ops->block_state(m, block) == KA_BLOCK_MOVABLE ? 0 : -KA_ERR_DAX_ZONE;
}

/* 0: no block is online any more, so the device can be unbound. */
static int offline_all(struct ka_machine *m, struct blocks b, uint64_t deadline,
		       uint64_t *ret_block)
{
	uint64_t block, now;
	int err;

	/* The last first: what the kernel moves out of the way goes to those before it. */
	for (block = b.end; block-- > b.first;) {
		*ret_block = block;
		if (!is_online(m->ops->block_state(m, block)))
			continue;
		now = now_ms();
		err = now < deadline ? m->ops->block_offline(m, block, (unsigned)(deadline - now))
				     : -ETIME;
		if (err)
			return err;
	}
	for (block = b.first; block < b.end; block++) {
		*ret_block = block;
		if (is_online(m->ops->block_state(m, block)))
			return -KA_ERR_DAX_BLOCK;
	}
	return 0;
}

static int undo_lend(struct ka_machine *m, const struct ka_dax_dev *dev, struct blocks b)
{
	uint64_t block;
	int err = offline_all(m, b, now_ms() + UNDO_MS, &block);

	return err ?: m->ops->bind(m, dev->name, KA_DAX_DEVDAX);
}

static int lend_blocks(struct ka_machine *m, const struct ka_dax_dev *dev, struct blocks b,
		       char reason[KA_REASON_MAX])
{
	uint64_t block;
	int err;

	if (dev->driver != KA_DAX_KMEM) {
		err = m->ops->bind(m, dev->name, KA_DAX_KMEM);
		if (err) {
			snprintf(reason, KA_REASON_MAX, "cannot bind %s to kmem: %s", dev->name,
				 ka_strerror(err));
			return err;
		}
	}
	for (block = b.first; block < b.end; block++) {
		err = online(m, block);
		if (err) {
			snprintf(reason, KA_REASON_MAX,
				 "cannot online memory block %" PRIu64 ": %s", block,
				 ka_strerror(err));
			return err;
		}
	}
	return 0;
}

int ka_hotplug_lend(struct ka_machine *m, const struct ka_dax_dev *dev, char reason[KA_REASON_MAX])
{
	struct blocks b = blocks_of(m, dev);
	struct policy policy;
	size_t len;
	int err;

	if (b.first == b.end)
		return 0;
	if (dev->target_node < 0) {
		snprintf(reason, KA_REASON_MAX,
			 "the kernel does not know which NUMA node %s belongs to (no SRAT or HMAT)",
			 dev->name);
		return -KA_ERR_DAX_NODE;
	}
	settle_policy(m, &policy);
	err = lend_blocks(m, dev, b, reason);
	if (err && undo_lend(m, dev, b)) {
		len = strlen(reason);
		snprintf(reason + len, KA_REASON_MAX - len,
			 "; and it cannot be taken back now: part of it stays system memory");
	}
	restore_policy(m, &policy);
	return err;
}

/* ---- taking back ------------------------------------------------------------------------ */

/* What is online of them stays, what was taken offline comes back. */
static void online_again(struct ka_machine *m, struct blocks b)
{
	uint64_t block;

	for (block = b.first; block < b.end; block++)
		if (m->ops->block_state(m, block) == KA_BLOCK_OFFLINE)
			(void)m->ops->block_online(m, block);
}

int ka_hotplug_reclaim(struct ka_machine *m, const struct ka_dax_dev *dev, unsigned timeout_ms,
		       char reason[KA_REASON_MAX])
{
	struct blocks b = blocks_of(m, dev);
	uint64_t block = 0;
	int err = 0;

	if (dev->driver == KA_DAX_DEVDAX)
		return 0;
	if (dev->driver == KA_DAX_KMEM) {
		err = offline_all(m, b, now_ms() + timeout_ms, &block);
		if (err) {
			snprintf(reason, KA_REASON_MAX,
				 "memory block %" PRIu64 " does not go offline: %s", block,
				 err == -ETIME ? "what is in it cannot be moved in time"
					       : ka_strerror(err));
			online_again(m, b);
			return -KA_ERR_DAX_BLOCK;
		}
	}
	err = m->ops->bind(m, dev->name, KA_DAX_DEVDAX);
	if (err)
		snprintf(reason, KA_REASON_MAX, "cannot bind %s to device_dax: %s", dev->name,
			 ka_strerror(err));
	return err;
}

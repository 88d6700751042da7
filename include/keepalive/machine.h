/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine.h - what the kernel has to say about DAX memory, and what it can be asked for.
 *
 * DAX regions, the devices that they are cut into, the drivers of these, and the memory
 * blocks of what is in use as system memory. An interface, so that tests can have a machine
 * of their own that fails at any step; machine_linux.c is the real one, by libdaxctl and sysfs.
 *
 * Not thread-safe: one thread at a time has a machine.
 */
#ifndef KEEPALIVE_MACHINE_H
#define KEEPALIVE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "dax0.1" */
#define KA_DAX_NAME_MAX 24
#define KA_DAX_PATH_MAX 128

enum ka_dax_driver {
	KA_DAX_UNBOUND,
	KA_DAX_DEVDAX, /* /dev/daxX.Y can be mapped */
	KA_DAX_KMEM,   /* system memory */
	KA_DAX_OTHER,
};

struct ka_dax_dev {
	char name[KA_DAX_NAME_MAX];
	uint64_t start; /* physical; of the first range */
	uint64_t bytes; /* 0: a device that was not given memory yet */
	uint32_t ranges;
	int target_node; /* below 0: the kernel does not know where the memory is */
	enum ka_dax_driver driver;
};

struct ka_dax_region {
	int id; /* as in daxX.Y, and as daxctl counts */
	uint64_t start;
	uint64_t bytes;
	uint64_t align; /* of its devices */
	bool dynamic;	/* devices can be made and unmade */
	size_t devs;
	struct ka_dax_dev *dev; /* by start, those without memory first */
};

enum ka_block_state {
	KA_BLOCK_ABSENT,
	KA_BLOCK_OFFLINE,
	KA_BLOCK_ONLINE, /* in a zone that may keep it for ever */
	KA_BLOCK_MOVABLE,
	KA_BLOCK_GOING, /* just being taken offline */
};

/* What the kernel does with memory that is new. */
enum ka_online_policy {
	KA_ONLINE_OFFLINE, /* nothing */
	KA_ONLINE_ONLINE,
	KA_ONLINE_KERNEL,
	KA_ONLINE_MOVABLE,
};

struct ka_machine {
	const struct ka_machine_ops *ops;
};

/* All answer 0 or a negative code, unless they say otherwise. */
struct ka_machine_ops {
	/* All regions as they are now; to be freed with ka_dax_regions_free. */
	int (*regions)(struct ka_machine *m, struct ka_dax_region **ret, size_t *ret_count);

	/* Makes a device of exactly this range, which no other has. device_dax may be bound to it. */
	int (*create)(struct ka_machine *m, int region, uint64_t start, uint64_t bytes,
		      char ret_name[KA_DAX_NAME_MAX]);
	/* Takes its memory away from a device that nothing is bound to. */
	int (*destroy)(struct ka_machine *m, const char *name);
	/* Unbinds it first. kmem: KA_ERR_DAX_NODE where it has no target node. */
	int (*bind)(struct ka_machine *m, const char *name, enum ka_dax_driver driver);
	/* Of the node that can be opened while device_dax is bound. */
	void (*path)(struct ka_machine *m, const char *name, char ret_path[KA_DAX_PATH_MAX]);

	uint64_t (*block_bytes)(struct ka_machine *m); /* 0: no memory hot-plug */
	/* Blocks are numbered by physical address / block_bytes. */
	enum ka_block_state (*block_state)(struct ka_machine *m, uint64_t block);
	int (*block_online)(struct ka_machine *m, uint64_t block); /* movable */
	/* -ETIME when the time is over; it is online then. */
	int (*block_offline)(struct ka_machine *m, uint64_t block, unsigned timeout_ms);

	int (*get_policy)(struct ka_machine *m, enum ka_online_policy *ret);
	int (*set_policy)(struct ka_machine *m, enum ka_online_policy policy);

	/*
	 * One program at a time looks at regions and changes their devices. A descriptor to be
	 * closed, or a code.
	 */
	int (*lock)(struct ka_machine *m);

	void (*close)(struct ka_machine *m);
};

/* The machine that this runs on. 0 or -errno. */
int ka_machine_open(struct ka_machine **ret);
void ka_machine_close(struct ka_machine *m);

/* Brings the devices into the order that they have to have. For those who make up a region. */
void ka_dax_region_sort(struct ka_dax_region *region);

void ka_dax_regions_free(struct ka_dax_region *regions, size_t count);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_machine.h - a machine with one dynamic DAX region, made up, for what no real one
 * can be brought to: every step fails in turn, blocks stay, drivers do not bind.
 *
 * It behaves as the kernel does, its traps included: a device that is unbound from kmem
 * while a block is online is lost until the next boot, which is what stuck says.
 */
#ifndef TESTS_FAKE_MACHINE_H
#define TESTS_FAKE_MACHINE_H

#include "keepalive/machine.h"

#define FAKE_DEVS   80
#define FAKE_BLOCKS 256
#define FAKE_BLOCK  (128ull << 20)

struct fake_machine {
	struct ka_machine m;
	uint64_t start; /* of the region */
	uint64_t bytes;
	size_t devs;
	struct ka_dax_dev dev[FAKE_DEVS];
	enum ka_block_state block[FAKE_BLOCKS]; /* from address 0 on */
	bool pinned[FAKE_BLOCKS];		/* does not go offline */
	const char *dir;			/* of the nodes; NULL: they cannot be opened */
	enum ka_online_policy policy;
	int target_node;
	unsigned calls;	  /* that change something, so far */
	unsigned fail_at; /* the call with this number fails, from 1 on; 0: none */
	bool cut;	  /* and all behind it: the program was killed there */
	bool stuck;
};

/* The region is idle: no device has memory. */
void fake_machine_init(struct fake_machine *f, uint64_t start, uint64_t bytes);

/* Another boot: devices and blocks are forgotten. */
void fake_machine_boot(struct fake_machine *f);

/* Adds a device, as the kernel or an administrator does. */
struct ka_dax_dev *fake_machine_add(struct fake_machine *f, uint64_t start, uint64_t bytes,
				    enum ka_dax_driver driver);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.h - what the parts of the daemon share: one mounted filesystem.
 *
 * Filled in by main.c before the first request is read; later on only the
 * parts themselves and the atomic counters change.
 */
#ifndef KEEPALIVE_DAEMON_SERVER_H
#define KEEPALIVE_DAEMON_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fuse_cache.h"
#include "fuse_loop.h"
#include "fuse_mixed.h"
#include "grower.h"
#include "helper.h"
#include "keeper.h"
#include "opts.h"
#include "ram.h"

struct fuse_session;

struct server {
	struct opts opts;
	struct ka_region *rg;
	struct ka_region_ram ram;
	struct ram_told ram_told;
	char *region_name; /* absolute; see ka_dax_name */
	struct ka_fs *fs;
	struct fuse_session *se;
	struct loop loop;
	struct cache cache;
	struct mixed mixed;
	struct keeper keeper;
	struct grower grower;
	struct helper helper;
	int severed_fd;		 /* takes the place of the session's; -1: none */
	bool mounted;		 /* and not unmounted by us */
	bool explained;		 /* why it cannot start */
	bool needs_sync;	 /* fsync has something to do */
	_Atomic bool no_opendir; /* the kernel does without it */
	_Atomic uint64_t io_errors;
};

#endif

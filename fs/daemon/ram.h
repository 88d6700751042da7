/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram.h - lends slices of a DAX region, through the helper.
 */
#ifndef KEEPALIVE_DAEMON_RAM_H
#define KEEPALIVE_DAEMON_RAM_H

#include <pthread.h>
#include <stdbool.h>

#include "keepalive/hotplug.h"
#include "keepalive/region.h"

struct server;

/* Why memory stays where it is. */
struct ram_told {
	pthread_mutex_t lock;
	bool warned;		    /* of what may still happen to memory that came back */
	char line[512];		    /* as it was logged last; empty: since then a slice moved */
	char reason[KA_REASON_MAX]; /* of the last slice that did not come back */
};

/* What ka_dax_open needs to lend; ctx is the server. */
struct ka_region_ram ram_of(struct server *sv);

/* Why the last slice that was asked for did not come back; empty: nothing more than the error. */
void ram_reason(struct server *sv, char ret[KA_REASON_MAX]);

/* Tells the helper which region it is about. 0 or a code. */
int ram_start(struct server *sv);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram.h - lends slices of a DAX region, through the helper.
 */
#ifndef KEEPALIVE_DAEMON_RAM_H
#define KEEPALIVE_DAEMON_RAM_H

#include "keepalive/region.h"

struct server;

/* What ka_dax_open needs to lend; ctx is the server. */
struct ka_region_ram ram_of(struct server *sv);

/* Tells the helper which region it is about. 0 or a code. */
int ram_start(struct server *sv);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump_record.h - the fields of one record of the log, readable. */
#ifndef KEEPALIVE_DUMP_RECORD_H
#define KEEPALIVE_DUMP_RECORD_H

#include <stdint.h>

#include "emit.h"
#include "keepalive/format.h"
#include "keepalive/region.h"

/*
 * rec, at addr, was just given out by ka_scan_next; its payload need not be whole, and
 * is verified.
 */
void dump_record(struct emit *e, const struct ka_region *rg, const struct ka_rec_disk *rec,
		 uint64_t addr);

/*
 * What a code means, in buf if need be; with the place where it is a memory error
 * (ka_region_error_off, before anything else is read). NULL for 0.
 */
#define DUMP_REASON_MAX 64
const char *dump_reason(char buf[DUMP_REASON_MAX], int err, uint64_t error_off);

#endif

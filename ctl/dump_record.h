/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump_record.h - the fields of one record of the log, readable. */
#ifndef KEEPALIVE_DUMP_RECORD_H
#define KEEPALIVE_DUMP_RECORD_H

#include <stdint.h>

#include "emit.h"
#include "keepalive/format.h"

/* rec, at addr, passed ka_record_validate; its payload need not be whole. */
void dump_record(struct emit *e, const struct ka_rec_disk *rec, uint64_t addr);

#endif

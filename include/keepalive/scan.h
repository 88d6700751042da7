/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scan.h - read-only walk over the records of a segment.
 *
 * Mount, fsck, dump and tests all find records through it. No locks: the
 * segment must not change meanwhile.
 */
#ifndef KEEPALIVE_SCAN_H
#define KEEPALIVE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "keepalive/format.h"
#include "keepalive/record.h"
#include "keepalive/region.h"

/* A segment header in host order. */
struct ka_segment_info {
	enum ka_segment_kind kind;
	uint64_t gen;
	uint64_t open_seq;
	uint32_t writer;
	uint64_t prev_gen; /* of the position's segment before; 0: none */
};

/* 0, -KA_ERR_MEMORY, or -KA_ERR_SEGMENT_HEADER for what is no header of this filesystem. */
int ka_scan_header(const struct ka_region *rg, uint64_t log_id, uint64_t index,
		   uint32_t segment_bytes, struct ka_segment_info *ret);

struct ka_scan {
	const struct ka_region *rg;
	struct ka_rec_ident ident;
	uint64_t addr; /* of the next record */
	uint64_t end;
	uint64_t budget; /* bytes that resync may still sum; hostile media ends there */
};

/* What ka_scan_next may answer beside 0 and errors. */
#define KA_SCAN_END 1 /* the segment was closed here, or is full */

void ka_scan_start(struct ka_scan *scan, const struct ka_region *rg, uint64_t log_id, uint64_t gen,
		   uint64_t addr, uint64_t end);

/*
 * The next record and its address. 0; KA_SCAN_END; or -KA_ERR_RECORD_* or
 * -KA_ERR_MEMORY where no valid record lies at scan->addr, which stays.
 */
int ka_scan_next(struct ka_scan *scan, const struct ka_rec_disk **ret_rec, uint64_t *ret_addr);

/*
 * Looks for the next valid record behind scan->addr and goes there. False: there
 * is none, or (scan->budget is 0 then) the media keeps it busy on purpose.
 */
bool ka_scan_resync(struct ka_scan *scan);

/* Checks the payload of such a record, which has one. 0, -KA_ERR_PAYLOAD_CSUM or -KA_ERR_MEMORY. */
int ka_scan_payload_check(const struct ka_region *rg, const struct ka_rec_disk *rec);

/*
 * The first valid record that begins in [addr, limit) and lies below end, the end of
 * its segment, whatever its generation: where no header says what a segment was used
 * for. NULL: there is none.
 */
const struct ka_rec_disk *ka_scan_any(const struct ka_region *rg, uint64_t log_id, uint64_t addr,
				      uint64_t limit, uint64_t end, uint64_t *ret_addr);

/* The payload of a record that ka_scan_next gave out. */
static inline uint64_t ka_scan_payload_addr(const struct ka_rec_disk *rec, uint64_t addr)
{
	return addr + ka_get32(rec->head_bytes);
}

#endif

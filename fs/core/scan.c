/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan.c - walks over segments; see scan.h. */
#include "keepalive/scan.h"

#include "keepalive/csum.h"
#include "keepalive/err.h"

/* Far more than a few thousand stale heads have, and a few milliseconds. */
#define RESYNC_BUDGET (64ull << 20)

int ka_scan_header(const struct ka_region *rg, uint64_t log_id, uint64_t index,
		   uint32_t segment_bytes, struct ka_segment_info *ret)
{
	const struct ka_segment_disk *d =
		ka_region_at(rg, index * segment_bytes, sizeof(struct ka_segment_disk));
	uint32_t kind;

	if (!d || ka_get32(d->magic) != KA_SEGMENT_MAGIC || ka_get64(d->log_id) != log_id ||
	    ka_get64(d->csum) !=
		    ka_csum((const char *)d + sizeof(d->csum), sizeof(*d) - sizeof(d->csum)))
		return -KA_ERR_SEGMENT_HEADER;
	kind = ka_get32(d->kind);
	if ((kind != KA_SEGMENT_LOG && kind != KA_SEGMENT_CKPT) || ka_get64(d->index) != index ||
	    ka_get64(d->gen) >= KA_NUMBER_LIMIT / 4 || ka_get32(d->rsv))
		return -KA_ERR_SEGMENT_HEADER;
	*ret = (struct ka_segment_info){
		.kind = kind,
		.gen = ka_get64(d->gen),
		.open_seq = ka_get64(d->open_seq),
		.writer = ka_get32(d->writer),
		.prev_gen = ka_get64(d->prev_gen),
	};
	return 0;
}

void ka_scan_start(struct ka_scan *scan, const struct ka_region *rg, uint64_t log_id, uint64_t gen,
		   uint64_t addr, uint64_t end)
{
	*scan = (struct ka_scan){
		.budget = RESYNC_BUDGET,
		.rg = rg,
		.ident = {.log_id = log_id, .gen = (uint32_t)gen},
		.addr = addr,
		.end = end,
	};
}

int ka_scan_next(struct ka_scan *scan, const struct ka_rec_disk **ret_rec, uint64_t *ret_addr)
{
	uint64_t left = scan->end - scan->addr;
	const struct ka_rec_disk *rec;
	int err;

	if (left < sizeof(*rec))
		return KA_SCAN_END;
	rec = ka_region_at(scan->rg, scan->addr, left);
	if (!rec)
		return -KA_ERR_RECORD_FRAME;
	err = ka_record_validate(rec, scan->addr, left, &scan->ident);
	if (err)
		return err;
	*ret_rec = rec;
	*ret_addr = scan->addr;
	scan->addr += ka_get32(rec->bytes);
	return ka_get16(rec->type) == KA_REC_END ? KA_SCAN_END : 0;
}

bool ka_scan_resync(struct ka_scan *scan)
{
	uint64_t addr = scan->addr + KA_RECORD_ALIGN, left, cost;
	const struct ka_rec_disk *rec;

	for (; scan->end - addr >= sizeof(*rec) && addr < scan->end; addr += KA_RECORD_ALIGN) {
		left = scan->end - addr;
		rec = ka_region_at(scan->rg, addr, left);
		if (!rec || ka_record_check_frame(rec, left, &scan->ident))
			continue;
		cost = ka_get32(rec->head_bytes);
		if (cost > scan->budget) {
			scan->budget = 0;
			return false;
		}
		scan->budget -= cost;
		if (!ka_record_validate(rec, addr, left, &scan->ident)) {
			scan->addr = addr;
			return true;
		}
	}
	return false;
}

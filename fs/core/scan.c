/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan.c - walks over segments; see scan.h. */
#include "keepalive/scan.h"

#include "keepalive/csum.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

/* Far more than a few thousand stale heads have, and a few milliseconds. */
#define RESYNC_BUDGET (64ull << 20)
/* What is passed over around a memory error: no page is smaller. */
#define BROKEN_BYTES 4096u

int ka_scan_header(const struct ka_region *rg, uint64_t log_id, uint64_t index,
		   uint32_t segment_bytes, struct ka_segment_info *ret)
{
	struct ka_segment_disk d;
	uint32_t kind;
	int err;

	err = ka_region_read(rg, index * segment_bytes, &d, sizeof(d));
	if (err == -KA_ERR_MEMORY)
		return err;
	if (err || ka_get32(d.magic) != KA_SEGMENT_MAGIC || ka_get64(d.log_id) != log_id ||
	    ka_get64(d.csum) != ka_csum((char *)&d + sizeof(d.csum), sizeof(d) - sizeof(d.csum)))
		return -KA_ERR_SEGMENT_HEADER;
	kind = ka_get32(d.kind);
	if ((kind != KA_SEGMENT_LOG && kind != KA_SEGMENT_CKPT) || ka_get64(d.index) != index ||
	    ka_get64(d.gen) >= KA_GEN_LIMIT || ka_get32(d.rsv))
		return -KA_ERR_SEGMENT_HEADER;
	*ret = (struct ka_segment_info){
		.kind = kind,
		.gen = ka_get64(d.gen),
		.open_seq = ka_get64(d.open_seq),
		.writer = ka_get32(d.writer),
		.prev_gen = ka_get64(d.prev_gen),
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

/* What runs under a guard, with its answer. */
struct step {
	struct ka_scan *scan;
	const struct ka_rec_disk *rec;
};

static int validate_next(void *arg)
{
	struct step *s = arg;
	uint64_t addr = s->scan->addr, left = s->scan->end - addr;
	const struct ka_rec_disk *rec = ka_region_at(s->scan->rg, addr, left);
	int err;

	if (!rec)
		return -KA_ERR_RECORD_FRAME;
	err = ka_record_validate(rec, addr, left, &s->scan->ident);
	if (err)
		return err;
	s->rec = rec;
	s->scan->addr += ka_get32(rec->bytes);
	return ka_get16(rec->type) == KA_REC_END ? KA_SCAN_END : 0;
}

int ka_scan_next(struct ka_scan *scan, const struct ka_rec_disk **ret_rec, uint64_t *ret_addr)
{
	struct step s = {.scan = scan};
	uint64_t addr = scan->addr;
	int err;

	if (scan->end - addr < sizeof(struct ka_rec_disk))
		return KA_SCAN_END;
	err = ka_region_guard(scan->rg, validate_next, &s);
	if (err < 0)
		return err;
	*ret_rec = s.rec;
	*ret_addr = addr;
	return err;
}

/* A search for a whole record, at every place where one can begin. */
struct search {
	const struct ka_region *rg;
	uint64_t log_id;
	uint64_t addr;	/* where to look first, and what was found */
	uint64_t limit; /* it begins before */
	uint64_t end;
	uint64_t budget;     /* bytes to sum; 0 in the end: used up */
	const uint32_t *gen; /* NULL: any */
	const struct ka_rec_disk *rec;
};

static int search(void *arg)
{
	struct search *s = arg;
	struct ka_rec_ident ident = {.log_id = s->log_id};
	uint64_t from = s->addr, left, cost;
	const char *bytes = from < s->end ? ka_region_at(s->rg, from, s->end - from) : NULL;
	const struct ka_rec_disk *rec;

	if (!bytes)
		return 0;
	for (; s->addr < s->limit && s->end - s->addr >= sizeof(*rec); s->addr += KA_RECORD_ALIGN) {
		left = s->end - s->addr;
		rec = (const struct ka_rec_disk *)(bytes + (s->addr - from));
		if (ka_get64(rec->log_id) != s->log_id)
			continue;
		ident.gen = s->gen ? *s->gen : ka_get32(rec->gen);
		if (ka_record_check_frame(rec, left, &ident))
			continue;
		cost = ka_get32(rec->head_bytes);
		if (cost > s->budget) {
			s->budget = 0;
			return 0;
		}
		s->budget -= cost;
		if (ka_record_validate(rec, s->addr, left, &ident))
			continue;
		s->rec = rec;
		return 0;
	}
	return 0;
}

static void run_search(struct search *s)
{
	while (ka_region_guard(s->rg, search, s)) {
		/* Go on behind the page that is broken. */
		s->addr = ka_align_up(ka_max(ka_region_error_off(), s->addr) + 1, BROKEN_BYTES);
		if (s->addr >= s->limit)
			return;
	}
}

bool ka_scan_resync(struct ka_scan *scan)
{
	struct search s = {
		.rg = scan->rg,
		.log_id = scan->ident.log_id,
		.gen = &scan->ident.gen,
		.addr = scan->addr + KA_RECORD_ALIGN,
		.limit = scan->end,
		.end = scan->end,
		.budget = scan->budget,
	};

	run_search(&s);
	scan->budget = s.budget;
	if (s.rec)
		scan->addr = s.addr;
	return s.rec;
}

const struct ka_rec_disk *ka_scan_any(const struct ka_region *rg, uint64_t log_id, uint64_t addr,
				      uint64_t limit, uint64_t end, uint64_t *ret_addr)
{
	struct search s = {
		.rg = rg,
		.log_id = log_id,
		.addr = addr,
		.limit = limit,
		.end = end,
		.budget = RESYNC_BUDGET,
	};

	run_search(&s);
	*ret_addr = s.addr;
	return s.rec;
}

static int check_payload(void *arg)
{
	const struct ka_rec_disk *rec = arg;

	return ka_payload_check(ka_record_payload(rec),
				(const char *)rec + ka_get32(rec->head_bytes));
}

int ka_scan_payload_check(const struct ka_region *rg, const struct ka_rec_disk *rec)
{
	return ka_region_guard(rg, check_payload, (void *)rec);
}

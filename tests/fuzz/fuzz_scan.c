/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_scan.c - walks over a changed image: superblock, headers, records, resync. */
#include <inttypes.h>

#include "edit.h"
#include "guard.h"
#include "keepalive/scan.h"
#include "keepalive/super.h"
#include "keepalive/util.h"
#include "target.h"

/* Everything that the validators vouch for is looked at. */
static uint64_t look_at(const struct ka_rec_disk *rec, uint64_t addr, uint64_t end)
{
	const struct ka_payload_disk *pl = ka_record_payload(rec);
	const uint8_t *p = (const void *)rec;
	uint64_t sum = 0, i, at = ka_scan_payload_addr(rec, addr);

	if (ka_get32(rec->bytes) > end - addr || ka_get32(rec->head_bytes) > ka_get32(rec->bytes))
		evil_fail("record at 0x%" PRIx64 " is longer than its place", addr);
	for (i = 0; i < ka_get32(rec->head_bytes); i++)
		sum += p[i];
	if (pl && ka_get32(pl->bytes) > end - at)
		evil_fail("payload of 0x%" PRIx64 " ends beyond its segment", addr);
	if (pl)
		sum += (uint64_t)ka_payload_check(pl, p + ka_get32(rec->head_bytes));
	return sum;
}

static volatile uint64_t seen; /* so that no look is left out */

static void walk(const struct ka_region *rg, uint64_t log_id, uint64_t gen, uint64_t from,
		 uint64_t end)
{
	const struct ka_rec_disk *rec;
	uint64_t addr, last = from;
	struct ka_scan scan;
	int err;

	ka_scan_start(&scan, rg, log_id, gen, from, end);
	for (;;) {
		err = ka_scan_next(&scan, &rec, &addr);
		if (err == KA_SCAN_END)
			break;
		if (!err) {
			seen += look_at(rec, addr, end);
		} else if (!ka_scan_resync(&scan)) {
			break;
		}
		if (scan.addr <= last || scan.addr > end || scan.addr % KA_RECORD_ALIGN)
			evil_fail("scan goes from 0x%" PRIx64 " to 0x%" PRIx64, last, scan.addr);
		last = scan.addr;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ka_segment_info info;
	struct evil_image *img;
	struct ka_region *rg;
	struct ka_super sb;
	uint64_t seed, i, start;

	img = edit_apply(data, size, &seed);
	target_begin("scan", data, size);
	if (!img)
		return 0;
	rg = evil_guard_open(img, true);
	if (!ka_super_read(rg, &evil_sink, NULL, &sb)) {
		for (i = 1; i < ka_min(sb.segments, sb.owned_bytes / sb.segment_bytes); i++) {
			start = i * sb.segment_bytes;
			if (ka_scan_header(rg, sb.log_id, i, sb.segment_bytes, &info))
				continue;
			walk(rg, sb.log_id, info.gen,
			     start + sizeof(struct ka_segment_disk) + seed / 16 * KA_RECORD_ALIGN,
			     start + sb.segment_bytes);
		}
	}
	ka_region_close(rg);
	return 0;
}

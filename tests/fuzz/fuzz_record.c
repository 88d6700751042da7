/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_record.c - the input is a record, but for its identity and checksums: is it
 * valid, what does it say, and does it apply to a filesystem?
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "fs.h"
#include "guard.h"
#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "target.h"
#include "trial.h"

#define GEN 77

/* Identity, lengths (unless the first byte says not to) and checksums set right. */
static void complete(struct ka_rec_disk *rec, size_t size, uint64_t log_id, uint8_t how)
{
	rec->log_id = ka_put64(log_id);
	rec->gen = ka_put32(GEN);
	if (how & 1)
		rec->bytes = ka_put32((uint32_t)size);
	if (how & 2)
		rec->head_bytes = rec->bytes;
	if (ka_get32(rec->head_bytes) >= sizeof(*rec) && ka_get32(rec->head_bytes) <= size)
		ka_record_seal(rec, KA_SEGMENT_MIN);
}

/* Every length in a valid record is inside it. */
static void check(const struct ka_rec_disk *rec, size_t size)
{
	const struct ka_payload_disk *pl = ka_record_payload(rec);
	uint64_t head = ka_get32(rec->head_bytes), bytes = ka_get32(rec->bytes), len = 0;
	uint32_t i;

	if (head > bytes || bytes > size)
		evil_fail("valid, and %" PRIu64 " of %zu bytes long", bytes, size);
	if (!pl)
		return;
	for (i = 0; i < ka_payload_pieces(pl); i++)
		len += ka_payload_piece_len(pl, i);
	if (len != ka_get32(pl->bytes) || len > bytes - head)
		evil_fail("valid, with a payload of %" PRIu64 " bytes", len);
	(void)ka_payload_check(pl, (const uint8_t *)rec + head);
}

/* Applied it must leave a state that can be shown. */
static void apply(struct evil_image *img, const struct ka_rec_disk *rec)
{
	struct ka_fs_opts opts = {.rdonly = true, .noatime = true, .sink = &evil_sink};
	struct ka_region *rg = evil_guard_open(img, true);
	struct ka_recovery recovery;
	struct ka_fs *fs;
	int err;

	err = ka_fs_load(rg, &opts, 0, &recovery, &fs);
	if (err)
		evil_fail("the image cannot be loaded: %d", err);
	err = ka_apply(fs, rec, KA_SEGMENT_MIN);
	if (err > 0 || err <= -KA_ERR_LIMIT)
		evil_fail("apply answers %d", err);
	free(evil_digest(fs));
	ka_fs_abandon(fs);
	ka_region_close(rg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evil_image *img = evil_image(EVIL_CLEAN);
	struct ka_rec_ident ident = {.log_id = img->log_id, .gen = GEN};
	struct ka_rec_disk *rec;

	target_begin("record", data, size);
	if (size < 1)
		return 0;
	rec = malloc(size - 1 ? size - 1 : 1); /* exactly, so that nothing beyond is read */
	if (!rec)
		abort();
	memcpy(rec, data + 1, size - 1);
	if (size - 1 >= sizeof(*rec))
		complete(rec, size - 1, img->log_id, data[0]);
	if (!ka_record_validate(rec, KA_SEGMENT_MIN, size - 1, &ident)) {
		check(rec, size - 1);
		apply(img, rec);
	}
	free(rec);
	return 0;
}

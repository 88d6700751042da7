/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make_seeds.c - make_seeds DIRECTORY: the inputs that fuzzing starts with, in a
 * directory for each target: records and checkpoints of the base images, and an
 * edit of each kind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edit.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "test.h"

#define RECORD_MAX 2000 /* a seed is small; large payloads teach nothing */

static const char *directory;

static void put(const char *target, const char *name, const void *head, size_t head_bytes,
		const void *data, size_t bytes)
{
	KA_AUTO_FREE char *dir = NULL, *path = NULL;
	FILE *f;

	if (asprintf(&dir, "%s/%s", directory, target) < 0 ||
	    asprintf(&path, "%s/seed-%s", dir, name) < 0)
		abort();
	if (mkdir(dir, 0755) && errno != EEXIST) {
		perror(dir);
		exit(1);
	}
	f = fopen(path, "wb");
	if (!f || fwrite(head, 1, head_bytes, f) != head_bytes ||
	    fwrite(data, 1, bytes, f) != bytes || fclose(f)) {
		perror(path);
		exit(1);
	}
}

/* A record of each type; the byte before says which lengths are to be set right. */
static void put_records(void)
{
	static const uint8_t as_it_is = 0;
	struct evil_image *img = evil_image(EVIL_LONG);
	bool done[KA_REC_TYPES] = {0};
	const struct ka_rec_disk *rec;
	unsigned type;
	size_t i;

	for (i = 0; i < img->records; i++) {
		rec = evil_rec_at(img, img->rec[i]);
		type = ka_get16(rec->type);
		if (done[type] || ka_get32(rec->bytes) > RECORD_MAX)
			continue;
		done[type] = true;
		put("record", ka_record_type_name(type), &as_it_is, 1, rec, ka_get32(rec->bytes));
	}
}

static void put_checkpoint(void)
{
	struct evil_items list;
	uint8_t *payload;
	size_t bytes;

	evil_ckpt_items(evil_image(EVIL_UNCLEAN), &list);
	payload = evil_items_pack(&list, &bytes, NULL);
	put("checkpoint", "everything", NULL, 0, payload, bytes);
	free(payload);
	evil_items_release(&list);
}

static void put_edits(const char *target)
{
	static const char *const bases[EVIL_BASES] = {"clean", "unclean", "long"};
	static const char *const ops[EDIT_OPS] = {
		"record",    "record-bytes", "record-copy", "record-drop", "item", "item-bytes",
		"item-copy", "item-drop",    "super",	    "segment",	   "raw"};
	struct edit_head head = {0};
	struct edit edit = {.field = 12, .target = 5, .arg = EDIT_SET, .value = 3};
	unsigned i;

	for (i = 0; i < EVIL_BASES; i++) {
		head.base = (uint8_t)i;
		put(target, bases[i], &head, sizeof(head), NULL, 0);
	}
	head.base = EVIL_UNCLEAN;
	for (i = 0; i < EDIT_OPS; i++) {
		edit.op = (uint8_t)i;
		put(target, ops[i], &head, sizeof(head), &edit, sizeof(edit));
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_seeds DIRECTORY\n");
		return 2;
	}
	directory = argv[1];
	put_records();
	put_checkpoint();
	put_edits("scan");
	put_edits("mount");
	put_edits("fsck");
	return 0;
}

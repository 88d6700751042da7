/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signatures.c - looks for signatures in a region; see signatures.h.
 *
 * A dax device has neither read(2) nor a place among block devices, so libblkid
 * cannot look at it. It is given a memfd of the region's size instead, sparse
 * but for the head and the tail, which is where signatures live.
 */
#include "signatures.h"

#include <blkid.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "keepalive/err.h"
#include "keepalive/format.h"
#include "keepalive/util.h"

/* LUKS2 keeps its second header up to 4 MiB from the start. */
#define HEAD_BYTES (8ull << 20)
/* Promise RAID goes back 3087 sectors from the end, ZFS 512 KiB. */
#define TAIL_BYTES (2ull << 20)

static void free_probe(blkid_probe *pr)
{
	if (*pr)
		blkid_free_probe(*pr);
}

static bool is_known(const struct ka_signatures *found, const struct ka_signature *sig)
{
	size_t i;

	for (i = 0; i < found->count; i++)
		if (found->sig[i].off == sig->off && found->sig[i].len == sig->len)
			return true;
	return false;
}

static void add(struct ka_signatures *found, const struct ka_signature *sig)
{
	if (found->count < KA_SIGNATURES_MAX && !is_known(found, sig))
		found->sig[found->count++] = *sig;
}

/* A superblock copy can end a segment of any size, if only its magic is left. */
static void find_keepalive(const struct ka_region *rg, struct ka_signatures *found)
{
	struct ka_signature sig = {.what = "a keepalivefs filesystem", .len = 8};
	const struct ka_super_disk *disk;
	uint64_t end;

	_Static_assert(sizeof(disk->magic) == 8, "magic size");
	for (end = KA_SUPER_BYTES; end <= KA_SEGMENT_MAX;
	     end = end < KA_SEGMENT_MIN ? KA_SEGMENT_MIN : end * 2) {
		sig.off = end - KA_SUPER_BYTES;
		disk = ka_region_at(rg, sig.off, sizeof(*disk));
		if (disk && !memcmp(disk->magic, KA_SUPER_MAGIC, sizeof(disk->magic)))
			add(found, &sig);
	}
}

static int copy_range(int fd, const struct ka_region *rg, uint64_t off, uint64_t len)
{
	const char *data = ka_region_at(rg, off, len);
	ssize_t n;

	while (len) {
		n = pwrite(fd, data, len, (off_t)off);
		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* A file that libblkid can read, or a negative code. */
static int make_copy(const struct ka_region *rg)
{
	uint64_t bytes = ka_region_info(rg)->capacity_bytes;
	uint64_t head = ka_min(bytes, HEAD_BYTES), tail = ka_min(bytes - head, TAIL_BYTES);
	int fd = memfd_create("keepalivefs-signatures", MFD_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes))
		err = -errno;
	err = err ?: copy_range(fd, rg, 0, head);
	err = err ?: copy_range(fd, rg, bytes - tail, tail);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static const char *lookup(blkid_probe pr, const char *name, size_t *ret_len)
{
	const char *value;

	return blkid_probe_lookup_value(pr, name, &value, ret_len) ? NULL : value;
}

/* What the probe has found just now. */
static void describe(blkid_probe pr, struct ka_signature *sig)
{
	const char *type = lookup(pr, "TYPE", NULL), *usage = lookup(pr, "USAGE", NULL);
	const char *label = lookup(pr, "LABEL", NULL), *what = "signature", *off, *article;
	bool table = !type;

	if (table) {
		type = lookup(pr, "PTTYPE", NULL) ?: "unknown";
		what = "partition table";
	} else if (usage && !strcmp(usage, "filesystem")) {
		what = "filesystem";
	}
	article = strchr("aeiou", type[0]) ? "an" : "a";
	snprintf(sig->what, sizeof(sig->what), "%s %s %s%s%.40s%s", article, type, what,
		 label ? " labelled '" : "", label ?: "", label ? "'" : "");
	off = lookup(pr, table ? "PTMAGIC_OFFSET" : "SBMAGIC_OFFSET", NULL);
	sig->off = off ? strtoull(off, NULL, 10) : 0;
	if (!off || !lookup(pr, table ? "PTMAGIC" : "SBMAGIC", &sig->len))
		sig->len = 0;
}

static int probe(int fd, unsigned sector_bytes, struct ka_signatures *found)
{
	__attribute__((cleanup(free_probe))) blkid_probe pr = blkid_new_probe();
	struct ka_signature sig;
	int n;

	if (!pr)
		return -ENOMEM;
	if (blkid_probe_set_device(pr, fd, 0, 0))
		return -EIO;
	blkid_probe_set_sectorsize(pr, sector_bytes);
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_TYPE |
						      BLKID_SUBLKS_USAGE | BLKID_SUBLKS_MAGIC |
						      BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(pr, 1);
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
	/* Step by step, not blkid_do_safeprobe: every one counts, ambiguous ones too. */
	for (n = 0; n < KA_SIGNATURES_MAX && !blkid_do_probe(pr); n++) {
		describe(pr, &sig);
		add(found, &sig);
	}
	return 0;
}

int ka_signatures_find(const struct ka_region *rg, const struct ka_msg_sink *sink,
		       struct ka_signatures *ret_found)
{
	struct ka_signatures found = {0};
	KA_AUTO_CLOSE int fd = -1;
	int err = 0;

	find_keepalive(rg, &found);
	fd = make_copy(rg);
	if (fd < 0)
		err = fd;
	err = err ?: probe(fd, 512, &found);
	err = err ?: probe(fd, 4096, &found); /* for partition tables of such disks */
	if (err) {
		ka_msg(sink, KA_MSG_ERROR, "cannot look for signatures in '%s': %s",
		       ka_region_info(rg)->path, ka_strerror(err));
		return err;
	}
	*ret_found = found;
	return 0;
}

int ka_signatures_wipe(struct ka_region *rg, const struct ka_signatures *found)
{
	static const char zeros[4096];
	const struct ka_signature *sig;
	size_t i, len;

	for (i = 0; i < found->count; i++) {
		sig = &found->sig[i];
		len = ka_min(sig->len, sizeof(zeros));
		if (!ka_region_at(rg, sig->off, len))
			continue;
		ka_region_write(rg, sig->off, zeros, len);
		ka_region_flush(rg, sig->off, len);
	}
	return ka_region_fence(rg);
}

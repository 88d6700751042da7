/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* super.c - reads, validates and updates the superblock; see super.h. */
#include "keepalive/super.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "keepalive/csum.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "keepalive/wiped.h"

#define SEGMENT_DEFAULT_MAX (2u << 20)

static struct ka_ckpt_ptr decode_ptr(const struct ka_ckpt_ptr_disk *d)
{
	return (struct ka_ckpt_ptr){
		.seq = ka_get64(d->seq),
		.addr = ka_get64(d->addr),
		.chunks = ka_get64(d->chunks),
		.bytes = ka_get64(d->bytes),
	};
}

static struct ka_ckpt_ptr_disk encode_ptr(const struct ka_ckpt_ptr *p)
{
	return (struct ka_ckpt_ptr_disk){
		.seq = ka_put64(p->seq),
		.addr = ka_put64(p->addr),
		.chunks = ka_put64(p->chunks),
		.bytes = ka_put64(p->bytes),
	};
}

static bool all_zero(const uint8_t *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

static void decode_fields(const struct ka_super_disk *d, struct ka_super *sb)
{
	int i;

	sb->disk_version = ka_get32(d->disk_version);
	sb->feature_compat = ka_get64(d->feature_compat);
	sb->feature_ro_compat = ka_get64(d->feature_ro_compat);
	sb->feature_incompat = ka_get64(d->feature_incompat);
	memcpy(sb->uuid, d->uuid, sizeof(sb->uuid));
	sb->log_id = ka_get64(d->log_id);
	memcpy(sb->label, d->label, sizeof(sb->label));
	sb->capacity_bytes = ka_get64(d->capacity_bytes);
	sb->slice_bytes = ka_get64(d->slice_bytes);
	sb->first_slice_bytes = ka_get64(d->first_slice_bytes);
	sb->segment_bytes = ka_get32(d->segment_bytes);
	sb->slices = ka_get32(d->slices);
	sb->segments = ka_get64(d->segments);
	sb->phys_addr = ka_get64(d->phys_addr);
	for (i = 0; i < KA_SUPER_COPIES; i++) {
		sb->copy_addr[i] = ka_get64(d->copy_addr[i]);
		sb->ckpt[i] = decode_ptr(&d->ckpt[i]);
	}
	sb->seq = ka_get64(d->super_seq);
	sb->state = (enum ka_super_state)ka_get32(d->state);
	sb->owned_bytes = ka_get64(d->owned_bytes);
	sb->flags = ka_get64(d->flags);
	sb->mkfs_ns = (int64_t)ka_get64(d->mkfs_ns);
	sb->mount_ns = (int64_t)ka_get64(d->mount_ns);
	sb->clean_ns = (int64_t)ka_get64(d->clean_ns);
	sb->unclean_ns = (int64_t)ka_get64(d->unclean_ns);
	sb->mounts = ka_get64(d->mounts);
	sb->recovered = ka_get64(d->recovered);
	sb->torn = ka_get64(d->torn);
	sb->lost = ka_get64(d->lost);
}

/* A checkpoint pointer leads into the segments behind the first. */
static bool ptr_ok(const struct ka_ckpt_ptr *p, const struct ka_super *sb)
{
	if (!p->addr)
		return !p->seq && !p->chunks && !p->bytes;
	return p->addr % KA_RECORD_ALIGN == 0 && p->addr >= sb->segment_bytes && p->chunks &&
	       ka_range_ok(p->addr, sizeof(struct ka_rec_ckpt_disk), sb->owned_bytes);
}

/*
 * The geometry has to be the one that ka_super_geometry makes of the capacity
 * and the slice sizes: there is no other, so nothing else needs believing.
 */
static bool fields_ok(const struct ka_super *sb, const struct ka_super_disk *d)
{
	struct ka_super want = {0};

	if (!sb->slice_bytes ||
	    ka_super_geometry(&want, sb->capacity_bytes, sb->slice_bytes, sb->first_slice_bytes) ||
	    ka_super_boundary(&want, sb->owned_bytes) != sb->owned_bytes)
		return false;
	return ka_get32(d->super_bytes) == KA_SUPER_BYTES && sb->log_id &&
	       !sb->label[KA_LABEL_MAX] && sb->segment_bytes == want.segment_bytes &&
	       sb->segments == want.segments && sb->slices == want.slices &&
	       sb->copy_addr[0] == want.copy_addr[0] && sb->copy_addr[1] == want.copy_addr[1] &&
	       sb->state >= KA_STATE_CLEAN && sb->state <= KA_STATE_SEALED &&
	       sb->owned_bytes >= sb->segment_bytes && sb->owned_bytes <= sb->capacity_bytes &&
	       !(sb->flags & ~KA_SUPER_DAMAGED) && sb->ckpt[0].addr && ptr_ok(&sb->ckpt[0], sb) &&
	       ptr_ok(&sb->ckpt[1], sb) && ka_get32(d->copy) < KA_SUPER_COPIES &&
	       all_zero(d->rsv, sizeof(d->rsv));
}

int ka_super_decode(const struct ka_super_disk *d, struct ka_super *ret_sb)
{
	if (memcmp(d->magic, KA_SUPER_MAGIC, sizeof(d->magic)))
		return -KA_ERR_NOT_KEEPALIVE;
	decode_fields(d, ret_sb);
	/* The checksum stays where it is in all versions. */
	if (ka_csum(d, offsetof(struct ka_super_disk, csum)) != ka_get64(d->csum))
		return -KA_ERR_SUPER_CSUM;
	if (ret_sb->disk_version > KA_DISK_VERSION)
		return -KA_ERR_SUPER_VERSION;
	if (ret_sb->feature_incompat & ~KA_INCOMPAT_KNOWN)
		return -KA_ERR_SUPER_FEATURE;
	if (ret_sb->disk_version != KA_DISK_VERSION || !fields_ok(ret_sb, d))
		return -KA_ERR_SUPER_FIELD;
	if (ret_sb->feature_ro_compat & ~KA_RO_COMPAT_KNOWN)
		return -KA_ERR_SUPER_RO_FEATURE;
	return 0;
}

static int decode_at(const struct ka_region *rg, uint64_t addr, struct ka_super *ret_sb)
{
	struct ka_super_disk disk;
	int err = ka_region_read(rg, addr, &disk, sizeof(disk));

	return err ?: ka_super_decode(&disk, ret_sb);
}

static bool usable(int err)
{
	return !err || err == -KA_ERR_SUPER_RO_FEATURE;
}

static bool has_magic(int err)
{
	return err != -KA_ERR_NOT_KEEPALIVE && err != -KA_ERR_REGION_SHORT && err != -KA_ERR_MEMORY;
}

/*
 * Copy 1 ends the first segment, whose size only a superblock knows. Where no
 * copy can be used, one that has our magic at least tells that something of us
 * is there.
 */
static int find_second(const struct ka_region *rg, const struct ka_super *first, int first_err,
		       uint64_t *ret_addr, struct ka_super *ret_sb)
{
	uint64_t bytes, addr, found_addr = 0;
	int err, found_err = first_err;

	if (usable(first_err)) {
		*ret_addr = first->copy_addr[1];
		return decode_at(rg, *ret_addr, ret_sb);
	}
	for (bytes = KA_SEGMENT_MIN; bytes <= KA_SEGMENT_MAX; bytes *= 2) {
		addr = bytes - KA_SUPER_BYTES;
		err = decode_at(rg, addr, ret_sb);
		if (usable(err) && ret_sb->segment_bytes == bytes) {
			*ret_addr = addr;
			return err;
		}
		if (!usable(err) && has_magic(err) && !has_magic(found_err)) {
			found_err = err;
			found_addr = addr;
		}
	}
	if (found_addr)
		decode_at(rg, found_addr, ret_sb);
	*ret_addr = found_addr;
	return found_err;
}

static void explain(const struct ka_region *rg, const struct ka_msg_sink *sink, int err,
		    const struct ka_super *sb)
{
	const char *path = ka_region_info(rg)->path;

	switch (err) {
	case -KA_ERR_SUPER_VERSION:
		ka_msg(sink, KA_MSG_ERROR,
		       "'%s' has disk version %u, this program knows up to %u; use a newer one",
		       path, sb->disk_version, KA_DISK_VERSION);
		break;
	case -KA_ERR_SUPER_FEATURE:
		ka_msg(sink, KA_MSG_ERROR,
		       "'%s' uses incompatible features 0x%" PRIx64
		       " that this program does not know; use a newer one",
		       path, (uint64_t)(sb->feature_incompat & ~KA_INCOMPAT_KNOWN));
		break;
	case -KA_ERR_REGION_SHORT:
		ka_msg(sink, KA_MSG_ERROR,
		       "'%s' has %" PRIu64 " bytes, its filesystem needs %" PRIu64
		       "; it was truncated, restore its size or its contents",
		       path, ka_region_info(rg)->capacity_bytes, sb->capacity_bytes);
		break;
	case -KA_ERR_NOT_KEEPALIVE:
		ka_msg(sink, KA_MSG_ERROR,
		       "'%s' is not a keepalivefs region; mkfs.keepalivefs makes one", path);
		break;
	default:
		ka_msg(sink, KA_MSG_ERROR, "cannot use '%s': %s", path, ka_strerror(err));
	}
}

/* Explains why, which may need a closer look. Returns the code for it. */
static int refuse(const struct ka_region *rg, const struct ka_msg_sink *sink, int err,
		  const struct ka_super *sb)
{
	if (err == -KA_ERR_NOT_KEEPALIVE)
		err = ka_wiped_check(rg, sink) ?: err;
	if (err != -KA_ERR_WIPED && err != -KA_ERR_SUPER_GONE)
		explain(rg, sink, err, sb);
	return err;
}

int ka_super_read(const struct ka_region *rg, const struct ka_msg_sink *sink,
		  struct ka_super_report *report, struct ka_super *ret_sb)
{
	struct ka_super copy[KA_SUPER_COPIES] = {0};
	struct ka_super_report rep = {0};
	int newest, err;

	rep.copy_err[0] = decode_at(rg, 0, &copy[0]);
	rep.copy_err[1] = find_second(rg, &copy[0], rep.copy_err[0], &rep.copy_addr[1], &copy[1]);
	rep.copy_seq[0] = copy[0].seq;
	rep.copy_seq[1] = copy[1].seq;
	newest = usable(rep.copy_err[1]) && (!usable(rep.copy_err[0]) || copy[1].seq > copy[0].seq);
	if (report)
		*report = rep;
	err = rep.copy_err[newest];
	/* An honest refusal by the first copy is not for the second to overrule. */
	if (rep.copy_err[0] == -KA_ERR_SUPER_FEATURE || rep.copy_err[0] == -KA_ERR_SUPER_VERSION)
		err = rep.copy_err[newest = 0];
	if (!has_magic(err) && !usable(rep.copy_err[1]) && has_magic(rep.copy_err[1]))
		err = rep.copy_err[newest = 1];
	if (usable(err) && copy[newest].capacity_bytes > ka_region_info(rg)->capacity_bytes)
		err = -KA_ERR_REGION_SHORT;
	if (!usable(err))
		return refuse(rg, sink, err, &copy[newest]);
	*ret_sb = copy[newest];
	ret_sb->copy = (uint32_t)newest;
	return err;
}

#define RUNS_MAX 12 /* 4096 ways of putting two copies together */

/* Bytes where the two copies differ, one behind the other. */
struct run {
	size_t from;
	size_t to;
};

static int find_runs(const uint8_t *a, const uint8_t *b, struct run run[RUNS_MAX])
{
	int count = 0;
	size_t i;

	for (i = 0; i < KA_SUPER_BYTES; i++) {
		if (a[i] == b[i])
			continue;
		if (count && run[count - 1].to == i) {
			run[count - 1].to++;
			continue;
		}
		if (count == RUNS_MAX)
			return -KA_ERR_SUPER_CSUM;
		run[count++] = (struct run){i, i + 1};
	}
	return count;
}

static int merge_with(const struct ka_region *rg, uint64_t addr, struct ka_super *ret_sb)
{
	uint8_t a[KA_SUPER_BYTES], b[KA_SUPER_BYTES];
	struct run run[RUNS_MAX];
	struct ka_super_disk disk;
	int runs, i, err;
	unsigned way;

	err = ka_region_read(rg, 0, a, sizeof(a)) ?: ka_region_read(rg, addr, b, sizeof(b));
	if (err)
		return err;
	runs = find_runs(a, b, run);
	if (runs < 0)
		return runs;
	for (way = 0; way < 1u << runs; way++) {
		memcpy(&disk, a, sizeof(disk));
		for (i = 0; i < runs; i++)
			if (way & (1u << i))
				memcpy((uint8_t *)&disk + run[i].from, b + run[i].from,
				       run[i].to - run[i].from);
		err = ka_super_decode(&disk, ret_sb);
		if (!err && ret_sb->copy_addr[1] == addr)
			return 0;
	}
	return -KA_ERR_SUPER_CSUM;
}

int ka_super_merge(const struct ka_region *rg, struct ka_super *ret_sb)
{
	struct ka_super sb;
	uint64_t bytes;

	for (bytes = KA_SEGMENT_MIN; bytes <= KA_SEGMENT_MAX; bytes *= 2) {
		if (merge_with(rg, bytes - KA_SUPER_BYTES, &sb) ||
		    sb.capacity_bytes > ka_region_info(rg)->capacity_bytes)
			continue;
		*ret_sb = sb;
		ret_sb->copy = 0;
		return 0;
	}
	return -KA_ERR_SUPER_CSUM;
}

void ka_super_encode(const struct ka_super *sb, uint32_t copy, struct ka_super_disk *d)
{
	int i;

	memset(d, 0, sizeof(*d));
	memcpy(d->magic, KA_SUPER_MAGIC, sizeof(d->magic));
	d->disk_version = ka_put32(sb->disk_version);
	d->super_bytes = ka_put32(KA_SUPER_BYTES);
	d->feature_compat = ka_put64(sb->feature_compat);
	d->feature_ro_compat = ka_put64(sb->feature_ro_compat);
	d->feature_incompat = ka_put64(sb->feature_incompat);
	memcpy(d->uuid, sb->uuid, sizeof(d->uuid));
	d->log_id = ka_put64(sb->log_id);
	memcpy(d->label, sb->label, sizeof(d->label));
	d->capacity_bytes = ka_put64(sb->capacity_bytes);
	d->slice_bytes = ka_put64(sb->slice_bytes);
	d->first_slice_bytes = ka_put64(sb->first_slice_bytes);
	d->segment_bytes = ka_put32(sb->segment_bytes);
	d->slices = ka_put32(sb->slices);
	d->segments = ka_put64(sb->segments);
	d->phys_addr = ka_put64(sb->phys_addr);
	for (i = 0; i < KA_SUPER_COPIES; i++) {
		d->copy_addr[i] = ka_put64(sb->copy_addr[i]);
		d->ckpt[i] = encode_ptr(&sb->ckpt[i]);
	}
	d->super_seq = ka_put64(sb->seq);
	d->copy = ka_put32(copy);
	d->state = ka_put32(sb->state);
	d->owned_bytes = ka_put64(sb->owned_bytes);
	d->flags = ka_put64(sb->flags);
	d->mkfs_ns = ka_put64((uint64_t)sb->mkfs_ns);
	d->mount_ns = ka_put64((uint64_t)sb->mount_ns);
	d->clean_ns = ka_put64((uint64_t)sb->clean_ns);
	d->unclean_ns = ka_put64((uint64_t)sb->unclean_ns);
	d->mounts = ka_put64(sb->mounts);
	d->recovered = ka_put64(sb->recovered);
	d->torn = ka_put64(sb->torn);
	d->lost = ka_put64(sb->lost);
	d->csum = ka_put64(ka_csum(d, offsetof(struct ka_super_disk, csum)));
}

/*
 * A copy whose update was cut off may lack one word of being whole, and the update to
 * come have just that word: if it is cut off as well, the copy would name a checkpoint that
 * is no more. So the checksum of one that is not right goes first, durably.
 */
static void disarm(struct ka_region *rg, uint64_t addr)
{
	static const struct ka_le64 none;
	struct ka_super_disk disk;
	uint64_t at = addr + offsetof(struct ka_super_disk, csum);

	if (!ka_region_read(rg, addr, &disk, sizeof(disk)) &&
	    (!disk.csum.v ||
	     ka_get64(disk.csum) == ka_csum(&disk, offsetof(struct ka_super_disk, csum))))
		return;
	ka_region_write(rg, at, &none, sizeof(none));
	ka_region_flush(rg, at, sizeof(none));
	(void)ka_region_fence(rg); /* what cannot be stored to shows with the copy itself */
}

int ka_super_write(struct ka_region *rg, struct ka_super *sb, const struct ka_msg_sink *sink)
{
	uint32_t order[KA_SUPER_COPIES] = {!sb->copy, sb->copy}, i, stored = 0;
	struct ka_super_disk disk;

	sb->seq++;
	for (i = 0; i < KA_SUPER_COPIES; i++) {
		uint64_t addr = sb->copy_addr[order[i]];

		disarm(rg, addr);
		ka_super_encode(sb, order[i], &disk);
		ka_region_write(rg, addr, &disk, sizeof(disk));
		ka_region_flush(rg, addr, sizeof(disk));
		if (!ka_region_fence(rg)) /* this copy is whole before the other is touched */
			stored++;
		else
			ka_msg(sink, KA_MSG_ERROR,
			       "superblock copy %" PRIu32 " at 0x%" PRIx64 ": %s", order[i], addr,
			       ka_strerror(-KA_ERR_STORE));
	}
	return stored ? 0 : -KA_ERR_STORE;
}

/* Nothing but the magic makes a superblock of it: the rest may be a file's. */
static void erase_copy(struct ka_region *rg, uint64_t addr)
{
	static const uint8_t zeros[KA_SUPER_BYTES];
	uint8_t magic[sizeof(KA_SUPER_MAGIC) - 1];

	/* What cannot be read is none either. */
	if (!ka_region_read(rg, addr, magic, sizeof(magic)) &&
	    !memcmp(magic, KA_SUPER_MAGIC, sizeof(magic)))
		ka_region_copy(rg, addr, zeros, sizeof(zeros));
}

int ka_super_erase(struct ka_region *rg)
{
	uint64_t bytes, capacity = ka_region_info(rg)->capacity_bytes;

	erase_copy(rg, 0);
	for (bytes = KA_SEGMENT_MIN; bytes <= ka_min(KA_SEGMENT_MAX, capacity); bytes *= 2)
		erase_copy(rg, bytes - KA_SUPER_BYTES);
	return ka_region_fence(rg);
}

static uint32_t count_slices(uint64_t capacity, uint64_t first, uint64_t slice)
{
	uint64_t behind = capacity > first ? capacity - first : 0;

	return (uint32_t)ka_min(1 + behind / slice + (behind % slice ? 1 : 0), UINT32_MAX);
}

static uint64_t choose_slice(uint64_t capacity, uint64_t segment)
{
	uint64_t slice = segment;

	while (count_slices(capacity, slice, slice) > KA_SLICES_MAX)
		slice *= 2;
	return slice;
}

int ka_super_geometry(struct ka_super *sb, uint64_t capacity_bytes, uint64_t slice_bytes,
		      uint64_t first_slice_bytes)
{
	uint64_t segment = SEGMENT_DEFAULT_MAX;

	if (capacity_bytes < KA_CAPACITY_MIN || capacity_bytes > KA_FILE_MAX)
		return -KA_ERR_REGION_SMALL;
	/* At least 64 segments, as long as they do not get too small for records. */
	while (segment > KA_SEGMENT_MIN && segment > capacity_bytes / 64)
		segment /= 2;
	if (!slice_bytes)
		first_slice_bytes = slice_bytes = choose_slice(capacity_bytes, segment);
	if (slice_bytes % segment || first_slice_bytes < slice_bytes ||
	    first_slice_bytes - slice_bytes >= slice_bytes || first_slice_bytes % KA_SUPER_BYTES ||
	    count_slices(capacity_bytes, first_slice_bytes, slice_bytes) > KA_SLICES_MAX)
		return -KA_ERR_SUPER_FIELD;
	sb->capacity_bytes = capacity_bytes;
	sb->slice_bytes = slice_bytes;
	sb->first_slice_bytes = first_slice_bytes;
	sb->slices = count_slices(capacity_bytes, first_slice_bytes, slice_bytes);
	sb->segment_bytes = (uint32_t)segment;
	sb->segments = capacity_bytes / segment;
	sb->copy_addr[0] = 0;
	sb->copy_addr[1] = segment - KA_SUPER_BYTES;
	return 0;
}

uint32_t ka_super_slice_of(const struct ka_super *sb, uint64_t off)
{
	return off < sb->first_slice_bytes
		       ? 0
		       : (uint32_t)(1 + (off - sb->first_slice_bytes) / sb->slice_bytes);
}

uint64_t ka_super_slice_off(const struct ka_super *sb, uint32_t slice)
{
	if (!slice)
		return 0;
	if (slice >= sb->slices)
		return sb->capacity_bytes;
	return sb->first_slice_bytes + (slice - 1) * sb->slice_bytes;
}

uint64_t ka_super_boundary(const struct ka_super *sb, uint64_t bytes)
{
	if (bytes >= sb->capacity_bytes)
		return sb->capacity_bytes;
	return ka_super_slice_off(sb, ka_super_slice_of(sb, ka_max(bytes, 1) - 1) + 1);
}

int ka_super_new_log_id(struct ka_super *sb)
{
	uint8_t seed[32];

	memcpy(seed, sb->uuid, 16);
	if (getrandom(seed + 16, 16, 0) != 16)
		return -EIO;
	sb->log_id = ka_csum(seed, sizeof(seed)) ?: 1;
	return 0;
}

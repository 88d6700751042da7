/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_copy.c - copies segments; see image_copy.h. */
#include "image_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keepalive/util.h"

#define BLOCK 4096u

static bool is_zero(const uint8_t *p, uint64_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

static uint64_t part_len(const struct image_plan *p, uint64_t i)
{
	return ka_min(p->segment_bytes, p->bytes - i * p->segment_bytes);
}

static int begin(struct image_plan *p)
{
	p->buf = malloc(p->segment_bytes);
	p->other = malloc(p->segment_bytes);
	return p->buf && p->other ? 0 : -ENOMEM;
}

static int end(struct image_plan *p, int err)
{
	free(p->buf);
	free(p->other);
	p->buf = p->other = NULL;
	return err;
}

/* Part i of the source to p->buf, with zeros where its memory is broken. */
static void read_part(struct image_plan *p, uint64_t i, bool tell)
{
	uint64_t addr = i * p->segment_bytes, len = part_len(p, i), at;

	if (!ka_region_read(p->from, addr, p->buf, len))
		return;
	for (at = 0; at < len; at += BLOCK) {
		if (!ka_region_read(p->from, addr + at, p->buf + at, BLOCK))
			continue;
		memset(p->buf + at, 0, BLOCK);
		if (tell && p->broken)
			p->broken(p->ctx, addr + at, BLOCK);
	}
}

/* ---- to a file ---------------------------------------------------------- */

static int write_all(int fd, const uint8_t *data, uint64_t len, uint64_t off)
{
	ssize_t n;

	while (len) {
		n = pwrite(fd, data, len, (off_t)off);
		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		len -= (uint64_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

/* The end of the blocks from at on that are all zero, or all not. */
static uint64_t run_end(const uint8_t *data, uint64_t len, uint64_t at, bool zero)
{
	while (at < len && is_zero(data + at, BLOCK) == zero)
		at += BLOCK;
	return at;
}

/* Blocks of zeros stay holes. */
static int write_part(struct image_plan *p, int fd, uint64_t i)
{
	const uint8_t *data = p->buf;
	uint64_t len = part_len(p, i), at, stop;
	int err = 0;

	read_part(p, i, true);
	for (at = run_end(data, len, 0, true); !err && at < len;
	     at = run_end(data, len, stop, true)) {
		stop = run_end(data, len, at, false);
		err = write_all(fd, data + at, stop - at, i * p->segment_bytes + at);
		p->copied += stop - at;
	}
	return err;
}

static int write_parts(struct image_plan *p, int fd)
{
	uint64_t i;
	int err = 0;

	if (ftruncate(fd, (off_t)p->bytes))
		return -errno;
	for (i = 1; !err && i < p->count; i++)
		if (p->used[i])
			err = write_part(p, fd, i);
	/* So that no superblock on a disk leads to what did not arrive there. */
	if (!err && fsync(fd))
		err = -errno;
	err = err ?: write_part(p, fd, 0);
	if (!err && fsync(fd))
		err = -errno;
	return err;
}

/* Not mapped: to look at the holes of a file on a tmpfs fills them then. */
static int compare_file(struct image_plan *p, int fd)
{
	uint64_t i, len, at;
	ssize_t n;

	for (i = 0; i < p->count; i++) {
		if (!p->used[i])
			continue;
		read_part(p, i, false);
		len = part_len(p, i);
		for (at = 0; at < len; at += (uint64_t)n) {
			n = pread(fd, p->other, len - at, (off_t)(i * p->segment_bytes + at));
			if (n < 0)
				return -errno;
			if (!n || memcmp(p->buf + at, p->other, (size_t)n))
				return -EIO;
		}
	}
	return 0;
}

int image_to_file(struct image_plan *p, int fd)
{
	int err = begin(p);

	err = err ?: write_parts(p, fd);
	return end(p, err ?: compare_file(p, fd));
}

/* ---- to a region --------------------------------------------------------- */

static int copy_part(struct image_plan *p, struct ka_region *to, uint64_t i)
{
	uint64_t len = part_len(p, i), addr = i * p->segment_bytes;
	int err = ka_region_prepare(to, addr, len);

	if (err)
		return err;
	read_part(p, i, true);
	ka_region_copy(to, addr, p->buf, len);
	p->copied += len;
	return ka_region_fence(to);
}

/* Zeroes what is not zero in [addr, stop), or cannot be read. */
static int clear_range(struct ka_region *to, uint64_t addr, uint64_t stop)
{
	static const uint8_t zeros[BLOCK];
	uint8_t block[BLOCK];

	for (; addr < stop; addr += BLOCK)
		if (ka_region_read(to, addr, block, BLOCK) || !is_zero(block, BLOCK))
			ka_region_copy(to, addr, zeros, BLOCK);
	return ka_region_fence(to);
}

/* Holes of a file are not looked at: that alone would fill a tmpfs. */
static int clear_part(const struct image_plan *p, struct ka_region *to, uint64_t i, int fd)
{
	uint64_t addr = i * p->segment_bytes, stop = addr + part_len(p, i);
	off_t data, hole;
	int err = 0;

	while (!err && fd >= 0 && addr < stop) {
		data = lseek(fd, (off_t)addr, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			break;
		addr = ka_min(ka_align_down((uint64_t)data, BLOCK), stop);
		err = clear_range(to, addr, ka_min(ka_align_up((uint64_t)hole, BLOCK), stop));
		addr = ka_min(ka_align_up((uint64_t)hole, BLOCK), stop);
	}
	return err ?: clear_range(to, addr, stop);
}

static int copy_parts(struct image_plan *p, struct ka_region *to, int fd)
{
	uint64_t i;
	int err = 0;

	for (i = 1; !err && i < p->count; i++) {
		if (p->used[i])
			err = copy_part(p, to, i);
		else
			err = clear_part(p, to, i, fd);
	}
	return err;
}

static int compare_region(struct image_plan *p, const struct ka_region *rg)
{
	uint64_t i;
	int err;

	for (i = 1; i < p->count; i++) {
		if (!p->used[i])
			continue;
		read_part(p, i, false);
		err = ka_region_read(rg, i * p->segment_bytes, p->other, part_len(p, i));
		if (err)
			return err;
		if (memcmp(p->buf, p->other, part_len(p, i)))
			return -EIO;
	}
	return 0;
}

static int store_super(struct ka_region *to, const struct ka_super *from)
{
	struct ka_super sb = *from, got;
	int err;

	sb.phys_addr = ka_region_info(to)->phys_addr;
	err = ka_region_prepare(to, 0, sb.segment_bytes);
	if (err)
		return err;
	err = ka_super_write(to, &sb, NULL);
	err = err ?: ka_region_sync(to);
	err = err ?: ka_super_read(to, NULL, NULL, &got);
	return err ?: got.log_id == sb.log_id && got.seq == sb.seq ? 0 : -EIO;
}

static int replace(struct image_plan *p, struct ka_region *to, int fd, const struct ka_super *sb)
{
	int err = ka_super_erase(to);

	err = err ?: copy_parts(p, to, fd);
	err = err ?: compare_region(p, to);
	/* So that no superblock on a disk leads to what did not arrive there. */
	err = err ?: ka_region_sync(to);
	return err ?: store_super(to, sb);
}

int image_to_region(struct image_plan *p, struct ka_region *to, int fd, const struct ka_super *sb)
{
	int err = begin(p);

	return end(p, err ?: replace(p, to, fd, sb));
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_map.c - where the bytes of a file lie, and which of them are whole: for
 * those who go on where reading stops, as at the first damaged byte.
 */
#include "ops.h"

#include <errno.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

struct map_args {
	ka_ino_t ino;
	uint64_t off;
	struct ka_run *ret;
};

uint64_t ka_extent_piece_end(const struct ka_fs *fs, const struct ka_extent *e, uint64_t addr)
{
	uint64_t rec_addr = e->addr - e->delta, end = e->addr + e->len, start, piece;
	struct ka_rec_write_disk head;

	if (ka_region_read(fs->rg, rec_addr, &head, sizeof(head)))
		return end;
	start = rec_addr + ka_get32(head.h.head_bytes);
	piece = ka_get32(head.payload.piece_bytes);
	if (start > addr || piece < KA_PIECE_MIN || piece > KA_PIECE_MAX)
		return end;
	return ka_min(end, start + ((addr - start) / piece + 1) * piece);
}

/* Whether the byte at addr can be believed, and up to where that holds at least. */
static int verify_from(struct ka_fs *fs, const struct ka_extent *e, uint64_t addr,
		       uint64_t *ret_end)
{
	int err = ka_extent_verify(fs, e, addr, 1, KA_VERIFY_ALWAYS);

	*ret_end = e->addr + e->len;
	if (err != -KA_ERR_EXTENT_RECORD)
		*ret_end = ka_extent_piece_end(fs, e, addr);
	return err;
}

/* The longest run from off, which lies in e, that has one answer. */
static void find_run(struct ka_fs *fs, const struct ka_extent *e, uint64_t off, struct ka_run *ret)
{
	uint64_t addr = e->addr + (off - e->off), limit = e->addr + e->len, next;

	*ret = (struct ka_run){.off = off, .len = e->off + e->len - off};
	if (!e->addr)
		return;
	ret->addr = addr;
	ret->record = e->addr - e->delta;
	ret->seq = e->seq;
	ret->err = verify_from(fs, e, addr, &next);
	while (next < limit) {
		addr = next;
		if (verify_from(fs, e, addr, &next) != ret->err) {
			next = addr;
			break;
		}
	}
	ret->len = next - ret->addr;
}

static int do_map(struct ka_fs *fs, void *arg)
{
	struct map_args *a = arg;
	const struct ka_extent *e;
	struct ka_inode *inode;
	int err = -ESTALE;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, a->ino);
	if (inode && !S_ISREG(inode->mode)) {
		err = -EINVAL;
	} else if (inode) {
		pthread_rwlock_rdlock(&inode->lock);
		e = ka_extents_find(&inode->extents, a->off);
		err = e ? 0 : -ENXIO;
		if (e)
			find_run(fs, e, ka_max(a->off, e->off), a->ret);
		pthread_rwlock_unlock(&inode->lock);
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_map(struct ka_fs *fs, ka_ino_t ino, uint64_t off, struct ka_run *ret)
{
	return ka_op_run(fs, false, do_map, &(struct map_args){.ino = ino, .off = off, .ret = ret});
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_read.c - reading, and verifying what is read.
 *
 * A read hands out pointers into the region. Between begin and end op_lock and
 * the inode's lock are held for reading, so nothing that the pointers lead to
 * can die, and what is not dead is not reused.
 */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "damage.h"
#include "keepalive/csum.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

/* What holes are made of; never stored to. */
static uint8_t zeros[KA_PAYLOAD_MAX];

/* The payload description of the record that e lies in, believed for good reason. */
static int find_payload(struct ka_fs *fs, const struct ka_extent *e,
			const struct ka_payload_disk **ret_pl, uint64_t *ret_start)
{
	uint64_t rec_addr = e->addr - e->delta, index = ka_segs_index(&fs->segs, e->addr), start;
	uint64_t left = (index + 1) * fs->segs.bytes - rec_addr;
	const struct ka_rec_disk *rec = ka_region_at(fs->rg, rec_addr, left);
	struct ka_rec_ident ident = {
		.log_id = fs->super.log_id,
		.gen = (uint32_t)fs->segs.seg[index].gen,
	};
	const struct ka_payload_disk *pl;

	if (!rec || ka_record_validate(rec, rec_addr, left, &ident) ||
	    ka_get64(rec->seq) != e->seq || ka_get16(rec->type) != KA_REC_WRITE)
		return -KA_ERR_EXTENT_RECORD;
	pl = ka_record_payload(rec);
	start = rec_addr + ka_get32(rec->head_bytes);
	if (!pl || e->addr < start || !ka_range_ok(e->addr - start, e->len, ka_get32(pl->bytes)))
		return -KA_ERR_EXTENT_RECORD;
	*ret_pl = pl;
	*ret_start = start;
	return 0;
}

static int verify_piece(struct ka_fs *fs, const struct ka_payload_disk *pl, uint64_t start,
			uint32_t i)
{
	uint64_t at = start + (uint64_t)i * ka_get32(pl->piece_bytes);
	uint32_t len = ka_payload_piece_len(pl, i);

	if (ka_csum(ka_region_at(fs->rg, at, len), len) != ka_get64(ka_payload_csums(pl)[i])) {
		ka_segs_clear_verified(&fs->segs, at); /* it was right once */
		return -KA_ERR_PAYLOAD_CSUM;
	}
	ka_segs_set_verified(&fs->segs, at);
	return 0;
}

struct verify_args {
	struct ka_fs *fs;
	const struct ka_extent *e;
	uint64_t addr;
	uint64_t len;
	enum ka_verify how;
};

/* The head of the record is validated each time: it says where the pieces lie. */
static int verify(void *arg)
{
	const struct verify_args *a = arg;
	const struct ka_payload_disk *pl;
	uint64_t start, piece;
	uint32_t i, last;
	int err;

	err = find_payload(a->fs, a->e, &pl, &start);
	if (err)
		return err;
	piece = ka_get32(pl->piece_bytes);
	last = (uint32_t)((a->addr + a->len - 1 - start) / piece);
	for (i = (uint32_t)((a->addr - start) / piece); i <= last; i++) {
		if (a->how == KA_VERIFY_FIRST &&
		    ka_segs_is_verified(&a->fs->segs, start + i * piece))
			continue;
		err = verify_piece(a->fs, pl, start, i);
		if (err)
			return err;
	}
	return 0;
}

int ka_extent_verify(struct ka_fs *fs, const struct ka_extent *e, uint64_t addr, uint64_t len,
		     enum ka_verify how)
{
	struct verify_args a = {.fs = fs, .e = e, .addr = addr, .len = len, .how = how};
	int err;

	if (how == KA_VERIFY_NEVER)
		return 0;
	err = ka_region_guard(fs->rg, verify, &a);
	if (err == -KA_ERR_MEMORY)
		ka_log_broken(&fs->log, ka_segs_index(&fs->segs, e->addr));
	return err;
}

struct read_args {
	struct ka_read *rd;
	size_t size;
	enum ka_verify how;
	struct ka_damage damage; /* why it failed */
	bool is_news;
};

/* Adds what lies at addr, or zeros where that is 0. */
static int add_iov(const struct ka_fs *fs, struct ka_read *rd, uint64_t addr, size_t len, size_t at)
{
	const void *p = addr ? ka_region_at(fs->rg, addr, len) : zeros;

	if (rd->staging && addr)
		return ka_region_read(fs->rg, addr, (char *)rd->staging + at, len);
	if (rd->staging) {
		memset((char *)rd->staging + at, 0, len);
		return 0;
	}
	if (rd->count == KA_READ_IOVS)
		return -E2BIG;
	rd->own[rd->count++] = (struct iovec){.iov_base = (void *)p, .iov_len = len};
	return 0;
}

static void note_damage(struct ka_fs *fs, struct read_args *a, uint64_t off, uint64_t len, int err)
{
	a->damage =
		(struct ka_damage){.ino = a->rd->inode->ino, .off = off, .len = len, .err = err};
	a->is_news |= ka_damage_note(fs, &a->damage);
}

/* Maps [off, off + size), at most to the end of the file, extent by extent. */
static int gather(struct ka_fs *fs, struct read_args *a)
{
	const struct ka_inode *inode = a->rd->inode;
	const struct ka_extent *e = ka_extents_find(&inode->extents, a->rd->off);
	uint64_t start = a->rd->off, off = start, end = off + a->rd->size, stop, addr;
	int err = 0;

	while (!err && off < end) {
		if (e && e->off <= off) {
			stop = ka_min(e->off + e->len, end);
			addr = e->addr ? e->addr + (off - e->off) : 0;
		} else {
			stop = e ? ka_min(e->off, end) : end;
			addr = 0;
		}
		if (addr)
			err = ka_extent_verify(fs, e, addr, stop - off, a->how);
		else
			stop = ka_min(stop, off + sizeof(zeros));
		err = err ?: add_iov(fs, a->rd, addr, stop - off, off - start);
		if (err && err != -E2BIG)
			note_damage(fs, a, off, stop - off, err);
		off = stop;
		if (e && off >= e->off + e->len)
			e = ka_extents_next(e);
	}
	return err;
}

static int read_locked(struct ka_fs *fs, struct read_args *a)
{
	struct ka_read *rd = a->rd;
	uint64_t file_size = rd->inode->size;
	int err;

	rd->size = rd->off < file_size ? ka_min(a->size, file_size - rd->off) : 0;
	err = gather(fs, a);
	if (err == -E2BIG) { /* too scattered: copy it together */
		rd->staging = malloc(rd->size);
		if (!rd->staging)
			return -ENOMEM;
		err = gather(fs, a);
		rd->own[0] = (struct iovec){.iov_base = rd->staging, .iov_len = rd->size};
		rd->count = 1;
	}
	return err;
}

int ka_read_begin(struct ka_fs *fs, struct ka_file *file, uint64_t off, size_t size,
		  struct ka_read *rd)
{
	struct read_args a = {.rd = rd, .size = size, .how = fs->opts.verify};
	int err = atomic_load(&fs->failed);

	if (err)
		return err;
	if (!file->noatime)
		ka_inode_accessed(fs, file->inode);
	rd->inode = file->inode;
	rd->off = off;
	rd->count = 0;
	rd->iov = rd->own;
	rd->staging = NULL;
	pthread_rwlock_rdlock(&fs->op_lock);
	atomic_fetch_add(&rd->inode->opens, 1); /* the file may be closed before the end */
	pthread_rwlock_rdlock(&rd->inode->lock);
	err = read_locked(fs, &a);
	if (!err)
		return 0;
	ka_read_end(fs, rd);
	if (a.is_news)
		ka_damage_tell(fs, &a.damage);
	return err;
}

void ka_read_failed(struct ka_fs *fs, struct ka_read *rd)
{
	struct ka_read again = {.inode = rd->inode, .off = rd->off};
	struct read_args a = {.rd = &again, .size = rd->size, .how = KA_VERIFY_ALWAYS};

	read_locked(fs, &a);
	free(again.staging);
	ka_read_end(fs, rd);
	if (a.is_news)
		ka_damage_tell(fs, &a.damage);
}

void ka_read_end(struct ka_fs *fs, struct ka_read *rd)
{
	pthread_rwlock_unlock(&rd->inode->lock);
	ka_inode_close(fs, rd->inode);
	pthread_rwlock_unlock(&fs->op_lock);
	free(rd->staging);
	rd->staging = NULL;
}

static int check_locked(struct ka_fs *fs, const struct ka_inode *inode)
{
	const struct ka_extent *e;
	int err = 0;

	for (e = ka_extents_find(&inode->extents, 0); !err && e; e = ka_extents_next(e))
		if (e->addr)
			err = ka_extent_verify(fs, e, e->addr, e->len, KA_VERIFY_ALWAYS);
	return err;
}

static int do_check(struct ka_fs *fs, void *arg)
{
	struct ka_inode *inode;
	int err = -ESTALE;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, *(ka_ino_t *)arg);
	if (inode) {
		pthread_rwlock_rdlock(&inode->lock);
		err = check_locked(fs, inode);
		pthread_rwlock_unlock(&inode->lock);
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_check_file(struct ka_fs *fs, ka_ino_t ino)
{
	return ka_op_run(fs, false, do_check, &ino);
}

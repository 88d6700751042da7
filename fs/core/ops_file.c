/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_file.c - open, write, allocate, seek, share.
 *
 * An open file keeps its inode, so nothing here needs the ns lock: a write
 * holds op_lock for reading and the inode's lock, no more.
 */
#include "ops.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "apply.h"
#include "checkpoint.h"
#include "keepalive/clean.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"
#include "keepalive/util.h"

/* Where this much is left of a segment, a write is split rather than moved on. */
#define SPLIT_MIN 4096u

/* Extents that one write can add: one a record, and what it cuts in two. */
#define WRITE_GROWTH (16 * KA_CKPT_EXTENT)

struct open_args {
	ka_ino_t ino;
	struct ka_file *file;
};

static int do_open(struct ka_fs *fs, void *arg)
{
	struct open_args *a = arg;
	struct ka_inode *inode;
	int err = 0;

	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, a->ino);
	if (!inode || inode->gone) {
		err = -ESTALE;
	} else if (!S_ISREG(inode->mode)) {
		err = S_ISDIR(inode->mode) ? -EISDIR : -EINVAL;
	} else {
		atomic_fetch_add(&inode->opens, 1);
		a->file->inode = inode;
	}
	pthread_rwlock_unlock(&fs->index.ns);
	return err;
}

int ka_open(struct ka_fs *fs, ka_ino_t ino, struct ka_file **ret)
{
	struct ka_file *file = calloc(1, sizeof(*file));
	int err;

	if (!file)
		return -ENOMEM;
	err = ka_op_run(fs, false, do_open, &(struct open_args){.ino = ino, .file = file});
	if (err)
		free(file);
	else
		*ret = file;
	return err;
}

void ka_close(struct ka_fs *fs, struct ka_file *file)
{
	pthread_rwlock_rdlock(&fs->op_lock);
	ka_inode_close(fs, file->inode);
	pthread_rwlock_unlock(&fs->op_lock);
	free(file);
}

struct write_args {
	struct ka_inode *inode;
	const uint8_t *buf;
	size_t len;
	uint64_t off;
	bool append;
	bool kill;
	size_t done;
};

static unsigned kill_flags(const struct ka_inode *inode, bool kill)
{
	unsigned flags = 0;

	if (kill && (inode->mode & S_ISUID))
		flags |= KA_WRITE_KILL_SUID;
	if (kill && (inode->mode & S_ISGID) && (inode->mode & S_IXGRP))
		flags |= KA_WRITE_KILL_SGID;
	return flags;
}

size_t ka_write_head_bytes(const struct ka_log *log, size_t payload)
{
	size_t pieces = (payload + log->piece_bytes - 1) / log->piece_bytes;

	return sizeof(struct ka_rec_write_disk) + 8 * pieces;
}

size_t ka_write_fit(const struct ka_log *log, size_t want, uint64_t room)
{
	size_t head = ka_write_head_bytes(log, want);

	if (ka_align_up(head + want, KA_RECORD_ALIGN) <= room)
		return want;
	return ka_align_down(room, KA_RECORD_ALIGN) - head;
}

void ka_write_head_init(union ka_write_head *head, const struct ka_log *log, ka_ino_t ino,
			uint64_t off, size_t payload, unsigned flags)
{
	head->rec.ino = ka_put64(ino);
	head->rec.off = ka_put64(off);
	head->rec.payload.bytes = ka_put32((uint32_t)payload);
	head->rec.payload.piece_bytes = ka_put32(log->piece_bytes);
	ka_record_init(&head->rec.h, KA_REC_WRITE, flags, ka_write_head_bytes(log, payload),
		       payload, ka_now_ns());
}

/* Appends one record with the next part of the data, and applies it. */
static int write_record(struct ka_fs *fs, struct write_args *a, enum ka_space_class cls)
{
	union ka_write_head head;
	size_t want = ka_min(a->len - a->done, KA_PAYLOAD_MAX), least = ka_min(want, SPLIT_MIN);
	struct ka_log *log = &fs->log;
	struct ka_slot slot;
	uint64_t addr;
	int err;

	err = ka_log_begin(log,
			   ka_align_up(ka_write_head_bytes(log, want) + least, KA_RECORD_ALIGN),
			   cls, &slot);
	if (err)
		return err;
	want = ka_write_fit(log, want, slot.room);
	addr = slot.addr;
	ka_write_head_init(&head, log, a->inode->ino, a->off + a->done, want,
			   kill_flags(a->inode, a->kill));
	err = ka_log_put(log, &slot, &head.rec.h, a->buf + a->done);
	err = err ?: ka_op_applied(fs, ka_apply_write(fs, a->inode, &head.rec, addr));
	if (!err)
		a->done += want;
	return err;
}

/* Whether room was kept for the whole range. */
static bool is_preallocated(const struct ka_inode *inode, uint64_t off, uint64_t len)
{
	const struct ka_extent *e;
	uint64_t end = off + len;

	for (e = ka_extents_find(&inode->extents, off); e && e->off <= off && !e->addr;
	     e = ka_extents_next(e)) {
		off = e->off + e->len;
		if (off >= end)
			return true;
	}
	return false;
}

static int do_write(struct ka_fs *fs, void *arg)
{
	struct write_args *a = arg;
	enum ka_space_class cls;
	int err = 0;

	pthread_rwlock_wrlock(&a->inode->lock);
	if (a->append && !a->done)
		a->off = a->inode->size;
	if (!ka_range_ok(a->off, a->len, KA_FILE_MAX))
		err = -EFBIG;
	cls = !err && is_preallocated(a->inode, a->off, a->len) ? KA_SPACE_PREALLOC
								: KA_SPACE_NORMAL;
	if (!err)
		err = ka_ckpt_room(fs, WRITE_GROWTH, cls);
	while (!err && a->done < a->len)
		err = write_record(fs, a, cls);
	pthread_rwlock_unlock(&a->inode->lock);
	return err;
}

static int run_write(struct ka_fs *fs, struct write_args *a, size_t *ret_written)
{
	int err;

	*ret_written = 0;
	if (!a->len)
		return 0;
	err = ka_op_run(fs, true, do_write, a);
	*ret_written = a->done;
	return a->done ? 0 : err;
}

int ka_write(struct ka_fs *fs, struct ka_file *file, const void *buf, size_t len, uint64_t off,
	     bool kill, size_t *ret_written)
{
	return run_write(
		fs,
		&(struct write_args){
			.inode = file->inode, .buf = buf, .len = len, .off = off, .kill = kill},
		ret_written);
}

int ka_append(struct ka_fs *fs, struct ka_file *file, const void *buf, size_t len, bool kill,
	      size_t *ret_written)
{
	return run_write(
		fs,
		&(struct write_args){
			.inode = file->inode, .buf = buf, .len = len, .append = true, .kill = kill},
		ret_written);
}

struct space_args {
	struct ka_inode *inode;
	enum ka_space_what what;
	bool keep_size;
	uint64_t off;
	uint64_t len;
	uint64_t growth; /* bytes that could be had back */
};

/* Extents that filling, cutting or sharing a range can make, as checkpoint bytes. */
static uint64_t range_growth(const struct ka_inode *inode, uint64_t off, uint64_t len)
{
	return KA_CKPT_EXTENT * (ka_extents_count(&inode->extents, off, len) + 2);
}

/* Bytes that it has to promise. */
static uint64_t space_needed(const struct space_args *a)
{
	switch (a->what) {
	case KA_SPACE_ALLOC:
		return ka_extents_holes(&a->inode->extents, a->off, a->len);
	case KA_SPACE_ZERO:
		return a->len;
	default:
		return 0;
	}
}

static int do_fallocate(struct ka_fs *fs, void *arg)
{
	const struct space_args *a = arg;
	struct ka_rec_space_disk rec = {0};
	struct ka_inode *inode = a->inode;
	enum ka_space_class cls = KA_SPACE_DELETE;
	struct ka_slot slot;
	uint64_t free_bytes;
	int err;

	pthread_rwlock_wrlock(&inode->lock);
	if (a->what != KA_SPACE_PUNCH)
		cls = KA_SPACE_NORMAL;
	/* First, as it counts what was promised before. */
	err = ka_ckpt_room(fs, range_growth(inode, a->off, a->len), cls);
	if (!err && space_needed(a) > ka_segs_avail(&fs->segs, &free_bytes))
		err = -ENOSPC;
	if (!err) {
		rec.ino = ka_put64(inode->ino);
		rec.off = ka_put64(a->off);
		rec.len = ka_put64(a->len);
		rec.what = ka_put32(a->what);
		ka_record_init(&rec.h, KA_REC_SPACE, a->keep_size ? KA_SPACE_KEEP_SIZE : 0,
			       sizeof(rec), 0, ka_now_ns());
		err = ka_log_begin(&fs->log, sizeof(rec), cls, &slot);
	}
	if (!err) {
		err = ka_log_put(&fs->log, &slot, &rec.h, NULL);
		err = err ?: ka_op_applied(fs, ka_apply_space(fs, inode, &rec));
	}
	pthread_rwlock_unlock(&inode->lock);
	return err;
}

/* Whether cleaning could make room for it; to find that out by cleaning takes long. */
static int check_promise(struct ka_fs *fs, void *arg)
{
	const struct space_args *a = arg;
	uint64_t need, free_bytes;

	pthread_rwlock_rdlock(&a->inode->lock);
	need = space_needed(a);
	pthread_rwlock_unlock(&a->inode->lock);
	/* Not ka_growth_bytes: op_lock is held. */
	return need > ka_segs_avail(&fs->segs, &free_bytes) + ka_clean_gain(fs) + a->growth
		       ? -ENOSPC
		       : 0;
}

int ka_fallocate(struct ka_fs *fs, struct ka_file *file, int mode, uint64_t off, uint64_t len)
{
	struct space_args a = {
		.inode = file->inode,
		.keep_size = mode & FALLOC_FL_KEEP_SIZE,
		.off = off,
		.len = len,
	};
	int err;

	if (!len)
		return -EINVAL;
	if (!ka_range_ok(off, len, KA_FILE_MAX))
		return -EFBIG;
	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
		a.what = KA_SPACE_ALLOC;
		break;
	case FALLOC_FL_PUNCH_HOLE:
		if (!a.keep_size)
			return -EOPNOTSUPP;
		a.what = KA_SPACE_PUNCH;
		break;
	case FALLOC_FL_ZERO_RANGE:
		a.what = KA_SPACE_ZERO;
		break;
	default:
		return -EOPNOTSUPP;
	}
	a.growth = ka_growth_bytes(fs);
	err = ka_op_once(fs, true, check_promise, &a);
	return err ?: ka_op_run(fs, true, do_fallocate, &a);
}

struct seek_args {
	struct ka_inode *inode;
	uint64_t off;
	int whence;
	uint64_t *ret_off;
};

/* Unwritten extents are holes here, as with ext4 and XFS. */
static int seek_locked(const struct ka_inode *inode, const struct seek_args *a)
{
	const struct ka_extent *e = ka_extents_find(&inode->extents, a->off);
	uint64_t off = a->off;

	if (off >= inode->size)
		return -ENXIO;
	if (a->whence == SEEK_DATA) {
		while (e && !e->addr)
			e = ka_extents_next(e);
		if (!e || e->off >= inode->size)
			return -ENXIO;
		*a->ret_off = ka_max(off, e->off);
		return 0;
	}
	while (e && e->addr && e->off <= off) {
		off = e->off + e->len;
		e = ka_extents_next(e);
	}
	*a->ret_off = ka_min(off, inode->size);
	return 0;
}

static int do_seek(struct ka_fs *fs, void *arg)
{
	const struct seek_args *a = arg;
	int err;

	(void)fs;
	pthread_rwlock_rdlock(&a->inode->lock);
	err = seek_locked(a->inode, a);
	pthread_rwlock_unlock(&a->inode->lock);
	return err;
}

int ka_seek(struct ka_fs *fs, struct ka_file *file, uint64_t off, int whence, uint64_t *ret_off)
{
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	return ka_op_run(
		fs, false, do_seek,
		&(struct seek_args){
			.inode = file->inode, .off = off, .whence = whence, .ret_off = ret_off});
}

struct copy_args {
	struct ka_inode *from;
	struct ka_inode *to;
	uint64_t from_off;
	uint64_t to_off;
	uint64_t len;
	uint64_t *ret_copied;
};

static int copy_locked(struct ka_fs *fs, const struct copy_args *a)
{
	uint64_t len =
		a->from_off < a->from->size ? ka_min(a->len, a->from->size - a->from_off) : 0;
	struct ka_rec_clone_disk rec = {0};
	struct ka_slot slot;
	int err;

	*a->ret_copied = len;
	if (!len)
		return 0;
	if (!ka_range_ok(a->to_off, len, KA_FILE_MAX))
		return -EFBIG;
	if (a->from == a->to && a->from_off < a->to_off + len && a->to_off < a->from_off + len)
		return -EINVAL;
	rec.from_ino = ka_put64(a->from->ino);
	rec.from_off = ka_put64(a->from_off);
	rec.ino = ka_put64(a->to->ino);
	rec.off = ka_put64(a->to_off);
	rec.len = ka_put64(len);
	ka_record_init(&rec.h, KA_REC_CLONE, 0, sizeof(rec), 0, ka_now_ns());
	/* Twice, as another one may be under way. */
	err = ka_ckpt_room(fs, 2 * range_growth(a->from, a->from_off, len), KA_SPACE_NORMAL);
	if (!err)
		err = ka_log_begin(&fs->log, sizeof(rec), KA_SPACE_NORMAL, &slot);
	if (err)
		return err;
	err = ka_log_put(&fs->log, &slot, &rec.h, NULL);
	return err ?: ka_op_applied(fs, ka_apply_clone(fs, a->from, a->to, &rec));
}

static int do_copy(struct ka_fs *fs, void *arg)
{
	const struct copy_args *a = arg;
	struct ka_lockset locks = {0};
	int err;

	ka_lockset_add(&locks, a->from);
	ka_lockset_add(&locks, a->to);
	ka_lockset_lock(&locks);
	err = copy_locked(fs, a);
	ka_lockset_unlock(&locks);
	return err;
}

int ka_copy_range(struct ka_fs *fs, struct ka_file *from, uint64_t from_off, struct ka_file *to,
		  uint64_t to_off, uint64_t len, uint64_t *ret_copied)
{
	return ka_op_run(fs, true, do_copy,
			 &(struct copy_args){.from = from->inode,
					     .to = to->inode,
					     .from_off = from_off,
					     .to_off = to_off,
					     .len = len,
					     .ret_copied = ret_copied});
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scrub.c - verifies what lies in the region; see keepalive/scrub.h. */
#include "keepalive/scrub.h"

#include <errno.h>
#include <stdlib.h>

#include "checkpoint.h"
#include "damage.h"
#include "inos.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "ops.h"

/* ---- superblock, checkpoints ----------------------------------------------- */

static int check_super(struct ka_fs *fs, int copy, struct ka_damage *ret)
{
	static const char *const names[] = {"superblock copy 0", "superblock copy 1"};
	uint64_t addr = fs->super.copy_addr[copy];
	struct ka_super_disk disk;
	struct ka_super sb;
	int err;

	err = ka_region_read(fs->rg, addr, &disk, sizeof(disk));
	err = err ?: ka_super_decode(&disk, &sb);
	if (err == -KA_ERR_SUPER_RO_FEATURE)
		err = 0;
	if (!err && sb.seq != fs->super.seq)
		err = -KA_ERR_SUPER_FIELD;
	*ret = (struct ka_damage){
		.what = names[copy], .off = addr, .len = sizeof(disk), .err = err};
	return err;
}

static int check_checkpoint(struct ka_fs *fs, int which, struct ka_damage *ret)
{
	static const char *const names[] = {"newest checkpoint", "older checkpoint"};
	const struct ka_ckpt_ptr *ptr = &fs->super.ckpt[which];
	struct ka_ckpt_walk walk;
	uint64_t i, segment;
	const uint8_t *data;
	size_t bytes;
	int err = 0;

	ka_ckpt_walk_start(&walk, fs->rg, &fs->super, ptr);
	for (i = 0; !err && ptr->addr && i < ptr->chunks; i++)
		err = ka_ckpt_walk_next(&walk, &data, &bytes, &segment);
	*ret = (struct ka_damage){.what = names[which],
				  .off = walk.addr,
				  .len = sizeof(struct ka_rec_disk),
				  .err = err};
	return err;
}

/* Two checkpoints: so that neither of the two that are kept is a damaged one. */
static void heal(struct ka_fs *fs)
{
	if (!fs->rdonly && !ka_fs_checkpoint(fs))
		ka_fs_checkpoint(fs);
}

/* The first of them that is damaged, from number *at on; -ENOENT: none. */
static int check_structures(struct ka_fs *fs, uint64_t *at, struct ka_damage *ret)
{
	int err = 0;

	pthread_rwlock_rdlock(&fs->op_lock);
	while (!err && *at < 4) {
		err = *at < 2 ? check_super(fs, (int)*at, ret)
			      : check_checkpoint(fs, (int)*at - 2, ret);
		++*at;
	}
	pthread_rwlock_unlock(&fs->op_lock);
	return err ? 0 : -ENOENT;
}

/* ---- files ------------------------------------------------------------------- */

/*
 * Verifies one file from s->off on, piece by piece so that damage is named
 * exactly, and stops behind a damaged range or when the budget is used up.
 */
static void check_extents(struct ka_fs *fs, struct ka_scrub *s, const struct ka_inode *inode,
			  uint64_t budget)
{
	const struct ka_extent *e = ka_extents_find(&inode->extents, s->off);
	uint64_t addr, len;
	int err;

	for (; e; e = ka_extents_next(e)) {
		if (e->off > s->off && s->is_damaged)
			return;
		s->off = ka_max(s->off, e->off);
		while (e->addr && s->off < e->off + e->len) {
			if (s->bytes >= budget)
				return;
			addr = e->addr + (s->off - e->off);
			len = ka_extent_piece_end(fs, e, addr) - addr;
			err = ka_extent_verify(fs, e, addr, len, KA_VERIFY_ALWAYS);
			if (!err && s->is_damaged)
				return;
			if (err && !s->is_damaged)
				s->damage = (struct ka_damage){
					.ino = inode->ino, .off = s->off, .err = err};
			s->is_damaged |= err != 0;
			s->damage.len += err ? len : 0;
			s->bytes += len;
			s->off += len;
		}
	}
	s->ino++;
	s->off = 0;
}

/* One file, or what the budget leaves of it. */
static void check_file(struct ka_fs *fs, struct ka_scrub *s, uint64_t budget)
{
	struct ka_file *file;

	s->files += !s->off;
	if (ka_open(fs, s->ino, &file)) { /* gone meanwhile */
		s->ino++;
		s->off = 0;
		return;
	}
	pthread_rwlock_rdlock(&fs->op_lock);
	pthread_rwlock_rdlock(&file->inode->lock);
	check_extents(fs, s, file->inode, budget);
	pthread_rwlock_unlock(&file->inode->lock);
	pthread_rwlock_unlock(&fs->op_lock);
	ka_close(fs, file);
}

static int check_files(struct ka_fs *fs, struct ka_scrub *s, uint64_t budget)
{
	ka_ino_t *ino;
	size_t i, count;
	int err;

	err = ka_inos_from(fs, s->ino, &ino, &count);
	if (err)
		return err;
	for (i = 0; i < count && s->bytes < budget && !s->is_damaged; i++) {
		if (s->ino != ino[i]) {
			s->ino = ino[i];
			s->off = 0;
		}
		check_file(fs, s, budget);
	}
	s->finished = !count;
	free(ino);
	return 0;
}

int ka_scrub_step(struct ka_fs *fs, struct ka_scrub *s, uint64_t budget)
{
	int err = atomic_load(&fs->failed);

	s->bytes = s->files = 0;
	s->finished = s->is_damaged = false;
	if (err)
		return err;
	if (!s->ino) { /* off counts the structures */
		if (!check_structures(fs, &s->off, &s->damage)) {
			s->is_damaged = true;
		} else {
			s->ino = KA_ROOT_INO;
			s->off = 0;
		}
	} else {
		err = check_files(fs, s, budget);
	}
	if (s->is_damaged && ka_damage_note(fs, &s->damage))
		ka_damage_tell(fs, &s->damage);
	if (s->is_damaged && s->damage.what)
		heal(fs);
	return err;
}

uint64_t ka_scrub_total(struct ka_fs *fs)
{
	uint64_t i, bytes = 0;

	for (i = 1; i < fs->segs.count; i++)
		bytes += atomic_load(&fs->segs.seg[i].live);
	return bytes;
}

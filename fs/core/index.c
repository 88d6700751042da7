/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* index.c - inodes and names in memory; see index.h. */
#include "keepalive/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/csum.h"
#include "keepalive/format.h"
#include "keepalive/util.h"
#include "keepalive/xattr.h"

void ka_index_init(struct ka_index *ix, struct ka_segs *segs)
{
	pthread_rwlockattr_t attr;

	*ix = (struct ka_index){.next_ino = KA_ROOT_INO + 1, .extents.segs = segs};
	/* Readers come without end; a writer must not wait for a pause of theirs. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&ix->ns, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static struct ka_inode *to_inode(struct ka_hnode *node)
{
	return ka_container_of(node, struct ka_inode, node);
}

struct ka_inode *ka_index_find(const struct ka_index *ix, ka_ino_t ino)
{
	struct ka_hnode *node = ka_htab_first(&ix->inodes, ka_hash_u64(ino));

	for (; node; node = ka_htab_next(node))
		if (to_inode(node)->ino == ino)
			return to_inode(node);
	return NULL;
}

struct ka_inode *ka_index_new(struct ka_index *ix, ka_ino_t ino, uint32_t mode)
{
	struct ka_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->node.hash = ka_hash_u64(ino);
	inode->ino = ino;
	inode->mode = mode;
	if (S_ISDIR(mode)) {
		inode->dir = calloc(1, sizeof(*inode->dir));
		if (!inode->dir)
			goto undo_alloc;
		inode->dir->next_cookie = KA_COOKIE_FIRST;
	}
	if (ka_htab_insert(&ix->inodes, &inode->node))
		goto undo_alloc;
	pthread_rwlock_init(&inode->lock, NULL);
	if (ino >= ix->next_ino)
		ix->next_ino = ino + 1;
	return inode;
undo_alloc:
	if (S_ISDIR(mode))
		free(inode->dir);
	free(inode);
	return NULL;
}

static uint64_t xattr_bytes(const struct ka_inode *inode)
{
	const struct ka_xattr *x;
	uint64_t bytes = 0;

	for (x = inode->xattrs; x; x = x->next)
		bytes += x->name_bytes + x->value_bytes;
	return bytes;
}

void ka_index_empty(struct ka_index *ix, struct ka_inode *inode)
{
	const struct ka_xattr *x;

	ka_extents_clear(&inode->extents, &ix->extents);
	atomic_fetch_sub(&ix->extra_bytes, xattr_bytes(inode));
	for (x = inode->xattrs; x; x = x->next)
		atomic_fetch_sub(&ix->xattrs, 1);
	ka_xattr_free_all(&inode->xattrs);
}

static void free_inode(struct ka_index *ix, struct ka_inode *inode)
{
	ka_index_empty(ix, inode);
	if (S_ISDIR(inode->mode)) {
		free(inode->dir->slot);
		free(inode->dir);
	} else if (S_ISLNK(inode->mode) && inode->target) {
		atomic_fetch_sub(&ix->extra_bytes, strlen(inode->target));
		free(inode->target);
	}
	pthread_rwlock_destroy(&inode->lock);
	free(inode);
}

void ka_index_forget(struct ka_index *ix, struct ka_inode *inode)
{
	ka_htab_remove(&ix->inodes, &inode->node);
	free_inode(ix, inode);
}

static void release_name(struct ka_hnode *node, void *ctx)
{
	(void)ctx;
	free(ka_container_of(node, struct ka_dirent, node));
}

static void release_inode(struct ka_hnode *node, void *ctx)
{
	free_inode(ctx, to_inode(node));
}

void ka_index_release(struct ka_index *ix)
{
	ka_htab_visit(&ix->names, release_name, NULL);
	ka_htab_visit(&ix->inodes, release_inode, ix);
	ka_htab_release(&ix->names);
	ka_htab_release(&ix->inodes);
	pthread_rwlock_destroy(&ix->ns);
}

int ka_index_add_name(struct ka_index *ix, struct ka_inode *dir, const char *name,
		      size_t name_bytes, uint64_t cookie, struct ka_inode *inode)
{
	int err = ka_dir_add(&ix->names, dir, name, name_bytes, cookie, inode);

	if (!err)
		atomic_fetch_add(&ix->name_bytes, name_bytes);
	return err;
}

void ka_index_remove_name(struct ka_index *ix, struct ka_dirent *de)
{
	atomic_fetch_sub(&ix->name_bytes, de->name_bytes);
	ka_dir_remove(&ix->names, de);
}

int ka_index_set_xattr(struct ka_index *ix, struct ka_inode *inode, const char *name,
		       size_t name_bytes, const void *value, size_t value_bytes)
{
	uint64_t before = xattr_bytes(inode);
	bool more = !ka_xattr_find(inode->xattrs, name, name_bytes);
	int err = ka_xattr_set(&inode->xattrs, name, name_bytes, value, value_bytes);

	if (!err && more)
		atomic_fetch_add(&ix->xattrs, 1);
	atomic_fetch_add(&ix->extra_bytes, xattr_bytes(inode) - before);
	return err;
}

int ka_index_remove_xattr(struct ka_index *ix, struct ka_inode *inode, const char *name,
			  size_t name_bytes)
{
	uint64_t before = xattr_bytes(inode);
	int err = ka_xattr_remove(&inode->xattrs, name, name_bytes);

	if (!err)
		atomic_fetch_sub(&ix->xattrs, 1);
	atomic_fetch_sub(&ix->extra_bytes, before - xattr_bytes(inode));
	return err;
}

int ka_index_set_target(struct ka_index *ix, struct ka_inode *inode, const void *target,
			size_t bytes)
{
	inode->target = malloc(bytes + 1);
	if (!inode->target)
		return -ENOMEM;
	memcpy(inode->target, target, bytes);
	inode->target[bytes] = 0;
	atomic_fetch_add(&ix->extra_bytes, bytes);
	return 0;
}

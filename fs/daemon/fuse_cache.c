/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_cache.c - the table of inodes that have open files; see fuse_cache.h. */
#include "fuse_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "keepalive/csum.h"

static struct open_inode **find(struct cache *c, ka_ino_t ino)
{
	struct open_inode **p = &c->bucket[ka_hash_u64(ino) & (CACHE_BUCKETS - 1)];

	while (*p && (*p)->ino != ino)
		p = &(*p)->next;
	return p;
}

int cache_init(struct cache *c)
{
	pthread_mutex_init(&c->lock, NULL);
	c->bucket = calloc(CACHE_BUCKETS, sizeof(struct open_inode *));
	return c->bucket ? 0 : -ENOMEM;
}

/* Files may still be open: a daemon that ends does not wait for them. */
void cache_release(struct cache *c)
{
	struct open_inode *oi, *next;
	size_t i;

	for (i = 0; c->bucket && i < CACHE_BUCKETS; i++) {
		for (oi = c->bucket[i]; oi; oi = next) {
			next = oi->next;
			free(oi);
		}
	}
	free(c->bucket);
	c->bucket = NULL;
}

int cache_open(struct cache *c, ka_ino_t ino, int flags, struct handle *h)
{
	struct open_inode **p, *oi;

	pthread_mutex_lock(&c->lock);
	p = find(c, ino);
	if (!*p) {
		*p = calloc(1, sizeof(**p));
		if (*p)
			(*p)->ino = ino;
	}
	oi = *p;
	if (oi) {
		h->inode = oi;
		h->direct = (flags & O_ACCMODE) == O_WRONLY && !atomic_load(&oi->cached);
		oi->opens++;
		if (!h->direct)
			atomic_fetch_add(&oi->cached, 1);
	}
	pthread_mutex_unlock(&c->lock);
	return oi ? 0 : -ENOMEM;
}

void cache_close(struct cache *c, struct handle *h)
{
	struct open_inode *oi = h->inode, **p;

	pthread_mutex_lock(&c->lock);
	if (!h->direct)
		atomic_fetch_sub(&oi->cached, 1);
	if (!--oi->opens) {
		p = find(c, oi->ino);
		*p = oi->next;
		free(oi);
	}
	pthread_mutex_unlock(&c->lock);
}

void cache_set_privileged(struct cache *c, ka_ino_t ino)
{
	struct open_inode *oi;

	pthread_mutex_lock(&c->lock);
	oi = *find(c, ino);
	if (oi)
		atomic_store(&oi->privileged, true);
	pthread_mutex_unlock(&c->lock);
}

/* The caller holds the lock. list NULL: only counts. */
static size_t collect(const struct cache *c, ka_ino_t *list)
{
	const struct open_inode *oi;
	size_t i, count = 0;

	for (i = 0; i < CACHE_BUCKETS; i++) {
		for (oi = c->bucket[i]; oi; oi = oi->next) {
			if (!atomic_load(&oi->cached))
				continue;
			if (list)
				list[count] = oi->ino;
			count++;
		}
	}
	return count;
}

int cache_list(struct cache *c, ka_ino_t **ret_list, size_t *ret_count)
{
	ka_ino_t *list;

	pthread_mutex_lock(&c->lock);
	list = malloc((collect(c, NULL) + 1) * sizeof(*list));
	if (list)
		*ret_count = collect(c, list);
	pthread_mutex_unlock(&c->lock);
	*ret_list = list;
	return list ? 0 : -ENOMEM;
}

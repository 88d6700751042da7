/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* damage.c - what reading met, for log and status; see damage.h. */
#include "damage.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

/* More than anybody reads; what comes then is counted, and told of once. */
#define DAMAGE_MAX 1024

/* Of a path, in a message: the range and the reason have to fit in behind it. */
#define TOLD_PATH_MAX 700

/* Extends one that is there, if they touch. Tells whether there was one. */
static bool extend(struct ka_damage *d, const struct ka_damage *with, bool *ret_news)
{
	uint64_t end = d->off + d->len, with_end = with->off + with->len;

	if (d->what != with->what || d->ino != with->ino || d->err != with->err ||
	    with->off > end || d->off > with_end)
		return false;
	*ret_news = with->off < d->off || with_end > end;
	d->off = ka_min(d->off, with->off);
	d->len = ka_max(end, with_end) - d->off;
	return true;
}

bool ka_damage_note(struct ka_fs *fs, const struct ka_damage *d)
{
	struct ka_damages *all = &fs->damages;
	bool news = true, first_unlisted = false;
	size_t i;

	pthread_mutex_lock(&all->lock);
	for (i = 0; i < all->count && !extend(&all->list[i], d, &news); i++)
		;
	if (i == all->count && i < DAMAGE_MAX) {
		if (!all->list)
			all->list = calloc(DAMAGE_MAX, sizeof(*all->list));
		if (all->list)
			all->list[all->count++] = *d;
	} else if (i == all->count) {
		news = false;
		first_unlisted = !all->unlisted++;
	}
	pthread_mutex_unlock(&all->lock);
	if (first_unlisted)
		ka_msg(fs->sink, KA_MSG_ERROR,
		       "more than %d ranges are damaged: the others are not listed", DAMAGE_MAX);
	return news;
}

/* Leaves the end of a path that has more than max bytes, behind "...". */
static void shorten(char *path, size_t max)
{
	size_t len = strlen(path), at;

	if (len <= max)
		return;
	at = len - (max - 3);
	at += ka_utf8_rest(path + at);
	memmove(path + 3, path + at, len - at + 1);
	memcpy(path, "...", 3);
}

void ka_damage_tell(struct ka_fs *fs, const struct ka_damage *d)
{
	KA_AUTO_FREE char *path = NULL;

	if (d->what) {
		ka_msg(fs->sink, KA_MSG_ERROR, "%s at 0x%" PRIx64 " is damaged: %s", d->what,
		       d->off, ka_strerror(d->err));
		return;
	}
	if (ka_path_of(fs, d->ino, &path))
		path = NULL;
	if (path)
		shorten(path, TOLD_PATH_MAX);
	ka_msg(fs->sink, KA_MSG_ERROR,
	       "'%s' (inode %" PRIu64 "): bytes %" PRIu64 "-%" PRIu64 " cannot be read: %s",
	       path ?: "?", d->ino, d->off, d->off + d->len - 1, ka_strerror(d->err));
}

int ka_fs_get_damage(struct ka_fs *fs, size_t i, struct ka_damage *ret)
{
	struct ka_damages *all = &fs->damages;
	int err = -ENOENT;

	pthread_mutex_lock(&all->lock);
	if (i < all->count) {
		*ret = all->list[i];
		err = 0;
	}
	pthread_mutex_unlock(&all->lock);
	return err;
}

uint64_t ka_damage_unlisted(struct ka_fs *fs)
{
	struct ka_damages *all = &fs->damages;
	uint64_t count;

	pthread_mutex_lock(&all->lock);
	count = all->unlisted;
	pthread_mutex_unlock(&all->lock);
	return count;
}

/* ---- paths ----------------------------------------------------------------- */

struct name_search {
	const struct ka_inode *inode;
	const struct ka_dirent *found;
};

static void look_at_name(struct ka_hnode *node, void *ctx)
{
	const struct ka_dirent *de = ka_container_of(node, struct ka_dirent, node);
	struct name_search *s = ctx;

	if (de->inode == s->inode)
		s->found = de;
}

/* One name of the inode: of a directory its only one, else one of chance. */
static const struct ka_dirent *name_of(struct ka_index *ix, const struct ka_inode *inode)
{
	struct name_search s = {.inode = inode};

	if (S_ISDIR(inode->mode))
		return inode->dir->entry;
	ka_htab_visit(&ix->names, look_at_name, &s);
	return s.found;
}

/*
 * Of a path that no program could use only the end is told: trees can be as deep
 * as they like, and on hostile media directories can be below themselves.
 */
static int find_path(struct ka_index *ix, const struct ka_inode *inode, char **ret_path)
{
	char *path = strdup(inode->ino == KA_ROOT_INO ? "/" : ""), *longer;
	const struct ka_dirent *de;

	while (path && inode->ino != KA_ROOT_INO && strlen(path) < PATH_MAX) {
		de = name_of(ix, inode);
		if (!de) {
			free(path);
			return -ENOENT;
		}
		if (asprintf(&longer, "/%s%s", de->name, path) < 0)
			longer = NULL;
		free(path);
		path = longer;
		inode = de->dir;
	}
	if (path)
		shorten(path, PATH_MAX - 1);
	*ret_path = path;
	return path ? 0 : -ENOMEM;
}

int ka_path_of(struct ka_fs *fs, ka_ino_t ino, char **ret_path)
{
	const struct ka_inode *inode;
	int err;

	pthread_rwlock_rdlock(&fs->op_lock);
	pthread_rwlock_rdlock(&fs->index.ns);
	inode = ka_index_find(&fs->index, ino);
	err = inode ? find_path(&fs->index, inode, ret_path) : -ENOENT;
	pthread_rwlock_unlock(&fs->index.ns);
	pthread_rwlock_unlock(&fs->op_lock);
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * salvage_names.c - names for what lost its own, so that who only reads a filesystem
 * made of remains gets at all of it; see salvage.h. fsck asks first, and does it itself.
 *
 * A salvage makes no loops of directories: what hangs below something without a name
 * is reached through it.
 */
#include "salvage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/dir.h"
#include "keepalive/util.h"

struct nameless {
	struct ka_inode **list; /* NULL: they are only counted */
	size_t count;
};

static void collect_nameless(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct nameless *n = ctx;

	if (S_ISDIR(inode->mode) ? inode->dir->parent != NULL : inode->names > 0)
		return;
	if (n->list)
		n->list[n->count] = inode;
	n->count++;
}

/* A name in dir that nothing has yet, made of text. */
static size_t free_name(const struct ka_index *ix, const struct ka_inode *dir, const char *text,
			char *buf, size_t size)
{
	unsigned i = 0;

	snprintf(buf, size, "%s", text);
	while (ka_dir_find(&ix->names, dir, buf, strlen(buf)))
		snprintf(buf, size, "%s.%u", text, ++i);
	return strlen(buf);
}

static int give_name(struct ka_index *ix, struct ka_inode *dir, const char *text,
		     struct ka_inode *inode)
{
	char name[48];
	size_t len = free_name(ix, dir, text, name, sizeof(name));
	int err = ka_index_add_name(ix, dir, name, len, dir->dir->next_cookie, inode);

	if (!err && S_ISDIR(inode->mode)) {
		inode->dir->parent = dir;
		dir->nlink++;
	}
	return err;
}

/* The directory, made if need be: under another name where something else has it. */
static int find_lost_found(struct ka_index *ix, struct ka_inode **ret_dir)
{
	struct ka_inode *root = ka_index_find(ix, KA_ROOT_INO), *dir;
	struct ka_dirent *de = ka_dir_find(&ix->names, root, KA_LOST_FOUND, strlen(KA_LOST_FOUND));

	dir = de && S_ISDIR(de->inode->mode) ? de->inode : NULL;
	*ret_dir = dir;
	if (dir)
		return 0;
	dir = ka_index_new(ix, ix->next_ino, S_IFDIR | 0700);
	if (!dir)
		return -ENOMEM;
	dir->nlink = 2;
	dir->atime = dir->mtime = dir->ctime = dir->btime = ka_time_from_ns(ka_now_ns());
	*ret_dir = dir;
	return give_name(ix, root, KA_LOST_FOUND, dir);
}

int ka_salvage_connect(struct ka_fs *fs)
{
	struct ka_index *ix = &fs->index;
	KA_AUTO_FREE struct ka_inode **list = NULL;
	struct nameless n = {0};
	struct ka_inode *dir;
	char number[24];
	size_t i;
	int err;

	ka_htab_visit(&ix->inodes, collect_nameless, &n);
	if (!n.count)
		return 0;
	list = calloc(n.count, sizeof(*list));
	if (!list)
		return -ENOMEM;
	n = (struct nameless){.list = list};
	ka_htab_visit(&ix->inodes, collect_nameless, &n);
	err = find_lost_found(ix, &dir);
	for (i = 0; !err && i < n.count; i++) {
		snprintf(number, sizeof(number), "#%" PRIu64, list[i]->ino);
		err = give_name(ix, dir, number, list[i]);
	}
	return err;
}

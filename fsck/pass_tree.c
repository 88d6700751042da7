/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pass_tree.c - names, link counts, what cannot be reached. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"
#include "keepalive/dir.h"
#include "keepalive/util.h"

#define LOST_FOUND "lost+found"

struct tree_pass {
	struct fsck *f;
	struct ka_inode **stack; /* directories still to be walked */
	size_t depth;
	size_t capacity;
	struct ka_inode *found; /* by a search through all inodes */
	int err;
};

static int push(struct tree_pass *p, struct ka_inode *dir)
{
	size_t capacity = p->capacity ? p->capacity * 2 : 64;
	struct ka_inode **bigger;

	if (p->depth == p->capacity) {
		bigger = realloc(p->stack, capacity * sizeof(struct ka_inode *));
		if (!bigger)
			return -ENOMEM;
		p->stack = bigger;
		p->capacity = capacity;
	}
	p->stack[p->depth++] = dir;
	return 0;
}

/* Marks what can be reached from inode, and counts the names on the way. */
static int walk(struct tree_pass *p, struct ka_inode *inode)
{
	struct ka_inode *dir;
	struct ka_dirent *de;
	size_t i;
	int err;

	inode->reached = true;
	err = S_ISDIR(inode->mode) ? push(p, inode) : 0;
	while (!err && p->depth) {
		dir = p->stack[--p->depth];
		for (i = 0; !err && i < dir->dir->slots; i++) {
			de = dir->dir->slot[i].entry;
			if (!de)
				continue;
			de->inode->names++;
			if (S_ISDIR(de->inode->mode))
				dir->names++; /* its ".." */
			if (!de->inode->reached && S_ISDIR(de->inode->mode))
				err = push(p, de->inode);
			de->inode->reached = true;
		}
	}
	return err;
}

static void note_name(struct ka_hnode *node, void *ctx)
{
	(void)ctx;
	ka_container_of(node, struct ka_dirent, node)->inode->named = true;
}

static void forget_names(struct ka_hnode *node, void *ctx)
{
	(void)ctx;
	ka_container_of(node, struct ka_inode, node)->names = 0;
}

/*
 * An inode that was not reached: at best one without any name, else a directory
 * of a loop. What else has a name is reached with the directory it is in.
 */
static void find_lost(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct tree_pass *p = ctx;

	if (inode->reached || (inode->named && (p->found || !S_ISDIR(inode->mode))))
		return;
	if (!p->found || p->found->named)
		p->found = inode;
}

static struct ka_inode *lost_found(struct fsck *f)
{
	struct ka_index *ix = &f->fs->index;
	struct ka_inode *root = ka_index_find(ix, KA_ROOT_INO), *dir;
	struct ka_dirent *de = ka_dir_find(&ix->names, root, LOST_FOUND, strlen(LOST_FOUND));

	if (de)
		return S_ISDIR(de->inode->mode) ? de->inode : NULL;
	dir = ka_index_new(ix, ix->next_ino, S_IFDIR | 0700);
	if (!dir || ka_index_add_name(ix, root, LOST_FOUND, strlen(LOST_FOUND),
				      root->dir->next_cookie, dir))
		return NULL;
	dir->nlink = 2;
	dir->dir->parent = root;
	dir->atime = dir->mtime = dir->ctime = dir->btime = ka_time_from_ns(ka_now_ns());
	dir->reached = true;
	dir->names = 1;
	root->nlink++;
	root->names++;
	return dir;
}

/* Takes the name away that a directory in a loop still has. */
static void cut_loose(struct fsck *f, struct ka_inode *inode)
{
	struct ka_dir *parent = inode->dir->parent->dir;
	size_t i;

	for (i = 0; i < parent->slots; i++) {
		if (parent->slot[i].entry && parent->slot[i].entry->inode == inode) {
			ka_index_remove_name(&f->fs->index, parent->slot[i].entry);
			break;
		}
	}
	inode->dir->parent = NULL;
}

static int connect(struct fsck *f, struct ka_inode *inode)
{
	struct ka_inode *dir = lost_found(f);
	char name[32];
	int len;

	if (!dir)
		return -ENOMEM;
	len = snprintf(name, sizeof(name), "#%" PRIu64, inode->ino);
	if (S_ISDIR(inode->mode)) {
		if (inode->named)
			cut_loose(f, inode);
		inode->dir->parent = dir;
		dir->names++;
	}
	return ka_index_add_name(&f->fs->index, dir, name, (size_t)len, dir->dir->next_cookie,
				 inode);
}

static int connect_lost(struct tree_pass *p)
{
	struct fsck *f = p->f;
	struct ka_inode *inode;
	bool fix;
	int err = 0;

	while (!err) {
		p->found = NULL;
		ka_htab_visit(&f->fs->index.inodes, find_lost, p);
		inode = p->found;
		if (!inode)
			return 0;
		if (inode->named)
			fix = fsck_found(f, FSCK_P_DIR_LOOP, "inode %" PRIu64, inode->ino);
		else
			fix = fsck_found(f, FSCK_P_NO_NAME, "inode %" PRIu64 ", %" PRIu64 " bytes",
					 inode->ino, inode->size);
		if (fix)
			err = connect(f, inode);
		if (fix || !inode->named)
			inode->names++; /* the name it has now, or would have */
		if (!err)
			err = walk(p, inode); /* what hangs below it is found with it */
	}
	return err;
}

static void check_links(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	uint32_t want = inode->names + (S_ISDIR(inode->mode) ? 1 : 0);
	struct tree_pass *p = ctx;
	KA_AUTO_FREE char *path = NULL;

	if (inode->ino == KA_ROOT_INO)
		want++; /* the root has no name, yet counts like one */
	if (inode->nlink == want || !inode->names)
		return;
	path = fsck_path_of(p->f, inode);
	if (fsck_found(p->f, FSCK_P_NLINK, "%s: %" PRIu32 " instead of %" PRIu32, path ?: "?",
		       inode->nlink, want))
		inode->nlink = want;
}

int fsck_pass_tree(struct fsck *f)
{
	struct tree_pass p = {.f = f};
	int err;

	ka_htab_visit(&f->fs->index.inodes, forget_names, NULL);
	ka_htab_visit(&f->fs->index.names, note_name, NULL);
	err = walk(&p, ka_index_find(&f->fs->index, KA_ROOT_INO));
	if (!err)
		err = connect_lost(&p);
	if (!err)
		ka_htab_visit(&f->fs->index.inodes, check_links, &p);
	free(p.stack);
	return err;
}

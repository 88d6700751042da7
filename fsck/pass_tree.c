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

struct tree_pass {
	struct fsck *f;
	struct ka_inode **stack; /* directories still to be walked */
	size_t depth;
	size_t capacity;
	struct ka_inode *lost_found; /* once it is needed */
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

static struct ka_inode *make_lost_found(struct tree_pass *p, struct ka_inode *root)
{
	struct ka_index *ix = &p->f->fs->index;
	struct ka_inode *dir = ka_index_new(ix, ix->next_ino, S_IFDIR | 0700);

	if (!dir || ka_index_add_name(ix, root, KA_LOST_FOUND, strlen(KA_LOST_FOUND),
				      root->dir->next_cookie, dir))
		return NULL;
	dir->nlink = 2;
	dir->dir->parent = root;
	dir->atime = dir->mtime = dir->ctime = dir->btime = ka_time_from_ns(ka_now_ns());
	dir->reached = dir->named = true;
	dir->names = 1;
	root->nlink++;
	root->names++;
	return dir;
}

/* A name in dir that nothing has yet, made of text. */
static size_t free_name(const struct fsck *f, const struct ka_inode *dir, const char *text,
			char *buf, size_t size)
{
	unsigned i = 0;

	snprintf(buf, size, "%s", text);
	while (ka_dir_find(&f->fs->index.names, dir, buf, strlen(buf)))
		snprintf(buf, size, "%s.%u", text, ++i);
	return strlen(buf);
}

/* What has the name of the directory, and is none, gets another. */
static int move_aside(struct tree_pass *p, struct ka_inode *root, struct ka_dirent *de)
{
	struct ka_inode *inode = de->inode;
	char name[40];
	size_t len = free_name(p->f, root, KA_LOST_FOUND ".1", name, sizeof(name));

	if (!fsck_found(p->f, FSCK_P_LOST_FOUND, "it becomes /%s", name))
		return 0;
	fsck_forget_paths(p->f);
	ka_index_remove_name(&p->f->fs->index, de);
	return ka_index_add_name(&p->f->fs->index, root, name, len, root->dir->next_cookie, inode);
}

/* The directory, made if need be; NULL with p->err 0: it shall not be made. */
static struct ka_inode *lost_found(struct tree_pass *p)
{
	struct ka_index *ix = &p->f->fs->index;
	struct ka_inode *root = ka_index_find(ix, KA_ROOT_INO);
	struct ka_dirent *de;

	if (p->lost_found)
		return p->lost_found;
	de = ka_dir_find(&ix->names, root, KA_LOST_FOUND, strlen(KA_LOST_FOUND));
	if (de && S_ISDIR(de->inode->mode)) {
		p->lost_found = de->inode;
		return p->lost_found;
	}
	if (de) {
		p->err = move_aside(p, root, de);
		if (p->err || ka_dir_find(&ix->names, root, KA_LOST_FOUND, strlen(KA_LOST_FOUND)))
			return NULL;
	}
	p->lost_found = make_lost_found(p, root);
	if (!p->lost_found)
		p->err = -ENOMEM;
	return p->lost_found;
}

/* Takes the name away that a directory in a loop still has. */
static void cut_loose(struct fsck *f, struct ka_inode *inode)
{
	fsck_forget_paths(f);
	if (inode->dir->entry)
		ka_index_remove_name(&f->fs->index, inode->dir->entry);
	inode->dir->parent->nlink--;
	inode->dir->parent = NULL;
}

static void connect(struct tree_pass *p, struct ka_inode *inode)
{
	struct ka_inode *dir = lost_found(p);
	char number[24], name[40];
	size_t len;

	if (!dir)
		return;
	snprintf(number, sizeof(number), "#%" PRIu64, inode->ino);
	len = free_name(p->f, dir, number, name, sizeof(name));
	if (S_ISDIR(inode->mode)) {
		if (inode->named)
			cut_loose(p->f, inode);
		inode->dir->parent = dir;
		dir->names++;
		dir->nlink++;
	}
	p->err = ka_index_add_name(&p->f->fs->index, dir, name, len, dir->dir->next_cookie, inode);
}

struct lost_list {
	struct ka_inode **inode;
	size_t count;
};

static void collect_lost(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	struct lost_list *l = ctx;

	if (inode->reached || (inode->named && !S_ISDIR(inode->mode)))
		return;
	if (l->inode)
		l->inode[l->count] = inode;
	l->count++;
}

/* In the order of their numbers, so that a report does not depend on hashes. */
static int by_number(const void *a, const void *b)
{
	const struct ka_inode *x = *(struct ka_inode *const *)a;
	const struct ka_inode *y = *(struct ka_inode *const *)b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/* A directory that has a name and is not reached hangs in a loop, or below one. */
static struct ka_inode *in_loop(struct ka_inode *inode)
{
	struct ka_inode *slow = inode, *fast = inode;

	do {
		slow = slow->dir->parent;
		fast = fast->dir->parent->dir->parent;
	} while (slow != fast);
	return slow;
}

static void connect_one(struct tree_pass *p, struct ka_inode *inode)
{
	bool fix;

	if (inode->named) {
		inode = in_loop(inode);
		fix = fsck_found(p->f, FSCK_P_DIR_LOOP, "inode %" PRIu64, inode->ino);
	} else {
		fix = fsck_found(p->f, FSCK_P_NO_NAME, "inode %" PRIu64 ", %" PRIu64 " bytes",
				 inode->ino, inode->size);
	}
	if (fix)
		connect(p, inode);
	if (fix || !inode->named)
		inode->names++; /* the name it has now, or would have */
	if (!p->err)
		p->err = walk(p, inode); /* what hangs below it is found with it */
}

/*
 * Inodes that were not reached from the root: first those without any name, as all
 * that hangs below them is reached with them; then what is left, loops of directories.
 * What else has a name is reached with the directory it is in.
 */
static int connect_lost(struct tree_pass *p)
{
	struct lost_list l = {0};
	size_t i, n;
	int named;

	ka_htab_visit(&p->f->fs->index.inodes, collect_lost, &l);
	n = l.count;
	if (!n)
		return 0;
	l.inode = calloc(n, sizeof(struct ka_inode *));
	if (!l.inode)
		return -ENOMEM;
	l.count = 0;
	ka_htab_visit(&p->f->fs->index.inodes, collect_lost, &l);
	qsort(l.inode, n, sizeof(struct ka_inode *), by_number);
	for (named = 0; named < 2; named++)
		for (i = 0; i < n && !p->err && !fsck_cancelled; i++)
			while (!p->err && !l.inode[i]->reached && l.inode[i]->named == named)
				connect_one(p, l.inode[i]);
	free(l.inode);
	return p->err;
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
	if (fsck_found_at(p->f, FSCK_P_NLINK, &(struct fsck_where){.path = path},
			  "%s: %" PRIu32 " instead of %" PRIu32, path ?: "?", inode->nlink, want))
		inode->nlink = want;
}

/* What a rebuild could not know for sure, by the names that files have in the end. */
static void tell_doubts(struct fsck *f)
{
	const struct ka_salvage_stats *st = &f->fs->salvage;
	const struct ka_salvage_lost *lost;
	const struct ka_inode *inode;
	size_t i;

	for (i = 0; i < st->doubts; i++) {
		const struct ka_salvage_range *r = &st->doubt[i];
		KA_AUTO_FREE char *path = NULL;

		inode = ka_index_find(&f->fs->index, r->ino);
		if (!inode)
			continue;
		path = fsck_path_of(f, inode);
		fsck_found_at(f, FSCK_P_DOUBT, &(struct fsck_where){path, r->off, r->len},
			      "%s: bytes %" PRIu64 "-%" PRIu64, path ?: "?", r->off,
			      r->off + r->len - 1);
	}
	for (lost = st->lost; lost; lost = lost->next) {
		KA_AUTO_FREE char *path = NULL;

		inode = ka_index_find(&f->fs->index, lost->dir);
		path = inode ? fsck_path_of(f, inode) : NULL;
		fsck_found(f, FSCK_P_NO_INODE, "%s/%s, inode %" PRIu64, path && path[1] ? path : "",
			   lost->name, lost->ino);
	}
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
	if (!err)
		tell_doubts(f);
	free(p.stack);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paths.c - the path of an inode, for messages. The index leads from names to
 * inodes; a list of all names in the order of inodes, made when it is first
 * needed, leads back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"
#include "keepalive/dir.h"
#include "keepalive/format.h"
#include "keepalive/util.h"

#define DEPTH_MAX 4096 /* loops end there, and so do messages */

struct fsck_paths {
	size_t count;
	const struct ka_dirent *entry[];
};

static void add_name(struct ka_hnode *node, void *ctx)
{
	struct fsck_paths *p = ctx;

	p->entry[p->count++] = ka_container_of(node, struct ka_dirent, node);
}

/* Of several names the first by directory and age. */
static int by_inode(const void *a, const void *b)
{
	const struct ka_dirent *x = *(const struct ka_dirent *const *)a;
	const struct ka_dirent *y = *(const struct ka_dirent *const *)b;

	if (x->inode->ino != y->inode->ino)
		return (x->inode->ino > y->inode->ino) - (x->inode->ino < y->inode->ino);
	if (x->dir->ino != y->dir->ino)
		return (x->dir->ino > y->dir->ino) - (x->dir->ino < y->dir->ino);
	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static bool list_names(struct fsck *f)
{
	struct ka_htab *names = &f->fs->index.names;

	if (f->paths)
		return true;
	f->paths = malloc(sizeof(*f->paths) + names->count * sizeof(f->paths->entry[0]));
	if (!f->paths)
		return false;
	f->paths->count = 0;
	ka_htab_visit(names, add_name, f->paths);
	qsort(f->paths->entry, f->paths->count, sizeof(f->paths->entry[0]), by_inode);
	return true;
}

void fsck_forget_paths(struct fsck *f)
{
	free(f->paths);
	f->paths = NULL;
}

static const struct ka_dirent *name_of(const struct fsck_paths *p, ka_ino_t ino)
{
	size_t low = 0, high = p->count, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (p->entry[mid]->inode->ino < ino)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->count && p->entry[low]->inode->ino == ino ? p->entry[low] : NULL;
}

/* Prints the names from where the way up ends down to ino; a stack keeps them. */
static void print_path(FILE *out, const struct fsck_paths *p, ka_ino_t ino)
{
	const struct ka_dirent *way[DEPTH_MAX];
	size_t depth = 0;

	while (ino != KA_ROOT_INO && depth < DEPTH_MAX && (way[depth] = name_of(p, ino)))
		ino = way[depth++]->dir->ino;
	if (ino != KA_ROOT_INO)
		fprintf(out, "<inode %" PRIu64 ">", ino);
	else if (!depth)
		putc('/', out);
	while (depth--)
		fprintf(out, "/%s", way[depth]->name);
}

char *fsck_path_of(struct fsck *f, const struct ka_inode *inode)
{
	char *path = NULL;
	size_t bytes;
	FILE *out;

	if (!list_names(f))
		return NULL;
	out = open_memstream(&path, &bytes);
	if (!out)
		return NULL;
	print_path(out, f->paths, inode->ino);
	fclose(out);
	return path;
}

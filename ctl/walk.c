/* SPDX-License-Identifier: GPL-2.0-or-later */
/* walk.c - visits trees; see walk.h. */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keepalive/dir.h"

struct level {
	struct ka_attr attr;
	uint64_t cookie; /* of the entry visited last */
	size_t path_len; /* of the directory */
};

struct walk {
	struct ka_fs *fs;
	const struct walk_visitor *v;
	void *ctx;
	struct level *level;
	size_t depth, capacity;
	char *path;
	size_t path_capacity;
	char name[KA_NAME_MAX + 1]; /* of the entry to visit next */
	struct ka_attr attr;
	uint64_t cookie;
	bool found;
};

/* Takes one entry, and stops at the second. */
static bool take_entry(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct walk *w = ctx;

	if (w->found)
		return false;
	w->found = true;
	w->attr = *attr;
	w->cookie = cookie;
	strncpy(w->name, name, KA_NAME_MAX);
	return true;
}

static int set_path(struct walk *w, size_t at, const char *text)
{
	size_t need = at + strlen(text) + 1;
	char *bigger;

	if (need > w->path_capacity) {
		bigger = realloc(w->path, 2 * need);
		if (!bigger)
			return -ENOMEM;
		w->path = bigger;
		w->path_capacity = 2 * need;
	}
	strcpy(w->path + at, text);
	return 0;
}

static int push(struct walk *w, const struct ka_attr *attr)
{
	size_t capacity = w->capacity ? 2 * w->capacity : 32;
	struct level *bigger;

	if (w->depth == w->capacity) {
		bigger = realloc(w->level, capacity * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		w->level = bigger;
		w->capacity = capacity;
	}
	w->level[w->depth++] = (struct level){
		.attr = *attr,
		.cookie = KA_COOKIE_DOTDOT,
		.path_len = strlen(w->path),
	};
	return 0;
}

static struct walk_entry entry_of(const struct walk *w, const struct ka_attr *attr)
{
	return (struct walk_entry){
		.path = w->path,
		.name = strrchr(w->path, '/') + 1,
		.depth = w->depth,
		.attr = attr,
	};
}

/* What lies at w->path now. */
static int visit(struct walk *w, const struct ka_attr *attr)
{
	struct walk_entry e = entry_of(w, attr);
	int err;

	if (!S_ISDIR(attr->mode))
		return w->v->other(w->ctx, &e);
	err = w->v->enter ? w->v->enter(w->ctx, &e) : 0;
	if (err)
		return err == WALK_SKIP ? 0 : err;
	return push(w, attr);
}

static int leave(struct walk *w)
{
	struct level *l = &w->level[--w->depth];
	struct walk_entry e;

	w->path[l->path_len] = 0;
	e = entry_of(w, &l->attr);
	return w->v->leave ? w->v->leave(w->ctx, &e) : 0;
}

static int step(struct walk *w)
{
	struct level *l = &w->level[w->depth - 1];
	bool is_root = l->path_len == 1;
	struct ka_attr attr;
	int err;

	w->found = false;
	err = ka_readdir(w->fs, l->attr.ino, l->cookie, false, take_entry, w);
	if (err)
		return err;
	if (!w->found)
		return leave(w);
	l->cookie = w->cookie;
	err = set_path(w, l->path_len, is_root ? "" : "/");
	err = err ?: set_path(w, l->path_len + !is_root, w->name);
	attr = w->attr;
	return err ?: visit(w, &attr);
}

int walk_tree(struct ka_fs *fs, ka_ino_t ino, const char *path, const struct walk_visitor *v,
	      void *ctx)
{
	struct walk w = {.fs = fs, .v = v, .ctx = ctx};
	struct ka_attr attr;
	int err;

	err = ka_getattr(fs, ino, &attr);
	err = err ?: set_path(&w, 0, path);
	err = err ?: visit(&w, &attr);
	while (!err && w.depth)
		err = step(&w);
	free(w.level);
	free(w.path);
	return err;
}

/* One part of a path, from ino on. */
static int lookup_part(struct ka_fs *fs, const char *part, size_t len, ka_ino_t *ino)
{
	char name[KA_NAME_MAX + 1];
	struct ka_attr attr;
	int err;

	if (len > KA_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, part, len);
	name[len] = 0;
	err = ka_lookup(fs, *ino, name, &attr);
	if (err)
		return err;
	ka_forget(fs, attr.ino, 1);
	*ino = attr.ino;
	return 0;
}

int walk_lookup(struct ka_fs *fs, const char *path, ka_ino_t *ret_ino, char **ret_path)
{
	char *clean = malloc(strlen(path) + 2);
	ka_ino_t ino = KA_ROOT_INO;
	size_t len, at = 0;
	int err = clean ? 0 : -ENOMEM;

	for (; !err && *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len || (len == 1 && path[0] == '.'))
			continue;
		if (len == 2 && !memcmp(path, "..", 2)) {
			err = -EINVAL;
			break;
		}
		err = lookup_part(fs, path, len, &ino);
		clean[at++] = '/';
		memcpy(clean + at, path, len);
		at += len;
	}
	if (err) {
		free(clean);
		return err;
	}
	clean[at] = 0;
	*ret_ino = ino;
	*ret_path = at ? clean : strcpy(clean, "/");
	return 0;
}

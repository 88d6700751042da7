/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xattr.c - list of extended attributes; see xattr.h. */
#include "keepalive/xattr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ka_xattr **find_link(struct ka_xattr **list, const char *name, size_t name_bytes)
{
	for (; *list; list = &(*list)->next)
		if ((*list)->name_bytes == name_bytes && !memcmp((*list)->data, name, name_bytes))
			break;
	return list;
}

const struct ka_xattr *ka_xattr_find(const struct ka_xattr *list, const char *name,
				     size_t name_bytes)
{
	return *find_link((struct ka_xattr **)&list, name, name_bytes);
}

int ka_xattr_set(struct ka_xattr **list, const char *name, size_t name_bytes, const void *value,
		 size_t value_bytes)
{
	struct ka_xattr **link = find_link(list, name, name_bytes), *old = *link;
	struct ka_xattr *x = malloc(sizeof(*x) + name_bytes + value_bytes);

	if (!x)
		return -ENOMEM;
	x->next = old ? old->next : NULL;
	x->name_bytes = (uint8_t)name_bytes;
	x->value_bytes = (uint32_t)value_bytes;
	memcpy(x->data, name, name_bytes);
	if (value_bytes)
		memcpy(x->data + name_bytes, value, value_bytes);
	*link = x;
	free(old);
	return 0;
}

int ka_xattr_remove(struct ka_xattr **list, const char *name, size_t name_bytes)
{
	struct ka_xattr **link = find_link(list, name, name_bytes), *old = *link;

	if (!old)
		return -ENODATA;
	*link = old->next;
	free(old);
	return 0;
}

void ka_xattr_free_all(struct ka_xattr **list)
{
	struct ka_xattr *x;

	while ((x = *list)) {
		*list = x->next;
		free(x);
	}
}

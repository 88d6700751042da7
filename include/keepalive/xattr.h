/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xattr.h - the extended attributes of one inode, a list. Lock: the inode's. */
#ifndef KEEPALIVE_XATTR_H
#define KEEPALIVE_XATTR_H

#include <stddef.h>
#include <stdint.h>

struct ka_xattr {
	struct ka_xattr *next;
	uint32_t value_bytes;
	uint8_t name_bytes;
	char data[]; /* name, value */
};

static inline const char *ka_xattr_value(const struct ka_xattr *x)
{
	return x->data + x->name_bytes;
}

const struct ka_xattr *ka_xattr_find(const struct ka_xattr *list, const char *name,
				     size_t name_bytes);

/* Adds or replaces. 0 or -ENOMEM, with nothing changed. */
int ka_xattr_set(struct ka_xattr **list, const char *name, size_t name_bytes, const void *value,
		 size_t value_bytes);

/* 0 or -ENODATA. */
int ka_xattr_remove(struct ka_xattr **list, const char *name, size_t name_bytes);

void ka_xattr_free_all(struct ka_xattr **list);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* acl.c - POSIX ACLs as attribute values; see acl.h. */
#include "keepalive/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>

#define PERM_BITS 7u

static size_t entry_off(size_t i)
{
	return sizeof(struct posix_acl_xattr_header) + i * sizeof(struct posix_acl_xattr_entry);
}

/* Copied: the value of an attribute lies behind its name, at any address. */
static struct posix_acl_xattr_entry entry_at(const void *value, size_t i)
{
	struct posix_acl_xattr_entry e;

	memcpy(&e, (const char *)value + entry_off(i), sizeof(e));
	return e;
}

static void set_entry_perm(void *value, size_t i, uint32_t perm)
{
	struct posix_acl_xattr_entry e = entry_at(value, i);

	e.e_perm = htole16((uint16_t)(perm & PERM_BITS));
	memcpy((char *)value + entry_off(i), &e, sizeof(e));
}

/* Media may hold one that is too short for its header. */
static size_t entry_count(size_t bytes)
{
	return bytes < sizeof(struct posix_acl_xattr_header)
		       ? 0
		       : (bytes - sizeof(struct posix_acl_xattr_header)) /
				 sizeof(struct posix_acl_xattr_entry);
}

/* The place of a tag in the order that the kernel asks for; 0: no tag. */
static unsigned rank(unsigned tag)
{
	switch (tag) {
	case ACL_USER_OBJ:
		return 1;
	case ACL_USER:
		return 2;
	case ACL_GROUP_OBJ:
		return 3;
	case ACL_GROUP:
		return 4;
	case ACL_MASK:
		return 5;
	case ACL_OTHER:
		return 6;
	default:
		return 0;
	}
}

int ka_acl_parse(const void *value, size_t bytes, uint32_t *ret_perm, bool *ret_extended)
{
	unsigned seen[7] = {0}, perm[7] = {0}, last = 0, r;
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry e;
	size_t i;

	if (bytes < sizeof(head) || (bytes - sizeof(head)) % sizeof(e))
		return -EINVAL;
	memcpy(&head, value, sizeof(head));
	if (le32toh(head.a_version) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	for (i = 0; i < entry_count(bytes); i++, last = r) {
		e = entry_at(value, i);
		r = rank(le16toh(e.e_tag));
		if (!r || r < last || le16toh(e.e_perm) & ~PERM_BITS)
			return -EINVAL;
		seen[r]++;
		perm[r] = le16toh(e.e_perm);
	}
	if (seen[1] != 1 || seen[3] != 1 || seen[6] != 1 || seen[5] > 1 ||
	    (!seen[5] && (seen[2] || seen[4])))
		return -EINVAL;
	*ret_extended = seen[2] || seen[4] || seen[5];
	*ret_perm = perm[1] << 6 | (seen[5] ? perm[5] : perm[3]) << 3 | perm[6];
	return 0;
}

void ka_acl_set_perm(void *value, size_t bytes, uint32_t mode)
{
	size_t i, none = entry_count(bytes), group = none;

	for (i = 0; i < none; i++) {
		switch (le16toh(entry_at(value, i).e_tag)) {
		case ACL_USER_OBJ:
			set_entry_perm(value, i, mode >> 6);
			break;
		case ACL_OTHER:
			set_entry_perm(value, i, mode);
			break;
		case ACL_GROUP_OBJ:
			group = group < none ? group : i;
			break;
		case ACL_MASK:
			group = i;
			break;
		default:
			break;
		}
	}
	if (group < none)
		set_entry_perm(value, group, mode >> 3);
}

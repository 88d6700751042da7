/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* acl.c - POSIX ACLs as attribute values; see acl.h. */
#include "keepalive/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#define PERM_BITS 7u

static const struct posix_acl_xattr_entry *entries(const void *value)
{
	return (const void *)((const struct posix_acl_xattr_header *)value + 1);
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
	const struct posix_acl_xattr_header *head = value;
	const struct posix_acl_xattr_entry *e;
	unsigned seen[7] = {0}, perm[7] = {0}, last = 0, r;
	size_t i;

	if (bytes < sizeof(*head) || (bytes - sizeof(*head)) % sizeof(*e) ||
	    le32toh(head->a_version) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	e = entries(value);
	for (i = 0; i < entry_count(bytes); i++, last = r) {
		r = rank(le16toh(e[i].e_tag));
		if (!r || r < last || le16toh(e[i].e_perm) & ~PERM_BITS)
			return -EINVAL;
		seen[r]++;
		perm[r] = le16toh(e[i].e_perm);
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
	struct posix_acl_xattr_entry *e = (void *)entries(value);
	struct posix_acl_xattr_entry *group = NULL;
	size_t i;

	for (i = 0; i < entry_count(bytes); i++) {
		switch (le16toh(e[i].e_tag)) {
		case ACL_USER_OBJ:
			e[i].e_perm = htole16((uint16_t)(mode >> 6 & PERM_BITS));
			break;
		case ACL_OTHER:
			e[i].e_perm = htole16((uint16_t)(mode & PERM_BITS));
			break;
		case ACL_GROUP_OBJ:
			group = group ?: &e[i];
			break;
		case ACL_MASK:
			group = &e[i];
			break;
		default:
			break;
		}
	}
	if (group)
		group->e_perm = htole16((uint16_t)(mode >> 3 & PERM_BITS));
}

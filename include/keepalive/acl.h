/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acl.h - POSIX ACLs in the form in which the kernel hands them over, as the
 * value of an extended attribute (linux/posix_acl_xattr.h).
 *
 * The permission bits of an inode and its access ACL say the same thing twice:
 * owner, mask (or group) and other. Here the mode is the truth: an ACL that
 * says no more than the mode is not stored, and of one that does these entries
 * are filled in from the mode when it is read. So chmod needs no ACL change.
 */
#ifndef KEEPALIVE_ACL_H
#define KEEPALIVE_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KA_ACL_ACCESS  "system.posix_acl_access"
#define KA_ACL_DEFAULT "system.posix_acl_default"

/*
 * Validates an ACL. *ret_perm: the permission bits (0777) it stands for;
 * *ret_extended: whether it says more than those. 0 or -EINVAL.
 */
int ka_acl_parse(const void *value, size_t bytes, uint32_t *ret_perm, bool *ret_extended);

/* Sets the entries of a valid ACL that the mode decides. */
void ka_acl_set_perm(void *value, size_t bytes, uint32_t mode);

#endif

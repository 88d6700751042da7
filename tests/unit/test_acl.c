/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_acl.c - POSIX ACLs: what is valid, and what a new file inherits. */
#include "test.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>

#include "fs.h"
#include "keepalive/acl.h"
#include "memfs.h"
#include "ops.h"

#define ENTRIES_MAX 8

struct acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entry[ENTRIES_MAX];
	size_t count;
};

static struct acl new_acl(void)
{
	return (struct acl){.head.a_version = htole32(POSIX_ACL_XATTR_VERSION)};
}

static void add(struct acl *acl, unsigned tag, uint32_t id, unsigned perm)
{
	acl->entry[acl->count++] = (struct posix_acl_xattr_entry){
		.e_tag = htole16((uint16_t)tag),
		.e_perm = htole16((uint16_t)perm),
		.e_id = htole32(id),
	};
}

static size_t bytes_of(const struct acl *acl)
{
	return sizeof(acl->head) + acl->count * sizeof(acl->entry[0]);
}

/* u::rwx u:1000:perm g::r-x m::mask o::r-x, the last three as digits of mode. */
static struct acl extended(unsigned perm, uint32_t mode)
{
	struct acl acl = new_acl();

	add(&acl, ACL_USER_OBJ, ACL_UNDEFINED_ID, mode >> 6 & 7);
	add(&acl, ACL_USER, 1000, perm);
	add(&acl, ACL_GROUP_OBJ, ACL_UNDEFINED_ID, 5);
	add(&acl, ACL_MASK, ACL_UNDEFINED_ID, mode >> 3 & 7);
	add(&acl, ACL_OTHER, ACL_UNDEFINED_ID, mode & 7);
	return acl;
}

static void test_parse(void **state)
{
	struct acl acl = extended(6, 0750);
	uint32_t perm;
	bool more;

	(void)state;
	assert_ok(ka_acl_parse(&acl, bytes_of(&acl), &perm, &more));
	assert_int_equal(perm, 0750);
	assert_true(more);
	assert_err(ka_acl_parse(&acl, bytes_of(&acl) - 1, &perm, &more), -EINVAL);
	assert_err(ka_acl_parse(&acl, 3, &perm, &more), -EINVAL);
	acl.count--; /* nothing for the others */
	assert_err(ka_acl_parse(&acl, bytes_of(&acl), &perm, &more), -EINVAL);
	acl.count++;
	acl.entry[1].e_perm = htole16(8);
	assert_err(ka_acl_parse(&acl, bytes_of(&acl), &perm, &more), -EINVAL);
	acl = extended(6, 0750);
	acl.entry[0].e_tag = htole16(ACL_OTHER); /* out of order */
	assert_err(ka_acl_parse(&acl, bytes_of(&acl), &perm, &more), -EINVAL);
}

static struct ka_attr create(struct memfs *m, ka_ino_t dir, const char *name, uint32_t mode,
			     uint32_t umask)
{
	struct ka_new new = {.parent = dir, .name = name, .mode = mode, .umask = umask};
	struct ka_attr attr;

	if (S_ISLNK(mode))
		new.target = "target";
	assert_ok(ka_create(m->fs, &new, &attr));
	return attr;
}

static void expect_acl(struct memfs *m, ka_ino_t ino, const char *name, const struct acl *want)
{
	struct acl got;
	size_t bytes;

	if (!want) {
		assert_err(ka_getxattr(m->fs, ino, name, &got, sizeof(got), &bytes), -ENODATA);
		return;
	}
	assert_ok(ka_getxattr(m->fs, ino, name, &got, sizeof(got), &bytes));
	assert_int_equal(bytes, bytes_of(want));
	assert_memory_equal(&got, want, bytes);
}

static void test_umask(void **state)
{
	struct memfs m;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	assert_int_equal(create(&m, KA_ROOT_INO, "f", S_IFREG | 06777, 027).mode, S_IFREG | 06750);
	assert_int_equal(create(&m, KA_ROOT_INO, "d", S_IFDIR | 01777, 077).mode, S_IFDIR | 01700);
	assert_int_equal(create(&m, KA_ROOT_INO, "l", S_IFLNK | 0777, 077).mode, S_IFLNK | 0777);
	memfs_release(&m);
}

static void check_heirs(struct memfs *m, ka_ino_t dir)
{
	const struct acl given = extended(6, 0775), file = extended(6, 0640),
			 sub = extended(6, 0750);
	ka_ino_t ino;

	ino = memfs_lookup(m->fs, dir, "file");
	expect_acl(m, ino, KA_ACL_ACCESS, &file);
	expect_acl(m, ino, KA_ACL_DEFAULT, NULL);
	ino = memfs_lookup(m->fs, dir, "sub");
	expect_acl(m, ino, KA_ACL_ACCESS, &sub);
	expect_acl(m, ino, KA_ACL_DEFAULT, &given);
	ino = memfs_lookup(m->fs, dir, "link");
	expect_acl(m, ino, KA_ACL_ACCESS, NULL);
	expect_acl(m, ino, KA_ACL_DEFAULT, NULL);
}

/* A default ACL stands in for the umask; what is created has it as its own. */
static void test_inherit(void **state)
{
	const struct acl given = extended(6, 0775);
	struct ka_new nameless = {.mode = S_IFREG | 0660, .umask = 077};
	struct ka_attr attr;
	struct memfs m;
	ka_ino_t dir;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	dir = memfs_dir(m.fs, KA_ROOT_INO, "dir");
	assert_ok(ka_setxattr(m.fs, dir, KA_ACL_DEFAULT, &given, bytes_of(&given), 0));
	assert_int_equal(create(&m, dir, "file", S_IFREG | 0640, 077).mode, S_IFREG | 0640);
	assert_int_equal(create(&m, dir, "sub", S_IFDIR | 0750, 077).mode, S_IFDIR | 0750);
	assert_int_equal(create(&m, dir, "link", S_IFLNK | 0777, 077).mode, S_IFLNK | 0777);
	nameless.parent = dir;
	assert_ok(ka_create(m.fs, &nameless, &attr));
	assert_int_equal(attr.mode, S_IFREG | 0660);
	assert_int_equal(attr.nlink, 0);
	check_heirs(&m, dir);
	memfs_crash(&m); /* from the record */
	check_heirs(&m, dir);
	memfs_remount(&m); /* from the checkpoint */
	check_heirs(&m, dir);
	memfs_check(m.fs);
	memfs_release(&m);
}

/* One that says no more than a mode does is a umask, and no ACL. */
static void test_inherit_plain(void **state)
{
	struct acl plain = new_acl();
	struct memfs m;
	struct ka_attr attr;

	(void)state;
	add(&plain, ACL_USER_OBJ, ACL_UNDEFINED_ID, 7);
	add(&plain, ACL_GROUP_OBJ, ACL_UNDEFINED_ID, 4);
	add(&plain, ACL_OTHER, ACL_UNDEFINED_ID, 0);
	memfs_make(&m, KA_CAPACITY_MIN);
	assert_ok(ka_setxattr(m.fs, KA_ROOT_INO, KA_ACL_DEFAULT, &plain, bytes_of(&plain), 0));
	attr = create(&m, KA_ROOT_INO, "file", S_IFREG | 0666, 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	expect_acl(&m, attr.ino, KA_ACL_ACCESS, NULL);
	attr = create(&m, KA_ROOT_INO, "dir", S_IFDIR | 0777, 0);
	assert_int_equal(attr.mode, S_IFDIR | 0740);
	expect_acl(&m, attr.ino, KA_ACL_ACCESS, NULL);
	expect_acl(&m, attr.ino, KA_ACL_DEFAULT, &plain);
	memfs_release(&m);
}

static void test_kill_sgid(void **state)
{
	const struct acl acl = extended(6, 0755);
	struct memfs m;
	struct ka_attr attr;
	int i;

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	for (i = 0; i < 2; i++) {
		attr = create(&m, KA_ROOT_INO, i ? "b" : "a", S_IFREG | 06755, 0);
		assert_ok(ka_setxattr(m.fs, attr.ino, KA_ACL_ACCESS, &acl, bytes_of(&acl),
				      i ? KA_XATTR_KILL_SGID : 0));
		assert_ok(ka_getattr(m.fs, attr.ino, &attr));
		assert_int_equal(attr.mode, S_IFREG | (i ? 04755 : 06755));
	}
	memfs_release(&m);
}

/* Media may hold one that is shorter than its header. */
static void test_short(void **state)
{
	static const char name[] = KA_ACL_ACCESS;
	union {
		struct ka_rec_xattr_disk rec;
		uint8_t bytes[256];
	} head = {0};
	struct ka_attr attr;
	struct memfs m;
	size_t bytes;
	char buf[8];

	(void)state;
	memfs_make(&m, KA_CAPACITY_MIN);
	attr = create(&m, KA_ROOT_INO, "file", S_IFREG | 0644, 0);
	head.rec.ino = ka_put64(attr.ino);
	head.rec.name_bytes = ka_put16((uint16_t)strlen(name));
	memcpy(head.rec.data, name, strlen(name));
	ka_record_init(&head.rec.h, KA_REC_XATTR, 0, sizeof(head.rec) + strlen(name), 0, 0);
	assert_ok(ka_op_commit(m.fs, &head.rec.h, KA_SPACE_NORMAL));
	memfs_crash(&m);
	assert_ok(ka_getxattr(m.fs, attr.ino, name, buf, sizeof(buf), &bytes));
	assert_int_equal(bytes, 0);
	memfs_release(&m);
}

/* The value of an attribute lies behind its name, wherever that ends. */
static void test_any_address(void **state)
{
	struct acl acl = extended(6, 0750);
	uint8_t buf[sizeof(acl) + 8];
	uint32_t perm;
	size_t shift;
	bool more;

	(void)state;
	for (shift = 0; shift < 8; shift++) {
		memcpy(buf + shift, &acl, bytes_of(&acl));
		assert_ok(ka_acl_parse(buf + shift, bytes_of(&acl), &perm, &more));
		assert_int_equal(perm, 0750);
		assert_true(more);
		ka_acl_set_perm(buf + shift, bytes_of(&acl), 0604);
		assert_ok(ka_acl_parse(buf + shift, bytes_of(&acl), &perm, &more));
		assert_int_equal(perm, 0604);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	    cmocka_unit_test(test_umask),
		cmocka_unit_test(test_inherit),	    cmocka_unit_test(test_inherit_plain),
		cmocka_unit_test(test_kill_sgid),   cmocka_unit_test(test_short),
		cmocka_unit_test(test_any_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

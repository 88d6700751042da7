/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_xattrs.c - extended attributes: namespaces, errors, who sees what. */
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "semantics.h"

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, as their order is nobody's promise. */
static const char *list_of(const char *path)
{
	const char *names[32];
	char list[1024], text[400] = "";
	ssize_t n = llistxattr(path, list, sizeof(list)), at;
	size_t count = 0, i;

	if (n < 0)
		return rc(-1);
	for (at = 0; at < n && count < 32; at += (ssize_t)strlen(list + at) + 1)
		names[count++] = list + at;
	qsort(names, count, sizeof(names[0]), by_name);
	for (i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", names[i]);
	return fmt("%zu:%s", count, text);
}

static void values(void)
{
	static char huge[XATTR_SIZE_MAX + 1];
	char name[300], value[16], list[64];
	int fd;

	put_file("f", "", 0644);
	RESULT("create", setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	RESULT("create-again", setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	RESULT("replace", setxattr("f", "user.a", "22", 2, XATTR_REPLACE));
	RESULT("replace-missing", setxattr("f", "user.b", "1", 1, XATTR_REPLACE));
	RESULT("both-exists", setxattr("f", "user.a", "1", 1, XATTR_CREATE | XATTR_REPLACE));
	RESULT("both-missing", setxattr("f", "user.b", "1", 1, XATTR_CREATE | XATTR_REPLACE));
	RESULT("flag-unknown", setxattr("f", "user.b", "1", 1, 4));
	RESULT("set-empty", setxattr("f", "user.e", NULL, 0, 0));
	RESULT("get-empty", getxattr("f", "user.e", value, sizeof(value)));
	RESULT("get", getxattr("f", "user.a", value, sizeof(value)));
	RESULT("get-size", getxattr("f", "user.a", NULL, 0));
	RESULT("get-short", getxattr("f", "user.a", value, 1));
	RESULT("get-missing", getxattr("f", "user.none", value, sizeof(value)));
	RESULT("get-missing-size", getxattr("f", "user.none", NULL, 0));
	RESULT("list-size", listxattr("f", NULL, 0));
	RESULT("list-short", listxattr("f", list, 3));
	RESULT("list", listxattr("f", list, sizeof(list)));
	line("list-names", "%s", list_of("f"));
	RESULT("remove-missing", removexattr("f", "user.none"));
	RESULT("remove", removexattr("f", "user.a"));
	RESULT("remove-empty", removexattr("f", "user.e"));
	line("list-none", "%s", list_of("f"));
	RESULT("set-missing-file", setxattr("none", "user.a", "1", 1, 0));

	RESULT("name-empty", setxattr("f", "", "1", 1, 0));
	RESULT("name-prefix", setxattr("f", "user.", "1", 1, 0));
	RESULT("name-no-prefix", setxattr("f", "user", "1", 1, 0));
	RESULT("name-unknown", setxattr("f", "unknown.x", "1", 1, 0));
	RESULT("name-system", setxattr("f", "system.x", "1", 1, 0));
	RESULT("name-get-unknown", getxattr("f", "unknown.x", value, 1));
	RESULT("name-get-system", getxattr("f", "system.x", value, 1));
	RESULT("name-remove-unknown", removexattr("f", "unknown.x"));
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = 0;
	RESULT("name-255", setxattr("f", name, "1", 1, 0));
	RESULT("name-255-remove", removexattr("f", name));
	name[255] = 'n';
	name[256] = 0;
	RESULT("name-256", setxattr("f", name, "1", 1, 0));
	RESULT("name-256-get", getxattr("f", name, value, 1));
	RESULT("name-bytes", setxattr("f", "user.\xff\x01\n", "\0\xff", 2, 0));
	RESULT("name-bytes-get", getxattr("f", "user.\xff\x01\n", value, 2));
	RESULT("name-case", setxattr("f", "user.A", "1", 1, 0));
	RESULT("name-case-other", getxattr("f", "user.a", value, 1));
	RESULT("too-large", setxattr("f", "user.big", huge, sizeof(huge), 0));
	fd = open("f", O_RDONLY);
	RESULT("fd-rdonly-set", fsetxattr(fd, "user.fd", "1", 1, 0));
	RESULT("fd-rdonly-remove", fremovexattr(fd, "user.fd"));
	close(fd);
	RESULT("fd-closed", fgetxattr(fd, "user.fd", value, 1));
	MUST(!unlink("f"));
}

/* ---- which file and who -------------------------------------------------------------- */

static void try_all(const char *path, const char *who)
{
	static const char *const spaces[] = {"user", "trusted", "security"};
	char value[8];
	size_t i;

	for (i = 0; i < 3; i++) {
		const char *name = fmt("%s.x", spaces[i]);

		RESULT(fmt("%s-%s-%s-set", path, spaces[i], who), lsetxattr(path, name, "1", 1, 0));
		RESULT(fmt("%s-%s-%s-get", path, spaces[i], who), lgetxattr(path, name, value, 8));
		RESULT(fmt("%s-%s-%s-get-missing", path, spaces[i], who),
		       lgetxattr(path, fmt("%s.none", spaces[i]), value, 8));
		RESULT(fmt("%s-%s-%s-remove-missing", path, spaces[i], who),
		       lremovexattr(path, fmt("%s.none", spaces[i])));
	}
	line(fmt("%s-list-%s", path, who), "%s", list_of(path));
	/* The kernel leaves it to the filesystem who may do what with these. */
	RESULT(fmt("%s-system-%s", path, who), lsetxattr(path, "system.x", "1", 1, 0));
	RESULT(fmt("%s-unknown-%s", path, who), lsetxattr(path, "unknown.x", "1", 1, 0));
	lremovexattr(path, "system.x");
	lremovexattr(path, "unknown.x");
}

static void namespaces(void)
{
	static const char *const paths[] = {"reg",    "ro",   "wo",   "dir",
					    "sticky", "link", "fifo", "null"};
	static const unsigned users[] = {0, ALICE, BOB, BARE_ROOT};
	static const char *const names[] = {"root", "alice", "bob", "bareroot"};
	size_t i, u;

	put_file("reg", "", 0666);
	put_file("ro", "", 0444);
	put_file("wo", "", 0222);
	MUST(!mkdir("dir", 0777) && !mkdir("sticky", 0777) && !symlink("reg", "link"));
	MUST(!mkfifo("fifo", 0666) && !mknod("null", S_IFCHR | 0666, 0x103));
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		MUST(!lchown(paths[i], ALICE, ALICE));
	MUST(!chmod("sticky", 01777));
	for (u = 0; u < 4; u++)
		for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
			if (enter(users[u], NOGID)) {
				try_all(paths[i], names[u]);
				leave();
			}
}

/* They belong to the inode: all names of it have them, copies do not. */
static void belongings(void)
{
	char value[8];

	put_file("f", "", 0644);
	MUST(!setxattr("f", "user.x", "1", 1, 0) && !link("f", "g"));
	RESULT("through-link", getxattr("g", "user.x", value, 8));
	MUST(!rename("g", "h") && !unlink("f"));
	RESULT("through-rename", getxattr("h", "user.x", value, 8));
	put_file("f", "", 0644);
	MUST(!rename("f", "h"));
	RESULT("replaced", getxattr("h", "user.x", value, 8));
	MUST(!symlink("h", "s"));
	RESULT("follow-set", setxattr("s", "user.y", "1", 1, 0));
	RESULT("follow-get", getxattr("h", "user.y", value, 8));
	RESULT("nofollow-get", lgetxattr("s", "user.y", value, 8));
	RESULT("many", setxattr("h", "user.y", "2", 1, 0));
	MUST(!unlink("h") && !unlink("s"));
}

void test_xattrs(void)
{
	values();
	namespaces();
	belongings();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_acls.c - POSIX ACLs, as the attributes that setfacl writes. */
#include <endian.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "semantics.h"

#define ACCESS	"system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

struct acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entry[16];
	size_t bytes;
};

/* "u6 U1001:4 g4 G1002:7 m6 o0": small letters have no qualifier. */
static struct acl parse(const char *text)
{
	struct acl acl = {.head.a_version = htole32(POSIX_ACL_XATTR_VERSION)};
	const char tags[] = "uUgGmo";
	static const uint16_t values[] = {ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ,
					  ACL_GROUP,	ACL_MASK, ACL_OTHER};
	unsigned id, perm, n = 0;
	char tag;
	int used;

	for (; *text; text += used + (text[used] == ' ')) {
		id = ACL_UNDEFINED_ID;
		if (sscanf(text, "%c%u:%u%n", &tag, &id, &perm, &used) != 3) {
			id = ACL_UNDEFINED_ID;
			MUST(sscanf(text, "%c%u%n", &tag, &perm, &used) == 2);
		}
		MUST(n < 16 && strchr(tags, tag));
		acl.entry[n++] = (struct posix_acl_xattr_entry){
			.e_tag = htole16(values[strchr(tags, tag) - tags]),
			.e_perm = htole16((uint16_t)perm),
			.e_id = htole32(id),
		};
	}
	acl.bytes = sizeof(acl.head) + n * sizeof(acl.entry[0]);
	return acl;
}

/* Of a symlink itself, too. */
static int set_acl(const char *path, const char *which, const char *text)
{
	struct acl acl = parse(text);

	return lsetxattr(path, which, &acl, acl.bytes, 0);
}

/* Back into the text of parse(). */
static const char *get_acl(const char *path, const char *which)
{
	struct acl acl;
	char text[256] = "";
	ssize_t n = getxattr(path, which, &acl, sizeof(acl.head) + sizeof(acl.entry));
	size_t i;

	if (n < 0)
		return rc(-1);
	for (i = 0; sizeof(acl.head) + i * sizeof(acl.entry[0]) < (size_t)n; i++) {
		unsigned tag = le16toh(acl.entry[i].e_tag), id = le32toh(acl.entry[i].e_id);
		char letter = tag == ACL_USER_OBJ    ? 'u'
			      : tag == ACL_USER	     ? 'U'
			      : tag == ACL_GROUP_OBJ ? 'g'
			      : tag == ACL_GROUP     ? 'G'
			      : tag == ACL_MASK	     ? 'm'
						     : 'o';
		size_t used = strlen(text);

		if (tag == ACL_USER || tag == ACL_GROUP)
			snprintf(text + used, sizeof(text) - used, " %c%u:%u", letter, id,
				 le16toh(acl.entry[i].e_perm));
		else
			snprintf(text + used, sizeof(text) - used, " %c%u", letter,
				 le16toh(acl.entry[i].e_perm));
	}
	return fmt("%s%s", mode_of(path), text);
}

static void show(const char *name, const char *path)
{
	line(name, "%s", get_acl(path, ACCESS));
	line(fmt("%s-default", name), "%s", get_acl(path, DEFAULT));
}

static void fresh_file(const char *path, mode_t mode)
{
	put_file(path, "text", 0644);
	MUST(!chown(path, ALICE, ALICE) && !chmod(path, mode));
}

/* ---- setting ----------------------------------------------------------------------- */

static void setting(void)
{
	fresh_file("f", 0644);
	show("none", "f");
	RESULT("remove-none", removexattr("f", ACCESS));
	RESULT("minimal", set_acl("f", ACCESS, "u6 g4 o0"));
	show("minimal-drops", "f");
	line("minimal-list", "%zd", listxattr("f", NULL, 0));
	RESULT("extended", set_acl("f", ACCESS, "u6 U1002:4 g0 m4 o0"));
	show("extended-shows", "f");
	line("extended-list", "%zd", listxattr("f", NULL, 0));
	RESULT("chmod-changes-mask", chmod("f", 0770));
	show("chmod-mask", "f");
	RESULT("chmod-none", chmod("f", 0));
	show("chmod-none-mask", "f");
	RESULT("chown-keeps", chown("f", ALICE, BOB));
	show("chown-kept", "f");
	RESULT("mask-only", set_acl("f", ACCESS, "u6 g6 m4 o0"));
	show("mask-only-shows", "f");
	RESULT("minimal-again", set_acl("f", ACCESS, "u7 g5 o1"));
	show("minimal-again-drops", "f");
	RESULT("extended-again", set_acl("f", ACCESS, "u6 U1002:4 g0 G1001:2 m6 o0"));
	RESULT("create-flag", setxattr("f", ACCESS, &(char){0}, 1, XATTR_CREATE));
	RESULT("remove", removexattr("f", ACCESS));
	show("removed", "f");
	RESULT("set-empty", setxattr("f", ACCESS, NULL, 0, 0));
	RESULT("default-on-file", set_acl("f", DEFAULT, "u6 g4 o0"));
	MUST(!symlink("f", "s"));
	RESULT("symlink", set_acl("s", ACCESS, "u6 g4 o0"));
	MUST(!mkfifo("p", 0600));
	RESULT("fifo", set_acl("p", ACCESS, "u6 U1002:4 g0 m4 o0"));
	RESULT("fifo-default", set_acl("p", DEFAULT, "u6 g4 o0"));
	MUST(!mkdir("d", 0755));
	RESULT("dir-default", set_acl("d", DEFAULT, "u7 U1002:5 g5 m5 o0"));
	show("dir-shows", "d");
	RESULT("dir-default-minimal", set_acl("d", DEFAULT, "u7 g5 o1"));
	show("dir-minimal", "d");
	RESULT("dir-default-remove", removexattr("d", DEFAULT));
	show("dir-removed", "d");
	RESULT("dir-default-remove-again", removexattr("d", DEFAULT));
	RESULT("dir-default-empty", setxattr("d", DEFAULT, NULL, 0, 0));
	MUST(!unlink("f") && !unlink("s") && !unlink("p") && !rmdir("d"));
}

static void invalid(void)
{
	static const char *const texts[] = {
		"u6",
		"u6 g4",
		"u6 g4 m4",
		"g4 u6 o0",
		"u6 U1002:4 g0 o0",
		"u6 g0 G1002:4 o0",
		"u6 u6 g4 o0",
		"u6 g4 g4 o0",
		"u6 g4 o0 o0",
		"u6 g4 m4 m4 o0",
		"u8 g4 o0",
		"u6 U1002:9 g4 m4 o0",
		"u6 g4 U1002:4 m4 o0",
		"u6 g4 o0 m4",
		"u6 U1002:4 U1002:5 g4 m4 o0",
		"u6 U1002:4 U1001:5 g4 m4 o0",
		"u6 U4294967295:4 g4 m4 o0",
	};
	struct acl acl = parse("u6 g4 o0");
	size_t i;

	fresh_file("f", 0644);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		RESULT(fmt("invalid-%zu", i), set_acl("f", ACCESS, texts[i]));
		show(fmt("invalid-%zu-left", i), "f");
	}
	RESULT("invalid-short", setxattr("f", ACCESS, &acl, 3, 0));
	RESULT("invalid-cut", setxattr("f", ACCESS, &acl, acl.bytes - 1, 0));
	RESULT("header-only", setxattr("f", ACCESS, &acl, sizeof(acl.head), 0));
	acl.head.a_version = htole32(3);
	RESULT("invalid-version", setxattr("f", ACCESS, &acl, acl.bytes, 0));
	acl = parse("u6 g4 o0");
	acl.entry[1].e_tag = htole16(0x40);
	RESULT("invalid-tag", setxattr("f", ACCESS, &acl, acl.bytes, 0));
	MUST(!unlink("f"));
}

/* ---- who may set, and what it takes away ----------------------------------------------- */

static void setters(void)
{
	fresh_file("f", 02755);
	MUST(!chown("f", ALICE, BOB) && !chmod("f", 02755));
	if (enter(BOB, NOGID)) {
		RESULT("set-by-other", set_acl("f", ACCESS, "u6 g4 o0"));
		RESULT("remove-by-other", removexattr("f", ACCESS));
		line("get-by-other", "%s", get_acl("f", ACCESS));
		leave();
	}
	if (enter(ALICE, NOGID)) {
		RESULT("set-by-nonmember", set_acl("f", ACCESS, "u7 U1002:5 g5 m5 o5"));
		leave();
	}
	show("set-by-nonmember-left", "f");
	MUST(!chmod("f", 02755));
	if (enter(ALICE, BOB)) {
		RESULT("set-by-member", set_acl("f", ACCESS, "u7 U1002:5 g5 m7 o5"));
		leave();
	}
	show("set-by-member-left", "f");
	if (enter(0, NOGID)) {
		RESULT("set-by-root", set_acl("f", ACCESS, "u7 g5 o5"));
		leave();
	}
	show("set-by-root-left", "f");
	if (enter(ALICE, NOGID)) {
		RESULT("set-minimal-by-nonmember", set_acl("f", ACCESS, "u7 g5 o5"));
		leave();
	}
	show("set-minimal-by-nonmember-left", "f");
	MUST(!chown("f", 0, BOB) && !chmod("f", 02755));
	if (enter(BARE_ROOT, NOGID)) {
		RESULT("set-by-bare-root", set_acl("f", ACCESS, "u7 U1002:5 g5 m7 o5"));
		leave();
	}
	show("set-by-bare-root-left", "f");
	MUST(!chown("f", ALICE, BOB) && !chmod("f", 06755));
	RESULT("suid-kept", set_acl("f", ACCESS, "u7 U1002:5 g5 m5 o5"));
	show("suid-kept-left", "f");
	if (enter(BOB, NOGID)) {
		int fd = open("f", O_WRONLY);

		line("written-by-other", "%s", fd < 0 ? rc(-1) : rc(write(fd, "x", 1)));
		leave();
	}
	show("written-left", "f");
	/* To a group that may execute; the mask decides, not the group's own entry. */
	MUST(!set_acl("f", ACCESS, "u7 U1002:7 g5 m7 o7") && !chmod("f", 06777));
	if (enter(BOB, NOGID)) {
		int fd = open("f", O_WRONLY);

		RESULT("written-suid", write(fd, "x", 1));
		leave();
	}
	show("written-suid-left", "f");
	MUST(!unlink("f"));
}

/* ---- enforcement --------------------------------------------------------------------------- */

static void try_access(const char *name, const char *who)
{
	OPENS(fmt("%s-%s-read", name, who), open("f", O_RDONLY));
	OPENS(fmt("%s-%s-write", name, who), open("f", O_WRONLY));
	RESULT(fmt("%s-%s-exec", name, who), access("f", X_OK));
	RESULT(fmt("%s-%s-access", name, who), access("f", R_OK | W_OK));
}

static void enforcement(void)
{
	static const char *const texts[] = {
		"u6 g0 o0",
		"u6 U1002:6 g0 m6 o0",
		"u6 U1002:6 g0 m4 o0",
		"u6 U1002:7 g0 m7 o0",
		"u6 U1002:0 g7 m7 o7",
		"u6 g0 G1002:4 m6 o0",
		"u6 g4 G1002:2 m6 o0",
		"u6 g0 G1002:0 m6 o6",
		"u6 U65534:4 g6 m0 o6",
		"u0 U1001:6 g6 m6 o6",
		"u6 U1002:2 g4 G1002:4 m6 o4",
	};
	size_t i;

	fresh_file("f", 0644);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		MUST(!set_acl("f", ACCESS, texts[i]));
		if (enter(BOB, NOGID)) {
			try_access(fmt("enforce-%zu", i), "bob");
			leave();
		}
		if (enter(ALICE, NOGID)) {
			try_access(fmt("enforce-%zu", i), "alice");
			leave();
		}
		if (enter(65534, BOB)) {
			try_access(fmt("enforce-%zu", i), "nobody-in-bob");
			leave();
		}
		if (enter(65534, ALICE)) {
			try_access(fmt("enforce-%zu", i), "nobody-in-alice");
			leave();
		}
		if (enter(0, NOGID)) {
			try_access(fmt("enforce-%zu", i), "root");
			leave();
		}
	}
	MUST(!unlink("f"));

	/* What was cached as allowed must not stay so. */
	fresh_file("f", 0600);
	MUST(!mkdir("d", 0700));
	put_file("d/x", "", 0644);
	if (enter(BOB, NOGID)) {
		OPENS("before", open("f", O_RDONLY));
		RESULT("before-dir", access("d/x", F_OK));
		leave();
	}
	MUST(!set_acl("f", ACCESS, "u6 U1002:4 g0 m4 o0"));
	MUST(!set_acl("d", ACCESS, "u7 U1002:7 g0 m7 o0"));
	if (enter(BOB, NOGID)) {
		OPENS("granted", open("f", O_RDONLY));
		RESULT("granted-dir", access("d/x", F_OK));
		RESULT("granted-list", close(open("d", O_RDONLY)));
		RESULT("granted-create", mkdir("d/y", 0755));
		RESULT("granted-remove", rmdir("d/y"));
		RESULT("granted-no-owner", chmod("d", 0777));
		leave();
	}
	MUST(!chmod("f", 0600) && !chmod("d", 0700));
	if (enter(BOB, NOGID)) {
		OPENS("masked", open("f", O_RDONLY));
		RESULT("masked-dir", access("d/x", F_OK));
		leave();
	}
	MUST(!chmod("f", 0640) && !removexattr("d", ACCESS));
	if (enter(BOB, NOGID)) {
		OPENS("unmasked", open("f", O_RDONLY));
		RESULT("removed-dir", access("d/x", F_OK));
		leave();
	}
	MUST(!unlink("f") && !unlink("d/x") && !rmdir("d"));
}

/* ---- inheritance --------------------------------------------------------------------------- */

static void make_all(const char *name, mode_t mask)
{
	umask(mask);
	MUST(!close(open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0666)));
	MUST(!close(open("d/x", O_CREAT | O_EXCL | O_WRONLY, 0777)));
	MUST(!close(open("d/p", O_CREAT | O_EXCL | O_WRONLY, 0600)));
	MUST(!mkdir("d/d", 0777) && !mkdir("d/e", 0700) && !mkfifo("d/q", 0666));
	MUST(!mknod("d/n", S_IFREG | 0644, 0) && !symlink("t", "d/s"));
	umask(0);
	show(fmt("%s-file", name), "d/f");
	show(fmt("%s-exec", name), "d/x");
	show(fmt("%s-private", name), "d/p");
	show(fmt("%s-dir", name), "d/d");
	show(fmt("%s-dir-private", name), "d/e");
	show(fmt("%s-fifo", name), "d/q");
	show(fmt("%s-mknod", name), "d/n");
	line(fmt("%s-symlink", name), "%s", mode_of("d/s"));
	MUST(!mkdir("d/d/d", 0777));
	show(fmt("%s-dir-below", name), "d/d/d");
	MUST(!rename("d/p", "moved"));
	show(fmt("%s-moved", name), "moved");
	put_file("moved", "", 0640);
	MUST(!rename("moved", "d/p"));
	show(fmt("%s-moved-in", name), "d/p");
	MUST(!unlink("d/f") && !unlink("d/x") && !unlink("d/p") && !unlink("d/q"));
	MUST(!unlink("d/n") && !unlink("d/s") && !rmdir("d/d/d") && !rmdir("d/d"));
	MUST(!rmdir("d/e"));
}

static void inheritance(void)
{
	static const char *const texts[] = {
		"u7 g5 o1",
		"u7 U1002:7 g5 m7 o0",
		"u7 U1002:7 g5 m5 o5",
		"u6 U1002:4 g0 G1001:7 m7 o7",
		"u0 g0 o0",
	};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		MUST(!mkdir("d", 0777) && !set_acl("d", DEFAULT, texts[i]));
		make_all(fmt("inherit-%zu", i), 022);
		make_all(fmt("inherit-umask-%zu", i), 077);
		MUST(!removexattr("d", DEFAULT));
		make_all(fmt("inherit-none-%zu", i), 027);
		MUST(!rmdir("d"));
	}
	MUST(!mkdir("d", 0777) && !chown("d", 0, BOB) && !chmod("d", 02777));
	MUST(!set_acl("d", DEFAULT, "u7 U1002:7 g5 m7 o0"));
	if (enter(ALICE, NOGID)) {
		MUST(!close(open("d/f", O_CREAT | O_EXCL | O_WRONLY, 02777)));
		MUST(!mkdir("d/d", 0777));
		line("inherit-setgid-owner", "%s %s", owner_of("d/f"), owner_of("d/d"));
		show("inherit-setgid", "d/f");
		show("inherit-setgid-dir", "d/d");
		MUST(!unlink("d/f") && !rmdir("d/d"));
		leave();
	}
	/* The new file is enforced at once. */
	if (enter(ALICE, NOGID)) {
		MUST(!close(open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0660)));
		leave();
	}
	if (enter(BOB, NOGID)) {
		OPENS("inherit-enforced-bob", open("d/f", O_RDWR));
		leave();
	}
	if (enter(65534, NOGID)) {
		OPENS("inherit-enforced-nobody", open("d/f", O_RDONLY));
		leave();
	}
	MUST(!unlink("d/f") && !rmdir("d"));
}

void test_acls(void)
{
	setting();
	invalid();
	setters();
	enforcement();
	inheritance();
}

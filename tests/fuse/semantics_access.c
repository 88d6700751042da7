/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_access.c - who may do what, and what a new file gets from where. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "semantics.h"

static void make_dir(const char *name, unsigned uid, unsigned gid, mode_t mode)
{
	MUST(!mkdir(name, 0755) && !chown(name, uid, gid) && !chmod(name, mode));
}

static void make_file(const char *name, unsigned uid, unsigned gid, mode_t mode)
{
	put_file(name, "text", 0644);
	MUST(!chown(name, uid, gid) && !chmod(name, mode));
}

/* ---- what new files inherit ---------------------------------------------------- */

static void create_all(const char *dir, const char *who)
{
	static const mode_t file_modes[] = {0755, 02755, 02745, 06777, 01644};
	static const mode_t dir_modes[] = {0755, 02755, 01777};
	const char *path;
	size_t i;

	for (i = 0; i < sizeof(file_modes) / sizeof(file_modes[0]); i++) {
		path = fmt("%s/f%04o", dir, file_modes[i]);
		MUST(!close(open(path, O_CREAT | O_EXCL | O_WRONLY, file_modes[i])));
		line(fmt("%s-create-%04o-%s", dir, file_modes[i], who), "%s", owner_of(path));
		MUST(!unlink(path) && !mknod(path, S_IFREG | file_modes[i], 0));
		line(fmt("%s-mknod-%04o-%s", dir, file_modes[i], who), "%s", owner_of(path));
		MUST(!unlink(path));
	}
	for (i = 0; i < sizeof(dir_modes) / sizeof(dir_modes[0]); i++) {
		path = fmt("%s/d%04o", dir, dir_modes[i]);
		MUST(!mkdir(path, dir_modes[i]));
		line(fmt("%s-mkdir-%04o-%s", dir, dir_modes[i], who), "%s", owner_of(path));
		MUST(!rmdir(path));
	}
	path = fmt("%s/x", dir);
	MUST(!symlink("target", path));
	line(fmt("%s-symlink-%s", dir, who), "%s", owner_of(path));
	MUST(!unlink(path) && !mkfifo(path, 02777));
	line(fmt("%s-fifo-%s", dir, who), "%s", owner_of(path));
	MUST(!unlink(path));
}

static void test_inherit(void)
{
	make_dir("plain", 0, BOB, 0777);
	make_dir("setgid", 0, BOB, 02777);
	create_all("plain", "root");
	create_all("setgid", "root");
	if (enter(ALICE, NOGID)) {
		create_all("plain", "alice");
		create_all("setgid", "alice");
		leave();
	}
	if (enter(BARE_ROOT, NOGID)) {
		create_all("setgid", "bareroot");
		leave();
	}
	if (enter(ALICE, BOB)) {
		create_all("setgid", "member");
		leave();
	}
}

static void test_umask(void)
{
	static const mode_t masks[] = {022, 027, 077, 0777};
	size_t i;

	for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		umask(masks[i]);
		MUST(!close(open("u", O_CREAT | O_WRONLY, 07777)));
		line(fmt("umask-%03o-create", masks[i]), "%s", mode_of("u"));
		MUST(!unlink("u") && !mkdir("u", 07777));
		line(fmt("umask-%03o-mkdir", masks[i]), "%s", mode_of("u"));
		MUST(!rmdir("u") && !mknod("u", S_IFIFO | 0666, 0));
		line(fmt("umask-%03o-mknod", masks[i]), "%s", mode_of("u"));
		MUST(!unlink("u") && !symlink("t", "u"));
		line(fmt("umask-%03o-symlink", masks[i]), "%s", mode_of("u"));
		MUST(!unlink("u"));
		umask(0);
	}
}

/* ---- sticky directories ----------------------------------------------------------- */

static void test_sticky(void)
{
	make_dir("sticky", 0, 0, 01777);
	make_dir("other", 0, 0, 0777);
	make_dir("alices", ALICE, ALICE, 01777);
	make_file("sticky/a", ALICE, ALICE, 0666);
	make_file("sticky/b", BOB, BOB, 0666);
	make_file("other/c", ALICE, ALICE, 0666);
	make_file("alices/b", BOB, BOB, 0666);
	make_dir("sticky/d", ALICE, ALICE, 0777);
	make_dir("other/d", ALICE, ALICE, 0755);
	make_dir("other/e", ALICE, ALICE, 0755);
	if (enter(BOB, NOGID)) {
		RESULT("sticky-unlink", unlink("sticky/a"));
		RESULT("sticky-rmdir", rmdir("sticky/d"));
		RESULT("sticky-rename-away", rename("sticky/a", "sticky/x"));
		RESULT("sticky-rename-over", rename("sticky/b", "sticky/a"));
		RESULT("sticky-exchange",
		       renameat2(AT_FDCWD, "sticky/a", AT_FDCWD, "sticky/b", RENAME_EXCHANGE));
		RESULT("sticky-rename-to-other", rename("sticky/a", "other/x"));
		RESULT("sticky-create", close(open("sticky/new", O_CREAT | O_WRONLY, 0644)));
		RESULT("sticky-unlink-own", unlink("sticky/b"));
		RESULT("sticky-write", truncate("sticky/a", 0));
		RESULT("other-unlink", unlink("other/c"));
		RESULT("other-rename-dir", rename("other/d", "other/dd"));
		/* Its ".." would change, and that is Alice's. */
		RESULT("other-move-dir", rename("other/e", "sticky/e"));
		leave();
	}
	if (enter(ALICE, NOGID)) {
		RESULT("sticky-unlink-as-dir-owner", unlink("alices/b"));
		RESULT("sticky-rename-own", rename("sticky/a", "sticky/y"));
		leave();
	}
}

/* ---- permission bits ------------------------------------------------------------------ */

static void try_files(const char *who)
{
	static const char *const files[] = {"f0600", "f0640", "f0604", "f0060", "f0006", "f0222"};
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		OPENS(fmt("open-r-%s-%s", files[i], who), open(files[i], O_RDONLY));
		OPENS(fmt("open-w-%s-%s", files[i], who), open(files[i], O_WRONLY));
		OPENS(fmt("open-rt-%s-%s", files[i], who), open(files[i], O_RDONLY | O_TRUNC));
		RESULT(fmt("access-rw-%s-%s", files[i], who), access(files[i], R_OK | W_OK));
		RESULT(fmt("access-x-%s-%s", files[i], who), access(files[i], X_OK));
		RESULT(fmt("truncate-%s-%s", files[i], who), truncate(files[i], 0));
	}
	OPENS(fmt("lookup-below-0600-%s", who), open("d0600/f", O_RDONLY));
	RESULT(fmt("lookup-none-below-0600-%s", who), access("d0600/none", F_OK));
	OPENS(fmt("list-0100-%s", who), open("d0711/", O_RDONLY | O_DIRECTORY));
	OPENS(fmt("through-0711-%s", who), open("d0711/f", O_RDONLY));
	RESULT(fmt("create-0711-%s", who), mkdir("d0711/n", 0755));
	RESULT(fmt("unlink-0711-%s", who), unlink("d0711/none"));
	RESULT(fmt("mkdir-exists-0711-%s", who), mkdir("d0711/f", 0755));
	RESULT(fmt("chdir-0600-%s", who), chdir("d0600"));
	RESULT(fmt("access-eaccess-%s", who), faccessat(AT_FDCWD, "f0600", R_OK, AT_EACCESS));
}

static void test_bits(void)
{
	make_file("f0600", ALICE, ALICE, 0600);
	make_file("f0640", ALICE, BOB, 0640);
	make_file("f0604", ALICE, BOB, 0604);
	make_file("f0060", ALICE, BOB, 0060);
	make_file("f0006", ALICE, BOB, 0006);
	make_file("f0222", ALICE, ALICE, 0222);
	make_dir("d0600", ALICE, ALICE, 0600);
	make_dir("d0711", ALICE, ALICE, 0711);
	put_file("d0600/f", "", 0644);
	put_file("d0711/f", "", 0644);
	if (enter(BOB, NOGID)) {
		try_files("bob");
		leave();
	}
	if (enter(ALICE, NOGID)) {
		try_files("alice");
		RESULT("mkdir-exists-alice-again", rmdir("d0711/n"));
		leave();
	}
	if (enter(65534, NOGID)) {
		try_files("nobody");
		leave();
	}
	if (enter(0, NOGID)) {
		try_files("root");
		leave();
	}
	if (enter(BARE_ROOT, NOGID)) {
		try_files("bareroot");
		leave();
	}
	/* Nobody executes what nobody may execute. */
	if (enter(0, NOGID)) {
		execl("./f0600", "f0600", (char *)NULL);
		line("exec-without-x", "%s", rc(-1));
		leave();
	}
}

/* ---- owner's rights --------------------------------------------------------------------- */

static void try_owner(const char *who)
{
	const struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
	const struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	const struct timespec half[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
	const struct timespec set[2] = {{1, 0}, {2, 0}};

	RESULT(fmt("chmod-%s", who), chmod("w", 0666));
	RESULT(fmt("chown-%s", who), chown("w", BOB, BOB));
	RESULT(fmt("chgrp-%s", who), chown("w", (uid_t)-1, BOB));
	RESULT(fmt("chown-same-%s", who), chown("w", ALICE, (gid_t)-1));
	RESULT(fmt("chown-nothing-%s", who), chown("w", (uid_t)-1, (gid_t)-1));
	RESULT(fmt("utimes-now-%s", who), utimensat(AT_FDCWD, "w", now, 0));
	RESULT(fmt("utimes-null-%s", who), utimensat(AT_FDCWD, "w", NULL, 0));
	RESULT(fmt("utimes-set-%s", who), utimensat(AT_FDCWD, "w", set, 0));
	RESULT(fmt("utimes-half-%s", who), utimensat(AT_FDCWD, "w", half, 0));
	RESULT(fmt("utimes-omit-%s", who), utimensat(AT_FDCWD, "w", omit, 0));
	RESULT(fmt("utimes-now-readonly-%s", who), utimensat(AT_FDCWD, "r", now, 0));
	RESULT(fmt("utimes-set-readonly-%s", who), utimensat(AT_FDCWD, "r", set, 0));
	RESULT(fmt("utimes-bad-nsec-%s", who),
	       utimensat(AT_FDCWD, "w", (const struct timespec[2]){{1, 1000000000}, {1, UTIME_NOW}},
			 0));
	OPENS(fmt("noatime-%s", who), open("w", O_RDONLY | O_NOATIME));
	RESULT(fmt("mknod-device-%s", who), mknod("own/c", S_IFCHR | 0600, makedev(1, 3)));
	RESULT(fmt("mknod-fifo-%s", who), mknod("own/p", S_IFIFO | 0600, 0));
	RESULT(fmt("link-%s", who), link("r", "own/l"));
	RESULT(fmt("chmod-link-%s", who), fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW));
	RESULT(fmt("chmod-missing-%s", who), chmod("none", 0600));
	unlink("own/c");
	unlink("own/p");
	unlink("own/l");
}

static void test_owner(void)
{
	make_dir("own", 0, 0, 0777);
	make_file("w", ALICE, ALICE, 0666);
	make_file("r", ALICE, ALICE, 0444);
	MUST(!symlink("w", "s"));
	if (enter(ALICE, NOGID)) {
		try_owner("alice");
		leave();
	}
	MUST(!chown("w", ALICE, ALICE) && !chmod("w", 0666));
	if (enter(BOB, NOGID)) {
		try_owner("bob");
		leave();
	}
	if (enter(BARE_ROOT, NOGID)) {
		try_owner("bareroot");
		leave();
	}
	if (enter(0, NOGID)) {
		try_owner("root");
		leave();
	}
}

void test_access(void)
{
	test_inherit();
	test_umask();
	test_sticky();
	test_bits();
	test_owner();
}

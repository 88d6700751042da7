/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_names.c - names, links and renames: what is refused, and how. */
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "semantics.h"

/* ---- long and odd names ---------------------------------------------------------- */

static void long_names(void)
{
	char name[300], *path;
	size_t i;

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	RESULT("mkdir-255", mkdir(name, 0755));
	RESULT("rename-255", rename(name, "short"));
	RESULT("rename-back-255", rename("short", name));
	RESULT("rmdir-255", rmdir(name));
	name[255] = 'n';
	name[256] = 0;
	RESULT("mkdir-256", mkdir(name, 0755));
	RESULT("create-256", open(name, O_CREAT | O_WRONLY, 0644));
	RESULT("open-256", open(name, O_RDONLY));
	RESULT("unlink-256", unlink(name));
	RESULT("symlink-256", symlink("t", name));
	RESULT("access-256", access(name, F_OK));
	put_file("f", "", 0644);
	RESULT("rename-to-256", rename("f", name));
	RESULT("rename-from-256", rename(name, "f"));
	RESULT("link-to-256", link("f", name));
	RESULT("link-missing-to-256", link("none", name));
	RESULT("rename-missing-to-256", rename("none", name));

	/* "./././f": PATH_MAX counts the zero at the end */
	path = malloc(PATH_MAX + 16);
	MUST(path);
	for (i = 0; i + 1 < PATH_MAX - 2; i += 2)
		memcpy(path + i, "./", 2);
	strcpy(path + i, "f");
	MUST(strlen(path) == PATH_MAX - 1);
	RESULT("path-4095", access(path, F_OK));
	memmove(path + 2, path, PATH_MAX);
	RESULT("path-4097", access(path, F_OK));
	RESULT("symlink-target-4097", symlink(path, "s"));
	path[PATH_MAX - 1] = 0;
	RESULT("symlink-target-4095", symlink(path, "s"));
	line("symlink-size-4095", "%ld", size_of("s"));
	RESULT("readlink-4095", readlink("s", path, PATH_MAX));
	RESULT("readlink-short", readlink("s", path, 10));
	unlink("s");
	RESULT("readlink-file", readlink("f", path, 10));
	RESULT("symlink-empty", symlink("", "s"));
	RESULT("mkdir-empty", mkdir("", 0755));
	RESULT("open-empty", open("", O_RDONLY));
	free(path);
	unlink("f");
}

/* Every byte but '/' and 0 is a name, and no two of them are the same. */
static void odd_names(void)
{
	int i, made = 0, found = 0;
	char name[8], text[8];

	MUST(!mkdir("bytes", 0755));
	for (i = 1; i < 256; i++) {
		snprintf(name, sizeof(name), "bytes/%c", i);
		if (i == '/' || i == '.')
			continue;
		snprintf(text, sizeof(text), "%d", i);
		put_file(name, text, 0644);
		made++;
	}
	for (i = 1; i < 256; i++) {
		int fd;

		snprintf(name, sizeof(name), "bytes/%c", i);
		if (i == '/' || i == '.')
			continue;
		memset(text, 0, sizeof(text));
		fd = open(name, O_RDONLY);
		if (fd >= 0 && read(fd, text, 7) > 0)
			found += atoi(text) == i;
		close(fd);
		unlink(name);
	}
	line("bytes", "%d %d %s", made, found, rc(rmdir("bytes")));
	RESULT("not-utf8", mkdir("\xff\xfe\xc0\x80", 0755));
	RESULT("not-utf8-remove", rmdir("\xff\xfe\xc0\x80"));
	RESULT("case", mkdir("Case", 0755));
	RESULT("case-other", mkdir("case", 0755));
	RESULT("backslash", mkdir("a\\b\n\t", 0755));
	RESULT("three-dots", mkdir("...", 0755));
	MUST(!rmdir("Case") && !rmdir("case") && !rmdir("a\\b\n\t") && !rmdir("..."));
}

/* ---- the last component ------------------------------------------------------------ */

static void last_components(void)
{
	MUST(!mkdir("d", 0755) && !mkdir("d/e", 0755) && !symlink("d", "to_dir"));
	put_file("f", "", 0644);
	MUST(!symlink("f", "to_file") && !symlink("nowhere", "dangling"));

	RESULT("rmdir-dot", rmdir("d/."));
	RESULT("rmdir-dotdot", rmdir("d/e/.."));
	RESULT("rmdir-root", rmdir("/"));
	RESULT("unlink-dot", unlink("d/."));
	RESULT("unlink-dotdot", unlink("d/.."));
	RESULT("mkdir-dot", mkdir("d/.", 0755));
	RESULT("mkdir-dotdot", mkdir("d/..", 0755));
	RESULT("mkdir-dot-missing", mkdir("none/.", 0755));
	RESULT("rename-dot", rename("d/.", "x"));
	RESULT("rename-dotdot", rename("d/..", "x"));
	RESULT("rename-to-dot", rename("d/e", "d/."));
	RESULT("rename-to-dotdot", rename("f", "d/.."));
	RESULT("link-to-dot", link("f", "d/."));
	RESULT("create-dot", open("d/.", O_CREAT | O_WRONLY, 0644));
	RESULT("symlink-dot", symlink("t", "d/."));

	RESULT("mkdir-slash", mkdir("m/", 0755));
	RESULT("mkdir-slashes", mkdir("m2///", 0755));
	RESULT("rmdir-slash", rmdir("m/"));
	RESULT("rmdir-slashes", rmdir("m2//"));
	RESULT("create-slash", open("n/", O_CREAT | O_WRONLY, 0644));
	RESULT("open-file-slash", open("f/", O_RDONLY));
	RESULT("open-file-dot", open("f/.", O_RDONLY));
	RESULT("stat-file-slash", access("f/", F_OK));
	RESULT("unlink-file-slash", unlink("f/"));
	RESULT("unlink-dir-slash", unlink("d/"));
	RESULT("mknod-slash", mknod("n/", S_IFIFO | 0644, 0));
	RESULT("symlink-slash", symlink("t", "n/"));
	RESULT("link-slash", link("f", "n/"));
	RESULT("link-from-slash", link("f/", "n"));
	RESULT("rename-file-slash", rename("f/", "g"));
	RESULT("rename-to-slash", rename("f", "g/"));
	RESULT("rename-dir-slash", rename("d/", "g/"));
	RESULT("rename-dir-slash-back", rename("g/", "d"));

	RESULT("mkdir-over-symlink", mkdir("dangling", 0755));
	RESULT("mkdir-over-symlink-slash", mkdir("dangling/", 0755));
	RESULT("mkdir-over-dir-symlink", mkdir("to_dir", 0755));
	RESULT("rmdir-symlink", rmdir("to_dir"));
	RESULT("rmdir-symlink-slash", rmdir("to_dir/"));
	RESULT("unlink-symlink-slash", unlink("to_dir/"));
	RESULT("rename-symlink-slash", rename("to_dir/", "x"));
	RESULT("rename-dir-to-symlink", rename("d/e", "to_dir"));
	RESULT("mknod-over-symlink", mknod("dangling", S_IFREG | 0644, 0));
	RESULT("excl-over-symlink", open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0644));
	RESULT("symlink-over-symlink", symlink("x", "dangling"));
	OPENS("create-through-symlink", open("dangling", O_CREAT | O_WRONLY, 0644));
	line("create-through-symlink-made", "%s", mode_of("nowhere"));
	MUST(!unlink("nowhere") && !unlink("dangling") && !unlink("to_file"));
	MUST(!unlink("to_dir") && !unlink("f") && !rmdir("d/e") && !rmdir("d"));
}

/* ---- kinds that do not fit ----------------------------------------------------------- */

static void wrong_kinds(void)
{
	char path[200] = "";
	int i, fd;

	MUST(!mkdir("d", 0755) && !mkdir("d/e", 0755) && !symlink("loop", "loop"));
	put_file("f", "", 0644);
	RESULT("lookup-through-file", access("f/x", F_OK));
	RESULT("create-through-file", open("f/x", O_CREAT | O_WRONLY, 0644));
	RESULT("mkdir-through-file", mkdir("f/x", 0755));
	RESULT("unlink-through-file", unlink("f/x"));
	RESULT("rmdir-through-file", rmdir("f/x"));
	RESULT("rename-through-file", rename("f/x", "y"));
	RESULT("rename-to-through-file", rename("d", "f/y"));
	RESULT("mkdir-missing-parent", mkdir("none/x", 0755));
	RESULT("mkdir-exists", mkdir("d", 0755));
	RESULT("mkdir-exists-file", mkdir("f", 0755));
	RESULT("mknod-exists", mknod("d", S_IFREG | 0644, 0));
	RESULT("mknod-dir", mknod("x", S_IFDIR | 0755, 0));
	RESULT("mknod-symlink", mknod("x", S_IFLNK | 0755, 0));
	RESULT("mknod-bad", mknod("x", 0150000 | 0755, 0));
	RESULT("unlink-dir", unlink("d"));
	RESULT("unlink-missing", unlink("none"));
	RESULT("rmdir-file", rmdir("f"));
	RESULT("rmdir-missing", rmdir("none"));
	RESULT("rmdir-not-empty", rmdir("d"));
	RESULT("link-dir", link("d", "x"));
	RESULT("link-dir-exists", link("d", "f"));
	RESULT("link-missing", link("none", "x"));
	RESULT("link-exists", link("f", "d"));
	RESULT("link-self", link("f", "f"));
	RESULT("link-to-missing-parent", link("f", "none/x"));
	RESULT("link-exdev", link("f", "/dev/shm/keepalive-semantics"));
	RESULT("rename-exdev", rename("f", "/dev/keepalive-semantics"));
	RESULT("rename-missing-exdev", rename("none", "/dev/keepalive-semantics"));
	RESULT("loop-open", open("loop", O_RDONLY));
	RESULT("loop-below", access("loop/x", F_OK));
	RESULT("loop-nofollow", open("loop", O_RDONLY | O_NOFOLLOW));
	RESULT("loop-create", open("loop", O_CREAT | O_WRONLY, 0644));
	RESULT("loop-rename", rename("loop", "loop2"));
	RESULT("loop-unlink", unlink("loop2"));
	RESULT("truncate-dir", truncate("d", 0));
	RESULT("truncate-negative", truncate("f", -1));
	RESULT("truncate-missing", truncate("none", 0));
	RESULT("chdir-file", chdir("f"));
	RESULT("fault-name", mkdir(bad_pointer(), 0755));

	/* The kernel gives up after 40 links. */
	MUST(!symlink("f", "l0"));
	for (i = 1; i <= 41; i++) {
		snprintf(path, sizeof(path), "l%d", i - 1);
		MUST(!symlink(path, fmt("l%d", i)));
	}
	RESULT("links-40", access("l39", F_OK));
	RESULT("links-41", access("l40", F_OK));
	for (i = 0; i <= 41; i++)
		MUST(!unlink(fmt("l%d", i)));

	fd = open("d", O_RDONLY | O_DIRECTORY);
	MUST(!rmdir("d/e") && !rmdir("d"));
	RESULT("removed-dir-mkdir", mkdirat(fd, "x", 0755));
	RESULT("removed-dir-create", openat(fd, "x", O_CREAT | O_WRONLY, 0644));
	RESULT("removed-dir-symlink", symlinkat("t", fd, "x"));
	RESULT("removed-dir-link", linkat(AT_FDCWD, "f", fd, "x", 0));
	RESULT("removed-dir-rename-into", renameat(AT_FDCWD, "f", fd, "x"));
	RESULT("removed-dir-lookup", faccessat(fd, "x", F_OK, 0));
	OPENS("removed-dir-dot", openat(fd, ".", O_RDONLY));
	RESULT("removed-dir-fchmod", fchmod(fd, 0700));
	MUST(!close(fd) && !unlink("f"));
}

/* ---- rename -------------------------------------------------------------------------------- */

static int rename2(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void renames(void)
{
	MUST(!mkdir("d", 0755) && !mkdir("d/e", 0755) && !mkdir("d/e/g", 0755));
	MUST(!mkdir("empty", 0755) && !symlink("none", "s"));
	put_file("f", "f", 0644);
	put_file("g", "gg", 0644);
	RESULT("rename-into-self", rename("d", "d/x"));
	RESULT("rename-into-below", rename("d", "d/e/x"));
	RESULT("rename-onto-child", rename("d", "d/e"));
	RESULT("rename-onto-parent", rename("d/e", "d"));
	RESULT("rename-onto-grandparent", rename("d/e/g", "d"));
	RESULT("rename-self", rename("d", "d"));
	RESULT("rename-file-self", rename("f", "f"));
	RESULT("rename-missing", rename("none", "x"));
	RESULT("rename-missing-to-dir", rename("none", "d"));
	RESULT("rename-missing-parent", rename("f", "none/x"));
	RESULT("rename-file-over-dir", rename("f", "d"));
	RESULT("rename-file-over-empty", rename("f", "empty"));
	RESULT("rename-dir-over-file", rename("d", "f"));
	RESULT("rename-dir-over-symlink", rename("d", "s"));
	RESULT("rename-symlink-over-dir", rename("s", "empty"));
	RESULT("rename-over-full", rename("empty", "d"));
	RESULT("rename-over-empty", rename("d", "empty"));
	RESULT("rename-over-empty-back", rename("empty", "d"));
	RESULT("noreplace-exists", rename2("f", "g", RENAME_NOREPLACE));
	RESULT("noreplace-self", rename2("f", "f", RENAME_NOREPLACE));
	RESULT("noreplace-dir", rename2("f", "d", RENAME_NOREPLACE));
	RESULT("noreplace-into-self", rename2("d", "d/x", RENAME_NOREPLACE));
	RESULT("noreplace-missing", rename2("none", "g", RENAME_NOREPLACE));
	RESULT("noreplace-dot", rename2("d/.", "x", RENAME_NOREPLACE));
	RESULT("noreplace-to-dot", rename2("f", "d/.", RENAME_NOREPLACE));
	RESULT("noreplace", rename2("f", "x", RENAME_NOREPLACE));
	RESULT("exchange-missing-to", rename2("x", "none", RENAME_EXCHANGE));
	RESULT("exchange-missing-from", rename2("none", "x", RENAME_EXCHANGE));
	RESULT("exchange-self", rename2("x", "x", RENAME_EXCHANGE));
	RESULT("exchange", rename2("x", "g", RENAME_EXCHANGE));
	line("exchange-sizes", "%ld %ld", size_of("x"), size_of("g"));
	RESULT("exchange-file-dir", rename2("x", "d/e", RENAME_EXCHANGE));
	line("exchange-file-dir-modes", "%s %s", mode_of("x"), mode_of("d/e"));
	line("exchange-file-dir-links", "%ld %ld", links_of("."), links_of("d"));
	RESULT("exchange-file-dir-back", rename2("d/e", "x", RENAME_EXCHANGE));
	line("exchange-back-links", "%ld %ld", links_of("."), links_of("d"));
	RESULT("exchange-parent", rename2("d", "d/e", RENAME_EXCHANGE));
	RESULT("exchange-child", rename2("d/e/g", "d", RENAME_EXCHANGE));
	RESULT("exchange-slash", rename2("x/", "d", RENAME_EXCHANGE));
	RESULT("exchange-slash-dir", rename2("d/", "x", RENAME_EXCHANGE));
	RESULT("exchange-slash-dir-back", rename2("d", "x/", RENAME_EXCHANGE));
	RESULT("exchange-dot", rename2("d/.", "x", RENAME_EXCHANGE));
	RESULT("flags-both", rename2("x", "g", RENAME_NOREPLACE | RENAME_EXCHANGE));
	RESULT("flags-unknown", rename2("x", "g", 8));
	RESULT("flags-exchange-whiteout", rename2("x", "g", RENAME_EXCHANGE | RENAME_WHITEOUT));
	RESULT("whiteout", rename2("x", "y", RENAME_WHITEOUT));
	wipe();
}

static void rename_open_file(void)
{
	char text[8] = {0};
	struct stat st;
	int old, moved;

	put_file("old", "old", 0644);
	put_file("new", "new!", 0644);
	old = open("old", O_RDWR);
	moved = open("new", O_RDWR);
	MUST(!rename("new", "old") && !fstat(old, &st));
	line("rename-over-open", "links %ld size %ld", (long)st.st_nlink, (long)st.st_size);
	MUST(pread(old, text, 7, 0) == 3);
	line("rename-over-open-reads", "%s", text);
	RESULT("rename-over-open-write", pwrite(old, "OLD+", 4, 0));
	MUST(!fstat(moved, &st));
	line("rename-open-moved", "links %ld size %ld", (long)st.st_nlink, (long)st.st_size);
	RESULT("rename-open-moved-write", pwrite(moved, "NEW!!", 5, 0));
	line("rename-open-result", "%ld", size_of("old"));
	MUST(!close(old) && !close(moved) && !unlink("old"));
}

/* ---- link counts of directories ------------------------------------------------------------- */

static void link_counts(void)
{
	struct stat st;
	int fd;

	MUST(!mkdir("a", 0755) && !mkdir("b", 0755));
	line("nlink-mkdir", "%ld", links_of("a"));
	MUST(!mkdir("a/x", 0755) && !mkdir("a/y", 0755) && !mkdir("a/x/z", 0755));
	line("nlink-two-below", "%ld %ld", links_of("a"), links_of("a/x"));
	put_file("a/f", "", 0644);
	line("nlink-file-below", "%ld", links_of("a"));
	MUST(!rename("a/x", "b/x"));
	line("nlink-moved", "%ld %ld %ld", links_of("a"), links_of("b"), links_of("b/x"));
	MUST(!rename("a/y", "a/w"));
	line("nlink-renamed", "%ld", links_of("a"));
	fd = open("b/x/z", O_RDONLY | O_DIRECTORY);
	MUST(!rename("a/w", "b/x/z"));
	line("nlink-replaced", "%ld %ld %ld", links_of("a"), links_of("b"), links_of("b/x"));
	MUST(!fstat(fd, &st));
	line("nlink-of-replaced", "%ld", (long)st.st_nlink);
	close(fd);
	fd = open("b/x/z", O_RDONLY | O_DIRECTORY);
	MUST(!rmdir("b/x/z"));
	line("nlink-rmdir", "%ld", links_of("b/x"));
	MUST(!fstat(fd, &st));
	line("nlink-of-removed", "%ld", (long)st.st_nlink);
	MUST(!close(fd) && !rmdir("b/x") && !unlink("a/f"));
	line("nlink-end", "%ld %ld", links_of("a"), links_of("b"));
	MUST(!rmdir("a") && !rmdir("b"));
}

/* Where am I: the kernel's dentries against what the filesystem says. */
static void working_directory(void)
{
	char path[PATH_MAX];
	int back = open(".", O_RDONLY | O_DIRECTORY);

	MUST(!mkdir("a", 0755) && !mkdir("a/b", 0755) && !chdir("a/b"));
	MUST(!rename("../../a", "../../c") && getcwd(path, sizeof(path)));
	line("cwd-moved", "%s", strstr(path, "/c/b") ? "follows" : path);
	RESULT("cwd-remove", rmdir("../../c/b"));
	line("cwd-removed", "%s", getcwd(path, sizeof(path)) ? "a path" : rc(-1));
	RESULT("cwd-removed-mkdir", mkdir("x", 0755));
	RESULT("cwd-removed-up", access("../..", F_OK));
	OPENS("cwd-removed-open", open(".", O_RDONLY));
	MUST(!fchdir(back) && !rmdir("c") && !close(back));
}

void test_names(void)
{
	long_names();
	odd_names();
	last_components();
	wrong_kinds();
	renames();
	rename_open_file();
	link_counts();
	working_directory();
}

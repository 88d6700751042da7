/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_ops.c - system calls on a mounted filesystem, each with what it must
 * leave. fuse_ops DIR: an empty directory on the mount. The semantics of each
 * operation are tested on the core (tests/unit/test_ops.c); this is about what
 * the way through the kernel adds: the right call, the right errno, caches.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static int failures;

#define CHECK(what)                                                                    \
	do {                                                                           \
		if (!(what)) {                                                         \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, \
				strerror(errno));                                      \
			if (++failures == 20)                                          \
				exit(1);                                               \
		}                                                                      \
	} while (0)
#define CHECK_ERR(call, error) CHECK((errno = 0, (call) < 0 && errno == (error)))

static void put_file(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static const char *get_file(const char *name)
{
	static char text[4096];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	close(fd);
	return text;
}

static nlink_t links(const char *name)
{
	struct stat st;

	return lstat(name, &st) ? 0 : st.st_nlink;
}

static void test_names(void)
{
	char longname[300], target[64];
	struct stat st;

	memset(longname, 'n', 256);
	longname[256] = 0;
	CHECK_ERR(mkdir(longname, 0755), ENAMETOOLONG);
	longname[255] = 0;
	CHECK(!mkdir(longname, 0755) && !rmdir(longname));
	CHECK(!mkdir("d", 0755) && links("d") == 2);
	CHECK(!mkdir("d/e", 0755) && links("d") == 3);
	CHECK_ERR(mkdir("d", 0755), EEXIST);
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK_ERR(unlink("d"), EISDIR);
	put_file("f", "one");
	CHECK_ERR(rmdir("f"), ENOTDIR);
	CHECK_ERR(open("f/x", O_RDONLY), ENOTDIR);
	CHECK_ERR(unlink("none"), ENOENT);
	CHECK(!link("f", "g") && links("f") == 2 && !strcmp(get_file("g"), "one"));
	CHECK_ERR(link("f", "g"), EEXIST);
	CHECK_ERR(link("d", "h"), EPERM);
	CHECK(!unlink("f") && links("g") == 1);
	CHECK(!symlink("d/e", "s") && readlink("s", target, sizeof(target)) == 3);
	CHECK(!lstat("s", &st) && S_ISLNK(st.st_mode) && st.st_size == 3);
	CHECK(!stat("s", &st) && S_ISDIR(st.st_mode));
	CHECK(!mknod("p", S_IFIFO | 0600, 0) && !stat("p", &st) && S_ISFIFO(st.st_mode));
	if (!geteuid())
		CHECK(!mknod("c", S_IFCHR | 0600, makedev(259, 1048575)) && !stat("c", &st) &&
		      st.st_rdev == makedev(259, 1048575) && !unlink("c"));
	CHECK(!unlink("s") && !unlink("p") && !unlink("g") && !rmdir("d/e") && !rmdir("d"));
}

static void test_rename(void)
{
	CHECK(!mkdir("a", 0755) && !mkdir("b", 0755) && !mkdir("a/sub", 0755));
	put_file("x", "x");
	put_file("y", "y");
	CHECK_ERR(renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_NOREPLACE), EEXIST);
	CHECK(!renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_EXCHANGE));
	CHECK(!strcmp(get_file("x"), "y") && !strcmp(get_file("y"), "x"));
	CHECK_ERR(renameat2(AT_FDCWD, "x", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
	CHECK(!renameat2(AT_FDCWD, "x", AT_FDCWD, "a", RENAME_EXCHANGE));
	CHECK(links("x") == 3 && !strcmp(get_file("a"), "y"));
	CHECK(!renameat2(AT_FDCWD, "x", AT_FDCWD, "a", RENAME_EXCHANGE));
	CHECK(!rename("x", "y") && !strcmp(get_file("y"), "y"));
	CHECK_ERR(rename("x", "y"), ENOENT);
	CHECK_ERR(rename("a", "a/sub/below"), EINVAL);
	CHECK_ERR(rename("y", "b"), EISDIR);
	CHECK_ERR(rename("b", "y"), ENOTDIR);
	CHECK_ERR(rename("b", "a"), ENOTEMPTY);
	CHECK(!rename("a/sub", "b") && links("a") == 2);
	CHECK(!unlink("y") && !rmdir("a") && !rmdir("b"));
}

static void test_open_unlinked(void)
{
	char text[8] = {0};
	struct stat st;
	int fd;

	put_file("u", "gone");
	fd = open("u", O_RDWR);
	CHECK(fd >= 0 && !unlink("u"));
	CHECK_ERR(open("u", O_RDONLY), ENOENT);
	CHECK(!fstat(fd, &st) && st.st_nlink == 0 && st.st_size == 4);
	CHECK(pwrite(fd, "on", 2, 2) == 2 && pread(fd, text, 8, 0) == 4 && !strcmp(text, "goon"));
	CHECK(!ftruncate(fd, 1) && pread(fd, text, 8, 0) == 1);
	close(fd);
}

static void test_attributes(void)
{
	struct timespec times[2] = {{-1, 999999999}, {5000000000, 1}};
	struct stat st;

	put_file("t", "1234567890");
	CHECK(!utimensat(AT_FDCWD, "t", times, 0) && !stat("t", &st));
	CHECK(st.st_atim.tv_sec == -1 && st.st_atim.tv_nsec == 999999999);
	CHECK(st.st_mtim.tv_sec == 5000000000 && st.st_mtim.tv_nsec == 1);
	CHECK(!chmod("t", 04711) && !stat("t", &st) && (st.st_mode & 07777) == 04711);
	CHECK(!truncate("t", 4) && !strcmp(get_file("t"), "1234"));
	CHECK(!stat("t", &st) && st.st_mtim.tv_sec != 5000000000);
	CHECK(!truncate("t", 6) && !stat("t", &st) && st.st_size == 6);
	CHECK(!memcmp(get_file("t"), "1234\0", 6));
	CHECK(st.st_blksize == 1 << 20);
	if (!geteuid()) {
		CHECK(!chown("t", 1234, 4321) && !stat("t", &st));
		CHECK(st.st_uid == 1234 && st.st_gid == 4321 && !(st.st_mode & S_ISUID));
	}
	CHECK_ERR(truncate(".", 0), EISDIR);
	CHECK(!unlink("t"));
}

static void test_xattrs(void)
{
	static char large[65536], back[65537];
	char list[256];

	put_file("x", "");
	memset(large, 'v', sizeof(large));
	CHECK(!setxattr("x", "user.a", "1", 1, XATTR_CREATE));
	CHECK_ERR(setxattr("x", "user.a", "1", 1, XATTR_CREATE), EEXIST);
	CHECK_ERR(setxattr("x", "user.b", "1", 1, XATTR_REPLACE), ENODATA);
	CHECK(!setxattr("x", "user.big", large, sizeof(large), 0));
	CHECK(getxattr("x", "user.big", back, sizeof(back)) == (ssize_t)sizeof(large));
	CHECK(!memcmp(large, back, sizeof(large)));
	CHECK_ERR(getxattr("x", "user.big", back, 10), ERANGE);
	CHECK(getxattr("x", "user.big", NULL, 0) == (ssize_t)sizeof(large));
	CHECK_ERR(getxattr("x", "user.none", back, 10), ENODATA);
	CHECK(!setxattr("x", "user.empty", NULL, 0, 0) && !getxattr("x", "user.empty", back, 10));
	CHECK(listxattr("x", list, sizeof(list)) == 7 + 9 + 11);
	CHECK(!removexattr("x", "user.a"));
	CHECK_ERR(removexattr("x", "user.a"), ENODATA);
	if (!geteuid()) {
		CHECK(!setxattr("x", "trusted.t", "t", 1, 0));
		CHECK(!setxattr("x", "security.s", "s", 1, 0));
		CHECK(getxattr("x", "trusted.t", back, 10) == 1);
	}
	CHECK(!unlink("x"));
}

static off_t seek_to(int fd, off_t off, int whence)
{
	errno = 0;
	return lseek(fd, off, whence);
}

static void test_space(void)
{
	int fd = open("s", O_CREAT | O_RDWR, 0644);
	struct stat st;
	char text[8];

	CHECK(fd >= 0 && pwrite(fd, "data", 4, 1 << 20) == 4);
	CHECK(seek_to(fd, 0, SEEK_DATA) == 1 << 20 && seek_to(fd, 0, SEEK_HOLE) == 0);
	CHECK(seek_to(fd, 1 << 20, SEEK_HOLE) == (1 << 20) + 4);
	CHECK_ERR(seek_to(fd, (1 << 20) + 4, SEEK_DATA), ENXIO);
	CHECK(!fallocate(fd, 0, 0, 1 << 19) && !fstat(fd, &st) && st.st_blocks >= 1 << 10);
	CHECK(st.st_size == (1 << 20) + 4 && seek_to(fd, 0, SEEK_DATA) == 1 << 20);
	CHECK(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 2 << 20, 4096));
	CHECK(!fstat(fd, &st) && st.st_size == (1 << 20) + 4);
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (1 << 20) + 1, 2));
	CHECK(pread(fd, text, 8, 1 << 20) == 4 && !memcmp(text, "d\0\0a", 4));
	CHECK(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 1 << 20, 8));
	CHECK(pread(fd, text, 8, 1 << 20) == 8 && !memcmp(text, "\0\0\0\0\0\0\0", 8));
	CHECK_ERR(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	CHECK_ERR(fallocate(fd, 0, 0, 1ll << 50), ENOSPC);
	close(fd);
	CHECK(!unlink("s"));
}

/* What was promised to one file is not promised to another. */
static void test_promises(void)
{
	struct statvfs fs;
	struct stat st;
	off_t some, from = 0, to = 0;
	int one = open("one", O_CREAT | O_RDWR, 0644), two = open("two", O_CREAT | O_RDWR, 0644);

	CHECK(!fstatvfs(one, &fs));
	some = (off_t)(fs.f_bavail * fs.f_frsize / 3 * 2);
	CHECK(!fallocate(one, 0, 0, some));
	CHECK_ERR(fallocate(two, 0, 0, some), ENOSPC);
	CHECK(copy_file_range(one, &from, two, &to, (size_t)some, 0) == some);
	CHECK(!fstat(two, &st) && st.st_size == some && st.st_blocks == 0);
	close(one);
	close(two);
	CHECK(!unlink("one") && !unlink("two"));
}

static void test_copy_range(void)
{
	off_t from = 2, to = 1;
	int in, out;

	put_file("in", "0123456789");
	put_file("out", "abcdefghij");
	in = open("in", O_RDWR);
	out = open("out", O_RDWR);
	CHECK(copy_file_range(in, &from, out, &to, 5, 0) == 5);
	CHECK(!strcmp(get_file("out"), "a23456ghij"));
	CHECK(pwrite(in, "XXXX", 4, 2) == 4 && !strcmp(get_file("out"), "a23456ghij"));
	from = 8;
	to = 10;
	CHECK(copy_file_range(in, &from, out, &to, 100, 0) == 2);
	CHECK(!strcmp(get_file("out"), "a23456ghij89"));
	close(in);
	close(out);
	CHECK(!unlink("in") && !unlink("out"));
}

/* One file through a mapping, a cached handle and a write-only one at once. */
static void test_coherence(void)
{
	int rw, wo, ro, i;
	char text[16];
	char *map;

	put_file("m", "0123456789abcdef");
	rw = open("m", O_RDWR);
	ro = open("m", O_RDONLY);
	CHECK(pread(ro, text, 16, 0) == 16);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0);
	CHECK(map != MAP_FAILED && map[3] == '3');
	wo = open("m", O_WRONLY);
	for (i = 0; i < 100; i++) {
		char c = (char)('A' + i % 26);

		CHECK(pwrite(wo, &c, 1, 3) == 1);
		CHECK(map[3] == c);
		CHECK(pread(ro, text, 16, 0) == 16 && text[3] == c);
		map[5] = c;
		CHECK(!msync(map, 4096, MS_SYNC));
		CHECK(pread(rw, text, 16, 0) == 16 && text[5] == c && text[3] == c);
	}
	CHECK(!munmap(map, 4096));
	close(wo);
	close(ro);
	close(rw);
	CHECK(get_file("m")[5] == 'A' + 99 % 26);
	wo = open("m", O_WRONLY | O_APPEND);
	CHECK(write(wo, "++", 2) == 2);
	close(wo);
	CHECK(!strcmp(get_file("m") + 14, "ef++"));
	wo = open("m", O_WRONLY | O_TRUNC);
	CHECK(!strcmp(get_file("m"), "") && write(wo, "new", 3) == 3);
	close(wo);
	CHECK(!strcmp(get_file("m"), "new") && !unlink("m"));
}

/* Neither repeats nor skips, while others come and go. */
static void test_readdir(void)
{
	static uint8_t seen[2000];
	struct dirent *de;
	long half = 0;
	char name[32];
	int i, n = 0;
	DIR *dir;

	CHECK(!mkdir("many", 0755));
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK(!mknod(name, S_IFREG | 0644, 0));
	}
	dir = opendir("many");
	while ((de = readdir(dir))) {
		i = atoi(de->d_name);
		if (de->d_name[0] == '.' || i >= 2000)
			continue;
		seen[i]++;
		if (++n == 1000)
			half = telldir(dir);
		snprintf(name, sizeof(name), "many/%d", 5000 + n);
		CHECK(!mknod(name, S_IFREG | 0644, 0) && !unlink(name));
		snprintf(name, sizeof(name), "many/%d", i);
		if (i % 2)
			CHECK(!unlink(name));
	}
	for (i = 0; i < 2000; i++)
		CHECK(seen[i] == 1);
	/* An open stream may go on to show what was removed (POSIX), not less. */
	seekdir(dir, half);
	for (n = 0; (de = readdir(dir));)
		n += atoi(de->d_name) % 2 == 0;
	CHECK(n == 500);
	rewinddir(dir);
	for (n = 0; (de = readdir(dir)); n++)
		;
	CHECK(n == 1002);
	closedir(dir);
	for (i = 0; i < 2000; i += 2) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK(!unlink(name));
	}
	CHECK(!rmdir("many"));
}

static void test_statfs(void)
{
	struct statvfs before, after;
	int fd;

	CHECK(!statvfs(".", &before) && before.f_namemax == 255 && before.f_bavail > 0);
	fd = open("big", O_CREAT | O_WRONLY, 0644);
	CHECK(!fallocate(fd, 0, 0, 32 << 20));
	close(fd);
	CHECK(!statvfs(".", &after) && after.f_files > 0);
	CHECK(!unlink("big"));
	CHECK(before.f_bavail * before.f_frsize >= after.f_bavail * after.f_frsize);
}

static void test_full(void)
{
	static char megabyte[1 << 20];
	char name[32];
	ssize_t n = 0;
	int i, fd;

	memset(megabyte, 'f', sizeof(megabyte));
	fd = open("full", O_CREAT | O_WRONLY, 0644);
	while ((n = write(fd, megabyte, sizeof(megabyte))) > 0)
		;
	CHECK(n < 0 && errno == ENOSPC);
	close(fd);
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fd = open(name, O_CREAT | O_WRONLY, 0644);
		if (fd >= 0)
			close(fd);
	}
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CHECK(!unlink(name) || errno == ENOENT);
	}
	CHECK(!unlink("full"));
	fd = open("again", O_CREAT | O_WRONLY, 0644);
	for (i = 0; i < 32; i++)
		CHECK(write(fd, megabyte, sizeof(megabyte)) == sizeof(megabyte));
	close(fd);
	CHECK(!unlink("again"));
}

int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		return 2;
	umask(0);
	test_names();
	test_rename();
	test_open_unlinked();
	test_attributes();
	test_xattrs();
	test_space();
	test_promises();
	test_copy_range();
	test_coherence();
	test_readdir();
	test_statfs();
	test_full();
	if (failures)
		fprintf(stderr, "%d checks failed\n", failures);
	return failures ? 1 : 0;
}

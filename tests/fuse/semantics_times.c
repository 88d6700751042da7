/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_times.c - which operation changes which times of which files. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "semantics.h"

#define WATCHED 4
#define OLD	1000000000 /* seconds: long ago, so that relatime lets atime change */

/* An open path: follows a file to its new name, and beyond its last one. */
struct watch {
	const char *name;
	int fd;
	struct stat before;
};

static struct watch watched[WATCHED];
static unsigned count;

/* With "." for the directory that all of it happens in. */
static void watch(const char *path)
{
	const struct timespec old[2] = {{OLD, 0}, {OLD, 0}};
	struct watch *w = &watched[count++];

	MUST(count <= WATCHED);
	w->name = path;
	MUST(!utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW));
	w->fd = open(path, O_PATH | O_NOFOLLOW);
	MUST(w->fd >= 0);
}

/* The clock goes on: what the operation stamps is seen to be new. */
static void begin(void)
{
	unsigned i;

	for (i = 0; i < count; i++)
		MUST(!fstat(watched[i].fd, &watched[i].before));
	pause_us(TICK_US);
}

static char differs(struct timespec a, struct timespec b, char letter)
{
	return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec ? letter : '-';
}

static void end(const char *name, const char *result)
{
	char text[256] = "";
	struct stat st;
	unsigned i;

	for (i = 0; i < count; i++) {
		struct watch *w = &watched[i];

		MUST(!fstat(w->fd, &st) && !close(w->fd));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s=%c%c%c", w->name,
			 differs(st.st_atim, w->before.st_atim, 'a'),
			 differs(st.st_mtim, w->before.st_mtim, 'm'),
			 differs(st.st_ctim, w->before.st_ctim, 'c'));
	}
	line(name, "%s%s", result, text);
	count = 0;
}

/* The files named (NULL: none) and the directory are watched through one call. */
#define TIMES(name, a, b, c, call)                \
	do {                                      \
		watch_all(a, b, c);               \
		end(name, (errno = 0, rc(call))); \
	} while (0)

static void watch_all(const char *a, const char *b, const char *c)
{
	if (a)
		watch(a);
	if (b)
		watch(b);
	if (c)
		watch(c);
	begin();
}

/* ---- names --------------------------------------------------------------------- */

static void names(void)
{
	MUST(!mkdir("sub", 0755));
	TIMES("create", ".", NULL, NULL, close(open("f", O_CREAT | O_EXCL | O_WRONLY, 0644)));
	TIMES("create-again", ".", "f", NULL, close(open("f", O_CREAT | O_WRONLY, 0644)));
	TIMES("create-exists", ".", "f", NULL, open("f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	TIMES("mknod", ".", NULL, NULL, mknod("p", S_IFIFO | 0644, 0));
	TIMES("mkdir", ".", NULL, NULL, mkdir("d", 0755));
	TIMES("symlink", ".", NULL, NULL, symlink("f", "s"));
	TIMES("link", ".", "f", "sub", link("f", "sub/g"));
	TIMES("link-exists", ".", "f", "sub", link("f", "sub/g"));
	TIMES("unlink-one-of-two", ".", "f", "sub", unlink("sub/g"));
	TIMES("rename-same-dir", ".", "f", "sub", rename("f", "g"));
	TIMES("rename-cross-dir", ".", "g", "sub", rename("g", "sub/f"));
	TIMES("rename-to-itself", ".", "sub/f", "sub", rename("sub/f", "sub/f"));
	put_file("g", "", 0644);
	TIMES("rename-replacing", ".", "g", "sub/f", rename("g", "sub/f"));
	MUST(!link("sub/f", "f"));
	TIMES("rename-same-file", ".", "f", "sub", rename("f", "sub/f"));
	MUST(!unlink("f"));
	put_file("f", "", 0644);
	TIMES("exchange", ".", "f", "sub/f",
	      renameat2(AT_FDCWD, "f", AT_FDCWD, "sub/f", RENAME_EXCHANGE));
	TIMES("exchange-dirs", ".", "sub", "sub/f",
	      renameat2(AT_FDCWD, "f", AT_FDCWD, "sub/f", RENAME_EXCHANGE));
	TIMES("rename-noreplace-fails", ".", "f", "sub",
	      renameat2(AT_FDCWD, "f", AT_FDCWD, "sub/f", RENAME_NOREPLACE));
	TIMES("rename-dir", ".", "d", NULL, rename("d", "e"));
	TIMES("rename-dir-cross", ".", "e", "sub", rename("e", "sub/e"));
	MUST(!mkdir("d", 0755));
	TIMES("rename-dir-replacing", "d", "sub", "sub/e", rename("d", "sub/e"));
	TIMES("rmdir", "sub", "sub/e", NULL, rmdir("sub/e"));
	TIMES("rmdir-fails", ".", "sub", NULL, rmdir("sub"));
	TIMES("unlink", ".", "f", NULL, unlink("f"));
	TIMES("unlink-symlink", ".", "s", NULL, unlink("s"));
	TIMES("unlink-fails", ".", NULL, NULL, unlink("none"));
	MUST(!unlink("p") && !unlink("sub/f") && !rmdir("sub"));
}

/* ---- attributes ---------------------------------------------------------------------- */

static void attributes(void)
{
	const struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
	const struct timespec only_a[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
	const struct timespec only_m[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
	const struct timespec set_m[2] = {{0, UTIME_OMIT}, {77, 7}};
	const struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	const struct timespec same[2] = {{OLD, 0}, {OLD, 0}};

	put_file("f", "0123456789", 0644);
	MUST(!symlink("f", "s") && !mkdir("d", 0755));
	TIMES("chmod", ".", "f", NULL, chmod("f", 0600));
	TIMES("chmod-same", ".", "f", NULL, chmod("f", 0600));
	TIMES("chmod-dir", ".", "d", NULL, chmod("d", 0700));
	TIMES("chown", ".", "f", NULL, chown("f", ALICE, BOB));
	TIMES("chown-same", ".", "f", NULL, chown("f", ALICE, BOB));
	TIMES("chown-nothing", ".", "f", NULL, chown("f", (uid_t)-1, (gid_t)-1));
	TIMES("lchown", ".", "s", "f", lchown("s", ALICE, BOB));
	TIMES("utimes-now", "f", NULL, NULL, utimensat(AT_FDCWD, "f", now, 0));
	TIMES("utimes-null", "f", NULL, NULL, utimensat(AT_FDCWD, "f", NULL, 0));
	TIMES("utimes-atime", "f", NULL, NULL, utimensat(AT_FDCWD, "f", only_a, 0));
	TIMES("utimes-mtime", "f", NULL, NULL, utimensat(AT_FDCWD, "f", only_m, 0));
	TIMES("utimes-set", "f", NULL, NULL, utimensat(AT_FDCWD, "f", set_m, 0));
	TIMES("utimes-same", "f", NULL, NULL, utimensat(AT_FDCWD, "f", same, 0));
	TIMES("utimes-omit", "f", NULL, NULL, utimensat(AT_FDCWD, "f", omit, 0));
	TIMES("utimes-symlink", "s", "f", NULL, utimensat(AT_FDCWD, "s", now, AT_SYMLINK_NOFOLLOW));
	TIMES("setxattr", "f", NULL, NULL, setxattr("f", "user.x", "1", 1, 0));
	TIMES("setxattr-same", "f", NULL, NULL, setxattr("f", "user.x", "1", 1, 0));
	TIMES("setxattr-fails", "f", NULL, NULL, setxattr("f", "user.x", "1", 1, XATTR_CREATE));
	TIMES("setxattr-dir", "d", NULL, NULL, setxattr("d", "user.x", "1", 1, 0));
	TIMES("getxattr", "f", NULL, NULL, getxattr("f", "user.x", NULL, 0));
	TIMES("removexattr", "f", NULL, NULL, removexattr("f", "user.x"));
	TIMES("removexattr-fails", "f", NULL, NULL, removexattr("f", "user.x"));
	TIMES("truncate-same", "f", NULL, NULL, truncate("f", 10));
	TIMES("truncate-shorter", "f", NULL, NULL, truncate("f", 5));
	TIMES("truncate-longer", "f", NULL, NULL, truncate("f", 5000));
	TIMES("open-trunc", "f", NULL, NULL, close(open("f", O_RDWR | O_TRUNC)));
	TIMES("open-trunc-empty", "f", NULL, NULL, close(open("f", O_WRONLY | O_TRUNC)));
	TIMES("truncate-empty", "f", NULL, NULL, truncate("f", 0));
	MUST(!unlink("f") && !unlink("s") && !rmdir("d"));
}

static void ftruncates(void)
{
	int fd = open("f", O_CREAT | O_RDWR, 0644);

	MUST(write(fd, "0123456789", 10) == 10);
	TIMES("ftruncate-same", "f", NULL, NULL, ftruncate(fd, 10));
	TIMES("ftruncate-shorter", "f", NULL, NULL, ftruncate(fd, 9));
	TIMES("ftruncate-longer", "f", NULL, NULL, ftruncate(fd, 20));
	TIMES("fchmod", "f", NULL, NULL, fchmod(fd, 0600));
	TIMES("fchown", "f", NULL, NULL, fchown(fd, ALICE, ALICE));
	TIMES("futimens", "f", NULL, NULL, futimens(fd, NULL));
	TIMES("fsetxattr", "f", NULL, NULL, fsetxattr(fd, "user.x", "1", 1, 0));
	TIMES("fsync", "f", NULL, NULL, fsync(fd));
	MUST(!close(fd) && !unlink("f"));
}

/* ---- data -------------------------------------------------------------------------------- */

static void writes(const char *how, int flags)
{
	const struct iovec iov = {(char[]){"v"}, 1};
	int fd, from;

	put_zeros("f", 64 << 10);
	put_zeros("from", 64 << 10);
	fd = open("f", flags);
	from = open("from", O_RDONLY);
	MUST(fd >= 0 && from >= 0);
	TIMES(fmt("%s-write", how), "f", NULL, NULL, write(fd, "w", 1));
	TIMES(fmt("%s-write-nothing", how), "f", NULL, NULL, write(fd, "w", 0));
	TIMES(fmt("%s-pwrite", how), "f", NULL, NULL, pwrite(fd, "w", 1, 3));
	TIMES(fmt("%s-pwrite-beyond", how), "f", NULL, NULL, pwrite(fd, "w", 1, 100000));
	TIMES(fmt("%s-pwritev", how), "f", NULL, NULL, pwritev(fd, &iov, 1, 5));
	TIMES(fmt("%s-fallocate-inside", how), "f", NULL, NULL, fallocate(fd, 0, 0, 4096));
	TIMES(fmt("%s-fallocate-longer", how), "f", NULL, NULL, fallocate(fd, 0, 0, 200000));
	TIMES(fmt("%s-fallocate-keep", how), "f", NULL, NULL,
	      fallocate(fd, FALLOC_FL_KEEP_SIZE, 1 << 20, 65536));
	TIMES(fmt("%s-punch", how), "f", NULL, NULL,
	      fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
	TIMES(fmt("%s-punch-hole-again", how), "f", NULL, NULL,
	      fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
	TIMES(fmt("%s-zero-range", how), "f", NULL, NULL,
	      fallocate(fd, FALLOC_FL_ZERO_RANGE, 8192, 8192));
	TIMES(fmt("%s-copy-file-range", how), "f", "from", NULL,
	      copy_file_range(from, NULL, fd, NULL, 8192, 0));
	MUST(lseek(from, 0, SEEK_END) == 64 << 10);
	TIMES(fmt("%s-copy-file-range-nothing", how), "f", "from", NULL,
	      copy_file_range(from, NULL, fd, NULL, 8192, 0));
	MUST(!lseek(from, 0, SEEK_SET));
	TIMES(fmt("%s-sendfile", how), "f", "from", NULL, sendfile(fd, from, NULL, 8192));
	watch_all("f", NULL, NULL);
	close(fd);
	end(fmt("%s-close", how), "ok");
	MUST(!close(from) && !unlink("f") && !unlink("from"));
}

/* The kernel reckons with the first store after a page was clean. */
static void mapped(void)
{
	char *map;
	int fd;

	put_zeros("f", 8192);
	fd = open("f", O_RDWR);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(map != MAP_FAILED);
	/* Reading by page faults may count when it happens, or all at once at mmap. */
	MUST(!((volatile char *)map)[0] && !((volatile char *)map)[4096]);
	watch_all("f", NULL, NULL);
	map[0] = 'x';
	end("mmap-store-msync", rc(msync(map, 8192, MS_SYNC)));
	watch_all("f", NULL, NULL);
	map[1] = 'y';
	end("mmap-store-again-msync", rc(msync(map, 8192, MS_SYNC)));
	watch_all("f", NULL, NULL);
	end("mmap-msync-clean", rc(msync(map, 8192, MS_SYNC)));
	watch_all("f", NULL, NULL);
	map[4096] = 'z';
	MUST(!munmap(map, 8192));
	end("mmap-store-fsync", rc(fsync(fd)));
	MUST(!close(fd) && !unlink("f"));
}

/* ---- reading: relatime --------------------------------------------------------------------- */

static long list_dir(const char *path)
{
	DIR *dir = opendir(path);
	long n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static long read_file(const char *path, int flags)
{
	char text[16];
	int fd = open(path, flags);
	long n = read(fd, text, sizeof(text));

	close(fd);
	return n;
}

static long map_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	volatile char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	long ret = map[0];

	munmap((void *)map, 4096);
	close(fd);
	return ret;
}

static void reads(void)
{
	const struct timespec fresh[2] = {{0, UTIME_NOW}, {OLD, 0}};
	char target[16];
	struct stat st;
	int out;

	put_file("f", "text", 0644);
	MUST(!symlink("f", "s") && !mkdir("d", 0755));
	put_file("d/f", "", 0644);
	out = open("/dev/null", O_WRONLY);
	TIMES("read", "f", NULL, NULL, read_file("f", O_RDONLY));
	TIMES("read-rdwr", "f", NULL, NULL, read_file("f", O_RDWR));
	TIMES("read-noatime", "f", NULL, NULL, read_file("f", O_RDONLY | O_NOATIME));
	TIMES("open-close", "f", NULL, NULL, close(open("f", O_RDONLY)));
	TIMES("mmap-read", "f", NULL, NULL, map_file("f"));
	TIMES("readlink", "s", "f", NULL, readlink("s", target, sizeof(target)));
	TIMES("readlink-again", "s", "f", NULL, readlink("s", target, sizeof(target)));
	TIMES("follow-symlink", "s", "f", NULL, stat("s", &st));
	TIMES("readdir", "d", NULL, NULL, list_dir("d"));
	TIMES("readdir-again", "d", NULL, NULL, list_dir("d"));
	TIMES("lookup", "d", "f", NULL, stat("d/f", &st));
	TIMES("access", "f", NULL, NULL, access("f", R_OK));
	watch("f");
	MUST(!utimensat(AT_FDCWD, "f", fresh, 0));
	begin();
	end("read-relatime-fresh", rc(read_file("f", O_RDONLY)));
	/* atime is not younger than mtime any more */
	watch("f");
	MUST(!utimensat(AT_FDCWD, "f", fresh, 0));
	pause_us(TICK_US);
	MUST(!truncate("f", 3));
	begin();
	end("read-relatime-after-write", rc(read_file("f", O_RDONLY)));
	watch("f");
	begin();
	MUST(read_file("f", O_RDONLY) == 3);
	MUST(!fstat(watched[0].fd, &watched[0].before));
	pause_us(TICK_US);
	end("read-relatime-second", rc(read_file("f", O_RDONLY)));
	MUST(!close(out) && !unlink("f") && !unlink("s") && !unlink("d/f") && !rmdir("d"));
}

/* ---- what times can be ------------------------------------------------------------------------ */

static void values(void)
{
	/* ext4 ends in 2446; 15032385535 is its last second. */
	static const struct timespec list[] = {
		{0, 0},
		{0, 999999999},
		{1, 1},
		{-1, 0},
		{-1, 999999999},
		{-1000000000, 123456789},
		{-2147483648, 0},
		{2147483647, 999999999},
		{2147483648, 1},
		{4294967295, 5},
		{4294967296, 6},
		{7258118400, 7},
		{12884901888, 999999},
		{15032385535, 0},
	};
	static const char *const files[] = {"f", "d", "s"};
	struct timespec times[2];
	struct stat st;
	size_t i, n;

	put_file("f", "", 0644);
	MUST(!mkdir("d", 0755) && !symlink("nowhere", "s"));
	for (n = 0; n < 3; n++)
		for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
			times[0] = list[i];
			times[1] = list[sizeof(list) / sizeof(list[0]) - 1 - i];
			MUST(!utimensat(AT_FDCWD, files[n], times, AT_SYMLINK_NOFOLLOW));
			MUST(!lstat(files[n], &st));
			line(fmt("value-%s-%zu", files[n], i), "%lld.%09ld %lld.%09ld",
			     (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
			     (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		}
	/* Other changes leave what was set. */
	times[0] = (struct timespec){-5, 5};
	times[1] = (struct timespec){5000000000, 6};
	MUST(!utimensat(AT_FDCWD, "f", times, 0) && !chmod("f", 0600) && !link("f", "g"));
	MUST(!setxattr("f", "user.x", "1", 1, 0) && !rename("f", "h") && !stat("g", &st));
	line("value-kept", "%lld.%09ld %lld.%09ld", (long long)st.st_atim.tv_sec,
	     st.st_atim.tv_nsec, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	MUST(!unlink("g") && !unlink("h") && !unlink("s") && !rmdir("d"));
}

static bool ordered(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec <= b.tv_nsec);
}

/* New files: all times alike, and those of the directory with them, near to now. */
static void fresh(void)
{
	struct timespec before, after;
	struct stat st, dir;
	int i;

	for (i = 0; i < 4; i++) {
		static const char *const kind[] = {"file", "dir", "symlink", "fifo"};

		clock_gettime(CLOCK_REALTIME_COARSE, &before);
		MUST(!(i == 0	? close(open("n", O_CREAT | O_WRONLY, 0644))
		       : i == 1 ? mkdir("n", 0755)
		       : i == 2 ? symlink("t", "n")
				: mkfifo("n", 0644)));
		clock_gettime(CLOCK_REALTIME, &after);
		MUST(!lstat("n", &st) && !stat(".", &dir));
		line(fmt("fresh-%s", kind[i]), "%s %s %s",
		     !memcmp(&st.st_atim, &st.st_mtim, sizeof(st.st_atim)) &&
				     !memcmp(&st.st_ctim, &st.st_mtim, sizeof(st.st_atim))
			     ? "alike"
			     : "differ",
		     ordered(before, st.st_mtim) && ordered(st.st_mtim, after) ? "now" : "other",
		     ordered(before, dir.st_mtim) && ordered(dir.st_ctim, after) ? "now" : "other");
		MUST(i == 1 ? !rmdir("n") : !unlink("n"));
	}
}

void test_times(void)
{
	names();
	attributes();
	ftruncates();
	writes("rdwr", O_RDWR);
	writes("wronly", O_WRONLY);
	mapped();
	reads();
	values();
	fresh();
}

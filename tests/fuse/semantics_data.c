/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_data.c - reading, writing, sizes and space. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

#define BLOCK 65536 /* whatever a hole's granularity is, it divides this */

static const char *sum_of(int fd)
{
	unsigned char buf[4096];
	uint64_t sum = 0;
	off_t at = 0;
	ssize_t n, i;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		for (i = 0; i < n; i++)
			sum = sum * 31 + buf[i];
		at += n;
	}
	return fmt("%lld bytes, %016llx", (long long)at, (unsigned long long)sum);
}

/* ---- offsets and limits ------------------------------------------------------------- */

static void offsets(void)
{
	struct iovec iov[2] = {{(char[]){"a"}, 1}, {bad_pointer(), 1}};
	static struct iovec many[1025];
	char text[16];
	int fd = open("f", O_CREAT | O_RDWR, 0644);

	MUST(write(fd, "0123456789", 10) == 10);
	RESULT("read-at-end", read(fd, text, 10));
	RESULT("pread-beyond", pread(fd, text, 10, 1000));
	RESULT("pread-short", pread(fd, text, 10, 7));
	RESULT("pread-negative", pread(fd, text, 1, -1));
	RESULT("pwrite-negative", pwrite(fd, text, 1, -1));
	RESULT("pread-huge", pread(fd, text, 1, INT64_MAX - 1));
	RESULT("pwrite-overflow", pwrite(fd, text, 10, INT64_MAX - 1));
	RESULT("fallocate-negative", fallocate(fd, 0, -1, 1));
	RESULT("fallocate-nothing", fallocate(fd, 0, 0, 0));
	RESULT("fallocate-negative-length", fallocate(fd, 0, 0, -1));
	RESULT("lseek-negative", lseek(fd, -1, SEEK_SET));
	RESULT("lseek-end", lseek(fd, -3, SEEK_END));
	RESULT("lseek-current", lseek(fd, 1, SEEK_CUR));
	RESULT("lseek-whence", lseek(fd, 0, 99));
	RESULT("lseek-8T", lseek(fd, 1ll << 43, SEEK_SET));
	RESULT("write-fault", pwrite(fd, bad_pointer(), 1, 0));
	RESULT("read-fault", pread(fd, bad_pointer(), 1, 0));
	RESULT("writev-half-fault", pwritev(fd, iov, 2, 0));
	RESULT("writev-nothing", pwritev(fd, iov, 0, 0));
	RESULT("writev-too-many", pwritev(fd, many, 1025, 0));
	RESULT("write-nothing-fault", pwrite(fd, bad_pointer(), 0, 5));
	line("offsets-left", "%ld", size_of("f"));
	MUST(!close(fd) && !unlink("f"));
}

/* How far a file can go differs; what lies beyond must fail, and change nothing. */
static void greatest(void)
{
	char c = 'x';
	int fd = open("f", O_CREAT | O_RDWR, 0644);

	RESULT("pwrite-last", pwrite(fd, &c, 1, INT64_MAX - 1));
	line("pwrite-last-size", "%ld %s", size_of("f"), rc(ftruncate(fd, 0)));
	RESULT("pwrite-near-last", pwrite(fd, &c, 1, INT64_MAX - 65536));
	line("pwrite-near-last-size", "%ld %s", size_of("f"), rc(ftruncate(fd, 0)));
	RESULT("ftruncate-max", ftruncate(fd, INT64_MAX));
	line("ftruncate-max-size", "%ld %s", size_of("f"), rc(ftruncate(fd, 0)));
	RESULT("truncate-max", truncate("f", INT64_MAX));
	line("truncate-max-size", "%ld %s", size_of("f"), rc(ftruncate(fd, 0)));
	RESULT("fallocate-max", fallocate(fd, 0, 0, INT64_MAX));
	RESULT("punch-max",
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, INT64_MAX));
	RESULT("lseek-max", lseek(fd, INT64_MAX, SEEK_SET) < 0 ? -1 : 0);
	RESULT("lseek-max-write", write(fd, &c, 1));
	MUST(pwrite(fd, &c, 1, 0) == 1);
	RESULT("lseek-beyond-max", lseek(fd, INT64_MAX, SEEK_END));
	line("greatest-left", "%ld", size_of("f"));
	MUST(!close(fd) && !unlink("f"));
}

/* SIGXFSZ is ignored, so it is an error and not the end. */
static void file_limit(void)
{
	static const int flags[] = {O_RDWR, O_WRONLY, O_RDWR | O_DIRECT};
	static const char *const how[] = {"rdwr", "wronly", "direct"};
	struct rlimit limit = {.rlim_cur = 10 * 4096, .rlim_max = 10 * 4096};
	char *data = aligned_alloc(4096, 4 * 4096);
	size_t i;
	int fd, from;

	memset(data, 'l', 4 * 4096);
	put_zeros("from", 4 * 4096);
	for (i = 0; i < 3; i++) {
		put_file("f", "", 0644);
		if (!enter(0, NOGID)) {
			line(fmt("limit-%s-left", how[i]), "%ld", size_of("f"));
			continue;
		}
		signal(SIGXFSZ, SIG_IGN);
		MUST(!setrlimit(RLIMIT_FSIZE, &limit));
		fd = open("f", flags[i]);
		from = open("from", O_RDONLY);
		RESULT(fmt("limit-%s-cut", how[i]), pwrite(fd, data, 4 * 4096, 8 * 4096));
		RESULT(fmt("limit-%s-at", how[i]), pwrite(fd, data, 4096, 10 * 4096));
		RESULT(fmt("limit-%s-above", how[i]), pwrite(fd, data, 4096, 11 * 4096));
		RESULT(fmt("limit-%s-nothing", how[i]), pwrite(fd, data, 0, 11 * 4096));
		RESULT(fmt("limit-%s-ftruncate", how[i]), ftruncate(fd, 11 * 4096));
		RESULT(fmt("limit-%s-fallocate", how[i]), fallocate(fd, 0, 0, 11 * 4096));
		RESULT(fmt("limit-%s-fallocate-keep", how[i]),
		       fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 11 * 4096));
		RESULT(fmt("limit-%s-copy-cut", how[i]),
		       copy_file_range(from, NULL, fd, &(off_t){9 * 4096}, 8192, 0));
		RESULT(fmt("limit-%s-copy-at", how[i]),
		       copy_file_range(from, NULL, fd, &(off_t){10 * 4096}, 4096, 0));
		RESULT(fmt("limit-%s-truncate", how[i]), truncate("f", 1 << 20));
		RESULT(fmt("limit-%s-inside", how[i]), ftruncate(fd, 5 * 4096));
		leave();
	}
	if (enter(0, NOGID)) {
		signal(SIGXFSZ, SIG_DFL);
		MUST(!setrlimit(RLIMIT_FSIZE, &limit));
		fd = open("f", O_WRONLY);
		pwrite(fd, data, 4096, 11 * 4096);
		leave();
	}
	free(data);
	MUST(!unlink("f") && !unlink("from"));
}

/* ---- O_APPEND ----------------------------------------------------------------------------- */

#define WRITERS 4
#define APPENDS 300

static void append_many(int id, int flags)
{
	char text[101];
	int i, fd = open("f", flags);

	memset(text, 'a' + id, 100);
	text[99] = '\n';
	MUST(fd >= 0);
	for (i = 0; i < APPENDS; i++)
		MUST(write(fd, text, 100) == 100);
	_exit(0);
}

static void several_appenders(const char *how, int flags)
{
	int whole = 0, torn = 0, fd, i;
	pid_t pid[WRITERS];
	char text[100];

	put_file("f", "", 0644);
	fflush(stdout);
	for (i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		if (!pid[i])
			append_many(i, flags);
	}
	for (i = 0; i < WRITERS; i++)
		fate(pid[i]);
	fd = open("f", O_RDONLY);
	while (read(fd, text, 100) == 100) {
		bool same = text[99] == '\n';

		for (i = 1; i < 99; i++)
			same = same && text[i] == text[0];
		whole += same;
		torn += !same;
	}
	line(fmt("append-%s", how), "%d whole, %d torn, %ld bytes", whole, torn, size_of("f"));
	MUST(!close(fd) && !unlink("f"));
}

static void appends(void)
{
	struct iovec iov = {(char[]){"v"}, 1};
	int a, b;

	several_appenders("wronly", O_WRONLY | O_APPEND);
	several_appenders("rdwr", O_RDWR | O_APPEND);
	put_file("f", "12345", 0644);
	a = open("f", O_RDWR | O_APPEND);
	b = open("f", O_RDWR | O_APPEND);
	RESULT("append-seek", lseek(a, 0, SEEK_SET));
	RESULT("append-write", write(a, "a", 1));
	RESULT("append-position", lseek(a, 0, SEEK_CUR));
	RESULT("append-other", write(b, "bb", 2));
	RESULT("append-pwrite", pwrite(a, "p", 1, 0));
	line("append-pwrite-size", "%ld", size_of("f"));
	RESULT("append-flag", pwritev2(b, &iov, 1, 0, RWF_APPEND));
	RESULT("append-cleared", fcntl(a, F_SETFL, 0));
	RESULT("append-cleared-pwrite", pwrite(a, "q", 1, 0));
	RESULT("append-noappend-flag", pwritev2(b, &iov, 1, 0, 0x20 /* RWF_NOAPPEND */));
	line("append-content", "%s", sum_of(a));
	RESULT("append-copy-range", copy_file_range(a, &(off_t){0}, b, NULL, 2, 0));
	RESULT("append-sendfile", sendfile(b, a, &(off_t){0}, 2));
	close(a);
	a = open("f", O_WRONLY);
	RESULT("append-rwf-wronly", pwritev2(a, &iov, 1, 0, RWF_APPEND));
	RESULT("append-rwf-dsync", pwritev2(a, &iov, 1, 0, RWF_DSYNC));
	RESULT("append-rwf-unknown", pwritev2(a, &iov, 1, 0, 0x40000000));
	line("append-end", "%ld", size_of("f"));
	MUST(!close(a) && !close(b) && !unlink("f"));
}

/* ---- O_DIRECT, aligned: what filesystems agree on ------------------------------------------- */

static void direct(void)
{
	char *page = aligned_alloc(4096, 8192), text[8] = {0};
	int d, fd;

	memset(page, 'd', 8192);
	put_zeros("f", 16384);
	d = open("f", O_RDWR | O_DIRECT);
	fd = open("f", O_RDWR);
	RESULT("direct-write", pwrite(d, page, 4096, 4096));
	MUST(pread(fd, text, 4, 4096) == 4);
	line("direct-write-seen", "%s", text);
	MUST(pwrite(fd, "buffered", 8, 4096) == 8);
	RESULT("direct-read", pread(d, page, 4096, 4096));
	line("direct-read-sees", "%.8s", page);
	RESULT("direct-read-end", pread(d, page, 8192, 12288));
	RESULT("direct-read-beyond", pread(d, page, 4096, 16384));
	RESULT("direct-extend", pwrite(d, page, 4096, 32768));
	line("direct-size", "%ld", size_of("f"));
	RESULT("direct-setfl", fcntl(fd, F_SETFL, O_DIRECT));
	RESULT("direct-setfl-read", pread(fd, page, 4096, 0));
	RESULT("direct-setfl-off", fcntl(fd, F_SETFL, 0));
	RESULT("direct-unaligned", pwrite(d, page, 100, 7));
	RESULT("direct-fault", pwrite(d, bad_pointer(), 4096, 0));
	MUST(!close(d) && !close(fd) && !unlink("f"));
	free(page);
}

/* ---- truncation ------------------------------------------------------------------------------ */

static void truncation(void)
{
	char text[32];
	int fd = open("f", O_CREAT | O_RDWR, 0644);

	MUST(write(fd, "0123456789abcdef", 16) == 16);
	RESULT("truncate-cut", ftruncate(fd, 5));
	RESULT("truncate-grow", ftruncate(fd, 12));
	memset(text, 'x', sizeof(text));
	RESULT("truncate-read", pread(fd, text, 32, 0));
	line("truncate-zeros", "%s", memcmp(text, "01234\0\0\0\0\0\0\0", 12) ? "no" : "yes");
	RESULT("truncate-position", write(fd, "g", 1));
	line("truncate-hole", "%s", sum_of(fd));
	RESULT("truncate-zero", ftruncate(fd, 0));
	RESULT("truncate-read-empty", pread(fd, text, 1, 0));
	RESULT("truncate-fifo", truncate("/dev/null", 0));
	MUST(!close(fd) && !unlink("f"));
}

/* ---- copy_file_range --------------------------------------------------------------------------- */

static void copies(void)
{
	off_t from, to;
	int a, b, ro, append, dir;

	put_file("a", "0123456789", 0644);
	put_file("b", "", 0644);
	a = open("a", O_RDWR);
	b = open("b", O_RDWR);
	ro = open("b", O_RDONLY);
	append = open("b", O_WRONLY | O_APPEND);
	dir = open(".", O_RDONLY);
	RESULT("copy-all", copy_file_range(a, NULL, b, NULL, 100, 0));
	line("copy-all-result", "%s %s", sum_of(b), rc(lseek(b, 0, SEEK_CUR)));
	RESULT("copy-at-end", copy_file_range(a, NULL, b, NULL, 100, 0));
	from = 2;
	to = 20;
	RESULT("copy-beyond", copy_file_range(a, &from, b, &to, 3, 0));
	line("copy-beyond-result", "%s %lld %lld", sum_of(b), (long long)from, (long long)to);
	from = 0;
	RESULT("copy-to-readonly", copy_file_range(a, &from, ro, NULL, 3, 0));
	RESULT("copy-to-append", copy_file_range(a, &from, append, NULL, 3, 0));
	RESULT("copy-to-dir", copy_file_range(a, &from, dir, NULL, 3, 0));
	RESULT("copy-from-dir", copy_file_range(dir, NULL, b, NULL, 3, 0));
	RESULT("copy-flags", copy_file_range(a, &from, b, NULL, 3, 1));
	RESULT("copy-nothing", copy_file_range(a, &from, b, NULL, 0, 0));
	from = 0;
	to = 2;
	RESULT("copy-overlap", copy_file_range(a, &from, a, &to, 5, 0));
	to = 5;
	RESULT("copy-adjacent", copy_file_range(a, &from, a, &to, 5, 0));
	line("copy-adjacent-result", "%s", sum_of(a));
	from = 1000;
	RESULT("copy-from-beyond", copy_file_range(a, &from, b, NULL, 5, 0));
	from = -1;
	RESULT("copy-from-negative", copy_file_range(a, &from, b, NULL, 5, 0));
	/* What was copied stays what it was. */
	MUST(!ftruncate(b, 0) && copy_file_range(a, &(off_t){0}, b, &(off_t){0}, 10, 0) == 10);
	MUST(!ftruncate(a, 3) && pwrite(a, "ZZZ", 3, 0) == 3);
	line("copy-independent", "%s", sum_of(b));
	close(a);
	MUST(!unlink("a"));
	line("copy-source-gone", "%s", sum_of(b));
	MUST(!close(b) && !close(ro) && !close(append) && !close(dir) && !unlink("b"));
}

void test_data(void)
{
	offsets();
	greatest();
	file_limit();
	appends();
	direct();
	truncation();
	copies();
}

/* ---- space: holes, reserved ranges ---------------------------------------------------------------- */

static void put_blocks(int fd, off_t first, int blocks)
{
	char *data = malloc((size_t)blocks * BLOCK);

	memset(data, 'b', (size_t)blocks * BLOCK);
	MUST(pwrite(fd, data, (size_t)blocks * BLOCK, first * BLOCK) == blocks * BLOCK);
	free(data);
}

static void seeks(void)
{
	int fd = open("f", O_CREAT | O_RDWR, 0644);

	RESULT("seek-empty-data", lseek(fd, 0, SEEK_DATA));
	RESULT("seek-empty-hole", lseek(fd, 0, SEEK_HOLE));
	put_blocks(fd, 0, 2);
	put_blocks(fd, 4, 1);
	MUST(!ftruncate(fd, 8 * BLOCK) && !fsync(fd));
	RESULT("seek-data-0", lseek(fd, 0, SEEK_DATA));
	RESULT("seek-hole-0", lseek(fd, 0, SEEK_HOLE));
	RESULT("seek-data-inside", lseek(fd, 100, SEEK_DATA));
	RESULT("seek-hole-inside", lseek(fd, 100, SEEK_HOLE));
	RESULT("seek-data-in-hole", lseek(fd, 2 * BLOCK + 5, SEEK_DATA));
	RESULT("seek-hole-in-hole", lseek(fd, 2 * BLOCK + 5, SEEK_HOLE));
	RESULT("seek-hole-last", lseek(fd, 4 * BLOCK, SEEK_HOLE));
	RESULT("seek-data-none", lseek(fd, 5 * BLOCK, SEEK_DATA));
	RESULT("seek-hole-end", lseek(fd, 8 * BLOCK - 1, SEEK_HOLE));
	RESULT("seek-data-at-size", lseek(fd, 8 * BLOCK, SEEK_DATA));
	RESULT("seek-hole-at-size", lseek(fd, 8 * BLOCK, SEEK_HOLE));
	RESULT("seek-hole-beyond", lseek(fd, 9 * BLOCK, SEEK_HOLE));
	RESULT("seek-data-negative", lseek(fd, -1, SEEK_DATA));
	RESULT("seek-hole-negative", lseek(fd, -1, SEEK_HOLE));
	RESULT("seek-position", lseek(fd, 0, SEEK_CUR));
	MUST(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, BLOCK));
	RESULT("seek-after-punch", lseek(fd, 0, SEEK_HOLE));
	RESULT("seek-after-punch-data", lseek(fd, BLOCK, SEEK_DATA));
	MUST(!close(fd) && !unlink("f"));
}

/* 512-byte blocks in units of BLOCK, rounded: metadata does not count. */
static long blocks_of(int fd)
{
	struct stat st;

	MUST(!fstat(fd, &st));
	return (long)((st.st_blocks * 512 + BLOCK / 2) / BLOCK);
}

static void allocation(void)
{
	int fd = open("f", O_CREAT | O_RDWR, 0644);
	struct stat st;

	RESULT("keep-size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * BLOCK));
	line("keep-size-stat", "%ld size, %ld blocks", size_of("f"), blocks_of(fd));
	RESULT("fallocate", fallocate(fd, 0, 0, 2 * BLOCK));
	line("fallocate-stat", "%ld size, %ld blocks", size_of("f"), blocks_of(fd));
	line("fallocate-zeros", "%s", sum_of(fd));
	put_blocks(fd, 0, 2);
	MUST(!fsync(fd));
	line("written-stat", "%ld size, %ld blocks", size_of("f"), blocks_of(fd));
	RESULT("fallocate-over-data", fallocate(fd, 0, 0, 2 * BLOCK));
	line("fallocate-over-data-kept", "%s", sum_of(fd));
	RESULT("ftruncate-frees", ftruncate(fd, BLOCK));
	line("ftruncate-frees-stat", "%ld size, %ld blocks", size_of("f"), blocks_of(fd));
	RESULT("punch-part", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 1000));
	line("punch-part-left", "%s", sum_of(fd));
	RESULT("punch-over-end",
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK / 2, 10 * BLOCK));
	line("punch-over-end-left", "%s", sum_of(fd));
	RESULT("punch-all", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK));
	MUST(!fstat(fd, &st));
	line("punch-all-stat", "%ld size, %ld blocks", size_of("f"), blocks_of(fd));
	RESULT("zero-range-grow", fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 3 * BLOCK));
	line("zero-range-grow-size", "%ld size, %ld blocks", size_of("f"), blocks_of(fd));
	RESULT("zero-range-keep",
	       fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 5 * BLOCK));
	line("zero-range-keep-size", "%ld size", size_of("f"));
	RESULT("punch-no-keep", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, BLOCK));
	RESULT("punch-and-zero",
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0,
			 BLOCK));
	RESULT("collapse", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK));
	RESULT("insert", fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, BLOCK));
	RESULT("fallocate-unknown", fallocate(fd, 0x4000, 0, BLOCK));
	RESULT("posix-fallocate", posix_fallocate(fd, 0, 4 * BLOCK));
	MUST(!close(fd) && !unlink("f"));
	fd = open("f", O_CREAT | O_WRONLY | O_APPEND, 0644);
	RESULT("fallocate-append", fallocate(fd, 0, 0, BLOCK));
	RESULT("punch-append", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1));
	MUST(!close(fd) && !unlink("f"));
}

static void huge(void)
{
	static const off_t at[] = {1ll << 31, (1ll << 32) - 2, 1ll << 40, (1ll << 43) + 1234567};
	char text[8];
	size_t i;
	int fd = open("f", O_CREAT | O_RDWR, 0644), wo = open("f", O_WRONLY);

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		RESULT(fmt("huge-write-%zu", i), pwrite(i % 2 ? wo : fd, "huge", 4, at[i]));
		line(fmt("huge-size-%zu", i), "%ld", size_of("f"));
		memset(text, 0, sizeof(text));
		RESULT(fmt("huge-read-%zu", i), pread(fd, text, 8, at[i] - 2));
		line(fmt("huge-text-%zu", i), "%s", text + 2);
	}
	line("huge-blocks", "%ld", blocks_of(fd) > 8 ? 9l : 1l);
	RESULT("huge-truncate", ftruncate(fd, (1ll << 43) + 1));
	RESULT("huge-hole", pread(fd, text, 8, 1ll << 42));
	RESULT("huge-punch",
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 1ll << 43));
	RESULT("huge-seek", lseek(fd, 4096, SEEK_DATA));
	RESULT("huge-fallocate", fallocate(fd, 0, 0, 1ll << 42));
	MUST(!close(fd) && !close(wo) && !unlink("f"));
}

void test_space(void)
{
	seeks();
	allocation();
	huge();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_mmap.c - mappings, with and against reads, writes and truncations. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

#define PAGE 4096

static char *map_fd(int fd, size_t bytes, int prot, int flags)
{
	char *map = mmap(NULL, bytes, prot, flags, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

/* Reads or stores a byte in a child, for it may be the end of it. */
static const char *touch(char *at, bool store)
{
	volatile char *p = at;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* Sanitizers catch these otherwise. */
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		if (store)
			*p = 's';
		_exit(*p ? 10 : 0);
	}
	return fate(pid);
}

static void sharing(void)
{
	char *shared, *private, *readonly, text[8] = {0};
	int fd, wo, ro;

	put_zeros("f", 2 * PAGE);
	fd = open("f", O_RDWR);
	ro = open("f", O_RDONLY);
	wo = open("f", O_WRONLY);
	shared = map_fd(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	private = map_fd(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	readonly = map_fd(ro, 2 * PAGE, PROT_READ, MAP_SHARED);
	MUST(shared && private && readonly);
	memcpy(shared, "one", 3);
	MUST(pread(ro, text, 3, 0) == 3);
	line("shared-store-read", "%s", text);
	line("shared-store-mapped", "%.3s %.3s", readonly, private);
	MUST(pwrite(fd, "two", 3, 0) == 3);
	line("write-mapped", "%.3s %.3s %.3s", shared, readonly, private);
	MUST(pwrite(wo, "six", 3, 0) == 3);
	line("write-wronly-mapped", "%.3s %.3s %.3s", shared, readonly, private);
	memcpy(private, "own", 3);
	MUST(pwrite(fd, "new", 3, 0) == 3 && pread(ro, text, 3, 0) == 3);
	line("private-store", "%s %.3s %.3s", text, shared, private);
	MUST(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	line("punch-mapped", "%d %d %.3s", shared[0], readonly[0], private);
	memcpy(shared, "cpy", 3);
	MUST(copy_file_range(ro, &(off_t){0}, fd, &(off_t){PAGE}, 3, 0) == 3);
	line("copy-range-mapped", "%.3s", shared + PAGE);
	RESULT("msync-async", msync(shared, PAGE, MS_ASYNC));
	RESULT("msync-invalidate", msync(shared, PAGE, MS_SYNC | MS_INVALIDATE));
	MUST(!munmap(shared, 2 * PAGE) && !munmap(private, 2 * PAGE) && !close(fd));
	MUST(pwrite(wo, "end", 3, 0) == 3);
	line("readonly-after", "%.3s", readonly);
	MUST(!munmap(readonly, 2 * PAGE) && !close(ro) && !close(wo) && !unlink("f"));
}

static void permissions(void)
{
	int ro, wo, dir;

	put_zeros("f", PAGE);
	ro = open("f", O_RDONLY);
	wo = open("f", O_WRONLY);
	dir = open(".", O_RDONLY);
	RESULT("map-shared-rdonly", map_fd(ro, PAGE, PROT_WRITE, MAP_SHARED) ? 0 : -1);
	RESULT("map-private-rdonly", map_fd(ro, PAGE, PROT_WRITE, MAP_PRIVATE) ? 0 : -1);
	RESULT("map-wronly", map_fd(wo, PAGE, PROT_WRITE, MAP_SHARED) ? 0 : -1);
	RESULT("map-wronly-read", map_fd(wo, PAGE, PROT_READ, MAP_PRIVATE) ? 0 : -1);
	RESULT("map-exec", map_fd(ro, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE) ? 0 : -1);
	RESULT("map-exec-shared", map_fd(ro, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED) ? 0 : -1);
	RESULT("map-dir", map_fd(dir, PAGE, PROT_READ, MAP_SHARED) ? 0 : -1);
	RESULT("map-nothing", map_fd(ro, 0, PROT_READ, MAP_SHARED) ? 0 : -1);
	line("map-readonly-store", "%s", touch(map_fd(ro, PAGE, PROT_READ, MAP_SHARED), true));
	close(wo);
	wo = open("f", O_WRONLY);
	/* A mapping for reading beside a writer that has nothing but the right to write. */
	RESULT("map-beside-wronly", map_fd(ro, PAGE, PROT_READ, MAP_SHARED) ? 0 : -1);
	MUST(!close(ro) && !close(wo) && !close(dir) && !unlink("f"));
}

static void ends(void)
{
	char *map, text[PAGE];
	struct stat st;
	int fd;

	put_file("f", "short", 0644);
	fd = open("f", O_RDWR);
	map = map_fd(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	MUST(map);
	line("end-last-page", "%s", touch(map + PAGE - 1, false));
	line("end-next-page", "%s", touch(map + PAGE, false));
	line("end-next-page-store", "%s", touch(map + PAGE, true));
	map[100] = 'x'; /* past the end: nobody may ever see it */
	MUST(!msync(map, PAGE, MS_SYNC) && !fstat(fd, &st));
	line("end-store-size", "%ld", (long)st.st_size);
	MUST(!ftruncate(fd, 2 * PAGE) && pread(fd, text, PAGE, 0) == PAGE);
	line("end-store-hidden", "%d", text[100]);
	line("grown", "%s", touch(map + PAGE, false));
	map[PAGE] = 'y';
	line("grown-store", "%s", touch(map + PAGE, false));
	MUST(!ftruncate(fd, PAGE));
	line("cut-under-map", "%s", touch(map + PAGE, false));
	MUST(!ftruncate(fd, 2 * PAGE));
	line("grown-again", "%d", map[PAGE]);
	MUST(pwrite(fd, "append", 6, 2 * PAGE) == 6);
	line("written-beyond", "%.6s", map + 2 * PAGE);
	MUST(!close(open("f", O_WRONLY | O_TRUNC)));
	line("open-trunc-under-map", "%s", touch(map, false));
	MUST(pwrite(fd, "back", 4, 0) == 4);
	line("written-back", "%.4s", map);
	RESULT("map-closed", close(fd));
	RESULT("map-unlinked", unlink("f"));
	memcpy(map, "still", 4);
	RESULT("map-unlinked-msync", msync(map, PAGE, MS_SYNC));
	line("map-unlinked-text", "%.4s", map);
	MUST(!munmap(map, 4 * PAGE));
}

/* Code in a file, run from a mapping of it. */
static void code(void)
{
#ifdef __x86_64__
	static const unsigned char answer[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	int fd = open("code", O_CREAT | O_RDWR, 0755);
	int (*fn)(void);
	char *map;

	MUST(write(fd, answer, sizeof(answer)) == sizeof(answer));
	map = map_fd(fd, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE);
	MUST(map);
	memcpy(&fn, &map, sizeof(fn));
	line("code", "%d", fn());
	MUST(!munmap(map, PAGE) && !close(fd) && !unlink("code"));
#else
	line("code", "42");
#endif
}

/* What one process stores, another sees, and what it leaves is in the file. */
static void processes(void)
{
	char *map, text[8] = {0};
	int fd;

	put_zeros("f", PAGE);
	fd = open("f", O_RDWR);
	map = map_fd(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (enter(0, NOGID)) {
		memcpy(map, "child", 5);
		leave();
	}
	line("child-store", "%.5s", map);
	MUST(!munmap(map, PAGE) && pread(fd, text, 5, 0) == 5 && !close(fd));
	line("child-store-read", "%s", text);
	MUST(!unlink("f"));
}

void test_mmap(void)
{
	sharing();
	permissions();
	ends();
	code();
	processes();
}

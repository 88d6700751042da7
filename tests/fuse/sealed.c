/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sealed.c - holds a file open while the filesystem is sealed: sealed FILE BYTES.
 *
 * Fills the file through a shared mapping, prints "ready" and waits for a line;
 * then tries everything that would change the open file, and prints the name of
 * the error of each; waits for another line and does the same once more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void tell(const char *what, long result)
{
	printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
}

static void try_all(int fd)
{
	static const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 2}};
	char byte = 'x';

	tell("pwrite", pwrite(fd, &byte, 1, 10));
	tell("ftruncate", ftruncate(fd, 20));
	tell("fallocate", fallocate(fd, 0, 0, 100));
	tell("fchmod", fchmod(fd, 0600));
	tell("futimens", futimens(fd, times));
	tell("fsetxattr", fsetxattr(fd, "user.x", "y", 1, 0));
	tell("pread", pread(fd, &byte, 1, 5));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	int fd = argc > 2 ? open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0644) : -1;
	char line[16], *map;

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		return 1;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 1;
	memset(map, 'm', bytes);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		try_all(fd);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handles.c - file handles as an NFS server keeps them.
 *
 * handles make PATH...: prints the handle of each, as text.
 * handles open MOUNT <FILE: opens each handle that "make" printed; prints the
 * first line of a regular file, "directory" for one, or the name of an error.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

union handle {
	struct file_handle head;
	char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int make(const char *path)
{
	union handle h = {.head.handle_bytes = MAX_HANDLE_SZ};
	unsigned i;
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, path, &h.head, &mount_id, 0)) {
		perror(path);
		return 1;
	}
	printf("%d ", h.head.handle_type);
	for (i = 0; i < h.head.handle_bytes; i++)
		printf("%02x", h.head.f_handle[i]);
	putchar('\n');
	return 0;
}

static void show(int fd)
{
	char text[80] = "";
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st)) {
		puts(strerrorname_np(errno));
		return;
	}
	if (S_ISDIR(st.st_mode)) {
		puts("directory");
		return;
	}
	n = read(fd, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = 0;
	text[strcspn(text, "\n")] = 0;
	puts(text);
}

static int open_all(const char *mount)
{
	int mount_fd = open(mount, O_RDONLY | O_DIRECTORY), type, fd;
	char hex[2 * MAX_HANDLE_SZ + 1];
	union handle h;
	unsigned i, byte;

	if (mount_fd < 0) {
		perror(mount);
		return 1;
	}
	while (scanf("%d %256s", &type, hex) == 2) {
		h.head.handle_type = type;
		h.head.handle_bytes = (unsigned)strlen(hex) / 2;
		for (i = 0; i < h.head.handle_bytes && sscanf(hex + 2 * i, "%2x", &byte) == 1; i++)
			h.head.f_handle[i] = (unsigned char)byte;
		fd = open_by_handle_at(mount_fd, &h.head, O_RDONLY);
		show(fd);
		if (fd >= 0)
			close(fd);
	}
	close(mount_fd);
	return 0;
}

int main(int argc, char **argv)
{
	int i, failed = 0;

	if (argc == 3 && !strcmp(argv[1], "open"))
		return open_all(argv[2]);
	if (argc < 3 || strcmp(argv[1], "make"))
		return 2;
	for (i = 2; i < argc; i++)
		failed |= make(argv[i]);
	return failed;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patch-super.c - changes a field in both superblock copies of a region file
 * and makes their checksums right again: patch-super FILE OFFSET BYTES VALUE
 * (4 or 8 bytes; numbers as in C).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keepalive/csum.h"
#include "keepalive/format.h"

static int patch_copy(int fd, uint64_t addr, size_t off, size_t bytes, struct ka_le64 value)
{
	struct ka_super_disk disk;

	if (pread(fd, &disk, sizeof(disk), (off_t)addr) != sizeof(disk))
		return -1;
	memcpy((char *)&disk + off, &value, bytes); /* little-endian: the low bytes first */
	disk.csum = ka_put64(ka_csum(&disk, offsetof(struct ka_super_disk, csum)));
	return pwrite(fd, &disk, sizeof(disk), (off_t)addr) == sizeof(disk) ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct ka_super_disk disk;
	struct ka_le64 value;
	size_t off, bytes;
	int fd, i;

	if (argc != 5) {
		fprintf(stderr, "usage: patch-super FILE OFFSET BYTES VALUE\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	off = strtoull(argv[2], NULL, 0);
	bytes = strtoull(argv[3], NULL, 0);
	value = ka_put64(strtoull(argv[4], NULL, 0));
	if (fd < 0 || pread(fd, &disk, sizeof(disk), 0) != sizeof(disk) || off > sizeof(disk) - 8 ||
	    bytes > 8) {
		fprintf(stderr, "patch-super: cannot use '%s'\n", argv[1]);
		return 1;
	}
	for (i = 0; i < KA_SUPER_COPIES; i++) {
		if (patch_copy(fd, ka_get64(disk.copy_addr[i]), off, bytes, value)) {
			fprintf(stderr, "patch-super: cannot patch '%s'\n", argv[1]);
			return 1;
		}
	}
	return close(fd) ? 1 : 0;
}

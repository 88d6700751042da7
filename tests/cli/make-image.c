/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make-image.c - does one operation of each kind in a region that mkfs made,
 * and stops without an unmount, as after a crash: make-image REGION
 */
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "keepalive/err.h"
#include "keepalive/ops.h"

/* Set by the first operation that fails. */
static const char *failed;

#define DO(call)                        \
	do {                            \
		if (!failed && (call))  \
			failed = #call; \
	} while (0)

static ka_ino_t create(struct ka_fs *fs, ka_ino_t parent, const char *name, uint32_t mode,
		       const char *target)
{
	struct ka_new new = {.parent = parent, .name = name, .mode = mode, .target = target};
	struct ka_attr attr = {0};

	DO(ka_create(fs, &new, &attr));
	return attr.ino;
}

static void fill(struct ka_fs *fs, ka_ino_t ino, ka_ino_t clone)
{
	static char text[100000];
	struct ka_file *file = NULL, *other = NULL;
	uint64_t copied;
	size_t n;

	memset(text, 'x', sizeof(text));
	DO(ka_open(fs, ino, &file));
	DO(ka_open(fs, clone, &other));
	DO(ka_write(fs, file, text, sizeof(text), 0, false, &n));
	DO(ka_copy_range(fs, file, 0, other, 0, 65536, &copied));
	DO(ka_fallocate(fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	DO(ka_fallocate(fs, file, FALLOC_FL_ZERO_RANGE, 8192, 4096));
	if (file)
		ka_close(fs, file);
	if (other)
		ka_close(fs, other);
}

static void use(struct ka_fs *fs)
{
	struct ka_setattr set = {.valid = KA_SET_MODE | KA_SET_MTIME, .mode = 0640};
	struct ka_attr attr;
	ka_ino_t dir, file, clone;

	dir = create(fs, KA_ROOT_INO, "dir", S_IFDIR | 0755, NULL);
	file = create(fs, dir, "file", S_IFREG | 0644, NULL);
	clone = create(fs, dir, "na\xc3\xafve \xff\n", S_IFREG | 0600, NULL);
	create(fs, dir, "symlink", S_IFLNK | 0777, "file");
	fill(fs, file, clone);
	DO(ka_setattr(fs, file, &set, &attr));
	DO(ka_setxattr(fs, file, "user.colour", "blue", 4, 0));
	DO(ka_link(fs, file, KA_ROOT_INO, "second", &attr));
	DO(ka_rename(fs, dir, "file", KA_ROOT_INO, "moved", 0));
	DO(ka_unlink(fs, KA_ROOT_INO, "second"));
}

int main(int argc, char **argv)
{
	const struct ka_fs_opts opts = {0};
	struct ka_region *rg = NULL;
	struct ka_fs *fs = NULL;

	if (argc != 2)
		return 2;
	DO(ka_region_open(argv[1], KA_REGION_WRITE | KA_REGION_LOCK, NULL, &rg));
	DO(ka_fs_open(rg, &opts, &fs));
	if (fs)
		use(fs);
	ka_fs_abandon(fs);
	ka_region_close(rg);
	if (failed)
		fprintf(stderr, "make-image: failed: %s\n", failed);
	return failed != NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make_images.c - make_images DIRECTORY: writes the images of this disk version
 * and their manifests, vN-clean and vN-unclean. tests/images/make packs them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "keepalive/format.h"
#include "manifest.h"
#include "memfs.h"

static void save(const char *directory, const char *name, const char *suffix, const void *data,
		 size_t bytes)
{
	KA_AUTO_FREE char *path = NULL;
	FILE *f;

	if (asprintf(&path, "%s/v%d-%s%s", directory, KA_DISK_VERSION, name, suffix) < 0)
		abort();
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f)) {
		perror(path);
		exit(1);
	}
}

/* Not mounted for writing: the bytes have to stay as they are. */
static void make(const char *directory, const char *name, enum evil_base base)
{
	struct evil_image *img = evil_image(base);
	KA_AUTO_FREE char *text = NULL;
	struct memfs m;

	memfs_over(&m, img->mem, img->bytes);
	m.opts.rdonly = true;
	memfs_open(&m);
	text = manifest_of(m.fs, img->mem, img->bytes);
	memfs_release(&m);
	save(directory, name, ".img", img->base, img->bytes);
	save(directory, name, ".manifest", text, strlen(text));
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_images DIRECTORY\n");
		return 2;
	}
	setenv("KA_SEED", "1", true); /* the same bytes each time */
	make(argv[1], "clean", EVIL_CLEAN);
	make(argv[1], "unclean", EVIL_UNCLEAN);
	return 0;
}

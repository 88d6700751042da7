/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_images.c - test_images DIRECTORY: every image that was kept can be read, now
 * and for ever: it shows what its manifest says, mounted read-only, for writing
 * and again after that, and a check of all of it finds nothing.
 */
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manifest.h"
#include "memfs.h"
#ifdef KA_EVIL_FSCK
#include "fsck.h"
#endif

#define IMAGE_MAX (64u << 20)

static const char *directory;

/* What a command prints, to be freed. */
static void *output_of(const char *command, size_t *ret_bytes)
{
	uint8_t *data = malloc(IMAGE_MAX);
	FILE *f = popen(command, "r");

	assert_non_null(data);
	assert_non_null(f);
	*ret_bytes = fread(data, 1, IMAGE_MAX, f);
	assert_true(*ret_bytes < IMAGE_MAX);
	assert_int_equal(pclose(f), 0);
	return data;
}

static void *read_image(const char *name, size_t *ret_bytes)
{
	KA_AUTO_FREE char *command = NULL;

	assert_true(asprintf(&command, "gzip -dc '%s/%s.img.gz'", directory, name) > 0);
	return output_of(command, ret_bytes);
}

static char *read_manifest(const char *name)
{
	KA_AUTO_FREE char *command = NULL;
	size_t bytes;
	char *text;

	assert_true(asprintf(&command, "cat '%s/%s.manifest'", directory, name) > 0);
	text = output_of(command, &bytes);
	text[bytes] = 0;
	return text;
}

#ifdef KA_EVIL_FSCK
static int check(struct ka_region *rg, const struct ka_msg_sink *sink)
{
	struct fsck f = {
		.path = "image",
		.mode = FSCK_NO,
		.force = true,
		.progress_fd = -1,
		.sink = sink,
		.rg = rg,
	};

	return fsck_check(&f);
}
#endif

/* Behind the line with the checksum of the image, which a mount changes. */
static const char *tree_of(const char *manifest)
{
	return strchr(manifest, '\n');
}

static void try_image(const char *name)
{
	KA_AUTO_FREE char *want = read_manifest(name), *got = NULL, *later = NULL;
	KA_AUTO_FREE uint8_t *image = NULL, *untouched = NULL;
	struct memfs m;
	size_t bytes;

	print_message("%s\n", name);
	image = read_image(name, &bytes);
	untouched = malloc(bytes);
	assert_non_null(untouched);
	memcpy(untouched, image, bytes);
	memfs_over(&m, image, bytes);
#ifdef KA_EVIL_FSCK
	assert_int_equal(check(m.rg, &m.msgs.sink), 0);
#endif
	m.opts.rdonly = true;
	memfs_open(&m);
	got = manifest_of(m.fs, image, bytes);
	assert_string_equal(got, want);
	memfs_close(&m);
	assert_memory_equal(image, untouched, bytes);
	m.opts.rdonly = false;
	memfs_open(&m);
	memfs_remount(&m);
	later = manifest_of(m.fs, image, bytes);
	assert_string_equal(tree_of(later), tree_of(want));
	memfs_file(m.fs, KA_ROOT_INO, "new in an old filesystem");
	memfs_close(&m);
#ifdef KA_EVIL_FSCK
	assert_int_equal(check(m.rg, &m.msgs.sink), 0);
#endif
	memfs_release(&m);
}

static int is_image(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 7 && !strcmp(entry->d_name + len - 7, ".img.gz");
}

static void every_image_can_be_read(void **state)
{
	struct dirent **list;
	int count = scandir(directory, &list, is_image, alphasort), i;

	(void)state;
	assert_true(count > 0);
	for (i = 0; i < count; i++) {
		list[i]->d_name[strlen(list[i]->d_name) - 7] = 0;
		try_image(list[i]->d_name);
		free(list[i]);
	}
	free(list);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_image_can_be_read),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_images DIRECTORY\n");
		return 2;
	}
	directory = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.c - runs a target without libFuzzer: once with each file named, and with
 * each in a directory named. Where a file makes it fail it is named before.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keepalive/util.h"
#include "target.h"

#define HANG_SECONDS 120 /* an input takes milliseconds */

static unsigned inputs;

/* Only targets with a mutator of their own ask for it, and nobody calls that here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	(void)data;
	(void)max_size;
	return size;
}

static void run_file(const char *path, size_t size)
{
	KA_AUTO_FREE uint8_t *data = malloc(size + 1);
	FILE *f = fopen(path, "rb");

	if (!data || !f || fread(data, 1, size, f) != size) {
		perror(path);
		exit(2);
	}
	fclose(f);
	printf("%s\n", path);
	fflush(stdout);
	alarm(HANG_SECONDS);
	LLVMFuzzerTestOneInput(data, size);
	alarm(0);
	inputs++;
}

static void run_path(const char *path);

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_directory(const char *path)
{
	struct dirent **list;
	int count = scandir(path, &list, visible, alphasort), i;

	if (count < 0) {
		perror(path);
		exit(2);
	}
	for (i = 0; i < count; i++) {
		KA_AUTO_FREE char *name = NULL;

		if (asprintf(&name, "%s/%s", path, list[i]->d_name) < 0)
			exit(2);
		run_path(name);
		free(list[i]);
	}
	free(list);
}

static void run_path(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		perror(path);
		exit(2);
	}
	if (S_ISDIR(st.st_mode))
		run_directory(path);
	else
		run_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%u inputs\n", inputs);
	return inputs ? 0 : 2; /* nothing to run is no success */
}

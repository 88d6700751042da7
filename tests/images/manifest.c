/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manifest.c - what a kept image holds; see manifest.h. */
#include "manifest.h"

#include <inttypes.h>
#include <stdio.h>

#include "keepalive/csum.h"
#include "memfs.h"

char *manifest_of(struct ka_fs *fs, const void *image, size_t bytes)
{
	char *dump = memfs_dump(fs), *text = NULL;
	const char *p;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fprintf(out, "image: %zu bytes, XXH3 %016" PRIx64 "\n", bytes, ka_csum(image, bytes));
	for (p = dump; *p; p++) {
		if (*p == '\n' || (*p >= ' ' && *p <= '~'))
			fputc(*p, out);
		else
			fprintf(out, "\\x%02x", (uint8_t)*p);
	}
	fclose(out);
	free(dump);
	return text;
}

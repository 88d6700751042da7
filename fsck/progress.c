/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress.c - how far the check is: lines for programs in the format of e2fsck -C,
 * or a bar for people.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fsck.h"

#define BAR_WIDTH 50

/* Shares of the bar: where a check spends its time. The data takes nearly all. */
static const unsigned share[] = {
	[PASS_SUPER] = 1, [PASS_LOAD] = 10, [PASS_LOG] = 20,
	[PASS_DATA] = 60, [PASS_TREE] = 8,  [PASS_USAGE] = 1,
};

void fsck_progress_lines(struct fsck *f, int pass, uint64_t at, uint64_t of)
{
	dprintf(f->progress_fd, "%d %" PRIu64 " %" PRIu64 " %s\n", pass, at, of, f->path);
}

static unsigned permille(int pass, uint64_t at, uint64_t of)
{
	unsigned done = 0;
	int i;

	for (i = PASS_SUPER; i < pass; i++)
		done += 10 * share[i];
	return done + (of ? (unsigned)(10 * share[pass] * ((double)at / (double)of)) : 0);
}

void fsck_progress_bar(struct fsck *f, int pass, uint64_t at, uint64_t of)
{
	static const char full[] = "==================================================";
	unsigned now = permille(pass, at, of);
	int width = (int)(now * BAR_WIDTH / 1000);

	if (now == f->bar_permille)
		return;
	f->bar_permille = now;
	printf("\r%s: |%.*s%*s| %3u.%u%%", f->path, width, full, BAR_WIDTH - width, "", now / 10,
	       now % 10);
	fflush(stdout);
}

void fsck_clear_bar(struct fsck *f)
{
	if (f->progress != fsck_progress_bar || !f->bar_permille)
		return;
	printf("\r%*s\r", (int)strlen(f->path) + BAR_WIDTH + 12, "");
	fflush(stdout);
	f->bar_permille = 0;
}

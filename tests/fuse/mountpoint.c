/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mountpoint.c - a mount point whose daemon is on its way out: what the kernel
 * answers for a moment is waited for, whichever of its two errors it is.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keepalive/util.h"
#include "opts.h"

#define FOR_EVER -1

static int answer; /* what opendir fails with */
static int left;   /* so many times, then it works */

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);

DIR *__wrap_opendir(const char *path)
{
	if (!left)
		return __real_opendir(path);
	if (left != FOR_EVER)
		left--;
	errno = answer;
	return NULL;
}

static void keep(void *ctx, enum ka_msg_level level, const char *text)
{
	(void)level;
	snprintf(ctx, 512, "%s", text);
}

static bool check(const char *dir, int error, int times, int want, const char *says)
{
	char text[512] = "";
	const struct ka_msg_sink sink = {.fn = keep, .ctx = text};
	struct opts o = {.mountpoint = dir};
	int err;

	answer = error;
	left = times;
	err = opts_check_mountpoint(&o, &sink);
	opts_release(&o);
	if (err == want && strstr(text, says))
		return true;
	fprintf(stderr, "%s, %d times: %d, not %d; '%s', not '%s'\n", strerror(error), times, err,
		want, text, says);
	return false;
}

int main(void)
{
	char dir[] = "/tmp/keepalive-mountpoint.XXXXXX";
	const int errors[] = {ENOTCONN, ECONNABORTED};
	bool ok = true;
	size_t i;

	if (!mkdtemp(dir))
		return 99;
	for (i = 0; i < KA_ARRAY_SIZE(errors); i++) {
		ok &= check(dir, errors[i], 3, 0, "");
		ok &= check(dir, errors[i], FOR_EVER, -errors[i], "daemon has died");
	}
	ok &= check(dir, EACCES, FOR_EVER, -EACCES, "cannot use mount point");
	rmdir(dir);
	return !ok;
}

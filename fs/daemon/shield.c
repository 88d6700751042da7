/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shield.c - protection against a lack of memory; see shield.h. */
#include "shield.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "keepalive/util.h"

static void write_text(const char *path, const char *text)
{
	KA_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, text, strlen(text));
}

void shield_process(void)
{
	if (geteuid())
		return;
	write_text("/proc/self/oom_score_adj", "-1000");
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

void shield_memory(const void *region, size_t bytes)
{
	/* Without the privilege a small limit would make later mappings fail. */
	if (geteuid())
		return;
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		return;
	if (region)
		munlock(region, bytes);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shield.c - against a lack of memory, against being taken over; see shield.h.
 *
 * The daemon needs no capability while it serves. Memory stays locked because the
 * limit was lifted before (where that is not allowed, CAP_IPC_LOCK stays);
 * /proc/PID/status of callers is readable by all; what is about the mount itself is
 * done by the helper.
 */
#include "shield.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "keepalive/util.h"
#include "log.h"
#include "sandbox.h"

/* ---- memory ------------------------------------------------------------------------ */

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

/* A container may not let root lift limits. */
static bool lock_is_limited(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur != RLIM_INFINITY;
}

static bool has_capability(cap_value_t cap)
{
	cap_t now = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR;
	bool ok = now && !cap_get_flag(now, cap, CAP_EFFECTIVE, &has) && has;

	cap_free(now);
	return ok;
}

void shield_memory(const void *region, size_t bytes)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	if (geteuid())
		return;
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	/* With a limit and without the privilege later mappings would fail. */
	if (lock_is_limited() && !has_capability(CAP_IPC_LOCK))
		return;
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		return;
	if (region)
		munlock(region, bytes);
}

/* ---- privileges --------------------------------------------------------------------- */

/*
 * Keeps these capabilities, if they are there, and no others. Where the bounding set
 * cannot be changed, no_new_privs sees to it that it does not matter.
 */
static int keep_capabilities(const cap_value_t *keep, int count)
{
	cap_t then = cap_init();
	int i, err = then ? 0 : -ENOMEM;

	for (i = 0; !err && i < count; i++) {
		if (!has_capability(keep[i]))
			continue;
		if (cap_set_flag(then, CAP_PERMITTED, 1, &keep[i], CAP_SET) ||
		    cap_set_flag(then, CAP_EFFECTIVE, 1, &keep[i], CAP_SET))
			err = -errno;
	}
	(void)cap_reset_ambient();
	for (i = 0; CAP_IS_SUPPORTED((cap_value_t)i); i++)
		(void)cap_drop_bound((cap_value_t)i);
	if (!err && cap_set_proc(then))
		err = -errno;
	cap_free(then);
	return err;
}

static int filter(void)
{
	if (sandbox_possible())
		return sandbox_filter();
	/* To be without the files would be worse. */
	log_msg(KA_MSG_WARNING, "system calls cannot be filtered here; it goes on without that");
	return 0;
}

int shield_others(void)
{
	const cap_value_t lock = CAP_IPC_LOCK; /* for the memory to come */
	int err = keep_capabilities(&lock, lock_is_limited() ? 1 : 0);

	/* A user's own daemon holds nothing that is not theirs: let them debug it. */
	if (!err && !geteuid() && prctl(PR_SET_DUMPABLE, 0))
		err = -errno;
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	err = err ?: filter();
	if (err)
		log_msg(KA_MSG_ERROR, "cannot give up privileges: %s", strerror(-err));
	return err;
}

void shield_helper(bool lends)
{
	/* The mount point may lie in a directory of somebody who lets nobody in. */
	const cap_value_t keep[] = {
		CAP_SYS_ADMIN,
		CAP_DAC_READ_SEARCH,
		CAP_SYS_MODULE, /* kmem, which must not be there at boot */
		CAP_IPC_LOCK,
	};

	if (geteuid()) /* fusermount3 is set-user-ID */
		return;
	if (keep_capabilities(keep, lends ? 4 : 2) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(1);
	prctl(PR_SET_DUMPABLE, 0);
}

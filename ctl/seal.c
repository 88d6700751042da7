/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seal.c - keepalivectl seal: the last step before a reboot, and back.
 *
 * What programs have stored through shared mappings lies in the kernel's page
 * cache. The daemon has it written back before it seals. Kernels before 6.15 do not
 * make it wait for what is on its way already, so that is seen to here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "mounts.h"

#define WAIT_MS 5000
#define POLL_MS 2

/* The control filesystem of FUSE, mounted nowhere: for root, where nobody has mounted it. */
static int open_fusectl(void)
{
	KA_AUTO_CLOSE int fs = fsopen("fusectl", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
}

/* A file that tells how many requests the daemon has not answered, or -1. */
static int open_waiting(dev_t dev)
{
	KA_AUTO_CLOSE int dir = -1;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/waiting", minor(dev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	dir = open_fusectl();
	snprintf(path, sizeof(path), "%u/waiting", minor(dev));
	return dir < 0 ? -1 : openat(dir, path, O_RDONLY | O_CLOEXEC);
}

static bool is_idle(int waiting)
{
	char text[32];
	ssize_t n = pread(waiting, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return true;
	text[n] = 0;
	return !strtoul(text, NULL, 10);
}

static int write_back(const struct ctl_args *args, int fd)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000l};
	KA_AUTO_CLOSE int waiting = -1;
	struct stat st;
	int ms;

	if (fstat(fd, &st))
		return -errno;
	/* It tells too of what failed long ago, as after a seal: that is not for us. */
	(void)syncfs(fd);
	waiting = open_waiting(st.st_dev);
	if (waiting < 0)
		ka_msg(args->sink, KA_MSG_WARNING,
		       "cannot wait for what programs have stored in mapped files: "
		       "'/sys/fs/fuse/connections' is not to be read");
	/* Where others never pause, there is always some; theirs need no waiting. */
	for (ms = 0; waiting >= 0 && ms < WAIT_MS && !is_idle(waiting); ms += POLL_MS)
		nanosleep(&pause, NULL);
	return 0;
}

static int explain(const struct ctl_args *args, int err)
{
	const char *what = args->off ? "take the seal off" : "seal";

	if (err == -EROFS)
		ka_msg(args->sink, KA_MSG_ERROR,
		       "cannot %s '%s': it is mounted read-only, so nothing can be written", what,
		       args->target);
	else if (err == -ENOTTY)
		ka_msg(args->sink, KA_MSG_ERROR,
		       "cannot %s '%s': its daemon is older than this program, or this is not where "
		       "it is mounted",
		       what, args->target);
	else
		ka_msg(args->sink, KA_MSG_ERROR, "cannot %s '%s': %s", what, args->target,
		       ka_strerror(err));
	return CTL_FAILED;
}

static int run_seal(const struct ctl_args *args)
{
	struct ka_ioc_seal seal = {.on = !args->off};
	KA_AUTO_CLOSE int fd = -1;
	struct mount_status *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return CTL_FAILED;
	err = mount_ask(args->target, m);
	free(m);
	if (err) {
		mount_explain(args->sink, args->target, err);
		return CTL_FAILED;
	}
	fd = open(args->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = fd < 0 ? -errno : 0;
	if (!err && !args->off)
		err = write_back(args, fd);
	if (!err && ioctl(fd, KA_IOC_SEAL, &seal))
		err = -errno;
	return err ? explain(args, err) : CTL_OK;
}

static const struct option long_options[] = {
	{"off", no_argument, NULL, CTL_OPT_OFF},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_seal = {
	.name = "seal",
	.operand = "MOUNTPOINT",
	.help = "Usage: " CTL_NAME " seal [--off] MOUNTPOINT\n"
		"The last step before a reboot: everything is written and marked as clean, and\n"
		"whoever writes from now on is told that the filesystem is read-only. The next\n"
		"mount takes the seal off.\n"
		"\n"
		"      --off      take the seal off\n"
		"  -h, --help     print this help\n"
		"  -V, --version  print the version\n",
	.short_options = ":hV",
	.long_options = long_options,
	.run = run_seal,
};

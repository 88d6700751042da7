/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umount_helper.c - umount.keepalivefs: what umount(8) calls.
 *
 * umount(2) is done as soon as the kernel has let go of the mount. The daemon
 * only then learns of it and writes its last checkpoint, so this waits until
 * the region is free: after umount it can be mounted, checked, copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keepalive/dax.h"
#include "keepalive/ioctl.h"
#include "keepalive/region.h"
#include "keepalive/util.h"
#include "program.h"

#define NAME "umount.keepalivefs"

#define WAIT_MS	  10000
#define NOTICE_MS 1000 /* by then a daemon has noticed that its mount is gone */
#define POLL_MS	  5

/* As those of umount(8). */
enum {
	EXIT_OK = 0,
	EXIT_USAGE = 1,
	EXIT_SYSTEM = 2,
	EXIT_UMOUNT = 32,
};

struct umount {
	struct ka_msg_sink sink;
	const char *dir;
	int flags;
};

static const char short_options[] = ":flnrvN:t:hV";
static const struct option long_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: " NAME " DIRECTORY [-flnrv] [-N NAMESPACE] [-t TYPE]\n"
	"What umount(8) calls for file systems of the type keepalivefs. Returns when the\n"
	"daemon has written its last checkpoint and left the region.\n"
	"\n"
	"  -f             cut off what is under way; does not wait\n"
	"  -l             detach it now, it ends when nobody uses it any more; does not wait\n"
	"  -n, -r, -v, -N NAMESPACE, -t TYPE\n"
	"                 accepted, and change nothing\n"
	"  -h, --help     print this help\n"
	"  -V, --version  print the version\n"
	"\n"
	"Exit status: 0 unmounted, anything else: failed. See mount.keepalivefs(8).\n";

/*
 * Which region is mounted there: "" where nobody answers. A daemon that hangs
 * would not answer for ever, so this is not for -f.
 */
static void ask_region(const char *dir, char *path, size_t size)
{
	KA_AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ka_ioc_status status;

	*path = 0;
	if (fd < 0 || ioctl(fd, KA_IOC_STATUS, &status))
		return;
	snprintf(path, size, "%.*s", (int)sizeof(status.region_path), status.region_path);
}

/* For a user's own mount: only fusermount3 may unmount that. */
static int run_fusermount(const struct umount *u)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execlp("fusermount3", "fusermount3", u->flags & MNT_DETACH ? "-uz" : "-u", "--",
		       u->dir, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EPERM;
}

static int unmount(const struct umount *u)
{
	int err = umount2(u->dir, u->flags | UMOUNT_NOFOLLOW) ? -errno : 0;

	if (err == -EPERM && geteuid())
		err = run_fusermount(u);
	if (err)
		ka_msg(&u->sink, KA_MSG_ERROR, "cannot unmount '%s': %s", u->dir, strerror(-err));
	return err;
}

/* A daemon that goes on serving has another mount of the same filesystem. */
static int await_daemon(const struct umount *u, const char *region)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000l};
	KA_AUTO_FREE char *path = ka_dax_lock_path(NULL, region);
	bool used, served;
	int ms;

	for (ms = 0; ms < WAIT_MS; ms += POLL_MS) {
		if (!path || ka_region_in_use(path, &used) || !used)
			return EXIT_OK;
		if (ms >= NOTICE_MS && !ka_region_is_served(path, &served) && served)
			return EXIT_OK;
		nanosleep(&pause, NULL);
	}
	ka_msg(&u->sink, KA_MSG_ERROR,
	       "'%s' is unmounted, but its daemon has not left the region '%s' yet", u->dir,
	       region);
	return EXIT_UMOUNT;
}

/* 0: go on; 1: done; negative: was explained. */
static int parse_option(struct umount *u, int c, char **argv)
{
	switch (c) {
	case 'n':
	case 'r':
	case 'v':
	case 'N':
	case 't':
		return 0;
	case 'f':
		u->flags |= MNT_FORCE;
		return 0;
	case 'l':
		u->flags |= MNT_DETACH;
		return 0;
	case 'h':
		fputs(help, stdout);
		return 1;
	case 'V':
		ka_program_version(NAME);
		return 1;
	default:
		ka_program_option_error(&u->sink, c, argv, short_options);
		return -EINVAL;
	}
}

static int parse_args(struct umount *u, int argc, char **argv)
{
	int c, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		err = parse_option(u, c, argv);
		if (err)
			return err;
	}
	if (argc - optind != 1) {
		ka_msg(&u->sink, KA_MSG_ERROR, "one directory is needed; try --help");
		return -EINVAL;
	}
	u->dir = argv[optind];
	return 0;
}

static int run(struct umount *u, int argc, char **argv)
{
	int err = parse_args(u, argc, argv);
	char region[KA_IOC_PATH_MAX] = "";

	if (err)
		return err < 0 ? EXIT_USAGE : EXIT_OK;
	if (!(u->flags & (MNT_FORCE | MNT_DETACH)))
		ask_region(u->dir, region, sizeof(region));
	if (unmount(u))
		return EXIT_UMOUNT;
	return *region ? await_daemon(u, region) : EXIT_OK;
}

int main(int argc, char **argv)
{
	struct umount u = {.sink = ka_program_sink(NAME)};

	return ka_program_end(&u.sink, run(&u, argc, argv), EXIT_SYSTEM);
}

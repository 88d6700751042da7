/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper.c - unmounts for the daemon; see helper.h.
 *
 * Nothing that comes from the daemon is more than a request by number: a daemon that
 * was taken over can have its own mount unmounted, made read-only, and nothing else.
 * What needs privileges in later versions (to give memory to the system and take
 * it back, by sysfs and daxctl) belongs here too.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keepalive/util.h"
#include "shield.h"

/*
 * How far the kernel reads ahead: twice the largest request, so that one is
 * filled on another core while the client copies from the one before. Measured
 * times are flat from 512 to 16384; the default of 128 is a quarter slower.
 */
#define READ_AHEAD_KB "2048"

#define NAME	  "keepalivehelper" /* 15 characters at most */
#define SOCKET_FD 3

/*
 * It answers within milliseconds, unless somebody has stopped it. Less than the 10 s
 * for which tools wait for a daemon on its way out.
 */
#define ANSWER_MS 5000
#define ENDED_MS  1000 /* after its socket was closed */
#define LOOK_MS	  5

/* The memory of the command line, which ps shows. */
static struct {
	char *start;
	size_t size;
} title;

struct served {
	const char *mountpoint;
	bool mounted;
	dev_t dev; /* of the mount */
};

/* ---- the helper ------------------------------------------------------------------ */

/* Without asking the daemon, which may not serve yet, or not any more. */
static int device_of(const char *path, dev_t *ret_dev)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0,
		  &stx))
		return -errno;
	*ret_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	return 0;
}

static int remember(struct served *s)
{
	int err = device_of(s->mountpoint, &s->dev);

	s->mounted = !err;
	return err;
}

/* Somebody may have unmounted it, and mounted something else there. */
static bool is_there(const struct served *s)
{
	dev_t dev;

	return s->mounted && !device_of(s->mountpoint, &dev) && dev == s->dev;
}

/* Only root may, and nothing but speed depends on it. */
static void set_read_ahead(dev_t dev)
{
	KA_AUTO_CLOSE int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB));
}

static int check_answer(const struct served *s)
{
	struct stat st;

	/* The workers answer this. It fails when somebody unmounts already. */
	if (stat(s->mountpoint, &st))
		return -errno;
	set_read_ahead(st.st_dev);
	return 0;
}

static int show_read_only(const struct served *s)
{
	unsigned long flags = MS_REMOUNT | MS_RDONLY;
	struct statvfs sv;

	if (!is_there(s) || statvfs(s->mountpoint, &sv))
		return -errno;
	flags |= sv.f_flag & ST_NODEV ? MS_NODEV : 0;
	flags |= sv.f_flag & ST_NOSUID ? MS_NOSUID : 0;
	flags |= sv.f_flag & ST_NOEXEC ? MS_NOEXEC : 0;
	return mount(NULL, s->mountpoint, NULL, flags, NULL) ? -errno : 0;
}

/* For a user's own mount: only fusermount3 may unmount that. */
static int run_fusermount(const char *mountpoint)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", mountpoint, NULL);
		_exit(127);
	}
	if (pid < 0 || TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) != pid)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EPERM;
}

/* As libfuse does: who still has a file open keeps it until then. */
static int unmount(const struct served *s)
{
	if (!is_there(s))
		return 0;
	if (!umount2(s->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW))
		return 0;
	return geteuid() ? run_fusermount(s->mountpoint) : -errno;
}

static int serve(struct served *s, char request)
{
	switch ((enum helper_request)request) {
	case HELPER_MOUNTED:
		return remember(s);
	case HELPER_ANSWERS:
		return check_answer(s);
	case HELPER_READ_ONLY:
		return show_read_only(s);
	case HELPER_UNMOUNT:
		return unmount(s);
	}
	return -EINVAL;
}

static void set_title(const char *mountpoint)
{
	prctl(PR_SET_NAME, NAME);
	if (!title.size)
		return;
	memset(title.start, 0, title.size);
	snprintf(title.start, title.size, "keepalivefs helper of %s", mountpoint);
}

/*
 * It must not hold on to anything: the pipe that says that the mount answers, the
 * terminal, the current directory. Signals that end the daemon come to it as well,
 * from a terminal or a service manager, and it is needed after that.
 */
static void leave_all(int fd)
{
	const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
	int null = open("/dev/null", O_RDWR);
	size_t i;

	for (i = 0; i < KA_ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
	for (i = 0; null >= 0 && i < SOCKET_FD; i++)
		dup2(null, (int)i);
	if (fd != SOCKET_FD)
		dup2(fd, SOCKET_FD);
	close_range(SOCKET_FD + 1, ~0u, 0);
	fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
	setsid();
	(void)!chdir("/");
}

static void __attribute__((noreturn)) run(int fd, const char *mountpoint)
{
	struct served s = {.mountpoint = mountpoint};
	char request;
	int answer;

	set_title(mountpoint);
	leave_all(fd);
	shield_helper();
	while (TEMP_FAILURE_RETRY(read(SOCKET_FD, &request, 1)) == 1) {
		answer = serve(&s, request);
		(void)!write(SOCKET_FD, &answer, sizeof(answer));
	}
	_exit(0);
}

/* ---- the daemon's side ------------------------------------------------------------- */

void helper_init_title(int argc, char **argv)
{
	title.start = argv[0];
	title.size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
}

int helper_start(struct helper *h, const char *mountpoint)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	h->pid = fork();
	if (h->pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -EAGAIN;
	}
	if (!h->pid)
		run(fds[1], mountpoint);
	close(fds[1]);
	h->fd = fds[0];
	return 0;
}

/* What answers late would be taken for the answer to the next request. */
static int give_up(struct helper *h)
{
	close(h->fd);
	h->fd = -1;
	return -ETIMEDOUT;
}

int helper_ask(struct helper *h, enum helper_request request)
{
	struct pollfd answers = {.fd = h->fd, .events = POLLIN};
	char byte = (char)request;
	int answer;
	ssize_t n;

	if (h->fd < 0 || write(h->fd, &byte, 1) != 1)
		return -EPIPE;
	if (TEMP_FAILURE_RETRY(poll(&answers, 1, ANSWER_MS)) != 1)
		return give_up(h);
	n = TEMP_FAILURE_RETRY(read(h->fd, &answer, sizeof(answer)));
	return n == sizeof(answer) ? answer : -EPIPE;
}

/* One that is stopped ends when it is continued; init takes care of it then. */
void helper_stop(struct helper *h)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000l};
	int looks = ENDED_MS / LOOK_MS;

	if (h->fd < 0)
		return;
	close(h->fd);
	h->fd = -1;
	while (!TEMP_FAILURE_RETRY(waitpid(h->pid, NULL, WNOHANG)) && looks--)
		nanosleep(&pause, NULL);
}

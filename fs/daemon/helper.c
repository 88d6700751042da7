/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper.c - unmounts for the daemon; see helper.h.
 *
 * Nothing that comes from the daemon is more than a request by number: a daemon that
 * was taken over can have its own mount unmounted or made read-only, its own slices lent and
 * taken back, and nothing else.
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

#include "helper_dax.h"
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
/* A slice: what taking memory offline may take, and then as long for putting it back. */
#define HOTPLUG_MS (2 * HELPER_OFFLINE_MS + 10000)
#define LOOK_MS	   5

/* The memory of the command line, which ps shows. */
static struct {
	char *start;
	size_t size;
} title;

struct served {
	const char *mountpoint;
	bool mounted;
	dev_t dev; /* of the mount */
	struct helper_dax dax;
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

static int serve(struct served *s, const struct helper_question *q, struct helper_answer *a,
		 int *ret_fd)
{
	switch ((enum helper_request)q->request) {
	case HELPER_MOUNTED:
		return remember(s);
	case HELPER_ANSWERS:
		return check_answer(s);
	case HELPER_READ_ONLY:
		return show_read_only(s);
	case HELPER_UNMOUNT:
		return unmount(s);
	case HELPER_REGION:
		return helper_dax_region(&s->dax, q->off, q->bytes);
	case HELPER_LEND:
		return helper_dax_lend(&s->dax, q->off, q->bytes, a->reason);
	case HELPER_RECLAIM:
		return helper_dax_reclaim(&s->dax, q->off, q->bytes, a->reason, ret_fd);
	}
	return -EINVAL;
}

static void reply(const struct helper_answer *a, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)a, .iov_len = sizeof(*a)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	(void)!sendmsg(SOCKET_FD, &msg, MSG_NOSIGNAL);
	if (fd >= 0)
		close(fd);
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

static void __attribute__((noreturn)) run(int fd, const char *mountpoint, bool lends)
{
	struct served s = {.mountpoint = mountpoint};
	struct helper_question q;
	struct helper_answer a;

	set_title(mountpoint);
	leave_all(fd);
	shield_helper(lends);
	while (TEMP_FAILURE_RETRY(read(SOCKET_FD, &q, sizeof(q))) == sizeof(q)) {
		a = (struct helper_answer){0};
		fd = -1;
		a.err = serve(&s, &q, &a, &fd);
		reply(&a, fd);
	}
	_exit(0);
}

/* ---- the daemon's side ------------------------------------------------------------- */

void helper_init_title(int argc, char **argv)
{
	title.start = argv[0];
	title.size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
}

int helper_start(struct helper *h, const char *mountpoint, bool lends)
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
		run(fds[1], mountpoint, lends);
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

static int receive(struct helper *h, struct helper_answer *ret, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = ret, .iov_len = sizeof(*ret)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c;

	if (TEMP_FAILURE_RETRY(recvmsg(h->fd, &msg, MSG_CMSG_CLOEXEC)) != sizeof(*ret))
		return -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return 0;
}

static int ask(struct helper *h, const struct helper_question *q, struct helper_answer *ret,
	       int *ret_fd)
{
	struct pollfd answers = {.fd = h->fd, .events = POLLIN};
	int ms = q->request == HELPER_RECLAIM || q->request == HELPER_LEND ? HOTPLUG_MS : ANSWER_MS;
	int err;

	if (h->fd < 0 || write(h->fd, q, sizeof(*q)) != sizeof(*q))
		return -EPIPE;
	if (TEMP_FAILURE_RETRY(poll(&answers, 1, ms)) != 1)
		return give_up(h);
	err = receive(h, ret, ret_fd);
	return err ?: ret->err;
}

int helper_ask_range(struct helper *h, enum helper_request request, uint64_t off, uint64_t bytes,
		     struct helper_answer *ret, int *ret_fd)
{
	const struct helper_question q = {.request = (char)request, .off = off, .bytes = bytes};
	struct helper_answer answer = {0};
	int fd = -1, err;

	pthread_mutex_lock(&h->lock);
	err = ask(h, &q, &answer, &fd);
	pthread_mutex_unlock(&h->lock);
	if (ret)
		*ret = answer;
	if (ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}

int helper_ask(struct helper *h, enum helper_request request)
{
	return helper_ask_range(h, request, 0, 0, NULL, NULL);
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

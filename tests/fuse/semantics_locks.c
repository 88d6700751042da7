/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_locks.c - record locks of both kinds, and flock. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

#define WAIT_US 30000 /* a waiter that does not wait would be done by then */

static int lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	return fcntl(fd, cmd, &fl);
}

static const char *holder(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	if (fcntl(fd, cmd, &fl))
		return rc(-1);
	if (fl.l_type == F_UNLCK)
		return "free";
	return fmt("%s %lld+%lld %s", fl.l_type == F_WRLCK ? "write" : "read",
		   (long long)fl.l_start, (long long)fl.l_len,
		   fl.l_pid == getppid() ? "parent"
		   : fl.l_pid == -1	 ? "nobody"
					 : "other");
}

static void posix_locks(void)
{
	int fd, other, ro;

	put_zeros("f", 100);
	fd = open("f", O_RDWR);
	ro = open("f", O_RDONLY);
	RESULT("posix-write", lock(fd, F_SETLK, F_WRLCK, 10, 10));
	RESULT("posix-read", lock(fd, F_SETLK, F_RDLCK, 40, 10));
	RESULT("posix-same-process", lock(fd, F_SETLK, F_WRLCK, 15, 10));
	RESULT("posix-write-rdonly", lock(ro, F_SETLK, F_WRLCK, 60, 1));
	RESULT("posix-bad-type", lock(fd, F_SETLK, 77, 60, 1));
	RESULT("posix-negative", lock(fd, F_SETLK, F_WRLCK, -1, 1));
	if (enter(0, NOGID)) {
		fd = open("f", O_RDWR);
		RESULT("posix-conflict", lock(fd, F_SETLK, F_WRLCK, 12, 1));
		RESULT("posix-conflict-read", lock(fd, F_SETLK, F_RDLCK, 24, 1));
		RESULT("posix-shared", lock(fd, F_SETLK, F_RDLCK, 42, 1));
		RESULT("posix-shared-write", lock(fd, F_SETLK, F_WRLCK, 42, 1));
		RESULT("posix-free", lock(fd, F_SETLK, F_WRLCK, 25, 15));
		line("posix-holder", "%s", holder(fd, F_GETLK, F_WRLCK, 0, 0));
		line("posix-holder-read", "%s", holder(fd, F_GETLK, F_RDLCK, 40, 0));
		line("posix-holder-write", "%s", holder(fd, F_GETLK, F_WRLCK, 45, 0));
		line("posix-ofd-sees", "%s", holder(fd, F_OFD_GETLK, F_WRLCK, 0, 0));
		RESULT("posix-ofd-conflict", lock(fd, F_OFD_SETLK, F_WRLCK, 12, 1));
		leave();
	}
	RESULT("posix-unlock-middle", lock(fd, F_SETLK, F_UNLCK, 12, 4));
	if (enter(0, NOGID)) {
		fd = open("f", O_RDWR);
		line("posix-split", "%s", holder(fd, F_GETLK, F_WRLCK, 12, 0));
		RESULT("posix-middle", lock(fd, F_SETLK, F_WRLCK, 12, 4));
		leave();
	}
	/* Any close of the file gives up all its locks. */
	other = open("f", O_RDONLY);
	close(other);
	if (enter(0, NOGID)) {
		fd = open("f", O_RDWR);
		line("posix-after-close", "%s", holder(fd, F_GETLK, F_WRLCK, 0, 0));
		leave();
	}
	MUST(!close(fd) && !close(ro));
}

static void ofd_locks(void)
{
	int a = open("f", O_RDWR), b = open("f", O_RDWR), copy = dup(a);

	RESULT("ofd-write", lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	RESULT("ofd-same-process", lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
	RESULT("ofd-posix", lock(b, F_SETLK, F_WRLCK, 5, 1));
	RESULT("ofd-dup", lock(copy, F_OFD_SETLK, F_WRLCK, 5, 10));
	line("ofd-holder", "%s", holder(b, F_OFD_GETLK, F_WRLCK, 0, 0));
	MUST(!close(open("f", O_RDONLY)));
	RESULT("ofd-other-close", lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
	if (enter(0, NOGID)) {
		RESULT("ofd-inherited", lock(a, F_OFD_SETLK, F_UNLCK, 0, 5));
		leave();
	}
	RESULT("ofd-after-child", lock(b, F_OFD_SETLK, F_WRLCK, 0, 5));
	close(a);
	RESULT("ofd-dup-holds", lock(b, F_OFD_SETLK, F_WRLCK, 8, 1));
	close(copy);
	RESULT("ofd-closed", lock(b, F_OFD_SETLK, F_WRLCK, 8, 1));
	close(b);
}

/* ---- waiting -------------------------------------------------------------------------- */

static int set_flock(int fd)
{
	return flock(fd, LOCK_EX);
}

static int set_posix(int fd)
{
	return lock(fd, F_SETLKW, F_WRLCK, 0, 0);
}

static int set_ofd(int fd)
{
	return lock(fd, F_OFD_SETLKW, F_WRLCK, 0, 0);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A child takes the lock, says so, and lives on until it is killed. */
static pid_t holding_child(int (*set)(int fd))
{
	int fds[2];
	char c;
	pid_t pid;

	MUST(!pipe(fds));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		MUST(!set(open("f", O_RDWR)) && write(fds[1], "h", 1) == 1);
		for (;;)
			pause();
	}
	MUST(read(fds[0], &c, 1) == 1);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void waiting(const char *kind, int (*set)(int fd))
{
	const struct itimerval soon = {.it_value.tv_usec = WAIT_US};
	struct pollfd poll_fd;
	int fds[2], fd;
	pid_t pid;
	char c = 0;

	/* A waiter gets it when the holder closes its file. */
	fd = open("f", O_RDWR);
	MUST(!set(fd) && !pipe(fds));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(fd);
		MUST(!set(open("f", O_RDWR)) && write(fds[1], "g", 1) == 1);
		_exit(0);
	}
	poll_fd = (struct pollfd){.fd = fds[0], .events = POLLIN};
	line(fmt("%s-waits", kind), "%d", poll(&poll_fd, 1, WAIT_US / 1000));
	close(fd);
	MUST(read(fds[0], &c, 1) == 1);
	line(fmt("%s-granted", kind), "%c %s", c, fate(pid));
	close(fds[0]);
	close(fds[1]);

	/* A signal interrupts it, and death of the holder lets it go. */
	pid = holding_child(set);
	if (enter(0, NOGID)) {
		sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
		fd = open("f", O_RDWR);
		/* Again and again, lest the first comes before the wait. */
		setitimer(ITIMER_REAL,
			  &(struct itimerval){.it_value = soon.it_value,
					      .it_interval = soon.it_value},
			  NULL);
		RESULT(fmt("%s-interrupted", kind), set(fd));
		leave();
	}
	kill(pid, SIGKILL);
	line(fmt("%s-holder", kind), "%s", fate(pid));
	fd = open("f", O_RDWR);
	RESULT(fmt("%s-after-death", kind), set(fd));
	close(fd);
}

/* Until the child waits: all else that it does takes no sleep. */
static void wait_for_sleep(pid_t pid)
{
	char path[64], state = 0;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (state != 'S') {
		pause_us(1000);
		stat = fopen(path, "r");
		MUST(stat && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
		fclose(stat);
	}
}

/* Each holds one byte and wants the other's: one of them is told. */
static void deadlock(void)
{
	int fd = open("f", O_RDWR), ready[2];
	char c;
	pid_t pid;

	MUST(!pipe(ready) && !lock(fd, F_SETLK, F_WRLCK, 0, 1));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		fd = open("f", O_RDWR);
		MUST(!lock(fd, F_SETLK, F_WRLCK, 1, 1) && write(ready[1], "r", 1) == 1);
		MUST(!lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		_exit(0);
	}
	MUST(read(ready[0], &c, 1) == 1);
	wait_for_sleep(pid);
	RESULT("deadlock", lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	close(fd);
	line("deadlock-other", "%s", fate(pid));
	close(ready[0]);
	close(ready[1]);
}

static void flocks(void)
{
	int a = open("f", O_RDWR), b = open("f", O_RDONLY), copy, dir = open(".", O_RDONLY);

	RESULT("flock-shared", flock(a, LOCK_SH | LOCK_NB));
	RESULT("flock-shared-both", flock(b, LOCK_SH | LOCK_NB));
	RESULT("flock-upgrade-conflict", flock(a, LOCK_EX | LOCK_NB));
	/* The failed upgrade has given up the shared lock. */
	RESULT("flock-upgrade-other", flock(b, LOCK_EX | LOCK_NB));
	RESULT("flock-conflict", flock(a, LOCK_SH | LOCK_NB));
	RESULT("flock-posix-apart", lock(a, F_SETLK, F_WRLCK, 0, 0));
	RESULT("flock-downgrade", flock(b, LOCK_SH | LOCK_NB));
	RESULT("flock-shared-again", flock(a, LOCK_SH | LOCK_NB));
	RESULT("flock-unlock", flock(b, LOCK_UN));
	RESULT("flock-upgrade", flock(a, LOCK_EX | LOCK_NB));
	copy = dup(a);
	close(a);
	RESULT("flock-dup-holds", flock(b, LOCK_EX | LOCK_NB));
	RESULT("flock-dup-unlocks", flock(copy, LOCK_UN));
	RESULT("flock-free", flock(b, LOCK_EX | LOCK_NB));
	RESULT("flock-bad", flock(b, 77));
	RESULT("flock-dir", flock(dir, LOCK_EX | LOCK_NB));
	if (enter(0, NOGID)) {
		RESULT("flock-dir-conflict", flock(open(".", O_RDONLY), LOCK_EX | LOCK_NB));
		RESULT("flock-inherited", flock(b, LOCK_EX | LOCK_NB));
		leave();
	}
	MUST(!close(b) && !close(copy) && !close(dir));
}

void test_locks(void)
{
	posix_locks();
	ofd_locks();
	waiting("posix", set_posix);
	waiting("ofd", set_ofd);
	waiting("flock", set_flock);
	deadlock();
	flocks();
	MUST(!unlink("f"));
}

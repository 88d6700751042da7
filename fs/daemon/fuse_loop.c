/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_loop.c - leader and followers; see fuse_loop.h. */
#include "fuse_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define WAKE_MS	      20
#define AWAKE_NS      10000
#define AWAKE_LONG_NS 400000	/* after a long write: its client reads the next megabyte */
#define SLICE_NS      200000	/* somebody else had the core */
#define CALM_NS	      100000000 /* what that is answered with */

/* What takes longer than to wake up another thread: about 10 us. */
#define LONG_BYTES (64u << 10)

/* Does nothing: its delivery is what ends the wait for a request. */
static void on_wake(int sig)
{
	(void)sig;
}

void loop_init(struct loop *l)
{
	struct sigaction wake = {.sa_handler = on_wake}; /* no SA_RESTART: it interrupts */

	sigaction(SIGUSR1, &wake, NULL);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->promoted, NULL);
}

/* May wait for a disk, or verify megabytes. */
static bool is_slow(const struct fuse_buf *buf)
{
	const struct fuse_in_header *head = buf->mem;

	return head->opcode == FUSE_FSYNC || head->opcode == FUSE_FSYNCDIR ||
	       head->opcode == FUSE_IOCTL;
}

static bool is_long_write(const struct fuse_buf *buf)
{
	const struct fuse_in_header *head = buf->mem;

	return head->opcode == FUSE_WRITE && head->len >= LONG_BYTES;
}

static bool is_long(const struct fuse_buf *buf)
{
	const struct fuse_in_header *head = buf->mem;
	const struct fuse_read_in *read = (const void *)(head + 1);

	switch (head->opcode) {
	case FUSE_READ:
		return read->size >= LONG_BYTES;
	case FUSE_WRITE:
		return is_long_write(buf);
	default:
		return is_slow(buf);
	}
}

static pid_t client_of(const struct fuse_buf *buf)
{
	return (pid_t)((const struct fuse_in_header *)buf->mem)->pid;
}

/* Whether this thread takes requests. */
static _Thread_local bool leads;

static void *run_follower(void *arg);

/* The caller is the leader. */
static void step_down(struct loop *l)
{
	leads = false;
	pthread_mutex_lock(&l->lock);
	l->has_leader = false;
	if (l->parked)
		pthread_cond_signal(&l->promoted);
	else if (l->threads < LOOP_THREADS_MAX &&
		 !pthread_create(&l->thread[l->threads], NULL, run_follower, l))
		l->threads++;
	pthread_mutex_unlock(&l->lock);
}

/* Waits for its turn. False: the loop has ended. */
static bool become_leader(struct loop *l)
{
	bool ok;

	pthread_mutex_lock(&l->lock);
	while (l->has_leader && !l->left) {
		l->parked++;
		pthread_cond_wait(&l->promoted, &l->lock);
		l->parked--;
	}
	if (!l->left && fuse_session_exited(l->se)) {
		l->left = true;
		pthread_cond_broadcast(&l->promoted);
	}
	ok = !l->left;
	if (ok) {
		l->has_leader = true;
		l->leader = pthread_self();
	}
	pthread_mutex_unlock(&l->lock);
	leads = ok;
	return ok;
}

/* The mount is gone, or the end was asked for, or nothing can be read. */
static void leave(struct loop *l, int err)
{
	pthread_mutex_lock(&l->lock);
	l->has_leader = false;
	l->left = true;
	l->err = err;
	fuse_session_exit(l->se);
	pthread_cond_broadcast(&l->promoted);
	pthread_mutex_unlock(&l->lock);
}

/*
 * Whether another thread should take requests while this long one is served.
 * For one client that waits for each it should not: the next one finds this
 * thread's buffer and code in the cache of its core.
 */
static bool has_company(struct loop *l, const struct fuse_buf *buf)
{
	struct pollfd fd = {.fd = fuse_session_fd(l->se), .events = POLLIN};
	pid_t before = l->long_client;

	l->long_client = client_of(buf);
	return before != l->long_client || is_slow(buf) || poll(&fd, 1, 0) > 0;
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/*
 * Whether to go on waiting awake, since then. The next request of a busy client
 * comes within microseconds (of one that streams a file into the mount, as soon as
 * it has read a request's worth), less than it takes to wake up an idle core: worth
 * waiting for, not long, and giving way to whatever else wants this core, the
 * client not least. Where a program that computes wants it too, to give way
 * may cost a time slice, so then it is better to sleep for some time.
 */
static bool stay_awake(struct loop *l, int64_t since)
{
	int64_t now = monotonic_ns();

	if (now < l->calm_until || now - since >= l->awake_ns)
		return false;
	sched_yield();
	if (monotonic_ns() - now > SLICE_NS)
		l->calm_until = now + CALM_NS;
	return true;
}

/* Takes one request: as fuse_session_receive_buf, and 0 when the loop has to end. */
static int receive(struct loop *l, struct fuse_buf *buf)
{
	struct pollfd fd = {.fd = fuse_session_fd(l->se), .events = POLLIN};
	int64_t since = 0;
	int res;

	for (;;) {
		res = fuse_session_receive_buf(l->se, buf);
		if (res != -EINTR && res != -EAGAIN)
			return res;
		if (fuse_session_exited(l->se))
			return 0;
		since = since ?: monotonic_ns();
		if (!stay_awake(l, since))
			poll(&fd, 1, -1);
	}
}

/* Serves as the leader. False: the loop has ended. */
static bool lead(struct loop *l, struct fuse_buf *buf)
{
	bool alone;
	int res;

	while (leads) {
		res = receive(l, buf);
		if (res <= 0) {
			leave(l, res);
			return false;
		}
		alone = !is_long(buf) || !has_company(l, buf);
		l->awake_ns = alone && is_long_write(buf) ? AWAKE_LONG_NS : AWAKE_NS;
		if (!alone)
			step_down(l);
		fuse_session_process_buf(l->se, buf);
	}
	return true;
}

static void *run_follower(void *arg)
{
	struct fuse_buf buf = {.mem = NULL};
	struct loop *l = arg;

	while (become_leader(l) && lead(l, &buf))
		;
	free(buf.mem);
	return NULL;
}

int loop_run(struct loop *l)
{
	int fd = fuse_session_fd(l->se);
	unsigned i;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	run_follower(l);
	/* Nobody leads any more, so nobody starts another. */
	for (i = 0; i < l->threads; i++)
		pthread_join(l->thread[i], NULL);
	return l->err;
}

void loop_give_way(struct loop *l)
{
	if (leads)
		step_down(l);
}

/*
 * The leader looks at the session's flag before it waits, so one signal could
 * come just too early.
 */
void loop_end(struct loop *l)
{
	const struct timespec pause = {.tv_nsec = WAKE_MS * 1000000l};
	bool left;

	fuse_session_exit(l->se);
	for (;;) {
		pthread_mutex_lock(&l->lock);
		left = l->left;
		if (!left && l->has_leader)
			pthread_kill(l->leader, SIGUSR1);
		pthread_mutex_unlock(&l->lock);
		if (left)
			return;
		nanosleep(&pause, NULL);
	}
}

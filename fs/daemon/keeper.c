/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper.c - signals, checkpoints, cleaning, the end of the start; see keeper.h.
 *
 * Locks: none; the flags are atomic. The thread may wait for requests to the
 * mount (while it starts) and for the session loop (while it ends), so nothing
 * that serves requests may wait for it.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "keepalive/clean.h"
#include "keepalive/err.h"
#include "keepalive/lend.h"
#include "keepalive/util.h"
#include "log.h"
#include "server.h"

#define RETRY_MS 10000 /* after a checkpoint that failed */
/* With lend=auto: this share of the capacity stays free, twice as much for so long is much. */
#define LEND_KEEP_SHARE 16
#define LEND_QUIET_MS	5000
#define LEND_LOOK_MS	1000
#define LEND_PAUSE_MS	50 /* between slices */
/* Until space is looked for again, where there was none to be gained. */
#define CLEAN_RETRY_MS 1000

static void kick(struct keeper *k)
{
	eventfd_write(k->kick_fd, 1);
}

/* ---- start ------------------------------------------------------------------- */

/* The core may have gone read-only by itself; then the mount has to look so. */
static void show_read_only(struct server *sv)
{
	struct ka_fs_status status;

	ka_fs_get_status(sv->fs, &status);
	if (status.rdonly && !sv->opts.rdonly)
		(void)helper_ask(&sv->helper, HELPER_READ_ONLY);
}

static void leave_terminal(struct keeper *k)
{
	log_detach(k->sv->opts.mountpoint_path);
	setsid();
	(void)!chdir("/");
	if (k->null_fd < 0)
		return;
	dup2(k->null_fd, STDIN_FILENO);
	dup2(k->null_fd, STDOUT_FILENO);
	dup2(k->null_fd, STDERR_FILENO);
}

static void tell_parent(struct keeper *k)
{
	char code = 0;

	if (k->parent_fd < 0)
		return;
	leave_terminal(k);
	(void)!write(k->parent_fd, &code, 1);
	close(k->parent_fd);
	k->parent_fd = -1;
}

static void complete_start(struct keeper *k)
{
	int err = helper_ask(&k->sv->helper, HELPER_ANSWERS);

	if (err) {
		log_msg(KA_MSG_ERROR, "the mount on '%s' does not answer: %s",
			k->sv->opts.mountpoint, ka_strerror(err));
		loop_end(&k->sv->loop);
		return;
	}
	show_read_only(k->sv);
	atomic_store(&k->ready, true);
	tell_parent(k);
	log_msg(KA_MSG_INFO, "mounted '%s'", k->sv->region_name);
}

/* ---- signals ------------------------------------------------------------------- */

static void take_signal(struct keeper *k)
{
	struct signalfd_siginfo info;

	if (read(k->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP) {
		log_msg(KA_MSG_INFO, "ends upon SIG%s", sigabbrev_np((int)info.ssi_signo));
		/* First, while there is somebody to serve what it may wait for. */
		mixed_quiesce(&k->sv->mixed);
		loop_end(&k->sv->loop);
	} else if (!ka_fs_checkpoint(k->sv->fs)) {
		log_msg(KA_MSG_INFO, "wrote a checkpoint upon SIGHUP");
	}
}

/* ---- the thread ------------------------------------------------------------------ */

/* After a failure nobody kicks, and the caller tries again later. */
static int checkpoint_if_due(struct keeper *k)
{
	int err;

	if (!ka_fs_wants_checkpoint(k->sv->fs)) {
		atomic_store(&k->kicked, false);
		return 0;
	}
	atomic_store(&k->kicked, true);
	err = ka_fs_checkpoint(k->sv->fs);
	if (!err)
		atomic_store(&k->kicked, false);
	return err;
}

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * One step of cleaning where few segments are free. Milliseconds until the next: as long
 * as this one took, so that it has half of a processor at most; -1: none is due.
 */
static int clean_if_due(struct keeper *k)
{
	struct ka_clean_stats stats = {0};
	int64_t begin = monotonic_ms();

	atomic_store(&k->clean_kicked, true);
	if (!ka_clean_is_wanted(k->sv->fs)) {
		atomic_store(&k->clean_kicked, false);
		return -1;
	}
	if (ka_clean_step(k->sv->fs, KA_CLEAN_COST_BENEFIT, &stats))
		return CLEAN_RETRY_MS;
	return (int)ka_min(monotonic_ms() - begin + 1, CLEAN_RETRY_MS);
}

/*
 * Lends the last slice where, for some time, twice as much was free as stays then: so what
 * is deleted and written again at once moves nothing. Milliseconds until the next look; -1: never.
 */
static int lend_if_due(struct keeper *k)
{
	struct ka_lend_stats stats = {0};
	struct ka_fs_status status;
	struct ka_lend_plan plan;
	int64_t now = monotonic_ms();
	uint64_t keep;

	if (k->sv->opts.lend == WHO_MANUAL || ka_fs_is_rdonly(k->sv->fs))
		return -1;
	ka_fs_get_status(k->sv->fs, &status);
	keep = ka_max(status.super.slice_bytes, status.super.capacity_bytes / LEND_KEEP_SHARE);
	ka_lend_plan(k->sv->fs, k->much_ms < 0 ? keep : 2 * keep, &plan);
	if (plan.owned_bytes >= status.super.owned_bytes)
		k->much_ms = 0;
	else if (!k->much_ms)
		k->much_ms = now;
	else if (k->much_ms > 0 && now - k->much_ms >= LEND_QUIET_MS)
		k->much_ms = -1; /* all of it now */
	if (k->much_ms >= 0)
		return LEND_LOOK_MS;
	if (ka_lend_slice(k->sv->fs, &stats))
		k->much_ms = 0;
	return k->much_ms ? LEND_PAUSE_MS : LEND_QUIET_MS;
}

/* The earlier one; negative: never. */
static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void *run(void *arg)
{
	struct keeper *k = arg;
	struct pollfd fds[] = {
		{.fd = k->signal_fd, .events = POLLIN},
		{.fd = k->kick_fd, .events = POLLIN},
	};
	int events, err = 0, wait_ms = -1;
	eventfd_t count;

	while (!atomic_load(&k->stop)) {
		events = poll(fds, KA_ARRAY_SIZE(fds), wait_ms);
		eventfd_read(k->kick_fd, &count);
		if (atomic_load(&k->shaken) && !atomic_load(&k->ready))
			complete_start(k);
		if (fds[0].revents & POLLIN)
			take_signal(k);
		if (!err || !events)
			err = checkpoint_if_due(k);
		wait_ms = err ? RETRY_MS : sooner(clean_if_due(k), lend_if_due(k));
	}
	return NULL;
}

int keeper_init(struct keeper *k, struct server *sv, int parent_fd)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set;

	*k = (struct keeper){.sv = sv, .parent_fd = parent_fd, .kick_fd = -1};
	k->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* later on that is not allowed */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signal_fd < 0)
		return -errno;
	k->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return k->kick_fd < 0 ? -errno : 0;
}

int keeper_start(struct keeper *k)
{
	int err = pthread_create(&k->thread, NULL, run, k);

	k->started = !err;
	return -err;
}

void keeper_shaken(struct keeper *k)
{
	atomic_store(&k->shaken, true);
	kick(k);
}

void keeper_poke(struct keeper *k)
{
	if (ka_fs_wants_checkpoint(k->sv->fs) && !atomic_exchange(&k->kicked, true))
		kick(k);
	if (ka_clean_is_wanted(k->sv->fs) && !atomic_exchange(&k->clean_kicked, true))
		kick(k);
}

void keeper_stop(struct keeper *k)
{
	if (!k->started)
		return;
	atomic_store(&k->stop, true);
	kick(k);
	pthread_join(k->thread, NULL);
	k->started = false;
}

void keeper_release(struct keeper *k)
{
	if (k->signal_fd >= 0)
		close(k->signal_fd);
	if (k->kick_fd >= 0)
		close(k->kick_fd);
	if (k->parent_fd >= 0)
		close(k->parent_fd);
	if (k->null_fd >= 0)
		close(k->null_fd);
}

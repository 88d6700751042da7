/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - keepalivefs: starts, serves one mount, ends.
 *
 * In the background, a child serves and the parent waits for one byte from it:
 * it comes when the mount answers, so a script can go on with the mount as soon
 * as the parent is back. The child is forked off first, as locks, mappings and
 * threads must be its own.
 *
 * The mount is made before the filesystem is opened, because to open it for
 * writing stores to the region and a refusal must not. Nothing can be seen
 * through the mount before the session loop runs.
 *
 * What the mount needs privileges for later on is up to a helper process, so
 * those of the daemon itself are gone before it reads what the region holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse_ops.h"
#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "log.h"
#include "program.h"
#include "ram.h"
#include "server.h"
#include "shield.h"

enum {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_USAGE,
	EXIT_LOST, /* the memory was wiped */
};

/* ---- start ------------------------------------------------------------------ */

/* libfuse's words for it are many lines, and come after a lot of work. */
static int check_device(void)
{
	KA_AUTO_CLOSE int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		log_msg(KA_MSG_ERROR,
			"there is no '/dev/fuse'; load the module with 'modprobe fuse'");
	else if (err)
		log_msg(KA_MSG_ERROR, "cannot open '/dev/fuse': %s", ka_strerror(err));
	return err;
}

static int open_region(struct server *sv)
{
	unsigned flags =
		sv->opts.rdonly ? KA_REGION_LOCK : KA_REGION_LOCK | KA_REGION_WRITE | KA_DAX_CARVE;
	struct ka_super super;
	int err;

	sv->ram = ram_of(sv);
	err = ka_dax_open(NULL, sv->opts.region, flags, &sv->ram, log_sink(), &sv->rg);
	if (err)
		return err;
	sv->region_name = ka_dax_name(sv->rg);
	err = sv->region_name ? ram_start(sv) : -ENOMEM;
	if (err)
		return err;
	sv->needs_sync = ka_region_info(sv->rg)->needs_sync;
	/* What holds no filesystem is refused before there is a mount. */
	err = ka_super_read(sv->rg, log_sink(), NULL, &super);
	return err == -KA_ERR_SUPER_RO_FEATURE && sv->opts.rdonly ? 0 : err;
}

static int new_session(struct server *sv)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = 0;

	if (fuse_opt_add_arg(&args, DAEMON_NAME) || fuse_opt_add_arg(&args, "-o") ||
	    fuse_opt_add_arg(&args, sv->opts.fuse))
		err = -ENOMEM;
	if (!err)
		sv->se = fuse_session_new(&args, &fuse_ops, sizeof(fuse_ops), sv);
	fuse_opt_free_args(&args);
	sv->loop.se = sv->se;
	return sv->se ? 0 : -EINVAL;
}

/* An operation waits for room; the others need not. */
static void give_way(void *ctx)
{
	struct server *sv = ctx;

	loop_give_way(&sv->loop);
}

static int open_fs(struct server *sv)
{
	const struct ka_region_info *info = ka_region_info(sv->rg);
	struct ka_fs_opts opts = {
		.rdonly = sv->opts.rdonly,
		.verify = sv->opts.verify,
		.ckpt_bytes = sv->opts.ckpt_bytes,
		.noatime = sv->opts.noatime,
		.nodiratime = sv->opts.nodiratime,
		.reclaim_manual = sv->opts.reclaim == WHO_MANUAL,
		.sink = log_sink(),
		.waits = give_way,
		.ctx = sv,
	};

	shield_memory(ka_region_at(sv->rg, 0, info->capacity_bytes), info->capacity_bytes);
	return shield_others() ?: ka_fs_open(sv->rg, &opts, &sv->fs);
}

/*
 * libfuse unmounts by itself what it has mounted, for which there will be no
 * privileges, unless the descriptor of the session tells that it is done: as a pipe that
 * nobody reads does.
 */
static int make_severed_fd(int *ret_fd)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	close(fds[0]);
	*ret_fd = fds[1];
	return 0;
}

static int mount_session(struct server *sv)
{
	int err = make_severed_fd(&sv->severed_fd);

	if (err)
		return err;
	if (fuse_session_mount(sv->se, sv->opts.mountpoint_path)) {
		sv->explained = geteuid() != 0; /* by fusermount3, else by libfuse */
		return -EIO;
	}
	sv->mounted = true;
	return helper_ask(&sv->helper, HELPER_MOUNTED);
}

static int start(struct server *sv)
{
	int err;

	err = check_device();
	err = err
		      ?: helper_start(&sv->helper, sv->opts.mountpoint_path,
				      ka_dax_is_name(sv->opts.region));
	err = err ?: open_region(sv);
	err = err ?: new_session(sv);
	err = err ?: mount_session(sv);
	err = err ?: open_fs(sv);
	err = err ?: mixed_start(&sv->mixed, sv);
	err = err ?: grower_start(&sv->grower, sv);
	return err ?: keeper_start(&sv->keeper);
}

/* ---- serve, end ----------------------------------------------------------------- */

static int serve(struct server *sv)
{
	int err = loop_run(&sv->loop);

	if (err) {
		log_msg(KA_MSG_ERROR, "cannot serve requests any more: %s", ka_strerror(err));
	} else if (!atomic_load(&sv->keeper.ready)) {
		log_msg(KA_MSG_ERROR, "unmounted, or told to end, before it had started");
		err = -ENOTCONN;
	}
	return err;
}

/*
 * Requests end here: the descriptor is closed first, as what is written back while
 * it unmounts would wait for an answer for ever. If the mount is gone already, so
 * somebody unmounted it, what is there now is not ours.
 */
static void leave_mount(struct server *sv)
{
	struct pollfd session = {.fd = fuse_session_fd(sv->se)};
	bool gone = poll(&session, 1, 0) == 1 && session.revents & POLLERR;
	int err;

	dup3(sv->severed_fd, session.fd, O_CLOEXEC);
	err = gone ? 0 : helper_ask(&sv->helper, HELPER_UNMOUNT);
	if (err)
		log_msg(KA_MSG_WARNING, "cannot unmount '%s': %s; 'umount %s' does",
			sv->opts.mountpoint, ka_strerror(err), sv->opts.mountpoint);
	fuse_session_unmount(sv->se); /* frees what belongs to it */
	sv->mounted = false;
}

/* Gives everything back, as far as it was taken. */
static int end(struct server *sv)
{
	int err = 0;

	if (sv->rg)
		ka_region_leaving(sv->rg); /* whoever wants the region next may wait for it */
	if (sv->mounted)
		leave_mount(sv);
	mixed_stop(&sv->mixed);
	grower_stop(&sv->grower);
	keeper_stop(&sv->keeper);
	if (sv->fs)
		err = ka_fs_close(sv->fs);
	ka_region_close(sv->rg);
	if (sv->se)
		fuse_session_destroy(sv->se);
	if (sv->severed_fd >= 0)
		close(sv->severed_fd);
	helper_stop(&sv->helper);
	cache_release(&sv->cache);
	free(sv->region_name);
	return err;
}

static int run_server(struct opts *opts, int parent_fd)
{
	struct server sv = {.opts = *opts,
			    .helper = {.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER},
			    .ram_told = {.lock = PTHREAD_MUTEX_INITIALIZER},
			    .severed_fd = -1};
	int err, end_err;

	umask(0); /* the kernel applies that of the caller */
	ka_region_catch_errors(NULL);
	shield_process();
	loop_init(&sv.loop);
	err = keeper_init(&sv.keeper, &sv, parent_fd);
	err = err ?: cache_init(&sv.cache);
	err = err ?: start(&sv);
	err = err ?: serve(&sv);
	end_err = end(&sv);
	err = err ?: end_err;
	if (err && !log_errors() && !sv.explained)
		log_msg(KA_MSG_ERROR, "cannot mount '%s' on '%s': %s", opts->region,
			opts->mountpoint, ka_strerror(err));
	keeper_release(&sv.keeper);
	if (err == -KA_ERR_WIPED)
		return EXIT_LOST;
	return err ? EXIT_FAILED : EXIT_OK;
}

/* ---- background -------------------------------------------------------------------- */

static int await_child(pid_t child, int fd)
{
	int status;
	char code;

	if (TEMP_FAILURE_RETRY(read(fd, &code, 1)) == 1)
		return code;
	if (TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) < 0)
		return EXIT_FAILED;
	if (WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status); /* it has said why */
	log_msg(KA_MSG_ERROR, "the daemon died while it started%s%s",
		WIFSIGNALED(status) ? ": " : "",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
	return EXIT_FAILED;
}

static int run_in_background(struct opts *opts)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC)) {
		log_msg(KA_MSG_ERROR, "cannot make a pipe: %s", strerror(errno));
		return EXIT_FAILED;
	}
	child = fork();
	if (child < 0) {
		log_msg(KA_MSG_ERROR, "cannot fork: %s", strerror(errno));
		return EXIT_FAILED;
	}
	if (!child) {
		close(fds[0]);
		return run_server(opts, fds[1]);
	}
	close(fds[1]);
	return await_child(child, fds[0]);
}

/* File descriptors 0 to 2 must not become those of the region or /dev/fuse. */
static void fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct ka_msg_sink sink = ka_program_sink(DAEMON_NAME);
	struct opts opts = {.verify = KA_VERIFY_FIRST, .lend = WHO_MANUAL};
	int err, code;

	fill_stdio();
	helper_init_title(argc, argv);
	err = opts_parse(&opts, argc, argv, &sink);
	if (err) {
		opts_release(&opts);
		return ka_program_end(&sink, err < 0 ? EXIT_USAGE : EXIT_OK, EXIT_FAILED);
	}
	log_start(opts.foreground);
	if (opts_check_mountpoint(&opts, &sink))
		code = EXIT_FAILED;
	else
		code = opts.foreground ? run_server(&opts, -1) : run_in_background(&opts);
	opts_release(&opts);
	return code;
}

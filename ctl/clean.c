/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clean.c - keepalivectl clean: has the daemon clean everything, step by step.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl.h"
#include "emit.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "mounts.h"
#include "program.h"

struct clean {
	uint64_t moved_bytes;
	uint64_t segments;
	uint64_t stuck;
	bool progress;
};

static void show_progress(const struct clean *c, uint64_t gain)
{
	char moved[16], left[16];

	if (!c->progress)
		return;
	fprintf(stderr, "\r%s moved, %" PRIu64 " segments emptied, %s to be gained\033[K",
		ka_format_size(moved, c->moved_bytes), c->segments, ka_format_size(left, gain));
	fflush(stderr);
}

static int run_steps(struct clean *c, int fd)
{
	struct ka_ioc_clean s = {0};

	while (!s.finished) {
		if (ioctl(fd, KA_IOC_CLEAN, &s))
			return -errno;
		c->moved_bytes += s.moved_bytes;
		c->segments += s.segments;
		c->stuck += s.stuck;
		show_progress(c, s.gain_bytes);
	}
	return 0;
}

static void summarize(const struct clean *c, bool json)
{
	struct json_object *root;
	struct emit e;
	char size[16];

	if (json) {
		root = json_object_new_object();
		e = (struct emit){.obj = root};
		emit_u64(&e, "moved_bytes", c->moved_bytes);
		emit_u64(&e, "emptied_segments", c->segments);
		emit_u64(&e, "stuck_segments", c->stuck);
		emit_print(root);
		return;
	}
	printf("%s moved, %" PRIu64 " %s emptied\n", ka_format_size(size, c->moved_bytes),
	       c->segments, c->segments == 1 ? "segment" : "segments");
	if (c->stuck)
		printf("%" PRIu64 " %s not be emptied, for damage: run scrub\n", c->stuck,
		       c->stuck == 1 ? "segment could" : "segments could");
}

static int run_clean(const struct ctl_args *args)
{
	struct clean c = {.progress = isatty(STDERR_FILENO) && !args->json};
	KA_AUTO_CLOSE int fd = -1;
	struct mount_status m;
	int err;

	err = mount_ask(args->target, &m);
	if (err) {
		mount_explain(args->sink, args->target, err);
		return CTL_FAILED;
	}
	fd = open(args->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = fd < 0 ? -errno : run_steps(&c, fd);
	if (c.progress)
		fputs("\r\033[K", stderr);
	if (err) {
		ka_msg(args->sink, KA_MSG_ERROR, "cannot clean '%s': %s", args->target,
		       ka_strerror(err));
		return CTL_FAILED;
	}
	summarize(&c, args->json);
	return CTL_OK;
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_clean = {
	.name = "clean",
	.operand = "MOUNTPOINT",
	.help = "Usage: keepalivectl clean [--json] MOUNTPOINT\n"
		"Move what lives in half-dead segments together, so that whole segments become\n"
		"free, and put files that lie in many small pieces together. The daemon cleans\n"
		"by itself when free segments run short; nothing has to be cleaned by hand.\n"
		"\n"
		"  -j, --json           print one JSON object\n"
		"  -h, --help           print this help\n"
		"  -V, --version        print the version\n"
		"\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage.\n",
	.short_options = ":jhV",
	.long_options = long_options,
	.run = run_clean,
};

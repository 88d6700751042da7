/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scrub.c - keepalivectl scrub: has the daemon verify everything, step by step.
 *
 * The daemon keeps no state of it: each step says where the next one begins. How
 * much of a processor, and with it of the memory's bandwidth, that may take is
 * decided here, by the pauses between steps.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "emit.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "mounts.h"
#include "program.h"

#define STEP_BYTES    (8ull << 20)
#define SHARE_DEFAULT 50 /* per cent */
#define NS_PER_SEC    1000000000ll

struct scrub {
	const struct ctl_args *args;
	unsigned share;
	uint64_t bytes;
	uint64_t files;
	uint64_t damaged;
	bool progress;
	struct json_object *list; /* of damage; NULL without --json */
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static void rest(const struct scrub *sc, int64_t worked_ns)
{
	int64_t ns = worked_ns * (100 - sc->share) / sc->share;
	struct timespec ts = {.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};

	nanosleep(&ts, NULL);
}

static void clear_progress(const struct scrub *sc)
{
	if (sc->progress)
		fputs("\r\033[K", stderr);
}

static void show_progress(const struct scrub *sc, uint64_t total)
{
	char done[16], all[16];

	if (!sc->progress)
		return;
	fprintf(stderr, "\r%s of %s, %" PRIu64 " files\033[K", ka_format_size(done, sc->bytes),
		ka_format_size(all, ka_max(total, sc->bytes)), sc->files);
	fflush(stderr);
}

static void tell(struct scrub *sc, struct ka_ioc_damage *d)
{
	d->path[sizeof(d->path) - 1] = 0;
	d->reason[sizeof(d->reason) - 1] = 0;
	sc->damaged++;
	if (sc->list) {
		json_object_array_add(sc->list, emit_damage(d));
		return;
	}
	clear_progress(sc);
	emit_damage_line(d);
	fflush(stdout);
}

static int run_steps(struct scrub *sc, int fd)
{
	struct ka_ioc_scrub s = {.budget = STEP_BYTES};
	int64_t start;

	while (!s.finished) {
		start = now_ns();
		if (ioctl(fd, KA_IOC_SCRUB, &s))
			return -errno;
		sc->bytes += s.bytes;
		sc->files += s.files;
		if (s.is_damaged)
			tell(sc, &s.damage);
		show_progress(sc, s.total);
		rest(sc, now_ns() - start);
	}
	clear_progress(sc);
	return 0;
}

static void summarize(const struct scrub *sc)
{
	struct json_object *root;
	struct emit e;
	char size[16];

	if (!sc->list) {
		printf("%s in %" PRIu64 " files verified, %" PRIu64 " damaged %s\n",
		       ka_format_size(size, sc->bytes), sc->files, sc->damaged,
		       sc->damaged == 1 ? "range" : "ranges");
		return;
	}
	root = json_object_new_object();
	e = (struct emit){.obj = root};
	emit_u64(&e, "verified_bytes", sc->bytes);
	emit_u64(&e, "verified_files", sc->files);
	json_object_object_add(root, "damage", sc->list);
	emit_print(root);
}

static int choose_share(const struct ctl_args *args, unsigned *ret_share)
{
	char *end;
	long share;

	*ret_share = SHARE_DEFAULT;
	if (!args->share)
		return 0;
	share = strtol(args->share, &end, 10);
	if (*end || end == args->share || share < 1 || share > 100) {
		ka_msg(args->sink, KA_MSG_ERROR, "'%s' is no percentage from 1 to 100",
		       args->share);
		return -EINVAL;
	}
	*ret_share = (unsigned)share;
	return 0;
}

static int run_scrub(const struct ctl_args *args)
{
	struct scrub sc = {.args = args, .progress = isatty(STDERR_FILENO) && !args->json};
	KA_AUTO_CLOSE int fd = -1;
	struct mount_status m;
	int err;

	if (choose_share(args, &sc.share))
		return CTL_USAGE;
	err = mount_ask(args->target, &m);
	if (err) {
		mount_explain(args->sink, args->target, err);
		return CTL_FAILED;
	}
	fd = open(args->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (args->json)
		sc.list = json_object_new_array();
	err = fd < 0 ? -errno : run_steps(&sc, fd);
	if (err) {
		ka_msg(args->sink, KA_MSG_ERROR, "cannot scrub '%s': %s", args->target,
		       ka_strerror(err));
		json_object_put(sc.list);
		return CTL_FAILED;
	}
	summarize(&sc);
	return sc.damaged ? CTL_DAMAGED : CTL_OK;
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"share", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_scrub = {
	.name = "scrub",
	.operand = "MOUNTPOINT",
	.help = "Usage: keepalivectl scrub [--json] [--share PERCENT] MOUNTPOINT\n"
		"Read everything in a mounted filesystem and verify every checksum.\n"
		"Prints each damaged path with its range.\n"
		"\n"
		"  -j, --json           print one JSON object\n"
		"  -s, --share PERCENT  of the time to work, the rest to pause; 50 by default\n"
		"  -h, --help           print this help\n"
		"  -V, --version        print the version\n"
		"\n"
		"Exit status: 0 clean, 1 failed, 2 wrong usage, 4 damaged.\n",
	.short_options = ":js:hV",
	.long_options = long_options,
	.run = run_scrub,
};

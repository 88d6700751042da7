/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lend.c - keepalivectl lend and reclaim: has the daemon move the boundary, slice by
 * slice. Each step is whole by itself, so both can be interrupted between any two.
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

static int parse_size(const struct ctl_args *args, const char *text, uint64_t *ret)
{
	*ret = 0;
	if (!text || !ka_parse_size(text, ret))
		return 0;
	ka_msg(args->sink, KA_MSG_ERROR, "'%s' is not a number of bytes (K, M, G or T may follow)",
	       text);
	return -EINVAL;
}

/* A descriptor on the mount, or negative: explained. */
static int open_mount(const struct ctl_args *args)
{
	struct mount_status m;
	int err = mount_ask(args->target, &m), fd;

	if (err) {
		mount_explain(args->sink, args->target, err);
		return err;
	}
	fd = open(args->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	err = -errno;
	ka_msg(args->sink, KA_MSG_ERROR, "cannot open '%s': %s", args->target, ka_strerror(err));
	return err;
}

static bool has_progress(const struct ctl_args *args)
{
	return isatty(STDERR_FILENO) && !args->json;
}

static void clear_progress(const struct ctl_args *args)
{
	if (has_progress(args))
		fputs("\r\033[K", stderr);
}

static int complain(const struct ctl_args *args, const char *verb, int err, uint64_t slice)
{
	clear_progress(args);
	if (err == -EOPNOTSUPP)
		ka_msg(args->sink, KA_MSG_ERROR,
		       "cannot %s memory of '%s': its region is a single device; what comes and "
		       "goes in slices is a dynamic DAX region as a whole, like region0, or a "
		       "region file: see keepalivefs(5)",
		       verb, args->target);
	else if (slice == UINT64_MAX)
		ka_msg(args->sink, KA_MSG_ERROR, "cannot %s memory of '%s': %s", verb, args->target,
		       ka_strerror(err));
	else
		ka_msg(args->sink, KA_MSG_ERROR, "cannot %s slice %" PRIu64 " of '%s': %s", verb,
		       slice, args->target, ka_strerror(err));
	return CTL_FAILED;
}

/* ---- lend ------------------------------------------------------------------------- */

struct lend {
	uint64_t before; /* owned */
	uint64_t moved;
	struct ka_ioc_lend now;
};

static void emit_lend(const struct ctl_args *args, const struct lend *l)
{
	const struct ka_ioc_lend *s = &l->now;
	struct json_object *root = json_object_new_object();
	struct emit e = {.obj = root};

	emit_u64(&e, "capacity_bytes", s->capacity_bytes);
	emit_u64(&e, "owned_bytes", s->owned_bytes);
	emit_u64(&e, "lent_bytes", s->capacity_bytes - s->owned_bytes);
	if (args->dry_run) {
		emit_u64(&e, "planned_bytes", s->plan_bytes);
		emit_u64(&e, "move_bytes", s->move_bytes);
		emit_u64(&e, "move_ns", s->move_ns);
	} else {
		emit_u64(&e, "moved_bytes", l->moved);
	}
	emit_print(root);
}

static void print_plan(const struct ka_ioc_lend *s)
{
	char owned[16], plan[16], move[16];

	printf("%s are owned, %s would be left; %s have to be moved for that",
	       ka_format_size(owned, s->owned_bytes), ka_format_size(plan, s->plan_bytes),
	       ka_format_size(move, s->move_bytes));
	if (s->move_ns)
		printf(", in about %.1f s", (double)s->move_ns / 1e9);
	putchar('\n');
}

static void print_lend(const struct lend *l)
{
	const struct ka_ioc_lend *s = &l->now;
	char lent[16], owned[16], all[16], moved[16];

	printf("%s lent, %s owned, %s lent in all; %s moved\n",
	       ka_format_size(lent, l->before - ka_min(l->before, s->owned_bytes)),
	       ka_format_size(owned, s->owned_bytes),
	       ka_format_size(all, s->capacity_bytes - s->owned_bytes),
	       ka_format_size(moved, l->moved));
}

static void show_lend(const struct ctl_args *args, const struct lend *l)
{
	const struct ka_ioc_lend *s = &l->now;
	char lent[16], plan[16], moved[16];

	if (!has_progress(args))
		return;
	fprintf(stderr, "\r%s of about %s lent, %s moved\033[K",
		ka_format_size(lent, l->before - ka_min(l->before, s->owned_bytes)),
		ka_format_size(plan, l->before - ka_min(l->before, s->plan_bytes)),
		ka_format_size(moved, l->moved));
	fflush(stderr);
}

/* Slice by slice; the first that stays for want of room ends it, as nothing behind can go. */
static int lend_all(const struct ctl_args *args, int fd, struct lend *l)
{
	struct ka_ioc_lend *s = &l->now;

	do {
		s->error = 0;
		if (ioctl(fd, KA_IOC_LEND, s))
			return complain(args, "lend", -errno, UINT64_MAX);
		l->moved += s->moved_bytes;
		show_lend(args, l);
	} while (!s->finished && !s->error);
	if (s->error && s->error != -ENOSPC)
		return complain(args, "lend", s->error, s->slice);
	clear_progress(args);
	return CTL_OK;
}

static int run_lend(const struct ctl_args *args)
{
	KA_AUTO_CLOSE int fd = -1;
	struct lend l = {0};
	int code;

	if (parse_size(args, args->keep, &l.now.keep_bytes))
		return CTL_USAGE;
	fd = open_mount(args);
	if (fd < 0)
		return CTL_FAILED;
	l.now.flags = KA_IOC_LEND_PLAN;
	if (ioctl(fd, KA_IOC_LEND, &l.now))
		return complain(args, "lend", -errno, UINT64_MAX);
	l.before = l.now.owned_bytes;
	if (!args->dry_run) {
		l.now.flags = 0;
		code = lend_all(args, fd, &l);
		if (code)
			return code;
	}
	if (args->json)
		emit_lend(args, &l);
	else if (args->dry_run)
		print_plan(&l.now);
	else
		print_lend(&l);
	return CTL_OK;
}

static const struct option lend_options[] = {
	{"keep", required_argument, NULL, CTL_OPT_KEEP},
	{"dry-run", no_argument, NULL, CTL_OPT_DRY_RUN},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_lend = {
	.name = "lend",
	.operand = "MOUNTPOINT",
	.help = "Usage: keepalivectl lend [--keep SIZE] [--dry-run] [--json] MOUNTPOINT\n"
		"Move what the files hold to the front of the region, and give the memory behind\n"
		"it to the system, in whole slices. The filesystem is in use meanwhile.\n"
		"\n"
		"      --keep SIZE      leave so much free space (K, M, G, T: powers of 1024)\n"
		"      --dry-run        only say how little would be left, and how long it takes\n"
		"  -j, --json           print one JSON object\n"
		"  -h, --help           print this help\n"
		"  -V, --version        print the version\n"
		"\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage.\n",
	.short_options = ":jhV",
	.long_options = lend_options,
	.run = run_lend,
};

/* ---- reclaim ---------------------------------------------------------------------- */

static void show_reclaim(const struct ctl_args *args, uint64_t got)
{
	char size[16];

	if (!has_progress(args))
		return;
	fprintf(stderr, "\r%s taken back\033[K", ka_format_size(size, got));
	fflush(stderr);
}

static void print_reclaim(const struct ctl_args *args, const struct ka_ioc_reclaim *s, uint64_t got)
{
	char back[16], owned[16], lent[16];
	struct json_object *root;
	struct emit e;

	if (args->json) {
		root = json_object_new_object();
		e = (struct emit){.obj = root};
		emit_u64(&e, "capacity_bytes", s->capacity_bytes);
		emit_u64(&e, "owned_bytes", s->owned_bytes);
		emit_u64(&e, "lent_bytes", s->capacity_bytes - s->owned_bytes);
		emit_u64(&e, "reclaimed_bytes", got);
		emit_print(root);
		return;
	}
	printf("%s taken back, %s owned, %s still lent\n", ka_format_size(back, got),
	       ka_format_size(owned, s->owned_bytes),
	       ka_format_size(lent, s->capacity_bytes - s->owned_bytes));
}

static int run_reclaim(const struct ctl_args *args)
{
	struct ka_ioc_lend plan = {.flags = KA_IOC_LEND_PLAN};
	struct ka_ioc_reclaim s = {0};
	KA_AUTO_CLOSE int fd = -1;
	uint64_t size, got = 0;

	if (parse_size(args, args->size, &size))
		return CTL_USAGE;
	fd = open_mount(args);
	if (fd < 0)
		return CTL_FAILED;
	if (ioctl(fd, KA_IOC_LEND, &plan))
		return complain(args, "reclaim", -errno, UINT64_MAX);
	s.capacity_bytes = plan.capacity_bytes;
	s.owned_bytes = plan.owned_bytes;
	while (s.owned_bytes < s.capacity_bytes && (!args->size || got < size)) {
		if (ioctl(fd, KA_IOC_RECLAIM, &s))
			return complain(args, "reclaim", -errno, UINT64_MAX);
		if (s.error)
			return complain(args, "reclaim", s.error, s.slice);
		got = s.owned_bytes - plan.owned_bytes;
		show_reclaim(args, got);
	}
	clear_progress(args);
	print_reclaim(args, &s, got);
	return CTL_OK;
}

static const struct option reclaim_options[] = {
	{"size", required_argument, NULL, CTL_OPT_SIZE},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_reclaim = {
	.name = "reclaim",
	.operand = "MOUNTPOINT",
	.help = "Usage: keepalivectl reclaim [--size SIZE] [--json] MOUNTPOINT\n"
		"Take memory that is lent back from the system, in whole slices.\n"
		"\n"
		"      --size SIZE      at least so much, or all there is (K, M, G, T); without: all\n"
		"  -j, --json           print one JSON object\n"
		"  -h, --help           print this help\n"
		"  -V, --version        print the version\n"
		"\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage.\n",
	.short_options = ":jhV",
	.long_options = reclaim_options,
	.run = run_reclaim,
};

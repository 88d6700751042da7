/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor.c - keepalivectl doctor: whether this machine keeps what is in a DAX region, and can
 * lend from it. Only looks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_FUSE
#define FUSE_USE_VERSION 34
#include <fuse_lowlevel.h>
#endif

#include "ctl.h"
#include "emit.h"
#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/guard.h"
#include "keepalive/util.h"

static const char *const level_name[] = {
	[KA_FINDING_INFO] = "info",
	[KA_FINDING_WARN] = "warning",
	[KA_FINDING_BAD] = "bad",
};

struct doctor {
	struct json_object *list; /* NULL: for people */
	enum ka_finding_level worst;
	unsigned count;
};

static void show(void *ctx, const struct ka_finding *f)
{
	struct doctor *d = ctx;
	struct emit e;

	d->worst = ka_max(d->worst, f->level);
	if (d->list) {
		e = (struct emit){.obj = json_object_new_object()};
		emit_text(&e, "level", level_name[f->level]);
		emit_text(&e, "what", f->what);
		emit_text(&e, "why", f->why);
		emit_text(&e, "todo", f->todo[0] ? f->todo : NULL);
		json_object_array_add(d->list, e.obj);
		return;
	}
	printf("%s%s: %s\n  why: %s\n", d->count++ ? "\n" : "", level_name[f->level], f->what,
	       f->why);
	if (f->todo[0])
		printf("  do:  %s\n", f->todo);
}

/* What the daemon needs beside memory. */
static void check_fuse(struct doctor *d)
{
	struct ka_finding f = {.level = KA_FINDING_BAD};

	if (access("/dev/fuse", F_OK)) {
		snprintf(f.what, sizeof(f.what), "there is no /dev/fuse");
		snprintf(f.why, sizeof(f.why), "nothing can be mounted");
		snprintf(f.todo, sizeof(f.todo),
			 "'modprobe fuse'; 'fuse' into /etc/modules-load.d/fuse.conf");
		show(d, &f);
	}
#ifdef HAVE_FUSE
	if (fuse_version() < FUSE_VERSION) {
		snprintf(f.what, sizeof(f.what), "libfuse %s is older than the %d.%d of the build",
			 fuse_pkgversion(), FUSE_MAJOR_VERSION, FUSE_MINOR_VERSION);
		snprintf(f.why, sizeof(f.why), "the daemon may not start");
		snprintf(f.todo, sizeof(f.todo), "install that libfuse, or build again here");
		show(d, &f);
	}
#endif
}

/* Of the region that was named; KA_GUARD_NONE: a file. */
static int find_region(struct ka_machine *m, const struct ctl_args *args, int *ret_only)
{
	int err;

	*ret_only = KA_GUARD_ALL;
	if (!args->target)
		return 0;
	err = ka_dax_find(m, args->target, ret_only);
	if (err == -ENOTBLK) {
		*ret_only = KA_GUARD_NONE;
		return 0;
	}
	if (err == -ENODEV)
		ka_msg(args->sink, KA_MSG_ERROR,
		       "no DAX region is, or holds, '%s'; 'daxctl list -R' shows what there is",
		       args->target);
	else if (err)
		ka_msg(args->sink, KA_MSG_ERROR, "cannot look at '%s': %s", args->target,
		       ka_strerror(err));
	return err;
}

static void tell_of_file(struct doctor *d, const char *path)
{
	struct ka_finding f = {.level = KA_FINDING_INFO};

	snprintf(f.what, sizeof(f.what), "'%.200s' is no DAX device", path);
	snprintf(f.why, sizeof(f.why),
		 "a file keeps what is in it as well as the filesystem does that it is in: one in "
		 "RAM survives the daemon, but not the machine");
	show(d, &f);
}

static int examine(struct doctor *d, const struct ctl_args *args)
{
	enum ka_finding_level worst;
	struct ka_machine *m;
	int only, err = ka_machine_open(&m);

	if (!err) {
		err = find_region(m, args, &only);
		if (err) {
			ka_machine_close(m);
			return err;
		}
		check_fuse(d);
		if (only == KA_GUARD_NONE)
			tell_of_file(d, args->target);
		err = ka_guard_check(m, "", only, show, d, &worst);
		ka_machine_close(m);
	}
	if (err)
		ka_msg(args->sink, KA_MSG_ERROR, "cannot list DAX regions: %s", ka_strerror(err));
	return err;
}

static int run_doctor(const struct ctl_args *args)
{
	struct doctor d = {.list = args->json ? json_object_new_array() : NULL};
	struct json_object *root;
	struct emit e;
	int err = examine(&d, args);

	if (err) {
		json_object_put(d.list);
		return CTL_FAILED;
	}
	if (args->json) {
		root = json_object_new_object();
		e = (struct emit){.obj = root};
		emit_text(&e, "worst",
			  json_object_array_length(d.list) ? level_name[d.worst] : NULL);
		json_object_object_add(root, "findings", d.list);
		emit_print(root);
	} else if (!d.count) {
		puts("nothing to say");
	}
	return d.worst == KA_FINDING_BAD ? CTL_DAMAGED : CTL_OK;
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_doctor = {
	.name = "doctor",
	.operand = "REGION",
	.operands_optional = true,
	.help = "Usage: " CTL_NAME " doctor [--json] [REGION]\n"
		"Looks at this machine, and changes nothing: whether the kernel, or a rule, takes a\n"
		"DAX region for itself at boot, and whether memory of it can be lent and had back.\n"
		"Each finding says what is so, why it matters, and what to do. With REGION only what\n"
		"concerns that one. Exit status 4: a finding is bad, something is or will be lost, or\n"
		"nothing works.\n"
		"\n"
		"      --json     print one object\n"
		"  -h, --help     print this help\n"
		"  -V, --version  print the version\n",
	.short_options = ":hV",
	.long_options = long_options,
	.run = run_doctor,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opts.c - the command line of keepalivefs; see opts.h.
 *
 * A mount option is ours, or a flag for the kernel, or one of those that
 * mount(8) and fstab carry along and that mean nothing here. Any other is
 * refused: a misspelt option must not pass for the one that was meant.
 */
#include "opts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_opt.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "keepalive/err.h"
#include "keepalive/util.h"
#include "log.h"
#include "program.h"

#define CHECKPOINT_MIN (1u << 20)
#define LEAVING_MS     2000
#define LEAVING_TRIES  100

enum key {
	OPT_IGNORE,
	OPT_RO,
	OPT_RW,
	OPT_ALLOW_OTHER,
	OPT_VERIFY,
	OPT_RECLAIM,
	OPT_LEND,
	OPT_CHECKPOINT,
	OPT_FSNAME,
	OPT_SUBTYPE,
	OPT_PASS, /* to libfuse, as it is */
	OPT_SET,  /* a flag of the kernel; arg is its bit */
	OPT_CLEAR,
};

enum {
	FLAG_NODEV = 1,
	FLAG_NOSUID = 2,
	FLAG_NOEXEC = 4,
	FLAG_NOATIME = 8,
	FLAG_NODIRATIME = 16,
};

/* While parsing; what comes later on the command line counts. */
struct parse {
	struct opts *o;
	const struct ka_msg_sink *sink;
	const char *fsname;
	unsigned flags;
	bool allow_other;
};

struct row {
	const char *name; /* '=' at its end: has a value; '-' at its end: a prefix */
	enum key key;
	unsigned arg;
};

/*
 * Every operation is durable when it returns, so "sync" adds nothing. The kernel
 * leaves times of access to us, and many reads are answered from its cache, so
 * no rule can be stricter than that of relatime.
 */
static const struct row rows[] = {
	{"ro", OPT_RO},
	{"rw", OPT_RW},
	{"allow_other", OPT_ALLOW_OTHER},
	{"verify=", OPT_VERIFY},
	{"reclaim=", OPT_RECLAIM},
	{"lend=", OPT_LEND},
	{"checkpoint=", OPT_CHECKPOINT},
	{"fsname=", OPT_FSNAME},
	{"subtype=", OPT_SUBTYPE},
	{"dev", OPT_CLEAR, FLAG_NODEV},
	{"nodev", OPT_SET, FLAG_NODEV},
	{"suid", OPT_CLEAR, FLAG_NOSUID},
	{"nosuid", OPT_SET, FLAG_NOSUID},
	{"exec", OPT_CLEAR, FLAG_NOEXEC},
	{"noexec", OPT_SET, FLAG_NOEXEC},
	{"atime", OPT_CLEAR, FLAG_NOATIME},
	{"noatime", OPT_SET, FLAG_NOATIME},
	{"auto_unmount", OPT_PASS},
	{"debug", OPT_PASS},
	{"context=", OPT_PASS},
	{"fscontext=", OPT_PASS},
	{"defcontext=", OPT_PASS},
	{"rootcontext=", OPT_PASS},
	{"default_permissions", OPT_IGNORE}, /* always on */
	{"sync", OPT_IGNORE},
	{"async", OPT_IGNORE},
	{"dirsync", OPT_IGNORE},
	{"relatime", OPT_CLEAR, FLAG_NOATIME},
	{"norelatime", OPT_IGNORE},
	{"strictatime", OPT_CLEAR, FLAG_NOATIME},
	{"nostrictatime", OPT_IGNORE},
	{"diratime", OPT_CLEAR, FLAG_NODIRATIME},
	{"nodiratime", OPT_SET, FLAG_NODIRATIME},
	{"lazytime", OPT_IGNORE},
	{"nolazytime", OPT_IGNORE},
	{"iversion", OPT_IGNORE},
	{"noiversion", OPT_IGNORE},
	{"silent", OPT_IGNORE},
	{"loud", OPT_IGNORE},
	{"defaults", OPT_IGNORE},
	{"auto", OPT_IGNORE},
	{"noauto", OPT_IGNORE},
	{"user", OPT_IGNORE},
	{"user=", OPT_IGNORE},
	{"nouser", OPT_IGNORE},
	{"users", OPT_IGNORE},
	{"nousers", OPT_IGNORE},
	{"owner", OPT_IGNORE},
	{"noowner", OPT_IGNORE},
	{"group", OPT_IGNORE},
	{"nogroup", OPT_IGNORE},
	{"nofail", OPT_IGNORE},
	{"_netdev", OPT_IGNORE},
	{"comment=", OPT_IGNORE},
	{"helper=", OPT_IGNORE},
	{"uhelper=", OPT_IGNORE},
	{"x-", OPT_IGNORE},
	{"X-", OPT_IGNORE},
};

static const char short_options[] = ":fho:V";
static const struct option long_options[] = {
	{"foreground", no_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{"options", required_argument, NULL, 'o'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: " DAEMON_NAME " [-f] [-o OPT,...] REGION MOUNTPOINT\n"
	"Mount the keepalivefs filesystem in REGION: a regular file, or a dax device.\n"
	"Goes to the background once the mount answers.\n"
	"\n"
	"  -f, --foreground   stay in the foreground; messages go to stderr\n"
	"  -o, --options OPT,...\n"
	"     ro              read only: not one byte of the region changes\n"
	"     verify=first    verify each piece of data at its first read (the default)\n"
	"     verify=always   ... at every read\n"
	"     verify=never    ... not at all\n"
	"     reclaim=auto|manual\n"
	"                     what to do when space runs out while memory is lent: take it\n"
	"                     back (the default), or fail\n"
	"     lend=auto|manual\n"
	"                     whether to lend memory when much is free for a while; manual\n"
	"                     (the default): only keepalivectl lend does\n"
	"     checkpoint=SIZE write a checkpoint after so much log; bounds how long the next\n"
	"                     mount takes if this one has no clean end\n"
	"     fsname=NAME     the source that the mount shows; REGION by default\n"
	"     allow_other     let other users in (the default for root)\n"
	"     noatime         reading updates no times of access (relatime is the default)\n"
	"     nodiratime      ... of directories\n"
	"     nodev, nosuid, noexec and what else mount(8) knows\n"
	"  -h, --help         print this help\n"
	"  -V, --version      print the version\n"
	"\n"
	"Exit status: 0 mounted (with -f: unmounted cleanly), 1 failed, 2 wrong usage,\n"
	"3 lost: the memory was wiped, or never formatted.\n"
	"See " DAEMON_NAME "(8).\n";

/* ---- mount options --------------------------------------------------------- */

static bool matches(const struct row *row, const char *opt)
{
	size_t len = strlen(row->name);
	char last = row->name[len - 1];

	return last == '=' || last == '-' ? !strncmp(opt, row->name, len) : !strcmp(opt, row->name);
}

/* The position of value in a list, or a negative code, explained. */
static int choose(const struct parse *p, const char *opt, const char *const list[], int count)
{
	const char *value = strchr(opt, '=') + 1;
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(value, list[i]))
			return i;
	ka_msg(p->sink, KA_MSG_ERROR, "bad value in mount option '%s'; try --help", opt);
	return -EINVAL;
}

static int choose_verify(const struct parse *p, const char *opt)
{
	static const char *const names[] = {
		[KA_VERIFY_FIRST] = "first",
		[KA_VERIFY_ALWAYS] = "always",
		[KA_VERIFY_NEVER] = "never",
	};
	int value = choose(p, opt, names, KA_ARRAY_SIZE(names));

	if (value < 0)
		return value;
	p->o->verify = (enum ka_verify)value;
	return 0;
}

static int choose_who(const struct parse *p, const char *opt, enum who *ret)
{
	static const char *const names[] = {
		[WHO_AUTO] = "auto",
		[WHO_MANUAL] = "manual",
	};
	int value = choose(p, opt, names, KA_ARRAY_SIZE(names));

	if (value < 0)
		return value;
	*ret = (enum who)value;
	return 0;
}

static int take_checkpoint(const struct parse *p, const char *opt)
{
	uint64_t bytes;

	if (ka_parse_size(strchr(opt, '=') + 1, &bytes) || bytes < CHECKPOINT_MIN) {
		ka_msg(p->sink, KA_MSG_ERROR,
		       "bad value in mount option '%s'; it takes a size of at least 1M", opt);
		return -EINVAL;
	}
	p->o->ckpt_bytes = bytes;
	return 0;
}

static int apply(struct parse *p, const struct row *row, const char *opt)
{
	static const char *const subtypes[] = {DAEMON_NAME};

	switch (row->key) {
	case OPT_IGNORE:
		return 0;
	case OPT_RO:
	case OPT_RW:
		p->o->rdonly = row->key == OPT_RO;
		return 0;
	case OPT_ALLOW_OTHER:
		p->allow_other = true;
		return 0;
	case OPT_VERIFY:
		return choose_verify(p, opt);
	case OPT_RECLAIM:
		return choose_who(p, opt, &p->o->reclaim);
	case OPT_LEND:
		return choose_who(p, opt, &p->o->lend);
	case OPT_CHECKPOINT:
		return take_checkpoint(p, opt);
	case OPT_FSNAME:
		p->fsname = strchr(opt, '=') + 1;
		return 0;
	case OPT_SUBTYPE:
		return choose(p, opt, subtypes, KA_ARRAY_SIZE(subtypes));
	case OPT_PASS:
		return fuse_opt_add_opt_escaped(&p->o->fuse, opt) ? -ENOMEM : 0;
	case OPT_SET:
		p->flags |= row->arg;
		return 0;
	case OPT_CLEAR:
		p->flags &= ~row->arg;
		return 0;
	}
	return -EINVAL;
}

static int take_option(struct parse *p, const char *opt)
{
	size_t i;

	if (!*opt)
		return 0;
	for (i = 0; i < KA_ARRAY_SIZE(rows); i++)
		if (matches(&rows[i], opt))
			return apply(p, &rows[i], opt);
	ka_msg(p->sink, KA_MSG_ERROR, "unknown mount option '%s'", opt);
	return -EINVAL;
}

/* Cuts list at its commas, in place; "\," is a comma inside of an option. */
static int take_list(struct parse *p, char *list)
{
	char *in = list, *out = list, *start = list;
	int err = 0;

	while (!err && *in) {
		if (*in == ',') {
			*out = 0;
			err = take_option(p, start);
			start = out = ++in;
			continue;
		}
		if (in[0] == '\\' && (in[1] == ',' || in[1] == '\\'))
			in++;
		*out++ = *in++;
	}
	*out = 0;
	return err ?: take_option(p, start);
}

static int add(struct parse *p, const char *opt)
{
	return fuse_opt_add_opt(&p->o->fuse, opt) ? -ENOMEM : 0;
}

static int add_name(struct parse *p, const char *key, const char *value)
{
	KA_AUTO_FREE char *opt = NULL;

	if (asprintf(&opt, "%s%s", key, value) < 0) {
		opt = NULL;
		return -ENOMEM;
	}
	return fuse_opt_add_opt_escaped(&p->o->fuse, opt) ? -ENOMEM : 0;
}

/*
 * What libfuse is told. It assumes nosuid and nodev where nothing is said,
 * which is no good for root, and does not let anybody else change it.
 */
static int make_fuse_options(struct parse *p)
{
	const char *source = p->o->region[0] == '/' ? p->o->region : p->o->region_path;
	bool root = !geteuid();
	int err;

	p->o->noatime = p->flags & FLAG_NOATIME;
	p->o->nodiratime = p->flags & FLAG_NODIRATIME;
	err = add_name(p, "fsname=", p->fsname ?: source);
	err = err ?: add(p, "subtype=" DAEMON_NAME ",default_permissions");
	err = err ?: add(p, p->o->rdonly ? "ro" : "rw");
	if (!err && (p->allow_other || root))
		err = add(p, "allow_other");
	if (!err && root && !(p->flags & FLAG_NODEV))
		err = add(p, "dev");
	if (!err && root && !(p->flags & FLAG_NOSUID))
		err = add(p, "suid");
	if (!err && (p->flags & FLAG_NOEXEC))
		err = add(p, "noexec");
	if (!err && (p->flags & FLAG_NOATIME))
		err = add(p, "noatime");
	return err;
}

/* ---- command line ------------------------------------------------------------ */

static int parse_option(struct parse *p, int c, char **argv)
{
	switch (c) {
	case 'f':
		p->o->foreground = true;
		return 0;
	case 'o':
		return take_list(p, optarg);
	case 'h':
		fputs(help, stdout);
		return 1;
	case 'V':
		ka_program_version(DAEMON_NAME);
		return 1;
	default:
		ka_program_option_error(p->sink, c, argv, short_options);
		return -EINVAL;
	}
}

static int take_operands(struct parse *p, int argc, char **argv)
{
	struct opts *o = p->o;

	if (argc != 2) {
		ka_msg(p->sink, KA_MSG_ERROR, "a region and a mount point are needed; try --help");
		return -EINVAL;
	}
	o->region = argv[0];
	o->mountpoint = argv[1];
	if (ka_program_check_region(p->sink, o->region))
		return -EINVAL;
	o->region_path = realpath(o->region, NULL) ?: strdup(o->region);
	return o->region_path ? 0 : -ENOMEM;
}

int opts_parse(struct opts *o, int argc, char **argv, const struct ka_msg_sink *sink)
{
	struct parse p = {.o = o, .sink = sink};
	int c, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		err = parse_option(&p, c, argv);
		if (err)
			return err;
	}
	err = take_operands(&p, argc - optind, argv + optind);
	return err ?: make_fuse_options(&p);
}

void opts_release(struct opts *o)
{
	free(o->region_path);
	free(o->mountpoint_path);
	free(o->fuse);
}

/* ---- mount point --------------------------------------------------------------- */

static bool is_empty(DIR *dir)
{
	const struct dirent *de;

	while ((de = readdir(dir)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			return false;
	return true;
}

/* What nobody will answer, or nobody has answered when the daemon went. */
static bool has_no_daemon(int err)
{
	return err == -ENOTCONN || err == -ECONNABORTED;
}

/* A daemon on its way out leaves a mount without an answer for a moment. */
static DIR *open_mountpoint(const char *path)
{
	const struct timespec pause = {.tv_nsec = LEAVING_MS * 1000000l / LEAVING_TRIES};
	int tries = LEAVING_TRIES;
	DIR *dir = opendir(path);

	while (!dir && has_no_daemon(-errno) && tries--) {
		nanosleep(&pause, NULL);
		dir = opendir(path);
	}
	return dir;
}

int opts_check_mountpoint(struct opts *o, const struct ka_msg_sink *sink)
{
	DIR *dir = open_mountpoint(o->mountpoint);
	int err = -errno;
	bool empty;

	if (!dir && has_no_daemon(err)) {
		ka_msg(sink, KA_MSG_ERROR,
		       "mount point '%s' holds a mount whose daemon has died; 'umount %s' first",
		       o->mountpoint, o->mountpoint);
		return err;
	}
	if (!dir) {
		if (err == -ENOTDIR)
			ka_msg(sink, KA_MSG_ERROR, "mount point '%s' is not a directory",
			       o->mountpoint);
		else
			ka_msg(sink, KA_MSG_ERROR, "cannot use mount point '%s': %s", o->mountpoint,
			       ka_strerror(err));
		return err;
	}
	empty = is_empty(dir);
	closedir(dir);
	if (!empty) {
		ka_msg(sink, KA_MSG_ERROR, "mount point '%s' is not empty", o->mountpoint);
		return -ENOTEMPTY;
	}
	o->mountpoint_path = realpath(o->mountpoint, NULL);
	return o->mountpoint_path ? 0 : -errno;
}

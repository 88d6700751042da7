/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount_helper.c - mount.keepalivefs: what mount(8) calls.
 *
 * A new mount is up to keepalivefs, which comes back when the mount answers;
 * it knows the options and sorts them. It allows device nodes and set-user-ID
 * for root unless told not to, so nothing is lost by mount(8) keeping "dev"
 * and "suid" to itself. A remount changes flags that the kernel looks after, but
 * for those about times of access, which the daemon is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "keepalive/ioctl.h"
#include "keepalive/util.h"
#include "program.h"

#define NAME   "mount.keepalivefs"
#define DAEMON "keepalivefs"

/* As those of mount(8). */
enum {
	EXIT_OK = 0,
	EXIT_USAGE = 1,
	EXIT_SYSTEM = 2,
	EXIT_MOUNT = 32,
};

struct mount {
	struct ka_msg_sink sink;
	char *options; /* all -o, joined; "" for none */
	const char *region;
	const char *dir;
	const char *ns;
	bool fake;
};

static const char short_options[] = ":sfnvrwN:t:o:hV";
static const struct option long_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: " NAME " REGION DIRECTORY [-sfnvrw] [-N NAMESPACE] [-t TYPE] [-o OPT,...]\n"
	"What mount(8) calls for file systems of the type keepalivefs.\n"
	"\n"
	"  -f             do everything but the mount\n"
	"  -r, -w         read only; for reading and writing\n"
	"  -N NAMESPACE   mount in this namespace: a file, or the number of a process\n"
	"  -o OPT,...     options of keepalivefs(8), or remount with flags of mount(8)\n"
	"  -s, -n, -v, -t TYPE\n"
	"                 accepted, and change nothing\n"
	"  -h, --help     print this help\n"
	"  -V, --version  print the version\n"
	"\n"
	"Exit status: 0 mounted, anything else: failed. See " NAME "(8).\n";

/* ---- remount ------------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned long set;
	unsigned long clear;
} flags[] = {
	{"ro", MS_RDONLY, 0},
	{"rw", 0, MS_RDONLY},
	{"nosuid", MS_NOSUID, 0},
	{"suid", 0, MS_NOSUID},
	{"nodev", MS_NODEV, 0},
	{"dev", 0, MS_NODEV},
	{"noexec", MS_NOEXEC, 0},
	{"exec", 0, MS_NOEXEC},
	{"sync", MS_SYNCHRONOUS, 0},
	{"async", 0, MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC, 0},
	{"noatime", MS_NOATIME, 0},
	{"atime", 0, MS_NOATIME},
	{"nodiratime", MS_NODIRATIME, 0},
	{"diratime", 0, MS_NODIRATIME},
	{"relatime", MS_RELATIME, 0},
	{"norelatime", 0, MS_RELATIME},
	{"strictatime", MS_STRICTATIME, 0},
	{"nostrictatime", 0, MS_STRICTATIME},
	{"bind", MS_BIND, 0},
};

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name), n;

	for (; *options; options += n + (options[n] == ',')) {
		n = strcspn(options, ",");
		if (n == len && !memcmp(options, name, len))
			return true;
	}
	return false;
}

/* mount(8) passes all flags that shall hold, those that held before included. */
static unsigned long remount_flags(const char *options)
{
	unsigned long result = MS_REMOUNT;
	size_t i, n;

	for (; *options; options += n + (options[n] == ',')) {
		n = strcspn(options, ",");
		for (i = 0; i < KA_ARRAY_SIZE(flags); i++) {
			if (strlen(flags[i].name) != n || memcmp(flags[i].name, options, n))
				continue;
			result |= flags[i].set;
			result &= ~flags[i].clear;
		}
	}
	return result;
}

/* Whether the daemon itself cannot write, whatever the flags say. */
static bool is_read_only(const char *dir)
{
	KA_AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ka_ioc_status status;

	return fd >= 0 && !ioctl(fd, KA_IOC_STATUS, &status) && status.rdonly;
}

/*
 * The kernel leaves times of access to the daemon, and does not tell it of a
 * remount. A daemon that cannot be told goes on as before. Nobody but the daemon
 * remembers nodiratime, so it stays unless something else is asked for.
 */
static void tell_daemon(const struct mount *m, unsigned long new_flags)
{
	KA_AUTO_CLOSE int fd = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ka_ioc_atime atime = {.mask = KA_IOC_NOATIME};

	if (new_flags & (MS_NOATIME | MS_RDONLY))
		atime.flags |= KA_IOC_NOATIME;
	if (new_flags & MS_NODIRATIME)
		atime.flags |= KA_IOC_NODIRATIME;
	if (has_option(m->options, "nodiratime") || has_option(m->options, "diratime"))
		atime.mask |= KA_IOC_NODIRATIME;
	if (fd >= 0)
		ioctl(fd, KA_IOC_SET_ATIME, &atime);
}

static int remount(const struct mount *m)
{
	unsigned long new_flags = remount_flags(m->options);

	if (!(new_flags & MS_RDONLY) && is_read_only(m->dir)) {
		ka_msg(&m->sink, KA_MSG_ERROR,
		       "cannot make '%s' writable: it was mounted read-only; unmount it and mount "
		       "it again",
		       m->dir);
		return EXIT_MOUNT;
	}
	if (m->fake)
		return EXIT_OK;
	if (mount("none", m->dir, NULL, new_flags, NULL)) {
		ka_msg(&m->sink, KA_MSG_ERROR, "cannot remount '%s': %s", m->dir, strerror(errno));
		return EXIT_MOUNT;
	}
	if (!(new_flags & MS_BIND)) /* else it is about one mount point, not the filesystem */
		tell_daemon(m, new_flags);
	return EXIT_OK;
}

/* ---- mount ------------------------------------------------------------------------ */

static int enter_namespace(const struct mount *m)
{
	KA_AUTO_CLOSE int fd = -1;
	char path[64];

	if (!m->ns)
		return 0;
	snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", m->ns);
	fd = open(m->ns[strspn(m->ns, "0123456789")] ? m->ns : path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS)) {
		ka_msg(&m->sink, KA_MSG_ERROR, "cannot enter namespace '%s': %s", m->ns,
		       strerror(errno));
		return -errno;
	}
	return 0;
}

/* The one beside this program first: it is of the same version. */
static int run_daemon(const struct mount *m)
{
	char self[PATH_MAX], path[PATH_MAX + sizeof(DAEMON) + 1];
	const char *const argv[] = {DAEMON, "-o", *m->options ? m->options : "rw", "--", m->region,
				    m->dir, NULL};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = 0;
		snprintf(path, sizeof(path), "%s/" DAEMON, dirname(self));
		execv(path, (char *const *)argv);
	}
	execvp(DAEMON, (char *const *)argv);
	ka_msg(&m->sink, KA_MSG_ERROR, "cannot run '" DAEMON "': %s", strerror(errno));
	return EXIT_SYSTEM;
}

/* ---- command line -------------------------------------------------------------------- */

static int add_options(struct mount *m, const char *more)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", m->options ?: "", m->options ? "," : "", more) < 0)
		return -ENOMEM;
	free(m->options);
	m->options = joined;
	return 0;
}

/* 0: go on; 1: done; negative: was explained. */
static int parse_option(struct mount *m, int c, char **argv)
{
	switch (c) {
	case 's':
	case 'n':
	case 'v':
	case 't':
		return 0;
	case 'f':
		m->fake = true;
		return 0;
	case 'r':
		return add_options(m, "ro");
	case 'w':
		return add_options(m, "rw");
	case 'o':
		return add_options(m, optarg);
	case 'N':
		m->ns = optarg;
		return 0;
	case 'h':
		fputs(help, stdout);
		return 1;
	case 'V':
		ka_program_version(NAME);
		return 1;
	default:
		ka_program_option_error(&m->sink, c, argv, short_options);
		return -EINVAL;
	}
}

static int parse_args(struct mount *m, int argc, char **argv)
{
	int c, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		err = parse_option(m, c, argv);
		if (err)
			return err;
	}
	if (argc - optind != 2) {
		ka_msg(&m->sink, KA_MSG_ERROR, "a region and a directory are needed; try --help");
		return -EINVAL;
	}
	m->region = argv[optind];
	m->dir = argv[optind + 1];
	return m->options ? 0 : add_options(m, "");
}

static int run(struct mount *m, int argc, char **argv)
{
	int err = parse_args(m, argc, argv);

	if (err)
		return err < 0 ? EXIT_USAGE : EXIT_OK;
	if (enter_namespace(m))
		return EXIT_SYSTEM;
	if (has_option(m->options, "remount"))
		return remount(m);
	return m->fake ? EXIT_OK : run_daemon(m);
}

int main(int argc, char **argv)
{
	struct mount m = {.sink = ka_program_sink(NAME)};
	int code = run(&m, argc, argv);

	free(m.options);
	return ka_program_end(&m.sink, code, EXIT_SYSTEM);
}

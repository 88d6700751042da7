/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - mkfs.keepalivefs: makes a filesystem in a region.
 *
 * A refusal leaves the region byte for byte as it was: everything that can be
 * refused is checked before the first store. A file that mkfs created is
 * removed again when it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <uuid/uuid.h>

#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/fs.h"
#include "keepalive/util.h"
#include "program.h"
#include "signatures.h"

#define NAME "mkfs.keepalivefs"

struct mkfs {
	struct ka_msg_sink sink;
	const char *path;
	struct ka_format_opts opts; /* capacity_bytes 0: no size was given */
	bool force, dry_run, quiet;
	/* what the region is */
	int fd;	      /* of a file that was made or grown here, else -1 */
	bool created; /* remove it upon failure */
	bool absent;  /* dry run: would be created, or grown from nothing */
};

static const char short_options[] = ":s:L:U:fnqhV";
static const struct option long_options[] = {
	{"size", required_argument, NULL, 's'},
	{"label", required_argument, NULL, 'L'},
	{"uuid", required_argument, NULL, 'U'},
	{"force", no_argument, NULL, 'f'},
	{"dry-run", no_argument, NULL, 'n'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: " NAME " [OPTION]... REGION\n"
	"Make a keepalivefs filesystem in REGION: a regular file, or a dax device.\n"
	"\n"
	"  -s, --size SIZE    use SIZE bytes (K, M, G, T: powers of 1024); a file that\n"
	"                     does not exist is created with this size, of a larger\n"
	"                     one the rest is lent to the system from the start\n"
	"  -L, --label LABEL  name the filesystem, up to 63 bytes\n"
	"  -U, --uuid UUID    this UUID, or 'random' (the default), or 'time'\n"
	"  -f, --force        overwrite what the region holds\n"
	"  -n, --dry-run      only print what would be done\n"
	"  -q, --quiet        print nothing but errors\n"
	"  -h, --help         print this help\n"
	"  -V, --version      print the version\n"
	"\n"
	"Exit status: 0 done, 1 refused or failed. See mkfs.keepalivefs(8).\n";

/* ---- options ----------------------------------------------------------- */

static int parse_size(struct mkfs *m, const char *text)
{
	char least[16];
	uint64_t bytes;
	int err = ka_parse_size(text, &bytes);

	if (err == -ERANGE || (!err && bytes > KA_FILE_MAX)) {
		ka_msg(&m->sink, KA_MSG_ERROR, "size '%s' is too large", text);
		return -ERANGE;
	}
	if (err) {
		ka_msg(&m->sink, KA_MSG_ERROR,
		       "size '%s' is not a number of bytes (K, M, G or T may follow)", text);
		return err;
	}
	if (bytes < KA_CAPACITY_MIN) {
		ka_msg(&m->sink, KA_MSG_ERROR, "size '%s' is too small; the least is %s", text,
		       ka_format_size(least, KA_CAPACITY_MIN));
		return -EINVAL;
	}
	m->opts.capacity_bytes = ka_align_down(bytes, 4096);
	return 0;
}

static int parse_label(struct mkfs *m, const char *text)
{
	if (strlen(text) > KA_LABEL_MAX) {
		ka_msg(&m->sink, KA_MSG_ERROR, "label '%s' is too long; it may have %d bytes", text,
		       KA_LABEL_MAX);
		return -EINVAL;
	}
	strcpy(m->opts.label, text);
	return 0;
}

static int parse_uuid(struct mkfs *m, const char *text)
{
	if (!strcmp(text, "random")) {
		uuid_generate_random(m->opts.uuid);
	} else if (!strcmp(text, "time")) {
		uuid_generate_time(m->opts.uuid);
	} else if (uuid_parse(text, m->opts.uuid)) {
		ka_msg(&m->sink, KA_MSG_ERROR, "'%s' is not a UUID", text);
		return -EINVAL;
	}
	return 0;
}

/* 0: go on; 1: done, all is well; negative: was explained. */
static int parse_option(struct mkfs *m, int c, char **argv)
{
	switch (c) {
	case 's':
		return parse_size(m, optarg);
	case 'L':
		return parse_label(m, optarg);
	case 'U':
		return parse_uuid(m, optarg);
	case 'f':
		m->force = true;
		return 0;
	case 'n':
		m->dry_run = true;
		return 0;
	case 'q':
		m->quiet = true;
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

static int parse_args(struct mkfs *m, int argc, char **argv)
{
	int c, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		err = parse_option(m, c, argv);
		if (err)
			return err;
	}
	if (optind == argc) {
		ka_msg(&m->sink, KA_MSG_ERROR, "no region is given; try --help");
		return -EINVAL;
	}
	if (optind + 1 < argc) {
		ka_msg(&m->sink, KA_MSG_ERROR, "one region at a time, not '%s' too; try --help",
		       argv[optind + 1]);
		return -EINVAL;
	}
	m->path = argv[optind];
	return ka_program_check_region(&m->sink, m->path);
}

/* ---- the file ------------------------------------------------------------ */

/* Nothing but the kernel makes devices. */
static bool is_device_name(const char *path)
{
	return !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9);
}

static int need_size(const struct mkfs *m, const char *why)
{
	if (m->opts.capacity_bytes)
		return 0;
	ka_msg(&m->sink, KA_MSG_ERROR, "'%s' %s; -s SIZE says how large to make it", m->path, why);
	return -EINVAL;
}

/*
 * A sparse file that outgrows its filesystem is a memory error later on, so
 * the space has to be there now, though lending may give it back.
 */
static int check_space(const struct mkfs *m, bool exists)
{
	char path[PATH_MAX], need[16], have[16];
	struct statvfs sv;
	const char *dir;
	uint64_t avail;
	int err = 0;

	if (strlen(m->path) >= sizeof(path)) {
		err = -ENAMETOOLONG;
	} else {
		dir = dirname(strcpy(path, m->path));
		if (statvfs(dir, &sv) || (!exists && access(dir, W_OK | X_OK)))
			err = -errno;
	}
	if (err) {
		ka_msg(&m->sink, KA_MSG_ERROR, "cannot create '%s': %s", m->path, ka_strerror(err));
		return err;
	}
	avail = (uint64_t)(geteuid() ? sv.f_bavail : sv.f_bfree) * sv.f_frsize;
	if (!sv.f_blocks || m->opts.capacity_bytes <= avail)
		return 0; /* ramfs counts nothing */
	ka_msg(&m->sink, KA_MSG_ERROR, "no space to create '%s': it needs %s, %s are free", m->path,
	       ka_format_size(need, m->opts.capacity_bytes), ka_format_size(have, avail));
	return -ENOSPC;
}

static int create_file(struct mkfs *m, bool exists)
{
	int err;

	m->absent = m->dry_run;
	err = check_space(m, exists);
	if (err || m->dry_run)
		return err;
	if (exists)
		m->fd = open(m->path, O_WRONLY | O_CLOEXEC);
	else
		m->fd = open(m->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (m->fd < 0) {
		err = -errno;
		ka_msg(&m->sink, KA_MSG_ERROR, "cannot %s '%s': %s", exists ? "open" : "create",
		       m->path, ka_strerror(err));
		return err;
	}
	m->created = !exists;
	if (ftruncate(m->fd, (off_t)m->opts.capacity_bytes)) {
		err = -errno;
		ka_msg(&m->sink, KA_MSG_ERROR, "cannot make '%s' %" PRIu64 " bytes long: %s",
		       m->path, m->opts.capacity_bytes, ka_strerror(err));
	}
	return err;
}

/* Upon failure: a file that was made here goes, one that was empty is it again. */
static void undo_file(struct mkfs *m)
{
	if (m->fd < 0)
		return;
	if (m->created)
		unlink(m->path);
	else if (ftruncate(m->fd, 0))
		ka_msg(&m->sink, KA_MSG_WARNING, "cannot truncate '%s' again: %s", m->path,
		       ka_strerror(-errno));
}

/* Sees to it that there is something to open. */
static int prepare_file(struct mkfs *m)
{
	struct stat st;
	int err;

	if (ka_dax_is_name(m->path))
		return 0;
	if (stat(m->path, &st)) {
		if (errno != ENOENT || is_device_name(m->path))
			return 0; /* opening explains it */
		err = need_size(m, "does not exist");
		return err ?: create_file(m, false);
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	if (!st.st_size) {
		err = need_size(m, "is empty");
		return err ?: create_file(m, true);
	}
	if (st.st_size < (off_t)KA_CAPACITY_MIN) {
		ka_msg(&m->sink, KA_MSG_ERROR,
		       "'%s' is too small: it has %" PRIu64 " bytes, the least is %llu", m->path,
		       (uint64_t)st.st_size, KA_CAPACITY_MIN);
		return -EINVAL;
	}
	return 0;
}

/* ---- the filesystem ------------------------------------------------------ */

static void print_plan(const struct mkfs *m, const struct ka_super *sb)
{
	char uuid[UUID_STR_LEN], size[16], part[16];

	if (m->quiet)
		return;
	uuid_unparse_lower(sb->uuid, uuid);
	printf("%s %s a keepalivefs filesystem\n", m->path, m->dry_run ? "would become" : "is now");
	printf("  uuid      %s\n  label     ", uuid);
	if (sb->label[0])
		ka_program_print_bytes(stdout, sb->label, strlen(sb->label));
	else
		fputs("none", stdout);
	printf("\n  size      %s (%" PRIu64 " bytes)\n", ka_format_size(size, sb->capacity_bytes),
	       sb->capacity_bytes);
	if (sb->owned_bytes < sb->capacity_bytes)
		printf("  lent      %s of that, from the start\n",
		       ka_format_size(part, sb->capacity_bytes - sb->owned_bytes));
	printf("  segments  %" PRIu64 " of %s\n", sb->segments,
	       ka_format_size(part, sb->segment_bytes));
	printf("  slices    %" PRIu32 " of %s\n", sb->slices,
	       ka_format_size(part, sb->slice_bytes));
}

static int explain(const struct mkfs *m, int err)
{
	ka_msg(&m->sink, KA_MSG_ERROR, "cannot format '%s': %s", m->path, ka_strerror(err));
	return err;
}

/*
 * Takes the whole region where no size was given. Of a file, or a whole DAX region, what is
 * beyond the size is lent from the start, and can be had later.
 */
static int choose_size(struct mkfs *m, const struct ka_region_info *info)
{
	if (m->opts.capacity_bytes <= info->capacity_bytes) {
		m->opts.owned_bytes = m->opts.capacity_bytes;
		if (!m->opts.capacity_bytes || info->kind == KA_REGION_FILE ||
		    ka_dax_is_name(info->path))
			m->opts.capacity_bytes = info->capacity_bytes;
		return 0;
	}
	ka_msg(&m->sink, KA_MSG_ERROR,
	       "'%s' has only %" PRIu64 " bytes, %" PRIu64
	       " are asked for; leave out -s to use it all",
	       m->path, info->capacity_bytes, m->opts.capacity_bytes);
	return -EINVAL;
}

static int check_signatures(struct mkfs *m, const struct ka_region *rg, struct ka_signatures *found)
{
	int err = ka_signatures_find(rg, &m->sink, found);

	if (err || m->force || !found->count)
		return err;
	ka_msg(&m->sink, KA_MSG_ERROR, "'%s' holds %s; use -f to overwrite it", m->path,
	       found->sig[0].what);
	return -EEXIST;
}

/* What the system has cannot be looked at, and it would still have it afterwards. */
static int check_present(const struct mkfs *m, const struct ka_region *rg)
{
	if (ka_region_limit(rg) == ka_region_info(rg)->capacity_bytes)
		return 0;
	ka_msg(&m->sink, KA_MSG_ERROR,
	       "part of '%s' is in use as system memory; mount it and take that back with "
	       "'keepalivectl reclaim', or with 'daxctl reconfigure-device --mode=devdax'",
	       m->path);
	return -EBUSY;
}

static int format(struct mkfs *m, struct ka_region *rg)
{
	struct ka_carve_sizes sizes;
	struct ka_signatures found;
	struct ka_super sb;
	int err;

	err = choose_size(m, ka_region_info(rg));
	err = err ?: check_present(m, rg);
	if (!err)
		err = check_signatures(m, rg, &found);
	if (err)
		return err;
	if (ka_dax_choose(NULL, rg, &sizes)) {
		m->opts.slice_bytes = sizes.slice_bytes;
		m->opts.first_slice_bytes = sizes.first_slice_bytes;
	}
	err = ka_fs_plan(ka_region_info(rg), &m->opts, &sb);
	if (err)
		return explain(m, err);
	if (m->dry_run) {
		print_plan(m, &sb);
		return 0;
	}
	err = ka_signatures_wipe(rg, &found);
	if (err)
		return explain(m, err);
	err = ka_fs_format(rg, &m->opts, &m->sink);
	if (err)
		return err;
	err = ka_region_sync(rg);
	if (err)
		return explain(m, err);
	print_plan(m, &sb);
	return 0;
}

/* A whole region is cut into slices now; else the first mount would do it. */
static int carve(struct mkfs *m)
{
	struct ka_region *rg;
	int err;

	if (!ka_dax_is_name(m->path))
		return 0;
	err = ka_dax_open(NULL, m->path, KA_REGION_WRITE | KA_REGION_LOCK | KA_DAX_CARVE, NULL,
			  &m->sink, &rg);
	if (!err)
		ka_region_close(rg);
	return err;
}

/* Dry run of what does not exist: there is no region to look at. */
static int plan_absent(struct mkfs *m)
{
	const struct ka_region_info info = {
		.kind = KA_REGION_FILE,
		.path = m->path,
		.capacity_bytes = m->opts.capacity_bytes,
	};
	struct ka_super sb;
	int err = ka_fs_plan(&info, &m->opts, &sb);

	if (err)
		return explain(m, err);
	print_plan(m, &sb);
	return 0;
}

static int run(struct mkfs *m)
{
	unsigned flags = KA_REGION_LOCK | (m->dry_run ? 0 : KA_REGION_WRITE);
	struct ka_region *rg;
	int err;

	err = prepare_file(m);
	if (err)
		return err;
	if (m->absent)
		return plan_absent(m);
	err = ka_dax_open(NULL, m->path, flags, NULL, &m->sink, &rg);
	if (err)
		return err;
	err = format(m, rg);
	ka_region_close(rg);
	return err || m->dry_run ? err : carve(m);
}

int main(int argc, char **argv)
{
	struct mkfs m = {
		.sink = ka_program_sink(NAME),
		.opts = {.root_uid = getuid(), .root_gid = getgid()},
		.fd = -1,
	};
	int err;

	ka_program_catch_sigbus(NAME, 1);
	signal(SIGXFSZ, SIG_IGN); /* a size limit is an error like any other */
	uuid_generate(m.opts.uuid);
	err = parse_args(&m, argc, argv);
	if (!err) {
		err = run(&m);
		if (err)
			undo_file(&m);
	}
	return ka_program_end(&m.sink, err < 0, 1);
}

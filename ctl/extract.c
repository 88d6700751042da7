/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * extract.c - keepalivectl extract: copies files out of a region that is not
 * mounted, and lists what could not be copied or is not whole.
 *
 * What a region holds may be hostile. Names have no '/' and are no "..", as the
 * core sees to; dest.h sees to everything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "config.h"
#include "ctl.h"
#include "dest.h"
#include "emit.h"
#include "keepalive/acl.h"
#include "keepalive/err.h"
#include "keepalive/util.h"
#include "program.h"
#include "salvage.h"
#include "walk.h"

/* A file with several names, and where its first copy lies. */
struct linked {
	ka_ino_t ino;
	char path[]; /* from where the destination begins */
};

struct extract {
	struct salvage s;
	struct dest dest;
	bool root;     /* may give files away, and make devices */
	bool into;     /* the contents of the top go into a directory that exists */
	char *top;     /* else: the name that the top gets */
	size_t prefix; /* bytes of paths that are before the top's own name */
	void *links;   /* tsearch, of struct linked */
	int failed;    /* what ended it, and was explained */
};

/* ---- attributes --------------------------------------------------------- */

static struct timespec to_timespec(struct ka_time t)
{
	return (struct timespec){.tv_sec = t.sec, .tv_nsec = t.nsec};
}

/* Those that only root may set are left out by others, as owners are. */
static bool is_privileged(const char *name)
{
	return !strncmp(name, "trusted.", 8) || !strncmp(name, "security.", 9);
}

static void copy_xattr(struct extract *x, const struct walk_entry *e, const char *node,
		       const char *name)
{
	KA_AUTO_FREE char *value = malloc(KA_XATTR_MAX);
	size_t bytes = 0;
	int err = value ? 0 : -ENOMEM;

	if (!x->root && is_privileged(name))
		return;
	err = err ?: ka_getxattr(x->s.fs, e->attr->ino, name, value, KA_XATTR_MAX, &bytes);
	if (!err && setxattr(node, name, value, bytes, 0))
		err = -errno;
	if (err)
		salvage_problem(&x->s, e->path, "cannot keep the attribute '%s': %s", name,
				ka_strerror(err));
}

static void copy_xattrs(struct extract *x, const struct walk_entry *e, const char *node)
{
	KA_AUTO_FREE char *names = NULL;
	size_t bytes = 0;
	char *name;

	if (ka_listxattr(x->s.fs, e->attr->ino, true, NULL, 0, &bytes) || !bytes)
		return;
	names = malloc(bytes);
	if (!names || ka_listxattr(x->s.fs, e->attr->ino, true, names, bytes, &bytes)) {
		salvage_problem(&x->s, e->path, "cannot keep its attributes: %s",
				ka_strerror(-ENOMEM));
		return;
	}
	for (name = names; name < names + bytes; name += strlen(name) + 1)
		copy_xattr(x, e, node, name);
}

/* What the file has from the default ACL of the directory that it was made in. */
static void drop_acls(const char *node, uint32_t mode)
{
	if (S_ISLNK(mode))
		return;
	removexattr(node, KA_ACL_ACCESS);
	if (S_ISDIR(mode))
		removexattr(node, KA_ACL_DEFAULT);
}

/* The owner first, as it takes privileges away; times last. fd may be O_PATH. */
static void copy_attrs(struct extract *x, const struct walk_entry *e, int fd)
{
	const struct ka_attr *a = e->attr;
	struct timespec times[2] = {to_timespec(a->atime), to_timespec(a->mtime)};
	mode_t mode = a->mode & 07777;
	struct stat st;
	char node[40];
	int err = 0;

	snprintf(node, sizeof(node), "/proc/self/fd/%d", fd);
	if (x->root && fchownat(fd, "", a->uid, a->gid, AT_EMPTY_PATH))
		err = -errno;
	/* Who it belongs to now must not lend privileges that somebody else gave. */
	if (!err && !x->root && !fstat(fd, &st) && (st.st_uid != a->uid || st.st_gid != a->gid))
		mode &= ~(mode_t)(S_ISUID | S_ISGID);
	drop_acls(node, a->mode);
	if (!err && !S_ISLNK(a->mode) && chmod(node, mode))
		err = -errno;
	copy_xattrs(x, e, node);
	if (!err && utimensat(fd, "", times, AT_EMPTY_PATH))
		err = -errno;
	if (err)
		salvage_problem(&x->s, e->path, "cannot keep its owner, mode or times: %s",
				ka_strerror(err));
}

/* ---- hard links ---------------------------------------------------------- */

static int by_ino(const void *a, const void *b)
{
	const struct linked *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/* Where the entry lies, from where the destination begins; to be freed. */
static char *dest_path(const struct extract *x, const struct walk_entry *e)
{
	char *path;

	if (x->into)
		return strdup(e->path + 1);
	return asprintf(&path, "%s%s", x->top, e->path + x->prefix) < 0 ? NULL : path;
}

static const struct linked *find_link(const struct extract *x, ka_ino_t ino)
{
	const struct linked key = {.ino = ino};
	void *node = tfind(&key, &x->links, by_ino);

	return node ? *(struct linked **)node : NULL;
}

/* Without memory for it the next name becomes a copy. */
static void remember_link(struct extract *x, const struct walk_entry *e)
{
	KA_AUTO_FREE char *path = NULL;
	struct linked *l;

	if (e->attr->nlink < 2 || find_link(x, e->attr->ino))
		return;
	path = dest_path(x, e);
	l = path ? malloc(sizeof(*l) + strlen(path) + 1) : NULL;
	if (!l)
		return;
	l->ino = e->attr->ino;
	strcpy(l->path, path);
	if (!tsearch(l, &x->links, by_ino))
		free(l);
}

/* Whether the entry is a further name of what was copied already. */
static bool copy_link(struct extract *x, const struct walk_entry *e, const char *name)
{
	const struct linked *l = e->attr->nlink > 1 ? find_link(x, e->attr->ino) : NULL;
	int err;

	if (!l)
		return false;
	err = dest_link(&x->dest, l->path, name);
	if (err == -EEXIST)
		salvage_problem(&x->s, e->path, "%s; it was left as it is", ka_strerror(err));
	else if (err)
		salvage_problem(&x->s, e->path,
				"cannot be a hard link to '%s' (%s), so it is a copy", l->path,
				ka_strerror(err));
	return !err || err == -EEXIST;
}

/* ---- contents ------------------------------------------------------------- */

/* What would fail for every other file as well. */
static bool is_fatal(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EROFS || err == -EIO || err == -ESTALE;
}

/* Goes on with the next file, or gives up. */
static int could_not(struct extract *x, const struct walk_entry *e, int err)
{
	if (is_fatal(err)) {
		ka_msg(x->s.args->sink, KA_MSG_ERROR, "cannot go on at '%s': %s", e->path,
		       ka_strerror(err));
		x->failed = err;
		return err;
	}
	salvage_problem(&x->s, e->path,
			err == -EEXIST ? "%s; it was left as it is" : "cannot be copied: %s",
			ka_strerror(err));
	return 0;
}

static int write_data(void *ctx, uint64_t off, const void *data, size_t len)
{
	const char *p = data;
	int fd = *(int *)ctx;
	ssize_t n;

	while (len) {
		n = pwrite(fd, p, len, (off_t)off);
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_file(struct extract *x, const struct walk_entry *e, const char *name)
{
	KA_AUTO_CLOSE int fd = -1;
	int err;

	err = dest_file(&x->dest, name, &fd);
	if (err)
		return err;
	if (ftruncate(fd, (off_t)e->attr->size))
		err = -errno;
	err = err ?: salvage_read(&x->s, e->path, e->attr, write_data, &fd);
	if (err) {
		unlinkat(x->dest.fd, name, 0); /* half a file would pass for a whole one */
		return err;
	}
	copy_attrs(x, e, fd);
	return 0;
}

static int copy_symlink(struct extract *x, const struct walk_entry *e, const char *name)
{
	char target[KA_TARGET_MAX + 1];
	KA_AUTO_CLOSE int fd = -1;
	int err;

	err = ka_readlink(x->s.fs, e->attr->ino, target);
	err = err ?: dest_symlink(&x->dest, name, target, &fd);
	if (!err)
		copy_attrs(x, e, fd);
	return err;
}

static int copy_node(struct extract *x, const struct walk_entry *e, const char *name)
{
	uint32_t rdev = e->attr->rdev;
	KA_AUTO_CLOSE int fd = -1;
	int err;

	err = dest_node(&x->dest, name, e->attr->mode & S_IFMT, makedev(rdev >> 20, rdev & 0xfffff),
			&fd);
	if (!err)
		copy_attrs(x, e, fd);
	return err;
}

/* ---- the walk -------------------------------------------------------------- */

static const char *name_of(const struct extract *x, const struct walk_entry *e)
{
	return e->depth ? e->name : x->top;
}

static int copy_other(void *ctx, const struct walk_entry *e)
{
	struct extract *x = ctx;
	const char *name = name_of(x, e);
	int err;

	x->s.files++;
	if (copy_link(x, e, name))
		return 0;
	if (S_ISREG(e->attr->mode))
		err = copy_file(x, e, name);
	else if (S_ISLNK(e->attr->mode))
		err = copy_symlink(x, e, name);
	else
		err = copy_node(x, e, name);
	if (err)
		return could_not(x, e, err);
	remember_link(x, e);
	return 0;
}

static int enter_dir(void *ctx, const struct walk_entry *e)
{
	struct extract *x = ctx;
	int err;

	x->s.files++;
	if (!e->depth && x->into)
		return 0;
	err = dest_enter(&x->dest, name_of(x, e));
	if (err)
		return could_not(x, e, err) ?: WALK_SKIP;
	return 0;
}

static int leave_dir(void *ctx, const struct walk_entry *e)
{
	struct extract *x = ctx;
	KA_AUTO_CLOSE int fd = -1;
	bool ours;
	int err;

	if (!e->depth && x->into)
		return 0;
	err = dest_leave(&x->dest, &ours, &fd);
	if (err)
		return could_not(x, e, err);
	if (ours)
		copy_attrs(x, e, fd);
	return 0;
}

/* ---- the command ------------------------------------------------------------ */

static int cannot_use(const struct extract *x, const char *what, int err)
{
	ka_msg(x->s.args->sink, KA_MSG_ERROR, "cannot extract to '%s': %s", what, ka_strerror(err));
	return err;
}

/* Where there is nothing yet: the top gets the last name of dest. */
static int open_above(struct extract *x, const char *dest)
{
	KA_AUTO_FREE char *copy = strdup(dest), *copy2 = strdup(dest);
	int fd;

	x->top = copy2 ? strdup(basename(copy2)) : NULL;
	if (!copy || !x->top)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : dest_init(&x->dest, fd, x->s.args->overwrite);
}

/* As cp(1): into a directory that is there, else under that name. */
static int open_dest(struct extract *x, const char *dest, const char *path)
{
	int fd;

	if (!*dest) /* whose last name would be taken for "." */
		return -ENOENT;
	fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	x->prefix = strcmp(path, "/") ? strlen(path) : 0;
	if (fd < 0 && (errno == ENOENT || (errno == ENOTDIR && x->prefix)))
		return open_above(x, dest);
	if (fd < 0)
		return -errno;
	if (!strcmp(path, "/")) {
		x->into = true;
		x->top = strdup("");
	} else {
		x->top = strdup(strrchr(path, '/') + 1);
	}
	return x->top ? dest_init(&x->dest, fd, x->s.args->overwrite) : -ENOMEM;
}

static void report(struct extract *x, const char *dest)
{
	struct emit e = {.obj = x->s.list ? json_object_new_object() : NULL};
	char size[16];

	if (!e.obj) {
		printf("%" PRIu64 " files, %s of data", x->s.files,
		       ka_format_size(size, x->s.bytes));
		if (x->s.problems)
			printf("; %" PRIu64 " problems", x->s.problems);
		putchar('\n');
		return;
	}
	emit_text(&e, "version", KEEPALIVE_VERSION);
	emit_bytes(&e, "region", x->s.args->target, strlen(x->s.args->target));
	emit_bytes(&e, "destination", dest, strlen(dest));
	emit_u64(&e, "files", x->s.files);
	emit_u64(&e, "bytes", x->s.bytes);
	salvage_report(&x->s, e.obj);
	emit_print(e.obj);
}

static int extract_path(struct extract *x, const char *path, const char *dest)
{
	static const struct walk_visitor visitor = {enter_dir, leave_dir, copy_other};
	KA_AUTO_FREE char *clean = NULL;
	ka_ino_t ino;
	int err;

	err = walk_lookup(x->s.fs, path, &ino, &clean);
	if (err) {
		ka_msg(x->s.args->sink, KA_MSG_ERROR, "cannot find '%s' in '%s': %s", path,
		       x->s.args->target, ka_strerror(err));
		return err;
	}
	err = open_dest(x, dest, clean);
	if (err)
		return cannot_use(x, dest, err);
	err = walk_tree(x->s.fs, ino, clean, &visitor, x);
	if (err && !x->failed)
		cannot_use(x, dest, err);
	return err;
}

static int run_extract(const struct ctl_args *args)
{
	const char *dest = args->operand[args->operands - 1];
	struct extract x = {.root = !geteuid(), .dest = {.fd = -1, .top_fd = -1}};
	int err;

	err = salvage_open_remains(&x.s, args, args->target);
	umask(0077);
	err = err ?: extract_path(&x, args->operands > 2 ? args->operand[1] : "/", dest);
	if (!err)
		report(&x, dest);
	dest_release(&x.dest);
	tdestroy(x.links, free);
	free(x.top);
	salvage_close(&x.s);
	return err ? CTL_FAILED : salvage_exit(&x.s);
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"overwrite", no_argument, NULL, CTL_OPT_OVERWRITE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_extract = {
	.name = "extract",
	.operand = "REGION and a DEST",
	.operands_min = 2,
	.operands_max = 3,
	.help = "Usage: " CTL_NAME " extract [--json] [--overwrite] REGION [PATH] DEST\n"
		"Copy the files out of a region that is not mounted: all of them, or PATH and what\n"
		"is below it. A damaged region gives what is whole, and a list of what is not:\n"
		"damaged ranges of a file become holes. The region stays as it is.\n"
		"\n"
		"      --overwrite  replace files that are there already; else they stay, and are\n"
		"                   listed\n"
		"  -j, --json       print one JSON object, with the list\n"
		"  -h, --help       print this help\n"
		"  -V, --version    print the version\n"
		"\n"
		"Exit status: 0 all is whole, 1 failed, 2 wrong usage, 4 something is not whole or\n"
		"was not copied.\n",
	.short_options = ":jhV",
	.long_options = long_options,
	.run = run_extract,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image.c - keepalivectl image: a filesystem to a sparse file, and back.
 *
 * An image gets its name when it is complete; of a restore that is cut off see
 * image_copy.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "ctl.h"
#include "emit.h"
#include "image_copy.h"
#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"
#include "program.h"
#include "salvage.h"
#include "signatures.h"

#define BLOCK	    4096u
#define RAW_SEGMENT (2u << 20) /* where no superblock says how large they are */

struct image {
	struct salvage s;
	struct image_plan plan;
	const char *to;
	bool raw; /* not even the superblock is usable */
};

static int fail(const struct image *im, const char *what, int err)
{
	ka_msg(im->s.args->sink, KA_MSG_ERROR, "cannot %s '%s': %s", what, im->to,
	       ka_strerror(err));
	return err;
}

/* ---- what to copy ---------------------------------------------------------- */

/*
 * Of what the log may have gone on to nothing is left out: of an unclean
 * filesystem each segment with a header, of a damaged one everything.
 */
static bool is_wanted(const struct image *im, uint64_t i, bool everything)
{
	const struct ka_super *sb = &im->s.super;
	struct ka_segment_info info;

	if (!ka_range_ok(i * im->plan.segment_bytes, im->plan.segment_bytes,
			 im->raw ? im->plan.bytes : sb->owned_bytes))
		return false;
	if (everything || ka_fs_uses_segment(im->s.fs, i))
		return true;
	return sb->state == KA_STATE_MOUNTED &&
	       !ka_scan_header(im->s.rg, sb->log_id, i, sb->segment_bytes, &info);
}

static void note_broken(void *ctx, uint64_t addr, uint64_t len)
{
	struct image *im = ctx;

	salvage_problem(&im->s, NULL,
			"a memory error at 0x%" PRIx64 ": %" PRIu64 " bytes are zero in the copy",
			addr, len);
}

static int make_plan(struct image *im)
{
	struct image_plan *p = &im->plan;
	const struct ka_super *sb = &im->s.super;
	struct ka_fs_status status = {0};
	bool everything = im->raw || !im->s.fs;
	uint64_t i;

	if (im->s.fs)
		ka_fs_get_status(im->s.fs, &status);
	everything |= status.damaged || im->s.problems;
	p->from = im->s.rg;
	p->broken = note_broken;
	p->ctx = im;
	p->bytes = im->raw ? ka_region_info(im->s.rg)->capacity_bytes
			   : ka_align_up(sb->capacity_bytes, BLOCK);
	p->segment_bytes = im->raw ? RAW_SEGMENT : sb->segment_bytes;
	p->count = (p->bytes + p->segment_bytes - 1) / p->segment_bytes;
	p->used = calloc(p->count, sizeof(*p->used));
	if (!p->used)
		return -ENOMEM;
	for (i = 0; i < p->count; i++)
		p->used[i] = is_wanted(im, i, everything);
	/* The rest behind the last segment belongs to none; of what is raw who knows. */
	p->used[p->count - 1] |= im->raw;
	return 0;
}

static int examine_fs(struct image *im)
{
	struct ka_fs_status status;

	ka_fs_get_status(im->s.fs, &status);
	if (status.spare_err)
		salvage_problem(&im->s, NULL,
				"the older checkpoint is damaged (%s): everything is copied",
				ka_strerror(status.spare_err));
	return salvage_check(&im->s);
}

/* Reads everything that is to be copied, and decides how much that is. */
static int examine(struct image *im, const char *from, bool raw_too)
{
	int err = salvage_open(&im->s, im->s.args, from);

	if (err == -KA_ERR_SUPER_CSUM || err == -KA_ERR_SUPER_FIELD || err == -KA_ERR_SUPER_GONE) {
		if (!raw_too)
			return err;
		im->raw = true;
		salvage_problem(&im->s, NULL, "no superblock is usable: all bytes are copied");
	} else if (salvage_is_damage(err)) {
		salvage_problem(&im->s, NULL, "no checkpoint can be read: all segments are copied");
	} else if (err) {
		return err;
	}
	if (im->s.older)
		salvage_problem(&im->s, NULL,
				"the newest checkpoint is damaged: everything is copied");
	err = im->s.fs ? examine_fs(im) : 0;
	if (err)
		return fail(im, "read everything for", err);
	err = make_plan(im);
	return err ? fail(im, "copy to", err) : 0;
}

/* ---- to a file -------------------------------------------------------------- */

static int refuse(const struct image *im, const char *why)
{
	ka_msg(im->s.args->sink, KA_MSG_ERROR, "cannot make the image '%s': %s", im->to, why);
	return -EEXIST;
}

static int check_file(const struct image *im, const char *region)
{
	struct stat st, rg;

	if (stat(im->to, &st))
		return 0;
	if (!stat(region, &rg) && rg.st_dev == st.st_dev && rg.st_ino == st.st_ino)
		return refuse(im, "that is the region itself");
	if (!S_ISREG(st.st_mode))
		return refuse(im, "it is no regular file; --restore writes to a region");
	if (!im->s.args->force)
		return refuse(im, "it exists; use -f to replace it");
	return 0;
}

/*
 * A file beside the one to be made. Where the filesystem can, it has no name yet, so
 * that nothing is left of it whatever ends the program; else temp, made unique, is it.
 */
static int open_file(const struct image *im, char *temp, bool *ret_named)
{
	KA_AUTO_FREE char *copy = strdup(im->to);
	int fd;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	*ret_named = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR);
	if (*ret_named)
		fd = mkostemp(temp, O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int name_file(const struct image *im, const char *temp)
{
	unsigned flags = im->s.args->force ? 0 : RENAME_NOREPLACE;
	int err = renameat2(AT_FDCWD, temp, AT_FDCWD, im->to, flags) ? -errno : 0;

	if (err == -EINVAL && flags) /* not every filesystem can */
		err = rename(temp, im->to) ? -errno : 0;
	if (err)
		unlink(temp);
	return err;
}

/* Linking does not replace what is there, renaming does; so with -f it has temp for a moment. */
static int link_file(const struct image *im, int fd, const char *temp)
{
	char node[40];

	snprintf(node, sizeof(node), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, node, AT_FDCWD, im->s.args->force ? temp : im->to, AT_SYMLINK_FOLLOW))
		return -errno;
	return im->s.args->force ? name_file(im, temp) : 0;
}

static int write_file(struct image *im)
{
	KA_AUTO_FREE char *temp = NULL, *unique = NULL;
	KA_AUTO_CLOSE int fd = -1;
	bool named;
	int err;

	if (asprintf(&temp, "%s.XXXXXX", im->to) < 0 ||
	    asprintf(&unique, "%s.%d", im->to, getpid()) < 0)
		return -ENOMEM;
	fd = open_file(im, temp, &named);
	if (fd < 0)
		return fd;
	err = image_to_file(&im->plan, fd);
	if (err && named)
		unlink(temp);
	if (!err)
		err = named ? name_file(im, temp) : link_file(im, fd, unique);
	return err;
}

static int save(struct image *im, const char *region)
{
	int err;

	err = check_file(im, region);
	err = err ?: examine(im, region, true);
	if (err)
		return err;
	err = write_file(im);
	return err ? fail(im, "make the image", err) : 0;
}

/* ---- and back ----------------------------------------------------------------- */

static int check_target(const struct image *im, const struct ka_region *to,
			struct ka_signatures *found)
{
	uint64_t have = ka_region_info(to)->capacity_bytes;
	int err;

	if (have < im->plan.bytes) {
		ka_msg(im->s.args->sink, KA_MSG_ERROR,
		       "'%s' is too small: it has %" PRIu64 " bytes, the image needs %" PRIu64,
		       im->to, have, im->plan.bytes);
		return -ENOSPC;
	}
	if (im->s.super.feature_ro_compat & ~(uint64_t)KA_RO_COMPAT_KNOWN) {
		ka_msg(im->s.args->sink, KA_MSG_ERROR,
		       "cannot restore '%s': it uses features 0x%" PRIx64
		       " that this program does not know; use a newer one",
		       im->s.args->target, im->s.super.feature_ro_compat);
		return -EINVAL;
	}
	err = ka_signatures_find(to, im->s.args->sink, found);
	if (err || im->s.args->force || !found->count)
		return err;
	ka_msg(im->s.args->sink, KA_MSG_ERROR, "'%s' holds %s; use -f to overwrite it", im->to,
	       found->sig[0].what);
	return -EEXIST;
}

static int overwrite(struct image *im, struct ka_region *to, const struct ka_signatures *found)
{
	KA_AUTO_CLOSE int fd = -1;
	int err;

	if (ka_region_info(to)->kind == KA_REGION_FILE)
		fd = open(im->to, O_RDONLY | O_CLOEXEC);
	err = ka_signatures_wipe(to, found);
	err = err ?: image_to_region(&im->plan, to, fd, &im->s.super);
	if (err)
		ka_msg(im->s.args->sink, KA_MSG_ERROR,
		       "cannot restore to '%s': %s; it holds no filesystem now", im->to,
		       ka_strerror(err));
	return err;
}

static int restore(struct image *im, const char *file)
{
	struct ka_signatures found;
	struct ka_region *to;
	int err;

	err = ka_program_check_region(im->s.args->sink, im->to);
	err = err
		      ?: ka_dax_open(NULL, im->to, KA_REGION_WRITE | KA_REGION_LOCK, NULL,
				     im->s.args->sink, &to);
	if (err)
		return err;
	err = examine(im, file, false);
	err = err ?: check_target(im, to, &found);
	err = err ?: overwrite(im, to, &found);
	ka_region_close(to);
	return err;
}

/* ---- the command ---------------------------------------------------------------- */

static void report(struct image *im)
{
	struct emit e = {.obj = im->s.list ? json_object_new_object() : NULL};
	char size[16], all[16];

	if (!e.obj) {
		printf("%s of %s copied, %" PRIu64 " files", ka_format_size(size, im->plan.copied),
		       ka_format_size(all, im->plan.bytes), im->s.files);
		if (im->s.problems)
			printf("; %" PRIu64 " problems", im->s.problems);
		putchar('\n');
		return;
	}
	emit_text(&e, "version", KEEPALIVE_VERSION);
	emit_bytes(&e, "from", im->s.args->target, strlen(im->s.args->target));
	emit_bytes(&e, "to", im->to, strlen(im->to));
	emit_u64(&e, "bytes", im->plan.bytes);
	emit_u64(&e, "copied_bytes", im->plan.copied);
	emit_u64(&e, "files", im->s.files);
	salvage_report(&im->s, e.obj);
	emit_print(e.obj);
}

static int run_image(const struct ctl_args *args)
{
	struct image im = {.s = {.args = args}, .to = args->operand[1]};
	int err;

	err = args->restore ? restore(&im, args->target) : save(&im, args->target);
	if (!err)
		report(&im);
	free(im.plan.used);
	salvage_close(&im.s);
	return err ? CTL_FAILED : salvage_exit(&im.s);
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},    {"restore", no_argument, NULL, CTL_OPT_RESTORE},
	{"force", no_argument, NULL, 'f'},   {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0},
};

const struct ctl_command ctl_image = {
	.name = "image",
	.operand = "REGION and a FILE",
	.operands_min = 2,
	.operands_max = 2,
	.help = "Usage: " CTL_NAME " image [--json] [-f] REGION FILE\n"
		"       " CTL_NAME " image --restore [--json] [-f] FILE REGION\n"
		"Copy the filesystem in a region that is not mounted to a sparse file, or back. The\n"
		"file can be used as a region itself. All checksums are verified, and the copy is\n"
		"compared; a damaged filesystem is copied as it is, and what is damaged is listed.\n"
		"\n"
		"      --restore  copy the image FILE to REGION\n"
		"  -f, --force    replace FILE, or overwrite what REGION holds\n"
		"  -j, --json     print one JSON object\n"
		"  -h, --help     print this help\n"
		"  -V, --version  print the version\n"
		"\n"
		"Exit status: 0 all is whole, 1 failed, 2 wrong usage, 4 copied, but something in it\n"
		"is not whole.\n",
	.short_options = ":jfhV",
	.long_options = long_options,
	.run = run_image,
};

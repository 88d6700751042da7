/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_init.c - the table of requests, and the hand-shake with the kernel. */
#include "fuse_ops.h"
#include "keepalive/util.h"
#include "server.h"

#define REQUEST_MAX    (1u << 20)
#define BACKGROUND_MAX 64 /* readahead and direct requests under way at once */

/*
 * Not asked for, on purpose:
 * SPLICE_*: a pipe of 1 MiB and a header does not exist; copying is faster.
 * WRITEBACK_CACHE: a write must be durable when it returns.
 * AUTO_INVAL_DATA: nobody else changes files, and our own time of a write, seen
 *   in the next stat, would drop the pages of the file.
 * HANDLE_KILLPRIV: the kernel then takes set-user-ID bits away itself; see
 *   fuse_cache.h for where it does not.
 * POSIX_LOCKS, FLOCK_LOCKS: with one kernel as the client, its own locks do.
 *
 * POSIX_ACL makes the kernel ask for ACLs and go by them. A default ACL stands in
 * for the umask, and only we know which directory has one: hence DONT_MASK.
 */
static const unsigned wanted =
	FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_EXPORT_SUPPORT |
	FUSE_CAP_IOCTL_DIR | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO |
	FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA |
	FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK;

void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct server *sv = userdata;

	conn->want = conn->capable & wanted;
	conn->max_write = (unsigned)ka_min(conn->max_write, REQUEST_MAX);
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX / 4 * 3;
	conn->time_gran = 1;
	atomic_store(&sv->no_opendir, conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT);
	keeper_shaken(&sv->keeper);
}

/* No flush: nothing is held back. No access: the kernel checks permissions. */
const struct fuse_lowlevel_ops fuse_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsync,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.ioctl = op_ioctl,
	.fallocate = op_fallocate,
	.copy_file_range = op_copy_file_range,
	.lseek = op_lseek,
#if KA_FUSE_HAS_TMPFILE
	.tmpfile = op_tmpfile,
#endif
};

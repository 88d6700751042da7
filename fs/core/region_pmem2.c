/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region_pmem2.c - the store gate over a regular file or a devdax device.
 *
 * The whole capacity is reserved as one window of address space and the
 * memory mapped into it, so that a region can grow later without moving.
 * libpmem2 supplies the stores, through pmem2_map_from_existing only: its own
 * mapping functions crash on soft-reserved devices (they look for a namespace
 * that is not there), so size and alignment come from sysfs.
 *
 * A regular file is treated as memory too. Its page cache outlives the
 * process, not the machine: ka_region_sync is for those who want that.
 *
 * Locks on the region: two bytes under open-file-description locks, which end
 * with the last descriptor. LOCK_HOLD is held from open to close (exclusive by
 * writers, shared by readers); LOCK_SERVING is given up when the holder begins
 * to leave, so that others know whether waiting is worth it.
 */
#include "region.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libpmem2.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

#define LOCK_HOLD    0
#define LOCK_SERVING 1
/*
 * umount(2) returns before the daemon knows of it: grant it a moment. A daemon in
 * the middle of a request, its stores waiting for the disk behind a region file
 * on a busy machine, took more than half a second.
 */
#define GRACE_NS (2 * 1000000000ll)
#define LEAVE_NS (10 * 1000000000ll)
#define POLL_NS	 (5 * 1000000ll)

#define WINDOW_ALIGN (2ull << 20)
#define REGION_MIN   (64ull << 10) /* below it there is nothing to look at */

/* What one descriptor maps. Of a region that is a file or a device it is all. */
struct part {
	uint64_t off;
	uint64_t bytes;
	int fd; /* -1: the system has it */
};

struct pmem2_region {
	struct ka_region rg;
	struct part *part;
	size_t parts;
	const struct ka_region_ram *ram; /* NULL: parts stay */
	void (*closed)(void *ctx);
	void *ctx;
	int fd; /* of the first part, which always stays */
	bool writable;
	void *window; /* the reservation, window_bytes long */
	size_t window_bytes;
	struct pmem2_source *source;
	struct pmem2_map *map;
	pmem2_memcpy_fn memcpy_fn;
	pmem2_flush_fn flush_fn;
	pmem2_drain_fn drain_fn;
};

static struct pmem2_region *to_pmem2(struct ka_region *rg)
{
	return ka_container_of(rg, struct pmem2_region, rg);
}

static void p2_write(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	memcpy(rg->base + off, src, len);
}

static void p2_copy(struct ka_region *rg, uint64_t off, const void *src, size_t len)
{
	to_pmem2(rg)->memcpy_fn(rg->base + off, src, len,
				PMEM2_F_MEM_NONTEMPORAL | PMEM2_F_MEM_NODRAIN);
}

static void p2_flush(struct ka_region *rg, uint64_t off, size_t len)
{
	to_pmem2(rg)->flush_fn(rg->base + off, len);
}

static void p2_fence(struct ka_region *rg)
{
	to_pmem2(rg)->drain_fn();
}

static bool p2_exists(struct ka_region *rg, uint64_t off, size_t len)
{
	struct stat st;

	return fstat(to_pmem2(rg)->fd, &st) || !S_ISREG(st.st_mode) ||
	       ka_range_ok(off, len, (uint64_t)st.st_size);
}

static int p2_prepare(struct ka_region *rg, uint64_t off, size_t len)
{
	if (!madvise(rg->base + off, len, MADV_POPULATE_WRITE))
		return 0;
	if (errno != EFAULT && errno != EHWPOISON)
		return 0; /* populating is an extra */
	/* What a store would meet as SIGBUS; a file that is there has no room then. */
	if (errno == EFAULT && rg->info.kind == KA_REGION_FILE && p2_exists(rg, off, len))
		return -ENOSPC;
	return -KA_ERR_MEMORY;
}

/* For a file on a DAX filesystem so that the mapping is durable. */
static int map_range(struct pmem2_region *p2, uint64_t off, uint64_t len, const struct part *part,
		     bool *durable)
{
	int prot = PROT_READ | (p2->writable ? PROT_WRITE : 0);
	uint8_t *at = p2->rg.base + off;
	off_t from = (off_t)(off - part->off);
	void *map = mmap(at, len, prot, MAP_SHARED_VALIDATE | MAP_SYNC | MAP_FIXED, part->fd, from);

	if (map == MAP_FAILED) {
		*durable = false;
		map = mmap(at, len, prot, MAP_SHARED | MAP_FIXED, part->fd, from);
	}
	if (map == MAP_FAILED)
		return -errno;
	madvise(at, len, MADV_DONTDUMP);
	madvise(at, len, MADV_HUGEPAGE);
	return 0;
}

/* Maps what the parts have of a range of the window. */
static int map_part(struct pmem2_region *p2, uint64_t off, uint64_t len, bool *ret_durable)
{
	uint64_t from, to;
	size_t i;
	int err = 0;

	*ret_durable = true;
	for (i = 0; !err && i < p2->parts; i++) {
		const struct part *part = &p2->part[i];

		from = ka_max(off, part->off);
		to = ka_min(off + len, part->off + part->bytes);
		if (from < to && part->fd >= 0)
			err = map_range(p2, from, to - from, part, ret_durable);
	}
	return err;
}

/* Address space without memory: whoever looks there crashes, rather than reads what is not ours. */
static int unmap_part(struct pmem2_region *p2, uint64_t off, uint64_t len)
{
	void *map = mmap(p2->rg.base + off, len, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	return map == MAP_FAILED ? -errno : 0;
}

/* Every part in the range, the last first. Stops at one that stays, for ka_region_restore. */
static int release_parts(struct pmem2_region *p2, uint64_t off, uint64_t len)
{
	struct part *part;
	size_t i;
	int err;

	for (i = p2->parts; i-- > 1;) {
		part = &p2->part[i];
		if (part->off < off || part->off + part->bytes > off + len || part->fd < 0)
			continue;
		err = unmap_part(p2, part->off, part->bytes);
		if (err)
			return err;
		close(part->fd);
		part->fd = -1;
		err = p2->ram->release(p2->ram->ctx, part->off, part->bytes);
		if (err)
			return err;
	}
	return 0;
}

static int restore_parts(struct pmem2_region *p2, uint64_t off, uint64_t len)
{
	struct part *part;
	size_t i;
	int fd;

	for (i = 1; i < p2->parts; i++) {
		part = &p2->part[i];
		if (part->off < off || part->off + part->bytes > off + len || part->fd >= 0)
			continue;
		fd = p2->ram->restore(p2->ram->ctx, part->off, part->bytes);
		if (fd < 0)
			return fd;
		part->fd = fd;
	}
	return 0;
}

static int release_file(struct pmem2_region *p2, uint64_t off, uint64_t len)
{
	int err = unmap_part(p2, off, len);

	if (!err &&
	    fallocate(p2->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len))
		err = -errno;
	return err;
}

static int p2_release(struct ka_region *rg, uint64_t off, uint64_t len)
{
	struct pmem2_region *p2 = to_pmem2(rg);

	if (!len)
		return 0;
	if (p2->ram)
		return release_parts(p2, off, len);
	return release_file(p2, off, len);
}

static int restore_file(struct pmem2_region *p2, uint64_t off, uint64_t len)
{
	/* Room on the filesystem of the file: else a store would be SIGBUS, much later. */
	return fallocate(p2->fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) && errno != EOPNOTSUPP
		       ? -errno
		       : 0;
}

static int p2_restore(struct ka_region *rg, uint64_t off, uint64_t len)
{
	struct pmem2_region *p2 = to_pmem2(rg);
	bool durable;
	int err;

	if (p2->ram)
		err = restore_parts(p2, off, len);
	else
		err = restore_file(p2, off, len);
	err = err ?: map_part(p2, off, len, &durable);
	if (err)
		p2_release(rg, off, len);
	return err;
}

static int p2_sync(struct ka_region *rg)
{
	if (!rg->info.needs_sync)
		return 0;
	return fdatasync(to_pmem2(rg)->fd) ? -errno : 0;
}

static int lock_byte(int fd, off_t byte, short type)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &fl) ? -errno : 0;
}

static bool byte_is_locked(int fd, off_t byte)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return !fcntl(fd, F_OFD_GETLK, &fl) && fl.l_type != F_UNLCK;
}

/* A lock of our own does not count. */
static bool p2_others(const struct ka_region *rg, bool *ret_served)
{
	int fd = ka_container_of(rg, struct pmem2_region, rg)->fd;

	*ret_served = byte_is_locked(fd, LOCK_SERVING);
	return byte_is_locked(fd, LOCK_HOLD);
}

static void p2_leaving(struct ka_region *rg)
{
	lock_byte(to_pmem2(rg)->fd, LOCK_SERVING, F_UNLCK);
}

static void p2_close(struct ka_region *rg)
{
	struct pmem2_region *p2 = to_pmem2(rg);
	size_t i;

	if (p2->map)
		pmem2_map_delete(&p2->map);
	if (p2->source)
		pmem2_source_delete(&p2->source);
	if (p2->window)
		munmap(p2->window, p2->window_bytes);
	for (i = 0; i < p2->parts; i++)
		if (p2->part[i].fd >= 0)
			close(p2->part[i].fd);
	free(p2->part);
	free((char *)rg->info.path);
	if (p2->closed)
		p2->closed(p2->ctx);
	free(p2);
}

static const struct ka_region_ops p2_ops = {
	.write = p2_write,
	.copy = p2_copy,
	.flush = p2_flush,
	.fence = p2_fence,
	.prepare = p2_prepare,
	.exists = p2_exists,
	.sync = p2_sync,
	.release = p2_release,
	.restore = p2_restore,
	.leaving = p2_leaving,
	.others = p2_others,
	.close = p2_close,
};

/* Waits as long as waiting is worth it: see the top of the file. */
static int lock_region(int fd, bool write, bool wait)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	short type = write ? F_WRLCK : F_RDLCK;
	int64_t waited = 0;
	int err;

	for (;;) {
		err = lock_byte(fd, LOCK_HOLD, type);
		if (!err)
			return lock_byte(fd, LOCK_SERVING, type);
		if (err != -EAGAIN && err != -EACCES)
			return err;
		if (!wait || waited >= LEAVE_NS ||
		    (waited >= GRACE_NS && byte_is_locked(fd, LOCK_SERVING)))
			return -KA_ERR_REGION_BUSY;
		nanosleep(&pause, NULL);
		waited += POLL_NS;
	}
}

/* Reads a number from the sysfs directory of a character device. */
static int read_sysfs(dev_t dev, const char *name, uint64_t *ret_value)
{
	char path[128], text[64];
	KA_AUTO_CLOSE int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/%s", major(dev), minor(dev), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return n ? -errno : -EIO;
	text[n] = 0;
	*ret_value = strtoull(text, NULL, 0);
	return 0;
}

static bool is_dax(dev_t dev)
{
	char path[64], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/subsystem", major(dev), minor(dev));
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = 0;
	return !strcmp(strrchr(target, '/') ?: "", "/dax");
}

static int inspect(int fd, struct ka_region_info *info)
{
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode)) {
		info->kind = KA_REGION_FILE;
		info->capacity_bytes = ka_align_down((uint64_t)st.st_size, 4096);
		return 0;
	}
	if (!S_ISCHR(st.st_mode) || !is_dax(st.st_rdev))
		return -KA_ERR_REGION_TYPE;
	info->kind = KA_REGION_DEVDAX;
	err = read_sysfs(st.st_rdev, "size", &info->capacity_bytes);
	if (err)
		return err;
	if (read_sysfs(st.st_rdev, "resource", &info->phys_addr))
		info->phys_addr = 0; /* readable by root only; for information */
	return 0;
}

/* Whether the file's pages have a disk behind them. */
static bool has_disk(int fd)
{
	struct statfs sfs;

	if (fstatfs(fd, &sfs))
		return true;
	return sfs.f_type != TMPFS_MAGIC && sfs.f_type != RAMFS_MAGIC &&
	       sfs.f_type != HUGETLBFS_MAGIC;
}

static int map_region(struct pmem2_region *p2)
{
	struct ka_region_info *info = &p2->rg.info;
	bool durable;
	int err;

	p2->window_bytes = info->capacity_bytes + WINDOW_ALIGN;
	p2->window = mmap(NULL, p2->window_bytes, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p2->window == MAP_FAILED) {
		p2->window = NULL;
		return -errno;
	}
	p2->rg.base = (uint8_t *)ka_align_up((uintptr_t)p2->window, WINDOW_ALIGN);
	err = map_part(p2, 0, info->capacity_bytes, &durable);
	info->needs_sync = !durable && info->kind == KA_REGION_FILE && has_disk(p2->fd);
	return err;
}

static int attach_pmem2(struct pmem2_region *p2)
{
	if (pmem2_source_from_fd(&p2->source, p2->fd))
		return -EINVAL;
	if (pmem2_map_from_existing(&p2->map, p2->source, p2->rg.base, p2->rg.info.capacity_bytes,
				    PMEM2_GRANULARITY_CACHE_LINE))
		return -EINVAL;
	p2->memcpy_fn = pmem2_get_memcpy_fn(p2->map);
	p2->flush_fn = pmem2_get_flush_fn(p2->map);
	p2->drain_fn = pmem2_get_drain_fn(p2->map);
	return 0;
}

/* A dax device that is ordinary RAM at the moment has no node in /dev. */
static bool is_system_ram(const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	char link[128], target[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/bus/dax/devices/%.32s/driver", name);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = 0;
	return !strcmp(strrchr(target, '/') ?: "", "/kmem");
}

static int open_node(const char *path, bool write, const struct ka_msg_sink *sink)
{
	int fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	int err = -errno;

	if (fd >= 0)
		return fd;
	if (err == -ENOENT && is_system_ram(path))
		ka_msg(sink, KA_MSG_ERROR,
		       "'%s' is in use as system memory; take it back with "
		       "'daxctl reconfigure-device --mode=devdax -f'",
		       path);
	else if (err == -ENXIO)
		ka_msg(sink, KA_MSG_ERROR,
		       "'%s' has no driver, or is system memory; see 'keepalivectl doctor'", path);
	else if (err == -EISDIR)
		ka_msg(sink, KA_MSG_ERROR, "'%s' is a directory, not a region", path);
	else
		ka_msg(sink, KA_MSG_ERROR, "cannot open '%s': %s", path, ka_strerror(err));
	return err;
}

static int lock_it(const struct pmem2_region *p2, unsigned flags, const struct ka_msg_sink *sink)
{
	int err = lock_region(p2->fd, p2->writable, !(flags & KA_REGION_NOWAIT));

	if (err == -KA_ERR_REGION_BUSY)
		ka_msg(sink, KA_MSG_ERROR, "'%s' is in use by another program; unmount it first",
		       p2->rg.info.path);
	else if (err)
		ka_msg(sink, KA_MSG_ERROR, "cannot lock '%s': %s", p2->rg.info.path,
		       ka_strerror(err));
	return err;
}

/* The descriptors are open, and the size is known. */
static int open_steps(struct pmem2_region *p2, unsigned flags, const struct ka_msg_sink *sink)
{
	struct ka_region_info *info = &p2->rg.info;
	int err = flags & KA_REGION_LOCK ? lock_it(p2, flags, sink) : 0;

	if (err)
		return err;
	if (info->capacity_bytes < REGION_MIN) {
		err = info->capacity_bytes ? -KA_ERR_REGION_SMALL : -KA_ERR_NOT_KEEPALIVE;
		ka_msg(sink, KA_MSG_ERROR, "'%s' is too small to hold a filesystem", info->path);
		return err;
	}
	err = map_region(p2);
	if (!err)
		err = attach_pmem2(p2);
	if (err)
		ka_msg(sink, KA_MSG_ERROR, "cannot map '%s': %s", info->path, ka_strerror(err));
	return err;
}

static struct pmem2_region *new_region(const char *path, unsigned flags, size_t parts)
{
	struct pmem2_region *p2 = calloc(1, sizeof(*p2));
	size_t i;

	if (!p2)
		return NULL;
	p2->rg.ops = &p2_ops;
	p2->fd = -1;
	p2->writable = flags & KA_REGION_WRITE;
	p2->rg.info.path = strdup(path);
	p2->part = calloc(parts, sizeof(*p2->part));
	if (!p2->rg.info.path || !p2->part) {
		p2_close(&p2->rg);
		return NULL;
	}
	p2->parts = parts;
	for (i = 0; i < parts; i++)
		p2->part[i].fd = -1;
	return p2;
}

static int open_path(struct pmem2_region *p2, const struct ka_msg_sink *sink)
{
	struct ka_region_info *info = &p2->rg.info;
	int err;

	p2->fd = p2->part->fd = open_node(info->path, p2->writable, sink);
	if (p2->fd < 0)
		return p2->fd;
	err = inspect(p2->fd, info);
	if (err)
		ka_msg(sink, KA_MSG_ERROR, "cannot use '%s': %s", info->path, ka_strerror(err));
	p2->part->bytes = info->capacity_bytes;
	p2->rg.stays = info->kind != KA_REGION_FILE;
	return err;
}

int ka_region_open(const char *path, unsigned flags, const struct ka_msg_sink *sink,
		   struct ka_region **ret_rg)
{
	struct pmem2_region *p2 = new_region(path, flags, 1);
	int err;

	if (!p2)
		return -ENOMEM;
	err = open_path(p2, sink);
	err = err ?: open_steps(p2, flags, sink);
	if (err) {
		p2_close(&p2->rg);
		return err;
	}
	*ret_rg = &p2->rg;
	return 0;
}

/* A device that is shorter than it should be is found out by its SIGBUS otherwise. */
static int open_part(struct pmem2_region *p2, struct part *part, const char *path,
		     const struct ka_msg_sink *sink)
{
	struct ka_region_info info = {0};
	int err;

	part->fd = open_node(path, p2->writable, sink);
	if (part->fd < 0)
		return part->fd;
	err = inspect(part->fd, &info);
	if (!err && info.capacity_bytes < part->bytes)
		err = -KA_ERR_REGION_SHORT;
	if (err)
		ka_msg(sink, KA_MSG_ERROR, "cannot use '%s': %s", path, ka_strerror(err));
	return err;
}

static int open_layout(struct pmem2_region *p2, const struct ka_region_layout *layout,
		       const struct ka_msg_sink *sink, uint64_t *ret_limit)
{
	uint64_t off = 0, limit = UINT64_MAX;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < layout->parts; i++) {
		const struct ka_region_part *from = &layout->part[i];
		struct part *part = &p2->part[i];

		assert(from->off == off && from->bytes);
		part->off = off;
		part->bytes = from->bytes;
		off += from->bytes;
		if (from->path)
			err = open_part(p2, part, from->path, sink);
		else
			limit = ka_min(limit, part->off);
	}
	p2->fd = p2->part->fd;
	p2->rg.info.kind = KA_REGION_DEVDAX;
	p2->rg.info.phys_addr = layout->phys_addr;
	p2->rg.info.capacity_bytes = off;
	*ret_limit = ka_min(limit, off);
	return err;
}

int ka_region_open_parts(const struct ka_region_layout *layout, unsigned flags,
			 const struct ka_msg_sink *sink, struct ka_region **ret_rg)
{
	struct pmem2_region *p2 = new_region(layout->name, flags, layout->parts);
	uint64_t limit;
	int err;

	if (!p2) {
		if (layout->closed)
			layout->closed(layout->ctx);
		return -ENOMEM;
	}
	p2->ram = layout->ram;
	p2->rg.stays = !p2->ram;
	p2->closed = layout->closed;
	p2->ctx = layout->ctx;
	err = open_layout(p2, layout, sink, &limit);
	err = err ?: open_steps(p2, flags, sink);
	if (err) {
		p2_close(&p2->rg);
		return err;
	}
	atomic_store(&p2->rg.absent_bytes, p2->rg.info.capacity_bytes - limit);
	ka_region_set_limit(&p2->rg, limit);
	*ret_rg = &p2->rg;
	return 0;
}

static int probe_lock(const char *path, off_t byte, bool *ret_locked)
{
	KA_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	*ret_locked = byte_is_locked(fd, byte);
	return 0;
}

int ka_region_in_use(const char *path, bool *ret_used)
{
	return probe_lock(path, LOCK_HOLD, ret_used);
}

int ka_region_is_served(const char *path, bool *ret_served)
{
	return probe_lock(path, LOCK_SERVING, ret_served);
}

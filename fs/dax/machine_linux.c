/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine_linux.c - the machine that this runs on, by libdaxctl and sysfs; see
 * keepalive/machine.h.
 *
 * libdaxctl knows regions and devices, makes and binds them. It keeps what it has once read, so
 * each call has a context of its own. Memory blocks and the policy are a file each in sysfs.
 */
#include "keepalive/machine.h"

#include <daxctl/libdaxctl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

#define MEMORY	 "/sys/devices/system/memory"
#define TEXT_MAX 128

/* ---- files of sysfs ------------------------------------------------------------- */

static int read_text(const char *path, char text[TEXT_MAX])
{
	KA_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, TEXT_MAX - 1);
	if (n < 0)
		return -errno;
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = 0;
	return 0;
}

static int write_text(const char *path, const char *text)
{
	KA_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* ---- regions ----------------------------------------------------------------------- */

/* What fails is told by us; DAXCTL_LOG in the environment brings back what the library says. */
static int new_context(struct daxctl_ctx **ret)
{
	int err = daxctl_new(ret);

	if (!err && !secure_getenv("DAXCTL_LOG"))
		daxctl_set_log_priority(*ret, LOG_EMERG);
	return err;
}

/* A range in /proc/iomem. */
struct iomem {
	uint64_t start;
	uint64_t bytes;
};

static size_t read_iomem(struct iomem **ret)
{
	FILE *f = fopen("/proc/iomem", "re");
	struct iomem *list = NULL, *bigger;
	size_t n = 0, room = 0;
	uint64_t start, end;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %" SCNx64 "-%" SCNx64, &start, &end) != 2 || end < start)
			continue;
		if (n == room) {
			bigger = realloc(list, (room + 64) * sizeof(*list));
			if (!bigger)
				break;
			list = bigger;
			room += 64;
		}
		list[n++] = (struct iomem){start, end - start + 1};
	}
	if (f)
		fclose(f);
	*ret = list;
	return n;
}

/*
 * Where the region begins. The kernel says so of a device without memory. Where all have some
 * it is the range of its size that a device is in; or else, all of it being in use, where
 * the first of them begins.
 */
static uint64_t start_of(const struct ka_dax_region *region, const struct iomem *list, size_t n)
{
	const struct ka_dax_dev *dev = region->dev;
	size_t i;

	if (!region->devs || !region->dynamic || !dev->bytes)
		return region->devs ? dev->start : 0;
	for (i = 0; i < n; i++)
		if (list[i].bytes == region->bytes && dev->start >= list[i].start &&
		    dev->start - list[i].start < list[i].bytes)
			return list[i].start;
	return dev->start;
}

static enum ka_dax_driver driver_of(const char *name)
{
	char path[TEXT_MAX], target[256];
	const char *driver;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/dax/devices/%s/driver", name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return KA_DAX_UNBOUND;
	target[n] = 0;
	driver = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (!strcmp(driver, "device_dax"))
		return KA_DAX_DEVDAX;
	return !strcmp(driver, "kmem") ? KA_DAX_KMEM : KA_DAX_OTHER;
}

static void fill_dev(struct daxctl_dev *d, struct ka_dax_dev *ret)
{
	struct daxctl_mapping *mapping;

	*ret = (struct ka_dax_dev){
		.start = daxctl_dev_get_resource(d),
		.bytes = daxctl_dev_get_size(d),
		.target_node = daxctl_dev_get_target_node(d),
	};
	snprintf(ret->name, sizeof(ret->name), "%s", daxctl_dev_get_devname(d));
	ret->driver = driver_of(ret->name);
	daxctl_mapping_foreach(d, mapping) ret->ranges++;
	if (!ret->ranges && ret->bytes)
		ret->ranges = 1; /* a static one has no list */
}

static int fill_region(struct daxctl_region *r, struct ka_dax_region *ret)
{
	char path[512];
	struct daxctl_dev *d;

	*ret = (struct ka_dax_region){
		.id = daxctl_region_get_id(r),
		.bytes = daxctl_region_get_size(r),
		.align = daxctl_region_get_align(r),
	};
	snprintf(path, sizeof(path), "%s/dax_region/create", daxctl_region_get_path(r));
	ret->dynamic = !access(path, F_OK);
	daxctl_dev_foreach(r, d) ret->devs++;
	ret->dev = calloc(ret->devs + 1, sizeof(*ret->dev));
	if (!ret->dev)
		return -ENOMEM;
	ret->devs = 0;
	daxctl_dev_foreach(r, d) fill_dev(d, &ret->dev[ret->devs++]);
	ka_dax_region_sort(ret);
	return 0;
}

static int fill_regions(struct daxctl_ctx *ctx, struct ka_dax_region **ret, size_t *ret_count)
{
	struct ka_dax_region *list;
	struct daxctl_region *r;
	struct iomem *iomem;
	size_t n = 0, i, ranges;
	int err = 0;

	daxctl_region_foreach(ctx, r) n++;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	*ret_count = n;
	n = 0;
	ranges = read_iomem(&iomem);
	daxctl_region_foreach(ctx, r)
	{
		if (!err && n < *ret_count) {
			err = fill_region(r, &list[n]);
			n++;
		}
	}
	for (i = 0; !err && i < n; i++)
		list[i].start = start_of(&list[i], iomem, ranges);
	free(iomem);
	if (err)
		ka_dax_regions_free(list, n);
	else
		*ret = list;
	return err;
}

static int linux_regions(struct ka_machine *m, struct ka_dax_region **ret, size_t *ret_count)
{
	struct daxctl_ctx *ctx;
	int err = new_context(&ctx);

	(void)m;
	if (err)
		return err;
	err = fill_regions(ctx, ret, ret_count);
	daxctl_unref(ctx);
	return err;
}

/* ---- devices ------------------------------------------------------------------------- */

static struct daxctl_region *find_region(struct daxctl_ctx *ctx, int id)
{
	struct daxctl_region *r;

	daxctl_region_foreach(ctx, r) if (daxctl_region_get_id(r) == id) return r;
	return NULL;
}

static struct daxctl_dev *find_dev(struct daxctl_ctx *ctx, const char *name)
{
	struct daxctl_region *r;
	struct daxctl_dev *d;

	daxctl_region_foreach(ctx, r)
		daxctl_dev_foreach(r, d) if (!strcmp(daxctl_dev_get_devname(d), name)) return d;
	return NULL;
}

/* One that has no memory: the seed, or what a run that was cut off has left. */
static struct daxctl_dev *find_empty(struct daxctl_ctx *ctx, int id)
{
	struct daxctl_region *r = find_region(ctx, id);
	struct daxctl_dev *d;

	if (!r)
		return NULL;
	daxctl_dev_foreach(r, d) if (!daxctl_dev_get_size(d) && !daxctl_dev_is_enabled(d)) return d;
	return NULL;
}

static int make_empty(int id)
{
	struct daxctl_ctx *ctx;
	struct daxctl_region *r;
	int err = new_context(&ctx);

	if (err)
		return err;
	r = find_region(ctx, id);
	err = r ? daxctl_region_create_dev(r) : -ENODEV;
	daxctl_unref(ctx);
	return err;
}

static int give_memory(int id, uint64_t start, uint64_t bytes, char ret_name[KA_DAX_NAME_MAX])
{
	struct daxctl_ctx *ctx;
	struct daxctl_dev *d;
	int err = new_context(&ctx);

	if (err)
		return err;
	d = find_empty(ctx, id);
	err = d ? daxctl_dev_set_mapping(d, start, start + bytes - 1) : -ENXIO;
	if (!err)
		snprintf(ret_name, KA_DAX_NAME_MAX, "%s", daxctl_dev_get_devname(d));
	daxctl_unref(ctx);
	return err;
}

static int linux_create(struct ka_machine *m, int region, uint64_t start, uint64_t bytes,
			char ret_name[KA_DAX_NAME_MAX])
{
	struct daxctl_ctx *ctx;
	bool empty;
	int err = new_context(&ctx);

	(void)m;
	if (err)
		return err;
	empty = find_empty(ctx, region);
	daxctl_unref(ctx);
	if (!empty)
		err = make_empty(region);
	return err ?: give_memory(region, start, bytes, ret_name);
}

static int linux_destroy(struct ka_machine *m, const char *name)
{
	struct daxctl_ctx *ctx;
	struct daxctl_dev *d;
	int err = new_context(&ctx);

	(void)m;
	if (err)
		return err;
	d = find_dev(ctx, name);
	err = d ? daxctl_dev_set_size(d, 0) : -ENODEV;
	/* The seed stays, without memory; find_empty takes it the next time. */
	if (!err)
		(void)daxctl_region_destroy_dev(daxctl_dev_get_region(d), d);
	daxctl_unref(ctx);
	return err;
}

static int linux_bind(struct ka_machine *m, const char *name, enum ka_dax_driver driver)
{
	struct daxctl_ctx *ctx;
	struct daxctl_dev *d;
	int err = new_context(&ctx);

	(void)m;
	if (err)
		return err;
	d = find_dev(ctx, name);
	err = d ? daxctl_dev_disable(d) : -ENODEV;
	if (!err && driver == KA_DAX_DEVDAX)
		err = daxctl_dev_enable_devdax(d);
	else if (!err && driver == KA_DAX_KMEM)
		err = daxctl_dev_enable_ram(d);
	daxctl_unref(ctx);
	return err;
}

static void linux_path(struct ka_machine *m, const char *name, char ret_path[KA_DAX_PATH_MAX])
{
	(void)m;
	snprintf(ret_path, KA_DAX_PATH_MAX, "/dev/%s", name);
}

/* ---- memory blocks ---------------------------------------------------------------------- */

static uint64_t linux_block_bytes(struct ka_machine *m)
{
	char text[TEXT_MAX];

	(void)m;
	return read_text(MEMORY "/block_size_bytes", text) ? 0 : strtoull(text, NULL, 16);
}

static void block_path(char path[TEXT_MAX], uint64_t block, const char *file)
{
	snprintf(path, TEXT_MAX, MEMORY "/memory%" PRIu64 "/%s", block, file);
}

static enum ka_block_state linux_block_state(struct ka_machine *m, uint64_t block)
{
	char path[TEXT_MAX], text[TEXT_MAX];

	(void)m;
	block_path(path, block, "state");
	if (read_text(path, text))
		return KA_BLOCK_ABSENT;
	if (!strcmp(text, "offline"))
		return KA_BLOCK_OFFLINE;
	if (!strcmp(text, "going-offline"))
		return KA_BLOCK_GOING;
	block_path(path, block, "valid_zones");
	return !read_text(path, text) && !strcmp(text, "Movable") ? KA_BLOCK_MOVABLE
								  : KA_BLOCK_ONLINE;
}

static int linux_block_online(struct ka_machine *m, uint64_t block)
{
	char path[TEXT_MAX];

	(void)m;
	block_path(path, block, "state");
	return write_text(path, "online_movable");
}

static void wake(int sig)
{
	(void)sig;
}

/*
 * The kernel tries for ever, or until a signal comes. One that comes before the call begins
 * would be lost, so it comes again and again.
 */
static int write_for(const char *path, const char *text, unsigned timeout_ms)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct itimerspec when = {
		.it_value = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l + 1},
		.it_interval = {0, 100000000l},
	};
	struct sigaction action = {.sa_handler = wake}, was;
	timer_t timer;
	int err;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		return -errno;
	sigaction(SIGALRM, &action, &was);
	timer_settime(timer, 0, &when, NULL);
	err = write_text(path, text);
	timer_delete(timer);
	sigaction(SIGALRM, &was, NULL);
	return err;
}

static int linux_block_offline(struct ka_machine *m, uint64_t block, unsigned timeout_ms)
{
	char path[TEXT_MAX];
	int err;

	(void)m;
	block_path(path, block, "state");
	err = write_for(path, "offline", timeout_ms);
	return err == -EINTR ? -ETIME : err;
}

static const char *const policies[] = {
	[KA_ONLINE_OFFLINE] = "offline",
	[KA_ONLINE_ONLINE] = "online",
	[KA_ONLINE_KERNEL] = "online_kernel",
	[KA_ONLINE_MOVABLE] = "online_movable",
};

static int linux_get_policy(struct ka_machine *m, enum ka_online_policy *ret)
{
	char text[TEXT_MAX];
	size_t i;
	int err = read_text(MEMORY "/auto_online_blocks", text);

	(void)m;
	for (i = 0; !err && i < KA_ARRAY_SIZE(policies); i++) {
		if (!strcmp(text, policies[i])) {
			*ret = (enum ka_online_policy)i;
			return 0;
		}
	}
	return err ?: -EINVAL;
}

static int linux_set_policy(struct ka_machine *m, enum ka_online_policy policy)
{
	(void)m;
	return write_text(MEMORY "/auto_online_blocks", policies[policy]);
}

/* ---- the rest --------------------------------------------------------------------------- */

static int linux_lock(struct ka_machine *m)
{
	int fd = open("/sys/bus/dax", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	(void)m;
	if (fd >= 0 && !flock(fd, LOCK_EX))
		return fd;
	err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static void linux_close(struct ka_machine *m)
{
	free(m);
}

static const struct ka_machine_ops linux_ops = {
	.regions = linux_regions,
	.create = linux_create,
	.destroy = linux_destroy,
	.bind = linux_bind,
	.path = linux_path,
	.block_bytes = linux_block_bytes,
	.block_state = linux_block_state,
	.block_online = linux_block_online,
	.block_offline = linux_block_offline,
	.get_policy = linux_get_policy,
	.set_policy = linux_set_policy,
	.lock = linux_lock,
	.close = linux_close,
};

int ka_machine_open(struct ka_machine **ret)
{
	struct ka_machine *m = malloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->ops = &linux_ops;
	*ret = m;
	return 0;
}

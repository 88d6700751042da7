/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.c - asks mounted filesystems, and finds them; see mounts.h. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

#define FUSE_MAGIC 0x65735546 /* of statfs(2); <linux/magic.h> has it since 6.0 only */

struct mount {
	dev_t dev;
	char point[4096];
	char source[4096];
};

static bool usable(int err)
{
	return !err || err == -KA_ERR_SUPER_RO_FEATURE;
}

int mount_ask(const char *dir, struct mount_status *ret)
{
	KA_AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ka_super_disk disk;
	struct statfs sfs;

	if (fd < 0 || fstatfs(fd, &sfs))
		return -errno;
	if (sfs.f_type != FUSE_MAGIC)
		return -ENOTTY;
	if (ioctl(fd, KA_IOC_STATUS, &ret->ioc))
		return errno == EINVAL || errno == ENOSYS ? -ENOTTY : -errno;
	if (ret->ioc.version != 1)
		return -EPROTO;
	ret->ioc.region_path[sizeof(ret->ioc.region_path) - 1] = 0;
	ret->ioc.stays[sizeof(ret->ioc.stays) - 1] = 0;
	memcpy(&disk, ret->ioc.super, sizeof(disk));
	return usable(ka_super_decode(&disk, &ret->super)) ? 0 : -EPROTO;
}

bool mount_is_dead(int err)
{
	return err == -ENOTCONN || err == -ECONNABORTED;
}

void mount_explain(const struct ka_msg_sink *sink, const char *dir, int err)
{
	if (err == -ENOTTY)
		ka_msg(sink, KA_MSG_ERROR, "'%s' is a directory, but not of a keepalivefs", dir);
	else if (mount_is_dead(err))
		ka_msg(sink, KA_MSG_ERROR,
		       "the daemon behind '%s' is gone; unmount it, then mount it again", dir);
	else if (err == -EPROTO)
		ka_msg(sink, KA_MSG_ERROR,
		       "the daemon behind '%s' is of another version than this program", dir);
	else
		ka_msg(sink, KA_MSG_ERROR, "cannot ask '%s': %s", dir, ka_strerror(err));
}

/* mountinfo writes blanks and the like as \ooo. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = 0;
}

/* The next keepalivefs in mountinfo. */
static bool next_mount(FILE *f, struct mount *m)
{
	static const char type[] = " - fuse.keepalivefs ";
	KA_AUTO_FREE char *line = NULL;
	const char *source;
	unsigned maj, min;
	size_t size = 0;

	while (getline(&line, &size, f) > 0) {
		source = strstr(line, type);
		if (!source)
			continue;
		if (sscanf(line, "%*u %*u %u:%u %*s %4095s", &maj, &min, m->point) != 3 ||
		    sscanf(source + strlen(type), "%4095s", m->source) != 1)
			continue;
		unescape(m->point);
		unescape(m->source);
		m->dev = makedev(maj, min);
		return true;
	}
	return false;
}

char *mount_point_of(dev_t dev)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *point = NULL;
	struct mount m;

	if (!f)
		return NULL;
	while (!point && next_mount(f, &m))
		if (m.dev == dev)
			point = strdup(m.point);
	fclose(f);
	return point;
}

/*
 * Whether the mount may be that of the region at path, going by what it shows
 * as its source: the region, unless fsname= gave it another name. The others
 * are left alone: to look at them would keep them busy while they are to be
 * unmounted, and wait for their daemons.
 */
static bool may_be_of(const struct mount *m, const char *path)
{
	KA_AUTO_FREE char *real = NULL;

	if (m->source[0] != '/')
		return true;
	real = realpath(m->source, NULL);
	/* What is gone, a symbolic link say, tells nothing. */
	return !real || !strcmp(real, path);
}

char *mount_find_region(const char *path, struct mount_status *ret)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *point = NULL;
	struct mount m;

	if (!f)
		return NULL;
	while (!point && next_mount(f, &m))
		if (may_be_of(&m, path) && !mount_ask(m.point, ret) &&
		    !strcmp(ret->ioc.region_path, path))
			point = strdup(m.point);
	fclose(f);
	return point;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dest.c - makes files without following anything; see dest.h. */
#include "dest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keepalive/util.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int dest_init(struct dest *d, int fd, bool overwrite)
{
	*d = (struct dest){.fd = fd, .overwrite = overwrite};
	d->top_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return d->top_fd < 0 ? -errno : 0;
}

void dest_release(struct dest *d)
{
	if (d->fd >= 0)
		close(d->fd);
	if (d->top_fd >= 0)
		close(d->top_fd);
	free(d->level);
}

/* Whether to try again what failed because of a name that was there. */
static bool made_way(const struct dest *d, const char *name)
{
	return errno == EEXIST && d->overwrite && !unlinkat(d->fd, name, 0);
}

int dest_file(struct dest *d, const char *name, int *ret_fd)
{
	static const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd;

	fd = openat(d->fd, name, flags, 0600);
	if (fd < 0 && made_way(d, name))
		fd = openat(d->fd, name, flags, 0600);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int open_made(const struct dest *d, const char *name, int *ret_fd)
{
	int fd = openat(d->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int dest_symlink(struct dest *d, const char *name, const char *target, int *ret_fd)
{
	int err = symlinkat(target, d->fd, name);

	if (err && made_way(d, name))
		err = symlinkat(target, d->fd, name);
	return err ? -errno : open_made(d, name, ret_fd);
}

int dest_node(struct dest *d, const char *name, mode_t type, dev_t rdev, int *ret_fd)
{
	int err = mknodat(d->fd, name, type | 0600, rdev);

	if (err && made_way(d, name))
		err = mknodat(d->fd, name, type | 0600, rdev);
	return err ? -errno : open_made(d, name, ret_fd);
}

/* Part by part, so that no symbolic link on the way leads elsewhere. */
static int open_parent(const struct dest *d, const char *path, const char **ret_name)
{
	int next, fd = fcntl(d->top_fd, F_DUPFD_CLOEXEC, 3);
	char part[KA_NAME_MAX + 1];
	const char *end;

	while (fd >= 0 && (end = strchr(path, '/'))) {
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = 0;
		next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
		path = end + 1;
	}
	*ret_name = path;
	return fd < 0 ? -errno : fd;
}

int dest_link(struct dest *d, const char *from, const char *name)
{
	const char *from_name;
	KA_AUTO_CLOSE int from_fd = open_parent(d, from, &from_name);
	int err;

	if (from_fd < 0)
		return from_fd;
	err = linkat(from_fd, from_name, d->fd, name, 0);
	if (err && made_way(d, name))
		err = linkat(from_fd, from_name, d->fd, name, 0);
	return err ? -errno : 0;
}

static int push(struct dest *d, bool ours)
{
	size_t capacity = d->capacity ? 2 * d->capacity : 32;
	struct dest_level *bigger;
	struct stat st;

	if (d->depth == d->capacity) {
		bigger = realloc(d->level, capacity * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		d->level = bigger;
		d->capacity = capacity;
	}
	if (fstat(d->fd, &st))
		return -errno;
	d->level[d->depth++] = (struct dest_level){st.st_dev, st.st_ino, ours};
	return 0;
}

int dest_enter(struct dest *d, const char *name)
{
	bool made = !mkdirat(d->fd, name, 0700);
	int fd, err;

	if (!made && errno != EEXIST)
		return -errno;
	fd = openat(d->fd, name, DIR_FLAGS);
	if (fd < 0 && !made && (errno == ENOTDIR || errno == ELOOP)) {
		if (!d->overwrite)
			return -EEXIST;
		made = !unlinkat(d->fd, name, 0) && !mkdirat(d->fd, name, 0700);
		fd = made ? openat(d->fd, name, DIR_FLAGS) : -1;
	}
	if (fd < 0)
		return -errno;
	err = push(d, made || d->overwrite);
	if (err) {
		close(fd);
		return err;
	}
	close(d->fd);
	d->fd = fd;
	return 0;
}

int dest_leave(struct dest *d, bool *ret_ours, int *ret_fd)
{
	const struct dest_level *l = &d->level[--d->depth];
	int fd = openat(d->fd, "..", DIR_FLAGS);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || st.st_dev != l->dev || st.st_ino != l->ino) {
		close(fd);
		return -ESTALE;
	}
	*ret_fd = d->fd;
	*ret_ours = l->ours;
	d->fd = fd;
	return 0;
}

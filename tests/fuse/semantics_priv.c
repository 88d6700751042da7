/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_priv.c - what takes set-user-ID, set-group-ID and capabilities away. */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "semantics.h"

#define FILE_BYTES 8192

static const struct vfs_cap_data net_raw = {
	.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
	.data[0] = {.permitted = 1u << CAP_NET_RAW},
};

/* The attribute of version 2 ends before the field for the root of a namespace. */
#define CAP_BYTES XATTR_CAPS_SZ_2

static int open_run(const char *path, int flags, long (*fn)(int fd))
{
	int fd = open(path, flags), saved;
	long ret;

	if (fd < 0)
		return -1;
	ret = fn(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return ret < 0 ? -1 : 0;
}

static long write_some(int fd)
{
	return write(fd, "new", 3);
}

static long write_none(int fd)
{
	return write(fd, "new", 0);
}

static long pwrite_some(int fd)
{
	return pwrite(fd, "new", 3, 10);
}

static long writev_some(int fd)
{
	struct iovec iov[2] = {{(char[]){"ne"}, 2}, {(char[]){"w"}, 1}};

	return writev(fd, iov, 2);
}

static long write_page(int fd)
{
	void *page = aligned_alloc(4096, 4096);
	long ret;

	memset(page, 'd', 4096);
	ret = write(fd, page, 4096);
	free(page);
	return ret;
}

static long map_and_store(int fd)
{
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -1;
	map[0] = 'm';
	return msync(map, 4096, MS_SYNC) || munmap(map, 4096) ? -1 : 0;
}

static long allocate(int fd)
{
	return fallocate(fd, 0, 0, FILE_BYTES + 4096);
}

static long allocate_beyond(int fd)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, FILE_BYTES, 4096);
}

static long punch(int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
}

static long zero_range(int fd)
{
	return fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096);
}

static long cut(int fd)
{
	return ftruncate(fd, 1);
}

static long nothing(int fd)
{
	(void)fd;
	return 0;
}

static long copy_in(int fd)
{
	int from = open("source", O_RDONLY);
	long ret = copy_file_range(from, NULL, fd, NULL, 4096, 0);

	close(from);
	return ret;
}

static long send_in(int fd)
{
	int from = open("source", O_RDONLY);
	long ret = sendfile(fd, from, NULL, 4096);

	close(from);
	return ret;
}

static long chown_fd_none(int fd)
{
	return fchown(fd, (uid_t)-1, (gid_t)-1);
}

static long chown_fd_same(int fd)
{
	struct stat st;

	return fstat(fd, &st) || fchown(fd, st.st_uid, st.st_gid) ? -1 : 0;
}

static long chown_fd_group(int fd)
{
	return fchown(fd, (uid_t)-1, ALICE);
}

static long chmod_fd_same(int fd)
{
	struct stat st;

	return fstat(fd, &st) || fchmod(fd, st.st_mode & 07777) ? -1 : 0;
}

static long touch_fd(int fd)
{
	return futimens(fd, NULL);
}

static long xattr_fd(int fd)
{
	return fsetxattr(fd, "user.x", "1", 1, 0);
}

static long sync_fd(int fd)
{
	return fsync(fd);
}

static const struct {
	const char *name;
	int flags;
	long (*fn)(int fd);
} actions[] = {
	{"write-rdwr", O_RDWR, write_some},
	{"write-wronly", O_WRONLY, write_some},
	{"write-append", O_WRONLY | O_APPEND, write_some},
	{"write-sync", O_RDWR | O_SYNC, write_some},
	{"write-nothing-rdwr", O_RDWR, write_none},
	{"write-nothing-wronly", O_WRONLY, write_none},
	{"write-direct-rdwr", O_RDWR | O_DIRECT, write_page},
	{"write-direct-wronly", O_WRONLY | O_DIRECT, write_page},
	{"pwrite-rdwr", O_RDWR, pwrite_some},
	{"pwrite-wronly", O_WRONLY, pwrite_some},
	{"writev-rdwr", O_RDWR, writev_some},
	{"writev-wronly", O_WRONLY, writev_some},
	{"mmap", O_RDWR, map_and_store},
	{"fallocate-rdwr", O_RDWR, allocate},
	{"fallocate-wronly", O_WRONLY, allocate},
	{"fallocate-keep-size", O_RDWR, allocate_beyond},
	{"punch-rdwr", O_RDWR, punch},
	{"punch-wronly", O_WRONLY, punch},
	{"zero-range", O_RDWR, zero_range},
	{"ftruncate-rdwr", O_RDWR, cut},
	{"ftruncate-wronly", O_WRONLY, cut},
	{"open-trunc-rdwr", O_RDWR | O_TRUNC, nothing},
	{"open-trunc-wronly", O_WRONLY | O_TRUNC, nothing},
	{"open-trunc-rdonly", O_RDONLY | O_TRUNC, nothing},
	{"open-creat-trunc", O_CREAT | O_WRONLY | O_TRUNC, nothing},
	{"open-rdwr", O_RDWR, nothing},
	{"copy-file-range-rdwr", O_RDWR, copy_in},
	{"copy-file-range-wronly", O_WRONLY, copy_in},
	{"sendfile-rdwr", O_RDWR, send_in},
	{"sendfile-wronly", O_WRONLY, send_in},
	{"fchown-none", O_RDONLY, chown_fd_none},
	{"fchown-same", O_RDONLY, chown_fd_same},
	{"fchgrp", O_RDONLY, chown_fd_group},
	{"fchmod-same", O_RDONLY, chmod_fd_same},
	{"futimens", O_RDWR, touch_fd},
	{"fsetxattr", O_RDWR, xattr_fd},
	{"fsync", O_RDWR, sync_fd},
};

static void make_privileged(mode_t mode)
{
	unlink("f");
	put_zeros("f", FILE_BYTES);
	MUST(!chown("f", ALICE, ALICE) && !chmod("f", mode));
	MUST(!setxattr("f", "security.capability", &net_raw, CAP_BYTES, 0));
}

static const char *privileges_of(const char *path)
{
	bool has = getxattr(path, "security.capability", NULL, 0) > 0;

	return fmt("%s cap=%s", mode_of(path), has ? "yes" : "no");
}

/* With the group's x the bit means set-group-ID, without it mandatory locks. */
static const mode_t modes[] = {06777, 06767, 04777, 02777};
static const unsigned users[] = {0, ALICE, BOB, BARE_ROOT};
static const char *const user_names[] = {"root", "alice", "bob", "bareroot"};

static void test_fd_actions(void)
{
	size_t a, m, u;
	int ret = -1;

	for (a = 0; a < sizeof(actions) / sizeof(actions[0]); a++)
		for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
			for (u = 0; u < 4; u++) {
				const char *name;

				/* The capability or the set-user-ID bit alone must do, too. */
				if (m > 1 && users[u] != BOB)
					continue;
				make_privileged(modes[m]);
				if (m > 1)
					MUST(!removexattr("f", "security.capability"));
				name = fmt("%s-%04o-%s", actions[a].name, modes[m], user_names[u]);
				if (enter(users[u], NOGID)) {
					errno = 0;
					ret = open_run("f", actions[a].flags, actions[a].fn);
					line(name, "%s", rc(ret));
					leave();
				}
				line(fmt("%s-left", name), "%s", privileges_of("f"));
			}
}

static int act_truncate(void)
{
	return truncate("f", 1);
}

static int act_truncate_same(void)
{
	return truncate("f", FILE_BYTES);
}

static int act_chown_user(void)
{
	return chown("f", BOB, (gid_t)-1);
}

static int act_chown_group(void)
{
	return chown("f", (uid_t)-1, BOB);
}

static int act_chown_none(void)
{
	return chown("f", (uid_t)-1, (gid_t)-1);
}

static int act_link(void)
{
	return link("f", "open/g") || unlink("open/g");
}

static int act_rename(void)
{
	return rename("f", "open/g") || rename("open/g", "f");
}

static int act_utimes(void)
{
	const struct timespec times[2] = {{5, 5}, {6, 6}};

	return utimensat(AT_FDCWD, "f", times, 0);
}

static void test_path_actions(void)
{
	static const struct {
		const char *name;
		int (*fn)(void);
	} paths[] = {
		{"truncate", act_truncate},	{"truncate-same", act_truncate_same},
		{"chown-user", act_chown_user}, {"chown-group", act_chown_group},
		{"chown-none", act_chown_none}, {"link", act_link},
		{"rename", act_rename},		{"utimes", act_utimes},
	};
	size_t a, m, u;

	MUST(!mkdir("open", 0777));
	for (a = 0; a < sizeof(paths) / sizeof(paths[0]); a++)
		for (m = 0; m < 2; m++)
			for (u = 0; u < 4; u++) {
				const char *name =
					fmt("%s-%04o-%s", paths[a].name, modes[m], user_names[u]);

				make_privileged(modes[m]);
				/* Alice is in Bob's group here, for chgrp. */
				if (enter(users[u], BOB)) {
					RESULT(name, paths[a].fn());
					leave();
				}
				line(fmt("%s-left", name), "%s", privileges_of("f"));
			}
}

/* The file gets its privileges when it is open for writing already. */
static void test_open_before(void)
{
	static const int flags[] = {O_WRONLY, O_RDWR};
	size_t i;
	int fd;

	for (i = 0; i < 2; i++) {
		put_file("f", "old", 0777);
		fd = open("f", flags[i]);
		MUST(!chmod("f", 06777));
		if (enter(BOB, NOGID)) {
			MUST(write(fd, "1", 1) == 1);
			leave();
		}
		line(fmt("chmod-while-open-%zu", i), "%s", mode_of("f"));
		MUST(!chmod("f", 06777));
		if (enter(BOB, NOGID)) {
			MUST(write(fd, "2", 1) == 1);
			leave();
		}
		line(fmt("chmod-again-%zu", i), "%s", mode_of("f"));
		MUST(!setxattr("f", "security.capability", &net_raw, CAP_BYTES, 0));
		MUST(write(fd, "3", 1) == 1);
		line(fmt("capability-while-open-%zu", i), "%s", privileges_of("f"));
		close(fd);
	}
	fd = open("created", O_CREAT | O_EXCL | O_WRONLY, 06777);
	if (enter(BOB, NOGID)) {
		MUST(write(fd, "1", 1) == 1);
		leave();
	}
	line("write-to-created", "%s", mode_of("created"));
	close(fd);
	/* What chown leaves is written next: the kernel must know the new mode. */
	make_privileged(06777);
	MUST(!chown("f", BOB, BOB));
	line("chown-then-stat", "%s", privileges_of("f"));
	MUST(!chown("f", ALICE, ALICE) && !chmod("f", 04711));
	line("chown-then-chmod", "%s", privileges_of("f"));
}

static void test_directories(void)
{
	static const char *const name[] = {"root", "alice"};
	static const unsigned user[] = {0, ALICE};
	size_t i;

	for (i = 0; i < 2; i++) {
		MUST(!mkdir("d", 0755) && !chown("d", ALICE, ALICE) && !chmod("d", 06777));
		if (enter(user[i], BOB)) {
			RESULT(fmt("dir-chgrp-%s", name[i]), chown("d", (uid_t)-1, BOB));
			leave();
		}
		line(fmt("dir-chgrp-%s-left", name[i]), "%s", owner_of("d"));
		MUST(!rmdir("d"));
	}
	MUST(!mkdir("d", 0755) && !chmod("d", 06777) && !chown("d", BOB, (gid_t)-1));
	line("dir-chown-left", "%s", owner_of("d"));
	MUST(!rmdir("d"));
	MUST(!symlink("nowhere", "s") && !lchown("s", ALICE, BOB));
	line("symlink-chown", "%s", owner_of("s"));
	MUST(!mkfifo("p", 06777) && !chown("p", ALICE, BOB));
	line("fifo-chown", "%s", owner_of("p"));
}

/* Whoever is not in the group of a file cannot give it set-group-ID. */
static void test_chmod(void)
{
	static const mode_t set[] = {02755, 02745, 06755, 01755, 07777};
	size_t i;

	for (i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
		put_file("f", "", 0644);
		MUST(!chown("f", ALICE, BOB) && !mkdir("d", 0755) && !chown("d", ALICE, BOB));
		if (enter(ALICE, NOGID)) {
			RESULT(fmt("chmod-nonmember-%04o", set[i]), chmod("f", set[i]));
			RESULT(fmt("chmod-nonmember-dir-%04o", set[i]), chmod("d", set[i]));
			leave();
		}
		line(fmt("chmod-nonmember-%04o-left", set[i]), "%s", mode_of("f"));
		line(fmt("chmod-nonmember-dir-%04o-left", set[i]), "%s", mode_of("d"));
		MUST(!chmod("f", 0) && !chmod("d", 0));
		if (enter(ALICE, BOB)) {
			RESULT(fmt("chmod-member-%04o", set[i]), chmod("f", set[i]));
			RESULT(fmt("chmod-member-dir-%04o", set[i]), chmod("d", set[i]));
			leave();
		}
		line(fmt("chmod-member-%04o-left", set[i]), "%s", mode_of("f"));
		line(fmt("chmod-member-dir-%04o-left", set[i]), "%s", mode_of("d"));
		MUST(!chmod("f", set[i]) && !rmdir("d"));
		line(fmt("chmod-root-%04o-left", set[i]), "%s", mode_of("f"));
	}
}

/* A real program with the bit: the mount must not be nosuid. */
static void test_suid_exec(void)
{
	char text[32] = {0};
	int out[2], from, to;
	ssize_t n;

	from = open("/usr/bin/id", O_RDONLY);
	to = open("id", O_CREAT | O_WRONLY, 0755);
	MUST(from >= 0 && to >= 0);
	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	MUST(!n && !close(from) && !close(to));
	MUST(!chown("id", BOB, BOB) && !chmod("id", 04755) && !pipe(out));
	if (enter(ALICE, NOGID)) {
		dup2(out[1], 1);
		execl("./id", "id", "-u", (char *)NULL);
		_exit(1);
	}
	close(out[1]);
	MUST(read(out[0], text, sizeof(text) - 1) > 0);
	close(out[0]);
	text[strcspn(text, "\n")] = 0;
	line("exec-suid", "%s", text);
}

void test_priv(void)
{
	put_zeros("source", 8192);
	test_fd_actions();
	test_path_actions();
	test_open_before();
	test_directories();
	test_chmod();
	test_suid_exec();
}

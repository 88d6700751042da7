/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_open.c - open flags, links to open files, special files, handles. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <unistd.h>

#include "semantics.h"

/* ---- links to open and to deleted files ------------------------------------------ */

static void deleted_open(void)
{
	char text[16] = {0}, list[64];
	struct stat st;
	int fd;

	put_file("f", "text", 0644);
	fd = open("f", O_RDWR);
	MUST(!setxattr("f", "user.kept", "1", 1, 0) && !unlink("f") && !fstat(fd, &st));
	line("deleted-stat", "links %ld size %ld", (long)st.st_nlink, (long)st.st_size);
	RESULT("deleted-read", pread(fd, text, 15, 0));
	RESULT("deleted-write", pwrite(fd, "more text", 9, 4));
	RESULT("deleted-ftruncate", ftruncate(fd, 6));
	RESULT("deleted-read-again", pread(fd, text, 15, 0));
	RESULT("deleted-fchmod", fchmod(fd, 0600));
	RESULT("deleted-fchown", fchown(fd, ALICE, BOB));
	RESULT("deleted-futimens", futimens(fd, NULL));
	RESULT("deleted-fallocate", fallocate(fd, 0, 0, 100));
	RESULT("deleted-getxattr", fgetxattr(fd, "user.kept", NULL, 0));
	RESULT("deleted-setxattr", fsetxattr(fd, "user.x", "1", 1, 0));
	RESULT("deleted-listxattr", flistxattr(fd, list, sizeof(list)));
	RESULT("deleted-removexattr", fremovexattr(fd, "user.x"));
	RESULT("deleted-fsync", fsync(fd));
	MUST(!fstat(fd, &st));
	line("deleted-stat-again", "links %ld size %ld mode %06o owner %u", (long)st.st_nlink,
	     (long)st.st_size, st.st_mode, st.st_uid);
	OPENS("deleted-reopen-proc", open(fmt("/proc/self/fd/%d", fd), O_RDWR));
	RESULT("deleted-link-proc",
	       linkat(AT_FDCWD, fmt("/proc/self/fd/%d", fd), AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	RESULT("deleted-link-empty", linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
	RESULT("deleted-truncate-proc", truncate(fmt("/proc/self/fd/%d", fd), 3));
	RESULT("deleted-name-again", close(open("f", O_CREAT | O_EXCL | O_WRONLY, 0644)));
	MUST(!close(fd) && !unlink("f"));
}

static void linked_open(void)
{
	int fd;

	put_file("f", "text", 0644);
	fd = open("f", O_RDONLY);
	RESULT("link-empty-path", linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
	RESULT("link-proc",
	       linkat(AT_FDCWD, fmt("/proc/self/fd/%d", fd), AT_FDCWD, "h", AT_SYMLINK_FOLLOW));
	RESULT("link-proc-nofollow",
	       linkat(AT_FDCWD, fmt("/proc/self/fd/%d", fd), AT_FDCWD, "i", 0));
	line("link-count", "%ld", links_of("h"));
	MUST(!symlink("f", "s"));
	RESULT("link-symlink", linkat(AT_FDCWD, "s", AT_FDCWD, "s2", 0));
	line("link-symlink-mode", "%s %ld", mode_of("s2"), links_of("s"));
	RESULT("link-symlink-follow", linkat(AT_FDCWD, "s", AT_FDCWD, "s3", AT_SYMLINK_FOLLOW));
	line("link-symlink-follow-mode", "%s", mode_of("s3"));
	RESULT("link-bad-flag", linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x8000));
	/* One name of several goes while the file is open. */
	MUST(!unlink("f") && !unlink("g"));
	line("link-names-gone", "%ld", links_of("h"));
	MUST(!close(fd) && !unlink("h") && !unlink("s") && !unlink("s2") && !unlink("s3"));
}

/* ---- open flags ------------------------------------------------------------------------ */

static void open_flags(void)
{
	struct stat st;
	char c;
	int fd;

	MUST(!mkdir("d", 0755) && !symlink("f", "s") && !symlink("d", "sd"));
	put_file("f", "text", 0644);
	RESULT("directory-file", open("f", O_RDONLY | O_DIRECTORY));
	OPENS("directory-dir", open("d", O_RDONLY | O_DIRECTORY));
	OPENS("directory-symlink", open("sd", O_RDONLY | O_DIRECTORY));
	RESULT("directory-nofollow", open("sd", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	RESULT("nofollow", open("s", O_RDONLY | O_NOFOLLOW));
	OPENS("nofollow-path", open("s", O_PATH | O_NOFOLLOW));
	RESULT("directory-create", open("n", O_RDONLY | O_DIRECTORY | O_CREAT, 0644));
	RESULT("dir-write", open("d", O_WRONLY));
	RESULT("dir-rdwr", open("d", O_RDWR));
	RESULT("dir-trunc", open("d", O_RDONLY | O_TRUNC));
	RESULT("dir-create", open("d", O_RDONLY | O_CREAT, 0644));
	RESULT("dir-create-excl", open("d", O_RDONLY | O_CREAT | O_EXCL, 0644));
	RESULT("create-excl-exists", open("f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	RESULT("create-excl-symlink", open("s", O_CREAT | O_EXCL | O_WRONLY, 0644));
	OPENS("create-exists", open("f", O_CREAT | O_WRONLY, 0));
	line("create-exists-mode", "%s", mode_of("f"));
	OPENS("create-mode-0-rdwr", open("zero", O_CREAT | O_RDWR, 0));
	line("create-mode-0", "%s", mode_of("zero"));
	RESULT("open-missing", open("none", O_RDONLY));
	OPENS("open-accmode-3", open("f", 3));
	OPENS("tmpfile", open(".", O_TMPFILE | O_RDWR, 0644));
	OPENS("open-dsync", open("f", O_WRONLY | O_DSYNC));
	fd = open("f", O_RDONLY);
	RESULT("write-rdonly", write(fd, "x", 1));
	RESULT("ftruncate-rdonly", ftruncate(fd, 0));
	RESULT("fallocate-rdonly", fallocate(fd, 0, 0, 1));
	RESULT("fchmod-rdonly", fchmod(fd, 0600));
	RESULT("fsetxattr-rdonly", fsetxattr(fd, "user.x", "", 0, 0));
	close(fd);
	RESULT("write-closed", write(fd, "x", 1));
	fd = open("f", O_WRONLY);
	RESULT("read-wronly", read(fd, &c, 1));
	RESULT("write-fault", write(fd, bad_pointer(), 1));
	close(fd);
	fd = open("d", O_RDONLY);
	RESULT("read-dir", read(fd, &c, 1));
	RESULT("write-dir", write(fd, &c, 1));
	RESULT("ftruncate-dir", ftruncate(fd, 0));
	RESULT("fallocate-dir", fallocate(fd, 0, 0, 1));
	RESULT("fsync-dir", fsync(fd));
	RESULT("fdatasync-dir", fdatasync(fd));
	RESULT("syncfs", syncfs(fd));
	RESULT("fchdir", fchdir(fd) || chdir(".."));
	close(fd);

	fd = open("f", O_PATH);
	RESULT("path-fstat", fstat(fd, &st));
	RESULT("path-read", read(fd, &c, 1));
	RESULT("path-fchmod", fchmod(fd, 0600));
	RESULT("path-ftruncate", ftruncate(fd, 0));
	RESULT("path-getxattr", fgetxattr(fd, "user.x", NULL, 0));
	RESULT("path-chmod-proc", chmod(fmt("/proc/self/fd/%d", fd), 0640));
	OPENS("path-reopen", open(fmt("/proc/self/fd/%d", fd), O_RDWR));
	RESULT("path-chown-empty", fchownat(fd, "", 0, 0, AT_EMPTY_PATH));
	RESULT("path-link-empty", linkat(fd, "", AT_FDCWD, "pl", AT_EMPTY_PATH));
	MUST(!unlink("pl"));
	close(fd);
	fd = open("d", O_PATH);
	RESULT("path-fchdir", fchdir(fd) || chdir(".."));
	RESULT("path-openat", close(openat(fd, "n", O_CREAT | O_WRONLY, 0644)));
	RESULT("path-unlinkat", unlinkat(fd, "n", 0));
	RESULT("unlinkat-dir", unlinkat(AT_FDCWD, "d", 0));
	RESULT("unlinkat-file", unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
	RESULT("unlinkat-flag", unlinkat(AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	RESULT("openat-file", openat(open("f", O_PATH), "x", O_RDONLY));
	close(fd);
	MUST(!unlink("f") && !unlink("s") && !unlink("sd") && !unlink("zero") && !rmdir("d"));
}

/* ---- special files ------------------------------------------------------------------------- */

static void fifos(void)
{
	char c = 0;
	int r, w;

	MUST(!mkfifo("p", 0644));
	RESULT("fifo-no-reader", open("p", O_WRONLY | O_NONBLOCK));
	r = open("p", O_RDONLY | O_NONBLOCK);
	w = open("p", O_WRONLY);
	RESULT("fifo-write", write(w, "x", 1));
	RESULT("fifo-read", read(r, &c, 1));
	RESULT("fifo-seek", lseek(r, 0, SEEK_SET));
	RESULT("fifo-truncate", truncate("p", 0));
	RESULT("fifo-ftruncate", ftruncate(w, 0));
	RESULT("fifo-fallocate", fallocate(w, 0, 0, 1));
	RESULT("fifo-fsync", fsync(w));
	MUST(!unlink("p"));
	RESULT("fifo-unlinked-write", write(w, "y", 1));
	close(w);
	RESULT("fifo-unlinked-read", read(r, &c, 1));
	RESULT("fifo-end", read(r, &c, 1));
	close(r);
}

static void sockets(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

	RESULT("socket-bind", bind(server, (void *)&addr, sizeof(addr)));
	line("socket-mode", "%s", mode_of("sock"));
	RESULT("socket-connect-early", connect(client, (void *)&addr, sizeof(addr)));
	MUST(!listen(server, 1));
	RESULT("socket-connect", connect(client, (void *)&addr, sizeof(addr)));
	RESULT("socket-open", open("sock", O_RDONLY));
	RESULT("socket-bind-again",
	       bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&addr, sizeof(addr)));
	close(client);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(!rename("sock", "sock2"));
	strcpy(addr.sun_path, "sock2");
	MUST(!close(accept(server, NULL, NULL)));
	RESULT("socket-connect-renamed", connect(client, (void *)&addr, sizeof(addr)));
	MUST(!unlink("sock2"));
	RESULT("socket-connect-gone", connect(client, (void *)&addr, sizeof(addr)));
	close(client);
	close(server);
}

static void devices(void)
{
	struct stat st;
	char c = 1;
	int fd;

	RESULT("device-mknod", mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	fd = open("zero", O_RDWR);
	RESULT("device-open", fd < 0 ? -1 : 0);
	RESULT("device-read", read(fd, &c, 1));
	line("device-value", "%d", c);
	MUST(!fstat(fd, &st));
	line("device-number", "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	close(fd);
	RESULT("device-none", mknod("none", S_IFBLK | 0600, makedev(4000, 1000000)));
	MUST(!stat("none", &st));
	line("device-none-number", "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	RESULT("device-none-open", open("none", O_RDONLY));
	RESULT("device-whiteout", mknod("white", S_IFCHR | 0600, makedev(0, 0)));
	MUST(!unlink("zero") && !unlink("none") && !unlink("white"));
}

/* ---- programs: ETXTBSY --------------------------------------------------------------------- */

static void copy_program(const char *from_path, const char *to_path)
{
	int from = open(from_path, O_RDONLY), to = open(to_path, O_CREAT | O_WRONLY, 0755);
	ssize_t n;

	MUST(from >= 0 && to >= 0);
	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	MUST(!n && !close(from) && !close(to));
}

/* Comes back when the program runs: exec closes the pipe. */
static pid_t start(const char *path, int *ret_errno)
{
	int fds[2], error = 0;
	pid_t pid;

	MUST(!pipe2(fds, O_CLOEXEC));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execl(path, path, "1000", (char *)NULL);
		error = errno;
		MUST(write(fds[1], &error, sizeof(error)) == sizeof(error));
		_exit(1);
	}
	close(fds[1]);
	if (read(fds[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	close(fds[0]);
	*ret_errno = error;
	return pid;
}

static void programs(void)
{
	int fd, error;
	pid_t pid;

	copy_program("/usr/bin/sleep", "prog");
	pid = start("./prog", &error);
	line("exec", "%s", error ? strerrorname_np(error) : "ok");
	RESULT("running-open-write", open("prog", O_WRONLY));
	RESULT("running-open-rdwr", open("prog", O_RDWR));
	RESULT("running-open-trunc", open("prog", O_WRONLY | O_TRUNC));
	RESULT("running-truncate", truncate("prog", 0));
	OPENS("running-open-read", open("prog", O_RDONLY));
	RESULT("running-chmod", chmod("prog", 0700));
	RESULT("running-rename", rename("prog", "prog2"));
	RESULT("running-unlink", unlink("prog2"));
	kill(pid, SIGKILL);
	line("running-killed", "%s", fate(pid));

	copy_program("/usr/bin/sleep", "prog");
	fd = open("prog", O_RDWR);
	pid = start("./prog", &error);
	line("exec-open-for-write", "%s", error ? strerrorname_np(error) : "ok");
	line("exec-open-for-write-end", "%s", fate(pid));
	close(fd);
	fd = open("prog", O_WRONLY);
	pid = start("./prog", &error);
	line("exec-open-wronly", "%s", error ? strerrorname_np(error) : "ok");
	line("exec-open-wronly-end", "%s", fate(pid));
	close(fd);
	MUST(!unlink("prog"));
	put_file("script", "#!/bin/sh\nexit 7\n", 0755);
	pid = start("./script", &error);
	line("exec-script", "%s", fate(pid));
	put_file("bad", "neither\n", 0755);
	fate(start("./bad", &error));
	line("exec-bad", "%s", error ? strerrorname_np(error) : "ok");
	MUST(!unlink("script") && !unlink("bad"));
}

/* ---- what else the kernel offers on files ---------------------------------------------------- */

static void extras(void)
{
	struct fiemap map = {.fm_length = ~0ull};
	struct statx stx;
	int fd, other, flags = 0, watch, handle_fd;
	char events[4096];
	union {
		struct file_handle h;
		char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount_id, dir = open(".", O_RDONLY);

	put_file("f", "text", 0644);
	fd = open("f", O_RDWR);
	other = open("g", O_CREAT | O_RDWR, 0644);
	MUST(!statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &stx));
	line("statx-basic", "%s",
	     (stx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS ? "all" : "some");
	line("statx-btime", "%s", stx.stx_mask & STATX_BTIME ? "yes" : "no");
	RESULT("getflags", ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? -1 : 0);
	flags |= FS_APPEND_FL;
	RESULT("setflags", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	flags &= ~FS_APPEND_FL;
	ioctl(fd, FS_IOC_SETFLAGS, &flags);
	RESULT("fiemap", ioctl(fd, FS_IOC_FIEMAP, &map));
	RESULT("ficlone", ioctl(other, FICLONE, fd));
	RESULT("ioctl-unknown", ioctl(fd, 0x12345678, 0));
	RESULT("fionread", ioctl(fd, FIONREAD, &flags));
	RESULT("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	RESULT("readahead", readahead(fd, 0, 4096));
	RESULT("sync-file-range", sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	RESULT("poll", poll(&(struct pollfd){.fd = fd, .events = POLLIN | POLLOUT}, 1, 0));
	RESULT("handle", name_to_handle_at(AT_FDCWD, "f", &handle.h, &mount_id, 0));
	handle_fd = open_by_handle_at(dir, &handle.h, O_RDONLY);
	RESULT("handle-open", handle_fd < 0 ? -1 : 0);
	close(handle_fd);
	watch = inotify_init1(IN_NONBLOCK);
	RESULT("inotify", inotify_add_watch(watch, ".", IN_CREATE | IN_DELETE | IN_MOVE));
	MUST(!mkdir("n", 0755) && !rename("n", "m") && !rmdir("m"));
	line("inotify-events", "%ld", (long)read(watch, events, sizeof(events)) / 32);
	close(watch);
	close(fd);
	close(other);
	fd = open("f", O_RDONLY);
	RESULT("lease", fcntl(fd, F_SETLEASE, F_RDLCK));
	MUST(!close(fd) && !unlink("f") && !unlink("g"));
	handle_fd = open_by_handle_at(dir, &handle.h, O_RDONLY);
	RESULT("handle-open-deleted", handle_fd < 0 ? -1 : 0);
	close(dir);
}

void test_open(void)
{
	open_flags();
	fifos();
	sockets();
	devices();
	programs();
	extras();
}

void test_links(void)
{
	deleted_open();
	linked_open();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * semantics.c - describes how a filesystem behaves: semantics DIR prints one line
 * for each of many cases, tried in an empty directory of it. Needs root, as half
 * of the cases are about other users.
 */
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "semantics.h"

#define TEXTS	   16
#define TEXT_BYTES 512

static const char *group;

static char *next_text(void)
{
	static char texts[TEXTS][TEXT_BYTES];
	static unsigned used;

	return texts[used++ % TEXTS];
}

void line(const char *name, const char *format, ...)
{
	va_list args;

	printf("%s/%s: ", group, name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	/* Children print too, and some die. */
	fflush(stdout);
}

const char *fmt(const char *format, ...)
{
	char *text = next_text();
	va_list args;

	va_start(args, format);
	vsnprintf(text, TEXT_BYTES, format, args);
	va_end(args);
	return text;
}

const char *rc(long ret)
{
	if (ret < 0)
		return strerrorname_np(errno) ?: fmt("errno %d", errno);
	return ret ? fmt("%ld", ret) : "ok";
}

const char *mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? rc(-1) : fmt("%06o", st.st_mode);
}

const char *owner_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? rc(-1) : fmt("%u:%u %06o", st.st_uid, st.st_gid, st.st_mode);
}

void broken(const char *file, int at, const char *what)
{
	fprintf(stderr, "%s:%d: %s/: %s (%s)\n", file, at, group, what, strerror(errno));
	_exit(3);
}

void *bad_pointer(void)
{
	return (void *)8;
}

int close_result(int fd)
{
	if (fd < 0)
		return -1;
	return close(fd);
}

void put_file(const char *path, const char *text, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	MUST(!close(fd) && !chmod(path, mode));
}

void put_zeros(const char *path, size_t bytes)
{
	char *zeros = calloc(1, bytes);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	MUST(zeros && fd >= 0 && write(fd, zeros, bytes) == (ssize_t)bytes && !close(fd));
	free(zeros);
}

long size_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -1 : (long)st.st_size;
}

long links_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -1 : (long)st.st_nlink;
}

int pause_us(unsigned us)
{
	struct timespec ts = {.tv_nsec = (long)us * 1000};

	return nanosleep(&ts, NULL);
}

static int wipe_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level ? remove(path) : 0;
}

void wipe(void)
{
	MUST(!nftw(".", wipe_one, 8, FTW_DEPTH | FTW_PHYS));
}

/* Puts what a child exits with after the prefix; a failed MUST ends us as well. */
const char *fate(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		MUST(errno == EINTR);
	if (WIFSIGNALED(status))
		return fmt("SIG%s", sigabbrev_np(WTERMSIG(status)));
	if (WEXITSTATUS(status) == 3)
		_exit(3);
	return fmt("exit %d", WEXITSTATUS(status));
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	MUST(!syscall(SYS_capset, &head, none));
}

bool enter(unsigned uid, unsigned extra_gid)
{
	gid_t extra = extra_gid;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid) {
		const char *end = fate(pid);

		if (strcmp(end, "exit 0"))
			line("child", "%s", end);
		return false;
	}
	MUST(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	if (uid == BARE_ROOT) {
		drop_capabilities();
	} else if (uid) {
		MUST(!setgroups(extra ? 1 : 0, &extra));
		MUST(!setgid(uid) && !setuid(uid));
	}
	return true;
}

void leave(void)
{
	fflush(stdout);
	_exit(0);
}

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{"priv", test_priv},   {"access", test_access}, {"times", test_times},
	{"names", test_names}, {"links", test_links},	{"open", test_open},
	{"data", test_data},   {"space", test_space},	{"mmap", test_mmap},
	{"locks", test_locks}, {"xattrs", test_xattrs}, {"acls", test_acls},
	{"dirs", test_dirs},
};

int main(int argc, char **argv)
{
	const char *only = argc > 2 ? argv[2] : NULL;
	char top[PATH_MAX];
	size_t i;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: semantics DIR [GROUP]\n");
		return 2;
	}
	if (geteuid()) {
		fprintf(stderr, "semantics: needs root\n");
		return 77;
	}
	group = "main";
	MUST(realpath(argv[1], top));
	umask(0);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (only && strcmp(only, groups[i].name))
			continue;
		group = groups[i].name;
		MUST(!chdir(top) && !mkdir(group, 0755) && !chdir(group));
		groups[i].run();
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * semantics.h - what the parts of the semantics test share.
 *
 * A case is one line, "group/name: result", the same on every run and on every
 * filesystem that behaves like Linux's own. Nothing is judged here: semantics.sh
 * compares the lines of two filesystems.
 */
#ifndef KEEPALIVE_TESTS_FUSE_SEMANTICS_H
#define KEEPALIVE_TESTS_FUSE_SEMANTICS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Users of the cases; neither is a member of the other's group. */
#define ALICE 1001
#define BOB   1002
#define NOGID 0 /* as a supplementary group: none */

/* Root without any capability, as in containers. */
#define BARE_ROOT 0xffffffffu

/* Longer than a tick of the coarsest kernel clock: HZ may be 100. */
#define TICK_US 12000

void line(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The calls below return one of several buffers, used in turn. */
const char *fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *rc(long ret); /* "ok", a number, or the name in errno */
const char *mode_of(const char *path);
const char *owner_of(const char *path);

/* One system call is one case; errno is what it left. */
#define RESULT(name, call)   line(name, "%s", (errno = 0, rc(call)))
#define OPENS(name, fd_call) line(name, "%s", (errno = 0, rc(close_result(fd_call))))

/* For what must work for the case to mean anything: ends the program. */
#define MUST(what)                                         \
	do {                                               \
		if (!(what))                               \
			broken(__FILE__, __LINE__, #what); \
	} while (0)
void broken(const char *file, int at, const char *what) __attribute__((noreturn));

void *bad_pointer(void); /* for EFAULT; compilers see through a cast */
int close_result(int fd);
void put_file(const char *path, const char *text, mode_t mode);
void put_zeros(const char *path, size_t bytes);
long size_of(const char *path);
long links_of(const char *path);
int pause_us(unsigned us);
void wipe(void); /* all that is in the working directory */

/*
 * if (enter(uid, extra)) { ...; leave(); }
 * runs the block in a child that is uid, in the group of the same number and in
 * extra. The parent waits for it and gets false.
 */
bool enter(unsigned uid, unsigned extra_gid);
void leave(void) __attribute__((noreturn));

/* How a child that ran the block ended: "exit 0", "SIGBUS". */
const char *fate(pid_t pid);

void test_priv(void);
void test_access(void);
void test_times(void);
void test_names(void);
void test_links(void);
void test_open(void);
void test_data(void);
void test_space(void);
void test_mmap(void);
void test_locks(void);
void test_xattrs(void);
void test_acls(void);
void test_dirs(void);

#endif

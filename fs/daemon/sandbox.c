/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.c - the filter for system calls; see sandbox.h.
 *
 * Calls are named, not numbered: what an architecture does not have, or what the
 * libseccomp at hand does not know yet, is left out, and so is refused.
 *
 * What is not allowed fails with ENOSYS, as on a kernel without it. A libc that has
 * learnt a new call falls back to the older one then, as it does on older kernels;
 * with EPERM it would not. Nothing but what no library does by itself kills: this
 * daemon holds the state of a machine.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keepalive/util.h"

/* ---- what may be called --------------------------------------------------------- */

static const char *const allowed[] = {
	/* memory; the region too */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"mincore",
	"msync",
	"mlock",
	"mlock2",
	"munlock",
	"membarrier",
	/* descriptors that are open; paths only to read */
	"read",
	"pread64",
	"readv",
	"preadv",
	"preadv2",
	"write",
	"pwrite64",
	"writev",
	"pwritev",
	"pwritev2",
	"close",
	"close_range",
	"fcntl",
	"fcntl64",
	"lseek",
	"_llseek",
	"dup",
	"dup2",
	"dup3",
	"fstat",
	"fstat64",
	"stat",
	"stat64",
	"lstat",
	"lstat64",
	"newfstatat",
	"fstatat64",
	"statx",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents64",
	"statfs",
	"statfs64",
	"fstatfs",
	"fstatfs64",
	"getcwd",
	"chdir",
	"fdatasync",
	"fsync",
	"sync_file_range",
	"fallocate",
	/* waiting */
	"poll",
	"ppoll",
	"ppoll_time64",
	"select",
	"_newselect",
	"pselect6",
	"pselect6_time64",
	"nanosleep",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"restart_syscall",
	"futex",
	"futex_time64",
	"futex_waitv",
	"sched_yield",
	"wait4",
	"waitid",
	/* threads and signals */
	"set_robust_list",
	"get_robust_list",
	"rseq",
	"set_tid_address",
	"exit",
	"exit_group",
	"gettid",
	"getpid",
	"getppid",
	"setsid",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"getcpu",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigreturn",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"rt_sigpending",
	"rt_sigsuspend",
	"sigaltstack",
	"pause",
	/* what time it is, who we are, and the like */
	"clock_gettime",
	"clock_gettime64",
	"clock_getres",
	"clock_getres_time64",
	"gettimeofday",
	"time",
	"times",
	"getrusage",
	"getrandom",
	"uname",
	"sysinfo",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getuid32",
	"geteuid32",
	"getgid32",
	"getegid32",
	"getrlimit",
	"ugetrlimit",
	"getgroups",
	/* syslog */
	"connect",
	"send",
	"sendto",
	"sendmsg",
	"recv",
	"recvfrom",
	"recvmsg",
	"getsockopt",
	"getsockname",
	"getpeername",
	"shutdown",
#ifdef SANDBOX_SANITIZED
	/* what the runtime of sanitizers does: it stops all threads to look for leaks */
	"ptrace",
	"clone",
	"prctl",
	"mmap",
	"mmap2",
	"mprotect",
	"prlimit64",
	"setrlimit",
	"tgkill",
	"tkill",
	"process_vm_readv",
	"arch_prctl",
	"personality",
	"sched_getaffinity",
	"ioctl",
	"munlockall",
	"pipe2",
	"getdents",
#endif
};

/* What nothing in the daemon does, nor any library of it: somebody took it over. */
static const char *const deadly[] = {
	"execve",
	"execveat",
	"process_vm_writev",
	"kexec_load",
	"kexec_file_load",
	"init_module",
	"finit_module",
	"delete_module",
	"bpf",
	"setns",
	"unshare",
	"pivot_root",
	"chroot",
	"open_by_handle_at",
	"reboot",
	"swapon",
	"swapoff",
	"perf_event_open",
	"userfaultfd",
	"keyctl",
	"add_key",
	"request_key",
	"acct",
	"iopl",
	"ioperm",
	"pidfd_getfd",
#ifndef SANDBOX_SANITIZED
	"ptrace",
	"process_vm_readv",
#endif
};

#define MAY_CHANGE (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

/* What isatty asks in glibc 2.42 and later: TCGETS2, whose struct no header of libc has. */
#define ASK_TERMINAL2 _IOR('T', 0x2a, char[44])

/*
 * Allowed for some values of one argument: those that are equal to value in the
 * bits of mask.
 */
struct rule {
	const char *name;
	unsigned arg;
	uint64_t mask;
	uint64_t value;
};

static const struct rule rules[] = {
	{"open", 1, MAY_CHANGE, 0},
	{"openat", 2, MAY_CHANGE, 0},
	{"socket", 0, UINT32_MAX, AF_UNIX},
#ifndef SANDBOX_SANITIZED
	/* No code but what is there. */
	{"mmap", 2, PROT_EXEC, 0},
	{"mmap2", 2, PROT_EXEC, 0},
	{"mprotect", 2, PROT_EXEC, 0},
	/* Threads, no processes. */
	{"clone", 0, CLONE_THREAD, CLONE_THREAD},
	/* Limits can be read. */
	{"prlimit64", 2, UINT64_MAX, 0},
	/* Whether the log is a terminal; but nothing is typed into one. */
	{"ioctl", 1, UINT32_MAX, TCGETS},
	{"ioctl", 1, UINT32_MAX, ASK_TERMINAL2},
	/* Threads, and areas of memory, get names. */
	{"prctl", 0, UINT32_MAX, PR_SET_NAME},
	{"prctl", 0, UINT32_MAX, PR_GET_NAME},
	{"prctl", 0, UINT32_MAX, PR_SET_VMA},
#endif
};

/* ---- building it ----------------------------------------------------------------- */

static int add(scmp_filter_ctx ctx, uint32_t action, const char *name,
	       const struct scmp_arg_cmp *cmp)
{
	int nr = seccomp_syscall_resolve_name(name), err;

	if (nr == __NR_SCMP_ERROR)
		return 0; /* unknown to this libseccomp */
	err = seccomp_rule_add_array(ctx, action, nr, cmp ? 1 : 0, cmp);
	return err == -EDOM ? 0 : err; /* unknown to this architecture */
}

static int add_list(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t count)
{
	int err = 0;

	for (; !err && count; count--)
		err = add(ctx, action, *names++, NULL);
	return err;
}

static int add_rules(scmp_filter_ctx ctx)
{
	struct scmp_arg_cmp cmp;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < KA_ARRAY_SIZE(rules); i++) {
		cmp = SCMP_CMP64(rules[i].arg, SCMP_CMP_MASKED_EQ, rules[i].mask, rules[i].value);
		err = add(ctx, SCMP_ACT_ALLOW, rules[i].name, &cmp);
	}
#ifndef SANDBOX_SANITIZED
	/* Signals to threads of its own. */
	cmp = SCMP_CMP64(0, SCMP_CMP_EQ, (uint64_t)getpid());
	err = err ?: add(ctx, SCMP_ACT_ALLOW, "tgkill", &cmp);
#endif
	return err;
}

static int build(scmp_filter_ctx ctx)
{
	int err;

	err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* The kernel's own errors, not one for all. */
	err = err ?: seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
	/* What is refused leaves a line in the kernel's log; no matter if it cannot. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	/* A tree by number instead of a list: most requests are a read and a write. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	err = err ?: add_list(ctx, SCMP_ACT_ALLOW, allowed, KA_ARRAY_SIZE(allowed));
	err = err ?: add_rules(ctx);
	return err ?: add_list(ctx, SCMP_ACT_KILL_PROCESS, deadly, KA_ARRAY_SIZE(deadly));
}

bool sandbox_possible(void)
{
	/* There is no filter at this address: whoever says so has looked. */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) && errno == EFAULT;
}

int sandbox_filter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int err;

	if (!ctx)
		return -ENOMEM;
	err = build(ctx);
	err = err ?: seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}

const char *sandbox_allowed(size_t i)
{
	return i < KA_ARRAY_SIZE(allowed) ? allowed[i] : NULL;
}

const char *sandbox_deadly(size_t i)
{
	return i < KA_ARRAY_SIZE(deadly) ? deadly[i] : NULL;
}

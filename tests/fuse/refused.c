/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * refused.c - applies the daemon's filter for system calls to itself, and then tries
 * what is allowed, what is refused, and what kills, each in a process of its own.
 *
 * Exit status: 0 all as it should be, 1 not, 77 the kernel has no filters.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "keepalive/util.h"
#include "sandbox.h"

/* How a case ends: 0 it worked, an errno, or this and the signal. */
#define KILLED 1000

static int result(long res)
{
	return res < 0 ? errno : 0;
}

/* ---- cases ----------------------------------------------------------------------- */

static int make_file(void)
{
	return result(open("/tmp/keepalive-refused", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static int open_to_write(void)
{
	return result(open("/dev/null", O_WRONLY));
}

static int open_to_change(void)
{
	return result(open("/dev/null", O_RDWR));
}

static int open_to_truncate(void)
{
	return result(open("/dev/null", O_RDONLY | O_TRUNC));
}

static int open_unnamed(void)
{
	return result(open("/tmp", O_TMPFILE | O_RDWR, 0600));
}

static int open_to_read(void)
{
	return result(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
}

static int read_status(void)
{
	char line[100];
	FILE *f = fopen("/proc/self/status", "re");

	return f && fgets(line, sizeof(line), f) ? 0 : errno;
}

static int make_directory(void)
{
	return result(mkdir("/tmp/keepalive-refused", 0700));
}

static int remove_file(void)
{
	return result(unlink("/tmp/keepalive-refused"));
}

static int change_mode(void)
{
	return result(chmod("/tmp", 01777));
}

static int inet_socket(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int netlink_socket(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int unix_socket(void)
{
	return result(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int log_line(void)
{
	openlog("keepalive-refused", LOG_PID, LOG_DAEMON);
	syslog(LOG_DEBUG, "a line of a test");
	return 0;
}

static int local_time(void)
{
	time_t now = time(NULL);
	struct tm tm;

	return localtime_r(&now, &tm) ? 0 : EINVAL;
}

static int run_program(void)
{
	return result(execl("/bin/true", "true", NULL));
}

static int run_program_at(void)
{
	const char *const argv[] = {"true", NULL};

	return result(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0));
}

static int new_process(void)
{
	return result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int new_process3(void)
{
	return result(syscall(SYS_clone3, NULL, 0));
}

static int trace(void)
{
	return result(syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0));
}

static int look_into_parent(void)
{
	return result(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int kill_parent(void)
{
	return result(kill(getppid(), 0));
}

static int kill_thread_of_parent(void)
{
	return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int signal_thread(void)
{
	signal(SIGUSR1, SIG_IGN);
	return pthread_kill(pthread_self(), SIGUSR1);
}

static int mount_something(void)
{
	return result(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int unmount_something(void)
{
	return result(umount2("/nowhere", MNT_DETACH));
}

static int other_namespace(void)
{
	return result(syscall(SYS_unshare, 0));
}

static int load_bpf(void)
{
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int become_root(void)
{
	return result(syscall(SYS_setuid, 0));
}

static int code_from_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int memory_to_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int memory(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || madvise(p, 4096, MADV_DONTNEED) || mprotect(p, 1 << 20, PROT_READ))
		return errno;
	p = mremap(p, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
	return p == MAP_FAILED || munmap(p, 2 << 20) ? errno : 0;
}

static void on_signal(int sig)
{
	_exit(sig == SIGBUS ? 0 : 1);
}

/* A handler on a stack of its own, as for memory errors. */
static int handle_signal(void)
{
	static char stack[1 << 16];
	const stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

	if (sigaltstack(&alt, NULL) || sigaction(SIGBUS, &sa, NULL))
		return errno;
	raise(SIGBUS);
	return EINVAL;
}

static int type_into_terminal(void)
{
	return result(ioctl(0, TIOCSTI, "x"));
}

static int ask_terminal(void)
{
	return isatty(0) || errno == ENOTTY || errno == EINVAL || errno == EBADF ? 0 : errno;
}

static int lower_limit(void)
{
	const struct rlimit limit = {100, 100};

	return result(setrlimit(RLIMIT_NOFILE, &limit));
}

static int read_limit(void)
{
	struct rlimit limit;

	return result(getrlimit(RLIMIT_STACK, &limit));
}

static int dumpable(void)
{
	return result(prctl(PR_SET_DUMPABLE, 1));
}

static void *nothing(void *arg)
{
	return arg;
}

static int new_thread(void)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, nothing, NULL);

	return err ?: pthread_join(thread, NULL);
}

/* Sees whether a thread that was there before the filter has it too. */
static pthread_barrier_t barrier;

static void *try_in_thread(void *arg)
{
	int *ret = arg;

	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	*ret = inet_socket();
	return NULL;
}

static const struct {
	const char *what;
	int (*run)(void);
	int want;
	bool not_sanitized; /* a sanitizer's runtime has to be allowed to */
} cases[] = {
	{"open a file to read", open_to_read, 0},
	{"read through stdio", read_status, 0},
	{"make a thread", new_thread, 0},
	{"signal a thread of its own", signal_thread, 0},
	{"map, move, protect memory", memory, 0},
	{"handle a signal on another stack", handle_signal, 0},
	{"make a Unix socket", unix_socket, 0},
	{"write to syslog", log_line, 0},
	{"ask for the local time", local_time, 0},
	{"ask whether there is a terminal", ask_terminal, 0},
	{"read a limit", read_limit, 0},
	{"make a file", make_file, ENOSYS},
	{"open a file to write", open_to_write, ENOSYS},
	{"open a file to read and write", open_to_change, ENOSYS},
	{"open a file to truncate it", open_to_truncate, ENOSYS},
	{"open a file without a name", open_unnamed, ENOSYS},
	{"make a directory", make_directory, ENOSYS},
	{"remove a file", remove_file, ENOSYS},
	{"change a mode", change_mode, ENOSYS},
	{"make an internet socket", inet_socket, ENOSYS},
	{"make a netlink socket", netlink_socket, ENOSYS},
	{"fork", new_process, ENOSYS, true},
	{"fork with clone3", new_process3, ENOSYS},
	{"signal another process", kill_parent, ENOSYS},
	{"signal a thread of another process", kill_thread_of_parent, ENOSYS, true},
	{"mount", mount_something, ENOSYS},
	{"unmount", unmount_something, ENOSYS},
	{"become root", become_root, ENOSYS},
	{"map code", code_from_memory, ENOSYS, true},
	{"make code of memory", memory_to_code, ENOSYS, true},
	{"type into the terminal", type_into_terminal, ENOSYS, true},
	{"change a limit", lower_limit, ENOSYS, true},
	{"become dumpable", dumpable, ENOSYS, true},
	{"run a program", run_program, KILLED + SIGSYS},
	{"run a program by descriptor", run_program_at, KILLED + SIGSYS},
	{"trace", trace, KILLED + SIGSYS, true},
	{"look into another process", look_into_parent, KILLED + SIGSYS, true},
	{"enter a namespace", other_namespace, KILLED + SIGSYS},
	{"load a BPF program", load_bpf, KILLED + SIGSYS},
};

#ifdef SANDBOX_SANITIZED
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

/* ---- running them ----------------------------------------------------------------- */

/* The first byte of what the child writes tells, as an exit status has no room for it. */
static int run_case(size_t i, int fd)
{
	int code;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 1;
	code = -sandbox_filter();
	if (!code)
		code = cases[i].run();
	(void)!write(fd, &code, sizeof(code));
	return 0;
}

static int ended_with(size_t i)
{
	int fds[2], status, code = -1;
	pid_t pid;

	if (pipe(fds))
		return errno;
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(run_case(i, fds[1]));
	close(fds[1]);
	if (read(fds[0], &code, sizeof(code)) != sizeof(code))
		code = -1;
	close(fds[0]);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return KILLED + WTERMSIG(status);
	return code < 0 ? WEXITSTATUS(status) : code; /* the case may have ended by itself */
}

static bool threads_have_it(void)
{
	pthread_t thread;
	int code = 0;

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, try_in_thread, &code))
		return false;
	pthread_barrier_wait(&barrier);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || sandbox_filter())
		return false;
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	return code == ENOSYS;
}

/* A name with a typing error would be left out; libseccomp 2.5 knows all that are meant. */
static bool names_are_right(void)
{
	const char *name;
	bool ok = true;
	size_t i;

	for (i = 0; (name = sandbox_allowed(i)); i++)
		if (seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR) {
			printf("# '%s' is no system call\n", name);
			ok = false;
		}
	for (i = 0; (name = sandbox_deadly(i)); i++)
		if (seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR) {
			printf("# '%s' is no system call\n", name);
			ok = false;
		}
	return ok;
}

static unsigned count, failed;

static void tell(bool ok, const char *what, const char *detail)
{
	printf("%sok %u - %s%s\n", ok ? "" : "not ", ++count, what, detail);
	failed += !ok;
}

int main(void)
{
	char detail[64];
	size_t i;
	int got;

	if (!sandbox_possible()) {
		puts("skipped: this kernel cannot filter system calls");
		return 77;
	}
	for (i = 0; i < KA_ARRAY_SIZE(cases); i++) {
		if (cases[i].not_sanitized && is_sanitized)
			continue;
		got = ended_with(i);
		snprintf(detail, sizeof(detail), ": ended with %d, not %d", got, cases[i].want);
		tell(got == cases[i].want, cases[i].what, got == cases[i].want ? "" : detail);
	}
	tell(names_are_right(), "all names are those of system calls", "");
	tell(threads_have_it(), "threads that were there before are filtered too", "");
	printf("1..%u\n", count);
	return failed != 0;
}

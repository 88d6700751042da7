/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fixed.c - stands between the core and the machine, so that the seed decides
 * everything: the linker is told to wrap these functions in code linked
 * statically, which is the core and the tests.
 */
#include <sched.h>
#include <sys/random.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define START_NS 1700000000000000000ll
#define TICK_NS	 1000

int64_t fixed_now_ns = START_NS;
static struct test_rng fixed_random;
_Thread_local int fixed_cpu;
int fixed_cpus = 1;

void fixed_restart(void)
{
	fixed_now_ns = START_NS;
	fixed_random = test_rng(0x72616e64);
	fixed_cpu = 0;
	fixed_cpus = 1;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);
int __wrap_sched_getcpu(void);
long __wrap_sysconf(int name);
long __real_sysconf(int name);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	int64_t now = __atomic_add_fetch(&fixed_now_ns, TICK_NS, __ATOMIC_RELAXED);

	ts->tv_sec = now / 1000000000;
	ts->tv_nsec = now % 1000000000;
	return 0;
}

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
	(void)flags;
	if (!fixed_random.state)
		fixed_random = test_rng(0x72616e64);
	test_fill(&fixed_random, buf, len);
	return (ssize_t)len;
}

int __wrap_sched_getcpu(void)
{
	return fixed_cpu;
}

long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN ? fixed_cpus : __real_sysconf(name);
}

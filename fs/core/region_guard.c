/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region_guard.c - memory errors become error codes.
 *
 * The handler of SIGBUS jumps back to the innermost guard of the thread that
 * met the error, if the address is in the region of that guard. The signal is
 * synchronous, so what was interrupted is exactly the code under the guard,
 * and that code holds nothing that a jump would lose.
 *
 * What is kept by thread: the guards, and where the last error was.
 */
#include "region.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "keepalive/err.h"
#include "keepalive/util.h"

struct guard {
	sigjmp_buf env;
	const struct ka_region *rg;
	struct guard *outer;
};

static _Thread_local struct guard *volatile innermost;
static _Thread_local volatile uint64_t error_off;

/* What to do about a SIGBUS that is not ours. */
static void (*otherwise)(int sig);

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct guard *g = innermost;
	uintptr_t off = g ? (uintptr_t)info->si_addr - (uintptr_t)g->rg->base : 0;

	(void)context;
	if (info->si_code == BUS_MCEERR_AO)
		return; /* nobody has touched it; who does will hear of it */
	if (g && off < g->rg->info.capacity_bytes) {
		error_off = off;
		siglongjmp(g->env, 1);
	}
	if (otherwise)
		otherwise(sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

void ka_region_catch_errors(void (*fallback)(int sig))
{
	/* Not blocked meanwhile: the jump does not put the mask back. */
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};

	otherwise = fallback;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, NULL);
}

int ka_region_guard(const struct ka_region *rg, int (*fn)(void *arg), void *arg)
{
	struct guard g = {.rg = rg, .outer = innermost};
	int err;

	if (sigsetjmp(g.env, 0)) {
		innermost = g.outer;
		return -KA_ERR_MEMORY;
	}
	innermost = &g;
	atomic_signal_fence(memory_order_seq_cst); /* what fn does stays in between */
	err = fn(arg);
	atomic_signal_fence(memory_order_seq_cst);
	innermost = g.outer;
	return err;
}

uint64_t ka_region_error_off(void)
{
	return error_off;
}

struct read_args {
	void *dst;
	const void *src;
	size_t len;
};

static int do_read(void *arg)
{
	const struct read_args *a = arg;

	memcpy(a->dst, a->src, a->len);
	return 0;
}

int ka_region_read(const struct ka_region *rg, uint64_t off, void *dst, size_t len)
{
	struct read_args a = {.dst = dst, .src = ka_region_at(rg, off, len), .len = len};

	return a.src ? ka_region_guard(rg, do_read, &a) : -KA_ERR_REGION_SHORT;
}

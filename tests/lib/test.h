/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test.h - what every test includes first: cmocka with the headers it wants,
 * random numbers with a seed, a sink that keeps the messages of the core, and
 * the machine as the core sees it.
 */
#ifndef KA_TEST_H
#define KA_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keepalive/err.h"
#include "keepalive/msg.h"
#include "keepalive/util.h"

/* Fail with the names of the codes, not with their numbers. */
#define assert_err(call, want) test_expect((call), (want), #call, __FILE__, __LINE__)
#define assert_ok(call)	       assert_err(call, 0)
void test_expect(int err, int want, const char *what, const char *file, int line);

/*
 * The seed of this run: KA_SEED of the environment, where "random" is one by
 * chance; else always the same. It is printed when it is first asked for.
 */
uint64_t test_seed(void);

/* KA_SCALE of the environment: how many times more to do than usual. */
unsigned test_scale(void);

struct test_rng {
	uint64_t state;
};

/* A stream of its own for each use of the seed. */
struct test_rng test_rng(uint64_t stream);
uint64_t test_rand(struct test_rng *rng);
uint64_t test_below(struct test_rng *rng, uint64_t limit); /* limit > 0 */
bool test_chance(struct test_rng *rng, unsigned percent);
void test_fill(struct test_rng *rng, void *buf, size_t len);

/* Keeps every message, one line each, for test_messages_have. */
struct test_messages {
	struct ka_msg_sink sink;
	char *text;
	size_t len;
	size_t errors; /* messages of the level KA_MSG_ERROR */
};

void test_messages_init(struct test_messages *m);
void test_messages_release(struct test_messages *m);
void test_messages_clear(struct test_messages *m);
bool test_messages_have(const struct test_messages *m, const char *part);

/*
 * What fixed.c answers for the machine: the clock starts at a round number and
 * goes on by a microsecond each time it is read, and "random" bytes follow
 * the seed.
 */
extern int64_t fixed_now_ns;
extern _Thread_local int fixed_cpu; /* the processor that this thread is on */
extern int fixed_cpus;		    /* how many there are */
void fixed_restart(void);	    /* all of it as at the start of the program */

#endif

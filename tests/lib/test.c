/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test.c - checks, random numbers, messages; see test.h. */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libpmem2 1.12 forgets 144 bytes of each map made from an existing mapping. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libpmem2";
}

void test_expect(int err, int want, const char *what, const char *file, int line)
{
	if (err == want)
		return;
	print_error("%s: %d (%s), want %d (%s)\n", what, err, err ? ka_strerror(err) : "fine", want,
		    want ? ka_strerror(want) : "fine");
	_fail(file, line);
}

/* The same for everybody, so that a run that passed passes again. */
#define DEFAULT_SEED 0x6b656570616c6976

/* Not getrandom: fixed.c answers that one. */
static uint64_t random_seed(void)
{
	uint64_t seed = 0;

	if (getentropy(&seed, sizeof(seed)))
		abort();
	return seed;
}

uint64_t test_seed(void)
{
	static uint64_t seed;
	static bool known;
	const char *text = getenv("KA_SEED");

	if (known)
		return seed;
	if (text && !strcmp(text, "random"))
		seed = random_seed();
	else
		seed = text ? strtoull(text, NULL, 0) : DEFAULT_SEED;
	known = true;
	print_message("seed: KA_SEED=0x%" PRIx64 "\n", seed);
	return seed;
}

unsigned test_scale(void)
{
	const char *text = getenv("KA_SCALE");
	unsigned long scale = text ? strtoul(text, NULL, 0) : 1;

	return scale ? (unsigned)scale : 1;
}

struct test_rng test_rng(uint64_t stream)
{
	struct test_rng rng = {.state = test_seed() + stream * 0xd1342543de82ef95ull};

	rng.state = test_rand(&rng);
	return rng;
}

/* splitmix64 (Steele, Lea, Flood 2014; Vigna's constants). */
uint64_t test_rand(struct test_rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t test_below(struct test_rng *rng, uint64_t limit)
{
	return test_rand(rng) % limit;
}

bool test_chance(struct test_rng *rng, unsigned percent)
{
	return test_below(rng, 100) < percent;
}

void test_fill(struct test_rng *rng, void *buf, size_t len)
{
	uint8_t *p = buf;
	uint64_t v;
	size_t n;

	for (; len; p += n, len -= n) {
		v = test_rand(rng);
		n = len < sizeof(v) ? len : sizeof(v);
		memcpy(p, &v, n);
	}
}

static void keep_message(void *ctx, enum ka_msg_level level, const char *text)
{
	struct test_messages *m = ctx;
	size_t len = strlen(text);

	m->text = realloc(m->text, m->len + len + 2);
	if (!m->text)
		abort();
	memcpy(m->text + m->len, text, len);
	memcpy(m->text + m->len + len, "\n", 2);
	m->len += len + 1;
	m->errors += level == KA_MSG_ERROR;
}

void test_messages_init(struct test_messages *m)
{
	*m = (struct test_messages){.sink = {.fn = keep_message, .ctx = m}};
}

void test_messages_clear(struct test_messages *m)
{
	free(m->text);
	m->text = NULL;
	m->len = 0;
	m->errors = 0;
}

void test_messages_release(struct test_messages *m)
{
	test_messages_clear(m);
}

bool test_messages_have(const struct test_messages *m, const char *part)
{
	return m->text && strstr(m->text, part);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* states.c - what memory can hold after a cut; see states.h. */
#include "states.h"

#include <stdlib.h>
#include <string.h>

#include "keepalive/csum.h"

/* All subsets, if there are no more than so many. */
#define SUBSETS 256
/* Else so many by chance, beside the ones that are always tried. */
#define SAMPLES 64
/* Torn ones of each, where there are few others. */
#define TORN	 6
#define TORN_FEW 16

uint64_t states_fixed_count(const struct states *s)
{
	return 2 + 3 * s->lines;
}

void states_init(struct states *s, const struct ka_region *rg, uint64_t stream)
{
	size_t room = cut_region_open_lines(rg), i;

	*s = (struct states){.stream = stream, .whole = 1};
	s->line = malloc((room + 1) * sizeof(*s->line));
	if (!s->line)
		abort();
	s->lines = cut_region_lines(rg, s->line);
	for (i = 0; i < s->lines && s->whole <= SUBSETS; i++)
		s->whole *= s->line[i].versions;
	s->subsets = s->whole <= SUBSETS;
	if (!s->subsets)
		s->whole = states_fixed_count(s) + SAMPLES;
	s->torn = s->whole <= TORN_FEW ? TORN : 1;
	s->total = s->whole + (s->whole - 1) * s->torn;
}

void states_release(struct states *s)
{
	free(s->line);
}

uint64_t states_all(const struct states *s)
{
	return s->subsets ? s->whole - 1 : 1;
}

static struct test_rng rng_of(const struct states *s, uint64_t number)
{
	return test_rng(s->stream ^ ka_hash_u64(number));
}

uint64_t states_sample(const struct states *s, uint64_t n, uint64_t count)
{
	struct test_rng rng = rng_of(s, UINT64_MAX - n);
	uint64_t from = s->total * n / count, to = s->total * (n + 1) / count;

	if (!n || n + 1 == count)
		return n ? states_all(s) : 0;
	return from + test_below(&rng, to - from);
}

/* Which version of each line a subset has, 0 where the line is lost. */
static void choose_subset(const struct states *s, uint64_t number, uint8_t *version)
{
	size_t i;

	for (i = 0; i < s->lines; i++) {
		version[i] = (uint8_t)(number % s->line[i].versions);
		number /= s->line[i].versions;
	}
}

static void choose_sample(const struct states *s, uint64_t number, uint8_t *version)
{
	struct test_rng rng = rng_of(s, number);
	unsigned percent = (unsigned[]){10, 50, 90}[test_below(&rng, 3)];
	size_t i;

	for (i = 0; i < s->lines; i++)
		if (test_chance(&rng, percent))
			version[i] = (uint8_t)(1 + test_below(&rng, s->line[i].versions - 1));
}

/* In the order of states.h: none, all, each alone, all but one, the first so many, samples. */
static void choose_some(const struct states *s, uint64_t number, uint8_t *version)
{
	uint64_t n = s->lines, which = (number - 2) % n, way = (number - 2) / n;
	size_t i;

	if (!number)
		return;
	if (number >= states_fixed_count(s)) {
		choose_sample(s, number, version);
		return;
	}
	for (i = 0; i < n; i++)
		if (number == 1 || (way == 0 && i == which) || (way == 1 && i != which) ||
		    (way == 2 && i <= which))
			version[i] = (uint8_t)(s->line[i].versions - 1);
}

uint64_t states_fixed(const struct states *s, uint64_t n)
{
	uint8_t version[SUBSETS] = {0}; /* more lines than have all their subsets tried */
	uint64_t number = 0;
	size_t i;

	if (!s->subsets)
		return n;
	choose_some(s, n, version);
	for (i = s->lines; i--;)
		number = number * s->line[i].versions + version[i];
	return number;
}

/* Words of this line that are still those of another version. */
static void tear(const struct cut_line *l, unsigned last, struct test_rng *rng, uint8_t *bytes)
{
	size_t at;

	for (at = 0; at < CUT_LINE; at += CUT_WORD)
		if (test_chance(rng, 50))
			memcpy(bytes + at, l->version[test_below(rng, last + 1)] + at, CUT_WORD);
}

size_t states_make(const struct states *s, uint64_t number, struct patch *patch)
{
	struct test_rng rng = rng_of(s, number);
	bool torn = number >= s->whole;
	uint8_t *version = calloc(s->lines + 1, 1);
	size_t i, count = 0;

	if (!version)
		abort();
	if (torn)
		number = 1 + (number - s->whole) / s->torn;
	if (s->subsets)
		choose_subset(s, number, version);
	else
		choose_some(s, number, version);
	for (i = 0; i < s->lines; i++) {
		const struct cut_line *l = &s->line[i];
		struct patch *p = &patch[count];

		if (!version[i])
			continue;
		p->line = l->line;
		memcpy(p->bytes, l->version[version[i]], CUT_LINE);
		if (torn && test_chance(&rng, s->lines > 4 ? 30 : 60))
			tear(l, version[i], &rng, p->bytes);
		count += memcmp(p->bytes, l->version[0], CUT_LINE) != 0;
	}
	free(version);
	return count;
}

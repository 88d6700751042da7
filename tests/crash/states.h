/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * states.h - what memory can hold after a cut, one number for each outcome.
 *
 * Every subset of the lines that are not durable, where these are few; else
 * none, all, each alone, all but one, the first so many, and samples. Each but
 * none also torn: of some of its lines only some words of 8 bytes arrived.
 */
#ifndef KA_CRASH_STATES_H
#define KA_CRASH_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region_cut.h"

struct states {
	struct cut_line *line;
	size_t lines;
	uint64_t stream; /* of random numbers; with a number it makes the same state again */
	bool subsets;	 /* all of them, not only some */
	uint64_t whole;	 /* numbers below it are states of whole lines */
	unsigned torn;	 /* for each of them but none there are so many torn ones */
	uint64_t total;
};

/* What the power would leave if it failed now. stream: the same for the same place. */
void states_init(struct states *s, const struct ka_region *rg, uint64_t stream);
void states_release(struct states *s);

/* The number of the state in which all arrived. */
uint64_t states_all(const struct states *s);

/*
 * The numbers of the states that are worth a try in any case: none, all, each line
 * alone, all but one, the first so many. Not to be asked where there are no lines.
 */
uint64_t states_fixed_count(const struct states *s);
uint64_t states_fixed(const struct states *s, uint64_t n);

/* A few numbers of all of them, spread evenly: the n-th of count, where total is more. */
uint64_t states_sample(const struct states *s, uint64_t n, uint64_t count);

/* One line as it is in a state, where it differs from what is durable. */
struct patch {
	size_t line;
	uint8_t bytes[CUT_LINE];
};

/* The patches that make state number; patch has room for s->lines. Returns their number. */
size_t states_make(const struct states *s, uint64_t number, struct patch *patch);

#endif

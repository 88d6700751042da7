/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * undo.h - memory that can be put back as it was, at the price of the lines
 * that were stored to and not of all of it.
 *
 * undo_mark notes a moment, undo_back returns to it; marks nest like brackets.
 * All stores go through undo_store, or the region that undo_region_open makes.
 *
 * One thread only.
 */
#ifndef KA_UNDO_H
#define KA_UNDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keepalive/region.h"

#define UNDO_LINE 64u
/* Of memory that was lent so much of each page is garbage, which is quicker than all of it. */
#define UNDO_PAGE    4096u
#define UNDO_GARBAGE 256u

struct undo_entry {
	uint32_t line;
	uint32_t before; /* the entry of this line before this one */
	uint8_t old[UNDO_LINE];
};

struct undo {
	uint8_t *mem;
	uint64_t bytes;
	uint32_t *newest; /* of each line: its newest entry + 1; 0: none */
	struct undo_entry *entry;
	size_t count;
	size_t room;
	size_t mark; /* a line without an entry behind it is saved before a store */
};

/* Memory of zeros, so many bytes, a multiple of UNDO_LINE. -ENOMEM. */
int undo_open(struct undo *u, uint64_t bytes);
void undo_close(struct undo *u);

void undo_store(struct undo *u, uint64_t off, const void *src, size_t len);

/* Returns the mark that was in force before, which undo_back wants. */
size_t undo_mark(struct undo *u);

/* Undoes what was stored since the newest mark, and brings the one before it back. */
void undo_back(struct undo *u, size_t before);

/* What a line of lent memory holds when it comes back. */
void undo_garbage(uint64_t off, uint8_t *line);

/* Whether nothing was stored since the newest mark. */
bool undo_untouched(const struct undo *u);

/*
 * The first bytes of it as a region, where a store is durable at once. Closing
 * the region leaves u alone. -ENOMEM.
 */
int undo_region_open(struct undo *u, uint64_t bytes, struct ka_region **ret_rg);

#endif

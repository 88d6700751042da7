/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard.h - what on a machine endangers a DAX region, or keeps memory from being lent and
 * had back; looked for before anything is touched.
 */
#ifndef KEEPALIVE_GUARD_H
#define KEEPALIVE_GUARD_H

#include <stddef.h>

#include "keepalive/machine.h"

enum ka_finding_level {
	KA_FINDING_INFO, /* good to know */
	KA_FINDING_WARN, /* something will not work as well as it could */
	KA_FINDING_BAD,	 /* data is, or will be, lost; or nothing works */
};

struct ka_finding {
	enum ka_finding_level level;
	char what[256];
	char why[256];	/* it matters */
	char todo[320]; /* the line to add, and where; empty: nothing */
};

typedef void ka_finding_fn(void *ctx, const struct ka_finding *f);

/* Which region is looked at: an id, as in regionN, or one of these. */
#define KA_GUARD_ALL  (-1)
#define KA_GUARD_NONE (-2) /* of the machine only what concerns all regions */

/*
 * Looks at everything, changes nothing, and tells of each finding. root is put before the paths
 * of files ("" on a real machine). 0, and the worst level; or a code where the machine cannot
 * be asked.
 */
int ka_guard_check(struct ka_machine *m, const char *root, int only, ka_finding_fn *fn, void *ctx,
		   enum ka_finding_level *ret_worst);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* target.c - what all targets share; see target.h. */
#include "target.h"

#include <inttypes.h>
#include <stdio.h>

#include "guard.h"
#include "keepalive/csum.h"
#include "test.h"

#define NOW_NS 1800000000000000000ll

void target_begin(const char *name, const uint8_t *data, size_t size)
{
	snprintf(evil_what, sizeof(evil_what), "%s, input of %zu bytes, %016" PRIx64, name, size,
		 ka_csum(data, size));
	fixed_now_ns = NOW_NS;
	fixed_cpu = 0;
	fixed_cpus = 2;
}

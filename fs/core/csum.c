/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* csum.c - the only user of xxhash. */
#include "keepalive/csum.h"

#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* the widest vectors that the processor has */
#else
#include <xxhash.h>
#endif

uint64_t ka_csum(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

uint64_t ka_csum_at(uint64_t addr, const void *data, size_t len)
{
	return XXH3_64bits_withSeed(data, len, addr);
}

uint64_t ka_hash_name(uint64_t seed, const void *name, size_t len)
{
	return XXH3_64bits_withSeed(name, len, seed);
}

uint64_t ka_hash_u64(uint64_t v)
{
	return XXH3_64bits(&v, sizeof(v));
}

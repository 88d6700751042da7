/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * csum.h - the checksum of everything on media: XXH3, 64 bits (Yann
 * Collet, https://xxhash.com). Only csum.c knows that it is xxhash.
 */
#ifndef KEEPALIVE_CSUM_H
#define KEEPALIVE_CSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t ka_csum(const void *data, size_t len);

/* Seeded: for heads of records, with their address, so that a copy is no record. */
uint64_t ka_csum_at(uint64_t addr, const void *data, size_t len);

/* For hash tables, not for media: the hash of a name in a directory. */
uint64_t ka_hash_name(uint64_t seed, const void *name, size_t len);
uint64_t ka_hash_u64(uint64_t v);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varint.h (private) - numbers of variable length in checkpoint items: LEB128
 * as in DWARF 5, section 7.6; signed ones folded by zigzag (Protocol Buffers).
 */
#ifndef KA_CORE_VARINT_H
#define KA_CORE_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KA_VARINT_MAX 10 /* bytes of the longest */

static inline uint8_t *ka_varint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline uint64_t ka_zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t ka_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* What is left to read. bad: something did not fit; all reads give 0 then. */
struct ka_cursor {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline uint64_t ka_varint_get(struct ka_cursor *c)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 64 && c->p < c->end; shift += 7) {
		uint8_t byte = *c->p++;

		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	c->bad = true;
	c->p = c->end;
	return 0;
}

/* len bytes in place, or NULL. */
static inline const uint8_t *ka_bytes_get(struct ka_cursor *c, uint64_t len)
{
	const uint8_t *p = c->p;

	if (c->bad || len > (uint64_t)(c->end - p)) {
		c->bad = true;
		return NULL;
	}
	c->p += len;
	return p;
}

#endif

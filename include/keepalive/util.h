/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* util.h - tiny helpers without state. */
#ifndef KEEPALIVE_UTIL_H
#define KEEPALIVE_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ka_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define KA_ARRAY_SIZE(a)		   (sizeof(a) / sizeof((a)[0]))

static inline uint64_t ka_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t ka_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* align is a power of two; v + align must not overflow. */
static inline uint64_t ka_align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline uint64_t ka_align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline bool ka_is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

/* Whether [off, off + len) lies inside [0, limit), without overflow. */
static inline bool ka_range_ok(uint64_t off, uint64_t len, uint64_t limit)
{
	return off <= limit && len <= limit - off;
}

static inline void ka_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void ka_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define KA_AUTO_FREE  __attribute__((cleanup(ka_cleanup_free)))
#define KA_AUTO_CLOSE __attribute__((cleanup(ka_cleanup_close)))

/* Now, in ns since 1970. */
int64_t ka_now_ns(void);

/*
 * Parses a size in bytes: digits and at most one of K M G T (powers of 1024;
 * lower case, and a B or iB after it, are taken too). 0, -EINVAL or -ERANGE.
 */
int ka_parse_size(const char *text, uint64_t *ret_bytes);

/* "1.5 GiB": three significant digits. buf of at least 16 bytes; returns it. */
char *ka_format_size(char buf[16], uint64_t bytes);

/* As vsnprintf; but what does not fit is cut off between two characters of UTF-8. */
void ka_vformat(char *buf, size_t size, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* Bytes at the start of text that go on with a character of UTF-8: where not to cut. */
size_t ka_utf8_rest(const char *text);

#endif

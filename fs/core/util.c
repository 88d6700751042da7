/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* util.c - clock, sizes as people write them, text that is cut. */
#include "keepalive/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int64_t ka_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int ka_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	unsigned long long value;
	const char *unit;
	unsigned shift = 0;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
		if (!strcasecmp(end, "iB") || !strcasecmp(end, "B"))
			end += strlen(end);
	}
	if (*end)
		return -EINVAL;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = (uint64_t)value << shift;
	return 0;
}

char *ka_format_size(char buf[16], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	unsigned u = 0;

	while (v >= 1024 && u + 1 < KA_ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	snprintf(buf, 16, u && v < 99.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

/* Of one character in UTF-8; what is none may be cut anywhere. */
#define CHARACTER_MAX 4

static bool continues_character(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t character_bytes(char first)
{
	unsigned char c = (unsigned char)first;

	return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

size_t ka_utf8_rest(const char *text)
{
	size_t n = 0;

	while (n < CHARACTER_MAX && continues_character(text[n]))
		n++;
	return n < CHARACTER_MAX ? n : 0;
}

/* Takes away a character at the end of which the rest was cut off. */
static void trim(char *text)
{
	size_t len = strlen(text), at = len;

	while (at && len - at < CHARACTER_MAX - 1 && continues_character(text[at - 1]))
		at--;
	if (at && character_bytes(text[at - 1]) > len - at + 1)
		text[at - 1] = 0;
}

void ka_vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	int len = vsnprintf(buf, size, fmt, ap);

	if (len >= 0 && (size_t)len >= size)
		trim(buf);
}

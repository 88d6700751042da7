/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* msg.c - formats a message and hands it to the program's callback. */
#include "keepalive/msg.h"

#include <limits.h>
#include <stdarg.h>

#include "keepalive/util.h"

/* For two paths; what is said behind them must not be cut off. */
#define TEXT_MAX (2 * PATH_MAX + 1024)

void ka_msg(const struct ka_msg_sink *sink, enum ka_msg_level level, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (!sink || !sink->fn)
		return;
	va_start(ap, fmt);
	ka_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	sink->fn(sink->ctx, level, text);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * msg.h - how the core speaks: through a callback of the program.
 *
 * A message is one line without a newline at its end, lower case, what failed
 * first. The callback may be called from any thread.
 */
#ifndef KEEPALIVE_MSG_H
#define KEEPALIVE_MSG_H

enum ka_msg_level {
	KA_MSG_ERROR,
	KA_MSG_WARNING,
	KA_MSG_INFO,
	KA_MSG_DEBUG,
};

struct ka_msg_sink {
	void (*fn)(void *ctx, enum ka_msg_level level, const char *text);
	void *ctx;
};

/* sink may be NULL: the message is dropped. */
void ka_msg(const struct ka_msg_sink *sink, enum ka_msg_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif

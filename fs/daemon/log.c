/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - where the daemon's messages go; see log.h.
 *
 * The state is global because libfuse's log callback is given no context.
 *
 * Locks: state.lock guards the flood counters only.
 */
#include "log.h"

#include <fuse_log.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "keepalive/util.h"
#include "program.h"

/* So many messages in so many seconds, the rest is only counted. */
#define FLOOD_MESSAGES 20
#define FLOOD_SECONDS  5

static struct {
	pthread_mutex_t lock;
	struct ka_msg_sink console;
	bool foreground;
	const char *_Atomic mountpoint; /* not NULL: detached */
	_Atomic unsigned errors;
	time_t window; /* when counting began */
	unsigned in_window;
	unsigned dropped;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int syslog_level(enum ka_msg_level level)
{
	switch (level) {
	case KA_MSG_ERROR:
		return LOG_ERR;
	case KA_MSG_WARNING:
		return LOG_WARNING;
	case KA_MSG_INFO:
		return LOG_INFO;
	case KA_MSG_DEBUG:
		break;
	}
	return LOG_DEBUG;
}

/* Names are in it that anybody gave: they must not look like another line of the log. */
static void emit_syslog(enum ka_msg_level level, const char *mountpoint, const char *text)
{
	KA_AUTO_FREE char *where = ka_program_escaped(mountpoint);
	KA_AUTO_FREE char *safe = ka_program_escaped(text);

	syslog(syslog_level(level), "%s: %s", where ?: "?", safe ?: "no memory for a message");
}

static void emit(enum ka_msg_level level, const char *text)
{
	const char *mountpoint = atomic_load(&state.mountpoint);

	if (mountpoint)
		emit_syslog(level, mountpoint, text);
	else if (level < KA_MSG_INFO || state.foreground)
		ka_msg(&state.console, level, "%s", text);
}

/* Whether the message is one too many; *ret_dropped: of an older flood. */
static bool is_flood(unsigned *ret_dropped)
{
	struct timespec now;
	bool flood;

	clock_gettime(CLOCK_MONOTONIC, &now);
	*ret_dropped = 0;
	pthread_mutex_lock(&state.lock);
	if (now.tv_sec - state.window >= FLOOD_SECONDS) {
		*ret_dropped = state.dropped;
		state.window = now.tv_sec;
		state.in_window = 0;
		state.dropped = 0;
	}
	flood = ++state.in_window > FLOOD_MESSAGES;
	state.dropped += flood;
	pthread_mutex_unlock(&state.lock);
	return flood;
}

static void take(void *ctx, enum ka_msg_level level, const char *text)
{
	char note[64];
	unsigned dropped;

	(void)ctx;
	if (level == KA_MSG_ERROR)
		atomic_fetch_add(&state.errors, 1);
	if (level == KA_MSG_DEBUG || is_flood(&dropped))
		return;
	if (dropped) {
		snprintf(note, sizeof(note), "%u more messages were dropped", dropped);
		emit(KA_MSG_WARNING, note);
	}
	emit(level, text);
}

static const struct ka_msg_sink sink = {.fn = take};

/* libfuse's lines begin with "fuse: " and end with a newline. */
static void take_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	enum ka_msg_level ours = level <= FUSE_LOG_ERR	     ? KA_MSG_ERROR
				 : level <= FUSE_LOG_WARNING ? KA_MSG_WARNING
				 : level <= FUSE_LOG_INFO    ? KA_MSG_INFO
							     : KA_MSG_DEBUG;
	char text[1024];

	ka_vformat(text, sizeof(text), fmt, ap);
	if (ours == KA_MSG_DEBUG) { /* was asked for, with -o debug */
		if (state.foreground)
			fputs(text, stderr);
		return;
	}
	text[strcspn(text, "\n")] = 0;
	if (*text)
		take(NULL, ours, strncmp(text, "fuse: ", 6) ? text : text + 6);
}

void log_start(bool foreground)
{
	state.console = ka_program_sink(DAEMON_NAME);
	state.foreground = foreground;
	fuse_set_log_func(take_fuse);
}

void log_detach(const char *mountpoint)
{
	openlog(DAEMON_NAME, LOG_PID, LOG_DAEMON);
	atomic_store(&state.mountpoint, mountpoint);
}

const struct ka_msg_sink *log_sink(void)
{
	return &sink;
}

unsigned log_errors(void)
{
	return atomic_load(&state.errors);
}

void log_msg(enum ka_msg_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	ka_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	take(NULL, level, text);
}

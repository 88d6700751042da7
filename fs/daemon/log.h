/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - where the daemon's messages go.
 *
 * At first to stderr, as those of every program; information are kept from
 * people who only want to mount, though, unless the daemon stays in the
 * foreground. From log_detach on, everything goes to syslog. A flood, as one
 * message for each read of a damaged file would be, is cut short.
 */
#ifndef KEEPALIVE_DAEMON_LOG_H
#define KEEPALIVE_DAEMON_LOG_H

#include <stdbool.h>

#include "keepalive/msg.h"

#define DAEMON_NAME "keepalivefs"

/* Also takes over libfuse's messages. */
void log_start(bool foreground);

/* To syslog from now on; each message begins with mountpoint, which must stay. */
void log_detach(const char *mountpoint);

/* The sink for the core. */
const struct ka_msg_sink *log_sink(void);

/* Errors logged so far: tells whether a failure was explained already. */
unsigned log_errors(void);

void log_msg(enum ka_msg_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

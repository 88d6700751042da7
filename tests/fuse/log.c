/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - what the daemon hands to syslog: one line for each message, whatever names
 * are in it. syslog is replaced.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "log.h"

void __wrap_syslog(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap___syslog_chk(int level, int flag, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static char last[16384];
static int last_level;

static void keep(int level, const char *fmt, va_list ap)
{
	last_level = level;
	vsnprintf(last, sizeof(last), fmt, ap);
}

void __wrap_syslog(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(level, fmt, ap);
	va_end(ap);
}

void __wrap___syslog_chk(int level, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, fmt);
	keep(level, fmt, ap);
	va_end(ap);
}

static int failed;

static void expect(int level, const char *want)
{
	if (last_level == level && !strcmp(last, want))
		return;
	printf("level %d, '%s' instead of level %d, '%s'\n", last_level, last, level, want);
	failed = 1;
}

int main(void)
{
	log_start(false);
	log_detach("/mnt/a\nb");
	ka_msg(log_sink(), KA_MSG_ERROR, "'%s' is damaged", "a\n<3>fake");
	expect(LOG_ERR, "/mnt/a\\x0ab: 'a\\x0a<3>fake' is damaged");
	ka_msg(log_sink(), KA_MSG_WARNING, "'%s'", "\033[2J\r\x7f\xc2\x9b na\xc3\xafve \xff");
	expect(LOG_WARNING, "/mnt/a\\x0ab: '\\x1b[2J\\x0d\\x7f\\xc2\\x9b na\xc3\xafve \\xff'");
	log_msg(KA_MSG_INFO, "%s", "plain");
	expect(LOG_INFO, "/mnt/a\\x0ab: plain");
	return failed;
}

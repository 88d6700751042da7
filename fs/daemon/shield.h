/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shield.h - keeps the daemon alive and responsive when memory runs short, and
 * others safe from it, should somebody take it over.
 */
#ifndef KEEPALIVE_DAEMON_SHIELD_H
#define KEEPALIVE_DAEMON_SHIELD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What the kernel needs to free memory may be a page of a file of ours, so the
 * daemon must neither wait for memory nor be killed for it. As far as
 * privileges go; no failure matters. For the thread that starts all others.
 */
void shield_process(void);

/* Keeps the daemon's own memory from being paged out, but not the region's. */
void shield_memory(const void *region, size_t bytes);

/*
 * From here on the process has no capabilities, gains none, by no program that it could
 * run, makes only the system calls of sandbox.c, and leaves no core dump with other people's
 * data. Before there are other threads. 0 or -errno, explained to the log.
 */
int shield_others(void);

/* For the helper: only what unmounting takes, as far as fusermount3 does not do it, and lending. */
void shield_helper(bool lends);

#endif

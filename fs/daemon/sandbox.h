/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - which system calls the daemon may make once it serves.
 *
 * The daemon reads what clients and media send it, and needs little of the kernel
 * for that: to answer on descriptors that are open, memory, threads, its log. So
 * a mistake that lets others take it over gets them little. See DESIGN.md for what
 * is refused in which way.
 */
#ifndef KEEPALIVE_DAEMON_SANDBOX_H
#define KEEPALIVE_DAEMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Whether this kernel, or the container around, lets a process filter its calls. */
bool sandbox_possible(void);

/*
 * Applies the filter to all threads, those to come included; there is no way back.
 * 0, or -errno: nothing was applied. Needs no_new_privs, or CAP_SYS_ADMIN.
 */
int sandbox_filter(void);

/*
 * For the tests: the names of the calls that are allowed, whatever their arguments
 * are, and of those that kill. NULL behind the last one.
 */
const char *sandbox_allowed(size_t i);
const char *sandbox_deadly(size_t i);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * program.h - what the command line programs share: how they speak to people.
 *
 * Messages go to stderr, one line each, "program: text". Whatever a name holds,
 * a message stays one line: control characters are printed as \xNN.
 */
#ifndef KEEPALIVE_PROGRAM_H
#define KEEPALIVE_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "keepalive/msg.h"

/*
 * A sink that prints to stderr: errors as they are, warnings as "warning: ...",
 * information as it is; debug messages are dropped. name must be static.
 */
struct ka_msg_sink ka_program_sink(const char *name);

/*
 * A memory error, or a file that somebody truncates meanwhile, where nothing
 * guards against it (ka_region_guard), comes as SIGBUS: says so in one line and
 * ends the program with exit_code. name must be static.
 */
void ka_program_catch_sigbus(const char *name, int exit_code);

/*
 * Explains what getopt_long (with opterr 0 and a ':' in front of optstring)
 * answered with c, '?' or ':'.
 */
void ka_program_option_error(const struct ka_msg_sink *sink, int c, char **argv,
			     const char *optstring);

/* Prints "name (keepalivefs) VERSION". */
void ka_program_version(const char *name);

/*
 * Regions are files and /dev/daxX.Y so far. Explains and returns -EINVAL for
 * another way of naming one (UUID=, LABEL=, regionN, dax@ADDRESS), or for none.
 */
int ka_program_check_region(const struct ka_msg_sink *sink, const char *region);

/*
 * To be called at the end, whatever went wrong: a full disk under stdout is
 * explained, and is a failure. Returns code, or failure instead of 0.
 */
int ka_program_end(const struct ka_msg_sink *sink, int code, int failure);

/* Length of the UTF-8 character at p (RFC 3629), 0 where there is none. */
size_t ka_program_utf8(const uint8_t *p, size_t left);

/* Prints UTF-8; control characters, '\' and what is no UTF-8 as \xNN. */
void ka_program_print_bytes(FILE *out, const void *bytes, size_t len);

/* The same as a string, which the caller frees. NULL: no memory. */
char *ka_program_escaped(const char *text);

#endif

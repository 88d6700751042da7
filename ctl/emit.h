/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit.h - one set of calls for named values that go to JSON or to people.
 *
 * What comes from media is never printed as it is: in JSON a string is made
 * valid UTF-8 (and its bytes are given as KEY_hex too, where that changed it),
 * for people everything but printable ASCII is escaped.
 */
#ifndef KEEPALIVE_EMIT_H
#define KEEPALIVE_EMIT_H

#include <json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keepalive/ioctl.h"

struct emit {
	struct json_object *obj; /* values become members of it; NULL: to stdout */
	bool lines;		 /* stdout: one value a line; else " key=value" */
};

void emit_u64(struct emit *e, const char *key, uint64_t v);
/* Addresses and feature words: hexadecimal for people, numbers in JSON. */
void emit_hex(struct emit *e, const char *key, uint64_t v);
/* "0644" for people and in JSON. */
void emit_mode(struct emit *e, const char *key, uint32_t mode);
void emit_bool(struct emit *e, const char *key, bool v);
/* Of the program, not of media; NULL is null. */
void emit_text(struct emit *e, const char *key, const char *text);
void emit_bytes(struct emit *e, const char *key, const void *bytes, size_t len);
void emit_uuid(struct emit *e, const char *key, const uint8_t uuid[16]);
/* ns since 1970; 0 is never: null in JSON. */
void emit_time(struct emit *e, const char *key, int64_t ns);
void emit_time_sec(struct emit *e, const char *key, int64_t sec, uint32_t nsec);

/* What cannot be read: as an object, and as a line on stdout. */
struct json_object *emit_damage(const struct ka_ioc_damage *d);
void emit_damage_line(const struct ka_ioc_damage *d);

/* "2025-11-21 02:18:00 +0100", or "never"; returns buf. */
char *emit_local_time(char buf[40], int64_t ns);

/* Prints obj, indented, and frees it. */
void emit_print(struct json_object *obj);

#endif

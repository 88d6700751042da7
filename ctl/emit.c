/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit.c - named values to JSON or to people; see emit.h. */
#include "emit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#include "program.h"

#define NS_PER_SEC 1000000000

static void begin(const struct emit *e, const char *key)
{
	if (e->lines)
		printf("  %-20s ", key);
	else
		printf(" %s=", key);
}

static void end(const struct emit *e)
{
	if (e->lines)
		putchar('\n');
}

void emit_u64(struct emit *e, const char *key, uint64_t v)
{
	if (e->obj) {
		json_object_object_add(e->obj, key, json_object_new_uint64(v));
		return;
	}
	begin(e, key);
	printf("%" PRIu64, v);
	end(e);
}

void emit_hex(struct emit *e, const char *key, uint64_t v)
{
	if (e->obj) {
		json_object_object_add(e->obj, key, json_object_new_uint64(v));
		return;
	}
	begin(e, key);
	printf("0x%" PRIx64, v);
	end(e);
}

void emit_mode(struct emit *e, const char *key, uint32_t mode)
{
	char text[16];

	snprintf(text, sizeof(text), "%04" PRIo32, mode);
	emit_text(e, key, text);
}

void emit_bool(struct emit *e, const char *key, bool v)
{
	if (e->obj)
		json_object_object_add(e->obj, key, json_object_new_boolean(v));
	else
		emit_text(e, key, v ? "yes" : "no");
}

void emit_text(struct emit *e, const char *key, const char *text)
{
	if (e->obj) {
		json_object_object_add(e->obj, key, text ? json_object_new_string(text) : NULL);
		return;
	}
	begin(e, key);
	fputs(text ?: "none", stdout);
	end(e);
}

static void add_hex(struct json_object *obj, const char *key, const uint8_t *p, size_t len)
{
	char name[64], *hex = malloc(2 * len + 1);
	size_t i;

	if (!hex)
		return;
	for (i = 0; i < len; i++)
		sprintf(hex + 2 * i, "%02x", p[i]);
	snprintf(name, sizeof(name), "%s_hex", key);
	json_object_object_add(obj, name, json_object_new_string_len(hex, (int)(2 * len)));
	free(hex);
}

static void json_bytes(struct json_object *obj, const char *key, const uint8_t *p, size_t len)
{
	char *text = calloc(3, len + 1);
	size_t i, n, out = 0;
	bool valid = true;

	if (!text)
		return;
	for (i = 0; i < len; i += n) {
		n = ka_program_utf8(p + i, len - i);
		if (n) {
			memcpy(text + out, p + i, n);
			out += n;
			continue;
		}
		memcpy(text + out, "\xef\xbf\xbd", 3); /* U+FFFD */
		out += 3;
		valid = false;
		n = 1;
	}
	json_object_object_add(obj, key, json_object_new_string_len(text, (int)out));
	free(text);
	if (!valid)
		add_hex(obj, key, p, len);
}

void emit_bytes(struct emit *e, const char *key, const void *bytes, size_t len)
{
	if (e->obj) {
		json_bytes(e->obj, key, bytes, len);
		return;
	}
	begin(e, key);
	putchar('\'');
	ka_program_print_bytes(stdout, bytes, len);
	putchar('\'');
	end(e);
}

void emit_uuid(struct emit *e, const char *key, const uint8_t uuid[16])
{
	char text[UUID_STR_LEN];

	uuid_unparse_lower(uuid, text);
	emit_text(e, key, text);
}

void emit_time_sec(struct emit *e, const char *key, int64_t sec, uint32_t nsec)
{
	char text[80];
	struct tm tm;
	time_t t = sec;
	size_t n;

	if (gmtime_r(&t, &tm)) {
		n = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(text + n, sizeof(text) - n, ".%09" PRIu32 "Z", nsec);
	} else {
		snprintf(text, sizeof(text), "@%" PRId64, sec);
	}
	emit_text(e, key, text);
}

static int64_t whole_sec(int64_t ns)
{
	return ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
}

void emit_time(struct emit *e, const char *key, int64_t ns)
{
	int64_t sec = whole_sec(ns);

	if (ns)
		emit_time_sec(e, key, sec, (uint32_t)(ns - sec * NS_PER_SEC));
	else
		emit_text(e, key, e->obj ? NULL : "never");
}

char *emit_local_time(char buf[40], int64_t ns)
{
	time_t t = whole_sec(ns);
	struct tm tm;

	if (!ns || !localtime_r(&t, &tm) || !strftime(buf, 40, "%Y-%m-%d %H:%M:%S %z", &tm))
		strcpy(buf, "never");
	return buf;
}

void emit_print(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(obj);
}

struct json_object *emit_damage(const struct ka_ioc_damage *d)
{
	struct json_object *obj = json_object_new_object();
	struct emit e = {.obj = obj};

	if (d->path[0])
		emit_bytes(&e, "path", d->path, strlen(d->path));
	else
		emit_text(&e, "path", NULL);
	emit_u64(&e, "inode", d->ino);
	emit_u64(&e, "offset", d->off);
	emit_u64(&e, "length", d->len);
	emit_text(&e, "reason", d->reason);
	return obj;
}

void emit_damage_line(const struct ka_ioc_damage *d)
{
	if (d->path[0])
		ka_program_print_bytes(stdout, d->path, strlen(d->path));
	else
		printf("<inode %" PRIu64 ">", d->ino);
	if (d->ino)
		printf(": bytes %" PRIu64 "-%" PRIu64, d->off, d->off + d->len - 1);
	else
		printf(" at 0x%" PRIx64, d->off);
	printf(": %s\n", d->reason);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* problem.c - telling of problems, and deciding what is repaired. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/program.h"
#include "fsck.h"
#include "keepalive/util.h"

enum how { SAFE, RISKY };

static const struct {
	enum fsck_problem number;
	enum how how;
	const char *text;
	const char *repair;
} problems[] = {
#define KA_PROBLEM(number, name, how, text, repair) {FSCK_P_##name, how, text, repair},
	KA_PROBLEMS(KA_PROBLEM)
#undef KA_PROBLEM
};

static size_t find(enum fsck_problem problem)
{
	size_t i = 0;

	while (problems[i].number != problem)
		i++;
	return i;
}

static bool ask(const char *repair)
{
	char line[16];

	printf("%s (y/n)? ", repair);
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static bool decide(const struct fsck *f, enum how how, const char *repair)
{
	switch (f->mode) {
	case FSCK_NO:
		return false;
	case FSCK_PREEN:
		return how == SAFE;
	case FSCK_YES:
		return true;
	case FSCK_ASK:
		break;
	}
	return ask(repair);
}

static void report_json(struct fsck *f, size_t i, const struct fsck_where *where,
			const char *detail, bool fix)
{
	json_object *list, *item;

	if (!f->report || !json_object_object_get_ex(f->report, "problems", &list) ||
	    json_object_array_length(list) >= FSCK_LISTED_MAX)
		return;
	item = json_object_new_object();
	json_object_object_add(item, "number", json_object_new_int(problems[i].number));
	json_object_object_add(item, "text", json_object_new_string(problems[i].text));
	json_object_object_add(item, "detail", json_object_new_string(detail));
	if (where && where->path) {
		KA_AUTO_FREE char *path = ka_program_escaped(where->path);

		json_object_object_add(item, "path", json_object_new_string(path ?: "?"));
	}
	if (where && where->length) {
		json_object_object_add(item, "offset", json_object_new_uint64(where->offset));
		json_object_object_add(item, "length", json_object_new_uint64(where->length));
	}
	json_object_object_add(item, "repair", json_object_new_string(problems[i].repair));
	json_object_object_add(item, "fixed", json_object_new_boolean(fix));
	json_object_array_add(list, item);
}

static void report(struct fsck *f, size_t i, const struct fsck_where *where, const char *detail,
		   bool fix)
{
	KA_AUTO_FREE char *safe = ka_program_escaped(detail);

	fsck_clear_bar(f);
	if (f->out)
		fprintf(f->out, "%s: [%d] %s: %s%s%s\n", f->path, problems[i].number,
			problems[i].text, safe ?: "?", fix ? ": " : "",
			fix ? problems[i].repair : "");
	report_json(f, i, where, safe ?: "?", fix);
}

static __attribute__((format(printf, 4, 0))) bool found(struct fsck *f, enum fsck_problem problem,
							const struct fsck_where *where,
							const char *fmt, va_list ap)
{
	size_t i = find(problem);
	KA_AUTO_FREE char *detail = NULL;
	bool fix;

	if (vasprintf(&detail, fmt, ap) < 0)
		detail = NULL;
	if (f->mode == FSCK_ASK)
		report(f, i, where, detail ?: "?", false);
	fix = decide(f, problems[i].how, problems[i].repair);
	if (f->mode != FSCK_ASK)
		report(f, i, where, detail ?: "?", fix);
	f->found++;
	if (fix) {
		f->fixed++;
		f->store = true;
	}
	return fix;
}

bool fsck_found(struct fsck *f, enum fsck_problem problem, const char *fmt, ...)
{
	va_list ap;
	bool fix;

	va_start(ap, fmt);
	fix = found(f, problem, NULL, fmt, ap);
	va_end(ap);
	return fix;
}

bool fsck_found_at(struct fsck *f, enum fsck_problem problem, const struct fsck_where *where,
		   const char *fmt, ...)
{
	va_list ap;
	bool fix;

	va_start(ap, fmt);
	fix = found(f, problem, where, fmt, ap);
	va_end(ap);
	return fix;
}

void fsck_say(struct fsck *f, const char *fmt, ...)
{
	va_list ap;

	if (!f->out)
		return;
	fsck_clear_bar(f);
	va_start(ap, fmt);
	fprintf(f->out, "%s: ", f->path);
	vfprintf(f->out, fmt, ap);
	putc('\n', f->out);
	va_end(ap);
}

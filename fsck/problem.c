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

enum how { SAFE, RISKY, FATAL };

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
	if (how == FATAL)
		return false;
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

/* A name can be any bytes; JSON wants UTF-8. The caller frees it. */
static char *escaped(const char *text)
{
	char *out = NULL;
	size_t bytes;
	FILE *f = open_memstream(&out, &bytes);

	if (!f)
		return NULL;
	ka_program_print_bytes(f, text, strlen(text));
	fclose(f);
	return out;
}

static void report(struct fsck *f, size_t i, const char *detail, bool fix)
{
	KA_AUTO_FREE char *safe = escaped(detail);
	json_object *list, *item;

	if (f->out)
		fprintf(f->out, "%s: [%d] %s: %s%s%s\n", f->path, problems[i].number,
			problems[i].text, safe ?: "?", fix ? ": " : "",
			fix ? problems[i].repair : "");
	if (!f->report || !json_object_object_get_ex(f->report, "problems", &list))
		return;
	item = json_object_new_object();
	json_object_object_add(item, "number", json_object_new_int(problems[i].number));
	json_object_object_add(item, "text", json_object_new_string(problems[i].text));
	json_object_object_add(item, "detail", json_object_new_string(safe ?: "?"));
	json_object_object_add(item, "repair", json_object_new_string(problems[i].repair));
	json_object_object_add(item, "fixed", json_object_new_boolean(fix));
	json_object_array_add(list, item);
}

bool fsck_found(struct fsck *f, enum fsck_problem problem, const char *fmt, ...)
{
	size_t i = find(problem);
	char detail[5000];
	va_list ap;
	bool fix;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	if (f->mode == FSCK_ASK)
		report(f, i, detail, false);
	fix = decide(f, problems[i].how, problems[i].repair);
	if (f->mode != FSCK_ASK)
		report(f, i, detail, fix);
	f->found++;
	if (fix) {
		f->fixed++;
		f->store = true;
	}
	return fix;
}

void fsck_say(struct fsck *f, const char *fmt, ...)
{
	va_list ap;

	if (!f->out)
		return;
	va_start(ap, fmt);
	fprintf(f->out, "%s: ", f->path);
	vfprintf(f->out, fmt, ap);
	putc('\n', f->out);
	va_end(ap);
}

void fsck_progress(struct fsck *f, int pass, uint64_t at, uint64_t of)
{
	if (f->progress_fd >= 0)
		dprintf(f->progress_fd, "%d %" PRIu64 " %" PRIu64 " %s\n", pass, at, of, f->path);
}

struct name_search {
	const struct ka_inode *inode;
	const struct ka_dirent *found;
};

static void look_at_name(struct ka_hnode *node, void *ctx)
{
	const struct ka_dirent *de = ka_container_of(node, struct ka_dirent, node);
	struct name_search *s = ctx;

	if (de->inode == s->inode)
		s->found = de;
}

/* Only for messages: looks through all names, once for each step upwards. */
char *fsck_path_of(struct fsck *f, const struct ka_inode *inode)
{
	const struct ka_inode *first = inode;
	char *path = NULL, *longer;
	struct name_search s;

	if (inode->ino == KA_ROOT_INO)
		return strdup("/");
	while (inode->ino != KA_ROOT_INO) {
		s = (struct name_search){.inode = inode};
		ka_htab_visit(&f->fs->index.names, look_at_name, &s);
		if (!s.found || (path && inode == first)) /* no name, or a loop */
			break;
		if (asprintf(&longer, "/%s%s", s.found->name, path ?: "") < 0)
			longer = NULL;
		free(path);
		path = longer;
		inode = s.found->dir;
	}
	if (inode->ino != KA_ROOT_INO) {
		if (asprintf(&longer, "<inode %" PRIu64 ">%s", inode->ino, path ?: "") < 0)
			longer = NULL;
		free(path);
		path = longer;
	}
	return path;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* judge.c - what becomes of one image; see judge.h. */
#include "judge.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"
#include "memfs.h"

struct judge {
	struct memfs m;
	struct undo *image;
	struct verdict *v;
	int fsck_status;
};

static void accuse(struct judge *j, const char *problem)
{
	if (!j->v->problem)
		j->v->problem = problem;
}

/* ---- fsck ------------------------------------------------------------- */

static int run_fsck(struct judge *j, json_object *report, FILE *out)
{
	struct fsck f = {
		.path = "crash",
		.mode = FSCK_NO,
		.force = true,
		.progress_fd = -1,
		.sink = &j->m.msgs.sink,
		.rg = j->m.rg,
		.report = report,
		.out = out,
	};

	return fsck_check(&f);
}

/*
 * Whether all that fsck had to say was about a copy of the superblock that is not whole:
 * a torn one is what a cut within its update leaves.
 */
static bool only_super(struct judge *j)
{
	json_object *report = json_object_new_object(), *list = json_object_new_array(), *number;
	FILE *out = open_memstream(&j->v->fsck_says, &(size_t){0});
	bool only = true;
	size_t i;

	assert_non_null(out);
	json_object_object_add(report, "problems", list);
	(void)run_fsck(j, report, out);
	fclose(out);
	for (i = 0; i < json_object_array_length(list); i++) {
		json_object_object_get_ex(json_object_array_get_idx(list, i), "number", &number);
		only &= json_object_get_int(number) == FSCK_P_SUPER_COPY;
	}
	json_object_put(report);
	return only;
}

/* Whether one copy of the superblock is older: fsck takes that for a cut between them. */
static bool copies_apart(struct judge *j)
{
	struct ka_super_report rep;
	struct ka_super sb;

	return !ka_super_read(j->m.rg, NULL, &rep, &sb) && !rep.copy_err[0] && !rep.copy_err[1] &&
	       rep.copy_seq[0] != rep.copy_seq[1];
}

/* fsck -n -f finds nothing, and leaves everything as it is. */
static void check(struct judge *j)
{
	size_t before = undo_mark(j->image);

	j->fsck_status = run_fsck(j, NULL, NULL);
	j->v->super = j->fsck_status == FSCK_ERRORS_LEFT ? only_super(j) : copies_apart(j);
	if (!undo_untouched(j->image))
		accuse(j, "fsck -n changed something");
	undo_back(j->image, before);
}

/* ---- mounts ----------------------------------------------------------- */

static void expect_sound(struct judge *j, const char *when)
{
	struct ka_fs_status st;

	ka_fs_get_status(j->m.fs, &st);
	if (j->m.msgs.errors || st.damaged || st.rdonly || st.super.lost)
		accuse(j, when);
	else
		memfs_check(j->m.fs);
}

static void expect_same(struct judge *j, const char *want, const char *problem)
{
	char *dump = memfs_dump(j->m.fs);

	if (strcmp(dump, want))
		accuse(j, problem);
	free(dump);
}

/* Recovery leaves something that works, not only something that looks right. */
static void live_on(struct judge *j)
{
	uint8_t buf[5000];
	size_t written;
	ka_ino_t ino;
	char *dump;

	memfs_pattern(buf, sizeof(buf), 77, 100);
	if (memfs_try_create(j->m.fs, KA_ROOT_INO, "after", S_IFREG | 0644, NULL, &ino) ||
	    memfs_try_write(j->m.fs, ino, 100, buf, sizeof(buf), &written))
		test_messages_clear(&j->m.msgs); /* no room, which may be said aloud */
	dump = memfs_dump(j->m.fs);
	memfs_abandon(&j->m);
	if (memfs_try_open(&j->m)) {
		accuse(j, "the next mount after a recovery and a crash fails");
	} else {
		expect_sound(j, "the next mount after a recovery and a crash finds damage");
		expect_same(j, dump, "what was done after a recovery is gone");
	}
	free(dump);
}

static void remount(struct judge *j)
{
	struct ka_fs *fs = j->m.fs;
	char *dump = memfs_dump(fs);

	j->m.fs = NULL;
	if (ka_fs_close(fs)) {
		accuse(j, "clean unmount after recovery fails");
	} else if (run_fsck(j, NULL, NULL)) {
		accuse(j, "fsck finds something after recovery and unmount");
	} else if (memfs_try_open(&j->m)) {
		accuse(j, "mount after recovery and unmount fails");
	} else {
		expect_sound(j, "mount after recovery and unmount finds damage");
		expect_same(j, dump, "unmount and mount after recovery change the tree");
	}
	free(dump);
}

static void use(struct judge *j, bool live)
{
	expect_sound(j, "recovery finds damage");
	j->v->dump = memfs_dump(j->m.fs);
	if (j->fsck_status && !j->v->super)
		accuse(j, "fsck -n -f finds something");
	if (live && !j->v->problem)
		live_on(j);
	if (!j->v->problem)
		remount(j);
}

void judge(struct undo *image, uint64_t bytes, bool live, struct verdict *ret)
{
	struct judge j = {.image = image, .v = ret};
	size_t before = undo_mark(image);
	int64_t now_ns = fixed_now_ns;
	struct ka_region *rg;
	int err;

	*ret = (struct verdict){0};
	assert_ok(undo_region_open(image, bytes, &rg));
	memfs_on(&j.m, rg);
	check(&j);
	err = memfs_try_open(&j.m);
	if (!err)
		use(&j, live);
	else if (err != -KA_ERR_NOT_KEEPALIVE && err != -KA_ERR_SUPER_CSUM &&
		 err != -KA_ERR_SUPER_GONE)
		accuse(&j, "mount fails");
	/* Two copies, erased in part, may make a whole one: fsck says that it could. */
	else if (j.fsck_status != FSCK_COULD_NOT_RUN && j.fsck_status != FSCK_ERRORS_LEFT)
		accuse(&j, "there is no filesystem, yet fsck says something else");
	else
		ret->dump = strdup(JUDGE_NOTHING);
	if (ret->problem) {
		free(ret->dump);
		ret->dump = NULL;
	}
	ret->messages = j.m.msgs.text ? strdup(j.m.msgs.text) : NULL;
	memfs_release(&j.m);
	undo_back(image, before);
	fixed_now_ns = now_ns;
}

void verdict_release(struct verdict *v)
{
	free(v->dump);
	free(v->messages);
	free(v->fsck_says);
	*v = (struct verdict){0};
}

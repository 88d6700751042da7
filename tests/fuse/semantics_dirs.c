/* SPDX-License-Identifier: GPL-2.0-or-later */
/* semantics_dirs.c - reading directories: positions, types, changes meanwhile. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

#define MANY 10000
#define SOME 500

static void make(const char *dir, int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		MUST(!mknod(fmt("%s/%d", dir, i), S_IFREG | 0644, 0));
}

static void clear(const char *dir, int count)
{
	int i;

	for (i = 0; i < count; i++)
		unlink(fmt("%s/%d", dir, i));
	MUST(!rmdir(dir));
}

/* ---- positions ---------------------------------------------------------------------- */

static void positions(void)
{
	static char names[SOME + 2][256];
	static long at[SOME + 2];
	struct dirent *de;
	int n = 0, i, wrong = 0;
	DIR *dir;

	MUST(!mkdir("some", 0755));
	make("some", 0, SOME);
	dir = opendir("some");
	for (;;) {
		long here = telldir(dir);

		de = readdir(dir);
		if (!de)
			break;
		MUST(n < SOME + 2);
		at[n] = here;
		snprintf(names[n++], sizeof(names[0]), "%s", de->d_name);
	}
	line("entries", "%d", n);
	for (i = n - 1; i >= 0; i -= 7) {
		seekdir(dir, at[i]);
		de = readdir(dir);
		wrong += !de || strcmp(de->d_name, names[i]);
	}
	line("seekdir-wrong", "%d", wrong);
	/* A position holds through changes at other names, and in another stream. */
	MUST(!unlink(fmt("some/%s", names[5])) && !mkdir("some/new", 0755));
	seekdir(dir, at[200]);
	de = readdir(dir);
	line("seekdir-after-change", "%s",
	     de && !strcmp(de->d_name, names[200]) ? "same" : "other");
	closedir(dir);
	dir = opendir("some");
	seekdir(dir, at[300]);
	de = readdir(dir);
	line("seekdir-other-stream", "%s",
	     de && !strcmp(de->d_name, names[300]) ? "same" : "other");
	rewinddir(dir);
	for (i = 0; readdir(dir); i++)
		;
	line("rewinddir", "%d", i);
	closedir(dir);
	MUST(!rmdir("some/new"));
	clear("some", SOME);
}

/* ---- kinds --------------------------------------------------------------------------------- */

static void types(void)
{
	char found[256] = {0};
	struct dirent *de;
	struct stat st, up;
	int same = 0, dots = 0;
	DIR *dir;

	MUST(!mkdir("t", 0755) && !mkdir("t/d", 0755) && !symlink("x", "t/l"));
	put_file("t/f", "", 0644);
	MUST(!mkfifo("t/p", 0644) && !mknod("t/s", S_IFSOCK | 0644, 0));
	MUST(!mknod("t/c", S_IFCHR | 0644, makedev(1, 3)));
	MUST(!mknod("t/b", S_IFBLK | 0644, makedev(7, 0)));
	MUST(!stat(".", &up));
	dir = opendir("t");
	while ((de = readdir(dir))) {
		MUST(!fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW));
		same += de->d_ino == st.st_ino && de->d_type == IFTODT(st.st_mode);
		if (de->d_name[0] == '.')
			dots += strcmp(de->d_name, "..") ? 1 : de->d_ino == up.st_ino ? 10 : 0;
		else
			found[(unsigned char)de->d_name[0]] = (char)('0' + de->d_type);
	}
	closedir(dir);
	line("types", "%d same, dots %d, %c%c%c%c%c%c%c", same, dots, found['d'], found['l'],
	     found['f'], found['p'], found['s'], found['c'], found['b']);
	MUST(!rmdir("t/d") && !unlink("t/l") && !unlink("t/f") && !unlink("t/p"));
	MUST(!unlink("t/s") && !unlink("t/c") && !unlink("t/b") && !rmdir("t"));
}

/* ---- others at work ------------------------------------------------------------------------- */

static void count_while(const char *name, const char *dir_name, int rounds, pid_t pid)
{
	static unsigned char seen[MANY];
	int missing = 0, repeated = 0, i, round, status;
	struct dirent *de;
	DIR *dir;

	for (round = 0; round < rounds; round++) {
		memset(seen, 0, sizeof(seen));
		dir = opendir(dir_name);
		while ((de = readdir(dir)))
			if (de->d_name[0] != '.' && de->d_name[0] != 'n')
				seen[atoi(de->d_name)]++;
		closedir(dir);
		for (i = 0; i < MANY; i++) {
			missing += i % 2 == 0 && !seen[i];
			repeated += seen[i] > 1;
		}
	}
	MUST(waitpid(pid, &status, 0) == pid && !status);
	line(name, "%d missing, %d repeated", missing, repeated);
}

/* Half of 10,000 go while all are listed: the others are there, each once. */
static void concurrent(void)
{
	struct dirent *de;
	char name[32];
	int i, left = 0;
	pid_t pid;
	DIR *dir;

	MUST(!mkdir("many", 0755));
	make("many", 0, MANY);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		for (i = 1; i < MANY; i += 2) {
			snprintf(name, sizeof(name), "many/%d", i);
			MUST(!unlink(name));
		}
		_exit(0);
	}
	count_while("concurrent-unlink", "many", 5, pid);
	dir = opendir("many");
	while ((de = readdir(dir)))
		left++;
	closedir(dir);
	line("concurrent-left", "%d", left);
	pid = fork();
	if (!pid) {
		for (i = 0; i < 2000; i++) {
			snprintf(name, sizeof(name), "many/n%d", i);
			MUST(!mknod(name, S_IFREG | 0644, 0));
			if (i > 3) {
				snprintf(name, sizeof(name), "many/n%d", i - 3);
				MUST(!unlink(name));
			}
		}
		_exit(0);
	}
	count_while("concurrent-create", "many", 5, pid);
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "many/n%d", i);
		unlink(name);
	}
	/* rm -r: unlinking what the stream gives, without a second look. */
	dir = opendir("many");
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.')
			MUST(!unlinkat(dirfd(dir), de->d_name, 0));
	closedir(dir);
	RESULT("remove-while-reading", rmdir("many"));
}

/* A stream on a directory that is gone ends, and says nothing. */
static void removed(void)
{
	struct dirent *de;
	int n = 0;
	DIR *dir;

	MUST(!mkdir("gone", 0755));
	dir = opendir("gone");
	MUST(!rmdir("gone"));
	errno = 0;
	while ((de = readdir(dir)))
		n++;
	line("removed", "%d %s", n, errno ? rc(-1) : "ok");
	closedir(dir);
	RESULT("opendir-file", (put_file("f", "", 0644), opendir("f")) ? 0 : -1);
	MUST(!unlink("f"));
}

/* ".." in a listing, and where it leads, after a move. */
static void moved(void)
{
	struct stat new_parent, up;
	ino_t listed = 0;
	struct dirent *de;
	DIR *dir;

	MUST(!mkdir("from", 0755) && !mkdir("to", 0755) && !mkdir("from/d", 0755));
	dir = opendir("from/d");
	while (readdir(dir))
		;
	MUST(!rename("from/d", "to/d") && !stat("to", &new_parent) && !stat("to/d/..", &up));
	rewinddir(dir);
	while ((de = readdir(dir)))
		if (!strcmp(de->d_name, ".."))
			listed = de->d_ino;
	closedir(dir);
	line("moved-leads", "%s", up.st_ino == new_parent.st_ino ? "there" : "elsewhere");
	line("moved-lists", "%s", listed == new_parent.st_ino ? "there" : "elsewhere");
	MUST(!rmdir("to/d") && !rmdir("to") && !rmdir("from"));
}

/* What another process makes is there, in a stream that was read before too. */
static void refreshed(void)
{
	struct dirent *de;
	int n = 0;
	DIR *dir;

	MUST(!mkdir("r", 0755));
	make("r", 0, 3);
	dir = opendir("r");
	while (readdir(dir))
		n++;
	if (enter(0, NOGID)) {
		MUST(!mkdir("r/new", 0755) && !unlink("r/1"));
		leave();
	}
	rewinddir(dir);
	line("before", "%d", n);
	for (n = 0; (de = readdir(dir));)
		n += de->d_name[0] == 'n' ? 100 : 1;
	line("after", "%d", n);
	closedir(dir);
	MUST(!rmdir("r/new"));
	clear("r", 3);
}

void test_dirs(void)
{
	positions();
	types();
	concurrent();
	removed();
	moved();
	refreshed();
}

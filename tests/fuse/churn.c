/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * churn.c - many processes in one tree, all at the same names.
 *
 * churn run DIR SECONDS [SEED]: they create, write, map, truncate, punch, read, rename, exchange,
 * link and unlink. Errors that such races have by nature are expected, others end it. Prints the
 * seed; with it each process makes the same calls, in an order among them that the machine gives.
 *
 * churn check DIR: every file has words that belong there: zero, or made of inode and position.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 8
#define DIRS	  5
#define NAMES	  12
#define WORDS	  (64 * 1024 / 8) /* a file at its largest */

static uint64_t state;
static sigjmp_buf beyond_end;
static unsigned long calls, done, beyond;
static unsigned long files_checked, words_checked;

static uint64_t next(void) /* splitmix64, Sebastiano Vigna */
{
	uint64_t z = (state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
	return next() % n;
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* What may happen when others are at the same names is not an error. */
static void called(const char *what, long result)
{
	calls++;
	if (result >= 0) {
		done++;
		return;
	}
	switch (errno) {
	case ENOENT:
	case EEXIST:
	case ENOTDIR:
	case EISDIR:
	case ENOTEMPTY:
	case EBUSY:  /* of "." */
	case EINVAL: /* a directory into itself */
	case ELOOP:
	case ESTALE: /* the name was deleted twice while it was opened: see keepalivefs(8) */
		return;
	}
	die(what);
}

/* What no other process can make fail. */
static void must(const char *what, long result)
{
	calls++;
	done++;
	if (result < 0)
		die(what);
}

static uint64_t word_of(ino_t ino, size_t pos)
{
	uint64_t word = ((uint64_t)ino << 16 | pos) * 0x9e3779b97f4a7c15u;

	return word ? word : 1;
}

/* A word that is just being written may be seen in parts: then it is good when read again. */
static void check_words(int fd, size_t pos, size_t count, const char *what)
{
	static uint64_t word[WORDS];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		die("fstat");
	for (int tries = 1;; tries++) {
		size_t i = 0;

		n = pread(fd, word, count * 8, (off_t)pos * 8);
		if (n < 0)
			die("pread");
		while (i < (size_t)n / 8 && (!word[i] || word[i] == word_of(st.st_ino, pos + i)))
			i++;
		if (i == (size_t)n / 8)
			break;
		if (tries == 5) {
			fprintf(stderr, "%s, inode %lu: wrong bytes at %zu: %016lx, not %016lx\n",
				what, (unsigned long)st.st_ino, (pos + i) * 8,
				(unsigned long)word[i], (unsigned long)word_of(st.st_ino, pos + i));
			exit(1);
		}
	}
	words_checked += (size_t)n / 8;
}

/* Directories are named alike on two levels, so that they are moved into each other, too. */
static const char *some_dir(char buf[64])
{
	unsigned a = below(DIRS), b = below(DIRS);

	switch (below(3)) {
	case 0:
		return strcpy(buf, ".");
	case 1:
		snprintf(buf, 64, "d%u", a);
		return buf;
	}
	snprintf(buf, 64, "d%u/d%u", a, b);
	return buf;
}

static const char *some_name(char buf[96])
{
	char dir[64];

	snprintf(buf, 96, "%s/f%u", some_dir(dir), (unsigned)below(NAMES));
	return buf;
}

static void sigbus(int sig)
{
	(void)sig;
	siglongjmp(beyond_end, 1);
}

/* Another process may truncate the file below the mapping: what is beyond raises SIGBUS. */
static void store_mapped(int fd, ino_t ino, size_t pos, size_t count)
{
	volatile uint64_t *map;
	struct stat st;

	if (fstat(fd, &st))
		die("fstat");
	if (!st.st_size)
		return;
	map = mmap(NULL, WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("mmap");
	if (!sigsetjmp(beyond_end, 1)) {
		for (size_t i = pos; i < pos + count && i < (size_t)st.st_size / 8; i++)
			map[i] = word_of(ino, i);
	} else {
		beyond++;
	}
	if (below(2))
		must("msync", msync((void *)map, WORDS * 8, MS_SYNC));
	munmap((void *)map, WORDS * 8);
}

static void store(int fd, ino_t ino, size_t pos, size_t count)
{
	static uint64_t word[WORDS];

	for (size_t i = 0; i < count; i++)
		word[i] = word_of(ino, pos + i);
	must("pwrite", pwrite(fd, word, count * 8, (off_t)pos * 8));
}

static void change_data(void)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	size_t pos = below(WORDS), count = 1 + below(below(4) ? 1024 : WORDS);
	char name[96];
	struct stat st;
	int fd;

	if (count > WORDS - pos)
		count = WORDS - pos;
	fd = open(some_name(name), O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
	called("open", fd);
	if (fd < 0)
		return;
	if (fstat(fd, &st))
		die("fstat");
	for (unsigned n = 1 + below(4); n; n--) {
		switch (below(8)) {
		case 0:
		case 1:
		case 2:
			store(fd, st.st_ino, pos, count);
			break;
		case 3:
			store_mapped(fd, st.st_ino, pos, count);
			break;
		case 4:
			must("ftruncate", ftruncate(fd, (off_t)pos * 8));
			break;
		case 5:
			must("fallocate", fallocate(fd, punch, (off_t)pos * 8, (off_t)count * 8));
			break;
		default:
			check_words(fd, pos, count, name);
		}
	}
	must("close", close(fd));
}

static void change_names(void)
{
	char a[96], b[96], dir[64], other[64];

	switch (below(12)) {
	case 0:
	case 1:
		called("mkdir", mkdir(some_dir(dir), 0755));
		return;
	case 2:
		called("rmdir", rmdir(some_dir(dir)));
		return;
	case 3:
		called("rename", renameat2(AT_FDCWD, some_dir(dir), AT_FDCWD, some_dir(other),
					   below(2) ? RENAME_EXCHANGE : 0));
		return;
	case 4:
	case 5:
		called("link", link(some_name(a), some_name(b)));
		return;
	case 6:
	case 7:
		called("unlink", unlink(some_name(a)));
		return;
	case 8:
		called("symlink", symlink(some_name(a), some_name(b)));
		return;
	case 9:
		called("exchange",
		       renameat2(AT_FDCWD, some_name(a), AT_FDCWD, some_name(b), RENAME_EXCHANGE));
		return;
	case 10:
		called("rename",
		       renameat2(AT_FDCWD, some_name(a), AT_FDCWD, some_name(b), RENAME_NOREPLACE));
		return;
	}
	called("rename", rename(some_name(a), some_name(b)));
}

static void look(void)
{
	char name[96], dir[64];
	struct dirent *entry;
	struct stat st;
	DIR *d;

	if (below(4)) {
		called("lstat", lstat(some_name(name), &st));
		return;
	}
	d = opendir(some_dir(dir));
	called("opendir", d ? 0 : -1);
	if (!d)
		return;
	while (errno = 0, entry = readdir(d))
		;
	called("readdir", errno ? -1 : 0);
	closedir(d);
}

/* With SIGBUS handled here, not in the parent. */
static void work(uint64_t seed, double end)
{
	struct sigaction action = {.sa_handler = sigbus};
	struct timespec now;

	state = seed;
	sigaction(SIGBUS, &action, NULL);
	do {
		switch (below(4)) {
		case 0:
			change_names();
			break;
		case 1:
			look();
			break;
		default:
			change_data();
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)now.tv_sec + (double)now.tv_nsec / 1e9 < end);
	printf("%lu calls, %lu succeeded, %lu words read, %lu times beyond the end of a mapped file\n",
	       calls, done, words_checked, beyond);
}

static int check_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;

	(void)ftw;
	if (type == FTW_DNR || type == FTW_NS) {
		fprintf(stderr, "%s cannot be read\n", path);
		return 1;
	}
	if (!S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path);
	if (st->st_size % 8 || st->st_size > WORDS * 8) {
		fprintf(stderr, "%s has %ld bytes\n", path, (long)st->st_size);
		return 1;
	}
	check_words(fd, 0, WORDS, path);
	close(fd);
	files_checked++;
	return 0;
}

static int check(void)
{
	if (nftw(".", check_file, 32, FTW_PHYS))
		return 1;
	printf("%lu files, %lu words\n", files_checked, words_checked);
	return 0;
}

static int run(double seconds, uint64_t seed)
{
	struct timespec now;
	int failed = 0;

	printf("seed %lu\n", (unsigned long)seed);
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds += (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	for (unsigned i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			work(seed * PROCESSES + i, seconds);
			exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;

		if (wait(&status) < 0)
			die("wait");
		if (WIFSIGNALED(status))
			fprintf(stderr, "signal %d\n", WTERMSIG(status));
		failed |= status;
	}
	return failed ? 1 : check();
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;

	if (argc == 3 && !strcmp(argv[1], "check")) {
		if (chdir(argv[2]))
			die(argv[2]);
		return check();
	}
	if (argc < 4 || argc > 5 || strcmp(argv[1], "run")) {
		fprintf(stderr, "usage: churn run DIR SECONDS [SEED] | churn check DIR\n");
		return 2;
	}
	if (chdir(argv[2]))
		die(argv[2]);
	if (argc == 5)
		seed = strtoull(argv[4], NULL, 0);
	return run(strtod(argv[3], NULL), seed);
}

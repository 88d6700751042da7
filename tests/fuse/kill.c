/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kill.c - kill -9 of the daemon at random moments under load.
 *
 * Threads change files on the mount, each in a directory of its own, and keep
 * a model of what every returned call must have left. The daemon is killed;
 * fsck -p and a new mount follow; then each directory has to equal its model,
 * or its model after the one call that had not returned. Of a write that had
 * not returned any prefix may be there, as it may have been several records.
 *
 * kill KEEPALIVEFS FSCK MKFS DIR ROUNDS [SEED]: DIR is for the region and the
 * mount point. Prints the seed; with it the same calls are made, though what
 * moment the kill hits depends on the machine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS	  4
#define FILES	  24
#define FILE_MAX  (160u << 10)
#define WRITE_MAX (48u << 10)

enum kind { NONE, CREATE, WRITE, APPEND, TRUNCATE, RENAME, REPLACE, UNLINK, CHMOD, KINDS };

struct file {
	bool exists;
	unsigned name; /* changes with each rename */
	mode_t mode;
	size_t size;
	uint8_t *data; /* FILE_MAX bytes */
};

struct call {
	enum kind kind;
	int file;
	int other; /* REPLACE: which one goes */
	unsigned name;
	mode_t mode;
	size_t off;
	size_t len;
	uint64_t seed; /* of the bytes */
};

struct worker {
	int id;
	uint64_t random;
	struct file file[FILES];
	struct call pending; /* NONE: all have returned */
	unsigned names;
	unsigned long calls;
};

static char region[512], mount_dir[512];
static const char *keepalivefs, *fsck, *mkfs;

static uint64_t next(uint64_t *state) /* splitmix64, Sebastiano Vigna */
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void die(const char *what)
{
	fprintf(stderr, "kill: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void path_of(const struct worker *w, unsigned name, char path[600])
{
	snprintf(path, 600, "%s/%d/%u", mount_dir, w->id, name);
}

static void make_bytes(uint64_t seed, uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = i % 8 ? p[i - 1] * 31 + 7 : (uint8_t)next(&seed);
}

/* Picks a call that the model says must work. */
static void choose(struct worker *w, struct call *c)
{
	struct file *f;

	*c = (struct call){.file = (int)(next(&w->random) % FILES)};
	f = &w->file[c->file];
	c->name = ++w->names;
	c->seed = next(&w->random);
	if (!f->exists) {
		c->kind = CREATE;
		c->mode = 0600 | (next(&w->random) & 0077);
		return;
	}
	c->kind = (enum kind)(WRITE + next(&w->random) % (KINDS - WRITE));
	c->len = 1 + next(&w->random) % (next(&w->random) % 4 ? 3000 : WRITE_MAX);
	c->off = c->kind == APPEND ? f->size : next(&w->random) % (f->size + 1000);
	c->mode = (mode_t)(next(&w->random) & 0777) | 0600;
	c->other = (int)(next(&w->random) % FILES);
	if (c->off + c->len > FILE_MAX)
		c->kind = TRUNCATE;
	if (c->kind == TRUNCATE)
		c->len = next(&w->random) % (f->size + 500) % FILE_MAX;
	if (c->kind == REPLACE && (c->other == c->file || !w->file[c->other].exists))
		c->kind = RENAME;
}

static int write_call(const struct call *c, const char *path)
{
	static __thread uint8_t bytes[WRITE_MAX];
	int fd = open(path, c->kind == APPEND ? O_WRONLY | O_APPEND : O_RDWR);
	ssize_t n;

	if (fd < 0)
		return -1;
	make_bytes(c->seed, bytes, c->len);
	n = c->kind == APPEND ? write(fd, bytes, c->len) : pwrite(fd, bytes, c->len, (off_t)c->off);
	close(fd);
	if (n >= 0 && n < (ssize_t)c->len)
		errno = EIO; /* the kernel had made several requests of it */
	return n == (ssize_t)c->len ? 0 : -1;
}

static int make_call(const struct worker *w, const struct call *c)
{
	const struct file *f = &w->file[c->file];
	char path[600], to[600];
	int fd;

	path_of(w, c->kind == CREATE ? c->name : f->name, path);
	switch (c->kind) {
	case CREATE:
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY, c->mode);
		return fd < 0 ? -1 : close(fd);
	case WRITE:
	case APPEND:
		return write_call(c, path);
	case TRUNCATE:
		return truncate(path, (off_t)c->len);
	case RENAME:
		path_of(w, c->name, to);
		return rename(path, to);
	case REPLACE:
		path_of(w, w->file[c->other].name, to);
		return rename(path, to);
	case UNLINK:
		return unlink(path);
	case CHMOD:
		return chmod(path, c->mode);
	default:
		return -1;
	}
}

static void set_size(struct file *f, size_t size)
{
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

/* What the call leaves; of a write, the first len bytes of it. */
static void model_call(struct file *file, const struct call *c, size_t len)
{
	static __thread uint8_t bytes[WRITE_MAX];
	struct file *f = &file[c->file];

	switch (c->kind) {
	case CREATE:
		f->exists = true;
		f->name = c->name;
		f->mode = c->mode;
		f->size = 0;
		break;
	case WRITE:
	case APPEND:
		if (c->off + len > f->size)
			set_size(f, c->off + len);
		make_bytes(c->seed, bytes, c->len);
		memcpy(f->data + c->off, bytes, len);
		break;
	case TRUNCATE:
		set_size(f, c->len);
		break;
	case RENAME:
		f->name = c->name;
		break;
	case REPLACE:
		f->name = file[c->other].name;
		file[c->other].exists = false;
		break;
	case UNLINK:
		f->exists = false;
		break;
	case CHMOD:
		f->mode = c->mode;
		break;
	default:
		break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct call c;

	for (;;) {
		choose(w, &c);
		w->pending = c;
		if (make_call(w, &c)) {
			if (errno != ENOTCONN && errno != ECONNABORTED && errno != EIO &&
			    errno != ESTALE)
				die("a call failed while the daemon was alive");
			return NULL;
		}
		model_call(w->file, &c, c.len);
		w->pending.kind = NONE;
		w->calls++;
	}
}

static const char *compare_file(const struct worker *w, const struct file *f)
{
	static uint8_t bytes[FILE_MAX + 1];
	struct stat st;
	char path[600];
	ssize_t n;
	int fd;

	path_of(w, f->name, path);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return "is missing";
	n = fstat(fd, &st) ? -1 : read(fd, bytes, sizeof(bytes));
	close(fd);
	if (n < 0)
		return "cannot be read";
	if ((size_t)n != f->size || (size_t)st.st_size != f->size)
		return "has another size";
	if (memcmp(bytes, f->data, f->size))
		return "has other contents";
	return (st.st_mode & 07777) != f->mode ? "has another mode" : NULL;
}

/* NULL, or what is different. */
static const char *compare(const struct worker *w, const struct file *file, int *ret_file)
{
	const char *wrong = NULL;
	int i, expected = 0, found = 0;
	struct dirent *de;
	char path[600];
	DIR *dir;

	for (i = 0; i < FILES && !wrong; i++) {
		*ret_file = i;
		if (!file[i].exists)
			continue;
		expected++;
		wrong = compare_file(w, &file[i]);
	}
	if (wrong)
		return wrong;
	snprintf(path, sizeof(path), "%s/%d", mount_dir, w->id);
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((de = readdir(dir)))
		found += de->d_name[0] != '.';
	closedir(dir);
	return found == expected ? NULL : "is not alone: there are names too many";
}

static void copy_model(const struct file *from, struct file *to)
{
	uint8_t *data;
	int i;

	for (i = 0; i < FILES; i++) {
		data = to[i].data ?: malloc(FILE_MAX);
		to[i] = from[i];
		to[i].data = data;
		memcpy(data, from[i].data, from[i].exists ? from[i].size : 0);
	}
}

/* The call that had not returned: whole, not at all, or a prefix of a write. */
static bool pending_explains(struct worker *w)
{
	const struct call *c = &w->pending;
	static struct file after[FILES];
	bool is_write = c->kind == WRITE || c->kind == APPEND;
	size_t len;
	int i;

	if (c->kind == NONE)
		return false;
	for (len = is_write ? 1 : c->len; len <= c->len; len++) {
		/* Records end where a segment does: no need to try every byte first. */
		copy_model(w->file, after);
		model_call(after, c, is_write ? c->len - len + 1 : len);
		if (!compare(w, after, &i)) {
			copy_model(after, w->file);
			return true;
		}
	}
	return false;
}

static void verify(struct worker *w)
{
	const char *wrong;
	int i;

	wrong = compare(w, w->file, &i);
	if (wrong && !pending_explains(w)) {
		fprintf(stderr, "kill: directory %d, file %u %s; the last call was kind %d on %u\n",
			w->id, w->file[i].name, wrong, w->pending.kind,
			w->file[w->pending.file].name);
		exit(1);
	}
	w->pending.kind = NONE;
}

static pid_t start_daemon(void)
{
	struct stat before, now;
	pid_t pid;
	int i;

	if (stat(mount_dir, &before))
		die(mount_dir);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		execl(keepalivefs, keepalivefs, "-f", region, mount_dir, (char *)NULL);
		_exit(127);
	}
	for (i = 0; i < 10000; i++) {
		if (!stat(mount_dir, &now) && now.st_dev != before.st_dev)
			return pid;
		if (waitpid(pid, NULL, WNOHANG))
			die("the daemon ended while it was mounting");
		usleep(1000);
	}
	die("the daemon does not mount");
	return 0;
}

static int run(const char *program, const char *a, const char *b, const char *c)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		dup2(2, 1);
		execl(program, program, a, b, c, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		die(program);
	return WEXITSTATUS(status);
}

static void load_and_kill(struct worker *workers, uint64_t *random)
{
	pthread_t thread[THREADS];
	char path[600];
	pid_t pid;
	int i;

	pid = start_daemon();
	for (i = 0; i < THREADS; i++) {
		snprintf(path, sizeof(path), "%s/%d", mount_dir, i);
		if (mkdir(path, 0755) && errno != EEXIST)
			die(path);
		verify(&workers[i]);
	}
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, work, &workers[i]))
			die("pthread_create");
	usleep((useconds_t)(next(random) % 200000));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	if (umount2(mount_dir, MNT_DETACH))
		die("umount");
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS];
	unsigned long calls = 0;
	uint64_t seed = 1;
	int i, j, rounds, status;

	if (argc < 6)
		return 2;
	keepalivefs = argv[1];
	fsck = argv[2];
	mkfs = argv[3];
	snprintf(region, sizeof(region), "%s/region", argv[4]);
	snprintf(mount_dir, sizeof(mount_dir), "%s/mnt", argv[4]);
	rounds = atoi(argv[5]);
	if (argc > 6)
		seed = strtoull(argv[6], NULL, 0);
	printf("seed %#llx\n", (unsigned long long)seed);
	fflush(stdout);
	mkdir(mount_dir, 0755);
	if (run(mkfs, "-q", "-s128M", region))
		die("mkfs");
	for (i = 0; i < THREADS; i++) {
		workers[i].id = i;
		workers[i].random = next(&seed);
		for (j = 0; j < FILES; j++)
			workers[i].file[j].data = calloc(1, FILE_MAX);
	}
	umask(0);
	for (i = 0; i <= rounds; i++) {
		load_and_kill(workers, &seed);
		status = run(fsck, "-p", i % 2 ? "-f" : "-p", region);
		if (status > 1) {
			fprintf(stderr, "kill: fsck -p says %d in round %d\n", status, i);
			return 1;
		}
	}
	for (i = 0; i < THREADS; i++)
		calls += workers[i].calls;
	printf("%d kills, %lu calls returned, all of them found again\n", rounds, calls);
	return 0;
}

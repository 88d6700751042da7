/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coherence.c - one process writes a file in every way there is, others have it
 * mapped and open: as soon as a write has returned, all of them see it.
 *
 * coherence DIR ROUNDS: for each pair of a way to write and a way to look, the writer
 * puts a number into a block and tells it through a pipe; the other must
 * find it there, in every word of the block, and answers. Exit status 0 or 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK	  4096
#define BLOCKS	  16
#define WORDS	  (BLOCK / sizeof(uint64_t))
#define FILE_NAME "coherent"

struct way {
	const char *name;
	int flags;
	bool aio;
	bool map;
};

static const struct way writers[] = {
	{"write-only", O_WRONLY},
	{"write-only, direct", O_WRONLY | O_DIRECT},
	{"write-only, direct, aio", O_WRONLY | O_DIRECT, .aio = true},
	{"read-write", O_RDWR},
	{"read-write, direct", O_RDWR | O_DIRECT},
	{"read-write, direct, aio", O_RDWR | O_DIRECT, .aio = true},
	{"a shared mapping", O_RDWR, .map = true},
};

static const struct way readers[] = {
	{"read", O_RDONLY},
	{"read-write", O_RDWR},
	{"direct", O_RDONLY | O_DIRECT},
	{"a shared mapping", O_RDWR, .map = true},
	{"a read-only mapping", O_RDONLY, .map = true},
};

struct message {
	uint64_t value;
	uint32_t block;
	uint32_t seen; /* in the answer */
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t *map_file(int fd, int flags)
{
	int prot = (flags & O_ACCMODE) == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	void *p = mmap(NULL, BLOCK * BLOCKS, prot, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void write_aio(int fd, uint64_t *buf, off_t off)
{
	static aio_context_t ctx;
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PWRITE,
			  .aio_fildes = (uint32_t)fd,
			  .aio_buf = (uintptr_t)buf,
			  .aio_nbytes = BLOCK,
			  .aio_offset = off};
	struct iocb *list = &cb;
	struct io_event event;

	if (!ctx && syscall(SYS_io_setup, 1, &ctx))
		die("io_setup");
	if (syscall(SYS_io_submit, ctx, 1, &list) != 1 ||
	    syscall(SYS_io_getevents, ctx, 1, 1, &event, NULL) != 1 || event.res != BLOCK)
		die("aio");
}

static void put(const struct way *w, int fd, uint64_t *map, uint64_t *buf, const struct message *m)
{
	off_t off = (off_t)m->block * BLOCK;
	size_t i;

	for (i = 0; i < WORDS; i++)
		(map ? map + m->block * WORDS : buf)[i] = m->value;
	if (w->aio)
		write_aio(fd, buf, off);
	else if (!map && pwrite(fd, buf, BLOCK, off) != BLOCK)
		die("pwrite");
	else if (map && msync(map + m->block * WORDS, BLOCK, MS_SYNC))
		die("msync");
}

static bool sees(int fd, const uint64_t *map, uint64_t *buf, const struct message *m)
{
	const volatile uint64_t *p = map ? map + m->block * WORDS : buf;
	size_t i;

	if (!map && pread(fd, buf, BLOCK, (off_t)m->block * BLOCK) != BLOCK)
		die("pread");
	for (i = 0; i < WORDS; i++)
		if (p[i] != m->value)
			return false;
	return true;
}

static void look(const struct way *r, int in, int out)
{
	int fd = open(FILE_NAME, r->flags);
	uint64_t *map = r->map && fd >= 0 ? map_file(fd, r->flags) : NULL;
	uint64_t *buf = aligned_alloc(BLOCK, BLOCK);
	struct message m;

	if (fd < 0 || !buf)
		die("reader");
	while (read(in, &m, sizeof(m)) == sizeof(m)) {
		m.seen = sees(fd, map, buf, &m);
		if (write(out, &m, sizeof(m)) != sizeof(m))
			die("answer");
	}
	free(buf);
	exit(0);
}

static int try(const struct way *w, const struct way *r, unsigned long rounds)
{
	int to[2], from[2], fd, failed = 0;
	struct message m = {0}, answer;
	uint64_t *map, *buf;
	pid_t pid;

	if (pipe(to) || pipe(from))
		die("pipe");
	pid = fork();
	if (!pid) {
		close(to[1]);
		close(from[0]);
		look(r, to[0], from[1]);
	}
	fd = open(FILE_NAME, w->flags);
	buf = aligned_alloc(BLOCK, BLOCK);
	if (fd < 0 || !buf)
		die("writer");
	map = w->map ? map_file(fd, w->flags) : NULL;
	while (!failed && m.value < rounds) {
		m.value++;
		m.block = (uint32_t)(m.value * 7 % BLOCKS);
		put(w, fd, map, buf, &m);
		if (write(to[1], &m, sizeof(m)) != sizeof(m) ||
		    read(from[0], &answer, sizeof(answer)) != sizeof(answer))
			die("reader is gone");
		failed = !answer.seen;
	}
	if (failed)
		fprintf(stderr, "write %lu by %s is not seen by %s\n", (unsigned long)m.value,
			w->name, r->name);
	close(to[0]);
	close(to[1]);
	close(from[0]);
	close(from[1]);
	waitpid(pid, NULL, 0);
	if (map)
		munmap(map, BLOCK * BLOCKS);
	close(fd);
	free(buf);
	return failed;
}

int main(int argc, char **argv)
{
	size_t w, r;
	int failed = 0, fd;

	if (argc != 3 || chdir(argv[1]))
		return 2;
	fd = open(FILE_NAME, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	if (fd < 0 || ftruncate(fd, BLOCK * BLOCKS))
		die(FILE_NAME);
	close(fd);
	for (w = 0; w < sizeof(writers) / sizeof(writers[0]); w++)
		for (r = 0; r < sizeof(readers) / sizeof(readers[0]); r++)
			failed |= try(&writers[w], &readers[r], strtoul(argv[2], NULL, 10));
	unlink(FILE_NAME);
	return failed;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pin - holds a page of memory that can go nowhere: for scenarios in tests/vm.
 *
 * pin ADDRESS BYTES: takes memory until a page of it lies at physical addresses from ADDRESS on,
 * pins that page as a program does that hands it to a device, and says "pinned". Ends with SIGTERM.
 * For root, who may ask where pages lie.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHUNK_BYTES (1u << 20)
#define CHUNKS	    8192

/* Of an entry in pagemap, see the kernel's Documentation/admin-guide/mm/pagemap.rst. */
#define IS_PRESENT (1ull << 63)
#define PFN_MASK   ((1ull << 55) - 1)

static uint64_t phys_of(int pagemap, const char *page, uint64_t page_bytes)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry),
		  (off_t)((uintptr_t)page / page_bytes * sizeof(entry))) != sizeof(entry))
		err(1, "/proc/self/pagemap");
	return entry & IS_PRESENT ? (entry & PFN_MASK) * page_bytes : 0;
}

/* Pages in a pipe are the caller's own, and stay where they are. */
static void pin(char *page, uint64_t page_bytes)
{
	struct iovec iov = {.iov_base = page, .iov_len = page_bytes};
	int fds[2];

	if (pipe(fds) || vmsplice(fds[1], &iov, 1, 0) != (ssize_t)page_bytes)
		err(1, "vmsplice");
}

int main(int argc, char **argv)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), start, end, phys;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	char *chunk, *page;
	int i;

	if (argc != 3)
		errx(2, "usage: pin ADDRESS BYTES");
	start = strtoull(argv[1], NULL, 0);
	end = start + strtoull(argv[2], NULL, 0);
	if (pagemap < 0)
		err(1, "/proc/self/pagemap");
	for (i = 0; i < CHUNKS; i++) {
		chunk = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (chunk == MAP_FAILED)
			err(1, "no memory after %d MiB", i);
		for (page = chunk; page < chunk + CHUNK_BYTES; page += page_bytes) {
			phys = phys_of(pagemap, page, page_bytes);
			if (phys < start || phys >= end)
				continue;
			pin(page, page_bytes);
			printf("pinned 0x%" PRIx64 "\n", phys);
			fflush(stdout);
			for (;;)
				pause();
		}
	}
	errx(1, "no page lies there");
}

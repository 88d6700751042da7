/* SPDX-License-Identifier: GPL-2.0-or-later */
/* poison.c - memory that can be broken; see poison.h. */
#include "poison.h"

#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

static void map(void *at, uint64_t len, int fd, uint64_t off)
{
	assert_true(mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)off) ==
		    at);
}

void poison_make(struct poison *p, uint64_t bytes)
{
	void *window = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(window != MAP_FAILED);
	*p = (struct poison){.mem = window, .bytes = bytes};
	p->fd = memfd_create("region", MFD_CLOEXEC);
	p->none_fd = memfd_create("nothing", MFD_CLOEXEC);
	assert_true(p->fd >= 0 && p->none_fd >= 0);
	assert_false(ftruncate(p->fd, (off_t)bytes));
	map(p->mem, bytes, p->fd, 0);
}

void poison_break(struct poison *p, uint64_t off, uint64_t len)
{
	uint64_t first = ka_align_down(off, POISON_PAGE);

	map(p->mem + first, ka_align_up(off + len, POISON_PAGE) - first, p->none_fd, 0);
}

void poison_heal(struct poison *p)
{
	map(p->mem, p->bytes, p->fd, 0);
}

void poison_release(struct poison *p)
{
	munmap(p->mem, p->bytes);
	close(p->fd);
	close(p->none_fd);
}

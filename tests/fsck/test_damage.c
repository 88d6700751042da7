/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_damage.c - a filesystem of which a byte, or up to 4096 of them, changed:
 * what a mount shows, what fsck sees and repairs, and what is there afterwards.
 *
 * Each byte that reads has to be as written; whatever matters has to be noticed
 * by -n -f, which changes nothing; after -y -f a second -n -f finds nothing;
 * and what was not hit has to be there, whole.
 *
 * A failure prints KA_DAMAGE=SEED:SAMPLE:KIND:NUMBER, which replays that state.
 * KA_SCALE multiplies how many are tried; KA_SCALE=all: every byte of metadata,
 * and 10,000 overwrites.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fs.h"
#include "fsck.h"
#include "sample.h"

#define FLIPS	       400 /* for each sample, as a rule */
#define OVERWRITES     120
#define ALL_OVERWRITES 10000 /* over all samples */
#define BOTH	       40
#define ALL_BOTH       1000
#define FAILURES_MAX   10
#define STEP	       512 /* bytes of a read */

static const struct {
	const char *name;
	unsigned flags;
} kinds[] = {
	{"clean", SAMPLE_CLEAN},
	{"clean-one", SAMPLE_CLEAN | SAMPLE_FULL},
	{"log", 0},
	{"log-one", SAMPLE_FULL},
	{"chunks", SAMPLE_CLEAN | SAMPLE_CHUNKS},
	{"chunks-one", SAMPLE_CLEAN | SAMPLE_CHUNKS | SAMPLE_FULL},
	{"recycled", SAMPLE_CLEAN | SAMPLE_RECYCLED},
	{"recycled-one", SAMPLE_CLEAN | SAMPLE_RECYCLED | SAMPLE_FULL},
	{"mixed", SAMPLE_CLEAN | SAMPLE_RECYCLED | SAMPLE_CHUNKS},
	{"mixed-log", SAMPLE_RECYCLED | SAMPLE_CHUNKS},
};

/* One state: what is tried with it, and what came of it. */
struct state {
	const struct sample *s;
	char id[64];
	struct sample_range hit;
	uint8_t *mem;	/* the region with its damage, for fsck */
	uint8_t *mount; /* the same, for a mount */
	bool finished;	/* false: what ends the program now is its fault */
	bool matters;
	bool is_tail; /* what was hit cannot be told from a torn end */
	char *said;   /* by the last run of fsck */
	char *core_said;
};

static struct sample samples[KA_ARRAY_SIZE(kinds)];
static struct state now;
static unsigned failures;
static uint64_t tried, noticed, in_lost_found;

__attribute__((format(printf, 1, 2))) static void bad(const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_error("KA_DAMAGE=%s (0x%" PRIx64 "-0x%" PRIx64 "): %s\n", now.id, now.hit.from,
		    now.hit.to, text);
	if (getenv("KA_DAMAGE"))
		print_error("%s%s", now.said ?: "", now.core_said ?: "");
	if (++failures >= FAILURES_MAX)
		fail_msg("enough");
}

/* ---- what files may look like ------------------------------------------------------ */

/* Which bytes a file may have: its last version, or any that it had. */
enum may_be { AS_WRITTEN, OR_ZERO, ANY_VERSION, ANY_VERSION_OR_ZERO };

static bool byte_ok(const struct sample_file *f, uint64_t off, uint8_t byte, enum may_be may)
{
	unsigned i = may == ANY_VERSION || may == ANY_VERSION_OR_ZERO ? 0 : f->versions - 1;

	if (!byte && (may == OR_ZERO || may == ANY_VERSION_OR_ZERO))
		return true;
	/* Behind what an older version has there are zeros, where a later record counts. */
	for (; i < f->versions; i++)
		if (byte == (off < f->version[i].size ? f->version[i].data[off] : 0))
			return true;
	return false;
}

static uint64_t check_bytes(const struct sample_file *f, const uint8_t *data, uint64_t off,
			    size_t len, enum may_be may)
{
	const struct sample_contents *last = &f->version[f->versions - 1];
	size_t i;

	if (off + len <= last->size && !memcmp(data, last->data + off, len))
		return UINT64_MAX;
	for (i = 0; i < len; i++)
		if (!byte_ok(f, off + i, data[i], may))
			return off + i;
	return UINT64_MAX;
}

/* The common case, quickly. */
static bool is_as_written(struct ka_fs *fs, const struct sample_file *f, uint64_t size)
{
	const struct sample_contents *last = &f->version[f->versions - 1];
	uint8_t *buf = malloc(size + 1);
	size_t len;
	bool same;

	assert_non_null(buf);
	same = size == last->size && !memfs_read(fs, f->ino, 0, buf, size, &len) && len == size &&
	       !memcmp(buf, last->data ?: buf, len);
	free(buf);
	return same;
}

/* Reads the file in steps; returns whether some of them failed. */
static bool check_contents(struct ka_fs *fs, const struct sample_file *f, uint64_t size,
			   enum may_be may)
{
	uint8_t buf[STEP];
	uint64_t off, wrong;
	bool failed = false;
	size_t len;
	int err;

	if (is_as_written(fs, f, size))
		return false;
	for (off = 0; off < size; off += STEP) {
		err = memfs_read(fs, f->ino, off, buf, STEP, &len);
		if (err) {
			failed = true;
			if (ka_errno(err) != EIO)
				bad("%s: read says %s", f->path, ka_strerror(err));
			continue;
		}
		wrong = check_bytes(f, buf, off, len, may);
		if (wrong != UINT64_MAX) {
			bad("%s: wrong byte at %" PRIu64, f->path, wrong);
			break;
		}
	}
	return failed;
}

static bool size_ok(const struct sample_file *f, uint64_t size, enum may_be may)
{
	unsigned i;

	if (may == AS_WRITTEN || may == OR_ZERO)
		return f->version[f->versions - 1].size == size;
	for (i = 0; i < f->versions; i++) /* one write may have been several records */
		if (size <= f->version[i].size)
			return true;
	return false;
}

static void check_special(struct ka_fs *fs, const struct sample_file *f)
{
	static char value[KA_XATTR_MAX], want[KA_XATTR_MAX];
	char target[KA_TARGET_MAX + 1];
	size_t len;

	if (f->target && (ka_readlink(fs, f->ino, target) || strcmp(target, f->target) != 0))
		bad("%s: wrong target", f->path);
	if (!f->xattr_bytes)
		return;
	memfs_pattern(want, f->xattr_bytes, f->ino, 0);
	if (ka_getxattr(fs, f->ino, "user.sample", value, sizeof(value), &len) ||
	    len != f->xattr_bytes || memcmp(want, value, len) != 0)
		bad("%s: wrong attribute", f->path);
}

static bool find_path(struct ka_fs *fs, const char *path, ka_ino_t *ret)
{
	char part[64];
	ka_ino_t ino = KA_ROOT_INO;
	const char *end;

	while (ino && *path == '/') {
		end = strchrnul(++path, '/');
		snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
		ino = memfs_lookup(fs, ino, part);
		path = end;
	}
	*ret = ino;
	return ino;
}

/* 0: gone; 1: under its name; 2: elsewhere */
static int find_file(struct ka_fs *fs, const struct sample_file *f)
{
	struct ka_attr a;
	ka_ino_t ino;

	if (find_path(fs, f->path, &ino) && ino == f->ino)
		return 1;
	return !ka_getattr(fs, f->ino, &a) && a.nlink ? 2 : 0;
}

/* ---- a mount ------------------------------------------------------------------------ */

static bool in_tail(const struct sample *s, struct sample_range hit)
{
	const struct sample_record *r;

	if (s->flags & SAMPLE_CLEAN)
		return false;
	/* The header is needed; without it and the first record the segment is lost. */
	for (r = s->record; r < s->record + s->records; r++)
		if (r->head.from < s->tail.from && r->head.from < hit.to && hit.from < r->head.to)
			return false;
	return hit.from >= s->tail.from && hit.from < s->tail.to;
}

static void mounted_file(struct ka_fs *fs, const struct sample_file *f, bool rdonly)
{
	bool concerned = sample_concerns(now.s, f, now.hit), failed;
	bool hit = sample_hits(&f->data, now.hit);
	enum may_be may = concerned ? ANY_VERSION : AS_WRITTEN;
	struct ka_attr a;
	int where = find_file(fs, f);

	if (concerned && !rdonly && !now.is_tail)
		bad("%s: its record is damaged, and the mount says nothing", f->path);
	if (where != 1 && !concerned) {
		bad("%s: %s", f->path, where ? "not under its name" : "gone");
		return;
	}
	if (where == 0 || ka_getattr(fs, f->ino, &a))
		return;
	if (!concerned)
		check_special(fs, f);
	if (!S_ISREG(f->mode))
		return;
	if (!size_ok(f, a.size, may))
		bad("%s: has %" PRIu64 " bytes", f->path, a.size);
	failed = check_contents(fs, f, a.size, may);
	if (failed && !hit)
		bad("%s: does not read, and was not hit", f->path);
	now.matters |= failed;
}

static void try_mount(void)
{
	struct memfs m;
	size_t i;

	memcpy(now.mount, now.mem, now.s->bytes);
	memfs_over(&m, now.mount, now.s->bytes);
	m.opts.verify = KA_VERIFY_ALWAYS;
	if (memfs_try_open(&m)) {
		now.matters = true;
	} else {
		now.matters |= m.fs->rdonly;
		for (i = 0; i < now.s->files; i++)
			mounted_file(m.fs, &now.s->file[i], m.fs->rdonly);
	}
	memfs_release(&m);
}

/* ---- fsck ---------------------------------------------------------------------------- */

static int run_fsck(enum fsck_mode mode)
{
	struct test_messages msgs;
	struct ka_region *rg;
	struct fsck f = {.path = "sample", .mode = mode, .force = true, .progress_fd = -1};
	size_t bytes;
	int status;

	free(now.said);
	free(now.core_said);
	now.said = NULL;
	test_messages_init(&msgs);
	assert_ok(ka_region_open_mem(now.mem, now.s->bytes, &rg));
	f.rg = rg;
	f.sink = &msgs.sink;
	f.out = open_memstream(&now.said, &bytes);
	assert_non_null(f.out);
	status = fsck_check(&f);
	fclose(f.out);
	ka_region_close(rg);
	now.core_said = msgs.text;
	return status;
}

static bool has_to_be_noticed(void)
{
	return now.matters || (sample_hits(&now.s->meta, now.hit) && !now.is_tail);
}

static void repaired_file(struct ka_fs *fs, const struct sample_file *f)
{
	bool concerned = sample_concerns(now.s, f, now.hit);
	bool hit = sample_hits(&f->data, now.hit);
	enum may_be may = concerned ? (hit ? ANY_VERSION_OR_ZERO : ANY_VERSION)
				    : (hit ? OR_ZERO : AS_WRITTEN);
	int where = find_file(fs, f);
	struct ka_attr a;

	if (where == 2 && !strcmp(f->path, "/dir/two"))
		return; /* the other link leads to it */
	if (where == 2)
		in_lost_found++;
	if (where == 2 && !(now.s->flags & SAMPLE_RECYCLED) && !concerned)
		bad("%s: its name is in the log, and was not found", f->path);
	if (!where && concerned && (hit || !S_ISREG(f->mode)))
		return; /* nothing tells of it any more */
	if (!where || (where == 2 && !sample_hits(&now.s->meta, now.hit))) {
		bad("%s: %s after the repair", f->path, where ? "not under its name" : "gone");
		return;
	}
	if (!concerned)
		check_special(fs, f);
	if (!S_ISREG(f->mode) || ka_getattr(fs, f->ino, &a))
		return;
	if (!size_ok(f, a.size, may))
		bad("%s: has %" PRIu64 " bytes after the repair", f->path, a.size);
	if (check_contents(fs, f, a.size, may))
		bad("%s: does not read after the repair", f->path);
}

static void check_repaired(void)
{
	struct memfs m;
	size_t i;

	memfs_over(&m, now.mem, now.s->bytes);
	m.opts.verify = KA_VERIFY_ALWAYS;
	if (memfs_try_open(&m)) {
		bad("cannot be mounted after the repair");
	} else {
		if (m.fs->rdonly)
			bad("is read-only after the repair");
		for (i = 0; i < now.s->files; i++)
			repaired_file(m.fs, &now.s->file[i]);
		memfs_check(m.fs);
	}
	memfs_release(&m);
}

/* With -n: a store would be the end of the program. */
static int look_only(void)
{
	int status;

	assert_int_equal(mprotect(now.mem, now.s->bytes, PROT_READ), 0);
	status = run_fsck(FSCK_NO);
	assert_int_equal(mprotect(now.mem, now.s->bytes, PROT_READ | PROT_WRITE), 0);
	return status;
}

static bool is_unchanged(void)
{
	uint64_t behind = now.hit.to;

	return !memcmp(now.mem, now.s->mem, now.hit.from) &&
	       !memcmp(now.mem + behind, now.s->mem + behind, now.s->bytes - behind);
}

static void try_fsck(void)
{
	int n, y, again;

	n = look_only();
	noticed += n != 0;
	if (n != 0 && n != FSCK_ERRORS_LEFT)
		bad("-n -f says %d", n);
	if (!n && has_to_be_noticed())
		bad("-n -f does not notice it");
	y = run_fsck(FSCK_YES);
	if (y != FSCK_CORRECTED && (y || n || !(now.s->flags & SAMPLE_CLEAN)))
		bad("-y -f says %d", y);
	if (!y && !is_unchanged())
		bad("-y -f says 0 and changed something");
	again = look_only();
	if (again)
		bad("-n -f says %d after the repair", again);
	check_repaired();
}

static void try_state(void)
{
	tried++;
	now.matters = false;
	now.is_tail = in_tail(now.s, now.hit);
	now.finished = false;
	try_mount();
	try_fsck();
	now.finished = true;
}

/* ---- states --------------------------------------------------------------------------- */

static void name_state(const char *kind, uint64_t number)
{
	snprintf(now.id, sizeof(now.id), "0x%" PRIx64 ":%s:%s:%" PRIu64, test_seed(), now.s->name,
		 kind, number);
}

static void flip(uint64_t addr)
{
	struct test_rng rng = test_rng(addr);

	name_state("flip", addr);
	memcpy(now.mem, now.s->mem, now.s->bytes);
	now.mem[addr] ^= (uint8_t)(1 + test_below(&rng, 255));
	now.hit = (struct sample_range){addr, addr + 1};
	try_state();
}

/* What an overwrite changed: without the bytes at its ends that are as they were. */
static struct sample_range changed(uint64_t from, uint64_t to)
{
	while (from < to && now.mem[from] == now.s->mem[from])
		from++;
	while (from < to && now.mem[to - 1] == now.s->mem[to - 1])
		to--;
	return (struct sample_range){from, to};
}

/* From 1 to 4096 bytes: noise, zeros, ones, or what lies elsewhere in the region. */
static void overwrite(uint64_t number)
{
	struct test_rng rng = test_rng(number + (1ull << 40));
	uint64_t len, addr, from;

	name_state("over", number);
	len = 1 + test_below(&rng, 1ull << test_below(&rng, 13));
	addr = test_below(&rng, now.s->bytes - len);
	if (test_chance(&rng, 50) && now.s->meta.count) {
		/* where it is sure to matter */
		addr = now.s->meta.list[test_below(&rng, now.s->meta.count)].from;
		addr -= ka_min(addr, test_below(&rng, len));
		addr = ka_min(addr, now.s->bytes - len);
	}
	memcpy(now.mem, now.s->mem, now.s->bytes);
	switch (test_below(&rng, 4)) {
	case 0:
		memset(now.mem + addr, 0, len);
		break;
	case 1:
		memset(now.mem + addr, 0xff, len);
		break;
	case 2:
		from = test_below(&rng, now.s->bytes - len);
		memcpy(now.mem + addr, now.s->mem + from, len);
		break;
	default:
		test_fill(&rng, now.mem + addr, len);
		break;
	}
	now.hit = changed(addr, addr + len);
	if (now.hit.from < now.hit.to)
		try_state();
}

/* A byte of a chunk of each checkpoint: what is left of both has to do. */
static void flip_both(uint64_t number)
{
	struct test_rng rng = test_rng(number + (2ull << 40));
	const struct sample_ranges *r;
	struct sample_range at;
	unsigned i;

	name_state("both", number);
	memcpy(now.mem, now.s->mem, now.s->bytes);
	for (i = 0; i < 2; i++) {
		r = &now.s->ckpt[i];
		if (!r->count)
			return;
		at = r->list[test_below(&rng, r->count)];
		at.from += test_below(&rng, at.to - at.from);
		now.mem[at.from] ^= 0x20;
		now.hit = (struct sample_range){at.from, at.from + 1};
	}
	try_state();
}

static bool try_all(void)
{
	const char *scale = getenv("KA_SCALE");

	return scale && !strcmp(scale, "all");
}

static void flip_sample(void)
{
	const struct sample_ranges *r = &now.s->meta;
	uint64_t total = 0, addr, at = 0, step;
	size_t i;

	for (i = 0; i < r->count; i++)
		total += r->list[i].to - r->list[i].from;
	step = try_all() ? 1 : ka_max(1, total / ((uint64_t)FLIPS * test_scale()));
	for (i = 0; i < r->count; i++) {
		/* the first byte of each, and then every so many */
		for (addr = r->list[i].from; addr < r->list[i].to; addr++, at++)
			if (at % step == 0)
				flip(addr);
	}
}

static void overwrite_sample(void)
{
	uint64_t i, n = try_all() ? ALL_OVERWRITES / KA_ARRAY_SIZE(kinds)
				  : (uint64_t)OVERWRITES * test_scale();

	for (i = 0; i < n; i++)
		overwrite(i);
}

static void flip_checkpoints(void)
{
	uint64_t i, n = try_all() ? ALL_BOTH : (uint64_t)BOTH * test_scale();

	for (i = 0; i < n; i++)
		flip_both(i);
}

static void try_one(char kind, uint64_t number)
{
	if (kind == 'f')
		flip(number);
	else if (kind == 'o')
		overwrite(number);
	else
		flip_both(number);
}

static void replay(const char *id)
{
	char *part[4] = {0}, *copy = strdup(id), *text = copy;
	unsigned i;

	for (i = 0; i < 4 && text; i++)
		part[i] = strsep(&text, ":");
	for (i = 0; i < KA_ARRAY_SIZE(kinds); i++) {
		if (!part[3] || strcmp(part[1], kinds[i].name) != 0)
			continue;
		now.s = &samples[i];
		try_one(*part[2], strtoull(part[3], NULL, 0));
	}
	free(copy);
	if (!tried)
		fail_msg("KA_DAMAGE=%s names no state", id);
}

static void test_damage(void **unused)
{
	const char *id = getenv("KA_DAMAGE"), *only = getenv("KA_SAMPLE");
	size_t i;

	(void)unused;
	if (id)
		replay(id);
	for (i = 0; i < KA_ARRAY_SIZE(kinds) && !id; i++) {
		if (only && strcmp(only, kinds[i].name) != 0)
			continue;
		now.s = &samples[i];
		tried = noticed = in_lost_found = 0;
		flip_sample();
		overwrite_sample();
		flip_checkpoints();
		print_message("%s: %" PRIu64 " states, %" PRIu64 " noticed, %" PRIu64
			      " files in lost+found\n",
			      kinds[i].name, tried, noticed, in_lost_found);
	}
	assert_int_equal(failures, 0);
}

static uint8_t *region_memory(void)
{
	void *p = mmap(NULL, samples[0].bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* All of them, always: what is random in one depends on those before. */
static int make_samples(void **unused)
{
	size_t i;

	(void)unused;
	for (i = 0; i < KA_ARRAY_SIZE(kinds); i++)
		sample_make(&samples[i], kinds[i].name, kinds[i].flags);
	now.finished = true;
	now.mem = region_memory();
	now.mount = region_memory();
	return 0;
}

static int release_samples(void **unused)
{
	size_t i;

	(void)unused;
	if (!now.finished)
		print_error("ended within KA_DAMAGE=%s\n", now.id);
	munmap(now.mem, samples[0].bytes);
	munmap(now.mount, samples[0].bytes);
	for (i = 0; i < KA_ARRAY_SIZE(kinds); i++)
		sample_release(&samples[i]);
	free(now.said);
	free(now.core_said);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_damage)};
	const char *id = getenv("KA_DAMAGE");

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (id)
		setenv("KA_SEED", id, 1); /* up to its first colon */
	return cmocka_run_group_tests(tests, make_samples, release_samples);
}

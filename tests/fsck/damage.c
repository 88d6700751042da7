/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * damage.c - makes a small filesystem in a region file and damages it.
 *
 * damage FILE KIND: FILE exists and has its size; KIND as in the table below.
 * The tree: /data (1 MiB, of a known pattern), /dir/one, /dir/two (a hard link
 * to it), /dir/sub. Some kinds leave it unclean.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint.h"
#include "keepalive/err.h"
#include "keepalive/ops.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"
#include "keepalive/util.h"

static struct ka_region *rg;
static struct ka_fs *fs;
static const struct ka_fs_opts opts;

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "damage: %s: %s\n", what, ka_strerror(err));
	exit(2);
}

static void flip(uint64_t addr)
{
	uint8_t byte = *(const uint8_t *)ka_region_at(rg, addr, 1) ^ 0x10;

	ka_region_write(rg, addr, &byte, 1);
}

static ka_ino_t make(ka_ino_t parent, const char *name, uint32_t mode)
{
	struct ka_new new = {.parent = parent, .name = name, .mode = mode};
	struct ka_attr attr;

	must(ka_create(fs, &new, &attr), name);
	return attr.ino;
}

static void fill(ka_ino_t ino, size_t bytes)
{
	uint8_t *data = malloc(bytes);
	struct ka_file *file;
	size_t i, written;

	for (i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + i / 4096);
	must(ka_open(fs, ino, &file), "open");
	must(ka_write(fs, file, data, bytes, 0, false, &written), "write");
	ka_close(fs, file);
	free(data);
}

static struct ka_inode *find(const char *name, ka_ino_t parent)
{
	struct ka_inode *dir = ka_index_find(&fs->index, parent);

	return ka_dir_find(&fs->index.names, dir, name, strlen(name))->inode;
}

static void make_tree(void)
{
	struct ka_attr attr;
	ka_ino_t dir;

	fill(make(KA_ROOT_INO, "data", S_IFREG | 0644), 1 << 20);
	dir = make(KA_ROOT_INO, "dir", S_IFDIR | 0755);
	fill(make(dir, "one", S_IFREG | 0644), 1000);
	must(ka_link(fs, find("one", dir)->ino, dir, "two", &attr), "link");
	make(make(dir, "sub", S_IFDIR | 0755), "below", S_IFDIR | 0700);
}

static uint64_t data_addr(unsigned nth)
{
	const struct ka_extent *e = ka_extents_find(&find("data", KA_ROOT_INO)->extents, 0);

	while (nth--)
		e = ka_extents_next(e);
	return e->addr;
}

/* ---- kinds: on a clean filesystem, closed again before its bytes change ----- */

static void super0(void)
{
	flip(100);
}

static void super1(void)
{
	flip(fs->super.copy_addr[1] + 300);
}

static void both_supers(void)
{
	super0();
	super1();
}

/* The same byte in both: nothing says what it was. */
static void both_supers_same(void)
{
	super0();
	flip(fs->super.copy_addr[1] + 100);
}

static void ckpt_newest(void)
{
	flip(fs->super.ckpt[0].addr + 100);
}

static void ckpt_older(void)
{
	flip(fs->super.ckpt[1].addr + 100);
}

static void both_ckpts(void)
{
	ckpt_newest();
	ckpt_older();
}

static void data_piece(void)
{
	flip(data_addr(0) + 20000);
}

static void data_head(void)
{
	const struct ka_extent *e = ka_extents_find(&find("data", KA_ROOT_INO)->extents, 0);

	flip(e->addr - e->delta + 30);
}

static void segment_header(void)
{
	flip(ka_align_down(data_addr(0), fs->segs.bytes) + 20);
}

/* ---- kinds: changed in memory, then stored with valid checksums ---------------- */

static void nlink_wrong(void)
{
	find("data", KA_ROOT_INO)->nlink = 7;
	find("dir", KA_ROOT_INO)->nlink = 9;
}

static void drop_name(const char *name)
{
	struct ka_inode *root = ka_index_find(&fs->index, KA_ROOT_INO);

	ka_index_remove_name(&fs->index, ka_dir_find(&fs->index.names, root, name, strlen(name)));
}

static void no_name(void)
{
	drop_name("data");
}

static void no_name_dir(void)
{
	find("dir", KA_ROOT_INO)->dir->parent = NULL;
	drop_name("dir");
	ka_index_find(&fs->index, KA_ROOT_INO)->nlink--;
}

/* dir hangs below its own subdirectory, and the root does not know of it. */
static void loop(void)
{
	struct ka_inode *dir = find("dir", KA_ROOT_INO), *sub = find("sub", dir->ino);

	drop_name("dir");
	ka_index_find(&fs->index, KA_ROOT_INO)->nlink--;
	sub->nlink++;
	must(ka_index_add_name(&fs->index, sub, "up", 2, sub->dir->next_cookie, dir), "loop");
	dir->dir->parent = sub;
}

/* There is something lost, and the place for it is taken by a file. */
static void lost_found_file(void)
{
	no_name_dir();
	make(KA_ROOT_INO, "lost+found", S_IFREG | 0600);
}

/* What an earlier run may have left has the name that the inode would get. */
static void lost_found_taken(void)
{
	ka_ino_t dir = make(KA_ROOT_INO, "lost+found", S_IFDIR | 0700);
	char name[32];

	snprintf(name, sizeof(name), "#%" PRIu64, find("data", KA_ROOT_INO)->ino);
	make(dir, name, S_IFREG | 0600);
	no_name();
}

static void flagged(void)
{
	fs->super.flags |= KA_SUPER_DAMAGED;
}

/* ---- kinds: records behind the checkpoint, no clean end --------------------------- */

static uint64_t log_record(unsigned nth)
{
	uint64_t seg, addr = 0;
	const struct ka_rec_disk *rec;
	struct ka_segment_info info;
	struct ka_scan scan;

	for (seg = 1; seg < fs->segs.count; seg++) {
		if (fs->segs.seg[seg].state != KA_SEG_OPEN ||
		    ka_scan_header(rg, fs->super.log_id, seg, fs->segs.bytes, &info))
			continue;
		ka_scan_start(&scan, rg, fs->super.log_id, info.gen,
			      seg * fs->segs.bytes + sizeof(struct ka_segment_disk),
			      seg * fs->segs.bytes + fs->segs.seg[seg].used);
		while (!ka_scan_next(&scan, &rec, &addr))
			if (ka_get64(rec->seq) > fs->super.ckpt[0].seq && !nth--)
				return addr;
	}
	fprintf(stderr, "damage: there is no such record\n");
	exit(2);
}

static void more_records(void)
{
	unsigned i;
	char name[16];

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "new%u", i);
		make(KA_ROOT_INO, name, S_IFREG | 0644);
	}
}

static void unclean(void)
{
	more_records();
}

static void torn_last(void)
{
	more_records();
	flip(log_record(19) + 60);
}

static void lost_middle(void)
{
	more_records();
	flip(log_record(5) + 60);
}

/* The file is written, and its name is what is damaged. */
static void lost_create(void)
{
	fill(make(KA_ROOT_INO, "written", S_IFREG | 0644), 5000);
	flip(log_record(0) + 60);
	more_records();
}

enum when { CLOSED, STORED, UNCLEAN };

static const struct {
	const char *name;
	enum when when;
	void (*fn)(void);
} kinds[] = {
	{"super0", CLOSED, super0},
	{"super1", CLOSED, super1},
	{"both-supers", CLOSED, both_supers},
	{"both-supers-same", CLOSED, both_supers_same},
	{"ckpt-newest", CLOSED, ckpt_newest},
	{"ckpt-older", CLOSED, ckpt_older},
	{"both-ckpts", CLOSED, both_ckpts},
	{"data-piece", CLOSED, data_piece},
	{"data-head", CLOSED, data_head},
	{"segment-header", CLOSED, segment_header},
	{"nlink", STORED, nlink_wrong},
	{"no-name", STORED, no_name},
	{"no-name-dir", STORED, no_name_dir},
	{"loop", STORED, loop},
	{"lost-found-file", STORED, lost_found_file},
	{"lost-found-taken", STORED, lost_found_taken},
	{"flagged", STORED, flagged},
	{"unclean", UNCLEAN, unclean},
	{"torn-last", UNCLEAN, torn_last},
	{"lost-middle", UNCLEAN, lost_middle},
	{"lost-create", UNCLEAN, lost_create},
};

static void inflict(enum when when, void (*fn)(void))
{
	struct ka_recovery rec;

	if (when == UNCLEAN) {
		must(ka_fs_open(rg, &opts, &fs), "open");
		fn();
		return;
	}
	must(ka_fs_load(rg, &opts, 0, &rec, &fs), "load");
	fn();
	if (when == STORED)
		must(ka_fs_store(fs, KA_STATE_CLEAN), "store");
}

int main(int argc, char **argv)
{
	struct ka_format_opts format = {.capacity_bytes = UINT64_MAX, .uuid = {1, 2, 3}};
	size_t i;

	if (argc != 3)
		return 2;
	must(ka_region_open(argv[1], KA_REGION_WRITE | KA_REGION_LOCK, NULL, &rg), argv[1]);
	must(ka_fs_format(rg, &format, NULL), "format");
	must(ka_fs_open(rg, &opts, &fs), "open");
	make_tree();
	must(ka_fs_close(fs), "close");
	for (i = 0; i < KA_ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, argv[2]) != 0)
			continue;
		inflict(kinds[i].when, kinds[i].fn);
		ka_fs_abandon(fs);
		ka_region_close(rg);
		return 0;
	}
	fprintf(stderr, "damage: no kind '%s'\n", argv[2]);
	return 2;
}

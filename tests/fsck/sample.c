/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample.c - makes the filesystem; see sample.h. */
#include "sample.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "fs.h"
#include "keepalive/record.h"
#include "keepalive/scan.h"

#define BYTES		 (4u << 20)
#define TAIL_RECORDS	 64
#define LARGE_XATTR	 60000
#define BULK_BYTES	 200000
#define RECYCLED_RECORDS 3000

struct maker {
	struct sample *s;
	struct memfs m;
};

static struct sample_file *find(struct maker *mk, const char *path)
{
	size_t i;

	for (i = 0; i < mk->s->files; i++)
		if (!strcmp(mk->s->file[i].path, path))
			return &mk->s->file[i];
	fail_msg("no file %s", path);
	return NULL;
}

static ka_ino_t parent_of(struct maker *mk, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[64];

	*ret_name = slash + 1;
	if (slash == path)
		return KA_ROOT_INO;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return find(mk, dir)->ino;
}

static struct sample_file *note(struct maker *mk, const char *path, uint32_t mode, ka_ino_t ino)
{
	struct sample_file *f = &mk->s->file[mk->s->files++];

	assert_true(mk->s->files <= SAMPLE_FILES);
	*f = (struct sample_file){.ino = ino, .mode = mode};
	snprintf(f->path, sizeof(f->path), "%s", path);
	return f;
}

static struct sample_file *make(struct maker *mk, const char *path, uint32_t mode,
				const char *target)
{
	const char *name;
	ka_ino_t parent = parent_of(mk, path, &name), ino = 0;
	struct sample_file *f;

	assert_ok(memfs_try_create(mk->m.fs, parent, name, mode, target, &ino));
	f = note(mk, path, mode, ino);
	f->target = target;
	if (S_ISREG(mode))
		f->versions = 1; /* empty */
	return f;
}

static struct sample_file *make_file(struct maker *mk, const char *path)
{
	return make(mk, path, S_IFREG | 0644, NULL);
}

/* A new version of what is known of the file, of this size. */
static struct sample_contents *next_version(struct sample_file *f, size_t size)
{
	struct sample_contents *old = &f->version[f->versions - 1], *new = old + 1;

	assert_true(f->versions < SAMPLE_VERSIONS);
	new->data = calloc(1, size + 1);
	assert_non_null(new->data);
	new->size = size;
	memcpy(new->data, old->data ?: (uint8_t *)"", size < old->size ? size : old->size);
	f->versions++;
	return new;
}

/* Until the filesystem goes into its last phase only the last version counts. */
static void forget_versions(struct sample_file *f)
{
	unsigned i;

	for (i = 0; i + 1 < f->versions; i++)
		free(f->version[i].data);
	if (f->versions > 1)
		f->version[0] = f->version[f->versions - 1];
	f->versions = f->versions ? 1 : 0;
}

static void put(struct maker *mk, struct sample_file *f, uint64_t off, size_t len, uint64_t key)
{
	size_t size = f->version[f->versions - 1].size;
	struct sample_contents *v = next_version(f, size > off + len ? size : off + len);

	memfs_pattern(v->data + off, len, key, off);
	memfs_write(mk->m.fs, f->ino, off, v->data + off, len);
}

static void resize(struct maker *mk, struct sample_file *f, size_t size)
{
	next_version(f, size);
	assert_ok(memfs_truncate(mk->m.fs, f->ino, size));
}

static void punch(struct maker *mk, struct sample_file *f, uint64_t off, size_t len)
{
	struct sample_contents *v = next_version(f, f->version[f->versions - 1].size);

	memset(v->data + off, 0, len);
	assert_ok(memfs_fallocate(mk->m.fs, f->ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
				  len));
}

static void share(struct maker *mk, struct sample_file *from, uint64_t from_off,
		  struct sample_file *to, uint64_t off, size_t len)
{
	size_t size = to->version[to->versions - 1].size;
	struct sample_contents *v = next_version(to, size > off + len ? size : off + len);

	memcpy(v->data + off, from->version[from->versions - 1].data + from_off, len);
	assert_ok(memfs_clone(mk->m.fs, from->ino, from_off, to->ino, off, len));
}

static void set_xattr(struct maker *mk, struct sample_file *f, size_t bytes)
{
	uint8_t *value = malloc(bytes);

	assert_non_null(value);
	memfs_pattern(value, bytes, f->ino, 0);
	assert_ok(ka_setxattr(mk->m.fs, f->ino, "user.sample", value, bytes, 0));
	f->xattr_bytes = (uint32_t)bytes;
	free(value);
}

static void move(struct maker *mk, const char *from, const char *to)
{
	struct sample_file *f = find(mk, from);
	const char *from_name, *to_name;
	ka_ino_t from_dir = parent_of(mk, from, &from_name), to_dir = parent_of(mk, to, &to_name);

	assert_ok(ka_rename(mk->m.fs, from_dir, from_name, to_dir, to_name, 0));
	snprintf(f->path, sizeof(f->path), "%s", to);
}

static void vanish(struct maker *mk, const char *path)
{
	struct sample_file *f = find(mk, path);
	const char *name;
	ka_ino_t dir = parent_of(mk, path, &name);

	assert_ok(ka_unlink(mk->m.fs, dir, name));
	forget_versions(f);
	free(f->version[0].data);
	memmove(f, f + 1, (size_t)(&mk->s->file[--mk->s->files] - f) * sizeof(*f));
}

static void make_names(struct maker *mk)
{
	struct sample_file *one, *two;

	make(mk, "/dir/sub", S_IFDIR | 0700, NULL);
	make(mk, "/dir/sub/deep", S_IFDIR | 0700, NULL);
	make(mk, "/link", S_IFLNK | 0777, "dir/one");
	make(mk, "/fifo", S_IFIFO | 0600, NULL);
	one = make_file(mk, "/dir/one");
	put(mk, one, 0, 5000, 1);
	assert_ok(memfs_link(mk->m.fs, one->ino, find(mk, "/dir")->ino, "two"));
	two = note(mk, "/dir/two", one->mode, one->ino);
	two->versions = 1;
	two->version[0].size = 0;
	put(mk, two, 0, 5000, 1);
}

static void make_contents(struct maker *mk)
{
	struct sample_file *f, *plain = make_file(mk, "/plain");
	unsigned i;

	put(mk, plain, 0, 100000, 2); /* seven pieces */
	put(mk, make_file(mk, "/small"), 0, 100, 3);
	put(mk, make_file(mk, "/dir/sub/deep/file"), 0, 2000, 4);
	f = make_file(mk, "/sparse");
	put(mk, f, 0, 3000, 5);
	put(mk, f, 200000, 3000, 5);
	resize(mk, f, 300000);
	f = make_file(mk, "/shared");
	put(mk, f, 0, 900, 6);
	share(mk, plain, 16384, f, 1000, 50000);
	f = make_file(mk, "/appended");
	for (i = 0; i < 20; i++) {
		put(mk, f, i * 777, 777, 7);
		forget_versions(f);
	}
	f = make_file(mk, "/over");
	put(mk, f, 0, 30000, 8);
	put(mk, f, 9000, 5000, 9);
	f = make_file(mk, "/punched");
	put(mk, f, 0, 40000, 10);
	punch(mk, f, 10000, 7000);
	f = make_file(mk, "/xattrs");
	put(mk, f, 0, 1234, 11);
	set_xattr(mk, f, 300);
	put(mk, make_file(mk, "/first"), 0, 800, 12);
	move(mk, "/first", "/dir/renamed");
	put(mk, make_file(mk, "/gone"), 0, 5000, 13);
}

/* Items that no two of fit into one chunk with what is there already. */
static void make_chunks(struct maker *mk)
{
	char path[32];
	unsigned i;

	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/dir/large%u", i);
		put(mk, make_file(mk, path), 0, 700, 20 + i);
		set_xattr(mk, find(mk, path), LARGE_XATTR);
	}
}

/* So much metadata that the segments with the first records are used again. */
static void recycle(struct maker *mk)
{
	struct ka_setattr set = {.valid = KA_SET_MODE};
	struct ka_attr attr;
	unsigned i;

	for (i = 0; i < RECYCLED_RECORDS; i++) {
		set.mode = 0755;
		assert_ok(ka_setattr(mk->m.fs, find(mk, "/dir")->ino, &set, &attr));
	}
	memfs_remount(&mk->m);
	memfs_remount(&mk->m);
}

static void make_recycled(struct maker *mk)
{
	static const char *const early[] = {"/early0", "/early1", "/dir/early2"};
	unsigned i;

	for (i = 0; i < 3; i++)
		make_file(mk, early[i]);
	for (i = 0; i < 3; i++)
		recycle(mk);
	for (i = 0; i < 3; i++)
		put(mk, find(mk, early[i]), 0, 3000, 30 + i);
}

/* Little enough stays free that the older checkpoint has to go at the next. */
static void make_full(struct maker *mk)
{
	uint64_t leave = mk->s->flags & SAMPLE_CHUNKS ? 7 : 5;
	static unsigned i;
	char path[32];

	for (; mk->m.fs->segs.free > leave; i++) {
		snprintf(path, sizeof(path), "/bulk%u", i);
		put(mk, make_file(mk, path), 0, BULK_BYTES, 50 + i);
	}
}

/* What happens behind the checkpoint. */
static void go_on(struct maker *mk)
{
	put(mk, make_file(mk, "/new"), 0, 3000, 40);
	put(mk, make_file(mk, "/dir/sub/new"), 0, 200000, 41); /* on to another segment */
	put(mk, find(mk, "/appended"), 20 * 777, 777, 7);
	put(mk, find(mk, "/over"), 0, 4000, 42);
	resize(mk, find(mk, "/punched"), 35000);
	move(mk, "/small", "/dir/small2");
	make(mk, "/newdir", S_IFDIR | 0755, NULL);
	put(mk, make_file(mk, "/newdir/file"), 0, 1500, 43);
	vanish(mk, "/gone");
	put(mk, find(mk, "/sparse"), 100000, 1000, 44);
}

static void make_tail(struct maker *mk)
{
	char name[16];
	unsigned i;

	for (i = 0; i < TAIL_RECORDS; i++) {
		snprintf(name, sizeof(name), "tail%u", i);
		memfs_file(mk->m.fs, KA_ROOT_INO, name);
	}
}

/* ---- what lies where ------------------------------------------------------------ */

static void add_range(struct sample_ranges *r, uint64_t from, uint64_t to)
{
	r->list = realloc(r->list, (r->count + 1) * sizeof(*r->list));
	assert_non_null(r->list);
	r->list[r->count++] = (struct sample_range){from, to};
}

bool sample_hits(const struct sample_ranges *r, struct sample_range what)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (r->list[i].from < what.to && what.from < r->list[i].to)
			return true;
	return false;
}

static void find_data(struct ka_fs *fs, struct sample_file *f)
{
	const struct ka_inode *inode = ka_index_find(&fs->index, f->ino);
	const struct ka_payload_disk *pl;
	const struct ka_rec_disk *rec;
	const struct ka_extent *e;
	uint64_t start, piece, from, to;

	for (e = ka_extents_find(&inode->extents, 0); e; e = ka_extents_next(e)) {
		if (!e->addr)
			continue;
		rec = ka_region_at(fs->rg, e->addr - e->delta, sizeof(*rec));
		pl = ka_record_payload(rec);
		piece = ka_get32(pl->piece_bytes);
		start = e->addr - e->delta + ka_get32(rec->head_bytes);
		from = start + (e->addr - start) / piece * piece;
		to = ka_min(start + ka_align_up(e->addr + e->len - start, piece),
			    start + ka_get32(pl->bytes));
		add_range(&f->data, e->addr - e->delta, start);
		add_range(&f->data, from, to);
	}
}

static void note_record(struct sample *s, const struct ka_rec_disk *rec, uint64_t addr)
{
	const struct ka_rec_rename_disk *rn = (const void *)rec;
	const struct ka_rec_create_disk *cr = (const void *)rec;
	const struct ka_rec_name_disk *nm = (const void *)rec;
	const struct ka_rec_write_disk *wr = (const void *)rec; /* SETATTR, SPACE alike */
	struct sample_record r = {
		.head = {addr, addr + ka_get32(rec->head_bytes)},
		.seq = ka_get64(rec->seq),
	};

	switch (ka_get16(rec->type)) {
	case KA_REC_RENAME:
		r.ino[0] = ka_get64(rn->ino);
		r.ino[1] = ka_get64(rn->other_ino);
		break;
	case KA_REC_CREATE:
		r.ino[0] = ka_get64(cr->ino);
		break;
	case KA_REC_LINK:
	case KA_REC_REMOVE:
		r.ino[0] = ka_get64(nm->ino);
		break;
	default:
		r.ino[0] = ka_get64(wr->ino);
		break;
	}
	s->record = realloc(s->record, (s->records + 1) * sizeof(*s->record));
	assert_non_null(s->record);
	s->record[s->records++] = r;
}

/* Heads of all records in the segment, and its header. */
static void find_heads(struct sample *s, struct ka_fs *fs, uint64_t index, uint64_t ckpt_seq)
{
	uint64_t start = index * fs->segs.bytes, addr;
	const struct ka_rec_disk *rec;
	struct ka_segment_info info;
	struct ka_scan scan;

	assert_ok(ka_scan_header(fs->rg, fs->super.log_id, index, fs->segs.bytes, &info));
	add_range(&s->meta, start, start + sizeof(struct ka_segment_disk));
	ka_scan_start(&scan, fs->rg, fs->super.log_id, info.gen,
		      start + sizeof(struct ka_segment_disk), start + fs->segs.seg[index].used);
	while (!ka_scan_next(&scan, &rec, &addr)) {
		add_range(&s->meta, addr, addr + ka_get32(rec->head_bytes));
		if (ka_get64(rec->seq) > ckpt_seq)
			note_record(s, rec, addr);
	}
}

static void find_checkpoint(struct sample *s, const struct ka_fs *fs, unsigned which)
{
	const struct ka_ckpt_ptr *ptr = &fs->super.ckpt[which];
	struct ka_ckpt_walk walk;
	uint64_t i, segment, from, to;
	const uint8_t *data;
	size_t bytes;

	if (!ptr->addr)
		return;
	ka_ckpt_walk_start(&walk, fs->rg, &fs->super, ptr);
	for (i = 0; i < ptr->chunks; i++) {
		assert_ok(ka_ckpt_walk_next(&walk, &data, &bytes, &segment));
		if (segment)
			add_range(&s->meta, segment * fs->segs.bytes,
				  segment * fs->segs.bytes + sizeof(struct ka_segment_disk));
		to = (uint64_t)(data - s->mem) + bytes;
		from = to - bytes - sizeof(struct ka_rec_ckpt_disk) -
		       8 * ((bytes + KA_PIECE_MAX - 1) / KA_PIECE_MAX);
		add_range(&s->meta, from, to);
		add_range(&s->ckpt[which], from, to);
	}
}

static int by_seq(const void *a, const void *b)
{
	const struct sample_record *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

static void find_tail(struct sample *s, uint32_t segment_bytes)
{
	assert_true(s->records > TAIL_RECORDS);
	qsort(s->record, s->records, sizeof(*s->record), by_seq);
	s->tail.to = s->record[s->records - 1].head.to;
	s->tail.from = s->record[s->records - TAIL_RECORDS].head.from;
	assert_true(s->tail.to > s->tail.from + 4096);
	assert_true(s->tail.to < ka_align_down(s->tail.from, segment_bytes) + segment_bytes);
}

static void find_places(struct sample *s, struct memfs *m)
{
	struct ka_fs_opts opts = {.rdonly = true};
	struct ka_recovery rec;
	struct ka_fs *fs;
	uint64_t i;

	assert_ok(ka_fs_load(m->rg, &opts, 0, &rec, &fs));
	assert_int_equal(rec.done, !(s->flags & SAMPLE_CLEAN));
	assert_int_equal(rec.lost, 0);
	assert_int_equal(fs->super.ckpt[1].addr == 0, (s->flags & SAMPLE_FULL) != 0);
	assert_int_equal(fs->super.ckpt[0].chunks > 2, (s->flags & SAMPLE_CHUNKS) != 0);
	for (i = 0; i < KA_SUPER_COPIES; i++)
		add_range(&s->meta, fs->super.copy_addr[i], fs->super.copy_addr[i] + 4096);
	for (i = 1; i < fs->segs.count; i++)
		if (fs->segs.seg[i].state == KA_SEG_FULL || fs->segs.seg[i].state == KA_SEG_OPEN)
			find_heads(s, fs, i, fs->super.ckpt[0].seq);
	find_checkpoint(s, fs, 0);
	find_checkpoint(s, fs, 1);
	for (i = 0; i < s->files; i++)
		if (S_ISREG(s->file[i].mode))
			find_data(fs, &s->file[i]);
	if (!(s->flags & SAMPLE_CLEAN))
		find_tail(s, fs->segs.bytes);
	ka_fs_abandon(fs);
}

bool sample_concerns(const struct sample *s, const struct sample_file *f, struct sample_range what)
{
	const struct sample_record *r;
	size_t i, k, len;

	for (r = s->record; r < s->record + s->records; r++) {
		if (r->head.from >= what.to || what.from >= r->head.to)
			continue;
		for (i = 0; i < s->files; i++) {
			len = strlen(s->file[i].path);
			for (k = 0; k < 2; k++)
				if (r->ino[k] == s->file[i].ino &&
				    !strncmp(f->path, s->file[i].path, len) &&
				    (f->path[len] == '/' || !f->path[len]))
					return true;
		}
		if (r->ino[0] == f->ino || r->ino[1] == f->ino)
			return true;
	}
	return false;
}

void sample_make(struct sample *s, const char *name, unsigned flags)
{
	struct maker mk = {.s = s};
	size_t i;

	*s = (struct sample){.name = name, .flags = flags, .bytes = BYTES};
	memfs_make(&mk.m, BYTES);
	make(&mk, "/dir", S_IFDIR | 0755, NULL);
	if (flags & SAMPLE_RECYCLED)
		make_recycled(&mk);
	make_names(&mk);
	make_contents(&mk);
	if (flags & SAMPLE_CHUNKS)
		make_chunks(&mk);
	if (flags & SAMPLE_FULL)
		make_full(&mk);
	memfs_remount(&mk.m);
	for (i = 0; i < s->files; i++)
		forget_versions(&s->file[i]);
	if (flags & SAMPLE_CLEAN) {
		if (flags & SAMPLE_FULL) /* the last one gave some back */
			make_full(&mk);
		for (i = 0; i < s->files; i++)
			forget_versions(&s->file[i]);
		memfs_close(&mk.m);
	} else {
		go_on(&mk);
		make_tail(&mk);
		memfs_abandon(&mk.m);
	}
	s->mem = mk.m.mem;
	find_places(s, &mk.m);
	s->mem = malloc(BYTES);
	assert_non_null(s->mem);
	memcpy(s->mem, mk.m.mem, BYTES);
	memfs_release(&mk.m);
}

void sample_release(struct sample *s)
{
	size_t i;

	for (i = 0; i < s->files; i++) {
		forget_versions(&s->file[i]);
		free(s->file[i].version[0].data);
		free(s->file[i].data.list);
	}
	free(s->meta.list);
	free(s->ckpt[0].list);
	free(s->ckpt[1].list);
	free(s->record);
	free(s->mem);
}

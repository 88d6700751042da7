/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memfs.c - a filesystem in memory for tests; see memfs.h. */
#include "memfs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fs.h"
#include "keepalive/csum.h"
#include "keepalive/xattr.h"

static void start(struct memfs *m, struct ka_region *rg)
{
	*m = (struct memfs){.rg = rg, .bytes = ka_region_info(rg)->capacity_bytes};
	m->opts.noatime = true; /* to look at a tree must not change it */
	test_messages_init(&m->msgs);
}

void memfs_on(struct memfs *m, struct ka_region *rg)
{
	start(m, rg);
	m->opts.sink = &m->msgs.sink;
}

void memfs_over(struct memfs *m, void *mem, uint64_t bytes)
{
	struct ka_region *rg;

	assert_ok(ka_region_open_mem(mem, bytes, &rg));
	memfs_on(m, rg);
	m->mem = mem;
}

void memfs_make(struct memfs *m, uint64_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(mem != MAP_FAILED);
	memfs_over(m, mem, bytes);
	m->own_mem = true;
	memfs_format(m);
	memfs_open(m);
}

void memfs_format(struct memfs *m)
{
	struct ka_format_opts opts = {.label = "test", .capacity_bytes = m->bytes};

	memset(opts.uuid, 0xa5, sizeof(opts.uuid));
	assert_ok(ka_fs_format(m->rg, &opts, &m->msgs.sink));
}

int memfs_try_open(struct memfs *m)
{
	m->opts.sink = &m->msgs.sink; /* m may have been moved */
	m->msgs.sink.ctx = &m->msgs;
	m->fs = NULL;
	return ka_fs_open(m->rg, &m->opts, &m->fs);
}

void memfs_open(struct memfs *m)
{
	int err = memfs_try_open(m);

	if (err)
		print_error("messages: %s\n", m->msgs.text ?: "none");
	assert_ok(err);
}

void memfs_close(struct memfs *m)
{
	struct ka_fs *fs = m->fs;

	m->fs = NULL;
	assert_ok(ka_fs_close(fs));
}

void memfs_abandon(struct memfs *m)
{
	ka_fs_abandon(m->fs);
	m->fs = NULL;
}

void memfs_remount(struct memfs *m)
{
	memfs_close(m);
	memfs_open(m);
}

void memfs_crash(struct memfs *m)
{
	memfs_abandon(m);
	memfs_open(m);
}

void memfs_release(struct memfs *m)
{
	memfs_abandon(m);
	ka_region_close(m->rg);
	if (m->own_mem)
		munmap(m->mem, m->bytes);
	test_messages_release(&m->msgs);
	*m = (struct memfs){0};
}

int memfs_try_create(struct ka_fs *fs, ka_ino_t parent, const char *name, uint32_t mode,
		     const char *target, ka_ino_t *ret_ino)
{
	struct ka_new new = {.parent = parent, .name = name, .mode = mode, .target = target};
	struct ka_attr attr;
	int err;

	err = ka_create(fs, &new, &attr);
	if (err)
		return err;
	ka_forget(fs, attr.ino, 1);
	*ret_ino = attr.ino;
	return 0;
}

static ka_ino_t create(struct ka_fs *fs, ka_ino_t parent, const char *name, uint32_t mode,
		       const char *target)
{
	ka_ino_t ino = 0;

	assert_ok(memfs_try_create(fs, parent, name, mode, target, &ino));
	return ino;
}

ka_ino_t memfs_create(struct ka_fs *fs, ka_ino_t parent, const char *name, uint32_t mode)
{
	return create(fs, parent, name, mode, NULL);
}

ka_ino_t memfs_file(struct ka_fs *fs, ka_ino_t parent, const char *name)
{
	return create(fs, parent, name, S_IFREG | 0644, NULL);
}

ka_ino_t memfs_dir(struct ka_fs *fs, ka_ino_t parent, const char *name)
{
	return create(fs, parent, name, S_IFDIR | 0755, NULL);
}

ka_ino_t memfs_symlink(struct ka_fs *fs, ka_ino_t parent, const char *name, const char *target)
{
	return create(fs, parent, name, S_IFLNK | 0777, target);
}

int memfs_link(struct ka_fs *fs, ka_ino_t ino, ka_ino_t parent, const char *name)
{
	struct ka_attr attr;
	int err = ka_link(fs, ino, parent, name, &attr);

	if (!err)
		ka_forget(fs, ino, 1);
	return err;
}

ka_ino_t memfs_lookup(struct ka_fs *fs, ka_ino_t parent, const char *name)
{
	struct ka_attr attr;
	int err = ka_lookup(fs, parent, name, &attr);

	if (err == -ENOENT)
		return 0;
	assert_ok(err);
	ka_forget(fs, attr.ino, 1);
	return attr.ino;
}

int memfs_truncate(struct ka_fs *fs, ka_ino_t ino, uint64_t size)
{
	struct ka_setattr set = {.valid = KA_SET_SIZE, .size = size};
	struct ka_attr attr;

	return ka_setattr(fs, ino, &set, &attr);
}

int memfs_fallocate(struct ka_fs *fs, ka_ino_t ino, int mode, uint64_t off, uint64_t len)
{
	struct ka_file *file;
	int err;

	assert_ok(ka_open(fs, ino, &file));
	err = ka_fallocate(fs, file, mode, off, len);
	ka_close(fs, file);
	return err;
}

int memfs_clone(struct ka_fs *fs, ka_ino_t from, uint64_t from_off, ka_ino_t to, uint64_t to_off,
		uint64_t len)
{
	struct ka_file *in, *out;
	uint64_t copied = 0;
	int err;

	assert_ok(ka_open(fs, from, &in));
	assert_ok(ka_open(fs, to, &out));
	err = ka_copy_range(fs, in, from_off, out, to_off, len, &copied);
	ka_close(fs, in);
	ka_close(fs, out);
	if (!err)
		assert_int_equal(copied, len);
	return err;
}

int memfs_try_write(struct ka_fs *fs, ka_ino_t ino, uint64_t off, const void *buf, size_t len,
		    size_t *ret_written)
{
	struct ka_file *file;
	int err;

	assert_ok(ka_open(fs, ino, &file));
	err = ka_write(fs, file, buf, len, off, false, ret_written);
	ka_close(fs, file);
	return err;
}

void memfs_write(struct ka_fs *fs, ka_ino_t ino, uint64_t off, const void *buf, size_t len)
{
	size_t written;

	assert_ok(memfs_try_write(fs, ino, off, buf, len, &written));
	assert_int_equal(written, len);
}

void memfs_pattern(void *buf, size_t len, uint64_t key, uint64_t off)
{
	uint8_t *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(((off + i) * 0x9e3779b97f4a7c15ull + key * 0x2545f491) >> 56);
}

void memfs_write_pattern(struct ka_fs *fs, ka_ino_t ino, uint64_t off, size_t len, uint64_t key)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	memfs_pattern(buf, len, key, off);
	memfs_write(fs, ino, off, buf, len);
	free(buf);
}

static int read_open(struct ka_fs *fs, struct ka_file *file, uint64_t off, void *buf, size_t len,
		     size_t *ret_len)
{
	struct ka_read rd;
	size_t at = 0;
	int err, i;

	err = ka_read_begin(fs, file, off, len, &rd);
	if (err)
		return err;
	for (i = 0; i < rd.count; i++) {
		assert_true(rd.iov[i].iov_len <= len - at);
		memcpy((char *)buf + at, rd.iov[i].iov_base, rd.iov[i].iov_len);
		at += rd.iov[i].iov_len;
	}
	assert_int_equal(at, rd.size);
	ka_read_end(fs, &rd);
	*ret_len = at;
	return 0;
}

int memfs_read(struct ka_fs *fs, ka_ino_t ino, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
	struct ka_file *file;
	int err;

	err = ka_open(fs, ino, &file);
	if (err)
		return err;
	err = read_open(fs, file, off, buf, len, ret_len);
	ka_close(fs, file);
	return err;
}

int memfs_read_all(struct ka_fs *fs, ka_ino_t ino, uint8_t **ret_buf, size_t *ret_len)
{
	struct ka_attr attr;
	uint8_t *buf;
	int err;

	err = ka_getattr(fs, ino, &attr);
	if (err)
		return err;
	buf = malloc(attr.size + 1);
	assert_non_null(buf);
	err = memfs_read(fs, ino, 0, buf, attr.size, ret_len);
	if (err) {
		free(buf);
		return err;
	}
	assert_int_equal(*ret_len, attr.size);
	*ret_buf = buf;
	return 0;
}

bool memfs_has_pattern(struct ka_fs *fs, ka_ino_t ino, uint64_t off, size_t len, uint64_t key)
{
	uint8_t *want = malloc(len + 1), *got = malloc(len + 1);
	size_t got_len;
	bool same;

	assert_non_null(want);
	assert_non_null(got);
	memfs_pattern(want, len, key, off);
	same = !memfs_read(fs, ino, off, got, len, &got_len) && got_len == len &&
	       !memcmp(want, got, len);
	free(want);
	free(got);
	return same;
}

/* ---- dump ------------------------------------------------------------- */

struct dump {
	struct ka_fs *fs;
	FILE *out;
};

/* Entries are collected first: readdir's callback must not call back. */
struct dump_entry {
	struct dump_entry *next;
	struct ka_attr attr;
	uint64_t cookie;
	char name[KA_NAME_MAX + 1];
};

static bool collect(void *ctx, const char *name, const struct ka_attr *attr, uint64_t cookie)
{
	struct dump_entry ***tail = ctx, *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->attr = *attr;
	e->cookie = cookie;
	strcpy(e->name, name);
	**tail = e;
	*tail = &e->next;
	return true;
}

static void dump_time(FILE *out, const char *name, const struct ka_time *t)
{
	fprintf(out, " %s %" PRId64 ".%09u", name, t->sec, t->nsec);
}

static void dump_xattrs(const struct dump *d, ka_ino_t ino)
{
	static char value[KA_XATTR_MAX + 1];
	size_t bytes, len;
	char *list, *name;

	assert_ok(ka_listxattr(d->fs, ino, true, NULL, 0, &bytes));
	list = malloc(bytes + 1);
	assert_non_null(list);
	if (bytes)
		assert_ok(ka_listxattr(d->fs, ino, true, list, bytes, &bytes));
	for (name = list; name < list + bytes; name += strlen(name) + 1) {
		assert_ok(ka_getxattr(d->fs, ino, name, value, sizeof(value), &len));
		fprintf(d->out, "  xattr %s: %zu bytes, %016" PRIx64 "\n", name, len,
			ka_csum(value, len));
	}
	free(list);
}

static void dump_contents(const struct dump *d, const struct ka_attr *a)
{
	char target[KA_TARGET_MAX + 1];
	uint8_t *buf;
	size_t len;
	int err;

	if (S_ISLNK(a->mode)) {
		assert_ok(ka_readlink(d->fs, a->ino, target));
		fprintf(d->out, " -> %s", target);
	}
	if (!S_ISREG(a->mode))
		return;
	err = memfs_read_all(d->fs, a->ino, &buf, &len);
	if (err) {
		fprintf(d->out, " unreadable: %s", ka_strerror(err));
		return;
	}
	fprintf(d->out, " data %016" PRIx64, ka_csum(buf, len));
	free(buf);
}

static void dump_dir(const struct dump *d, const char *path, ka_ino_t ino);

static void dump_inode(const struct dump *d, const char *path, const struct ka_attr *a,
		       uint64_t cookie)
{
	fprintf(d->out,
		"%s: ino %" PRIu64 " mode %o nlink %u uid %u gid %u rdev %x size %" PRIu64
		" blocks %" PRIu64 " cookie %" PRIu64,
		path, a->ino, a->mode, a->nlink, a->uid, a->gid, a->rdev, a->size, a->blocks,
		cookie);
	dump_time(d->out, "a", &a->atime);
	dump_time(d->out, "m", &a->mtime);
	dump_time(d->out, "c", &a->ctime);
	dump_time(d->out, "b", &a->btime);
	dump_contents(d, a);
	fprintf(d->out, "\n");
	dump_xattrs(d, a->ino);
	if (S_ISDIR(a->mode))
		dump_dir(d, path, a->ino);
}

static void dump_dir(const struct dump *d, const char *path, ka_ino_t ino)
{
	struct dump_entry *list = NULL, **tail = &list, *e;
	char *sub;

	assert_ok(ka_readdir(d->fs, ino, KA_COOKIE_DOTDOT, false, collect, &tail));
	while ((e = list)) {
		list = e->next;
		assert_true(asprintf(&sub, "%s/%s", path, e->name) > 0);
		dump_inode(d, sub, &e->attr, e->cookie);
		free(sub);
		free(e);
	}
}

char *memfs_dump(struct ka_fs *fs)
{
	struct dump d = {.fs = fs};
	struct ka_attr root;
	char *text = NULL;
	size_t len;

	d.out = open_memstream(&text, &len);
	assert_non_null(d.out);
	assert_ok(ka_getattr(fs, KA_ROOT_INO, &root));
	dump_inode(&d, "", &root, 0);
	fclose(d.out);
	return text;
}

/* ---- check ------------------------------------------------------------ */

struct check {
	struct ka_fs *fs;
	uint64_t *live; /* of each segment */
	uint64_t extents;
	uint64_t unwritten;
	uint64_t name_bytes;
	uint64_t extra_bytes;
	uint64_t xattrs;
	uint64_t entries;
};

static void start_inode(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);

	(void)ctx;
	inode->names = S_ISDIR(inode->mode) && inode->nlink ? 2 : 0;
	if (inode->ino == KA_ROOT_INO)
		assert_ptr_equal(inode->dir->parent, inode);
}

static void check_name(struct ka_hnode *node, void *ctx)
{
	struct ka_dirent *de = ka_container_of(node, struct ka_dirent, node);
	struct check *c = ctx;
	size_t at = ka_dir_position(de->dir->dir, de->cookie);

	assert_true(at > 0 && de->dir->dir->slot[at - 1].entry == de);
	assert_true(de->cookie < de->dir->dir->next_cookie);
	assert_ptr_equal(ka_index_find(&c->fs->index, de->inode->ino), de->inode);
	assert_ptr_equal(ka_index_find(&c->fs->index, de->dir->ino), de->dir);
	if (S_ISDIR(de->inode->mode)) {
		assert_ptr_equal(de->inode->dir->parent, de->dir);
		assert_ptr_equal(de->inode->dir->entry, de);
		de->dir->names++;
	} else {
		de->inode->names++;
	}
	c->name_bytes += de->name_bytes;
	c->entries++;
}

static void check_extents(struct check *c, const struct ka_inode *inode)
{
	struct ka_segs *segs = &c->fs->segs;
	uint64_t end = 0, bytes = 0, index;
	const struct ka_extent *e;

	for (e = ka_extents_find(&inode->extents, 0); e; e = ka_extents_next(e)) {
		assert_true(e->len && e->off >= end);
		end = e->off + e->len;
		bytes += e->len;
		c->extents++;
		if (!e->addr) {
			c->unwritten += e->len;
			continue;
		}
		assert_true(end <= inode->size);
		index = ka_segs_index(segs, e->addr);
		assert_int_equal(index, ka_segs_index(segs, e->addr + e->len - 1));
		assert_true(segs->seg[index].state == KA_SEG_OPEN ||
			    segs->seg[index].state == KA_SEG_FULL);
		c->live[index] += e->len;
	}
	assert_int_equal(bytes, inode->extents.bytes);
}

static void check_inode(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	const struct ka_xattr *x;
	struct check *c = ctx;
	size_t i, count = 0;

	assert_true(inode->ino < c->fs->index.next_ino);
	assert_int_equal(inode->nlink, inode->names);
	check_extents(c, inode);
	for (x = inode->xattrs; x; x = x->next) {
		c->extra_bytes += x->name_bytes + x->value_bytes;
		c->xattrs++;
	}
	if (S_ISLNK(inode->mode))
		c->extra_bytes += strlen(inode->target);
	if (!S_ISDIR(inode->mode))
		return;
	for (i = 0; i < inode->dir->slots; i++) {
		count += inode->dir->slot[i].entry != NULL;
		if (i)
			assert_true(inode->dir->slot[i - 1].cookie < inode->dir->slot[i].cookie);
	}
	assert_int_equal(count, inode->dir->count);
}

static void check_segments(const struct check *c)
{
	const struct ka_segs *segs = &c->fs->segs;
	uint64_t i, unused = 0;

	for (i = 0; i < segs->count; i++) {
		assert_int_equal(segs->seg[i].live, c->live[i]);
		if (segs->seg[i].state != KA_SEG_FREE)
			continue;
		assert_true(i >= segs->hint);
		unused++;
	}
	assert_int_equal(segs->free, unused);
}

void memfs_check(struct ka_fs *fs)
{
	struct check c = {.fs = fs, .live = calloc(fs->segs.count, sizeof(*c.live))};
	struct ka_index *ix = &fs->index;

	assert_non_null(c.live);
	ka_htab_visit(&ix->inodes, start_inode, &c);
	ka_htab_visit(&ix->names, check_name, &c);
	ka_htab_visit(&ix->inodes, check_inode, &c);
	check_segments(&c);
	assert_int_equal(ix->names.count, c.entries);
	assert_int_equal(ix->extents.count, c.extents);
	assert_int_equal(ix->extents.unwritten_bytes, c.unwritten);
	assert_int_equal(ix->name_bytes, c.name_bytes);
	assert_int_equal(ix->extra_bytes, c.extra_bytes);
	assert_int_equal(ix->xattrs, c.xattrs);
	free(c.live);
}

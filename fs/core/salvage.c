/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * salvage.c - puts the log on what chunks of checkpoints told; see salvage.h.
 *
 * Inodes change by ka_apply only. Names are bound and unbound here, one at a time:
 * a record like RENAME may be needed for one of its two directories, while the
 * other is known as of later.
 */
#include "salvage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "checkpoint.h"
#include "keepalive/csum.h"
#include "keepalive/dir.h"
#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/util.h"
#include "keepalive/xattr.h"
#include "replay.h"

static struct ka_salvage_object *find_object(const struct ka_salvage *sv, ka_ino_t ino)
{
	struct ka_hnode *node = ka_htab_first(&sv->objects, ka_hash_u64(ino));
	struct ka_salvage_object *o;

	for (; node; node = ka_htab_next(node)) {
		o = ka_container_of(node, struct ka_salvage_object, node);
		if (o->ino == ino)
			return o;
	}
	return NULL;
}

struct ka_salvage_object *ka_salvage_object(struct ka_salvage *sv, ka_ino_t ino)
{
	struct ka_salvage_object *o = find_object(sv, ino);

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->node.hash = ka_hash_u64(ino);
	o->ino = ino;
	o->first = UINT64_MAX;
	if (ka_htab_insert(&sv->objects, &o->node)) {
		free(o);
		return NULL;
	}
	return o;
}

bool ka_salvage_may_exist(const struct ka_salvage *sv, ka_ino_t ino, uint64_t seq)
{
	const struct ka_salvage_object *o = find_object(sv, ino);
	unsigned i;

	if (o && o->removed)
		return false;
	for (i = 0; i < 2; i++) {
		const struct ka_salvage_base *b = &sv->base[i];

		if (seq > b->seq || (o && o->wanted))
			continue;
		if (b->all_inodes || b->all_names)
			return false;
	}
	return true;
}

static uint64_t hash_kept(ka_ino_t dir, ka_ino_t ino, const char *name, size_t bytes)
{
	return ka_hash_name(ka_hash_u64(dir) + ino, name, bytes);
}

static struct ka_salvage_name *find_kept(const struct ka_salvage *sv, ka_ino_t dir, ka_ino_t ino,
					 const char *name, size_t bytes)
{
	struct ka_hnode *node = ka_htab_first(&sv->names, hash_kept(dir, ino, name, bytes));
	struct ka_salvage_name *n;

	for (; node; node = ka_htab_next(node)) {
		n = ka_container_of(node, struct ka_salvage_name, node);
		if (n->dir == dir && n->ino == ino && n->bytes == bytes &&
		    !memcmp(n->name, name, bytes))
			return n;
	}
	return NULL;
}

static void free_kept(struct ka_salvage *sv, struct ka_salvage_name *n)
{
	ka_htab_remove(&sv->names, &n->node);
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	free(n);
}

int ka_salvage_keep_name(struct ka_salvage *sv, ka_ino_t dir, ka_ino_t ino, const char *name,
			 size_t bytes, uint64_t seq)
{
	struct ka_salvage_object *o = ka_salvage_object(sv, ino);
	struct ka_salvage_name *n = find_kept(sv, dir, ino, name, bytes);

	if (n) {
		n->seq = ka_min(n->seq, seq);
		return 0;
	}
	n = malloc(sizeof(*n) + bytes + 1);
	if (!o || !n)
		goto undo_alloc;
	n->node.hash = hash_kept(dir, ino, name, bytes);
	n->dir = dir;
	n->ino = ino;
	n->seq = seq;
	n->bytes = bytes;
	memcpy(n->name, name, bytes);
	n->name[bytes] = 0;
	if (ka_htab_insert(&sv->names, &n->node))
		goto undo_alloc;
	n->link = &o->names;
	n->next = o->names;
	if (n->next)
		n->next->link = &n->next;
	o->names = n;
	return 0;
undo_alloc:
	free(n);
	return -ENOMEM;
}

int ka_salvage_doubt(struct ka_salvage *sv, ka_ino_t ino, uint64_t off, uint64_t len)
{
	struct ka_salvage_stats *st = sv->stats;
	struct ka_salvage_range *list;
	size_t capacity = st->doubts ? st->doubts : 8;

	if (!(st->doubts & (st->doubts - 1)) && (st->doubts >= 8 || !st->doubts)) {
		list = realloc(st->doubt, 2 * capacity * sizeof(*list));
		if (!list)
			return -ENOMEM;
		st->doubt = list;
	}
	st->doubt[st->doubts++] = (struct ka_salvage_range){.ino = ino, .off = off, .len = len};
	return 0;
}

/* ---- inodes --------------------------------------------------------------------- */

/* Attributes come before extents: where there is one of those, they are all there. */
static int join_xattrs(struct ka_salvage *sv, struct ka_inode *inode,
		       const struct ka_salvage_object *o)
{
	struct ka_index *ix = &sv->fs->index;
	const struct ka_xattr *x;
	int err = 0;

	while (o->known_to && inode->xattrs)
		ka_index_remove_xattr(ix, inode, inode->xattrs->data, inode->xattrs->name_bytes);
	for (x = o->partial->xattrs; !err && x; x = x->next)
		err = ka_index_set_xattr(ix, inode, x->data, x->name_bytes, ka_xattr_value(x),
					 x->value_bytes);
	return err;
}

/* Puts what a checkpoint knows of an inode over what older records made of it. */
static int join_partial(struct ka_salvage *sv, struct ka_inode *inode, struct ka_salvage_object *o)
{
	struct ka_index *ix = &sv->fs->index;
	struct ka_extent_stats *st = &ix->extents;
	struct ka_inode *known = o->partial;
	const struct ka_extent *e;
	int err;

	err = join_xattrs(sv, inode, o);
	if (!err)
		err = ka_extents_punch(&inode->extents, st, 0, o->known_to);
	for (e = ka_extents_find(&known->extents, 0); !err && e; e = ka_extents_next(e))
		err = ka_extents_put(&inode->extents, st, e);
	if (!err)
		err = ka_extents_punch(&inode->extents, st, known->size, UINT64_MAX - known->size);
	if (!err && S_ISREG(known->mode) && o->known_to < known->size)
		err = ka_salvage_doubt(sv, o->ino, o->known_to, known->size - o->known_to);
	inode->mode = known->mode;
	inode->uid = known->uid;
	inode->gid = known->gid;
	inode->nlink = known->nlink;
	inode->size = known->size;
	inode->atime = known->atime;
	inode->mtime = known->mtime;
	inode->ctime = known->ctime;
	inode->btime = known->btime;
	ka_index_empty(ix, known);
	free(known);
	o->partial = NULL;
	o->base = o->partial_base;
	return err;
}

/*
 * The inode that a record with this number writes into, made if it can have been
 * there (type 0: not made); NULL if the record is not for it.
 */
static struct ka_inode *target(struct ka_salvage *sv, ka_ino_t ino, uint64_t seq, uint32_t type)
{
	struct ka_inode *inode = ka_index_find(&sv->fs->index, ino);
	struct ka_salvage_object *o = find_object(sv, ino);

	if (inode) {
		if (o && o->partial && seq > o->partial_base && join_partial(sv, inode, o))
			return NULL;
		return o && seq <= o->base ? NULL : inode;
	}
	if (!type || !ka_salvage_may_exist(sv, ino, seq))
		return NULL;
	o = ka_salvage_object(sv, ino);
	inode = o ? ka_index_new(&sv->fs->index, ino, type | (type == S_IFDIR ? 0700 : 0600))
		  : NULL;
	if (!inode)
		return NULL;
	inode->nlink = type == S_IFDIR ? 2 : 1;
	inode->atime = inode->mtime = inode->ctime = inode->btime = ka_time_from_ns(ka_now_ns());
	o->made = true;
	sv->stats->made++;
	return inode;
}

static bool counts_for(const struct ka_salvage *sv, ka_ino_t ino, uint64_t seq)
{
	const struct ka_salvage_object *o = find_object(sv, ino);

	return !o || seq > (o->partial ? o->partial_base : o->base);
}

static void note_first(struct ka_salvage *sv, ka_ino_t ino, uint64_t seq)
{
	struct ka_salvage_object *o = ka_salvage_object(sv, ino);

	if (o)
		o->first = ka_min(o->first, seq);
}

/* ---- names ------------------------------------------------------------------------ */

/* One name of a record. */
struct binding {
	ka_ino_t dir;
	ka_ino_t ino;
	const char *name;
	size_t bytes;
	uint64_t seq;
	struct ka_time time;
	bool counts; /* a link more, or less */
};

static void remove_entry(struct ka_salvage *sv, struct ka_dirent *de)
{
	if (S_ISDIR(de->inode->mode))
		de->inode->dir->parent = NULL;
	ka_index_remove_name(&sv->fs->index, de);
}

/* Of an empty directory there is no need to go all the way up to know it. */
static bool is_below(const struct ka_inode *dir, const struct ka_inode *top)
{
	return dir == top || (top->dir->count && ka_dir_is_below(dir, top));
}

/* A directory has one name at most: the older one is stale. */
static bool make_way(struct ka_salvage *sv, struct ka_inode *dir, struct ka_inode *inode)
{
	if (!S_ISDIR(inode->mode))
		return true;
	if (inode->ino == KA_ROOT_INO || is_below(dir, inode))
		return false;
	if (inode->dir->entry)
		remove_entry(sv, inode->dir->entry);
	return true;
}

/*
 * Whether the record may change this name: the checkpoint has it from later; or, if
 * some of the names there were lost, it may be one of those.
 */
static bool may_change(const struct ka_salvage *sv, const struct ka_inode *dir, uint64_t seq,
		       const struct ka_dirent *de)
{
	const struct ka_salvage_object *o = find_object(sv, dir->ino);

	if (!o || seq > o->dir_base)
		return true;
	return !o->dir_whole && (!de || de->cookie >= o->own_names);
}

static int bind(struct ka_salvage *sv, const struct binding *b)
{
	struct ka_inode *dir = ka_index_find(&sv->fs->index, b->dir), *inode;
	struct ka_dirent *de;
	int err;

	if (!dir)
		dir = target(sv, b->dir, b->seq, S_IFDIR);
	if (!dir || !S_ISDIR(dir->mode))
		return 0;
	inode = ka_index_find(&sv->fs->index, b->ino);
	if (!inode)
		return ka_salvage_may_exist(sv, b->ino, b->seq)
			       ? ka_salvage_keep_name(sv, b->dir, b->ino, b->name, b->bytes, b->seq)
			       : 0;
	if (b->counts && !S_ISDIR(inode->mode) && counts_for(sv, b->ino, b->seq))
		inode->nlink++;
	de = ka_dir_find(&sv->fs->index.names, dir, b->name, b->bytes);
	if ((de && de->inode == inode) || !may_change(sv, dir, b->seq, de) ||
	    !make_way(sv, dir, inode))
		return 0;
	de = ka_dir_find(&sv->fs->index.names, dir, b->name, b->bytes);
	if (de)
		remove_entry(sv, de);
	err = ka_index_add_name(&sv->fs->index, dir, b->name, b->bytes, dir->dir->next_cookie,
				inode);
	if (err)
		return err;
	if (S_ISDIR(inode->mode))
		inode->dir->parent = dir;
	if (counts_for(sv, b->dir, b->seq))
		dir->mtime = dir->ctime = b->time;
	return 0;
}

/* The inode is not there, maybe never will be: the name is forgotten. */
static void drop_kept(struct ka_salvage *sv, const struct binding *b)
{
	struct ka_salvage_object *o = ka_salvage_object(sv, b->ino);
	struct ka_salvage_name *n = find_kept(sv, b->dir, b->ino, b->name, b->bytes);

	if (n && b->seq > n->seq)
		free_kept(sv, n);
	if (o && b->counts && !o->names && !o->wanted)
		o->removed = true;
}

static void unbind(struct ka_salvage *sv, const struct binding *b)
{
	struct ka_inode *dir = ka_index_find(&sv->fs->index, b->dir);
	struct ka_inode *inode = ka_index_find(&sv->fs->index, b->ino);
	struct ka_dirent *de;

	if (!inode) {
		drop_kept(sv, b);
		return;
	}
	if (b->counts && counts_for(sv, b->ino, b->seq))
		inode->nlink = S_ISDIR(inode->mode) || !inode->nlink ? 0 : inode->nlink - 1;
	if (!dir || !S_ISDIR(dir->mode))
		return;
	de = ka_dir_find(&sv->fs->index.names, dir, b->name, b->bytes);
	if (!de || de->inode != inode || !may_change(sv, dir, b->seq, de))
		return;
	remove_entry(sv, de);
	if (counts_for(sv, b->dir, b->seq))
		dir->mtime = dir->ctime = b->time;
}

static struct ka_time time_of(const struct ka_rec_disk *rec)
{
	return ka_time_from_ns((int64_t)ka_get64(rec->time_ns));
}

static int rename_record(struct ka_salvage *sv, const struct ka_rec_rename_disk *r)
{
	size_t from_bytes = ka_get16(r->from_bytes);
	struct binding from = {
		.dir = ka_get64(r->from_parent),
		.ino = ka_get64(r->ino),
		.name = (const char *)r->names,
		.bytes = from_bytes,
		.seq = ka_get64(r->h.seq),
		.time = time_of(&r->h),
	};
	struct binding to = from, other;
	int err;

	to.dir = ka_get64(r->to_parent);
	to.name = (const char *)r->names + from_bytes;
	to.bytes = ka_get16(r->to_bytes);
	other = to;
	other.ino = ka_get64(r->other_ino);
	other.counts = !(ka_get16(r->h.flags) & KA_RENAME_EXCHANGE);
	unbind(sv, &from);
	if (other.ino)
		unbind(sv, &other);
	err = bind(sv, &to);
	if (err || other.counts)
		return err;
	from.ino = other.ino;
	return bind(sv, &from);
}

/* A directory that only names told of, or a file that a write made, has attributes now. */
static int adopt(struct ka_salvage *sv, struct ka_inode *inode, const struct ka_rec_create_disk *c)
{
	uint32_t mode = ka_get32(c->mode);

	if ((mode & S_IFMT) != (inode->mode & S_IFMT))
		return 0;
	inode->mode = mode;
	inode->uid = ka_get32(c->uid);
	inode->gid = ka_get32(c->gid);
	inode->atime = inode->mtime = inode->ctime = inode->btime = time_of(&c->h);
	ka_salvage_object(sv, inode->ino)->made = false;
	return 0;
}

static int create_record(struct ka_salvage *sv, const struct ka_rec_create_disk *c)
{
	ka_ino_t ino = ka_get64(c->ino);
	struct ka_inode *inode = ka_index_find(&sv->fs->index, ino);
	struct ka_salvage_object *o = find_object(sv, ino);
	uint32_t mode = ka_get32(c->mode);
	struct binding b = {
		.dir = ka_get64(c->parent),
		.ino = ino,
		.name = (const char *)c->data,
		.bytes = ka_get16(c->name_bytes),
		.seq = ka_get64(c->h.seq),
		.time = time_of(&c->h),
	};
	int err = 0;

	if (!ka_record_mode_ok(mode) || S_ISLNK(mode) != (ka_get16(c->target_bytes) > 0))
		return 0;
	if (!inode && ka_salvage_may_exist(sv, ino, b.seq)) {
		note_first(sv, ino, b.seq);
		err = ka_apply_inode(sv->fs, c, &inode);
		if (err)
			return err;
		inode->nlink = S_ISDIR(mode) ? 2 : b.bytes > 0;
	} else if (inode && o && o->made) {
		o->first = ka_min(o->first, b.seq);
		err = adopt(sv, inode, c);
	}
	return err || !b.bytes ? err : bind(sv, &b);
}

static int name_record(struct ka_salvage *sv, const struct ka_rec_name_disk *n)
{
	struct binding b = {
		.dir = ka_get64(n->parent),
		.ino = ka_get64(n->ino),
		.name = (const char *)n->name,
		.bytes = ka_get16(n->name_bytes),
		.seq = ka_get64(n->h.seq),
		.time = time_of(&n->h),
		.counts = true,
	};

	if (ka_get16(n->h.type) == KA_REC_LINK)
		return bind(sv, &b);
	unbind(sv, &b);
	return 0;
}

/* ---- the log ------------------------------------------------------------------------ */

/* The inode as it was behind the records so far; NULL: nothing tells. */
static struct ka_inode *as_it_was(const struct ka_salvage *sv, ka_ino_t ino, uint64_t seq)
{
	const struct ka_salvage_object *o = find_object(sv, ino);

	if (o && o->base && seq <= o->base)
		return o->past;
	return ka_index_find(&sv->fs->index, ino);
}

/*
 * What is shared with a source as it was then. Where that is not known, or not for
 * sure, nobody knows what it was.
 */
static int clone_record(struct ka_salvage *sv, const struct ka_rec_clone_disk *c)
{
	uint64_t seq = ka_get64(c->h.seq), off = ka_get64(c->off), len = ka_get64(c->len);
	ka_ino_t ino = ka_get64(c->ino), from_ino = ka_get64(c->from_ino);
	const struct ka_salvage_object *from_o = find_object(sv, from_ino);
	struct ka_inode *from, *to;
	int err;

	(void)target(sv, from_ino, seq, 0); /* joins what there is */
	to = target(sv, ino, seq, S_IFREG) ?: as_it_was(sv, ino, seq);
	if (!to || !S_ISREG(to->mode))
		return 0;
	from = as_it_was(sv, from_ino, seq);
	if (!from)
		err = -KA_ERR_REPLAY_INODE;
	else if (!ka_apply_has_room(sv->fs,
				    ka_extents_count(&from->extents, ka_get64(c->from_off), len),
				    KA_CKPT_EXTENT)) /* the result has to be stored */
		err = -KA_ERR_REPLAY_SPACE;
	else
		err = ka_apply_clone(sv->fs, from, to, c);
	if (err == -ENOMEM)
		return err;
	if (err) {
		err = ka_extents_punch(&to->extents, &sv->fs->index.extents, off, len);
		to->size = ka_max(to->size, off + len);
	} else if (!from_o || sv->last_gap <= from_o->first || seq > sv->base[0].seq) {
		return 0;
	}
	return err ?: ka_salvage_doubt(sv, ino, off, len);
}

/* Follows an inode that a checkpoint knows as of later, for those that share its bytes. */
static int past_record(struct ka_salvage *sv, struct ka_salvage_object *o,
		       const struct ka_rec_disk *rec, uint64_t addr)
{
	const struct ka_rec_setattr_disk *s = (const void *)rec;
	int err = 0;

	o->first = ka_min(o->first, ka_get64(rec->seq));
	if (ka_get16(rec->type) == KA_REC_WRITE)
		err = ka_apply_write(sv->fs, o->past, (const void *)rec, addr);
	else if (ka_get16(rec->type) == KA_REC_SPACE)
		err = ka_apply_space(sv->fs, o->past, (const void *)rec);
	else if (ka_get16(rec->type) == KA_REC_SETATTR && (ka_get32(s->valid) & KA_SET_SIZE))
		err = ka_apply_size(sv->fs, o->past, ka_get64(s->size));
	return err == -ENOMEM ? err : 0;
}

/* Which inodes have to be followed from before their base: those that others shared then. */
static int find_pasts(struct ka_salvage *sv)
{
	struct ka_rec_clone_disk c;
	struct ka_salvage_object *o;
	size_t i;

	for (i = 0; i < sv->records; i++) {
		if (ka_region_read(sv->fs->rg, sv->record[i].addr, &c.h, sizeof(c.h)) ||
		    ka_get16(c.h.type) != KA_REC_CLONE ||
		    ka_region_read(sv->fs->rg, sv->record[i].addr, &c, sizeof(c)))
			continue;
		o = find_object(sv, ka_get64(c.from_ino));
		if (!o || o->past || sv->record[i].seq > o->base)
			continue;
		o->past = calloc(1, sizeof(*o->past));
		if (!o->past)
			return -ENOMEM;
		o->past->ino = o->ino;
		o->past->mode = S_IFREG;
	}
	return 0;
}

/* Records that begin alike: the inode follows the common part. */
static int inode_record(struct ka_salvage *sv, const struct ka_rec_disk *rec, uint64_t addr,
			uint32_t type)
{
	const struct ka_rec_setattr_disk *s = (const void *)rec;
	ka_ino_t ino = ka_get64(s->ino);
	uint64_t seq = ka_get64(rec->seq);
	struct ka_inode *inode = target(sv, ino, seq, type);
	struct ka_salvage_object *o;
	int err;

	o = find_object(sv, ino);
	if (!inode && o && o->past && seq <= o->base)
		return past_record(sv, o, rec, addr);
	if (!inode)
		return 0;
	if (o && !o->base)
		o->first = ka_min(o->first, seq);
	err = ka_apply(sv->fs, rec, addr);
	return err == -ENOMEM ? err : 0;
}

static int one_record(struct ka_salvage *sv, const struct ka_rec_disk *rec, uint64_t addr)
{
	switch (ka_get16(rec->type)) {
	case KA_REC_WRITE:
	case KA_REC_SPACE:
		return inode_record(sv, rec, addr, S_IFREG);
	case KA_REC_SETATTR:
	case KA_REC_XATTR:
		return inode_record(sv, rec, addr, 0);
	case KA_REC_CLONE:
		return clone_record(sv, (const void *)rec);
	case KA_REC_CREATE:
		return create_record(sv, (const void *)rec);
	case KA_REC_LINK:
	case KA_REC_REMOVE:
		return name_record(sv, (const void *)rec);
	case KA_REC_RENAME:
		return rename_record(sv, (const void *)rec);
	default:
		return 0;
	}
}

static int by_seq(const void *a, const void *b)
{
	const struct ka_salvage_record *x = a, *y = b;

	if (x->seq != y->seq)
		return (x->seq > y->seq) - (x->seq < y->seq);
	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Numbers are given out one by one: which is the highest that nothing is left of? */
static void find_gap(struct ka_salvage *sv)
{
	uint64_t want = sv->max_seq;
	size_t i = sv->records;

	while (i && sv->record[i - 1].seq >= want)
		if (sv->record[--i].seq == want)
			want--;
	sv->last_gap = want;
}

static int apply_log(struct ka_salvage *sv)
{
	struct ka_segs *segs = &sv->fs->segs;
	uint64_t addr,
		oldest = sv->base[0].all_inodes && sv->base[0].all_names ? sv->base[0].seq : 0;
	KA_AUTO_FREE struct ka_rec_disk *head = malloc(KA_HEAD_MAX);
	struct ka_seg *seg;
	size_t i;
	int err;

	if (!head)
		return -ENOMEM;
	if (sv->records)
		qsort(sv->record, sv->records, sizeof(*sv->record), by_seq);
	find_gap(sv);
	err = find_pasts(sv);
	for (i = 0; !err && i < sv->records; i++) {
		if (sv->record[i].seq <= oldest)
			continue;
		addr = sv->record[i].addr;
		if (ka_replay_copy_head(sv->fs, addr, head))
			continue;
		/* A segment with records that were needed stays until all is stored. */
		seg = &segs->seg[ka_segs_index(segs, addr)];
		atomic_store(&seg->last_seq, sv->max_seq);
		err = one_record(sv, head, addr);
		sv->stats->records++;
	}
	return err;
}

/* ---- the end -------------------------------------------------------------------------- */

/* Visits stop at the first error. */
struct visit {
	struct ka_salvage *sv;
	int err;
};

static int lose_name(struct ka_salvage *sv, const struct ka_salvage_name *n, ka_ino_t ino)
{
	struct ka_salvage_stats *st = sv->stats;
	struct ka_salvage_lost *lost = malloc(sizeof(*lost) + n->bytes + 1);

	if (!lost)
		return -ENOMEM;
	lost->dir = n->dir;
	lost->ino = ino;
	memcpy(lost->name, n->name, n->bytes + 1);
	lost->next = st->lost;
	st->lost = lost;
	return 0;
}

static void finish_names(struct ka_hnode *node, void *ctx)
{
	struct ka_salvage_object *o = ka_container_of(node, struct ka_salvage_object, node);
	struct ka_inode *inode, *dir;
	struct ka_salvage_name *n;
	struct visit *v = ctx;
	struct ka_index *ix = &v->sv->fs->index;

	inode = ka_index_find(ix, o->ino);
	for (; o->names && !v->err; free_kept(v->sv, n)) {
		n = o->names;
		dir = ka_index_find(ix, n->dir);
		if (!inode && !n->seq)
			v->err = lose_name(v->sv, n, o->ino);
		if (!inode || !dir || !S_ISDIR(dir->mode) || !dir->nlink ||
		    ka_dir_find(&ix->names, dir, n->name, n->bytes) ||
		    (S_ISDIR(inode->mode) && (inode->dir->parent || is_below(dir, inode))))
			continue;
		v->err =
			ka_index_add_name(ix, dir, n->name, n->bytes, dir->dir->next_cookie, inode);
		if (S_ISDIR(inode->mode))
			inode->dir->parent = dir;
	}
}

/*
 * Of an inode that is made of records alone: whether any is missing that may have
 * changed it. Behind the newest checkpoint the log is there as a whole; what is damaged
 * in it is counted as such.
 */
static bool is_doubtful(const struct ka_salvage *sv, const struct ka_salvage_object *o)
{
	return o->made || (o->first <= sv->base[0].seq && sv->last_gap > o->first);
}

static void finish_partial(struct ka_hnode *node, void *ctx)
{
	struct ka_salvage_object *o = ka_container_of(node, struct ka_salvage_object, node);
	struct visit *v = ctx;
	struct ka_inode *inode = ka_index_find(&v->sv->fs->index, o->ino);

	if (o->partial && inode && !v->err)
		v->err = join_partial(v->sv, inode, o);
	else if (inode && !o->base && !v->err && inode->size && S_ISREG(inode->mode) &&
		 is_doubtful(v->sv, o))
		v->err = ka_salvage_doubt(v->sv, o->ino, 0, inode->size);
}

static void forget_count(struct ka_hnode *node, void *ctx)
{
	(void)ctx;
	ka_container_of(node, struct ka_inode, node)->names = 0;
}

static void count_name(struct ka_hnode *node, void *ctx)
{
	const struct ka_dirent *de = ka_container_of(node, struct ka_dirent, node);

	(void)ctx;
	de->inode->names++;
	if (S_ISDIR(de->inode->mode))
		de->dir->names++;
}

/* Links as the names are; what lost its last name and nothing took it away keeps one. */
static void settle_links(struct ka_hnode *node, void *ctx)
{
	struct ka_inode *inode = ka_container_of(node, struct ka_inode, node);
	bool dir = S_ISDIR(inode->mode);

	(void)ctx;
	if (inode->ino == KA_ROOT_INO)
		inode->nlink = inode->names + 2;
	else if (dir && (inode->dir->parent || inode->nlink || inode->dir->count))
		inode->nlink = inode->names + (inode->dir->parent ? 1 : 2);
	else if (!dir && inode->names)
		inode->nlink = inode->names;
	else if (inode->nlink)
		inode->nlink = dir ? 2 : 1;
}

static int by_place(const void *a, const void *b)
{
	const struct ka_salvage_range *x = a, *y = b;

	if (x->ino != y->ino)
		return (x->ino > y->ino) - (x->ino < y->ino);
	return (x->off > y->off) - (x->off < y->off);
}

static int finish(struct ka_salvage *sv)
{
	struct ka_salvage_stats *st = sv->stats;
	struct visit v = {.sv = sv};
	struct ka_index *ix = &sv->fs->index;

	ka_htab_visit(&sv->objects, finish_names, &v);
	ka_htab_visit(&sv->objects, finish_partial, &v);
	ka_htab_visit(&ix->inodes, forget_count, NULL);
	ka_htab_visit(&ix->names, count_name, NULL);
	ka_htab_visit(&ix->inodes, settle_links, NULL);
	if (st->doubts)
		qsort(st->doubt, st->doubts, sizeof(*st->doubt), by_place);
	atomic_store(&sv->fs->log.seq, sv->max_seq);
	return v.err;
}

/* The root is always there; a checkpoint or a record may say how it was. */
static int make_root(struct ka_salvage *sv)
{
	struct ka_inode *root = ka_index_find(&sv->fs->index, KA_ROOT_INO);

	if (root && S_ISDIR(root->mode)) {
		root->dir->parent = root;
		return 0;
	}
	if (root)
		ka_index_forget(&sv->fs->index, root);
	root = ka_index_new(&sv->fs->index, KA_ROOT_INO, S_IFDIR | 0755);
	if (!root || !ka_salvage_object(sv, KA_ROOT_INO))
		return -ENOMEM;
	root->nlink = 2;
	root->dir->parent = root;
	root->atime = root->mtime = root->ctime = root->btime =
		ka_time_from_ns(sv->fs->super.mkfs_ns);
	return 0;
}

static void free_object(struct ka_hnode *node, void *ctx)
{
	struct ka_salvage_object *o = ka_container_of(node, struct ka_salvage_object, node);
	struct ka_salvage *sv = ctx;

	while (o->names)
		free_kept(sv, o->names);
	if (o->partial)
		ka_index_empty(&sv->fs->index, o->partial);
	if (o->past)
		ka_extents_clear(&o->past->extents, &sv->fs->index.extents);
	free(o->past);
	free(o->partial);
	free(o);
}

int ka_salvage(struct ka_fs *fs, struct ka_salvage_stats *ret)
{
	struct ka_salvage sv = {.fs = fs, .stats = ret};
	int err;

	*ret = (struct ka_salvage_stats){0};
	err = ka_salvage_survey(&sv);
	if (!err)
		err = ka_salvage_checkpoints(&sv);
	if (!err)
		err = make_root(&sv);
	if (!err)
		err = apply_log(&sv);
	if (!err)
		err = finish(&sv);
	ka_htab_visit(&sv.objects, free_object, &sv);
	ka_htab_release(&sv.objects);
	ka_htab_release(&sv.names);
	ka_segs_covered(&fs->segs, 0); /* what nothing came of is free */
	free(sv.prev_gen);
	free(sv.record);
	free(sv.chunk);
	return err;
}

const struct ka_salvage_stats *ka_fs_salvaged(const struct ka_fs *fs)
{
	return fs->super.ckpt[0].addr ? NULL : &fs->salvage; /* nothing else names none */
}

void ka_salvage_stats_release(struct ka_salvage_stats *st)
{
	struct ka_salvage_lost *lost;

	while ((lost = st->lost)) {
		st->lost = lost->next;
		free(lost);
	}
	free(st->doubt);
	*st = (struct ka_salvage_stats){0};
}

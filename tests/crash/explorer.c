/* SPDX-License-Identifier: GPL-2.0-or-later */
/* explorer.c - runs workloads and makes the power fail; see explorer.h. */
#include "explorer.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs.h"
#include "judge.h"
#include "keepalive/csum.h"
#include "region_cut.h"
#include "states.h"

/* The states that are always worth it are tried up to so many times per_point. */
#define FIXED_SHARE 4

/* What came of an image, as the table of seen ones keeps it. */
#define VALUE_KNOWN 1u
#define VALUE_SUPER 2u /* fsck saw the superblock copies differ */
#define VALUE_BAD   2u /* told already; VALUE_KNOWN is not set */
#define VALUE_BITS  3u

/* What came of a state, where it is not what was there before the operation. */
struct pending {
	struct place place;
	uint64_t value;
	char *dump; /* NULL where the image was seen before */
};

/* A filesystem over whose head the power fails; the inner one is a recovery. */
struct level {
	struct explorer *x;
	const struct level *outer; /* NULL: this is it */
	struct memfs m;
	struct undo *image; /* what is durable, and where states are made */
	char *where;	    /* what an id begins with */
	struct place place;
	char *now;     /* the tree after all that has returned */
	bool phase;    /* the tree cannot be looked at now */
	bool returned; /* nothing is under way */
	bool format;   /* nothing at all may be left */
	struct pending *pending;
	size_t count;
	size_t room;
	struct patch *patch;
	size_t patches; /* room */
};

/* ---- telling ---------------------------------------------------------- */

static char *print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* To be freed. */
static char *print(const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

/* What is being judged, should the process die of it. */
static const struct level *current;

static void print_id(FILE *out, const struct level *l, struct place p)
{
	fprintf(out, "  KA_SEED=0x%" PRIx64 " explore --id '%s%u.%" PRIu64 "'\n", test_seed(),
		l->where, p.point, p.number);
}

static void tell_current(void)
{
	if (!current)
		return;
	fprintf(stderr, "died of\n");
	print_id(stderr, current, current->place);
}

static void on_signal(int number)
{
	tell_current();
	current = NULL;
	signal(number, SIG_DFL);
	raise(number);
}

static void violation(const struct level *l, struct place p, const char *what)
{
	atomic_fetch_add(&l->x->tally->violations, 1);
	if (l->x->quiet)
		return;
	fprintf(stderr, "VIOLATION: %s\n", what);
	print_id(stderr, l, p);
}

/* In full only where one state is looked at alone. */
static void print_tree(const struct level *l, const char *what, const char *dump)
{
	if (l->x->replay && dump)
		fprintf(stderr, "---- %s:\n%s\n", what, *dump ? dump : "no filesystem\n");
}

/* ---- what may be ------------------------------------------------------ */

static uint64_t value_of(const char *dump)
{
	return (ka_csum(dump, strlen(dump)) & ~(uint64_t)VALUE_BITS) | VALUE_KNOWN;
}

static bool same_tree(uint64_t value, const char *dump)
{
	return (value | VALUE_BITS) == (value_of(dump) | VALUE_BITS);
}

static void add_pending(struct level *l, uint64_t value, const char *dump)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->pending = realloc(l->pending, l->room * sizeof(*l->pending));
		if (!l->pending)
			abort();
	}
	l->pending[l->count++] = (struct pending){l->place, value, dump ? strdup(dump) : NULL};
}

/* The states that are not the tree from before are the one that came next, or wrong. */
static void resolve(struct level *l, const char *next)
{
	struct pending *p;

	while (l->count) {
		p = &l->pending[--l->count];
		if (!same_tree(p->value, next) &&
		    !(l->format && same_tree(p->value, JUDGE_NOTHING))) {
			violation(l, p->place, "the tree is neither that before nor that after");
			print_tree(l, "before", l->now);
			print_tree(l, "after", next);
			print_tree(l, "got", p->dump);
		}
		free(p->dump);
	}
}

/* Looks at the tree as it is now. */
static void settle(struct level *l)
{
	bool noatime = atomic_load(&l->m.fs->noatime);
	char *dump;

	ka_fs_set_noatime(l->m.fs, true); /* to look changes nothing */
	dump = memfs_dump(l->m.fs);
	ka_fs_set_noatime(l->m.fs, noatime);
	resolve(l, dump);
	free(l->now);
	l->now = dump;
}

/* ---- states ----------------------------------------------------------- */

static void apply(struct undo *u, const struct patch *patch, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		undo_store(u, patch[i].line * CUT_LINE, patch[i].bytes, CUT_LINE);
}

static void fail_again(struct level *l, const struct patch *patch, size_t count, uint64_t hash,
		       const char *dump);

/* Some states are looked at more closely; the same ones each time. */
static bool is_chosen(uint64_t hash, uint64_t every)
{
	return every && (hash >> 8) % every == 0;
}

static uint64_t judge_state(struct level *l, const struct patch *patch, size_t count, uint64_t hash)
{
	const struct replay *replay = l->x->replay;
	size_t mark = undo_mark(l->image);
	struct verdict v;
	uint64_t value;

	apply(l->image, patch, count);
	current = l;
	judge(l->image, l->m.bytes, is_chosen(hash, l->x->live_every), &v);
	if (v.problem) {
		violation(l, l->place, v.problem);
		print_tree(l, "messages", v.messages);
		print_tree(l, "fsck", v.fsck_says);
		value = VALUE_BAD;
	} else {
		value = value_of(v.dump) | (v.super ? VALUE_SUPER : 0);
		if (!same_tree(value, l->now))
			add_pending(l, value, v.dump);
		if (!l->outer && *v.dump &&
		    (replay ? replay->phase != NULL : is_chosen(hash >> 8, l->x->inner_every)))
			fail_again(l, patch, count, hash, v.dump);
	}
	current = NULL;
	verdict_release(&v);
	undo_back(l->image, mark);
	return value;
}

static void try_state(struct level *l, const struct states *s, uint64_t number)
{
	struct explorer *x = l->x;
	uint64_t hash = cut_region_hash(l->m.rg), value;
	struct seen_slot *slot;
	size_t count, i;
	bool is_new;

	l->place.number = number;
	count = states_make(s, number, l->patch);
	for (i = 0; i < count; i++)
		hash = cut_hash_change(hash, l->patch[i].line,
				       l->image->mem + l->patch[i].line * CUT_LINE,
				       l->patch[i].bytes);
	slot = seen_find(&x->seen, hash, &is_new);
	atomic_fetch_add(is_new ? &x->tally->states : &x->tally->repeated, 1);
	if (is_new && l->outer)
		atomic_fetch_add(&x->tally->inner, 1);
	value = slot ? atomic_load(&slot->value) : 0;
	if (!value) {
		value = judge_state(l, l->patch, count, hash);
		if (slot)
			atomic_store(&slot->value, value);
	} else if ((value & VALUE_KNOWN) && !same_tree(value, l->now)) {
		add_pending(l, value, NULL);
	}
	/* Within an update one may be torn or older, and fsck says so. */
	if ((value & VALUE_KNOWN) && (value & VALUE_SUPER) && l->returned)
		violation(l, l->place, "the superblock copies differ, and nobody is writing them");
}

/* Which state of this point is wanted alone; NULL: none. */
static const struct place *wanted(const struct level *l)
{
	const struct place *p = l->outer ? &l->x->replay->inner : &l->x->replay->outer;

	return p->point == l->place.point ? p : NULL;
}

/* States of this point, as many as may be; those that are always worth it among them. */
static void try_states(struct level *l, const struct states *s)
{
	uint64_t most = l->outer ? l->x->inner_per_point : l->x->per_point, n;

	if (s->total <= most) {
		for (n = 0; n < s->total; n++)
			try_state(l, s, n);
		return;
	}
	for (n = 0; n < most; n++)
		try_state(l, s, states_sample(s, n, most));
	if (!l->outer && states_fixed_count(s) <= FIXED_SHARE * most)
		for (n = 0; n < states_fixed_count(s); n++)
			try_state(l, s, states_fixed(s, n));
}

/* The power fails here. */
static void explore_point(struct level *l)
{
	char *text = print("%s%u", l->where, l->place.point);
	const struct place *want;
	struct states s;

	states_init(&s, l->m.rg, ka_csum(text, strlen(text)));
	free(text);
	if (l->patches < s.lines + 1) {
		l->patches = 2 * s.lines + 64;
		l->patch = realloc(l->patch, l->patches * sizeof(*l->patch));
		if (!l->patch)
			abort();
	}
	want = l->x->replay ? wanted(l) : NULL;
	if (want && want->number < s.total)
		try_state(l, &s, want->number);
	if (!l->x->replay)
		try_states(l, &s);
	states_release(&s);
	l->place.point++;
}

static void on_fence(void *ctx, struct ka_region *rg, uint64_t fences)
{
	struct level *l = ctx;
	int64_t now_ns = fixed_now_ns; /* to look takes no time */

	(void)rg;
	(void)fences;
	if (!l->phase)
		settle(l);
	explore_point(l);
	fixed_now_ns = now_ns;
}

static void level_release(struct level *l)
{
	memfs_release(&l->m);
	free(l->pending);
	free(l->patch);
	free(l->now);
	free(l->where);
}

/* ---- the second failure ----------------------------------------------- */

struct phase {
	const char *name;
	void (*run)(struct memfs *m);
};

static void run_mount(struct memfs *m)
{
	memfs_open(m);
	memfs_close(m);
}

static const struct phase phases[] = {
	{"mount", run_mount},
	{"fsck", workload_repair},
};

/*
 * A machine finds the state, and its power fails while it recovers. The tree is
 * that which a recovery without a failure finds: dump.
 */
static void fail_again(struct level *l, const struct patch *patch, size_t count, uint64_t hash,
		       const char *dump)
{
	const struct phase *phase = &phases[(hash >> 32) % KA_ARRAY_SIZE(phases)];
	struct explorer *x = l->x;
	size_t mark[2] = {undo_mark(&x->memory[1]), undo_mark(&x->memory[2])};
	struct level in = {.x = x, .outer = l, .image = &x->memory[2], .phase = true};
	int64_t now_ns = fixed_now_ns;
	struct ka_region *rg;

	if (x->replay)
		phase = x->replay->phase;
	in.where = print("%s%u.%" PRIu64 "/%s@", l->where, l->place.point, l->place.number,
			 phase->name);
	in.now = strdup(dump);
	apply(&x->memory[2], patch, count);
	assert_ok(cut_region_over(&x->memory[1], &x->memory[2], NULL, l->m.bytes, &rg));
	cut_region_set_hash(rg, hash);
	memfs_on(&in.m, rg);
	cut_region_watch(rg, on_fence, &in);
	phase->run(&in.m);
	cut_region_watch(rg, NULL, NULL);
	in.returned = true;
	explore_point(&in);
	resolve(&in, in.now);
	level_release(&in);
	undo_back(&x->memory[2], mark[1]);
	undo_back(&x->memory[1], mark[0]);
	fixed_now_ns = now_ns;
	current = l;
}

/* ---- workloads -------------------------------------------------------- */

/* An operation that the power may cut. */
static void run_op(struct level *l, const struct workload *w, unsigned i)
{
	l->phase = w->op[i]->phase;
	l->format = w->op[i]->format;
	if (w->drop >= 0 && i + 1 == w->count)
		cut_region_drop_fence(l->m.rg, cut_region_fences(l->m.rg) + (uint64_t)w->drop);
	cut_region_watch(l->m.rg, on_fence, l);
	(void)workload_run(w, i, &l->m);
	cut_region_watch(l->m.rg, NULL, NULL);
	settle(l);
	/* It has returned: from here on nothing but this. */
	l->phase = l->format = false;
	l->returned = true;
	on_fence(l, l->m.rg, 0);
	resolve(l, l->now);
	l->returned = false;
}

void explorer_run(struct explorer *x, const struct workload *w)
{
	struct level l = {.x = x, .image = &x->memory[1]};
	struct ka_region *rg;
	size_t mark[3];
	unsigned i;

	for (i = 0; i < 3; i++)
		mark[i] = undo_mark(&x->memory[i]);
	fixed_restart();
	l.where = print("%s@", w->name);
	assert_ok(
		cut_region_over(&x->memory[0], &x->memory[1], &x->memory[2], w->start->bytes, &rg));
	cut_region_set_hash(rg, w->start->bytes);
	memfs_on(&l.m, rg);
	workload_begin(w, &l.m);
	l.now = memfs_dump(l.m.fs);
	for (i = 0; i < w->count; i++) {
		if (w->each || i + 1 == w->count)
			run_op(&l, w, i);
		else
			(void)workload_run(w, i, &l.m);
		if (!w->each && i + 2 == w->count)
			settle(&l);
	}
	level_release(&l);
	for (i = 0; i < 3; i++)
		undo_back(&x->memory[i], mark[i]);
	atomic_fetch_add(&x->tally->workloads, 1);
}

/* ---- ids -------------------------------------------------------------- */

static bool parse_place(const char **text, struct place *ret)
{
	char *end;

	if (**text != '@')
		return false;
	ret->point = (unsigned)strtoul(*text + 1, &end, 10);
	if (*end != '.')
		return false;
	ret->number = strtoull(end + 1, &end, 10);
	*text = end;
	return true;
}

static bool parse_id(const char *id, struct workload *w, struct replay *r)
{
	size_t i, len;

	*r = (struct replay){0};
	if (!workload_parse(w, id, &id) || !parse_place(&id, &r->outer))
		return false;
	if (!*id)
		return true;
	len = strcspn(++id, "@");
	for (i = 0; i < KA_ARRAY_SIZE(phases); i++)
		if (strlen(phases[i].name) == len && !memcmp(phases[i].name, id, len))
			r->phase = &phases[i];
	id += len;
	return r->phase && parse_place(&id, &r->inner) && !*id;
}

bool explorer_replay(struct explorer *x, const char *id)
{
	struct workload w;
	struct replay r;

	if (!parse_id(id, &w, &r))
		return false;
	x->replay = &r;
	explorer_run(x, &w);
	x->replay = NULL;
	/* Else the operation has no such fence, or fewer states there. */
	return atomic_load(&x->tally->states) && (!r.phase || atomic_load(&x->tally->inner));
}

/* ---- life ------------------------------------------------------------- */

int explorer_open(struct explorer *x, uint64_t images)
{
	static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
	static bool installed;
	size_t i;

	*x = (struct explorer){
		.per_point = 64, .inner_per_point = 8, .inner_every = 64, .live_every = 16};
	x->tally = mmap(NULL, sizeof(*x->tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (x->tally == MAP_FAILED || seen_open(&x->seen, images))
		return -ENOMEM;
	for (i = 0; i < KA_ARRAY_SIZE(x->memory); i++)
		if (undo_open(&x->memory[i], starts_bytes()))
			return -ENOMEM;
	/* What is asserted of a state ends the process; it has to say which state. */
	for (i = 0; !installed && i < KA_ARRAY_SIZE(signals); i++)
		signal(signals[i], on_signal);
	if (!installed)
		atexit(tell_current);
	installed = true;
	return 0;
}

void explorer_close(struct explorer *x)
{
	size_t i;

	for (i = 0; i < KA_ARRAY_SIZE(x->memory); i++)
		undo_close(&x->memory[i]);
	seen_close(&x->seen);
	munmap(x->tally, sizeof(*x->tally));
}

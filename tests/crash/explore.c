/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * explore.c - the crash explorer: workloads one after the other, in several
 * processes, until so many distinct states were judged.
 *
 * In this order: each operation from each start state; all ordered pairs of
 * operations, in an order of chance; then random longer ones.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "explorer.h"

struct options {
	uint64_t states;
	uint64_t jobs;
	uint64_t per_point;
	bool all_pairs;
	const char *id;
	const char *workload;
};

static const char usage[] =
	"usage: explore [OPTION]...\n"
	"Makes what memory could hold after a power cut, and mounts it.\n"
	"\n"
	"  --states=N     go on until so many distinct states were judged (100000)\n"
	"  --all-pairs    and until all pairs of operations were done\n"
	"  --per-point=N  states at each point, at most (64)\n"
	"  --jobs=N       processes (one for each processor)\n"
	"  --workload=W   this one only, such as log:create+rename\n"
	"  --id=ID        the one state that a failure named, with its KA_SEED\n"
	"  --list         names of the start states and operations\n"
	"  --help\n"
	"\n"
	"SIGINT and SIGTERM end it with a report of what was done until then.\n"
	"Exit status: 0 as it should be, 1 violations or not finished, 2 usage.\n";

/* ---- which workload is next ------------------------------------------- */

static uint64_t single_count(void)
{
	return start_count * op_count;
}

static uint64_t pair_count(void)
{
	uint64_t i, count = 0;

	for (i = 0; i < start_count; i++)
		count += starts[i].pairs;
	return count * op_count * op_count;
}

static const struct start *pair_start(uint64_t n)
{
	size_t i;

	for (i = 0; !starts[i].pairs || n--; i++)
		;
	return &starts[i];
}

/* All numbers below count, in an order of chance: steps of a prime that is no factor. */
static uint64_t shuffled(uint64_t n, uint64_t count)
{
	return (n * 1000003 + test_seed() % count) % count;
}

/* Workload n of all; false: nothing to do under this number. */
static bool pick(uint64_t n, struct workload *w)
{
	uint64_t k;

	if (n < single_count()) {
		workload_of(w, &starts[n / op_count], &ops[n % op_count], NULL);
		return true;
	}
	n -= single_count();
	if (n >= pair_count()) {
		workload_random(w, n - pair_count());
		return true;
	}
	k = shuffled(n, pair_count());
	workload_of(w, pair_start(k / op_count / op_count), &ops[k / op_count % op_count],
		    &ops[k % op_count]);
	return !w->op[0]->format; /* nothing is left of the tree */
}

/* ---- processes -------------------------------------------------------- */

static struct tally *shared;

/* What was found until then is reported. */
static void on_stop(int number)
{
	(void)number;
	atomic_store(&shared->stop, true);
}

static void work(struct explorer *x, const struct options *o)
{
	uint64_t least = single_count() + (o->all_pairs ? pair_count() : 0), n;
	struct workload w;

	while (!atomic_load(&x->tally->stop)) {
		n = atomic_fetch_add(&x->tally->next, 1);
		if (n >= least && atomic_load(&x->tally->states) >= o->states)
			return;
		if (pick(n, &w))
			explorer_run(x, &w);
	}
}

static bool wait_for_all(void)
{
	bool fine = true;
	int status;

	for (;;) {
		if (wait(&status) > 0)
			fine &= WIFEXITED(status) && !WEXITSTATUS(status);
		else if (errno != EINTR)
			break;
	}
	return fine;
}

static bool run_jobs(struct explorer *x, const struct options *o)
{
	uint64_t i;

	shared = x->tally;
	signal(SIGINT, on_stop);
	signal(SIGTERM, on_stop);
	(void)test_seed(); /* one for all of them */
	fflush(NULL);
	if (o->jobs < 2) {
		work(x, o);
		return true;
	}
	for (i = 0; i < o->jobs; i++) {
		switch (fork()) {
		case 0:
			work(x, o);
			exit(0);
		case -1:
			perror("explore: fork");
			return false;
		}
	}
	return wait_for_all();
}

/* ---- command line ----------------------------------------------------- */

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end || !n) {
		fprintf(stderr, "explore: not a number above 0: '%s'\n", text);
		exit(2);
	}
	return n;
}

static void list(void)
{
	size_t i;

	printf("start states:");
	for (i = 0; i < start_count; i++)
		printf(" %s", starts[i].name);
	printf("\noperations:");
	for (i = 0; i < op_count; i++)
		printf(" %s", ops[i].name);
	printf("\n");
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"states", required_argument, NULL, 's'},
		{"all-pairs", no_argument, NULL, 'a'},
		{"per-point", required_argument, NULL, 'p'},
		{"jobs", required_argument, NULL, 'j'},
		{"workload", required_argument, NULL, 'w'},
		{"id", required_argument, NULL, 'i'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o->states = number(optarg);
			break;
		case 'a':
			o->all_pairs = true;
			break;
		case 'p':
			o->per_point = ka_max(2, number(optarg));
			break;
		case 'j':
			o->jobs = number(optarg);
			break;
		case 'w':
			o->workload = optarg;
			break;
		case 'i':
			o->id = optarg;
			break;
		case 'l':
			list();
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		exit(2);
	}
}

static bool run_one(struct explorer *x, const char *name)
{
	struct workload w;
	const char *end;

	if (!workload_parse(&w, name, &end) || *end)
		return false;
	explorer_run(x, &w);
	return true;
}

static void report(const struct tally *t)
{
	printf("%" PRIu64 " distinct states, %" PRIu64
	       " of them after a second failure, in %" PRIu64 " workloads; %" PRIu64
	       " made again; %" PRIu64 " violations\n",
	       atomic_load(&t->states), atomic_load(&t->inner), atomic_load(&t->workloads),
	       atomic_load(&t->repeated), atomic_load(&t->violations));
	if (atomic_load(&t->stop))
		printf("stopped early\n");
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	struct options o = {
		.states = 100000,
		.jobs = cpus > 0 ? (uint64_t)cpus : 1,
		.per_point = 64,
	};
	struct explorer x;
	bool fine = true;
	int status = 1;

	parse(argc, argv, &o);
	if (explorer_open(&x, 2 * o.states + 1000000)) {
		fprintf(stderr, "explore: out of memory\n");
		return 1;
	}
	x.per_point = o.per_point;
	if (o.id && !explorer_replay(&x, o.id))
		status = 2;
	else if (o.workload && !run_one(&x, o.workload))
		status = 2;
	else if (!o.id && !o.workload)
		fine = run_jobs(&x, &o);
	if (status == 2)
		fprintf(stderr, "explore: there is no '%s'\n", o.id ? o.id : o.workload);
	else
		report(x.tally);
	if (status != 2 && fine && !atomic_load(&x.tally->stop) &&
	    !atomic_load(&x.tally->violations))
		status = 0;
	explorer_close(&x);
	return status;
}

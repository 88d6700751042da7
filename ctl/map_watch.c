/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_watch.c - the picture drawn again and again, in place; see map.h.
 *
 * Signals come while it waits and while it fetches, never in the middle of a picture. A
 * handler gives the terminal back at once: a daemon that stands still keeps fetch from
 * returning, and a second Ctrl-C ends the program then.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keepalive/err.h"
#include "keepalive/util.h"
#include "map.h"

/* The other screen, no cursor, no wrapping; and all of it back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

struct watch {
	const struct ctl_args *args;
	struct map_term_opts *term;
	bool in_place;
	sigset_t open; /* the mask while signals are taken */
	struct map map;
	char *said; /* the last error */
};

static volatile sig_atomic_t is_over, is_entered;

static void say(const char *text, size_t len)
{
	ssize_t n = write(STDOUT_FILENO, text, len);

	(void)n; /* a terminal that is gone needs nothing */
}

static void enter(void)
{
	is_entered = 1;
	say(ENTER, strlen(ENTER));
}

static void leave(void)
{
	if (is_entered)
		say(LEAVE, strlen(LEAVE));
	is_entered = 0;
}

static void end(int sig)
{
	int saved = errno;

	(void)sig;
	is_over = 1;
	leave();
	errno = saved;
}

/* SIGTSTP: gives the terminal back until SIGCONT. */
static void stop(int sig)
{
	int saved = errno, was_entered = is_entered;

	(void)sig;
	leave();
	raise(SIGSTOP);
	if (was_entered)
		enter();
	errno = saved;
}

/* SIGWINCH: it is enough that waiting ends. */
static void wake(int sig)
{
	(void)sig;
}

static const struct {
	int sig;
	void (*handler)(int sig);
	int flags;
} handlers[] = {
	{SIGINT, end, (int)SA_RESETHAND},
	{SIGTERM, end, (int)SA_RESETHAND},
	{SIGHUP, end, (int)SA_RESETHAND},
	{SIGTSTP, stop, 0},
	{SIGWINCH, wake, 0},
};

static void catch_signals(sigset_t *ret_before)
{
	struct sigaction act, old;
	sigset_t mask;
	size_t i;

	sigemptyset(&mask);
	for (i = 0; i < KA_ARRAY_SIZE(handlers); i++)
		sigaddset(&mask, handlers[i].sig);
	sigprocmask(SIG_BLOCK, &mask, ret_before);
	for (i = 0; i < KA_ARRAY_SIZE(handlers); i++) {
		act = (struct sigaction){
			.sa_handler = handlers[i].handler,
			.sa_flags = handlers[i].flags,
			.sa_mask = mask,
		};
		/* What is ignored stays so: nohup wants that. */
		if (!sigaction(handlers[i].sig, NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(handlers[i].sig, &act, NULL);
		sigdelset(ret_before, handlers[i].sig); /* or nothing would end it */
	}
}

/*
 * The lines that there is room for. Each is cleared before it is written: behind one
 * that is as long as the terminal is wide, that would take its last character.
 */
static void put_in_place(const char *text, unsigned rows)
{
	const char *end;

	printf("\033[H");
	for (; *text && rows; text = end + !!*end) {
		end = strchrnul(text, '\n');
		printf("\033[K%.*s", (int)(end - text), text);
		if (--rows)
			putchar('\n');
	}
	if (rows)
		printf("\033[J");
}

static void show(struct watch *w)
{
	KA_AUTO_FREE char *text = NULL;
	unsigned columns, rows = UINT_MAX;
	size_t len = 0;
	FILE *mem;

	mem = open_memstream(&text, &len);
	if (!mem)
		return;
	map_choose_size(w->term);
	map_draw_term(mem, &w->map, w->term);
	fclose(mem);
	if (!w->in_place) {
		printf("%s\n", text);
	} else {
		(void)map_terminal_size(&columns, &rows);
		put_in_place(text, rows);
	}
	fflush(stdout);
}

/* On the other screen nobody would see it. */
static void keep_message(void *ctx, enum ka_msg_level level, const char *text)
{
	struct watch *w = ctx;

	if (level != KA_MSG_ERROR)
		return;
	free(w->said);
	w->said = strdup(text);
}

/* Signals are taken meanwhile. */
static int fetch(struct watch *w)
{
	struct ka_msg_sink sink = {.fn = keep_message, .ctx = w};
	struct ctl_args args = *w->args;
	sigset_t closed;
	int err;

	args.sink = &sink;
	map_release(&w->map);
	sigprocmask(SIG_SETMASK, &w->open, &closed);
	err = map_fetch(&args, &w->map);
	sigprocmask(SIG_SETMASK, &closed, NULL);
	return err;
}

/* 0 or what fetching ended with. */
static int run(struct watch *w, double seconds)
{
	const struct timespec pause = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
	};
	int err;

	while (!is_over) {
		err = fetch(w);
		if (err || is_over)
			return is_over ? 0 : err;
		if (w->in_place && !is_entered)
			enter();
		show(w);
		if (ferror(stdout))
			return 0; /* who ends the program tells of it */
		ppoll(NULL, 0, &pause, &w->open);
	}
	return 0;
}

int map_watch(const struct ctl_args *args, double seconds, struct map_term_opts *term)
{
	struct watch w = {.args = args, .term = term, .in_place = map_is_terminal()};
	int err;

	catch_signals(&w.open);
	err = run(&w, seconds);
	leave();
	if (err)
		ka_msg(args->sink, KA_MSG_ERROR, "%s", w.said ?: ka_strerror(err));
	map_release(&w.map);
	free(w.said);
	return err;
}

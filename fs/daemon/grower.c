/* SPDX-License-Identifier: GPL-2.0-or-later */
/* grower.c - memory comes back while files are written; see grower.h. */
#include "grower.h"

#include <time.h>

#include "keepalive/lend.h"
#include "keepalive/util.h"
#include "server.h"

/* The first part of the reserve lasts so long, each other one as long as all before: 5 s. */
#define FIRST_MS 40
/*
 * From this part on, of a write that is longer than this only half is done, as if there were no
 * room for more: while its caller comes with the rest, the pages of what was done can leave.
 */
#define SHORT_URGENCY (KA_GROWTH_URGENT / 2)
#define SHORT_BYTES   (64u << 10)
/* What could not be had is not asked for again before. */
#define RETRY_MS 10000

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void *run(void *arg)
{
	struct grower *g = arg;
	int err;

	pthread_mutex_lock(&g->lock);
	while (!g->stop) {
		if (!g->growing) {
			pthread_cond_wait(&g->changed, &g->lock);
			continue;
		}
		pthread_mutex_unlock(&g->lock);
		err = ka_grow_ahead(g->sv->fs);
		pthread_mutex_lock(&g->lock);
		g->failed_ms = err ? monotonic_ms() : 0;
		g->growing = false;
		pthread_cond_broadcast(&g->changed);
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

int grower_start(struct grower *g, struct server *sv)
{
	pthread_condattr_t attr;
	int err;

	*g = (struct grower){.sv = sv};
	if (!ka_growth_reserve(sv->fs))
		return 0;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->changed, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&g->thread, NULL, run, g);
	g->started = !err;
	return -err;
}

/* The caller holds the lock. Until then; false: it is over. */
static bool wait_until(struct grower *g, int64_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	return !pthread_cond_timedwait(&g->changed, &g->lock, &ts);
}

/* Under the lock. Whether memory is on its way, now. */
static bool begin_growing(struct grower *g, int64_t now)
{
	if (!g->growing && (!g->failed_ms || now - g->failed_ms >= RETRY_MS)) {
		g->growing = true;
		g->begin_ms = now;
		pthread_cond_broadcast(&g->changed);
	}
	return g->growing;
}

size_t grower_pace(struct grower *g, size_t bytes, bool whole)
{
	unsigned urgency = g->started ? ka_growth_urgency(g->sv->fs) : 0;
	bool shorter = !whole && urgency >= SHORT_URGENCY && bytes > SHORT_BYTES;
	int64_t now, due;
	bool growing;

	if (!urgency)
		return bytes;
	now = monotonic_ms();
	pthread_mutex_lock(&g->lock);
	growing = begin_growing(g, now);
	due = g->begin_ms + (FIRST_MS << (urgency - 1)) - FIRST_MS;
	pthread_mutex_unlock(&g->lock);
	if (shorter && due < now + FIRST_MS)
		due = now + FIRST_MS;
	if (!growing || due <= now)
		return bytes;
	loop_give_way(&g->sv->loop);
	pthread_mutex_lock(&g->lock);
	while (g->growing && !g->stop && wait_until(g, due))
		;
	growing = g->growing;
	pthread_mutex_unlock(&g->lock);
	return growing && shorter ? ka_max(SHORT_BYTES, bytes / 2) : bytes;
}

void grower_stop(struct grower *g)
{
	if (!g->started)
		return;
	pthread_mutex_lock(&g->lock);
	g->stop = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	g->started = false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram.c - lends slices of a DAX region, through the helper; see ram.h.
 *
 * Why one stays where it is goes to the log, with the memory block; whoever asked for it hears of the
 * slice and the kind of error. A write that waits asks again and again: the same is told once,
 * until a slice comes or goes.
 */
#include "ram.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keepalive/dax.h"
#include "keepalive/err.h"
#include "log.h"
#include "server.h"

static void tell(struct server *sv, const char *what, uint64_t off, int err,
		 const struct helper_answer *a)
{
	struct ram_told *told = &sv->ram_told;
	char line[sizeof(told->line)];
	bool news;

	snprintf(line, sizeof(line), "cannot %s memory at 0x%" PRIx64 " of the region: %s", what,
		 off, a->reason[0] ? a->reason : ka_strerror(err));
	pthread_mutex_lock(&told->lock);
	news = strcmp(line, told->line);
	memcpy(told->line, line, sizeof(line));
	memcpy(told->reason, a->reason, sizeof(told->reason));
	pthread_mutex_unlock(&told->lock);
	if (news)
		log_msg(KA_MSG_WARNING, "%s", line);
}

static void forget(struct server *sv)
{
	struct ram_told *told = &sv->ram_told;

	pthread_mutex_lock(&told->lock);
	told->line[0] = '\0';
	told->reason[0] = '\0';
	pthread_mutex_unlock(&told->lock);
}

void ram_reason(struct server *sv, char ret[KA_REASON_MAX])
{
	struct ram_told *told = &sv->ram_told;

	pthread_mutex_lock(&told->lock);
	memcpy(ret, told->reason, KA_REASON_MAX);
	pthread_mutex_unlock(&told->lock);
}

static int ram_release(void *ctx, uint64_t off, uint64_t bytes)
{
	struct server *sv = ctx;
	struct helper_answer a;
	int err = helper_ask_range(&sv->helper, HELPER_LEND, off, bytes, &a, NULL);

	if (err)
		tell(sv, "lend", off, err, &a);
	else
		forget(sv);
	return err;
}

static int ram_restore(void *ctx, uint64_t off, uint64_t bytes)
{
	struct server *sv = ctx;
	struct helper_answer a;
	int fd, err;

	err = helper_ask_range(&sv->helper, HELPER_RECLAIM, off, bytes, &a, &fd);
	if (!err && fd < 0)
		err = -EPROTO;
	if (err)
		tell(sv, "take back", off, err, &a);
	else
		forget(sv);
	if (!err && a.reason[0] && !sv->ram_told.warned) {
		log_msg(KA_MSG_WARNING, "memory has come back from the system: %s", a.reason);
		sv->ram_told.warned = true;
	}
	return err ?: fd;
}

struct ka_region_ram ram_of(struct server *sv)
{
	return (struct ka_region_ram){.release = ram_release, .restore = ram_restore, .ctx = sv};
}

int ram_start(struct server *sv)
{
	const struct ka_region_info *info = ka_region_info(sv->rg);

	if (!ka_dax_is_name(info->path) || sv->opts.rdonly)
		return 0;
	return helper_ask_range(&sv->helper, HELPER_REGION, info->phys_addr, info->capacity_bytes,
				NULL, NULL);
}

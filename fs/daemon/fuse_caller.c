/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_caller.c - what the sender of a request may do, where neither the kernel
 * decides it nor libfuse passes it on. All of it asks /proc, which takes a while:
 * for what is rare.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse_ops.h"
#include "keepalive/util.h"

#define GROUPS_MAX 1024
/* linux/capability.h */
#define CAP_FSETID    4
#define CAP_SYS_ADMIN 21

/* The effective capabilities of a thread; none where that cannot be found out. */
static unsigned long long capabilities_of(pid_t tid)
{
	static const char key[] = "CapEff:";
	KA_AUTO_FREE char *line = NULL;
	unsigned long long caps = 0;
	char path[32];
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && getline(&line, &size, f) > 0) {
		if (strncmp(line, key, strlen(key)))
			continue;
		caps = strtoull(line + strlen(key), NULL, 16);
		break;
	}
	if (f)
		fclose(f);
	return caps;
}

/* Only root is taken for capable of anything; root may have given that up. */
static bool has_capability(fuse_req_t req, int cap)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return !ctx->uid && (capabilities_of(ctx->pid) >> cap & 1);
}

bool has_fsetid(fuse_req_t req)
{
	return has_capability(req, CAP_FSETID);
}

bool has_sys_admin(fuse_req_t req)
{
	return has_capability(req, CAP_SYS_ADMIN);
}

bool has_group(fuse_req_t req, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	int i, count;

	if (fuse_req_ctx(req)->gid == gid || has_fsetid(req))
		return true;
	count = fuse_req_getgroups(req, GROUPS_MAX, groups);
	for (i = 0; i < count && i < GROUPS_MAX; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

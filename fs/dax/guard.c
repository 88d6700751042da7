/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard.c - looks for what endangers a DAX region; see keepalive/guard.h.
 *
 * Facts come from files, as administrators and distributions leave them, and from the
 * machine. A rule that cannot be read is no finding: only root sees all of them.
 */
#include "keepalive/guard.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keepalive/carve.h"
#include "keepalive/util.h"

/* The oldest that is tested. */
#define KERNEL_LEAST 601
/* From here on soft-reserved memory is meant for kmem. */
#define KERNEL_GRABS 603

struct guard {
	struct ka_machine *m;
	const char *root;
	struct ka_dax_region *regions; /* that are looked at */
	size_t count;
	bool stakes; /* one of them holds RAM that the kernel could take */
	ka_finding_fn *fn;
	void *ctx;
	enum ka_finding_level worst;
	unsigned kernel; /* 612 is 6.12 */
};

static __attribute__((format(printf, 3, 4))) void tell(struct guard *g, struct ka_finding *f,
						       const char *todo, ...)
{
	va_list ap;

	va_start(ap, todo);
	vsnprintf(f->todo, sizeof(f->todo), todo, ap);
	va_end(ap);
	g->worst = ka_max(g->worst, f->level);
	g->fn(g->ctx, f);
}

/* ---- files ------------------------------------------------------------------------------ */

static FILE *open_file(const struct guard *g, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", g->root, path);
	return fopen(full, "re");
}

static bool read_line(const struct guard *g, const char *path, char *line, size_t size)
{
	FILE *f = open_file(g, path);
	bool ok = f && fgets(line, (int)size, f);

	if (f)
		fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = 0;
	return ok;
}

typedef bool line_fn(const char *line);

/* Whether a line that counts, so no comment, is one that is looked for. */
static bool file_has(const struct guard *g, const char *path, line_fn *fn)
{
	FILE *f = open_file(g, path);
	char line[1024];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *text = line + strspn(line, " \t");

		found = *text != '#' && fn(text);
	}
	if (f)
		fclose(f);
	return found;
}

/* A file masks those of the same name in later directories. */
static bool is_masked(const struct guard *g, const char *const *dirs, size_t dir, const char *name)
{
	char full[768];
	size_t i;

	for (i = 0; i < dir; i++) {
		snprintf(full, sizeof(full), "%s%s/%s", g->root, dirs[i], name);
		if (!access(full, F_OK))
			return true;
	}
	return false;
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), end = strlen(suffix);

	return len >= end && !strcmp(name + len - end, suffix);
}

/* A file with such a line in one of the directories, by rank, into ret. */
static bool dirs_have(const struct guard *g, const char *const *dirs, const char *suffix,
		      line_fn *fn, char ret[512])
{
	char full[512];
	struct dirent *de;
	bool found = false;
	size_t i;
	DIR *dir;

	for (i = 0; dirs[i] && !found; i++) {
		snprintf(full, sizeof(full), "%s%s", g->root, dirs[i]);
		dir = opendir(full);
		while (dir && !found && (de = readdir(dir))) {
			if (!ends_with(de->d_name, suffix) || is_masked(g, dirs, i, de->d_name))
				continue;
			snprintf(ret, 512, "%s/%s", dirs[i], de->d_name);
			found = file_has(g, ret, fn);
		}
		if (dir)
			closedir(dir);
	}
	return found;
}

/* ---- the kernel -------------------------------------------------------------------------- */

static void check_kernel(struct guard *g)
{
	struct ka_finding f = {.level = KA_FINDING_BAD};
	char release[64];
	unsigned major, minor;

	if (!read_line(g, "/proc/sys/kernel/osrelease", release, sizeof(release)) ||
	    sscanf(release, "%u.%u", &major, &minor) != 2)
		return;
	g->kernel = major * 100 + minor;
	if (g->kernel >= KERNEL_LEAST)
		return;
	snprintf(f.what, sizeof(f.what), "kernel %s is too old", release);
	snprintf(f.why, sizeof(f.why),
		 "slices at exact places of a DAX region are not sure to work");
	tell(g, &f, "run a kernel from 6.1 on");
}

static bool sets_idle(const char *line)
{
	return !strncmp(line, "options", 7) && strstr(line, "dax_hmem") &&
	       (strstr(line, "region_idle=1") || strstr(line, "region_idle=Y") ||
		strstr(line, "region_idle=y"));
}

static bool cmdline_sets_idle(const char *line)
{
	return strstr(line, "dax_hmem.region_idle=1") || strstr(line, "dax_hmem.region_idle=Y");
}

static void check_idle(struct guard *g)
{
	static const char *const dirs[] = {"/etc/modprobe.d",		"/run/modprobe.d",
					   "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d",
					   "/lib/modprobe.d",		NULL};
	struct ka_finding f = {.level = KA_FINDING_BAD};
	char path[512], now[16] = "";

	if (file_has(g, "/proc/cmdline", cmdline_sets_idle) ||
	    dirs_have(g, dirs, ".conf", sets_idle, path))
		return;
	if (read_line(g, "/sys/module/dax_hmem/parameters/region_idle", now, sizeof(now)) &&
	    (now[0] == 'Y' || now[0] == '1'))
		return;
	if (!g->stakes)
		f.level = KA_FINDING_INFO;
	else if (g->kernel < KERNEL_GRABS)
		f.level = KA_FINDING_WARN;
	snprintf(f.what, sizeof(f.what),
		 "nothing says that DAX regions are to be left idle at boot");
	snprintf(
		f.why, sizeof(f.why),
		"kernels from 6.3 on give DAX regions to the system where kmem is loaded: what was "
		"in them is lost");
	tell(g, &f,
	     "'options dax_hmem region_idle=1' into /etc/modprobe.d/keepalivefs.conf, then "
	     "'update-initramfs -u'");
}

/* ---- who else onlines memory ------------------------------------------------------------------ */

static bool is_system_ram_rule(const char *line)
{
	return !strncmp(line, "mode", 4) && strstr(line, "system-ram");
}

static bool is_online_rule(const char *line)
{
	return strstr(line, "SUBSYSTEM==\"memory\"") && strstr(line, "ATTR{state}=\"online");
}

static void check_rules(struct guard *g)
{
	static const char *const daxctl[] = {"/etc/daxctl.conf.d", "/usr/lib/daxctl.conf.d", NULL};
	static const char *const udev[] = {"/etc/udev/rules.d", "/run/udev/rules.d",
					   "/usr/lib/udev/rules.d", "/lib/udev/rules.d", NULL};
	struct ka_finding f;
	char path[512];

	if (dirs_have(g, daxctl, ".conf", is_system_ram_rule, path)) {
		f.level = g->stakes ? KA_FINDING_BAD : KA_FINDING_WARN;
		snprintf(f.what, sizeof(f.what), "'%.200s' makes system memory of a device", path);
		snprintf(f.why, sizeof(f.why),
			 "at boot, before anything can look at what is in it: that is lost");
		tell(g, &f, "remove the section with 'mode = system-ram', or the file");
	}
	if (dirs_have(g, udev, ".rules", is_online_rule, path)) {
		f = (struct ka_finding){.level = KA_FINDING_WARN};
		snprintf(f.what, sizeof(f.what), "'%.200s' onlines new memory", path);
		snprintf(f.why, sizeof(f.why),
			 "faster than lending does, it may choose a zone that memory never leaves");
		tell(g, &f, "'ln -s /dev/null /etc/udev/rules.d/%.100s'", strrchr(path, '/') + 1);
	}
}

static void check_policy(struct guard *g)
{
	struct ka_finding f = {.level = KA_FINDING_INFO};
	enum ka_online_policy policy;

	if (!g->stakes || g->m->ops->get_policy(g->m, &policy) ||
	    (policy != KA_ONLINE_ONLINE && policy != KA_ONLINE_KERNEL))
		return;
	snprintf(f.what, sizeof(f.what), "new memory goes online by itself, in any zone");
	snprintf(f.why, sizeof(f.why),
		 "lending turns that off while it adds memory; others that do so at that moment "
		 "find it off");
	tell(g, &f,
	     "'offline' or 'online_movable' into /sys/devices/system/memory/auto_online_blocks");
}

static void check_kexec(struct guard *g)
{
	struct ka_finding f = {.level = KA_FINDING_WARN};
	char line[16];

	if (!read_line(g, "/sys/kernel/kexec_loaded", line, sizeof(line)) || line[0] != '1')
		return;
	snprintf(f.what, sizeof(f.what), "a kernel is loaded for kexec");
	snprintf(f.why, sizeof(f.why),
		 "before a fix of October 2024 kexec may copy it to where lent memory is, over "
		 "the files that lie there when it has come back");
	tell(g, &f, "'kexec -u', 'keepalivectl reclaim', then 'kexec -l' again");
}

/* ---- memory ------------------------------------------------------------------------------------ */

static uint64_t meminfo(const struct guard *g, const char *key)
{
	FILE *f = open_file(g, "/proc/meminfo");
	char line[128];
	uint64_t kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			kib = strtoull(line + strlen(key) + 1, NULL, 10);
	if (f)
		fclose(f);
	return kib << 10;
}

static void check_room(struct guard *g, uint64_t lent)
{
	uint64_t room = meminfo(g, "MemAvailable") + meminfo(g, "SwapFree");
	struct ka_finding f = {.level = KA_FINDING_WARN};
	char a[16], b[16];

	if (!lent || room >= lent)
		return;
	snprintf(f.what, sizeof(f.what), "%s are lent, and only %s are free or swap",
		 ka_format_size(a, lent), ka_format_size(b, room));
	snprintf(f.why, sizeof(f.why),
		 "what is in lent memory has to go somewhere to have it back");
	tell(g, &f, "free memory, or add swap space");
}

/* ---- regions ----------------------------------------------------------------------------------- */

static void check_sizes(struct guard *g, const struct ka_dax_region *r)
{
	uint64_t block = g->m->ops->block_bytes(g->m);
	struct ka_finding f = {.level = KA_FINDING_INFO};
	struct ka_carve_sizes sizes;
	char a[16], b[16];
	uint64_t lost;

	ka_carve_choose(r->start, r->bytes, block, &sizes);
	lost = r->start % block ? block - r->start % block : 0;
	snprintf(f.what, sizeof(f.what), "region%d: %s at 0x%" PRIx64 ", slices of %s", r->id,
		 ka_format_size(a, r->bytes), r->start, ka_format_size(b, sizes.slice_bytes));
	if (sizes.first_slice_bytes >= r->bytes) {
		f.level = KA_FINDING_WARN;
		snprintf(f.why, sizeof(f.why),
			 "it is one slice, as it has not two memory blocks of %s",
			 ka_format_size(a, block));
		tell(g, &f, "nothing of it can be lent; a larger region could");
		return;
	}
	if (sizes.unlendable_bytes)
		snprintf(f.why, sizeof(f.why),
			 "%s at its end are in no whole memory block of %s: files can use them, "
			 "the system cannot",
			 ka_format_size(a, sizes.unlendable_bytes), ka_format_size(b, block));
	else
		snprintf(f.why, sizeof(f.why), "nothing is lost to alignment%s%s",
			 lost ? "; slices at even offsets would lose " : "",
			 lost ? ka_format_size(a, lost) : "");
	tell(g, &f, "%s", "");
}

static void check_kmem(struct guard *g, const struct ka_dax_region *r, const struct ka_dax_dev *dev)
{
	struct ka_finding f = {.level = KA_FINDING_BAD};

	if (dev->driver != KA_DAX_KMEM || dev->start != r->start)
		return;
	snprintf(f.what, sizeof(f.what), "%s, where region%d begins, is system memory", dev->name,
		 r->id);
	snprintf(f.why, sizeof(f.why),
		 "the kernel, or a rule, took it: what was in it is lost, and no filesystem can "
		 "be in it");
	tell(g, &f,
	     "keep it from being taken, as said here, and boot; without a boot: 'daxctl "
	     "reconfigure-device --mode=devdax --force %s'",
	     dev->name);
}

static void check_unbound(struct guard *g, const struct ka_dax_region *r,
			  const struct ka_dax_dev *dev)
{
	struct ka_finding f = {.level = KA_FINDING_INFO};

	if (dev->driver != KA_DAX_UNBOUND || !dev->bytes)
		return;
	snprintf(f.what, sizeof(f.what), "%s has no driver", dev->name);
	snprintf(f.why, sizeof(f.why),
		 "/dev/%s cannot be opened; region%d, as a whole, can be used", dev->name, r->id);
	tell(g, &f, "to use /dev/%s: 'daxctl enable-device %s'", dev->name, dev->name);
}

static void check_node(struct guard *g, const struct ka_dax_region *r)
{
	struct ka_finding f = {.level = KA_FINDING_WARN};
	size_t i;

	for (i = 0; i < r->devs; i++)
		if (r->dev[i].target_node < 0)
			break;
	if (i == r->devs)
		return;
	snprintf(f.what, sizeof(f.what), "region%d belongs to no NUMA node", r->id);
	snprintf(f.why, sizeof(f.why), "kmem refuses such memory, so it cannot be lent");
	tell(g, &f, "the firmware has to list it in the tables SRAT or HMAT");
}

static void check_static(struct guard *g, const struct ka_dax_region *r)
{
	struct ka_finding f = {.level = KA_FINDING_INFO};

	snprintf(f.what, sizeof(f.what), "region%d cannot be cut into slices", r->id);
	snprintf(
		f.why, sizeof(f.why),
		"its devices are made by ndctl, of persistent memory: everything works but lending");
	tell(g, &f, "%s", "");
}

static void check_region(struct guard *g, const struct ka_dax_region *r, uint64_t *lent)
{
	size_t i;

	if (!r->dynamic) {
		check_static(g, r);
		return;
	}
	check_sizes(g, r);
	check_node(g, r);
	for (i = 0; i < r->devs; i++) {
		check_kmem(g, r, &r->dev[i]);
		check_unbound(g, r, &r->dev[i]);
		if (r->dev[i].driver == KA_DAX_KMEM)
			*lent += r->dev[i].bytes;
	}
}

static void check_regions(struct guard *g, bool all)
{
	struct ka_finding f = {.level = KA_FINDING_WARN};
	uint64_t lent = 0;
	size_t i;

	for (i = 0; i < g->count; i++)
		check_region(g, &g->regions[i], &lent);
	if (!g->count && all) {
		snprintf(f.what, sizeof(f.what), "there is no DAX region");
		snprintf(f.why, sizeof(f.why),
			 "a region file survives the daemon, but not the machine");
		tell(g, &f,
		     "'memmap=SIZE%%START-1+0xefffffff' on the kernel's command line sets RAM "
		     "aside; see keepalivefs(5)");
	}
	check_room(g, lent);
}

/* How many are meant: all, or one, which goes to the front. */
static size_t choose_regions(struct ka_dax_region *regions, size_t count, int only)
{
	struct ka_dax_region *r = ka_dax_region_find(regions, count, only), first;

	if (only == KA_GUARD_ALL)
		return count;
	if (!r)
		return 0;
	first = *r;
	*r = regions[0];
	regions[0] = first;
	return 1;
}

int ka_guard_check(struct ka_machine *m, const char *root, int only, ka_finding_fn *fn, void *ctx,
		   enum ka_finding_level *ret_worst)
{
	struct guard g = {.m = m, .root = root, .fn = fn, .ctx = ctx};
	size_t all = 0, i;
	int err = m->ops->regions(m, &g.regions, &all);

	if (err)
		return err;
	g.count = choose_regions(g.regions, all, only);
	for (i = 0; i < g.count; i++)
		g.stakes |= g.regions[i].dynamic;
	check_kernel(&g);
	check_idle(&g);
	check_rules(&g);
	check_policy(&g);
	check_kexec(&g);
	check_regions(&g, only == KA_GUARD_ALL);
	ka_dax_regions_free(g.regions, all);
	*ret_worst = g.worst;
	return 0;
}

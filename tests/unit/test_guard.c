/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_guard.c - what is found on machines that are made up: files in a directory, and regions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_machine.h"
#include "keepalive/guard.h"
#include "keepalive/util.h"
#include "test.h"

#define GIB   (1ull << 30)
#define START (6 * GIB)

struct found {
	char root[64];
	struct fake_machine f;
	unsigned count;
	enum ka_finding_level worst;
	struct ka_finding finding[16];
};

static void note(void *ctx, const struct ka_finding *f)
{
	struct found *found = ctx;

	assert_true(found->count < KA_ARRAY_SIZE(found->finding));
	assert_true(f->what[0] && f->why[0]);
	found->finding[found->count++] = *f;
}

/* The file, and the directories above it. */
static void put(struct found *found, const char *path, const char *text)
{
	char full[256], *slash;
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", found->root, path);
	for (slash = full + strlen(found->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		assert_true(!mkdir(full, 0700) || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	struct found *found = calloc(1, sizeof(*found));

	strcpy(found->root, "/tmp/test_guard.XXXXXX");
	assert_non_null(mkdtemp(found->root));
	fake_machine_init(&found->f, START, GIB);
	put(found, "/proc/sys/kernel/osrelease", "6.12.1-amd64\n");
	put(found, "/proc/cmdline", "root=/dev/vda1 dax_hmem.region_idle=1 quiet\n");
	put(found, "/proc/meminfo",
	    "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\nSwapFree: 0 kB\n");
	put(found, "/sys/kernel/kexec_loaded", "0\n");
	*state = found;
	return 0;
}

static int teardown(void **state)
{
	struct found *found = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", found->root);
	assert_int_equal(system(command), 0);
	free(found);
	return 0;
}

static void look(struct found *found, int only)
{
	found->count = 0;
	assert_int_equal(ka_guard_check(&found->f.m, found->root, only, note, found, &found->worst),
			 0);
}

/* Which begins, or goes on, like this; NULL: there is none. */
static const struct ka_finding *like(const struct found *found, const char *text)
{
	unsigned i;

	for (i = 0; i < found->count; i++)
		if (strstr(found->finding[i].what, text))
			return &found->finding[i];
	return NULL;
}

static void expect(struct found *found, const char *text, enum ka_finding_level level,
		   const char *todo)
{
	const struct ka_finding *f = like(found, text);

	look(found, KA_GUARD_ALL);
	f = like(found, text);
	if (!f)
		fail_msg("nothing like '%s' was found", text);
	assert_int_equal(f->level, level);
	if (!strstr(f->todo, todo))
		fail_msg("no '%s' in '%s'", todo, f->todo);
}

static void test_good(void **state)
{
	struct found *found = *state;

	look(found, KA_GUARD_ALL);
	assert_int_equal(found->count, 1);
	assert_int_equal(found->worst, KA_FINDING_INFO);
	assert_non_null(like(found, "region0: 1.0 GiB at 0x180000000, slices of 128 MiB"));
}

static void test_idle(void **state)
{
	struct found *found = *state;

	put(found, "/proc/cmdline", "quiet\n");
	expect(found, "left idle at boot", KA_FINDING_BAD, "options dax_hmem region_idle=1");
	put(found, "/etc/modprobe.d/a.conf", "# options dax_hmem region_idle=1\n");
	expect(found, "left idle at boot", KA_FINDING_BAD, "update-initramfs -u");
	put(found, "/proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
	expect(found, "left idle at boot", KA_FINDING_WARN, "update-initramfs -u");
	put(found, "/usr/lib/modprobe.d/b.conf", "# why\n\toptions dax_hmem  region_idle=1\n");
	look(found, KA_GUARD_ALL);
	assert_null(like(found, "left idle"));
}

static void test_old_kernel(void **state)
{
	struct found *found = *state;

	put(found, "/proc/sys/kernel/osrelease", "5.10.0-33-amd64\n");
	expect(found, "kernel 5.10.0-33-amd64 is too old", KA_FINDING_BAD, "6.1");
	assert_int_equal(found->worst, KA_FINDING_BAD);
	put(found, "/proc/sys/kernel/osrelease", "10.0.0\n");
	look(found, KA_GUARD_ALL);
	assert_null(like(found, "kernel"));
}

static void test_rules(void **state)
{
	struct found *found = *state;

	put(found, "/etc/daxctl.conf.d/x.conf", "[reconfigure-device r]\nmode = system-ram\n");
	expect(found, "'/etc/daxctl.conf.d/x.conf' makes system memory", KA_FINDING_BAD,
	       "mode = system-ram");
	put(found, "/usr/lib/udev/rules.d/40-hotadd.rules",
	    "SUBSYSTEM==\"memory\", ACTION==\"add\", ATTR{state}=\"online\"\n");
	expect(found, "40-hotadd.rules' onlines new memory", KA_FINDING_WARN,
	       "ln -s /dev/null /etc/udev/rules.d/40-hotadd.rules");
	/* Masked, as that says. */
	put(found, "/etc/udev/rules.d/40-hotadd.rules", "");
	look(found, KA_GUARD_ALL);
	assert_null(like(found, "onlines new memory"));
}

static void test_policy(void **state)
{
	struct found *found = *state;

	found->f.policy = KA_ONLINE_ONLINE;
	expect(found, "online by itself", KA_FINDING_INFO, "auto_online_blocks");
	found->f.policy = KA_ONLINE_MOVABLE;
	look(found, KA_GUARD_ALL);
	assert_null(like(found, "online by itself"));
}

static void test_kexec(void **state)
{
	struct found *found = *state;

	put(found, "/sys/kernel/kexec_loaded", "1\n");
	expect(found, "loaded for kexec", KA_FINDING_WARN, "kexec -u");
}

static void test_taken(void **state)
{
	struct found *found = *state;

	fake_machine_add(&found->f, START, GIB, KA_DAX_KMEM);
	expect(found, "is system memory", KA_FINDING_BAD, "daxctl reconfigure-device");
	assert_int_equal(found->worst, KA_FINDING_BAD);
}

/* Lent, by us: nothing bad, as long as what is in it has somewhere to go. */
static void test_lent(void **state)
{
	struct found *found = *state;

	fake_machine_add(&found->f, START, GIB / 2, KA_DAX_DEVDAX);
	fake_machine_add(&found->f, START + GIB / 2, GIB / 2, KA_DAX_KMEM);
	look(found, KA_GUARD_ALL);
	assert_int_equal(found->worst, KA_FINDING_INFO);
	put(found, "/proc/meminfo", "MemAvailable: 1024 kB\nSwapFree: 1024 kB\n");
	expect(found, "512 MiB are lent, and only 2.0 MiB", KA_FINDING_WARN, "swap");
}

static void test_node(void **state)
{
	struct found *found = *state;

	fake_machine_add(&found->f, START, GIB, KA_DAX_DEVDAX)->target_node = -1;
	expect(found, "no NUMA node", KA_FINDING_WARN, "SRAT");
}

static void test_unbound(void **state)
{
	struct found *found = *state;

	fake_machine_add(&found->f, START, GIB, KA_DAX_UNBOUND);
	expect(found, "has no driver", KA_FINDING_INFO, "daxctl enable-device dax0.");
}

/* What no memory block has can be used by files only; one block is nothing to lend. */
static void test_alignment(void **state)
{
	struct found *found = *state;

	expect(found, "region0: 1.0 GiB at 0x180000000", KA_FINDING_INFO, "");
	assert_string_equal(like(found, "region0")->why, "nothing is lost to alignment");
	fake_machine_init(&found->f, START + (2 << 20), GIB);
	expect(found, "region0: 1.0 GiB at 0x180200000", KA_FINDING_INFO, "");
	assert_non_null(strstr(like(found, "region0")->why, "2.0 MiB at its end"));
	fake_machine_init(&found->f, START + (2 << 20), GIB - (2 << 20));
	expect(found, "region0: 1022 MiB at 0x180200000", KA_FINDING_INFO, "");
	assert_string_equal(
		like(found, "region0")->why,
		"nothing is lost to alignment; slices at even offsets would lose 126 MiB");
	fake_machine_init(&found->f, START, 128 << 20);
	expect(found, "region0: 128 MiB", KA_FINDING_WARN, "larger region");
}

static void test_only(void **state)
{
	struct found *found = *state;

	put(found, "/proc/cmdline", "quiet\n");
	fake_machine_add(&found->f, START, GIB, KA_DAX_KMEM);
	look(found, 0);
	assert_int_equal(found->worst, KA_FINDING_BAD);
	/* No region is at stake: nothing to be warned of. */
	look(found, KA_GUARD_NONE);
	assert_int_equal(found->worst, KA_FINDING_INFO);
	assert_null(like(found, "region0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_good),   TEST(test_idle),    TEST(test_old_kernel), TEST(test_rules),
		TEST(test_policy), TEST(test_kexec),   TEST(test_taken),      TEST(test_lent),
		TEST(test_node),   TEST(test_unbound), TEST(test_alignment),  TEST(test_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

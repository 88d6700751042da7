/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump_main.c - keepalivectl dump: which structures are asked for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dump.h"
#include "keepalive/dax.h"
#include "keepalive/util.h"
#include "program.h"

/* Decimal, or hexadecimal with 0x. */
static int parse_number(const struct ctl_args *args, const char *text, uint64_t *ret)
{
	bool hex = !strncasecmp(text, "0x", 2);
	const char *digits = text + (hex ? 2 : 0);
	char *end;

	errno = 0;
	*ret = strtoull(digits, &end, hex ? 16 : 10);
	if (*digits && digits[strspn(digits, "0123456789abcdefABCDEF")] == 0 && !*end && !errno)
		return 0;
	ka_msg(args->sink, KA_MSG_ERROR, "'%s' is not a number; try '%s dump --help'", text,
	       CTL_NAME);
	return -EINVAL;
}

/* As sizes are written everywhere, or hexadecimal, as dump shows addresses. */
static int parse_address(const struct ctl_args *args, const char *text, uint64_t *ret)
{
	if (!strncasecmp(text, "0x", 2) || ka_parse_size(text, ret))
		return parse_number(args, text, ret);
	return 0;
}

static int dump_structures(const struct ctl_args *args, bool all, uint64_t addr)
{
	struct dump d = {.args = args, .first = true};
	struct ka_region *rg;
	bool served;
	int err;

	if (ka_program_check_region(args->sink, args->target))
		return CTL_FAILED;
	err = ka_dax_open(NULL, args->target, 0, NULL, args->sink, &rg);
	if (err)
		return CTL_FAILED;
	if (ka_region_has_others(rg, &served))
		ka_msg(args->sink, KA_MSG_WARNING, "'%s' is in use: it may change while it is read",
		       args->target);
	d.rg = rg;
	err = all ? dump_all(&d) : dump_at(&d, addr);
	ka_region_close(rg);
	return err ? CTL_FAILED : CTL_OK;
}

static int run_dump(const struct ctl_args *args)
{
	uint64_t number = 0;

	if (!!args->offset + !!args->inode + !!args->path + args->records > 1) {
		ka_msg(args->sink, KA_MSG_ERROR,
		       "only one of --records, --offset, --inode and --path can be used");
		return CTL_USAGE;
	}
	if (args->offset && parse_address(args, args->offset, &number))
		return CTL_USAGE;
	if (args->inode && parse_number(args, args->inode, &number))
		return CTL_USAGE;
	if (args->inode || args->path)
		return dump_inode(args, args->path, number);
	return dump_structures(args, !args->offset, number);
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"records", no_argument, NULL, 'r'},
	{"offset", required_argument, NULL, CTL_OPT_OFFSET},
	{"inode", required_argument, NULL, CTL_OPT_INODE},
	{"path", required_argument, NULL, CTL_OPT_PATH},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_dump = {
	.name = "dump",
	.operand = "REGION",
	.help = "Usage: " CTL_NAME " dump [--json] [--records] REGION\n"
		"       " CTL_NAME
		" dump [--json] {--offset ADDR | --inode N | --path PATH} REGION\n"
		"Show the structures in a region: superblock, checkpoints, segments; or one thing.\n"
		"Nothing is changed; damage is shown, not repaired.\n"
		"\n"
		"  -r, --records      each record of each segment too, with its data verified\n"
		"      --offset=ADDR  what lies at this address, damaged or not\n"
		"      --inode=N      an inode: attributes, and where its contents lie\n"
		"      --path=PATH    the inode that this path in the filesystem leads to\n"
		"  -j, --json         print one JSON object\n"
		"  -h, --help         print this help\n"
		"  -V, --version      print the version\n",
	.short_options = ":jrhV",
	.long_options = long_options,
	.run = run_dump,
};

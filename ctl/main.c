/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - keepalivectl: finds the command and parses its arguments. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "keepalive/util.h"
#include "program.h"

static const struct ctl_command *const commands[] = {
	&ctl_status, &ctl_map,	   &ctl_lend,  &ctl_reclaim, &ctl_clean,  &ctl_scrub,
	&ctl_seal,   &ctl_extract, &ctl_image, &ctl_dump,    &ctl_doctor,
};

static const char help[] =
	"Usage: " CTL_NAME " COMMAND [OPTION]... OPERAND...\n"
	"Look after keepalivefs filesystems.\n"
	"\n"
	"Commands:\n"
	"  status TARGET               what a mounted filesystem, or a region, holds and how it is\n"
	"  map TARGET                  what each part of a region is used for, as a picture\n"
	"  lend MOUNTPOINT             give memory that the files do not need to the system\n"
	"  reclaim MOUNTPOINT          take it back\n"
	"  clean MOUNTPOINT            move what lives together, to have free space in one piece\n"
	"  scrub MOUNTPOINT            read everything and verify every checksum\n"
	"  seal MOUNTPOINT             the last step before a reboot: all is safe, and stays as it is\n"
	"  extract REGION [PATH] DEST  copy files out of a region, a damaged one too\n"
	"  image REGION FILE           copy a filesystem to a sparse file, and back\n"
	"  dump REGION                 the structures in a region, readable\n"
	"  doctor [REGION]             whether this machine keeps a region, and can lend from it\n"
	"\n"
	"  -h, --help                  print this help; after a command: the help of that command\n"
	"  -V, --version               print the version\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 something is not whole. See\n"
	"keepalivectl(8).\n";

const char *ctl_state_name(enum ka_super_state state)
{
	switch (state) {
	case KA_STATE_CLEAN:
		return "clean";
	case KA_STATE_MOUNTED:
		return "mounted";
	case KA_STATE_SEALED:
		return "sealed";
	}
	return "?";
}

/* Whether c was an option that some command has. */
static bool take_option(struct ctl_args *args, int c)
{
	switch (c) {
	case 'j':
		args->json = true;
		return true;
	case 'r':
		args->records = true;
		return true;
	case 's':
		args->share = optarg;
		return true;
	case 'f':
		args->force = true;
		return true;
	case CTL_OPT_OVERWRITE:
		args->overwrite = true;
		return true;
	case CTL_OPT_RESTORE:
		args->restore = true;
		return true;
	case CTL_OPT_OFF:
		args->off = true;
		return true;
	case CTL_OPT_OFFSET:
		args->offset = optarg;
		return true;
	case CTL_OPT_INODE:
		args->inode = optarg;
		return true;
	case CTL_OPT_PATH:
		args->path = optarg;
		return true;
	case CTL_OPT_KEEP:
		args->keep = optarg;
		return true;
	case CTL_OPT_SIZE:
		args->size = optarg;
		return true;
	case CTL_OPT_DRY_RUN:
		args->dry_run = true;
		return true;
	case CTL_OPT_SVG:
		args->svg = optarg;
		return true;
	case CTL_OPT_WATCH:
		args->watch = true;
		args->seconds = optarg;
		return true;
	case CTL_OPT_COLOR:
		args->color = optarg;
		return true;
	default:
		return false;
	}
}

static int take_operands(const struct ctl_command *cmd, int argc, char **argv,
			 struct ctl_args *args)
{
	int least = cmd->operands_optional ? 0 : cmd->operands_min ?: 1;
	int most = cmd->operands_max ?: 1;

	if (argc < least) {
		ka_msg(args->sink, KA_MSG_ERROR, "%s needs a %s; try '%s %s --help'", cmd->name,
		       cmd->operand, CTL_NAME, cmd->name);
		return CTL_USAGE;
	}
	if (argc > most) {
		ka_msg(args->sink, KA_MSG_ERROR, "%s takes one %s, not '%s' too", cmd->name,
		       cmd->operand, argv[most]);
		return CTL_USAGE;
	}
	for (args->operands = 0; args->operands < argc; args->operands++)
		args->operand[args->operands] = argv[args->operands];
	args->target = args->operand[0];
	return -1;
}

/* -1: run the command; else the exit code. */
static int parse_command(const struct ctl_command *cmd, int argc, char **argv,
			 struct ctl_args *args)
{
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, cmd->short_options, cmd->long_options, NULL)) != -1) {
		if (take_option(args, c))
			continue;
		switch (c) {
		case 'h':
			fputs(cmd->help, stdout);
			return CTL_OK;
		case 'V':
			ka_program_version(CTL_NAME);
			return CTL_OK;
		default:
			ka_program_option_error(args->sink, c, argv, cmd->short_options);
			return CTL_USAGE;
		}
	}
	return take_operands(cmd, argc - optind, argv + optind, args);
}

static int run_command(int argc, char **argv, struct ctl_args *args)
{
	size_t i;
	int code;

	for (i = 0; i < KA_ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->name, argv[0]))
			continue;
		code = parse_command(commands[i], argc, argv, args);
		return code < 0 ? commands[i]->run(args) : code;
	}
	ka_msg(args->sink, KA_MSG_ERROR, "unknown command '%s'; try '%s --help'", argv[0],
	       CTL_NAME);
	return CTL_USAGE;
}

/* '+': stops at the command, whose options are its own. */
static int run(int argc, char **argv, struct ctl_args *args)
{
	static const char short_options[] = "+:hV";
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int c;

	opterr = 0;
	c = getopt_long(argc, argv, short_options, long_options, NULL);
	switch (c) {
	case -1:
		break;
	case 'h':
		fputs(help, stdout);
		return CTL_OK;
	case 'V':
		ka_program_version(CTL_NAME);
		return CTL_OK;
	default:
		ka_program_option_error(args->sink, c, argv, short_options);
		return CTL_USAGE;
	}
	if (optind == argc) {
		ka_msg(args->sink, KA_MSG_ERROR, "no command is given; try '%s --help'", CTL_NAME);
		return CTL_USAGE;
	}
	return run_command(argc - optind, argv + optind, args);
}

int main(int argc, char **argv)
{
	struct ka_msg_sink sink = ka_program_sink(CTL_NAME);
	struct ctl_args args = {.sink = &sink};

	ka_program_catch_sigbus(CTL_NAME, CTL_FAILED);
	return ka_program_end(&sink, run(argc, argv, &args), CTL_FAILED);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map.c - keepalivectl map: the command; map.h says what its parts are. */
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emit.h"
#include "keepalive/err.h"
#include "keepalive/util.h"

#define SECONDS_DEFAULT 2
#define SECONDS_MIN	0.1
#define SECONDS_MAX	86400
#define WIDTH_DEFAULT	80
#define ROWS_DEFAULT	16 /* of the picture, where there is no terminal */

/* ---- what the terminal can do --------------------------------------------------- */

static bool is_unicode(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool is;

	if (!locale)
		return false;
	is = !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");
	freelocale(locale);
	return is;
}

bool map_is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

/* no-color.org: set and not empty. */
static bool is_colour_unwanted(void)
{
	const char *no = getenv("NO_COLOR");

	return no && *no;
}

static int choose_colour(const struct ctl_args *args, bool *ret)
{
	const char *when = args->color ?: "auto";

	if (!strcmp(when, "always"))
		*ret = true;
	else if (!strcmp(when, "never"))
		*ret = false;
	else if (!strcmp(when, "auto"))
		*ret = map_is_terminal() && !is_colour_unwanted();
	else
		return -EINVAL;
	return 0;
}

bool map_terminal_size(unsigned *ret_columns, unsigned *ret_rows)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row)
		return false;
	*ret_columns = size.ws_col;
	*ret_rows = size.ws_row;
	return true;
}

static unsigned width_without_terminal(void)
{
	const char *columns = getenv("COLUMNS");
	long width = columns ? strtol(columns, NULL, 10) : 0;

	return width > 0 && width <= 10000 ? (unsigned)width : WIDTH_DEFAULT;
}

void map_choose_size(struct map_term_opts *term)
{
	unsigned height = MAP_TERM_LEGEND + ROWS_DEFAULT;

	if (!map_terminal_size(&term->width, &height))
		term->width = width_without_terminal();
	term->rows = height > MAP_TERM_LEGEND ? height - MAP_TERM_LEGEND : 1;
}

/* ---- arguments ------------------------------------------------------------------- */

static int parse_seconds(const struct ctl_args *args, double *ret)
{
	char *end;

	*ret = SECONDS_DEFAULT;
	if (!args->seconds)
		return 0;
	*ret = strtod(args->seconds, &end);
	if (end != args->seconds && !*end && *ret >= SECONDS_MIN && *ret <= SECONDS_MAX)
		return 0;
	ka_msg(args->sink, KA_MSG_ERROR, "'%s' is no number of seconds from 0.1 to 86400",
	       args->seconds);
	return -EINVAL;
}

/* 0 or -EINVAL, explained. */
static int check_args(const struct ctl_args *args, bool *ret_colour, double *ret_seconds)
{
	if (choose_colour(args, ret_colour)) {
		ka_msg(args->sink, KA_MSG_ERROR, "'%s' is none of auto, always, never",
		       args->color);
		return -EINVAL;
	}
	if (args->watch + args->json + !!args->svg > 1) {
		ka_msg(args->sink, KA_MSG_ERROR, "only one of --svg, --watch, --json can be given");
		return -EINVAL;
	}
	return parse_seconds(args, ret_seconds);
}

/* ---- SVG ------------------------------------------------------------------------- */

/* Whether what is there may go: nothing, or a picture; never a region, by mistake. */
static int make_empty(int fd, const char **ret_why)
{
	static const char magic[] = "<svg";
	char start[sizeof(magic) - 1];
	struct stat st;

	*ret_why = NULL;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		*ret_why = "it is no regular file; - is standard output";
	else if (st.st_size && (pread(fd, start, sizeof(start), 0) != sizeof(start) ||
				memcmp(start, magic, sizeof(start)) != 0))
		*ret_why = "it exists, and is no such picture";
	if (*ret_why)
		return -EEXIST;
	return ftruncate(fd, 0) ? -errno : 0;
}

/* Takes fd over. */
static int draw_to(int fd, const struct map *map)
{
	FILE *out = fdopen(fd, "w");
	int err;

	if (!out) {
		err = -errno;
		close(fd);
		return err;
	}
	map_draw_svg(out, map);
	err = fflush(out) ? -errno : 0;
	return fclose(out) && !err ? -errno : err;
}

static int write_svg(const struct ctl_args *args, const struct map *map)
{
	const char *why = NULL;
	int fd, err;

	if (!strcmp(args->svg, "-")) {
		map_draw_svg(stdout, map);
		return 0;
	}
	fd = open(args->svg, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	err = fd < 0 ? -errno : make_empty(fd, &why);
	if (!err)
		err = draw_to(fd, map);
	else if (fd >= 0)
		close(fd);
	if (err)
		ka_msg(args->sink, KA_MSG_ERROR, "cannot write '%s': %s", args->svg,
		       why ?: ka_strerror(err));
	return err;
}

/* ---- the command ------------------------------------------------------------------ */

static int show(const struct ctl_args *args, struct map_term_opts *term)
{
	struct map map;
	int err = map_fetch(args, &map);

	if (!err && args->svg) {
		err = write_svg(args, &map);
	} else if (!err && args->json) {
		emit_print(map_to_json(&map));
	} else if (!err) {
		map_choose_size(term);
		map_draw_term(stdout, &map, term);
	}
	map_release(&map);
	return err;
}

static int run_map(const struct ctl_args *args)
{
	struct map_term_opts term = {.unicode = is_unicode()};
	double seconds;
	int err;

	if (check_args(args, &term.colour, &seconds))
		return CTL_USAGE;
	err = args->watch ? map_watch(args, seconds, &term) : show(args, &term);
	return err ? CTL_FAILED : CTL_OK;
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"svg", required_argument, NULL, CTL_OPT_SVG},
	{"watch", optional_argument, NULL, CTL_OPT_WATCH},
	{"color", required_argument, NULL, CTL_OPT_COLOR},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const struct ctl_command ctl_map = {
	.name = "map",
	.operand = "TARGET",
	.help = "Usage: " CTL_NAME " map [OPTION]... TARGET\n"
		"Show what each part of a region is used for, as a picture.\n"
		"TARGET is where it is mounted, or the region. Nothing is changed.\n"
		"\n"
		"      --svg FILE        write the picture as SVG; - is standard output\n"
		"      --watch[=SECONDS] show it again every 2 seconds, or as given, until Ctrl-C\n"
		"      --color WHEN      auto (the default), always or never\n"
		"  -j, --json            print one JSON object instead\n"
		"  -h, --help            print this help\n"
		"  -V, --version         print the version\n",
	.short_options = ":jhV",
	.long_options = long_options,
	.run = run_map,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hold-region.c - is a region's user, like a daemon, while a command runs:
 * hold-region FILE COMMAND [ARGUMENT]...
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keepalive/region.h"

int main(int argc, char **argv)
{
	struct ka_region *rg;
	int status;
	pid_t pid;

	if (argc < 3 || ka_region_open(argv[1], KA_REGION_WRITE | KA_REGION_LOCK, NULL, &rg)) {
		fprintf(stderr, "hold-region: cannot hold '%s'\n", argc > 1 ? argv[1] : "");
		return 125;
	}
	pid = fork();
	if (!pid) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 125;
	ka_region_close(rg);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}

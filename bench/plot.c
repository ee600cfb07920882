/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/plot.c - the script goes through a file in memory, the picture comes
 * back through standard output
 */
#include "bench/plot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/process.h"

enum {
	SVG_MAX = 4 << 20,
	TIMEOUT_S = 60
};

/* The script as a file that a child can open; negative without it. */
static int make_script(bool (*script)(FILE *f, const void *arg),
		       const void *arg)
{
	const int fd = memfd_create("knuma-plot", 0);
	FILE *f = fd < 0 ? NULL : fdopen(dup(fd), "w");
	bool done = false;

	if (f) {
		done = script(f, arg);
		done &= !fclose(f);
	}
	if (done)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool draw(int script, char *svg, size_t size)
{
	char path[32], why[KN_WHY_LEN];
	const char *argv[] = {"gnuplot", path, NULL};
	const struct kn_command command = {
		.path = argv[0],
		.argv = argv,
		.quiet = true,
		.timeout_s = TIMEOUT_S,
	};
	size_t len;

	snprintf(path, sizeof(path), "/dev/fd/%d", script);
	if (!kn_process_run(&command, svg, size - 1, &len, why))
		return false;
	svg[len] = '\0';
	return len < size - 1;
}

bool kn_plot(FILE *page, bool (*script)(FILE *f, const void *arg),
	     const void *arg)
{
	const int fd = make_script(script, arg);
	char *svg = malloc(SVG_MAX);
	const char *begin = NULL;

	if (fd >= 0 && svg && draw(fd, svg, SVG_MAX))
		begin = strstr(svg, "<svg");
	if (begin)
		fputs(begin, page);
	if (fd >= 0)
		close(fd);
	free(svg);
	return begin;
}

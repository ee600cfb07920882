/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/config/tunables.h"

struct arguments {
	char **files;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARGS:
		a->files = &state->argv[state->next];
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no file to check");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "FILE...",
	.doc = "Looks for mistakes in configuration files; each is one line, "
	       "FILE:LINE: MESSAGE.\v"
	       "Exit code: 0 and no output when there is none, 1 when there "
	       "are, 2 when a FILE cannot be read.",
};

static void print(void *arg, const char *message)
{
	(void)arg;
	puts(message);
}

int cmd_check(int argc, char **argv)
{
	struct arguments a = {0};
	int code = EXIT_DONE;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	for (char **file = a.files; *file; file++) {
		const int found = kn_conf_check(*file, print, NULL);

		if (found < 0)
			code = EXIT_USAGE;
		else if (found > 0)
			code = KN_MAX(code, EXIT_FAILED);
	}
	return code;
}

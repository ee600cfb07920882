/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/config/tunables.h"
#include "tools/knuma/live.h"

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
		argp_error(state, "nothing to check");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "FILE|PID|SOCKET...",
	.doc = "Looks for mistakes in configuration files, each of which is "
	       "one line, FILE:LINE: MESSAGE; and has running processes check "
	       "their heaps.  A number is a process.\v"
	       "Exit code: 0 and no output when there is none, 1 when there "
	       "are, 2 when a FILE cannot be read or a process be asked.",
};

static void print(void *arg, const char *message)
{
	(void)arg;
	puts(message);
}

/* 0: sound; else what the heap's own checks found is printed. */
static int check_process(const char *process)
{
	json_t *object = live_ask(process, "check");
	const bool sound = json_is_true(json_object_get(object, "sound"));

	if (!sound)
		printf("%s: the heap is damaged: %s", process,
		       text_in(object, "found"));
	json_decref(object);
	return !sound;
}

int cmd_check(int argc, char **argv)
{
	struct arguments a = {0};
	int code = EXIT_DONE;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	for (char **file = a.files; *file; file++) {
		const int found = is_process(*file) ?
					  check_process(*file) :
					  kn_conf_check(*file, print, NULL);

		if (found < 0)
			code = EXIT_USAGE;
		else if (found > 0)
			code = KN_MAX(code, EXIT_FAILED);
	}
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>

#include "alloc/config/tunables.h"
#include "tools/knuma/conf_dump.h"

static const char *const actions[] = {"dump", "show", NULL};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	int *action = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "unexpected argument '%s'", arg);
		*action = pick(state, arg, actions);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "one of dump, show is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "dump|show",
	.doc = "dump prints the built-in configuration as a file to start "
	       "from; show prints what files and environment make of it, with "
	       "the source of each value.",
};

static void show(void)
{
	char value[KN_TUNABLE_LEN];

	kn_tunables_load();
	puts("[knuma]");
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const char *name = kn_tunables[i].name;

		kn_tunable_get(name, value, sizeof(value));
		printf("%s =%s%s  # %s\n", name, *value ? " " : "", value,
		       kn_tunable_source(name));
	}
}

int cmd_conf(int argc, char **argv)
{
	int action = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &action);
	if (action == 0)
		print_default_conf();
	else
		show();
	return EXIT_DONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>

#include "alloc/config/tunables.h"

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

static void print_range(const struct kn_tunable *row)
{
	char min[32], max[32];

	switch (row->kind) {
	case KN_TUNABLE_BOOL:
		printf("# yes or no");
		break;
	case KN_TUNABLE_CHOICE:
		printf("# one of %s", row->unit);
		break;
	case KN_TUNABLE_U64:
	case KN_TUNABLE_SIZE:
	case KN_TUNABLE_MS:
		kn_tunable_print(row, row->min, min, sizeof(min));
		kn_tunable_print(row, row->max, max, sizeof(max));
		printf("# %s to %s%s%s", min, max,
		       row->kind == KN_TUNABLE_U64 ? " " : "",
		       row->kind == KN_TUNABLE_U64 ? row->unit : "");
		break;
	case KN_TUNABLE_STRING:
		printf("# a %s of up to %d bytes", row->unit,
		       KN_TUNABLE_LEN - 1);
		break;
	}
	puts(row->when == KN_TUNABLE_INIT ? "; read at start" :
					    "; may change while running");
}

static void dump(void)
{
	char value[KN_TUNABLE_LEN];

	puts("# knuma.conf - settings of knuma, see knuma.conf(5)\n"
	     "#\n"
	     "# Read from /etc/knuma.conf and then $XDG_CONFIG_HOME/knuma/"
	     "knuma.conf, or\n"
	     "# from the file of KNUMA_CONF_FILE alone.  Each line below shows "
	     "the built-in\n"
	     "# value; take its # away to set another.  Printed by `knuma conf "
	     "dump`.\n"
	     "[knuma]");
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const struct kn_tunable *row = &kn_tunables[i];

		printf("\n# %s\n", row->help);
		print_range(row);
		kn_tunable_default(row->name, value, sizeof(value));
		printf("#%s =%s%s\n", row->name, *value ? " " : "", value);
	}
}

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
		dump();
	else
		show();
	return EXIT_DONE;
}

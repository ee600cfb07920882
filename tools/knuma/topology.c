/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>
#include <stdlib.h>

#include "alloc/config/tunables.h"
#include "numa/fake.h"
#include "numa/topology.h"

/* clang-format off: a table */
static const struct argp_option options[] = {
	{"output", 'o', "FORMAT", 0, "text (default), json or csv", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};
/* clang-format on */

static const char *const formats[] = {
	[KN_FMT_TEXT] = "text",
	[KN_FMT_JSON] = "json",
	[KN_FMT_CSV] = "csv",
	NULL,
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	enum kn_fmt *fmt = state->input;

	switch (key) {
	case 'o':
		*fmt = (enum kn_fmt)pick(state, arg, formats);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument '%s'", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Prints the machine as knuma sees it: nodes, their CPUs and "
	       "memory, distances, and the order in which nodes are tried.",
};

static void print(struct kn_text *t, const void *arg)
{
	kn_topology_print(t, *(const enum kn_fmt *)arg);
}

int cmd_topology(int argc, char **argv)
{
	enum kn_fmt fmt = KN_FMT_TEXT;
	char *text;

	argp_parse(&argp, argc, argv, 0, NULL, &fmt);
	kn_tunables_load();
	kn_fake_start(kn_tun.fake_nodes);
	kn_topology_init();
	/* Without hwloc the first reading is what there is. */
	(void)kn_topology_refine();
	text = text_of(print, &fmt);
	fputs(text, stdout);
	free(text);
	return EXIT_DONE;
}

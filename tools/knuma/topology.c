/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/config/tunables.h"
#include "alloc/stats/stats.h"
#include "numa/fake.h"
#include "numa/hwloc.h"
#include "numa/topology.h"

enum {
	OPT_INPUT = 256,
	OPT_ZONELISTS
};

/* clang-format off: a table */
static const struct argp_option options[] = {
	{"output", 'o', "FORMAT", 0, "text (default), json or csv", 0},
	{"input", OPT_INPUT, "FILE", 0,
	 "the machine that lstopo(1) described in FILE (XML), in place of this "
	 "one",
	 0},
	{"zonelists", OPT_ZONELISTS, NULL, 0,
	 "only the order in which nodes are tried, and which are best by "
	 "hwloc's memory attributes",
	 0},
	{NULL, 0, NULL, 0, NULL, 0},
};
/* clang-format on */

static const char *const formats[] = {
	[KN_FMT_TEXT] = "text",
	[KN_FMT_JSON] = "json",
	[KN_FMT_CSV] = "csv",
	NULL,
};

struct arguments {
	enum kn_fmt fmt;
	const char *input;
	bool zonelists;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'o':
		a->fmt = (enum kn_fmt)pick(state, arg, formats);
		return 0;
	case OPT_INPUT:
		a->input = arg;
		return 0;
	case OPT_ZONELISTS:
		a->zonelists = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument '%s'", arg);
		return 0;
	case ARGP_KEY_END:
		if (a->zonelists && a->fmt != KN_FMT_TEXT)
			argp_error(state, "--zonelists is text; the lists are "
					  "in every format without it");
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
	const struct arguments *a = arg;

	if (a->zonelists)
		kn_topology_print_choice(t);
	else
		kn_topology_print(t, a->fmt);
}

/* Puts the machine of a file in place of this one. */
static void use_input(const char *file)
{
	static struct kn_fake machine;
	char why[256] = "";
	struct kn_text t = {why, sizeof(why), 0};
	struct kn_hwloc_cpus odd;

	if (kn_hwloc_describe(file, &machine, &odd, &t))
		fail("%s: %s", file, why);
	if (odd.shared)
		kn_print("%s: %d CPUs are local to several nodes; the node "
			 "with the lowest number has them",
			 file, odd.shared);
	if (odd.homeless)
		kn_print("%s: %d CPUs are local to no node", file,
			 odd.homeless);
	kn_fake_use(&machine);
}

int cmd_topology(int argc, char **argv)
{
	struct arguments a = {.fmt = KN_FMT_TEXT};
	uint64_t unknown;
	char *text;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	kn_tunables_load();
	if (a.input)
		use_input(a.input);
	else
		kn_fake_start(kn_tun.fake_nodes);
	kn_topology_init();
	ret = kn_topology_refine();
	/* Of this machine, the first reading is what there is without hwloc. */
	if (a.input && ret)
		fail("%s: %s", a.input, strerrordesc_np(-ret));
	unknown = kn_stat_read(KN_STAT_hwloc_unknown_nodes);
	if (unknown)
		kn_print("hwloc names nodes that are not here, %llu times: "
			 "what it says of them is not used",
			 (unsigned long long)unknown);
	text = text_of(print, &a);
	fputs(text, stdout);
	free(text);
	return EXIT_DONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The texts that the tunable fake_nodes takes, and those it does not. */
#include "alloc/config/fake_spec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
	const char *text;
	int ret;
	unsigned nodes, cpus;
} rows[] = {
	{"", 0, 0, 0},
	{"0", 0, 0, 0},
	{"1", 0, 1, 0},
	{"4", 0, 4, 0},
	{"64", 0, 64, 0},
	{"65", -ERANGE, 0, 0},
	{"4294967297", -ERANGE, 0, 0},
	{"99999999999999999999999999", -ERANGE, 0, 0},
	{"4x", -EINVAL, 0, 0},
	{"4 ", -EINVAL, 0, 0},
	{"-1", -EINVAL, 0, 0},
	{" 4", -EINVAL, 0, 0},
	{"0x4", -EINVAL, 0, 0},
	/* Levels. */
	{"pu:2", 0, 1, 2},
	{"numa:8 pu:128", 0, 8, 1024},
	{"pack:2 numa:4 core:8 pu:2", 0, 8, 128},
	{"pack:8 [numa] core:64 pu:2", 0, 8, 1024},
	{"Package:2 [NUMANode(memory=1GB)] L3Cache:1(size=32MB) core:2 PU:2", 0,
	 2, 8},
	{"[numa] pu:4", 0, 1, 4},
	{"node:3\tpu:1", 0, 3, 3},
	{"numa:64 pu:128", 0, 64, 8192},
	{"numa:65 pu:1", -ERANGE, 0, 0},
	{"numa:1 pu:8193", -ERANGE, 0, 0},
	{"pack:4000 core:4000 pu:4000", -ERANGE, 0, 0},
	{"numa:99999999999999999999 pu:1", -ERANGE, 0, 0},
	{"numa:4", -EINVAL, 0, 0},
	{"pack:2", -EINVAL, 0, 0},
	{"pu:2 core:2", -EINVAL, 0, 0},
	{"numa:2 numa:2 pu:1", -EINVAL, 0, 0},
	{"numa:2 [numa] pu:1", -EINVAL, 0, 0},
	{"[core] pu:1", -EINVAL, 0, 0},
	{"[numa pu:1", -EINVAL, 0, 0},
	{"[numa(memory=1GB] pu:1", -EINVAL, 0, 0},
	{"numa:0 pu:1", -EINVAL, 0, 0},
	{"numa: pu:1", -EINVAL, 0, 0},
	{"numa pu:1", -EINVAL, 0, 0},
	{"banana:2 pu:1", -EINVAL, 0, 0},
	{"numa:2(memory=1GB pu:1", -EINVAL, 0, 0},
	{"numa:2,pu:1", -EINVAL, 0, 0},
	{"pu:1x", -EINVAL, 0, 0},
	{"yes", -EINVAL, 0, 0},
};

static void each_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < KN_ARRAY_SIZE(rows); i++) {
		struct kn_fake_spec spec = {77, 77};

		if (kn_fake_spec_parse(rows[i].text, &spec) != rows[i].ret)
			fail_msg("'%s' does not give %d", rows[i].text,
				 rows[i].ret);
		if (rows[i].ret)
			continue;
		if (spec.nr_nodes != rows[i].nodes ||
		    spec.nr_cpus != rows[i].cpus)
			fail_msg("'%s' gives %u nodes and %u CPUs",
				 rows[i].text, spec.nr_nodes, spec.nr_cpus);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

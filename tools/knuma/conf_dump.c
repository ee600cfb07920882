/* SPDX-License-Identifier: Apache-2.0 */
/* What `knuma conf dump` prints and what is installed as etc/knuma.conf. */
#include "tools/knuma/conf_dump.h"

#include <stdio.h>

#include "alloc/config/tunables.h"

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
	case KN_TUNABLE_NODES:
		printf("# a number of nodes, or levels as pack:2 numa:2 pu:4");
		break;
	}
	puts(row->when == KN_TUNABLE_INIT ? "; read at start" :
					    "; may change while running");
}

void print_default_conf(void)
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

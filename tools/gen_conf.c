/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_conf - prints the commented knuma.conf that is installed
 *
 * From the rows of alloc/config/tunables.def: what a tunable does, its limits,
 * and its built-in value behind a '#'.
 */
#include <inttypes.h>
#include <stdio.h>

#include "alloc/config/tunables.h"

static const char head[] =
	"# knuma.conf - settings of knuma, with their built-in values\n"
	"#\n"
	"# Read from the file named by KNUMA_CONF_FILE, else from /etc/knuma.conf\n"
	"# and then $XDG_CONFIG_HOME/knuma/knuma.conf. KNUMA_CONF=\"key=value,...\"\n"
	"# and KNUMA_<KEY>=value override it. To change a setting, remove the '#'\n"
	"# before its key. `knuma check FILE` names mistakes.\n";

/* A count, or bytes in the largest unit that divides them. */
static void print_number(const struct kn_tunable *row, uint64_t n)
{
	static const char units[] = "KMGT";
	const char *unit = units;

	if (row->kind != KN_TUNABLE_SIZE || n == 0 || n % KN_KIB != 0) {
		printf("%" PRIu64, n);
		return;
	}
	for (n /= KN_KIB; n % KN_KIB == 0 && unit[1]; n /= KN_KIB)
		unit++;
	printf("%" PRIu64 "%c", n, *unit);
}

static void print_range(const struct kn_tunable *row)
{
	switch (row->kind) {
	case KN_TUNABLE_BOOL:
		fputs("yes|no", stdout);
		break;
	case KN_TUNABLE_CHOICE:
	case KN_TUNABLE_STRING:
		fputs(row->unit, stdout);
		break;
	default:
		print_number(row, row->min);
		fputs(" to ", stdout);
		print_number(row, row->max);
		printf(" %s", row->unit);
	}
}

static int print_row(const struct kn_tunable *row)
{
	char value[KN_TUNABLE_LEN];

	if (kn_tunable_default(row->name, value, sizeof(value)) < 0)
		return -1;
	printf("\n# %s\n# ", row->help);
	print_range(row);
	printf("; %s\n", row->when == KN_TUNABLE_RUNTIME ?
				 "may change while a program runs" :
				 "read when a program starts");
	printf("#%s =%s%s\n", row->name, *value ? " " : "", value);
	return 0;
}

int main(void)
{
	fputs(head, stdout);
	for (size_t i = 0; i < KN_NR_TUNABLES; i++)
		if (print_row(&kn_tunables[i]) < 0)
			return 1;
	return fflush(stdout) != 0;
}

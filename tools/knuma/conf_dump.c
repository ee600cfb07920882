/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `knuma conf dump` prints, what is installed as etc/knuma.conf, and the
 * page of the documentation: all from the tables of alloc/config.
 */
#include "tools/knuma/conf_dump.h"

#include <stdio.h>
#include <string.h>

#include "alloc/config/cache_conf.h"
#include "alloc/config/profile.h"
#include "alloc/config/tunables.h"

/* "0 to 65536 batches" */
static void print_range(const struct kn_tunable *row)
{
	char min[32], max[32];

	switch (row->kind) {
	case KN_TUNABLE_BOOL:
		printf("yes or no");
		break;
	case KN_TUNABLE_CHOICE:
		printf("one of ");
		for (const char *p = row->unit; *p; p++)
			*p == '|' ? printf(", ") : putchar(*p);
		break;
	case KN_TUNABLE_U64:
	case KN_TUNABLE_SIZE:
	case KN_TUNABLE_MS:
		kn_tunable_print(row, row->min, min, sizeof(min));
		kn_tunable_print(row, row->max, max, sizeof(max));
		printf("%s to %s%s%s", min, max,
		       row->kind == KN_TUNABLE_U64 ? " " : "",
		       row->kind == KN_TUNABLE_U64 ? row->unit : "");
		break;
	case KN_TUNABLE_STRING:
		printf("a %s of up to %d bytes", row->unit, KN_TUNABLE_LEN - 1);
		break;
	case KN_TUNABLE_NODES:
		printf("a number of nodes, or levels as pack:2 numa:2 pu:4");
		break;
	case KN_TUNABLE_DEBUG:
		printf("letters of FZPUTAO-, as FZPU or FZ,kmalloc-*;-");
		break;
	}
}

static const char *when(const struct kn_tunable *row)
{
	return row->when == KN_TUNABLE_INIT ? "read at start" :
					      "may change while running";
}

/* The comment above a setting. */
static void print_about(const struct kn_tunable *row)
{
	printf("\n# %s\n# ", row->help);
	print_range(row);
	printf("; %s\n", when(row));
}

static void print_setting(const char *mark, const char *name, const char *value)
{
	printf("%s%s =%s%s", mark, name, *value ? " " : "", value);
}

static void print_head(const char *about)
{
	printf("# knuma.conf - settings of knuma, see knuma.conf(5)\n"
	       "#\n"
	       "%s"
	       "[knuma]\n",
	       about);
}

/* How a section of a cache looks: nothing that is a setting without its #. */
static void print_cache_example(void)
{
	puts("\n# Sections for caches, by name or pattern, hold for those "
	     "caches only; a later\n"
	     "# one wins.  They are read when the cache is made:\n"
	     "#\n"
	     "#   [cache kmalloc-*]");
	for (int i = 0; i < KN_NR_CACHE_KEYS; i++) {
		const struct kn_tunable *row = &kn_cache_keys[i];
		char value[32];

		kn_tunable_print(row, row->max, value, sizeof(value));
		print_setting("#   ", row->name, value);
		printf("   # ");
		print_range(row);
		printf("; %s\n", row->help);
	}
}

void print_default_conf(void)
{
	char value[KN_TUNABLE_LEN];

	print_head("# Read from /etc/knuma.conf and then $XDG_CONFIG_HOME/"
		   "knuma/knuma.conf, or\n"
		   "# from the file of KNUMA_CONF_FILE alone.  Each line below "
		   "shows the built-in\n"
		   "# value; take its # away to set another.  Printed by "
		   "`knuma conf dump`.\n");
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const struct kn_tunable *row = &kn_tunables[i];

		print_about(row);
		kn_tunable_default(row->name, value, sizeof(value));
		print_setting("#", row->name, value);
		putchar('\n');
	}
	print_cache_example();
}

static void print_rules(void)
{
	const struct kn_cache_rules *rules = kn_cache_rules();
	char value[KN_TUNABLE_LEN];

	for (int i = 0; i < rules->nr; i++) {
		const struct kn_cache_rule *rule = &rules->rule[i];

		printf("\n[cache %s]\n", rule->pattern);
		for (int key = 0; key < KN_NR_CACHE_KEYS; key++) {
			if (!kn_cache_conf_has(&rule->conf,
					       (enum kn_cache_key)key))
				continue;
			kn_cache_rule_text(rule, (enum kn_cache_key)key, value,
					   sizeof(value));
			print_setting("", kn_cache_keys[key].name, value);
			putchar('\n');
		}
	}
}

void print_conf_in_force(bool sources)
{
	char value[KN_TUNABLE_LEN];

	print_head("# The values in force; those behind a # are built-in.\n");
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const struct kn_tunable *row = &kn_tunables[i];
		const char *source = kn_tunable_source(row->name);
		const bool built_in = !strcmp(source, "built-in");

		print_about(row);
		kn_tunable_get(row->name, value, sizeof(value));
		print_setting(built_in ? "#" : "", row->name, value);
		if (sources)
			printf("  # %s", source);
		putchar('\n');
	}
	print_rules();
}

/* Reference. */

static void print_row(const struct kn_tunable *row)
{
	char value[KN_TUNABLE_LEN];

	kn_tunable_default(row->name, value, sizeof(value));
	printf("| `%s` | %s%s%s | ", row->name, *value ? "`" : "", value,
	       *value ? "`" : "(empty)");
	print_range(row);
	printf(" | %s | %s |\n",
	       row->when == KN_TUNABLE_INIT ? "start" : "any time", row->help);
}

static void print_cache_row(const struct kn_tunable *row)
{
	printf("| `%s` | ", row->name);
	print_range(row);
	printf(" | %s |\n", row->help);
}

static void print_profile(const struct kn_profile *profile)
{
	const char *between = "";

	printf("| `%s` | ", profile->name);
	for (int i = 0; i < kn_nr_profile_sets; i++) {
		const struct kn_profile_set *set = &kn_profile_sets[i];

		if (strcmp(set->profile, profile->name) != 0)
			continue;
		printf("%s`%s = %s`", between, kn_tunables[set->tunable].name,
		       set->value);
		between = ", ";
	}
	printf(" | %s | %s |\n", profile->help, profile->cost);
}

void print_conf_reference(void)
{
	puts("# Settings\n\n"
	     "Made from the tables of `alloc/config` by\n"
	     "`./bazelw run //tools:gen_conf -- --reference "
	     ">docs/reference/settings.md`. What the words mean, and who wins:\n"
	     "`knuma.conf(5)`; which to choose: "
	     "[howto/tune.md](../howto/tune.md).\n\n"
	     "| key | built-in | values | changes | |\n"
	     "|---|---|---|---|---|");
	for (int i = 0; i < KN_NR_TUNABLES; i++)
		print_row(&kn_tunables[i]);
	puts("\n## Profiles\n\n"
	     "`profile = NAME` sets\n\n"
	     "| profile | settings | for | cost |\n"
	     "|---|---|---|---|");
	for (int i = 0; i < kn_nr_profiles; i++)
		print_profile(&kn_profiles[i]);
	puts("\n## Caches\n\n"
	     "Keys of a section `[cache NAME]`; without one, what `[knuma]` "
	     "says holds.\n\n"
	     "| key | values | |\n"
	     "|---|---|---|");
	for (int i = 0; i < KN_NR_CACHE_KEYS; i++)
		print_cache_row(&kn_cache_keys[i]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The table of tunables, its texts, the sources and their order. */
#define _GNU_SOURCE
#include "alloc/config/tunables.h"

#include <errno.h>
#include <ini.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <knuma/tunables.h>

#include "alloc/base/print.h"
#include "alloc/config/cache_conf.h"
#include "alloc/config/conf.h"
#include "alloc/config/profile.h"

static char folder[64];	  /* of this test run */
static char report[4096]; /* mistakes, one a line */

static void note(void *arg, const char *message)
{
	(void)arg;
	strncat(report, message, sizeof(report) - strlen(report) - 2);
	strcat(report, "\n");
}

/* Writes @text to a file of the folder; its path in a static buffer. */
static const char *file(const char *name, const char *text)
{
	static char path[4][160];
	static unsigned turn;
	char *p = path[turn++ % 4];
	FILE *f;

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	f = fopen(p, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	return p;
}

/* Reads the sources again; the mistakes are in report[]. */
static int load(void)
{
	kn_tunables_reset();
	report[0] = '\0';
	return kn_tunables_load_with(note, NULL);
}

static int check(const char *text)
{
	report[0] = '\0';
	return kn_conf_check(file("check.conf", text), note, NULL);
}

static const char *value(const char *name)
{
	static char buf[KN_TUNABLE_LEN];

	assert_true(kn_tunable_get(name, buf, sizeof(buf)) >= 0);
	return buf;
}

/* No variable and no file of the machine this runs on. */
static int start(void **state)
{
	static char none[128];
	static char *no_environment[] = {NULL};

	(void)state;
	strcpy(folder, "/tmp/knuma-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	environ = no_environment;
	snprintf(none, sizeof(none), "%s/system.conf", folder);
	kn_conf_system_file = none;
	setenv("XDG_CONFIG_HOME", folder, 1);
	kn_tunables_reset();
	report[0] = '\0';
	return 0;
}

static int stop(void **state)
{
	char command[128];

	(void)state;
	kn_tunables_reset();
	snprintf(command, sizeof(command), "/bin/rm -rf '%s'", folder);
	return system(command);
}

static void built_in_values_are_legal_texts(void **state)
{
	char text[KN_TUNABLE_LEN];

	(void)state;
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const char *name = kn_tunables[i].name;

		assert_true(kn_tunable_default(name, text, sizeof(text)) >= 0);
		assert_string_equal(value(name), text);
		assert_string_equal(kn_tunable_source(name), "built-in");
		assert_int_equal(kn_tunable_set(name, text, "test"), 0);
		assert_string_equal(value(name), text);
		assert_string_equal(kn_tunable_source(name), "test");
	}
}

static void limits_are_legal_and_more_is_not(void **state)
{
	char text[64];

	(void)state;
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const struct kn_tunable *row = &kn_tunables[i];

		if (row->kind == KN_TUNABLE_STRING ||
		    row->kind == KN_TUNABLE_NODES ||
		    row->kind == KN_TUNABLE_DEBUG ||
		    row->kind == KN_TUNABLE_CHOICE ||
		    row->kind == KN_TUNABLE_BOOL)
			continue;
		kn_tunable_print(row, row->min, text, sizeof(text));
		assert_int_equal(kn_tunable_set(row->name, text, "test"), 0);
		assert_string_equal(value(row->name), text);
		kn_tunable_print(row, row->max, text, sizeof(text));
		assert_int_equal(kn_tunable_set(row->name, text, "test"), 0);
		assert_string_equal(value(row->name), text);
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)row->max + 1);
		assert_int_equal(kn_tunable_set(row->name, text, "test"),
				 -ERANGE);
		if (!row->min)
			continue;
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)row->min - 1);
		assert_int_equal(kn_tunable_set(row->name, text, "test"),
				 -ERANGE);
	}
}

static void texts_of_each_kind(void **state)
{
	static const struct {
		const char *name, *text;
		int err;
		const char *value;
	} row[] = {
		{"stats", "yes", 0, "yes"},
		{"stats", "TRUE", 0, "yes"},
		{"stats", "On", 0, "yes"},
		{"stats", "1", 0, "yes"},
		{"stats", "no", 0, "no"},
		{"stats", "false", 0, "no"},
		{"stats", "off", 0, "no"},
		{"stats", "0", 0, "no"},
		{"stats", "2", -EINVAL, "no"},
		{"stats", "", -EINVAL, "no"},
		{"stats", "yess", -EINVAL, "no"},
		{"background", "yes", 0, "yes"},
		{"background", "no", 0, "no"},
		{"background", "auto", 0, "auto"},
		{"background", "1", 0, "yes"},
		{"background", "off", 0, "no"},
		{"background", "aut", -EINVAL, "no"},
		{"background", "", -EINVAL, "no"},
		{"magazine_capacity", "7", 0, "7"},
		{"magazine_capacity", "0", -ERANGE, "7"},
		{"magazine_capacity", "127", -ERANGE, "7"},
		{"magazine_capacity", "7K", -EINVAL, "7"},
		{"magazine_capacity", "-7", -EINVAL, "7"},
		{"magazine_capacity", "", -EINVAL, "7"},
		{"vmalloc_cache", "65536", 0, "64K"},
		{"vmalloc_cache", "65537", 0, "65537"},
		{"vmalloc_cache", "1k", 0, "1K"},
		{"vmalloc_cache", "3M", 0, "3M"},
		{"vmalloc_cache", "3 MiB", 0, "3M"},
		{"vmalloc_cache", "2048M", 0, "2G"},
		{"vmalloc_cache", "1T", 0, "1T"},
		{"vmalloc_cache", "9b", 0, "9"},
		{"vmalloc_cache", "0", 0, "0"},
		{"vmalloc_cache", "1X", -EINVAL, "0"},
		{"vmalloc_cache", "1KB5", -EINVAL, "0"},
		{"vmalloc_cache", "K", -EINVAL, "0"},
		{"vmalloc_cache", "18446744073709551616", -ERANGE, "0"},
		{"vmalloc_cache", "99999999999T", -ERANGE, "0"},
		{"vmalloc_cache", "99999999999999999999999", -ERANGE, "0"},
		{"trim_delay_ms", "250", 0, "250ms"},
		{"trim_delay_ms", "251ms", 0, "251ms"},
		{"trim_delay_ms", "3s", 0, "3s"},
		{"trim_delay_ms", "3 s", 0, "3s"},
		{"trim_delay_ms", "0", 0, "0ms"},
		{"trim_delay_ms", "3m", -EINVAL, "0ms"},
		{"trim_delay_ms", "1.5s", -EINVAL, "0ms"},
		{"trim_delay_ms", "18446744073709551s", -ERANGE, "0ms"},
		{"trim_delay_ms", "18446744073709552s", -ERANGE, "0ms"},
		{"profile", "none", 0, "none"},
		{"profile", "", -EINVAL, "none"},
		{"profile", "yes", -EINVAL, "none"},
		{"profile", "late", -EINVAL, "none"},
		{"stats_file", "/a b/c", 0, "/a b/c"},
		{"stats_file", "", 0, ""},
		{"Stats", "yes", -ENOENT, NULL},
		{"", "yes", -ENOENT, NULL},
	};

	(void)state;
	for (size_t i = 0; i < KN_ARRAY_SIZE(row); i++) {
		assert_int_equal(kn_tunable_set(row[i].name, row[i].text, "t"),
				 row[i].err);
		if (row[i].value)
			assert_string_equal(value(row[i].name), row[i].value);
	}
}

static void fields_hold_the_values(void **state)
{
	char long_text[KN_TUNABLE_LEN + 1];

	(void)state;
	assert_int_equal(kn_tun.trim_delay_ms, 1000);
	assert_int_equal(kn_tun.huge_after, 8 << 20);
	assert_int_equal(kn_tun.background, KN_CHOICE_AUTO);
	assert_true(kn_tun.rseq);
	assert_int_equal(kn_tunable_set("trim_delay_ms", "2s", "t"), 0);
	assert_int_equal(kn_tun.trim_delay_ms, 2000);
	assert_int_equal(kn_tunable_set("background", "no", "t"), 0);
	assert_int_equal(kn_tun.background, KN_CHOICE_NO);
	memset(long_text, 'x', sizeof(long_text));
	long_text[KN_TUNABLE_LEN] = '\0';
	assert_int_equal(kn_tunable_set("stats_file", long_text, "t"), -ERANGE);
	assert_int_equal(kn_tunable_set("slab_debug", long_text, "t"), -ERANGE);
	assert_int_equal(kn_tunable_default("none", long_text, 9), -ENOENT);
	assert_int_equal(kn_tunable_set("fake_nodes", long_text, "t"), -EINVAL);
	long_text[KN_TUNABLE_LEN - 1] = '\0';
	assert_int_equal(kn_tunable_set("stats_file", long_text, "t"), 0);
	assert_string_equal(kn_tun.stats_file, long_text);
}

static void small_buffers_are_refused(void **state)
{
	char buf[4];

	(void)state;
	assert_int_equal(kn_tunable_get("span", buf, sizeof(buf)), 2);
	assert_string_equal(buf, "8T");
	assert_int_equal(kn_tunable_get("span", buf, 2), -ENOSPC);
	assert_int_equal(kn_tunable_get("nothing", buf, sizeof(buf)), -ENOENT);
	assert_null(kn_tunable_source("nothing"));
}

static void nearest_names(void **state)
{
	static const struct {
		const char *name, *nearest;
	} row[] = {
		{"trim_dely_ms", "trim_delay_ms"},
		{"trim_delay", "trim_delay_ms"},
		{"trim-delay-ms", "trim_delay_ms"},
		{"trim.delay.ms", "trim_delay_ms"},
		{"TRIM_DELAY_MS", "trim_delay_ms"},
		{"hueg_pages", "huge_pages"},
		{"hugepages", "huge_pages"},
		{"stat", "stats"},
		{"initonalloc", "init_on_alloc"},
		{"rsqe", "rseq"},
		{"huge", "huge_pages"},
		{"trim", "trim_delay_ms"},
		{"vmalloc", "vmalloc_cache"},
		{"metrics", "metrics_file"},
		{"banana", NULL},
		{"", NULL},
		{"x", NULL},
		{"vm_dir", NULL},
		{"preload", NULL},
		{"a_name_of_more_than_thirty_two_letters", NULL},
	};

	(void)state;
	for (size_t i = 0; i < KN_ARRAY_SIZE(row); i++) {
		const struct kn_tunable *near = kn_tunable_nearest(row[i].name);

		if (row[i].nearest) {
			assert_non_null(near);
			assert_string_equal(near->name, row[i].nearest);
		} else {
			assert_null(near);
		}
	}
}

static void a_file_of_everything_legal(void **state)
{
	(void)state;
	assert_int_equal(check("# comment\n"
			       "; comment\n"
			       "\n"
			       "span = 1G\n"
			       "   huge_after=4M   # not in the value\n"
			       "\ttrim_delay_ms : 2s ; not in the value\r\n"
			       "[knuma]\n"
			       "  [knuma]  # again\n"
			       "stats_file = /tmp/a#b;c d\n"
			       "stats = on"),
			 0);
	assert_string_equal(report, "");
	assert_int_equal(check("\xef\xbb\xbf# by an editor of another world\n"
			       "stats = on\n"),
			 0);
	assert_int_equal(check(""), 0);
}

static void each_mistake_has_its_line(void **state)
{
	static const struct {
		int line;
		const char *message;
	} mistake[] = {
		{1, "unknown key 'trim_dely_ms'; the nearest is "
		    "'trim_delay_ms'"},
		{2, "magazine_capacity = 500: outside of 1 to 126 objects"},
		{3, "unknown key 'banana'; `knuma conf dump' lists the keys"},
		{4, "background = maybe: expected one of auto|yes|no"},
		{5, "not of the form key = value"},
		{6, "span = 5x: expected a size, as 65536, 64K or 8M"},
		{7, "unknown section [other]; its keys are ignored: there are "
		    "[knuma] and [cache NAME]"},
		{9, "a section is written [name]"},
		{12, "longer than 198 bytes; the line is ignored"},
		{13, "stats = maybe: expected yes or no"},
		{14, "unknown key ''; `knuma conf dump' lists the keys"},
		{15, "not of the form key = value"},
	};
	char text[1024], *rest = report;
	const char *path;

	(void)state;
	snprintf(text, sizeof(text),
		 "trim_dely_ms = 3\n"
		 "magazine_capacity = 500\n"
		 "banana = 1\n"
		 "background = maybe\n"
		 "nonsense\n"
		 "span = 5x\n"
		 "[other]\n"
		 "whatever = 3\n"
		 "[knuma\n"
		 "whatever = 3\n"
		 "[knuma]\n"
		 "%0300d = 3\n"
		 "stats = maybe\n"
		 "= 3\n"
		 "last line",
		 0);
	assert_int_equal(check(text), KN_ARRAY_SIZE(mistake));
	path = file("check.conf", "");
	for (size_t i = 0; i < KN_ARRAY_SIZE(mistake); i++) {
		snprintf(text, sizeof(text), "%s:%d: %s", path, mistake[i].line,
			 mistake[i].message);
		assert_string_equal(strsep(&rest, "\n"), text);
	}
	assert_string_equal(rest, "");
}

static void checking_sets_nothing(void **state)
{
	(void)state;
	assert_int_equal(check("stats = yes\n"), 0);
	assert_false(kn_tun.stats);
}

static void lines_up_to_the_limit(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "stats_file = %0185d\n", 0);
	assert_int_equal(check(text), 0);
	snprintf(text, sizeof(text), "stats_file = %0186d\n", 0);
	assert_int_equal(check(text), 1);
	/* Nor does a cut line show its second half as a line of its own. */
	snprintf(text, sizeof(text), "#%0200d stats = 5\nstats = yes\n", 0);
	assert_int_equal(check(text), 1);
}

static void binary_lines_are_named(void **state)
{
	const char *path = file("binary.conf", "stats = yes\n");
	FILE *f = fopen(path, "w");

	(void)state;
	assert_non_null(f);
	fwrite("stats\0 = yes\nstrict = no\n", 1, 25, f);
	fclose(f);
	report[0] = '\0';
	assert_int_equal(kn_conf_check(path, note, NULL), 1);
	assert_non_null(strstr(report, ":1: contains a 0 byte"));
}

static void a_long_file_is_read_to_its_end(void **state)
{
	const char *path = file("long.conf", "");
	FILE *f = fopen(path, "w");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 5000; i++)
		fprintf(f, "# line %d\n[knuma]\n", i);
	fputs("banana = 1\n", f);
	fclose(f);
	report[0] = '\0';
	assert_int_equal(kn_conf_check(path, note, NULL), 1);
	assert_non_null(strstr(report, ":10001: unknown key"));
}

static void files_that_cannot_be_read(void **state)
{
	const char *path;

	(void)state;
	report[0] = '\0';
	assert_int_equal(kn_conf_check(folder, note, NULL), -EISDIR);
	assert_non_null(strstr(report, "cannot be read: Is a directory"));
	report[0] = '\0';
	assert_int_equal(kn_conf_check("/nonexistent", note, NULL), -ENOENT);
	assert_non_null(strstr(report, "does not exist"));
	if (geteuid() == 0)
		return; /* root may read everything */
	path = file("secret.conf", "stats = yes\n");
	assert_int_equal(chmod(path, 0), 0);
	report[0] = '\0';
	assert_int_equal(kn_conf_check(path, note, NULL), -EACCES);
	assert_non_null(strstr(report, "cannot be read: Permission denied"));
}

/* A file of one kind of mistake, and what is said of each line. */
static void expect(const char *text, int nr, const char *said)
{
	assert_int_equal(check(text), nr);
	if (!strstr(report, said))
		print_error("'%s' is not in:\n%s", said, report);
	assert_non_null(strstr(report, said));
}

static void lines_that_are_no_text(void **state)
{
	(void)state;
	expect("stats_file = \xff\n", 1, ":1: is not UTF-8");
	expect("stats_file = \x80\n", 1, ":1: is not UTF-8");
	expect("stats_file = \xc1\x80\n", 1, ":1: is not UTF-8");
	expect("stats_file = \xc3(\n", 1, ":1: is not UTF-8");
	expect("stats_file = \xc3\n", 1, ":1: is not UTF-8");
	expect("stats_file = \xe2\x82\n", 1, ":1: is not UTF-8");
	expect("\n\x01stats = yes\n", 1, ":2: contains a control character");
	expect("stats = yes\x7f\n", 1, ":1: contains a control character");
	assert_int_equal(check("stats_file = /\xc3\xa4\xe2\x82\xac"
			       "\xf0\x9f\x98\x80\n"),
			 0);
	/* What is no setting may be anything. */
	assert_int_equal(check("# caf\xe9\nstats = yes # \xe9\n"), 0);
}

static void a_key_stands_once_in_a_file(void **state)
{
	(void)state;
	expect("stats = yes\nspan = 1G\n\n[knuma]\nstats = no\n", 1,
	       ":5: stats is already set in line 1; this line is ignored\n");
	/* A line that was a mistake did not set it. */
	expect("stats = maybe\nstats = no\n", 1, ":1: stats = maybe");
	file("system.conf", "span = 1G\nspan = 2G\n");
	assert_int_equal(load(), 1);
	assert_string_equal(value("span"), "1G");
}

static void a_file_without_an_end(void **state)
{
	const char *path = file("endless.conf", "");

	(void)state;
	assert_int_equal(truncate(path, 1 << 21), 0);
	report[0] = '\0';
	assert_int_equal(kn_conf_check(path, note, NULL), -EFBIG);
	assert_non_null(strstr(report, "longer than 1048576 bytes"));
}

static void sections_of_caches(void **state)
{
	static const char *const mistake[] = {
		":2: [cache a] is already in line 1",
		":3: a cache has a name of 1 to 47 bytes",
		":4: a cache has a name of 1 to 47 bytes",
		":6: span is no setting of one cache; it belongs to [knuma]",
		(":7: unknown key 'depot_batch' of a cache; the nearest is "
		 "'depot_batches'"),
		":8: unknown key 'banana' of a cache; knuma.conf(5)",
		":9: magazine_capacity = 127: outside of 1 to 126 objects",
		":10: slab_order = 5: outside of 0 to 4",
		":11: slab_order = x: expected a whole number",
		":13: magazine_bytes is already set in line 12",
		":14: unknown section [caches];",
	};
	struct kn_cache_conf conf;

	(void)state;
	expect("[cache a]\n[cache  a]\n[cache]\n"
	       "[cache 123456789012345678901234567890123456789012345678]\n"
	       "[cache b]\nspan = 1G\ndepot_batch = 1\nbanana = 1\n"
	       "magazine_capacity = 127\nslab_order = 5\nslab_order = x\n"
	       "magazine_bytes = 1K\nmagazine_bytes = 2K\n[caches]\n",
	       KN_ARRAY_SIZE(mistake), mistake[0]);
	for (size_t i = 0; i < KN_ARRAY_SIZE(mistake); i++)
		assert_non_null(strstr(report, mistake[i]));

	file("system.conf", "[cache kmalloc-*]\n"
			    "magazine_capacity = 10\nslab_order = 2\n"
			    "[cache kmalloc-64]\nmagazine_capacity = 20\n"
			    "[knuma]\nspan = 1G\n");
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "1G");
	assert_string_equal(value("magazine_capacity"), "126");
	kn_cache_conf_of("kmalloc-64", &conf);
	assert_true(kn_cache_conf_has(&conf, KN_CACHE_KEY_magazine_capacity));
	assert_int_equal(conf.magazine_capacity, 20);
	assert_int_equal(conf.slab_order, 2);
	assert_false(kn_cache_conf_has(&conf, KN_CACHE_KEY_depot_batches));
	kn_cache_conf_of("kmalloc-96", &conf);
	assert_int_equal(conf.magazine_capacity, 10);
	kn_cache_conf_of("inode", &conf);
	assert_int_equal(conf.set, 0);
}

static void too_many_sections_of_caches(void **state)
{
	char text[2048] = "";

	(void)state;
	for (int i = 0; i <= KN_CACHE_RULES; i++)
		sprintf(text + strlen(text), "[cache c%d]\n", i);
	expect(text, 1, ":65: more than 64 sections of caches");
}

static void profiles_set_what_their_table_says(void **state)
{
	(void)state;
	for (int i = 0; i < kn_nr_profiles; i++) {
		int cells = 0;

		kn_tunables_reset();
		assert_int_equal(kn_tunable_set("profile", kn_profiles[i].name,
						"test"),
				 0);
		for (int j = 0; j < kn_nr_profile_sets; j++) {
			const struct kn_profile_set *s = &kn_profile_sets[j];
			const char *key = kn_tunables[s->tunable].name;

			if (strcmp(s->profile, kn_profiles[i].name) != 0)
				continue;
			cells++;
			assert_string_equal(value(key), s->value);
			assert_non_null(strstr(kn_tunable_source(key),
					       "test (profile "));
		}
		assert_true(cells > 0);
	}
}

static void later_keys_win_over_a_profile(void **state)
{
	(void)state;
	file("system.conf", "huge_pages = yes\nprofile = memory\n"
			    "reserve = 9K\n");
	assert_int_equal(load(), 0);
	assert_string_equal(value("huge_pages"), "no");
	assert_string_equal(value("reserve"), "9K");
	assert_string_equal(value("trim_delay_ms"), "200ms");
	/* The order of variables means nothing. */
	setenv("KNUMA_TRIM_DELAY_MS", "5s", 1);
	setenv("KNUMA_PROFILE", "latency", 1);
	assert_int_equal(load(), 0);
	assert_string_equal(value("trim_delay_ms"), "5s");
	assert_string_equal(value("reserve"), "4M");
	assert_string_equal(kn_tunable_source("reserve"),
			    "KNUMA_PROFILE (profile latency)");
	setenv("KNUMA_PROFILE", "latncy", 1);
	assert_int_equal(load(), 1);
	assert_non_null(strstr(report, "KNUMA_PROFILE: profile = latncy: "
				       "expected one of none|latency|"));
}

/* What tells a reload whether the sections of caches have changed. */
static void rules_of_caches_are_compared(void **state)
{
	static struct kn_cache_rules a = {.nr = 2}, b;

	(void)state;
	strcpy(a.rule[1].pattern, "dentry");
	b = a;
	assert_true(kn_cache_rules_same(&a, &b));
	/* Where a rule stands does not count. */
	b.rule[1].line = 7;
	assert_true(kn_cache_rules_same(&a, &b));
	strcpy(b.rule[1].pattern, "inode");
	assert_false(kn_cache_rules_same(&a, &b));
	b = a;
	b.rule[0].conf.set = 1;
	assert_false(kn_cache_rules_same(&a, &b));
	b = a;
	b.nr = 1;
	assert_false(kn_cache_rules_same(&a, &b));
}

static void paths_that_are_too_long(void **state)
{
	char path[600];

	(void)state;
	snprintf(path, sizeof(path), "/%0590d", 0);
	setenv("XDG_CONFIG_HOME", path, 1);
	assert_int_equal(load(), 1);
	assert_non_null(strstr(report, "XDG_CONFIG_HOME: makes a path of more "
				       "than 511 bytes"));
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", path, 1);
	assert_int_equal(load(), 1);
	assert_non_null(strstr(report, "HOME: makes a path"));
	setenv("KNUMA_CONF_FILE", path, 1);
	assert_int_equal(load(), 1);
	assert_non_null(strstr(report, "KNUMA_CONF_FILE: makes a path"));
}

static void a_reload_takes_over_what_may_change(void **state)
{
	(void)state;
	file("system.conf", "trim_delay_ms = 2s\nvmalloc_cache = 1M\n"
			    "rcu_delay_ms = 1s\nspan = 1G\n");
	setenv("KNUMA_VMALLOC_CACHE", "2M", 1);
	assert_int_equal(load(), 0);
	assert_int_equal(knuma_conf_set("vma_budget", "100"), 0);
	kn_tunables_seal(true);
	/* Neither environment nor folder are looked at again. */
	setenv("KNUMA_CONF_FILE", "/nonexistent", 1);
	setenv("KNUMA_TRIM_DELAY_MS", "9s", 1);
	file("system.conf", "\ntrim_delay_ms = 3s\nvmalloc_cache = 5M\n"
			    "vma_budget = 7\nspan = 2G\n");
	assert_int_equal(knuma_conf_reload(), 0);
	/*
	 * checks knuma_conf_reload: "takes the value that the files give it, or
	 * the built-in one"
	 */
	assert_string_equal(value("trim_delay_ms"), "3s");
	assert_non_null(strstr(kn_tunable_source("trim_delay_ms"), ":2"));
	assert_string_equal(value("rcu_delay_ms"), "10ms");
	assert_string_equal(kn_tunable_source("rcu_delay_ms"), "built-in");
	/*
	 * checks knuma_conf_reload: "The environment is not read again", "win
	 * as before"
	 */
	assert_string_equal(value("vmalloc_cache"), "2M");
	assert_string_equal(value("vma_budget"), "100");
	assert_string_equal(value("span"), "1G");
	/* Before a start all may change. */
	kn_tunables_seal(false);
	assert_int_equal(knuma_conf_reload(), 0);
	assert_string_equal(value("span"), "2G");
}

static void a_reload_with_a_mistake_changes_nothing(void **state)
{
	char path[160];

	(void)state;
	file("system.conf", "trim_delay_ms = 2s\n");
	assert_int_equal(load(), 0);
	file("system.conf", "trim_delay_ms = 3s\nrcu_delay_ms = never\n");
	assert_int_equal(knuma_conf_reload(), -EINVAL);
	/*
	 * checks knuma_conf_reload: "a mistake in any line leaves every setting
	 * as it is"
	 */
	assert_string_equal(value("trim_delay_ms"), "2s");
	snprintf(path, sizeof(path), "%s/system.conf", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(knuma_conf_reload(), -EISDIR);
	assert_string_equal(value("trim_delay_ms"), "2s");
	/* No file says as much as an empty one. */
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(knuma_conf_reload(), 0);
	/* checks knuma_conf_reload: "0, also when there is no file" */
	assert_string_equal(value("trim_delay_ms"), "1s");
	strcpy(path, file("own.conf", "trim_delay_ms = 4s\n"));
	setenv("KNUMA_CONF_FILE", path, 1);
	assert_int_equal(load(), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(knuma_conf_reload(), -ENOENT);
	assert_string_equal(value("trim_delay_ms"), "4s");
}

static void a_relative_file_stays_where_it_was(void **state)
{
	char before[256];

	(void)state;
	file("own.conf", "trim_delay_ms = 4s\n");
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(folder), 0);
	setenv("KNUMA_CONF_FILE", "own.conf", 1);
	assert_int_equal(load(), 0);
	assert_int_equal(chdir(before), 0);
	assert_string_equal(value("trim_delay_ms"), "4s");
	file("own.conf", "trim_delay_ms = 5s\n");
	assert_int_equal(knuma_conf_reload(), 0);
	assert_string_equal(value("trim_delay_ms"), "5s");
}

static void later_sources_win(void **state)
{
	char user[160];

	(void)state;
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "8T");

	file("system.conf", "span = 1G\nhuge_after = 1M\n");
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "1G");

	snprintf(user, sizeof(user), "%s/knuma", folder);
	assert_int_equal(mkdir(user, 0700), 0);
	file("knuma/knuma.conf", "span = 2G\n");
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "2G");
	assert_string_equal(value("huge_after"), "1M");
	strcat(user, "/knuma.conf:1");
	assert_string_equal(kn_tunable_source("span"), user);

	setenv("KNUMA_CONF_FILE", file("own.conf", "span = 3G\n"), 1);
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "3G");
	assert_string_equal(value("huge_after"), "8M");

	setenv("KNUMA_CONF", "span=4G, stats = yes ,,", 1);
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "4G");
	assert_string_equal(kn_tunable_source("stats"), "KNUMA_CONF");

	setenv("KNUMA_SPAN", "5G", 1);
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "5G");
	assert_string_equal(kn_tunable_source("span"), "KNUMA_SPAN");

	assert_int_equal(knuma_conf_set("trim_delay_ms", "7"), 0);
	assert_string_equal(kn_tunable_source("trim_delay_ms"),
			    "knuma_conf_set");
}

static void home_when_there_is_no_xdg_folder(void **state)
{
	char path[160];

	(void)state;
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", folder, 1);
	snprintf(path, sizeof(path), "%s/.config", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/knuma");
	assert_int_equal(mkdir(path, 0700), 0);
	file(".config/knuma/knuma.conf", "span = 2G\n");
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "2G");
	setenv("XDG_CONFIG_HOME", "relative", 1);
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "2G");
	setenv("KNUMA_CONF_FILE", "", 1);
	assert_int_equal(load(), 0);
	assert_string_equal(value("span"), "8T");
}

static void mistakes_in_the_environment(void **state)
{
	(void)state;
	setenv("KNUMA_CONF_FILE", "/nonexistent", 1);
	setenv("KNUMA_CONF", "span=1G,banana,spam=1", 1);
	setenv("KNUMA_STAT", "1", 1);
	setenv("KNUMA_HUGE_AFTER", "lots", 1);
	setenv("KNUMA_VM_DIR", "/somebody/elses", 1);
	setenv("KNUMAX", "1", 1);
	assert_int_equal(load(), 5);
	assert_string_equal(
		report,
		"KNUMA_CONF_FILE: /nonexistent does not exist\n"
		"KNUMA_CONF: 'banana' is not key=value\n"
		"KNUMA_CONF: unknown key 'spam'; the nearest is 'span'\n"
		"KNUMA_STAT: unknown variable; the nearest is KNUMA_STATS\n"
		"KNUMA_HUGE_AFTER: huge_after = lots: expected a size, as "
		"65536, 64K or 8M\n");
	assert_string_equal(value("span"), "1G");
}

/* What a variable is said to be; "" when it is nobody's business. */
static const char *said_of(const char *variable)
{
	report[0] = '\0';
	setenv(variable, "1", 1);
	load();
	unsetenv(variable);
	return report;
}

static void misspelt_variables(void **state)
{
	static const struct {
		const char *variable, *nearest;
	} row[] = {
		{"KNUMA_SOKET", "KNUMA_SOCKET"},
		{"KNUMA_HUGEPAGES", "KNUMA_HUGE_PAGES"},
		{"KNUMA_stat", "KNUMA_STATS"},
		{"KNUMA_HUGE", "KNUMA_HUGE_PAGES"},
		{"KNUMA_TRIM_DELAY", "KNUMA_TRIM_DELAY_MS"},
		{"KNUMA_CONFIG", "KNUMA_CONF"},
		{"KNUMA_CONFIG_FILE", "KNUMA_CONF_FILE"},
		{"KNUMA_PRELAOD", "KNUMA_PRELOAD"},
		{"KNUMA_PROFLE", "KNUMA_PROFILE"},
	};
	char expected[128];

	(void)state;
	for (size_t i = 0; i < KN_ARRAY_SIZE(row); i++) {
		snprintf(expected, sizeof(expected),
			 "%s: unknown variable; the nearest is %s\n",
			 row[i].variable, row[i].nearest);
		assert_string_equal(said_of(row[i].variable), expected);
	}
	assert_string_equal(said_of("KNUMA_PRELOAD"), "");
	assert_string_equal(said_of("KNUMA_TEST_SECONDS"), "");
	assert_string_equal(said_of("KNUMA_"), "");
	assert_string_equal(said_of("KNUMA"), "");
}

static void tell_others(void)
{
	char text[512];
	struct kn_text said = {text, sizeof(text), 0};

	text[0] = '\0';
	report[0] = '\0';
	load();
	assert_string_equal(report, "");
	kn_print_into = &said;
	kn_conf_tell_others();
	kn_print_into = NULL;
	strcpy(report, text);
}

static void variables_near_to_nothing_are_told_when_asked(void **state)
{
	char name[100];

	(void)state;
	tell_others();
	assert_string_equal(report, "");
	setenv("KNUMA_BANANA", "1", 1);
	setenv("KNUMA_VM_DIR", "1", 1);
	tell_others();
	assert_string_equal(report,
			    "KNUMA_BANANA, KNUMA_VM_DIR: no setting has a name "
			    "like this; `knuma conf dump' lists them\n");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "KNUMA_%s_%d",
			 i == 7 ? "OF_MORE_THAN_SIXTY_FOUR_LETTERS_IN_ALL_"
				  "WHICH_IS_TOO_MANY_FOR_A_NAME" :
				  "WORD_OF_NOBODY",
			 i);
		setenv(name, "1", 1);
	}
	tell_others();
	assert_non_null(strstr(report, "KNUMA_WORD_OF_NOBODY_0, "));
	assert_non_null(strstr(report, " more: no setting"));
	/* What was said is of this environment, not of the one before. */
	clearenv();
	setenv("KNUMA_CONF_FILE", "", 1);
	tell_others();
	assert_string_equal(report, "");
}

static void an_item_too_long_is_skipped(void **state)
{
	char list[2048];

	(void)state;
	snprintf(list, sizeof(list), "stats_file=%0600d,span=1G", 0);
	setenv("KNUMA_CONF", list, 1);
	assert_int_equal(load(), 1);
	assert_string_equal(value("span"), "1G");
	assert_string_equal(value("stats_file"), "");
}

/* What a child that loads leaves: its exit status; stderr goes to @text. */
static int status_of_load(char *text, size_t len)
{
	int fd[2], status;
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	if (fork() == 0) {
		dup2(fd[1], STDERR_FILENO);
		kn_tunables_reset();
		kn_tunables_load();
		_exit(0);
	}
	close(fd[1]);
	n = read(fd[0], text, len - 1);
	text[n > 0 ? n : 0] = '\0';
	for (size_t at = n > 0 ? (size_t)n : 0; n > 0; at += (size_t)n) {
		n = read(fd[0], text + at, len - 1 - at);
		text[at + (n > 0 ? (size_t)n : 0)] = '\0';
	}
	close(fd[0]);
	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void strict_refuses_to_start(void **state)
{
	char text[4096];

	(void)state;
	setenv("KNUMA_STRICT", "1", 1);
	assert_int_equal(status_of_load(text, sizeof(text)), 0);
	assert_string_equal(text, "");
	setenv("KNUMA_CONF", "banana=1", 1);
	assert_int_equal(status_of_load(text, sizeof(text)), 2);
	assert_string_equal(text,
			    "knuma: KNUMA_CONF: unknown key 'banana'; `knuma "
			    "conf dump' lists the keys\n"
			    "knuma: strict = yes: not starting because of 1 "
			    "mistake in the configuration\n");
	setenv("KNUMA_STRICT", "no", 1);
	assert_int_equal(status_of_load(text, sizeof(text)), 0);
	assert_string_equal(text,
			    "knuma: KNUMA_CONF: unknown key 'banana'; `knuma "
			    "conf dump' lists the keys\n");
}

static void a_flood_of_mistakes_is_cut(void **state)
{
	char text[4096];
	int lines = 0;

	(void)state;
	setenv("KNUMA_CONF", "a,b,c,d,e,f,g,h,i,j,k,l", 1);
	assert_int_equal(status_of_load(text, sizeof(text)), 0);
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 11);
	assert_non_null(strstr(text, "knuma: and 2 more mistakes"));
}

static void loading_happens_once(void **state)
{
	(void)state;
	setenv("KNUMA_SPAN", "1G", 1);
	assert_int_equal(load(), 0);
	setenv("KNUMA_SPAN", "2G", 1);
	assert_int_equal(kn_tunables_load(), 0);
	assert_string_equal(value("span"), "1G");
}

/* A program in front of the C library's constructor, and errno. */
static void loading_leaves_errno_and_needs_no_environ(void **state)
{
	(void)state;
	environ = NULL;
	errno = 77;
	kn_tunables_reset();
	kn_tunables_load_with(note, NULL);
	assert_int_equal(errno, 77);
	errno = 77;
	assert_int_equal(check("stats = yes\n"), 0);
	assert_int_equal(errno, 77);
}

static void init_rows_are_sealed(void **state)
{
	(void)state;
	kn_tunables_seal(true);
	assert_int_equal(kn_tunable_set("span", "1G", "test"), -EBUSY);
	assert_string_equal(value("span"), "8T");
	assert_int_equal(kn_tunable_set("trim_delay_ms", "1", "test"), 0);
	assert_int_equal(kn_tunable_set("span", "x", "test"), -EINVAL);
}

static void the_public_functions(void **state)
{
	char buf[16];

	(void)state;
	assert_int_equal(knuma_conf_set("trim_delay_ms", "3s"), 0);
	assert_int_equal(knuma_conf_get("trim_delay_ms", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "3s");
	assert_int_equal(knuma_conf_set("trim_delay", "3s"), -ENOENT);
	assert_int_equal(knuma_conf_set("trim_delay_ms", "x"), -EINVAL);
	assert_int_equal(knuma_conf_set("trim_delay_ms", "9999999s"), -ERANGE);
	assert_int_equal(knuma_conf_get("trim_delay", buf, 16), -ENOENT);
	assert_int_equal(knuma_conf_get("trim_delay_ms", buf, 2), -ENOSPC);
}

/* The first malloc of a process reads the files: it must not call malloc. */
static void loading_does_not_allocate(void **state)
{
	struct mallinfo2 before, after;

	(void)state;
	file("system.conf", "span = 1G\nbanana = 1\nnonsense\n[x]\n");
	setenv("KNUMA_CONF", "huge_after=1M", 1);
	ini_use_stack = false; /* as another user of the library may say */
	kn_tunables_reset();
	report[0] = '\0';
	before = mallinfo2();
	assert_int_equal(kn_tunables_load_with(note, NULL), 3);
	after = mallinfo2();
	assert_int_equal(before.uordblks, after.uordblks);
	assert_int_equal(before.fordblks, after.fordblks);
	assert_false(ini_use_stack);
	ini_use_stack = true;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(built_in_values_are_legal_texts),
		TEST(limits_are_legal_and_more_is_not),
		TEST(texts_of_each_kind),
		TEST(fields_hold_the_values),
		TEST(small_buffers_are_refused),
		TEST(nearest_names),
		TEST(a_file_of_everything_legal),
		TEST(each_mistake_has_its_line),
		TEST(checking_sets_nothing),
		TEST(lines_up_to_the_limit),
		TEST(binary_lines_are_named),
		TEST(a_long_file_is_read_to_its_end),
		TEST(files_that_cannot_be_read),
		TEST(lines_that_are_no_text),
		TEST(a_key_stands_once_in_a_file),
		TEST(a_file_without_an_end),
		TEST(sections_of_caches),
		TEST(too_many_sections_of_caches),
		TEST(profiles_set_what_their_table_says),
		TEST(later_keys_win_over_a_profile),
		TEST(rules_of_caches_are_compared),
		TEST(paths_that_are_too_long),
		TEST(a_reload_takes_over_what_may_change),
		TEST(a_reload_with_a_mistake_changes_nothing),
		TEST(a_relative_file_stays_where_it_was),
		TEST(later_sources_win),
		TEST(home_when_there_is_no_xdg_folder),
		TEST(mistakes_in_the_environment),
		TEST(misspelt_variables),
		TEST(variables_near_to_nothing_are_told_when_asked),
		TEST(an_item_too_long_is_skipped),
		TEST(strict_refuses_to_start),
		TEST(a_flood_of_mistakes_is_cut),
		TEST(loading_happens_once),
		TEST(loading_leaves_errno_and_needs_no_environ),
		TEST(init_rows_are_sealed),
		TEST(the_public_functions),
		TEST(loading_does_not_allocate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

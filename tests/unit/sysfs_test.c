/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing by hand, and paths that are too long. */
#include "numa/sysfs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "numa/machine.h"
#include "tests/support/fake_sysfs.h"

/* The ranges of @list as "0-3 5-5". */
static const char *ranges(const char *list)
{
	static char s[256];
	unsigned first, last;
	size_t len = 0;

	s[0] = '\0';
	while (kn_sysfs_next_range(&list, &first, &last))
		len += (size_t)snprintf(s + len, sizeof(s) - len, "%s%u-%u",
					len ? " " : "", first, last);
	return s;
}

static void lists_of_ids(void **state)
{
	static const struct {
		const char *list, *ranges;
	} row[] = {
		{"0\n", "0-0"},
		{"0-3,5\n", "0-3 5-5"},
		{"0-3,5", "0-3 5-5"},
		{"\t0-1,8-9\nNext: 7", "0-1 8-9"},
		{"1,2,3\n", "1-1 2-2 3-3"},
		{"", ""},
		{"\n", ""},
		{"a", ""},
		{"0-3,x,7", "0-3"},
		{"0-3x,7", ""},
		{"4-2", ""},
		{"4-", ""},
		{"0,4-", "0-0"},
		{"1,,2", "1-1"},
		{"2147483647", "2147483647-2147483647"},
		{"2147483648", ""},
		{"1,99999999999999999999999999", "1-1"},
	};

	(void)state;
	for (size_t i = 0; i < KN_ARRAY_SIZE(row); i++)
		assert_string_equal(ranges(row[i].list), row[i].ranges);
}

static void numbers(void **state)
{
	const char *s = "  10 20\t30x";
	uint64_t v;

	(void)state;
	assert_true(kn_sysfs_next_number(&s, &v));
	assert_int_equal(v, 10);
	assert_true(kn_sysfs_next_number(&s, &v));
	assert_int_equal(v, 20);
	assert_true(kn_sysfs_next_number(&s, &v));
	assert_int_equal(v, 30);
	assert_false(kn_sysfs_next_number(&s, &v));
	s = "99999999999999999999";
	assert_true(kn_sysfs_next_number(&s, &v));
	assert_int_equal(v, UINT64_MAX);
	s = "-1";
	assert_false(kn_sysfs_next_number(&s, &v));
}

static void a_cut_text_ends_with_a_whole_item(void **state)
{
	char buf[8];

	(void)state;
	fake_sysfs_start();
	fake_sysfs_file("cpu/possible", "10,20,345\n");
	assert_int_equal(kn_sysfs_read("cpu/possible", buf, sizeof(buf)), 6);
	assert_string_equal(buf, "10,20,");
	fake_sysfs_file("cpu/possible", "123456789\n");
	assert_int_equal(kn_sysfs_read("cpu/possible", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	fake_sysfs_file("cpu/possible", "0-63\n");
	assert_int_equal(kn_sysfs_read("cpu/possible", buf, sizeof(buf)), 5);
}

static void paths(void **state)
{
	char longest[300], buf[16];

	(void)state;
	fake_sysfs_start();
	fake_sysfs_file("node/node1023/distance", "10\n");
	fake_sysfs_file("node/node0/distance", "11\n");
	fake_sysfs_file("self/status", "S\n");
	assert_int_equal(kn_sysfs_read_node(1023, "distance", buf, sizeof(buf)),
			 3);
	assert_string_equal(buf, "10\n");
	assert_int_equal(kn_sysfs_read_node(0, "distance", buf, sizeof(buf)),
			 3);
	assert_string_equal(buf, "11\n");
	assert_int_equal(kn_sysfs_read_proc("self/status", buf, sizeof(buf)),
			 2);
	assert_int_equal(kn_sysfs_read("node/x", buf, sizeof(buf)), -ENOENT);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	kn_machine.sysfs = longest;
	assert_int_equal(kn_sysfs_read("node/x", buf, sizeof(buf)),
			 -ENAMETOOLONG);
	longest[250] = '\0';
	assert_int_equal(kn_sysfs_read("node/possible", buf, sizeof(buf)),
			 -ENAMETOOLONG);
}

static void fields(void **state)
{
	const char *s = kn_sysfs_field("Mems_allowed:\t1\n"
				       "Mems_allowed_list:\t0\n",
				       "Mems_allowed_list:");

	(void)state;
	assert_string_equal(s, "\t0\n");
	assert_null(kn_sysfs_field("Mems_allowed:\t1\n", "Mems_allowed_list:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_ids),
		cmocka_unit_test(numbers),
		cmocka_unit_test(a_cut_text_ends_with_a_whole_item),
		cmocka_unit_test(paths),
		cmocka_unit_test(fields),
	};

	return cmocka_run_group_tests_name("sysfs", tests, NULL, NULL);
}

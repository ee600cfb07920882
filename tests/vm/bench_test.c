/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma bench numa and locality on machines with several nodes: which pairs are
 * measured, and whose pages lie where.  Times are of the emulator and not looked
 * at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/child.h"
#include "tests/vm/machine.h"

enum {
	LONG_SECONDS = 400,
	FIELDS = 16
};

/* A line of CSV without quotes, cut at its commas. */
static unsigned split(char *line, char *field[FIELDS])
{
	unsigned n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (n < FIELDS && (field[n] = strsep(&line, ",")))
		n++;
	return n;
}

static FILE *start(const char *command)
{
	FILE *f;

	alarm(LONG_SECONDS);
	f = popen(command, "r");
	CHECK(f);
	return f;
}

static FILE *bench(const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "tools/knuma bench %s --quick -o csv", arguments);
	return start(command);
}

static int exit_code(FILE *f)
{
	const int status = pclose(f);

	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void knuma_gives_pages_of_the_own_node(void)
{
	FILE *f = bench("locality");
	char line[256], *field[FIELDS];
	int nr_own = 0, nr_moved = 0;

	CHECK(fgets(line, sizeof(line), f));
	while (fgets(line, sizeof(line), f)) {
		CHECK_EQ(split(line, field), 6);
		if (!strcmp(field[0], "knuma")) {
			nr_own++;
			CHECK(atol(field[3]) > 0);
			CHECK_EQ(strcmp(field[4], "0"), 0);
		}
		/* Where another allocator is off, it is seen. */
		if (!strcmp(field[0], "glibc") && !strcmp(field[1], "moved")) {
			nr_moved++;
			CHECK(atof(field[4]) > 50);
		}
	}
	CHECK_EQ(exit_code(f), 0);
	CHECK_EQ(nr_own, 3);
	CHECK_EQ(nr_moved, 1);
}

static void one_node_has_no_locality(void)
{
	FILE *f = bench("locality --nodes=0");

	while (fgetc(f) != EOF)
		;
	CHECK_EQ(exit_code(f), 1);
}

static void an_interrupt_leaves_what_was_counted(void)
{
	/* The second child has begun: the first has been counted. */
	FILE *f =
		start("tools/knuma bench locality --runs=1000 -o csv "
		      "--progress 2>/tmp/progress & "
		      "until grep -q 'child [^1]\\|child 1[^ ]' /tmp/progress; "
		      "do sleep 1; done; kill -INT $!; wait $!");
	char line[256], *field[FIELDS];
	int nr_counted = 0;

	CHECK(fgets(line, sizeof(line), f));
	while (fgets(line, sizeof(line), f)) {
		CHECK_EQ(split(line, field), 6);
		CHECK(atol(field[2]) < 1000);
		nr_counted += atol(field[2]) > 0 && atol(field[3]) > 0;
	}
	CHECK_EQ(exit_code(f), 2);
	CHECK(nr_counted >= 3);
}

/* Is a pair measured?  "remote" has CPUs in its columns. */
static bool is_pair(const char *measure, int row, int column)
{
	const struct vm_machine *m = vm_machine();

	if (!strcmp(measure, "remote"))
		return m->cpus[row] && m->mib[row] && m->cpus[column];
	return m->cpus[row] && m->mib[column];
}

static int nr_pairs(const char *measure)
{
	const int nr = vm_machine()->nr_nodes;
	int n = 0;

	for (int i = 0; i < nr * nr; i++)
		n += is_pair(measure, i / nr, i % nr);
	return n;
}

/* measure,unit,allocator,row,column,distance,samples,median,p99,failed,remark */
static void check_row(char *field[FIELDS])
{
	const int row = atoi(field[3]), column = atoi(field[4]);

	CHECK(is_pair(field[0], row, column));
	CHECK_EQ(atoi(field[5]), vm_machine()->distance[row][column]);
	CHECK(atoi(field[6]) >= 5);
	CHECK(atof(field[7]) > 0);
	CHECK(atof(field[8]) > 0);
	CHECK_EQ(strcmp(field[9], "no"), 0);
	CHECK_EQ(strcmp(field[10], "emulated machine"), 0);
}

static void each_pair_of_nodes_is_measured(void)
{
	static const char *const measures[] = {
		"small", "area", "page", "remote", "latency", "read", "copy"};
	FILE *f = bench("numa");
	char line[256], *field[FIELDS];
	int own = 0, wanted = 0;

	CHECK(fgets(line, sizeof(line), f));
	while (fgets(line, sizeof(line), f)) {
		CHECK_EQ(split(line, field), 11);
		check_row(field);
		own += !strcmp(field[2], "knuma");
	}
	CHECK_EQ(exit_code(f), 0);
	for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
		wanted += nr_pairs(measures[i]);
	CHECK_EQ(own, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(knuma_gives_pages_of_the_own_node),
		child_test(one_node_has_no_locality),
		child_test(an_interrupt_leaves_what_was_counted),
		child_test(each_pair_of_nodes_is_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

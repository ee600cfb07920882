/* SPDX-License-Identifier: Apache-2.0 */
/* The four formats of the statistics, and where exit writes them. */
#define _GNU_SOURCE
#include "alloc/view/stats_view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <knuma/stats.h>

#include "alloc/config/tunables.h"
#include "numa/machine.h"

static struct kn_view view;
static char text[128 << 10];
static char folder[64];

/* Two nodes, ids 0 and 5, each row with a value of its own. */
static int start(void **state)
{
	(void)state;
	memset(&view, 0, sizeof(view));
	view.info = (struct kn_view_info){
		.version = "1.2.3",
		.mode = "rseq",
		.reason = "said \"yes\"\\no",
		.mbind_state = "ok",
		.pid = 42,
		.nr_nodes = 2,
		.node_id = {0, 5},
		.page_size = 4096,
		.huge_page_size = 2 << 20,
	};
	for (int i = 0; i < KN_NR_STATS; i++) {
		view.stat[i].known = i != KN_STAT_resident_bytes;
		view.stat[i].value = 1000u + (unsigned)i;
	}
	for (int i = 0; i < KN_NR_NODE_STATS; i++) {
		view.node[0][i] = 2000u + (unsigned)i;
		view.node[1][i] = 3000u + (unsigned)i;
	}
	strcpy(folder, "/tmp/knuma-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
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

static const char *print(enum kn_view_fmt fmt)
{
	struct kn_text t = {text, sizeof(text), 0};

	kn_view_print(&t, &view, fmt);
	assert_true(t.len < sizeof(text));
	assert_int_equal(strlen(text), t.len);
	return text;
}

static void has(const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in:\n%s", wanted, text);
}

static void has_not(const char *unwanted)
{
	if (strstr(text, unwanted))
		fail_msg("'%s' is in:\n%s", unwanted, text);
}

static void text_has_every_row(void **state)
{
	char line[256];

	(void)state;
	print(KN_VIEW_TEXT);
	has("knuma 1.2.3, process 42: mode rseq (said \"yes\"\\no), mbind ok\n");
	for (int i = 0; i < KN_NR_STATS; i++) {
		const struct kn_stat_row *row = &kn_stat_rows[i];

		snprintf(line, sizeof(line), "\n%-22s %13d %-8s %s\n",
			 row->name, 1000 + i, row->unit, row->help);
		if (i == KN_STAT_resident_bytes)
			has_not(line);
		else
			has(line);
	}
	snprintf(line, sizeof(line), "\n%-22s %13s %13s %13s\n", "", "node0   ",
		 "node5   ", "Total");
	has(line);
	snprintf(line, sizeof(line), "\n%-22s %13d %13d %13d\n", "numa_hit",
		 2000, 3000, 5000);
	has(line);
}

static void text_says_where_memory_is(void **state)
{
	(void)state;
	for (int i = 0; i < KN_NR_STATS; i++)
		view.stat[i].value = 0;
	print(KN_VIEW_TEXT);
	has_not("\nmemory of ");
	view.stat[KN_STAT_allocated_bytes].value = 700 << 10;
	view.stat[KN_STAT_cached_bytes].value = 200 << 10;
	view.stat[KN_STAT_cached_magazine_bytes].value = 150 << 10;
	view.stat[KN_STAT_cached_depot_bytes].value = 50 << 10;
	view.stat[KN_STAT_slab_free_bytes].value = 101 << 10;
	view.stat[KN_STAT_page_warm_bytes].value = 49 << 10;
	view.stat[KN_STAT_vmalloc_cached_bytes].value = 100 << 10;
	view.stat[KN_STAT_metadata_bytes].value = 50 << 10;
	print(KN_VIEW_TEXT);
	has("memory of                        KiB  percent\n"
	    "the program                      500     50.0\n"
	    "magazines of CPUs                150     15.0\n"
	    "depots of nodes                   50      5.0\n"
	    "room in slabs                    101     10.1\n"
	    "free pages                        49      4.9\n"
	    "freed vmalloc areas              100     10.0\n"
	    "copies for each CPU                0      0.0\n"
	    "the allocator itself              50      5.0\n");
	/* Of a busy process: cached was read later. */
	view.stat[KN_STAT_cached_bytes].value = 701 << 10;
	print(KN_VIEW_TEXT);
	has("the program                        0      0.0\n");
}

static void no_line_of_text_is_too_long(void **state)
{
	(void)state;
	print(KN_VIEW_TEXT);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 120);
}

static void json_quotes_and_balances(void **state)
{
	int depth = 0;

	(void)state;
	print(KN_VIEW_JSON);
	has("{\"schema\":1,\"version\":\"1.2.3\",\"mode\":\"rseq\",");
	has("\"reason\":\"said \\\"yes\\\"\\\\no\",");
	has("\"page_size\":4096,\"huge_page_size\":2097152,");
	has("\"stats\":{\"magazine_pops\":1000,\"magazine_pushes\":1001,");
	has("\"nodes\":[{\"node\":0,\"numa_hit\":2000,");
	has("},{\"node\":5,\"numa_hit\":3000,");
	has_not("resident_bytes");
	has_not(",}");
	has_not(",]");
	for (const char *p = text; *p; p++)
		depth += (*p == '{') - (*p == '}');
	assert_int_equal(depth, 0);
	assert_string_equal(strrchr(text, ']'), "]}\n");
}

static void json_escapes_control_characters(void **state)
{
	(void)state;
	view.info.reason = "a\nb\tc";
	print(KN_VIEW_JSON);
	has("\"reason\":\"a\\u000ab\\u0009c\"");
}

static void csv_has_four_columns(void **state)
{
	int lines = 0;

	(void)state;
	print(KN_VIEW_CSV);
	has("name,node,value,unit\nmagazine_pops,,1000,objects\n");
	has("\nnuma_hit,0,2000,batches\nnuma_hit,5,3000,batches\n");
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		int commas = 0;

		for (const char *p = line; *p; p++)
			commas += *p == ',';
		assert_int_equal(commas, 3);
		lines++;
	}
	assert_int_equal(lines, 1 + KN_NR_STATS - 1 + 2 * KN_NR_NODE_STATS);
}

static void openmetrics_follow_their_rules(void **state)
{
	(void)state;
	print(KN_VIEW_PROM);
	has("knuma_build_info{version=\"1.2.3\",mode=\"rseq\","
	    "reason=\"said \\\"yes\\\"\\\\no\",mbind=\"ok\",nodes=\"real\",pid=\"42\",");
	has("# TYPE knuma_purged_bytes counter\n"
	    "# UNIT knuma_purged_bytes bytes\n"
	    "# HELP knuma_purged_bytes ");
	has("\nknuma_purged_bytes_total 10");
	has("# TYPE knuma_slab_bytes gauge\n");
	has("\nknuma_slab_bytes 10");
	/* In base units. */
	has("# TYPE knuma_rcu_lag_seconds gauge\n"
	    "# UNIT knuma_rcu_lag_seconds seconds\n");
	has("\nknuma_rcu_lag_seconds 1.0");
	has("# TYPE knuma_numa_hit counter\n");
	has("\nknuma_numa_hit_total{node=\"0\"} 2000\n"
	    "knuma_numa_hit_total{node=\"5\"} 3000\n");
	has_not("resident_bytes");
	assert_string_equal(text + strlen(text) - 7, "\n# EOF\n");
}

static void a_machine_without_nodes(void **state)
{
	(void)state;
	view.info.nr_nodes = 0;
	print(KN_VIEW_TEXT);
	has_not("Total");
	print(KN_VIEW_PROM);
	has_not("numa_hit");
	print(KN_VIEW_JSON);
	has("\"nodes\":[]}");
}

static void the_largest_machine_fits(void **state)
{
	struct kn_text t = {text, sizeof(text), 0};

	(void)state;
	view.info.nr_nodes = KN_STAT_NODES;
	for (int n = 0; n < KN_STAT_NODES; n++) {
		view.info.node_id[n] = 960 + n;
		for (int i = 0; i < KN_NR_NODE_STATS; i++)
			view.node[n][i] = UINT64_MAX;
	}
	for (int i = 0; i < KN_NR_STATS; i++)
		view.stat[i] = (struct kn_view_stat){UINT64_MAX, true};
	for (int fmt = KN_VIEW_TEXT; fmt <= KN_VIEW_PROM; fmt++) {
		t.len = 0;
		kn_view_print(&t, &view, (enum kn_view_fmt)fmt);
		assert_true(t.len < sizeof(text));
	}
}

static void a_short_buffer_tells_what_is_needed(void **state)
{
	char small[32];
	size_t needed = knuma_stats_text(NULL, 0);

	(void)state;
	assert_true(needed > 1000);
	memset(small, 'x', sizeof(small));
	assert_true(knuma_stats_text(small, 16) > 1000);
	assert_int_equal(small[15], '\0');
	assert_int_equal(small[16], 'x');
	needed = knuma_stats_json(text, sizeof(text));
	assert_int_equal(strlen(text), needed);
	has("{\"schema\":1,");
}

static void one_value_by_name(void **state)
{
	uint64_t value = 7;
	char name[64];

	(void)state;
	assert_int_equal(knuma_stats_read("banana", &value), -ENOENT);
	assert_int_equal(knuma_stats_read("", &value), -ENOENT);
	assert_int_equal(knuma_stats_read("numa_hit.", &value), -ENOENT);
	assert_int_equal(knuma_stats_read("numa_hit.x", &value), -ENOENT);
	assert_int_equal(knuma_stats_read("numa_hit.9999", &value), -ENOENT);
	assert_int_equal(knuma_stats_read(".0", &value), -ENOENT);
	assert_int_equal(value, 7);

	kn_stat_add(KN_STAT_invalid_node, 9);
	assert_int_equal(knuma_stats_read("invalid_node", &value), 0);
	assert_int_equal(value, kn_stat_read(KN_STAT_invalid_node));

	kn_node_stat_add(0, KN_NODE_STAT_free_remote, 4);
	snprintf(name, sizeof(name), "free_remote.%d", kn_view_info.node_id[0]);
	assert_int_equal(knuma_stats_read(name, &value), 0);
	assert_int_equal(value, kn_node_stat_read(0, KN_NODE_STAT_free_remote));
	assert_int_equal(knuma_stats_read("free_remote", &value), 0);
	assert_true(value >= kn_node_stat_read(0, KN_NODE_STAT_free_remote));
}

/* The file @name of the folder into text[]; its length, or -1. */
static ssize_t slurp(const char *name)
{
	char path[160];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return n;
}

static void saving_replaces_a_file_whole(void **state)
{
	char path[160], command[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/stat", folder);
	errno = 77;
	assert_int_equal(kn_stats_save(path), 0);
	assert_int_equal(errno, 77);
	assert_true(slurp("stat") > 0);
	has("\n# EOF\n");
	assert_int_equal(kn_stats_save(path), 0);
	/* Nothing else is left in the folder. */
	snprintf(command, sizeof(command), "test \"$(ls -A '%s')\" = stat",
		 folder);
	assert_int_equal(system(command), 0);
	snprintf(path, sizeof(path), "%s/no/stat", folder);
	assert_int_equal(kn_stats_save(path), -ENOENT);
}

static void saving_leaves_devices_in_place(void **state)
{
	char path[160];
	struct stat st;
	int reader;

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(kn_stats_save(path), 0);
	assert_true(read(reader, text, sizeof(text)) > 0);
	close(reader);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
}

static void *no_mmap(void *addr, size_t len, int prot, int flags)
{
	(void)addr;
	(void)len;
	(void)prot;
	(void)flags;
	return (void *)(intptr_t)-ENOMEM;
}

static void without_memory_there_is_a_message(void **state)
{
	void *(*saved)(void *, size_t, int, int) = kn_machine.mmap;
	int fd[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	if (fork() == 0) {
		dup2(fd[1], STDERR_FILENO);
		kn_machine.mmap = no_mmap;
		kn_stats_write(STDOUT_FILENO, KN_VIEW_TEXT);
		_exit(0);
	}
	kn_machine.mmap = saved;
	close(fd[1]);
	n = read(fd[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd[0]);
	wait(NULL);
	assert_string_equal(text, "knuma: the statistics cannot be printed: "
				  "Cannot allocate memory\n");
}

/* What a child's exit prints, with stderr open or closed by then. */
static void print_at_exit(bool closed)
{
	int fd[2];
	size_t len = 0;
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	if (fork() == 0) {
		close(fd[0]);
		dup2(fd[1], STDERR_FILENO);
		close(fd[1]);
		kn_tun.stats = true;
		kn_banner();
		if (closed)
			close(STDERR_FILENO);
		kn_stats_exit();
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd[0]);
	wait(NULL);
}

static void exit_prints_the_text(void **state)
{
	(void)state;
	print_at_exit(false);
	has("knuma: version ");
	has("\nalloc_slow ");
	print_at_exit(true);
	has("knuma: version ");
	has("\nalloc_slow ");
}

static void exit_writes_the_file_of_its_process(void **state)
{
	(void)state;
	snprintf(kn_tun.stats_file, sizeof(kn_tun.stats_file), "%s/stat",
		 folder);
	kn_tun.stats_pid = (uint64_t)getpid() + 1;
	kn_stats_exit();
	assert_int_equal(slurp("stat"), -1);
	kn_tun.stats_pid = (uint64_t)getpid();
	kn_stats_exit();
	assert_true(slurp("stat") > 0);
	has("# EOF");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_has_every_row),
		TEST(text_says_where_memory_is),
		TEST(no_line_of_text_is_too_long),
		TEST(json_quotes_and_balances),
		TEST(json_escapes_control_characters),
		TEST(csv_has_four_columns),
		TEST(openmetrics_follow_their_rules),
		TEST(a_machine_without_nodes),
		TEST(the_largest_machine_fits),
		TEST(a_short_buffer_tells_what_is_needed),
		TEST(one_value_by_name),
		TEST(saving_replaces_a_file_whole),
		TEST(saving_leaves_devices_in_place),
		TEST(without_memory_there_is_a_message),
		TEST(exit_prints_the_text),
		TEST(exit_writes_the_file_of_its_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hwloc adds to the reading of sysfs.  hwloc reads its machine from an
 * XML file; sysfs is a fake of the same machine.
 */
#define _GNU_SOURCE
#include "numa/hwloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/stats/stats.h"
#include "numa/best.h"
#include "numa/machine.h"
#include "tests/support/fake_sysfs.h"

/*
 * Two packages, each with a fast node (0, 4) and a slow one without CPUs
 * (1, 5).  write_xml() makes the quotes double.
 */
/* clang-format off */
static const char machine_xml[] =
"<?xml version='1.0' encoding='UTF-8'?>\n"
"<!DOCTYPE topology SYSTEM 'hwloc2.dtd'>\n"
"<topology version='2.0'>\n"
" <object type='Machine' os_index='0' gp_index='1' cpuset='0x3'"
"  complete_cpuset='0x3' allowed_cpuset='0x3' nodeset='0x33'"
"  complete_nodeset='0x33' allowed_nodeset='0x33'>\n"
"  <object type='Package' os_index='0' gp_index='2' cpuset='0x1'"
"   complete_cpuset='0x1' nodeset='0x3' complete_nodeset='0x3'>\n"
"   <object type='NUMANode' os_index='0' gp_index='3' cpuset='0x1'"
"    complete_cpuset='0x1' nodeset='0x1' complete_nodeset='0x1'/>\n"
"   <object type='NUMANode' os_index='1' gp_index='4' cpuset='0x1'"
"    complete_cpuset='0x1' nodeset='0x2' complete_nodeset='0x2'/>\n"
"   <object type='PU' os_index='0' gp_index='5' cpuset='0x1'"
"    complete_cpuset='0x1' nodeset='0x3' complete_nodeset='0x3'/>\n"
"  </object>\n"
"  <object type='Package' os_index='1' gp_index='6' cpuset='0x2'"
"   complete_cpuset='0x2' nodeset='0x30' complete_nodeset='0x30'>\n"
"   <object type='NUMANode' os_index='4' gp_index='7' cpuset='0x2'"
"    complete_cpuset='0x2' nodeset='0x10' complete_nodeset='0x10'/>\n"
"   <object type='NUMANode' os_index='5' gp_index='8' cpuset='0x2'"
"    complete_cpuset='0x2' nodeset='0x20' complete_nodeset='0x20'/>\n"
"   <object type='PU' os_index='1' gp_index='9' cpuset='0x2'"
"    complete_cpuset='0x2' nodeset='0x30' complete_nodeset='0x30'/>\n"
"  </object>\n"
" </object>\n";

#define MATRIX(a, b, c, d)						\
	"<distances2 type='NUMANode' nbobjs='4' kind='5'"		\
	" name='NUMALatency' indexing='os'>"				\
	"<indexes length='8'>0 1 4 5 </indexes>" a b c d "</distances2>\n"
#define ROW(length, values) \
	"<u64values length='" #length "'>" values "</u64values>"

#define LATENCY(a, b, c, d) \
	"<memattr name='Latency' flags='6'>" a b c d "</memattr>\n"
#define BANDWIDTH(a, b, c, d) \
	"<memattr name='Bandwidth' flags='5'>" a b c d "</memattr>\n"
#define VALUE(gp, cpus, value)						\
	"<memattr_value target_obj_type='NUMANode'"			\
	" target_obj_gp_index='" #gp "' value='" #value "'"		\
	" initiator_cpuset='" cpus "'/>"
/* clang-format on */

/* All nodes 20 apart, as a firmware without imagination says. */
static const struct fake_node nodes[] = {
	{0, "0", 1, "10 20 20 20"},
	{1, "", 1, "20 10 20 20"},
	{4, "1", 1, "20 20 10 20"},
	{5, "", 1, "20 20 20 10"},
};

static const char by_sysfs[] = "0: 0 1 5 4\n1: 1 5 4 0\n"
			       "4: 4 5 1 0\n5: 5 1 0 4\n";

static void write_xml(FILE *f, const char *xml)
{
	for (; *xml; xml++)
		fputc(*xml == '\'' ? '"' : *xml, f);
}

/* A file that no other process has; one at a time. */
static char xml_path[64];

static FILE *new_file(void)
{
	FILE *f;

	strcpy(xml_path, "/tmp/knuma-hwloc-XXXXXX");
	f = fdopen(mkstemp(xml_path), "w");
	assert_non_null(f);
	return f;
}

/* The machine above; @said: more elements, or NULL for half a file. */
static void machine(const char *said)
{
	FILE *f = new_file();

	write_xml(f, machine_xml);
	if (said) {
		write_xml(f, said);
		write_xml(f, "</topology>\n");
	}
	fclose(f);
	setenv("HWLOC_XMLFILE", xml_path, 1);
	setenv("HWLOC_THISSYSTEM", "1", 1);
	fake_sysfs_machine("0-5\n", "0-1\n", nodes, 4, "0-5");
	kn_topology_init();
}

static void drop_xml(void)
{
	unlink(getenv("HWLOC_XMLFILE"));
	unsetenv("HWLOC_XMLFILE");
	unsetenv("HWLOC_THISSYSTEM");
}

static int refine(void)
{
	int ret;

	errno = 4711;
	ret = kn_topology_refine();
	assert_int_equal(errno, 4711);
	return ret;
}

static int distance(int from, int to)
{
	assert_true(kn_node_dense(from) >= 0 && kn_node_dense(to) >= 0);
	return kn_topo.distance[kn_node_dense(from)][kn_node_dense(to)];
}

/* Before the others: a library that was opened stays open. */
static void without_hwloc_the_first_reading_stays(void **state)
{
	const char *library = kn_hwloc_library;

	(void)state;
	machine("");
	kn_hwloc_library = "libhwloc-not-installed.so.15";
	assert_int_equal(refine(), -ENOENT);
	kn_hwloc_library = "libnuma.so.1";
	assert_int_not_equal(refine(), 0);
	kn_hwloc_library = library;
	assert_false(kn_topo.refined);
	assert_string_equal(zonelists_text(), by_sysfs);
	drop_xml();
}

static void nothing_to_add(void **state)
{
	(void)state;
	machine("");
	assert_string_equal(zonelists_text(), by_sysfs);
	assert_int_equal(refine(), 0);
	assert_true(kn_topo.refined);
	assert_string_equal(zonelists_text(), by_sysfs);
	drop_xml();
}

static void another_machine_is_refused(void **state)
{
	(void)state;
	machine("");
	unsetenv("HWLOC_THISSYSTEM");
	assert_int_equal(refine(), -EXDEV);
	assert_false(kn_topo.refined);
	drop_xml();
}

static void an_unreadable_machine_is_an_error(void **state)
{
	(void)state;
	machine(NULL);
	/*
	 * checks knuma_topology_refine: "what hwloc reports", "the zonelists
	 * are as before"
	 */
	assert_true(refine() < 0);
	assert_string_equal(zonelists_text(), by_sysfs);
	assert_false(kn_topo.refined);
	drop_xml();
}

static void distances_replace_those_of_sysfs(void **state)
{
	(void)state;
	machine(MATRIX(ROW(12, "10 14 21 28 "), ROW(12, "14 10 28 35 "),
		       ROW(12, "21 28 10 14 "), ROW(12, "28 35 14 10 ")));
	assert_int_equal(refine(), 0);
	assert_int_equal(distance(0, 5), 28);
	assert_int_equal(distance(1, 5), 35);
	/*
	 * checks knuma_topology_refine: "replaces the zonelists that were made
	 * from /sys"
	 */
	assert_string_equal(zonelists_text(), "0: 0 1 4 5\n1: 1 0 4 5\n"
					      "4: 4 5 0 1\n5: 5 4 0 1\n");
	/* They stay when something else is read again. */
	fake_sysfs_file("self/status", "Mems_allowed_list:\t1,4\n");
	kn_topology_reread();
	assert_int_equal(distance(1, 5), 35);
	assert_string_equal(zonelists_text(),
			    "0: 1 4\n1: 1 4\n4: 4 1\n5: 4 1\n");
	drop_xml();
}

static void other_scales_are_brought_to_ten(void **state)
{
	(void)state;
	machine(MATRIX(ROW(17, "100 140 213 9999 "),
		       ROW(16, "140 100 280 350 "), ROW(16, "213 280 100 140 "),
		       ROW(16, "280 350 140 100 ")));
	assert_int_equal(refine(), 0);
	assert_int_equal(distance(0, 1), 14);
	assert_int_equal(distance(0, 4), 21);
	assert_int_equal(distance(0, 5), 255);
	assert_int_equal(distance(0, 0), 10);
	drop_xml();
}

static void latency_of_a_pair_is_its_distance(void **state)
{
	(void)state;
	machine(LATENCY(VALUE(3, "0x1", 80), VALUE(4, "0x1", 200),
			VALUE(7, "0x2", 80), VALUE(8, "0x2", 120)));
	assert_int_equal(refine(), 0);
	assert_int_equal(distance(0, 1), 25);
	assert_int_equal(distance(4, 5), 15);
	/* No CPU of node 0 has measured node 5. */
	assert_int_equal(distance(0, 5), 20);
	/* A node without CPUs measures nothing. */
	assert_int_equal(distance(1, 0), 20);
	assert_int_equal(kn_topo.latency_ns[kn_node_dense(1)], 200);
	assert_int_equal(kn_topo.bandwidth_mib[kn_node_dense(1)], 0);
	drop_xml();
}

static void slow_memory_comes_last_at_one_distance(void **state)
{
	(void)state;
	machine(BANDWIDTH(VALUE(3, "0x1", 200000), VALUE(4, "0x1", 25000),
			  VALUE(7, "0x2", 190000), VALUE(8, "0x2", 50000)));
	assert_int_equal(refine(), 0);
	assert_int_equal(kn_topo.tier[kn_node_dense(0)], 0);
	assert_int_equal(kn_topo.tier[kn_node_dense(1)], 28);
	assert_int_equal(kn_topo.tier[kn_node_dense(4)], 0);
	assert_int_equal(kn_topo.tier[kn_node_dense(5)], 12);
	assert_int_equal(kn_topo.bandwidth_mib[kn_node_dense(5)], 50000);
	assert_int_equal(kn_topo.latency_ns[kn_node_dense(5)], 0);
	assert_string_equal(zonelists_text(), "0: 0 4 5 1\n1: 1 4 0 5\n"
					      "4: 4 0 5 1\n5: 5 0 4 1\n");
	drop_xml();
}

/* hwloc knows a node that came online after the start of this process. */
static void a_node_offline_at_start_is_passed_over(void **state)
{
	(void)state;
	machine(MATRIX(ROW(12, "10 14 21 28 "), ROW(12, "14 10 28 35 "),
		       ROW(12, "21 28 10 14 "), ROW(12, "28 35 14 10 "))
			LATENCY(VALUE(3, "0x1", 80), VALUE(4, "0x1", 200),
				VALUE(7, "0x2", 80), VALUE(8, "0x2", 120)));
	fake_sysfs_machine("0-5\n", "0-1\n", nodes, 3, "0-5");
	kn_topology_init();
	assert_int_equal(kn_node_dense(5), KN_NODE_OFFLINE);
	assert_int_equal(refine(), 0);
	assert_int_equal(kn_topo.nr_nodes, 3);
	assert_int_equal(distance(0, 1), 25);
	assert_int_equal(distance(1, 4), 28);
	assert_int_equal(distance(4, 1), 28);
	assert_int_equal(kn_topo.latency_ns[kn_node_dense(4)], 80);
	assert_string_equal(zonelists_text(), "0: 0 4 1\n1: 1 0 4\n4: 4 0 1\n");
	drop_xml();
}

static void best_is(enum knuma_attr attr, int from, int want, bool by_distance)
{
	bool nearest = !by_distance;
	const int best = kn_node_best(attr, kn_node_dense(from), &nearest);

	/* checks knuma_node_best: "the statistic best_by_distance counts it" */
	assert_int_equal(kn_topo.kernel_id[best], want);
	assert_int_equal(nearest, by_distance);
}

/* Node 1: slow to answer and wide; node 5: the other way, and not told of. */
static void the_best_node_by_each_attribute(void **state)
{
	(void)state;
	machine(LATENCY(VALUE(3, "0x1", 80), VALUE(4, "0x1", 200),
			VALUE(7, "0x2", 130), VALUE(8, "0x2", 120))
			BANDWIDTH(VALUE(3, "0x1", 20000),
				  VALUE(4, "0x1", 90000),
				  VALUE(7, "0x2", 5000), ));
	best_is(KNUMA_LATENCY, 0, 0, true);
	best_is(KNUMA_BANDWIDTH, 0, 0, true);
	/*
	 * checks knuma_node_best: "As hwloc's memory attributes tell", "Nodes
	 * of which nothing is told are passed over", "the nearest node by
	 * distance is the answer"
	 */
	assert_int_equal(refine(), 0);
	best_is(KNUMA_LATENCY, 0, 0, false);
	best_is(KNUMA_BANDWIDTH, 0, 1, false);
	best_is(KNUMA_LATENCY, 4, 5, false);
	best_is(KNUMA_BANDWIDTH, 4, 4, false);
	/* Nobody has measured from nodes without CPUs. */
	best_is(KNUMA_LATENCY, 1, 1, true);
	best_is(KNUMA_BANDWIDTH, 5, 5, true);
	/* What is not allowed is not best. */
	fake_sysfs_file("self/status", "Mems_allowed_list:\t4,5\n");
	kn_topology_reread();
	best_is(KNUMA_BANDWIDTH, 0, 5, true);
	best_is(KNUMA_LATENCY, 4, 5, false);
	drop_xml();
}

static void of_equally_good_nodes_the_nearest(void **state)
{
	(void)state;
	machine(BANDWIDTH(VALUE(3, "0x1", 20000), VALUE(4, "0x1", 20000), , ));
	assert_int_equal(refine(), 0);
	/* checks knuma_node_best: "Of nodes that are equally good the nearest" */
	best_is(KNUMA_BANDWIDTH, 0, 0, false);
	assert_true(kn_topo.refined);
	drop_xml();
}

static void the_largest_node_before_and_after_hwloc(void **state)
{
	(void)state;
	machine("");
	fake_sysfs_file("node/node4/meminfo",
			"Node 4 MemTotal: 9999999 kB\nNode 4 MemFree: 0 kB\n");
	best_is(KNUMA_CAPACITY, 0, 4, false);
	/* The file has no sizes: sysfs it is. */
	/* checks knuma_node_best: "the capacity is known before" */
	assert_int_equal(refine(), 0);
	best_is(KNUMA_CAPACITY, 0, 4, false);
	for (int id = 0; id < 6; id++) {
		char path[32];

		snprintf(path, sizeof(path), "node/node%d/meminfo", id);
		fake_sysfs_remove(path);
	}
	best_is(KNUMA_CAPACITY, 5, 5, true);
	drop_xml();
}

/* Another reading of an earlier machine leaves nothing behind. */
static void attributes_go_with_their_machine(void **state)
{
	(void)state;
	machine(BANDWIDTH(VALUE(3, "0x1", 20000), VALUE(4, "0x1", 90000), , ));
	assert_int_equal(refine(), 0);
	best_is(KNUMA_BANDWIDTH, 0, 1, false);
	kn_topology_init();
	best_is(KNUMA_BANDWIDTH, 0, 0, true);
	drop_xml();
}

/* An XML file of a larger machine, for a process that has less. */
static void nodes_that_do_not_exist_are_counted(void **state)
{
	const uint64_t before = kn_stat_read(KN_STAT_hwloc_unknown_nodes);

	(void)state;
	machine("");
	assert_int_equal(refine(), 0);
	assert_int_equal(kn_stat_read(KN_STAT_hwloc_unknown_nodes), before);
	fake_sysfs_machine("0-4\n", "0-1\n", nodes, 3, "0-5");
	kn_topology_init();
	assert_int_equal(kn_node_dense(5), -1);
	assert_int_equal(refine(), 0);
	assert_true(kn_stat_read(KN_STAT_hwloc_unknown_nodes) > before);
	assert_string_equal(zonelists_text(), "0: 0 1 4\n1: 1 4 0\n4: 4 1 0\n");
	drop_xml();
}

/* A bit of hwloc's form: words of 32 bits, the highest first. */
static void write_bit(FILE *f, const char *name, unsigned bit)
{
	fprintf(f, " %s=\"0x%08x", name, 1u << bit % 32);
	for (unsigned i = 0; i < bit / 32; i++)
		fprintf(f, ",0x00000000");
	fputc('"', f);
}

/* All from bit 0 to @last. */
static void write_bits(FILE *f, const char *name, unsigned last)
{
	fprintf(f, " %s=\"0x%08x", name,
		last % 32 == 31 ? ~0u : (1u << (last % 32 + 1)) - 1);
	for (unsigned i = 0; i < last / 32; i++)
		fprintf(f, ",0xffffffff");
	fputc('"', f);
}

/* One CPU @cpu; nodes @first to @last with memory, near to it. */
static void write_machine(unsigned cpu, unsigned first, unsigned last)
{
	FILE *f = new_file();

	write_xml(f, "<topology version='2.0'><object type='Machine' "
		     "os_index='0' gp_index='1'");
	write_bit(f, "cpuset", cpu);
	write_bit(f, "complete_cpuset", cpu);
	write_bit(f, "allowed_cpuset", cpu);
	write_bits(f, "nodeset", last);
	write_bits(f, "complete_nodeset", last);
	write_bits(f, "allowed_nodeset", last);
	fputc('>', f);
	for (unsigned node = first; node <= last; node++) {
		fprintf(f,
			"<object type=\"NUMANode\" os_index=\"%u\" "
			"gp_index=\"%u\" local_memory=\"4096\"",
			node, node + 3);
		write_bit(f, "cpuset", cpu);
		write_bit(f, "complete_cpuset", cpu);
		write_bit(f, "nodeset", node);
		write_bit(f, "complete_nodeset", node);
		write_xml(f, "/>");
	}
	fprintf(f, "<object type=\"PU\" os_index=\"%u\" gp_index=\"2\"", cpu);
	write_bit(f, "cpuset", cpu);
	write_bit(f, "complete_cpuset", cpu);
	write_bits(f, "nodeset", last);
	write_bits(f, "complete_nodeset", last);
	write_xml(f, "/></object></topology>\n");
	fclose(f);
}

static void describes(unsigned cpu, unsigned first, unsigned last, int ret,
		      const char *why)
{
	static struct kn_fake m;
	char buf[200] = "";
	struct kn_text t = {buf, sizeof(buf), 0};
	struct kn_hwloc_cpus odd;

	write_machine(cpu, first, last);
	assert_int_equal(kn_hwloc_describe(xml_path, &m, &odd, &t), ret);
	assert_non_null(strstr(buf, why));
	unlink(xml_path);
}

/* As large as knuma has room for, and larger. */
static void machines_that_are_too_large(void **state)
{
	(void)state;
	describes(0, 0, 0, 0, "");
	describes(0, 0, KN_MAX_NODES - 1, 0, "");
	describes(0, 0, KN_MAX_NODES, -ERANGE, "more than 64 nodes");
	describes(0, KN_MAX_NODE_IDS, KN_MAX_NODE_IDS, -ERANGE,
		  "node 1024: more than");
	describes(KN_MAX_CPUS - 1, 0, 0, 0, "");
	describes(KN_MAX_CPUS, 0, 0, -ERANGE, "no CPUs, or more than 8192");
}

static void real_machine(void **state)
{
	const struct kn_machine *real = *state;

	kn_machine = *real;
	kn_topology_init();
	assert_int_equal(refine(), 0);
	assert_true(kn_topo.refined);
	assert_true(kn_zonelist(kn_this_node())->nr >= 1);
}

int main(void)
{
	static struct kn_machine real;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_hwloc_the_first_reading_stays),
		cmocka_unit_test(nothing_to_add),
		cmocka_unit_test(another_machine_is_refused),
		cmocka_unit_test(an_unreadable_machine_is_an_error),
		cmocka_unit_test(distances_replace_those_of_sysfs),
		cmocka_unit_test(other_scales_are_brought_to_ten),
		cmocka_unit_test(latency_of_a_pair_is_its_distance),
		cmocka_unit_test(slow_memory_comes_last_at_one_distance),
		cmocka_unit_test(a_node_offline_at_start_is_passed_over),
		cmocka_unit_test(the_best_node_by_each_attribute),
		cmocka_unit_test(of_equally_good_nodes_the_nearest),
		cmocka_unit_test(the_largest_node_before_and_after_hwloc),
		cmocka_unit_test(attributes_go_with_their_machine),
		cmocka_unit_test(nodes_that_do_not_exist_are_counted),
		cmocka_unit_test_prestate(real_machine, &real),
		/* From here on hwloc reads another file. */
		cmocka_unit_test(machines_that_are_too_large),
	};

	real = kn_machine;
	if (!dlopen(kn_hwloc_library, RTLD_NOW | RTLD_LOCAL)) {
		printf("hwloc is not installed: skipped\n");
		return 0;
	}
	return cmocka_run_group_tests_name("hwloc", tests, NULL, NULL);
}

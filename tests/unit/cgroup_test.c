/* SPDX-License-Identifier: Apache-2.0 */
/* numa/cgroup.c: whose limits hold, on machines made of texts. */
#include "numa/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_sysfs.h"
#include "tests/support/faults.h"

#define MIB ((uint64_t)1 << 20)
#define V2_MOUNT                                                            \
	"22 1 0:20 / /proc rw - proc proc rw\n"                             \
	"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 " \
	"rw,nsdelegate\n"

static struct kn_cgroup c;

static void machine(const char *groups, const char *mounts)
{
	fake_sysfs_start();
	fake_sysfs_file("self/cgroup", groups);
	fake_sysfs_file("self/mountinfo", mounts);
}

static void on_v2(void)
{
	machine("0::/a.slice/b.service\n", V2_MOUNT);
}

static void limit_is(uint64_t bytes, const char *where)
{
	CHECK_EQ(kn_cgroup_read(&c), 0);
	CHECK_EQ(kn_cgroup_limit(&c), bytes);
	if (strcmp(c.limited, where))
		fprintf(stderr, "'%s' instead of '%s'\n", c.limited, where);
	CHECK(!strcmp(c.limited, where));
}

static void the_smallest_up_the_tree_counts(void)
{
	on_v2();
	fake_sysfs_file("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.max", "1073741824\n");
	limit_is(1024 * MIB, "/sys/fs/cgroup/a.slice");
	CHECK_EQ(c.memory.version, 2);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/b.service/memory.max",
			"536870912\n");
	limit_is(512 * MIB, "/sys/fs/cgroup/a.slice/b.service");
	/* memory.high of whichever. */
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.high", "104857600\n");
	limit_is(100 * MIB, "/sys/fs/cgroup/a.slice");
	CHECK_EQ(c.max, 512 * MIB);
	CHECK_EQ(c.high, 100 * MIB);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.high", "max\n");
	kn_cgroup_reread(&c);
	CHECK_EQ(kn_cgroup_limit(&c), 512 * MIB);
}

static void siblings_and_what_is_above_the_mount_do_not(void)
{
	on_v2();
	fake_sysfs_file("/sys/fs/cgroup/a.slice/b/memory.max", "1\n");
	fake_sysfs_file("/sys/fs/memory.max", "1\n");
	fake_sysfs_file("/memory.max", "1\n");
	limit_is(KN_CGROUP_NONE, "");
}

static void version_1_has_trees_of_its_own(void)
{
	machine("5:cpu,cpuacct:/c\n4:memory:/docker/x\n0::/u\n",
		"31 30 0:27 / /cg/cpu,cpuacct rw - cgroup cgroup "
		"rw,cpu,cpuacct\n"
		"32 30 0:28 / /cg/memory rw - cgroup cgroup rw,memory\n"
		"33 30 0:29 / /cg/unified rw - cgroup2 cgroup2 rw\n");
	fake_sysfs_file("/cg/memory/docker/x/memory.limit_in_bytes",
			"9223372036854771712\n");
	fake_sysfs_file("/cg/memory/docker/memory.limit_in_bytes",
			"209715200\n");
	fake_sysfs_file("/cg/memory/memory.limit_in_bytes",
			"9223372036854771712\n");
	fake_sysfs_file("/cg/cpu,cpuacct/c/cpu.cfs_quota_us", "150000\n");
	fake_sysfs_file("/cg/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
	fake_sysfs_file("/cg/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
	fake_sysfs_file("/cg/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	limit_is(200 * MIB, "/cg/memory/docker");
	CHECK_EQ(c.memory.version, 1);
	CHECK_EQ(c.cpu_milli, 1500);
	/* Half a quota, and one that is no number of CPUs, are none. */
	fake_sysfs_remove("/cg/cpu,cpuacct/c/cpu.cfs_period_us");
	kn_cgroup_reread(&c);
	CHECK_EQ(c.cpu_milli, KN_CGROUP_NONE);
	fake_sysfs_file("/cg/cpu,cpuacct/c/cpu.cfs_period_us", "1\n");
	fake_sysfs_file("/cg/cpu,cpuacct/c/cpu.cfs_quota_us",
			"900000000000000000\n");
	kn_cgroup_reread(&c);
	CHECK_EQ(c.cpu_milli, KN_CGROUP_NONE);
	CHECK(!strcmp(c.unified.path, "/cg/unified/u"));
}

static void quotas_of_version_2(void)
{
	on_v2();
	fake_sysfs_file("/sys/fs/cgroup/a.slice/b.service/cpu.max",
			"max 100000\n");
	limit_is(KN_CGROUP_NONE, "");
	CHECK_EQ(c.cpu_milli, KN_CGROUP_NONE);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/cpu.max", "50000 100000\n");
	kn_cgroup_reread(&c);
	CHECK_EQ(c.cpu_milli, 500);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/b.service/cpu.max",
			"20000 100000\n");
	kn_cgroup_reread(&c);
	CHECK_EQ(c.cpu_milli, 200);
	/* No number, and a period of nothing. */
	fake_sysfs_file("/sys/fs/cgroup/a.slice/b.service/cpu.max", "20000\n");
	fake_sysfs_file("/sys/fs/cgroup/a.slice/cpu.max", "5 0\n");
	kn_cgroup_reread(&c);
	CHECK_EQ(c.cpu_milli, KN_CGROUP_NONE);
}

static void in_a_container(void)
{
	/* Only the container's part is mounted, and the path is the host's. */
	machine("4:memory:/docker/x/in\n",
		"32 30 0:28 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup "
		"rw,memory\n");
	fake_sysfs_file("/sys/fs/cgroup/memory/in/memory.limit_in_bytes",
			"2097152\n");
	limit_is(2 * MIB, "/sys/fs/cgroup/memory/in");
	/* /docker/xy is not below /docker/x. */
	machine("4:memory:/docker/xy\n",
		"32 30 0:28 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup "
		"rw,memory\n");
	fake_sysfs_file("/sys/fs/cgroup/memory/memory.limit_in_bytes",
			"3145728\n");
	limit_is(3 * MIB, "/sys/fs/cgroup/memory");
	/* A namespace whose root is elsewhere. */
	machine("0::/../other\n", V2_MOUNT);
	fake_sysfs_file("/sys/fs/cgroup/memory.max", "4194304\n");
	limit_is(4 * MIB, "/sys/fs/cgroup");
	machine("0::/\n", V2_MOUNT);
	fake_sysfs_file("/sys/fs/cgroup/memory.max", "5242880\n");
	limit_is(5 * MIB, "/sys/fs/cgroup");
}

static void paths_with_blanks(void)
{
	machine("0::/a b\n",
		"30 23 0:26 / /my\\040cg\\134 rw - cgroup2 x rw\n");
	fake_sysfs_file("/my cg\\/a b/memory.max", "4096\n");
	limit_is(4096, "/my cg\\/a b");
}

static void what_cannot_be_read_limits_nothing(void)
{
	fake_sysfs_start();
	CHECK_EQ(kn_cgroup_read(&c), -ENOENT);
	CHECK_EQ(kn_cgroup_limit(&c), KN_CGROUP_NONE);
	fake_sysfs_file("self/cgroup", "0::/a\n");
	CHECK_EQ(kn_cgroup_read(&c), -ENOENT);
	machine("", "");
	limit_is(KN_CGROUP_NONE, "");
	machine("nonsense\n::\n0:\n4:memory\n", "30\n\n - - -\n" V2_MOUNT);
	limit_is(KN_CGROUP_NONE, "");
	on_v2();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	CHECK_EQ(kn_cgroup_read(&c), -ENOMEM);
	CHECK_EQ(kn_cgroup_limit(&c), KN_CGROUP_NONE);
	CHECK_EQ(kn_cgroup_read(&c), 0);
}

/* What was read counts, though the buffer cannot go back. */
static void a_buffer_that_stays(void)
{
	on_v2();
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.max", "4096000\n");
	faults_install();
	faults_fail(FAULT_MUNMAP, 1, 1, ENOMEM);
	limit_is(4096000, "/sys/fs/cgroup/a.slice");
	CHECK_EQ(faults_failed(), 1);
}

static void a_path_that_is_too_long_is_not_found(void)
{
	char groups[400] = "0::/", mounts[] = V2_MOUNT;

	memset(groups + strlen(groups), 'x', 300);
	machine(groups, mounts);
	fake_sysfs_file("/sys/fs/cgroup/memory.max", "4096\n");
	limit_is(KN_CGROUP_NONE, "");
	CHECK_EQ(c.memory.version, 0);
}

static void what_is_used_is_without_file_pages(void)
{
	uint64_t used;

	on_v2();
	CHECK_EQ(kn_cgroup_read(&c), 0);
	CHECK(!kn_cgroup_used(&c, &used));
	CHECK_EQ(kn_cgroup_events(&c), 0);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.max", "4096000\n");
	CHECK_EQ(kn_cgroup_read(&c), 0);
	CHECK(!kn_cgroup_used(&c, &used));
	CHECK_EQ(kn_cgroup_events(&c), 0);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.current", "1000\n");
	CHECK(kn_cgroup_used(&c, &used));
	CHECK_EQ(used, 1000);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.stat",
			"anon 5\nactive_file 7\ninactive_file 300\nslab 1\n");
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.events",
			"low 9\nhigh 4\nmax 3\noom 2\noom_kill 1\n");
	CHECK(kn_cgroup_used(&c, &used));
	CHECK_EQ(used, 700);
	CHECK_EQ(kn_cgroup_events(&c), 7);
	fake_sysfs_file("/sys/fs/cgroup/a.slice/memory.stat",
			"inactive_file 3000\n");
	CHECK(kn_cgroup_used(&c, &used));
	CHECK_EQ(used, 0);
}

static void and_in_version_1(void)
{
	uint64_t used;

	machine("4:memory:/m\n",
		"32 30 0:28 / /cg rw - cgroup cgroup rw,memory\n");
	fake_sysfs_file("/cg/m/memory.limit_in_bytes", "5000\n");
	fake_sysfs_file("/cg/m/memory.usage_in_bytes", "4000\n");
	fake_sysfs_file("/cg/m/memory.stat",
			"inactive_file 1\ntotal_inactive_file 1500\n");
	fake_sysfs_file("/cg/m/memory.failcnt", "12\n");
	CHECK_EQ(kn_cgroup_read(&c), 0);
	CHECK(kn_cgroup_used(&c, &used));
	CHECK_EQ(used, 2500);
	CHECK_EQ(kn_cgroup_events(&c), 12);
}

static void pressure_of_the_own_cgroup_first(void)
{
	static const char own[] =
		"/sys/fs/cgroup/a.slice/b.service/memory.pressure";
	char path[KN_CGROUP_PATH + 32];
	uint64_t us;

	on_v2();
	CHECK_EQ(kn_cgroup_read(&c), 0);
	CHECK(!kn_pressure_path(&c, path));
	fake_sysfs_file("pressure/memory",
			"some avg10=0.00 avg60=0.00 avg300=0.00 total=77\n"
			"full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
	CHECK(kn_pressure_path(&c, path));
	CHECK(!strcmp(path, "/fake/proc/pressure/memory"));
	CHECK(kn_pressure_stall(path, &us));
	CHECK_EQ(us, 77);
	fake_sysfs_file(own,
			"some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
	CHECK(kn_pressure_path(&c, path));
	CHECK(!strcmp(path, own));
	/* Disabled at boot: the file is there, and empty. */
	fake_sysfs_file(own, "");
	fake_sysfs_file("pressure/memory", "some\n");
	CHECK(!kn_pressure_path(&c, path));
}

/* Whatever this machine is: no limit is above its memory by accident. */
static void this_machine(void)
{
	uint64_t used;

	CHECK_EQ(kn_cgroup_read(&c), 0);
	CHECK(kn_cgroup_limit(&c) > 0 && c.cpu_milli > 0);
	if (kn_cgroup_limit(&c) == KN_CGROUP_NONE)
		skip_child("no memory limit here");
	CHECK(kn_cgroup_used(&c, &used));
	CHECK(used > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(the_smallest_up_the_tree_counts),
		child_test(siblings_and_what_is_above_the_mount_do_not),
		child_test(version_1_has_trees_of_its_own),
		child_test(quotas_of_version_2),
		child_test(in_a_container),
		child_test(paths_with_blanks),
		child_test(what_cannot_be_read_limits_nothing),
		child_test(a_buffer_that_stays),
		child_test(a_path_that_is_too_long_is_not_found),
		child_test(what_is_used_is_without_file_pages),
		child_test(and_in_version_1),
		child_test(pressure_of_the_own_cgroup_first),
		child_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is short, on a machine made of texts: when it counts as short,
 * what is given up in which order, when that ends; and what follows from limits.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/shrinker.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/config/tunables.h"
#include "alloc/core/background.h"
#include "alloc/core/limits.h"
#include "alloc/core/pressure.h"
#include "alloc/slab/cache.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_sysfs.h"
#include "tests/support/heap.h"

#define MIB	((uint64_t)1 << 20)
#define CGROUP	"/cg/app"
#define V2_TREE "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n"
#define LIMIT	(256 * MIB)

static const char *const stages[] = {"pressure_drain", "pressure_reap",
				     "pressure_trim", "pressure_purge",
				     "pressure_shrink"};
#define NR_STAGES (sizeof(stages) / sizeof(stages[0]))

static uint64_t now = 1000000;

static void number(const char *name, uint64_t n)
{
	char path[100], text[32];

	snprintf(path, sizeof(path), CGROUP "/%s", name);
	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)n);
	fake_sysfs_file(path, text);
}

static void stalled_us(uint64_t us)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "some avg10=0.00 avg60=0.00 avg300=0.00 total=%llu\n"
		 "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		 (unsigned long long)us);
	fake_sysfs_file(CGROUP "/memory.pressure", text);
}

static void high_events(uint64_t n)
{
	char text[64];

	snprintf(text, sizeof(text), "low 0\nhigh %llu\nmax 0\noom 0\n",
		 (unsigned long long)n);
	fake_sysfs_file(CGROUP "/memory.events", text);
}

static void a_cgroup(void)
{
	fake_sysfs_start();
	fake_sysfs_file("self/cgroup", "0::/app\n");
	fake_sysfs_file("self/mountinfo", V2_TREE);
	stalled_us(0);
}

static void a_limit(uint64_t limit)
{
	number("memory.max", limit);
	number("memory.current", limit / 2);
	high_events(0);
}

/* A look @ms after the last one. */
static void look_after(uint64_t ms, bool fired)
{
	now += ms;
	kn_pressure_look(now, fired, true);
}

static uint64_t answers(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < NR_STAGES; i++)
		n += stat_of(stages[i]);
	return n;
}

static void no_answer_without_a_reason(void)
{
	a_cgroup();
	a_limit(LIMIT);
	start_quiet();
	for (int i = 0; i < 50; i++) {
		stalled_us((uint64_t)i * 74000);
		look_after(1000, false);
	}
	CHECK_EQ(stat_of("pressure_events"), 0);
	CHECK_EQ(answers(), 0);
	CHECK(!kn_pressure_is_due(now + 1000000));
}

static void one_stage_after_the_other(void)
{
	a_cgroup();
	a_limit(LIMIT);
	start_quiet();
	look_after(1000, false);
	number("memory.current", LIMIT / 16 * 15);
	for (size_t i = 0; i < NR_STAGES; i++) {
		look_after(100, false);
		for (size_t j = 0; j < NR_STAGES; j++)
			CHECK_EQ(stat_of(stages[j]), j <= i);
	}
	CHECK_EQ(stat_of("pressure_events"), 1);
	/* Looks that come too early do nothing. */
	look_after(99, false);
	CHECK_EQ(answers(), NR_STAGES);
	/* Another round after a rest of 1 s, the next after 2 s. */
	look_after(800, false);
	CHECK_EQ(answers(), NR_STAGES);
	look_after(101, false);
	CHECK_EQ(stat_of(stages[0]), 2);
	for (size_t i = 1; i < NR_STAGES; i++)
		look_after(100, false);
	CHECK_EQ(answers(), 2 * NR_STAGES);
	look_after(1900, true);
	CHECK_EQ(answers(), 2 * NR_STAGES);
	look_after(100, true);
	CHECK_EQ(answers(), 2 * NR_STAGES + 1);
	CHECK_EQ(stat_of("pressure_events"), 1);
}

static void it_ends_when_memory_is_not_short(void)
{
	a_cgroup();
	a_limit(LIMIT);
	start_quiet();
	look_after(1000, false);
	number("memory.current", LIMIT - 1);
	look_after(100, false);
	look_after(100, false);
	CHECK(kn_pressure_is_due(now + 100));
	/* A little below is not enough. */
	number("memory.current", LIMIT / 8 * 7);
	look_after(100, false);
	CHECK_EQ(answers(), 3);
	number("memory.current", LIMIT / 8 * 7 - 1);
	look_after(100, false);
	look_after(100, false);
	CHECK_EQ(answers(), 3);
	CHECK(!kn_pressure_is_due(now + 1000));
	/* The next time it begins with the first. */
	number("memory.current", LIMIT);
	look_after(100, false);
	CHECK_EQ(stat_of("pressure_drain"), 2);
	CHECK_EQ(stat_of("pressure_events"), 2);
}

static void file_pages_are_no_shortage(void)
{
	a_cgroup();
	a_limit(LIMIT);
	fake_sysfs_file(CGROUP "/memory.stat", "inactive_file 100000000\n");
	number("memory.current", LIMIT);
	start_quiet();
	look_after(1000, false);
	high_events(100);
	look_after(1000, false);
	CHECK_EQ(answers(), 0);
}

static void running_into_the_limit_is_one_earlier(void)
{
	a_cgroup();
	a_limit(LIMIT);
	number("memory.current", LIMIT / 16 * 12);
	high_events(7);
	start_quiet();
	look_after(1000, false);
	look_after(1000, false);
	CHECK_EQ(answers(), 0);
	high_events(8);
	look_after(1000, false);
	CHECK_EQ(answers(), 1);
	look_after(1000, false);
	CHECK_EQ(answers(), 1);
	number("memory.current", LIMIT / 16 * 12 - 1);
	high_events(9);
	look_after(1000, false);
	CHECK_EQ(answers(), 1);
}

static void stalls_are(void)
{
	a_cgroup();
	start_quiet();
	stalled_us(5000000);
	look_after(1000, false);
	CHECK_EQ(answers(), 0);
	stalled_us(5075000);
	look_after(1000, false);
	CHECK_EQ(stat_of("pressure_drain"), 1);
	stalled_us(5082500);
	look_after(100, false);
	CHECK_EQ(stat_of("pressure_reap"), 1);
	stalled_us(5089999);
	look_after(100, false);
	CHECK_EQ(answers(), 2);
	/* The kernel's word alone, too. */
	look_after(100, true);
	CHECK_EQ(stat_of("pressure_events"), 2);
	CHECK_EQ(answers(), 3);
}

static void not_when_that_is_set_off(void)
{
	a_cgroup();
	a_limit(LIMIT);
	number("memory.current", LIMIT);
	start_quiet();
	conf("pressure", "no");
	look_after(1000, true);
	look_after(1000, false);
	CHECK_EQ(answers(), 0);
	conf("pressure", "yes");
	look_after(1000, false);
	CHECK_EQ(answers(), 1);
}

static void limits_that_come_and_go(void)
{
	a_cgroup();
	start_quiet();
	look_after(1000, false);
	a_limit(LIMIT);
	number("memory.current", LIMIT);
	for (int i = 0; i < 17; i++)
		look_after(1000, false);
	CHECK_EQ(stat_of("pressure_events"), 1);
	CHECK_EQ(stat_of("memory_limit_bytes"), LIMIT);
	fake_sysfs_file(CGROUP "/memory.max", "max\n");
	for (int i = 0; i < 17; i++)
		look_after(100000, false);
	CHECK(!kn_pressure_is_due(now + 1000000));
	CHECK_EQ(kn_tun.vmalloc_cache, 64 * MIB);
}

/* What the stages are for: each gives up what it says. */
static void memory_is_given_up(void)
{
	static void *object[5000];
	const uint64_t large = 64 * MIB;
	uint64_t before, after;
	char *area;

	a_cgroup();
	a_limit(LIMIT);
	start_quiet();
	conf("vmalloc_cache", "1G");
	conf("vmalloc_delay_ms", "10000s");
	for (int i = 0; i < 5000; i++)
		object[i] = memset(kmalloc(1024, GFP_KERNEL), 1, 1024);
	for (int i = 0; i < 5000; i++)
		kfree(object[i]);
	area = vmalloc(large);
	memset(area, 1, large);
	vfree(area);
	look_after(1000, false);
	before = resident_bytes();
	number("memory.current", LIMIT);
	/* drain, twice as the first only remembers; reap; trim */
	look_after(100, false);
	look_after(100, false);
	CHECK_EQ(stat_of("pressure_reap"), 1);
	CHECK(stat_of("slab_freed") > 0);
	CHECK_EQ(stat_of("vmalloc_purged"), 0);
	look_after(100, false);
	CHECK(stat_of("purged_bytes") > 3 * MIB);
	look_after(100, false);
	CHECK_EQ(stat_of("vmalloc_purged"), 1);
	after = resident_bytes();
	if (!TEST_SANITIZED)
		CHECK(after + large <= before);
	heap_verify();
}

static unsigned long nr_objects = 8000;

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return nr_objects;
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	nr_objects -= sc->nr_to_scan;
	return sc->nr_to_scan;
}

static void shrinkers_are_asked_for_more_each_round(void)
{
	static const unsigned long left[] = {6000, 3000, 0, 0};
	struct shrinker *s;

	a_cgroup();
	a_limit(LIMIT);
	number("memory.current", LIMIT);
	start_quiet();
	s = shrinker_alloc(0, "objects");
	s->count_objects = count;
	s->scan_objects = scan;
	shrinker_register(s);
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < NR_STAGES; i++)
			look_after(i ? 100 : 20000, false);
		CHECK_EQ(nr_objects, left[round]);
	}
	/* Where the application's code may not run it is left out. */
	nr_objects = 100;
	for (int i = 0; i < 20; i++) {
		now += 20000;
		kn_pressure_look(now, false, false);
	}
	CHECK_EQ(stat_of("pressure_shrink"), 4);
	CHECK(stat_of("pressure_drain") > 5);
	CHECK_EQ(nr_objects, 100);
	shrinker_free(s);
}

/* The kernel's trigger, and sleeping, without the kernel. */
static int watch_err, watches, unwatches, fires;
static char watched[128];

static int fake_watch(const char *path, const char *trigger, struct kn_watch *w)
{
	watches++;
	snprintf(watched, sizeof(watched), "%s: %s", path, trigger);
	w->fd = watch_err ? -1 : 777;
	return -watch_err;
}

static int fake_wait(const struct kn_watch *w, int ms)
{
	(void)ms;
	return w ? fires : 0;
}

static void fake_unwatch(struct kn_watch *w)
{
	unwatches += w->fd >= 0;
	w->fd = -1;
}

static void a_trigger(void)
{
	kn_machine.watch = fake_watch;
	kn_machine.wait = fake_wait;
	kn_machine.unwatch = fake_unwatch;
}

static void the_kernel_is_asked_once(void)
{
	a_cgroup();
	a_trigger();
	start_quiet();
	CHECK(!kn_pressure_sleep(now, 100));
	CHECK(!strcmp(watched, CGROUP "/memory.pressure: some 150000 2000000"));
	fires = 1;
	CHECK(kn_pressure_sleep(now, 100));
	CHECK_EQ(watches, 1);
	/* Closed by the program, or the cgroup is gone: never asked again. */
	fires = -EBADF;
	CHECK(!kn_pressure_sleep(now, 100));
	CHECK_EQ(unwatches, 1);
	fires = 1;
	CHECK(!kn_pressure_sleep(now, 100));
	CHECK_EQ(watches, 1);
}

static void without_permission_it_says_so_once(void)
{
	a_cgroup();
	a_trigger();
	fake_sysfs_file("pressure/memory", "some avg10=0.00 total=0\n");
	watch_err = EPERM;
	conf("stats", "yes");
	start_quiet();
	for (int i = 0; i < 3; i++)
		CHECK(!kn_pressure_sleep(now, 100));
	/* That of the cgroup, then that of the machine. */
	CHECK_EQ(watches, 2);
	CHECK(!strncmp(watched, "/fake/proc/pressure/memory: ", 28));
	CHECK_EQ(printed_times("does not wake this process"), 1);
	CHECK_HAS(printed(), "Operation not permitted");
	/* Looks go on. */
	stalled_us(0);
	look_after(1000, false);
	stalled_us(900000);
	look_after(1000, false);
	CHECK_EQ(answers(), 1);
}

static void without_psi_it_is_silent(void)
{
	fake_sysfs_start();
	a_trigger();
	start_quiet();
	CHECK(!kn_pressure_sleep(now, 100));
	look_after(1000, false);
	look_after(1000, false);
	CHECK_EQ(watches, 0);
	CHECK_EQ(answers(), 0);
	CHECK_EQ(strlen(printed()), 0);
}

static uint32_t nr_waits;

/* Fires at once, then never. */
static int fire_once(const struct kn_watch *w, int ms)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	nanosleep(&nap, NULL);
	(void)ms;
	return w && !__atomic_fetch_add(&nr_waits, 1, __ATOMIC_RELAXED);
}

static void the_background_thread_answers(void)
{
	a_cgroup();
	a_trigger();
	kn_machine.wait = fire_once;
	conf("trim_delay_ms", "0");
	conf("background", "yes");
	kfree(kmalloc(1, GFP_KERNEL));
	for (int i = 0; i < 10000 && !stat_of("pressure_drain"); i++)
		usleep(1000);
	CHECK_EQ(stat_of("pressure_events"), 1);
	CHECK_EQ(stat_of("pressure_drain"), 1);
}

static void a_fork_child_asks_for_itself(void)
{
	int status;

	a_cgroup();
	a_trigger();
	start_quiet();
	CHECK(!kn_pressure_sleep(now, 100));
	if (!fork()) {
		CHECK_EQ(unwatches, 1);
		CHECK(!kn_pressure_sleep(now, 100));
		CHECK_EQ(watches, 2);
		_exit(0);
	}
	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
	CHECK_EQ(unwatches, 0);
}

static const char *value_of(const char *name)
{
	static char text[300];

	CHECK_EQ(knuma_conf_get(name, text, sizeof(text)), 0);
	return text;
}

static void settings_follow_a_limit(void)
{
	a_cgroup();
	a_limit(LIMIT);
	start_quiet();
	look_after(1000, false);
	CHECK(!strcmp(value_of("rcu_budget"), "16M"));
	CHECK(!strcmp(value_of("vmalloc_cache"), "16M"));
	CHECK(!strcmp(kn_tunable_source("rcu_budget"), "cgroup"));
	CHECK_EQ(kn_depot_keep_bytes, LIMIT / 1024);
	/* A lower one, and none again. */
	a_limit(64 * MIB);
	for (int i = 0; i < 17; i++)
		look_after(1000, false);
	CHECK(!strcmp(value_of("rcu_budget"), "8M"));
	CHECK(!strcmp(value_of("vmalloc_cache"), "4M"));
	a_limit((uint64_t)1 << 59);
	for (int i = 0; i < 17; i++)
		look_after(1000, false);
	CHECK(!strcmp(value_of("rcu_budget"), "0"));
	CHECK(!strcmp(value_of("vmalloc_cache"), "64M"));
	CHECK(!strcmp(kn_tunable_source("vmalloc_cache"), "built-in"));
	CHECK_EQ(kn_depot_keep_bytes, UINT64_MAX);
}

static void what_was_set_stays(void)
{
	a_cgroup();
	a_limit(64 * MIB);
	conf("vmalloc_cache", "1G");
	start_quiet();
	look_after(1000, false);
	CHECK(!strcmp(value_of("vmalloc_cache"), "1G"));
	CHECK(!strcmp(value_of("rcu_budget"), "8M"));
	conf("rcu_budget", "5M");
	fake_sysfs_file(CGROUP "/memory.max", "max\n");
	for (int i = 0; i < 17; i++)
		look_after(1000, false);
	CHECK(!strcmp(value_of("rcu_budget"), "5M"));
	CHECK(!strcmp(value_of("vmalloc_cache"), "1G"));
}

static void the_banner_tells_limits(void)
{
	a_cgroup();
	a_limit(LIMIT);
	number("memory.high", LIMIT / 2);
	fake_sysfs_file(CGROUP "/cpu.max", "75000 100000\n");
	conf("stats", "yes");
	start_quiet();
	CHECK_HAS(printed(), "limits: memory.high 128M (cgroup v2, /cg/app), "
			     "quota 0.75 CPUs, rcu_budget 16M, vmalloc_cache "
			     "8M, depots of a cache 128K, locks do not spin\n");
}

static void the_banner_without_limits(void)
{
	a_cgroup();
	fake_sysfs_file("self/status", "Cpus_allowed_list:\t0-3,7\n");
	conf("stats", "yes");
	start_quiet();
	CHECK_HAS(printed(), "limits: no memory limit below the RAM\n");
}

static void the_banner_where_nothing_is_known(void)
{
	fake_sysfs_start();
	conf("stats", "yes");
	start_quiet();
	CHECK_HAS(printed(), "limits: unknown, /proc/self/cgroup: "
			     "No such file or directory\n");
}

static void depots_keep_less_under_a_limit(void)
{
	static void *object[20000];

	a_cgroup();
	a_limit(64 * MIB);
	start_here();
	look_after(1000, false);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 20000; i++)
			object[i] = kmalloc(512, GFP_KERNEL);
		for (int i = 0; i < 20000; i++)
			kfree(object[i]);
	}
	CHECK(kn_kmalloc_cache(512)->mag.depot[0].nr_full > 2);
	kn_caches_trim();
	/* 64 KiB are two batches of 62 objects. */
	CHECK(kn_kmalloc_cache(512)->mag.depot[0].nr_full <= 2);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(no_answer_without_a_reason),
		child_test(one_stage_after_the_other),
		child_test(it_ends_when_memory_is_not_short),
		child_test(file_pages_are_no_shortage),
		child_test(running_into_the_limit_is_one_earlier),
		child_test(stalls_are),
		child_test(not_when_that_is_set_off),
		child_test(limits_that_come_and_go),
		child_test(memory_is_given_up),
		child_test(shrinkers_are_asked_for_more_each_round),
		child_test(the_kernel_is_asked_once),
		child_test(without_permission_it_says_so_once),
		child_test(without_psi_it_is_silent),
		child_test(the_background_thread_answers),
		child_test(a_fork_child_asks_for_itself),
		child_test(settings_follow_a_limit),
		child_test(what_was_set_stays),
		child_test(the_banner_tells_limits),
		child_test(the_banner_without_limits),
		child_test(the_banner_where_nothing_is_known),
		child_test(depots_keep_less_under_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that may not wait make no system call: they run here under a filter
 * that ends the process at the first one.  They serve from the magazines, from
 * depots, slabs and pages that are in memory, then from the reserve, and then
 * say that there is nothing.
 *
 * Each case is a process of its own that never forked: this program, started
 * again with the name of the case.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/config/tunables.h"
#include "alloc/magazine/drain.h"
#include "alloc/slab/cache.h"
#include "tests/concurrency/stress.h"

extern char **environ;

enum {
	MOST = 200000,	 /* objects that a case may take */
	SEEN_CALL = 100, /* exit code: a system call was made */
};

static void *taken[MOST];

/* Not _exit(): before a call without return a sanitizer has system calls. */
static void quit(int code)
{
	syscall(SYS_exit_group, code);
}

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		quit(99);
}

static void say_number(const char *text, long n)
{
	char digits[24], *p = &digits[sizeof(digits) - 1];

	say(text);
	*p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	say(p);
	say("\n");
}

#define CHECK(x)                                                        \
	do {                                                            \
		if (!(x)) {                                             \
			say_number("  fails: " #x ", line ", __LINE__); \
			quit(1);                                        \
		}                                                       \
	} while (0)

/* The filter's signal: says which system call it was. */
static void caught(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	say_number("  a system call was made: number ", info->si_syscall);
	quit(SEEN_CALL);
}

#define ALLOW(nr)                                        \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* From here on this thread may write, count its faults, and end it all. */
static void no_more_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_getrusage),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};
	const struct sigaction action = {
		.sa_sigaction = caught,
		.sa_flags = SA_SIGINFO,
	};

	CHECK(!sigaction(SIGSYS, &action, NULL));
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

/*
 * What is at hand is at hand on this CPU and its node: nothing of what follows
 * holds for a thread that the scheduler takes elsewhere.
 */
static cpu_set_t everywhere;

static void stay_here(void)
{
	cpu_set_t here;

	CHECK(!sched_getaffinity(0, sizeof(everywhere), &everywhere));
	CPU_ZERO(&here);
	CPU_SET((size_t)sched_getcpu(), &here);
	CHECK(!sched_setaffinity(0, sizeof(here), &here));
}

static int take(size_t size, gfp_t gfp, int most)
{
	int n = 0;

	while (n < most) {
		void *p = kmalloc(size, gfp | __GFP_NOWARN);

		if (!p) {
			CHECK(errno == ENOMEM);
			break;
		}
		memset(p, 0x5a, size);
		taken[n++] = p;
	}
	return n;
}

static void give(int n)
{
	while (n)
		kfree(taken[--n]);
}

static long faults(void)
{
	struct rusage usage;

	CHECK(!getrusage(RUSAGE_THREAD, &usage));
	return usage.ru_minflt;
}

/* The thread's working set, as a program has it that is under way. */
static void warm_up(void)
{
	for (size_t size = 16; size <= 8192; size *= 2)
		give(take(size, GFP_KERNEL, 500));
}

static void empty_magazines_and_depots(void)
{
	CHECK(knuma_trim() == 0);
}

static void full_magazines(void)
{
	warm_up();
	no_more_system_calls();
	for (size_t size = 16; size <= 8192; size *= 2) {
		const int n = take(size, GFP_NOWAIT, 20);

		CHECK(n == 20);
		give(n);
		CHECK(take(size, GFP_ATOMIC, 20) == 20);
		give(20);
	}
}

/* What magazines, depots and slabs have: frees of it come back. */
static void frees_come_back(void)
{
	warm_up();
	give(take(64, GFP_KERNEL, 20000));
	no_more_system_calls();
	for (int round = 0; round < 3; round++) {
		const int n = take(64, GFP_NOWAIT, 10000);

		say_number("  objects again: ", n);
		CHECK(n >= 5000);
		give(n);
	}
}

/* Allocated before, freed under the filter: large, pages, areas. */
static void frees_of_all_kinds(void)
{
	struct page *pages[8];
	void *areas[8], *large[8], *bulk[200];
	struct kmem_cache *s;

	warm_up();
	s = kmem_cache_create("bulk", 96, NULL, 0);
	CHECK(s);
	CHECK(kmem_cache_alloc_bulk(s, GFP_KERNEL, 200, bulk) == 200);
	for (unsigned i = 0; i < 8; i++) {
		pages[i] = alloc_pages(GFP_KERNEL, i);
		areas[i] = vmalloc(5000ul << i);
		large[i] = kmalloc(12000 + 50000 * i, GFP_KERNEL);
	}
	(void)take(200, GFP_KERNEL, 20000);
	no_more_system_calls();
	for (unsigned i = 0; i < 8; i++) {
		__free_pages(pages[i], i);
		vfree(areas[i]);
		kfree(large[i]);
	}
	kmem_cache_free_bulk(s, 200, bulk);
	give(20000);
}

/* The reserve, in objects of the smallest slabs. */
enum {
	SMALL = 64,
	SMALL_PER_PAGE = 4096 / SMALL
};

static long reserve_pages(void)
{
	return (long)(kn_tun.reserve / 4096);
}

/* Nothing at hand but the reserve, and from here on no system calls. */
static void only_the_reserve(void)
{
	warm_up();
	empty_magazines_and_depots();
	/* A call that waits, and comes to the pages, fills the reserve. */
	free_pages(__get_free_pages(GFP_KERNEL, 5), 5);
	no_more_system_calls();
}

/* GFP_ATOMIC has at least the reserve, which is in memory, and then nothing. */
static void atomic_from_the_reserve(void)
{
	long before, after;
	int n;

	memset(taken, 1, sizeof(taken));
	only_the_reserve();
	before = faults();
	n = take(SMALL, GFP_ATOMIC, MOST);
	after = faults();
	say_number("  pages: ", n / SMALL_PER_PAGE);
	say_number("  faults: ", after - before);
	/* One for each page, were they touched first; others are few. */
	CHECK((after - before) * 4 < n / SMALL_PER_PAGE);
	CHECK(n >= reserve_pages() * SMALL_PER_PAGE);
	CHECK(n < MOST);
	CHECK(!kmalloc(SMALL, GFP_ATOMIC | __GFP_NOWARN));
	CHECK(!kmalloc(SMALL, GFP_NOWAIT));
	/* What is freed can be had again. */
	kfree(taken[0]);
	taken[0] = kmalloc(SMALL, GFP_NOWAIT);
	CHECK(taken[0]);
	give(n);
	CHECK(take(SMALL, GFP_ATOMIC, MOST) >= n * 3 / 4);
}

/* GFP_NOWAIT leaves it alone. */
static void nowait_leaves_the_reserve(void)
{
	int n;

	only_the_reserve();
	n = take(SMALL, GFP_NOWAIT, MOST);
	say_number("  pages: ", n / SMALL_PER_PAGE);
	CHECK(n < MOST);
	n = take(SMALL, GFP_ATOMIC, MOST);
	say_number("  pages of the reserve: ", n / SMALL_PER_PAGE);
	CHECK(n >= reserve_pages() * SMALL_PER_PAGE * 3 / 4);
}

/* Slabs of several pages find them in a row. */
static void large_objects_from_the_reserve(void)
{
	kfree(kmalloc(SMALL, GFP_KERNEL));
	no_more_system_calls();
	CHECK(take(4096, GFP_ATOMIC, MOST) >= reserve_pages() / 2);
}

static void pages_until_there_are_none(void)
{
	struct page *page;
	int n = 0;

	only_the_reserve();
	while (n < MOST && (page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 0)))
		taken[n++] = page;
	say_number("  pages: ", n);
	CHECK(n >= reserve_pages() && n < MOST);
	CHECK(!__vmalloc(5000, GFP_NOWAIT));
	while (n)
		__free_pages(taken[--n], 0);
}

/* Has every lock of the library most of the time, and may wait for it. */
static void *keep_busy(void *unused)
{
	void *p[400];

	(void)unused;
	CHECK(!sched_setaffinity(0, sizeof(everywhere), &everywhere));
	for (unsigned round = 0;; round++) {
		for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
			p[i] = kmalloc(64u << i % 10, GFP_KERNEL);
		for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
			kfree(p[i]);
		vfree(vmalloc(100000));
		if (round % 8 == 0)
			(void)knuma_trim();
	}
	return NULL;
}

/* A lock that another thread has is gone round. */
static void beside_busy_threads(void)
{
	const uint64_t until = stress_now_ms() + stress_ms;
	pthread_t busy[2];
	long got = 0, none = 0;

	warm_up();
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&busy[i], NULL, keep_busy, NULL));
	no_more_system_calls();
	do {
		for (unsigned i = 0; i < 400; i++) {
			taken[i] = kmalloc(64u << i % 10,
					   (i & 1 ? GFP_NOWAIT : GFP_ATOMIC) |
						   __GFP_NOWARN);
			if (taken[i])
				got++;
			else
				none++;
		}
		give(400);
	} while (stress_now_ms() < until);
	say_number("  objects: ", got);
	say_number("  times none: ", none);
	CHECK(got);
}

static void one_object(void)
{
	empty_magazines_and_depots();
	no_more_system_calls();
	kfree(kmalloc(48, GFP_ATOMIC | __GFP_NOWARN));
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"full_magazines", full_magazines},
	{"frees_come_back", frees_come_back},
	{"frees_of_all_kinds", frees_of_all_kinds},
	{"atomic_from_the_reserve", atomic_from_the_reserve},
	{"nowait_leaves_the_reserve", nowait_leaves_the_reserve},
	{"large_objects_from_the_reserve", large_objects_from_the_reserve},
	{"pages_until_there_are_none", pages_until_there_are_none},
	{"beside_busy_threads", beside_busy_threads},
	{"one_object", one_object},
};

static void no_system_call_in(void **state)
{
	char *argv[] = {"nowait_test", "--case", *state, NULL};
	int status = -1;
	pid_t child;

	assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv,
				     environ),
			 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[KN_ARRAY_SIZE(cases)];

	if (argc == 3 && !strcmp(argv[1], "--case")) {
		for (unsigned i = 0; i < KN_ARRAY_SIZE(cases); i++)
			if (!strcmp(argv[2], cases[i].name)) {
				stress_watchdog(120);
				stay_here();
				cases[i].run();
				quit(0);
			}
		return 2;
	}
	for (unsigned i = 0; i < KN_ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name,
			.test_func = no_system_call_in,
			.initial_state = (void *)cases[i].name,
		};
	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

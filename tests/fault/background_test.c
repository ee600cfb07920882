/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background work where the system refuses the thread that does it, the file
 * that wakes it, or its sleep.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/libc/refusals.h"

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool thread_is_there(void)
{
	DIR *dir = opendir("/proc/self/task");
	char path[300], name[16];
	struct dirent *e;
	bool found = false;

	CHECK(dir);
	while ((e = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (f && fgets(name, sizeof(name), f))
			found |= !strcmp(name, "knuma/trim\n");
		if (f)
			fclose(f);
	}
	closedir(dir);
	return found;
}

static void *nothing(void *arg)
{
	return arg;
}

/* From here on this is no process of one thread. */
static void make_a_thread(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* Free pages that can go back, and a call that starts the thread or does its work. */
static void allocate(void)
{
	struct page *page = alloc_pages_node(NUMA_NO_NODE, GFP_KERNEL, 9);

	CHECK(page);
	memset(page_address(page), 1, 4096ul << 9);
	__free_pages(page, 9);
	vfree(vmalloc(4096));
}

#define NO_THREAD                                                           \
	"no thread for background work: Resource temporarily unavailable; " \
	"until there is one, allocations do it; "                           \
	"raise the limit on processes (ulimit -u)\n"

static void allocations_do_the_work_of_a_refused_thread(void)
{
	const uint64_t since = now_ms();
	uint64_t tries;

	conf("trim_delay_ms", "1ms");
	make_a_thread();
	libc_refuse(LIBC_pthread_create, 1, LIBC_FOR_EVER, EAGAIN);
	for (int i = 0; i < 30000 && !stat_of("purged_bytes"); i++) {
		allocate();
		usleep(1000);
	}
	CHECK(stat_of("purged_bytes") > 0);
	CHECK(!thread_is_there());
	/* A try each 100 ms, and one message. */
	tries = libc_refused(LIBC_pthread_create);
	CHECK(tries > 0 && tries <= (now_ms() - since) / 90 + 1);
	CHECK_EQ(printed_times(NO_THREAD), 1);
	heap_verify();
}

static void it_is_made_when_it_can_be(void)
{
	conf("trim_delay_ms", "1ms");
	make_a_thread();
	libc_refuse(LIBC_pthread_create, 1, 2, EAGAIN);
	for (int i = 0; i < 30000 && !thread_is_there(); i++) {
		allocate();
		usleep(1000);
	}
	CHECK(thread_is_there());
	CHECK_EQ(libc_refused(LIBC_pthread_create), 2);
	CHECK_EQ(printed_times("no thread for background work"), 1);
	heap_verify();
}

/* Asked for at the start, of which it is no part. */
static void a_start_without_it_is_a_start(void)
{
	void *p;

	conf("background", "yes");
	libc_refuse(LIBC_pthread_create, 1, LIBC_FOR_EVER, EAGAIN);
	p = kmalloc(100, GFP_KERNEL);
	CHECK(p);
	CHECK_EQ(libc_refused(LIBC_pthread_create), 1);
	CHECK_EQ(printed_times(NO_THREAD), 1);
	kfree(p);
	heap_verify();
}

/* Who wants none gets none, and allocations do its work, too. */
static void without_a_thread_by_choice(void)
{
	const uint64_t made = libc_calls(LIBC_pthread_create) + 1;

	conf("background", "no");
	conf("trim_delay_ms", "1ms");
	make_a_thread();
	for (int i = 0; i < 30000 && !stat_of("purged_bytes"); i++) {
		allocate();
		usleep(1000);
	}
	CHECK(stat_of("purged_bytes") > 0);
	CHECK_EQ(libc_calls(LIBC_pthread_create), made);
	CHECK_EQ(strlen(printed()), 0);
}

static void start_thread(void)
{
	conf("background", "yes");
	kfree(kmalloc(1, GFP_KERNEL));
}

static bool asked(void)
{
	for (int i = 0; i < 3000 && !faults_calls(FAULT_WATCH); i++)
		usleep(10000);
	return faults_calls(FAULT_WATCH) > 0;
}

/* It looks by itself then. */
static void a_file_that_cannot_be_watched_is_said(void)
{
	conf("stats", "yes");
	conf("trim_delay_ms", "1ms");
	faults_install();
	faults_fail(FAULT_WATCH, 1, FAULTS_FOR_EVER, EPERM);
	start_thread();
	CHECK(asked());
	for (int i = 0; i < 30000 && !stat_of("purged_bytes"); i++) {
		allocate();
		usleep(1000);
	}
	CHECK(stat_of("purged_bytes") > 0);
	CHECK_EQ(printed_times("the kernel does not wake this process when "
			       "memory is short (Operation not permitted): it "
			       "looks each 1 ms\n"),
		 1);
}

static void also_quietly(void)
{
	faults_install();
	faults_fail(FAULT_WATCH, 1, FAULTS_FOR_EVER, EPERM);
	start_thread();
	CHECK(asked());
	CHECK(thread_is_there());
	CHECK_EQ(strlen(printed()), 0);
}

/* As programs do that lock themselves in: it sleeps all the same. */
static void a_limit_of_no_descriptors_does_not_wake_it(void)
{
	struct rlimit none;
	uint64_t since, from, calls;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &none), 0);
	conf("trim_delay_ms", "20ms");
	start_thread();
	none.rlim_cur = 0;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	since = now_ms();
	from = libc_calls(LIBC_poll);
	for (int i = 0; i < 3000 && libc_calls(LIBC_poll) < from + 4; i++)
		usleep(10000);
	calls = libc_calls(LIBC_poll) - from;
	/* A sleep can be cut in two by the clock of its end. */
	CHECK(calls >= 4 && calls <= (now_ms() - since) / 8 + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(allocations_do_the_work_of_a_refused_thread),
		child_test(it_is_made_when_it_can_be),
		child_test(a_start_without_it_is_a_start),
		child_test(without_a_thread_by_choice),
		child_test(a_file_that_cannot_be_watched_is_said),
		child_test(also_quietly),
		child_test(a_limit_of_no_descriptors_does_not_wake_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

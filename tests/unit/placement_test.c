/* SPDX-License-Identifier: Apache-2.0 */
/* Counting pages by node: by a fake, by the system, by libnuma. */
#define _GNU_SOURCE
#include "numa/placement.h"

#include <errno.h>
#include <knuma/numa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/base/start.h"
#include "numa/machine.h"
#include "tests/support/fake_sysfs.h"

static size_t page_size, nr_calls, most, fail_call;
static uintptr_t seen_first, seen_last;

/* Page number modulo 4: node 0, node 2, absent as by 6.12, as by 6.1. */
static int fake_page_nodes(size_t n, void **pages, int *status)
{
	static const int answer[] = {0, 2, -ENOENT, -EFAULT};

	if (++nr_calls == fail_call)
		return -EPERM;
	if (n > most)
		most = n;
	if (!seen_first)
		seen_first = (uintptr_t)pages[0];
	seen_last = (uintptr_t)pages[n - 1];
	for (size_t i = 0; i < n; i++) {
		const uintptr_t page = (uintptr_t)pages[i];

		assert_int_equal(page % page_size, 0);
		status[i] = answer[page / page_size % 4];
	}
	return 0;
}

static void use_fake(void)
{
	kn_machine.page_nodes = fake_page_nodes;
	nr_calls = most = fail_call = 0;
	seen_first = seen_last = 0;
}

static void *page(size_t n)
{
	return (void *)((4096 + n) * page_size);
}

static void counts_by_node(void **state)
{
	long count[4] = {9, 9, 9, 9};

	(void)state;
	use_fake();
	assert_int_equal(kn_placement(page(0), 8 * page_size, count, 4), 4);
	assert_int_equal(count[0], 2);
	assert_int_equal(count[1], 0);
	assert_int_equal(count[2], 2);
	assert_int_equal(count[3], 0);
	assert_int_equal(nr_calls, 1);
}

static void nodes_without_room_are_in_the_sum(void **state)
{
	long count[2] = {9, 9};

	(void)state;
	use_fake();
	assert_int_equal(kn_placement(page(0), 8 * page_size, count, 1), 4);
	assert_int_equal(count[0], 2);
	assert_int_equal(count[1], 9);
	assert_int_equal(kn_placement(page(0), 8 * page_size, NULL, 4), 4);
	assert_int_equal(kn_placement(page(0), 8 * page_size, count, 0), 4);
	assert_int_equal(kn_placement(page(0), 8 * page_size, count, -1), 4);
}

static void every_page_that_a_byte_touches(void **state)
{
	char *p = page(0);

	(void)state;
	use_fake();
	assert_int_equal(kn_placement(p, 0, NULL, 0), 0);
	assert_int_equal(kn_placement(p + 5, 0, NULL, 0), 0);
	assert_int_equal(nr_calls, 0);
	assert_int_equal(kn_placement(p, 1, NULL, 0), 1);
	assert_int_equal(seen_last, (uintptr_t)p);
	assert_int_equal(kn_placement(p + page_size - 1, 2, NULL, 0), 2);
	assert_int_equal(seen_first, (uintptr_t)p);
	assert_int_equal(seen_last, (uintptr_t)p + page_size);
	assert_int_equal(kn_placement(p + page_size - 1, 1, NULL, 0), 1);
	assert_int_equal(seen_last, (uintptr_t)p);
}

static void long_ranges_in_chunks(void **state)
{
	long count[3];

	(void)state;
	use_fake();
	assert_int_equal(kn_placement(page(0), 2000 * page_size, count, 3),
			 1000);
	assert_int_equal(count[0], 500);
	assert_int_equal(count[2], 500);
	assert_int_equal(nr_calls, 4);
	assert_int_equal(most, 512);
	assert_int_equal(seen_last, (uintptr_t)page(1999));
}

static void errors(void **state)
{
	(void)state;
	use_fake();
	assert_int_equal(kn_placement((void *)-4096l, 8192, NULL, 0), -EINVAL);
	assert_int_equal(kn_placement(page(0), SIZE_MAX, NULL, 0), -EINVAL);
	assert_int_equal(kn_placement((void *)-100l, 50, NULL, 0), -EINVAL);
	assert_int_equal(nr_calls, 0);
	fail_call = 2;
	assert_int_equal(kn_placement(page(0), 600 * page_size, NULL, 0),
			 -EPERM);
}

static void meminfo_is(const char *text, int err)
{
	int64_t total = 7, unused = 7;

	fake_sysfs_file("node/node0/meminfo", text);
	assert_int_equal(kn_node_meminfo(0, &total, &unused), err);
	assert_true(err ? total == 7 && unused == 7 : total && unused);
}

static void meminfo_that_is_none(void **state)
{
	static const struct fake_node node = {0, "0", 1, "10"};

	(void)state;
	fake_sysfs_machine("0\n", "0\n", &node, 1, NULL);
	kn_topology_init();
	meminfo_is("Node 0 MemTotal: 8 kB\nNode 0 MemFree: 4 kB\n", 0);
	meminfo_is("Node 0 MemFree: 4 kB\n", -EIO);
	meminfo_is("Node 0 MemTotal: 8 kB\n", -EIO);
	meminfo_is("Node 0 MemTotal: all\nNode 0 MemFree: 4 kB\n", -EIO);
	meminfo_is("Node 0 MemTotal: 8 kB\nNode 0 MemFree: "
		   "9007199254740992 kB\n",
		   -EIO);
}

static void policies_of_nodes_that_cannot_be(void **state)
{
	kn_machine = *(const struct kn_machine *)*state;
	assert_int_equal(kn_machine.mbind_preferred(NULL, 4096, -1), -EINVAL);
	assert_int_equal(kn_machine.mbind_preferred(NULL, 4096, 1024), -EINVAL);
}

/* By the system itself: untouched pages stay so. */
static void check_real(void)
{
	unsigned char resident[16];
	long count[KN_MAX_NODE_IDS];
	long sum = 0, present;
	char *p = mmap(NULL, 16 * page_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* checks knuma_placement: "Asks the system with move_pages(2)" */
	assert_ptr_not_equal(p, MAP_FAILED);
	madvise(p, 16 * page_size, MADV_NOHUGEPAGE);
	p[3 * page_size] = 1;
	p[9 * page_size] = 1;
	errno = 4711;
	present = kn_placement(p, 16 * page_size, count, KN_MAX_NODE_IDS);
	assert_int_equal(errno, 4711);
	if (present == -EPERM || present == -ENOSYS)
		skip();
	assert_int_equal(present, 2);
	for (int i = 0; i < KN_MAX_NODE_IDS; i++)
		sum += count[i];
	assert_int_equal(sum, 2);
	assert_int_equal(mincore(p, 16 * page_size, resident), 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(resident[i] & 1, i == 3 || i == 9);
	munmap(p, 16 * page_size);
}

static void by_the_system(void **state)
{
	kn_machine = *(const struct kn_machine *)*state;
	check_real();
}

static void by_libnuma(void **state)
{
	int (*const before)(size_t, void **, int *) = kn_machine.page_nodes;
	int ret;

	(void)state;
	errno = 4711;
	ret = kn_libnuma_load();
	assert_int_equal(errno, 4711);
	if (ret == -ENOENT || ret == -ENOSYS)
		skip();
	assert_int_equal(ret, 0);
	assert_ptr_not_equal(kn_machine.page_nodes, before);
	check_real();
	assert_int_equal(kn_libnuma_load(), 0);
}

/* In a child: the heap of the machine that runs the test. */
static void the_call_starts_the_library(void **state)
{
	const pid_t child = fork();
	int status;

	if (!child) {
		kn_machine = *(const struct kn_machine *)*state;
		(void)knuma_placement(&page_size, 1, NULL, 0);
		_exit(!kn_started);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	static struct kn_machine real;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_by_node),
		cmocka_unit_test(nodes_without_room_are_in_the_sum),
		cmocka_unit_test(every_page_that_a_byte_touches),
		cmocka_unit_test(long_ranges_in_chunks),
		cmocka_unit_test(errors),
		cmocka_unit_test(meminfo_that_is_none),
		cmocka_unit_test_prestate(policies_of_nodes_that_cannot_be,
					  &real),
		cmocka_unit_test_prestate(by_the_system, &real),
		cmocka_unit_test(by_libnuma),
		cmocka_unit_test_prestate(the_call_starts_the_library, &real),
	};

	real = kn_machine;
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reserved huge pages of each node, as the system tells of them: what the
 * library takes is of the pool (/proc/kpageflags), on the node that was named,
 * and no process is ended for a page that the pool does not have, be it another
 * one that emptied it.  What a fork child may meet is shown, too.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <numa.h>
#include <numaif.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/numa/nodes.h"

#define MIB	     ((size_t)1 << 20)
#define LONG_SECONDS 400

#define HUGE	     (2 * MIB)
#define BASE	     ((size_t)4096)
#define BLOCK	     (4 * MIB)
#define ORDER	     10

/* Of /proc/self/pagemap and /proc/kpageflags. */
#define PFN_MASK     (((uint64_t)1 << 55) - 1)
#define KPF_HUGE     ((uint64_t)1 << 17)

/* Pages that each test has in the pool of a node. */
#define POOL	     8

static struct node_list nodes;

static void pool_path(char path[128], int node, const char *file)
{
	snprintf(path, 128,
		 "/sys/devices/system/node/node%d/hugepages/"
		 "hugepages-2048kB/%s",
		 node, file);
}

static long in_pool(int node)
{
	char path[128];

	pool_path(path, node, "free_hugepages");
	return read_number(path);
}

/* The system's own word for a page of a pool. */
static bool is_of_pool(const void *p)
{
	const uint64_t pfn =
		kernel_entry("/proc/self/pagemap", (uintptr_t)p / BASE) &
		PFN_MASK;

	CHECK(pfn);
	return kernel_entry("/proc/kpageflags", pfn) & KPF_HUGE;
}

/*
 * The start itself takes the pool of the node that it runs on: the second one.
 * The tests are about the first.
 */
static void start(const char *huge_after)
{
	alarm(LONG_SECONDS);
	run_on_node(nodes.id[1]);
	conf("hugetlb", "yes");
	conf("huge_after", huge_after);
	start_quiet();
}

static char *block(int node, gfp_t gfp)
{
	struct page *page = alloc_pages_node(node, gfp | __GFP_NOWARN, ORDER);

	if (!page)
		return NULL;
	touch_pages(page_address(page), BLOCK);
	return page_address(page);
}

/* Blocks of @node: those of the pool come first, the others are ordinary. */
static void take_from(int node, int of_pool)
{
	char *p[POOL];

	for (int i = 0; i < POOL; i++) {
		p[i] = block(node, GFP_KERNEL | __GFP_THISNODE);
		CHECK(p[i]);
		expect_on(p[i], BLOCK, node, "with hugetlb");
		CHECK_EQ(is_of_pool(p[i]), i < of_pool);
		CHECK_EQ(is_of_pool(p[i] + BLOCK - 1), i < of_pool);
	}
	for (int i = 0; i < POOL; i++)
		__free_pages(virt_to_page(p[i]), ORDER);
}

/* Whole blocks of a pool: the start has cut the first one of its node. */
static int of_pool(int node)
{
	return (int)(POOL * HUGE / BLOCK) - (node == nodes.id[1]);
}

static uint64_t taken(void)
{
	uint64_t pages = 0;

	for (int i = 0; i < nodes.nr; i++)
		pages += (uint64_t)(POOL - in_pool(nodes.id[i]));
	return pages;
}

static void pages_of_each_pool_lie_on_its_node(void)
{
	start("0");
	for (int i = 0; i < nodes.nr; i++) {
		CHECK_EQ(in_pool(nodes.id[i]), i == 1 ? 0 : POOL);
		take_from(nodes.id[i], of_pool(nodes.id[i]));
		CHECK_EQ(in_pool(nodes.id[i]), 0);
		CHECK_EQ(stat_of("hugetlb_bytes"), taken() * HUGE);
	}
	CHECK_EQ(stat_of("hugetlb_refused"), 0);
	/* What is free stays with the process. */
	CHECK_EQ(knuma_trim(), 0);
	for (int i = 0; i < nodes.nr; i++) {
		CHECK_EQ(in_pool(nodes.id[i]), 0);
		take_from(nodes.id[i], POOL * HUGE / BLOCK);
	}
	heap_verify();
}

static void the_first_megabytes_are_ordinary(void)
{
	char *p[3];

	start("8M");
	for (int i = 0; i < 3; i++) {
		p[i] = block(nodes.id[0], GFP_KERNEL | __GFP_THISNODE);
		CHECK(p[i]);
	}
	/* Two steps of 4 MiB; the reserve lies in the first. */
	CHECK(!is_of_pool(p[0]));
	CHECK(is_of_pool(p[2]));
}

static void off_by_default(void)
{
	conf("huge_after", "0");
	start_quiet();
	take_from(nodes.id[0], 0);
	CHECK_EQ(in_pool(nodes.id[0]), POOL);
}

/* All that the pool of @node has but @left, taken as another program would. */
static void empty_pool(int node, long left)
{
	const long n = in_pool(node) - left;
	const size_t len = (size_t)n * HUGE;
	struct bitmask *mask;
	char *p;

	if (!n)
		return;
	mask = numa_allocate_nodemask();
	p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	CHECK(p != MAP_FAILED);
	numa_bitmask_setbit(mask, (unsigned)node);
	CHECK_EQ(mbind(p, len, MPOL_PREFERRED, mask->maskp, mask->size + 1, 0),
		 0);
	numa_free_nodemask(mask);
	for (long i = 0; i < n; i++)
		p[(size_t)i * HUGE] = 1;
	CHECK_EQ(in_pool(node), left);
}

/* Others take from the pool between two steps of growth. */
static void others_empty_the_pool(void)
{
	const int node = nodes.id[0];
	int pipe_to_parent[2], status;
	char *p;
	char c;
	pid_t pid;

	start("0");
	CHECK_EQ(pipe(pipe_to_parent), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
		empty_pool(node, 3);
		CHECK_EQ(write(pipe_to_parent[1], "x", 1), 1);
		pause();
	}
	CHECK_EQ(read(pipe_to_parent[0], &c, 1), 1);
	for (int i = 0; i < 6; i++) {
		p = block(node, GFP_KERNEL | __GFP_THISNODE);
		CHECK(p);
		expect_on(p, BLOCK, node, "beyond the pool");
		CHECK_EQ(is_of_pool(p), i == 0);
	}
	CHECK_EQ(stat_of("hugetlb_bytes"), (3 + POOL) * HUGE);
	CHECK_EQ(in_pool(node), 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	heap_verify();
}

/*
 * A mapping elsewhere has reserved what the files still call free: the pool says
 * 8 and gives less.  Reservations are for all nodes together.
 */
static void a_pool_that_others_have_reserved(void)
{
	const size_t all = (size_t)nodes.nr * POOL;
	const int node = nodes.id[0];
	char *p;

	CHECK(mmap(NULL, (all - 3) * HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1,
		   0) != MAP_FAILED);
	start("0");
	CHECK_EQ(in_pool(node), POOL);
	for (int i = 0; i < 6; i++) {
		p = block(node, GFP_KERNEL | __GFP_THISNODE);
		CHECK(p);
		expect_on(p, BLOCK, node, "beside a reservation");
		CHECK(!is_of_pool(p));
	}
	/* Of the node that the start ran on, and of this one. */
	CHECK_EQ(stat_of("hugetlb_refused"), 2 * POOL);
	CHECK_EQ(stat_of("hugetlb_bytes"), 0);
	heap_verify();
}

/* Far beyond the pool, until another node serves: nobody is killed. */
static void a_node_is_filled_beyond_its_pool(void)
{
	const int node = nodes.id[0];
	int elsewhere = 0;
	char *p;

	start("0");
	while (elsewhere < 3) {
		p = block(node, GFP_KERNEL);
		CHECK(p);
		expect_on(p, BLOCK, knuma_node_of(p), "while filling");
		elsewhere += knuma_node_of(p) != node;
	}
	CHECK(!block(node, GFP_KERNEL | __GFP_THISNODE));
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(in_pool(node), 0);
	CHECK(stat_of("numa_miss") >= 3);
	heap_verify();
}

static char *shared;
static int to_child[2], to_parent[2];

static void tell(const int fd[2])
{
	CHECK_EQ(write(fd[1], "x", 1), 1);
}

static void hear(const int fd[2])
{
	char c;

	CHECK_EQ(read(fd[0], &c, 1), 1);
}

/* How a child ends that does @fn once its parent has written all it shares. */
static int status_of_child(void (*fn)(void), bool parent_writes)
{
	int status;
	pid_t pid;

	shared = block(nodes.id[0], GFP_KERNEL | __GFP_THISNODE);
	CHECK(shared && is_of_pool(shared));
	CHECK_EQ(in_pool(nodes.id[0]), 0);
	for (int i = 1; i < nodes.nr; i++)
		empty_pool(nodes.id[i], 0);
	CHECK_EQ(pipe(to_child), 0);
	CHECK_EQ(pipe(to_parent), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		hear(to_child);
		fn();
		_exit(0);
	}
	/* The one that took the pages keeps them. */
	if (parent_writes)
		touch_pages(shared, BLOCK);
	tell(to_child);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	touch_pages(shared, BLOCK);
	CHECK(is_of_pool(shared));
	return status;
}

static void child_uses_memory_of_its_own(void)
{
	for (int i = 0; i < 6; i++) {
		char *p = block(nodes.id[0], GFP_KERNEL | __GFP_THISNODE);

		CHECK(p);
		CHECK(!is_of_pool(p));
	}
}

static void child_reads(void)
{
	for (size_t at = 0; at < BLOCK; at += BASE)
		(void)*(volatile char *)(shared + at);
}

static void child_writes(void)
{
	touch_pages(shared, BLOCK);
}

static void a_child_gets_memory_of_its_own(void)
{
	start("0");
	CHECK_EQ(status_of_child(child_uses_memory_of_its_own, true), 0);
	CHECK_EQ(printed_times("hugetlb: this process forks"), 1);
}

static void a_child_reads_what_nobody_wrote(void)
{
	start("0");
	CHECK_EQ(status_of_child(child_reads, false), 0);
}

/* The limit that the message and the manual tell of. */
static void a_child_that_reads_what_the_parent_wrote_is_ended(void)
{
	int status;

	start("0");
	status = status_of_child(child_reads, true);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGBUS);
}

static void a_child_that_writes_what_it_shares_is_ended(void)
{
	int status;

	start("0");
	status = status_of_child(child_writes, false);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGBUS);
}

static long pool_before[NODES_MAX];

static void set_pool(int node, long pages)
{
	char path[128], text[24];

	pool_path(path, node, "nr_hugepages");
	snprintf(text, sizeof(text), "%ld", pages);
	assert_true(write_line(path, text));
	assert_int_equal(read_number(path), pages);
}

static int pools_begin(void **state)
{
	char path[128];

	(void)state;
	nodes = nodes_with_memory();
	for (int i = 0; i < nodes.nr; i++) {
		pool_path(path, nodes.id[i], "nr_hugepages");
		pool_before[i] = read_number(path);
		set_pool(nodes.id[i], POOL);
	}
	return 0;
}

static int pools_end(void **state)
{
	(void)state;
	for (int i = 0; i < nodes.nr; i++)
		set_pool(nodes.id[i], pool_before[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(pages_of_each_pool_lie_on_its_node),
		child_test(the_first_megabytes_are_ordinary),
		child_test(off_by_default),
		child_test(others_empty_the_pool),
		child_test(a_pool_that_others_have_reserved),
		child_test(a_node_is_filled_beyond_its_pool),
		child_test(a_child_gets_memory_of_its_own),
		child_test(a_child_reads_what_nobody_wrote),
		child_test(a_child_that_reads_what_the_parent_wrote_is_ended),
		child_test(a_child_that_writes_what_it_shares_is_ended),
	};

	return cmocka_run_group_tests(tests, pools_begin, pools_end);
}

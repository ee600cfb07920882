/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's pool of reserved huge pages, made up: what it says and what it
 * gives are two things.  A page that it does not give cannot be touched here,
 * as with SIGBUS in earnest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/malloc.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/page/zone.h"
#include "numa/hugetlb.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#define MAP_HUGE_MASK  0x3f
#endif

#define MIB   ((size_t)1 << 20)
#define HUGE  KN_HUGE_SIZE
#define BLOCK (4 * MIB)
#define ORDER 10
#define SAID  "node/node1/hugepages/hugepages-2048kB/free_hugepages"

static struct kn_machine below;
static int said, pool;	  /* pages that node 1 says to have, and gives */
static int mmap_err;	  /* of mappings from the pool */
static int ordinary_err;  /* of what replaces them */
static int bind_err;	  /* of policies for them */
static int populate_err;  /* when the pool has too few */
static uintptr_t strayed; /* a page that comes from node 0 */
static uintptr_t at;	  /* the last mapping from the pool */
static size_t at_len, given;
static int nr_maps;

static void pool_says(int pages)
{
	char text[16];

	said = pages;
	snprintf(text, sizeof(text), "%d\n", pages);
	fake_sysfs_file(SAID, text);
}

static void *pool_mmap(void *addr, size_t len, int prot, int flags)
{
	if (!(flags & MAP_HUGETLB)) {
		if (flags & MAP_FIXED && ordinary_err)
			return (void *)(intptr_t)-ordinary_err;
		return below.mmap(addr, len, prot, flags);
	}
	/* Reserved, of 2 MiB, where the heap is, and whole. */
	CHECK(flags & MAP_FIXED && !(flags & MAP_NORESERVE));
	CHECK_EQ(flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK, 21);
	CHECK(kn_span_has(addr));
	CHECK_EQ(((uintptr_t)addr | len) % HUGE, 0);
	nr_maps++;
	if (mmap_err)
		return (void *)(intptr_t)-mmap_err;
	at = (uintptr_t)addr;
	at_len = len;
	return below.mmap(addr, len, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
}

static int pool_madvise(void *addr, size_t len, int advice)
{
	/* What was given is never given back. */
	if (advice == MADV_DONTNEED)
		CHECK((uintptr_t)addr + len <= at ||
		      (uintptr_t)addr >= at + given);
	if (advice != MADV_POPULATE_WRITE)
		return below.madvise(addr, len, advice);
	CHECK_EQ((uintptr_t)addr, at);
	CHECK_EQ(len, at_len);
	given = (size_t)pool * HUGE < len ? (size_t)pool * HUGE : len;
	pool -= (int)(given / HUGE);
	pool_says(said - (int)(given / HUGE));
	if (given) {
		CHECK_EQ(mprotect(addr, given, PROT_READ | PROT_WRITE), 0);
		CHECK_EQ(madvise(addr, given, MADV_POPULATE_WRITE), 0);
	}
	return given < len ? -populate_err : 0;
}

static int pool_mbind(void *addr, size_t len, int node)
{
	if ((uintptr_t)addr == at && bind_err)
		return -bind_err;
	return below.mbind_preferred(addr, len, node);
}

static int pool_page_nodes(size_t n, void **pages, int *status)
{
	const int ret = below.page_nodes(n, pages, status);

	for (size_t i = 0; i < n && ret >= 0; i++)
		if (strayed && (uintptr_t)pages[i] == at + strayed)
			status[i] = 0;
	return ret;
}

/* Two nodes; the pool of node 1 says @says and gives @gives. */
static void a_pool(int says, int gives)
{
	fake_nodes(2);
	pool_says(says);
	fake_sysfs_file("node/node0/hugepages/hugepages-2048kB/free_hugepages",
			"0\n");
	pool = gives;
	populate_err = EFAULT;
	below = kn_machine;
	kn_machine.mmap = pool_mmap;
	kn_machine.madvise = pool_madvise;
	kn_machine.mbind_preferred = pool_mbind;
	kn_machine.page_nodes = pool_page_nodes;
	conf("hugetlb", "yes");
	conf("huge_after", "0");
	start_quiet();
}

static char *block(void)
{
	struct page *page =
		alloc_pages_node(1, GFP_KERNEL | __GFP_THISNODE, ORDER);

	CHECK(page);
	memset(page_address(page), 1, BLOCK);
	return page_address(page);
}

static void free_block(char *p)
{
	__free_pages(virt_to_page(p), ORDER);
}

/* All of it can be written, and what the pool gave is what is counted. */
static void expect_pages(uint64_t taken, uint64_t refused)
{
	char *p[20];

	for (int i = 0; i < 20; i++)
		p[i] = block();
	CHECK_EQ(stat_of("hugetlb_bytes"), taken * HUGE);
	CHECK_EQ(stat_of("hugetlb_refused"), refused);
	heap_verify();
	for (int i = 0; i < 20; i++)
		free_block(p[i]);
	heap_verify();
}

static void off_by_default(void)
{
	fake_nodes(2);
	pool_says(8);
	below = kn_machine;
	kn_machine.mmap = pool_mmap;
	conf("huge_after", "0");
	start_quiet();
	expect_pages(0, 0);
	CHECK_EQ(nr_maps, 0);
}

static void the_pool_comes_first(void)
{
	char *p;

	a_pool(8, 8);
	p = block();
	CHECK((uintptr_t)p - at < 8 * HUGE);
	free_block(p);
	expect_pages(8, 0);
	CHECK_EQ(at_len, 8 * HUGE);
	CHECK_EQ(strlen(printed()), 0);
}

/* What is free is served again, and never purged: pool_madvise() checks. */
static void pages_of_the_pool_are_kept(void)
{
	char *p[8];

	a_pool(8, 8);
	for (int i = 0; i < 8; i++)
		p[i] = block();
	for (int i = 0; i < 8; i++)
		free_block(p[i]);
	/* Four blocks of it are ordinary and go back. */
	CHECK_EQ(knuma_trim(), 0);
	CHECK(stat_of("purged_bytes") >= 4 * BLOCK);
	CHECK(is_present((void *)at, 8 * HUGE));
	CHECK_EQ(stat_of("hugetlb_bytes"), 8 * HUGE);
	p[0] = block();
	CHECK((uintptr_t)p[0] - at < 8 * HUGE);
	heap_verify();
}

static void an_odd_page_merges_with_nothing_else(void)
{
	struct page *page;

	a_pool(5, 5);
	expect_pages(5, 0);
	CHECK_EQ(at_len, 5 * HUGE);
	/* The fifth page, then an ordinary one beside it. */
	for (int i = 0; i < 2; i++)
		CHECK(alloc_pages_node(1, GFP_KERNEL, ORDER));
	page = alloc_pages_node(1, GFP_KERNEL, ORDER - 1);
	CHECK_EQ((uintptr_t)page_address(page), at + 4 * HUGE);
	__free_pages(page, ORDER - 1);
	CHECK_EQ(knuma_trim(), 0);
	heap_verify();
}

static void a_pool_that_gives_less_than_it_says(void)
{
	a_pool(5, 3);
	expect_pages(3, 2);
	/* It says 2 still, is believed no more, and asked when it says else. */
	pool_says(2);
	CHECK_EQ(kn_hugetlb_free(1), 0);
	pool_says(4);
	CHECK_EQ(kn_hugetlb_free(1), 4);
}

static void a_pool_that_gives_nothing(void)
{
	a_pool(5, 0);
	expect_pages(0, 5);
	CHECK(nr_maps >= 1);
}

/* As with a kernel before 5.14. */
static void a_kernel_that_cannot_populate(void)
{
	a_pool(5, 0);
	populate_err = EINVAL;
	expect_pages(0, 5);
}

static void a_mapping_that_is_refused(void)
{
	a_pool(5, 5);
	mmap_err = ENOMEM;
	expect_pages(0, 5);
	CHECK_EQ(nr_maps, 1);
}

static void a_policy_that_is_refused(void)
{
	a_pool(5, 5);
	CHECK_EQ(stat_of("bind_failed"), 0);
	bind_err = EPERM;
	expect_pages(0, 5);
	/* For these pages, and for what came in their place. */
	CHECK_EQ(stat_of("bind_failed"), 2);
}

static void a_page_of_another_node(void)
{
	a_pool(5, 5);
	/* The fourth; it is given back, so the pool has it again. */
	strayed = 3 * HUGE;
	expect_pages(3, 2);
}

static void where_pages_are_is_not_told(void)
{
	a_pool(5, 5);
	fake_page_nodes_refuse(EPERM);
	expect_pages(0, 5);
	CHECK_EQ(printed_times("hugetlb: the system does not tell where"), 1);
}

static void windows_that_are_not_bound(void)
{
	fake_mbinds_refuse(EPERM);
	a_pool(5, 5);
	expect_pages(0, 0);
	CHECK_EQ(nr_maps, 0);
	CHECK_EQ(
		printed_times(
			"cannot be bound to it (mbind(2)): reserved huge pages"),
		1);
}

static void a_machine_without_pools(void)
{
	a_pool(5, 5);
	fake_sysfs_remove(SAID);
	expect_pages(0, 0);
	CHECK_EQ(printed_times("hugetlb: node 1 has no readable hugepages/"),
		 1);
}

static void a_text_that_is_no_number(void)
{
	a_pool(5, 5);
	fake_sysfs_file(SAID, "many\n");
	expect_pages(0, 0);
	CHECK_EQ(printed_times("hugetlb: node 1 has no readable hugepages/"),
		 1);
}

/*
 * Neither the pages nor anything in their place: the node cannot grow, nothing
 * of the range is given out, and it works again when the system does.
 */
static void nothing_can_be_put_back(void)
{
	a_pool(5, 3);
	ordinary_err = ENOMEM;
	CHECK_FAILS(alloc_pages_node(1,
				     GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
				     ORDER),
		    ENOMEM);
	CHECK(stat_of("grow_failed") > 0);
	CHECK_EQ(stat_of("hugetlb_bytes"), 0);
	heap_verify();
	ordinary_err = 0;
	pool_says(0);
	expect_pages(0, 2);
	CHECK_EQ(nr_maps, 1);
}

/* Room on the node is not what a pool needs. */
static void a_full_node_with_a_pool(void)
{
	char *p;

	a_pool(4, 4);
	fake_node_free_mib(1, 0);
	p = block();
	CHECK_EQ((uintptr_t)p - at < 4 * HUGE, 1);
	CHECK_EQ(knuma_node_of(p), 1);
	block();
	pool_says(0);
	CHECK_FAILS(alloc_pages_node(1,
				     GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
				     ORDER),
		    ENOMEM);
	CHECK_EQ(stat_of("hugetlb_bytes"), 4 * HUGE);
}

/* Nothing of it may fault: all of it is in memory. */
static void requests_that_may_not_wait_get_it(void)
{
	struct page *page;

	a_pool(8, 8);
	free_block(block());
	page = alloc_pages_node(1, GFP_NOWAIT | __GFP_THISNODE, ORDER);
	CHECK(page);
	CHECK((uintptr_t)page_address(page) - at < 8 * HUGE);
	__free_pages(page, ORDER);
}

/* A part of a reserved huge page would take along what else is in it. */
static void a_migration_leaves_it_where_it_is(void)
{
	struct knuma_migrated m;

	a_pool(8, 8);
	CHECK_EQ(knuma_migrate(block(), NUMA_NO_NODE, 0, &m), 0);
	CHECK_EQ(m.pages, BLOCK / KN_PAGE_SIZE);
	CHECK_EQ(m.before, 0);
	CHECK_EQ(m.after, 0);
	CHECK_EQ(fake_moves(), 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
}

/* A child shares the pages, and neither gives them out nor takes others. */
static void in_a_child(void)
{
	uintptr_t p;

	CHECK_EQ(kn_hugetlb_free(1), 0);
	for (int i = 0; i < 8; i++) {
		p = (uintptr_t)block();
		CHECK(p - at >= 8 * HUGE);
	}
	CHECK_EQ(nr_maps, 1);
	heap_verify();
}

static void a_fork_is_told_once_and_its_child_gets_other_memory(void)
{
	char *p;

	a_pool(8, 8);
	p = block();
	free_block(block());
	/* The pool has more by now, for others than the children. */
	pool_says(5);
	pool = 5;
	for (int i = 0; i < 2; i++) {
		const pid_t pid = fork();
		int status;

		CHECK(pid >= 0);
		if (!pid) {
			in_a_child();
			/* A block that it inherited in use is kept as well. */
			free_block(p);
			in_a_child();
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
	CHECK_EQ(printed_times("hugetlb: this process forks"), 1);
	free_block(p);
	CHECK((uintptr_t)block() - at < 8 * HUGE);
}

static void a_fork_without_such_pages_is_not_told(void)
{
	pid_t pid;

	a_pool(0, 0);
	block();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(strlen(printed()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(off_by_default),
		child_test(the_pool_comes_first),
		child_test(pages_of_the_pool_are_kept),
		child_test(an_odd_page_merges_with_nothing_else),
		child_test(a_pool_that_gives_less_than_it_says),
		child_test(a_pool_that_gives_nothing),
		child_test(a_kernel_that_cannot_populate),
		child_test(a_mapping_that_is_refused),
		child_test(a_policy_that_is_refused),
		child_test(a_page_of_another_node),
		child_test(where_pages_are_is_not_told),
		child_test(windows_that_are_not_bound),
		child_test(a_machine_without_pools),
		child_test(a_text_that_is_no_number),
		child_test(nothing_can_be_put_back),
		child_test(a_full_node_with_a_pool),
		child_test(requests_that_may_not_wait_get_it),
		child_test(a_migration_leaves_it_where_it_is),
		child_test(a_fork_is_told_once_and_its_child_gets_other_memory),
		child_test(a_fork_without_such_pages_is_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

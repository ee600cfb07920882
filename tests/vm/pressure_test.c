/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that fill up: the next nearest serves, both sides of it are counted,
 * __GFP_THISNODE fails, and no process is killed for it.  Each filling is a
 * process of its own, and how it ended is part of the result.
 */
#include <numa.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/numa/nodes.h"

#define MIB	     ((size_t)1 << 20)
#define LONG_SECONDS 400

/* A step of filling, and how much is taken from others when a node is full. */
#define STEP	     MIB
#define BEYOND	     (12 * MIB)
#define BLOCKS_MAX   4096

#define THP	     "/sys/kernel/mm/transparent_hugepage/enabled"

struct block {
	void *p;
	size_t size;
	void (*free)(const void *p);
};

/* What the child that is started next does. */
static int node;
static struct block block[BLOCKS_MAX];
static int nr_blocks;

/* How memory is faulted: the system's setting, and the library's. */
struct mode {
	const char *thp;
	const char *setting, *value;
};

static const struct mode in_base_pages = {"never", "huge_pages", "no"};
/* As distributions have it: huge pages only where they are asked for. */
static const struct mode in_huge_pages_when_asked = {"madvise", "huge_after",
						     "0"};
static const struct mode in_huge_pages_always = {"always", "huge_after", "0"};

static const struct mode *mode;

static void start(void)
{
	alarm(LONG_SECONDS);
	conf(mode->setting, mode->value);
	start_quiet();
}

/* What knuma may leave on a node: its own margin, and 4 MiB of our reading. */
static uint64_t margin(int id)
{
	return node_total(id) / 8 + 4 * MIB;
}

static void free_block_of_pages(const void *p)
{
	__free_pages(virt_to_page(p), get_order(STEP));
}

/* One step of memory for @node, in turn by each way to ask for much. */
static bool take(gfp_t gfp)
{
	struct block *b = &block[nr_blocks];
	struct page *page;

	CHECK(nr_blocks < BLOCKS_MAX);
	b->size = STEP;
	switch (nr_blocks % 3) {
	case 0:
		b->p = kmalloc_node(STEP, gfp, node);
		b->free = kfree;
		break;
	case 1:
		b->p = __vmalloc_node(STEP, 1, gfp, node, NULL);
		b->free = vfree;
		break;
	default:
		page = alloc_pages_node(node, gfp, get_order(STEP));
		b->p = page ? page_address(page) : NULL;
		b->free = free_block_of_pages;
	}
	if (!b->p)
		return false;
	touch_pages(b->p, STEP);
	nr_blocks++;
	return true;
}

static void free_all(void)
{
	while (nr_blocks) {
		nr_blocks--;
		block[nr_blocks].free(block[nr_blocks].p);
	}
}

static uint64_t of_node(const char *stat, int id)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%d", stat, id);
	return stat_of(name);
}

/* Nodes nearer to @node than @id, and @node, have nothing left to give. */
static void is_next_in_order(int id)
{
	const struct node_list nodes = nodes_with_memory();

	for (int i = 0; i < nodes.nr; i++)
		if (nodes.id[i] != id && nodes_distance(node, nodes.id[i]) <
						 nodes_distance(node, id))
			CHECK(node_spare(nodes.id[i], margin(nodes.id[i])) <
			      2 * STEP);
}

/*
 * Fills @node until another one serves for it, and a little beyond.  Every block
 * lies, page by page, on the node whose window it comes from; as many come from
 * elsewhere as the statistics say.
 */
static void fill(void)
{
	size_t beyond = 0;
	uint64_t elsewhere = 0;

	start();
	while (beyond < BEYOND) {
		int got;

		CHECK(take(GFP_KERNEL));
		got = knuma_node_of(block[nr_blocks - 1].p);
		expect_on(block[nr_blocks - 1].p, STEP, got, "while filling");
		if (got != node) {
			is_next_in_order(got);
			elsewhere++;
			beyond += STEP;
		}
		CHECK_EQ(of_node("numa_foreign", node), elsewhere);
		CHECK_EQ(stat_of("numa_miss"), elsewhere);
	}
}

/*
 * Each way to ask is refused.  What the kernel frees on its own meanwhile, its
 * caches and lists, is on the node, and soon used up.
 */
static void nothing_is_left(void)
{
	int refused = 0;

	for (int tries = 0; refused < 3; tries++) {
		CHECK(tries < 100);
		errno = 0;
		if (take(GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN)) {
			expect_on(block[nr_blocks - 1].p, STEP, node,
				  "with __GFP_THISNODE");
			refused = 0;
			continue;
		}
		CHECK_EQ(errno, ENOMEM);
		refused++;
	}
}

static void full_nodes_pass_requests_on(void)
{
	fill();
	nothing_is_left();
	CHECK_FAILS(kmalloc_node(4 * MIB,
				 GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
				 node),
		    ENOMEM);
	CHECK_FAILS(__vmalloc_node(8 * MIB, 1,
				   GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
				   node, NULL),
		    ENOMEM);
	CHECK_FAILS(kvmalloc_node(8 * MIB,
				  GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
				  node),
		    ENOMEM);
	CHECK_FAILS(alloc_pages_node(node,
				     GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
				     10),
		    ENOMEM);
	free_all();
	CHECK_EQ(knuma_trim(), 0);
	for (int i = 0; i < 6; i++) {
		CHECK(take(GFP_KERNEL | __GFP_THISNODE));
		expect_on(block[i].p, STEP, node, "when there is room again");
	}
	free_all();
	heap_verify();
}

/* The same with small objects: those of a slab lie where the slab lies. */
static void full_nodes_pass_objects_on(void)
{
	const size_t size = 8000;
	const gfp_t strict = GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN;
	struct kmem_cache *s;
	uint64_t first = 0;
	void *p, *last = NULL;

	start();
	s = kmem_cache_create("filling", size, 0, 0, NULL);
	while (first < BEYOND / size) {
		p = kmem_cache_alloc_node(s, GFP_KERNEL, node);
		CHECK(p);
		touch_pages(p, size);
		expect_on(p, size, knuma_node_of(p), "objects while filling");
		if (knuma_node_of(p) != node && !first++)
			is_next_in_order(knuma_node_of(p));
		*(void **)p = last;
		last = p;
	}
	CHECK(of_node("numa_foreign", node) >= 1);
	CHECK_EQ(stat_of("numa_foreign"), stat_of("numa_miss"));
	errno = 0;
	CHECK(!kmem_cache_alloc_node(s, strict, node));
	CHECK_EQ(errno, ENOMEM);
	while (last) {
		p = last;
		last = *(void **)p;
		kmem_cache_free(s, p);
	}
	p = kmem_cache_alloc_node(s, strict, node);
	CHECK(p);
	expect_on(p, size, node, "an object when there is room again");
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
	heap_verify();
}

static void must_have_ended_well(const struct child *c)
{
	if (WIFSIGNALED(c->status))
		fail_msg("node %d: killed by signal %d (%s)\n%s", node,
			 WTERMSIG(c->status), strsignal(WTERMSIG(c->status)),
			 c->text);
	if (!child_passed(c))
		fail_msg("node %d: %s", node, c->text);
}

static void need_two_nodes(void)
{
	if (nodes_with_memory().nr > 1)
		return;
	print_message("skipped: one node has nobody to pass requests on to\n");
	skip();
}

/* On each node in turn, in a process of its own. */
static void on_each_node(void (*fn)(void), const struct mode *m)
{
	const struct node_list nodes = nodes_with_memory();
	struct child c = {0};
	const char *before;

	need_two_nodes();
	mode = m;
	before = thp_mode(m->thp);
	for (int i = 0; i < nodes.nr && child_passed(&c); i++) {
		node = nodes.id[i];
		child_run(fn, &c);
	}
	thp_mode(before);
	must_have_ended_well(&c);
}

static void blocks_in_base_pages(void **state)
{
	(void)state;
	on_each_node(full_nodes_pass_requests_on, &in_base_pages);
}

static void blocks_in_huge_pages_when_asked(void **state)
{
	(void)state;
	on_each_node(full_nodes_pass_requests_on, &in_huge_pages_when_asked);
}

static void blocks_in_huge_pages_always(void **state)
{
	(void)state;
	on_each_node(full_nodes_pass_requests_on, &in_huge_pages_always);
}

static void objects_in_base_pages(void **state)
{
	(void)state;
	on_each_node(full_nodes_pass_objects_on, &in_base_pages);
}

static void objects_in_huge_pages_always(void **state)
{
	(void)state;
	on_each_node(full_nodes_pass_objects_on, &in_huge_pages_always);
}

/*
 * A step of @node's memory.  False when the system no longer gives it there,
 * which it may do before its files say that the node is full.
 */
static bool hog_step(void)
{
	void *p = mmap(NULL, STEP, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	touch_pages(p, STEP);
	if (!pages_off(p, STEP, node))
		return true;
	CHECK(!munmap(p, STEP));
	return false;
}

/* Another program takes the memory of @node; the pipe tells that it has it. */
static pid_t hog(int to_parent)
{
	const pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	numa_set_preferred(node);
	while (node_spare(node, 0) > STEP && hog_step())
		;
	CHECK(write(to_parent, "", 1) == 1);
	for (;;)
		pause();
}

static void nodes_filled_by_others(void)
{
	int fd[2], status;
	uint64_t before;
	char byte;
	pid_t pid;

	alarm(LONG_SECONDS);
	CHECK(!pipe(fd));
	pid = hog(fd[1]);
	CHECK(read(fd[0], &byte, 1) == 1);
	start();
	before = of_node("numa_foreign", node);
	for (int i = 0; i < 3; i++)
		CHECK(!take(GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN));
	for (int i = 0; i < 6; i++) {
		CHECK(take(GFP_KERNEL));
		CHECK(knuma_node_of(block[i].p) != node);
		is_next_in_order(knuma_node_of(block[i].p));
		expect_on(block[i].p, STEP, knuma_node_of(block[i].p),
			  "for a node that others have filled");
	}
	CHECK_EQ(of_node("numa_foreign", node) - before, 6);
	/* The other program was not killed, either. */
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	CHECK(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
	CHECK(take(GFP_KERNEL | __GFP_THISNODE));
	expect_on(block[6].p, STEP, node, "when the other program has ended");
}

static void others_fill_a_node(void **state)
{
	(void)state;
	on_each_node(nodes_filled_by_others, &in_base_pages);
}

/*
 * Programs that fill a node together see what it has free a moment late, so some
 * pages may lie elsewhere; nobody may be killed, and nobody fails.
 */
static void together(void)
{
	int status, nr = 0;

	alarm(LONG_SECONDS);
	for (int i = 0; i < 4; i++) {
		const pid_t pid = fork();

		CHECK(pid >= 0);
		nr++;
		if (pid)
			continue;
		start();
		while (!of_node("numa_foreign", node))
			CHECK(take(GFP_KERNEL));
		_exit(0);
	}
	while (nr--) {
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
}

static void programs_fill_a_node_together(void **state)
{
	(void)state;
	on_each_node(together, &in_huge_pages_always);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_in_base_pages),
		cmocka_unit_test(blocks_in_huge_pages_when_asked),
		cmocka_unit_test(blocks_in_huge_pages_always),
		cmocka_unit_test(objects_in_base_pages),
		cmocka_unit_test(objects_in_huge_pages_always),
		cmocka_unit_test(others_fill_a_node),
		cmocka_unit_test(programs_fill_a_node_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

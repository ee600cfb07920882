/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for which no node is named lies on the node of the CPU that asks, page
 * by page: at its first use, after objects were handed to threads of other nodes
 * and freed there, and after threads have moved.  Also behind malloc(3).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/numa/nodes.h"

#define LONG_SECONDS 400

/* Threads a node, what each holds, and how often everybody moves on. */
#define THREADS_NODE 2
#define THREADS_MAX  (THREADS_NODE * NODES_MAX)
#define OBJECTS	     60
#define ROUNDS	     4

static const size_t sizes[] = {
	16,   40,   100,  256,	 600,	1024,	2000,	4096,
	6000, 8192, 9000, 20000, 65536, 100000, 262144, 300000,
};
#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void *(*get)(size_t size);
static void (*put)(void *p);

static struct node_list cpus;
static int nr_threads;
static pthread_barrier_t all;
static void *held[THREADS_MAX][OBJECTS];
static uint64_t homes[NODES_MAX]; /* nearest nodes with memory, bits */
static long nr_pages, nr_elsewhere;

/* @n objects of mixed sizes, written and then looked for. */
static void fill(void **p, int n, int salt)
{
	const int here = running_node();
	for (int i = 0; i < n; i++) {
		const size_t size = sizes[(size_t)(i + salt) % NR_SIZES];
		struct pages in = {0};

		p[i] = get(size);
		CHECK(p[i]);
		touch_pages(p[i], size);
		count_pages(p[i], size, &in);
		__atomic_add_fetch(&nr_pages, in.present, __ATOMIC_RELAXED);
		for (int node = 0; node < NODES_MAX; node++) {
			if (!in.on[node] || homes[here] >> node & 1)
				continue;
			__atomic_add_fetch(&nr_elsewhere, in.on[node],
					   __ATOMIC_RELAXED);
			fprintf(stderr,
				"%ld pages of %zu bytes asked for on node %d "
				"are on node %d\n",
				in.on[node], size, here, node);
		}
	}
	/* Nobody was moved meanwhile. */
	CHECK_EQ(running_node(), here);
}

static void drop(void **p, int n)
{
	for (int i = 0; i < n; i++)
		put(p[i]);
}

static void *work(void *arg)
{
	const int t = (int)(intptr_t)arg;
	void *own[OBJECTS];

	for (int round = 0; round < ROUNDS; round++) {
		run_on_node(cpus.id[(t + round) % cpus.nr]);
		fill(held[t], OBJECTS, t + round);
		pthread_barrier_wait(&all);
		/* The neighbour is on another node, if there is one. */
		drop(held[(t + 1) % nr_threads], OBJECTS);
		fill(own, OBJECTS / 2, t);
		pthread_barrier_wait(&all);
		run_on_node(cpus.id[(t + round + 1) % cpus.nr]);
		drop(own, OBJECTS / 2);
		fill(own, OBJECTS, round);
		drop(own, OBJECTS);
	}
	return NULL;
}

static void threads_stay_at_home(void)
{
	pthread_t thread[THREADS_MAX];

	alarm(LONG_SECONDS);
	cpus = nodes_with_cpus();
	nr_threads = THREADS_NODE * cpus.nr;
	for (int i = 0; i < cpus.nr; i++)
		for (int node = 0; node < NODES_MAX; node++)
			if (is_nearest(cpus.id[i], node))
				homes[cpus.id[i]] |= (uint64_t)1 << node;
	CHECK(!pthread_barrier_init(&all, NULL, (unsigned)nr_threads));
	for (int t = 0; t < nr_threads; t++)
		CHECK(!pthread_create(&thread[t], NULL, work,
				      (void *)(intptr_t)t));
	for (int t = 0; t < nr_threads; t++)
		CHECK(!pthread_join(thread[t], NULL));
	CHECK(nr_pages > (long)nr_threads * ROUNDS * OBJECTS);
	CHECK_EQ(nr_elsewhere, 0);
}

static void *by_kmalloc(size_t size)
{
	return kmalloc(size, GFP_KERNEL);
}

static void by_kfree(void *p)
{
	kfree(p);
}

static void *by_kvmalloc(size_t size)
{
	return kvmalloc(size, GFP_KERNEL);
}

static void by_kvfree(void *p)
{
	kvfree(p);
}

static void kmalloc_stays_at_home(void)
{
	get = by_kmalloc;
	put = by_kfree;
	threads_stay_at_home();
	heap_verify();
	CHECK_EQ(stat_of("numa_miss"), 0);
}

static void kvmalloc_stays_at_home(void)
{
	get = by_kvmalloc;
	put = by_kvfree;
	threads_stay_at_home();
	heap_verify();
}

static void kmalloc_in_huge_pages_stays_at_home(void)
{
	conf("huge_after", "0");
	kmalloc_stays_at_home();
}

/* malloc(3), which must be that of the preload library. */
static int main_of_preload(void)
{
	int (*node_of)(const void *p) =
		(int (*)(const void *))dlsym(RTLD_DEFAULT, "knuma_node_of");
	void *p = malloc(100);

	CHECK(node_of && node_of(p) >= 0);
	free(p);
	get = malloc;
	put = free;
	threads_stay_at_home();
	return 0;
}

static void preloaded(char *setting)
{
	char *argv[] = {"home_test", "--malloc", NULL};
	char *envp[] = {"LD_PRELOAD=./libknuma_malloc.so.0", setting, NULL};
	int status;
	pid_t pid;

	alarm(LONG_SECONDS);
	CHECK(!access("libknuma_malloc.so.0", R_OK));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		execve("/proc/self/exe", argv, envp);
		_exit(127);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void malloc_stays_at_home(void)
{
	preloaded("KNUMA_STRICT=yes");
}

static void malloc_in_huge_pages_stays_at_home(void)
{
	preloaded("KNUMA_HUGE_AFTER=0");
}

static void malloc_without_rseq_stays_at_home(void)
{
	preloaded("GLIBC_TUNABLES=glibc.pthread.rseq=0");
}

static const char *thp_before;

/* The strictest mode: every fault may be one of a huge page. */
static int thp_always(void **state)
{
	(void)state;
	thp_before = thp_mode("always");
	return 0;
}

static int thp_restore(void **state)
{
	(void)state;
	thp_mode(thp_before);
	return 0;
}

#define child_test_thp(f)                                              \
	{                                                              \
#f, child_cmocka, thp_always, thp_restore, (void *)(f) \
	}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		child_test(kmalloc_stays_at_home),
		child_test(kvmalloc_stays_at_home),
		child_test(malloc_stays_at_home),
		child_test(malloc_without_rseq_stays_at_home),
		child_test_thp(kmalloc_in_huge_pages_stays_at_home),
		child_test_thp(malloc_in_huge_pages_stays_at_home),
	};

	if (argc == 2 && !strcmp(argv[1], "--malloc"))
		return main_of_preload();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

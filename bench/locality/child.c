/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/locality/child.c - the threads, under one allocator
 *
 * What is counted comes from malloc; the arrays that this file needs come from
 * mmap, so that they do not mix with it.  Threads wait for each other between
 * phases: nobody frees what is being counted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/locality/locality.h"

enum {
	THREADS_MAX = 1024,
	ASK = 1024 /* pages that one move_pages is asked about */
};

/* Sizes that every allocator serves from memory that it reuses. */
static const size_t sizes[] = {64, 128, 256, 512, 1024, 2048, 4096, 16384};

struct home {
	int node;
	struct kn_ids cpus;
};

struct worker {
	pthread_t thread;
	unsigned home;	       /* index of its node */
	struct worker *before; /* frees what that one has allocated */
	void **object;
	void **page;
	unsigned nr_objects;
	struct kn_locality count;
};

static struct home homes[KN_NODES_MAX];
static struct worker workers[THREADS_MAX];
static unsigned nr_homes, nr_workers, nr_slots, nr_page_slots;
static size_t page_bytes, bytes_each;
static pthread_barrier_t barrier;

__attribute__((cold, noreturn)) static void give_up(const char *what, int error)
{
	fprintf(stderr, "knuma bench: %s: %s\n", what, strerror(error));
	_exit(1);
}

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		give_up("no memory for the list of objects", errno);
	return p;
}

static char *first_page(const void *p)
{
	return (char *)((uintptr_t)p & ~(page_bytes - 1));
}

/* Allocates until it has enough, and notes the pages it wrote to. */
static unsigned fill(struct worker *w)
{
	unsigned nr_pages = 0;
	size_t done = 0;

	for (w->nr_objects = 0; done < bytes_each; w->nr_objects++) {
		const size_t size =
			sizes[w->nr_objects % (sizeof(sizes) / sizeof(*sizes))];
		char *p = malloc(size);

		if (!p)
			give_up("malloc", ENOMEM);
		memset(p, 1, size);
		w->object[w->nr_objects] = p;
		for (char *page = first_page(p); page < p + size;
		     page += page_bytes)
			w->page[nr_pages++] = page;
		done += size;
	}
	return nr_pages;
}

static void drain(const struct worker *w)
{
	for (unsigned i = 0; i < w->nr_objects; i++)
		free(w->object[i]);
}

static int compare(const void *a, const void *b)
{
	const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

/* Sorts; objects share pages. */
static unsigned unique(void **page, unsigned n)
{
	unsigned kept = 0;

	qsort(page, n, sizeof(page[0]), compare);
	for (unsigned i = 0; i < n; i++)
		if (!kept || page[i] != page[kept - 1])
			page[kept++] = page[i];
	return kept;
}

static void count(struct worker *w, enum kn_phase phase, unsigned nr_pages,
		  int node)
{
	const unsigned n = unique(w->page, nr_pages);
	int status[ASK];

	for (unsigned i = 0; i < n; i += ASK) {
		const unsigned part = n - i < ASK ? n - i : ASK;

		if (syscall(SYS_move_pages, 0, (unsigned long)part, w->page + i,
			    NULL, status, 0) < 0)
			give_up("move_pages", errno);
		for (unsigned k = 0; k < part; k++) {
			if (status[k] < 0)
				give_up("a page has no node", -status[k]);
			w->count.pages[phase]++;
			w->count.off_node[phase] += status[k] != node;
		}
	}
}

/* From here on the thread runs on its @home-th node. */
static void move(unsigned home)
{
	if (!kn_ids_bind(&homes[home].cpus))
		give_up("no CPU of the node to run on", errno);
}

static void fill_and_count(struct worker *w, enum kn_phase phase, unsigned home)
{
	count(w, phase, fill(w), homes[home].node);
	pthread_barrier_wait(&barrier);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	const unsigned next = (w->home + 1) % nr_homes;

	move(w->home);
	pthread_barrier_wait(&barrier);
	fill_and_count(w, KN_PHASE_first, w->home);
	drain(w->before);
	pthread_barrier_wait(&barrier);
	fill_and_count(w, KN_PHASE_freed, w->home);
	drain(w);
	move(next);
	fill_and_count(w, KN_PHASE_moved, next);
	return NULL;
}

/* "NODE:CPUS" */
static bool parse_home(const char *text)
{
	struct home *h = &homes[nr_homes];
	char *end;

	if (nr_homes == KN_NODES_MAX)
		return false;
	h->node = (int)strtol(text, &end, 10);
	nr_homes++;
	return *end == ':' && kn_ids_parse(&h->cpus, end + 1);
}

static void start(unsigned threads)
{
	for (unsigned i = 0; i < nr_workers; i++) {
		struct worker *w = &workers[i];

		w->home = i / threads;
		w->before = &workers[(i + nr_workers - threads) % nr_workers];
		w->object = map(nr_slots * sizeof(void *));
		w->page = map(nr_page_slots * sizeof(void *));
	}
	pthread_barrier_init(&barrier, NULL, nr_workers);
	for (unsigned i = 0; i < nr_workers; i++) {
		const int error = pthread_create(&workers[i].thread, NULL, work,
						 &workers[i]);

		if (error)
			give_up("no more threads", error);
	}
}

/* Slots for the smallest sizes, and for objects that lie across pages. */
static void set_sizes(unsigned kib)
{
	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	bytes_each = (size_t)kib << 10;
	nr_slots = (unsigned)(bytes_each / sizes[0]) + 1;
	nr_page_slots = 2 * nr_slots + (unsigned)(bytes_each / page_bytes) + 16;
}

int kn_locality_child(int argc, char **argv)
{
	const unsigned threads = argc > 2 ? (unsigned)atoi(argv[0]) : 0;
	struct kn_locality sum = {0};

	for (int i = 2; i < argc; i++)
		if (!parse_home(argv[i]))
			return EXIT_USAGE;
	nr_workers = threads * nr_homes;
	if (!nr_workers || nr_workers > THREADS_MAX)
		return EXIT_USAGE;
	set_sizes((unsigned)atoi(argv[1]));
	start(threads);
	for (unsigned i = 0; i < nr_workers; i++) {
		pthread_join(workers[i].thread, NULL);
		for (int k = 0; k < KN_NR_PHASES; k++) {
			sum.pages[k] += workers[i].count.pages[k];
			sum.off_node[k] += workers[i].count.off_node[k];
		}
	}
	return fwrite(&sum, sizeof(sum), 1, stdout) == 1 ? EXIT_DONE :
							   EXIT_FAILED;
}

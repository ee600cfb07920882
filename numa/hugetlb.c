/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "numa/hugetlb.h"

#include <errno.h>
#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"
#include "numa/span.h"
#include "numa/sysfs.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define FREE_PAGES	  "hugepages/hugepages-2048kB/free_hugepages"

/* By its size: the system's default may be another one. */
#define MAP_HUGE_OF_2_MIB (MAP_HUGETLB | 21 << 26)

/* Pages in one call: arrays on the stack, and others wait for the growth. */
#define TAKE_MOST	  64

/* One thread at a time grows a node. */
static struct pool {
	uint64_t bytes;	     /* taken */
	uint64_t refused_at; /* pages it had free when it gave too few */
	uintptr_t torn;	     /* not mended yet: start, */
	size_t torn_len;     /* length or 0 */
} pools[KN_MAX_NODES];

static bool stopped;

uint64_t kn_hugetlb_free(int node)
{
	const int id = kn_topo.kernel_id[node];
	const char *at;
	uint64_t pages;
	char text[32];

	if (kn_load(&stopped))
		return 0;
	if (kn_span.bind_wanted && !(kn_load(&kn_span.bound) >> node & 1)) {
		kn_warn_once("hugetlb: memory of node %d cannot be bound to it "
			     "(mbind(2)): reserved huge pages are not used",
			     id);
		return 0;
	}
	at = text;
	if (kn_sysfs_read_node(id, FREE_PAGES, text, sizeof(text)) < 0 ||
	    !kn_sysfs_next_number(&at, &pages)) {
		kn_warn_once("hugetlb: node %d has no readable " FREE_PAGES
			     ": ordinary memory serves",
			     id);
		return 0;
	}
	return pages == kn_load(&pools[node].refused_at) ? 0 : pages;
}

/* Leading pages of @n from @addr on that are in memory and on @node. */
static size_t pages_at_home(int node, uintptr_t addr, size_t n)
{
	void *pages[TAKE_MOST];
	int status[TAKE_MOST];
	size_t home = 0;
	int err;

	for (size_t i = 0; i < n; i++) {
		pages[i] = (void *)(addr + i * KN_HUGE_SIZE);
		status[i] = -ENOENT;
	}
	err = kn_page_nodes(n, pages, status);
	if (err < 0) {
		kn_warn_once("hugetlb: the system does not tell where pages "
			     "are (move_pages(2), error %d): reserved huge "
			     "pages are not used",
			     -err);
		return 0;
	}
	while (home < n && status[home] == kn_topo.kernel_id[node])
		home++;
	return home;
}

/* How many of @n pages can be had at @addr.  What is mapped there is not safe. */
static size_t map_and_fault(int node, uintptr_t addr, size_t n)
{
	const size_t len = n * KN_HUGE_SIZE;
	void *at = kn_machine.mmap((void *)addr, len, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
					   MAP_HUGE_OF_2_MIB);

	if (kn_is_err(at))
		return 0;
	if (kn_span.bind_wanted &&
	    kn_machine.mbind_preferred(at, len, kn_topo.kernel_id[node])) {
		kn_stat_inc(KN_STAT_bind_failed);
		return 0;
	}
	/*
	 * Its answer is of no interest: when others were faster, some pages are
	 * there and some are not.
	 */
	(void)kn_machine.madvise(at, len, MADV_POPULATE_WRITE);
	return pages_at_home(node, addr, n);
}

/* What is left of an earlier call that failed. */
static int mend(struct pool *p)
{
	const int err =
		p->torn_len ? kn_span_put_ordinary(p->torn, p->torn_len) : 0;

	if (!err)
		p->torn_len = 0;
	return err;
}

/* @n pages at @addr that are mapped and may not be there. */
static int give_back(struct pool *p, uintptr_t addr, size_t n)
{
	p->torn = addr;
	p->torn_len = n * KN_HUGE_SIZE;
	return mend(p);
}

int kn_hugetlb_take(int node, uintptr_t addr, size_t len, size_t *taken)
{
	struct pool *p = &pools[node];
	const int err = mend(p);
	uint64_t had;
	size_t n, got;

	*taken = 0;
	if (err)
		return err;
	had = kn_hugetlb_free(node);
	n = (size_t)KN_MIN(had, (uint64_t)KN_MIN(len / KN_HUGE_SIZE,
						 (size_t)TAKE_MOST));
	if (!n)
		return 0;
	got = map_and_fault(node, addr, n);
	if (got < n) {
		kn_stat_add(KN_STAT_hugetlb_refused, n - got);
		kn_store(&p->refused_at, had - got);
		if (give_back(p, addr + got * KN_HUGE_SIZE, n - got)) {
			/* All of it is mended: a range is one, or none. */
			p->torn = addr;
			p->torn_len = n * KN_HUGE_SIZE;
			return -ENOMEM;
		}
	}
	*taken = got * KN_HUGE_SIZE;
	kn_store(&p->bytes, p->bytes + *taken);
	return 0;
}

uint64_t kn_hugetlb_bytes(void)
{
	uint64_t bytes = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		bytes += kn_load(&pools[node].bytes);
	return bytes;
}

void kn_hugetlb_after_fork_parent(void)
{
	if (unlikely(kn_hugetlb_bytes()))
		kn_warn_once(
			"hugetlb: this process forks: while the pool is "
			"empty, a child that writes to memory of the heap, "
			"or reads what its parent wrote since, is ended by "
			"SIGBUS; see knuma.conf(5)");
}

void kn_hugetlb_after_fork_child(void)
{
	if (kn_hugetlb_bytes())
		kn_store(&stopped, true);
}

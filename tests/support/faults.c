/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/faults.h"

#include "alloc/base/atomic.h"
#include "numa/machine.h"

static struct kn_machine real;

static struct {
	uint64_t calls; /* made so far */
	uint64_t first; /* number of the first to fail; 0: none */
	uint64_t last;
	int err;
} plan[FAULT_CALLS + 1];

static int refused_advice = -1, refused_err;
static uint64_t nr_failed;

const char *fault_name(enum fault_call call)
{
	static const char *const name[] = {
		"mmap",	      "munmap",	 "mprotect",   "madvise",
		"mlock",      "mremap",	 "mbind",      "membarrier",
		"read_file",  "mincore", "interleave", "page_nodes",
		"move_pages", "watch",	 "any call",
	};

	return name[call];
}

/* Counts one call of a kind; 0, or the -Exxx that it ends with. */
static int count(int call)
{
	const uint64_t n =
		__atomic_add_fetch(&plan[call].calls, 1, __ATOMIC_RELAXED);
	const bool fails = plan[call].first && n >= plan[call].first &&
			   n <= plan[call].last;

	if (fails)
		__atomic_add_fetch(&nr_failed, 1, __ATOMIC_RELAXED);
	return fails ? -plan[call].err : 0;
}

static int next(enum fault_call call)
{
	const int any = count(FAULT_ANY), one = count(call);

	return any ? any : one;
}

static void *fault_mmap(void *addr, size_t len, int prot, int flags)
{
	const int err = next(FAULT_MMAP);

	return err ? (void *)(intptr_t)err : real.mmap(addr, len, prot, flags);
}

static int fault_munmap(void *addr, size_t len)
{
	const int err = next(FAULT_MUNMAP);

	return err ? err : real.munmap(addr, len);
}

static int fault_mprotect(void *addr, size_t len, int prot)
{
	const int err = next(FAULT_MPROTECT);

	return err ? err : real.mprotect(addr, len, prot);
}

static int fault_madvise(void *addr, size_t len, int advice)
{
	const int err = next(FAULT_MADVISE);

	if (advice == refused_advice)
		return -refused_err;
	return err ? err : real.madvise(addr, len, advice);
}

static int fault_mlock(void *addr, size_t len)
{
	const int err = next(FAULT_MLOCK);

	return err ? err : real.mlock(addr, len);
}

static void *fault_mremap(void *from, size_t old_len, size_t new_len, int flags,
			  void *to)
{
	const int err = next(FAULT_MREMAP);

	return err ? (void *)(intptr_t)err :
		     real.mremap(from, old_len, new_len, flags, to);
}

static int fault_mbind(void *addr, size_t len, int node)
{
	const int err = next(FAULT_MBIND);

	return err ? err : real.mbind_preferred(addr, len, node);
}

static int fault_membarrier(int cmd)
{
	const int err = next(FAULT_MEMBARRIER);

	return err ? err : real.membarrier(cmd);
}

static ssize_t fault_read_file(const char *path, char *buf, size_t len)
{
	const int err = next(FAULT_READ_FILE);

	return err ? err : real.read_file(path, buf, len);
}

static int fault_mincore(void *addr, size_t len, unsigned char *in_memory)
{
	const int err = next(FAULT_MINCORE);

	return err ? err : real.mincore(addr, len, in_memory);
}

static int fault_interleave(void *addr, size_t len, const unsigned long *nodes)
{
	const int err = next(FAULT_INTERLEAVE);

	return err ? err : real.mbind_interleave(addr, len, nodes);
}

static int fault_page_nodes(size_t n, void **pages, int *status)
{
	const int err = next(FAULT_PAGE_NODES);

	return err ? err : real.page_nodes(n, pages, status);
}

static int fault_move_pages(size_t n, void **pages, const int *nodes,
			    int *status)
{
	const int err = next(FAULT_MOVE_PAGES);

	return err ? err : real.move_pages(n, pages, nodes, status);
}

static int fault_watch(const char *path, const char *trigger,
		       struct kn_watch *w)
{
	const int err = next(FAULT_WATCH);

	return err ? err : real.watch(path, trigger, w);
}

void faults_install(void)
{
	real = kn_machine;
	kn_machine.mmap = fault_mmap;
	kn_machine.munmap = fault_munmap;
	kn_machine.mprotect = fault_mprotect;
	kn_machine.madvise = fault_madvise;
	kn_machine.mlock = fault_mlock;
	kn_machine.mremap = fault_mremap;
	kn_machine.mbind_preferred = fault_mbind;
	kn_machine.membarrier = fault_membarrier;
	kn_machine.read_file = fault_read_file;
	kn_machine.mincore = fault_mincore;
	kn_machine.mbind_interleave = fault_interleave;
	kn_machine.page_nodes = fault_page_nodes;
	kn_machine.move_pages = fault_move_pages;
	kn_machine.watch = fault_watch;
}

uint64_t faults_calls(enum fault_call call)
{
	return kn_load(&plan[call].calls);
}

void faults_fail(enum fault_call call, uint64_t nth, uint64_t times, int err)
{
	plan[call].err = err;
	plan[call].first = nth ? plan[call].calls + nth : 0;
	plan[call].last = times > UINT64_MAX - plan[call].first ?
				  UINT64_MAX :
				  plan[call].first + times - 1;
}

void faults_refuse_advice(int advice, int err)
{
	refused_advice = advice;
	refused_err = err;
}

uint64_t faults_failed(void)
{
	return kn_load(&nr_failed);
}

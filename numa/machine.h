/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/machine.h - every call that touches the machine, in one table
 *
 * All memory system calls, the CPU and node queries and the reads of sysfs and
 * procfs go through kn_machine, so that a test can fail the n-th of them,
 * refuse some, or pretend another machine.  Entries return a result or -Exxx
 * and leave errno alone.
 */
#ifndef KN_NUMA_MACHINE_H
#define KN_NUMA_MACHINE_H

#include <sys/types.h>

#include "alloc/base/atomic.h"
#include "alloc/base/compiler.h"

/* Words of a mask of kernel node ids. */
#define KN_MACHINE_MASK (1024 / (8 * sizeof(long)))

/*
 * A file that the kernel is asked to watch.  The descriptor is the program's to
 * close by mistake, as all are, and its number then is another file's.
 */
struct kn_watch {
	int fd;
	uint64_t dev, ino;
};

struct kn_machine {
	/* The address, or -Exxx as a pointer: test with kn_is_err(). */
	void *(*mmap)(void *addr, size_t len, int prot, int flags);
	int (*munmap)(void *addr, size_t len);
	int (*mprotect)(void *addr, size_t len, int prot);
	int (*madvise)(void *addr, size_t len, int advice);
	int (*mlock)(void *addr, size_t len);	/* pages as they are faulted */
	/* Bit 0 of in_memory[i]: page i is. */
	int (*mincore)(void *addr, size_t len, unsigned char *in_memory);
	void *(*mremap)(void *from, size_t old_len, size_t new_len, int flags,
			void *to);
	/*
	 * @node: a kernel node id.  The policy is MPOL_PREFERRED, static: the
	 * kernel does not put another node in its place when cpusets change.
	 */
	int (*mbind_preferred)(void *addr, size_t len, int node);
	/* @nodes: kernel ids, a bit each, KN_MACHINE_MASK words; MPOL_INTERLEAVE. */
	int (*mbind_interleave)(void *addr, size_t len,
				const unsigned long *nodes);
	/* status[i] becomes the node of pages[i], or -Exxx. */
	int (*page_nodes)(size_t n, void **pages, int *status);
	/*
	 * Moves pages[i] to nodes[i]; status[i] as above.  What cannot be moved
	 * stays where it is.  Pages, or -Exxx and some may have been moved.
	 */
	int (*move_pages)(size_t n, void **pages, const int *nodes,
			  int *status);
	int (*membarrier)(int cmd);
	int (*getcpu)(void);
	uint64_t (*total_ram)(void);
	/* Bytes: RLIMIT_AS and RLIMIT_DATA; UINT64_MAX: no limit. */
	uint64_t (*address_limit)(void);
	uint64_t (*data_limit)(void);
	size_t (*page_size)(void);
	/* Bytes read of @path, at most @len - 1, always terminated. */
	ssize_t (*read_file)(const char *path, char *buf, size_t len);
	/* Opens @path and asks for @trigger, of PSI.  0, or -Exxx. */
	int (*watch)(const char *path, const char *trigger, struct kn_watch *w);
	/*
	 * Sleeps until @w (or NULL) fires, or @ms are over.  1, 0, or -Exxx when
	 * @w is no more or the system refuses to wait.
	 */
	int (*wait)(const struct kn_watch *w, int ms);
	void (*unwatch)(struct kn_watch *w);
	/* Gives the memory a name in smaps; failure is of no interest. */
	void (*name)(void *addr, size_t len, const char *name);
	const char *sysfs;	/* "/sys/devices/system" */
	const char *procfs;	/* "/proc" */
};

extern struct kn_machine kn_machine;

/* kn_machine.page_nodes(); acquire, pairs with the release in load_libnuma(). */
static inline int kn_page_nodes(size_t n, void **pages, int *status)
{
	return kn_load_acquire(&kn_machine.page_nodes)(n, pages, status);
}

static inline bool kn_is_err(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)-4095;
}

static inline int kn_ptr_err(const void *p)
{
	return (int)(intptr_t)p;
}

#endif

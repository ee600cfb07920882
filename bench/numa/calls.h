/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/numa/calls.h - memory of a node from knuma, libnuma and memkind
 *
 * libnuma is told to prefer nodes rather than to bind to them
 * (numa_set_bind_policy), as knuma does: bound memory of a full node ends the
 * process.  memkind has no call that names a node; its way is a kind over a
 * range of the caller's (memkind_create_fixed), which libnuma places.
 */
#ifndef KN_BENCH_NUMA_CALLS_H
#define KN_BENCH_NUMA_CALLS_H

#include <stddef.h>

#include "bench/numa/matrix.h"

struct kn_node_calls {
	/*
	 * Opens @library: memory is of node @node, that of fill() of @home.
	 * @bytes: of the largest buffer.  Returns NULL, or what is missing.
	 */
	const char *(*open)(const char *library, int node, int home,
			    size_t bytes);
	/* For KN_KIND_PAIR: get, write and free, n times. */
	void (*pairs[KN_NR_MEASURES])(unsigned n);
	/* For KN_KIND_REMOTE: n objects, and their free. */
	void (*fill)(void **p, unsigned n);
	void (*drain)(void **p, unsigned n);
	/* For the others; never freed. */
	void *(*buffer)(size_t bytes);
};

/* By enum kn_calls; those without memory of a node are empty. */
extern const struct kn_node_calls kn_node_calls[KN_NR_CALLS];

#endif

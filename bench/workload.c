/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workload.h"

#include <string.h>

#define MALLOC	(1u << KN_CALLS_malloc)
#define MALLOCS (MALLOC | 1u << KN_CALLS_kmalloc)
#define RCU                                                   \
	(1u << KN_CALLS_kfree_rcu | 1u << KN_CALLS_call_rcu | \
	 1u << KN_CALLS_kmalloc)
#define OTHERS	(1u << KN_CALLS_kmalloc_node | 1u << KN_CALLS_kmalloc)
#define NODES	(OTHERS | 1u << KN_CALLS_numa | 1u << KN_CALLS_memkind)
#define PAGES	(1u << KN_CALLS_pages)
#define VMALLOC (1u << KN_CALLS_vmalloc)
#define BULK	(1u << KN_CALLS_bulk)

/* clang-format off */
enum { singles, crowds };

const struct kn_loop_traits kn_loop_traits[KN_NR_LOOPS] = {
	{"none", false, 0, KN_TEXT_SHOWN},
#define LOOP(name, file, rests, text)	\
	{#name, file == crowds, rests, KN_TEXT_##text},
#include "bench/loops.def"
#undef LOOP
};

const struct kn_workload kn_workloads[] = {
#define WORKLOAD(name, measure, loop, who, size, n, chunk, repeat, cpus, set, \
		 base, unit, help)					\
	{name, kn_measure_##measure, KN_LOOP_##loop, who, size, n, chunk,	\
	 repeat, cpus, KN_SET_##set, base, KN_UNIT_##unit, help},
#include "bench/workloads.def"
#undef WORKLOAD
};

#define WORKLOAD(name, measure, loop, who, size, n, chunk, repeat, cpus, set, \
		 base, unit, help)					\
	_Static_assert(KN_LOOP_##loop != KN_LOOP_threads || (n) <= KN_WAVE_MAX, \
		       name ": too many threads");			\
	_Static_assert(KN_LOOP_##loop != KN_LOOP_pipe ||		\
			       (chunk) % (KN_PARCEL * KN_QUICK) == 0,	\
		       name ": no whole number of parcels");
#include "bench/workloads.def"
#undef WORKLOAD
/* clang-format on */

const unsigned kn_nr_workloads = sizeof(kn_workloads) / sizeof(kn_workloads[0]);

const struct kn_workload *kn_workload_find(const char *name)
{
	for (unsigned i = 0; i < kn_nr_workloads; i++)
		if (!strcmp(kn_workloads[i].name, name))
			return &kn_workloads[i];
	return NULL;
}

bool kn_workload_has(const struct kn_workload *w, const struct kn_peer *peer)
{
	return peer->path && w->who & 1u << peer->calls;
}

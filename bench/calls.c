/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/calls.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct kn_api kn_api;

void kn_give_up(const char *what)
{
	/* In place of a sample. */
	fputs(what, stdout);
	fflush(stdout);
	_exit(1);
}

void *kn_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		kn_give_up("no memory for the list of objects");
	return p;
}

/* The functions of knuma's library, and where each goes. */
static const struct {
	const char *name;
	void *slot;
} knuma_functions[] = {
	{"knuma_kmalloc", &kn_api.kmalloc},
	{"knuma_kmalloc_node", &kn_api.kmalloc_node},
	{"knuma_krealloc", &kn_api.krealloc},
	{"knuma_kfree", &kn_api.kfree},
	{"knuma_alloc_pages", &kn_api.alloc_pages},
	{"knuma___free_pages", &kn_api.free_pages},
	{"knuma_vmalloc", &kn_api.vmalloc},
	{"knuma_vfree", &kn_api.vfree},
	{"knuma___kmem_cache_create_5", &kn_api.cache_create},
	{"knuma_kmem_cache_alloc_bulk", &kn_api.alloc_bulk},
	{"knuma_kmem_cache_free_bulk", &kn_api.free_bulk},
	{"knuma_numa_node_id", &kn_api.numa_node_id},
	{"knuma_next_node", &kn_api.next_node},
};

static const char *find_knuma(void *library)
{
	static char missing[64];

	for (size_t i = 0;
	     i < sizeof(knuma_functions) / sizeof(knuma_functions[0]); i++) {
		void *at = dlsym(library, knuma_functions[i].name);

		if (!at) {
			snprintf(missing, sizeof(missing),
				 "the library lacks %s",
				 knuma_functions[i].name);
			return missing;
		}
		*(void **)knuma_functions[i].slot = at;
	}
	/* The first call starts the heap, as malloc has done by now. */
	kn_api.kfree(kn_api.kmalloc(1, GFP_KERNEL));
	return NULL;
}

/* liburcu's flavour memb, which is opened, never linked. */
static void *open_urcu(void)
{
	return dlopen("liburcu-memb.so.8", RTLD_NOW);
}

static const char *find_kfree_rcu(void *library)
{
	void *urcu = open_urcu();

	if (!urcu)
		return dlerror();
	kn_api.flavor = dlsym(urcu, "urcu_memb_flavor");
	*(void **)&kn_api.kfree_rcu =
		dlsym(library, "knuma_kvfree_call_rcu_flavor");
	*(void **)&kn_api.kfree_rcu_barrier =
		dlsym(library, "knuma_kvfree_rcu_barrier");
	if (!kn_api.flavor || !kn_api.kfree_rcu || !kn_api.kfree_rcu_barrier)
		return "the libraries lack kfree_rcu or a flavour";
	return find_knuma(library);
}

static const char *find_call_rcu(void)
{
	void *urcu = open_urcu();

	if (!urcu)
		return dlerror();
	*(void **)&kn_api.call_rcu = dlsym(urcu, "urcu_memb_call_rcu");
	*(void **)&kn_api.rcu_barrier = dlsym(urcu, "urcu_memb_barrier");
	*(void **)&kn_api.register_thread =
		dlsym(urcu, "urcu_memb_register_thread");
	*(void **)&kn_api.unregister_thread =
		dlsym(urcu, "urcu_memb_unregister_thread");
	if (!kn_api.call_rcu || !kn_api.rcu_barrier ||
	    !kn_api.register_thread || !kn_api.unregister_thread)
		return "liburcu lacks call_rcu";
	/* The caller of rcu_barrier() is registered, too. */
	kn_api.register_thread();
	return NULL;
}

static const char *find_numa(void *library)
{
	*(void **)&kn_api.numa_available = dlsym(library, "numa_available");
	*(void **)&kn_api.numa_alloc_onnode =
		dlsym(library, "numa_alloc_onnode");
	*(void **)&kn_api.numa_free = dlsym(library, "numa_free");
	*(void **)&kn_api.numa_set_bind_policy =
		dlsym(library, "numa_set_bind_policy");
	if (!kn_api.numa_available || !kn_api.numa_set_bind_policy ||
	    !kn_api.numa_alloc_onnode || !kn_api.numa_free)
		return "the library lacks numa_alloc_onnode";
	if (kn_api.numa_available() < 0)
		return "this system has no NUMA calls";
	/* Prefer the node: bound memory of a full node ends the process. */
	kn_api.numa_set_bind_policy(0);
	return NULL;
}

static const char *find_memkind(void *library)
{
	void **kind = dlsym(library, "MEMKIND_REGULAR");

	*(void **)&kn_api.memkind_malloc = dlsym(library, "memkind_malloc");
	*(void **)&kn_api.memkind_free = dlsym(library, "memkind_free");
	if (!kind || !kn_api.memkind_malloc || !kn_api.memkind_free)
		return "the library lacks memkind_malloc";
	kn_api.kind = *kind;
	return NULL;
}

void kn_calls_other_node(void)
{
	const int own = kn_api.numa_node_id();
	int node = kn_api.next_node(-1);

	if (node == own)
		node = kn_api.next_node(node);
	if (node < 0)
		kn_give_up("there is no other node");
	kn_api.node = node;
}

void kn_calls_counts(struct kn_counts *counts)
{
	const char *name;

	memset(counts, 0, sizeof(*counts));
	if (!kn_api.counts)
		return;
	while (counts->nr < KN_COUNTS_MAX &&
	       (name = kn_api.counts(counts->nr, &counts->value[counts->nr]))) {
		snprintf(counts->name[counts->nr], KN_COUNT_NAME, "%s", name);
		counts->nr++;
	}
}

const char *kn_calls_open(enum kn_calls calls, const char *library)
{
	unsigned cpu, node = 0;
	void *handle;

	*(void **)&kn_api.counts = dlsym(RTLD_DEFAULT, "knuma_counts");
	if (calls == KN_CALLS_malloc)
		return NULL;
	if (calls == KN_CALLS_call_rcu)
		return find_call_rcu();
	getcpu(&cpu, &node);
	kn_api.node = (int)node;
	handle = dlopen(library, RTLD_NOW);
	if (!handle)
		return dlerror();
	*(void **)&kn_api.counts = dlsym(handle, "knuma_counts");
	if (calls == KN_CALLS_kfree_rcu)
		return find_kfree_rcu(handle);
	if (calls == KN_CALLS_memkind)
		return find_memkind(handle);
	return calls == KN_CALLS_numa ? find_numa(handle) : find_knuma(handle);
}

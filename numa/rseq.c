/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "numa/rseq.h"

#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/rseq.h>

#include "numa/machine.h"
#include "numa/span.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
/* Offsets of struct rseq, which glibc 2.36 declares up to flags only. */
#define RSEQ_CPU_ID 4
#define RSEQ_MM_CID 24
#define RSEQ_MM_CID_END 28

char *kn_banks[KN_MAX_CPUS];
uint32_t kn_cpu_place[KN_MAX_CPUS];
struct kn_hot kn_hot = {
	.banks = kn_banks,
	.cpu_place = kn_cpu_place,
	.base = KN_NOWHERE,
};

/* The same for the preload library, see numa/hot.h. */
extern struct kn_hot knuma_hot_1 __attribute__((alias("kn_hot"))) __attribute__((visibility("default")));

uint32_t kn_node_place[KN_MAX_NODE_IDS];

void kn_places_update(void)
{
	uint32_t place[KN_MAX_NODE_IDS];

	for (int id = 0; id < KN_MAX_NODE_IDS; id++)
		place[id] = KN_NO_PLACE;
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		if (kn_node_usable(node))
			place[kn_topo.kernel_id[node]] = kn_mag_place(node, 0);
	for (int id = 0; id < KN_MAX_NODE_IDS; id++)
		kn_store(&kn_node_place[id], place[id]);
	for (int cpu = 0; cpu < kn_topo.nr_cpus; cpu++)
		kn_store(&kn_cpu_place[cpu],
			 kn_mag_place(kn_load(&kn_cpu_node[cpu]), 0));
}

#if defined(__x86_64__)

static uint32_t rseq_word(intptr_t offset)
{
	return *(volatile uint32_t *)((char *)__builtin_thread_pointer() + offset);
}

/*
 * Runs every section once on a region of its own and compares what it did with
 * what it should do.  An abort is legal at any moment and tried again.
 */
static bool self_test(void)
{
	static struct kn_magazine mag;
	void *in[3] = { &in[0], &in[1], &in[2] }, *out[3] = { 0 };
	const int cid = kn_rseq_cid();
	int nr = 0;
	bool ok = false;
	void *obj = NULL;

	if (cid < 0 || cid >= KN_MAX_CPUS)
		return false;
	mag.cur = 0;
	mag.beg = 0;
	mag.end = 3;
	/* Whatever number the thread gets while it runs, it meets @mag. */
	for (; nr < KN_MAX_CPUS && nr <= cid + 64; nr++)
		kn_banks[nr] = (char *)&mag;
	for (int tries = 0; !ok && tries < 100; tries++) {
		mag.cur = 0;
		if (kn_rseq_push_batch(&kn_hot, 0, in, 2) != KN_RSEQ_DONE)
			continue;
		if (kn_rseq_push(&kn_hot, 0, in[2]) != KN_RSEQ_DONE)
			continue;
		if (kn_rseq_push(&kn_hot, 0, in[0]) != KN_RSEQ_DECLINED)
			continue;
		obj = kn_rseq_pop_node(&kn_hot, 0);
		ok = obj == in[2] &&
		     kn_rseq_pop_batch(&kn_hot, 0, out, 3) == 2 &&
		     out[0] == in[0] && out[1] == in[1] &&
		     !kn_rseq_pop_node(&kn_hot, 0) && mag.cur == 3ull << 16;
	}
	while (nr--)
		kn_banks[nr] = NULL;
	return ok;
}

/* What a thread without rseq has: sections that look here decline. */
static kn_tls struct {
	uint32_t cpu_id_start;
	int32_t cpu_id;		/* and the number of magazines */
	uint64_t rseq_cs;	/* stored by sections before they look */
} unregistered __attribute__((aligned(32))) = { .cpu_id = -1 };
KN_STATIC_ASSERT(offsetof(__typeof__(unregistered), cpu_id) == RSEQ_CPU_ID,
		 "laid out as struct rseq");

static const char *find_rseq(bool wanted)
{
	kn_hot.rseq_off = (int32_t)__rseq_offset;
	kn_hot.cid_off = kn_hot.rseq_off + RSEQ_CPU_ID;
	if (!wanted)
		return "switched off by the tunable rseq";
	if (__rseq_size == 0 || (int)rseq_word(kn_hot.cid_off) < 0)
		return "rseq is not registered (old kernel, or glibc.pthread.rseq=0)";
	/* Never __rseq_size: glibc may report less than the kernel fills. */
	if (getauxval(AT_RSEQ_FEATURE_SIZE) >= RSEQ_MM_CID_END)
		kn_hot.cid_off = kn_hot.rseq_off + RSEQ_MM_CID;
	if (kn_machine.membarrier(
		    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ))
		return "membarrier(PRIVATE_EXPEDITED_RSEQ) was refused";
	if (!self_test())
		return "the self-test of restartable sequences failed";
	return NULL;
}

/*
 * In fallback mode magazines belong to try-locks, so no section may enter one,
 * also where the C library has registered rseq.
 */
const char *kn_rseq_init(bool wanted)
{
	const char *reason = find_rseq(wanted);

	if (reason) {
		kn_hot.rseq_off =
			(int32_t)((char *)&unregistered -
				  (char *)__builtin_thread_pointer());
		kn_hot.cid_off = kn_hot.rseq_off + RSEQ_CPU_ID;
	}
	return reason;
}

#else

const char *kn_rseq_init(bool wanted)
{
	(void)wanted;
	return "no restartable sequences for this processor";
}

#endif

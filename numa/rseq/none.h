/* SPDX-License-Identifier: Apache-2.0 */
/* No sections for this machine: every call declines, the fallback serves. */
#ifndef KN_NUMA_RSEQ_NONE_H
#define KN_NUMA_RSEQ_NONE_H

static inline void *kn_rseq_pop(uint64_t place)
{
	(void)place;
	return NULL;
}

static inline void *kn_rseq_pop_node(uint64_t place)
{
	(void)place;
	return NULL;
}

static inline enum kn_rseq_ret
kn_rseq_push(uint64_t place, const void *obj)
{
	(void)place;
	(void)obj;
	return KN_RSEQ_DECLINED;
}

static inline int kn_rseq_pop_batch(uint64_t place, void **buf, uint32_t n)
{
	(void)place;
	(void)buf;
	(void)n;
	return 0;
}

static inline enum kn_rseq_ret
kn_rseq_push_batch(uint64_t place, void *const *buf, uint32_t n)
{
	(void)place;
	(void)buf;
	(void)n;
	return KN_RSEQ_DECLINED;
}

static inline int kn_rseq_cid(void)
{
	return -1;
}

#endif

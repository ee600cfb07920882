/* SPDX-License-Identifier: Apache-2.0 */
/* No sections for this machine: every call declines, the fallback serves. */
#ifndef KN_NUMA_RSEQ_NONE_H
#define KN_NUMA_RSEQ_NONE_H

static inline void *kn_rseq_pop(const struct kn_hot *hot, uint64_t place)
{
	(void)hot;
	(void)place;
	return NULL;
}

static inline void *kn_rseq_pop_node(const struct kn_hot *hot, uint64_t place)
{
	(void)hot;
	(void)place;
	return NULL;
}

static inline enum kn_rseq_ret
kn_rseq_push(const struct kn_hot *hot, uint64_t place, const void *obj)
{
	(void)hot;
	(void)place;
	(void)obj;
	return KN_RSEQ_DECLINED;
}

static inline int kn_rseq_pop_batch(const struct kn_hot *hot, uint64_t place,
				    void **buf, uint32_t n)
{
	(void)hot;
	(void)place;
	(void)buf;
	(void)n;
	return 0;
}

static inline enum kn_rseq_ret
kn_rseq_push_batch(const struct kn_hot *hot, uint64_t place, void *const *buf,
		   uint32_t n)
{
	(void)hot;
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

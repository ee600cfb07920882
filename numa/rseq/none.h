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

static inline uint64_t kn_rseq_exchange(const struct kn_hot *hot, uint64_t place,
					uint64_t i, uint64_t word, uint64_t keep)
{
	(void)hot;
	(void)place;
	(void)i;
	(void)word;
	(void)keep;
	return KN_RSEQ_KEPT;
}

#define KN_RSEQ_CPU_OPS(bits)                                             \
	static inline enum kn_rseq_ret kn_rseq_cpu_add_##bits(            \
		const struct kn_hot *hot, void *p, uint##bits##_t *n)     \
	{                                                                 \
		(void)hot, (void)p, (void)n;                              \
		return KN_RSEQ_DECLINED;                                  \
	}                                                                 \
	static inline enum kn_rseq_ret kn_rseq_cpu_xchg_##bits(           \
		const struct kn_hot *hot, void *p, uint##bits##_t value,  \
		uint##bits##_t *was)                                      \
	{                                                                 \
		(void)hot, (void)p, (void)value, (void)was;               \
		return KN_RSEQ_DECLINED;                                  \
	}                                                                 \
	static inline enum kn_rseq_ret kn_rseq_cpu_cmpxchg_##bits(        \
		const struct kn_hot *hot, void *p, uint##bits##_t *old,   \
		uint##bits##_t value)                                     \
	{                                                                 \
		(void)hot, (void)p, (void)old, (void)value;               \
		return KN_RSEQ_DECLINED;                                  \
	}

KN_RSEQ_CPU_OPS(8)
KN_RSEQ_CPU_OPS(16)
KN_RSEQ_CPU_OPS(32)
KN_RSEQ_CPU_OPS(64)

static inline int kn_rseq_cpu(void)
{
	return -1;
}

static inline int kn_rseq_cid(void)
{
	return -1;
}

#endif

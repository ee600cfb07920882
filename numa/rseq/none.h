/* SPDX-License-Identifier: Apache-2.0 */
/* No sections for this machine: every call declines, the fallback serves. */
#ifndef KN_NUMA_RSEQ_NONE_H
#define KN_NUMA_RSEQ_NONE_H

static inline void *kn_rseq_pop(uint32_t key)
{
	(void)key;
	return NULL;
}

static inline void *kn_rseq_pop_node(uint32_t key, struct kn_magazine **row)
{
	(void)key;
	(void)row;
	return NULL;
}

static inline enum kn_rseq_ret
kn_rseq_push(uint32_t key, struct kn_magazine **row, const void *obj)
{
	(void)key;
	(void)row;
	(void)obj;
	return KN_RSEQ_DECLINED;
}

static inline int kn_rseq_pop_batch(uint32_t key, struct kn_magazine **row,
				    void **buf, uint32_t n)
{
	(void)key;
	(void)row;
	(void)buf;
	(void)n;
	return 0;
}

static inline enum kn_rseq_ret
kn_rseq_push_batch(uint32_t key, struct kn_magazine **row, void *const *buf,
		   uint32_t n)
{
	(void)key;
	(void)row;
	(void)buf;
	(void)n;
	return KN_RSEQ_DECLINED;
}

static inline int kn_rseq_cid(void)
{
	return -1;
}

#endif

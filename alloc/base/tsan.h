/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/tsan.h - what ThreadSanitizer is told about Concurrency Kit
 *
 * It sees the order that compiler built-ins make, not that of instructions in
 * assembly.  In its builds alone, the operations of ck_pr that knuma uses are the
 * built-ins, and the stacks, which are Concurrency Kit's all the same, say what
 * they hand over: who pops an entry sees what was written before its push.
 */
#ifndef KN_BASE_TSAN_H
#define KN_BASE_TSAN_H

#include <sanitizer/tsan_interface.h>

#define KN_TSAN_CAS(p, old, new)                                     \
	({                                                           \
		__typeof__(*(p)) was = (old);                        \
		__atomic_compare_exchange_n((p), &was, (new), false, \
					    __ATOMIC_SEQ_CST,        \
					    __ATOMIC_SEQ_CST);       \
	})
#define KN_TSAN_CAS_VALUE(p, old, new, was)                           \
	({                                                            \
		*(was) = (old);                                       \
		__atomic_compare_exchange_n((p), (was), (new), false, \
					    __ATOMIC_SEQ_CST,         \
					    __ATOMIC_SEQ_CST);        \
	})
#define KN_TSAN_ADD(p, n) ((void)__atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST))
#define KN_TSAN_SUB(p, n) ((void)__atomic_fetch_sub((p), (n), __ATOMIC_SEQ_CST))
#define KN_TSAN_BIT(p, bit)                                                \
	(__atomic_fetch_or((p), UINT64_C(1) << (bit), __ATOMIC_SEQ_CST) >> \
	 (bit)&1)

#define ck_pr_cas_32	   KN_TSAN_CAS
#define ck_pr_cas_64	   KN_TSAN_CAS
#define ck_pr_cas_ptr	   KN_TSAN_CAS
#define ck_pr_cas_32_value KN_TSAN_CAS_VALUE
#define ck_pr_cas_64_value KN_TSAN_CAS_VALUE
#define ck_pr_add_32	   KN_TSAN_ADD
#define ck_pr_add_64	   KN_TSAN_ADD
#define ck_pr_sub_32	   KN_TSAN_SUB
#define ck_pr_sub_64	   KN_TSAN_SUB
#define ck_pr_inc_32(p)	   KN_TSAN_ADD(p, 1)
#define ck_pr_inc_64(p)	   KN_TSAN_ADD(p, 1)
#define ck_pr_dec_32(p)	   KN_TSAN_SUB(p, 1)
#define ck_pr_dec_64(p)	   KN_TSAN_SUB(p, 1)
#define ck_pr_and_32(p, v) \
	((void)__atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))
#define ck_pr_and_64(p, v) \
	((void)__atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))
#define ck_pr_or_32(p, v)    ((void)__atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define ck_pr_bts_64(p, bit) KN_TSAN_BIT(p, bit)
#define ck_pr_faa_32(p, n)   __atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST)
#define ck_pr_faa_64(p, n)   __atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST)
#define ck_pr_fas_32(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define ck_pr_fas_ptr(p, v)  __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#undef ck_pr_load_ptr
#define ck_pr_load_ptr(p) __atomic_load_n((p), __ATOMIC_RELAXED)

#define kn_load_any(p)                                        \
	({                                                    \
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__); \
		__auto_type tsan_word = kn_load(p);           \
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);   \
		tsan_word;                                    \
	})

/*
 * The reads of a pop that another pop overtakes are thrown away, so only the
 * outcome is reported.
 */
#define KN_TSAN_STACK_PUSH(push, s, e)                         \
	do {                                                   \
		ck_stack_t *tsan_stack = (s);                  \
		ck_stack_entry_t *tsan_entry = (e);            \
		__tsan_release(tsan_stack);                    \
		AnnotateIgnoreWritesBegin(__FILE__, __LINE__); \
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);  \
		push(tsan_stack, tsan_entry);                  \
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);    \
		AnnotateIgnoreWritesEnd(__FILE__, __LINE__);   \
	} while (0)
#define KN_TSAN_STACK_POP(pop, s)                              \
	({                                                     \
		ck_stack_t *tsan_stack = (s);                  \
		ck_stack_entry_t *tsan_entry;                  \
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);  \
		AnnotateIgnoreWritesBegin(__FILE__, __LINE__); \
		tsan_entry = pop(tsan_stack);                  \
		AnnotateIgnoreWritesEnd(__FILE__, __LINE__);   \
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);    \
		__tsan_acquire(tsan_stack);                    \
		tsan_entry;                                    \
	})
#define ck_stack_push_upmc(s, e)   KN_TSAN_STACK_PUSH(ck_stack_push_upmc, s, e)
#define ck_stack_push_mpmc(s, e)   KN_TSAN_STACK_PUSH(ck_stack_push_mpmc, s, e)
#define ck_stack_pop_mpmc(s)	   KN_TSAN_STACK_POP(ck_stack_pop_mpmc, s)
#define ck_stack_batch_pop_upmc(s) KN_TSAN_STACK_POP(ck_stack_batch_pop_upmc, s)

void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restartable sequences, x86-64.  Instructions only: no policy, no counting.
 *
 *   3  descriptor: start, length, abort address
 *   1  first instruction after arming; then loads and tests only
 *   2  end; the instruction before it is the commit, the one visible store
 *   4  abort: behind the signature that the kernel checks
 *   5  declined    6  out
 *
 * Results leave in registers, not through asm-goto outputs, which gcc 12 and
 * clang 14 get wrong.
 */
#ifndef KN_NUMA_RSEQ_X86_64_H
#define KN_NUMA_RSEQ_X86_64_H

/* clang-format off */
#define KN_RSEQ_ARM							\
	".pushsection __rseq_cs, \"aw\"\n\t"				\
	".balign 32\n"							\
	"3:	.long 0, 0\n\t"						\
	".quad 1f, 2f - 1f, 4f\n\t"					\
	".popsection\n\t"						\
	"movslq	%[rseq], %%r8\n\t"					\
	"movslq	%[cid], %%rcx\n\t"					\
	"leaq	3b(%%rip), %%rax\n\t"					\
	"movq	%%rax, %%fs:8(%%r8)\n"					\
	"1:\n\t"

/* The abort path of sections that leave by labels. */
#define KN_RSEQ_GOTO_ABORT						\
	".pushsection __rseq_abort, \"ax\"\n\t"				\
	".byte	0x0f, 0xb9, 0x3d\n\t"		/* ud1 ... */		\
	".long	0x53053053\n"			/* ... RSEQ_SIG */	\
	"4:	jmp	%l[aborted]\n"					\
	"5:	jmp	%l[declined]\n\t"				\
	".popsection\n\t"

/* A table is at a known distance, except for the preload library. */
#ifdef KN_PRELOAD
#define KN_RSEQ_TABLE(operand, symbol) "movq	%[" operand "]"
#else
#define KN_RSEQ_TABLE(operand, symbol) "leaq	" symbol "(%%rip)"
#endif

/*
 * rdx = the bank of the running CPU's cid.  Declines without one, and without
 * rseq.  Nothing here waits for the place.
 */
#define KN_RSEQ_BANK							\
	"movl	%%fs:4(%%r8), %%eax\n\t"	/* cpu_id */		\
	"movslq	%%fs:(%%rcx), %%rcx\n\t"	/* mm_cid, or cpu_id */	\
	"testl	%%eax, %%eax\n\t"					\
	"js	5f\n\t"							\
	KN_RSEQ_TABLE("banks", "kn_banks") ", %%rdx\n\t"		\
	"movq	(%%rdx, %%rcx, 8), %%rdx\n\t"				\
	"testq	%%rdx, %%rdx\n\t"					\
	"jz	5f\n\t"

/* The region of the running CPU's node in that bank. */
#define KN_RSEQ_BANK_LOCAL						\
	KN_RSEQ_BANK							\
	KN_RSEQ_TABLE("cpus", "kn_cpu_place") ", %%rcx\n\t"		\
	"movl	(%%rcx, %%rax, 4), %%eax\n\t"				\
	"addq	%%rax, %%rdx\n\t"

/*
 * rdx = magazine at @place, ecx = gate, r8 = cur, eax = objects in it.  cur is
 * loaded as it is stored: whole, and by base register without index.  Processors
 * that forward such a store in no time do not forward half of it, nor to an
 * indexed address, and a pair is a chain of these loads.  KN_SWAP_LOADS
 * is a planted error for the tests: cur before the gate.
 */
#ifdef KN_SWAP_LOADS
#define KN_RSEQ_LOAD(gate)						\
	"addq	%[place], %%rdx\n\t"					\
	"movq	(%%rdx), %%r8\n\t"					\
	"pause\n\tpause\n\tpause\n\t"					\
	"movl	" gate "(%%rdx), %%ecx\n\t"				\
	"movzwl	%%r8w, %%eax\n\t"
#else
#define KN_RSEQ_LOAD(gate)						\
	"addq	%[place], %%rdx\n\t"					\
	"movl	" gate "(%%rdx), %%ecx\n\t"				\
	"movq	(%%rdx), %%r8\n\t"					\
	"movzwl	%%r8w, %%eax\n\t"
#endif

#define KN_RSEQ_POP_BODY						\
	KN_RSEQ_LOAD("8")						\
	"cmpl	%%ecx, %%eax\n\t"					\
	"jbe	5f\n\t"							\
	"movq	8(%%rdx, %%rax, 8), %%rax\n\t"	/* the top slot */	\
	"addq	$0xffff, %%r8\n\t"					\
	"movq	%%r8, (%%rdx)\n"		/* commit */		\
	"2:\n\t"							\
	".pushsection __rseq_abort, \"ax\"\n\t"				\
	".byte	0x0f, 0xb9, 0x3d\n\t"		/* ud1 ... */		\
	".long	0x53053053\n"			/* ... RSEQ_SIG */	\
	"4:	movl	$1, %%eax\n\t"					\
	"jmp	6f\n"							\
	"5:	xorl	%%eax, %%eax\n\t"					\
	"jmp	6f\n\t"							\
	".popsection\n"							\
	"6:\n\t"

#define KN_RSEQ_INPUTS							\
	[rseq] "m" (hot->rseq_off), [cid] "m" (hot->cid_off),		\
	[banks] "m" (hot->banks), [cpus] "m" (hot->cpu_place)

static kn_always_inline void *kn_rseq_pop(const struct kn_hot *hot, uint64_t place)
{
	void *obj;

	__asm__ __volatile__(
		KN_RSEQ_ARM
		KN_RSEQ_BANK_LOCAL
		KN_RSEQ_POP_BODY
		: "=&a" (obj)
		: KN_RSEQ_INPUTS, [place] "r" (place)
		: "rcx", "rdx", "r8", "memory", "cc");
	return obj;
}

static kn_always_inline void *
kn_rseq_pop_node(const struct kn_hot *hot, uint64_t place)
{
	void *obj;

	__asm__ __volatile__(
		KN_RSEQ_ARM
		KN_RSEQ_BANK
		KN_RSEQ_POP_BODY
		: "=&a" (obj)
		: KN_RSEQ_INPUTS, [place] "r" (place)
		: "rcx", "rdx", "r8", "memory", "cc");
	return obj;
}

static kn_always_inline enum kn_rseq_ret
kn_rseq_push(const struct kn_hot *hot, uint64_t place, const void *obj)
{
	__asm__ __volatile__ goto(
		KN_RSEQ_ARM
		KN_RSEQ_BANK
		KN_RSEQ_LOAD("12")
		"cmpl	%%ecx, %%eax\n\t"
		"jae	5f\n\t"
		"cmpq	8(%%rdx, %%rax, 8), %[obj]\n\t"	/* on top already? */
		"je	%l[dup]\n\t"
		"movq	%[obj], 16(%%rdx, %%rax, 8)\n\t"
		"incq	%%r8\n\t"
		"movq	%%r8, (%%rdx)\n"		/* commit */
		"2:\n\t"
		KN_RSEQ_GOTO_ABORT
		:
		: KN_RSEQ_INPUTS, [place] "r" (place),
		  [obj] "r" (obj)
		: "rax", "rcx", "rdx", "r8", "memory", "cc"
		: aborted, declined, dup);
	return KN_RSEQ_DONE;
declined:
	return KN_RSEQ_DECLINED;
aborted:
	return KN_RSEQ_ABORTED;
dup:
	return KN_RSEQ_DUP;
}

/*
 * Copies objects, 16 bytes at a time: rcx, less than 0, counts up to 0.  An odd
 * one goes first.
 */
#define KN_RSEQ_COPY(from, to)						\
	"testb	$1, %%cl\n\t"						\
	"jz	7f\n\t"						\
	"movq	" from ", %%r9\n\t"					\
	"movq	%%r9, " to "\n\t"					\
	"incq	%%rcx\n\t"						\
	"jz	8f\n"							\
	"7:	movups	" from ", %%xmm0\n\t"				\
	"movups	%%xmm0, " to "\n\t"					\
	"addq	$2, %%rcx\n\t"					\
	"jnz	7b\n"							\
	"8:\n\t"

static inline int kn_rseq_pop_batch(const struct kn_hot *hot, uint64_t place,
				    void **buf, uint32_t n)
{
	int got;

	__asm__ __volatile__(
		KN_RSEQ_ARM
		KN_RSEQ_BANK
		KN_RSEQ_LOAD("8")
		"cmpl	%%ecx, %%eax\n\t"
		"jbe	5f\n\t"
		"movl	%[n], %[got]\n\t"
		"cmpl	%%eax, %[got]\n\t"
		"cmoval	%%eax, %[got]\n\t"		/* got = min(n, count) */
		"movl	%[got], %%ecx\n\t"
		"leaq	16(%%rdx, %%rax, 8), %%rax\n\t"	/* past the top slot */
		"leaq	(%[buf], %%rcx, 8), %%r11\n\t"
		"negq	%%rcx\n\t"
		KN_RSEQ_COPY("(%%rax, %%rcx, 8)", "(%%r11, %%rcx, 8)")
		"movl	%[got], %%ecx\n\t"
		"imulq	$0xffff, %%rcx, %%rcx\n\t"
		"addq	%%rcx, %%r8\n\t"
		"movq	%%r8, (%%rdx)\n"		/* commit */
		"2:\n\t"
		".pushsection __rseq_abort, \"ax\"\n\t"
		".byte	0x0f, 0xb9, 0x3d\n\t"
		".long	0x53053053\n"
		"4:	movl	$-1, %[got]\n\t"
		"jmp	6f\n"
		"5:	xorl	%[got], %[got]\n\t"
		"jmp	6f\n\t"
		".popsection\n"
		"6:\n\t"
		: [got] "=&r" (got)
		: KN_RSEQ_INPUTS, [place] "r" (place),
		  [buf] "r" (buf), [n] "r" (n)
		: "rax", "rcx", "rdx", "r8", "r9", "r11", "xmm0", "memory",
		  "cc");
	return got;
}

static inline enum kn_rseq_ret
kn_rseq_push_batch(const struct kn_hot *hot, uint64_t place, void *const *buf,
		   uint32_t n)
{
	__asm__ __volatile__ goto(
		KN_RSEQ_ARM
		KN_RSEQ_BANK
		KN_RSEQ_LOAD("12")
		"leal	(%%rax, %q[n]), %%r11d\n\t"	/* count afterwards */
		"cmpl	%%ecx, %%r11d\n\t"
		"ja	5f\n\t"
		"movl	%[n], %%ecx\n\t"
		"addq	%%rcx, %%r8\n\t"
		"leaq	16(%%rdx, %%r11, 8), %%rax\n\t" /* past the last */
		"leaq	(%[buf], %%rcx, 8), %%r11\n\t"
		"negq	%%rcx\n\t"
		KN_RSEQ_COPY("(%%r11, %%rcx, 8)", "(%%rax, %%rcx, 8)")
		"movq	%%r8, (%%rdx)\n"		/* commit */
		"2:\n\t"
		KN_RSEQ_GOTO_ABORT
		:
		: KN_RSEQ_INPUTS, [place] "r" (place),
		  [buf] "r" (buf), [n] "r" (n)
		: "rax", "rcx", "rdx", "r8", "r9", "r11", "xmm0", "memory",
		  "cc"
		: aborted, declined);
	return KN_RSEQ_DONE;
declined:
	return KN_RSEQ_DECLINED;
aborted:
	return KN_RSEQ_ABORTED;
}

static kn_always_inline uint64_t
kn_rseq_exchange(const struct kn_hot *hot, uint64_t place, uint64_t i,
		 uint64_t word, uint64_t keep)
{
	uint64_t was;

	__asm__ __volatile__(
		KN_RSEQ_ARM
		KN_RSEQ_BANK_LOCAL
		KN_RSEQ_LOAD("12")
		"testl	%%ecx, %%ecx\n\t"		/* closed */
		"jz	5f\n\t"
		"cmpl	%k[i], %%eax\n\t"
		"jbe	5f\n\t"
		"movq	16(%%rdx, %[i], 8), %%rax\n\t"
		"testq	%[keep], %%rax\n\t"
		"jnz	5f\n\t"
		"movq	%[word], 16(%%rdx, %[i], 8)\n"	/* commit */
		"2:\n\t"
		".pushsection __rseq_abort, \"ax\"\n\t"
		".byte	0x0f, 0xb9, 0x3d\n\t"
		".long	0x53053053\n"
		"4:	movl	%[aborted], %%eax\n\t"
		"jmp	6f\n"
		"5:	movl	%[kept], %%eax\n\t"
		"jmp	6f\n\t"
		".popsection\n"
		"6:\n\t"
		: "=&a" (was)
		: KN_RSEQ_INPUTS, [place] "r" (place), [i] "r" (i),
		  [word] "r" (word), [keep] "re" (keep),
		  [kept] "i" (KN_RSEQ_KEPT),
		  [aborted] "i" (KN_RSEQ_KEPT_ABORTED)
		: "rcx", "rdx", "r8", "memory", "cc");
	return was;
}

/*
 * One instruction on the copy of the running CPU of a word: @p is that of CPU 0,
 * and 1 << KN_PERCPU_SHIFT bytes lie between two.  It needs no lock prefix, since
 * nobody else writes to that copy while the section runs.
 */
#define KN_RSEQ_CPU_OP(instructions)					\
	".pushsection __rseq_cs, \"aw\"\n\t"				\
	".balign 32\n"							\
	"3:	.long 0, 0\n\t"						\
	".quad 1f, 2f - 1f, 4f\n\t"					\
	".popsection\n\t"						\
	"leaq	3b(%%rip), %%rcx\n\t"					\
	"movq	%%rcx, %%fs:8(%[rseq])\n"				\
	"1:	movl	%%fs:4(%[rseq]), %%ecx\n\t"	/* cpu_id */	\
	"cmpl	%[cpus], %%ecx\n\t"		/* negative: none */	\
	"jae	5f\n\t"							\
	"shlq	%[shift], %%rcx\n\t"					\
	instructions "\n"			/* the last commits */	\
	"2:	xorl	%%ecx, %%ecx\n\t"				\
	".pushsection __rseq_abort, \"ax\"\n\t"				\
	".byte	0x0f, 0xb9, 0x3d\n\t"					\
	".long	0x53053053\n"						\
	"4:	movl	$2, %%ecx\n\t"					\
	"jmp	6f\n"							\
	"5:	movl	$1, %%ecx\n\t"					\
	"jmp	6f\n\t"							\
	".popsection\n"							\
	"6:\n\t"

#define KN_RSEQ_CPU_INPUTS						\
	[cpus] "r" (kn_topo.nr_cpus), [shift] "i" (KN_PERCPU_SHIFT)

#define KN_RSEQ_CPU_OPS(bits, suffix)					\
static inline enum kn_rseq_ret						\
kn_rseq_cpu_add_##bits(const struct kn_hot *hot, void *p,		\
		       uint##bits##_t *n)				\
{									\
	uint64_t ret;							\
									\
	__asm__ __volatile__(						\
		KN_RSEQ_CPU_OP("xadd" suffix "	%[n], (%[p], %%rcx)")	\
		: "=&c" (ret), [n] "+&q" (*n)				\
		: [rseq] "r" ((intptr_t)hot->rseq_off), [p] "r" (p),	\
		  KN_RSEQ_CPU_INPUTS					\
		: "memory", "cc");					\
	return (enum kn_rseq_ret)ret;					\
}									\
									\
static inline enum kn_rseq_ret						\
kn_rseq_cpu_xchg_##bits(const struct kn_hot *hot, void *p,		\
			uint##bits##_t value, uint##bits##_t *was)	\
{									\
	uint64_t ret;							\
									\
	__asm__ __volatile__(						\
		KN_RSEQ_CPU_OP("mov" suffix "	(%[p], %%rcx), %[was]\n\t" \
			       "mov" suffix "	%[value], (%[p], %%rcx)") \
		: "=&c" (ret), [was] "=&q" (*was)			\
		: [rseq] "r" ((intptr_t)hot->rseq_off), [p] "r" (p),	\
		  [value] "q" (value), KN_RSEQ_CPU_INPUTS		\
		: "memory", "cc");					\
	return (enum kn_rseq_ret)ret;					\
}									\
									\
static inline enum kn_rseq_ret						\
kn_rseq_cpu_cmpxchg_##bits(const struct kn_hot *hot, void *p,		\
			   uint##bits##_t *old,				\
			   uint##bits##_t value)			\
{									\
	uint64_t ret;							\
									\
	__asm__ __volatile__(						\
		KN_RSEQ_CPU_OP("cmpxchg" suffix " %[value], (%[p], %%rcx)") \
		: "=&c" (ret), "+&a" (*old)				\
		: [rseq] "r" ((intptr_t)hot->rseq_off), [p] "r" (p),	\
		  [value] "q" (value), KN_RSEQ_CPU_INPUTS		\
		: "memory", "cc");					\
	return (enum kn_rseq_ret)ret;					\
}

KN_RSEQ_CPU_OPS(8, "b")
KN_RSEQ_CPU_OPS(16, "w")
KN_RSEQ_CPU_OPS(32, "l")
KN_RSEQ_CPU_OPS(64, "q")

/* Outside a section: the CPU, or -1; true when read, perhaps not when used. */
static inline int kn_rseq_cpu(void)
{
	int cpu;

	__asm__ __volatile__("movl %%fs:4(%1), %0" : "=r" (cpu)
			     : "r" ((intptr_t)kn_hot.rseq_off));
	return cpu;
}

/* Outside a section: true when read, perhaps not when used. */
static inline int kn_rseq_cid(void)
{
	int cpu, cid;

	__asm__ __volatile__("movl %%fs:4(%1), %0" : "=r" (cpu)
			     : "r" ((intptr_t)kn_hot.rseq_off));
	__asm__ __volatile__("movl %%fs:(%1), %0" : "=r" (cid)
			     : "r" ((intptr_t)kn_hot.cid_off));
	return cpu < 0 ? -1 : cid;
}
/* clang-format on */

#endif

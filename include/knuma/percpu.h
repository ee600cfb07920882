/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/percpu.h - a copy of something for each CPU
 *
 *   struct stats __percpu *s = alloc_percpu(struct stats);
 *
 *   this_cpu_inc(s->requests);
 *   for_each_possible_cpu(cpu)
 *           sum += per_cpu_ptr(s, cpu)->requests;
 *   free_percpu(s);
 *
 * The copies lie on the nodes of their CPUs, so counting in them bounces no line.
 * What alloc_percpu() returns is for the calls below only: it is not the address
 * of any thread's own copy.
 *
 * The operations are restartable sequences: no lock, no locked instruction, and
 * safe against other threads and signal handlers on any CPU.  Where there is no
 * rseq they are atomic instructions on the copy of the running CPU.  A thread
 * that the kernel does not tell its CPU (raw clone) has the last copy, which
 * belongs to no CPU and which for_each_possible_cpu() visits, too.
 *
 * A thread may be moved to another CPU at any moment, also between two
 * operations: there is no preempt_disable().
 */
#ifndef KNUMA_PERCPU_H
#define KNUMA_PERCPU_H

#include <knuma/gfp.h>
#include <knuma/types.h>

/* Marks pointers to what has copies; for the reader. */
#ifndef __percpu
#define __percpu
#endif

/* Bytes from one CPU's copy to that of the next. */
#define KN_PERCPU_STRIDE   ((size_t)64 << 10)

/* The largest object, in bytes. */
#define PCPU_MIN_UNIT_SIZE ((size_t)32 << 10)

KN_BEGIN_DECLS

/**
 * free_percpu - free all copies of an object
 * @p: from alloc_percpu() or a sibling, or NULL
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call,
 *          leaves errno alone.
 * Errors:  what is no such object is reported, and the process aborted.
 * Source:  Linux mm/percpu.c, free_percpu().
 */
void free_percpu(void *p) KN_SYM(free_percpu);

/**
 * __alloc_percpu_gfp - allocate an object with a copy for each CPU
 * @size: bytes of a copy, in [1, PCPU_MIN_UNIT_SIZE]
 * @align: alignment of the copies, a power of two up to a page
 * @gfp: how hard to try, see gfp.h
 *
 * Each copy is zero and lies on the node of its CPU.
 *
 * Alignment: @align, and 8 at least.
 * Context:   Any thread.  Waits only if @gfp has __GFP_DIRECT_RECLAIM.  In a
 *            signal handler only with GFP_NOWAIT or GFP_ATOMIC.
 * Return:    the object; NULL on failure, and errno tells why.
 * Errors:    ENOMEM when there is no memory, or none at hand for a call that may
 *            not wait.  EINVAL when @size or @align is out of range (warns once
 *            unless __GFP_NOWARN) or @gfp has bits that mean nothing.
 * Source:    Linux mm/percpu.c, __alloc_percpu_gfp().  Differs: granules of 8
 *            bytes, there 4.
 */
void *__alloc_percpu_gfp(size_t size, size_t align, gfp_t gfp)
	KN_SYM(__alloc_percpu_gfp) KN_MUST_CHECK KN_ALLOC(1) KN_ALLOC_ALIGN(2)
		KN_MALLOC(free_percpu);

/**
 * __alloc_percpu - __alloc_percpu_gfp() with GFP_KERNEL
 * @size: as for __alloc_percpu_gfp()
 * @align: as for __alloc_percpu_gfp()
 */
void *__alloc_percpu(size_t size, size_t align)
	KN_SYM(__alloc_percpu) KN_MUST_CHECK KN_ALLOC(1) KN_ALLOC_ALIGN(2)
		KN_MALLOC(free_percpu);

/**
 * knuma_nr_cpu_ids - copies of each object
 *
 * Context: any thread; a signal handler once the allocator has started.
 * Return:  one more than the CPUs that are possible, counted from 0: the last
 *          copy is that of threads without a CPU.
 */
unsigned int knuma_nr_cpu_ids(void) KN_API;

/**
 * knuma_this_cpu - number of the copy that the calling thread has
 *
 * Context: any thread, any signal handler.  True when read, perhaps not when
 *          used.
 * Return:  a number below knuma_nr_cpu_ids().
 */
unsigned int knuma_this_cpu(void) KN_API;

/**
 * knuma_this_cpu_add - add to the copy of the running CPU
 * @p: word in an object from alloc_percpu(), aligned to its size
 * @n: what to add
 * @size: bytes of the word: 1, 2, 4 or 8
 *
 * What this_cpu_add() and its siblings call.
 *
 * Context: any thread, any signal handler.
 * Return:  the sum, of which @size bytes count.
 */
uint64_t knuma_this_cpu_add(void *p, uint64_t n, unsigned int size) KN_API;

/**
 * knuma_this_cpu_xchg - replace the copy of the running CPU
 * @p: as for knuma_this_cpu_add()
 * @value: what it becomes
 * @size: as for knuma_this_cpu_add()
 *
 * What this_cpu_xchg() and this_cpu_write() call.
 *
 * Context: any thread, any signal handler.
 * Return:  what was there.
 */
uint64_t knuma_this_cpu_xchg(void *p, uint64_t value, unsigned int size) KN_API;

/**
 * knuma_this_cpu_cmpxchg - replace the copy of the running CPU if it is known
 * @p: as for knuma_this_cpu_add()
 * @old: what it must be
 * @value: what it becomes then
 * @size: as for knuma_this_cpu_add()
 *
 * What this_cpu_cmpxchg() calls.
 *
 * Context: any thread, any signal handler.
 * Return:  what was there; @old if it was replaced.
 */
uint64_t knuma_this_cpu_cmpxchg(void *p, uint64_t old, uint64_t value,
				unsigned int size) KN_API;

/**
 * knuma_this_cpu_read - read the copy of the running CPU
 * @p: as for knuma_this_cpu_add()
 * @size: as for knuma_this_cpu_add()
 *
 * What this_cpu_read() calls.
 *
 * Context: any thread, any signal handler.
 */
uint64_t knuma_this_cpu_read(const void *p, unsigned int size) KN_API;

KN_END_DECLS

/**
 * alloc_percpu - allocate a type with a copy for each CPU
 * @type: the type
 *
 * __alloc_percpu() of its size and alignment, and a pointer to it.
 */
#define alloc_percpu(type) \
	((__typeof__(type) *)__alloc_percpu(sizeof(type), __alignof__(type)))

/**
 * alloc_percpu_gfp - alloc_percpu() with flags
 * @type: the type
 * @gfp: how hard to try, see gfp.h
 */
#define alloc_percpu_gfp(type, gfp)                           \
	((__typeof__(type) *)__alloc_percpu_gfp(sizeof(type), \
						__alignof__(type), (gfp)))

/**
 * per_cpu_ptr - address of one copy
 * @p: from alloc_percpu(), or a member of that
 * @cpu: number of the copy, below knuma_nr_cpu_ids()
 */
#define per_cpu_ptr(p, cpu) ((__typeof__(p))kn_percpu_at((p), (cpu)))

/* The compiler must not see the distance: for it there is one object. */
static inline void *kn_percpu_at(const void *p, size_t cpu)
{
	uintptr_t at = (uintptr_t)p + cpu * KN_PERCPU_STRIDE;

	__asm__("" : "+r"(at));
	return (void *)at;
}

/**
 * this_cpu_ptr - address of the copy of the running CPU
 * @p: from alloc_percpu(), or a member of that
 *
 * Other threads may use the same copy at the same time: one may have run there
 * before and been moved, as this one may be.  Use atomic operations on it, or
 * those of this_cpu_add() and its siblings.  raw_cpu_ptr() is the same.
 */
#define this_cpu_ptr(p) per_cpu_ptr(p, knuma_this_cpu())
#define raw_cpu_ptr(p)	this_cpu_ptr(p)

/**
 * for_each_possible_cpu - visit each copy
 * @cpu: a variable, the number of the copy
 *
 * The last one is that of threads without a CPU.
 */
#define for_each_possible_cpu(cpu) \
	for ((cpu) = 0; (unsigned int)(cpu) < knuma_nr_cpu_ids(); (cpu)++)

/* A value of the type of @pcp as a word, and back. */
#define KN_PCPU_WORD(pcp, v)  ((uint64_t)(__typeof__(pcp))(v))
#define KN_PCPU_VALUE(pcp, w) ((__typeof__(pcp))(w))

/* sizeof(pcp), of an integer or a pointer: others do not compile. */
#define KN_PCPU_BYTES(pcp)                                                      \
	((unsigned int)(sizeof(pcp) +                                           \
			0 * sizeof(char[sizeof(pcp) == 1 || sizeof(pcp) == 2 || \
							sizeof(pcp) == 4 ||     \
							sizeof(pcp) == 8 ?      \
						1 :                             \
						-1])))

/**
 * this_cpu_read - value of the copy of the running CPU
 * @pcp: an integer or a pointer in an object from alloc_percpu(), as in
 *       this_cpu_read(s->requests) or this_cpu_read(*p); 1, 2, 4 or 8 bytes
 *
 * Context: any thread, any signal handler.
 * Source:  Linux include/linux/percpu-defs.h, as all that follow.
 */
#define this_cpu_read(pcp) \
	KN_PCPU_VALUE(pcp, knuma_this_cpu_read(&(pcp), KN_PCPU_BYTES(pcp)))

/**
 * this_cpu_write - set the copy of the running CPU
 * @pcp: as for this_cpu_read()
 * @v: the value
 */
#define this_cpu_write(pcp, v)                                   \
	((void)knuma_this_cpu_xchg(&(pcp), KN_PCPU_WORD(pcp, v), \
				   KN_PCPU_BYTES(pcp)))

/**
 * this_cpu_xchg - set the copy of the running CPU, for its former value
 * @pcp: as for this_cpu_read()
 * @v: the value
 */
#define this_cpu_xchg(pcp, v)                                                \
	KN_PCPU_VALUE(pcp, knuma_this_cpu_xchg(&(pcp), KN_PCPU_WORD(pcp, v), \
					       KN_PCPU_BYTES(pcp)))

/**
 * this_cpu_cmpxchg - set the copy of the running CPU if it has a value
 * @pcp: as for this_cpu_read()
 * @old: the value it must have
 * @v: the value it gets
 *
 * Return: its former value, which is @old if it was set.
 */
#define this_cpu_cmpxchg(pcp, old, v)                              \
	KN_PCPU_VALUE(pcp, knuma_this_cpu_cmpxchg(                 \
				   &(pcp), KN_PCPU_WORD(pcp, old), \
				   KN_PCPU_WORD(pcp, v), KN_PCPU_BYTES(pcp)))

/**
 * this_cpu_add_return - add to the copy of the running CPU, for the sum
 * @pcp: an integer, as for this_cpu_read()
 * @n: what to add
 *
 * this_cpu_sub_return(), this_cpu_inc_return() and this_cpu_dec_return()
 * likewise.
 */
#define this_cpu_add_return(pcp, n)                                         \
	KN_PCPU_VALUE(pcp, knuma_this_cpu_add(&(pcp), KN_PCPU_WORD(pcp, n), \
					      KN_PCPU_BYTES(pcp)))
#define this_cpu_sub_return(pcp, n) \
	this_cpu_add_return(pcp, -(__typeof__(pcp))(n))
#define this_cpu_inc_return(pcp) this_cpu_add_return(pcp, 1)
#define this_cpu_dec_return(pcp) this_cpu_sub_return(pcp, 1)

/**
 * this_cpu_add - add to the copy of the running CPU
 * @pcp: an integer, as for this_cpu_read()
 * @n: what to add
 *
 * this_cpu_sub(), this_cpu_inc() and this_cpu_dec() likewise.
 */
#define this_cpu_add(pcp, n)	 ((void)this_cpu_add_return(pcp, n))
#define this_cpu_sub(pcp, n)	 ((void)this_cpu_sub_return(pcp, n))
#define this_cpu_inc(pcp)	 this_cpu_add(pcp, 1)
#define this_cpu_dec(pcp)	 this_cpu_sub(pcp, 1)

#endif /* KNUMA_PERCPU_H */

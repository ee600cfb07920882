/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/preload/new.c - C++ operators new and delete
 *
 * In C under their mangled names, so that C programs do not load libstdc++.
 * Here is what succeeds; what fails, and what a program replaced a part of, is
 * done by the runtime's operator of the same name.
 */
#include "alloc/preload/new.h"

#include <knuma/malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc/base/compiler.h"
#include "numa/hot.h"

static inline void *allocate(size_t size, size_t align)
{
	if (__builtin_constant_p(align) && align == 1)
		return knuma_malloc(size);
	return knuma_memalign(align, size);
}

/* A C program that calls operator new by its mangled name. */
static kn_slow void nobody_throws(void)
{
	static const char text[] =
		"knuma: operator new: no memory, and no C++ runtime is loaded "
		"that could throw std::bad_alloc\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(127);
	abort();
}

#pragma GCC visibility push(default)

/* What malloc() mostly does; only where no alignment is asked for. */
static kn_always_inline void *pop(size_t size, size_t align)
{
	if (__builtin_constant_p(align) && align == 1 &&
	    likely(kn_hot_small(&knuma_hot_1, size)))
		return kn_hot_pop(&knuma_hot_1, size);
	return NULL;
}

static kn_always_inline void give(void *p)
{
	if (unlikely(!kn_hot_push(&knuma_hot_1, p)))
		kn_free_rest(p);
}

static kn_always_inline void give_sized(void *p, size_t size)
{
	if (unlikely(!kn_hot_push(&knuma_hot_1, p)))
		kn_free_sized_rest(p, size);
}

/* A frame is for the rest. */
#define KN_NEW(name, align, chained, parameters, arguments)                   \
	void *name parameters;                                                \
	static kn_noinline void *rest_of##name parameters                     \
	{                                                                     \
		void *p = NULL, *(*runtime)parameters;                        \
                                                                              \
		if (!(chained) || likely(!kn_new_replaced))                   \
			p = allocate(n, align);                               \
		if (likely(p))                                                \
			return p;                                             \
		runtime = (void *(*)parameters)kn_new_runtime(#name);         \
		if (!runtime)                                                 \
			nobody_throws();                                      \
		/* libstdc++ rounds up SIZE_MAX to 0, which would succeed. */ \
		n = KN_MIN(n, (size_t)PTRDIFF_MAX);                           \
		return runtime arguments;                                     \
	}                                                                     \
	kn_fast void *name parameters                                         \
	{                                                                     \
		if (!(chained) || likely(!kn_new_replaced)) {                 \
			void *p = pop(n, align);                              \
                                                                              \
			if (likely(kn_rseq_popped(p)))                        \
				return p;                                     \
		}                                                             \
		return rest_of##name arguments;                               \
	}
#define KN_DELETE(name, chained, own, parameters, arguments)       \
	void name parameters;                                      \
	static kn_slow void replaced_##name parameters             \
	{                                                          \
		void(*runtime) parameters =                        \
			(void(*) parameters)kn_new_runtime(#name); \
                                                                   \
		if (runtime)                                       \
			runtime arguments;                         \
		else                                               \
			own;                                       \
	}                                                          \
	kn_fast void name parameters                               \
	{                                                          \
		if ((chained) && unlikely(kn_new_replaced))        \
			replaced_##name arguments;                 \
		else                                               \
			own;                                       \
	}
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "alloc/preload/operators.def"
#undef KN_NEW
#undef KN_DELETE

/* For runtime.c: by names that the program cannot replace. */
#define KN_DELETE(name, ...)                          \
	__asm__(".hidden	kn_own_" #name "\n\t" \
		".globl	kn_own_" #name "\n\t"         \
		".set	kn_own_" #name ", " #name);
#define KN_NEW KN_DELETE
#include "alloc/preload/operators.def"

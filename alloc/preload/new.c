/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/preload/new.c - C++ operators new and delete
 *
 * In C under their mangled names, so that C programs do not load libstdc++.
 * What a failing new needs of it (the new-handler, std::bad_alloc) is looked up
 * weakly: a program that throws has it.
 */
#include <knuma/malloc.h>
#include <stdlib.h>

#include "alloc/base/compiler.h"

typedef void (*new_handler)(void);

/* std::get_new_handler() and std::__throw_bad_alloc() */
extern new_handler _ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak));

#define NEW(name, ...) void *name(__VA_ARGS__); void *name(__VA_ARGS__)
#define DELETE(name, ...) void name(__VA_ARGS__); void name(__VA_ARGS__)

static void *allocate(size_t size, size_t align)
{
	return align <= 16 ? knuma_malloc(size) : knuma_memalign(align, size);
}

/* Calls the new-handler until there is memory; throws, or NULL if @nothrow. */
static kn_slow void *new_slow(size_t size, size_t align, bool nothrow)
{
	void *p;

	while (!(p = allocate(size, align))) {
		const new_handler handler = _ZSt15get_new_handlerv ?
			_ZSt15get_new_handlerv() : NULL;

		if (handler)
			handler();
		else if (nothrow)
			return NULL;
		else if (_ZSt17__throw_bad_allocv)
			_ZSt17__throw_bad_allocv();
		else
			abort();
	}
	return p;
}

static inline void *new(size_t size, size_t align, bool nothrow)
{
	void *p = allocate(size, align);

	return likely(p) ? p : new_slow(size, align, nothrow);
}

#pragma GCC visibility push(default)

/* new, new[]; with std::nothrow_t; with std::align_val_t; with both */
NEW(_Znwm, size_t n) { return new(n, 1, false); }
NEW(_Znam, size_t n) { return new(n, 1, false); }
NEW(_ZnwmRKSt9nothrow_t, size_t n, const void *t)
{
	(void)t;
	return new(n, 1, true);
}
NEW(_ZnamRKSt9nothrow_t, size_t n, const void *t)
{
	(void)t;
	return new(n, 1, true);
}
NEW(_ZnwmSt11align_val_t, size_t n, size_t a) { return new(n, a, false); }
NEW(_ZnamSt11align_val_t, size_t n, size_t a) { return new(n, a, false); }
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, size_t n, size_t a, const void *t)
{
	(void)t;
	return new(n, a, true);
}
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, size_t n, size_t a, const void *t)
{
	(void)t;
	return new(n, a, true);
}

/* delete, delete[]; nothrow; sized; aligned; aligned nothrow; sized aligned */
DELETE(_ZdlPv, void *p) { knuma_free(p); }
DELETE(_ZdaPv, void *p) { knuma_free(p); }
DELETE(_ZdlPvRKSt9nothrow_t, void *p) { knuma_free(p); }
DELETE(_ZdaPvRKSt9nothrow_t, void *p) { knuma_free(p); }
DELETE(_ZdlPvm, void *p) { knuma_free(p); }
DELETE(_ZdaPvm, void *p) { knuma_free(p); }
DELETE(_ZdlPvSt11align_val_t, void *p) { knuma_free(p); }
DELETE(_ZdaPvSt11align_val_t, void *p) { knuma_free(p); }
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, void *p) { knuma_free(p); }
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, void *p) { knuma_free(p); }
DELETE(_ZdlPvmSt11align_val_t, void *p) { knuma_free(p); }
DELETE(_ZdaPvmSt11align_val_t, void *p) { knuma_free(p); }

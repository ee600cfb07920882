/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library in front of the preload that counts calls of malloc, as leak
 * finders do: it looks up the next one, and what the look-up allocates it takes
 * from the second names.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);

static __thread int inside;
static long calls;

static void *next(const char *name)
{
	void *found;

	inside++;
	/* The message that there is none is allocated. */
	if (dlsym(RTLD_NEXT, "knuma_no_such_name"))
		abort();
	found = dlsym(RTLD_NEXT, name);
	inside--;
	if (!found)
		abort();
	return found;
}

void *malloc(size_t size)
{
	static void *(*real)(size_t);

	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (inside)
		return __libc_malloc(size);
	if (!real)
		real = (void *(*)(size_t))next("malloc");
	return real(size);
}

void *calloc(size_t n, size_t size)
{
	static void *(*real)(size_t, size_t);

	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (inside)
		return __libc_calloc(n, size);
	if (!real)
		real = (void *(*)(size_t, size_t))next("calloc");
	return real(n, size);
}

__attribute__((destructor)) static void tell(void)
{
	if (calls < 10)
		abort();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/preload/preload.c - malloc(3) and its family, over libknuma.so.0
 *
 * Thin on purpose: the heap is libknuma's, so a program that links knuma and is
 * preloaded, too, has one heap.  What malloc and free mostly do is here as well,
 * on that heap; the rest is a jump.  glibc's behaviour where programs rely on it:
 * realloc(p, 0) frees and gives NULL, malloc(0) is unique, every failure sets
 * ENOMEM, free() keeps errno.
 */
#include <dlfcn.h>
#include <errno.h>
#include <knuma/malloc.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc/base/compiler.h"
#include "alloc/preload/new.h"
#include "numa/hot.h"

/* Of libknuma, for this library alone. */
void knuma_thread_created(void);
bool knuma_thread_refused(void);
bool knuma_free_slow(void *p);
void knuma_freed(void);

/* Here free(3) may do what a free of the kernel's interface may not: call the system. */
kn_slow void kn_free_rest(void *p)
{
	if (!knuma_free_slow(p))
		knuma_freed();
}

kn_slow void kn_free_sized_rest(void *p, size_t size)
{
	knuma_free_sized(p, size);
	knuma_freed();
}

static kn_slow void free_aligned_rest(void *p, size_t align, size_t size)
{
	knuma_free_aligned_sized(p, align, size);
	knuma_freed();
}

kn_fast void kn_free(void *p)
{
	if (unlikely(!kn_hot_push(&knuma_hot_1, p)))
		kn_free_rest(p);
}

kn_fast void kn_free_aligned_sized(void *p, size_t align, size_t size)
{
	if (unlikely(!kn_hot_push(&knuma_hot_1, p)))
		free_aligned_rest(p, align, size);
}

/* All that follows is for the program; preload.lds lists it. */
#pragma GCC visibility push(default)

kn_fast void *malloc(size_t size)
{
	if (likely(kn_hot_small(&knuma_hot_1, size))) {
		void *p = kn_hot_pop(&knuma_hot_1, size);

		if (likely(kn_rseq_popped(p)))
			return p;
	}
	return knuma_malloc(size);
}

kn_fast void free(void *p)
{
	if (unlikely(!kn_hot_push(&knuma_hot_1, p)))
		kn_free_rest(p);
}

void *calloc(size_t n, size_t size)
{
	return knuma_calloc(n, size);
}

/* What moved, or has gone, was freed. */
static void *resize(void *p, size_t size)
{
	const uintptr_t was = (uintptr_t)p;
	void *const new = knuma_realloc(p, size);

	if (was && (uintptr_t)new != was)
		knuma_freed();
	return new;
}

void *realloc(void *p, size_t size)
{
	return resize(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return resize(p, bytes);
}

void cfree(void *p);
void cfree(void *p)
{
	kn_free(p);
}

void free_sized(void *p, size_t size);
kn_fast void free_sized(void *p, size_t size)
{
	if (unlikely(!kn_hot_push(&knuma_hot_1, p)))
		kn_free_sized_rest(p, size);
}

void free_aligned_sized(void *p, size_t align, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size)
{
	kn_free_aligned_sized(p, align, size);
}

/* Alignment */

int posix_memalign(void **p, size_t align, size_t size)
{
	const int saved_errno = errno;
	void *new;

	if (align < sizeof(void *) || (align & (align - 1)))
		return EINVAL;
	new = knuma_memalign(align, size);
	if (!new)
		return ENOMEM;
	errno = saved_errno;
	*p = new;
	return 0;
}

void *aligned_alloc(size_t align, size_t size)
{
	return knuma_memalign(align, size);
}

/* glibc rounds an alignment that is no power of two up to one. */
void *memalign(size_t align, size_t size)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	if (align & (align - 1))
		align = (size_t)1 << (64 - __builtin_clzl(align - 1));
	return knuma_memalign(KN_MAX(align, 1), size);
}

void *valloc(size_t size)
{
	return knuma_memalign(knuma_page_size(), size);
}

void *pvalloc(size_t size)
{
	const size_t page = knuma_page_size();

	if (size > SIZE_MAX - page) {
		errno = ENOMEM;
		return NULL;
	}
	return knuma_memalign(page, KN_ALIGN_UP(size, page));
}

/* Questions and settings */

size_t malloc_usable_size(void *p)
{
	return knuma_malloc_usable_size(p);
}

void malloc_stats(void)
{
	knuma_stats_print(STDERR_FILENO);
}

/*
 * Nothing of mallopt() applies: knuma has a file of its own for that.  What
 * glibc refuses is refused, since a program may ask for less then.
 */
int mallopt(int param, int value)
{
	if (param == M_MXFAST)
		return value >= 0 && value <= 80 * (int)sizeof(size_t) / 4;
	return 1;
}

static uint64_t stat_of(const char *name)
{
	uint64_t value = 0;

	return knuma_stats_read(name, &value) ? 0 : value;
}

/* 1 when memory went back to the system. */
int malloc_trim(size_t pad)
{
	const uint64_t before = stat_of("purged_bytes");

	(void)pad;
	knuma_trim();
	return stat_of("purged_bytes") != before;
}

/*
 * Small objects and blocks of pages are the arena, areas are what glibc maps.
 * Figures are read one after the other while threads go on: what is free is
 * what is left of the arena, so that the sum is right at any time.
 */
struct mallinfo2 mallinfo2(void)
{
	const uint64_t used = stat_of("allocated_bytes");
	const uint64_t areas = stat_of("vmalloc_bytes");
	const uint64_t others = areas + stat_of("cached_bytes");
	const uint64_t arena = stat_of("page_managed_bytes");
	const uint64_t in_arena = KN_MIN(arena, used - KN_MIN(used, others));
	const uint64_t pages = stat_of("page_free_bytes");

	return (struct mallinfo2){
		.arena = arena,
		.ordblks = 1,
		.hblks = stat_of("vmalloc_areas"),
		.hblkhd = areas,
		.uordblks = in_arena,
		.fordblks = arena - in_arena,
		.keepcost = KN_MIN(pages, arena - in_arena),
	};
}

/* As glibc: what does not fit is cut off. */
static struct mallinfo mallinfo_of_2(void)
{
	const struct mallinfo2 m = mallinfo2();

	return (struct mallinfo){
		.arena = (int)m.arena,
		.ordblks = (int)m.ordblks,
		.hblks = (int)m.hblks,
		.hblkhd = (int)m.hblkhd,
		.uordblks = (int)m.uordblks,
		.fordblks = (int)m.fordblks,
		.keepcost = (int)m.keepcost,
	};
}

struct mallinfo mallinfo(void)
{
	return mallinfo_of_2();
}

/* The one heap, and then all heaps: the same figures twice. */
static void info_totals(FILE *out, const struct mallinfo2 *m)
{
	fprintf(out,
		"<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
		"<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n",
		m->ordblks, m->fordblks);
}

static void info_system(FILE *out)
{
	const unsigned long long mapped = stat_of("mapped_bytes");
	const unsigned long long span = mapped + stat_of("retained_bytes");

	fprintf(out,
		"<system type=\"current\" size=\"%llu\"/>\n"
		"<system type=\"max\" size=\"%llu\"/>\n"
		"<aspace type=\"total\" size=\"%llu\"/>\n"
		"<aspace type=\"mprotect\" size=\"%llu\"/>\n",
		mapped, mapped, span, mapped);
}

/* As glibc, which gives the error as result; the manual says errno. */
int malloc_info(int options, FILE *out)
{
	const struct mallinfo2 m = mallinfo2();

	if (options)
		return EINVAL;
	fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n",
	      out);
	info_totals(out, &m);
	info_system(out);
	fputs("</heap>\n", out);
	info_totals(out, &m);
	fprintf(out, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n",
		m.hblks, m.hblkhd);
	info_system(out);
	fputs("</malloc>\n", out);
	return 0;
}

/*
 * The names by which glibc's own functions can be called past a malloc of the
 * program: what they give is freed by free(), so there is one heap for them.
 */
#define SECOND_NAME(of, result, parameters, arguments) \
	result __libc_##of parameters;                 \
	result __libc_##of parameters                  \
	{                                              \
		return of arguments;                   \
	}
SECOND_NAME(malloc, void *, (size_t size), (size))
SECOND_NAME(free, void, (void *p), (p))
SECOND_NAME(calloc, void *, (size_t n, size_t size), (n, size))
SECOND_NAME(realloc, void *, (void *p, size_t size), (p, size))
SECOND_NAME(memalign, void *, (size_t align, size_t size), (align, size))
SECOND_NAME(valloc, void *, (size_t size), (size))
SECOND_NAME(pvalloc, void *, (size_t size), (size))
SECOND_NAME(mallopt, int, (int param, int value), (param, value))

struct mallinfo __libc_mallinfo(void);
struct mallinfo __libc_mallinfo(void)
{
	return mallinfo_of_2();
}

/*
 * Threads: the first one is when a background thread may exist, too.  Until
 * then the process has one thread, and unshare(2) and setns(2) work.
 */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
		   void *(*start)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *,
			   void *(*)(void *), void *);
	int err;

	if (!__atomic_load_n(&real, __ATOMIC_ACQUIRE))
		__atomic_store_n(&real, dlsym(RTLD_NEXT, "pthread_create"),
				 __ATOMIC_RELEASE);
	err = real(thread, attr, start, arg);
	if (err == EAGAIN && knuma_thread_refused())
		err = real(thread, attr, start, arg);
	if (!err)
		knuma_thread_created();
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/percpu/percpu.h"

#include <errno.h>
#include <knuma/percpu.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/lock.h"
#include "alloc/base/start.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/guard.h"
#include "numa/machine.h"
#include "numa/rseq.h"
#include "numa/span.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define GRANULE	    8
#define NR_GRANULES (KN_PERCPU_STRIDE / GRANULE)
#define NR_WORDS    (NR_GRANULES / 64)

KN_STATIC_ASSERT(KN_PERCPU_STRIDE == (size_t)1 << KN_PERCPU_SHIFT,
		 "sections step from copy to copy as the header does");
KN_STATIC_ASSERT(GRANULE >= sizeof(ck_stack_entry_t),
		 "a free object has room for a link");

struct chunk {
	struct chunk *next;
	char *base;		  /* of the part of CPU 0 */
	size_t present;		  /* bytes of each part; lock */
	uint32_t purging;	  /* its memory goes just now; set by lock */
	uint32_t purges;	  /* times that it went; lock */
	bool idle;		  /* nothing taken since the last trim; lock */
	uint64_t used[NR_WORDS];  /* lock */
	uint64_t first[NR_WORDS]; /* lock */
};

static struct kn_lock lock = KN_LOCK_INIT(percpu);
static struct chunk *chunks; /* written under the lock */
static ck_stack_t deferred = CK_STACK_INITIALIZER;
static uint64_t present;  /* of all chunks; lock; read without */
static uint64_t granules; /* in use; the same */

static bool bit(const uint64_t *map, size_t i)
{
	return map[i / 64] >> i % 64 & 1;
}

static void set_bits(uint64_t *map, size_t i, size_t n, bool value)
{
	for (; n; i++, n--)
		if (value)
			map[i / 64] |= UINT64_C(1) << i % 64;
		else
			map[i / 64] &= ~(UINT64_C(1) << i % 64);
}

/* Granules from @from on that are free, at most @n. */
static size_t free_run(const struct chunk *c, size_t from, size_t n)
{
	size_t i = 0;

	while (i < n && !bit(c->used, from + i))
		i++;
	return i;
}

/* The first place for @n granules, a multiple of @step; NR_GRANULES: none. */
static size_t find(const struct chunk *c, size_t n, size_t step)
{
	const size_t end = c->present / GRANULE;
	size_t i = 0, run;

	while (i + n <= end) {
		if (i % 64 == 0 && c->used[i / 64] == UINT64_MAX) {
			i = KN_ALIGN_UP(i + 64, step);
			continue;
		}
		run = free_run(c, i, n);
		if (run == n)
			return i;
		i = KN_ALIGN_UP(i + run + 1, step);
	}
	return NR_GRANULES;
}

static struct chunk *chunk_of(const void *p)
{
	struct chunk *c = kn_load_acquire(&chunks);

	while (c && (uintptr_t)p - (uintptr_t)c->base >= KN_PERCPU_STRIDE)
		c = kn_load(&c->next);
	return c;
}

/* Frees the object at @p, aligned, in @c; false when none begins there.  Lock. */
static bool release(struct chunk *c, const void *p)
{
	const size_t begin = (size_t)((const char *)p - c->base) / GRANULE;
	size_t end = begin;

	if (!bit(c->first, begin))
		return false;
	set_bits(c->first, begin, 1, false);
	do
		set_bits(c->used, end++, 1, false);
	while (end < NR_GRANULES && bit(c->used, end) && !bit(c->first, end));
	kn_store(&granules, granules - (end - begin));
	return true;
}

static void report(const void *p)
{
	kn_bug("free_percpu(%p): nothing of alloc_percpu() begins there, or it "
	       "was freed already",
	       p);
}

/* What was left by frees that found the lock taken.  Lock. */
static void release_deferred(void)
{
	ck_stack_entry_t *e = ck_stack_batch_pop_upmc(&deferred), *next;

	for (; e; e = next) {
		next = CK_STACK_NEXT(e);
		if (!release(chunk_of(e), e))
			report(e);
	}
}

/* An object in what is in memory; NULL when there is no place.  Lock. */
static void *take(size_t n, size_t step)
{
	struct chunk *c;

	release_deferred();
	for (c = chunks; c; c = c->next) {
		const size_t i = find(c, n, step);

		if (i == NR_GRANULES)
			continue;
		set_bits(c->used, i, n, true);
		set_bits(c->first, i, 1, true);
		kn_store(&granules, granules + n);
		c->idle = false;
		return c->base + i * GRANULE;
	}
	return NULL;
}

/* Growth. */

/*
 * The parts of CPUs of one node that follow each other get its policy.  What the
 * system or the budget of mappings refuses lies where it is first touched; the
 * windows have said so already where no policy can be had at all.
 */
static void bind_parts(char *base)
{
	int from = 0, to;

	if (!kn_span.bind_wanted || kn_load(&kn_span.bind_error))
		return;
	for (; from < kn_topo.nr_cpus; from = to) {
		const int node = kn_load(&kn_cpu_node[from]);

		for (to = from + 1; to < kn_topo.nr_cpus; to++)
			if (kn_load(&kn_cpu_node[to]) != node)
				break;
		if (!kn_mappings_take()) {
			kn_warn_once(
				"vma_budget is used up: copies of CPUs lie "
				"where they are first used");
			return;
		}
		if (kn_machine.mbind_preferred(
			    base + (size_t)from * KN_PERCPU_STRIDE,
			    (size_t)(to - from) * KN_PERCPU_STRIDE,
			    kn_topo.kernel_id[node]))
			kn_mappings_give();
	}
}

static struct chunk *make_chunk(void)
{
	const size_t bytes = knuma_nr_cpu_ids() * KN_PERCPU_STRIDE;
	char *base =
		kn_machine.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	struct chunk *c;

	if (kn_is_err(base))
		return NULL;
	c = kn_meta_alloc(sizeof(*c), -1);
	if (!c) {
		kn_machine.munmap(base, bytes);
		return NULL;
	}
	c->base = base;
	bind_parts(base);
	/* One huge page would be the copies of many CPUs. */
	if (bytes >= KN_HUGE_SIZE)
		kn_machine.madvise(base, bytes, MADV_NOHUGEPAGE);
	kn_machine.name(base, bytes, "knuma:percpu");
	return c;
}

/* For kernels before 5.14: others may have written there. */
static void touch(char *part, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += KN_PAGE_SIZE)
		__atomic_fetch_or(part + at, 0, __ATOMIC_RELAXED);
}

/* Puts [@from, @to) of each part into memory. */
static void populate(char *base, size_t from, size_t to)
{
	for (unsigned cpu = 0; cpu < knuma_nr_cpu_ids(); cpu++) {
		char *part = base + cpu * KN_PERCPU_STRIDE + from;

		if (kn_machine.madvise(part, to - from, MADV_POPULATE_WRITE))
			touch(part, to - from);
	}
}

/* How many bytes of each part of @c are in memory.  Lock. */
static void set_present(struct chunk *c, size_t bytes)
{
	kn_store(&present, present - c->present + bytes);
	c->present = bytes;
}

/* A chunk of which not all is in memory; NULL: none.  Lock. */
static struct chunk *growable(void)
{
	struct chunk *c = chunks;

	while (c && c->present == KN_PERCPU_STRIDE)
		c = c->next;
	return c;
}

/*
 * Puts @bytes more of a chunk into memory, or makes a chunk.  Of two threads at
 * it one may have done it in vain.
 */
static bool grow(size_t bytes)
{
	struct chunk *c, *added = NULL;
	uint32_t purges = 0;
	size_t from = 0, to;

	kn_lock(&lock);
	c = growable();
	if (c) {
		from = c->present;
		purges = c->purges;
	}
	kn_unlock(&lock);
	if (!c)
		added = c = make_chunk();
	if (!c)
		return false;
	kn_wait_clear(&c->purging);
	to = KN_MIN(from + KN_ALIGN_UP(bytes, KN_PAGE_SIZE), KN_PERCPU_STRIDE);
	populate(c->base, from, to);
	kn_lock(&lock);
	if (added) {
		c->next = chunks;
		kn_store_release(&chunks, c);
	}
	if (c->present == from && c->purges == purges)
		set_present(c, to);
	kn_unlock(&lock);
	return true;
}

/* Memory of chunks that are empty. */

static bool is_empty(const struct chunk *c)
{
	for (size_t i = 0; i < NR_WORDS; i++)
		if (c->used[i])
			return false;
	return true;
}

/*
 * Whether @c is empty, with @all or since the last trim, and is the caller's to
 * purge: then nothing can be taken from it.  The last one stays for calls that may
 * not wait.  Lock.
 */
static bool begin_purge(struct chunk *c, bool all)
{
	if (!c->present || c->purging || !is_empty(c))
		return false;
	if (!all && present == c->present)
		return false;
	if (!all && !c->idle) {
		c->idle = true;
		return false;
	}
	kn_store(&c->purging, 1);
	c->purges++;
	return true;
}

/* All parts at once; their policies stay. */
static void purge(struct chunk *c, size_t was)
{
	const size_t parts = knuma_nr_cpu_ids();
	const int err =
		kn_span_purge((uintptr_t)c->base, parts * KN_PERCPU_STRIDE);

	if (!err)
		kn_stat_add(KN_STAT_purged_bytes, parts * was);
	kn_lock(&lock);
	if (err)
		set_present(c, was);
	kn_store_release(&c->purging, 0);
	kn_unlock(&lock);
}

void kn_percpu_trim(bool all)
{
	struct chunk *c = kn_load_acquire(&chunks);

	for (; c; c = c->next) {
		size_t was = 0;

		kn_lock(&lock);
		release_deferred();
		if (begin_purge(c, all)) {
			was = c->present;
			set_present(c, 0);
		}
		kn_unlock(&lock);
		if (was)
			purge(c, was);
	}
}

uint64_t kn_percpu_bytes(void)
{
	return kn_load(&present) * knuma_nr_cpu_ids();
}

uint64_t kn_percpu_used_bytes(void)
{
	return kn_load(&granules) * GRANULE * knuma_nr_cpu_ids();
}

static void *refuse(size_t size, int err, gfp_t gfp)
{
	if (!(gfp & __GFP_NOWARN))
		kn_warn_once("alloc_percpu of %zu bytes failed: %s; further "
			     "failures are silent",
			     size,
			     err == EINVAL ? "the request is invalid" :
					     "no memory");
	errno = err;
	return NULL;
}

void *__alloc_percpu_gfp(size_t size, size_t align, gfp_t gfp)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	const size_t n = (size + GRANULE - 1) / GRANULE;
	void *p = NULL;
	bool grew = true;

	if (!size || size > PCPU_MIN_UNIT_SIZE || !kn_is_pow2(align) ||
	    align > KN_PAGE_SIZE || gfp & ~__GFP_BITS_MASK)
		return refuse(size, EINVAL, gfp);
	if (!kn_start())
		return NULL;
	align = KN_MAX(align, (size_t)GRANULE);
	while (!p && grew) {
		if (kn_lock_if(&lock, may_block)) {
			p = take(n, align / GRANULE);
			kn_unlock_if(&lock, may_block);
		}
		grew = !p && may_block && grow(size + align);
	}
	if (!p)
		return refuse(size, ENOMEM, gfp);
	for (unsigned cpu = 0; cpu < knuma_nr_cpu_ids(); cpu++)
		memset(per_cpu_ptr((char *)p, cpu), 0, size);
	return p;
}

void *__alloc_percpu(size_t size, size_t align)
{
	return __alloc_percpu_gfp(size, align, GFP_KERNEL);
}

void free_percpu(void *p)
{
	struct chunk *c;
	bool done;

	if (!p)
		return;
	c = chunk_of(p);
	if (!c || (uintptr_t)p % GRANULE) {
		report(p);
		return;
	}
	if (!kn_trylock(&lock)) {
		ck_stack_push_upmc(&deferred, p);
		return;
	}
	done = release(c, p);
	kn_unlock_quiet(&lock);
	if (!done)
		report(p);
}

static struct chunk *find_purged(void)
{
	struct chunk *c = chunks;

	while (c && !c->purging)
		c = c->next;
	return c;
}

/* Who grows inside the fork would wait for one who waits for this lock. */
void kn_percpu_lock(void)
{
	struct chunk *c;

	kn_lock(&lock);
	while ((c = find_purged()) != NULL) {
		kn_unlock(&lock);
		kn_wait_clear(&c->purging);
		kn_lock(&lock);
	}
}

void kn_percpu_unlock(void)
{
	kn_unlock(&lock);
}

void kn_percpu_reset(void)
{
	kn_lock_reset(&lock);
}

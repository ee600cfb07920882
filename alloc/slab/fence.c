/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/fence.h"

#include <knuma/slab.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/print.h"
#include "alloc/base/random.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/away.h"
#include "alloc/page/page_alloc.h"
#include "alloc/slab/fault.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

/* Who, when, from where. */
struct event {
	int thread;
	uint64_t ms;
	struct kn_stack stack;
};

enum slot_state {
	FREE,
	BUSY,
	USED,
};

struct slot {
	uint32_t state; /* atomic, K2 */
	uint32_t turn;	/* of its last free, K4; 0: never used */
	uint32_t size;
	uint32_t cache; /* id */
	uintptr_t start;
	bool split;    /* its page is closed by protection */
	bool told;     /* a fault was reported since the free */
	char name[48]; /* of the cache */
	struct event alloc, free;
};

enum pool_state {
	POOL_NONE,
	POOL_MAKING,
	POOL_READY,
	POOL_REFUSED,
};

static struct pool {
	uint32_t state; /* atomic */
	uint32_t first; /* page number */
	uint32_t nr;	/* slots */
	uint32_t turn;	/* atomic */
	struct slot *slot;
} pools[KN_MAX_NODES];

uint32_t kn_fence_every;
static uint64_t left; /* allocations until the next turn; atomic */

/* This thread takes a stack: what that allocates is not sampled. */
static kn_tls bool inside;

void kn_fence_init(void)
{
	kn_fence_every = (uint32_t)kn_tun.guard_sample;
	kn_store(&left, kn_fence_every);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static kn_noinline void note(struct event *e)
{
	inside = true;
	e->thread = (int)syscall(SYS_gettid);
	e->ms = now_ms();
	kn_stack_take(&e->stack, 1);
	inside = false;
}

/* Slots and pages. */

static char *page_of(const struct pool *p, const struct slot *sl)
{
	return kn_pfn_address(p->first + 1 + 2 * (uint32_t)(sl - p->slot));
}

/* The slot of an address in an object's page; NULL: in a guard. */
static struct slot *slot_of(const void *addr, struct pool **pool)
{
	struct pool *p = &pools[kn_window_of(addr)];
	const uint32_t at = kn_pfn(addr) - p->first;

	*pool = p;
	if (kn_load_acquire(&p->state) != POOL_READY || at > 2 * p->nr)
		return NULL;
	return at % 2 ? &p->slot[at / 2] : NULL;
}

/* The kernel has no guard markers, or memory is locked: it is asked once. */
static uint32_t no_markers;

/* Closes pages: by guard markers, or else by protection. */
static bool close_pages(char *base, size_t bytes, bool *split)
{
	int err = -EINVAL;

	if (!kn_load(&no_markers))
		err = kn_machine.madvise(base, bytes, MADV_GUARD_INSTALL);
	*split = err != 0;
	if (!err)
		return true;
	if (err == -EINVAL)
		kn_store(&no_markers, 1);
	/* Memory that is locked stays; then it is only closed. */
	kn_machine.madvise(base, bytes, MADV_DONTNEED);
	return !kn_machine.mprotect(base, bytes, PROT_NONE);
}

static bool open_page(char *page, bool split)
{
	if (split)
		return !kn_machine.mprotect(page, KN_PAGE_SIZE,
					    PROT_READ | PROT_WRITE);
	return !kn_machine.madvise(page, KN_PAGE_SIZE, MADV_GUARD_REMOVE);
}

/* Pages and table of a pool; false: none, and nothing has changed. */
static bool make_pool(struct pool *p, int node)
{
	const uint32_t nr = (uint32_t)kn_tun.guard_slots;
	const unsigned order = kn_log2_up(2 * nr + 1);
	bool split;

	if (!p->slot)
		p->slot = kn_meta_alloc(nr * sizeof(*p->slot), node);
	if (!p->slot)
		return false;
	p->first = kn_pages_get(node, order, GFP_KERNEL | __GFP_NOWARN);
	if (p->first == KN_PFN_NONE)
		return false;
	if (!close_pages(kn_pfn_address(p->first), KN_PAGE_SIZE << order,
			 &split)) {
		kn_pages_put(p->first, order, 0, true);
		return false;
	}
	for (uint32_t i = 0; i < nr; i++)
		p->slot[i].split = split;
	for (uint32_t i = 0; i < 1u << order; i++)
		kn_map_set(p->first + i, KN_ID_GUARD);
	p->nr = nr;
	return true;
}

/* The pool of @node, made by the first that asks; NULL: not now, or never. */
static struct pool *pool_of(int node)
{
	struct pool *p = &pools[node];
	uint32_t state = kn_load_acquire(&p->state);

	if (likely(state == POOL_READY))
		return p;
	if (state != POOL_NONE ||
	    !ck_pr_cas_32(&p->state, POOL_NONE, POOL_MAKING))
		return NULL;
	if (!make_pool(p, node)) {
		kn_warn("guard_sample: no guarded objects on node %d: its memory "
			"cannot be had, or not be protected page by page; they "
			"are sampled on other nodes only",
			kn_topo.kernel_id[node]);
		kn_store(&p->state, POOL_REFUSED);
		return NULL;
	}
	kn_fault_install();
	kn_store_release(&p->state, POOL_READY);
	return p;
}

/* K4.  NULL: all are in use. */
static struct slot *take_slot(struct pool *p)
{
	for (;;) {
		struct slot *first = NULL;

		for (uint32_t i = 0; i < p->nr; i++) {
			struct slot *sl = &p->slot[i];

			if (kn_load(&sl->state) == FREE &&
			    (!first ||
			     kn_load(&sl->turn) < kn_load(&first->turn)))
				first = sl;
		}
		if (!first)
			return NULL;
		if (ck_pr_cas_32(&first->state, FREE, BUSY))
			return first;
	}
}

/* What surrounds an object in its page; it differs from byte to byte. */
static uint8_t filler(uintptr_t at)
{
	return (uint8_t)(0xaa ^ (at & 7));
}

static void fill(uintptr_t from, uintptr_t to)
{
	for (; from < to; from++)
		*(uint8_t *)from = filler(from);
}

/* The first byte of [@from, @to) that was written to; 0: none. */
static uintptr_t spoilt(uintptr_t from, uintptr_t to)
{
	for (; from < to; from++)
		if (*(const uint8_t *)from != filler(from))
			return from;
	return 0;
}

/* At one end of its page, as a coin says. */
static uintptr_t start_in(const char *page, const struct kmem_cache *s,
			  size_t size)
{
	const size_t bytes = KN_ALIGN_UP(size, s->align);

	return (uintptr_t)page + (kn_random() & 1 ? KN_PAGE_SIZE - bytes : 0);
}

static void *fill_slot(struct slot *sl, const char *page, struct kmem_cache *s,
		       size_t size, gfp_t gfp)
{
	const uintptr_t from = (uintptr_t)page;

	sl->size = (uint32_t)size;
	sl->cache = s->mag.id;
	sl->start = start_in(page, s, size);
	sl->told = false;
	snprintf(sl->name, sizeof(sl->name), "%s", s->name);
	fill(from, sl->start);
	fill(sl->start + size, from + KN_PAGE_SIZE);
	if (s->ctor)
		s->ctor((void *)sl->start);
	else if (gfp & __GFP_ZERO || kn_tun.init_on_alloc)
		memset((void *)sl->start, 0, size);
	sl->free.stack.nr = 0;
	note(&sl->alloc);
	kn_store_release(&sl->state, USED);
	return (void *)sl->start;
}

/* Whether it is the turn of one of the @n allocations since the last question. */
static bool is_due(uint64_t n)
{
	const uint64_t every = kn_fence_every;
	uint64_t next;
	int64_t now;

	if (every == 1 || !n)
		return n;
	now = (int64_t)(ck_pr_faa_64(&left, -n) - n);
	if (likely(now > 0))
		return false;
	/* On average @every; not to be foreseen by a loop. */
	next = 1 + kn_random() % (2 * every - 1);
	if (now + (int64_t)next > 0)
		ck_pr_add_64(&left, next);
	else
		kn_store(&left, next);
	return true;
}

static bool may_guard(const struct kmem_cache *s, size_t size, gfp_t gfp)
{
	return gfpflags_allow_blocking(gfp) && !inside && !kn_forking &&
	       KN_ALIGN_UP(size, s->align) <= KN_PAGE_SIZE &&
	       !(kn_load(&s->flags) & SLAB_TYPESAFE_BY_RCU) &&
	       !kn_load(&s->refused);
}

static void *get(struct kmem_cache *s, size_t size, gfp_t gfp, int node)
{
	struct pool *p = may_guard(s, size, gfp) ? pool_of(node) : NULL;
	struct slot *sl = p ? take_slot(p) : NULL;

	if (!sl) {
		kn_stat_add(KN_STAT_guarded_skipped, 1);
		return NULL;
	}
	if (!open_page(page_of(p, sl), sl->split)) {
		kn_store_release(&sl->state, FREE);
		kn_stat_add(KN_STAT_guarded_skipped, 1);
		return NULL;
	}
	kn_stat_add(KN_STAT_guarded_allocs, 1);
	return fill_slot(sl, page_of(p, sl), s, size, gfp);
}

/* One miss in 16: a look counts what all of them brought. */
static bool is_time_to_look(void)
{
	return kn_load(&kn_stat_stripe()->count[KN_STAT_alloc_slow]) % 16 == 0;
}

void *kn_fence_alloc_of(struct kmem_cache *s, size_t size, gfp_t gfp, int node,
			uint32_t n)
{
	bool armed = false;

	if (!kn_mag_is_counted(&s->mag))
		n = KN_MIN(n, kn_fence_every);
	else if (likely(!kn_load(&kn_mag_nr_armed) && !is_time_to_look()))
		return NULL;
	else
		n = kn_mag_look(&s->mag, node, gfpflags_allow_blocking(gfp),
				&armed);
	if (likely(!is_due(n) && !armed))
		return NULL;
	return get(s, size, gfp, node);
}

void *kn_fence_alloc(struct kmem_cache *s, size_t size, gfp_t gfp, int node)
{
	return kn_fence_alloc_of(s, size, gfp, node, 1);
}

static bool tick_is_due(uint64_t n)
{
	return is_due(n);
}

void kn_fence_tick(void)
{
	if (kn_fence_every)
		kn_mag_arm(tick_is_due);
}

/* Reports. */

static void print_event(const char *what, const struct event *e)
{
	const uint64_t ms = now_ms() - e->ms;

	kn_print("%s by thread %d, %llu.%03llu s ago:", what, e->thread,
		 (unsigned long long)(ms / 1000),
		 (unsigned long long)(ms % 1000));
	kn_stack_print(&e->stack);
}

static void print_slot(const struct pool *p, const struct slot *sl)
{
	kn_print("guard-#%d: 0x%lx-0x%lx, size=%u, cache=%s",
		 (int)(sl - p->slot), (unsigned long)sl->start,
		 (unsigned long)(sl->start + sl->size - 1), sl->size, sl->name);
	print_event("allocated", &sl->alloc);
	if (sl->free.stack.nr)
		print_event("freed", &sl->free);
}

static void print_report(const char *title, const struct kn_stack *stack,
			 const struct pool *p, const struct slot *sl)
{
	kn_print("==========================================================");
	kn_print("BUG guard: %s", title);
	kn_stack_print(stack);
	if (sl)
		print_slot(p, sl);
	kn_print("==========================================================");
	kn_stat_add(KN_STAT_guarded_reports, 1);
}

/* A free that must not be: printed, then the process ends. */
static kn_slow kn_printf(3, 4) void bad_free(const struct pool *p,
					     const struct slot *sl,
					     const char *fmt, ...)
{
	struct kn_stack stack;
	char title[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(title, sizeof(title), fmt, ap);
	va_end(ap);
	inside = true;
	kn_stack_take(&stack, 1);
	inside = false;
	print_report(title, &stack, p, sl);
	kn_bug("guard: %s", title);
}

/* Which object an access to a guard was meant for: the nearer one, in use. */
static struct slot *nearest(struct pool *p, uintptr_t addr)
{
	const uint32_t at = kn_pfn((void *)addr) - p->first;
	struct slot *const before =
		at >= 2 && at / 2 - 1 < p->nr ? &p->slot[at / 2 - 1] : NULL;
	struct slot *const behind = at / 2 < p->nr ? &p->slot[at / 2] : NULL;
	const bool has_before = before && kn_load(&before->state) == USED;
	const bool has_behind = behind && kn_load(&behind->state) == USED;

	if (has_before && has_behind)
		return addr - (before->start + before->size) <
				       behind->start - addr ?
			       before :
			       behind;
	return has_before ? before : has_behind ? behind : NULL;
}

static void name_fault(char *title, size_t len, uintptr_t addr, uintptr_t pc,
		       const char *access, const struct pool *p,
		       const struct slot *sl, bool freed)
{
	const int i = sl ? (int)(sl - p->slot) : -1;
	char where[200];

	kn_stack_name(pc, where, sizeof(where));
	if (!sl)
		snprintf(title, len, "invalid %s at 0x%lx in %s", access,
			 (unsigned long)addr, where);
	else if (freed)
		snprintf(title, len,
			 "use-after-free %s at 0x%lx (in guard-#%d) in "
			 "%s",
			 access, (unsigned long)addr, i, where);
	else if (addr < sl->start)
		snprintf(title, len,
			 "out-of-bounds %s at 0x%lx (%luB left of "
			 "guard-#%d) in %s",
			 access, (unsigned long)addr,
			 (unsigned long)(sl->start - addr), i, where);
	else
		snprintf(title, len,
			 "out-of-bounds %s at 0x%lx (%luB right of "
			 "guard-#%d) in %s",
			 access, (unsigned long)addr,
			 (unsigned long)(addr - sl->start - sl->size + 1), i,
			 where);
}

bool kn_fence_report_fault(uintptr_t address, uintptr_t pc, int write)
{
	static const char *const names[] = {"access", "read", "write"};
	const void *at = (const void *)address;
	struct kn_stack stack;
	struct pool *p;
	struct slot *sl;
	/* One thread at a time reports; not on a signal stack, which is short. */
	static char title[512];
	bool freed;

	if (kn_id_of(at) != KN_ID_GUARD)
		return false;
	sl = slot_of(at, &p);
	freed = sl && kn_load_acquire(&sl->state) == FREE && sl->turn;
	if (!sl)
		sl = nearest(p, address);
	if (freed && sl->told)
		return true;
	if (freed)
		sl->told = true;
	inside = true;
	kn_stack_take_from(&stack, pc);
	inside = false;
	name_fault(title, sizeof(title), address, pc, names[write + 1], p, sl,
		   freed);
	print_report(title, &stack, p, sl);
	return true;
}

/* Frees. */

static void check_around(const struct pool *p, const struct slot *sl)
{
	const uintptr_t page = (uintptr_t)page_of(p, sl);
	const uintptr_t end = sl->start + sl->size;
	uintptr_t bad = spoilt(end, page + KN_PAGE_SIZE);

	if (unlikely(bad)) {
		bad_free(p, sl,
			 "memory corruption at 0x%lx (%luB right of "
			 "guard-#%d), found when it was freed",
			 (unsigned long)bad, (unsigned long)(bad - end + 1),
			 (int)(sl - p->slot));
		return;
	}
	bad = spoilt(page, sl->start);
	if (unlikely(bad))
		bad_free(p, sl,
			 "memory corruption at 0x%lx (%luB left of "
			 "guard-#%d), found when it was freed",
			 (unsigned long)bad, (unsigned long)(sl->start - bad),
			 (int)(sl - p->slot));
}

static void put(struct pool *p, struct slot *sl)
{
	char *const page = page_of(p, sl);
	bool split = false;

	note(&sl->free);
	kn_away_forget(kn_page(kn_pfn(page)), 1);
	if (close_pages(page, KN_PAGE_SIZE, &split))
		sl->split = split;
	else
		kn_warn_once("guard_sample: a freed object could not be "
			     "protected; its use would not be noticed");
	kn_store(&sl->turn, ck_pr_faa_32(&p->turn, 1) + 1);
	kn_stat_add(KN_STAT_guarded_frees, 1);
	kn_store_release(&sl->state, FREE);
}

void kn_fence_free(const void *addr)
{
	struct pool *p;
	struct slot *sl = slot_of(addr, &p);
	const int i = sl ? (int)(sl - p->slot) : -1;

	if (!sl || !sl->start || (uintptr_t)addr != sl->start) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		bad_free(p, sl && sl->start ? sl : NULL,
			 "invalid free of %p: not the start of an object",
			 addr);
		return;
	}
	if (!ck_pr_cas_32(&sl->state, USED, BUSY)) {
		kn_stat_add(KN_STAT_double_free, 1);
		bad_free(p, sl,
			 "invalid free of %p (in guard-#%d): double free", addr,
			 i);
		return;
	}
	check_around(p, sl);
	put(p, sl);
}

/* Questions. */

size_t kn_fence_size(const void *addr)
{
	struct pool *p;
	const struct slot *sl = slot_of(addr, &p);

	return sl && kn_load_acquire(&sl->state) == USED &&
			       sl->start == (uintptr_t)addr ?
		       sl->size :
		       0;
}

struct kmem_cache *kn_fence_cache(const void *addr)
{
	struct pool *p;
	const struct slot *sl = slot_of(addr, &p);

	return sl && sl->cache ? kn_cache_by_id(sl->cache) : NULL;
}

bool kn_fence_look(const void *addr, struct kn_fence_view *v)
{
	struct pool *p;
	const struct slot *sl = slot_of(addr, &p);

	if (!sl || !sl->start)
		return false;
	v->start = sl->start;
	v->size = sl->size;
	v->cache = sl->name;
	v->used = kn_load_acquire(&sl->state) == USED;
	return true;
}

uint64_t kn_fence_in_use(const struct kmem_cache *s, void (*fn)(void *obj))
{
	uint64_t n = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		const struct pool *p = &pools[node];

		if (kn_load_acquire(&p->state) != POOL_READY)
			continue;
		for (uint32_t i = 0; i < p->nr; i++) {
			const struct slot *sl = &p->slot[i];

			if (kn_load_acquire(&sl->state) != USED ||
			    sl->cache != s->mag.id)
				continue;
			n++;
			if (fn)
				fn((void *)sl->start);
		}
	}
	return n;
}

/* In a fork child: a pool that another thread was making is made anew. */
void kn_fence_reset(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		if (kn_load(&pools[node].state) == POOL_MAKING)
			kn_store(&pools[node].state, POOL_NONE);
	inside = false;
}

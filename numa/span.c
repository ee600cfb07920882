/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "numa/span.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/random.h"
#include "alloc/config/tunables.h"
#include "alloc/stats/stats.h"
#include "numa/density.h"
#include "numa/hugetlb.h"
#include "numa/machine.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

struct kn_span kn_span = {.base = KN_NOWHERE};

#if !defined(__x86_64__)
unsigned kn_page_shift;
#endif

/* Sixteen times the memory leaves room for what is freed and not yet reused. */
#define SPAN_PER_RAM 16
#define SPAN_MIN ((uint64_t)64 << 30)
/* A window below this cannot hold one growth step of each of its parts. */
#define WINDOW_MIN ((uint64_t)64 << 20)

/*
 * Room in which the map begins at a random page, and again for the descriptors:
 * an address of the heap does not tell where they are.  At least a page before,
 * between and behind them is never grown.
 */
static uint64_t room_bytes(uint64_t span)
{
	return span / 128;
}

static uint64_t reservation_bytes(uint64_t span)
{
	const uint64_t nr_pages = span >> KN_PAGE_SHIFT;

	return span + nr_pages * (KN_PAGE_DESC_SIZE + sizeof(uint32_t)) +
	       2 * room_bytes(span) + 2 * (KN_PAGE_SIZE << KN_MAX_ORDER);
}

static void *reserve(uint64_t span)
{
	return kn_machine.mmap(NULL, reservation_bytes(span), PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

static uint64_t map_bytes(uint64_t span)
{
	return (span >> KN_PAGE_SHIFT) * sizeof(uint32_t);
}

/* With @room bytes from @at on: one whose neighbours are in there, too. */
static uintptr_t random_page(uintptr_t at, uint64_t room)
{
	const uint64_t nr = (room >> KN_PAGE_SHIFT) - 3;

	return at + KN_PAGE_SIZE +
	       ((uintptr_t)kn_random_below((uint32_t)nr) << KN_PAGE_SHIFT);
}

/* Lays out what is behind the map, from @at on. */
static void lay_out(uintptr_t at, uint64_t span)
{
	const uintptr_t block = KN_PAGE_SIZE << KN_MAX_ORDER;
	const uint64_t nr_pages = span >> KN_PAGE_SHIFT;
	const uint64_t room = room_bytes(span);

	kn_span.map_bytes = map_bytes(span);
	at = KN_ALIGN_UP(at, KN_PAGE_SIZE);
	kn_span.pages = (void *)random_page(at, room);
	at += room + nr_pages * KN_PAGE_DESC_SIZE;
	kn_store(&kn_span.base, KN_ALIGN_UP(at, block));
	kn_span.nr_windows = kn_topo.nr_nodes;
	kn_span.window_shift = kn_log2(span) -
			       kn_log2_up((uint64_t)kn_topo.nr_nodes);
	/* Release; pairs with the acquire in kn_span_has(). */
	kn_store_release(&kn_span.size,
			 (uint64_t)kn_topo.nr_nodes << kn_span.window_shift);
}

static int bind_window(int node)
{
	const uintptr_t desc = (uintptr_t)kn_span.pages +
		((uintptr_t)node << (kn_span.window_shift - KN_PAGE_SHIFT)) *
		KN_PAGE_DESC_SIZE;
	const size_t desc_len =
		((size_t)1 << (kn_span.window_shift - KN_PAGE_SHIFT)) *
		KN_PAGE_DESC_SIZE;
	const int id = kn_topo.kernel_id[node];
	int err;

	err = kn_machine.mbind_preferred((void *)kn_window_base(node),
					 (size_t)1 << kn_span.window_shift, id);
	if (!err)
		err = kn_machine.mbind_preferred((void *)desc, desc_len, id);
	return err;
}

/* A part of the window of @node. */
static void name_part(int node, uintptr_t from, size_t len)
{
	char name[32];

	snprintf(name, sizeof(name), "knuma:n%d", kn_topo.kernel_id[node]);
	kn_machine.name((void *)from, len, name);
}

static void name_window(int node)
{
	name_part(node, kn_window_base(node),
		  (size_t)1 << kn_span.window_shift);
}

/*
 * A policy survives that its node leaves Mems_allowed, because it is bound as
 * static.  A node that comes back is bound once more all the same: what kernels
 * did to the policies of a node without memory has changed over time.
 *
 * A filter (seccomp in a container) that refuses the call refuses it always; the
 * call is not made again.  Other refusals are of a machine that changes just
 * now: the next reading tries again.
 */
static void bind_windows(uint64_t usable)
{
	if (!kn_span.size || !kn_span.bind_wanted || kn_span.bind_error)
		return;
	kn_store(&kn_span.bound, kn_span.bound & usable);
	for (uint64_t left = usable & ~kn_span.bound; left; left &= left - 1) {
		const int node = __builtin_ctzll(left);
		const int err = bind_window(node);

		if (!err) {
			kn_store(&kn_span.bound, kn_span.bound | 1ull << node);
			continue;
		}
		kn_stat_inc(KN_STAT_bind_failed);
		if (err != -EPERM && err != -EACCES && err != -ENOSYS)
			continue;
		kn_store(&kn_span.bind_error, err);
		return;
	}
}

void kn_span_bind(uint64_t usable)
{
	const int before = kn_span.bind_error;

	bind_windows(usable);
	/* A refusal at the start is for the banner and the statistics. */
	if (kn_span.bind_error != before)
		kn_warn("the system refuses mbind(2) while the process runs "
			"(error %d): memory of a node that was not usable "
			"before lies where it is first written",
			-kn_span.bind_error);
}

/*
 * Where pages lie is asked while the process runs.  A filter that kills for a
 * system call it does not know shall do it now: the answer is of no interest.
 */
static void ask_once(void)
{
	void *page = (void *)kn_span.base;
	int status;

	if (kn_span.bound)
		(void)kn_page_nodes(1, &page, &status);
}

static kn_slow int no_address_space(uint64_t bytes)
{
	kn_warn("cannot reserve %llu MiB of address space: raise the limit on "
		"virtual memory (ulimit -v)", (unsigned long long)(bytes >> 20));
	return -ENOMEM;
}

/* Whether the rest of the process could still map @bytes. */
static bool leaves(uint64_t bytes)
{
	void *at = reserve(bytes);

	if (kn_is_err(at))
		return false;
	kn_machine.munmap(at, reservation_bytes(bytes));
	return true;
}

/*
 * By steps.  The system maps from the top of the address space downwards, or
 * upwards where the stack has no limit, and under a smaller limit never gets as
 * far as this from the map.
 */
#define STEPS_FAR	((uint64_t)1 << 40)
#define STEPS_PLACES	8
/*
 * A half is the page part, a quarter each of the two arenas of areas: any of them
 * may take all that the limit grants.
 */
#define STEPS_PER_LIMIT 4

/*
 * Whether nothing is mapped in [@at, @at + @bytes).  The limit refuses such a
 * mapping, but the system looks for others in its place before.
 */
static bool is_vacant(uintptr_t at, uint64_t bytes)
{
	void *p = kn_machine.mmap((void *)at, bytes, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
					  MAP_FIXED_NOREPLACE);

	if (kn_is_err(p))
		return kn_ptr_err(p) == -ENOMEM;
	/* What stays mapped would be in the way of each step. */
	return !kn_machine.munmap(p, bytes) && p == (void *)at;
}

/* A place for all but the map; 0: there is none. */
static uintptr_t find_place(uintptr_t map, uint64_t bytes)
{
	for (uint64_t i = 1; i <= STEPS_PLACES; i++) {
		const uint64_t far = i * (STEPS_FAR + bytes);

		if (far < map &&
		    is_vacant(KN_ALIGN_DOWN(map - far, KN_PAGE_SIZE), bytes))
			return KN_ALIGN_DOWN(map - far, KN_PAGE_SIZE);
	}
	return 0;
}

/*
 * With several nodes each window is bound as a whole, and a pool of huge pages
 * has ranges that it mends as a whole: those must be there.  False: what is
 * mapped already does not allow it either.
 */
static bool go_by_steps(uint64_t most)
{
	const uint64_t limit = kn_machine.address_limit();
	uint64_t span = WINDOW_MIN;
	uintptr_t place;
	void *map;

	if (limit >= STEPS_FAR || kn_topo.nr_nodes > 1 || kn_tun.hugetlb)
		return false;
	while (span < most && span / STEPS_PER_LIMIT < limit)
		span *= 2;
	map = kn_machine.mmap(NULL, KN_ALIGN_UP(map_bytes(span), KN_PAGE_SIZE),
			      PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	if (kn_is_err(map))
		return false;
	place = find_place((uintptr_t)map, reservation_bytes(span));
	if (!place) {
		kn_machine.munmap(map,
				  KN_ALIGN_UP(map_bytes(span), KN_PAGE_SIZE));
		return false;
	}
	kn_span.map = map;
	kn_span.start = (uintptr_t)map;
	lay_out(place, span);
	kn_span.reserved = KN_ALIGN_UP(kn_span.map_bytes, KN_PAGE_SIZE);
	kn_span.by_steps = true;
	return true;
}

int kn_span_reserve(uint64_t max_bytes)
{
	const uint64_t smallest = WINDOW_MIN << kn_log2_up((uint64_t)kn_topo.nr_nodes);
	uint64_t span = KN_MAX(kn_machine.total_ram() * SPAN_PER_RAM, SPAN_MIN);
	bool refused = false;
	void *at;
	int err;

#if !defined(__x86_64__)
	kn_page_shift = kn_log2((uint64_t)kn_machine.page_size());
#endif
	span = (uint64_t)1 << kn_log2(KN_MIN(span, max_bytes));
	span = KN_MAX(span, smallest);
	if (go_by_steps(span))
		return 0;
	for (at = reserve(span); kn_is_err(at); at = reserve(span)) {
		refused = true;
		span /= 2;
		if (span < smallest)
			return no_address_space(smallest);
	}
	/*
	 * Under a limit, the rest of the process needs address space too: half
	 * as much as the heap at least.
	 */
	if (refused && span / 2 >= smallest && !leaves(span / 2)) {
		kn_machine.munmap(at, reservation_bytes(span));
		span /= 2;
		at = reserve(span);
		if (kn_is_err(at))
			return no_address_space(span);
	}
	kn_span.start = (uintptr_t)at;
	kn_span.map = (uint32_t *)random_page(kn_span.start, room_bytes(span));
	lay_out(kn_span.start + room_bytes(span) + map_bytes(span), span);
	kn_span.reserved = reservation_bytes(span);
	err = kn_machine.mprotect(kn_span.map,
				  KN_ALIGN_UP(kn_span.map_bytes, KN_PAGE_SIZE),
				  PROT_READ);
	if (err) {
		kn_span_release();
		return no_address_space(kn_span.map_bytes);
	}
	kn_span.bind_wanted = kn_topo.nr_nodes > 1;
	bind_windows(kn_topo.has_memory & kn_topo.allowed);
	for (int node = 0; kn_span.bind_wanted && node < kn_topo.nr_nodes; node++)
		name_window(node);
	ask_once();
	return 0;
}

void kn_span_release(void)
{
	kn_machine.munmap((void *)kn_span.start, kn_span.reserved);
	if (kn_span.by_steps)
		kn_machine.munmap(kn_span.pages,
				  kn_span.base + kn_span.size -
					  (uintptr_t)kn_span.pages);
	kn_span.by_steps = false;
	kn_store(&kn_span.size, (uint64_t)0);
	kn_span.bound = 0;
}

/* mprotect of all pages that @len bytes at @addr touch. */
static int make_writable(uintptr_t addr, size_t len)
{
	const uintptr_t from = KN_ALIGN_DOWN(addr, KN_PAGE_SIZE);
	const uintptr_t to = KN_ALIGN_UP(addr + len, KN_PAGE_SIZE);

	return kn_machine.mprotect((void *)from, to - from,
				   PROT_READ | PROT_WRITE);
}

/*
 * The same, where nothing is mapped.  0, or -Exxx and nothing is.  Ranges begin
 * and end with pages: what grows is blocks of KN_MAX_ORDER, and the descriptors
 * of one fill pages.
 */
static int map_writable(uintptr_t addr, size_t len)
{
	void *p = kn_machine.mmap((void *)addr, len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
					  MAP_FIXED_NOREPLACE);

	if (kn_is_err(p))
		return kn_ptr_err(p);
	if (p == (void *)addr)
		return 0;
	/* A kernel before 4.17 takes the address for a wish. */
	kn_machine.munmap(p, len);
	return -EEXIST;
}

KN_STATIC_ASSERT(KN_PAGE_DESC_SIZE << KN_MAX_ORDER >= 1 << 16,
		 "the descriptors of a block fill the largest of pages");

/*
 * By steps: the page part and the two arenas grow, each by one thread at a time,
 * and shrink; their descriptors, which others read without a lock, stay.
 */
#define STEPS_PARTS 3
static uintptr_t descriptors_end[STEPS_PARTS];

/* The page part is two quarters, and a step of it may be in both. */
static unsigned part_of(uintptr_t addr)
{
	const unsigned shift = kn_span.window_shift - 2;

	return (unsigned)KN_MAX((addr - kn_span.base) >> shift, 1u) - 1;
}

static int map_descriptors(uintptr_t addr, uintptr_t desc, size_t len)
{
	uintptr_t *end = &descriptors_end[part_of(addr)];
	const uintptr_t from = KN_MAX(desc, *end);
	int err = 0;

	if (from < desc + len)
		err = map_writable(from, desc + len - from);
	if (!err)
		*end = KN_MAX(*end, desc + len);
	return err;
}

/* What lies at @addr, and its descriptors. */
static int open_range(uintptr_t addr, size_t len)
{
	const size_t pfn = (addr - kn_span.base) >> KN_PAGE_SHIFT;
	const uintptr_t desc =
		(uintptr_t)kn_span.pages + pfn * KN_PAGE_DESC_SIZE;
	const size_t desc_len = (len >> KN_PAGE_SHIFT) * KN_PAGE_DESC_SIZE;

	if (!kn_span.by_steps)
		return make_writable(desc, desc_len) ?:
			       kn_machine.mprotect((void *)addr, len,
						   PROT_READ | PROT_WRITE);
	return map_descriptors(addr, desc, desc_len) ?: map_writable(addr, len);
}

int kn_span_shrink(uintptr_t addr, size_t len)
{
	const int err = kn_machine.munmap((void *)addr, len);

	if (!err)
		kn_stat_add(KN_STAT_unmapped_bytes, len);
	return err;
}

/*
 * What was grown with KN_GROW_HUGE: a range in each part of a window.  One
 * thread at a time grows a part.
 */
static struct huge_range {
	uintptr_t from, to;
	uint32_t sparse;	/* few of its pages are used; the grower */
} huge_ranges[KN_MAX_NODES][2];

/* Nodes whose memory comes in base pages for now. */
static uint64_t base_pages;

static struct huge_range *range_of(uintptr_t addr)
{
	const int node = kn_window_of((void *)addr);
	const size_t in_window = addr - kn_window_base(node);

	return &huge_ranges[node][in_window >= kn_window_half()];
}

static bool asks_for_huge(int node, const struct huge_range *r)
{
	return kn_span_is_huge(node) && !kn_load(&r->sparse);
}

/*
 * For a part of @r or all of it.  Who changes his mind meanwhile may have been
 * the first of the two to advise.
 */
static void advise(int node, const struct huge_range *r, uintptr_t from,
		   size_t len)
{
	bool huge;

	do {
		huge = asks_for_huge(node, r);
		kn_machine.madvise((void *)from, len,
				   huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		ck_pr_fence_memory();
	} while (huge != asks_for_huge(node, r));
}

static void grow_huge(uintptr_t addr, size_t len)
{
	struct huge_range *r = range_of(addr);

	if (!r->from)
		kn_store(&r->from, addr);
	kn_store_release(&r->to, addr + len);
	/* A change of mind sees the new memory, or is seen here. */
	ck_pr_fence_memory();
	advise(kn_window_of((void *)addr), r, addr, len);
}

static void advise_all(int node, const struct huge_range *r)
{
	const uintptr_t to = kn_load_acquire(&r->to);

	if (to)
		advise(node, r, r->from, to - r->from);
}

bool kn_span_is_sparse(uintptr_t addr)
{
	return kn_load(&range_of(addr)->sparse);
}

void kn_span_judge(uintptr_t from, uintptr_t to, uint64_t used)
{
	struct huge_range *r = range_of(from);
	const int sparse = kn_density_is_sparse(from, to, used);

	if (sparse < 0) {
		kn_stat_inc(KN_STAT_huge_unmeasured);
		return;
	}
	if ((uint32_t)sparse == r->sparse)
		return;
	if (sparse)
		kn_stat_inc(KN_STAT_huge_sparse);
	kn_store(&r->sparse, (uint32_t)sparse);
	ck_pr_fence_memory();
	advise_all(kn_window_of((void *)from), r);
}

bool kn_span_is_huge(int node)
{
	return !(kn_load(&base_pages) >> node & 1);
}

bool kn_span_set_huge(int node, bool on)
{
	const uint64_t bit = (uint64_t)1 << node;
	uint64_t old = kn_load(&base_pages), new;

	do {
		new = on ? old & ~bit : old | bit;
		if (new == old)
			return false;
	} while (!ck_pr_cas_64_value(&base_pages, old, new, &old));
	for (int i = 0; i < 2; i++)
		advise_all(node, &huge_ranges[node][i]);
	return true;
}

int kn_span_put_ordinary(uintptr_t addr, size_t len)
{
	const int node = kn_window_of((void *)addr);
	void *at = kn_machine.mmap((void *)addr, len, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
					   MAP_FIXED);
	int err;

	if (kn_is_err(at))
		return kn_ptr_err(at);
	/*
	 * What may be committed is asked for when the place is taken: a mapping
	 * that is refused for that has unmapped what was there.
	 */
	err = kn_machine.mprotect(at, len, PROT_READ | PROT_WRITE);
	if (err || !kn_span.bind_wanted)
		return err;
	/* The policy and the name of the window went with what was there. */
	if (kn_load(&kn_span.bound) >> node & 1 &&
	    kn_machine.mbind_preferred(at, len, kn_topo.kernel_id[node]))
		kn_stat_inc(KN_STAT_bind_failed);
	name_part(node, addr, len);
	return 0;
}

static bool is_in_range(const struct huge_range *r, uintptr_t addr)
{
	return addr < kn_load_acquire(&r->to) && addr >= r->from;
}

int kn_span_renew(uintptr_t addr, size_t len)
{
	const struct huge_range *r = range_of(addr);
	const int err = kn_span_put_ordinary(addr, len);

	if (!err && is_in_range(r, addr))
		advise(kn_window_of((void *)addr), r, addr, len);
	return err;
}

bool kn_span_comes_huge(uintptr_t addr)
{
	const struct huge_range *r = range_of(addr);

	return is_in_range(r, addr) &&
	       asks_for_huge(kn_window_of((void *)addr), r);
}

int kn_span_grow(uintptr_t addr, size_t len, unsigned flags, size_t *pool)
{
	const size_t pfn = (addr - kn_span.base) >> KN_PAGE_SHIFT;
	const size_t nr = len >> KN_PAGE_SHIFT;
	int err;

	err = make_writable((uintptr_t)&kn_span.map[pfn], nr * sizeof(uint32_t));
	if (!err)
		err = open_range(addr, len);
	if (!err && pool)
		err = kn_hugetlb_take(kn_window_of((void *)addr), addr, len,
				      pool);
	if (err)
		return err;
	if (flags & KN_GROW_HUGE)
		grow_huge(addr, len);
	if (flags & KN_GROW_LOCK && kn_machine.mlock((void *)addr, len))
		kn_warn_once("lock_memory: the system refuses to lock memory; "
			     "raise the limit (ulimit -l).  The heap can be "
			     "swapped");
	return 0;
}

void kn_span_split(uintptr_t addr, size_t len)
{
	/* As every advice that a whole huge page cannot follow. */
	(void)kn_machine.madvise((void *)addr, len, MADV_COLD);
}

int kn_span_purge(uintptr_t addr, size_t len)
{
	int err = kn_machine.madvise((void *)addr, len, MADV_DONTNEED);

	if (err == -EINVAL)	/* locked memory wants to be asked by name */
		err = kn_machine.madvise((void *)addr, len,
					 MADV_DONTNEED_LOCKED);
	if (err)
		kn_store(&kn_span.purge_error, err);
	return err;
}

/* Pages that are never opened, before and behind a table. */
static size_t guard_bytes(void)
{
	return kn_tun.guard_metadata ? KN_PAGE_SIZE : 0;
}

/* The middle of a mapping; NULL: it cannot be had. */
static void *map_table(size_t len)
{
	const size_t guard = guard_bytes();
	char *at = kn_machine.mmap(NULL, len + 2 * guard,
				   guard ? PROT_NONE : PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);

	if (kn_is_err(at))
		return NULL;
	if (!guard ||
	    !kn_machine.mprotect(at + guard, len, PROT_READ | PROT_WRITE))
		return at + guard;
	kn_machine.munmap(at, len + 2 * guard);
	return NULL;
}

void kn_meta_free(void *p, size_t bytes)
{
	const size_t guard = guard_bytes();

	if (p)
		kn_machine.munmap((char *)p - guard,
				  KN_ALIGN_UP(bytes, KN_PAGE_SIZE) + 2 * guard);
}

void *kn_meta_alloc(size_t bytes, int node)
{
	const size_t len = KN_ALIGN_UP(bytes, KN_PAGE_SIZE);
	void *p = map_table(len);

	if (!p)
		return NULL;
	if (node >= 0 && kn_span.bind_wanted && !kn_load(&kn_span.bind_error))
		kn_machine.mbind_preferred(p, len, kn_topo.kernel_id[node]);
	/* Tables are sparse: a huge page would fill in the gaps. */
	if (len >= KN_HUGE_SIZE)
		kn_machine.madvise(p, len, MADV_NOHUGEPAGE);
	kn_machine.name(p, len, "knuma:meta");
	return p;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/slab.h"

#include <knuma/slab.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/probes.h"
#include "alloc/page/away.h"
#include "alloc/page/page_alloc.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/debug.h"
#include "alloc/slab/harden.h"
#include "alloc/slab/remember.h"
#include "alloc/stats/stats.h"

/* The state word of a slab, S2 and S3. */
#define QUEUED ((uint32_t)1 << 31)
#define COUNT(state) ((int32_t)((state) << 1) >> 1)

/* Slabs with nothing in use that a node keeps of a cache, against thrashing. */
#define KEEP_EMPTY 1

/* Locks of slab lists: few enough that fork can take them all. */
#define STRIPES 16
static struct {
	struct kn_lock lock[STRIPES];
} locks[KN_MAX_NODES];

static struct kn_lock *lock_of(const struct kmem_cache *s, int node)
{
	struct kn_lock *l = &locks[node].lock[s->mag.id % STRIPES];

	kn_store(&l->rank, KN_RANK_slab);
	return l;
}

static struct kmem_cache *cache_of(struct kn_magcache *c)
{
	return kn_container_of(c, struct kmem_cache, mag);
}

static uint32_t max_objects(const struct kmem_cache *s)
{
	return s->remembers ? KN_SLAB_MAX_REMEMBERED : KN_SLAB_MAX_OBJECTS;
}

/* Words of the bitmap. */
static uint32_t nr_words(const struct kmem_cache *s)
{
	return max_objects(s) / 64;
}

/*
 * The smallest order that wastes at most 1/16 of the slab, then 1/8, 1/4, and
 * holds 64 objects, a word of the bitmap, or else is the largest.
 */
void kn_slab_geometry(struct kmem_cache *s, uint32_t size)
{
	s->size = size;
	s->reciprocal = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
	for (uint32_t fraction = 16; fraction; fraction /= 2) {
		for (uint32_t order = 0; order <= KN_SLAB_MAX_ORDER; order++) {
			const uint32_t bytes = (uint32_t)(KN_PAGE_SIZE << order);
			const uint32_t n = KN_MIN(bytes / size, max_objects(s));

			if (!n || (bytes - n * size) * fraction > bytes)
				continue;
			if (n < 64 && order < KN_SLAB_MAX_ORDER &&
			    2 * bytes / size <= max_objects(s))
				continue;
			s->order = (uint8_t)order;
			s->nr_objects = (uint16_t)n;
			return;
		}
	}
	/* One object a slab, whatever is left over. */
	s->order = (uint8_t)kn_log2_up((size + KN_PAGE_SIZE - 1) >> KN_PAGE_SHIFT);
	s->nr_objects = 1;
}

void kn_slab_set_order(struct kmem_cache *s, uint32_t order)
{
	while (KN_PAGE_SIZE << order < s->size)
		order++;
	/* The next smaller one has room for as many as a slab may have. */
	while (order &&
	       (KN_PAGE_SIZE << (order - 1)) / s->size >= max_objects(s))
		order--;
	s->order = (uint8_t)order;
	s->nr_objects = (uint16_t)KN_MIN((KN_PAGE_SIZE << order) / s->size,
					 (size_t)max_objects(s));
}

static uint64_t full_word(const struct kmem_cache *s, uint32_t word)
{
	const int left = s->nr_objects - (int)word * 64;

	if (left <= 0)
		return 0;
	return left >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;
}

/* Adds @n free objects to the count.  True when the slab must be pushed, S3. */
static bool count_freed(struct kmem_cache *s, struct page *head, uint32_t n)
{
	uint32_t old = kn_load(&head->state), new;

	do {
		const int32_t before = COUNT(old), after = before + (int32_t)n;
		const bool event = (before <= 0 && after > 0) ||
				   after == s->nr_objects;

		new = ((uint32_t)after & ~QUEUED) | (old & QUEUED);
		if (event)
			new |= QUEUED;
	} while (!ck_pr_cas_32_value(&head->state, old, new, &old));
	return (new & QUEUED) && !(old & QUEUED);
}

static void claim_count(struct page *head, uint32_t n)
{
	uint32_t old = kn_load(&head->state), new;

	do {
		new = ((uint32_t)(COUNT(old) - (int32_t)n) & ~QUEUED) |
		      (old & QUEUED);
	} while (!ck_pr_cas_32_value(&head->state, old, new, &old));
}

/* What the objects of a new slab remember: nothing.  In no lock. */
static uint64_t *make_vector(const struct kmem_cache *s, int node, gfp_t gfp)
{
	struct kn_magcache *const c = &kn_vector_cache(s->nr_objects)->mag;
	uint64_t *v = kn_mag_alloc(c, node, gfp);

	return v ? memset(v, 0, s->nr_objects * sizeof(*v)) : NULL;
}

static void drop_vector(const struct kmem_cache *s, uint64_t *v)
{
	kn_mag_free(&kn_vector_cache(s->nr_objects)->mag, kn_window_of(v), v);
}

static void give_back(struct kmem_cache *s, int node, struct page *head)
{
	const uint32_t pfn = kn_page_pfn(head), nr = 1u << s->order;
	const uint8_t sure = kn_load(&head->touched) == nr ? KN_PAGE_SURE : 0;

	if (unlikely(kn_tun.init_on_free) && !s->wipes)
		memset(kn_page_addr(head), 0,
		       (size_t)kn_load(&head->touched) << KN_PAGE_SHIFT);
	for (uint32_t i = 0; i < nr; i++)
		kn_map_set(pfn + i, KN_ID_NONE);
	kn_away_forget(head, nr);
	if (s->remembers)
		drop_vector(s, (uint64_t *)(uintptr_t)head->ext);
	kn_store(&head->ext, (uint64_t)0);
	ck_pr_dec_64(&s->node[node].nr_slabs);
	kn_stat_add(KN_STAT_slab_freed, 1);
	kn_probe_slab_free(s->name, kn_topo.kernel_id[node],
			   (uint64_t)nr << KN_PAGE_SHIFT);
	kn_pages_put(pfn, s->order, sure, false);
}

static bool is_empty(const struct kmem_cache *s, const struct page *head)
{
	return kn_load(&head->state) == s->nr_objects;
}

static void list_slab(struct kmem_cache *s, int node, struct page *head)
{
	struct kn_slab_node *sn = &s->node[node];

	head->flags |= KN_PAGE_LISTED;
	kn_page_list_add(&sn->partial, kn_page_pfn(head));
}

static void unlist_slab(struct kmem_cache *s, int node, struct page *head)
{
	head->flags &= (uint8_t)~KN_PAGE_LISTED;
	kn_page_list_del(&s->node[node].partial, kn_page_pfn(head));
}

bool (*kn_slab_defer)(struct page *head);

/* Gives a listed slab back, at once or after a grace period; false: not now. */
static bool let_go(struct kmem_cache *s, int node, struct page *head)
{
	struct kn_slab_node *sn = &s->node[node];

	if (head->flags & KN_PAGE_PINNED ||
	    (kn_debug_layout(s) && kn_debug_is_evidence(s, head)))
		return false;
	if (!(kn_load(&s->flags) & SLAB_TYPESAFE_BY_RCU)) {
		unlist_slab(s, node, head);
		give_back(s, node, head);
		return true;
	}
	if (!kn_slab_defer)
		return false;
	unlist_slab(s, node, head);
	if (!kn_slab_defer(head)) {
		list_slab(s, node, head);
		return false;
	}
	sn->nr_leaving++;
	return true;
}

void kn_slab_give_back(struct page *head)
{
	struct kmem_cache *s = kn_cache_by_id(head->cache);
	const int node = kn_pfn_node(kn_page_pfn(head));
	struct kn_lock *l = lock_of(s, node);

	kn_lock(l);
	s->node[node].nr_leaving--;
	give_back(s, node, head);
	kn_unlock(l);
}

uint64_t kn_slab_leaving(struct kmem_cache *s)
{
	uint64_t n = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		kn_lock(lock_of(s, node));
		n += s->node[node].nr_leaving;
		kn_unlock(lock_of(s, node));
	}
	return n;
}

/*
 * Files what frees pushed: a slab that was full goes on the partial list, one
 * with nothing in use is given back when there is one in store already.
 */
static void file_slabs(struct kmem_cache *s, int node, uint32_t keep)
{
	struct kn_slab_node *sn = &s->node[node];
	ck_stack_entry_t *e;

	if (!ck_pr_load_ptr(&sn->to_file.head))
		return;
	e = ck_stack_batch_pop_upmc(&sn->to_file);
	while (e) {
		struct page *head = kn_container_of(e, struct page, link);

		e = e->next;
		ck_pr_and_32(&head->state, ~QUEUED);
		if (!(head->flags & KN_PAGE_LISTED))
			list_slab(s, node, head);
		if (!is_empty(s, head))
			continue;
		if (sn->nr_empty < keep || !let_go(s, node, head))
			sn->nr_empty++;
	}
}

/* Objects that lie in the pages already in memory, S6. */
static uint32_t nr_touched_objects(const struct kmem_cache *s,
				   const struct page *head)
{
	const size_t bytes = (size_t)kn_load(&head->touched) << KN_PAGE_SHIFT;

	return KN_MIN((uint32_t)(bytes / s->size), (uint32_t)s->nr_objects);
}

/*
 * Claims up to @n objects of a slab in address order, into @obj.  Only bits
 * that are seen set are cleared, and nobody else clears bits: S1.
 */
static uint32_t claim(struct kmem_cache *s, struct page *head, void **obj,
		      uint32_t n, uint32_t nr_usable)
{
	char *base = kn_slab_object(s, head, 0);
	uint32_t got = 0;

	for (uint32_t w = 0; w < 4 && w * 64 < nr_usable && got < n; w++) {
		uint64_t bits = kn_load_acquire(&head->free_map[w]);
		uint64_t mask = 0;

		while (bits && got < n) {
			const uint32_t bit = (uint32_t)__builtin_ctzll(bits);

			if (w * 64 + bit >= nr_usable)
				break;
			mask |= bits & -bits;
			bits &= bits - 1;
			obj[got++] = base + (size_t)(w * 64 + bit) * s->size;
		}
		if (mask)
			ck_pr_and_64(&head->free_map[w], ~mask);
	}
	if (got) {
		claim_count(head, got);
		ck_pr_add_64(&s->node[kn_pfn_node(kn_page_pfn(head))].nr_out,
			     got);
	}
	return got;
}

static uint32_t claim_from(struct kmem_cache *s, struct page *head, void **obj,
			   uint32_t n, bool may_block)
{
	return claim(s, head, obj, n, may_block ? s->nr_objects :
						  nr_touched_objects(s, head));
}

/* Writes a byte of @obj in each page of it that is not known to be in memory. */
static void touch_object(const struct kmem_cache *s, struct page *head, char *obj)
{
	const uint32_t first = kn_page_pfn(head);
	const uint32_t last = kn_pfn(obj + s->size - 1) - first;
	uint32_t touched = kn_load(&head->touched);

	/* With a layout of debug.h all of it is: it was written when made. */
	if (likely(last < touched) || touched == 1u << s->order)
		return;
	for (uint32_t i = kn_pfn(obj) - first; i <= last; i++)
		*(volatile char *)KN_MAX(obj, (char *)kn_pfn_address(first + i)) = 0;
	kn_store(&head->touched, (uint16_t)(last + 1));
}

/*
 * Faults in what was claimed, in no lock, and so through the claimed objects
 * themselves: what else lies in their pages may be in use already.  Claims go in
 * address order, so the free objects below are in memory, and S6 holds whoever
 * is first.
 */
static void touch(struct kmem_cache *s, void **obj, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		touch_object(s, kn_slab_head(s, obj[i]), obj[i]);
}

static uint32_t claim_partial(struct kmem_cache *s, int node, void **obj,
			      uint32_t n, bool may_block)
{
	struct kn_lock *l = lock_of(s, node);
	struct kn_slab_node *sn = &s->node[node];
	uint32_t got = 0, pfn, next;

	if (!kn_lock_if(l, may_block)) {
		kn_stat_add(KN_STAT_nowait_contended, 1);
		return 0;
	}
	file_slabs(s, node, KEEP_EMPTY);
	for (pfn = sn->partial; pfn != KN_PFN_NONE && got < n; pfn = next) {
		struct page *head = kn_page(pfn);
		const bool was_empty = is_empty(s, head);
		const uint32_t more = claim_from(s, head, obj + got, n - got,
						 may_block);

		next = head->next;
		got += more;
		if (was_empty && more && sn->nr_empty)
			sn->nr_empty--;
		if (COUNT(kn_load(&head->state)) <= 0)
			unlist_slab(s, node, head);
	}
	kn_unlock_if(l, may_block);
	return got;
}

/* All of it is zero, and in memory, from here on. */
static void wipe_slab(const struct kmem_cache *s, struct page *head)
{
	memset(kn_page_addr(head), 0, KN_PAGE_SIZE << s->order);
	kn_store(&head->touched, (uint16_t)(1u << s->order));
}

/* Makes a slab of the pages at @pfn, all objects in it, unlisted. */
static struct page *make_slab(struct kmem_cache *s, uint32_t pfn,
			      uint64_t *vector)
{
	struct page *head = kn_page(pfn);

	kn_store(&head->type, KN_PAGE_SLAB);
	head->cache = s->mag.id;
	kn_store(&head->touched,
		 (uint16_t)(head->flags & KN_PAGE_SURE ? 1u << s->order : 0));
	if (unlikely(s->wipes) && !(head->flags & KN_PAGE_ZERO))
		wipe_slab(s, head);
	head->flags = 0;
	head->next = KN_PFN_NONE;
	head->prev = KN_PFN_NONE;
	for (uint32_t w = 0; w < 4; w++)
		kn_store(&head->free_map[w], full_word(s, w));
	if (s->remembers)
		kn_store(&head->ext, (uint64_t)(uintptr_t)vector);
	kn_store(&head->state, s->nr_objects);
	if (kn_debug_layout(s))
		kn_debug_new_slab(s, head);
	for (uint32_t i = 0; s->ctor && i < s->nr_objects; i++)
		s->ctor(kn_slab_object(s, head, i));
	if (s->ctor || kn_debug_layout(s))
		kn_store(&head->touched, (uint16_t)(1u << s->order));
	for (uint32_t i = 0; i < 1u << s->order; i++)
		kn_map_set(pfn + i, s->mag.id);
	return head;
}

static uint32_t claim_new(struct kmem_cache *s, int node, gfp_t gfp, void **obj,
			  uint32_t n)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	struct kn_lock *l = lock_of(s, node);
	uint64_t *vector = NULL;
	struct page *head;
	uint32_t pfn, got;

	if (unlikely(kn_load(&s->refused)) && may_block &&
	    !(gfp & __GFP_NOFAIL)) {
		kn_stat_add(KN_STAT_rcu_refused, 1);
		return 0;
	}
	if (s->remembers && !(vector = make_vector(s, node, gfp)))
		return 0;
	pfn = kn_pages_get(node, s->order, gfp & ~(gfp_t)__GFP_ZERO);
	if (pfn == KN_PFN_NONE) {
		if (vector)
			drop_vector(s, vector);
		return 0;
	}
	head = make_slab(s, pfn, vector);
	got = claim_from(s, head, obj, n, may_block);
	ck_pr_inc_64(&s->node[node].nr_slabs);
	kn_stat_add(KN_STAT_slab_new, 1);
	kn_probe_slab_new(s->name, kn_topo.kernel_id[node],
			  KN_PAGE_SIZE << s->order);
	if (kn_lock_if(l, may_block)) {
		if (COUNT(kn_load(&head->state)) > 0)
			list_slab(s, node, head);
		kn_unlock_if(l, may_block);
		return got;
	}
	/* Filed by the next holder, as after a free. */
	ck_pr_or_32(&head->state, QUEUED);
	ck_stack_push_upmc(&s->node[node].to_file, &head->link);
	return got;
}

uint32_t kn_slab_refill(struct kn_magcache *c, int node, gfp_t gfp,
			void **obj, uint32_t n)
{
	struct kmem_cache *s = cache_of(c);
	uint32_t got;

	got = claim_partial(s, node, obj, n, gfpflags_allow_blocking(gfp));
	if (!got)
		got = claim_new(s, node, gfp, obj, n);
	kn_probe_slab_refill(s->name, kn_topo.kernel_id[node], got);
	if (gfpflags_allow_blocking(gfp))
		touch(s, obj, got);
	if (unlikely(kn_tun.random_order))
		kn_harden_shuffle(obj, got);
	return got;
}

static kn_slow void report_interior(struct kmem_cache *s, void *obj)
{
	kn_stat_add(KN_STAT_invalid_free, 1);
	kn_bug("invalid free: %p is not the start of an object of cache %s",
	       obj, s->name);
}

static kn_slow void report_double(struct kmem_cache *s, void *obj)
{
	kn_stat_add(KN_STAT_double_free, 1);
	kn_bug("double free: object %p of cache %s was free already", obj,
	       s->name);
}

/* Sets the bit of @obj.  False when that was no valid free. */
static bool set_free(struct kmem_cache *s, struct page *head, void *obj)
{
	const uint32_t i = kn_slab_index(s, head, obj);

	if (unlikely(!kn_slab_is_object(s, head, obj))) {
		report_interior(s, obj);
		return false;
	}
	if (unlikely(ck_pr_bts_64(&head->free_map[i / 64], i % 64))) {
		report_double(s, obj);
		return false;
	}
	return true;
}

/* Sets @bits of a word of the bitmap; those of them that were set. */
static uint64_t set_bits(uint64_t *word, uint64_t bits)
{
	uint64_t old = kn_load(word);

	while (!ck_pr_cas_64_value(word, old, old | bits, &old))
		;
	return old & bits;
}

/* set_free() of @n objects, a write for each word; how many were valid. */
static uint32_t set_all_free(struct kmem_cache *s, struct page *head, void **obj,
			     uint32_t n)
{
	uint64_t bits[KN_SLAB_MAX_OBJECTS / 64] = {0}, twice;
	uint32_t valid = 0;

	for (uint32_t k = 0; k < n; k++) {
		const uint32_t i = kn_slab_index(s, head, obj[k]);
		const uint64_t bit = (uint64_t)1 << i % 64;

		if (unlikely(!kn_slab_is_object(s, head, obj[k]))) {
			report_interior(s, obj[k]);
		} else if (unlikely(bits[i / 64] & bit)) {
			report_double(s, obj[k]);
		} else {
			bits[i / 64] |= bit;
			valid++;
		}
	}
	for (uint32_t w = 0; w * 64 < s->nr_objects; w++) {
		if (!bits[w])
			continue;
		twice = set_bits(&head->free_map[w], bits[w]);
		for (; unlikely(twice); twice &= twice - 1) {
			const uint32_t bit = (uint32_t)__builtin_ctzll(twice);

			report_double(s, kn_slab_object(s, head, w * 64 + bit));
			valid--;
		}
	}
	return valid;
}

/* Counts @n objects freed into @head, and has it filed if that is due. */
static void freed(struct kmem_cache *s, int node, struct page *head, uint32_t n)
{
	struct kn_lock *l;

	if (!n || !count_freed(s, head, n))
		return;
	ck_stack_push_upmc(&s->node[node].to_file, &head->link);
	l = lock_of(s, node);
	if (kn_trylock(l)) {
		file_slabs(s, node, KEEP_EMPTY);
		kn_unlock_quiet(l);
	}
}

/* How many objects from obj[0] on lie in the slab at @head. */
static uint32_t run_in(const struct kmem_cache *s, const struct page *head,
		       void *const *obj, uint32_t n)
{
	uint32_t i = 1;

	while (i < n && kn_slab_head(s, obj[i]) == head)
		i++;
	return i;
}

/* Two passes: the descriptors of cold slabs come from far away. */
void kn_slab_flush(struct kn_magcache *c, int node, void **obj, uint32_t n)
{
	struct kmem_cache *s = cache_of(c);
	const bool debug = kn_debug_on(s);
	uint32_t back = 0, run, valid;

	kn_probe_slab_flush(s->name, kn_topo.kernel_id[node], n);
	for (uint32_t i = 0; i < n; i++)
		__builtin_prefetch(kn_slab_head(s, obj[i]), 1);
	for (uint32_t i = 0; i < n; i += run) {
		struct page *head = kn_slab_head(s, obj[i]);

		/* What is looked at or charged is an object. */
		run = unlikely(debug || s->remembers) ?
			      1 :
			      run_in(s, head, obj + i, n - i);
		if (unlikely(debug) && !kn_debug_free(s, head, obj[i]))
			continue;
		if (unlikely(s->remembers) && kn_slab_is_object(s, head, obj[i]))
			kn_ext_take(kn_slab_ext(s, obj[i]), obj[i], s->size);
		valid = run == 1 ? set_free(s, head, obj[i]) :
				   set_all_free(s, head, obj + i, run);
		freed(s, node, head, valid);
		back += valid;
	}
	ck_pr_sub_64(&s->node[node].nr_out, back);
}

uint64_t kn_slab_reap(struct kmem_cache *s, uint32_t keep)
{
	uint64_t left = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		struct kn_slab_node *sn = &s->node[node];
		struct kn_lock *l = lock_of(s, node);
		uint32_t pfn, next;

		kn_lock(l);
		file_slabs(s, node, keep);
		for (pfn = sn->partial; pfn != KN_PFN_NONE; pfn = next) {
			struct page *head = kn_page(pfn);

			next = head->next;
			if (sn->nr_empty <= keep || !is_empty(s, head))
				continue;
			if (let_go(s, node, head))
				sn->nr_empty--;
		}
		left += kn_load(&sn->nr_slabs);
		kn_unlock(l);
	}
	return left;
}

uint64_t kn_slab_in_use(struct kmem_cache *s, int node)
{
	struct kn_slab_node *sn = &s->node[node];
	uint64_t n;

	kn_lock(lock_of(s, node));
	/* What frees have pushed is on no list yet, and not in use. */
	file_slabs(s, node, KEEP_EMPTY);
	n = (kn_load(&sn->nr_slabs) - sn->nr_leaving) * s->nr_objects;
	for (uint32_t pfn = sn->partial; pfn != KN_PFN_NONE;
	     pfn = kn_page(pfn)->next)
		n -= (uint64_t)KN_MAX(COUNT(kn_load(&kn_page(pfn)->state)), 0);
	kn_unlock(lock_of(s, node));
	return n;
}

/* Slabs without a free object are on no list: the map finds them. */
static void each_slab(struct kmem_cache *s,
		      void (*fn)(struct kmem_cache *s, struct page *head,
				 void *arg),
		      void *arg)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		const uint32_t first = kn_pfn((void *)kn_window_base(node));
		const uint64_t nr = (kn_load(&kn_zones[node].grown) -
				     kn_window_base(node)) >> KN_PAGE_SHIFT;

		for (uint64_t i = 0; i < nr; i += 1u << s->order)
			if (kn_map_id(first + (uint32_t)i) == s->mag.id)
				fn(s, kn_page(first + (uint32_t)i), arg);
	}
}

static void each_object(struct kmem_cache *s, struct page *head, void *arg)
{
	void (*const *fn)(struct kmem_cache *s, void *obj) = arg;

	for (uint32_t i = 0; i < s->nr_objects; i++)
		if (!(kn_load(&head->free_map[i / 64]) >> i % 64 & 1))
			(*fn)(s, kn_slab_object(s, head, i));
}

void kn_slab_each_in_use(struct kmem_cache *s,
			 void (*fn)(struct kmem_cache *s, void *obj))
{
	each_slab(s, each_object, &fn);
}

/* False: it was given back, or is about to be, with nothing in it. */
static bool pin(struct kmem_cache *s, struct page *head)
{
	struct kn_lock *l = lock_of(s, kn_pfn_node(kn_page_pfn(head)));
	bool there;

	kn_lock(l);
	there = kn_map_id(kn_page_pfn(head)) == s->mag.id &&
		(!is_empty(s, head) || head->flags & KN_PAGE_LISTED);
	if (there)
		head->flags |= KN_PAGE_PINNED;
	kn_unlock(l);
	return there;
}

static void unpin(struct kmem_cache *s, struct page *head)
{
	struct kn_lock *l = lock_of(s, kn_pfn_node(kn_page_pfn(head)));

	kn_lock(l);
	head->flags &= (uint8_t)~KN_PAGE_PINNED;
	kn_unlock(l);
}

struct pinned_call {
	void (*fn)(struct kmem_cache *s, struct page *head, void *arg);
	void *arg;
};

static void with_pin(struct kmem_cache *s, struct page *head, void *arg)
{
	const struct pinned_call *call = arg;

	if (!pin(s, head))
		return;
	call->fn(s, head, call->arg);
	unpin(s, head);
}

void kn_slab_each_pinned(struct kmem_cache *s,
			 void (*fn)(struct kmem_cache *s, struct page *head,
				    void *arg),
			 void *arg)
{
	struct pinned_call call = {fn, arg};

	each_slab(s, with_pin, &call);
}

bool kn_slab_take_if(struct kmem_cache *s, struct page *head, uint32_t i,
		     bool (*is)(const struct kmem_cache *s, void *obj))
{
	const int node = kn_pfn_node(kn_page_pfn(head));
	struct kn_slab_node *sn = &s->node[node];
	bool taken;

	kn_lock(lock_of(s, node));
	taken = kn_load_acquire(&head->free_map[i / 64]) >> i % 64 & 1 &&
		is(s, kn_slab_object(s, head, i));
	if (taken) {
		if (is_empty(s, head) && head->flags & KN_PAGE_LISTED &&
		    sn->nr_empty)
			sn->nr_empty--;
		ck_pr_and_64(&head->free_map[i / 64], ~((uint64_t)1 << i % 64));
		claim_count(head, 1);
		ck_pr_inc_64(&sn->nr_out);
	}
	kn_unlock(lock_of(s, node));
	return taken;
}

void kn_slab_put_back(struct kmem_cache *s, struct page *head, void *obj)
{
	const int node = kn_pfn_node(kn_page_pfn(head));

	KN_CHECK(set_free(s, head, obj));
	freed(s, node, head, 1);
	ck_pr_dec_64(&s->node[node].nr_out);
}

static bool verify_slab(const struct kmem_cache *s, const struct page *head)
{
	const uint32_t state = kn_load(&head->state);
	int32_t bits = 0;

	for (uint32_t w = 0; w < nr_words(s); w++) {
		const uint64_t map = kn_load(&head->free_map[w]);

		bits += __builtin_popcountll(map);
		if (map & ~full_word(s, w)) {
			kn_warn("S1: bits past the end of a slab of %s", s->name);
			return false;
		}
	}
	if (bits != COUNT(state)) {
		kn_warn("S2: a slab of %s counts %d free objects and has %d",
			s->name, COUNT(state), bits);
		return false;
	}
	return true;
}

bool kn_slab_verify(struct kmem_cache *s)
{
	bool ok = true;

	for (int node = 0; node < kn_topo.nr_nodes && ok; node++) {
		uint64_t listed = 0;

		kn_lock(lock_of(s, node));
		file_slabs(s, node, UINT32_MAX);
		for (uint32_t pfn = s->node[node].partial;
		     pfn != KN_PFN_NONE && ok; pfn = kn_page(pfn)->next) {
			ok = verify_slab(s, kn_page(pfn));
			listed++;
		}
		if (listed > kn_load(&s->node[node].nr_slabs)) {
			kn_warn("S5: cache %s lists more slabs than it has", s->name);
			ok = false;
		}
		kn_unlock(lock_of(s, node));
	}
	return ok;
}

void kn_slabs_lock_all(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < STRIPES; i++)
			kn_lock_next(&locks[node].lock[i]);
}

void kn_slabs_unlock_all(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < STRIPES; i++)
			kn_unlock(&locks[node].lock[i]);
}

void kn_slabs_reset(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < STRIPES; i++)
			kn_lock_reset(&locks[node].lock[i]);
	kn_debug_reset();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/deferred/batch.h"

#include <knuma/kvmalloc.h>
#include <knuma/slab.h>
#include <sched.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/deferred/budget.h"
#include "alloc/deferred/kfree_rcu.h"
#include "alloc/magazine/drain.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/harden.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/vmap.h"

KN_STATIC_ASSERT(KN_NR_RCU == KN_MAX_FLAVORS, "an id for each flavour");
KN_STATIC_ASSERT(KN_RCU_HEAD_MAX <= 1ull << (64 - KN_RCU_OFFSET_SHIFT),
		 "the offset of a head fits above an address");

/* Of the threads that queue: each writes lines of its own, mostly. */
#define SHARDS	  KN_STAT_STRIPES
#define COUNTS	  8

/* The budget is looked at when a shard has queued as much again. */
#define LOOK_BYTES ((uint64_t)32 << 10)

/* Bins of a round, and those that objects of one cache and node may be in. */
#define BINS	  64
#define BIN_TRIES 4

/* Addresses that a round remembers, to notice those that come again. */
#define RECENT	  1024

/* Set in the word of a linked entry when a round has met it. */
#define SEEN	  ((uintptr_t)1 << 63)

struct bin {
	uint32_t place;
	uint32_t nr;
	void *obj[KN_BATCH_MAX];
};

struct kn_magcache kn_rcu_mag[KN_NR_RCU];

/* What one thread in SHARDS writes. */
struct shard {
	ck_stack_t links;
	ck_stack_t blocks;
	ck_stack_entry_t *links_taken;	/* W3 */
	ck_stack_entry_t *blocks_taken; /* W3 */
	uint32_t moving;		/* calls inside make_room(); atomic */
	uint64_t bytes;			/* atomic, W2 */
};

static struct pool {
	struct shard kn_cacheline shard[SHARDS];
	ck_stack_t slabs;
	ck_stack_entry_t *slabs_taken; /* W3 */
	uint64_t freed_bytes;	       /* W2, W3 */
	/* Queued, atomic, and freed, W3; modulo 2^32. */
	uint32_t of_cache[COUNTS][KN_NR_IDS];
	uint32_t freed_of_cache[KN_NR_IDS];
	/* Of the round. */
	struct bin bin[BINS];
	const void *recent[RECENT];
} pools[KN_NR_RCU];

/* Marked addresses. */

static void *object_of(uintptr_t marked)
{
	return (void *)(marked & (((uintptr_t)1 << KN_RCU_OFFSET_SHIFT) - 1));
}

static struct kn_rcu_entry *entry_of(uintptr_t marked)
{
	return (struct kn_rcu_entry *)((char *)object_of(marked) +
				       (marked >> KN_RCU_OFFSET_SHIFT));
}

static void *target_of(struct kn_rcu_entry *e)
{
	const uintptr_t word = e->word & ~SEEN;

	return word < KN_RCU_HEAD_MAX ? (char *)e - word : (void *)word;
}

/* Counting. */

uint64_t kn_batch_size(const void *p)
{
	const uint32_t id = kn_id_of(p);
	const struct page *area;

	if (id >= KN_ID_FIRST_CACHE)
		return kn_cache_by_id(id)->size;
	if (!kn_vmap_has(p))
		return ksize(p);
	area = kn_vmap_find(p);
	return area ? kn_area_pages(area) << KN_PAGE_SHIFT : 0;
}

/* True when it is time to look at the budget. */
static bool count(struct pool *pool, uint32_t id, uint32_t n, uint64_t bytes)
{
	const uint32_t stripe = kn_thread_stripe();
	const uint64_t before =
		ck_pr_faa_64(&pool->shard[stripe].bytes, bytes);

	ck_pr_add_32(&pool->of_cache[stripe % COUNTS][id], n);
	return before / LOOK_BYTES != (before + bytes) / LOOK_BYTES;
}

/* In a round. */
static void uncount(struct pool *pool, uint32_t id, uint32_t n, uint64_t bytes)
{
	kn_store_release(&pool->freed_bytes, pool->freed_bytes + bytes);
	kn_store_release(&pool->freed_of_cache[id],
			 pool->freed_of_cache[id] + n);
}

static uint32_t id_of_place(uint32_t place)
{
	return place % (uint32_t)KN_REGION_BYTES /
	       (uint32_t)sizeof(struct kn_magazine);
}

static int node_of_place(uint32_t place)
{
	return (int)(place / (uint32_t)KN_REGION_BYTES);
}

/* Two marked addresses are of one page. */
static bool same_page(const void *a, const void *b)
{
	const uintptr_t differ = (uintptr_t)a ^ (uintptr_t)b;

	return !(differ << (64 - KN_RCU_OFFSET_SHIFT) >>
		 (64 - KN_RCU_OFFSET_SHIFT + KN_PAGE_SHIFT));
}

/*
 * All are of slabs.  Neighbours are of one page, or at least cache, more often
 * than not.  *@place is the place of all of them, 0 when they have several.
 */
static bool count_batch(struct pool *pool, void *const *marked, uint32_t n,
			uint32_t *place)
{
	uint32_t at = kn_hot_place(&kn_hot, object_of((uintptr_t)marked[0]));
	uint32_t begin = 0, next, id;
	bool look = false;

	*place = at;
	for (uint32_t i = 1; i < n; i++) {
		if (same_page(marked[i], marked[i - 1]))
			continue;
		next = kn_hot_place(&kn_hot, object_of((uintptr_t)marked[i]));
		if (next == at)
			continue;
		id = id_of_place(at);
		look |= count(pool, id, i - begin,
			      (uint64_t)(i - begin) * kn_cache_by_id(id)->size);
		*place = 0;
		begin = i;
		at = next;
	}
	id = id_of_place(at);
	return count(pool, id, n - begin,
		     (uint64_t)(n - begin) * kn_cache_by_id(id)->size) | look;
}

/* Queueing. */

static struct shard *shard(struct pool *pool)
{
	return &pool->shard[kn_thread_stripe()];
}

static void push_link(struct pool *pool, struct kn_rcu_entry *e)
{
	ck_stack_push_upmc(&shard(pool)->links, &e->link);
}

/*
 * What a waiting block says in its word: number of objects, node whose block it
 * is, and the place of all of its objects; 0 when they have several.
 */
static uint64_t block_word(uint32_t n, int node, uint32_t place)
{
	return n | (uint64_t)(uint32_t)node << 8 | (uint64_t)place << 32;
}

static uint32_t block_nr(const struct kn_block *b)
{
	return b->nr & 0xff;
}

static int block_node(const struct kn_block *b)
{
	return b->nr >> 8 & 0xff;
}

static uint32_t block_place(const struct kn_block *b)
{
	return (uint32_t)(b->nr >> 32);
}

/* Counts the marked objects of @b, which is @node's, and queues it. */
static bool push_block(struct pool *pool, struct kn_block *b, uint32_t n,
		       int node)
{
	uint32_t place;
	const bool look = count_batch(pool, b->obj, n, &place);

	/* Here they are at hand; the round then only reads. */
	for (uint32_t i = 0; place && i < n; i++)
		b->obj[i] = object_of((uintptr_t)b->obj[i]);
	kn_store(&b->nr, block_word(n, node, place));
	ck_stack_push_upmc(&shard(pool)->blocks, &b->link);
	return look;
}

static void link_marked(struct pool *pool, uintptr_t marked)
{
	struct kn_rcu_entry *e = entry_of(marked);

	e->word = marked >> KN_RCU_OFFSET_SHIFT;
	push_link(pool, e);
}

/* Without a block, each by its own head. */
static bool push_singly(struct pool *pool, void *const *marked, uint32_t n)
{
	uint32_t place;
	const bool look = count_batch(pool, marked, n, &place);

	for (uint32_t i = 0; i < n; i++)
		link_marked(pool, (uintptr_t)marked[i]);
	return look;
}

/* Out of magazines that are drained, in any context. */
static void flush(struct kn_magcache *c, int node, void **marked, uint32_t n)
{
	struct pool *pool = &pools[c - kn_rcu_mag];
	struct kn_block *b;

	(void)node;
	node = kn_mag_node();
	b = kn_block_get(node, false);
	if (b) {
		memcpy(b->obj, marked, n * sizeof(*marked));
		push_block(pool, b, n, node);
	} else {
		push_singly(pool, marked, n);
	}
}

/*
 * KN_MOVING_UNSEEN is a planted error for the tests: batches on the way from a
 * full magazine are not waited for.  A thread may lose its CPU there.
 */
#ifdef KN_MOVING_UNSEEN
#define WAIT_FOR_MOVING false
#define ON_THE_WAY()	sched_yield()
#else
#define WAIT_FOR_MOVING true
#define ON_THE_WAY()	((void)0)
#endif

/*
 * Moves a batch out of a full magazine; *@top was on its top.  On the way the
 * batch is nowhere that kn_batch_collect() could look, so it waits.
 */
static bool make_room(int flavor, void **top, bool *look)
{
	struct kn_magcache *c = &kn_rcu_mag[flavor];
	struct pool *pool = &pools[flavor];
	uint32_t *moving = &shard(pool)->moving;
	const int node = kn_mag_node();
	struct kn_block *b = kn_block_get(node, false);
	void *batch[KN_BATCH_MAX];
	void **to = b ? b->obj : batch;
	uint32_t n;

	/* A full fence: who finds the magazine empty finds this. */
	ck_pr_inc_32(moving);
	n = kn_mag_pop_some(c, 0, to, c->batch);
	if (n) {
		*top = to[n - 1];
		ON_THE_WAY();
		*look = b ? push_block(pool, b, n, node) :
			    push_singly(pool, batch, n);
	}
	ck_pr_dec_32(moving);
	if (b && !n)
		kn_block_put(node, b);
	return n != 0;
}

static kn_slow void report_twice(const void *p)
{
	kn_stat_add(KN_STAT_double_free, 1);
	kn_bug("double free: kfree_rcu(%p): the object waits for a grace period "
	       "already",
	       p);
}

kn_slow bool kn_batch_put_slow(int flavor, uintptr_t marked)
{
	struct kn_magcache *c = &kn_rcu_mag[flavor];
	void *one = (void *)marked, *top = NULL;
	enum kn_rseq_ret ret;
	bool look = false;

	/* 1. The magazine: the section may have been interrupted. */
	ret = kn_mag_push_some(c, 0, &one, 1);
	/* 2. It is full, or was never opened. */
	if (ret == KN_RSEQ_DECLINED &&
	    (make_room(flavor, &top, &look) || kn_mag_open(c, 0, false)))
		ret = top == one ? KN_RSEQ_DUP :
				   kn_mag_push_some(c, 0, &one, 1);
	if (ret == KN_RSEQ_DONE)
		return look;
	if (ret == KN_RSEQ_DUP) {
		report_twice(object_of(marked));
		return look;
	}
	/* 3. Past the magazine: closed gate, no bank, no rseq. */
	kn_stat_add(KN_STAT_rcu_queued, 1);
	return push_singly(&pools[flavor], &one, 1) | look;
}

void kn_batch_link(int flavor, struct kn_rcu_entry *e)
{
	const void *p = target_of(e);

	count(&pools[flavor], kn_id_of(p), 1, kn_batch_size(p));
	kn_stat_add(KN_STAT_rcu_queued, 1);
	push_link(&pools[flavor], e);
}

void kn_batch_slab(int flavor, struct page *head)
{
	ck_stack_push_upmc(&pools[flavor].slabs, &head->link);
}

void kn_batch_collect(int flavor)
{
	const uint32_t id = kn_rcu_mag[flavor].id;

	if (kn_drain_needed(id))
		kn_drain(&(struct kn_drain_set){
			.first_id = id, .last_id = id, .cid = -1, .node = 0});
	ck_pr_fence_memory();
	/* Each is seen at 0 once: whoever was on the way has arrived. */
	for (int i = 0; WAIT_FOR_MOVING && i < SHARDS; i++)
		kn_wait_clear(&pools[flavor].shard[i].moving);
}

/* What was freed is read first: the number is not below the truth.  W2 */
static uint32_t waiting_of(int flavor, uint32_t id)
{
	const struct pool *pool = &pools[flavor];
	uint32_t n = -kn_load_acquire(&pool->freed_of_cache[id]);

	for (int i = 0; i < COUNTS; i++)
		n += kn_load(&pool->of_cache[i][id]);
	return n;
}

uint32_t kn_batch_of_cache(int flavor, const struct kmem_cache *s)
{
	return waiting_of(flavor, s->mag.id);
}

uint32_t kn_batch_of_large(int flavor)
{
	return waiting_of(flavor, KN_ID_LARGE) +
	       waiting_of(flavor, KN_ID_VMALLOC);
}

uint64_t kn_batch_bytes(int flavor)
{
	const struct pool *pool = &pools[flavor];
	uint64_t bytes = -kn_load_acquire(&pool->freed_bytes);

	for (int i = 0; i < SHARDS; i++)
		bytes += kn_load(&pool->shard[i].bytes);
	return bytes;
}

/* A round. */

static bool waits(int flavor)
{
	const struct pool *pool = &pools[flavor];

	for (int i = 0; i < SHARDS; i++)
		if (ck_pr_load_ptr(&pool->shard[i].links.head) ||
		    ck_pr_load_ptr(&pool->shard[i].blocks.head))
			return true;
	return ck_pr_load_ptr(&pool->slabs.head) ||
	       kn_drain_needed(kn_rcu_mag[flavor].id);
}

/* Reads before it takes: an atomic exchange for each idle thread adds up. */
static bool take_stack(ck_stack_t *stack, ck_stack_entry_t **taken)
{
	*taken = ck_pr_load_ptr(&stack->head) ?
			 ck_stack_batch_pop_upmc(stack) : NULL;
	return *taken;
}

static uint64_t take(int flavor)
{
	struct pool *pool = &pools[flavor];
	bool any;

	kn_batch_collect(flavor);
	any = take_stack(&pool->slabs, &pool->slabs_taken);
	for (int i = 0; i < SHARDS; i++) {
		struct shard *sh = &pool->shard[i];

		any |= take_stack(&sh->links, &sh->links_taken);
		any |= take_stack(&sh->blocks, &sh->blocks_taken);
	}
	return any ? KN_MAX(kn_batch_bytes(flavor), 1) : 0;
}

static void hand_over(struct pool *pool, struct bin *bin)
{
	struct kmem_cache *s = kn_cache_by_id(kn_id_of(bin->obj[0]));
	const uint32_t n = bin->nr;

	bin->nr = 0;
	kn_mag_hand_over(&s->mag, kn_window_of(bin->obj[0]), bin->obj, n);
	uncount(pool, s->mag.id, n, (uint64_t)n * s->size);
}

static kn_slow bool report_unfreeable(const struct kmem_cache *s, const void *p,
				      bool is_object)
{
	if (is_object && s->live) {
		report_twice(p);
		return false;
	}
	kn_stat_add(KN_STAT_invalid_free, 1);
	if (is_object)
		kn_bug("kfree_rcu(%p): its cache %s was destroyed", p, s->name);
	else
		kn_bug("kfree_rcu(%p): not the start of an object of cache %s",
		       p, s->name);
	return false;
}

/* What only the allocator that will hand it out again could notice, or nobody. */
static kn_always_inline bool is_freeable(struct pool *pool,
					 const struct kmem_cache *s, void *p)
{
	const struct page *head = kn_slab_head(s, p);
	const uint32_t i = kn_slab_index(s, head, p);
	const bool is_object = kn_slab_is_object(s, head, p);
	const void **slot =
		&pool->recent[((uintptr_t)p >> 4 ^ (uintptr_t)p >> 14) % RECENT];

	if (unlikely(!is_object || !s->live || *slot == p ||
		     kn_load(&head->free_map[i / 64]) >> i % 64 & 1))
		return report_unfreeable(s, p, is_object);
	*slot = p;
	return true;
}

/* The bin of a place.  When all that it may be in are taken, one is emptied. */
static struct bin *bin_of(struct pool *pool, uint32_t place)
{
	const uint32_t first =
		id_of_place(place) + (uint32_t)node_of_place(place) * 23;
	struct bin *bin = NULL;

	for (uint32_t i = 0; i < BIN_TRIES; i++) {
		struct bin *b = &pool->bin[(first + i) % BINS];

		if (b->place == place)
			return b;
		if (!bin && !b->nr)
			bin = b;
	}
	if (!bin) {
		bin = &pool->bin[first % BINS];
		hand_over(pool, bin);
	}
	bin->place = place;
	return bin;
}

static void sort_in(struct pool *pool, void *p)
{
	struct kmem_cache *s = kn_cache_by_id(kn_id_of(p));
	struct bin *bin;

	if (!is_freeable(pool, s, p)) {
		uncount(pool, s->mag.id, 1, s->size);
		return;
	}
	kn_harden_wipe(s, p);
	bin = bin_of(pool, kn_hot_place(&kn_hot, p));
	bin->obj[bin->nr++] = p;
	/* It may have become smaller. */
	if (bin->nr >= kn_load(&s->mag.batch))
		hand_over(pool, bin);
}

static void free_one(struct pool *pool, void *p)
{
	uint64_t bytes;

	if (kn_id_of(p) >= KN_ID_FIRST_CACHE) {
		sort_in(pool, p);
		return;
	}
	bytes = kn_batch_size(p);
	uncount(pool, kn_id_of(p), 1, bytes);
	kvfree(p);
}

/* Objects of several places, one by one. */
static void free_mixed(struct pool *pool, struct kn_block *b)
{
	const uint32_t n = block_nr(b);

	for (uint32_t i = 0; i < n; i++) {
		const void *p = object_of((uintptr_t)b->obj[i]);

		__builtin_prefetch(kn_page(kn_pfn(p)));
	}
	for (uint32_t i = 0; i < n; i++)
		free_one(pool, object_of((uintptr_t)b->obj[i]));
	kn_block_put(block_node(b), b);
}

/*
 * Objects of one place: the block as it is becomes a batch of their depot.  One
 * that is of another node than they are does not: blocks would wander.
 */
static void free_alike(struct pool *pool, struct kn_block *b)
{
	const uint32_t place = block_place(b);
	const uint32_t id = id_of_place(place);
	struct kmem_cache *s = kn_cache_by_id(id);
	const uint32_t n = block_nr(b), batch = kn_load(&s->mag.batch);
	const int home = block_node(b), node = node_of_place(place);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++)
		__builtin_prefetch(kn_slab_head(s, b->obj[i]));
	for (uint32_t i = 0; i < n; i++) {
		void *p = b->obj[i];

		if (unlikely(!is_freeable(pool, s, p)))
			continue;
		if (unlikely(s->wipes))
			kn_harden_wipe(s, p);
		if (unlikely(kept != i))
			b->obj[kept] = p;
		kept++;
	}
	if (kept > batch || kept <= batch / 2 || home != node ||
	    !kn_mag_hand_over_block(&s->mag, node, b, kept)) {
		for (uint32_t i = 0; i < kept; i += batch)
			kn_mag_hand_over(&s->mag, node, b->obj + i,
					 KN_MIN(kept - i, batch));
		kn_block_put(home, b);
	}
	uncount(pool, id, n, (uint64_t)n * s->size);
}

static void free_block(struct pool *pool, struct kn_block *b)
{
	const uint32_t n = block_nr(b);

	if (block_place(b))
		free_alike(pool, b);
	else
		free_mixed(pool, b);
	kn_stat_add(KN_STAT_rcu_freed, n);
}

/*
 * An entry that was queued twice makes a list that comes back to itself, or two
 * lists with one end.  So all are walked before anything is freed, and cut where
 * they meet what was seen; what an overwritten link led to is lost.
 */
static void cut_links(ck_stack_entry_t **at)
{
	for (; *at; at = &(*at)->next) {
		struct kn_rcu_entry *e =
			kn_container_of(*at, struct kn_rcu_entry, link);

		if (unlikely(e->word & SEEN)) {
			report_twice(target_of(e));
			*at = NULL;
			return;
		}
		e->word |= SEEN;
	}
}

static void free_links(struct pool *pool, ck_stack_entry_t **taken)
{
	while (*taken) {
		struct kn_rcu_entry *e =
			kn_container_of(*taken, struct kn_rcu_entry, link);
		const bool own_block = (e->word & ~SEEN) >= KN_RCU_HEAD_MAX;

		*taken = e->link.next;
		free_one(pool, target_of(e));
		if (own_block)
			kfree(e);
		kn_stat_add(KN_STAT_rcu_freed, 1);
	}
}

/* The last flavour's readers were the last that could look at its objects. */
static void pass_slabs(int flavor)
{
	struct pool *pool = &pools[flavor];

	while (pool->slabs_taken) {
		struct page *head =
			kn_container_of(pool->slabs_taken, struct page, link);

		pool->slabs_taken = head->link.next;
		if (flavor + 1 < kn_grace_nr()) {
			kn_batch_slab(flavor + 1, head);
			kn_rcu_ask_for_thread(flavor + 1);
		} else {
			kn_slab_give_back(head);
		}
	}
}

/* It was filled by another CPU.  The first line was read for the link. */
static void prefetch_block(const ck_stack_entry_t *link)
{
	for (size_t at = 0; link && at < sizeof(struct kn_block); at += 64)
		__builtin_prefetch((const char *)link + at);
}

static void free_blocks(struct pool *pool, ck_stack_entry_t **taken)
{
	while (*taken) {
		struct kn_block *b =
			kn_container_of(*taken, struct kn_block, link);

		*taken = b->link.next;
		prefetch_block(*taken);
		free_block(pool, b);
	}
}

static void done(int flavor)
{
	struct pool *pool = &pools[flavor];

	memset(pool->recent, 0, sizeof(pool->recent));
	for (int i = 0; i < SHARDS; i++)
		cut_links(&pool->shard[i].links_taken);
	for (int i = 0; i < SHARDS; i++)
		free_blocks(pool, &pool->shard[i].blocks_taken);
	for (int i = 0; i < SHARDS; i++)
		free_links(pool, &pool->shard[i].links_taken);
	for (int i = 0; i < BINS; i++)
		if (pool->bin[i].nr)
			hand_over(pool, &pool->bin[i]);
	pass_slabs(flavor);
	kn_budget_relax(flavor);
}

static void push_all(ck_stack_t *stack, ck_stack_entry_t **taken)
{
	ck_stack_entry_t *e = *taken, *next;

	*taken = NULL;
	for (; e; e = next) {
		next = e->next;
		ck_stack_push_upmc(stack, e);
	}
}

static void again(int flavor)
{
	struct pool *pool = &pools[flavor];

	for (int i = 0; i < SHARDS; i++) {
		struct shard *sh = &pool->shard[i];

		push_all(&sh->links, &sh->links_taken);
		push_all(&sh->blocks, &sh->blocks_taken);
	}
	push_all(&pool->slabs, &pool->slabs_taken);
}

void kn_batch_after_fork_child(void)
{
	for (int i = 0; i < KN_NR_RCU; i++)
		for (int k = 0; k < SHARDS; k++)
			pools[i].shard[k].moving = 0;
}

/* Statistics. */

static const struct kn_drain_set magazines = {
	.first_id = KN_ID_RCU,
	.last_id = KN_ID_RCU + KN_NR_RCU - 1,
	.cid = -1,
	.node = 0,
};

static uint64_t pushed(const struct kn_magazine *m)
{
	const uint64_t cur = kn_load(&m->cur);

	return (cur >> 16) + (cur & 0xffff);
}

/* A slot that is written meanwhile has an older address: its size is some size. */
static uint64_t bytes_in(const struct kn_magazine *m)
{
	const uint64_t n = kn_load(&m->cur) & 0xffff;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < n; i++)
		bytes += ksize(object_of((uintptr_t)kn_load(&m->slot[i])));
	return bytes;
}

uint64_t kn_batch_queued(void)
{
	return kn_drain_sum(&magazines, pushed);
}

static uint64_t bytes_in_pools(void)
{
	uint64_t bytes = 0;

	for (int i = 0; i < KN_NR_RCU; i++)
		bytes += kn_batch_bytes(i);
	return bytes;
}

/* A round that drains magazines in between would be counted twice. */
uint64_t kn_batch_waiting_bytes(void)
{
	uint64_t before, in_magazines, after = bytes_in_pools();
	int tries = 10;

	do {
		before = after;
		in_magazines = kn_drain_sum(&magazines, bytes_in);
		after = bytes_in_pools();
	} while (after != before && --tries);
	return in_magazines + after;
}

void kn_batch_init(void)
{
	for (int i = 0; i < KN_NR_RCU; i++) {
		struct kn_magcache *c = &kn_rcu_mag[i];

		c->id = (uint16_t)(KN_ID_RCU + i);
		c->place = kn_mag_place(0, c->id);
		c->name = "kfree_rcu";
		c->capacity = KN_MAG_SLOTS;
		c->batch = KN_BATCH_MAX;
		c->flush = flush;
		kn_magcaches[c->id] = c;
	}
	kn_grace_owner = (struct kn_grace_owner){
		.waits = waits,
		.take = take,
		.done = done,
		.again = again,
	};
}

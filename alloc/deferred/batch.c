/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/deferred/batch.h"

#include <knuma/kvmalloc.h>
#include <knuma/slab.h>
#include <sched.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/deferred/budget.h"
#include "alloc/magazine/drain.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/vmap.h"

KN_STATIC_ASSERT(KN_NR_RCU == KN_MAX_FLAVORS, "an id for each flavour");
KN_STATIC_ASSERT(KN_RCU_HEAD_MAX <= 1ull << (64 - KN_RCU_OFFSET_SHIFT),
		 "the offset of a head fits above an address");

/* Stacks for links: threads that free large objects at once use several. */
#define SHARDS	  16

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

static struct pool {
	struct {
		ck_stack_t stack;
		ck_stack_entry_t *taken; /* W3 */
		uint32_t moving;	 /* calls inside make_room(); atomic */
	} kn_cacheline link[SHARDS];
	ck_stack_t slabs;
	ck_stack_entry_t *slabs_taken; /* W3 */
	ck_stack_t blocks;
	ck_stack_entry_t *taken;      /* blocks; W3 */
	uint64_t bytes;		      /* atomic, W2 */
	uint32_t of_cache[KN_NR_IDS]; /* atomic, W2 */
	/* Of the round. */
	struct bin bin[BINS];
	const void *recent[RECENT];
} pools[KN_NR_RCU];

static kn_tls char thread_mark;
static kn_tls uint32_t past; /* objects linked past the magazine */

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
	const struct page *area;

	if (!kn_vmap_has(p))
		return ksize(p);
	area = kn_vmap_find(p);
	return area ? area->nr_pages << KN_PAGE_SHIFT : 0;
}

static void count(struct pool *pool, uint32_t id, uint32_t n, uint64_t bytes)
{
	ck_pr_add_64(&pool->bytes, bytes);
	ck_pr_add_32(&pool->of_cache[id], n);
}

static void uncount(struct pool *pool, uint32_t id, uint32_t n, uint64_t bytes)
{
	ck_pr_sub_64(&pool->bytes, bytes);
	ck_pr_sub_32(&pool->of_cache[id], n);
}

/* All are of slabs.  Neighbours are of one cache more often than not. */
static void count_batch(struct pool *pool, void *const *marked, uint32_t n)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint32_t id = kn_id_of(object_of((uintptr_t)marked[i]));

		run++;
		if (i + 1 < n &&
		    kn_id_of(object_of((uintptr_t)marked[i + 1])) == id)
			continue;
		count(pool, id, run, (uint64_t)run * kn_cache_by_id(id)->size);
		run = 0;
	}
}

/* Queueing. */

static uint64_t shard(void)
{
	return (((uintptr_t)&thread_mark >> 6) * 0x9e3779b97f4a7c15ull) >> 60;
}

static void push_link(struct pool *pool, struct kn_rcu_entry *e)
{
	ck_stack_push_upmc(&pool->link[shard()].stack, &e->link);
}

static void push_block(struct pool *pool, struct kn_block *b, uint32_t n,
		       int node)
{
	b->nr = n | (uint64_t)(uint32_t)node << 32;
	ck_stack_push_upmc(&pool->blocks, &b->link);
}

static void link_marked(struct pool *pool, uintptr_t marked)
{
	struct kn_rcu_entry *e = entry_of(marked);

	e->word = marked >> KN_RCU_OFFSET_SHIFT;
	push_link(pool, e);
}

/* Out of magazines that are drained, in any context. */
static void flush(struct kn_magcache *c, int node, void **marked, uint32_t n)
{
	struct pool *pool = &pools[c - kn_rcu_mag];
	struct kn_block *b;

	(void)node;
	node = kn_mag_node();
	count_batch(pool, marked, n);
	b = kn_block_get(node, false);
	if (b) {
		memcpy(b->obj, marked, n * sizeof(*marked));
		push_block(pool, b, n, node);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		link_marked(pool, (uintptr_t)marked[i]);
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
static bool make_room(int flavor, void **top)
{
	struct kn_magcache *c = &kn_rcu_mag[flavor];
	uint32_t *moving = &pools[flavor].link[shard()].moving;
	void *batch[KN_BATCH_MAX];
	uint32_t n;

	/* A full fence: who finds the magazine empty finds this. */
	ck_pr_inc_32(moving);
	n = kn_mag_pop_some(c, 0, batch, c->batch);
	if (n) {
		*top = batch[n - 1];
		ON_THE_WAY();
		flush(c, 0, batch, n);
	}
	ck_pr_dec_32(moving);
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
	bool moved = false;

	/* 1. The magazine: the section may have been interrupted. */
	ret = kn_mag_push_some(c, 0, &one, 1);
	/* 2. It is full, or was never opened. */
	if (ret == KN_RSEQ_DECLINED) {
		moved = make_room(flavor, &top);
		if (moved || kn_mag_open(c, 0, false))
			ret = top == one ? KN_RSEQ_DUP :
					   kn_mag_push_some(c, 0, &one, 1);
	}
	if (ret == KN_RSEQ_DONE)
		return moved;
	if (ret == KN_RSEQ_DUP) {
		report_twice(object_of(marked));
		return moved;
	}
	/* 3. Past the magazine: closed gate, no bank, no rseq.  Counted first: W2. */
	count_batch(&pools[flavor], &one, 1);
	link_marked(&pools[flavor], marked);
	kn_stat_add(KN_STAT_rcu_queued, 1);
	return ++past % KN_BATCH_MAX == 0;
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
		kn_wait_clear(&pools[flavor].link[i].moving);
}

uint32_t kn_batch_of_cache(int flavor, const struct kmem_cache *s)
{
	return kn_load(&pools[flavor].of_cache[s->mag.id]);
}

uint32_t kn_batch_of_large(int flavor)
{
	const uint32_t *of = pools[flavor].of_cache;

	return kn_load(&of[KN_ID_LARGE]) + kn_load(&of[KN_ID_VMALLOC]);
}

uint64_t kn_batch_bytes(int flavor)
{
	return kn_load(&pools[flavor].bytes);
}

/* A round. */

static bool waits(int flavor)
{
	const struct pool *pool = &pools[flavor];

	for (int i = 0; i < SHARDS; i++)
		if (ck_pr_load_ptr(&pool->link[i].stack.head))
			return true;
	return ck_pr_load_ptr(&pool->blocks.head) ||
	       ck_pr_load_ptr(&pool->slabs.head) ||
	       kn_drain_needed(kn_rcu_mag[flavor].id);
}

static uint64_t take(int flavor)
{
	struct pool *pool = &pools[flavor];
	bool any;

	kn_batch_collect(flavor);
	pool->taken = ck_stack_batch_pop_upmc(&pool->blocks);
	pool->slabs_taken = ck_stack_batch_pop_upmc(&pool->slabs);
	any = pool->taken || pool->slabs_taken;
	for (int i = 0; i < SHARDS; i++) {
		pool->link[i].taken =
			ck_stack_batch_pop_upmc(&pool->link[i].stack);
		any |= pool->link[i].taken != NULL;
	}
	return any ? KN_MAX(kn_batch_bytes(flavor), 1) : 0;
}

static void hand_over(struct pool *pool, struct bin *bin)
{
	struct kmem_cache *s = kn_cache_by_id(kn_id_of(bin->obj[0]));
	const uint32_t n = bin->nr;

	bin->nr = 0;
	/* Half a batch is worth a block; less goes to the slabs. */
	if (n > s->mag.batch / 2u)
		kn_mag_hand_over(&s->mag, kn_window_of(bin->obj[0]), bin->obj,
				 n);
	else
		s->mag.flush(&s->mag, kn_window_of(bin->obj[0]), bin->obj, n);
	uncount(pool, s->mag.id, n, (uint64_t)n * s->size);
}

/* What only the allocator that will hand it out again could notice, or nobody. */
static bool is_freeable(struct pool *pool, const struct kmem_cache *s, void *p)
{
	const struct page *head = kn_slab_head(s, p);
	const uint32_t i = kn_slab_index(s, head, p);
	const void **slot =
		&pool->recent[((uintptr_t)p >> 4 ^ (uintptr_t)p >> 14) % RECENT];

	if (unlikely(!kn_slab_is_object(s, head, p))) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_bug("kfree_rcu(%p): not the start of an object of cache %s",
		       p, s->name);
		return false;
	}
	if (unlikely(!s->live)) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_bug("kfree_rcu(%p): its cache %s was destroyed", p, s->name);
		return false;
	}
	if (unlikely(*slot == p ||
		     kn_load(&head->free_map[i / 64]) >> i % 64 & 1)) {
		report_twice(p);
		return false;
	}
	*slot = p;
	return true;
}

/* The bin of a place.  When all that it may be in are taken, one is emptied. */
static struct bin *bin_of(struct pool *pool, uint32_t place)
{
	const uint32_t id = place % (uint32_t)KN_REGION_BYTES /
			    (uint32_t)sizeof(struct kn_magazine);
	const uint32_t first = id + place / (uint32_t)KN_REGION_BYTES * 23;
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
	bin = bin_of(pool, kn_hot_place(&kn_hot, p));
	bin->obj[bin->nr++] = p;
	if (bin->nr == s->mag.batch)
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

static void free_block(struct pool *pool, struct kn_block *b)
{
	const uint32_t n = (uint32_t)b->nr;

	for (uint32_t i = 0; i < n; i++) {
		const void *p = object_of((uintptr_t)b->obj[i]);

		__builtin_prefetch(kn_page(kn_pfn(p)));
	}
	for (uint32_t i = 0; i < n; i++)
		free_one(pool, object_of((uintptr_t)b->obj[i]));
	kn_stat_add(KN_STAT_rcu_freed, n);
	kn_block_put((int)(b->nr >> 32), b);
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
		if (flavor + 1 < kn_grace_nr())
			kn_batch_slab(flavor + 1, head);
		else
			kn_slab_give_back(head);
	}
}

static void done(int flavor)
{
	struct pool *pool = &pools[flavor];

	memset(pool->recent, 0, sizeof(pool->recent));
	for (int i = 0; i < SHARDS; i++)
		cut_links(&pool->link[i].taken);
	while (pool->taken) {
		struct kn_block *b =
			kn_container_of(pool->taken, struct kn_block, link);

		pool->taken = b->link.next;
		free_block(pool, b);
	}
	for (int i = 0; i < SHARDS; i++)
		free_links(pool, &pool->link[i].taken);
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

	for (int i = 0; i < SHARDS; i++)
		push_all(&pool->link[i].stack, &pool->link[i].taken);
	push_all(&pool->blocks, &pool->taken);
	push_all(&pool->slabs, &pool->slabs_taken);
}

void kn_batch_after_fork_child(void)
{
	for (int i = 0; i < KN_NR_RCU; i++)
		for (int k = 0; k < SHARDS; k++)
			pools[i].link[k].moving = 0;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/magazine/magazine.h"

#include <errno.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/magazine/drain.h"
#include "alloc/magazine/slot.h"
#include "alloc/config/tunables.h"
#include "alloc/stats/stats.h"
#include "numa/span.h"

/* Tries of a section before its caller goes past the magazine: a debugger that
 * steps through a section aborts it every time. */
#define SECTION_TRIES 4

/* The first refill of a cache on a node: a small process stays small. */
#define FIRST_REFILL 4

/*
 * What a depot keeps at most of one cache, in bytes of objects; of what comes in
 * rounds more, since as much was in use when the round began.
 */
#define DEPOT_BYTES ((size_t)1 << 20)
#define ROUND_BYTES ((size_t)16 << 20)

struct kn_magcache *kn_magcaches[KN_NR_IDS];
uint32_t kn_nr_magcaches;
uint32_t kn_id_room[KN_NR_IDS];
enum kn_mag_mode kn_mag_mode = KN_MAG_DEPOT;
const char *kn_mag_reason = "not started";
void (*kn_slow_hook)(bool from_malloc);

int kn_mag_init(bool want_rseq)
{
	const char *reason = kn_rseq_init(want_rseq);

	kn_mag_reason = reason;
	if (!reason) {
		kn_mag_mode = KN_MAG_RSEQ;
		return 0;
	}
	kn_mag_mode = KN_MAG_FALLBACK;
	return kn_slot_init();
}

bool kn_allocs_are_slow(void)
{
	return kn_tun.init_on_alloc || kn_tun.sample_bytes ||
	       (kn_tun.init_on_free && kn_tun.check_on_reuse) ||
	       (kn_tun.guard_sample && kn_tun.guard_sample < KN_SAMPLE_EXACT);
}

void kn_magcache_set_size(struct kn_magcache *c, size_t size)
{
	const uint64_t fit = kn_tun.magazine_bytes / KN_MAX(size, 1);
	const uint64_t most = KN_MIN(kn_tun.magazine_capacity, fit);

	c->fast_place = kn_allocs_are_slow() ? 0 : c->place;
	c->capacity = (uint16_t)KN_MAX(most, 2);
	c->most = (uint16_t)KN_MAX(kn_tun.magazine_capacity, c->capacity);
	c->size = (uint32_t)size;
	c->batch = (uint16_t)KN_MAX(KN_MIN(c->capacity / 2, KN_BATCH_MAX), 1);
	c->depot_max = (uint32_t)KN_MIN(kn_tun.depot_batches,
					DEPOT_BYTES / (size * c->batch) + 1);
	c->depot_most = (uint32_t)KN_MIN(kn_tun.depot_batches,
					 ROUND_BYTES / (size * c->batch) + 1);
}

void kn_magcache_set_batch(struct kn_magcache *c, uint32_t n, size_t bytes)
{
	const uint64_t kept = (uint64_t)c->depot_max * c->batch;

	c->batch = (uint16_t)KN_MAX(KN_MIN(n, bytes / c->size), c->batch);
	c->depot_max = (uint32_t)KN_MAX(kept / c->batch, 1);
}

void kn_magcache_init(struct kn_magcache *c, uint16_t id, size_t size)
{
	c->id = id;
	c->place = kn_mag_place(0, id);
	kn_magcache_set_size(c, size);
	c->closed = false;
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		c->depot[node].ramp = KN_MIN(FIRST_REFILL, c->batch);
	kn_store_release(&kn_magcaches[id], c);
	kn_store(&kn_nr_magcaches, KN_MAX(kn_nr_magcaches, id + 1u));
}

void kn_magcache_direct(struct kn_magcache *c)
{
	kn_store(&c->fast_place, 0);
	kn_store(&c->capacity, 0);
	kn_store(&c->most, 0);
	kn_store(&c->batch, 1);
	kn_store(&c->depot_max, 0);
	kn_store(&c->depot_most, 0);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		kn_store(&c->depot[node].ramp, 1);
}

/*
 * Batches are of any size: what is left over of one is one.  Blocks are never
 * unmapped: D2, and a walk that others lead elsewhere ends by its count.
 */
uint64_t kn_mag_in_depot(const struct kn_magcache *c, int node)
{
	const struct kn_depot *d = &c->depot[node];
	ck_stack_entry_t *e = ck_pr_load_ptr(&d->full.head);
	uint64_t n = 0;

	for (uint32_t left = kn_load(&d->nr_full) + 1; e && left; left--) {
		const struct kn_block *b =
			kn_container_of(e, struct kn_block, link);

		n += kn_block_nr(b);
		e = ck_pr_load_ptr(&e->next);
	}
	return n;
}

/* One step of the ladders below: the magazine itself, by whatever mode. */

uint32_t kn_mag_pop_some(struct kn_magcache *c, int node, void **obj, uint32_t n)
{
	const enum kn_mag_mode mode = kn_load(&kn_mag_mode);
	int got;

	if (mode != KN_MAG_RSEQ)
		return mode == KN_MAG_FALLBACK ?
			       kn_slot_pop_batch(c->id, node, obj, n) :
			       0;
	for (int i = 0; i < SECTION_TRIES; i++) {
		got = kn_rseq_pop_batch(&kn_hot, kn_mag_place(node, c->id),
					obj, n);
		if (got >= 0)
			return (uint32_t)got;
		kn_stat_add(KN_STAT_rseq_aborts, 1);
	}
	return 0;
}

enum kn_rseq_ret kn_mag_push_some(struct kn_magcache *c, int node,
				  void *const *obj, uint32_t n)
{
	const enum kn_mag_mode mode = kn_load(&kn_mag_mode);
	const uint32_t place = kn_mag_place(node, c->id);
	enum kn_rseq_ret ret;

	if (mode != KN_MAG_RSEQ)
		return mode == KN_MAG_FALLBACK ?
			       kn_slot_push_batch(c->id, node, obj, n) :
			       KN_RSEQ_DECLINED;
	for (int i = 0; i < SECTION_TRIES; i++) {
		ret = n == 1 ? kn_rseq_push(&kn_hot, place, obj[0]) :
			       kn_rseq_push_batch(&kn_hot, place, obj, n);
		if (ret != KN_RSEQ_ABORTED)
			return ret;
		kn_stat_add(KN_STAT_rseq_aborts, 1);
	}
	return KN_RSEQ_DECLINED;
}

uint64_t kn_mag_exchange(struct kn_magcache *c, uint32_t i, uint64_t word)
{
	const enum kn_mag_mode mode = kn_load(&kn_mag_mode);
	uint64_t was;

	if (mode != KN_MAG_RSEQ)
		return mode == KN_MAG_FALLBACK ?
			kn_slot_exchange(c->id, kn_mag_node(), i, word) :
			KN_RSEQ_KEPT;
	for (int n = 0; n < SECTION_TRIES; n++) {
		was = kn_rseq_exchange(&kn_hot, c->place, i, word, 0);
		if (was != KN_RSEQ_KEPT_ABORTED)
			return was;
		kn_stat_add(KN_STAT_rseq_aborts, 1);
	}
	return KN_RSEQ_KEPT;
}

/* Whether the magazine, opened if need be, takes @n objects. */
static bool into_magazine(struct kn_magcache *c, int node, void **obj, uint32_t n,
			  bool may_block)
{
	if (kn_load(&c->capacity) && kn_mag_push_some(c, node, obj, n) == KN_RSEQ_DONE)
		return true;
	return may_block && kn_mag_open(c, node, true) &&
	       kn_mag_push_some(c, node, obj, n) == KN_RSEQ_DONE;
}

/* Stores @n objects: into the magazine if it takes them, else the depot. */
static void stow(struct kn_magcache *c, int node, void **obj, uint32_t n,
		 bool may_block)
{
	struct kn_block *b;

	if (!n || into_magazine(c, node, obj, n, may_block))
		return;
	b = kn_load(&c->depot[node].nr_full) < kn_load(&c->depot_max) ?
		    kn_block_get(node, may_block) :
		    NULL;
	if (!b) {
		c->flush(c, node, obj, n);
		return;
	}
	memcpy(b->obj, obj, n * sizeof(*obj));
	kn_store(&b->nr, n);
	kn_depot_put(&c->depot[node], b);
}

/*
 * A second batch, which has room beside the rest of the first: half the visits
 * of who takes many.  The last one stays.
 */
static bool another_batch(struct kn_magcache *c, int node)
{
	struct kn_block *b = kn_depot_get(&c->depot[node], 1);

	if (!b)
		return false;
	if (kn_mag_push_some(c, node, b->obj, (uint32_t)b->nr) == KN_RSEQ_DONE) {
		kn_block_put(node, b);
		return true;
	}
	kn_depot_put(&c->depot[node], b);
	return false;
}

/*
 * Ends a visit to the depot: the first @left objects of @b were not wanted.  How
 * many batches it brought.
 */
static uint32_t stow_rest(struct kn_magcache *c, int node, struct kn_block *b,
			  uint32_t left, bool may_block)
{
	if (left && !into_magazine(c, node, b->obj, left, may_block)) {
		if (kn_load(&c->depot[node].nr_full) < kn_load(&c->depot_max)) {
			kn_store(&b->nr, left);
			kn_depot_put(&c->depot[node], b);
			return 1;
		}
		c->flush(c, node, b->obj, left);
	}
	kn_block_put(node, b);
	return 1 + another_batch(c, node);
}

/*
 * Takes a batch from the depot, as many into @obj as are wanted, and the rest into
 * the magazine.  A call that may not wait leaves the last batch for those that
 * may use the reserve.
 */
static uint32_t from_depot(struct kn_magcache *c, int node, gfp_t gfp, void **obj,
			   uint32_t want)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	const bool spare = !may_block && !kn_gfp_urgent(gfp);
	struct kn_block *b = kn_depot_get(&c->depot[node], spare);
	uint32_t left, n;

	if (!b)
		return 0;
	n = KN_MIN((uint32_t)b->nr, want);
	left = (uint32_t)b->nr - n;
	memcpy(obj, &b->obj[left], n * sizeof(*obj));
	kn_stat_add(KN_STAT_refill_depot,
		    stow_rest(c, node, b, left, may_block));
	return n;
}

static uint32_t from_source(struct kn_magcache *c, int node, gfp_t gfp, void **obj)
{
	struct kn_depot *d = &c->depot[node];
	const uint32_t want = kn_load(&d->ramp);
	uint32_t n;

	kn_slow_step(gfp);
	if (gfpflags_allow_blocking(gfp)) {
		kn_banks_make_wanted();
		kn_block_stock(node);
	}
	n = c->refill(c, node, gfp, obj, want);
	if (n) {
		kn_store(&d->ramp,
			 KN_MIN(want * 2, (uint32_t)kn_load(&c->batch)));
		kn_stat_add(KN_STAT_refill_slab, 1);
	}
	return n;
}

/* Without a magazine: an object of the depot's batch, which stays there. */
static void *one_of_depot(struct kn_magcache *c, int node, gfp_t gfp)
{
	const bool spare = !gfpflags_allow_blocking(gfp) && !kn_gfp_urgent(gfp);
	struct kn_block *b = kn_depot_get(&c->depot[node], spare);
	void *obj;

	if (!b)
		return NULL;
	kn_store(&b->nr, b->nr - 1);
	obj = b->obj[b->nr];
	if (b->nr)
		kn_depot_put(&c->depot[node], b);
	else
		kn_block_put(node, b);
	return obj;
}

uint32_t kn_mag_alloc_bulk(struct kn_magcache *c, int node, gfp_t gfp,
			   void **obj, uint32_t n)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	void *batch[KN_BATCH_MAX];
	uint32_t got, taken;

	/* 1. The magazine: the section may have been interrupted. */
	got = kn_load(&c->capacity) ? kn_mag_pop_some(c, node, obj, n) : 0;
	if (got)
		return got;
	n = KN_MIN(n, KN_BATCH_MAX);
	if (kn_load(&c->most) > kn_load(&c->capacity) &&
	    !kn_load(&c->depot[node].missed))
		kn_store(&c->depot[node].missed, 1);
	/* 2. A batch from the node's depot. */
	got = from_depot(c, node, gfp, obj, n);
	if (got)
		return got;
	/* 3. Slabs, or the buddy. */
	got = from_source(c, node, gfp, batch);
	if (!got)
		return 0;
	taken = KN_MIN(got, n);
	memcpy(obj, &batch[got - taken], taken * sizeof(*obj));
	stow(c, node, batch, got - taken, may_block);
	return taken;
}

void *kn_mag_alloc(struct kn_magcache *c, int node, gfp_t gfp)
{
	void *obj = kn_load(&c->capacity) ? NULL : one_of_depot(c, node, gfp);

	if (obj)
		return obj;
	return kn_mag_alloc_bulk(c, node, gfp, &obj, 1) ? obj : NULL;
}

static kn_slow void report_dup(struct kn_magcache *c, int node, void *obj)
{
	kn_stat_add(KN_STAT_double_free, 1);
	kn_bug("double free: object %p of cache %s on node %d was freed and "
	       "not allocated since",
	       obj, c->name, kn_topo.kernel_id[node]);
}

/* Counts a batch that goes home to @node. */
static void account_home(int node)
{
	kn_node_stat_add(node, node == kn_mag_node() ? KN_NODE_STAT_free_local :
						       KN_NODE_STAT_free_remote, 1);
}

/*
 * Moves a batch out of a full magazine; *@top is the object that was on its top.
 * False when there was none to move.
 */
static bool make_room(struct kn_magcache *c, int node, void **top)
{
	const uint32_t full = kn_load(&c->depot[node].nr_full);
	const uint32_t most = kn_load(&c->depot_max);
	struct kn_block *b = NULL;
	void *batch[KN_BATCH_MAX];
	uint32_t n;

	if (full < most) {
		b = kn_block_get(node, false);
		if (!b)
			kn_block_lacked(node, most - full);
	}
	n = kn_mag_pop_some(c, node, b ? b->obj : batch, kn_load(&c->batch));
	*top = n ? (b ? b->obj : batch)[n - 1] : NULL;
	if (!b) {
		if (n)
			c->flush(c, node, batch, n);
		if (n) {
			account_home(node);
			kn_stat_add(KN_STAT_flush_slab, 1);
		}
		return n != 0;
	}
	if (!n) {
		kn_block_put(node, b);
		return false;
	}
	kn_store(&b->nr, n);
	kn_depot_put(&c->depot[node], b);
	account_home(node);
	kn_stat_add(KN_STAT_flush_depot, 1);
	return true;
}

/*
 * A magazine that is full, of a cache of which one was empty before, is too
 * small for what comes and goes.
 */
static bool widen(struct kn_magcache *c, int node)
{
	struct kn_depot *d = &c->depot[node];

	if (!kn_load(&d->missed) || !kn_mag_widen(c, node))
		return false;
	kn_store(&d->missed, 0);
	return true;
}

void kn_mag_free(struct kn_magcache *c, int node, void *obj)
{
	enum kn_rseq_ret ret;
	void *top = NULL;

	if (!kn_load(&c->capacity)) {
		c->flush(c, node, &obj, 1);
		return;
	}
	/* 1. The magazine: the section may have been interrupted. */
	ret = kn_mag_push_some(c, node, &obj, 1);
	/* 2. It is full, or was never opened. */
	if (ret == KN_RSEQ_DECLINED && widen(c, node))
		ret = kn_mag_push_some(c, node, &obj, 1);
	if (ret == KN_RSEQ_DECLINED &&
	    (make_room(c, node, &top) || kn_mag_open(c, node, false)))
		ret = top == obj ? KN_RSEQ_DUP : kn_mag_push_some(c, node, &obj, 1);
	if (ret == KN_RSEQ_DONE)
		return;
	if (ret == KN_RSEQ_DUP) {
		report_dup(c, node, obj);
		return;
	}
	/* 3. Past the magazine: closed gate, no region, no rseq. */
	c->flush(c, node, &obj, 1);
}

static void free_batch(struct kn_magcache *c, int node, void **obj, uint32_t n)
{
	enum kn_rseq_ret ret = kn_mag_push_some(c, node, obj, n);
	void *top = NULL;

	if (ret == KN_RSEQ_DECLINED && widen(c, node))
		ret = kn_mag_push_some(c, node, obj, n);
	if (ret == KN_RSEQ_DONE)
		return;
	if (ret == KN_RSEQ_DECLINED && make_room(c, node, &top)) {
		if (top == obj[0]) {
			report_dup(c, node, top);
			obj++;
			n--;
		}
		if (!n || kn_mag_push_some(c, node, obj, n) == KN_RSEQ_DONE)
			return;
	}
	for (uint32_t i = 0; i < n; i++)
		kn_mag_free(c, node, obj[i]);
}

void kn_mag_free_bulk(struct kn_magcache *c, int node, void **obj, uint32_t n)
{
	uint32_t some;

	if (!kn_load(&c->capacity)) {
		c->flush(c, node, obj, n);
		return;
	}
	/* What is more than a batch often has room at once. */
	if (n > KN_BATCH_MAX &&
	    kn_mag_push_some(c, node, obj, n) == KN_RSEQ_DONE)
		return;
	for (; n; obj += some, n -= some) {
		some = KN_MIN(n, (uint32_t)KN_BATCH_MAX);
		free_batch(c, node, obj, some);
	}
}

bool kn_mag_hand_over_block(struct kn_magcache *c, int node, struct kn_block *b,
			    uint32_t n)
{
	if (kn_load(&c->depot[node].nr_full) >= kn_load(&c->depot_most))
		return false;
	kn_store(&b->nr, n);
	kn_depot_put(&c->depot[node], b);
	return true;
}

void kn_mag_hand_over(struct kn_magcache *c, int node, void **obj, uint32_t n)
{
	struct kn_block *b = NULL;

	if (n > kn_load(&c->batch) / 2u &&
	    kn_load(&c->depot[node].nr_full) < kn_load(&c->depot_most))
		b = kn_block_get(node, true);
	if (!b) {
		c->flush(c, node, obj, n);
		return;
	}
	memcpy(b->obj, obj, n * sizeof(*obj));
	kn_store(&b->nr, n);
	kn_depot_put(&c->depot[node], b);
}

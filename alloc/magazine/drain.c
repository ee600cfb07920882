/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/magazine/drain.h"

#include <linux/membarrier.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/magazine/slot.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"
#include "numa/span.h"

#define CLOSED UINT32_MAX
#define REGION_BYTES (KN_NR_MAGAZINES * sizeof(struct kn_magazine))

static struct kn_lock drain_lock = KN_LOCK_INIT(drain);
static int nr_cids;		/* highest cid with a region + 1 */
static uint64_t nr_regions;

/* (node, cid) + 1 of a region somebody missed who could not make it. */
static uint32_t wanted;

/* Sum of the cur words of a region, when kn_drain_idle() last looked. */
static uint64_t *last_sum[KN_MAX_NODES];

static struct kn_magazine *magazine(int node, int cid, uint32_t id)
{
	struct kn_magazine *region =
		kn_load_acquire(&kn_region_row((uint64_t)node)[cid]);

	return region ? region + id : NULL;
}

static int own_number(void)
{
	switch (kn_mag_mode) {
	case KN_MAG_RSEQ:
		return kn_rseq_cid();
	case KN_MAG_FALLBACK:
		return kn_slot_number();
	default:
		return -1;
	}
}

static void make_region(int node, int cid)
{
	struct kn_magazine **where = &kn_region_row((uint64_t)node)[cid];
	void *region = kn_meta_alloc(REGION_BYTES, node);

	if (!region)
		return;
	kn_lock(&drain_lock);
	if (!*where) {
		kn_store_release(where, region);
		kn_store(&nr_cids, KN_MAX(nr_cids, cid + 1));
		nr_regions++;
		region = NULL;
	}
	kn_unlock(&drain_lock);
	if (region)
		kn_machine.munmap(region,
				  KN_ALIGN_UP(REGION_BYTES, KN_PAGE_SIZE));
}

void kn_regions_make_wanted(void)
{
	uint32_t want;

	if (likely(!kn_load(&wanted)))
		return;
	want = ck_pr_fas_32(&wanted, 0);
	if (want--)
		make_region((int)(want / KN_MAX_CPUS), (int)(want % KN_MAX_CPUS));
}

bool kn_mag_open(struct kn_magcache *c, int node, bool may_block)
{
	const int cid = own_number();
	struct kn_magazine *m;
	bool opened = false;

	if (cid < 0 && kn_mag_mode == KN_MAG_RSEQ)
		kn_stat_add(KN_STAT_fallback_unregistered, 1);
	if (cid < 0 || c->id >= KN_NR_MAGAZINES || !c->capacity)
		return false;
	if (!kn_region_row((uint64_t)node)[cid]) {
		if (!may_block) {
			kn_store(&wanted,
				 (uint32_t)(node * KN_MAX_CPUS + cid + 1));
			return false;
		}
		make_region(node, cid);
	}
	m = magazine(node, cid, c->id);
	if (!m || kn_load(&m->end) || !kn_trylock(&drain_lock))
		return false;
	if (!m->end && !m->beg && !c->closed) {
		/* Both pages it may span, before a section needs them. */
		*(void *volatile *)&m->slot[0] = NULL;
		*(void *volatile *)&m->slot[c->capacity - 1] = NULL;
		kn_store_release(&m->end, c->capacity);
		opened = true;
	}
	kn_unlock_if(&drain_lock, may_block);
	return opened;
}

/* Calls @fn for each magazine of @set that exists. */
static void for_each(const struct kn_drain_set *set,
		     void (*fn)(struct kn_magazine *m, uint32_t id, int node))
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		if (set->node >= 0 && node != set->node)
			continue;
		for (int cid = 0; cid < nr_cids; cid++) {
			struct kn_magazine *region = magazine(node, cid, 0);

			if (!region || (set->cid >= 0 && cid != set->cid))
				continue;
			if (kn_mag_mode == KN_MAG_FALLBACK)
				kn_slot_lock(cid);
			for (uint32_t id = set->first_id; id <= set->last_id; id++)
				fn(&region[id], id, node);
			if (kn_mag_mode == KN_MAG_FALLBACK)
				kn_slot_unlock(cid);
		}
	}
}

static void close_gates(struct kn_magazine *m, uint32_t id, int node)
{
	(void)id;
	(void)node;
	if (!m->end)
		return;		/* never opened, or closed already */
	kn_store(&m->beg, CLOSED);
	kn_store(&m->end, 0);
}

static void empty(struct kn_magazine *m, uint32_t id, int node)
{
	struct kn_magcache *c = kn_magcaches[id];
	const uint64_t cur = kn_load_acquire(&m->cur);
	const uint32_t n = cur & 0xffff;

	/* Objects that leave this way count as popped, too. */
	if (n) {
		for (uint32_t i = 0; i < n; i += KN_BATCH_MAX)
			c->flush(c, node, &m->slot[i], KN_MIN(n - i, KN_BATCH_MAX));
		kn_stat_add(KN_STAT_drained_objects, n);
		kn_store_release(&m->cur, cur + (uint64_t)n * 0xffff);
	}
}

static void empty_and_open(struct kn_magazine *m, uint32_t id, int node)
{
	if (m->beg != CLOSED)
		return;
	empty(m, id, node);
	if (kn_magcaches[id] && !kn_magcaches[id]->closed) {
		kn_store_release(&m->end, kn_magcaches[id]->capacity);
		kn_store_release(&m->beg, 0);
	}
}

/* Fallback: the slot lock is the gate, held around both halves. */
static void empty_in_slot(struct kn_magazine *m, uint32_t id, int node)
{
	close_gates(m, id, node);
	empty_and_open(m, id, node);
}

static bool fence(void)
{
	int err;

	if (kn_forking)
		return true;
	err = kn_machine.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
	if (!err)
		return true;
	kn_mag_mode = KN_MAG_DEPOT;
	kn_mag_reason = "membarrier was refused while running";
	kn_warn("%s (error %d): per-CPU magazines are closed for good",
		kn_mag_reason, -err);
	return false;
}

static bool drain_locked(const struct kn_drain_set *set)
{
	if (kn_mag_mode == KN_MAG_FALLBACK) {
		for_each(set, empty_in_slot);
		return true;
	}
	for_each(set, close_gates);
	if (kn_mag_mode == KN_MAG_DEPOT || !fence())
		return false;
	for_each(set, empty_and_open);
	return true;
}

bool kn_drain(const struct kn_drain_set *set)
{
	struct kn_drain_set s = *set;
	bool done;

	s.last_id = KN_MIN(s.last_id, (uint32_t)KN_NR_MAGAZINES - 1);
	kn_stat_add(KN_STAT_drain_rounds, 1);
	kn_lock(&drain_lock);
	done = drain_locked(&s);
	kn_unlock(&drain_lock);
	return done;
}

uint32_t kn_depot_flush(struct kn_magcache *c, int node, uint32_t keep)
{
	struct kn_block *b;
	uint32_t n = 0;

	while ((b = kn_depot_get(&c->depot[node], keep))) {
		c->flush(c, node, b->obj, (uint32_t)b->nr);
		kn_block_put(node, b);
		n++;
	}
	return n;
}

bool kn_drain_cache(struct kn_magcache *c, bool close)
{
	const struct kn_drain_set set = {
		.first_id = c->id, .last_id = c->id, .cid = -1, .node = -1,
	};
	bool done = true;

	if (close) {
		kn_lock(&drain_lock);
		c->closed = true;
		kn_unlock(&drain_lock);
	}
	if (c->id < KN_NR_MAGAZINES)
		done = kn_drain(&set);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		kn_depot_flush(c, node, 0);
	return done;
}

static void reopen(struct kn_magazine *m, uint32_t id, int node)
{
	(void)id;
	(void)node;
	KN_CHECK((m->cur & 0xffff) == 0);
	kn_store_release(&m->beg, 0);
}

void kn_drain_reopen(uint16_t id)
{
	const struct kn_drain_set set = {
		.first_id = id, .last_id = id, .cid = -1, .node = -1,
	};

	if (id >= KN_NR_MAGAZINES)
		return;
	kn_lock(&drain_lock);
	if (kn_mag_mode != KN_MAG_DEPOT)
		for_each(&set, reopen);
	kn_unlock(&drain_lock);
}

/* The sum moves with every pop and push that nothing else undoes. */
static uint64_t region_sum(const struct kn_magazine *region, uint32_t *present)
{
	const uint32_t nr = KN_MIN(kn_load(&kn_nr_magcaches),
				   (uint32_t)KN_NR_MAGAZINES);
	uint64_t sum = 0;

	*present = 0;
	for (uint32_t id = 0; id < nr; id++) {
		const uint64_t cur = kn_load(&region[id].cur);

		sum += cur;
		*present += cur & 0xffff;
	}
	return sum;
}

void kn_drain_idle(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		if (!last_sum[node])
			last_sum[node] = kn_meta_alloc(
				KN_MAX_CPUS * sizeof(uint64_t), -1);
		for (int cid = 0; last_sum[node] && cid < kn_load(&nr_cids); cid++) {
			struct kn_magazine *region = magazine(node, cid, 0);
			uint32_t present;
			uint64_t sum;

			if (!region)
				continue;
			sum = region_sum(region, &present);
			if (present && sum == last_sum[node][cid])
				kn_drain(&(struct kn_drain_set){
					.last_id = KN_NR_MAGAZINES - 1,
					.cid = cid, .node = node });
			last_sum[node][cid] = sum;
		}
	}
}

static struct {
	uint64_t popped, present;
} totals;

static void add_totals(struct kn_magazine *m, uint32_t id, int node)
{
	const uint64_t cur = kn_load(&m->cur);

	(void)id;
	(void)node;
	totals.popped += cur >> 16;
	totals.present += cur & 0xffff;
}

void kn_mag_totals(uint64_t *popped, uint64_t *present)
{
	const struct kn_drain_set all = {
		.last_id = KN_NR_MAGAZINES - 1, .cid = -1, .node = -1,
	};

	kn_lock(&drain_lock);
	totals.popped = 0;
	totals.present = 0;
	if (kn_hot.regions)
		for_each(&all, add_totals);
	*popped = totals.popped;
	*present = totals.present;
	kn_unlock(&drain_lock);
}

uint64_t kn_region_bytes(void)
{
	return kn_load(&nr_regions) * REGION_BYTES;
}

void kn_drain_lock_all(void)
{
	kn_lock(&drain_lock);
}

void kn_drain_unlock_all(void)
{
	kn_unlock(&drain_lock);
}

void kn_drain_reset(void)
{
	kn_lock_reset(&drain_lock);
	kn_slot_reset();
}

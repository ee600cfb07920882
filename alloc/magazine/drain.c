/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/magazine/drain.h"

#include <linux/membarrier.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/slot.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"
#include "numa/span.h"

#define CLOSED UINT32_MAX

/* Behind the regions of a bank; drain lock. */
struct bank_end {
	uint64_t opened;	/* nodes whose region has been used */
	/* With guard_sample: pops of each magazine when last looked at, by node
	 * and id.  Owner and drain lock both write: a count may be lost. */
	uint32_t *looked;
	/* Sum of the cur words of each, when kn_drain_idle() last looked. */
	uint64_t last_sum[KN_MAX_NODES];
	/* Objects that widened magazines may hold above what they open with. */
	uint64_t wide_bytes[KN_MAX_NODES];
};

/*
 * Slots of a magazine that can be widened, behind all that it can get: its cur
 * word when kn_drain_idle() last looked, and the places it got.
 */
#define LAST_CUR (KN_MAG_SLOTS - 1)
#define GOT	 (KN_MAG_SLOTS - 2)

static struct kn_lock drain_lock = KN_LOCK_INIT(drain);
static int nr_cids;		/* highest cid with a bank + 1 */
static uint64_t nr_opened;	/* magazines ever opened; drain lock */

/* cid + 1 of a bank somebody missed who could not make it. */
static uint32_t wanted;

static size_t end_of_regions(void)
{
	return (size_t)kn_topo.nr_nodes * KN_REGION_BYTES;
}

static struct bank_end *end_of(char *bank)
{
	return (struct bank_end *)(bank + end_of_regions());
}

static struct kn_magazine *magazine(char *bank, int node, uint32_t id)
{
	return (struct kn_magazine *)(bank + kn_mag_place(node, id));
}

static int own_number(void)
{
	switch (kn_load(&kn_mag_mode)) {
	case KN_MAG_RSEQ:
		return kn_rseq_cid();
	case KN_MAG_FALLBACK:
		return kn_slot_number();
	default:
		return -1;
	}
}

static size_t looked_bytes(void)
{
	return (size_t)kn_topo.nr_nodes * KN_NR_IDS * sizeof(uint32_t);
}

/*
 * On no node by policy: magazines lie where they are touched first, by the CPU
 * that opens them.
 */
static void make_bank(int cid)
{
	const size_t bytes = end_of_regions() + sizeof(struct bank_end);
	char *bank = kn_meta_alloc(bytes, -1);

	if (!bank)
		return;
	if (kn_tun.guard_sample)
		end_of(bank)->looked = kn_meta_alloc(looked_bytes(), -1);
	kn_lock(&drain_lock);
	if (!kn_banks[cid]) {
		kn_store_release(&kn_banks[cid], bank);
		kn_store(&nr_cids, KN_MAX(nr_cids, cid + 1));
		bank = NULL;
	}
	kn_unlock(&drain_lock);
	if (!bank)
		return;
	kn_meta_free(end_of(bank)->looked, looked_bytes());
	kn_meta_free(bank, bytes);
}

void kn_banks_make_wanted(void)
{
	uint32_t want;

	if (likely(!kn_load(&wanted)))
		return;
	want = ck_pr_fas_32(&wanted, 0);
	if (want)
		make_bank((int)want - 1);
}

bool kn_mag_open(struct kn_magcache *c, int node, bool may_block)
{
	const int cid = own_number();
	const uint16_t capacity = kn_load(&c->capacity);
	struct kn_magazine *m;
	bool opened = false;
	char *bank;

	if (cid < 0 && kn_load(&kn_mag_mode) == KN_MAG_RSEQ)
		kn_stat_add(KN_STAT_fallback_unregistered, 1);
	if (cid < 0 || !capacity)
		return false;
	if (!kn_load(&kn_banks[cid])) {
		if (!may_block) {
			kn_store(&wanted, (uint32_t)cid + 1);
			return false;
		}
		make_bank(cid);
	}
	bank = kn_load_acquire(&kn_banks[cid]);
	if (!bank)
		return false;
	m = magazine(bank, node, c->id);
	if (kn_load(&m->end) || !kn_trylock(&drain_lock))
		return false;
	if (!m->end && !m->beg && !c->closed) {
		/* Both pages it may span, before a section needs them. */
		*(void *volatile *)&m->slot[0] = NULL;
		*(void *volatile *)&m->slot[capacity - 1] = NULL;
		kn_store(&end_of(bank)->opened,
			 end_of(bank)->opened | (uint64_t)1 << node);
		kn_store(&nr_opened, nr_opened + 1);
		kn_store_release(&m->end, capacity);
		opened = true;
	}
	kn_unlock_if(&drain_lock, may_block);
	return opened;
}

static uint64_t *wide_of(struct kn_magazine *m, uint32_t id, int node)
{
	return &end_of((char *)m - kn_mag_place(node, id))->wide_bytes[node];
}

static uint64_t places_got(const struct kn_magazine *m)
{
	return (uintptr_t)kn_load(&m->slot[GOT]);
}

/* A magazine that closes has its first size when it opens again. */
static void forget_places(struct kn_magazine *m, uint32_t id, int node)
{
	const uint32_t size = kn_magcaches[id]->size;
	uint64_t *wide = wide_of(m, id, node);

	/* Most magazines have not touched their last slots. */
	if (!*wide || !size || !places_got(m))
		return;
	kn_store(wide, *wide - places_got(m) * size);
	kn_store(&m->slot[GOT], NULL);
}

/* Places that @m, which is open, may get more of. */
static uint32_t may_widen(const struct kn_magazine *m,
			  const struct kn_magcache *c, uint64_t wide)
{
	const uint64_t limit = kn_tun.magazine_cpu_bytes;
	const uint64_t left = limit - KN_MIN(limit, wide);
	const uint32_t end = kn_load(&m->end), most = kn_load(&c->most);

	if (!end || end >= most)
		return 0;
	return (uint32_t)KN_MIN(KN_MIN(end, most - end), left / c->size);
}

bool kn_mag_widen(struct kn_magcache *c, int node)
{
	const int cid = own_number();
	struct kn_magazine *m;
	struct bank_end *end;
	uint32_t more;
	char *bank;

	bank = cid < 0 ? NULL : kn_load_acquire(&kn_banks[cid]);
	if (!bank)
		return false;
	m = magazine(bank, node, c->id);
	end = end_of(bank);
	if (!may_widen(m, c, kn_load(&end->wide_bytes[node])) ||
	    !kn_trylock(&drain_lock))
		return false;
	more = may_widen(m, c, end->wide_bytes[node]);
	if (more) {
		const uint32_t places = m->end + more;

		/* As in kn_mag_open(). */
		*(void *volatile *)&m->slot[places - 1] = NULL;
		kn_store(&m->slot[LAST_CUR], NULL);
		kn_store(&m->slot[GOT],
			 (void *)(uintptr_t)(places_got(m) + more));
		kn_store(&end->wide_bytes[node],
			 end->wide_bytes[node] + (uint64_t)more * c->size);
		kn_store_release(&m->end, places);
		kn_stat_add(KN_STAT_magazine_widened, 1);
	}
	kn_unlock_if(&drain_lock, false);
	return more != 0;
}

/* Calls @fn for each magazine of @set in a region that has been used. */
static void for_each(const struct kn_drain_set *set,
		     void (*fn)(struct kn_magazine *m, uint32_t id, int node))
{
	const uint32_t nr = KN_MIN(set->last_id + 1, kn_load(&kn_nr_magcaches));

	for (int cid = 0; cid < nr_cids; cid++) {
		char *const bank = kn_banks[cid];

		if (!bank || (set->cid >= 0 && cid != set->cid))
			continue;
		if (kn_mag_mode == KN_MAG_FALLBACK)
			kn_slot_lock(cid);
		for (int node = 0; node < kn_topo.nr_nodes; node++) {
			if (!(end_of(bank)->opened >> node & 1) ||
			    (set->node >= 0 && node != set->node))
				continue;
			for (uint32_t id = set->first_id; id < nr; id++)
				fn(magazine(bank, node, id), id, node);
		}
		if (kn_mag_mode == KN_MAG_FALLBACK)
			kn_slot_unlock(cid);
	}
}

static void close_gates(struct kn_magazine *m, uint32_t id, int node)
{
	if (!m->end)
		return;		/* never opened, or closed already */
	forget_places(m, id, node);
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
		/* Places of the quarantine may be empty: its flush counts. */
		if (id != KN_ID_QUARANTINE)
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
		kn_store_release(&m->end, kn_load(&kn_magcaches[id]->capacity));
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
	kn_store(&kn_mag_mode, KN_MAG_DEPOT);
	kn_store(&kn_mag_reason, "membarrier was refused while running");
	kn_warn("%s (error %d): per-CPU magazines are closed for good",
		kn_mag_reason, -err);
	return false;
}

static void for_each_of(const struct kn_drain_set *set, uint32_t n,
			void (*fn)(struct kn_magazine *m, uint32_t id,
				   int node))
{
	for (uint32_t i = 0; i < n; i++)
		for_each(&set[i], fn);
}

static bool drain_locked(const struct kn_drain_set *set, uint32_t n)
{
	if (kn_mag_mode == KN_MAG_FALLBACK) {
		for_each_of(set, n, empty_in_slot);
		return true;
	}
	for_each_of(set, n, close_gates);
	if (kn_mag_mode == KN_MAG_DEPOT || !fence())
		return false;
	for_each_of(set, n, empty_and_open);
	return true;
}

/* One round for @n sets that have no magazine in common. */
static bool drain(const struct kn_drain_set *set, uint32_t n)
{
	bool done;

	kn_stat_add(KN_STAT_drain_rounds, 1);
	kn_lock(&drain_lock);
	done = drain_locked(set, n);
	kn_unlock(&drain_lock);
	return done;
}

bool kn_drain(const struct kn_drain_set *set)
{
	return drain(set, 1);
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

void kn_depot_trim(struct kn_magcache *c, int node, uint64_t keep_bytes)
{
	struct kn_depot *d = &c->depot[node];
	const int32_t unused = (int32_t)kn_load(&d->least);
	const uint32_t full = kn_load(&d->nr_full);
	const uint64_t most =
		keep_bytes / ((uint64_t)kn_load(&c->batch) * c->size);
	uint32_t keep = full;

	/* Half of what was not needed: an idle depot is empty in a few ticks. */
	if (unused > 0)
		keep -= KN_MIN(full, ((uint32_t)unused + 1) / 2);
	keep = (uint32_t)KN_MIN(keep, most);
	if (keep < full)
		kn_depot_flush(c, node, keep);
	kn_store(&d->least, kn_load(&d->nr_full));
}

bool kn_drain_cache(struct kn_magcache *c, bool close)
{
	const struct kn_drain_set set = {
		.first_id = c->id, .last_id = c->id, .cid = -1, .node = -1,
	};
	bool done;

	if (close) {
		kn_lock(&drain_lock);
		c->closed = true;
		kn_unlock(&drain_lock);
	}
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

	kn_lock(&drain_lock);
	if (kn_mag_mode != KN_MAG_DEPOT)
		for_each(&set, reopen);
	kn_unlock(&drain_lock);
}

void kn_drain_resume(struct kn_magcache *c, const struct kn_magcache *as)
{
	const struct kn_drain_set set = {
		.first_id = c->id,
		.last_id = c->id,
		.cid = -1,
		.node = -1,
	};

	kn_lock(&drain_lock);
	kn_store(&c->batch, as->batch);
	kn_store(&c->most, as->most);
	kn_store(&c->capacity, as->capacity);
	kn_store(&c->depot_max, as->depot_max);
	kn_store(&c->depot_most, as->depot_most);
	kn_store(&c->fast_place, as->fast_place);
	c->closed = false;
	if (kn_mag_mode != KN_MAG_DEPOT)
		for_each(&set, reopen);
	kn_unlock(&drain_lock);
}

/* The sum moves with every pop and push that nothing else undoes. */
static uint64_t region_sum(char *bank, int node, uint32_t *present)
{
	const uint32_t nr = kn_load(&kn_nr_magcaches);
	uint64_t sum = 0;

	*present = 0;
	for (uint32_t id = 0; id < nr; id++) {
		const uint64_t cur = kn_load(&magazine(bank, node, id)->cur);

		sum += cur;
		*present += cur & 0xffff;
	}
	return sum;
}

/* What a tick found idle: a round, and so a fence, for many together. */
struct idle {
	struct kn_drain_set set[32];
	uint32_t n;
};

static void drain_found(struct idle *idle)
{
	if (idle->n)
		drain(idle->set, idle->n);
	idle->n = 0;
}

static void add_idle(struct idle *idle, struct kn_drain_set set)
{
	if (idle->n == KN_ARRAY_SIZE(idle->set))
		drain_found(idle);
	idle->set[idle->n++] = set;
}

/* Those of @bank that got wider, and were not used since the last call. */
static void find_wide(struct idle *idle, int cid, char *bank, int node)
{
	const uint32_t nr = kn_load(&kn_nr_magcaches);

	for (uint32_t id = 0; id < nr; id++) {
		struct kn_magazine *m = magazine(bank, node, id);
		void *const cur = (void *)(uintptr_t)kn_load(&m->cur);

		/* What waits has objects in all slots, and is never widened. */
		if (id - KN_ID_RCU < KN_NR_RCU || !kn_load(&m->end) ||
		    !places_got(m))
			continue;
		if (cur == kn_load(&m->slot[LAST_CUR]))
			add_idle(idle, (struct kn_drain_set){.first_id = id,
							     .last_id = id,
							     .cid = cid,
							     .node = node});
		else
			kn_store(&m->slot[LAST_CUR], cur);
	}
}

void kn_drain_idle(void)
{
	struct idle idle = {.n = 0};

	for (int cid = 0; cid < kn_load(&nr_cids); cid++) {
		char *const bank = kn_load_acquire(&kn_banks[cid]);

		for (int node = 0; bank && node < kn_topo.nr_nodes; node++) {
			uint64_t *const last = &end_of(bank)->last_sum[node];
			uint32_t present;
			uint64_t sum;

			if (!(kn_load(&end_of(bank)->opened) >> node & 1))
				continue;
			sum = region_sum(bank, node, &present);
			if (present && sum == kn_load(last))
				add_idle(&idle,
					 (struct kn_drain_set){
						 .last_id = KN_NR_IDS - 1,
						 .cid = cid,
						 .node = node});
			else if (kn_load(&end_of(bank)->wide_bytes[node]))
				find_wide(&idle, cid, bank, node);
			kn_store(last, sum);
		}
	}
	drain_found(&idle);
}

bool kn_drain_needed(uint32_t id)
{
	for (int cid = 0; cid < kn_load(&nr_cids); cid++) {
		char *const bank = kn_load_acquire(&kn_banks[cid]);

		for (int node = 0; bank && node < kn_topo.nr_nodes; node++)
			if (kn_load_acquire(&magazine(bank, node, id)->cur) & 0xffff)
				return true;
	}
	return false;
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

/* What waits for a grace period is in use; its magazines hold marked addresses. */
void kn_mag_totals(uint64_t *popped, uint64_t *present)
{
	const struct kn_drain_set below = {
		.last_id = KN_ID_RCU - 1, .cid = -1, .node = -1,
	};
	const struct kn_drain_set above = {
		.first_id = KN_ID_FIRST_CACHE, .last_id = KN_NR_IDS - 1,
		.cid = -1, .node = -1,
	};

	kn_lock(&drain_lock);
	totals.popped = 0;
	totals.present = 0;
	for_each(&below, add_totals);
	for_each(&above, add_totals);
	*popped = totals.popped;
	*present = totals.present;
	kn_unlock(&drain_lock);
}

/* Of kn_drain_sum(); drain lock. */
static uint64_t (*sum_of)(const struct kn_magazine *m);
static uint64_t sum;

static void add_one(struct kn_magazine *m, uint32_t id, int node)
{
	(void)id;
	(void)node;
	sum += sum_of(m);
}

uint64_t kn_drain_sum(const struct kn_drain_set *set,
		      uint64_t (*of)(const struct kn_magazine *m))
{
	uint64_t result;

	kn_lock(&drain_lock);
	sum = 0;
	sum_of = of;
	for_each(set, add_one);
	result = sum;
	kn_unlock(&drain_lock);
	return result;
}

uint32_t kn_mag_nr_armed;

bool kn_mag_is_counted(const struct kn_magcache *c)
{
	return kn_load(&kn_mag_mode) == KN_MAG_RSEQ && c->place &&
	       kn_tun.guard_sample >= KN_SAMPLE_EXACT;
}

static uint32_t given(char *bank, int node, uint32_t id)
{
	uint32_t *const looked = end_of(bank)->looked;
	const uint32_t pops =
		(uint32_t)(kn_load(&magazine(bank, node, id)->cur) >> 16);
	uint32_t *was;
	uint32_t n;

	if (!looked)
		return 0;
	was = &looked[(size_t)node * KN_NR_IDS + id];
	n = pops - kn_load(was);
	kn_store(was, pops);
	return n;
}

static bool is_armed(const struct kn_magazine *m)
{
	return kn_load(&m->end) && kn_load(&m->beg) == CLOSED;
}

uint32_t kn_mag_look(struct kn_magcache *c, int node, bool may_block,
		     bool *armed)
{
	const int cid = own_number();
	char *const bank = cid < 0 ? NULL : kn_load_acquire(&kn_banks[cid]);
	struct kn_magazine *m;

	if (!bank)
		return 0;
	m = magazine(bank, node, c->id);
	/* The end of a round may look like it: the lock tells. */
	if (unlikely(is_armed(m)) && kn_trylock(&drain_lock)) {
		if (is_armed(m)) {
			kn_store_release(&m->beg, 0);
			kn_store(&kn_mag_nr_armed,
				 KN_MAX(kn_mag_nr_armed, 1u) - 1);
			*armed = true;
		}
		kn_unlock_if(&drain_lock, may_block);
	}
	return given(bank, node, c->id);
}

/* Of kn_mag_arm(); drain lock. */
static bool (*is_due)(uint64_t given);
static uint32_t nr_armed;

static void arm(struct kn_magazine *m, uint32_t id, int node)
{
	char *const bank = (char *)m - kn_mag_place(node, id);
	const uint32_t n = given(bank, node, id);

	if (m->end && m->beg == 0 && is_due(n))
		kn_store(&m->beg, CLOSED);
	nr_armed += is_armed(m);
}

void kn_mag_arm(bool (*due)(uint64_t given))
{
	const struct kn_drain_set caches = {
		.first_id = KN_ID_FIRST_CACHE, .last_id = KN_NR_IDS - 1,
		.cid = -1, .node = -1,
	};

	if (kn_load(&kn_mag_mode) != KN_MAG_RSEQ)
		return;
	kn_lock(&drain_lock);
	is_due = due;
	nr_armed = 0;
	/* Who is sent past its fast path from here on looks. */
	kn_store(&kn_mag_nr_armed, 1);
	for_each(&caches, arm);
	/* Those that a drain opened are not among them. */
	kn_store(&kn_mag_nr_armed, nr_armed);
	kn_unlock(&drain_lock);
}

uint64_t kn_magazine_bytes(void)
{
	return kn_load(&nr_opened) * sizeof(struct kn_magazine);
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

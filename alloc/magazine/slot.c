/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/magazine/slot.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "alloc/base/lock.h"
#include "numa/machine.h"
#include "numa/span.h"

static struct slot {
	uint32_t busy;
} kn_cacheline *slots;

int kn_slot_init(void)
{
	slots = kn_meta_alloc((size_t)kn_topo.nr_cpus * sizeof(*slots), -1);
	return slots ? 0 : -ENOMEM;
}

int kn_slot_number(void)
{
	const int cpu = kn_machine.getcpu();

	return cpu < 0 || cpu >= kn_topo.nr_cpus ? 0 : cpu;
}

static bool try_slot(int slot)
{
	return !kn_load(&slots[slot].busy) &&
	       ck_pr_cas_32(&slots[slot].busy, 0, 1);
}

void kn_slot_lock(int slot)
{
	const struct timespec nap = { .tv_nsec = 50000 };

	if (kn_forking)
		return;
	while (!try_slot(slot)) {
		KN_COUNTED(calls);
		nanosleep(&nap, NULL);
	}
}

void kn_slot_unlock(int slot)
{
	if (!kn_forking)
		kn_store_release(&slots[slot].busy, 0);
}

void kn_slot_reset(void)
{
	for (int i = 0; slots && i < kn_topo.nr_cpus; i++)
		kn_store(&slots[i].busy, 0);
}

/* The magazine, its slot held; NULL when taken or without a bank. */
static struct kn_magazine *enter(uint32_t id, int node, int *slot)
{
	char *bank;

	*slot = kn_slot_number();
	bank = kn_load_acquire(&kn_banks[*slot]);
	if (!bank)
		return NULL;
	/* Drains wait for it. */
	kn_lock_hold();
	if (!try_slot(*slot)) {
		kn_lock_let_go();
		return NULL;
	}
	return (struct kn_magazine *)(bank + kn_mag_place(node, id));
}

static void leave(int slot)
{
	kn_store_release(&slots[slot].busy, 0);
	kn_lock_let_go();
}

static uint32_t count_of(const struct kn_magazine *m)
{
	return m->cur & 0xffff;
}

uint32_t kn_slot_pop_batch(uint32_t id, int node, void **buf, uint32_t n)
{
	int slot;
	struct kn_magazine *m = enter(id, node, &slot);
	uint32_t count;

	if (!m)
		return 0;
	count = count_of(m) > kn_load(&m->beg) ? count_of(m) : 0;
	n = KN_MIN(n, count);
	memcpy(buf, &m->slot[count - n], n * sizeof(*buf));
	kn_store(&m->cur, m->cur + (uint64_t)n * 0xffff);
	leave(slot);
	return n;
}

enum kn_rseq_ret kn_slot_push_batch(uint32_t id, int node, void *const *buf,
				    uint32_t n)
{
	enum kn_rseq_ret ret = KN_RSEQ_DECLINED;
	int slot;
	struct kn_magazine *m = enter(id, node, &slot);

	if (!m)
		return ret;
	/* Acquire: whoever opened it held no slot. */
	if (count_of(m) + n <= kn_load_acquire(&m->end)) {
		const uint32_t count = count_of(m);

		if (n == 1 && count && m->slot[count - 1] == buf[0]) {
			ret = KN_RSEQ_DUP;
		} else {
			memcpy(&m->slot[count], buf, n * sizeof(*buf));
			kn_store(&m->cur, m->cur + n);
			ret = KN_RSEQ_DONE;
		}
	}
	leave(slot);
	return ret;
}

enum kn_rseq_ret kn_slot_push(uint32_t id, int node, const void *obj)
{
	void *one = (void *)obj;

	return kn_slot_push_batch(id, node, &one, 1);
}

uint64_t kn_slot_exchange(uint32_t id, int node, uint32_t i, uint64_t word)
{
	uint64_t was = KN_RSEQ_KEPT;
	int slot;
	struct kn_magazine *m = enter(id, node, &slot);

	if (!m)
		return was;
	if (i < count_of(m) && kn_load(&m->end)) {
		was = (uintptr_t)m->slot[i];
		kn_store(&m->slot[i], (void *)(uintptr_t)word);
	}
	leave(slot);
	return was;
}

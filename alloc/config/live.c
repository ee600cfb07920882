/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/config/live.h"

#include "alloc/base/atomic.h"
#include "alloc/config/tunables.h"

static struct {
	uint32_t changes; /* steps of two; odd: the first copy is written */
	struct kn_live copy[2];
} latch;

/* From the settings themselves, which change one by one. */
static void collect(struct kn_live *to)
{
#define KN_LIVE_FIELD(name) to->name = (uint64_t)kn_load(&kn_tun.name);
	KN_LIVE_SETTINGS(KN_LIVE_FIELD)
#undef KN_LIVE_FIELD
}

/* Word by word: a copy may be written meanwhile, and is then not used. */
static void load(struct kn_live *to, const struct kn_live *from)
{
#define KN_LIVE_FIELD(name) to->name = kn_load(&from->name);
	KN_LIVE_SETTINGS(KN_LIVE_FIELD)
#undef KN_LIVE_FIELD
}

static void store(struct kn_live *to, const struct kn_live *from)
{
#define KN_LIVE_FIELD(name) kn_store(&to->name, from->name);
	KN_LIVE_SETTINGS(KN_LIVE_FIELD)
#undef KN_LIVE_FIELD
}

static bool same(const struct kn_live *a, const struct kn_live *b)
{
	bool all = true;

#define KN_LIVE_FIELD(name) all &= a->name == b->name;
	KN_LIVE_SETTINGS(KN_LIVE_FIELD)
#undef KN_LIVE_FIELD
	return all;
}

/* Readers go to the other copy, and what is written next comes behind that. */
static void turn(void)
{
	ck_pr_fence_memory();
	kn_store(&latch.changes, latch.changes + 1);
	ck_pr_fence_memory();
}

/*
 * KN_LIVE_TORN is a planted error for the tests: settings that are read together
 * are read one by one.
 */
#ifdef KN_LIVE_TORN
#define TORN true
#else
#define TORN false
#endif

void kn_live_read(struct kn_live *to)
{
	uint32_t changes;

	if (TORN) {
		collect(to);
		return;
	}
	do {
		/* Acquire: pairs with the fences of turn(). */
		changes = kn_load_acquire(&latch.changes);
		load(to, &latch.copy[changes & 1]);
		ck_pr_fence_load();
	} while (kn_load(&latch.changes) != changes);
}

void kn_live_publish(void)
{
	struct kn_live now;

	collect(&now);
	if (same(&now, &latch.copy[0]))
		return;
	turn();
	store(&latch.copy[0], &now);
	turn();
	store(&latch.copy[1], &now);
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/deferred/budget.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/config/live.h"
#include "alloc/config/tunables.h"
#include "alloc/deferred/batch.h"
#include "alloc/page/page_alloc.h"
#include "alloc/rcu/grace.h"
#include "alloc/rcu/readers.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"

/* The built-in budget: a share of the RAM, and enough for many batches. */
#define RAM_SHARE   32
#define LEAST_BYTES (16 * KN_MIB)

/* Values of the tunable rcu_full. */
enum {
	FULL_FAIL,
	FULL_GROW
};

static uint64_t built_in_bytes = LEAST_BYTES;

static struct {
	uint32_t refusing; /* caches of the flavour may not grow */
	uint32_t told;	   /* of a grace period that was stuck */
	uint32_t told_full;
	uint32_t inside_tid; /* last seen queueing inside a section */
	uint64_t stuck;	     /* when the last one that was counted began */
} flavors[KN_MAX_FLAVORS];

static bool to_tell; /* a grace period was counted as stuck, and not told */

/* Not 0: the caller's thread is in here already, below a signal handler. */
static kn_tls uint32_t depth;

void kn_budget_init(void)
{
	built_in_bytes =
		KN_MAX(kn_machine.total_ram() / RAM_SHARE, LEAST_BYTES);
}

static uint64_t budget_of(uint64_t setting)
{
	return setting ?: built_in_bytes;
}

/* The name that liburcu gives the flavour, or its address. */
static void print_name(int flavor, char *buf, size_t len)
{
	const void *const f = kn_grace_flavor(flavor);
	Dl_info info;

	if (dladdr(f, &info) && info.dli_sname && info.dli_saddr == f)
		snprintf(buf, len, "%s", info.dli_sname);
	else
		snprintf(buf, len, "at %p", f);
}

/* Who holds it up, as far as anything tells. */
static void print_reader(int flavor, char *buf, size_t len)
{
	const uint32_t tid = kn_load(&flavors[flavor].inside_tid);
	struct kn_readers found;
	const int err = kn_readers_find(kn_grace_flavor(flavor), &found);

	if (!err && found.nr) {
		snprintf(buf, len, "it is ");
		kn_readers_print(&found, buf + strlen(buf), len - strlen(buf));
	} else if (tid) {
		snprintf(buf, len,
			 "thread %u was inside a read section when it "
			 "last queued a batch",
			 tid);
	} else if (err == -ENOENT) {
		snprintf(buf, len,
			 "which thread it is cannot be told: liburcu is not a "
			 "shared library that the program is linked with");
	} else if (err) {
		snprintf(buf, len,
			 "which thread it is cannot be told: the system "
			 "refuses a look at the threads (error %d)",
			 -err);
	} else {
		snprintf(
			buf, len,
			"which thread it is cannot be told: it has left since, "
			"or its liburcu belongs to a plugin");
	}
}

/*
 * Counts, in any context; a grace period once.  It is known by when it began: a
 * flag that is to be taken back when it has ended would miss the next one, if
 * nobody looked between the two.
 */
static void watch(int flavor)
{
	const uint64_t last = kn_load(&flavors[flavor].stuck);
	struct kn_live live;
	uint64_t since;
	const uint64_t ms = kn_grace_busy_ms(flavor, &since);

	kn_live_read(&live);
	if (!ms || ms < live.rcu_stuck_ms || since <= last ||
	    kn_batch_bytes(flavor) <= budget_of(live.rcu_budget) ||
	    !ck_pr_cas_64(&flavors[flavor].stuck, last, since))
		return;
	kn_stat_add(KN_STAT_rcu_stuck, 1);
	if (!kn_load(&flavors[flavor].told))
		kn_store(&to_tell, true);
}

/* One message in the life of a process for each flavour; all are counted. */
static void tell(int flavor)
{
	uint64_t since;
	const uint64_t ms = kn_grace_busy_ms(flavor, &since);
	char name[64], reader[200];

	if (!ms || kn_load(&flavors[flavor].stuck) != since ||
	    ck_pr_fas_32(&flavors[flavor].told, 1))
		return;
	print_name(flavor, name, sizeof(name));
	print_reader(flavor, reader, sizeof(reader));
	kn_warn("kfree_rcu: %llu bytes wait for readers of the flavour %s, and "
		"for %llu.%llu s a reader has not left its section; %s",
		(unsigned long long)kn_batch_bytes(flavor), name,
		(unsigned long long)ms / 1000,
		(unsigned long long)ms % 1000 / 100, reader);
}

void kn_budget_tell(void)
{
	if (likely(!kn_load(&to_tell)))
		return;
	kn_store(&to_tell, false);
	for (int i = 0; i < kn_grace_nr(); i++)
		tell(i);
}

void kn_budget_watch(void)
{
	for (int i = 0; i < kn_grace_nr(); i++) {
		watch(i);
		/* A setting may have changed. */
		kn_budget_relax(i);
	}
	kn_budget_tell();
}

/* While readers leave, the sleeps hold the sum: nothing need fail. */
static bool is_full(int flavor)
{
	uint64_t since;
	const uint64_t ms = kn_grace_busy_ms(flavor, &since);
	struct kn_live live;

	kn_live_read(&live);
	return kn_batch_bytes(flavor) / 2 > budget_of(live.rcu_budget) && ms &&
	       ms >= live.rcu_stuck_ms && live.rcu_full == FULL_FAIL;
}

static void mark(uint32_t *refused, int flavor)
{
	if (!(kn_load(refused) >> flavor & 1))
		ck_pr_or_32(refused, 1u << flavor);
}

/* Marks the caches that have objects waiting, and what is above the caches. */
static void mark_all(int flavor)
{
	const uint32_t nr = kn_load(&kn_nr_magcaches);

	for (uint32_t id = KN_ID_FIRST_CACHE; id < nr; id++) {
		struct kmem_cache *s = kn_cache_by_id(id);

		if (kn_batch_of_cache(flavor, s))
			mark(&s->refused, flavor);
	}
	if (kn_batch_of_large(flavor))
		mark(&kn_large_refused, flavor);
}

/*
 * A full fence: who marks finds that nothing is full any more, or is found here,
 * so no mark outlives what it was for.
 */
void kn_budget_relax(int flavor)
{
	const uint32_t nr = kn_load(&kn_nr_magcaches);

	ck_pr_fence_memory();
	if (!kn_load(&flavors[flavor].refusing) || is_full(flavor))
		return;
	kn_store(&flavors[flavor].refusing, 0);
	ck_pr_fence_memory();
	for (uint32_t id = KN_ID_FIRST_CACHE; id < nr; id++)
		ck_pr_and_32(&kn_cache_by_id(id)->refused, ~(1u << flavor));
	ck_pr_and_32(&kn_large_refused, ~(1u << flavor));
}

static void refuse(int flavor)
{
	mark_all(flavor);
	kn_store(&flavors[flavor].refusing, 1);
	/* The round may have ended among the marks. */
	kn_budget_relax(flavor);
	if (ck_pr_fas_32(&flavors[flavor].told_full, 1))
		return;
	kn_warn("kfree_rcu: %llu bytes wait for a grace period, twice rcu_budget: "
		"caches with objects among them get no more memory until readers "
		"leave, nor do requests above 8 KiB if such are among them; with "
		"rcu_full=grow they would",
		(unsigned long long)kn_batch_bytes(flavor));
}

static kn_slow void enforce(int flavor)
{
	const int saved_errno = errno;

	switch (kn_grace_pause(flavor)) {
	case KN_PAUSE_SLEPT:
		kn_stat_add(KN_STAT_rcu_sleeps, 1);
		break;
	case KN_PAUSE_INSIDE:
		kn_store(&flavors[flavor].inside_tid,
			 (uint32_t)syscall(SYS_gettid));
		break;
	case KN_PAUSE_NOT_NOW:
		break;
	}
	watch(flavor);
	if (is_full(flavor))
		refuse(flavor);
	else
		kn_budget_relax(flavor);
	errno = saved_errno;
}

void kn_budget_enforce(int flavor)
{
	const uint64_t most = budget_of(kn_load(&kn_tun.rcu_budget));

	if (likely(kn_batch_bytes(flavor) <= most) || depth || kn_forking)
		return;
	depth = 1;
	enforce(flavor);
	depth = 0;
}

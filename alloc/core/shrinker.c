/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/shrinker.h"

#include <errno.h>
#include <knuma/kmalloc.h>
#include <knuma/shrinker.h>
#include <stdarg.h>
#include <stdio.h>

#include "alloc/account/group.h"
#include "alloc/base/assert.h"
#include "alloc/base/list.h"
#include "alloc/base/lock.h"
#include "alloc/page/reclaim.h"
#include "alloc/page/scope.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "numa/topology.h"

#define ALL_FLAGS \
	(SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE | SHRINKER_NONSLAB)
#define DEFAULT_BATCH 128

struct kn_shrinker {
	struct shrinker pub;
	struct kn_list list; /* lock */
	uint64_t seq;	     /* lock; 0: not registered */
	uint32_t calls;	     /* under way; lock, and atomic for who waits */
	char name[64];
};

static struct kn_lock lock = KN_LOCK_INIT(shrinker);
static struct kn_list shrinkers = {&shrinkers, &shrinkers}; /* lock */
static uint64_t last_seq;				    /* lock */

/* The one that this thread is in. */
static kn_tls struct kn_shrinker *inside;

static struct kn_shrinker *of(struct shrinker *s)
{
	return (struct kn_shrinker *)s;
}

/* Documented in <knuma/shrinker.h>. */
struct shrinker *shrinker_alloc(unsigned int flags, const char *fmt, ...)
{
	struct kn_shrinker *s;
	va_list ap;

	if (flags & ~ALL_FLAGS) {
		errno = EINVAL;
		return NULL;
	}
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return NULL;
	s->pub.seeks = DEFAULT_SEEKS;
	s->pub.flags = flags;
	va_start(ap, fmt);
	vsnprintf(s->name, sizeof(s->name), fmt, ap);
	va_end(ap);
	return &s->pub;
}

/* Documented in <knuma/shrinker.h>. */
void shrinker_register(struct shrinker *pub)
{
	struct kn_shrinker *const s = of(pub);
	bool again;

	if (!pub->count_objects || !pub->scan_objects) {
		kn_bug("shrinker_register(%s): count_objects and scan_objects "
		       "must be set",
		       s->name);
		return;
	}
	kn_lock(&lock);
	again = s->seq != 0;
	if (!again) {
		s->seq = ++last_seq;
		kn_list_add_tail(&shrinkers, &s->list);
	}
	kn_unlock(&lock);
	if (again)
		kn_bug("shrinker_register(%s): is registered already", s->name);
}

/* Documented in <knuma/shrinker.h>. */
void shrinker_free(struct shrinker *pub)
{
	struct kn_shrinker *const s = of(pub);

	if (!s)
		return;
	if (s == inside) {
		kn_bug("shrinker_free(%s): called inside of it", s->name);
		return;
	}
	kn_lock(&lock);
	if (s->seq)
		kn_list_del(&s->list);
	s->seq = 0;
	kn_unlock(&lock);
	kn_wait_clear(&s->calls);
	/* Acquire; pairs with the unlock of the last call. */
	kn_lock(&lock);
	kn_unlock(&lock);
	kfree(s);
}

/* The first shrinker behind *@seq, which a call is in from now on; or NULL. */
static struct kn_shrinker *enter_next(uint64_t *seq)
{
	struct kn_shrinker *s, *found = NULL;

	kn_lock(&lock);
	kn_list_for_each(s, &shrinkers, struct kn_shrinker, list) {
		if (s->seq <= *seq)
			continue;
		found = s;
		*seq = s->seq;
		kn_store(&s->calls, s->calls + 1);
		break;
	}
	kn_unlock(&lock);
	return found;
}

static void leave(struct kn_shrinker *s)
{
	kn_lock(&lock);
	kn_store(&s->calls, s->calls - 1);
	kn_unlock(&lock);
}

/* How many of @count objects to look at. */
static unsigned long share_of(const struct shrinker *s, unsigned long count,
			      unsigned part)
{
	const unsigned long batch = s->batch > 0 ? (unsigned long)s->batch :
						   DEFAULT_BATCH;
	unsigned long n = count >> part;

	if (!part)
		return count;
	n = s->seeks > 0 ? n * 4 / (unsigned long)s->seeks : count / 2;
	/* A small cache would never be asked otherwise. */
	return KN_MIN(KN_MAX(n, batch), count);
}

static unsigned long shrink_node(struct shrinker *s, struct shrink_control *sc,
				 unsigned part)
{
	const unsigned long batch = s->batch > 0 ? (unsigned long)s->batch :
						   DEFAULT_BATCH;
	const unsigned long count = s->count_objects(s, sc);
	unsigned long freed = 0, left;

	if (count >= SHRINK_EMPTY)
		return 0;
	for (left = share_of(s, count, part); left;) {
		unsigned long n;

		sc->nr_to_scan = sc->nr_scanned = KN_MIN(left, batch);
		n = s->scan_objects(s, sc);
		if (n == SHRINK_STOP)
			break;
		freed += n;
		if (!sc->nr_scanned)
			break;
		left -= KN_MIN(left, sc->nr_scanned);
	}
	return freed;
}

static unsigned long shrink_one(struct kn_shrinker *s,
				const struct shrink_control *want, int nid,
				unsigned part)
{
	struct shrink_control sc = *want;
	unsigned long freed = 0;

	if (!(s->pub.flags & SHRINKER_NUMA_AWARE))
		return shrink_node(&s->pub, &sc, part);
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		sc.nid = kn_topo.kernel_id[node];
		if (nid == KN_SHRINK_ALL_NODES || nid == sc.nid)
			freed += shrink_node(&s->pub, &sc, part);
	}
	return freed;
}

/* Asks the shrinkers that have all of @flags. */
static unsigned long shrink_with(unsigned flags,
				 const struct shrink_control *want, int nid,
				 unsigned part)
{
	struct kn_shrinker *s;
	unsigned long freed = 0;
	uint64_t seq = 0;

	if (inside)
		return 0;
	while ((s = enter_next(&seq))) {
		inside = s;
		if ((s->pub.flags & flags) == flags)
			freed += shrink_one(s, want, nid, part);
		inside = NULL;
		leave(s);
	}
	kn_stat_add(KN_STAT_shrunk_objects, freed);
	return freed;
}

unsigned long kn_shrink(gfp_t gfp, int nid, unsigned part)
{
	const struct shrink_control want = {.gfp_mask = gfp};

	return shrink_with(0, &want, nid, part);
}

/* For a charge over the limit of @g: all that can go. */
static bool shrink_group(struct knuma_group *g, gfp_t gfp)
{
	const struct shrink_control want = {.gfp_mask = gfp, .group = g};

	if (!kn_scope_reclaims())
		return false;
	return shrink_with(SHRINKER_MEMCG_AWARE, &want, KN_SHRINK_ALL_NODES,
			   0) != 0;
}

/* For an allocation that would fail: all that can go. */
static bool shrink_for(gfp_t gfp, int nid)
{
	return kn_shrink(gfp, nid, 0) != 0;
}

void kn_shrinkers_init(void)
{
	kn_store(&kn_shrink_hook, shrink_for);
	kn_store(&kn_group_shrink_hook, shrink_group);
}

void kn_shrinkers_lock(void)
{
	kn_lock(&lock);
}

void kn_shrinkers_unlock(void)
{
	kn_unlock(&lock);
}

void kn_shrinkers_reset(void)
{
	struct kn_shrinker *s;

	kn_lock_reset(&lock);
	kn_list_for_each(s, &shrinkers, struct kn_shrinker, list)
		kn_store(&s->calls, s == inside);
}

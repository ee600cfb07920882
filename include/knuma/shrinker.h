/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/shrinker.h - caches of the application that give way when memory is short
 *
 *   struct shrinker *s = shrinker_alloc(0, "dentries");
 *
 *   s->count_objects = how_many_could_go;
 *   s->scan_objects = let_some_go;
 *   shrinker_register(s);
 *   ...
 *   shrinker_free(s);
 *
 * Shrinkers are called by the background thread under memory pressure, by
 * knuma_trim(), and by an allocation with __GFP_DIRECT_RECLAIM that would fail
 * otherwise, of memory or of its group's limit, but not by malloc().  So both functions may run in any thread that
 * allocates, and in one that no flavour of RCU knows: what locks they need they
 * try, and return SHRINK_STOP if those are taken.  They may free and allocate;
 * an allocation inside of them calls no shrinkers.
 */
#ifndef KNUMA_SHRINKER_H
#define KNUMA_SHRINKER_H

#include <knuma/gfp.h>
#include <knuma/types.h>

struct knuma_group;

/* Of count_objects: nothing at all, while 0 is "none now, or not known". */
#define SHRINK_EMPTY	     (~0UL - 1)
/* Of scan_objects: no progress is possible now. */
#define SHRINK_STOP	     (~0UL)

/* What an object costs to make anew: with 2 half of them are looked at. */
#define DEFAULT_SEEKS	     2

/* Called for each node, with its id in nid; else once, and nid is 0. */
#define SHRINKER_NUMA_AWARE  (1u << 0)
/*
 * Called for a group, too, one whose limit is reached: what it should free is
 * charged to the group in the field of that name.  Others are not called then.
 */
#define SHRINKER_MEMCG_AWARE (1u << 1)
/* No effect. */
#define SHRINKER_NONSLAB     (1u << 2)

/**
 * struct shrink_control - what a shrinker is asked
 * @gfp_mask: flags of the allocation that needs memory; GFP_KERNEL else
 * @nid: node id whose objects are meant
 * @nr_to_scan: objects that scan_objects shall look at, at most
 * @nr_scanned: how many it did; is @nr_to_scan before, and need not be set
 * @group: the group whose memory is meant, see group.h; NULL: any memory
 */
struct shrink_control {
	gfp_t gfp_mask;
	int nid;
	unsigned long nr_to_scan;
	unsigned long nr_scanned;
	struct knuma_group *group;
};

/**
 * struct shrinker - a cache that can be made smaller
 * @count_objects: how many objects could be freed: a number, 0, SHRINK_EMPTY
 * @scan_objects: looks at nr_to_scan objects and frees what it can; returns how
 *        many it freed, or SHRINK_STOP
 * @batch: objects in one call of scan_objects; 0 for 128
 * @seeks: cost of an object: more means that fewer are looked at; 0 for half
 * @flags: as given to shrinker_alloc()
 * @private_data: the caller's
 */
struct shrinker {
	unsigned long (*count_objects)(struct shrinker *s,
				       struct shrink_control *sc);
	unsigned long (*scan_objects)(struct shrinker *s,
				      struct shrink_control *sc);
	long batch;
	int seeks;
	unsigned int flags;
	void *private_data;
};

KN_BEGIN_DECLS

/**
 * shrinker_alloc - make a shrinker, which is not called yet
 * @flags: SHRINKER_*
 * @fmt: name, as for printf(3), cut to 63 bytes
 *
 * Context: Any thread, no signal handler.
 * Return:  the shrinker, with @seeks DEFAULT_SEEKS and the rest zero; NULL on
 *          failure.
 * Errors:  ENOMEM; EINVAL when @flags has other bits.
 * Source:  Linux mm/shrinker.c, shrinker_alloc().
 */
struct shrinker *shrinker_alloc(unsigned int flags, const char *fmt, ...)
	KN_SYM(shrinker_alloc)
		__attribute__((format(printf, 2, 3))) KN_MUST_CHECK;

/**
 * shrinker_register - from now on a shrinker is called
 * @s: from shrinker_alloc(), both functions set
 *
 * Context: Any thread, no signal handler.
 * Errors:  One that is registered already, and one without its functions, is
 *          reported and the process aborted.
 * Source:  Linux mm/shrinker.c, shrinker_register().
 */
void shrinker_register(struct shrinker *s) KN_SYM(shrinker_register);

/**
 * shrinker_free - end a shrinker, registered or not
 * @s: from shrinker_alloc(), or NULL
 *
 * Waits for calls that are under way; when it returns its functions are not
 * called any more.
 *
 * Context: Any thread, no signal handler, with no lock that the functions wait
 *          for.  From inside its own functions: reported, and aborts.
 * Source:  Linux mm/shrinker.c, shrinker_free().  Differs: waits for calls, not
 *          for an RCU grace period.
 */
void shrinker_free(struct shrinker *s) KN_SYM(shrinker_free);

KN_END_DECLS

#endif /* KNUMA_SHRINKER_H */

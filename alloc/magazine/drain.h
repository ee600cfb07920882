/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/magazine/drain.h - reaching the magazines of other CPUs
 *
 * A round, under the drain lock:
 *   1. close the gates: beg = UINT32_MAX, end = 0
 *   2. one membarrier(PRIVATE_EXPEDITED_RSEQ): every section that could have
 *      read an open gate has committed or is aborted
 *   3. the magazines are the drainer's: take the objects, cur = 0
 *   4. open: release end, then beg
 * A section reads its gates before cur, so one that starts after 4 sees the cur
 * of 3.  Owners that meet a closed gate go past the magazine and wait for
 * nothing.  (Reading cur first hands objects out twice: tests/concurrency.)
 *
 * In fallback mode 1, 2 and 4 are the try-lock of each slot.
 */
#ifndef KN_MAGAZINE_DRAIN_H
#define KN_MAGAZINE_DRAIN_H

#include "alloc/magazine/magazine.h"

/* Which magazines. */
struct kn_drain_set {
	uint32_t first_id, last_id;
	int cid;		/* one number, or -1 for all */
	int node;		/* one node, or -1 for all */
};

/*
 * Takes all objects out of the magazines of @set and flushes them to where they
 * came from.  Magazines of caches that are `closed` stay closed.  False when
 * the fence was refused: the magazines then stay closed for good.
 *
 * Context: may wait; no knuma lock held.
 */
bool kn_drain(const struct kn_drain_set *set);

/* Drains one cache everywhere, depots too; with @close for good. */
bool kn_drain_cache(struct kn_magcache *c, bool close);

/* Lets a new cache use the magazines of an id that kn_drain_cache() closed. */
void kn_drain_reopen(uint16_t id);

/*
 * Undoes kn_magcache_direct() and kn_drain_cache(c, true) of a cache in use: it
 * has the sizes and limits of @as from here on.  At once, so no magazine opens
 * by some of them.
 */
void kn_drain_resume(struct kn_magcache *c, const struct kn_magcache *as);

/* Flushes all batches of a depot but @keep; how many. */
uint32_t kn_depot_flush(struct kn_magcache *c, int node, uint32_t keep);

/*
 * A tick: flushes half of what was not needed since the last call, and what is
 * above @keep_bytes.
 */
void kn_depot_trim(struct kn_magcache *c, int node, uint64_t keep_bytes);

/* Opens the caller's magazine of @c on @node, if that needs no waiting. */
bool kn_mag_open(struct kn_magcache *c, int node, bool may_block);

/*
 * Gives the caller's magazine of @c on @node, which is full, up to twice the
 * places, as far as magazine_cpu_bytes allows.  False: it stays as it is.  Until
 * it is drained: at the latest when it was not used for a while.
 */
bool kn_mag_widen(struct kn_magcache *c, int node);

/* Makes banks that calls which could not make them asked for. */
void kn_banks_make_wanted(void);

/*
 * Drains the magazines of CPUs that have not used them since the last call, and
 * those that were widened and not used since.
 */
void kn_drain_idle(void);

/* Objects ever popped, and objects in all magazines now. */
void kn_mag_totals(uint64_t *popped, uint64_t *present);

/* Whether any magazine of @id has an object.  A hint, but for the caller's own. */
bool kn_drain_needed(uint32_t id);

/* The sum over the magazines of @set of what @of says; for statistics. */
uint64_t kn_drain_sum(const struct kn_drain_set *set,
		      uint64_t (*of)(const struct kn_magazine *m));

/*
 * For samples of what is allocated.  The gate of a magazine that is closed for
 * pops alone sends the next allocation past its fast path: armed.  Sections that
 * still pass commit as ever, since nobody touches cur.
 */

/* Whether kn_mag_look() counts what is allocated of @c. */
bool kn_mag_is_counted(const struct kn_magcache *c);

/* Magazines that are armed; a hint. */
extern uint32_t kn_mag_nr_armed;

/*
 * Objects that left the caller's magazine of @c on @node since the last look at
 * it.  *@armed: it was armed, and is open again.
 */
uint32_t kn_mag_look(struct kn_magcache *c, int node, bool may_block,
		     bool *armed);

/*
 * Looks at all magazines of caches, and arms those for which @due, asked with
 * what left them, says so.  Context: may wait; no knuma lock held.
 */
void kn_mag_arm(bool (*due)(uint64_t given));

/* Memory of the magazines that were ever opened. */
uint64_t kn_magazine_bytes(void);

void kn_drain_lock_all(void);
void kn_drain_unlock_all(void);
void kn_drain_reset(void);

#endif

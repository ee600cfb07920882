/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/account/group.h - who pays for memory, and how much of it
 *
 * A charge comes from the stock of the thread's stripe; a stock that is empty
 * is filled from the limit in pieces.  Where the limit leaves no room for a
 * piece all stocks are called back, so an allocation fails only when what is
 * charged does not leave room for it.
 *
 *   A1  usage is what is charged and what is in stocks; without __GFP_NOFAIL it
 *       is added to only while it stays within the limit.
 *   A2  What is in a stock was taken from usage's room before, and is taken out
 *       of the stock before it is given back: stocks never say too much.
 *   A3  A group's place serves another one only when it was destroyed, no
 *       thread is inside, and nothing is charged.  Objects are counted down last.
 *   A4  Places are never unmapped: a late reader finds a group.
 *
 * All is by atomics: any context.  Design: docs/design/accounting.md.
 */
#ifndef KN_ACCOUNT_GROUP_H
#define KN_ACCOUNT_GROUP_H

#include <knuma/gfp.h>
#include <knuma/group.h>

#include "alloc/stats/stats.h"

/*
 * One word, so that a charge is one atomic operation: 32 bits of stock, bytes
 * of usage that nobody has yet, and above them 32 of objects, charged less
 * freed, modulo 2^32.
 */
struct kn_group_stripe {
	uint64_t word;
} kn_cacheline;

struct knuma_group {
	char name[KNUMA_GROUP_NAME];
	uint32_t id;	 /* place + 1; 0: never used */
	uint32_t live;	 /* created and not destroyed; lock */
	uint32_t taken;	 /* not to be given to another one; lock */
	uint32_t inside; /* scopes of threads; atomic */
	uint32_t lost;	 /* of those, begun before a fork made this process:
			    of the thread that did, and of others; that thread */
	uint64_t seq;	 /* order of creation; lock */
	uint64_t limit kn_cacheline;
	uint64_t usage; /* A1 */
	uint64_t peak;
	uint64_t reclaims;
	uint64_t refused;
	uint64_t forced;
	struct kn_group_stripe stripe[KN_STAT_STRIPES];
};

/* The group that this thread is in; NULL: none. */
extern kn_tls struct knuma_group *kn_group_active;

/*
 * Charges @bytes to @g.  False when its limit does not allow it: counted, and
 * told unless __GFP_NOWARN.  Runs shrinkers if @gfp has __GFP_DIRECT_RECLAIM.
 */
bool kn_group_charge(struct knuma_group *g, uint64_t bytes, gfp_t gfp);
void kn_group_uncharge(struct knuma_group *g, uint64_t bytes);

/*
 * The group of an id that something was charged with; NULL for one that no group
 * has had, which memory may say that is freed just now.
 */
struct knuma_group *kn_group_by_id(uint32_t id);

/*
 * Asks the application's shrinkers that know of groups for memory of @g; set by
 * alloc/core.  True when they freed anything.
 */
extern bool (*kn_group_shrink_hook)(struct knuma_group *g, gfp_t gfp);

void kn_groups_lock(void);
void kn_groups_unlock(void);
/* In a fork child: also forgets threads that are not there. */
void kn_groups_reset(void);

#endif

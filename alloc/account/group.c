/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/account/group.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/base/start.h"
#include "numa/span.h"

/* What a stock is filled with, and half of what it keeps. */
#define STOCK		     ((uint64_t)64 << 10)

/* One in a stripe's word. */
#define OBJECT		     ((uint64_t)1 << 32)

/* Rounds of shrinkers before an allocation over the limit fails. */
#define ROUNDS_RETRY_MAYFAIL 4

kn_tls struct knuma_group *kn_group_active;
/* Groups that this thread is inside of, and those of them from before a fork. */
static kn_tls uint32_t scopes, inherited;
bool (*kn_group_shrink_hook)(struct knuma_group *g, gfp_t gfp);

static struct kn_lock lock = KN_LOCK_INIT(group);
static struct knuma_group *groups; /* KNUMA_GROUPS_MAX, or NULL; atomic */
static uint32_t nr_used;	   /* places ever used; lock, read without */
static uint64_t last_seq;	   /* lock */

struct knuma_group *kn_group_by_id(uint32_t id)
{
	return id <= kn_load_acquire(&nr_used) ? &kn_load(&groups)[id - 1] :
						 NULL;
}

/* Charges. */

/* Adds to usage if that stays within the limit. */
static bool take_room(struct knuma_group *g, uint64_t bytes)
{
	const uint64_t limit = kn_load(&g->limit);
	uint64_t old = kn_load(&g->usage);

	do {
		if (old > limit || bytes > limit - old)
			return false;
	} while (!ck_pr_cas_64_value(&g->usage, old, old + bytes, &old));
	return true;
}

static void note_peak(struct knuma_group *g)
{
	const uint64_t usage = kn_load(&g->usage);
	uint64_t old = kn_load(&g->peak);

	while (old < usage && !ck_pr_cas_64_value(&g->peak, old, usage, &old))
		;
}

static uint64_t stock_of(uint64_t word)
{
	return (uint32_t)word;
}

/* A charge out of the stock: its bytes, and an object more. */
static bool from_stock(struct kn_group_stripe *s, uint64_t bytes)
{
	uint64_t old = kn_load(&s->word);

	do {
		if (stock_of(old) < bytes)
			return false;
	} while (
		!ck_pr_cas_64_value(&s->word, old, old - bytes + OBJECT, &old));
	return true;
}

/* Takes a stock back; how much that was. */
static uint64_t empty_stock(struct kn_group_stripe *s)
{
	uint64_t old = kn_load(&s->word);

	do {
		if (!stock_of(old))
			return 0;
	} while (!ck_pr_cas_64_value(&s->word, old, old - stock_of(old), &old));
	return stock_of(old);
}

/* Calls all stocks back.  True when there was anything. */
static bool empty_stocks(struct knuma_group *g)
{
	uint64_t sum = 0;

	for (int i = 0; i < KN_STAT_STRIPES; i++)
		sum += empty_stock(&g->stripe[i]);
	if (sum)
		ck_pr_sub_64(&g->usage, sum);
	return sum != 0;
}

/* Without the stock, for an object that is counted already. */
static bool charge_counted(struct knuma_group *g, struct kn_group_stripe *s,
			   uint64_t bytes)
{
	if (bytes < STOCK && take_room(g, bytes + STOCK)) {
		ck_pr_add_64(&s->word, STOCK);
		note_peak(g);
		return true;
	}
	/* Who fills a stock meanwhile charges, too: somebody gets on. */
	do {
		if (take_room(g, bytes)) {
			note_peak(g);
			return true;
		}
	} while (empty_stocks(g));
	return false;
}

/* Over the limit: what can go goes, as often as @gfp asks for. */
static bool shrink_and_charge(struct knuma_group *g, struct kn_group_stripe *s,
			      uint64_t bytes, gfp_t gfp)
{
	bool (*shrink)(struct knuma_group *, gfp_t) =
		kn_load(&kn_group_shrink_hook);
	int rounds = gfp & __GFP_RETRY_MAYFAIL ? ROUNDS_RETRY_MAYFAIL : 1;

	if (!shrink || !gfpflags_allow_blocking(gfp) || gfp & __GFP_NORETRY)
		return false;
	ck_pr_inc_64(&g->reclaims);
	while (rounds-- && shrink(g, gfp))
		if (charge_counted(g, s, bytes))
			return true;
	return false;
}

static kn_slow bool over_limit(struct knuma_group *g, struct kn_group_stripe *s,
			       uint64_t bytes, gfp_t gfp)
{
	if (shrink_and_charge(g, s, bytes, gfp))
		return true;
	if (gfp & __GFP_NOFAIL) {
		ck_pr_add_64(&g->usage, bytes);
		note_peak(g);
		ck_pr_inc_64(&g->forced);
		kn_stat_add(KN_STAT_limit_forced, 1);
		return true;
	}
	ck_pr_inc_64(&g->refused);
	kn_stat_add(KN_STAT_limit_refused, 1);
	if (!(gfp & __GFP_NOWARN))
		kn_warn_once("group %s: %llu bytes more are over its limit of "
			     "%llu; further ones, of all groups, are only "
			     "counted",
			     g->name, (unsigned long long)bytes,
			     (unsigned long long)kn_load(&g->limit));
	errno = ENOMEM;
	return false;
}

bool kn_group_charge(struct knuma_group *g, uint64_t bytes, gfp_t gfp)
{
	struct kn_group_stripe *s = &g->stripe[kn_thread_stripe()];

	/* Over the limit, lowered or passed, what is freed is not had again. */
	if (likely(kn_load(&g->usage) <= kn_load(&g->limit)) &&
	    likely(from_stock(s, bytes)))
		return true;
	/* First: a place is not given away while anything may be charged. */
	ck_pr_add_64(&s->word, OBJECT);
	if (charge_counted(g, s, bytes) || over_limit(g, s, bytes, gfp))
		return true;
	ck_pr_sub_64(&s->word, OBJECT);
	return false;
}

void kn_group_uncharge(struct knuma_group *g, uint64_t bytes)
{
	struct kn_group_stripe *s = &g->stripe[kn_thread_stripe()];

	if (bytes >= STOCK || stock_of(kn_load(&s->word)) + bytes > 2 * STOCK) {
		ck_pr_sub_64(&g->usage, bytes);
		bytes = 0;
	}
	/* Release; pairs with the acquire in is_idle(): A3. */
	ck_pr_fence_release();
	ck_pr_add_64(&s->word, bytes - OBJECT);
}

/* Places. */

static uint64_t objects_of(const struct knuma_group *g)
{
	uint32_t n = 0;

	for (int i = 0; i < KN_STAT_STRIPES; i++)
		n += (uint32_t)(kn_load(&g->stripe[i].word) / OBJECT);
	return n;
}

/*
 * Nothing is charged and nobody inside could charge: then objects only falls,
 * and a sum of 0 is the last word.
 */
static bool is_idle(const struct knuma_group *g)
{
	if (kn_load_acquire(&g->inside) || objects_of(g))
		return false;
	/* Acquire; pairs with the fence in kn_group_uncharge(). */
	ck_pr_fence_acquire();
	return true;
}

/* Whether a place has a group that anybody could ask about. */
static bool is_there(const struct knuma_group *g)
{
	return g->taken && (g->live || !is_idle(g));
}

/* The table, mapped when the first group is made, in no lock. */
static struct knuma_group *table(void)
{
	struct knuma_group *t = kn_load_acquire(&groups);

	if (t)
		return t;
	t = kn_meta_alloc(KNUMA_GROUPS_MAX * sizeof(*t), -1);
	if (!t)
		return NULL;
	/* Who comes second leaves its own untouched, which costs no memory. */
	return ck_pr_cas_ptr(&groups, NULL, t) ? t : kn_load_acquire(&groups);
}

static bool is_name(const char *name)
{
	const size_t len = name ? strlen(name) : 0;

	if (!len || len >= KNUMA_GROUP_NAME)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~')
			return false;
	return true;
}

static bool name_taken(const char *name)
{
	for (uint32_t i = 0; i < nr_used; i++)
		if (groups[i].live && !strcmp(groups[i].name, name))
			return true;
	return false;
}

static struct knuma_group *free_place(void)
{
	for (uint32_t i = 0; i < nr_used; i++)
		if (!is_there(&groups[i]))
			return &groups[i];
	if (nr_used == KNUMA_GROUPS_MAX)
		return NULL;
	/* Release; pairs with the acquire in kn_group_by_id(). */
	kn_store_release(&nr_used, nr_used + 1);
	return &groups[nr_used - 1];
}

static void fill(struct knuma_group *g, const char *name, uint64_t limit)
{
	memset(g, 0, sizeof(*g));
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->id = (uint32_t)(g - groups) + 1;
	g->limit = limit;
	g->seq = ++last_seq;
	g->live = g->taken = true;
}

/* Documented in <knuma/group.h>. */
struct knuma_group *knuma_group_create(const char *name, uint64_t limit)
{
	struct knuma_group *g = NULL;
	int err = 0;

	if (!is_name(name)) {
		errno = EINVAL;
		return NULL;
	}
	if (!kn_start() || !table()) {
		errno = ENOMEM;
		return NULL;
	}
	kn_lock(&lock);
	if (name_taken(name))
		err = EEXIST;
	else if (!(g = free_place()))
		err = ENOSPC;
	else
		fill(g, name, limit);
	kn_unlock(&lock);
	if (err)
		errno = err;
	return g;
}

/* Documented in <knuma/group.h>. */
void knuma_group_destroy(struct knuma_group *g)
{
	bool live;

	if (!g)
		return;
	kn_lock(&lock);
	live = g->live;
	kn_store(&g->live, false);
	kn_unlock(&lock);
	if (!live)
		kn_bug("knuma_group_destroy(%p): the group was destroyed already",
		       (void *)g);
}

/* Documented in <knuma/group.h>. */
unsigned int knuma_group_enter(struct knuma_group *g)
{
	struct knuma_group *const before = kn_group_active;

	if (g) {
		ck_pr_inc_32(&g->inside);
		scopes++;
	}
	kn_group_active = g;
	return before ? before->id : 0;
}

/* Takes off what other threads of the parent had; nobody of them leaves. */
static void forget_lost(void)
{
	for (uint32_t i = 0; i < kn_load(&nr_used); i++) {
		struct knuma_group *g = &groups[i];

		if (!g->lost)
			continue;
		ck_pr_sub_32(&g->inside, g->lost);
		g->lost = 0;
	}
}

/*
 * Which groups a thread is in besides the last one stands in the numbers that it
 * keeps for knuma_group_leave().  So how many of those inside are lost is known
 * when it has left what it was in.
 */
static kn_slow void leave_inherited(struct knuma_group *g)
{
	inherited = scopes;
	g->lost--;
	if (!inherited)
		forget_lost();
}

/* Documented in <knuma/group.h>. */
void knuma_group_leave(unsigned int before)
{
	struct knuma_group *const g = kn_group_active;

	if (unlikely(before > kn_load(&nr_used))) {
		kn_bug("knuma_group_leave(%u): knuma_group_enter() never gave "
		       "that",
		       before);
		return;
	}
	kn_group_active = before ? kn_group_by_id(before) : NULL;
	if (!g)
		return;
	/* Release; pairs with the acquire in is_idle(). */
	ck_pr_fence_release();
	ck_pr_dec_32(&g->inside);
	if (unlikely(--scopes < inherited))
		leave_inherited(g);
}

/* Documented in <knuma/group.h>. */
void knuma_group_set_limit(struct knuma_group *g, uint64_t limit)
{
	kn_store(&g->limit, limit);
}

/* Documented in <knuma/group.h>. */
void knuma_group_read(const struct knuma_group *g, struct knuma_group_stat *st)
{
	uint64_t stock = 0, usage;

	*st = (struct knuma_group_stat){
		.peak_bytes = kn_load(&g->peak),
		.limit_bytes = kn_load(&g->limit),
		.objects = objects_of(g),
		.reclaims = kn_load(&g->reclaims),
		.refused = kn_load(&g->refused),
		.forced = kn_load(&g->forced),
		.destroyed = !kn_load(&g->live),
	};
	memcpy(st->name, g->name, sizeof(st->name));
	for (int i = 0; i < KN_STAT_STRIPES; i++)
		stock += stock_of(kn_load(&g->stripe[i].word));
	usage = kn_load(&g->usage);
	st->usage_bytes = usage > stock ? usage - stock : 0;
}

/* The group made next after @seq; NULL: none. */
static const struct knuma_group *next_of(uint64_t seq)
{
	const struct knuma_group *next = NULL;

	for (uint32_t i = 0; i < nr_used; i++)
		if (groups[i].seq > seq && is_there(&groups[i]) &&
		    (!next || groups[i].seq < next->seq))
			next = &groups[i];
	return next;
}

/* Documented in <knuma/group.h>. */
size_t knuma_groups_read(struct knuma_group_stat *st, size_t n)
{
	const struct knuma_group *g;
	uint64_t seq = 0;
	size_t nr = 0;

	kn_lock(&lock);
	while ((g = next_of(seq))) {
		if (nr < n)
			knuma_group_read(g, &st[nr]);
		seq = g->seq;
		nr++;
	}
	kn_unlock(&lock);
	return nr;
}

void kn_groups_lock(void)
{
	kn_lock(&lock);
}

void kn_groups_unlock(void)
{
	kn_unlock(&lock);
}

void kn_groups_reset(void)
{
	kn_lock_reset(&lock);
	inherited = scopes;
	for (uint32_t i = 0; i < nr_used; i++)
		if (groups[i].inside)
			groups[i].lost = groups[i].inside;
	if (!inherited)
		forget_lost();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/slab/slab.h - slabs: pages cut into objects of one cache on one node
 *
 * What is free in a slab is a bitmap in the descriptor of its first page, never
 * in the objects: an overflow cannot bend it, a double free meets a bit that is
 * set already, and a free object is not touched.
 *
 *   S1  A set bit is an object that is in the slab; a clear bit is one that a
 *       magazine, a depot or the program has.  Anyone sets bits, atomically;
 *       only the holder of the slab lock clears them.
 *   S2  `state` counts the bits set, behind them: a free sets its bit, then adds
 *       one.  It may lag, never lead, except while a claim is under way.
 *   S3  The add that takes the count from 0 to 1 (the slab was full, so on no
 *       list) or to all (the slab may be given back) also sets QUEUED, if it is
 *       not set, and then pushes the slab on the node's to-file stack.
 *   S4  A slab is given back only by the lock holder, with all objects free and
 *       QUEUED clear: then no free is still under way in it.
 *   S5  A slab is on the partial list or not listed (full, or only filed).
 *       Of a SLAB_TYPESAFE_BY_RCU cache a grace period lies between.
 *   S6  The first `touched` pages of a slab are in memory.  A call that may not
 *       wait claims objects of those only.
 *   S7  nr_out counts the bits that are clear: added after a claim, taken off
 *       after a free, once a batch.  What another thread had under way in a
 *       fork stays counted in the child.
 *
 * Who may run beside whom (- free, L excluded by the slab lock):
 *             free  claim  file  give back
 *   free       -     -      -      S4
 *   claim      -     L      L      L
 *
 * Design: docs/design/slab.md.
 */
#ifndef KN_SLAB_SLAB_H
#define KN_SLAB_SLAB_H

#include "alloc/base/list.h"
#include "alloc/base/lock.h"
#include "alloc/magazine/magazine.h"
#include "alloc/page/frame.h"

#define KN_SLAB_MAX_OBJECTS 256
/* Where the last word of the bitmap is the address of what they remember. */
#define KN_SLAB_MAX_REMEMBERED 192
#define KN_SLAB_MAX_ORDER 4

/* Of own_flags: a cache that a program cannot end. */
#define KN_SLAB_BUILT_IN       ((uint32_t)1 << 31)

/* A cache's slabs on one node. */
struct kn_slab_node {
	uint32_t partial;	/* list; slab lock */
	uint32_t nr_empty;	/* slabs on it with all objects free; slab lock */
	uint64_t nr_slabs;	/* slab lock; read without */
	uint64_t nr_leaving;	/* of those, with kn_slab_defer(); slab lock */
	uint64_t nr_out;	/* objects that are in no slab; atomic */
	ck_stack_t to_file;	/* S3 */
} kn_cacheline;

struct kmem_cache {
	struct kn_magcache mag;
	uint32_t size;		/* of an object's place */
	uint32_t object_size;	/* as asked for */
	uint32_t align;
	uint32_t reciprocal;	/* of size: offset * reciprocal >> 32 = index */
	uint16_t nr_objects;	/* in a slab */
	uint8_t order;		/* of a slab's pages */
	bool live;		/* created and not destroyed */
	bool remembers;		/* slabs have a vector, F3; never a magazine */
	bool wipes;		/* what is free is zero: alloc/slab/harden.h */
	bool checks;		/* and that is looked at */
	uint8_t waits;		/* what is free waits: KN_WAITS_* of it */
	uint32_t flags;		/* SLAB_*; those of debug.h atomic */
	uint32_t own_flags;	/* the same, without those of slab_debug */
	uint16_t magazine;	/* objects that its creator wanted in one; or 0 */
	uint32_t refused;	/* not 0: too much of it waits for a grace
				   period; a bit a flavour, atomic */
	/* Of debug.h, all 0 without its layout; offsets from the object. */
	uint32_t red_left;	/* bytes of its place before the object */
	uint32_t inuse;		/* end of object and right red zone */
	uint32_t tail, tail_end; /* struct kn_tail */
	bool poison_objects;
	void (*ctor)(void *obj);
	struct kn_slab_node *node; /* by dense id */
	struct kn_list list;	/* cache list lock */
	char name[48];
};

/* Chooses order and number of objects for places of @size bytes. */
void kn_slab_geometry(struct kmem_cache *s, uint32_t size);

/* Another order, after that: room for an object, at most 256 of them. */
void kn_slab_set_order(struct kmem_cache *s, uint32_t order);

/*
 * A cache lives in the slot of its id.  Slots, with their depots and per-node
 * parts, are never given back: a late reader of an id finds a cache, live or
 * not, and the next cache of that id takes them over.  What a free looks at is on
 * one line.
 */
struct kn_cache_slot {
	struct kmem_cache cache;
} kn_cacheline;
extern struct kn_cache_slot kn_cache_slots[KN_NR_IDS - KN_ID_FIRST_CACHE];

/* Cache by id; valid for ids found in the map. */
static inline struct kmem_cache *kn_cache_by_id(uint32_t id)
{
	return &kn_cache_slots[id - KN_ID_FIRST_CACHE].cache;
}

/* The refill and flush of a slab cache's kn_magcache. */
uint32_t kn_slab_refill(struct kn_magcache *c, int node, gfp_t gfp,
			void **obj, uint32_t n);
void kn_slab_flush(struct kn_magcache *c, int node, void **obj, uint32_t n);

/* One object of a cache without magazines, past those. */
static inline void *kn_slab_alloc_one(struct kmem_cache *s, int node, gfp_t gfp)
{
	void *obj;

	kn_slow_step(gfp);
	return kn_slab_refill(&s->mag, node, gfp, &obj, 1) ? obj : NULL;
}

/* Gives empty slabs of @s back, all but @keep a node; slabs that remain. */
uint64_t kn_slab_reap(struct kmem_cache *s, uint32_t keep);

/*
 * Takes a slab of a SLAB_TYPESAFE_BY_RCU cache, unlisted and with nothing in use,
 * and calls kn_slab_give_back() after a grace period.  False when it cannot; set
 * by alloc/deferred.  Any context, in the slab lock.
 */
extern bool (*kn_slab_defer)(struct page *head);
void kn_slab_give_back(struct page *head);

/* Slabs that kn_slab_defer() has. */
uint64_t kn_slab_leaving(struct kmem_cache *s);

/*
 * Objects that are in no slab, counted: for those who ask again and again.  What
 * is under way to a slab or out of one may be missing.
 */
static inline uint64_t kn_slab_out(const struct kmem_cache *s, int node)
{
	return kn_load(&s->node[node].nr_out);
}

/*
 * The same by the slabs themselves.  Walks the partial ones under their lock.
 * Exact when no other thread uses the cache.
 */
uint64_t kn_slab_in_use(struct kmem_cache *s, int node);

/* Calls @fn for each object of @s that is in no slab; cache not in use. */
void kn_slab_each_in_use(struct kmem_cache *s,
			 void (*fn)(struct kmem_cache *s, void *obj));

/*
 * Calls @fn for each slab of @s that was there at the begin, in no lock; others
 * may use the cache.  The slab is not given back before @fn has returned.  One
 * caller at a time.
 */
void kn_slab_each_pinned(struct kmem_cache *s,
			 void (*fn)(struct kmem_cache *s, struct page *head,
				    void *arg),
			 void *arg);

/*
 * Claims the @i-th object of a pinned slab if it is free and @is says so, which is
 * asked in the slab lock; and gives such an object back.
 */
bool kn_slab_take_if(struct kmem_cache *s, struct page *head, uint32_t i,
		     bool (*is)(const struct kmem_cache *s, void *obj));
void kn_slab_put_back(struct kmem_cache *s, struct page *head, void *obj);

/* First page of the slab that holds @p, which lies in a slab of @s. */
static inline struct page *kn_slab_head(const struct kmem_cache *s, const void *p)
{
	return kn_page(kn_pfn(p) & ~((1u << s->order) - 1));
}

static inline uint32_t kn_slab_index(const struct kmem_cache *s,
				     const struct page *head, const void *p)
{
	const uint64_t offset = (uintptr_t)p - (uintptr_t)kn_page_addr(head);

	return (uint32_t)(offset * s->reciprocal >> 32);
}

/* The @i-th object of the slab at @head. */
static inline void *kn_slab_object(const struct kmem_cache *s,
				   const struct page *head, uint32_t i)
{
	return (char *)kn_page_addr(head) + (size_t)i * s->size + s->red_left;
}

/* True when @p is the start of an object of the slab at @head. */
static inline bool kn_slab_is_object(const struct kmem_cache *s,
				     const struct page *head, const void *p)
{
	const uint32_t i = kn_slab_index(s, head, p);

	return i < s->nr_objects && kn_slab_object(s, head, i) == p;
}

/* The same of any @p in a slab of @s: slabs are aligned to their size. */
static inline bool kn_slab_is_start(const struct kmem_cache *s, const void *p)
{
	const uint64_t offset = ((uintptr_t)p - kn_span.base) &
				((KN_PAGE_SIZE << s->order) - 1);
	const uint32_t i = (uint32_t)(offset * s->reciprocal >> 32);

	return i < s->nr_objects && (uint64_t)i * s->size + s->red_left == offset;
}

/* Checks S1, S2, S5 of a quiet cache; for tests. */
bool kn_slab_verify(struct kmem_cache *s);

void kn_slabs_lock_all(void);
void kn_slabs_unlock_all(void);
void kn_slabs_reset(void);

#endif

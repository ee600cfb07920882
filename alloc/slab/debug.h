/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/slab/debug.h - caches that look for mistakes of their users
 *
 *   | red zone | object ... | behind the request | red zone | tail | padding |
 *   ^ place    ^ what the caller has                                    size ^
 *
 * A debugged cache has no magazines and no depot: its gates stay closed, so
 * that each allocation and each free reaches the slab, and the fast paths test
 * no flag.  What is in a place beside the object follows from SLAB_RED_ZONE,
 * SLAB_POISON and SLAB_STORE_USER, which a cache has from its creation; the other
 * flags come and go while it is used.
 *
 *   B1  Between its claim and its free an object's bit is clear, and its place is
 *       its owner's; with the bit set it is nobody's, and claims take the lock.
 *   B2  Of a place, `state` says what its bytes are: INACTIVE, those of a free
 *       object; ACTIVE, of one in use; MOVING, they change.  It is INACTIVE when
 *       the bit is set.  Every change gives it another number.
 *   B3  Who takes `state` from ACTIVE to MOVING frees the object; of two frees at
 *       once the other one is reported.
 *
 * Who may run beside whom (- free, S reads `state` before and after):
 *              alloc  free  validate
 *   alloc        -     B1      S
 *   free        B1     B3      S
 *   validate     S     S       -
 *
 * A report prints, and so calls the system; that is what it is for.  No lock is
 * held then.
 *
 * Design: docs/design/slab-debug.md.
 */
#ifndef KN_SLAB_DEBUG_H
#define KN_SLAB_DEBUG_H

#include <knuma/slab.h>

#include "alloc/base/recall.h"
#include "alloc/slab/slab.h"

/* What a cache has from its creation, and what it can be given later. */
#define KN_DEBUG_LAYOUT	 (SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)
#define KN_DEBUG_RUNTIME (SLAB_CONSISTENCY_CHECKS | SLAB_TRACE | SLAB_FAILSLAB)
#define KN_DEBUG_FLAGS	 (KN_DEBUG_LAYOUT | KN_DEBUG_RUNTIME)

static inline bool kn_debug_on(const struct kmem_cache *s)
{
	return unlikely(kn_load(&s->flags) & KN_DEBUG_FLAGS);
}

/* Whether places have more in them than objects. */
static inline bool kn_debug_layout(const struct kmem_cache *s)
{
	return unlikely(s->tail);
}

/* Who allocated or freed an object last, and when. */
struct kn_track {
	uint64_t when_ms; /* 0: never */
	int32_t thread;
	int32_t cpu;
	struct kn_stack stack;
};

/* Behind an object; the tracks only with SLAB_STORE_USER. */
struct kn_tail {
	uint32_t state;	    /* B2, atomic */
	uint32_t requested; /* bytes; the owner */
	struct kn_track allocated, freed;
};

static inline struct kn_tail *kn_debug_tail(const struct kmem_cache *s,
					    const void *obj)
{
	return (struct kn_tail *)((char *)obj + s->tail);
}

/* The slab that holds @obj, and the state of its bit. */
static inline bool kn_debug_is_free(const struct kmem_cache *s,
				    const struct page *head, const void *obj)
{
	const uint32_t i = kn_slab_index(s, head, obj);

	return kn_load_acquire(&head->free_map[i / 64]) >> i % 64 & 1;
}

/*
 * Which debugging flags the cache @name with @flags and objects of @size has;
 * @spec is the value of slab_debug.
 */
uint32_t kn_debug_flags(const char *spec, const char *name, uint32_t flags,
			uint32_t size, uint32_t align);

/* Sets the layout of a new cache by its flags; bytes of a place. */
uint32_t kn_debug_lay_out(struct kmem_cache *s);

/* A new slab's bytes, before constructors run. */
void kn_debug_new_slab(const struct kmem_cache *s, struct page *head);

/* @obj was claimed for a request of @size bytes: checked, then made active. */
void kn_debug_alloc(struct kmem_cache *s, void *obj, size_t size);

/* @obj comes back.  Whether its bit may be set. */
bool kn_debug_free(struct kmem_cache *s, struct page *head, void *obj);

/* Whether an allocation is to fail. */
bool kn_debug_fails(const struct kmem_cache *s, gfp_t gfp);

/* Bytes of @obj that its owner asked for: the object, or less. */
uint32_t kn_debug_requested(const struct kmem_cache *s, const void *obj);

/*
 * The owner of @obj says that it uses @size bytes of it from here on; the rest
 * becomes red zone.
 */
void kn_debug_resize(const struct kmem_cache *s, void *obj, size_t size);

/*
 * Looks at all places of @s; what was wrong is reported and repaired.  How much it
 * was.  Context: may wait; no lock held; others may use the cache.
 */
uint64_t kn_debug_validate(struct kmem_cache *s);

/* In a fork child: whoever validated does not exist. */
void kn_debug_reset(void);

/* A slab with nothing in use in which somebody wrote.  The slab lock is held. */
bool kn_debug_is_evidence(const struct kmem_cache *s, const struct page *head);

/* Reports, debug_report.c */

/*
 * Begins a report: false when it is not to be printed, since a test counts it
 * or catches it.  @s NULL is no cache.
 */
bool kn_report_begin(const struct kmem_cache *s, const char *fmt, ...)
	kn_printf(2, 3);

/* Who had @obj, the slab, the bytes around it. */
void kn_report_object(const struct kmem_cache *s, const void *obj);

/* "Allocated in ...", "Freed in ...", with stacks. */
void kn_report_tracks(const struct kmem_cache *s, const void *obj);

/* Says what was done about it. */
void kn_report_fix(const struct kmem_cache *s, const char *fmt, ...)
	kn_printf(2, 3);

/* The last word of a report that kn_report_begin() let print. */
void kn_report_end(bool printed);

/* Whether a test has taken one event into its count. */
bool kn_report_counted(void);

/* A line of the trace. */
void kn_report_trace(const struct kmem_cache *s, const void *obj, bool alloc);

#endif

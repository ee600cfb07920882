/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/slab.h - caches of objects of one type; includes the kmalloc family
 *
 *   struct kmem_cache *s = KMEM_CACHE(conn, SLAB_HWCACHE_ALIGN);
 *   struct conn *c = kmem_cache_alloc_node(s, GFP_KERNEL, node);
 *   ...
 *   kmem_cache_free(s, c);
 *   kmem_cache_destroy(s);
 *
 * In front of each cache stand per-CPU arrays, so the usual allocation and free
 * are a few instructions without a lock.  A free object holds no data of the
 * allocator: what a constructor or a reader left in it stays.
 */
#ifndef KNUMA_SLAB_H
#define KNUMA_SLAB_H

#include <knuma/gfp.h>
#include <knuma/kmalloc.h>
#include <knuma/kmalloc_obj.h>
#include <knuma/kvmalloc.h>
#include <knuma/kstring.h>
#include <knuma/types.h>

/* Values are knuma's own and may change; use the names. */
typedef unsigned int slab_flags_t;

/*
 * Debugging: what slab_debug does for many caches, for one.  The letters are
 * those of slab_debug.
 */
#define SLAB_CONSISTENCY_CHECKS ((slab_flags_t)1 << 0) /* F: each call */
#define SLAB_RED_ZONE		((slab_flags_t)1 << 1) /* Z: guard bytes */
#define SLAB_POISON		((slab_flags_t)1 << 2) /* P: free patterns */
#define SLAB_STORE_USER		((slab_flags_t)1 << 3) /* U: callers */
#define SLAB_TRACE		((slab_flags_t)1 << 4) /* T: a line a call */
#define SLAB_FAILSLAB		((slab_flags_t)1 << 5) /* A: may be failed */

/* Objects start at a cache line, small ones at a part of one. */
#define SLAB_HWCACHE_ALIGN	((slab_flags_t)1 << 6)
/* Creation aborts the process instead of failing. */
#define SLAB_PANIC		((slab_flags_t)1 << 7)
/*
 * An object may be reused at once, but its memory stays an object of this cache
 * until a grace period has passed: readers check identity after they found it.
 * Such a cache gives no memory back before it is destroyed.
 */
#define SLAB_TYPESAFE_BY_RCU	((slab_flags_t)1 << 8)
/* No effect: caches never share slabs. */
#define SLAB_NO_MERGE		((slab_flags_t)1 << 9)
/* slab_debug does not change this cache. */
#define SLAB_NO_USER_FLAGS	((slab_flags_t)1 << 10)
/* Counted as reclaimable. */
#define SLAB_RECLAIM_ACCOUNT	((slab_flags_t)1 << 11)
#define SLAB_TEMPORARY		SLAB_RECLAIM_ACCOUNT
/* Objects are charged to groups, see group.h, and pass the CPUs' arrays by. */
#define SLAB_ACCOUNT		((slab_flags_t)1 << 15)
/* With SLAB_STORE_USER: a red zone behind the size of __kmalloc_cache_noprof(). */
#define SLAB_KMALLOC		((slab_flags_t)1 << 12)
/* Accepted without effect. */
#define SLAB_CACHE_DMA		((slab_flags_t)1 << 13)
#define SLAB_CACHE_DMA32	((slab_flags_t)1 << 14)
#define SLAB_NOLEAKTRACE	((slab_flags_t)1 << 16) /* no U of slab_debug */
#define SLAB_SKIP_KFENCE	((slab_flags_t)1 << 17)
#define SLAB_KASAN		((slab_flags_t)1 << 18)
#define SLAB_DEBUG_OBJECTS	((slab_flags_t)1 << 19)

/**
 * struct kmem_cache_args - rare wishes for a cache; zeroes mean none
 * @align: alignment in bytes, a power of two; 0 for 8
 * @useroffset: accepted without effect
 * @usersize: accepted without effect
 * @freeptr_offset: accepted without effect: free objects hold no pointer
 * @use_freeptr_offset: accepted without effect
 * @ctor: called once for each object when its slab is made, before any
 *        allocation; whoever frees an object leaves it in that state.  Must not
 *        allocate from the same cache, throw or jump out
 * @sheaf_capacity: objects that each CPU keeps at hand; 0 for a default that
 *        follows from the size
 */
struct kmem_cache_args {
	unsigned int align;
	unsigned int useroffset;
	unsigned int usersize;
	unsigned int freeptr_offset;
	bool use_freeptr_offset;
	void (*ctor)(void *obj);
	unsigned int sheaf_capacity;
};

struct list_lru;
struct slab_sheaf;

KN_BEGIN_DECLS

/**
 * kmem_cache_create - make a cache of objects of one size
 * @name: for statistics and reports; copied
 * @size: bytes of an object, in [1, KMALLOC_MAX_SIZE]
 * @args: struct kmem_cache_args, or NULL for the defaults
 * @flags: SLAB_*
 *
 * There is also the older form, with an alignment and a constructor:
 *
 *   kmem_cache_create(name, size, align, flags, ctor)
 *
 * The type of the third argument chooses; in C++ the number of arguments does.
 *
 * Alignment: of the objects: 8 bytes, or what @args, @align or
 *            SLAB_HWCACHE_ALIGN ask for.
 * Context:   Any thread, no signal handler.  May wait.
 * Return:    the cache; NULL on failure, and errno tells why.
 * Errors:    ENOMEM when there is no memory for it, or about 1,800 caches exist.
 *            EINVAL when @name is NULL, @size is out of range or the alignment
 *            is no power of two.  With SLAB_PANIC a failure aborts the process.
 * Source:    Linux include/linux/slab.h, kmem_cache_create() of 6.12.
 */
struct kmem_cache *__kmem_cache_create_args(const char *name, unsigned int size,
					    struct kmem_cache_args *args,
					    slab_flags_t flags)
	KN_SYM(__kmem_cache_create_args) KN_MUST_CHECK;
struct kmem_cache *__kmem_cache_create_5(const char *name, unsigned int size,
					 unsigned int align, slab_flags_t flags,
					 void (*ctor)(void *obj))
	KN_SYM(__kmem_cache_create_5) KN_MUST_CHECK;

/**
 * kmem_cache_destroy - end a cache
 * @s: cache, or NULL
 *
 * The caller has freed every object, at least with kfree_rcu(): what is
 * deferred for this cache is waited for.  Objects that are still in use are
 * reported, and they and their slabs are leaked: they stay usable memory.
 *
 * Context: Any thread, no signal handler.  Waits for RCU grace periods, so
 *          never inside a read section; a QSBR reader is offline meanwhile.
 * Source:  Linux mm/slab_common.c, kmem_cache_destroy().
 */
void kmem_cache_destroy(struct kmem_cache *s) KN_SYM(kmem_cache_destroy);

/**
 * kmem_cache_shrink - give a cache's unused memory back
 * @s: cache
 *
 * Empties the arrays of all CPUs and frees the slabs without objects in use.
 *
 * Context: Any thread, no signal handler.  May wait, not for a grace period.
 * Return:  0 when no slab is left, 1 otherwise.
 * Source:  Linux mm/slab_common.c, kmem_cache_shrink().
 */
int kmem_cache_shrink(struct kmem_cache *s) KN_SYM(kmem_cache_shrink);

/**
 * validate_slab_cache - look for what was written where nobody may
 * @s: cache, with or without debugging
 *
 * Looks at the red zones, the poison and the padding of every object, as far as
 * the cache has them, and at the counts of its slabs.  What is found is reported
 * and repaired, as by an allocation or a free that meets it.
 *
 * Context: Any thread, no signal handler.  May wait.  Others may use the cache.
 * Return:  how many mistakes were found.
 * Source:  Linux mm/slub.c, validate_slab_cache().  Differs: the kernel returns
 *          the number of slabs.
 */
long validate_slab_cache(struct kmem_cache *s) KN_SYM(validate_slab_cache);

/**
 * slab_add_kunit_errors - a program's own count of reports
 *
 * A program that defines this function has it called once for each report and
 * once for each repair, also for the objects that kmem_cache_destroy() finds in
 * use.
 *
 * Context: that of the call that met the mistake.
 * Return:  true when the report is taken, and not to be printed.
 * Notes:   libknuma has none.
 * Source:  Linux mm/slub.c, slab_add_kunit_errors().
 */
bool slab_add_kunit_errors(void) KN_SYM(slab_add_kunit_errors);

/**
 * kmem_cache_size - bytes of an object, as given at creation
 * @s: cache
 *
 * Context: any thread, any signal handler.
 */
unsigned int kmem_cache_size(struct kmem_cache *s) KN_SYM(kmem_cache_size);

/**
 * kmem_cache_free - free an object of a known cache
 * @s: cache it is from
 * @p: object, or NULL
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call,
 *          leaves errno alone.
 * Errors:  as kfree().  An object of another cache is freed to that one, and
 *          reported.
 * Source:  Linux mm/slub.c, kmem_cache_free().
 */
void kmem_cache_free(struct kmem_cache *s, void *p) KN_SYM(kmem_cache_free);

/**
 * kmem_cache_free_bulk - free many objects
 * @s: cache they are from; NULL for objects of any caches
 * @n: number of objects
 * @p: n pointers to objects; their order may change
 *
 * Context: as kmem_cache_free().
 * Errors:  as kmem_cache_free().
 */
void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p)
	KN_SYM(kmem_cache_free_bulk);

/**
 * kmem_cache_alloc_node - allocate an object on one NUMA node
 * @s: cache
 * @gfp: how hard to try, see gfp.h
 * @node: node id, or NUMA_NO_NODE for the nearest one with memory
 *
 * Placement is that of kmalloc_node().  An object of a cache with a constructor
 * is in the constructed state; __GFP_ZERO warns once there, and has no effect.
 *
 * Alignment: as the cache was created; nothing more for powers of two.
 * Context:   Any thread.  Waits only if @gfp has __GFP_DIRECT_RECLAIM.  In a
 *            signal handler only with GFP_NOWAIT or GFP_ATOMIC.
 * Return:    the object; NULL on failure, and errno tells why.
 * Errors:    ENOMEM when the allowed nodes are exhausted, or @gfp has
 *            __GFP_THISNODE and @node cannot serve.  EINVAL when @node is no
 *            possible id (warns once).
 * Source:    Linux mm/slub.c, kmem_cache_alloc_node().
 */
void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp, int node)
	KN_SYM(kmem_cache_alloc_node) KN_FREED_BY(kmem_cache_free, 2)
		KN_FREED_BY(kfree, 1) KN_FREED_BY(kvfree, 1);

/**
 * kmem_cache_alloc - allocate an object near the running CPU
 * @s: cache
 * @gfp: how hard to try, see gfp.h
 *
 * kmem_cache_alloc_node() with NUMA_NO_NODE, and its fastest form.
 */
void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp) KN_SYM(kmem_cache_alloc)
	KN_FREED_BY(kmem_cache_free, 2) KN_FREED_BY(kfree, 1)
		KN_FREED_BY(kvfree, 1);

/**
 * __kmalloc_cache_noprof - an object of a cache for a request that is smaller
 * @s: cache
 * @gfp: how hard to try, see gfp.h
 * @size: bytes wanted, in [1, size of the objects]
 *
 * A cache with SLAB_KMALLOC, SLAB_RED_ZONE and SLAB_STORE_USER guards what is
 * behind @size.
 *
 * Context: as kmem_cache_alloc_node().
 * Return:  as kmem_cache_alloc_node().
 * Errors:  as kmem_cache_alloc_node().
 * Notes:   For tests.
 * Source:  Linux mm/slub.c, __kmalloc_cache_noprof().
 */
void *__kmalloc_cache_noprof(struct kmem_cache *s, gfp_t gfp, size_t size)
	KN_SYM(__kmalloc_cache_noprof) KN_FREED_BY(kmem_cache_free, 2)
		KN_FREED_BY(kfree, 1) KN_FREED_BY(kvfree, 1);

/**
 * kmem_cache_alloc_bulk - allocate many objects, or none
 * @s: cache
 * @gfp: how hard to try, see gfp.h
 * @n: number of objects, at most INT_MAX
 * @p: room for n pointers, filled [0, return value)
 *
 * Context: as kmem_cache_alloc_node().
 * Return:  @n, or 0 on failure, and then errno tells why.
 * Errors:  as kmem_cache_alloc_node().
 * Source:  Linux mm/slub.c, kmem_cache_alloc_bulk().
 */
int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p)
	KN_SYM(kmem_cache_alloc_bulk) KN_MUST_CHECK;

/**
 * kmem_dump_obj - print which object an address belongs to
 * @object: any address
 *
 * One line on standard error: cache, start of the object, how far into it, its
 * size, and whether it is in use or who holds it; of a cache with SLAB_STORE_USER
 * also who allocated and freed it.  The answer is of the moment.
 *
 * Context: Any thread, no signal handler.  What lies there is not touched.
 * Return:  true when it is of a cache or of a small kmalloc(); false without a
 *          line for all else, of which mem_dump_obj() tells.
 * Source:  Linux mm/slab_common.c, kmem_dump_obj().  Differs: tells what is in
 *          use from what is free.
 */
bool kmem_dump_obj(void *object) KN_SYM(kmem_dump_obj);

/**
 * mem_dump_obj - print what an address belongs to
 * @object: any address
 *
 * As kmem_dump_obj(), and for all else a line: a vmalloc area, a block of pages,
 * free memory of the heap, or no memory of the heap at all.
 *
 * Context: as kmem_dump_obj().
 * Source:  Linux mm/util.c, mem_dump_obj().
 */
void mem_dump_obj(void *object) KN_SYM(mem_dump_obj);

/**
 * slab_is_available - whether the allocator has started
 *
 * The first allocation starts it.
 *
 * Context: any thread, any signal handler.
 */
bool slab_is_available(void) KN_SYM(slab_is_available);

/**
 * kmem_cache_return_sheaf - give a sheaf and the objects left in it back
 * @s: cache it is of
 * @gfp: not used
 * @sheaf: from kmem_cache_prefill_sheaf(), or NULL
 *
 * Context: as kmem_cache_free().
 */
void kmem_cache_return_sheaf(struct kmem_cache *s, gfp_t gfp,
			     struct slab_sheaf *sheaf)
	KN_SYM(kmem_cache_return_sheaf);

/**
 * kmem_cache_prefill_sheaf - take objects now, for a section that must not fail
 * @s: cache
 * @gfp: how hard to try, see gfp.h
 * @size: objects, at least 1
 *
 * A sheaf belongs to its caller: no other thread takes from it, and what it
 * holds counts as in use.
 *
 * Context: as kmem_cache_alloc_bulk().
 * Return:  a sheaf with @size objects near the running CPU, to be ended with
 *          kmem_cache_return_sheaf(); NULL on failure, and errno tells why.
 * Errors:  as kmem_cache_alloc_bulk(); EINVAL when @size is 0 or above INT_MAX.
 * Source:  Linux mm/slub.c, kmem_cache_prefill_sheaf() of 6.18.
 */
struct slab_sheaf *kmem_cache_prefill_sheaf(struct kmem_cache *s, gfp_t gfp,
					    unsigned int size)
	KN_SYM(kmem_cache_prefill_sheaf) KN_MUST_CHECK;

/**
 * kmem_cache_refill_sheaf - fill a sheaf up
 * @s: cache it is of
 * @gfp: how hard to try, see gfp.h
 * @sheaf: points to the sheaf; where it has no room for @size objects another
 *         one, with the same objects, takes its place
 * @size: objects that it shall have; one that has as many is left alone
 *
 * Context: as kmem_cache_alloc_bulk().
 * Return:  0.
 * Errors:  -ENOMEM, and -EINVAL when @size is above INT_MAX; the sheaf is as
 *          before then.
 * Source:  Linux mm/slub.c, kmem_cache_refill_sheaf() of 6.18.
 */
int kmem_cache_refill_sheaf(struct kmem_cache *s, gfp_t gfp,
			    struct slab_sheaf **sheaf, unsigned int size)
	KN_SYM(kmem_cache_refill_sheaf) KN_MUST_CHECK;

/**
 * kmem_cache_alloc_from_sheaf - take an object out of a sheaf
 * @s: cache it is of
 * @gfp: __GFP_ZERO counts; nothing else does
 * @sheaf: from kmem_cache_prefill_sheaf()
 *
 * Never fails while the sheaf holds objects.
 *
 * Context: any thread, any signal handler, one at a time.  Never waits, makes no
 *          system call.
 * Return:  the object, to be freed as any of @s; NULL when the sheaf is empty.
 * Errors:  ENOMEM when it is empty.
 * Source:  Linux mm/slub.c, kmem_cache_alloc_from_sheaf() of 6.18.
 */
void *kmem_cache_alloc_from_sheaf(struct kmem_cache *s, gfp_t gfp,
				  struct slab_sheaf *sheaf)
	KN_SYM(kmem_cache_alloc_from_sheaf) KN_FREED_BY(kmem_cache_free, 2)
		KN_FREED_BY(kfree, 1) KN_FREED_BY(kvfree, 1);

/**
 * kmem_cache_sheaf_size - objects that a sheaf holds
 * @sheaf: from kmem_cache_prefill_sheaf()
 *
 * Context: as kmem_cache_alloc_from_sheaf().
 */
unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf)
	KN_SYM(kmem_cache_sheaf_size);

KN_END_DECLS

#ifdef __cplusplus
inline struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
					    struct kmem_cache_args *args,
					    slab_flags_t flags) noexcept
{
	return __kmem_cache_create_args(name, size, args, flags);
}

inline struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
					    unsigned int align,
					    slab_flags_t flags,
					    void (*ctor)(void *)) noexcept
{
	return __kmem_cache_create_5(name, size, align, flags, ctor);
}
#else
#define kmem_cache_create(name, size, args, ...) \
	_Generic((args),						\
		 struct kmem_cache_args *: __kmem_cache_create_args,	\
		 void *: __kmem_cache_create_args,			\
		 default: __kmem_cache_create_5)			\
		((name), (size), (args), __VA_ARGS__)
#endif

/* A cache for struct @s: its name, its size, its alignment. */
#define KMEM_CACHE(s, flags)                                                \
	__kmem_cache_create_5(#s, (unsigned int)sizeof(struct s),           \
			      (unsigned int)__alignof__(struct s), (flags), \
			      NULL)

/**
 * KMEM_CACHE_USERCOPY - KMEM_CACHE() of a struct with a part for the user
 * @s: name of the struct
 * @flags: SLAB_*
 * @field: its member that may be copied to the user; accepted without effect
 */
#define KMEM_CACHE_USERCOPY(s, flags, field)                            \
	kmem_cache_create_usercopy(#s, (unsigned int)sizeof(struct s),  \
				   (unsigned int)__alignof__(struct s), \
				   (flags), offsetof(struct s, field),  \
				   sizeof(((struct s *)NULL)->field), NULL)

/**
 * kmem_cache_create_usercopy - kmem_cache_create() of a cache for the user
 * @name: as for kmem_cache_create()
 * @size: as for kmem_cache_create()
 * @align: as for kmem_cache_create(), its form with five arguments
 * @flags: SLAB_*
 * @useroffset: accepted without effect
 * @usersize: accepted without effect
 * @ctor: as for kmem_cache_create()
 */
static inline KN_MUST_CHECK struct kmem_cache *
kmem_cache_create_usercopy(const char *name, unsigned int size,
			   unsigned int align, slab_flags_t flags,
			   size_t useroffset, size_t usersize,
			   void (*ctor)(void *obj))
{
	(void)useroffset;
	(void)usersize;
	return __kmem_cache_create_5(name, size, align, flags, ctor);
}

/**
 * kmem_cache_alloc_lru - kmem_cache_alloc() of an object for a list
 * @s: cache
 * @lru: accepted without effect
 * @gfp: how hard to try, see gfp.h
 */
static inline void *kmem_cache_alloc_lru(struct kmem_cache *s,
					 struct list_lru *lru, gfp_t gfp)
{
	(void)lru;
	return kmem_cache_alloc(s, gfp);
}

/**
 * kmem_cache_charge - true: objects are charged when they are allocated
 * @objp: an object
 * @gfp: accepted without effect
 *
 * One that nobody was charged for stays so; SLAB_ACCOUNT and __GFP_ACCOUNT have
 * it charged, see group.h.
 *
 * Source: Linux mm/slub.c, kmem_cache_charge().  Differs: charges nobody.
 */
static inline bool kmem_cache_charge(void *objp, gfp_t gfp)
{
	(void)objp;
	(void)gfp;
	return true;
}

/**
 * kmem_cache_zalloc - kmem_cache_alloc() of zeroes
 * @s: cache without a constructor
 * @gfp: how hard to try, see gfp.h
 */
static inline void *kmem_cache_zalloc(struct kmem_cache *s, gfp_t gfp)
{
	return kmem_cache_alloc(s, gfp | __GFP_ZERO);
}

#endif /* KNUMA_SLAB_H */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/mempool.h - elements that can always be had, sooner or later
 *
 *   mempool_t *pool = mempool_create_kmalloc_pool(16, sizeof(struct request));
 *   struct request *r = mempool_alloc(pool, GFP_KERNEL);
 *   ...
 *   mempool_free(r, pool);
 *   mempool_destroy(pool);
 *
 * A pool has a reserve of min_nr elements.  Who may wait always gets one: from the
 * allocator behind the pool, from the reserve, or when another one is freed.  So
 * work that needs one element at a time goes on whatever else has the memory.
 */
#ifndef KNUMA_MEMPOOL_H
#define KNUMA_MEMPOOL_H

#include <knuma/gfp.h>
#include <knuma/slab.h>
#include <knuma/types.h>

/* The allocator behind a pool; @pool_data is as given at creation. */
typedef void *(mempool_alloc_t)(gfp_t gfp, void *pool_data);
typedef void(mempool_free_t)(void *element, void *pool_data);

/**
 * struct mempool - a pool; all zeroes is none
 * @min_nr: elements that the reserve should have
 * @curr_nr: elements that it has
 * @pool_data: for @alloc and @free
 * @alloc: takes an element from the allocator
 * @free: gives one back
 * @reserve: knuma's own
 * @returned: knuma's own
 * @waiters: knuma's own
 *
 * mempool_t is the same.
 */
struct mempool {
	uint32_t min_nr;
	uint32_t curr_nr;
	void *pool_data;
	mempool_alloc_t *alloc;
	mempool_free_t *free;
	struct kn_mempool_reserve *reserve;
	uint32_t returned;
	uint32_t waiters;
};
typedef struct mempool mempool_t;

KN_BEGIN_DECLS

/**
 * mempool_exit - end a pool that mempool_init() made
 * @pool: a pool, or all zeroes; all zeroes afterwards
 *
 * The elements of the reserve are freed; those that are in use stay what the
 * allocator made of them.
 *
 * Context: Any thread, no signal handler, and no other use of @pool.
 * Source:  Linux mm/mempool.c, mempool_exit().
 */
void mempool_exit(mempool_t *pool) KN_SYM(mempool_exit);

/**
 * mempool_destroy - end a pool that mempool_create() made
 * @pool: a pool, or NULL
 *
 * Context: as mempool_exit().
 */
void mempool_destroy(mempool_t *pool) KN_SYM(mempool_destroy);

/**
 * mempool_init_node - make a pool in memory of the caller's
 * @pool: what becomes the pool
 * @min_nr: elements of the reserve, at least 1
 * @alloc_fn: takes an element from the allocator; NULL when there is none
 * @free_fn: gives one back
 * @pool_data: for both
 * @gfp: for the reserve, and for its elements
 * @node: node of the table of the reserve, as for kmalloc_node()
 *
 * Context: Any thread, no signal handler.  Waits as @alloc_fn does with @gfp.
 * Return:  0, and the reserve is full.
 * Errors:  -ENOMEM when there is no memory for it; -EINVAL when @min_nr is below
 *          1 or above INT_MAX / 2, @gfp has bits that mean nothing, or @node is
 *          no possible id.  @pool is all zeroes then.
 * Notes:   The elements are what @alloc_fn makes, wherever that is.
 * Source:  Linux mm/mempool.c, mempool_init_node().
 */
int mempool_init_node(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
		      mempool_free_t *free_fn, void *pool_data, gfp_t gfp,
		      int node) KN_SYM(mempool_init_node) KN_MUST_CHECK;

/**
 * mempool_init - mempool_init_node() with GFP_KERNEL, near the running CPU
 * @pool: as for mempool_init_node()
 * @min_nr: as for mempool_init_node()
 * @alloc_fn: as for mempool_init_node()
 * @free_fn: as for mempool_init_node()
 * @pool_data: as for mempool_init_node()
 */
int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
		 mempool_free_t *free_fn, void *pool_data)
	KN_SYM(mempool_init) KN_MUST_CHECK;

/**
 * mempool_create_node - make a pool
 * @min_nr: as for mempool_init_node()
 * @alloc_fn: as for mempool_init_node()
 * @free_fn: as for mempool_init_node()
 * @pool_data: as for mempool_init_node()
 * @gfp: as for mempool_init_node()
 * @nid: node of the pool, as for kmalloc_node()
 *
 * Context: as mempool_init_node().
 * Return:  the pool; NULL on failure, and errno tells why.
 * Errors:  ENOMEM and EINVAL as mempool_init_node().
 */
mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn,
			       mempool_free_t *free_fn, void *pool_data,
			       gfp_t gfp, int nid)
	KN_SYM(mempool_create_node) KN_MUST_CHECK
	KN_FREED_BY(mempool_destroy, 1);

/**
 * mempool_create - mempool_create_node() with GFP_KERNEL, near the running CPU
 * @min_nr: as for mempool_init_node()
 * @alloc_fn: as for mempool_init_node()
 * @free_fn: as for mempool_init_node()
 * @pool_data: as for mempool_init_node()
 */
mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn,
			  mempool_free_t *free_fn, void *pool_data)
	KN_SYM(mempool_create) KN_MUST_CHECK KN_FREED_BY(mempool_destroy, 1);

/**
 * mempool_resize - change how many elements the reserve should have
 * @pool: a pool
 * @new_min_nr: their number, at least 1
 *
 * More are allocated at once as far as there is memory; what is missing then is
 * kept of later frees.  Fewer are freed.
 *
 * Context: Any thread, no signal handler.  May wait.  Beside all other calls for
 *          @pool, but not beside its end; of two at a time either may be the
 *          last.
 * Return:  0, also when some elements are missing.
 * Errors:  -ENOMEM when there is no memory for the table of the reserve, and
 *          -EINVAL as mempool_init_node(); nothing is changed then.
 * Source:  Linux mm/mempool.c, mempool_resize().
 */
int mempool_resize(mempool_t *pool, int new_min_nr)
	KN_SYM(mempool_resize) KN_MUST_CHECK;

/**
 * mempool_alloc - take an element
 * @pool: a pool
 * @gfp: how hard to try, see gfp.h; __GFP_ZERO warns once, and has no effect
 *
 *   1. from the allocator, without waiting
 *   2. from the allocator, one light try, if the call may wait
 *   3. from the reserve
 *   4. waits until an element is freed, at most 100 ms, and begins again, if
 *      the call may wait
 *
 * The allocator is called with __GFP_NOMEMALLOC, __GFP_NORETRY and __GFP_NOWARN.
 *
 * Context: Any thread.  Waits only if @gfp has __GFP_DIRECT_RECLAIM; without it
 *          any signal handler, too, where the allocator allows that.
 * Return:  the element; never NULL if the call may wait.
 * Errors:  ENOMEM when the reserve is empty and the call may not wait.
 * Source:  Linux mm/mempool.c, mempool_alloc().  Differs: step 2, which there
 *          comes after the reserve.  What there is free memory, here may have to
 *          be asked of the system, and that should not empty the reserve.
 */
void *mempool_alloc(mempool_t *pool, gfp_t gfp)
	KN_SYM(mempool_alloc) KN_MUST_CHECK;

/**
 * mempool_alloc_preallocated - take an element out of the reserve
 * @pool: a pool
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call.
 * Return:  the element; NULL when the reserve is empty.
 * Errors:  ENOMEM when it is empty.
 * Source:  Linux mm/mempool.c, mempool_alloc_preallocated().
 */
void *mempool_alloc_preallocated(mempool_t *pool)
	KN_SYM(mempool_alloc_preallocated) KN_MUST_CHECK;

/**
 * mempool_free - give an element back
 * @element: an element of this pool, or NULL
 * @pool: the pool
 *
 * Fills the reserve up first and wakes who waits for that; else the element goes
 * to the allocator.
 *
 * Context: Any thread, any signal handler where the allocator's free may be
 *          called there.  Never waits; makes a system call only to wake another
 *          thread; leaves errno alone.
 * Source:  Linux mm/mempool.c, mempool_free().
 */
void mempool_free(void *element, mempool_t *pool) KN_SYM(mempool_free);

/**
 * mempool_alloc_bulk - take several elements at once
 * @pool: a pool
 * @elem: room for count pointers, all filled on success
 * @count: their number, at most the pool's min_nr
 *
 * From the allocator while that gives some, with GFP_KERNEL as mempool_alloc();
 * the rest out of the reserve, all of it or none, so that who waits holds no
 * element of the reserve that others wait for.
 *
 * Context: Any thread, no signal handler.  May wait.
 * Return:  0.
 * Errors:  -EINVAL when @count is above min_nr (warns once), and no element is
 *          taken.
 * Source:  Linux mm/mempool.c, mempool_alloc_bulk() of 7.0; that of 6.19 has a
 *          fourth argument, elements that are there already: pass what is behind
 *          them.  Differs: a @count that may never be had is refused.
 */
int mempool_alloc_bulk(mempool_t *pool, void **elem, unsigned int count)
	KN_SYM(mempool_alloc_bulk) KN_MUST_CHECK;

/**
 * mempool_free_bulk - give elements back to the reserve, as many as it lacks
 * @pool: a pool
 * @elem: count elements of it; the ones that the reserve took are NULL then
 * @count: their number
 *
 * Context: as mempool_free().
 * Return:  how many the reserve took, from the first one on.  The others are
 *          still the caller's, to be given to what frees them best.
 * Source:  Linux mm/mempool.c, mempool_free_bulk() of 6.19.
 */
unsigned int mempool_free_bulk(mempool_t *pool, void **elem, unsigned int count)
	KN_SYM(mempool_free_bulk) KN_MUST_CHECK;

/**
 * mempool_alloc_slab - kmem_cache_alloc(), for a pool
 * @gfp: how hard to try, see gfp.h
 * @pool_data: the cache
 *
 * mempool_free_slab() is its pair.
 */
void *mempool_alloc_slab(gfp_t gfp, void *pool_data) KN_SYM(mempool_alloc_slab);
void mempool_free_slab(void *element, void *pool_data)
	KN_SYM(mempool_free_slab);

/**
 * mempool_kmalloc - kmalloc(), for a pool
 * @gfp: how hard to try, see gfp.h
 * @pool_data: bytes of an element, as a pointer
 *
 * mempool_kfree() is its pair.
 */
void *mempool_kmalloc(gfp_t gfp, void *pool_data) KN_SYM(mempool_kmalloc);
void mempool_kfree(void *element, void *pool_data) KN_SYM(mempool_kfree);

/**
 * mempool_kvmalloc - kvmalloc(), for a pool
 * @gfp: how hard to try, see gfp.h
 * @pool_data: bytes of an element, as a pointer
 *
 * mempool_kvfree() is its pair.
 */
void *mempool_kvmalloc(gfp_t gfp, void *pool_data) KN_SYM(mempool_kvmalloc);
void mempool_kvfree(void *element, void *pool_data) KN_SYM(mempool_kvfree);

/**
 * mempool_alloc_pages - alloc_pages(), for a pool
 * @gfp: how hard to try, see gfp.h
 * @pool_data: order of an element, as a pointer
 *
 * An element is a struct page.  mempool_free_pages() is its pair.
 */
void *mempool_alloc_pages(gfp_t gfp, void *pool_data)
	KN_SYM(mempool_alloc_pages);
void mempool_free_pages(void *element, void *pool_data)
	KN_SYM(mempool_free_pages);

KN_END_DECLS

/**
 * mempool_initialized - whether a pool was made and not ended
 * @pool: a pool, or all zeroes
 *
 * Context: any thread, any signal handler.
 */
static inline bool mempool_initialized(mempool_t *pool)
{
	return pool->reserve != NULL;
}

/**
 * mempool_is_saturated - whether the reserve is full
 * @pool: a pool
 *
 * Context: any thread, any signal handler.  True when read, perhaps not when
 *          used.
 */
static inline bool mempool_is_saturated(mempool_t *pool)
{
	return __atomic_load_n(&pool->curr_nr, __ATOMIC_RELAXED) >=
	       __atomic_load_n(&pool->min_nr, __ATOMIC_RELAXED);
}

/**
 * mempool_alloc_noreserve - take an element from the allocator alone
 * @pool: a pool
 * @gfp: as given to the allocator
 *
 * Context: as the allocator behind the pool.
 * Return:  the element, to be given to mempool_free(); NULL on failure.
 */
static inline KN_MUST_CHECK void *mempool_alloc_noreserve(mempool_t *pool,
							  gfp_t gfp)
{
	return pool->alloc(gfp, pool->pool_data);
}

/**
 * mempool_init_slab_pool - mempool_init() for objects of a cache
 * @pool: as for mempool_init()
 * @min_nr: as for mempool_init()
 * @s: cache
 *
 * mempool_create_slab_pool() is mempool_create() likewise.
 */
static inline KN_MUST_CHECK int
mempool_init_slab_pool(mempool_t *pool, int min_nr, struct kmem_cache *s)
{
	return mempool_init(pool, min_nr, mempool_alloc_slab, mempool_free_slab,
			    s);
}

static inline KN_MUST_CHECK mempool_t *
mempool_create_slab_pool(int min_nr, struct kmem_cache *s)
{
	return mempool_create(min_nr, mempool_alloc_slab, mempool_free_slab, s);
}

/**
 * mempool_init_kmalloc_pool - mempool_init() for memory of kmalloc()
 * @pool: as for mempool_init()
 * @min_nr: as for mempool_init()
 * @size: bytes of an element
 *
 * mempool_create_kmalloc_pool() is mempool_create() likewise.
 */
static inline KN_MUST_CHECK int
mempool_init_kmalloc_pool(mempool_t *pool, int min_nr, size_t size)
{
	return mempool_init(pool, min_nr, mempool_kmalloc, mempool_kfree,
			    (void *)(uintptr_t)size);
}

static inline KN_MUST_CHECK mempool_t *mempool_create_kmalloc_pool(int min_nr,
								   size_t size)
{
	return mempool_create(min_nr, mempool_kmalloc, mempool_kfree,
			      (void *)(uintptr_t)size);
}

/**
 * mempool_init_kvmalloc_pool - mempool_init() for memory of kvmalloc()
 * @pool: as for mempool_init()
 * @min_nr: as for mempool_init()
 * @size: bytes of an element
 *
 * mempool_create_kvmalloc_pool() is mempool_create() likewise.
 */
static inline KN_MUST_CHECK int
mempool_init_kvmalloc_pool(mempool_t *pool, int min_nr, size_t size)
{
	return mempool_init(pool, min_nr, mempool_kvmalloc, mempool_kvfree,
			    (void *)(uintptr_t)size);
}

static inline KN_MUST_CHECK mempool_t *mempool_create_kvmalloc_pool(int min_nr,
								    size_t size)
{
	return mempool_create(min_nr, mempool_kvmalloc, mempool_kvfree,
			      (void *)(uintptr_t)size);
}

/**
 * mempool_init_page_pool - mempool_init() for blocks of pages
 * @pool: as for mempool_init()
 * @min_nr: as for mempool_init()
 * @order: as for alloc_pages()
 *
 * mempool_create_page_pool() is mempool_create() likewise.
 */
static inline KN_MUST_CHECK int mempool_init_page_pool(mempool_t *pool,
						       int min_nr, int order)
{
	return mempool_init(pool, min_nr, mempool_alloc_pages,
			    mempool_free_pages, (void *)(intptr_t)order);
}

static inline KN_MUST_CHECK mempool_t *mempool_create_page_pool(int min_nr,
								int order)
{
	return mempool_create(min_nr, mempool_alloc_pages, mempool_free_pages,
			      (void *)(intptr_t)order);
}

#endif /* KNUMA_MEMPOOL_H */

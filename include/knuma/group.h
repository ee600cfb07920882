/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/group.h - named groups of allocations, with a limit
 *
 *   struct knuma_group *tenant = knuma_group_create("tenant-7", 64 << 20);
 *
 *   unsigned int before = knuma_group_enter(tenant);
 *   p = kmalloc(size, GFP_KERNEL_ACCOUNT);      charged to tenant-7
 *   knuma_group_leave(before);
 *   ...
 *   kfree(p);                                   by any thread, in any group
 *
 * As memory cgroups do for the kernel: what a thread allocates with
 * __GFP_ACCOUNT, or from a cache with SLAB_ACCOUNT, is charged to the group it
 * is in.  The memory remembers who paid, so it is the same group that gets the
 * charge back, whoever frees, and however: kfree(), kfree_rcu(), kvfree(), in
 * bulk, as pages.  Nothing else is charged: not what comes without the flag,
 * nor malloc(), nor what a thread outside of all groups allocates.
 *
 * An object is charged with its place (ksize()), pages and areas with whole
 * pages.  Where such objects come from are caches of their own, kmalloc-cg-*,
 * past the arrays of the CPUs: an allocation and a free take about 0.1 us
 * together, and those that are not charged are as fast as ever.
 */
#ifndef KNUMA_GROUP_H
#define KNUMA_GROUP_H

#include <knuma/types.h>

/* A limit that nothing reaches. */
#define KNUMA_GROUP_NO_LIMIT UINT64_MAX

/* Bytes of a name with its zero byte, and groups there can be. */
#define KNUMA_GROUP_NAME     48
#define KNUMA_GROUPS_MAX     4095

struct knuma_group;

/**
 * struct knuma_group_stat - what a group holds and what befell it
 * @name: of the group
 * @usage_bytes: charged now
 * @peak_bytes: the most that was charged at a time, or up to 2 MiB more:
 *       threads take their charges from stocks of up to 128 KiB
 * @limit_bytes: KNUMA_GROUP_NO_LIMIT for none
 * @objects: objects, blocks of pages and areas that are charged now
 * @reclaims: allocations over the limit for which shrinkers were asked
 * @refused: allocations that failed because of the limit
 * @forced: allocations with __GFP_NOFAIL that went over the limit
 * @destroyed: knuma_group_destroy() was called; it lives on for what it holds
 */
struct knuma_group_stat {
	char name[KNUMA_GROUP_NAME];
	uint64_t usage_bytes;
	uint64_t peak_bytes;
	uint64_t limit_bytes;
	uint64_t objects;
	uint64_t reclaims;
	uint64_t refused;
	uint64_t forced;
	bool destroyed;
};

KN_BEGIN_DECLS

/**
 * knuma_group_create - make a group
 * @name: 1 to 47 bytes, for statistics; copied; no other group has it
 * @limit: bytes that may be charged at a time, or KNUMA_GROUP_NO_LIMIT
 *
 * Context: Any thread, no signal handler.
 * Return:  the group; NULL on failure, and errno tells why.
 * Errors:  EINVAL when @name is NULL, empty, too long, or has bytes that cannot
 *          be printed.  EEXIST when a group that was not destroyed has that
 *          name.  ENOMEM when there is no memory for it, ENOSPC when there are
 *          KNUMA_GROUPS_MAX groups.
 */
struct knuma_group *knuma_group_create(const char *name,
				       uint64_t limit) KN_API KN_MUST_CHECK;

/**
 * knuma_group_destroy - end a group
 * @g: from knuma_group_create(), or NULL
 *
 * Its name may be used again.  What is charged stays charged, threads that are
 * in the group stay in it and its limit holds, until the last of it is freed
 * and the last thread has left.
 *
 * Context: Any thread, no signal handler.  Never waits for either.
 * Errors:  A group that was destroyed already is reported, and the process
 *          aborted.
 */
void knuma_group_destroy(struct knuma_group *g) KN_API;

/**
 * knuma_group_enter - the calling thread's allocations belong to a group
 * @g: the group, or NULL: to none
 *
 * Scopes nest: what this returns is for the knuma_group_leave() that ends this
 * one.  A thread leaves all of them before it ends.  A new thread is in none.
 *
 * Context: Any thread, any signal handler that leaves before it returns.
 * Return:  the group that the thread was in, as a number.
 * Source:  Linux set_active_memcg().  Differs: holds the group, and the caller
 *          need not.
 */
unsigned int knuma_group_enter(struct knuma_group *g) KN_API KN_MUST_CHECK;

/**
 * knuma_group_leave - the calling thread is in the group it was in before
 * @before: from knuma_group_enter()
 *
 * Context: as knuma_group_enter(), by the same thread.
 * Errors:  A number that knuma_group_enter() cannot have given is reported, and
 *          the process aborted.
 */
void knuma_group_leave(unsigned int before) KN_API;

/**
 * knuma_group_set_limit - change how much may be charged
 * @g: group
 * @limit: bytes, or KNUMA_GROUP_NO_LIMIT
 *
 * A limit below what is charged already takes nothing away: allocations fail
 * until enough was freed.
 *
 * Context: any thread, any signal handler.
 */
void knuma_group_set_limit(struct knuma_group *g, uint64_t limit) KN_API;

/**
 * knuma_group_read - what a group holds now
 * @g: group
 * @st: filled
 *
 * Exact when no other thread charges or frees; else of about this moment.
 *
 * Context: any thread, any signal handler.
 */
void knuma_group_read(const struct knuma_group *g,
		      struct knuma_group_stat *st) KN_API;

/**
 * knuma_groups_read - the same of all groups, in the order of their making
 * @st: where to put them; may be NULL if @n is 0
 * @n: elements of @st
 *
 * Destroyed ones that still hold something are among them.
 *
 * Context: Any thread, no signal handler.  Allocates nothing.
 * Return:  how many groups there are; @st has the first of them.
 */
size_t knuma_groups_read(struct knuma_group_stat *st, size_t n) KN_API;

/**
 * knuma_group_of - who paid for memory
 * @p: start of an object, an area or a block of pages
 *
 * Context: Any thread, any signal handler; @p is not freed meanwhile.
 * Return:  the group; NULL when nobody did, or nothing is allocated there.
 * Source:  Linux mem_cgroup_from_slab_obj().
 */
struct knuma_group *knuma_group_of(const void *p) KN_API;

KN_END_DECLS

#endif /* KNUMA_GROUP_H */

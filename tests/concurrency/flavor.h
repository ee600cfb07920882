/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/concurrency/flavor.h - one flavour of liburcu, as a table
 *
 * flavor.c is compiled once for each, as a program's own unit would be: the
 * macros of <knuma/rcu.h> in it take the flavour of the header above them.
 */
#ifndef KN_TESTS_CONCURRENCY_FLAVOR_H
#define KN_TESTS_CONCURRENCY_FLAVOR_H

#include <stddef.h>
#include <stdint.h>

#include <urcu/call-rcu.h>
#include <urcu/flavor.h>

/* What is freed: any size from sizeof() on, of any allocator. */
struct canary {
	uint64_t size;
	uint64_t tag;
	struct rcu_head rcu; /* written while it waits */
	uint64_t word[];     /* up to @size: from @tag */
};

/* The same with its head far into the object. */
struct far_canary {
	char bytes[4000];
	struct rcu_head rcu;
};

struct flavor {
	const char *name;
	const struct rcu_flavor_struct *ops;
	int qsbr;			/* readers are online, not inside */
	void (*free)(struct canary *c); /* kfree_rcu */
	void (*free_far)(struct far_canary *c); /* kvfree_rcu */
	void (*free_headless)(void *p);		/* _mightsleep */
	/* What a program with this flavour calls around fork(); bp only. */
	void (*before_fork)(void);
	void (*after_fork_parent)(void);
	void (*after_fork_child)(void);
};

extern const struct flavor flavor_memb, flavor_mb, flavor_qsbr, flavor_bp;

/* A registered reader enters a section, and leaves it. */
static inline void flavor_enter(const struct flavor *f)
{
	if (f->qsbr)
		f->ops->thread_online();
	f->ops->read_lock();
}

static inline void flavor_leave(const struct flavor *f)
{
	f->ops->read_unlock();
	if (f->qsbr)
		f->ops->thread_offline();
}

/* Registers the calling thread, outside any section. */
static inline void flavor_register(const struct flavor *f)
{
	f->ops->register_thread();
	if (f->qsbr)
		f->ops->thread_offline();
}

/* A canary of @size bytes from kvmalloc(); NULL without memory. */
struct canary *canary_new(size_t size, uint64_t tag);

/* Whether it is as canary_new() left it, but for the head. */
int canary_lives(const struct canary *c, uint64_t tag);

#endif

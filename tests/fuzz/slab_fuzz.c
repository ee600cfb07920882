/* SPDX-License-Identifier: Apache-2.0 */
/* Caches of any shape, that come and go, and their objects. */
#include <stdio.h>
#include <string.h>

#include <knuma/slab.h>

#include "alloc/slab/cache.h"
#include "numa/span.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/heap.h"

#define CACHES 4
#define BULK   50

static struct cache {
	struct kmem_cache *s;
	unsigned size, align;
	bool ctor;
} caches[CACHES];

void fuzz_start(void)
{
	fuzz_heap();
}

static void construct(void *obj)
{
	*(unsigned char *)obj = 0xc5;
}

static void make(struct fuzz_input *in, struct cache *c)
{
	static const slab_flags_t flags[] = {0, SLAB_HWCACHE_ALIGN,
					     SLAB_RECLAIM_ACCOUNT};
	const unsigned align = 1u << fuzz_below(in, 13);
	struct kmem_cache_args args = {.align = align & ~1u};
	char name[20];

	c->size = (unsigned)fuzz_size(in, 20000);
	c->align = align;
	c->ctor = fuzz_byte(in) & 1;
	args.ctor = c->ctor ? construct : NULL;
	args.sheaf_capacity = (unsigned)fuzz_below(in, 4) * 10;
	snprintf(name, sizeof(name), "fuzz-%u", (unsigned)(c - caches));
	c->s = kmem_cache_create(name, c->size, &args,
				 flags[fuzz_below(in, 3)]);
	FUZZ_CHECK(c->s);
	FUZZ_CHECK(kmem_cache_size(c->s) == c->size);
}

static void add(struct cache *c, void *p, struct promise promise)
{
	promise.align = c->align > 8 ? c->align : 8;
	if (c->ctor) {
		FUZZ_CHECK(!p || *(unsigned char *)p == 0xc5);
		promise.zero = false;
	}
	shadow_add(p, c->size, (int)(c - caches), &promise);
}

static void take(struct fuzz_input *in, struct cache *c)
{
	static const gfp_t gfp[] = {GFP_KERNEL, GFP_NOWAIT,
				    GFP_KERNEL | __GFP_ZERO,
				    GFP_KERNEL | __GFP_THISNODE};
	const gfp_t how = gfp[fuzz_below(in, c->ctor ? 2 : 4)] | __GFP_NOWARN;
	const int nid = (int)fuzz_below(in, 3);
	struct promise promise = {8, how & __GFP_ZERO, -1};

	if (how & __GFP_THISNODE)
		promise.node = nid;
	add(c,
	    fuzz_byte(in) & 1	 ? kmem_cache_alloc_node(c->s, how, nid) :
	    how & __GFP_THISNODE ? kmem_cache_alloc_node(c->s, how, nid) :
				   kmem_cache_alloc(c->s, how),
	    promise);
}

static void take_many(struct fuzz_input *in, struct cache *c)
{
	const size_t n = 1 + fuzz_below(in, BULK);
	struct promise promise = {8, !c->ctor && fuzz_byte(in) & 1, -1};
	void *obj[BULK];

	if (shadow_nr() + n > SHADOW_MOST)
		return;
	FUZZ_CHECK(kmem_cache_alloc_bulk(
			   c->s, GFP_KERNEL | (promise.zero ? __GFP_ZERO : 0),
			   n, obj) == (int)n);
	for (size_t i = 0; i < n; i++)
		add(c, obj[i], promise);
}

/* Owners leave an object as its constructor made it. */
static void *let_go(struct shadow *s)
{
	void *p = s->at;

	if (caches[s->kind].ctor)
		construct(p);
	shadow_drop(s);
	return p;
}

static void give(struct shadow *s)
{
	struct kmem_cache *cache;

	if (!s)
		return;
	cache = caches[s->kind].s;
	kmem_cache_free(cache, let_go(s));
}

static void give_many(struct fuzz_input *in)
{
	const size_t most = 1 + fuzz_below(in, BULK);
	void *obj[BULK];
	size_t n = 0;

	/* Of several caches, each goes back to its own. */
	while (n < most && shadow_nr())
		obj[n++] = let_go(shadow_pick(in));
	kmem_cache_free_bulk(NULL, n, obj);
}

static void destroy(struct cache *c)
{
	for (struct shadow *s; (s = shadow_last());)
		give(s);
	kmem_cache_destroy(c->s);
	c->s = NULL;
}

void fuzz_one(struct fuzz_input *in)
{
	while (in->left) {
		struct cache *c = &caches[fuzz_below(in, CACHES)];
		const uint8_t what = fuzz_byte(in);

		if (!c->s)
			make(in, c);
		else if (what < 110 && !shadow_is_full())
			take(in, c);
		else if (what < 140)
			take_many(in, c);
		else if (what < 220)
			give(shadow_pick(in));
		else if (what < 240)
			give_many(in);
		else if (what < 248)
			kmem_cache_shrink(c->s);
		else if (what < 250)
			destroy(c);
		else
			FUZZ_CHECK(heap_is_sound());
	}
	for (int i = 0; i < CACHES; i++)
		if (caches[i].s)
			destroy(&caches[i]);
	fuzz_heap_is_empty();
}

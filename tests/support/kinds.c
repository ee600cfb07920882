/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kinds.h"

#include <knuma/knuma.h>

#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

#define MIB  ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define MANY 200000

static struct kmem_cache *object_cache(void)
{
	static struct kmem_cache *cache;

	if (!cache)
		cache = kmem_cache_create("kept", 1000, NULL, 0);
	CHECK(cache);
	return cache;
}

static void *one_of_bulk(gfp_t gfp)
{
	void *p;

	return kmem_cache_alloc_bulk(object_cache(), gfp, 1, &p) ? p : NULL;
}

static void *itself(void *p)
{
	return p;
}

static void *of_page(void *p)
{
	return page_address(p);
}

#define KIND(name, alloc, free)                     \
	static void *get_##name(gfp_t gfp, int nid) \
	{                                           \
		(void)nid;                          \
		return alloc;                       \
	}                                           \
	static void put_##name(void *p)             \
	{                                           \
		free;                               \
	}

KIND(page, alloc_pages_node(nid, gfp, 0), __free_pages(p, 0))
KIND(pair, alloc_pages_node(nid, gfp, 1), __free_pages(p, 1))
KIND(block, alloc_pages_node(nid, gfp, 9), __free_pages(p, 9))
KIND(exact, alloc_pages_exact_nid(nid, 3 * PAGE, gfp),
     free_pages_exact(p, 3 * PAGE))
KIND(small, kmalloc_node(64, gfp, nid), kfree(p))
KIND(object, kmem_cache_alloc_node(object_cache(), gfp, nid),
     kmem_cache_free(object_cache(), p))
KIND(bulk, one_of_bulk(gfp), kfree(p))
KIND(large, kmalloc_node(2 * PAGE + 1, gfp, nid), kfree(p))
KIND(huge, kmalloc_node(MIB, gfp, nid), kfree(p))
KIND(area, __vmalloc_node(40000, 1, gfp, nid, NULL), vfree(p))
KIND(huge_area, __vmalloc_node(4 * MIB, 1, gfp, nid, NULL), vfree(p))
KIND(kv, kvmalloc_node(MIB + 1, gfp, nid), kvfree(p))

const struct kind kinds[] = {
	{"page", get_page, put_page, of_page, PAGE},
	{"pair", get_pair, put_pair, of_page, 2 * PAGE},
	{"block", get_block, put_block, of_page, 512 * PAGE},
	{"exact", get_exact, put_exact, itself, 3 * PAGE},
	{"small", get_small, put_small, itself, 64},
	{"object", get_object, put_object, itself, 1000},
	{"bulk", get_bulk, put_bulk, itself, 1000},
	{"large", get_large, put_large, itself, 2 * PAGE + 1},
	{"huge", get_huge, put_huge, itself, MIB},
	{"area", get_area, put_area, itself, 40000},
	{"huge area", get_huge_area, put_huge_area, itself, 4 * MIB},
	{"kv", get_kv, put_kv, itself, MIB + 1},
};
const int nr_kinds = sizeof(kinds) / sizeof(kinds[0]);
const struct kind *kind;

void kinds_each(void (*fn)(void))
{
	struct child c;

	for (int i = 0; i < nr_kinds; i++) {
		kind = &kinds[i];
		child_run(fn, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, kind->name);
	}
}

static void *kept[MANY];
static size_t nr_kept;

static int no_more(void *addr, size_t len, int prot)
{
	(void)addr;
	(void)len;
	(void)prot;
	return -ENOMEM;
}

static void keep_all(gfp_t gfp)
{
	void *p;

	while (nr_kept < MANY && (p = kind_get(gfp | __GFP_NOWARN)))
		kept[nr_kept++] = p;
	CHECK(nr_kept > 0 && nr_kept < MANY);
}

void kind_fill(void)
{
	void *p = kind_get(GFP_KERNEL);

	CHECK(p);
	kind->put(p);
	kn_machine.mprotect = no_more;
	keep_all(GFP_KERNEL | __GFP_NORETRY);
	/* What other caches hold back, too. */
	keep_all(GFP_KERNEL);
}

void kind_free_all(void)
{
	while (nr_kept)
		kind->put(kept[--nr_kept]);
}

size_t kind_nr_kept(void)
{
	return nr_kept;
}

static unsigned long count_one(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return 1;
}

struct shrinker *kind_shrinker(kind_scan *scan, unsigned int flags)
{
	struct shrinker *s = shrinker_alloc(flags, "kept");

	CHECK(s);
	s->count_objects = count_one;
	s->scan_objects = scan;
	shrinker_register(s);
	return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/cache.h"

#include <errno.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/account/sample.h"
#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/start.h"
#include "alloc/config/cache_conf.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/page_alloc.h"
#include "alloc/page/reclaim.h"
#include "alloc/page/scope.h"
#include "alloc/slab/debug.h"
#include "alloc/slab/fence.h"
#include "alloc/slab/harden.h"
#include "alloc/slab/remember.h"
#include "alloc/stats/stats.h"

static const uint16_t class_size[] = {
#define KN_SIZE_CLASS(bytes) bytes,
#include "alloc/slab/size_class.def"
#undef KN_SIZE_CLASS
};
#define NR_CLASSES KN_ARRAY_SIZE(class_size)
KN_STATIC_ASSERT(KN_ID_FIRST_CACHE + 2 * NR_CLASSES < KN_NR_IDS,
		 "there are ids for the kmalloc caches");

uint32_t kn_kmalloc_place[KN_KMALLOC_SMALL_MAX / 16] kn_cacheline;
uint8_t kn_kmalloc_class[64 + 64];
struct kmem_cache *kn_kmalloc_caches[2 * NR_CLASSES];
struct kmem_cache **const kn_kmalloc_cg_caches = kn_kmalloc_caches + NR_CLASSES;
/* By the number of objects in a slab: 8, 16, ... 256. */
static struct kmem_cache *vector_caches[6];
void (*kn_destroy_hook)(struct kmem_cache *s);

struct kn_cache_slot kn_cache_slots[KN_NR_IDS - KN_ID_FIRST_CACHE];
static uint32_t nr_slots;		/* ever used; list_lock */
static struct kn_list caches = { &caches, &caches };
static struct kn_lock list_lock = KN_LOCK_INIT(cache_list);

#define TABLE_CHUNK (16 * KN_PAGE_SIZE)
KN_STATIC_ASSERT(KN_MAX_NODES * KN_MAX(sizeof(struct kn_depot),
				       sizeof(struct kn_slab_node)) <=
			 TABLE_CHUNK,
		 "the tables of a cache fit into a chunk");

/* Small zeroed tables that are never given back; list_lock or start-up. */
static void *table_alloc(size_t bytes)
{
	static char *at, *end;
	void *p;

	bytes = KN_ALIGN_UP(bytes, 64);
	if ((size_t)(end - at) < bytes) {
		at = kn_meta_alloc(TABLE_CHUNK, -1);
		end = at ? at + TABLE_CHUNK : NULL;
	}
	if (!at)
		return NULL;
	p = at;
	at += bytes;
	return p;
}

static uint32_t slot_of(const struct kmem_cache *s)
{
	return (uint32_t)((const struct kn_cache_slot *)s - kn_cache_slots);
}

/*
 * Whether no cache has the slot.  KN_ID_EARLY is a planted error for the tests:
 * a cache whose destruction has begun has none.
 */
#ifdef KN_ID_EARLY
#define SLOT_IS_FREE(s) (!(s)->live)
#else
#define SLOT_IS_FREE(s) (!(s)->mag.id)
#endif

/* A slot that no cache has, with its tables; NULL when there is none. */
static struct kmem_cache *take_slot(void)
{
	const size_t nr = (size_t)kn_topo.nr_nodes;
	struct kmem_cache *s = NULL;

	for (uint32_t i = 0; i < nr_slots && !s; i++)
		if (SLOT_IS_FREE(&kn_cache_slots[i].cache))
			s = &kn_cache_slots[i].cache;
	if (!s && nr_slots < KN_ARRAY_SIZE(kn_cache_slots))
		s = &kn_cache_slots[nr_slots].cache;
	if (!s)
		return NULL;
	if (!s->mag.depot)
		s->mag.depot = table_alloc(nr * sizeof(*s->mag.depot));
	if (!s->node)
		s->node = table_alloc(nr * sizeof(*s->node));
	if (!s->mag.depot || !s->node)
		return NULL;
	nr_slots = KN_MAX(nr_slots, slot_of(s) + 1);
	return s;
}

struct cache_shape {
	const char *name;
	uint32_t size, align;
	uint32_t flags;
	void (*ctor)(void *obj);
	uint32_t magazine;	/* objects in a magazine; 0: by size */
};

/*
 * What the configuration says of this cache's magazines, over what follows from
 * its size.  Magazines open after this.
 */
static void set_magazine(const struct kmem_cache *s, struct kn_magcache *c,
			 const struct kn_cache_conf *conf)
{
	uint64_t most;

	if (s->magazine)
		c->most = c->capacity = s->magazine;
	most = c->capacity;
	if (kn_cache_conf_has(conf, KN_CACHE_KEY_magazine_capacity))
		most = conf->magazine_capacity;
	if (kn_cache_conf_has(conf, KN_CACHE_KEY_magazine_bytes))
		most = KN_MIN(most, conf->magazine_bytes / s->size);
	if (most != c->capacity) {
		c->capacity = (uint16_t)KN_MAX(most, 2);
		c->most = c->capacity;
		c->batch = (uint16_t)KN_MIN(c->capacity / 2, KN_BATCH_MAX);
	}
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		kn_store(&c->depot[node].ramp,
			 KN_MIN(kn_load(&c->depot[node].ramp), c->batch));
	if (kn_cache_conf_has(conf, KN_CACHE_KEY_depot_batches))
		c->depot_max = c->depot_most = (uint32_t)conf->depot_batches;
}

/*
 * What an object remembers is written behind the allocation and taken before the
 * free, so neither may be a magazine's; nor may a batch be handed to the depot.
 */
static void never_open(struct kn_magcache *c)
{
	c->fast_place = 0;
	c->capacity = 0;
	c->most = 0;
	c->depot_most = 0;
}

/* The value of slab_debug, which may change. */
struct debug_spec {
	char text[KN_TUNABLE_LEN];
};

static void read_spec(struct debug_spec *spec)
{
	if (knuma_conf_get("slab_debug", spec->text, sizeof(spec->text)))
		snprintf(spec->text, sizeof(spec->text), "-");
}

/* Makes a cache; list_lock is held, or the process starts. */
static struct kmem_cache *make_cache(const struct cache_shape *shape,
				     const struct debug_spec *spec)
{
	uint32_t place;
	struct kmem_cache *s = take_slot();
	struct kn_cache_conf conf;
	uint16_t id;

	if (!s)
		return NULL;
	kn_cache_conf_of(shape->name, &conf);
	id = (uint16_t)(KN_ID_FIRST_CACHE + slot_of(s));
	s->object_size = shape->size;
	s->align = shape->align;
	s->own_flags = shape->flags;
	s->flags = kn_debug_flags(spec->text, shape->name, shape->flags,
				  shape->size, shape->align);
	s->ctor = shape->ctor;
	s->refused = 0;
	/* Its own kmalloc caches are of either kind. */
	s->remembers = shape->flags & SLAB_ACCOUNT ||
		       (!(shape->flags & KN_SLAB_BUILT_IN) &&
			(kn_load(&kn_ext_always) || kn_tun.sample_bytes));
	snprintf(s->name, sizeof(s->name), "%s", shape->name);
	place = kn_debug_lay_out(s);
	kn_slab_geometry(s, place ? place :
				    KN_MAX(KN_ALIGN_UP(shape->size, shape->align),
					   16u));
	kn_harden_cache(s, place != 0);
	if (kn_cache_conf_has(&conf, KN_CACHE_KEY_slab_order))
		kn_slab_set_order(s, (uint32_t)conf.slab_order);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		s->node[node].partial = KN_PFN_NONE;
	s->mag.name = s->name;
	s->mag.refill = kn_slab_refill;
	s->mag.flush = kn_slab_flush;
	s->magazine = (uint16_t)KN_MIN(shape->magazine, 126u);
	kn_magcache_init(&s->mag, id, s->size);
	set_magazine(s, &s->mag, &conf);
	if (kn_debug_on(s))
		kn_magcache_direct(&s->mag);
	if (s->remembers)
		never_open(&s->mag);
	kn_store(&kn_id_room[id], kn_debug_layout(s) ? 0 : s->size);
	s->live = true;
	kn_list_add_tail(&caches, &s->list);
	return s;
}

/*
 * Debugging of a cache that is in use: without magazines from before it begins to
 * after it has ended.
 */
static void set_debug(struct kmem_cache *s, uint32_t want)
{
	const uint32_t have = kn_load(&s->flags) & KN_DEBUG_RUNTIME;
	const bool before = kn_debug_on(s);
	const bool after = want || kn_debug_layout(s);
	struct kn_magcache as;
	struct kn_cache_conf conf;

	if (!before && after) {
		kn_magcache_direct(&s->mag);
		kn_drain_cache(&s->mag, true);
		/* What waits is free for a double free to meet. */
		kn_harden_flush();
	}
	ck_pr_or_32(&s->flags, want);
	ck_pr_and_32(&s->flags, ~(have & ~want));
	/* What remembers never opens, and stays without batches. */
	if (!before || after || s->remembers)
		return;
	/* Others allocate meanwhile: they see it when it is complete. */
	as = s->mag;
	kn_cache_conf_of(s->name, &conf);
	kn_magcache_set_size(&as, s->size);
	set_magazine(s, &as, &conf);
	kn_drain_resume(&s->mag, &as);
}

/* After a change of slab_debug: what a cache in use can be given. */
static void debug_changed(void)
{
	struct debug_spec spec;
	struct kmem_cache *s;

	if (!kn_load_acquire(&kn_started))
		return;
	read_spec(&spec);
	kn_lock(&list_lock);
	kn_list_for_each(s, &caches, struct kmem_cache, list)
		set_debug(s, kn_debug_flags(spec.text, s->name, s->own_flags,
					    s->object_size, s->align) &
				     KN_DEBUG_RUNTIME);
	kn_unlock(&list_lock);
}

static struct kmem_cache *make_kmalloc_cache(const char *prefix, uint32_t size,
					     uint32_t flags,
					     const struct debug_spec *spec)
{
	struct cache_shape shape = {
		.size = size,
		/* Its largest power of two: alignment follows from size. */
		.align = size & -size,
		.flags = flags | KN_SLAB_BUILT_IN,
	};
	char name[24];

	snprintf(name, sizeof(name), "%s-%u", prefix, size);
	shape.name = name;
	return make_cache(&shape, spec);
}

struct kmem_cache *kn_vector_cache(uint32_t nr_objects)
{
	return vector_caches[kn_log2_up(KN_MAX(nr_objects, 8u)) - 3];
}

static bool make_kmalloc_caches(void)
{
	struct debug_spec spec;

	read_spec(&spec);
	for (unsigned i = 0; i < NR_CLASSES; i++) {
		kn_kmalloc_caches[i] = make_kmalloc_cache(
			"kmalloc", class_size[i], SLAB_KMALLOC, &spec);
		if (!kn_kmalloc_caches[i])
			return false;
	}
	for (unsigned i = 0; i < NR_CLASSES; i++) {
		kn_kmalloc_cg_caches[i] = make_kmalloc_cache(
			"kmalloc-cg", class_size[i], SLAB_KMALLOC | SLAB_ACCOUNT,
			&spec);
		if (!kn_kmalloc_cg_caches[i])
			return false;
	}
	for (unsigned i = 0; i < KN_ARRAY_SIZE(vector_caches); i++) {
		vector_caches[i] = make_kmalloc_cache(
			"slab-ext", (uint32_t)(8 * sizeof(uint64_t)) << i,
			SLAB_NO_USER_FLAGS, &spec);
		if (!vector_caches[i])
			return false;
	}
	return true;
}

/* After a start that failed: nobody has an object of them. */
static void forget_caches(void)
{
	struct kmem_cache *s;

	kn_list_for_each(s, &caches, struct kmem_cache, list) {
		kn_store(&kn_magcaches[s->mag.id], NULL);
		s->mag.id = 0;
		s->live = false;
	}
	kn_list_init(&caches);
}

/* Where to look for the class of a size. */
static void fill_class_tables(void)
{
	unsigned class = 0;

	for (unsigned i = 0; i < 64; i++) {
		while (class_size[class] < (i + 1) * 16)
			class++;
		kn_kmalloc_class[i] = (uint8_t)class;
		kn_kmalloc_place[i] = kn_kmalloc_caches[class]->mag.place;
	}
	for (unsigned i = 0; i < 64; i++) {
		while (class_size[class] < (i + 1) * 128)
			class++;
		kn_kmalloc_class[64 + i] = (uint8_t)class;
		if ((i + 1) * 128 <= KN_KMALLOC_SMALL_MAX)
			class = 0;
	}
}

int kn_cache_init(void)
{
	kn_store(&kn_conf_changed, debug_changed);
	kn_store(&kn_caches_hook, kn_caches_reclaim);
	kn_fence_init();
	kn_sample_init();
	kn_harden_init();
	if (!make_kmalloc_caches()) {
		forget_caches();
		return -ENOMEM;
	}
	fill_class_tables();
	return 0;
}

void *kn_alloc_failed(const char *what, size_t size, gfp_t gfp, int nid)
{
	kn_count_failure(what, size, gfp, nid);
	if (!(gfp & (__GFP_NOWARN | KN_GFP_MALLOC)))
		kn_warn_once("out of memory: %s, %zu bytes, node %d, gfp %#x; "
			     "further failures are only counted",
			     what, size, nid, gfp);
	errno = ENOMEM;
	return NULL;
}

static void *on_node(struct kmem_cache *s, int node, gfp_t gfp)
{
	return kn_debug_on(s) ? kn_slab_alloc_one(s, node, gfp) :
				kn_mag_alloc(&s->mag, node, gfp);
}

static void *by_zonelist(struct kmem_cache *s, gfp_t gfp, int node, int *got)
{
	const struct kn_zonelist *zl = kn_zonelist(node);
	void *obj = NULL;

	*got = node;
	if (gfp & __GFP_THISNODE)
		return on_node(s, node, gfp);
	for (int i = 0; i < zl->nr && !obj; i++) {
		*got = zl->node[i];
		obj = on_node(s, *got, gfp);
	}
	return obj;
}

bool kn_cache_gfp_usable(const struct kmem_cache *s, gfp_t gfp)
{
	if (unlikely(gfp & ~KN_GFP_KNOWN)) {
		kn_warn_once("gfp %#x has bits that mean nothing", gfp);
		errno = EINVAL;
		return false;
	}
	if (unlikely(s->ctor && gfp & __GFP_ZERO))
		kn_warn_once("cache %s has a constructor: its objects are not "
			     "zeroed by __GFP_ZERO", s->name);
	return true;
}

/* kn_ext_begin() for an object of @s. */
static bool begin_ext(const struct kmem_cache *s, gfp_t gfp, uint64_t *ext)
{
	*ext = 0;
	if (!s->remembers) {
		if (unlikely(gfp & __GFP_ACCOUNT) && kn_group_active)
			kn_warn_once("cache %s was created without SLAB_ACCOUNT: "
				     "its objects are charged to no group",
				     s->name);
		return true;
	}
	if (!(s->own_flags & KN_SLAB_BUILT_IN) && s->own_flags & SLAB_ACCOUNT)
		gfp |= __GFP_ACCOUNT;
	return kn_ext_begin(s->size, gfp, ext);
}

/* Whether what is in a magazine is as good as what the slow path gives. */
static bool may_pop(const struct kmem_cache *s, gfp_t gfp)
{
	if (gfp & (~KN_GFP_KNOWN | __GFP_ACCOUNT))
		return false;
	if (kn_sample_bytes && kn_load(&otel_memory_alloc_semaphore))
		return false;
	if (kn_fence_every && kn_fence_every < KN_SAMPLE_EXACT)
		return false;
	return s->checks || !(gfp & __GFP_ZERO || kn_tun.init_on_alloc);
}

/*
 * The fast path of those that are closed because objects are looked at, or
 * because somebody might want samples; NULL: it declined.
 */
static void *pop_past_gate(const struct kmem_cache *s, gfp_t gfp, int nid)
{
	return may_pop(s, gfp) ? kn_harden_pop(s, nid) : NULL;
}

/*
 * An object for *@s, a kmalloc cache, from that of the same size whose objects
 * remember, which is *@s then.  NULL: it cannot be had, and is not sampled.
 */
static kn_slow void *from_sibling(struct kmem_cache **s, gfp_t gfp, int node,
				  int *got, uint64_t *weight)
{
	struct kmem_cache *const cg = kn_kmalloc_cg_cache((*s)->object_size);
	void *obj;

	KN_ASSERT((*s)->own_flags & SLAB_KMALLOC);
	obj = by_zonelist(cg, gfp, node, got);
	if (obj) {
		*s = cg;
	} else {
		*weight = 0;
		kn_stat_add(KN_STAT_sampled_lost, 1);
	}
	return obj;
}

/* What its user finds in an object. */
static void check_or_zero(const struct kmem_cache *s, void *obj, gfp_t gfp)
{
	if (unlikely(s->checks))
		kn_harden_check(s, obj);
	else if ((gfp & __GFP_ZERO || kn_tun.init_on_alloc) && !s->ctor &&
		 !(kn_load(&s->flags) & SLAB_TYPESAFE_BY_RCU &&
		   !(gfp & __GFP_ZERO)))
		memset(obj, 0, kn_debug_layout(s) ? kn_debug_requested(s, obj) :
						    s->size);
}

/*
 * Serves what the fast path declined.
 *
 * Context: no knuma lock held; waits only if @gfp has __GFP_DIRECT_RECLAIM.
 */
void *kn_cache_alloc_sized(struct kmem_cache *s, size_t size, gfp_t gfp, int nid)
{
	struct kn_reclaim r;
	uint64_t ext, weight;
	int node, got;
	void *obj;

	if (unlikely(s->checks || kn_sample_bytes)) {
		obj = pop_past_gate(s, gfp, nid);
		if (obj)
			return obj;
	}
	kn_stat_add(KN_STAT_alloc_slow, 1);
	gfp = kn_scope_gfp(kn_node_gfp(nid, gfp));
	/* 1. The request itself. */
	if (!kn_cache_gfp_usable(s, gfp) || !kn_node_wanted(nid, gfp, &node))
		return NULL;
	if (kn_debug_fails(s, gfp)) {
		errno = ENOMEM;
		return NULL;
	}
	if (!begin_ext(s, gfp, &ext)) {
		kn_count_failure(s->name, s->object_size, gfp, nid);
		return NULL;
	}
	/* 2. In its turn, a place that remembers, or a page between guards. */
	weight = kn_sample(size);
	obj = unlikely(weight) && !s->remembers ?
		      from_sibling(&s, gfp, node, &got, &weight) :
		      NULL;
	if (unlikely(kn_fence_every) && !s->remembers) {
		obj = kn_fence_alloc(s, size, gfp, node);
		if (obj) {
			kn_node_account(node, node);
			return obj;
		}
	}
	/* 3. Magazine, depot and slabs of each node, nearest first. */
	if (likely(!obj))
		obj = by_zonelist(s, gfp, node, &got);
	/* 4. What others hold back, then step 3 again. */
	r = (struct kn_reclaim){.gfp = gfp, .node = node};
	while (unlikely(!obj) && kn_reclaim_more(&r))
		obj = by_zonelist(s, gfp, node, &got);
	if (unlikely(!obj)) {
		if (ext)
			kn_ext_end(ext, s->size);
		return kn_alloc_failed(s->name, s->object_size, gfp, nid);
	}
	if (unlikely(ext))
		kn_store(kn_slab_ext(s, obj), ext);
	kn_node_account(node, got);
	if (kn_debug_on(s))
		kn_debug_alloc(s, obj, size);
	check_or_zero(s, obj, gfp);
	if (unlikely(weight))
		kn_sample_alloc(kn_slab_ext(s, obj), obj, size, weight);
	return obj;
}

kn_slow void *kn_cache_alloc_slow(struct kmem_cache *s, gfp_t gfp, int nid)
{
	return kn_cache_alloc_sized(s, s->object_size, gfp, nid);
}

/* Creation and destruction. */

static uint32_t alignment(uint32_t size, uint32_t align, slab_flags_t flags)
{
	uint32_t line = 64;

	align = KN_MAX(align, (uint32_t)ARCH_KMALLOC_MINALIGN);
	if (!(flags & SLAB_HWCACHE_ALIGN))
		return align;
	while (size <= line / 2)
		line /= 2;
	return KN_MAX(align, line);
}

static bool name_taken(const char *name)
{
	struct kmem_cache *s;

	kn_list_for_each(s, &caches, struct kmem_cache, list)
		if (!strcmp(s->name, name))
			return true;
	return false;
}

/* The mistakes that make creation fail; NULL if there is none. */
static const char *bad_shape(const struct cache_shape *shape)
{
	if (!shape->name || !*shape->name)
		return "it has no name";
	if (!shape->size || shape->size > KMALLOC_MAX_SIZE)
		return "objects are of 1 byte to 4 MiB";
	if (shape->align && !kn_is_pow2(shape->align))
		return "the alignment is no power of two";
	if (shape->align > KN_PAGE_SIZE)
		return "the alignment is above a page";
	return NULL;
}

static struct kmem_cache *create(struct cache_shape *shape)
{
	const char *bad = bad_shape(shape);
	struct kmem_cache *s = NULL;
	struct debug_spec spec;
	bool taken, full;

	if (!kn_start())
		return NULL;
	if (bad) {
		kn_warn("kmem_cache_create(%s): %s",
			shape->name ? shape->name : "(null)", bad);
		errno = EINVAL;
	} else {
		shape->align = alignment(shape->size, shape->align, shape->flags);
		shape->flags &= ~KN_SLAB_BUILT_IN;
		read_spec(&spec);
		kn_lock(&list_lock);
		taken = name_taken(shape->name);
		s = make_cache(shape, &spec);
		full = nr_slots == KN_ARRAY_SIZE(kn_cache_slots);
		kn_unlock(&list_lock);
		if (taken)
			kn_warn("kmem_cache_create(%s): another cache has that "
				"name", shape->name);
		if (!s && full)
			kn_warn("kmem_cache_create(%s): there are %zu caches, "
				"and no more can be made", shape->name,
				KN_ARRAY_SIZE(kn_cache_slots));
		if (!s)
			errno = ENOMEM;
	}
	if (!s && shape->flags & SLAB_PANIC) {
		kn_warn("kmem_cache_create(%s) failed, and SLAB_PANIC is set",
			shape->name ? shape->name : "(null)");
		abort();
	}
	return s;
}

struct kmem_cache *__kmem_cache_create_5(const char *name, unsigned int size,
					 unsigned int align, slab_flags_t flags,
					 void (*ctor)(void *obj))
{
	struct cache_shape shape = {
		.name = name, .size = size, .align = align, .flags = flags,
		.ctor = ctor,
	};

	return create(&shape);
}

struct kmem_cache *__kmem_cache_create_args(const char *name, unsigned int size,
					    struct kmem_cache_args *args,
					    slab_flags_t flags)
{
	struct cache_shape shape = {
		.name = name, .size = size, .flags = flags,
	};

	if (args) {
		shape.align = args->align;
		shape.ctor = args->ctor;
		shape.magazine = args->sheaf_capacity;
	}
	return create(&shape);
}

static void report_live(struct kmem_cache *s, void *obj)
{
	if (kn_report_counted())
		return;
	kn_warn("Object %p @offset=%td", obj,
		(char *)obj - (char *)kn_page_addr(kn_slab_head(s, obj)));
	kn_report_tracks(s, obj);
}

static void report_guarded(void *obj)
{
	if (!kn_report_counted())
		kn_warn("Object %p @offset=0, guarded", obj);
}

/* Whether nothing is in use; else says so, and the cache's memory stays. */
static bool nothing_in_use(struct kmem_cache *s)
{
	uint64_t live = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		live += kn_slab_in_use(s, node);
	live += kn_fence_in_use(s, NULL);
	if (!live)
		return true;
	if (!kn_report_counted())
		kn_warn("BUG %s: Objects remaining on __kmem_cache_shutdown(): "
			"%llu; the cache is gone, their memory stays", s->name,
			(unsigned long long)live);
	kn_slab_each_in_use(s, report_live);
	kn_fence_in_use(s, report_guarded);
	return false;
}

/*
 *   1. deferred frees of the cache are done, and readers that may look at its
 *      objects have left
 *   2. gates closed for good, magazines and depots drained
 *   3. nothing in use: slabs given back, the id may serve another cache
 */
void kmem_cache_destroy(struct kmem_cache *s)
{
	bool drained;

	if (!s)
		return;
	if (!s->live || kn_load(&s->flags) & KN_SLAB_BUILT_IN) {
		kn_bug("kmem_cache_destroy(%p): no cache of a program", (void *)s);
		return;
	}
	if (kn_destroy_hook)
		kn_destroy_hook(s);
	kn_lock(&list_lock);
	s->live = false;
	kn_list_del(&s->list);
	kn_unlock(&list_lock);

	/* What was written into free memory is told before it is gone. */
	if (kn_debug_layout(s))
		kn_debug_validate(s);
	kn_harden_flush();
	kn_harden_settle();
	drained = kn_drain_cache(&s->mag, true);
	if (!drained || !nothing_in_use(s) || kn_slab_reap(s, 0))
		return;

	kn_drain_reopen(s->mag.id);
	kn_lock(&list_lock);
	kn_store(&kn_magcaches[s->mag.id], NULL);
	s->mag.id = 0;
	kn_unlock(&list_lock);
}

int kmem_cache_shrink(struct kmem_cache *s)
{
	kn_harden_flush();
	kn_drain_cache(&s->mag, false);
	if (kn_debug_layout(s))
		kn_debug_validate(s);
	return kn_slab_reap(s, 0) ? 1 : 0;
}

long validate_slab_cache(struct kmem_cache *s)
{
	return (long)kn_debug_validate(s);
}

bool slab_is_available(void)
{
	return kn_load_acquire(&kn_started);
}

unsigned int kmem_cache_size(struct kmem_cache *s)
{
	return s->object_size;
}

/* Reclaim and trimming. */

uint64_t kn_depot_keep_bytes = UINT64_MAX;

static void reap_all(void)
{
	struct kmem_cache *s;

	kn_list_for_each(s, &caches, struct kmem_cache, list) {
		for (int node = 0; node < kn_topo.nr_nodes; node++)
			kn_depot_flush(&s->mag, node, 0);
		kn_slab_reap(s, 0);
	}
}

void kn_caches_reap(void)
{
	kn_lock(&list_lock);
	reap_all();
	kn_unlock(&list_lock);
}

void kn_caches_reclaim(void)
{
	const struct kn_drain_set all = {
		.last_id = KN_NR_IDS - 1, .cid = -1, .node = -1,
	};

	kn_lock(&list_lock);
	kn_drain(&all);
	reap_all();
	kn_unlock(&list_lock);
}

void kn_caches_trim(void)
{
	struct kmem_cache *s;

	kn_lock(&list_lock);
	kn_list_for_each(s, &caches, struct kmem_cache, list) {
		for (int node = 0; node < kn_topo.nr_nodes; node++)
			kn_depot_trim(&s->mag, node,
				      kn_load(&kn_depot_keep_bytes));
		kn_slab_reap(s, 1);
	}
	kn_unlock(&list_lock);
}

void kn_cache_each(void (*fn)(struct kmem_cache *s, void *arg), void *arg)
{
	struct kmem_cache *s;

	kn_lock(&list_lock);
	kn_list_for_each(s, &caches, struct kmem_cache, list)
		fn(s, arg);
	kn_unlock(&list_lock);
}

void kn_cache_lock_all(void)
{
	kn_lock(&list_lock);
}

void kn_cache_unlock_all(void)
{
	kn_unlock(&list_lock);
}

void kn_cache_reset(void)
{
	kn_lock_reset(&list_lock);
	kn_harden_reset();
}

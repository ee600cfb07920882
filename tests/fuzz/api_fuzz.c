/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole interface against a model: sizes, contents, alignment, node, zeroing,
 * what reallocation keeps, and errors.
 */
#include <errno.h>
#include <string.h>

#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "numa/span.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/heap.h"

/* How memory is freed. */
enum {
	KFREE,
	KVFREE,
	FREE,
	PAGES,
	NR_KINDS
};

void fuzz_start(void)
{
	fuzz_heap();
}

struct request {
	gfp_t gfp;
	int nid;
	struct promise promise;
};

static struct request some_request(struct fuzz_input *in)
{
	static const gfp_t gfp[] = {GFP_KERNEL, GFP_KERNEL, GFP_NOWAIT,
				    GFP_ATOMIC, GFP_KERNEL | __GFP_NORETRY};
	struct request r = {gfp[fuzz_below(in, 5)] | __GFP_NOWARN,
			    (int)fuzz_below(in, 4) - 1,
			    {8, fuzz_byte(in) & 1, -1}};

	if (r.promise.zero)
		r.gfp |= __GFP_ZERO;
	if (r.nid >= 0 && fuzz_byte(in) & 1) {
		r.gfp |= __GFP_THISNODE;
		r.promise.node = r.nid;
	}
	return r;
}

/* What the kernel promises for kmalloc(). */
static size_t kmalloc_align(size_t size)
{
	return (size & (size - 1)) == 0 && size > 8 ?
		       (size < KN_PAGE_SIZE ? size : KN_PAGE_SIZE) :
		       8;
}

/* One that failed says so; one that may wait, on any node, does not fail. */
static void *said(void *p, const struct request *r)
{
	if (!p)
		FUZZ_CHECK(errno == ENOMEM &&
			   (!gfpflags_allow_blocking(r->gfp) ||
			    r->gfp & __GFP_THISNODE));
	errno = 0;
	return p;
}

static void take_kmalloc(struct fuzz_input *in)
{
	struct request r = some_request(in);
	const size_t size = fuzz_size(in, 200000);
	void *p = said(kmalloc_node(size, r.gfp, r.nid), &r);

	FUZZ_CHECK(!p || ksize(p) >= size);
	FUZZ_CHECK(!p || ksize(p) == kmalloc_size_roundup(size));
	r.promise.align = kmalloc_align(size);
	shadow_add(p, size, KFREE, &r.promise);
}

static void take_kvmalloc(struct fuzz_input *in)
{
	struct request r = some_request(in);
	const size_t size = fuzz_size(in, 3 << 20);

	shadow_add(said(kvmalloc_node(size, r.gfp, r.nid), &r), size, KVFREE,
		   &r.promise);
}

static void take_malloc(struct fuzz_input *in)
{
	const size_t size = fuzz_size(in, 1 << 20);
	struct promise promise = {16, false, -1};
	void *p;

	switch (fuzz_below(in, 3)) {
	case 0:
		p = knuma_malloc(size);
		break;
	case 1:
		p = knuma_calloc(1 + size / 3, 3);
		promise.zero = true;
		break;
	default:
		promise.align = (size_t)1 << fuzz_below(in, 15);
		p = knuma_memalign(promise.align, size);
	}
	FUZZ_CHECK(p && knuma_malloc_usable_size(p) >= size);
	shadow_add(p, size, FREE, &promise);
}

static void take_pages(struct fuzz_input *in)
{
	struct request r = some_request(in);
	const unsigned order = (unsigned)fuzz_below(in, 6);
	struct page *page = said(alloc_pages_node(r.nid, r.gfp, order), &r);
	struct shadow *s;

	FUZZ_CHECK(!page || r.promise.node < 0 ||
		   page_to_nid(page) == r.promise.node);
	r.promise.align = KN_PAGE_SIZE << order;
	s = shadow_add(page ? page_address(page) : NULL, KN_PAGE_SIZE << order,
		       PAGES, &r.promise);
	if (s)
		s->aux = order;
}

static void take(struct fuzz_input *in)
{
	static void (*const way[])(struct fuzz_input * in) = {
		take_kmalloc, take_kvmalloc, take_malloc, take_pages};

	errno = 0;
	way[fuzz_below(in, 4)](in);
}

static void give(struct shadow *s, unsigned how)
{
	if (!s)
		return;
	switch (s->kind) {
	case KFREE:
		how & 1 ? kfree_sensitive(s->at) : kfree(s->at);
		break;
	case KVFREE:
		how & 1 ? kvfree_sensitive(s->at, s->size) : kvfree(s->at);
		break;
	case FREE:
		knuma_free(s->at);
		break;
	case PAGES:
		how & 1 ? free_pages((unsigned long)s->at, s->aux) :
			  __free_pages(virt_to_head_page(s->at), s->aux);
	}
	/* A free keeps errno. */
	FUZZ_CHECK(errno == 0);
	shadow_drop(s);
}

/* A copy of the first bytes, which is what a reallocation keeps. */
static unsigned char before[2000];

static void resize(struct fuzz_input *in, struct shadow *s)
{
	const size_t size = fuzz_size(in, 300000);
	struct promise promise = {8, false, -1};
	size_t kept;
	int kind;
	void *p;

	if (!s || s->kind == PAGES)
		return;
	kind = s->kind;
	kept = s->size < size ? s->size : size;
	if (kept > sizeof(before))
		kept = sizeof(before);
	memcpy(before, s->at, kept);
	p = kind == KFREE  ? krealloc(s->at, size, GFP_KERNEL) :
	    kind == KVFREE ? kvrealloc(s->at, size, GFP_KERNEL) :
			     knuma_realloc(s->at, size);
	shadow_drop(s);
	FUZZ_CHECK(p && !memcmp(p, before, kept));
	shadow_add(p, size, kind, &promise);
}

/* Requests that cannot be granted, each with its errno. */
static void mistakes(struct fuzz_input *in)
{
	const volatile size_t wraps = SIZE_MAX / 16 + 2 + fuzz_byte(in);
	const int nobody = 3 + fuzz_byte(in);

	errno = 0;
	FUZZ_CHECK(!knuma_calloc(wraps, 16) && errno == ENOMEM);
	FUZZ_CHECK(!kmalloc_array(wraps, 16, GFP_KERNEL | __GFP_NOWARN));
	FUZZ_CHECK(!kvmalloc_array(wraps, 16, GFP_KERNEL | __GFP_NOWARN));
	errno = 0;
	FUZZ_CHECK(!kmalloc_node(64, GFP_KERNEL | __GFP_NOWARN, nobody));
	FUZZ_CHECK(errno == EINVAL);
	FUZZ_CHECK(kmalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR);
	errno = 0;
	kfree(NULL);
	kfree(ZERO_SIZE_PTR);
	kvfree(NULL);
	knuma_free(NULL);
	FUZZ_CHECK(errno == 0);
}

void fuzz_one(struct fuzz_input *in)
{
	while (in->left) {
		const uint8_t what = fuzz_byte(in);

		errno = 0;
		if (what < 120 && !shadow_is_full())
			take(in);
		else if (what < 200)
			give(shadow_pick(in), what);
		else if (what < 240)
			resize(in, shadow_pick(in));
		else if (what < 250)
			mistakes(in);
		else if (what < 252)
			knuma_trim();
		else
			FUZZ_CHECK(heap_is_sound());
	}
	errno = 0;
	while (shadow_nr())
		give(shadow_last(), 0);
	fuzz_heap_is_empty();
}

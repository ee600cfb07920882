/* SPDX-License-Identifier: Apache-2.0 */
/* Areas of any size and alignment: extents, the cache of areas, guards. */
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/vmalloc/vmap.h"
#include "numa/span.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/heap.h"

void fuzz_start(void)
{
	fuzz_heap();
}

static void take(struct fuzz_input *in)
{
	struct promise promise = {KN_PAGE_SIZE, fuzz_byte(in) & 1, -1};
	const int nid = (int)fuzz_below(in, 4) - 1;
	const size_t size = fuzz_size(in, 5 << 20);
	const size_t align = (size_t)1 << fuzz_below(in, 23);
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;
	void *p;

	if (promise.zero)
		gfp |= __GFP_ZERO;
	if (nid >= 0 && fuzz_byte(in) & 1) {
		gfp |= __GFP_THISNODE;
		promise.node = nid;
	}
	if (align > promise.align)
		promise.align = align;
	p = __vmalloc_node(size, align, gfp, nid, NULL);
	FUZZ_CHECK(!p || is_vmalloc_addr(p));
	shadow_add(p, size, 0, &promise);
}

/* Executable memory comes as it is, and goes back as any other. */
static void take_exec(struct fuzz_input *in)
{
	const struct promise promise = {KN_PAGE_SIZE, false, -1};
	const size_t size = fuzz_size(in, 100000);
	const int pages = (int)((size + KN_PAGE_SIZE - 1) / KN_PAGE_SIZE);
	void *p = vmalloc_exec(size);

	if (!shadow_add(p, size, 0, &promise))
		return;
	FUZZ_CHECK(!set_memory_rox((unsigned long)p, pages));
	FUZZ_CHECK(shadow_holds(shadow_last()));
	if (fuzz_byte(in) & 1)
		FUZZ_CHECK(!set_memory_rw((unsigned long)p, pages));
}

static void give(struct shadow *s)
{
	if (!s)
		return;
	vfree(s->at);
	shadow_drop(s);
}

void fuzz_one(struct fuzz_input *in)
{
	while (in->left) {
		const uint8_t what = fuzz_byte(in);

		if (what < 130 && !shadow_is_full())
			take(in);
		else if (what < 140 && !shadow_is_full())
			take_exec(in);
		else if (what < 245)
			give(shadow_pick(in));
		else if (what < 250)
			knuma_trim();
		else
			FUZZ_CHECK(heap_is_sound());
	}
	while (shadow_nr())
		give(shadow_last());
	fuzz_heap_is_empty();
}

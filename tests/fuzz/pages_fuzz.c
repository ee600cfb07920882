/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks and runs of pages: the buddy lists of three nodes. */
#include <string.h>

#include <knuma/page.h>
#include <knuma/tunables.h>

#include "alloc/page/page_alloc.h"
#include "numa/span.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/heap.h"

enum {
	BLOCK,
	EXACT
};

void fuzz_start(void)
{
	fuzz_heap();
}

static gfp_t some_gfp(struct fuzz_input *in, bool *zero)
{
	static const gfp_t gfp[] = {GFP_KERNEL, GFP_NOWAIT, GFP_ATOMIC,
				    GFP_KERNEL | __GFP_THISNODE};

	*zero = fuzz_byte(in) & 1;
	return gfp[fuzz_below(in, 4)] | __GFP_NOWARN | (*zero ? __GFP_ZERO : 0);
}

static void take(struct fuzz_input *in)
{
	struct promise promise = {KN_PAGE_SIZE, false, -1};
	const gfp_t gfp = some_gfp(in, &promise.zero);
	const int nid = (int)fuzz_below(in, 4) - 1;

	if (gfp & __GFP_THISNODE)
		promise.node = nid;
	if (fuzz_byte(in) & 1) {
		const unsigned order = (unsigned)fuzz_below(in, 8);
		struct page *page = alloc_pages_node(nid, gfp, order);
		struct shadow *s;

		promise.align = KN_PAGE_SIZE << order;
		s = shadow_add(page ? page_address(page) : NULL,
			       KN_PAGE_SIZE << order, BLOCK, &promise);
		if (s)
			s->aux = order;
	} else {
		const size_t size = fuzz_size(in, 1 << 19);

		shadow_add(alloc_pages_exact_nid(nid, size, gfp), size, EXACT,
			   &promise);
	}
}

static void give(struct shadow *s)
{
	if (!s)
		return;
	if (s->kind == BLOCK)
		__free_pages(virt_to_page(s->at), s->aux);
	else
		free_pages_exact(s->at, s->size);
	shadow_drop(s);
}

void fuzz_one(struct fuzz_input *in)
{
	while (in->left) {
		const uint8_t what = fuzz_byte(in);

		if (what < 140 && !shadow_is_full())
			take(in);
		else if (what < 250)
			give(shadow_pick(in));
		else if (what < 253)
			knuma_trim();
		else
			FUZZ_CHECK(heap_is_sound());
	}
	while (shadow_nr())
		give(shadow_last());
	fuzz_heap_is_empty();
}

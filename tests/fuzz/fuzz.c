/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/slab.h>

#include "alloc/page/page_alloc.h"
#include "alloc/page/zone.h"
#include "alloc/slab/cache.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/span.h"
#include "tests/support/heap.h"

void fuzz_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

uint64_t fuzz_below(struct fuzz_input *in, uint64_t n)
{
	uint64_t value = 0;

	for (uint64_t room = n - 1; room; room >>= 8)
		value = value << 8 | fuzz_byte(in);
	return value % n;
}

size_t fuzz_size(struct fuzz_input *in, size_t most)
{
	const unsigned bits = 64 - (unsigned)__builtin_clzll(most);
	const size_t limit = (size_t)2 << fuzz_below(in, bits);

	return 1 + fuzz_below(in, limit < most ? limit : most);
}

size_t fuzz_text(struct fuzz_input *in, const char *const *words, char *text,
		 size_t most)
{
	unsigned nr = 0;
	size_t len = 0;

	while (words[nr])
		nr++;
	while (in->left) {
		const uint8_t byte = fuzz_byte(in);
		const char one[2] = {(char)byte, '\0'};
		const char *piece =
			byte < 128 ?
				one :
				words[(byte - 128u + 128u * fuzz_byte(in)) % nr];
		const size_t n = piece == one ? 1 : strlen(piece);

		if (len + n > most)
			break;
		memcpy(text + len, piece, n);
		len += n;
	}
	return len;
}

void fuzz_heap(void)
{
	conf("fake_nodes", "3");
	start_quiet();
	FUZZ_CHECK(kn_topo.nr_nodes == 3);
	/* What nobody expects is no news. */
	fuzz_heap_is_empty();
}

static struct shadow all[SHADOW_MOST];
static unsigned nr_all;
static uint64_t nr_ever;

unsigned shadow_nr(void)
{
	return nr_all;
}

bool shadow_is_full(void)
{
	return nr_all == SHADOW_MOST;
}

static bool overlaps(const unsigned char *at, size_t size)
{
	for (unsigned i = 0; i < nr_all; i++)
		if (at < all[i].at + all[i].size && all[i].at < at + size)
			return true;
	return false;
}

/* Of large memory only both ends: filling it would be all that is done. */
#define EDGE ((size_t)3000)

static size_t edge(size_t size)
{
	return size < EDGE ? size : EDGE;
}

struct shadow *shadow_add(void *p, size_t size, int kind,
			  const struct promise *promise)
{
	struct shadow *s = &all[nr_all];

	if (!p)
		return NULL;
	FUZZ_CHECK(!shadow_is_full());
	FUZZ_CHECK((uintptr_t)p % promise->align == 0);
	FUZZ_CHECK(kn_span_has(p) && kn_span_has((char *)p + size - 1));
	FUZZ_CHECK(kn_window_of(p) == kn_window_of((char *)p + size - 1));
	FUZZ_CHECK(promise->node < 0 ||
		   kn_topo.kernel_id[kn_window_of(p)] == promise->node);
	FUZZ_CHECK(!overlaps(p, size));
	FUZZ_CHECK(!promise->zero || all_bytes(p, size, 0));
	*s = (struct shadow){p, size, kind, 0, ++nr_ever * 0x9e3779b97f4a7c15};
	pattern_fill(s->at, edge(size), s->seed);
	pattern_fill(s->at + size - edge(size), edge(size), s->seed);
	nr_all++;
	return s;
}

bool shadow_holds(const struct shadow *s)
{
	/* Where both ends overlap, the second was written last. */
	return pattern_holds(s->at + s->size - edge(s->size), edge(s->size),
			     s->seed) &&
	       (s->size < 2 * EDGE || pattern_holds(s->at, EDGE, s->seed));
}

struct shadow *shadow_pick(struct fuzz_input *in)
{
	struct shadow *s;

	if (!nr_all)
		return NULL;
	s = &all[fuzz_below(in, nr_all)];
	FUZZ_CHECK(shadow_holds(s));
	return s;
}

struct shadow *shadow_last(void)
{
	if (!nr_all)
		return NULL;
	FUZZ_CHECK(shadow_holds(&all[nr_all - 1]));
	return &all[nr_all - 1];
}

void shadow_drop(struct shadow *s)
{
	*s = all[--nr_all];
}

static void keep(struct kmem_cache *s, void *list)
{
	struct kmem_cache ***at = list;

	*(*at)++ = s;
}

void fuzz_heap_is_empty(void)
{
	struct kmem_cache *caches[KN_NR_IDS], **end = caches;

	FUZZ_CHECK(!nr_all);
	kn_cache_each(keep, &end);
	for (struct kmem_cache **s = caches; s < end; s++) {
		kmem_cache_shrink(*s);
		for (int node = 0; node < kn_topo.nr_nodes; node++)
			FUZZ_CHECK(!kn_slab_in_use(*s, node));
	}
	FUZZ_CHECK(!kn_vmap_used_bytes());
	/* Out of the page lists of CPUs: all of a node is on its free lists. */
	kn_page_trim(0, true);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		FUZZ_CHECK(kn_zones[node].managed == kn_zones[node].nr_free);
	FUZZ_CHECK(heap_is_sound());
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/magazine/depot.h"

#include "alloc/base/assert.h"
#include "alloc/stats/stats.h"
#include "numa/span.h"

/* At most so many chunks at a time: 256 KiB, which are faulted in. */
#define MOST_CHUNKS 16

static struct {
	ck_stack_t stack __attribute__((aligned(16)));
	uint32_t lacked; /* by frees, and not made since; a hint */
} kn_cacheline empty[KN_MAX_NODES];

/* One empty block for threads of a stripe: a line that is theirs, mostly. */
static struct {
	struct kn_block *block;
} kn_cacheline spare[KN_MAX_NODES][KN_STAT_STRIPES];

static uint64_t nr_chunks;

static struct kn_block *block_of(ck_stack_entry_t *link)
{
	return kn_container_of(link, struct kn_block, link);
}

void kn_depot_put(struct kn_depot *d, struct kn_block *b)
{
	KN_ASSERT(b->nr && b->nr <= KN_BATCH_MAX);
	ck_stack_push_mpmc(&d->full, &b->link);
	ck_pr_inc_32(&d->nr_full);
}

struct kn_block *kn_depot_get(struct kn_depot *d, uint32_t keep)
{
	ck_stack_entry_t *link;
	uint32_t left;

	if (!ck_pr_load_ptr(&d->full.head))
		return NULL;
	if (keep && kn_load(&d->nr_full) <= keep)
		return NULL;
	link = ck_stack_pop_mpmc(&d->full);
	if (!link)
		return NULL;
	left = ck_pr_faa_32(&d->nr_full, (uint32_t)-1) - 1;
	if ((int32_t)left < (int32_t)kn_load(&d->least))
		kn_store(&d->least, left);
	return block_of(link);
}

/* Makes blocks; the first is the result, the rest goes on the empty stack. */
static struct kn_block *make_blocks(int node, uint32_t chunks)
{
	const uint32_t nr = chunks * KN_CHUNK_BLOCKS;
	struct kn_block *b = kn_meta_alloc(nr * sizeof(*b), node);

	if (!b)
		return NULL;
	kn_count(&nr_chunks, chunks);
	/* Release; pairs with the acquire in kn_block_nr(). */
	for (uint32_t i = 0; i < nr; i++)
		kn_store_release(&b[i].nr, (uint64_t)0);
	for (uint32_t i = 1; i < nr; i++)
		kn_block_put(node, &b[i]);
	return b;
}

static struct kn_block *take_spare(int node, uint32_t stripe)
{
	struct kn_block **at = &spare[node][stripe].block;

	return kn_load(at) ? ck_pr_fas_ptr(at, NULL) : NULL;
}

struct kn_block *kn_block_get(int node, bool may_block)
{
	const uint32_t own = kn_thread_stripe();
	struct kn_block *b = take_spare(node, own);
	ck_stack_entry_t *link;

	if (b)
		return b;
	link = ck_stack_pop_mpmc(&empty[node].stack);
	if (link)
		return block_of(link);
	for (uint32_t i = 1; i < KN_STAT_STRIPES && !b; i++)
		b = take_spare(node, (own + i) % KN_STAT_STRIPES);
	return !b && may_block ? make_blocks(node, 1) : b;
}

void kn_block_lacked(int node, uint32_t room)
{
	const uint32_t lacked = kn_load(&empty[node].lacked);

	if (lacked < room)
		kn_store(&empty[node].lacked, lacked + 1);
}

void kn_block_stock(int node)
{
	const uint32_t lacked = kn_load(&empty[node].lacked);
	const uint32_t chunks =
		KN_MIN(lacked / KN_CHUNK_BLOCKS + 1, (uint32_t)MOST_CHUNKS);
	struct kn_block *b;

	if (likely(!lacked && ck_pr_load_ptr(&empty[node].stack.head)))
		return;
	kn_store(&empty[node].lacked,
		 lacked - KN_MIN(lacked, chunks * KN_CHUNK_BLOCKS));
	b = make_blocks(node, chunks);
	if (!b && chunks > 1)
		b = make_blocks(node, 1);
	if (b)
		kn_block_put(node, b);
}

void kn_block_put(int node, struct kn_block *b)
{
	struct kn_block **own = &spare[node][kn_thread_stripe()].block;

	if (!kn_load(own) && ck_pr_cas_ptr(own, NULL, b)) {
		/* Soon to be written, and other processors have read it. */
		for (size_t at = 0; at < sizeof(*b); at += 64)
			kn_prefetch_write((const char *)b + at);
		return;
	}
	ck_stack_push_mpmc(&empty[node].stack, &b->link);
}

uint64_t kn_block_bytes(void)
{
	return kn_load(&nr_chunks) * KN_CHUNK_BLOCKS * sizeof(struct kn_block);
}

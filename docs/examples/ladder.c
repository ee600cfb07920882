/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ladder.c - several resources, and the goto ladder that gives them back
 *
 * What it teaches:
 *   - Each step that may fail jumps to the label that undoes the steps before
 *     it; the labels stand in reverse order and fall through.
 *   - The function returns 0 or a negative errno, and leaves nothing behind
 *     when it fails.
 *   - What is freed by its size (pages) or by its kind (vmalloc) is freed so.
 *   - __GFP_NOWARN, for a caller that deals with the failure itself.
 */
#define pr_fmt(fmt) "ladder: " fmt

#include <knuma/linux/kernel.h>
#include <knuma/linux/mm.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/vmalloc.h>

#include "docs/examples/example.h"

#define QUIET (GFP_KERNEL | __GFP_NOWARN)

struct desc {
	u64 addr;
	u32 len;
	u32 flags;
};

struct ring {
	struct desc *descs;
	void *buffers;
	size_t buffer_bytes;
	struct page *doorbell;
	void *log;
};

static int ring_init(struct ring *r, size_t nr_descs, size_t buffer_bytes,
		     unsigned int doorbell_order, unsigned long log_bytes)
{
	int err = -ENOMEM;

	r->descs = kcalloc(nr_descs, sizeof(*r->descs), QUIET);
	if (!r->descs)
		goto out;

	r->buffer_bytes = buffer_bytes;
	r->buffers = alloc_pages_exact(buffer_bytes, QUIET);
	if (!r->buffers)
		goto free_descs;

	r->doorbell = alloc_pages(QUIET | __GFP_ZERO, doorbell_order);
	if (!r->doorbell)
		goto free_buffers;

	r->log = __vmalloc(log_bytes, QUIET | __GFP_ZERO);
	if (!r->log)
		goto free_doorbell;

	return 0;

free_doorbell:
	__free_pages(r->doorbell, doorbell_order);
free_buffers:
	free_pages_exact(r->buffers, r->buffer_bytes);
free_descs:
	kfree(r->descs);
out:
	return err;
}

static void ring_exit(struct ring *r, unsigned int doorbell_order)
{
	vfree(r->log);
	__free_pages(r->doorbell, doorbell_order);
	free_pages_exact(r->buffers, r->buffer_bytes);
	kfree(r->descs);
}

int main(void)
{
	const unsigned long areas = vmalloc_nr_pages();
	struct ring r;

	/* Each of the four steps fails once: it asks for too much. */
	expect(ring_init(&r, SIZE_MAX, 100000, 0, 1 << 20) == -ENOMEM);
	pr_info("step 1 failed, 0 steps undone\n");
	expect(ring_init(&r, 256, KMALLOC_MAX_SIZE + 1, 0, 1 << 20) == -ENOMEM);
	pr_info("step 2 failed, 1 step undone\n");
	expect(ring_init(&r, 256, 100000, MAX_PAGE_ORDER + 1, 1 << 20) ==
	       -ENOMEM);
	pr_info("step 3 failed, 2 steps undone\n");
	expect(ring_init(&r, 256, 100000, 0, LONG_MAX) == -ENOMEM);
	pr_info("step 4 failed, 3 steps undone\n");
	expect(vmalloc_nr_pages() == areas);

	expect(ring_init(&r, 256, 100000, 0, 1 << 20) == 0);
	expect(vmalloc_nr_pages() > areas);
	pr_info("all four steps done\n");
	ring_exit(&r, 0);
	expect(vmalloc_nr_pages() == areas);
	return 0;
}

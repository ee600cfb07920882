/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/debug_report.c - what was found, in the kernel's words */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "alloc/base/assert.h"
#include "alloc/base/print.h"
#include "alloc/config/tunables.h"
#include "alloc/slab/debug.h"
#include "alloc/stats/stats.h"

/* A program's own; <knuma/slab.h>. */
#pragma weak slab_add_kunit_errors

bool kn_report_counted(void)
{
	return slab_add_kunit_errors && slab_add_kunit_errors();
}

bool kn_report_begin(const struct kmem_cache *s, const char *fmt, ...)
{
	char what[256], title[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	kn_stat_add(KN_STAT_debug_reports, 1);
	if (kn_report_counted())
		return false;
	snprintf(title, sizeof(title), "%s: %s", s->name, what);
	if (kn_bug_hook) {
		kn_bug_hook(title);
		return false;
	}
	kn_print("============================================================="
		 "================");
	kn_print("BUG %s", title);
	kn_print("-------------------------------------------------------------"
		 "----------------");
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void print_track(const char *what, const struct kn_track *track)
{
	struct kn_stack stack = track->stack;
	char name[200] = "?";

	if (!track->when_ms)
		return;
	stack.nr = KN_MIN(stack.nr, (uint32_t)KN_STACK_DEPTH);
	if (stack.nr)
		kn_stack_name(stack.pc[0], name, sizeof(name));
	kn_print("%s in %s age=%llu cpu=%d pid=%d", what, name,
		 (unsigned long long)(now_ms() - track->when_ms), track->cpu,
		 track->thread);
	kn_stack_print(&stack);
}

void kn_report_tracks(const struct kmem_cache *s, const void *obj)
{
	const struct kn_tail *tail = kn_debug_tail(s, obj);

	if (!kn_debug_layout(s) || !(kn_load(&s->flags) & SLAB_STORE_USER))
		return;
	print_track("Allocated", &tail->allocated);
	print_track("Freed", &tail->freed);
}

/* As the kernel's print_hex_dump() with addresses, 16 bytes a line. */
static void dump(const char *name, const void *from, size_t n)
{
	const uint8_t *p = from;

	for (size_t at = 0; at < n; at += 16) {
		const size_t nr = KN_MIN(n - at, 16);
		char hex[16 * 3 + 1] = "", text[17] = "";

		for (size_t i = 0; i < nr; i++) {
			const uint8_t c = p[at + i];

			snprintf(hex + i * 3, 4, "%02x ", c);
			text[i] = c >= ' ' && c < 0x7f ? (char)c : '.';
		}
		kn_print("%-9s%p: %-48s %s", name, (const void *)(p + at), hex,
			 text);
	}
}

void kn_report_object(const struct kmem_cache *s, const void *obj)
{
	const uint32_t flags = kn_load(&s->flags);
	const struct page *head = kn_slab_head(s, obj);
	const char *const slab = kn_page_addr(head), *const p = obj;
	const size_t end = s->size - s->red_left;
	uint32_t nr_free = 0;

	for (uint32_t w = 0; w < 4; w++)
		nr_free += (uint32_t)__builtin_popcountll(
			kn_load(&head->free_map[w]));
	kn_report_tracks(s, obj);
	kn_print("Slab %p objects=%u used=%u node=%d", (const void *)slab,
		 s->nr_objects, s->nr_objects - nr_free,
		 kn_topo.kernel_id[kn_window_of(obj)]);
	kn_print("Object %p @offset=%td", obj, p - slab);
	if (flags & SLAB_RED_ZONE && s->red_left)
		dump("Redzone", p - KN_MIN(s->red_left, 64u),
		     KN_MIN(s->red_left, 64u));
	else if (p - slab >= 16)
		dump("Bytes b4", p - 16, 16);
	dump("Object", p, KN_MIN(s->object_size, (uint32_t)KN_PAGE_SIZE));
	if (flags & SLAB_RED_ZONE && s->inuse > s->object_size)
		dump("Redzone", p + s->object_size, s->inuse - s->object_size);
	if (flags & SLAB_POISON && s->tail && s->tail_end < end)
		dump("Padding", p + s->tail_end,
		     KN_MIN(end - s->tail_end, (size_t)64));
}

void kn_report_fix(const struct kmem_cache *s, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	kn_stat_add(KN_STAT_debug_repairs, 1);
	if (kn_report_counted() || kn_bug_hook)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	kn_print("FIX %s: %s", s->name, what);
}

void kn_report_end(bool printed)
{
	if (printed && kn_load(&kn_tun.slab_debug_abort))
		abort();
}

void kn_report_trace(const struct kmem_cache *s, const void *obj, bool alloc)
{
	const struct page *head = kn_slab_head(s, obj);
	struct kn_stack stack;
	uint32_t nr_free = 0;

	for (uint32_t w = 0; w < 4; w++)
		nr_free += (uint32_t)__builtin_popcountll(
			kn_load(&head->free_map[w]));
	kn_print("TRACE %s %s %p inuse=%u", s->name, alloc ? "alloc" : "free",
		 obj, s->nr_objects - nr_free);
	if (!alloc)
		dump("Object", obj, KN_MIN(s->object_size, 64u));
	kn_stack_recall(&stack);
	kn_stack_print(&stack);
}

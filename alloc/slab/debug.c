/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/debug.h"

#include <string.h>
#include <time.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/print.h"
#include "alloc/config/slab_debug.h"
#include "alloc/config/tunables.h"
#include "alloc/slab/poison.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"

/* B2: a mark that random bytes do not have, a number, what it is. */
enum {
	CORRUPT,
	INACTIVE,
	ACTIVE,
	MOVING
};
#define STATE_MARK	0x6b5a0000u
#define STATE_OF(word)	((word) >> 16 == STATE_MARK >> 16 ? (word)&3 : CORRUPT)
#define STATE_NUMBER(w) (((w) + 4) & 0xfffc)

static uint32_t state_word(uint32_t before, uint32_t state)
{
	return STATE_MARK | STATE_NUMBER(before) | state;
}

static void set_state(struct kn_tail *tail, uint32_t state)
{
	kn_store_release(&tail->state,
			 state_word(kn_load(&tail->state), state));
}

/* Flags and layout. */

/* What readers may look at, and what is constructed, is not written. */
static bool poisons_objects(const struct kmem_cache *s)
{
	return s->poison_objects;
}

static bool knows_requests(const struct kmem_cache *s)
{
	const uint32_t both = SLAB_STORE_USER | SLAB_KMALLOC;

	return (kn_load(&s->flags) & both) == both;
}

static uint32_t place_of(struct kmem_cache *s, uint32_t flags, uint32_t size,
			 uint32_t align)
{
	const uint32_t zone = flags & SLAB_RED_ZONE ? 8 : 0;
	const uint32_t tail = flags & SLAB_STORE_USER ?
				      sizeof(struct kn_tail) :
				      offsetof(struct kn_tail, allocated);

	s->red_left = zone ? KN_ALIGN_UP(zone, align) : 0;
	s->inuse = KN_ALIGN_UP(size + zone, 8u);
	s->tail = s->inuse;
	s->tail_end = s->tail + tail;
	return KN_ALIGN_UP(s->red_left + s->tail_end, KN_MAX(align, 8u));
}

static uint32_t order_of(uint64_t size)
{
	return kn_log2_up(
		(uint32_t)((size + KN_PAGE_SIZE - 1) >> KN_PAGE_SHIFT));
}

uint32_t kn_debug_flags(const char *spec, const char *name, uint32_t flags,
			uint32_t size, uint32_t align)
{
	struct kn_slab_debug debug = {0, false};
	struct kmem_cache draft = {0};
	uint32_t order;

	if (!(flags & SLAB_NO_USER_FLAGS) &&
	    !kn_slab_debug_parse(spec, name, &debug)) {
		if (flags & SLAB_NOLEAKTRACE)
			debug.flags &= ~SLAB_STORE_USER;
		flags |= debug.flags;
	}
	if (kn_tun.check)
		flags |= SLAB_CONSISTENCY_CHECKS;
	if (!(flags & KN_DEBUG_LAYOUT))
		return flags;
	order = order_of(place_of(&draft, flags, size, align));
	if (order > KMALLOC_MAX_ORDER ||
	    (debug.order_counts && order > order_of(size)))
		flags &= ~KN_DEBUG_LAYOUT;
	return flags;
}

uint32_t kn_debug_lay_out(struct kmem_cache *s)
{
	s->red_left = s->tail = s->tail_end = 0;
	s->inuse = s->object_size;
	s->poison_objects = s->flags & SLAB_POISON && !s->ctor &&
			    !(s->flags & SLAB_TYPESAFE_BY_RCU);
	if (!(s->flags & KN_DEBUG_LAYOUT))
		return 0;
	return place_of(s, s->flags, s->object_size, s->align);
}

/* The bytes of a place. */

static void fill(const struct kmem_cache *s, char *obj, bool active,
		 uint32_t requested)
{
	const int red = active ? KN_RED_ACTIVE : KN_RED_INACTIVE;
	uint32_t used = s->object_size;

	if (kn_load(&s->flags) & SLAB_RED_ZONE) {
		used = active ? requested : s->object_size;
		memset(obj - s->red_left, red, s->red_left);
		memset(obj + used, red, s->inuse - used);
	}
	if (!poisons_objects(s))
		return;
	if (active) {
		memset(obj, KN_POISON_INUSE, used);
		return;
	}
	memset(obj, KN_POISON_FREE, used - 1);
	obj[used - 1] = (char)KN_POISON_END;
}

void kn_debug_new_slab(const struct kmem_cache *s, struct page *head)
{
	char *const slab = kn_page_addr(head);

	if (kn_load(&s->flags) & SLAB_POISON)
		memset(slab, KN_POISON_INUSE, KN_PAGE_SIZE << s->order);
	for (uint32_t i = 0; i < s->nr_objects; i++) {
		char *obj = kn_slab_object(s, head, i);
		struct kn_tail *tail = kn_debug_tail(s, obj);

		memset(tail, 0, s->tail_end - s->tail);
		tail->state = state_word(0, INACTIVE);
		tail->requested = s->object_size;
		fill(s, obj, false, s->object_size);
	}
}

/* A part of a place whose bytes are known. */
struct part {
	const char *what;
	uint8_t *start;
	size_t nr;
	uint8_t value;
};
#define NR_PARTS 7

/* The @i-th part of the place of @obj, empty when the cache has it not. */
static struct part part_of(const struct kmem_cache *s, uint8_t *obj,
			   bool active, int i)
{
	const uint8_t red = active ? KN_RED_ACTIVE : KN_RED_INACTIVE;
	const bool has_red = kn_load(&s->flags) & SLAB_RED_ZONE;
	const bool poison = kn_load(&s->flags) & SLAB_POISON;
	const bool content = poisons_objects(s) && !active;
	const uint32_t size = s->object_size;
	uint8_t *const behind = obj + size;
	uint32_t requested = size;

	if (active && has_red && knows_requests(s))
		requested = kn_debug_requested(s, obj);
	switch (i) {
	case 0:
		return (struct part){"Left Redzone", obj - s->red_left,
				     s->red_left, red};
	case 1:
		return (struct part){"Right Redzone", behind,
				     has_red ? s->inuse - size : 0, red};
	case 2:
		return (struct part){"kmalloc Redzone", obj + requested,
				     size - requested, red};
	case 3:
		return (struct part){"Alignment padding", behind,
				     poison && !has_red ? s->inuse - size : 0,
				     KN_POISON_INUSE};
	case 4:
		return (struct part){"Poison", obj, content ? size - 1 : 0,
				     KN_POISON_FREE};
	case 5:
		return (struct part){"End Poison", behind - 1, content,
				     KN_POISON_END};
	default:
		return (struct part){
			"Object padding", obj + s->tail_end,
			poison ? s->size - s->red_left - s->tail_end : 0,
			KN_POISON_INUSE};
	}
}

/* Narrows @part to its bytes that are wrong.  False when all are right. */
static bool narrow(struct part *part)
{
	uint8_t *p = part->start, *end = p + part->nr;

	while (p < end && *p == part->value)
		p++;
	while (end > p && end[-1] == part->value)
		end--;
	part->start = p;
	part->nr = (size_t)(end - p);
	return part->nr != 0;
}

/* The first part from *@i on with wrong bytes. */
static bool find_bad(const struct kmem_cache *s, void *obj, bool active, int *i,
		     struct part *bad)
{
	for (; *i < NR_PARTS; ++*i) {
		*bad = part_of(s, obj, active, *i);
		if (bad->nr && narrow(bad))
			return true;
	}
	return false;
}

static void report_part(const struct kmem_cache *s, void *obj,
			const struct part *bad)
{
	const char *slab = kn_page_addr(kn_slab_head(s, obj));
	uint8_t *const last = bad->start + bad->nr - 1;
	const bool printed = kn_report_begin(s, "%s overwritten", bad->what);

	if (printed) {
		kn_print("%p-%p @offset=%td. First byte 0x%x instead of 0x%x",
			 (void *)bad->start, (void *)last,
			 (char *)bad->start - slab, bad->start[0], bad->value);
		kn_report_object(s, obj);
	}
	kn_report_fix(s, "Restoring %s %p-%p=0x%x", bad->what,
		      (void *)bad->start, (void *)last, bad->value);
	memset(bad->start, bad->value, bad->nr);
	kn_report_end(printed);
}

static uint64_t report_state(const struct kmem_cache *s, void *obj,
			     uint32_t state)
{
	struct kn_tail *tail = kn_debug_tail(s, obj);
	bool printed;

	if (STATE_OF(kn_load(&tail->state)) != CORRUPT)
		return 0;
	printed = kn_report_begin(s, "Object state overwritten");
	if (printed)
		kn_report_object(s, obj);
	kn_report_fix(s, "Restoring object state %p", (void *)&tail->state);
	tail->requested = KN_MIN(tail->requested, s->object_size);
	set_state(tail, state);
	kn_report_end(printed);
	return 1;
}

static kn_always_inline bool all_are(const uint8_t *p, size_t n, uint8_t value)
{
	const uint64_t word = value * UINT64_C(0x0101010101010101);
	uint64_t first;

	if (n < sizeof(word)) {
		while (n && p[n - 1] == value)
			n--;
		return !n;
	}
	memcpy(&first, p, sizeof(first));
	return first == word && !memcmp(p, p + sizeof(word), n - sizeof(word));
}

/* Whether find_bad() would find nothing; as most of the time. */
static bool is_right(const struct kmem_cache *s, const uint8_t *obj,
		     bool active)
{
	const uint8_t red = active ? KN_RED_ACTIVE : KN_RED_INACTIVE;
	const uint32_t size = s->object_size;
	uint32_t from = size;

	if (kn_load(&s->flags) & SLAB_RED_ZONE) {
		if (active && knows_requests(s))
			from = kn_debug_requested(s, obj);
		if (!all_are(obj - s->red_left, s->red_left, red) ||
		    !all_are(obj + from, s->inuse - from, red))
			return false;
	}
	if (!(kn_load(&s->flags) & SLAB_POISON))
		return true;
	if (!(kn_load(&s->flags) & SLAB_RED_ZONE) &&
	    !all_are(obj + size, s->inuse - size, KN_POISON_INUSE))
		return false;
	if (!active && poisons_objects(s) &&
	    (!all_are(obj, size - 1, KN_POISON_FREE) ||
	     obj[size - 1] != KN_POISON_END))
		return false;
	return all_are(obj + s->tail_end, s->size - s->red_left - s->tail_end,
		       KN_POISON_INUSE);
}

static kn_slow uint64_t check_slow(const struct kmem_cache *s, void *obj,
				   bool active)
{
	uint64_t found = report_state(s, obj, active ? ACTIVE : INACTIVE);
	struct part bad;

	for (int i = 0; find_bad(s, obj, active, &i, &bad); i++) {
		report_part(s, obj, &bad);
		found++;
	}
	return found;
}

/* Looks at an object that nobody else may change; how much was wrong. */
static uint64_t check_object(const struct kmem_cache *s, void *obj, bool active)
{
	const uint32_t state = kn_load(&kn_debug_tail(s, obj)->state);

	if (likely(STATE_OF(state) != CORRUPT && is_right(s, obj, active)))
		return 0;
	return check_slow(s, obj, active);
}

/* Allocation and free. */

static void track(struct kn_track *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	t->when_ms =
		(uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	t->thread = kn_thread_id();
	t->cpu = KN_MAX(kn_machine.getcpu(), -1);
	kn_stack_recall(&t->stack);
}

void kn_debug_alloc(struct kmem_cache *s, void *obj, size_t size)
{
	struct kn_tail *tail = kn_debug_tail(s, obj);

	if (kn_debug_layout(s)) {
		check_object(s, obj, false);
		tail->requested = knows_requests(s) ? (uint32_t)size :
						      s->object_size;
		if (kn_load(&s->flags) & SLAB_STORE_USER)
			track(&tail->allocated);
		fill(s, obj, true, tail->requested);
		set_state(tail, ACTIVE);
	}
	if (kn_load(&s->flags) & SLAB_TRACE)
		kn_report_trace(s, obj, true);
}

static bool not_freed(const struct kmem_cache *s, void *obj, bool printed)
{
	kn_report_fix(s, "Object at %p not freed", obj);
	kn_report_end(printed);
	return false;
}

static kn_slow bool invalid_pointer(const struct kmem_cache *s, void *obj)
{
	kn_stat_add(KN_STAT_invalid_free, 1);
	return not_freed(s, obj,
			 kn_report_begin(s, "Invalid object pointer %p", obj));
}

static kn_slow bool already_free(const struct kmem_cache *s, void *obj)
{
	bool printed;

	kn_stat_add(KN_STAT_double_free, 1);
	printed = kn_report_begin(s, "Object already free");
	if (printed) {
		struct kn_stack stack;

		kn_report_object(s, obj);
		kn_print("Freed again in");
		kn_stack_recall(&stack);
		kn_stack_print(&stack);
	}
	return not_freed(s, obj, printed);
}

/* B3 */
static bool begin_free(struct kmem_cache *s, void *obj)
{
	struct kn_tail *tail = kn_debug_tail(s, obj);
	uint32_t word = kn_load(&tail->state);

	if (unlikely(report_state(s, obj, ACTIVE)))
		word = kn_load(&tail->state);
	return STATE_OF(word) == ACTIVE &&
	       ck_pr_cas_32(&tail->state, word, state_word(word, MOVING));
}

bool kn_debug_free(struct kmem_cache *s, struct page *head, void *obj)
{
	const uint32_t flags = kn_load(&s->flags);
	struct kn_tail *tail = kn_debug_tail(s, obj);

	if (!kn_slab_is_object(s, head, obj))
		return invalid_pointer(s, obj);
	if (kn_debug_is_free(s, head, obj) ||
	    (kn_debug_layout(s) && !begin_free(s, obj)))
		return already_free(s, obj);
	if (kn_debug_layout(s) && check_object(s, obj, true) &&
	    flags & SLAB_CONSISTENCY_CHECKS) {
		set_state(tail, ACTIVE);
		return not_freed(s, obj, true);
	}
	if (flags & SLAB_TRACE)
		kn_report_trace(s, obj, false);
	if (kn_debug_layout(s)) {
		if (flags & SLAB_STORE_USER)
			track(&tail->freed);
		fill(s, obj, false, s->object_size);
		set_state(tail, INACTIVE);
	}
	return true;
}

/* xorshift: of a failure here and there nothing more is asked. */
static uint32_t random_percent(void)
{
	static uint32_t seed = 2463534242u;
	uint32_t x = kn_load(&seed);

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	kn_store(&seed, x);
	return x % 100;
}

bool kn_debug_fails(const struct kmem_cache *s, gfp_t gfp)
{
	static uint32_t calls;

	if (likely(!(kn_load(&s->flags) & SLAB_FAILSLAB)) || gfp & __GFP_NOFAIL)
		return false;
	if ((ck_pr_faa_32(&calls, 1) + 1) % kn_load(&kn_tun.failslab_interval))
		return false;
	if (random_percent() >= kn_load(&kn_tun.failslab_probability))
		return false;
	kn_stat_add(KN_STAT_failslab, 1);
	return true;
}

uint32_t kn_debug_requested(const struct kmem_cache *s, const void *obj)
{
	if (!kn_debug_layout(s))
		return s->object_size;
	return KN_MIN(kn_debug_tail(s, obj)->requested, s->object_size);
}

void kn_debug_resize(const struct kmem_cache *s, void *obj, size_t size)
{
	struct kn_tail *tail = kn_debug_tail(s, obj);

	if (!kn_debug_layout(s) || !knows_requests(s))
		return;
	tail->requested = (uint32_t)size;
	if (kn_load(&s->flags) & SLAB_RED_ZONE)
		memset((char *)obj + size, KN_RED_ACTIVE,
		       s->object_size - size);
}

/* validate_slab_cache() */

/* Whether an object that is free has bytes that it should not have. */
static bool is_bad(const struct kmem_cache *s, void *obj)
{
	struct part bad;
	int i = 0;

	return STATE_OF(kn_load(&kn_debug_tail(s, obj)->state)) == CORRUPT ||
	       (!is_right(s, obj, false) && find_bad(s, obj, false, &i, &bad));
}

bool kn_debug_is_evidence(const struct kmem_cache *s, const struct page *head)
{
	for (uint32_t i = 0; i < s->nr_objects; i++)
		if (is_bad(s, kn_slab_object(s, head, i)))
			return true;
	return false;
}

/*
 * Looks at an object in use while its owner may free it, B2.  What it finds is
 * reported and repaired only if that has not happened.
 */
static uint64_t check_in_use(const struct kmem_cache *s, void *obj)
{
	const struct kn_tail *tail = kn_debug_tail(s, obj);
	uint64_t found = report_state(s, obj, ACTIVE);
	const uint32_t word = kn_load_acquire(&tail->state);
	struct part bad;

	if (STATE_OF(word) != ACTIVE)
		return found;
	for (int i = 0; find_bad(s, obj, true, &i, &bad); i++) {
		ck_pr_fence_load();
		if (kn_load(&tail->state) != word)
			return found;
		report_part(s, obj, &bad);
		found++;
	}
	return found;
}

/* The rest of a slab, behind its last place. */
static uint64_t check_rest(const struct kmem_cache *s, const struct page *head)
{
	uint8_t *const slab = kn_page_addr(head);
	const size_t used = (size_t)s->nr_objects * s->size;
	struct part bad = {"slab padding", slab + used,
			   (KN_PAGE_SIZE << s->order) - used, KN_POISON_INUSE};
	bool printed;

	if (!(kn_load(&s->flags) & SLAB_POISON) || !bad.nr || !narrow(&bad))
		return 0;
	printed = kn_report_begin(s, "Padding overwritten. %p-%p @offset=%td",
				  (void *)bad.start,
				  (void *)(bad.start + bad.nr - 1),
				  bad.start - slab);
	kn_report_fix(s, "Restoring %s %p-%p=0x%x", bad.what, (void *)bad.start,
		      (void *)(bad.start + bad.nr - 1), bad.value);
	memset(bad.start, bad.value, bad.nr);
	kn_report_end(printed);
	return 1;
}

/* A slab that is pinned. */
static void check_slab(struct kmem_cache *s, struct page *head, void *found)
{
	uint64_t n = check_rest(s, head);

	for (uint32_t i = 0; i < s->nr_objects; i++) {
		void *const obj = kn_slab_object(s, head, i);

		/* A free object that is bad is nobody else's while it is mended. */
		if (kn_slab_take_if(s, head, i, is_bad)) {
			n += check_object(s, obj, false);
			kn_slab_put_back(s, head, obj);
		} else if (!kn_debug_is_free(s, head, obj)) {
			n += check_in_use(s, obj);
		}
	}
	*(uint64_t *)found += n;
}

/* A free sets its bit before it counts it: looked at again after a moment. */
#define VERIFY_TRIES  20
#define VERIFY_NAP_NS 2000000

static uint64_t check_counts(struct kmem_cache *s)
{
	const struct timespec nap = {.tv_nsec = VERIFY_NAP_NS};
	char buf[512] = "";
	struct kn_text found = {buf, sizeof(buf), 0};
	bool sound = false;

	for (int i = 0; i < VERIFY_TRIES && !sound; i++) {
		if (i)
			nanosleep(&nap, NULL);
		found.len = 0;
		kn_print_into = &found;
		sound = kn_slab_verify(s);
		kn_print_into = NULL;
	}
	if (sound)
		return 0;
	kn_report_end(kn_report_begin(s, "Wrong object count. %s", buf));
	return 1;
}

/* One validation at a time: pins do not count. */
static uint32_t busy;

void kn_debug_reset(void)
{
	kn_store(&busy, 0);
}

uint64_t kn_debug_validate(struct kmem_cache *s)
{
	uint64_t found = 0;

	while (!ck_pr_cas_32(&busy, 0, 1))
		kn_wait_clear(&busy);
	if (kn_debug_layout(s))
		kn_slab_each_pinned(s, check_slab, &found);
	found += check_counts(s);
	kn_store_release(&busy, 0);
	return found;
}

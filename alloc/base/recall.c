/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/recall.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <unwind.h>

#include "alloc/base/atomic.h"

/* Frames of the library itself are among those that are walked. */
#define FRAMES	(KN_STACK_DEPTH + 8)
#define BUCKETS 512
#define WAYS	8

/* Return addresses stand below the caller's frame; elsewhere they are saved. */
#ifdef __x86_64__
#define RETURNS_ON_STACK true
#else
#define RETURNS_ON_STACK false
#endif

struct walk {
	uintptr_t sp; /* of the frame to begin with */
	uint32_t nr;
	bool on_stack;	     /* all are where `at` says */
	uint32_t at[FRAMES]; /* from sp: just above the return address */
	uintptr_t pc[FRAMES];
};

static struct entry {
	uint32_t seq; /* 0: never written; odd: being written */
	uint32_t nr;
	uintptr_t sp;
	uint32_t at[FRAMES];
	uintptr_t pc[FRAMES];
} table[BUCKETS][WAYS];
static uint32_t next_way[BUCKETS];

/* The stack is read outside of what C says there is. */
#define STACK_READER __attribute__((no_sanitize("address")))

STACK_READER static uintptr_t return_address(uintptr_t sp, uint32_t at)
{
	return *(const volatile uintptr_t *)(sp + at - sizeof(uintptr_t));
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *ctx, void *arg)
{
	struct walk *w = arg;
	const uintptr_t pc = _Unwind_GetIP(ctx), cfa = _Unwind_GetCFA(ctx);

	if (!pc)
		return _URC_END_OF_STACK;
	if (!w->nr && cfa != w->sp)
		return _URC_NO_REASON;
	w->at[w->nr] = (uint32_t)(cfa - w->sp);
	w->pc[w->nr] = pc;
	w->on_stack = w->on_stack && cfa - w->sp < UINT32_MAX / 2 &&
		      (!w->nr || w->at[w->nr] > w->at[w->nr - 1]) &&
		      return_address(w->sp, w->at[w->nr]) == pc;
	w->nr++;
	return w->nr < FRAMES ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void copy(struct walk *w, const struct entry *e)
{
	w->nr = KN_MIN(kn_load(&e->nr), (uint32_t)FRAMES);
	for (uint32_t i = 0; i < w->nr; i++) {
		w->at[i] = kn_load(&e->at[i]);
		w->pc[i] = kn_load(&e->pc[i]);
	}
}

static bool still_there(const struct walk *w)
{
	for (uint32_t i = 0; i < w->nr; i++)
		if (return_address(w->sp, w->at[i]) != w->pc[i])
			return false;
	return true;
}

static bool find(const struct entry *bucket, struct walk *w)
{
	for (int i = 0; i < WAYS; i++) {
		const struct entry *e = &bucket[i];
		const uint32_t seq = kn_load_acquire(&e->seq);

		if (!seq || seq & 1 || kn_load(&e->sp) != w->sp)
			continue;
		copy(w, e);
		ck_pr_fence_load();
		if (kn_load(&e->seq) == seq && still_there(w))
			return true;
	}
	return false;
}

static void keep(struct entry *e, const struct walk *w)
{
	const uint32_t seq = kn_load(&e->seq);

	/* Somebody else keeps something there, or is interrupted at it. */
	if (seq & 1 || !ck_pr_cas_32(&e->seq, seq, seq + 1))
		return;
	kn_store(&e->sp, w->sp);
	kn_store(&e->nr, w->nr);
	for (uint32_t i = 0; i < w->nr; i++) {
		kn_store(&e->at[i], w->at[i]);
		kn_store(&e->pc[i], w->pc[i]);
	}
	kn_store_release(&e->seq, seq + 2 ? seq + 2 : 2);
}

static uint32_t bucket_of(uintptr_t sp)
{
	return (uint32_t)(sp >> 4 ^ sp >> 13) % BUCKETS;
}

static void walk_or_recall(struct walk *w)
{
	const uint32_t b = bucket_of(w->sp);
	uint32_t way;

	if (RETURNS_ON_STACK && find(table[b], w))
		return;
	w->nr = 0;
	w->on_stack = RETURNS_ON_STACK;
	_Unwind_Backtrace(visit, w);
	if (!w->nr || !w->on_stack)
		return;
	way = kn_load(&next_way[b]);
	kn_store(&next_way[b], way + 1);
	keep(&table[b][way % WAYS], w);
}

/* Begin and end of the code that this file is linked into. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));

static bool has(uintptr_t pc)
{
	return pc - (uintptr_t)__ehdr_start <
	       (uintptr_t)etext - (uintptr_t)__ehdr_start;
}

/* In a shared library of its own, not in a program. */
static bool is_library(void)
{
	static uint32_t known; /* 0 not asked, 1 no, 2 yes */

	if (!kn_load(&known))
		kn_store(&known, has(getauxval(AT_ENTRY)) ? 1 : 2);
	return kn_load(&known) == 2;
}

void kn_stack_recall(struct kn_stack *s)
{
	struct walk w; /* 300 bytes that need not be zeroes */
	uint32_t from = 0;

	/* Above what the call of this function pushed. */
	w.sp = (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(uintptr_t);
	walk_or_recall(&w);
	while (is_library() && from + 1 < w.nr && has(w.pc[from]))
		from++;
	s->nr = KN_MIN(w.nr - from, (uint32_t)KN_STACK_DEPTH);
	for (uint32_t i = 0; i < s->nr; i++)
		s->pc[i] = w.pc[from + i];
}

/* A mutex knows its owner; to take a free one is no call to the system. */
int32_t kn_thread_id(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	int32_t id;

	pthread_mutex_lock(&m);
	id = m.__data.__owner;
	pthread_mutex_unlock(&m);
	return id;
}

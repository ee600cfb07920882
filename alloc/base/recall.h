/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/recall.h - stacks of callers that were taken before, fast
 *
 * To walk the unwind tables takes 140 ns a frame.  What a walk found is kept with
 * the places on the stack where the return addresses stood.  Whoever comes with
 * the same stack pointer and finds the same addresses in the same places has the
 * same callers: each address says what its function's frame looks like, and so
 * where the next one is.  That is also why a place may be read: the one before
 * holds an address whose frame contains it.
 *
 * The table is shared by all threads, without a lock.  An entry has a sequence
 * number, odd while it is written; readers copy, then look whether it changed.
 */
#ifndef KN_BASE_RECALL_H
#define KN_BASE_RECALL_H

#include "alloc/base/stack.h"

/*
 * The callers of the running function, itself the first, without those that are
 * functions of a shared libknuma.  Context: any, as kn_stack_take().
 */
kn_noinline void kn_stack_recall(struct kn_stack *s);

/* Id of the calling thread as the system has it, without asking the system. */
int32_t kn_thread_id(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/pressure.h - giving up what is cached while memory is short
 *
 * Memory is short when one of these is so:
 *   P1  tasks stalled for lack of memory during 7.5 % of the time since the last
 *       look, by memory.pressure of the own cgroup, else of the machine; a
 *       trigger of the kernel wakes the background thread for it
 *   P2  what the smallest limit of the cgroups above counts, without file pages
 *       that go first, is above 15/16 of it
 *   P3  the limit or memory.high was run into since the last look, and the same
 *       is above 3/4
 *
 *   none -> drain -> reap -> trim -> purge -> shrink -> rest -> drain ...
 *     ^---------------'-------'--------'---------'---------'
 *
 * One stage at a look, looks being 100 ms apart; the way ends as soon as memory
 * is not short any more, for P2 and P3 below 7/8 and 5/8.  After a whole round
 * comes a rest, twice as long each time.
 *
 * What looks belongs to the one who ticks, the trigger to the background thread;
 * no lock is held.
 */
#ifndef KN_CORE_PRESSURE_H
#define KN_CORE_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A look, and a stage if it is due.  @fired: by the kernel's trigger.
 * @shrink: shrinkers may be called here.
 */
void kn_pressure_look(uint64_t now_ms, bool fired, bool shrink);

/* Memory is short, and the next look is due. */
bool kn_pressure_is_due(uint64_t now_ms);

/*
 * Sleeps until the trigger fires, a look is due, or @ms are over.  True when the
 * trigger has fired.  Context: the background thread.
 */
bool kn_pressure_sleep(uint64_t now_ms, uint64_t ms);

/* In the child: the trigger was the parent's, cgroups are looked for again. */
void kn_pressure_after_fork_child(void);

#endif

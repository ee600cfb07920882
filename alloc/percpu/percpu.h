/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/percpu/percpu.h - objects with a copy for each CPU
 *
 * A chunk is a run of address space with a part for each possible CPU, and one
 * for threads without a CPU; an object has the same offset in each part.
 *
 *   C1  Chunks are only added, at the head of the list, and never go away: who
 *       looks an address up needs no lock.
 *   C2  The first `present` bytes of each part are in memory, and objects lie
 *       there: an allocation that may not wait touches no new page.
 *   C3  A granule is used if its bit is set; `first` marks where objects begin.
 *       Both belong to the lock.
 *   C4  A free that finds the lock taken leaves the object on a stack, through
 *       its own first bytes; the next allocation takes it from there.
 *   C5  The memory of an empty chunk goes back, never its address space: nothing
 *       is present then, and who grows the chunk waits until it has gone.
 *
 * Design: docs/design/percpu.md.
 */
#ifndef KN_PERCPU_PERCPU_H
#define KN_PERCPU_PERCPU_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Gives the memory of chunks back that are empty, since the last call or with @all
 * at all.  Context: as a tick.
 */
void kn_percpu_trim(bool all);

/* Of all copies: what is in memory, and what objects have of it. */
uint64_t kn_percpu_bytes(void);
uint64_t kn_percpu_used_bytes(void);

void kn_percpu_lock(void);
void kn_percpu_unlock(void);
void kn_percpu_reset(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/magazine/slot.h - magazines without restartable sequences
 *
 * One try-lock a CPU number guards that CPU's magazines on all nodes.  Nobody
 * waits for it but the drainer: who finds it taken, by another thread or by the
 * thread that a signal handler interrupts, goes past the magazine.
 */
#ifndef KN_MAGAZINE_SLOT_H
#define KN_MAGAZINE_SLOT_H

#include "numa/rseq.h"

int kn_slot_init(void);

/* The same calls as sections; declined when the try-lock is taken. */
uint32_t kn_slot_pop_batch(uint32_t id, int node, void **buf, uint32_t n);
enum kn_rseq_ret kn_slot_push(uint32_t id, int node, const void *obj);
enum kn_rseq_ret kn_slot_push_batch(uint32_t id, int node, void *const *buf,
				    uint32_t n);
uint64_t kn_slot_exchange(uint32_t id, int node, uint32_t i, uint64_t word);

/* Number of the caller's magazines. */
int kn_slot_number(void);

/* For the drainer: waits for a slot with short sleeps. */
void kn_slot_lock(int slot);
void kn_slot_unlock(int slot);

/* In a fork child: whoever held a slot does not exist. */
void kn_slot_reset(void);

#endif

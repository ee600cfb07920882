/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/surplus.h - free memory that no tick will come for
 *
 * A process with one thread has no background thread, and a tick needs an
 * allocation: after its last free nothing would give memory back.  So its frees
 * do, when more is free than trim_keep and a sixteenth of what is in use.
 *
 * What a program needs again at once is kept: what was given back and taken again
 * within trim_delay_ms is added to what is kept, which falls again when a wave
 * was not missed, or when one ebbs by four times of it.
 *
 * All of it is of the one thread, inside a tick.
 *
 * Design: docs/design/start-fork-exit.md.
 */
#ifndef KN_CORE_SURPLUS_H
#define KN_CORE_SURPLUS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether so much is free; some loads. */
bool kn_surplus_is_there(void);

/* Gives it back, or learns that it should not.  Context: as a tick. */
void kn_surplus_give_back(uint64_t now_ms);

#endif

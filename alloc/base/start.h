/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/start.h - the library starts with its first call
 *
 * No constructor has to run: entry points whose fast path declined, and those
 * without one, call kn_start().  The function behind it is alloc/core's; the
 * name stands here because every layer may be the first that is called.
 */
#ifndef KN_BASE_START_H
#define KN_BASE_START_H

#include "alloc/base/atomic.h"

extern bool kn_started;

kn_slow bool kn_start_slow(void);

/* False, with errno ENOMEM and one message, when the heap cannot be made. */
static inline bool kn_start(void)
{
	return likely(kn_load_acquire(&kn_started)) || kn_start_slow();
}

#endif

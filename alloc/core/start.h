/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/core/start.h - see alloc/base/start.h */
#ifndef KN_CORE_START_H
#define KN_CORE_START_H

#include "alloc/base/start.h"

/* For fork: nobody is inside the start between these two. */
void kn_start_lock(void);
void kn_start_unlock(void);
void kn_start_reset(void);

#endif

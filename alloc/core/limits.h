/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/limits.h - what changes in a process whose cgroup limits it
 *
 * Settings that nobody chose follow the limit instead of the machine; what was
 * set stays.  A limit that is lifted gives the built-in values back.
 */
#ifndef KN_CORE_LIMITS_H
#define KN_CORE_LIMITS_H

#include "numa/cgroup.h"

/* Context: any thread; reads a file. */
void kn_limits_apply(const struct kn_cgroup *c);

/* With stats=yes, after the banner: what was found, and what follows from it. */
void kn_limits_banner(void);

#endif

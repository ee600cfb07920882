/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/sched/mm.h - <linux/sched/mm.h>: scopes of allocations */
#ifndef KNUMA_LINUX_SCHED_MM_H
#define KNUMA_LINUX_SCHED_MM_H

#include <knuma/memalloc.h>

#endif /* KNUMA_LINUX_SCHED_MM_H */

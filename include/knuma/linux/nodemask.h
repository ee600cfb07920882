/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/nodemask.h - <linux/nodemask.h>: sets of nodes */
#ifndef KNUMA_LINUX_NODEMASK_H
#define KNUMA_LINUX_NODEMASK_H

#include <knuma/linux/numa.h>
#include <knuma/nodemask.h>

/* Not beside libnuma's <numa.h>, which has another one. */
typedef struct nodemask nodemask_t;

#endif /* KNUMA_LINUX_NODEMASK_H */

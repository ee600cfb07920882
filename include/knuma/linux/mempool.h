/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/mempool.h - <linux/mempool.h>: reserves */
#ifndef KNUMA_LINUX_MEMPOOL_H
#define KNUMA_LINUX_MEMPOOL_H

#include <knuma/linux/types.h>
#include <knuma/mempool.h>

#endif /* KNUMA_LINUX_MEMPOOL_H */

/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/slab.h - <linux/slab.h>: kmalloc, kvmalloc, kmem_cache */
#ifndef KNUMA_LINUX_SLAB_H
#define KNUMA_LINUX_SLAB_H

#include <knuma/kvmalloc.h>
#include <knuma/linux/gfp.h>
#include <knuma/linux/overflow.h>
#include <knuma/linux/types.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>

#endif /* KNUMA_LINUX_SLAB_H */

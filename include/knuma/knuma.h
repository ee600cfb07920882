/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/knuma.h - everything except the kernel's header names in linux/
 *
 * Needs the C library only: rcu.h leaves the choice of a liburcu header to its
 * user.
 */
#ifndef KNUMA_KNUMA_H
#define KNUMA_KNUMA_H

#include <knuma/gfp.h>
#include <knuma/group.h>
#include <knuma/kmalloc.h>
#include <knuma/kstring.h>
#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/memalloc.h>
#include <knuma/mempool.h>
#include <knuma/nodemask.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/percpu.h>
#include <knuma/rcu.h>
#include <knuma/shrinker.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/types.h>
#include <knuma/version.h>
#include <knuma/vmalloc.h>

#endif /* KNUMA_KNUMA_H */

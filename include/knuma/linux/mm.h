/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/mm.h - <linux/mm.h>: pages, addresses, and who made them */
#ifndef KNUMA_LINUX_MM_H
#define KNUMA_LINUX_MM_H

#include <knuma/kvmalloc.h>
#include <knuma/linux/gfp.h>
#include <knuma/linux/kernel.h>
#include <knuma/linux/types.h>
#include <knuma/page.h>
#include <knuma/vmalloc.h>

#define PAGE_ALIGN(x)	   ALIGN(x, PAGE_SIZE)
#define PAGE_ALIGN_DOWN(x) ALIGN_DOWN(x, PAGE_SIZE)
#define PAGE_ALIGNED(x)	   IS_ALIGNED((uintptr_t)(x), PAGE_SIZE)
#define offset_in_page(p)  ((uintptr_t)(p) & (PAGE_SIZE - 1))

#endif /* KNUMA_LINUX_MM_H */

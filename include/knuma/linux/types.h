/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/types.h - the kernel's integer names */
#ifndef KNUMA_LINUX_TYPES_H
#define KNUMA_LINUX_TYPES_H

#include <sys/types.h>

#include <knuma/gfp.h>
#include <knuma/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/* The page of this machine, known at run time: no constant expressions. */
#ifndef PAGE_SIZE
#define PAGE_SIZE ((size_t)knuma_page_size())
#endif
#ifndef PAGE_SHIFT
#define PAGE_SHIFT (knuma_page_shift())
#endif
#ifndef PAGE_MASK
#define PAGE_MASK (~(PAGE_SIZE - 1))
#endif

#endif /* KNUMA_LINUX_TYPES_H */

/* With -I DIR/include/knuma this file hides the system's: give that, too. */
#pragma GCC system_header
#if __has_include_next(<linux/types.h>)
#include_next <linux/types.h>
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/vmalloc.h - <linux/vmalloc.h>: large areas */
#ifndef KNUMA_LINUX_VMALLOC_H
#define KNUMA_LINUX_VMALLOC_H

#include <knuma/linux/overflow.h>
#include <knuma/linux/types.h>
#include <knuma/vmalloc.h>

#endif /* KNUMA_LINUX_VMALLOC_H */

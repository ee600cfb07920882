/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/gfp.h - <linux/gfp.h>: flags, and blocks of pages */
#ifndef KNUMA_LINUX_GFP_H
#define KNUMA_LINUX_GFP_H

#include <knuma/gfp.h>
#include <knuma/linux/numa.h>
#include <knuma/linux/types.h>
#include <knuma/page.h>

#endif /* KNUMA_LINUX_GFP_H */

/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/shrinker.h - <linux/shrinker.h>: caches that give way */
#ifndef KNUMA_LINUX_SHRINKER_H
#define KNUMA_LINUX_SHRINKER_H

#include <knuma/linux/types.h>
#include <knuma/shrinker.h>

#endif /* KNUMA_LINUX_SHRINKER_H */

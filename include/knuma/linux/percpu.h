/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/percpu.h - <linux/percpu.h>: a copy for each CPU */
#ifndef KNUMA_LINUX_PERCPU_H
#define KNUMA_LINUX_PERCPU_H

#include <knuma/linux/types.h>
#include <knuma/percpu.h>

#define nr_cpu_ids	       knuma_nr_cpu_ids()

/* The CPU that the thread runs on when read; true for no time at all. */
#define raw_smp_processor_id() ((int)knuma_this_cpu())

#endif /* KNUMA_LINUX_PERCPU_H */

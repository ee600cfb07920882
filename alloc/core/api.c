/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/core/api.c - small questions about the library */
#include <knuma/numa.h>
#include <knuma/types.h>
#include <knuma/version.h>
#include <unistd.h>

#include "alloc/base/bits.h"
#include "alloc/core/start.h"
#include "numa/span.h"

size_t knuma_page_size(void)
{
	return (size_t)1 << knuma_page_shift();
}

unsigned int knuma_page_shift(void)
{
	return kn_log2((uint64_t)sysconf(_SC_PAGESIZE));
}

const char *knuma_version(void)
{
	return KNUMA_VERSION_STRING;
}

int knuma_node_of(const void *p)
{
	if (!kn_load_acquire(&kn_started) || !kn_span_has(p))
		return -1;
	return kn_topo.kernel_id[kn_window_of(p)];
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/account/ext.h"

kn_slow void kn_ext_end(uint64_t ext, uint64_t bytes)
{
	struct knuma_group *const g = kn_ext_group(ext);

	if (g)
		kn_group_uncharge(g, bytes);
}

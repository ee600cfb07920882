/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/account/ext.h"

bool kn_ext_always;

kn_slow void kn_ext_end(uint64_t ext, uint64_t bytes)
{
	struct knuma_alloc_tag *const tag = kn_ext_tag(ext);
	struct knuma_group *const g = kn_ext_group(ext);

	if (tag) {
		ck_pr_sub_64(&tag->calls, 1);
		ck_pr_sub_64(&tag->bytes, bytes);
	}
	if (g)
		kn_group_uncharge(g, bytes);
}

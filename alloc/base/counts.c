/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/counts.h"

#ifdef KN_COUNTS

#include "alloc/base/compiler.h"

uint64_t kn_counts[KN_NR_COUNTS];

static const char *const names[KN_NR_COUNTS] = {
#define KN_COUNT(name, help) #name,
#include "alloc/base/counts.def"
#undef KN_COUNT
	"locks",
#define KN_LOCK_RANK(name, help) "lock_" #name,
#include "alloc/base/lock_ranks.def"
#undef KN_LOCK_RANK
};

const char *knuma_counts(unsigned id, uint64_t *value)
{
	if (id >= KN_NR_COUNTS)
		return NULL;
	if (value)
		*value = __atomic_load_n(&kn_counts[id], __ATOMIC_RELAXED);
	return names[id];
}

#endif

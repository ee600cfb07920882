/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/config/profile.h"

#include <stdio.h>
#include <string.h>

#include "alloc/base/assert.h"

const struct kn_profile kn_profiles[] = {
#define KN_PROFILE(name, help, cost) {name, help, cost},
#define KN_SET(profile, tunable, value)
#include "alloc/config/profile.def"
#undef KN_PROFILE
#undef KN_SET
};
const int kn_nr_profiles = (int)KN_ARRAY_SIZE(kn_profiles);

const struct kn_profile_set kn_profile_sets[] = {
#define KN_PROFILE(name, help, cost)
#define KN_SET(profile, tunable, value) {profile, KN_TUN_##tunable, value},
#include "alloc/config/profile.def"
#undef KN_PROFILE
#undef KN_SET
};
const int kn_nr_profile_sets = (int)KN_ARRAY_SIZE(kn_profile_sets);

void kn_profile_apply(const struct kn_conf_values *to, const char *name,
		      enum kn_conf_rank rank, const char *source)
{
	char where[KN_TUNABLE_LEN + 32];
	int err;

	snprintf(where, sizeof(where), "%s (profile %s)", source, name);
	for (int i = 0; i < kn_nr_profile_sets; i++) {
		const struct kn_profile_set *set = &kn_profile_sets[i];

		if (strcmp(set->profile, name) != 0)
			continue;
		err = kn_tunable_assign(to, &kn_tunables[set->tunable],
					set->value, rank, where);
		KN_CHECK(!err);
	}
}

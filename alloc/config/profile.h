/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/config/profile.h - settings under one name */
#ifndef KN_CONFIG_PROFILE_H
#define KN_CONFIG_PROFILE_H

#include "alloc/config/conf.h"

struct kn_profile {
	const char *name;
	const char *help;
	const char *cost;
};

/* One cell: @profile sets @tunable. */
struct kn_profile_set {
	const char *profile;
	enum kn_tunable_id tunable;
	const char *value;
};

extern const struct kn_profile kn_profiles[];
extern const int kn_nr_profiles;
extern const struct kn_profile_set kn_profile_sets[];
extern const int kn_nr_profile_sets;

/*
 * Sets what profile @name says; nothing for "none".  The source becomes
 * "@source (profile @name)".
 */
void kn_profile_apply(const struct kn_conf_values *to, const char *name,
		      enum kn_conf_rank rank, const char *source);

#endif

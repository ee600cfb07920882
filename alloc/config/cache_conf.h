/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/config/cache_conf.h - sections [cache NAME] of the configuration file
 *
 * A rule is a section: a name or a pattern as of fnmatch(3), and the keys that
 * it sets.  Rules are read when a cache is made, in the order in which they
 * stand, so a later one wins.  They do not change once the heap starts.
 */
#ifndef KN_CONFIG_CACHE_CONF_H
#define KN_CONFIG_CACHE_CONF_H

#include "alloc/config/tunables.h"

#define KN_CACHE_RULES	  64
#define KN_CACHE_NAME_LEN 48 /* of a cache, with its 0 */

enum kn_cache_key {
#define KN_CACHE_KEY(name, kind, min, max, unit, help) KN_CACHE_KEY_##name,
#include "alloc/config/cache_conf.def"
#undef KN_CACHE_KEY
	KN_NR_CACHE_KEYS
};

/* Values for a cache; a field counts when its bit of @set is 1. */
struct kn_cache_conf {
#define KN_CACHE_KEY(name, kind, min, max, unit, help) KN_FIELD_##kind(name);
#include "alloc/config/cache_conf.def"
#undef KN_CACHE_KEY
	uint32_t set;
};

struct kn_cache_rule {
	char pattern[KN_CACHE_NAME_LEN];
	struct kn_cache_conf conf;
	int file; /* the n-th that was read, and the line of the section */
	int line;
};

struct kn_cache_rules {
	int nr;
	struct kn_cache_rule rule[KN_CACHE_RULES];
};

/* kind, limits, help; offsets are those in struct kn_cache_conf. */
extern const struct kn_tunable kn_cache_keys[KN_NR_CACHE_KEYS];

const struct kn_tunable *kn_cache_key_find(const char *name);

static inline bool kn_cache_conf_has(const struct kn_cache_conf *conf,
				     enum kn_cache_key key)
{
	return conf->set >> key & 1;
}

/* What the rules in force say of cache @name.  Takes no memory. */
void kn_cache_conf_of(const char *name, struct kn_cache_conf *conf);

/* The rules in force. */
const struct kn_cache_rules *kn_cache_rules(void);

/* Value @key of @rule, which has it, as text. */
int kn_cache_rule_text(const struct kn_cache_rule *rule, enum kn_cache_key key,
		       char *buf, size_t len);

/* Whether two sets of rules say the same in the same order. */
bool kn_cache_rules_same(const struct kn_cache_rules *a,
			 const struct kn_cache_rules *b);

#endif

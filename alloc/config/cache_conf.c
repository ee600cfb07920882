/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/config/cache_conf.h"

#include <fnmatch.h>
#include <string.h>

#include "alloc/config/conf.h"

const struct kn_tunable kn_cache_keys[KN_NR_CACHE_KEYS] = {
#define KN_CACHE_KEY(key, kind_, min_, max_, unit_, help_)     \
	{                                                      \
		.name = #key,                                  \
		.kind = KN_TUNABLE_##kind_,                    \
		.when = KN_TUNABLE_INIT,                       \
		.unit = unit_,                                 \
		.help = help_,                                 \
		.offset = offsetof(struct kn_cache_conf, key), \
		.min = min_,                                   \
		.max = max_,                                   \
	},
#include "alloc/config/cache_conf.def"
#undef KN_CACHE_KEY
};

const struct kn_tunable *kn_cache_key_find(const char *name)
{
	for (int i = 0; i < KN_NR_CACHE_KEYS; i++)
		if (!strcmp(kn_cache_keys[i].name, name))
			return &kn_cache_keys[i];
	return NULL;
}

static void merge(struct kn_cache_conf *to, const struct kn_cache_conf *from)
{
#define KN_CACHE_KEY(name, kind, min, max, unit, help)    \
	if (kn_cache_conf_has(from, KN_CACHE_KEY_##name)) \
		to->name = from->name;
#include "alloc/config/cache_conf.def"
#undef KN_CACHE_KEY
	to->set |= from->set;
}

/* Names of caches are short, so fnmatch() needs no memory. */
void kn_cache_conf_of(const char *name, struct kn_cache_conf *conf)
{
	const struct kn_cache_rules *rules = kn_conf_live.caches;

	memset(conf, 0, sizeof(*conf));
	for (int i = 0; i < rules->nr; i++)
		if (!fnmatch(rules->rule[i].pattern, name, 0))
			merge(conf, &rules->rule[i].conf);
}

const struct kn_cache_rules *kn_cache_rules(void)
{
	return kn_conf_live.caches;
}

int kn_cache_rule_text(const struct kn_cache_rule *rule, enum kn_cache_key key,
		       char *buf, size_t len)
{
	return kn_tunable_text(&rule->conf, &kn_cache_keys[key], buf, len);
}

bool kn_cache_rules_same(const struct kn_cache_rules *a,
			 const struct kn_cache_rules *b)
{
	if (a->nr != b->nr)
		return false;
	for (int i = 0; i < a->nr; i++)
		if (strcmp(a->rule[i].pattern, b->rule[i].pattern) ||
		    memcmp(&a->rule[i].conf, &b->rule[i].conf,
			   sizeof(a->rule[i].conf)))
			return false;
	return true;
}

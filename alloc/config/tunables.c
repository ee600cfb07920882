/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/config/tunables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc/base/atomic.h"
#include "alloc/config/cache_conf.h"
#include "alloc/config/conf.h"
#include "alloc/config/fake_spec.h"
#include "alloc/config/profile.h"
#include "alloc/config/slab_debug.h"

/* clang-format off: tables */
/* What the columns of the table become, by kind. */
#define NUMBER_BOOL(def)   (def)
#define NUMBER_CHOICE(def) (def)
#define NUMBER_U64(def)	   (def)
#define NUMBER_SIZE(def)   (def)
#define NUMBER_MS(def)	   (def)
#define NUMBER_STRING(def) 0
#define NUMBER_NODES(def)  0
#define NUMBER_DEBUG(def)  0
#define TEXT_BOOL(def)	   NULL
#define TEXT_CHOICE(def)   NULL
#define TEXT_U64(def)	   NULL
#define TEXT_SIZE(def)	   NULL
#define TEXT_MS(def)	   NULL
#define TEXT_STRING(def)   def
#define TEXT_NODES(def)	   def
#define TEXT_DEBUG(def)	   def

const struct kn_tunable kn_tunables[KN_NR_TUNABLES] = {
#define KN_TUNABLE(name, kind, def, min, max, unit, when, help) \
	{#name,                                                 \
	 KN_TUNABLE_##kind,                                     \
	 KN_TUNABLE_##when,                                     \
	 unit,                                                  \
	 help,                                                  \
	 offsetof(struct kn_tunables, name),                    \
	 NUMBER_##kind(def),                                    \
	 min,                                                   \
	 max,                                                   \
	 TEXT_##kind(def)},
#include "alloc/config/tunables.def"
#undef KN_TUNABLE
};

#define KN_TUNABLE(name, kind, def, min, max, unit, when, help)                \
	KN_STATIC_ASSERT(KN_TUNABLE_##kind >= KN_TUNABLE_STRING ||             \
				 (NUMBER_##kind(def) + 0ull >= (min) + 0ull && \
				  NUMBER_##kind(def) + 0ull <= (max) + 0ull),  \
			 #name ": the default is out of its range");
#include "alloc/config/tunables.def"
#undef KN_TUNABLE
/* clang-format on */

struct kn_tunables kn_tun = {
#define KN_TUNABLE(name, kind, def, min, max, unit, when, help) .name = def,
#include "alloc/config/tunables.def"
#undef KN_TUNABLE
};

static struct kn_origin origins[KN_NR_TUNABLES];
static struct kn_cache_rules cache_rules;
static bool sealed;

const struct kn_conf_values kn_conf_live = {&kn_tun, origins, &cache_rules};

struct value {
	uint64_t number;
	const char *text;
};

static const char *const yes_words[] = {"yes", "true", "on", "1"};
static const char *const no_words[] = {"no", "false", "off", "0"};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Equal without regard to case; strcasecmp() would ask the locale. */
static bool same(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

static int parse_bool(const char *text, uint64_t *number)
{
	for (size_t i = 0; i < KN_ARRAY_SIZE(yes_words); i++) {
		if (same(text, yes_words[i]) || same(text, no_words[i])) {
			*number = same(text, yes_words[i]);
			return 0;
		}
	}
	return -EINVAL;
}

/* The @i-th word of "auto|yes|no" and its length; 0 past the last. */
static int choice_word(const char *words, uint64_t i, const char **word)
{
	while (i--) {
		words = strchr(words, '|');
		if (!words)
			return 0;
		words++;
	}
	*word = words;
	return (int)strcspn(words, "|");
}

static int parse_choice(const struct kn_tunable *row, const char *text,
			uint64_t *number)
{
	const char *word = NULL;
	uint64_t truth;
	int len;

	for (uint64_t i = 0; (len = choice_word(row->unit, i, &word)); i++) {
		if (strlen(text) == (size_t)len &&
		    !strncmp(text, word, (size_t)len)) {
			*number = i;
			return 0;
		}
	}
	/* The other words for yes and no, where those are among the choices. */
	if (row->max == KN_CHOICE_NO && !parse_bool(text, &truth)) {
		*number = truth ? KN_CHOICE_YES : KN_CHOICE_NO;
		return 0;
	}
	return -EINVAL;
}

/* Digits, then a suffix; @text becomes the suffix. */
static int parse_digits(const char **text, uint64_t *number)
{
	const char *p = *text;
	uint64_t n = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return -ERANGE;
	}
	while (*p == ' ' || *p == '\t')
		p++;
	*text = p;
	*number = n;
	return 0;
}

static int parse_u64(const char *text, uint64_t *number)
{
	const int err = parse_digits(&text, number);

	return err ?: *text ? -EINVAL : 0;
}

/* 64K, 64k, 64KiB and 65536 are the same. */
static int parse_size(const char *text, uint64_t *number)
{
	static const char suffixes[] = "kmgt";
	const int err = parse_digits(&text, number);
	const char *suffix;
	uint64_t unit;

	if (err)
		return err;
	if (!*text || same(text, "b"))
		return 0;
	suffix = strchr(suffixes, lower(*text));
	if (!suffix || (text[1] && !same(text + 1, "ib")))
		return -EINVAL;
	unit = 1ull << (10 * (suffix - suffixes + 1));
	return __builtin_mul_overflow(*number, unit, number) ? -ERANGE : 0;
}

static int parse_ms(const char *text, uint64_t *number)
{
	const int err = parse_digits(&text, number);

	if (err)
		return err;
	if (!*text || same(text, "ms"))
		return 0;
	if (!same(text, "s"))
		return -EINVAL;
	return __builtin_mul_overflow(*number, 1000, number) ? -ERANGE : 0;
}

static int parse_nodes(const char *text)
{
	struct kn_fake_spec spec;

	if (strlen(text) >= KN_TUNABLE_LEN)
		return -EINVAL;
	return kn_fake_spec_parse(text, &spec);
}

static int parse_debug(const char *text)
{
	struct kn_slab_debug debug;

	if (strlen(text) >= KN_TUNABLE_LEN)
		return -ERANGE;
	return kn_slab_debug_parse(text, NULL, &debug);
}

static int parse(const struct kn_tunable *row, const char *text,
		 struct value *value)
{
	int err = -EINVAL;

	value->text = text;
	value->number = 0;
	switch (row->kind) {
	case KN_TUNABLE_BOOL:
		err = parse_bool(text, &value->number);
		break;
	case KN_TUNABLE_CHOICE:
		err = parse_choice(row, text, &value->number);
		break;
	case KN_TUNABLE_U64:
		err = parse_u64(text, &value->number);
		break;
	case KN_TUNABLE_SIZE:
		err = parse_size(text, &value->number);
		break;
	case KN_TUNABLE_MS:
		err = parse_ms(text, &value->number);
		break;
	case KN_TUNABLE_STRING:
		return strlen(text) < KN_TUNABLE_LEN ? 0 : -ERANGE;
	case KN_TUNABLE_NODES:
		return parse_nodes(text);
	case KN_TUNABLE_DEBUG:
		return parse_debug(text);
	}
	if (err)
		return err;
	if (value->number < row->min || value->number > row->max)
		return -ERANGE;
	return 0;
}

int kn_tunable_check(const struct kn_tunable *row, const char *text)
{
	struct value value;

	return parse(row, text, &value);
}

/* Into the structure at @to that @row is a row of. */
static void store(void *to, const struct kn_tunable *row,
		  const struct value *value)
{
	char *field = (char *)to + row->offset;

	switch (row->kind) {
	case KN_TUNABLE_BOOL:
		kn_store((bool *)field, value->number != 0);
		break;
	case KN_TUNABLE_CHOICE:
		kn_store((enum kn_choice *)field,
			 (enum kn_choice)value->number);
		break;
	case KN_TUNABLE_U64:
	case KN_TUNABLE_SIZE:
	case KN_TUNABLE_MS:
		kn_store((uint64_t *)field, value->number);
		break;
	case KN_TUNABLE_STRING:
	case KN_TUNABLE_NODES:
	case KN_TUNABLE_DEBUG:
		snprintf(field, KN_TUNABLE_LEN, "%s", value->text);
		break;
	}
}

static struct value fetch(const void *from, const struct kn_tunable *row)
{
	const char *field = (const char *)from + row->offset;
	struct value value = {0, field};

	switch (row->kind) {
	case KN_TUNABLE_BOOL:
		value.number = kn_load((const bool *)field);
		break;
	case KN_TUNABLE_CHOICE:
		value.number = (uint64_t)kn_load((const enum kn_choice *)field);
		break;
	case KN_TUNABLE_U64:
	case KN_TUNABLE_SIZE:
	case KN_TUNABLE_MS:
		value.number = kn_load((const uint64_t *)field);
		break;
	case KN_TUNABLE_STRING:
	case KN_TUNABLE_NODES:
	case KN_TUNABLE_DEBUG:
		break;
	}
	return value;
}

/* With the largest suffix that leaves a whole number. */
static int print_size(uint64_t n, char *buf, size_t len)
{
	int shift = 0;

	while (n && n % 1024 == 0 && shift < 4) {
		n /= 1024;
		shift++;
	}
	if (!shift)
		return snprintf(buf, len, "%llu", (unsigned long long)n);
	return snprintf(buf, len, "%llu%c", (unsigned long long)n,
			" KMGT"[shift]);
}

static int print_value(const struct kn_tunable *row, struct value value,
		       char *buf, size_t len)
{
	const unsigned long long n = value.number;
	const char *word = "";
	int n_word;

	switch (row->kind) {
	case KN_TUNABLE_BOOL:
		return snprintf(buf, len, "%s", n ? "yes" : "no");
	case KN_TUNABLE_CHOICE:
		n_word = choice_word(row->unit, n, &word);
		return snprintf(buf, len, "%.*s", n_word, word);
	case KN_TUNABLE_U64:
		return snprintf(buf, len, "%llu", n);
	case KN_TUNABLE_SIZE:
		return print_size(n, buf, len);
	case KN_TUNABLE_MS:
		if (n && n % 1000 == 0)
			return snprintf(buf, len, "%llus", n / 1000);
		return snprintf(buf, len, "%llums", n);
	case KN_TUNABLE_STRING:
	case KN_TUNABLE_NODES:
	case KN_TUNABLE_DEBUG:
		return snprintf(buf, len, "%s", value.text);
	}
	return 0;
}

int kn_tunable_print(const struct kn_tunable *row, uint64_t number, char *buf,
		     size_t len)
{
	return print_value(row, (struct value){number, ""}, buf, len);
}

static int fit(int n, size_t len)
{
	return (size_t)n >= len ? -ENOSPC : n;
}

const struct kn_tunable *kn_tunable_find(const char *name)
{
	for (int i = 0; i < KN_NR_TUNABLES; i++)
		if (!strcmp(kn_tunables[i].name, name))
			return &kn_tunables[i];
	return NULL;
}

int kn_tunable_store(void *to, const struct kn_tunable *row, const char *text)
{
	struct value value;
	const int err = parse(row, text, &value);

	if (!err)
		store(to, row, &value);
	return err;
}

int kn_tunable_assign(const struct kn_conf_values *to,
		      const struct kn_tunable *row, const char *text,
		      enum kn_conf_rank rank, const char *source)
{
	struct kn_origin *origin = &to->origin[row - kn_tunables];
	const int err = kn_tunable_check(row, text);

	if (err)
		return err;
	if (row->when == KN_TUNABLE_INIT && to == &kn_conf_live &&
	    kn_load(&sealed))
		return -EBUSY;
	kn_tunable_store(to->tun, row, text);
	origin->rank = rank;
	snprintf(origin->source, sizeof(origin->source), "%s", source);
	if (row == &kn_tunables[KN_TUN_profile])
		kn_profile_apply(to, text, rank, source);
	else if (row == &kn_tunables[KN_TUN_secure] &&
		 *(const bool *)((const char *)to->tun + row->offset))
		kn_profile_apply(to, "secure", rank, source);
	return 0;
}

int kn_tunable_set(const char *name, const char *value, const char *source)
{
	const struct kn_tunable *row = kn_tunable_find(name);

	if (!row)
		return -ENOENT;
	return kn_tunable_assign(&kn_conf_live, row, value, KN_CONF_API,
				 source);
}

bool kn_tunable_same(const struct kn_conf_values *a,
		     const struct kn_conf_values *b,
		     const struct kn_tunable *row)
{
	const struct value x = fetch(a->tun, row), y = fetch(b->tun, row);

	return x.number == y.number && !strcmp(row->def_text ? x.text : "",
					       row->def_text ? y.text : "");
}

void kn_tunable_copy(const struct kn_conf_values *to,
		     const struct kn_conf_values *from,
		     const struct kn_tunable *row)
{
	const struct value value = fetch(from->tun, row);

	store(to->tun, row, &value);
	to->origin[row - kn_tunables] = from->origin[row - kn_tunables];
}

int kn_tunable_text(const void *of, const struct kn_tunable *row, char *buf,
		    size_t len)
{
	return fit(print_value(row, fetch(of, row), buf, len), len);
}

int kn_tunable_get(const char *name, char *buf, size_t len)
{
	const struct kn_tunable *row = kn_tunable_find(name);

	if (!row)
		return -ENOENT;
	return kn_tunable_text(&kn_tun, row, buf, len);
}

int kn_tunable_default(const char *name, char *buf, size_t len)
{
	const struct kn_tunable *row = kn_tunable_find(name);
	struct value value;

	if (!row)
		return -ENOENT;
	value = (struct value){row->def, row->def_text};
	return fit(print_value(row, value, buf, len), len);
}

const char *kn_tunable_source(const char *name)
{
	const struct kn_tunable *row = kn_tunable_find(name);

	if (!row)
		return NULL;
	return kn_conf_source(&kn_conf_live, row);
}

const char *kn_conf_source(const struct kn_conf_values *of,
			   const struct kn_tunable *row)
{
	const struct kn_origin *origin = &of->origin[row - kn_tunables];

	return origin->rank == KN_CONF_BUILT_IN ? "built-in" : origin->source;
}

bool kn_tunables_sealed(void)
{
	return kn_load(&sealed);
}

void kn_tunables_seal(bool seal)
{
	kn_store(&sealed, seal);
}

void kn_conf_clear(const struct kn_conf_values *values)
{
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const struct kn_tunable *row = &kn_tunables[i];

		store(values->tun, row,
		      &(struct value){row->def, row->def_text});
		values->origin[i].rank = KN_CONF_BUILT_IN;
		values->origin[i].source[0] = '\0';
	}
	values->caches->nr = 0;
}

void kn_tunables_reset(void)
{
	kn_conf_clear(&kn_conf_live);
	kn_store(&sealed, false);
	kn_conf_unload();
}

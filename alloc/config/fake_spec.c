/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/config/fake_spec.h"

#include <errno.h>
#include <string.h>

/* The types of hwloc; one matches when its name begins with a row. */
/* clang-format off */
static const char *const types[] = {
	"pack", "socket", "die", "group", "tile", "module", "core", "l1", "l2",
	"l3", "l4", "l5",
};
/* clang-format on */

/* What is known after a level: how many of it the machine has. */
struct levels {
	uint64_t product;
	uint64_t nr_nodes;
	bool ended; /* pu was there */
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool begins(const char *word, size_t len, const char *with)
{
	size_t i = 0;

	for (; with[i]; i++)
		if (i >= len || lower(word[i]) != with[i])
			return false;
	return true;
}

static bool is_node(const char *word, size_t len)
{
	return begins(word, len, "numa") || begins(word, len, "node");
}

static bool is_pu(const char *word, size_t len)
{
	return len == 2 && begins(word, len, "pu");
}

static bool is_type(const char *word, size_t len)
{
	for (size_t i = 0; i < KN_ARRAY_SIZE(types); i++)
		if (begins(word, len, types[i]))
			return true;
	return is_node(word, len) || is_pu(word, len);
}

/* Takes letters and digits off @text; their number. */
static size_t take_word(const char **text)
{
	const char *s = *text;

	while ((lower(*s) >= 'a' && lower(*s) <= 'z') ||
	       (*s >= '0' && *s <= '9'))
		s++;
	const size_t len = (size_t)(s - *text);

	*text = s;
	return len;
}

/* "(memory=1GB)"; false when it does not end. */
static bool skip_attributes(const char **text)
{
	const char *end;

	if (**text != '(')
		return true;
	end = strchr(*text, ')');
	if (end)
		*text = end + 1;
	return end != NULL;
}

/* A number from 1 on, cut where it cannot matter any more; 0: none. */
static uint64_t take_number(const char **text)
{
	uint64_t n = 0;

	for (; **text >= '0' && **text <= '9'; ++*text)
		n = KN_MIN(10 * n + (uint64_t)(**text - '0'), UINT32_MAX);
	return n;
}

/* "[numa]": a node for each of the level before. */
static int take_attached(const char **text, struct levels *l)
{
	const char *word = ++*text;
	const size_t len = take_word(text);

	if (!is_node(word, len) || l->nr_nodes || !skip_attributes(text) ||
	    **text != ']')
		return -EINVAL;
	++*text;
	l->nr_nodes = l->product;
	return 0;
}

/* "core:4" */
static int take_level(const char **text, struct levels *l)
{
	const char *word = *text;
	const size_t len = take_word(text);
	uint64_t count;

	if (!is_type(word, len) || l->ended || **text != ':')
		return -EINVAL;
	++*text;
	count = take_number(text);
	if (!count || !skip_attributes(text))
		return -EINVAL;
	l->product *= count;
	if (l->product > KN_FAKE_MAX_CPUS)
		return -ERANGE;
	if (is_node(word, len)) {
		if (l->nr_nodes)
			return -EINVAL;
		l->nr_nodes = l->product;
	}
	l->ended = is_pu(word, len);
	return 0;
}

static int parse_levels(const char *text, struct kn_fake_spec *spec)
{
	struct levels l = {.product = 1};
	int err = 0;

	while (*text && !err) {
		err = *text == '[' ? take_attached(&text, &l) :
				     take_level(&text, &l);
		if (!err && *text && *text != ' ' && *text != '\t')
			err = -EINVAL;
		text += strspn(text, " \t");
	}
	if (err)
		return err;
	if (!l.ended)
		return -EINVAL;
	/* As in hwloc: without a level for them there is one. */
	spec->nr_nodes = l.nr_nodes ? (unsigned)l.nr_nodes : 1;
	spec->nr_cpus = (unsigned)l.product;
	return spec->nr_nodes > KN_FAKE_MAX_NODES ? -ERANGE : 0;
}

int kn_fake_spec_parse(const char *text, struct kn_fake_spec *spec)
{
	const char *s = text;
	uint64_t n;

	*spec = (struct kn_fake_spec){0, 0};
	if (*text < '0' || *text > '9')
		return *text ? parse_levels(text, spec) : 0;
	n = take_number(&s);
	if (*s)
		return -EINVAL;
	if (n > KN_FAKE_MAX_NODES)
		return -ERANGE;
	spec->nr_nodes = (unsigned)n;
	return 0;
}

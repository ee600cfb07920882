/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/config/slab_debug.h"

#include <errno.h>
#include <fnmatch.h>
#include <knuma/slab.h>
#include <string.h>

#include "alloc/config/cache_conf.h"

#define ALL                                                      \
	(SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | \
	 SLAB_STORE_USER)

/* clang-format off: a table */
static const struct {
	char letter;
	uint32_t flag;
} letters[] = {
	{'f', SLAB_CONSISTENCY_CHECKS},
	{'z', SLAB_RED_ZONE},
	{'p', SLAB_POISON},
	{'u', SLAB_STORE_USER},
	{'t', SLAB_TRACE},
	{'a', SLAB_FAILSLAB},
};
/* clang-format on */

static int add_letter(char c, struct kn_slab_debug *debug)
{
	c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	if (c == '-') {
		debug->flags = 0;
		return 0;
	}
	if (c == 'o') {
		debug->order_counts = true;
		return 0;
	}
	for (size_t i = 0; i < KN_ARRAY_SIZE(letters); i++) {
		if (letters[i].letter == c) {
			debug->flags |= letters[i].flag;
			return 0;
		}
	}
	return -EINVAL;
}

/* Whether a name of the list at @names, up to the block's end, is @cache's. */
static int match(const char *names, size_t len, const char *cache, bool *is_it)
{
	const char *const end = names + len;

	*is_it = false;
	while (names < end) {
		char pattern[KN_CACHE_NAME_LEN];
		const char *comma = memchr(names, ',', (size_t)(end - names));
		const size_t n = (size_t)((comma ? comma : end) - names);

		if (!n || n >= sizeof(pattern) || comma + 1 == end)
			return -EINVAL;
		memcpy(pattern, names, n);
		pattern[n] = '\0';
		*is_it |= cache && !fnmatch(pattern, cache, 0);
		names += n + 1;
	}
	return 0;
}

/* One block: letters, and perhaps a comma and names. */
static int parse_block(const char *text, size_t len, const char *cache,
		       struct kn_slab_debug *block, bool *names, bool *is_it)
{
	const char *comma = memchr(text, ',', len);
	const size_t nr_letters = comma ? (size_t)(comma - text) : len;

	block->flags = 0;
	*names = comma != NULL;
	for (size_t i = 0; i < nr_letters; i++)
		if (add_letter(text[i], block))
			return -EINVAL;
	if (!comma)
		return 0;
	if (!nr_letters)
		block->flags = ALL;
	if (nr_letters + 1 == len)
		return -EINVAL;
	return match(comma + 1, len - nr_letters - 1, cache, is_it);
}

int kn_slab_debug_parse(const char *text, const char *cache,
			struct kn_slab_debug *debug)
{
	struct kn_slab_debug block = {0, false};
	uint32_t own = 0, others = 0;
	bool found = false;

	if (!*text)
		others = ALL;
	while (*text) {
		const size_t len = strcspn(text, ";");
		bool names = false, is_it = false;

		if (len &&
		    parse_block(text, len, cache, &block, &names, &is_it))
			return -EINVAL;
		if (len && !names)
			others = block.flags;
		if (is_it && !found) {
			own = block.flags;
			found = true;
		}
		text += len + (text[len] == ';');
	}
	debug->flags = found ? own : others;
	debug->order_counts = block.order_counts;
	return 0;
}

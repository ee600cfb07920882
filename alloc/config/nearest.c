/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name that a misspelt one means: the least number of letters to insert,
 * remove, replace or swap with their neighbour; else one that goes on after it,
 * as huge_pages does after huge.
 */
#include "alloc/config/conf.h"

#include <string.h>

#define LETTERS 32 /* longer names are near to nothing */

/* '-' and '.' for '_' and capitals for small letters cost nothing. */
static char plain(char c)
{
	if (c == '-' || c == '.')
		return '_';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	return KN_MIN(a, KN_MIN(b, c));
}

/* d[i][j] is the distance of the first i letters of @a to j of @b. */
static unsigned distance(const char *a, const char *b)
{
	unsigned char d[LETTERS + 1][LETTERS + 1];
	const size_t n = strlen(a), m = strlen(b);

	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			unsigned differ, best;

			if (!i || !j) {
				d[i][j] = (unsigned char)(i + j);
				continue;
			}
			differ = plain(a[i - 1]) != plain(b[j - 1]);
			best = least(d[i - 1][j] + 1u, d[i][j - 1] + 1u,
				     d[i - 1][j - 1] + differ);
			if (i > 1 && j > 1 &&
			    plain(a[i - 1]) == plain(b[j - 2]) &&
			    plain(a[i - 2]) == plain(b[j - 1]))
				best = KN_MIN(best, d[i - 2][j - 2] + 1u);
			d[i][j] = (unsigned char)best;
		}
	}
	return d[n][m];
}

/* Whether @name is the first words of @longer. */
static bool begins(const char *longer, const char *name)
{
	while (*name && *longer && plain(*name) == plain(*longer)) {
		name++;
		longer++;
	}
	return !*name && *longer == '_';
}

bool kn_conf_nearer(struct kn_conf_near *near, const char *candidate)
{
	const size_t len = strlen(near->name);
	/* A third of the letters may be wrong: more is another word. */
	size_t d = len / 3 + 1;

	if (!len || len > LETTERS)
		return false;
	if (begins(candidate, near->name))
		d = len / 3;
	d = KN_MIN(d, distance(near->name, candidate));
	if (d > len / 3 || (near->found && d >= near->distance))
		return false;
	near->distance = d;
	near->found = true;
	return true;
}

const struct kn_tunable *kn_conf_nearest(const struct kn_tunable *row, int nr,
					 const char *name)
{
	struct kn_conf_near near = {.name = name};
	const struct kn_tunable *nearest = NULL;

	for (int i = 0; i < nr; i++)
		if (kn_conf_nearer(&near, row[i].name))
			nearest = &row[i];
	return nearest;
}

const struct kn_tunable *kn_tunable_nearest(const char *name)
{
	return kn_conf_nearest(kn_tunables, KN_NR_TUNABLES, name);
}

#define KN_TUNABLE(name, kind, def, min, max, unit, when, help) \
	KN_STATIC_ASSERT(sizeof(#name) <= LETTERS, #name " is too long");
#include "alloc/config/tunables.def"
#undef KN_TUNABLE

/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/kinds.h - each kind of memory, for what holds of all of them */
#ifndef KN_TESTS_KINDS_H
#define KN_TESTS_KINDS_H

#include <knuma/gfp.h>

#include <stdbool.h>

struct kind {
	const char *name;
	void *(*get)(gfp_t gfp, int nid);
	void (*put)(void *p);
	void *(*address)(void *p);
	size_t size; /* bytes at the address that are the caller's */
};

extern const struct kind kinds[];
extern const int nr_kinds;

/* The one that a test runs for. */
extern const struct kind *kind;

/* In a child for each kind, named by a part of its text when it fails. */
void kinds_each(void (*fn)(void));

static inline void *kind_get(gfp_t gfp)
{
	return kind->get(gfp, -1);
}

/* A heap that cannot grow any more, and all that it has of the kind; once. */
void kind_fill(void);
void kind_free_all(void);
size_t kind_nr_kept(void);

/*
 * A shrinker that @scan stands behind: it is asked once in each round, for one
 * object, and its calls are counted by itself.
 */
struct shrinker;
struct shrink_control;
typedef unsigned long kind_scan(struct shrinker *s, struct shrink_control *sc);
struct shrinker *kind_shrinker(kind_scan *scan, unsigned int flags);

#endif

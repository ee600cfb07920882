/* SPDX-License-Identifier: Apache-2.0 */
#include <knuma/kvmalloc.h>

#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

struct canary *canary_new(size_t size, uint64_t tag)
{
	struct canary *c = kvmalloc(size, GFP_KERNEL);

	if (!c)
		return NULL;
	c->size = size;
	c->tag = tag;
	stress_fill(c->word, size - sizeof(*c), tag);
	return c;
}

int canary_lives(const struct canary *c, uint64_t tag)
{
	return c->tag == tag &&
	       stress_check(c->word, c->size - sizeof(*c), tag);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A program as a user writes it: strict C11, only installed headers. */
#include <knuma/knuma.h>

#include <stdio.h>
#include <string.h>

struct session {
	uint64_t id;
	char name[40];
};

int main(void)
{
	struct kmem_cache *cache = KMEM_CACHE(session, 0);
	struct session *s;
	char *p, *big;

	if (!cache)
		return 1;
	s = kmem_cache_zalloc(cache, GFP_KERNEL);
	p = kmalloc_node(100, GFP_KERNEL, 0);
	big = kvmalloc(1 << 20, GFP_KERNEL);
	if (!s || !p || !big || s->id != 0)
		return 1;
	memset(p, 1, 100);
	memset(big, 2, 1 << 20);
	kmem_cache_free(cache, s);
	kmem_cache_destroy(cache);
	kfree(p);
	kvfree(big);
	if (strcmp(knuma_version(), KNUMA_VERSION_STRING) != 0)
		return 1;
	puts("use: ok");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with knuma in it that says which settings it found: run as it is,
 * and as a set-user-id copy by somebody else (preload_test.sh).
 */
#include <stdio.h>
#include <sys/auxv.h>

#include <knuma/malloc.h>
#include <knuma/tunables.h>

static void tell(const char *name)
{
	char value[32] = "?";

	if (knuma_conf_get(name, value, sizeof(value)))
		printf("no setting %s\n", name);
	printf("%s=%s ", name, value);
}

int main(void)
{
	knuma_free(knuma_malloc(1));
	printf("secure=%d ", getauxval(AT_SECURE) != 0);
	tell("init_on_alloc");
	tell("vmalloc_cache");
	tell("stats");
	putchar('\n');
	return 0;
}

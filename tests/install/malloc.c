/* SPDX-License-Identifier: Apache-2.0 */
/* Linked with libknuma_malloc and libknuma: both fronts are one heap. */
#include <knuma/knuma.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	char *p = malloc(100);
	char *q = kmalloc(100, GFP_KERNEL);

	if (!p || !q)
		return 1;
	memset(p, 1, 100);
	if (ksize(p) < 100)
		return 1;
	kfree(p);
	free(q);
	puts("malloc: ok");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process to be looked at: prints the addresses of an object, an area and a
 * word of its stack, then does what it reads, a letter a line: b is busy for as
 * long as nothing else comes, i is idle, f forks a child that lives as long, t
 * writes over the environment, as for a title.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <knuma/knuma.h>

static void work(struct kmem_cache *s)
{
	void *obj[64];

	for (int i = 0; i < 64; i++)
		obj[i] = i % 2 ? kmem_cache_alloc(s, GFP_KERNEL) :
				 kmalloc((size_t)(i * 97), GFP_KERNEL);
	for (int i = 0; i < 64; i++)
		if (i % 2)
			kmem_cache_free(s, obj[i]);
		else
			kfree(obj[i]);
}

/* A group that holds an object of 1,024 bytes, and was refused one. */
static int charge(void)
{
	struct knuma_group *g = knuma_group_create("a \"tenant\"", 1500);
	const unsigned int before = knuma_group_enter(g);
	const int ok = kmalloc(1000, GFP_KERNEL_ACCOUNT) != NULL &&
		       !kmalloc(1000, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);

	knuma_group_leave(before);
	return ok && knuma_group_create("without limit", KNUMA_GROUP_NO_LIMIT);
}

static int something_to_read(int ms)
{
	return poll(&(struct pollfd){.fd = 0, .events = POLLIN}, 1, ms) > 0;
}

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("app", 300, 0, 0, NULL);
	char *obj = kmem_cache_alloc(s, GFP_KERNEL), *area = vmalloc(1 << 20);
	char line[16];

	if (!obj || !area || !charge())
		return 1;
	memset(area, 1, 1 << 20);
	printf("%d %p %p %p\n", getpid(), (void *)obj, (void *)area,
	       (void *)&s);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (char **e = environ; line[0] == 't' && *e; e++)
			memset(*e, 't', strlen(*e));
		if (line[0] == 't')
			puts("titled");
		fflush(stdout);
		if (line[0] == 'f' && fork() == 0) {
			printf("%d\n", getpid());
			fflush(stdout);
			sleep(60);
			_exit(0);
		}
		if (line[0] == 'b')
			while (!something_to_read(0))
				work(s);
		if (line[0] == 'i') {
			printf("idle\n");
			fflush(stdout);
		}
	}
	return 0;
}

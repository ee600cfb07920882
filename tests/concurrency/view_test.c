/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views are printed while other threads allocate, free, resize and trim: every
 * line is whole and possible, and areas do not overlap.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/concurrency/stress.h"
#include "tests/support/child.h"

enum {
	WORKERS = 3,
	AREAS = 60,
	ROUNDS = 20, /* of the readers, at least */
	MS = 500,
};

#define TEXT ((size_t)1 << 20)

static void *lasting[AREAS];
static uint64_t reads;

/* "0x...-0x... size", then what is not a number. */
static const char *check_area(const char *at, unsigned long *end)
{
	unsigned long from, to, size;

	CHECK_EQ(sscanf(at, "0x%lx-0x%lx %lu ", &from, &to, &size), 3);
	CHECK_EQ(to - from, size);
	CHECK_EQ(size % 4096, 0);
	CHECK(from >= *end);
	*end = to;
	at = strchr(at, '\n');
	CHECK(at);
	return at + 1;
}

static void check_areas(char *text, size_t len)
{
	unsigned long end = 0;
	const char *at = text;

	while (*at)
		at = check_area(at, &end);
	CHECK_EQ(at, text + len);
	/* Those that nobody touches are all there. */
	for (int i = 0; i < AREAS; i++) {
		char start[40];

		snprintf(start, sizeof(start), "0x%016lx-",
			 (unsigned long)lasting[i]);
		CHECK(strstr(text, start));
	}
}

static void check_slabs(char *text, size_t len)
{
	char *at = text;
	unsigned rows = 0;

	for (int head = 0; head < 2; head++)
		at = strchr(at, '\n') + 1;
	for (; *at; at = strchr(at, '\n') + 1, rows++) {
		unsigned long active, objects, slabs;
		unsigned per_slab;

		CHECK_EQ(sscanf(at,
				"%*s %lu %lu %*u %u %*d : tunables 0 0 "
				"0 : slabdata %lu",
				&active, &objects, &per_slab, &slabs),
			 4);
		CHECK_EQ(objects, slabs * per_slab);
	}
	CHECK_EQ(at, text + len);
	CHECK(rows > 20);
}

static void check_blocks(char *text, size_t len)
{
	char *at = text;

	while (*at) {
		unsigned long n[11];

		CHECK_EQ(sscanf(at,
				"Node %*d, zone Normal %lu %lu %lu %lu "
				"%lu %lu %lu %lu %lu %lu %lu",
				&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6],
				&n[7], &n[8], &n[9], &n[10]),
			 11);
		for (int o = 0; o < 11; o++)
			CHECK(n[o] < 1u << 24);
		at = strchr(at, '\n') + 1;
	}
	CHECK_EQ(at, text + len);
}

static void read_view(const char *name, char *text,
		      void (*check)(char *text, size_t len))
{
	const long len = knuma_view(name, text, TEXT);

	CHECK(len > 0 && len < (long)TEXT);
	check(text, (size_t)len);
}

static void reader(void)
{
	char *text = malloc(TEXT);

	CHECK(text);
	while (!stress_stopped()) {
		read_view("vmallocinfo", text, check_areas);
		read_view("slabinfo", text, check_slabs);
		read_view("buddyinfo", text, check_blocks);
		CHECK(knuma_view("pagetypeinfo", NULL, 0) > 0);
		__atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
	}
	free(text);
}

/* Areas of all sizes, that grow and shrink, and pages. */
static void worker(struct stress_thread *t)
{
	void *area[AREAS] = {NULL}, *p;

	while (!stress_stopped()) {
		const unsigned i = stress_below(t, AREAS);
		const size_t size = (stress_below(t, 40) + 1) * 5000;

		switch (stress_below(t, 4)) {
		case 0:
			vfree(area[i]);
			area[i] = vmalloc(size);
			break;
		case 1:
			p = area[i] ? vrealloc(area[i], size, GFP_KERNEL) :
				      NULL;
			area[i] = p ? p : area[i];
			break;
		case 2:
			kfree(kmalloc(size, GFP_KERNEL));
			break;
		default:
			if (!stress_below(t, 50))
				(void)!knuma_trim();
		}
	}
	for (int i = 0; i < AREAS; i++)
		vfree(area[i]);
}

static void role(struct stress_thread *t)
{
	if (t->index < 2)
		reader();
	else
		worker(t);
}

static bool enough(void)
{
	return __atomic_load_n(&reads, __ATOMIC_RELAXED) >= ROUNDS;
}

static void views_beside_everything(void **state)
{
	(void)state;
	for (int i = 0; i < AREAS; i++)
		lasting[i] = vmalloc((size_t)(i + 1) * 4096);
	stress_search(2 + WORKERS, role, NULL, MS, enough, stress_never);
	for (int i = 0; i < AREAS; i++)
		vfree(lasting[i]);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views_beside_everything),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

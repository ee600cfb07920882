/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/shrinker.h>: who is called, with what, and who is waited for. */
#include <knuma/linux/shrinker.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/core/shrinker.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

/* A cache of the application: a number of objects for each node. */
struct app {
	unsigned long left[4];
	unsigned long asked[4], looked, largest;
	gfp_t gfp;
	unsigned long answer; /* of scan_objects, if not 0 */
	unsigned long each;   /* nr_scanned of a call, if not 0 */
};

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	struct app *app = s->private_data;

	app->asked[sc->nid]++;
	app->gfp = sc->gfp_mask;
	/* checks shrink_control: "NULL: any memory" */
	CHECK_EQ(sc->group, NULL);
	return app->left[sc->nid];
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	struct app *app = s->private_data;
	unsigned long n = sc->nr_to_scan;

	/*
	 * checks shrink_control: "is @nr_to_scan before, and need not be set"
	 */
	CHECK_EQ(sc->nr_scanned, n);
	app->largest = n > app->largest ? n : app->largest;
	if (app->answer)
		return app->answer;
	if (app->each)
		sc->nr_scanned = n = n < app->each ? n : app->each;
	app->looked += n;
	CHECK(app->left[sc->nid] >= n);
	app->left[sc->nid] -= n;
	return n;
}

static struct shrinker *shrinker(struct app *app, unsigned flags)
{
	struct shrinker *s = shrinker_alloc(flags, "%s-%d", "app", 7);

	CHECK(s);
	s->count_objects = count;
	s->scan_objects = scan;
	s->private_data = app;
	return s;
}

static unsigned long shrink(unsigned part)
{
	return kn_shrink(GFP_KERNEL, KN_SHRINK_ALL_NODES, part);
}

static void called_once_registered(void)
{
	struct app app = {.left = {1000}};
	struct shrinker *s;

	start_quiet();
	s = shrinker(&app, 0);
	/*
	 * checks shrinker_alloc: "with @seeks DEFAULT_SEEKS and the rest zero"
	 */
	CHECK_EQ(s->seeks, DEFAULT_SEEKS);
	CHECK_EQ(s->batch, 0);
	CHECK_EQ(shrink(0), 0);
	CHECK_EQ(app.asked[0], 0);
	shrinker_register(s);
	CHECK_EQ(shrink(0), 1000);
	CHECK_EQ(app.left[0], 0);
	/* checks shrinker: "0 for 128" */
	CHECK_EQ(app.largest, 128);
	CHECK_EQ(app.gfp, GFP_KERNEL);
	CHECK_EQ(stat_of("shrunk_objects"), 1000);
	CHECK_EQ(shrink(0), 0);
	shrinker_free(s);
	app.left[0] = 5;
	CHECK_EQ(shrink(0), 0);
	/* checks shrinker_free: "its functions are not called any more" */
	CHECK_EQ(app.left[0], 5);
	shrinker_free(NULL);
	shrinker_free(shrinker(&app, 0));
}

static void a_part_follows_from_seeks(void)
{
	struct app app = {.left = {8000}};
	struct shrinker *s;

	start_quiet();
	s = shrinker(&app, 0);
	s->batch = 10;
	shrinker_register(s);
	CHECK_EQ(shrink(KN_SHRINK_PART), 2000);
	CHECK_EQ(app.largest, 10);
	s->seeks = 8;
	CHECK_EQ(shrink(KN_SHRINK_PART), 375); /* 6000 / 8 / 2 */
	s->seeks = 0;
	/* checks shrinker: "0 for half" */
	CHECK_EQ(shrink(KN_SHRINK_PART), 2812);
	/* A small cache is asked for a batch at least. */
	app.left[0] = 15;
	s->seeks = 2;
	CHECK_EQ(shrink(KN_SHRINK_PART), 10);
	shrinker_free(s);
}

static void answers_that_end_it(void)
{
	struct app app = {.left = {SHRINK_EMPTY}};
	struct shrinker *s;

	start_quiet();
	s = shrinker(&app, 0);
	shrinker_register(s);
	CHECK_EQ(shrink(0), 0);
	CHECK_EQ(app.largest, 0);
	app.left[0] = 1000;
	app.answer = SHRINK_STOP;
	CHECK_EQ(shrink(0), 0);
	/* checks shrinker: "returns how many it freed, or SHRINK_STOP" */
	CHECK_EQ(app.asked[0], 2);
	/* Fewer looked at than asked for: all get their turn. */
	app.answer = 0;
	app.each = 7;
	CHECK_EQ(shrink(0), 1000);
	shrinker_free(s);
}

static unsigned long no_progress(struct shrinker *s, struct shrink_control *sc)
{
	struct app *app = s->private_data;

	app->looked++;
	sc->nr_scanned = 0;
	return 0;
}

static void no_progress_is_no_endless_loop(void)
{
	struct app app = {.left = {1000}};
	struct shrinker *s;

	start_quiet();
	s = shrinker(&app, 0);
	s->scan_objects = no_progress;
	shrinker_register(s);
	CHECK_EQ(shrink(0), 0);
	CHECK_EQ(app.looked, 1);
	shrinker_free(s);
}

static void each_node_is_asked(void)
{
	struct app app = {.left = {10, 20, 30, 40}}, other = {.left = {1}};
	struct shrinker *s, *plain;

	conf("fake_nodes", "4");
	start_quiet();
	s = shrinker(&app, SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE);
	plain = shrinker(&other, SHRINKER_NONSLAB);
	shrinker_register(s);
	shrinker_register(plain);
	CHECK_EQ(kn_shrink(GFP_NOFS, 2, 0), 31);
	CHECK_EQ(app.asked[0] + app.asked[1] + app.asked[3], 0);
	CHECK_EQ(app.gfp, GFP_NOFS);
	CHECK_EQ(shrink(0), 70);
	for (int node = 0; node < 4; node++)
		CHECK_EQ(app.left[node], 0);
	shrinker_free(plain);
	shrinker_free(s);
}

static void trimming_asks_for_all(void)
{
	struct app app = {.left = {500}};
	struct shrinker *s;

	start_quiet();
	s = shrinker(&app, 0);
	shrinker_register(s);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(app.left[0], 0);
	/* checks shrink_control: "GFP_KERNEL else" */
	CHECK_EQ(app.gfp, GFP_KERNEL);
	shrinker_free(s);
}

/* Objects of a cache, all the memory that there is. */
static struct kmem_cache *cache;
static void *kept[20000];
static unsigned long nr_kept;

static unsigned long count_kept(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return nr_kept;
}

static unsigned long free_kept(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n = 0;
	void *p;

	(void)s;
	/* An allocation in here that fails does not call shrinkers again. */
	p = kmalloc(3 << 20, GFP_KERNEL | __GFP_NOWARN);
	kfree(p);
	while (n < sc->nr_to_scan && nr_kept) {
		kmem_cache_free(cache, kept[--nr_kept]);
		n++;
	}
	return n;
}

static int no_more(void *addr, size_t len, int prot)
{
	(void)addr;
	(void)len;
	(void)prot;
	return -ENOMEM;
}

static void an_allocation_that_would_fail_asks(void)
{
	struct shrinker *s;
	void *p;

	start_quiet();
	cache = kmem_cache_create("kept", 4096, NULL, 0);
	kn_machine.mprotect = no_more;
	while (nr_kept < 20000 &&
	       (p = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOWARN)))
		kept[nr_kept++] = p;
	CHECK(nr_kept > 100 && nr_kept < 20000);
	s = shrinker_alloc(0, "kept");
	CHECK(!s || s->seeks == DEFAULT_SEEKS);
	if (!s)
		skip_child("no memory for a shrinker");
	s->count_objects = count_kept;
	s->scan_objects = free_kept;
	shrinker_register(s);
	/* Not one that may not wait, nor one that tries once, nor malloc. */
	CHECK_FAILS(kmem_cache_alloc(cache, GFP_NOWAIT), ENOMEM);
	CHECK_FAILS(kmem_cache_alloc(cache,
				     GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN),
		    ENOMEM);
	CHECK_EQ(stat_of("shrunk_objects"), 0);
	p = kmem_cache_alloc(cache, GFP_KERNEL);
	CHECK(p);
	CHECK(stat_of("shrunk_objects") > 100);
	CHECK_EQ(nr_kept, 0);
	kmem_cache_free(cache, p);
	shrinker_free(s);
	kmem_cache_destroy(cache);
	heap_verify();
}

/* A call that lasts until it is let go. */
static int entered[2], go[2];

static unsigned long slow_count(struct shrinker *s, struct shrink_control *sc)
{
	char c = 'x';

	(void)s;
	(void)sc;
	CHECK_EQ(write(entered[1], &c, 1), 1);
	CHECK_EQ(read(go[0], &c, 1), 1);
	return 0;
}

static void *shrink_in_thread(void *unused)
{
	shrink(0);
	return unused;
}

static uint32_t freed;

static void *free_in_thread(void *s)
{
	shrinker_free(s);
	__atomic_store_n(&freed, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void freeing_waits_for_calls(void)
{
	struct app app = {.left = {3}};
	struct shrinker *s, *other;
	pthread_t caller, freer;
	char c = 'x';

	start_quiet();
	CHECK_EQ(pipe(entered) + pipe(go), 0);
	s = shrinker(&app, 0);
	s->count_objects = slow_count;
	other = shrinker(&app, 0);
	shrinker_register(s);
	shrinker_register(other);
	CHECK_EQ(pthread_create(&caller, NULL, shrink_in_thread, NULL), 0);
	CHECK_EQ(read(entered[0], &c, 1), 1);
	CHECK_EQ(pthread_create(&freer, NULL, free_in_thread, s), 0);
	usleep(20000);
	/* checks shrinker_free: "Waits for calls that are under way" */
	CHECK_EQ(__atomic_load_n(&freed, __ATOMIC_ACQUIRE), 0);
	CHECK_EQ(write(go[1], &c, 1), 1);
	CHECK_EQ(pthread_join(freer, NULL), 0);
	CHECK_EQ(pthread_join(caller, NULL), 0);
	CHECK_EQ(freed, 1);
	/* The walk went on behind it. */
	CHECK_EQ(app.left[0], 0);
	shrinker_free(other);
	heap_verify();
}

static void a_fork_in_the_middle_of_a_call(void)
{
	struct app app = {.left = {3}};
	struct shrinker *s;
	pthread_t caller;
	int status;
	char c = 'x';

	start_quiet();
	CHECK_EQ(pipe(entered) + pipe(go), 0);
	s = shrinker(&app, 0);
	s->count_objects = slow_count;
	shrinker_register(s);
	CHECK_EQ(pthread_create(&caller, NULL, shrink_in_thread, NULL), 0);
	CHECK_EQ(read(entered[0], &c, 1), 1);
	if (!fork()) {
		/* The call is not in this process. */
		alarm(20);
		shrinker_free(s);
		_exit(0);
	}
	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
	CHECK_EQ(write(go[1], &c, 1), 1);
	CHECK_EQ(pthread_join(caller, NULL), 0);
	shrinker_free(s);
}

static unsigned long free_itself(struct shrinker *s, struct shrink_control *sc)
{
	(void)sc;
	shrinker_free(s);
	return 0;
}

static void mistakes_are_reported(void)
{
	struct app app = {.left = {3}};
	struct shrinker *s;

	start_quiet();
	misuse_catch();
	s = shrinker_alloc(0, "half %s", "made");
	shrinker_register(s);
	/* checks shrinker_register: "one without its functions" */
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "half made");
	s->count_objects = count;
	shrinker_register(s);
	CHECK_EQ(misuse_count(), 2);
	s->scan_objects = scan;
	s->private_data = &app;
	shrinker_register(s);
	CHECK_EQ(misuse_count(), 2);
	shrinker_register(s);
	CHECK_EQ(misuse_count(), 3);
	CHECK_HAS(misuse_last(), "is registered already");
	s->count_objects = free_itself;
	shrink(0);
	/* checks shrinker_free: "From inside its own functions" */
	CHECK_EQ(misuse_count(), 4);
	CHECK_HAS(misuse_last(), "called inside of it");
	shrinker_free(s);
	CHECK_EQ(misuse_count(), 4);
	CHECK_FAILS(shrinker_alloc(1u << 3, "flags"), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(called_once_registered),
		child_test(a_part_follows_from_seeks),
		child_test(answers_that_end_it),
		child_test(no_progress_is_no_endless_loop),
		child_test(each_node_is_asked),
		child_test(trimming_asks_for_all),
		child_test(an_allocation_that_would_fail_asks),
		child_test(freeing_waits_for_calls),
		child_test(a_fork_in_the_middle_of_a_call),
		child_test(mistakes_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

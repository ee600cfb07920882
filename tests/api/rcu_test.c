/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <knuma/rcu.h> with a flavour made for the test: its grace period ends when
 * the test says so.  tests/concurrency has liburcu's own flavours.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <urcu/call-rcu.h>
#include <urcu/flavor.h>

#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/deferred/kfree_rcu.h"
#include "alloc/slab/cache.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

static int held;	 /* grace periods do not end */
static int waits;	 /* synchronize_rcu() calls begun */
static int inside;	 /* the test's thread is in a read section, or online */
static int went_offline; /* thread_offline() was called */
static int online_waits; /* waits that began with a reader inside */
static bool qsbr;

static int get(const int *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void set(int *p, int v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

static void synchronize(void)
{
	if (get(&inside))
		__atomic_add_fetch(&online_waits, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&waits, 1, __ATOMIC_SEQ_CST);
	while (get(&held))
		usleep(200);
}

/* Calls kfree_rcu() from where the pause asks whether the caller reads. */
static struct kmem_cache *nest_in;
static int nested, nested_asked;
static void flood(struct kmem_cache *s, int n);

static int ongoing(void)
{
	static bool in_here;

	if (in_here)
		nested_asked++;
	if (nest_in && !in_here) {
		in_here = true;
		flood(nest_in, 200);
		nested++;
		in_here = false;
	}
	return get(&inside);
}

static void offline(void)
{
	set(&went_offline, 1);
	if (qsbr)
		set(&inside, 0);
}

static void online(void)
{
	if (qsbr)
		set(&inside, 1);
}

static void nothing(void)
{
}

const struct rcu_flavor_struct rcu_flavor = {
	.read_lock = nothing,
	.read_unlock = nothing,
	.read_ongoing = ongoing,
	.read_quiescent_state = nothing,
	.update_synchronize_rcu = synchronize,
	.thread_offline = offline,
	.thread_online = online,
	.register_thread = nothing,
	.unregister_thread = nothing,
	.barrier = nothing,
};

/* A second one, whose readers may stay inside. */
static int other_held;

static void synchronize_other(void)
{
	while (get(&other_held))
		usleep(200);
}

static int never(void)
{
	return 0;
}

static const struct rcu_flavor_struct other_flavor = {
	.read_ongoing = never,
	.update_synchronize_rcu = synchronize_other,
	.thread_offline = nothing,
	.thread_online = nothing,
};

struct conn {
	uint64_t before[4];
	struct rcu_head rcu;
	uint64_t behind[20];
};

struct far_head {
	char before[4080];
	struct rcu_head rcu;
	char behind[5000];
};

static struct conn *new_conn(int i)
{
	struct conn *c = kmalloc(sizeof(*c), GFP_KERNEL);

	CHECK(c);
	memset(c, i, sizeof(*c));
	return c;
}

static bool conn_is(const struct conn *c, int i)
{
	return all_bytes(c->before, sizeof(c->before), (unsigned char)i) &&
	       all_bytes(c->behind, sizeof(c->behind), (unsigned char)i);
}

static void nothing_is_freed_before_its_grace_period(void)
{
	struct conn *old[200], *other[400];

	set(&held, 1);
	for (int i = 0; i < 200; i++) {
		old[i] = new_conn(i);
		kfree_rcu(old[i], rcu);
	}
	/* Waits for a grace period to be under way; still nothing is free. */
	for (int i = 0; i < 400; i++) {
		other[i] = new_conn(255);
		for (int k = 0; k < 200; k++)
			CHECK(other[i] != old[k]);
	}
	usleep(50000);
	/*
	 * checks kvfree_call_rcu_flavor: "nothing but @head is written";
	 * kfree_rcu: "keep valid memory until they leave it"
	 */
	for (int i = 0; i < 200; i++)
		CHECK(conn_is(old[i], i));
	/*
	 * checks knuma_trim: "Memory that waits for a grace period stays",
	 * "never waits for a grace period"
	 */
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("rcu_queued"), 200);
	CHECK_EQ(stat_of("rcu_freed"), 0);
	set(&held, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_freed"), 200);
	CHECK(stat_of("rcu_grace_periods") > 0);
	for (int i = 0; i < 400; i++)
		kfree(other[i]);
	heap_verify();
}

static void of_any_allocator(void)
{
	struct kmem_cache *s = KMEM_CACHE(conn, 0);
	struct conn *a, *b, *c, *d;

	CHECK(s);
	for (int i = 0; i < 50; i++) {
		a = kmalloc(sizeof(*a), GFP_KERNEL);
		b = kmem_cache_alloc(s, GFP_KERNEL);
		c = vmalloc(sizeof(*c));
		d = kvmalloc(10000000, GFP_KERNEL);
		kfree_rcu(a, rcu);
		kfree_rcu(b, rcu);
		kvfree_rcu(c, rcu);
		kvfree_rcu(d, rcu);
		kfree_rcu_mightsleep(kmalloc(100, GFP_KERNEL));
		kvfree_rcu_mightsleep((char *)vmalloc(100));
	}
	kvfree_rcu_barrier();
	/*
	 * checks kfree_rcu, kfree_rcu_mightsleep: "start of memory from any
	 * allocator"
	 */
	CHECK_EQ(stat_of("rcu_freed"), 300);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* With guard_sample: used while it waits, and a guard after its grace period. */
static void objects_between_guards(void)
{
	struct conn *c;
	void *p;

	conf("guard_sample", "1");
	set(&held, 1);
	c = new_conn(7);
	p = kmalloc(100, GFP_KERNEL);
	CHECK_EQ(kn_id_of(c), KN_ID_GUARD);
	CHECK_EQ(kn_id_of(p), KN_ID_GUARD);
	kfree_rcu(c, rcu);
	kfree_rcu_mightsleep(p);
	usleep(20000);
	CHECK(conn_is(c, 7));
	CHECK_EQ(ksize(p), 100);
	set(&held, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_freed"), 2);
	CHECK_EQ(ksize(launder(c)), 0);
	CHECK_EQ(ksize(launder(p)), 0);
	CHECK_EQ(stat_of("guarded_reports"), 0);
	CHECK_EQ(strlen(printed()), 0);
}

/* With init_on_free: whole until the grace period is over, then zero. */
static void wiped_behind_the_grace_period(void)
{
	struct conn *c[50];

	conf("secure", "yes");
	set(&held, 1);
	for (int i = 0; i < 50; i++) {
		c[i] = new_conn(i + 1);
		kfree_rcu(c[i], rcu);
	}
	usleep(20000);
	for (int i = 0; i < 50; i++)
		CHECK(conn_is(c[i], i + 1));
	set(&held, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_freed"), 50);
	for (int i = 0; i < 50; i++)
		CHECK(all_bytes(launder(c[i]), sizeof(*c[i]), 0));
	for (int i = 0; i < 100; i++)
		CHECK(all_bytes(kmalloc(sizeof(*c[0]), GFP_KERNEL),
				sizeof(*c[0]), 0));
	CHECK_EQ(stat_of("written_free"), 0);
	heap_verify();
}

static void a_head_far_into_the_object(void)
{
	for (int i = 0; i < 100; i++) {
		struct far_head *p = kmalloc(sizeof(*p), GFP_KERNEL);

		kfree_rcu(p, rcu);
	}
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_freed"), 100);
	heap_verify();
}

static void of_nothing_and_evaluated_once(void)
{
	struct conn *c = NULL, *two[2] = {new_conn(1), new_conn(2)}, **at = two;

	kfree_rcu(c, rcu);
	kvfree_rcu(c, rcu);
	kfree_rcu_mightsleep(c);
	/* checks kfree_rcu, kfree_rcu_mightsleep: "or NULL" */
	CHECK_EQ(stat_of("rcu_queued"), 0);
	kfree_rcu(*at++, rcu);
	/* checks kfree_rcu, kfree_rcu_mightsleep: "evaluated once" */
	CHECK_EQ(at, &two[1]);
	kfree_rcu_mightsleep(*at++);
	CHECK_EQ(at, &two[2]);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_freed"), 2);
}

/* No other call has to follow: the one that may sleep starts what frees. */
static void one_that_may_sleep_starts_the_thread(void)
{
	struct conn *with_head, *without;

	start_quiet();
	with_head = new_conn(1);
	without = new_conn(2);
	kfree_rcu(with_head, rcu);
	kvfree_rcu_mightsleep(without);
	for (int i = 0; i < 2000 && stat_of("rcu_freed") < 2; i++)
		usleep(10000);
	/* checks kvfree_call_rcu_flavor: "or by kvfree_rcu_mightsleep()" */
	CHECK_EQ(stat_of("rcu_freed"), 2);
}

static int (*real_getcpu)(void);
static int came_by;

/* Asked on the way to the array of the CPU, where there is no rseq. */
static int an_allocation_comes_by(void)
{
	came_by++;
	kn_rcu_step();
	return real_getcpu();
}

/* Another thread allocates when the first object is about to be queued. */
static void what_starts_the_thread_comes_before_the_object(void)
{
	struct conn *c;

	conf("rseq", "no");
	start_quiet();
	c = new_conn(1);
	real_getcpu = kn_machine.getcpu;
	kn_machine.getcpu = an_allocation_comes_by;
	kfree_rcu(c, rcu);
	kn_machine.getcpu = real_getcpu;
	CHECK(came_by > 0);
	for (int i = 0; i < 2000 && !stat_of("rcu_freed"); i++) {
		kn_rcu_step();
		usleep(10000);
	}
	CHECK_EQ(stat_of("rcu_freed"), 1);
}

static void a_barrier_of_nothing(void)
{
	kvfree_rcu_barrier();
	CHECK_EQ(get(&waits), 0);
}

static void destroy_waits_for_what_is_deferred(void)
{
	struct kmem_cache *s = KMEM_CACHE(conn, 0);

	for (int i = 0; i < 1000; i++) {
		struct conn *c = kmem_cache_alloc(s, GFP_KERNEL);

		kfree_rcu(c, rcu);
	}
	kmem_cache_destroy(s);
	/*
	 * checks kmem_cache_destroy: "what is deferred for this cache is waited
	 * for"
	 */
	CHECK_EQ(stat_of("rcu_freed"), 1000);
	CHECK_EQ(strlen(printed()), 0);
}

static void destroy_of_a_typesafe_cache_waits_for_readers(void)
{
	struct kmem_cache *s;
	int before;

	s = KMEM_CACHE(conn, SLAB_TYPESAFE_BY_RCU);
	for (int i = 0; i < 100; i++) {
		struct conn *c = kmem_cache_alloc(s, GFP_KERNEL);

		if (i % 2)
			kmem_cache_free(s, c);
		else
			kfree_rcu(c, rcu);
	}
	kvfree_rcu_barrier();
	before = get(&waits);
	kmem_cache_destroy(s);
	/* checks kmem_cache_destroy: "Waits for RCU grace periods" */
	CHECK(get(&waits) > before);
	CHECK_EQ(strlen(printed()), 0);
}

static void without_a_flavour_of_the_process(void)
{
	struct conn *c = new_conn(1);

	misuse_catch();
	kvfree_call_rcu(&c->rcu, c);
	/*
	 * checks kvfree_call_rcu: "Without a call of knuma_rcu_use() before it"
	 */
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "knuma_rcu_use");
	CHECK(conn_is(c, 1));
	knuma_rcu_use(&rcu_flavor);
	kvfree_call_rcu(&c->rcu, c);
	kvfree_call_rcu(NULL, new_conn(2));
	kvfree_rcu_barrier();
	CHECK_EQ(misuse_count(), 1);
	/* checks kvfree_call_rcu_flavor: "NULL if it has none" */
	CHECK_EQ(stat_of("rcu_freed"), 2);
}

static void a_head_that_is_not_in_the_object(void)
{
	static struct rcu_head elsewhere;
	struct conn *c = new_conn(1);

	misuse_catch();
	kvfree_call_rcu_flavor(&rcu_flavor, &elsewhere, c);
	CHECK_EQ(misuse_count(), 1);
	kvfree_call_rcu_flavor(&rcu_flavor,
			       (struct rcu_head *)((char *)c + 4096), c);
	CHECK_EQ(misuse_count(), 2);
	CHECK_EQ(stat_of("rcu_queued"), 0);
	kfree(c);
}

static void a_wait_inside_a_read_section_is_reported(void)
{
	misuse_catch();
	kfree_rcu(new_conn(1), rcu);
	set(&inside, 1);
	kvfree_rcu_barrier();
	/*
	 * checks kvfree_rcu_barrier: "that is reported, and the process is
	 * aborted"
	 */
	CHECK(misuse_count() > 0);
	CHECK_HAS(misuse_last(), "read section");
	set(&inside, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_freed"), 1);
}

/* Queueing is legal there. */
static void kfree_rcu_inside_a_read_section(void)
{
	misuse_catch();
	set(&inside, 1);
	for (int i = 0; i < 1000; i++)
		kfree_rcu(new_conn(1), rcu);
	set(&inside, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(misuse_count(), 0);
	CHECK_EQ(stat_of("rcu_freed"), 1000);
}

static void a_qsbr_reader_is_offline_while_it_waits(void)
{
	struct kmem_cache *s = KMEM_CACHE(conn, 0);
	struct conn *from_cache = kmem_cache_alloc(s, GFP_KERNEL);

	misuse_catch();
	qsbr = true;
	set(&inside, 1);
	kfree_rcu(new_conn(1), rcu);
	set(&online_waits, 0);
	kvfree_rcu_barrier();
	/*
	 * checks kvfree_rcu_barrier: "A QSBR reader is offline while it waits"
	 */
	CHECK_EQ(get(&inside), 1);
	CHECK_EQ(get(&went_offline), 1);
	CHECK_EQ(stat_of("rcu_freed"), 1);
	set(&went_offline, 0);
	kfree_rcu(from_cache, rcu);
	kmem_cache_destroy(s);
	/* checks kmem_cache_destroy: "a QSBR reader is offline meanwhile" */
	CHECK_EQ(get(&went_offline), 1);
	CHECK_EQ(get(&inside), 1);
	CHECK_EQ(misuse_count(), 0);
}

static void with_a_head_no_system_call(void)
{
	static struct conn *c[5000];

	start_quiet();
	for (int i = 0; i < 5000; i++)
		c[i] = new_conn(1);
	kfree_rcu(new_conn(2), rcu);
	kvfree_rcu_barrier();
	/* Of this thread. */
	if (!syscalls_forbid())
		skip_child("no seccomp");
	errno = 14;
	for (int i = 0; i < 5000; i++)
		kfree_rcu(c[i], rcu);
	/*
	 * checks kvfree_call_rcu_flavor: "makes no system call while less than
	 * the setting rcu_budget waits"
	 */
	CHECK_EQ(errno, 14);
}

/* Takes all batches of a depot; each object must be of @s and @node. */
static uint32_t depot_objects(struct kmem_cache *s, int node)
{
	uint32_t objects = 0;
	struct kn_block *b;

	while ((b = kn_depot_get(&s->mag.depot[node], 0))) {
		for (uint32_t i = 0; i < b->nr; i++) {
			CHECK_EQ(kn_window_of(b->obj[i]), node);
			CHECK_EQ(kn_id_of(b->obj[i]), s->mag.id);
		}
		objects += (uint32_t)b->nr;
		s->mag.flush(&s->mag, node, b->obj, (uint32_t)b->nr);
		kn_block_put(node, b);
	}
	return objects;
}

static void batches_go_home_whole(void)
{
	enum {
		BATCHES = 20
	};
	struct kmem_cache *s[3];
	const char *names[] = {"a", "b", "c"};

	fake_nodes(2);
	start_here();
	for (int i = 0; i < 3; i++) {
		s[i] = kmem_cache_create(names[i], 100u + 70u * (unsigned)i, 0,
					 0, NULL);
		CHECK(s[i]);
	}
	set(&held, 1);
	for (int k = 0; k < BATCHES * KN_BATCH_MAX; k++) {
		for (int i = 0; i < 3; i++) {
			struct rcu_head *p =
				kmem_cache_alloc_node(s[i], GFP_KERNEL, k % 2);

			CHECK(p);
			kvfree_call_rcu_flavor(&rcu_flavor, p, p);
		}
	}
	set(&held, 0);
	kvfree_rcu_barrier();
	for (int i = 0; i < 3; i++) {
		for (int node = 0; node < 2; node++) {
			const uint32_t n = depot_objects(s[i], node);

			CHECK(n >= (BATCHES / 2 - 1) * KN_BATCH_MAX);
		}
		CHECK_EQ(kmem_cache_shrink(s[i]), 0);
		kmem_cache_destroy(s[i]);
	}
	CHECK_EQ(stat_of("rcu_freed"), 3 * BATCHES * KN_BATCH_MAX);
	CHECK_EQ(stat_of("rcu_queued"), 3 * BATCHES * KN_BATCH_MAX);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* Of the node that knuma has as its first, wherever the thread runs. */
static void *alloc_on_first(struct kmem_cache *s)
{
	return kmem_cache_alloc_node(s, GFP_KERNEL, kn_topo.kernel_id[0]);
}

/* More than the depot may keep goes to the slabs. */
static void the_depot_keeps_its_limit(void)
{
	struct kmem_cache *s;
	const int n = 20 * KN_BATCH_MAX;

	conf("depot_batches", "3");
	start_quiet();
	s = KMEM_CACHE(conn, 0);
	set(&held, 1);
	for (int i = 0; i < n; i++) {
		struct conn *c = alloc_on_first(s);

		kfree_rcu(c, rcu);
	}
	set(&held, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(s->mag.depot[0].nr_full, 3);
	/* A block out of a magazine that was drained need not be full. */
	CHECK(depot_objects(s, 0) > 3 * KN_BATCH_MAX / 2);
	CHECK(depot_objects(s, 0) <= 3 * KN_BATCH_MAX);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
	heap_verify();
}

static void bytes_that_wait_are_counted(void)
{
	struct kmem_cache *s;
	uint64_t bytes = 0;

	start_quiet();
	s = KMEM_CACHE(conn, 0);
	set(&held, 1);
	for (int i = 0; i < 1000; i++) {
		struct conn *c = kmem_cache_alloc(s, GFP_KERNEL);

		bytes += s->size;
		kfree_rcu(c, rcu);
		CHECK_EQ(stat_of("rcu_waiting_bytes"), bytes);
	}
	kvfree_rcu(new_conn(1), rcu);
	bytes += ksize(new_conn(1));
	kvfree_rcu_mightsleep(vmalloc(100000));
	bytes += 25 * 4096;
	CHECK_EQ(stat_of("rcu_waiting_bytes"), bytes);
	usleep(20000);
	CHECK_EQ(stat_of("rcu_waiting_bytes"), bytes);
	set(&held, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_waiting_bytes"), 0);
	CHECK_EQ(stat_of("rcu_queued"), stat_of("rcu_freed"));
}

/* A child that waits for the other cache would hang. */
static void a_barrier_on_a_cache_waits_for_no_other(void)
{
	struct kmem_cache *mine = KMEM_CACHE(conn, 0);
	struct kmem_cache *theirs = KMEM_CACHE(far_head, 0);
	struct far_head *b = kmem_cache_alloc(theirs, GFP_KERNEL);
	struct conn *c;
	int before;

	kvfree_rcu_barrier_on_cache(NULL);
	set(&other_held, 1);
	kvfree_call_rcu_flavor(&other_flavor, &b->rcu, b);
	for (int i = 0; i < 100; i++) {
		c = kmem_cache_alloc(mine, GFP_KERNEL);
		kfree_rcu(c, rcu);
	}
	kvfree_rcu_barrier_on_cache(mine);
	/*
	 * checks kvfree_rcu_barrier_on_cache: "Covers every request, of any
	 * flavour, for an object", "Flavours in which no object of @s waits"
	 */
	CHECK_EQ(stat_of("rcu_freed"), 100);
	before = get(&waits);
	kvfree_rcu_barrier_on_cache(mine);
	CHECK_EQ(get(&waits), before);
	c = kmem_cache_alloc(mine, GFP_KERNEL);
	kfree_rcu(c, rcu);
	kmem_cache_destroy(mine);
	CHECK_EQ(stat_of("rcu_freed"), 101);
	set(&other_held, 0);
	kvfree_rcu_barrier_on_cache(theirs);
	CHECK_EQ(stat_of("rcu_freed"), 102);
	kmem_cache_destroy(theirs);
	CHECK_EQ(strlen(printed()), 0);
}

static void twice_with_others_between_is_reported(void)
{
	struct far_head *v, *w;
	struct conn *c, *d;

	/* Both frees of an object come to the same array. */
	start_here();
	c = new_conn(1);
	d = new_conn(2);
	v = vmalloc(100000);
	w = vmalloc(100000);
	misuse_catch();
	kfree_rcu(c, rcu);
	kfree_rcu(d, rcu);
	kfree_rcu(c, rcu);
	kvfree_rcu_barrier();
	/* checks kvfree_call_rcu_flavor: "a second call for the same memory" */
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "double free: kfree_rcu");
	/* Linked: a list that comes back to itself. */
	kvfree_rcu(v, rcu);
	kvfree_rcu(w, rcu);
	kvfree_rcu(v, rcu);
	kvfree_rcu_barrier();
	CHECK_EQ(misuse_count(), 2);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	/* It is in a slab: nobody has it. */
	c = new_conn(1);
	kfree(c);
	CHECK_EQ(knuma_trim(), 0);
	c = new_conn(1);
	d = new_conn(1);
	kfree(launder(c));
	CHECK_EQ(knuma_trim(), 0);
	kfree_rcu((struct conn *)launder(c), rcu);
	kvfree_rcu_barrier();
	CHECK_EQ(misuse_count(), 3);
	kfree(d);
	heap_verify();
}

static void what_is_no_allocation_is_reported(void)
{
	struct kmem_cache *s = KMEM_CACHE(conn, 0);
	struct conn local, *c = kmem_cache_alloc(s, GFP_KERNEL);
	struct conn *interior = launder(&c->before[1]);
	struct conn *zero = ZERO_SIZE_PTR;

	misuse_catch();
	kvfree_rcu(zero, rcu);
	kfree_rcu_mightsleep(zero);
	CHECK_EQ(misuse_count(), 0);
	kvfree_rcu((struct conn *)launder(&local), rcu);
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "not of this heap");
	kfree_rcu_mightsleep(launder(&local));
	CHECK_EQ(misuse_count(), 2);
	CHECK_EQ(stat_of("rcu_queued"), 0);
	kfree_rcu(interior, rcu);
	kvfree_rcu_barrier();
	CHECK_EQ(misuse_count(), 3);
	CHECK_HAS(misuse_last(), "not the start");
	/* Left over when its cache was destroyed. */
	kmem_cache_destroy(s);
	kfree_rcu(c, rcu);
	kvfree_rcu_barrier();
	/*
	 * checks kvfree_call_rcu_flavor: "memory of a destroyed cache or of no
	 * allocation"
	 */
	CHECK_EQ(misuse_count(), 4);
	CHECK_HAS(misuse_last(), "destroyed");
	CHECK_EQ(stat_of("rcu_waiting_bytes"), 0);
}

/* @n objects of a cache that wait. */
static void flood(struct kmem_cache *s, int n)
{
	while (n--) {
		struct conn *c = kmem_cache_alloc(s, GFP_KERNEL);

		CHECK(c);
		kfree_rcu(c, rcu);
	}
}

/* Readers are inside, a MiB is the budget, and nearly that waits. */
static struct kmem_cache *flood_to_the_budget(const char *full,
					      const char *stuck_ms)
{
	struct kmem_cache *s;

	conf("rcu_budget", "1M");
	conf("rcu_full", full);
	conf("rcu_stuck_ms", stuck_ms);
	/* What one array holds is not queued yet: there are no others. */
	start_here();
	s = KMEM_CACHE(conn, 0);
	CHECK(s);
	set(&held, 1);
	kfree_rcu_mightsleep(kmalloc(10, GFP_KERNEL));
	flood(s, (1 << 20) / (int)s->size - 200);
	CHECK_EQ(stat_of("rcu_sleeps"), 0);
	return s;
}

static void end_of_flood(struct kmem_cache *s)
{
	set(&held, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_waiting_bytes"), 0);
	CHECK_EQ(stat_of("rcu_lag_ms"), 0);
	kmem_cache_destroy(s);
	heap_verify();
}

static void over_the_budget_the_caller_sleeps(void)
{
	struct kmem_cache *s = flood_to_the_budget("grow", "3600s");
	sigset_t all, old;
	uint64_t sleeps;

	flood(s, 1000);
	sleeps = stat_of("rcu_sleeps");
	/*
	 * checks kvfree_call_rcu_flavor: "sleeps until that has freed
	 * something"
	 */
	CHECK(sleeps > 0);
	/* Not where it would hold up readers, or a fork. */
	set(&inside, 1);
	flood(s, 1000);
	set(&inside, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	flood(s, 1000);
	sigprocmask(SIG_SETMASK, &old, NULL);
	/* checks kvfree_call_rcu_flavor: "not inside a read section" */
	CHECK_EQ(stat_of("rcu_sleeps"), sleeps);
	/* Nor does it take a QSBR reader offline. */
	qsbr = true;
	set(&inside, 1);
	flood(s, 1000);
	CHECK_EQ(stat_of("rcu_sleeps"), sleeps);
	CHECK_EQ(get(&inside), 1);
	CHECK_EQ(get(&went_offline), 0);
	set(&inside, 0);
	end_of_flood(s);
	sleeps = stat_of("rcu_sleeps");
	flood(KMEM_CACHE(conn, 0), 1000);
	CHECK_EQ(stat_of("rcu_sleeps"), sleeps);
}

/* As a signal handler would, in the middle of the pause. */
static void a_call_inside_the_pause_does_not_sleep(void)
{
	struct kmem_cache *s = flood_to_the_budget("grow", "3600s");

	nest_in = s;
	flood(s, 500);
	CHECK(nested > 0);
	CHECK_EQ(nested_asked, 0);
	nest_in = NULL;
	end_of_flood(s);
}

static void flood_until_told(struct kmem_cache *s, uint64_t times)
{
	while (stat_of("rcu_stuck") < times) {
		flood(s, 100);
		usleep(1000);
	}
	kn_rcu_tick();
}

static void a_reader_that_stays_is_told_once(void)
{
	struct kmem_cache *s = flood_to_the_budget("grow", "20ms");

	flood_until_told(s, 1);
	CHECK(stat_of("rcu_lag_ms") >= 20);
	CHECK_HAS(printed(), "bytes wait for readers of the flavour");
	CHECK_HAS(printed(), "cannot be told");
	flood(s, 1000);
	CHECK_EQ(stat_of("rcu_stuck"), 1);
	set(&held, 0);
	kvfree_rcu_barrier();
	set(&held, 1);
	flood(s, (1 << 20) / (int)s->size);
	flood_until_told(s, 2);
	CHECK_EQ(printed_times("has not left its section"), 1);
	end_of_flood(s);
}

/*
 * The next look is when that one, too, has taken too long: a machine that is slow
 * needs as long to queue what the budget allows.
 */
static void one_that_stays_after_another_is_counted(void)
{
	struct kmem_cache *s = flood_to_the_budget("grow", "20ms");
	int before;

	flood_until_told(s, 1);
	set(&held, 0);
	kvfree_rcu_barrier();
	set(&held, 1);
	before = get(&waits);
	flood(s, 200);
	while (get(&waits) == before)
		usleep(1000);
	usleep(50000);
	CHECK_EQ(stat_of("rcu_stuck"), 1);
	flood(s, (2 << 20) / (int)s->size);
	CHECK_EQ(stat_of("rcu_stuck"), 2);
	CHECK_EQ(printed_times("has not left its section"), 1);
	end_of_flood(s);
}

static void a_reader_that_queues_is_named(void)
{
	struct kmem_cache *s = flood_to_the_budget("grow", "20ms");
	char name[40];

	set(&inside, 1);
	flood_until_told(s, 1);
	snprintf(name, sizeof(name), "thread %d was inside", (int)gettid());
	CHECK_HAS(printed(), name);
	set(&inside, 0);
	end_of_flood(s);
}

static void at_twice_the_budget_allocations_fail(void)
{
	struct kmem_cache *s = flood_to_the_budget("fail", "20ms");
	struct kmem_cache *other = kmem_cache_create("other", 500, 0, 0, NULL);
	struct conn *c;
	int n = 0;

	while ((c = kmem_cache_alloc(s, GFP_KERNEL))) {
		kfree_rcu(c, rcu);
		CHECK(n++ < 100000);
	}
	/* checks kvfree_call_rcu_flavor: "With twice rcu_budget waiting" */
	CHECK_EQ(errno, ENOMEM);
	CHECK(stat_of("rcu_refused") > 0);
	CHECK(stat_of("rcu_waiting_bytes") >= 2 << 20);
	CHECK(stat_of("rcu_waiting_bytes") < 3 << 20);
	CHECK_EQ(printed_times("twice rcu_budget"), 1);
	/* What may not wait, must not fail, or is of another cache. */
	c = kmem_cache_alloc(s, GFP_ATOMIC);
	CHECK(c);
	kmem_cache_free(s, c);
	kmem_cache_shrink(s);
	c = kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOFAIL);
	CHECK(c);
	kmem_cache_free(s, c);
	c = kmem_cache_alloc(other, GFP_KERNEL);
	CHECK(c);
	kmem_cache_free(other, c);
	/* Readers leave. */
	set(&held, 0);
	kvfree_rcu_barrier();
	kmem_cache_shrink(s);
	c = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(c);
	kmem_cache_free(s, c);
	kmem_cache_destroy(other);
	end_of_flood(s);
}

static void or_memory_grows(void)
{
	struct kmem_cache *s = flood_to_the_budget("grow", "3600s");

	flood(s, (3 << 20) / (int)s->size);
	CHECK(stat_of("rcu_waiting_bytes") > 3 << 20);
	CHECK_EQ(stat_of("rcu_refused"), 0);
	CHECK_EQ(printed_times("twice rcu_budget"), 0);
	end_of_flood(s);
}

/* @n of 20000 bytes that wait; stops at the first that is refused. */
static int flood_large(int n, void *(*alloc)(size_t size, gfp_t gfp))
{
	for (int i = 0; i < n; i++) {
		struct conn *c = alloc(20000, GFP_KERNEL);

		if (!c)
			return i;
		kvfree_rcu(c, rcu);
	}
	return n;
}

static void *by_vmalloc(size_t size, gfp_t gfp)
{
	return __vmalloc(size, gfp);
}

static void all_large_requests_fail(void)
{
	const int node = 0;

	CHECK_FAILS(kmalloc(20000, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kvmalloc(20000, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kvmalloc(1 << 20, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(vmalloc(20000), ENOMEM);
	CHECK_FAILS(knuma_vmalloc_interleave(20000, &node, 1), ENOMEM);
	CHECK_FAILS(alloc_pages(GFP_KERNEL, 0), ENOMEM);
	/* checks alloc_pages_exact: "ENOMEM as alloc_pages_node()" */
	CHECK_FAILS(alloc_pages_exact(20000, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(knuma_malloc(20000), ENOMEM);
	CHECK_FAILS(knuma_malloc(1 << 20), ENOMEM);
}

static void all_large_requests_are_served(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 0);
	void *p = kmalloc(20000, GFP_KERNEL), *area = vmalloc(20000);

	CHECK(page && p && area);
	__free_pages(page, 0);
	kfree(p);
	vfree(area);
}

static void large_fails(void *(*alloc)(size_t size, gfp_t gfp))
{
	struct kmem_cache *s = flood_to_the_budget("fail", "20ms");
	struct page *page;
	uint64_t refused;
	void *p;

	CHECK(flood_large(100000, alloc) < 100000);
	CHECK_EQ(errno, ENOMEM);
	CHECK(stat_of("rcu_waiting_bytes") >= 2 << 20);
	CHECK(stat_of("rcu_waiting_bytes") < 3 << 20);
	CHECK_EQ(printed_times("twice rcu_budget"), 1);
	refused = stat_of("rcu_refused");
	all_large_requests_fail();
	CHECK(stat_of("rcu_refused") >= refused + 9);
	refused = stat_of("rcu_refused");
	/* What must not fail, and objects of caches that do not wait. */
	page = alloc_pages(GFP_KERNEL | __GFP_NOFAIL, 3);
	p = kmalloc(1000, GFP_KERNEL);
	CHECK(page && p);
	__free_pages(page, 3);
	kfree(p);
	page = alloc_pages(GFP_ATOMIC, 0);
	CHECK(page);
	__free_pages(page, 0);
	CHECK_EQ(stat_of("rcu_refused"), refused);
	/* The setting is looked at by the background work. */
	conf("rcu_full", "grow");
	kn_rcu_tick();
	all_large_requests_are_served();
	conf("rcu_full", "fail");
	CHECK(flood_large(100000, alloc) < 100000);
	all_large_requests_fail();
	/* Readers leave. */
	set(&held, 0);
	kvfree_rcu_barrier();
	all_large_requests_are_served();
	end_of_flood(s);
}

static void large_memory_that_waits_fails_too(void)
{
	large_fails(kmalloc);
}

static void areas_that_wait_fail_too(void)
{
	large_fails(by_vmalloc);
}

static void areas_over_several_nodes_fail_too(void)
{
	const int nodes[] = {0, 1};
	struct kmem_cache *s;
	void *p;

	fake_nodes(2);
	s = flood_to_the_budget("fail", "20ms");
	p = knuma_vmalloc_interleave(20000, nodes, 2);
	CHECK(p);
	vfree(p);
	CHECK(flood_large(100000, by_vmalloc) < 100000);
	CHECK_FAILS(knuma_vmalloc_interleave(20000, nodes, 2), ENOMEM);
	end_of_flood(s);
}

static void or_large_memory_grows(void)
{
	struct kmem_cache *s = flood_to_the_budget("grow", "1ms");

	CHECK_EQ(flood_large(200, kmalloc), 200);
	CHECK_EQ(flood_large(200, by_vmalloc), 200);
	CHECK(stat_of("rcu_waiting_bytes") > 8 << 20);
	CHECK_EQ(stat_of("rcu_refused"), 0);
	end_of_flood(s);
}

/* Small objects that wait refuse nobody else's large ones. */
static void objects_that_wait_refuse_no_large_memory(void)
{
	struct kmem_cache *s = flood_to_the_budget("fail", "20ms");
	struct conn *c;

	while ((c = kmem_cache_alloc(s, GFP_KERNEL)))
		kfree_rcu(c, rcu);
	all_large_requests_are_served();
	end_of_flood(s);
}

static void slabs_of_a_typesafe_cache_leave_after_a_grace_period(void)
{
	static struct conn *c[2000];
	struct kmem_cache *s;
	uint64_t nr;

	start_quiet();
	s = KMEM_CACHE(conn, SLAB_TYPESAFE_BY_RCU);
	for (int i = 0; i < 2000; i++)
		c[i] = alloc_on_first(s);
	nr = s->node[0].nr_slabs;
	kmem_cache_free_bulk(s, 2000, (void **)c);
	/* Whose readers there are is not known yet. */
	/*
	 * checks knuma_rcu_use: "while it has seen none they stay with their
	 * cache"
	 */
	CHECK_EQ(kmem_cache_shrink(s), 1);
	CHECK_EQ(kn_slab_leaving(s), 0);
	CHECK_EQ(s->node[0].nr_slabs, nr);
	knuma_rcu_use(&rcu_flavor);
	c[0] = new_conn(1);
	kvfree_call_rcu_flavor(&other_flavor, &c[0]->rcu, c[0]);
	set(&held, 1);
	/* checks kmem_cache_shrink: "May wait, not for a grace period" */
	CHECK_EQ(kmem_cache_shrink(s), 1);
	CHECK_EQ(kn_slab_leaving(s), nr);
	CHECK_EQ(kn_slab_in_use(s, 0), 0);
	CHECK_EQ(stat_of("slab_freed"), 0);
	/* Nothing of them is handed out meanwhile. */
	c[0] = alloc_on_first(s);
	CHECK_EQ(s->node[0].nr_slabs, nr + 1);
	kmem_cache_free(s, c[0]);
	set(&held, 0);
	kvfree_rcu_barrier();
	CHECK_EQ(kn_slab_leaving(s), 0);
	CHECK_EQ(stat_of("slab_freed"), nr);
	/* Destroyed while some are on their way. */
	for (int i = 0; i < 2000; i++)
		c[i] = alloc_on_first(s);
	kmem_cache_free_bulk(s, 2000, (void **)c);
	kmem_cache_shrink(s);
	kmem_cache_destroy(s);
	CHECK_EQ(s->mag.id, 0);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* Nothing else is ever queued for the second flavour: it has no thread. */
static void slabs_leave_through_a_flavour_that_is_only_named(void)
{
	struct kmem_cache *s;
	struct conn *c[500];

	start_quiet();
	s = KMEM_CACHE(conn, SLAB_TYPESAFE_BY_RCU);
	kfree_rcu_mightsleep(new_conn(1));
	knuma_rcu_use(&other_flavor);
	for (int i = 0; i < 500; i++)
		c[i] = alloc_on_first(s);
	kmem_cache_free_bulk(s, 500, (void **)c);
	CHECK_EQ(kmem_cache_shrink(s), 1);
	CHECK(s->node[0].nr_slabs > 0 || kn_slab_leaving(s) > 0);
	for (int i = 0; i < 2000 && kn_slab_leaving(s); i++) {
		kn_rcu_step();
		usleep(10000);
	}
	CHECK_EQ(kn_slab_leaving(s), 0);
	CHECK(stat_of("slab_freed") > 0);
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

static void twice(void)
{
	struct conn *c = new_conn(1), *same = launder(c);

	kfree_rcu(c, rcu);
	kfree_rcu(same, rcu);
	kvfree_rcu_barrier();
	/* Where they went to two CPUs' arrays, the slab notices. */
	(void)!knuma_trim();
}

static void kfree_meanwhile(void)
{
	struct conn *c = new_conn(1), *same = launder(c);

	set(&held, 1);
	kfree_rcu(c, rcu);
	kfree(same);
	set(&held, 0);
	kvfree_rcu_barrier();
	(void)!knuma_trim();
}

static void a_second_free_aborts(void)
{
	struct child c;

	child_run(twice, &c);
	/* checks kvfree_call_rcu_flavor: "kfree() of it meanwhile" */
	CHECK(child_killed(&c, SIGABRT));
	CHECK_HAS(c.text, "double free");
	child_run(kfree_meanwhile, &c);
	CHECK(child_killed(&c, SIGABRT));
	CHECK_HAS(c.text, "double free");
}

/* Two barriers, as calls before and between them. */
static void every_barrier_covers_what_came_before_it(void)
{
	for (int i = 1; i <= 20; i++) {
		kfree_rcu(new_conn(i), rcu);
		kvfree_rcu_barrier();
		/* checks kvfree_rcu_barrier: "Covers every request" */
		CHECK_EQ(stat_of("rcu_freed"), (uint64_t)i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(nothing_is_freed_before_its_grace_period),
		child_test(of_any_allocator),
		child_test(objects_between_guards),
		child_test(wiped_behind_the_grace_period),
		child_test(a_head_far_into_the_object),
		child_test(of_nothing_and_evaluated_once),
		child_test(one_that_may_sleep_starts_the_thread),
		child_test(what_starts_the_thread_comes_before_the_object),
		child_test(a_barrier_of_nothing),
		child_test(destroy_waits_for_what_is_deferred),
		child_test(destroy_of_a_typesafe_cache_waits_for_readers),
		child_test(without_a_flavour_of_the_process),
		child_test(a_head_that_is_not_in_the_object),
		child_test(a_wait_inside_a_read_section_is_reported),
		child_test(kfree_rcu_inside_a_read_section),
		child_test(a_qsbr_reader_is_offline_while_it_waits),
		child_test(with_a_head_no_system_call),
		child_test(batches_go_home_whole),
		child_test(the_depot_keeps_its_limit),
		child_test(bytes_that_wait_are_counted),
		child_test(a_barrier_on_a_cache_waits_for_no_other),
		child_test(twice_with_others_between_is_reported),
		child_test(what_is_no_allocation_is_reported),
		child_test(over_the_budget_the_caller_sleeps),
		child_test(a_call_inside_the_pause_does_not_sleep),
		child_test(a_reader_that_stays_is_told_once),
		child_test(one_that_stays_after_another_is_counted),
		child_test(a_reader_that_queues_is_named),
		child_test(at_twice_the_budget_allocations_fail),
		child_test(or_memory_grows),
		child_test(large_memory_that_waits_fails_too),
		child_test(areas_that_wait_fail_too),
		child_test(areas_over_several_nodes_fail_too),
		child_test(or_large_memory_grows),
		child_test(objects_that_wait_refuse_no_large_memory),
		child_test(
			slabs_of_a_typesafe_cache_leave_after_a_grace_period),
		child_test(slabs_leave_through_a_flavour_that_is_only_named),
		child_test(a_second_free_aborts),
		child_test(every_barrier_covers_what_came_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

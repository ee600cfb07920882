/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/percpu.h>: a copy for each CPU, sentence by sentence. */
#include <knuma/percpu.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/percpu/percpu.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

struct stats {
	uint64_t requests;
	int8_t small;
	uint16_t medium;
	int32_t number;
	void *pointer;
};

static void each_copy_is_zero_and_its_own(void)
{
	static const size_t sizes[] = {1, 8, 24, 100, 4096, 9000, 32768};
	unsigned int cpu;

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *p = __alloc_percpu(sizes[i], 8);

			CHECK(p && (uintptr_t)p % 8 == 0);
			for_each_possible_cpu(cpu)
			{
				/*
				 * checks __alloc_percpu_gfp: "Each copy is
				 * zero"
				 */
				CHECK(all_bytes(per_cpu_ptr(p, cpu), sizes[i],
						0));
				memset(per_cpu_ptr(p, cpu), (int)cpu + 1,
				       sizes[i]);
			}
			for_each_possible_cpu(cpu)
				CHECK(all_bytes(per_cpu_ptr(p, cpu), sizes[i],
						(unsigned char)(cpu + 1)));
			free_percpu(p);
		}
	CHECK_EQ(strlen(printed()), 0);
}

static void aligned_as_asked_for(void)
{
	char *p[13];
	unsigned int n = 0;

	for (size_t align = 1; align <= 4096; align *= 2) {
		p[n] = __alloc_percpu(24, align);
		/* checks __alloc_percpu_gfp: "@align, and 8 at least" */
		CHECK(p[n] && (uintptr_t)p[n] % align == 0);
		CHECK_EQ((uintptr_t)p[n] % 8, 0);
		n++;
	}
	while (n)
		free_percpu(p[--n]);
}

enum {
	MANY = 3000
};

static int no_cpu(void)
{
	return -1;
}

static void the_last_copy_is_of_no_cpu(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "r");
	unsigned int cpu, last = 0, n = 0;
	uint64_t *p = alloc_percpu(uint64_t);

	CHECK(f && p);
	/* "0-7", or with gaps "0,2-3". */
	while (fscanf(f, "%u%*[-,]", &last) > 0)
		;
	/* checks knuma_nr_cpu_ids: "one more than the CPUs that are possible" */
	CHECK_EQ(knuma_nr_cpu_ids(), last + 2);
	for_each_possible_cpu(cpu) n++;
	CHECK_EQ(n, last + 2);
	kn_machine.getcpu = no_cpu;
	/* checks for_each_possible_cpu: "of threads without a CPU" */
	CHECK_EQ(knuma_this_cpu(), last + 1);
	this_cpu_inc(*p);
	CHECK_EQ(*per_cpu_ptr(p, last + 1), 1);
	free_percpu(p);
	fclose(f);
}

static void without_rseq_the_last_copy_is_of_no_cpu(void)
{
	conf("rseq", "no");
	the_last_copy_is_of_no_cpu();
}

/* More than a chunk: no two of them overlap, and what is freed is used again. */
static void objects_do_not_overlap(void)
{
	static char *p[MANY];
	static size_t size[MANY];
	uint64_t maps = 0;
	unsigned int cpu;

	faults_install();

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++) {
			size[i] = (size_t)(i * 7 % 120 + 1);
			p[i] = __alloc_percpu(size[i], 1);
			CHECK(p[i]);
			for_each_possible_cpu(cpu)
				pattern_fill(per_cpu_ptr(p[i], cpu), size[i],
					     (uint64_t)i * 100 + cpu);
		}
		for (int i = 0; i < MANY; i++)
			for_each_possible_cpu(cpu) CHECK(
				pattern_holds(per_cpu_ptr(p[i], cpu), size[i],
					      (uint64_t)i * 100 + cpu));
		/* Every other first: what is next to a hole stays. */
		for (int i = 0; i < MANY; i += 2)
			free_percpu(p[i]);
		for (int i = 1; i < MANY; i += 2)
			CHECK(pattern_holds(p[i], size[i], (uint64_t)i * 100));
		for (int i = 1; i < MANY; i += 2)
			free_percpu(p[i]);
		if (round == 0)
			maps = faults_calls(FAULT_MMAP);
	}
	CHECK_EQ(faults_calls(FAULT_MMAP), maps);
}

static uint64_t sum_of(struct stats *s)
{
	uint64_t sum = 0;
	unsigned int cpu;

	for_each_possible_cpu(cpu) sum += per_cpu_ptr(s, cpu)->requests;
	return sum;
}

/* Wherever the thread runs meanwhile: the sum over all copies is exact. */
static void nothing_is_lost(void)
{
	struct stats *s = alloc_percpu(struct stats);
	int64_t small = 0, medium = 0, number = 0;
	unsigned int cpu;

	/*
	 * checks alloc_percpu: "of its size and alignment, and a pointer to it"
	 */
	CHECK(s);
	for (int i = 0; i < 10000; i++) {
		this_cpu_inc(s->requests);
		this_cpu_add(s->requests, 9);
		this_cpu_sub(s->number, 3);
		this_cpu_dec(s->number);
	}
	for (int i = 0; i < 100; i++) {
		this_cpu_inc(s->small);
		this_cpu_add(s->medium, 500);
	}
	CHECK_EQ(sum_of(s), 100000);
	for_each_possible_cpu(cpu)
	{
		small += per_cpu_ptr(s, cpu)->small;
		medium += per_cpu_ptr(s, cpu)->medium;
		number += per_cpu_ptr(s, cpu)->number;
		CHECK_EQ(per_cpu_ptr(s, cpu)->pointer, NULL);
	}
	CHECK_EQ(small, 100);
	CHECK_EQ(medium, 50000);
	CHECK_EQ(number, -40000);
	free_percpu(s);
}

/* On one CPU there is one copy to look at. */
static void stay(void)
{
	cpu_set_t here;

	kfree(kmalloc(1, GFP_KERNEL));
	CPU_ZERO(&here);
	CPU_SET((size_t)sched_getcpu(), &here);
	CHECK(!sched_setaffinity(0, sizeof(here), &here));
}

#define CHECK_WORD(member, type, a, b)                                 \
	do {                                                           \
		this_cpu_write(s->member, a);                          \
		CHECK(this_cpu_read(s->member) == (type)(a));          \
		CHECK(here->member == (type)(a));                      \
		CHECK(this_cpu_xchg(s->member, b) == (type)(a));       \
		CHECK(here->member == (type)(b));                      \
		CHECK(this_cpu_cmpxchg(s->member, a, a) == (type)(b)); \
		CHECK(here->member == (type)(b));                      \
		CHECK(this_cpu_cmpxchg(s->member, b, a) == (type)(b)); \
		CHECK(here->member == (type)(a));                      \
	} while (0)

static void words_of_all_sizes(void)
{
	struct stats *s = alloc_percpu_gfp(struct stats, GFP_KERNEL), *here;
	struct stats before, after;
	unsigned int cpu;

	stay();
	/*
	 * checks knuma_this_cpu: "a number below knuma_nr_cpu_ids()";
	 * this_cpu_read: "1, 2, 4 or 8 bytes"
	 */
	CHECK_EQ(this_cpu_ptr(s), per_cpu_ptr(s, knuma_this_cpu()));
	CHECK_EQ(raw_cpu_ptr(s), this_cpu_ptr(s));
	here = this_cpu_ptr(s);
	/*
	 * checks knuma_this_cpu_cmpxchg: "@old if it was replaced";
	 * this_cpu_cmpxchg: "which is @old if it was set"; knuma_this_cpu_xchg:
	 * "what was there"
	 */
	CHECK_WORD(requests, uint64_t, UINT64_MAX - 5, 77);
	/* checks knuma_this_cpu_cmpxchg: "what was there" */
	CHECK_WORD(small, int8_t, -100, 100);
	CHECK_WORD(medium, uint16_t, 65535, 1);
	CHECK_WORD(number, int32_t, -2000000000, 5);
	CHECK_WORD(pointer, void *, (void *)&before, NULL);
	/* Sums, which wrap like the type, and leave what is beside alone. */
	this_cpu_write(s->small, 126);
	before = *here;
	/* checks knuma_this_cpu_add: "the sum, of which @size bytes count" */
	CHECK(this_cpu_inc_return(s->small) == 127);
	CHECK(this_cpu_inc_return(s->small) == -128);
	CHECK(this_cpu_dec_return(s->small) == 127);
	CHECK(this_cpu_sub_return(s->small, 1) == 126);
	after = *here;
	CHECK(!memcmp(&before, &after, sizeof(after)));
	CHECK(this_cpu_add_return(s->medium, 3) == 2);
	CHECK(this_cpu_sub_return(s->number, 2000000005) == 294967291);
	CHECK(this_cpu_add_return(s->requests, 10) == 4);
	for_each_possible_cpu(cpu) if (per_cpu_ptr(s, cpu) != here)
		CHECK(all_bytes(per_cpu_ptr(s, cpu), sizeof(*s), 0));
	free_percpu(s);
}

static void requests_that_cannot_be(void)
{
	const volatile size_t none = 0, large = 32769, odd = 24;

	CHECK_FAILS(__alloc_percpu_gfp(none, 8, GFP_KERNEL | __GFP_NOWARN),
		    EINVAL);
	CHECK_FAILS(__alloc_percpu_gfp(8, odd, GFP_KERNEL | __GFP_NOWARN),
		    EINVAL);
	CHECK_FAILS(__alloc_percpu_gfp(8, 8192 * 16, GFP_KERNEL | __GFP_NOWARN),
		    EINVAL);
	CHECK_FAILS(__alloc_percpu_gfp(8, 8, (1u << 30) | __GFP_NOWARN),
		    EINVAL);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_FAILS(__alloc_percpu(large, 8), EINVAL);
	CHECK_FAILS(__alloc_percpu(none, 8), EINVAL);
	CHECK_EQ(printed_times("the request is invalid"), 1);
}

/* Hidden from the compiler, which would notice, too. */
#define CHECK_REPORTED(p)                                            \
	do {                                                         \
		misuse_forget();                                     \
		free_percpu((void *)(uintptr_t)launder(p));          \
		CHECK_EQ(misuse_count(), 1);                         \
		CHECK_HAS(misuse_last(), "or it was freed already"); \
	} while (0)

static void mistakes_are_reported(void)
{
	static char mine[64];
	char *p = __alloc_percpu(64, 8);
	const void *const again = launder(p);

	free_percpu(NULL);
	CHECK(p);
	misuse_catch();
	/* checks free_percpu: "what is no such object is reported" */
	CHECK_REPORTED(p + 8);
	CHECK_REPORTED(p + 1);
	CHECK_REPORTED(mine);
	errno = 5;
	free_percpu(p);
	CHECK_EQ(errno, 5);
	CHECK_REPORTED(again);
}

/* Without waiting: what is in memory, and then nothing; a free gives it back. */
static void calls_that_may_not_wait(void)
{
	const void *where;
	char *p, *q;
	int n = 0;

	start_here();
	CHECK_FAILS(__alloc_percpu_gfp(64, 8, GFP_NOWAIT), ENOMEM);
	p = __alloc_percpu(64, 8);
	CHECK(p);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	while ((q = __alloc_percpu_gfp(64, 8, GFP_NOWAIT)))
		n++;
	CHECK(n > 10);
	where = launder(p);
	free_percpu(p);
	q = __alloc_percpu_gfp(64, 8, GFP_ATOMIC);
	CHECK_EQ(q, where);
	for (int i = 0; i < 1000; i++)
		this_cpu_add(*(uint64_t *)q, 5);
}

static void no_memory_for_more(void)
{
	uint64_t calls;

	faults_install();
	kfree(kmalloc(1, GFP_KERNEL));
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	CHECK_FAILS(__alloc_percpu(64, 8), ENOMEM);
	/* The second is for what the allocator knows of it: the first goes. */
	faults_fail(FAULT_MMAP, 2, 1, ENOMEM);
	calls = faults_calls(FAULT_MUNMAP);
	CHECK_FAILS(__alloc_percpu(64, 8), ENOMEM);
	CHECK_EQ(faults_calls(FAULT_MUNMAP), calls + 1);
	CHECK_EQ(printed_times("alloc_percpu of 64 bytes failed: no memory"),
		 1);
	free_percpu(__alloc_percpu(64, 8));
}

/* As kernels before 5.14: pages come by a write to each. */
static void pages_that_are_touched(void)
{
	unsigned int cpu;
	char *p;

	start_here();
	faults_install();
	faults_refuse_advice(23 /* MADV_POPULATE_WRITE */, EINVAL);
	p = __alloc_percpu(20000, 8);
	CHECK(p);
	for_each_possible_cpu(cpu)
	{
		CHECK(is_present(per_cpu_ptr(p, cpu), 20000));
		CHECK(all_bytes(per_cpu_ptr(p, cpu), 20000, 0));
	}
	free_percpu(p);
}

/* The copies of a node's CPUs are bound to it; who refuses that is served. */
static void copies_are_bound_to_nodes(void)
{
	int before;

	fake_nodes(2);
	kfree(kmalloc(1, GFP_KERNEL));
	before = fake_mbinds();
	free_percpu(__alloc_percpu(64, 8));
	/* checks __alloc_percpu_gfp: "lies on the node of its CPU" */
	CHECK(fake_mbinds() > before);
	/* Not again: the chunk has room. */
	before = fake_mbinds();
	free_percpu(__alloc_percpu(64, 8));
	CHECK_EQ(fake_mbinds(), before);
}

static void a_budget_of_mappings_is_kept(void)
{
	int before;
	char *p;

	conf("vma_budget", "0");
	fake_nodes(2);
	kfree(kmalloc(1, GFP_KERNEL));
	before = fake_mbinds();
	p = __alloc_percpu(64, 8);
	CHECK(p);
	CHECK_EQ(fake_mbinds(), before);
	CHECK_EQ(printed_times("vma_budget is used up: copies of CPUs"), 1);
	free_percpu(p);
}

static void policies_may_be_refused(void)
{
	char *p;

	fake_nodes(2);
	kfree(kmalloc(1, GFP_KERNEL));
	fake_mbinds_refuse(EPERM);
	p = __alloc_percpu(64, 8);
	CHECK(p);
	this_cpu_inc(*p);
	free_percpu(p);
}

#define HALF PCPU_MIN_UNIT_SIZE /* two of them are a chunk */

static uint64_t copies(uint64_t bytes)
{
	return bytes * knuma_nr_cpu_ids();
}

static void take_chunks(char **p, int n)
{
	for (int i = 0; i < n; i++) {
		p[i] = __alloc_percpu(HALF, 8);
		CHECK(p[i]);
	}
}

static void free_all(char **p, int n)
{
	while (n)
		free_percpu(p[--n]);
}

static void memory_is_counted_and_goes_back(void)
{
	const char *freed;
	char *p[6];
	uint64_t maps;

	faults_install();
	start_here();
	CHECK_EQ(stat_of("percpu_bytes"), 0);
	take_chunks(p, 6);
	CHECK_EQ(stat_of("percpu_bytes"), copies(6 * HALF));
	CHECK_EQ(stat_of("percpu_used_bytes"), copies(6 * HALF));
	free_percpu(p[0]);
	p[0] = __alloc_percpu(100, 8);
	CHECK_EQ(stat_of("percpu_used_bytes"), copies(5 * HALF + 104));
	/* A chunk that has an object stays as it is. */
	freed = launder(p[5]);
	memset(p[0], 7, 100);
	free_all(&p[1], 5);
	knuma_trim();
	CHECK_EQ(stat_of("percpu_bytes"), copies(2 * HALF));
	CHECK(all_bytes(p[0], 100, 7));
	CHECK(!is_present(freed, HALF));
	free_percpu(p[0]);
	knuma_trim();
	CHECK_EQ(stat_of("percpu_bytes"), 0);
	CHECK_EQ(stat_of("percpu_used_bytes"), 0);
	/* Address space is used again. */
	maps = faults_calls(FAULT_MMAP);
	take_chunks(p, 6);
	CHECK_EQ(faults_calls(FAULT_MMAP), maps);
	CHECK(all_bytes(per_cpu_ptr(p[5], 0), HALF, 0));
	free_all(p, 6);
}

/* What was empty at two ticks, but for one chunk. */
static void ticks_leave_a_chunk(void)
{
	char *p[6];

	start_here();
	take_chunks(p, 6);
	free_all(p, 6);
	kn_percpu_trim(false);
	CHECK_EQ(stat_of("percpu_bytes"), copies(6 * HALF));
	kn_percpu_trim(false);
	CHECK_EQ(stat_of("percpu_bytes"), copies(2 * HALF));
	kn_percpu_trim(false);
	CHECK_EQ(stat_of("percpu_bytes"), copies(2 * HALF));
	p[0] = __alloc_percpu_gfp(64, 8, GFP_NOWAIT);
	CHECK(p[0]);
	free_percpu(p[0]);
}

static void what_the_system_keeps_stays(void)
{
	char *p;

	faults_install();
	start_here();
	p = __alloc_percpu(64, 8);
	free_percpu(p);
	faults_refuse_advice(MADV_DONTNEED, -EPERM);
	kn_percpu_trim(true);
	CHECK_EQ(stat_of("percpu_bytes"), copies(4096));
	p = __alloc_percpu_gfp(64, 8, GFP_NOWAIT);
	CHECK(p);
	free_percpu(p);
}

/* While the memory of a chunk goes, another thread takes some, or forks. */
static int (*system_madvise)(void *addr, size_t len, int advice);
static void *(*do_meanwhile)(void *done);
static char *meanwhile;

static void *take_meanwhile(void *done)
{
	char *p = __alloc_percpu(64, 8);

	memset(p, 9, 64);
	__atomic_store_n((char **)done, p, __ATOMIC_RELEASE);
	return NULL;
}

static void *fork_meanwhile(void *done)
{
	const pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(60);
		_exit(__alloc_percpu(64, 8) == NULL);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	return take_meanwhile(done);
}

/* The thread gets time to do it wrong; one that waits is none the worse. */
static int slow_madvise(void *addr, size_t len, int advice)
{
	static pthread_t thread;

	kn_machine.madvise = system_madvise;
	CHECK(!pthread_create(&thread, NULL, do_meanwhile, &meanwhile));
	CHECK(!pthread_detach(thread));
	for (int i = 0; i < 20; i++)
		if (!__atomic_load_n(&meanwhile, __ATOMIC_ACQUIRE))
			usleep(1000);
	return system_madvise(addr, len, advice);
}

static void trim_and_meanwhile(void *(*what)(void *done))
{
	start_here();
	free_percpu(__alloc_percpu(64, 8));
	do_meanwhile = what;
	system_madvise = kn_machine.madvise;
	kn_machine.madvise = slow_madvise;
	kn_percpu_trim(true);
	while (!__atomic_load_n(&meanwhile, __ATOMIC_ACQUIRE))
		usleep(1000);
	CHECK(all_bytes(meanwhile, 64, 9));
	CHECK(is_present(meanwhile, 64));
	free_percpu(meanwhile);
}

static void who_grows_waits_for_a_purge(void)
{
	trim_and_meanwhile(take_meanwhile);
}

static void who_forks_waits_for_a_purge(void)
{
	trim_and_meanwhile(fork_meanwhile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(each_copy_is_zero_and_its_own),
		child_test(aligned_as_asked_for),
		child_test(without_rseq_the_last_copy_is_of_no_cpu),
		child_test(objects_do_not_overlap),
		child_test(nothing_is_lost),
		child_test(words_of_all_sizes),
		child_test(requests_that_cannot_be),
		child_test(mistakes_are_reported),
		child_test(calls_that_may_not_wait),
		child_test(no_memory_for_more),
		child_test(pages_that_are_touched),
		child_test(copies_are_bound_to_nodes),
		child_test(a_budget_of_mappings_is_kept),
		child_test(policies_may_be_refused),
		child_test(memory_is_counted_and_goes_back),
		child_test(ticks_leave_a_chunk),
		child_test(what_the_system_keeps_stays),
		child_test(who_grows_waits_for_a_purge),
		child_test(who_forks_waits_for_a_purge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

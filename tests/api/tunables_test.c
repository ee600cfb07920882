/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/tunables.h>: settings by name, and giving memory back. */
#include <knuma/tunables.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/vmalloc.h>

#include "alloc/config/tunables.h"
#include "alloc/slab/cache.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MIB ((size_t)1 << 20)

static const char *get(const char *name)
{
	static char text[300];

	CHECK_EQ(knuma_conf_get(name, text, sizeof(text)), 0);
	return text;
}

static void what_is_set_is_what_is_got(void)
{
	conf("vmalloc_cache", "5M");
	CHECK_EQ(kn_tun.vmalloc_cache, 5 * MIB);
	CHECK(!strcmp(get("vmalloc_cache"), "5M"));
	conf("trim_delay_ms", "2s");
	CHECK_EQ(kn_tun.trim_delay_ms, 2000);
	conf("trim_delay_ms", "250ms");
	CHECK_EQ(kn_tun.trim_delay_ms, 250);
	conf("huge_pages", "no");
	CHECK(!strcmp(get("huge_pages"), "no"));
	conf("depot_batches", "17");
	CHECK(!strcmp(get("depot_batches"), "17"));
	conf("background", "no");
	CHECK(!strcmp(get("background"), "no"));
	conf("kvmalloc_pages_max", "64K");
	CHECK_EQ(kn_tun.kvmalloc_pages_max, 65536);
}

static void every_value_got_can_be_set_again(void)
{
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const char *name = kn_tunables[i].name;
		char text[300];

		strcpy(text, get(name));
		CHECK_EQ(knuma_conf_set(name, text), 0);
		CHECK(!strcmp(get(name), text));
	}
}

static void mistakes(void)
{
	char text[8];

	CHECK_EQ(knuma_conf_set("banana", "1"), -ENOENT);
	CHECK_EQ(knuma_conf_get("banana", text, sizeof(text)), -ENOENT);
	CHECK_EQ(knuma_conf_set("vmalloc_cache", "many"), -EINVAL);
	CHECK_EQ(knuma_conf_set("vmalloc_cache", ""), -EINVAL);
	CHECK_EQ(knuma_conf_set("vmalloc_cache", "1ms"), -EINVAL);
	CHECK_EQ(knuma_conf_set("huge_pages", "perhaps"), -EINVAL);
	CHECK_EQ(knuma_conf_set("background", "later"), -EINVAL);
	CHECK_EQ(knuma_conf_set("magazine_capacity", "127"), -ERANGE);
	CHECK_EQ(knuma_conf_set("magazine_capacity", "0"), -ERANGE);
	CHECK_EQ(knuma_conf_set("trim_delay_ms", "10000000s"), -ERANGE);
	CHECK_EQ(knuma_conf_get("vmalloc_cache", text, 1), -ENOSPC);
	CHECK_EQ(knuma_conf_get("vmalloc_cache", text, 0), -ENOSPC);
	CHECK(!strcmp(get("vmalloc_cache"), "64M"));
}

static void what_is_fixed_once_the_allocator_is_up(void)
{
	kfree(kmalloc(1, GFP_KERNEL));
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		char text[300];

		strcpy(text, get(kn_tunables[i].name));
		CHECK_EQ(knuma_conf_set(kn_tunables[i].name, text),
			 kn_tunables[i].when == KN_TUNABLE_INIT ? -EBUSY : 0);
	}
}

static void a_value_set_wins_over_the_environment(void)
{
	setenv("KNUMA_VMALLOC_CACHE", "3M", 1);
	CHECK(!strcmp(get("vmalloc_cache"), "3M"));
	conf("vmalloc_cache", "7M");
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK(!strcmp(get("vmalloc_cache"), "7M"));
}

/* The file of this process; @text in it. */
static void write_file(const char *text)
{
	static char path[64];
	static pid_t owner;
	FILE *f;

	/* In a sandbox others have the same process id, and the same /tmp. */
	if (owner != getpid()) {
		strcpy(path, "/tmp/knuma-tunables-XXXXXX");
		CHECK_EQ(close(mkstemp(path)), 0);
		owner = getpid();
	}
	f = fopen(path, "w");
	CHECK(f);
	fputs(text, f);
	CHECK_EQ(fclose(f), 0);
	setenv("KNUMA_CONF_FILE", path, 1);
}

static void remove_file(void)
{
	unlink(getenv("KNUMA_CONF_FILE"));
}

static void a_reload_of_a_running_heap(void)
{
	write_file("trim_delay_ms = 2s\nspan = 64G\n");
	atexit(remove_file);
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK(!strcmp(get("trim_delay_ms"), "2s"));

	write_file("trim_delay_ms = 3s\nrcu_full = grow\nspan = 32G\n"
		   "[cache kmalloc-64]\nmagazine_capacity = 8\n");
	CHECK_EQ(knuma_conf_reload(), 0);
	CHECK(!strcmp(get("trim_delay_ms"), "3s"));
	CHECK(!strcmp(get("rcu_full"), "grow"));
	CHECK(!strcmp(get("span"), "64G"));
	/* checks knuma_conf_reload: "it holds at next start" */
	CHECK_EQ(printed_times(":3: span = 32G holds at next start"), 1);
	CHECK_EQ(printed_times("sections of caches have changed"), 1);

	write_file("trim_delay_ms = 4s\nrcu_ful = fail\n");
	CHECK_EQ(knuma_conf_reload(), -EINVAL);
	CHECK(!strcmp(get("trim_delay_ms"), "3s"));
	CHECK(!strcmp(get("rcu_full"), "grow"));
	CHECK_EQ(printed_times("nothing has changed"), 1);
	/* checks knuma_conf_reload: "each is printed on standard error" */
	CHECK_EQ(printed_times(":2: unknown key 'rcu_ful'; the nearest is"), 1);

	remove_file();
	CHECK_EQ(knuma_conf_reload(), -ENOENT);
	CHECK(!strcmp(get("trim_delay_ms"), "3s"));
	heap_verify();
}

static int blocked_result;

static void *reload_blocked(void *arg)
{
	__atomic_store_n(&blocked_result, knuma_conf_reload(),
			 __ATOMIC_RELEASE);
	return arg;
}

/* The file is a pipe, so that a reload stays inside for as long as wanted. */
static void reloads_do_not_mix(void)
{
	char path[64];
	pthread_t other;
	int fd, status;
	pid_t child;

	write_file("trim_delay_ms = 2s\n");
	atexit(remove_file);
	snprintf(path, sizeof(path), "%s", getenv("KNUMA_CONF_FILE"));
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(mkfifo(path, 0600), 0);
	CHECK_EQ(pthread_create(&other, NULL, reload_blocked, NULL), 0);
	/* There is a reader once the other thread has come to the file. */
	while ((fd = open(path, O_WRONLY | O_NONBLOCK)) < 0)
		usleep(1000);
	CHECK_EQ(knuma_conf_reload(), -EBUSY);
	CHECK_EQ(knuma_conf_set("rcu_delay_ms", "7ms"), 0);

	/* Whose thread is not in the child, its reload neither. */
	child = fork();
	if (!child) {
		/* The file of this process, under the name looked for. */
		write_file("trim_delay_ms = 4s\n");
		CHECK_EQ(rename(getenv("KNUMA_CONF_FILE"), path), 0);
		CHECK_EQ(knuma_conf_reload(), 0);
		CHECK(!strcmp(get("trim_delay_ms"), "4s"));
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);

	CHECK(!strcmp(get("trim_delay_ms"), "2s"));
	CHECK_EQ(write(fd, "trim_delay_ms = 3s\n", 19), 19);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(__atomic_load_n(&blocked_result, __ATOMIC_ACQUIRE), 0);
	CHECK(!strcmp(get("trim_delay_ms"), "3s"));
	CHECK(!strcmp(get("rcu_delay_ms"), "7ms"));
}

/* Rules for caches: what is kept by each CPU, by the depot, and in a slab. */
static void sections_of_caches_are_applied(void)
{
	struct kmem_cache *own, *other;
	const size_t page = knuma_page_size();
	void *p[600];

	write_file("[cache kmalloc-64]\nmagazine_capacity = 8\n"
		   "depot_batches = 3\nslab_order = 3\n"
		   "[cache inode*]\nmagazine_bytes = 3000\n"
		   "slab_order = 0\n");
	atexit(remove_file);
	own = kmem_cache_create("inode_cache", 300, 0, 0, NULL);
	other = kmem_cache_create("dentry", 300, 0, 0, NULL);
	CHECK_EQ(kn_kmalloc_cache(64)->mag.capacity, 8);
	CHECK_EQ(kn_kmalloc_cache(64)->mag.batch, 4);
	CHECK_EQ(kn_kmalloc_cache(64)->mag.depot_max, 3);
	/* More than 256 objects are in no slab. */
	CHECK((page << kn_kmalloc_cache(64)->order) / 64 < 512);
	CHECK_EQ(kn_kmalloc_cache(80)->mag.capacity, other->mag.capacity);
	CHECK_EQ(own->mag.capacity, 3000 / own->size);
	CHECK_EQ(own->order, 0);
	CHECK_EQ(own->nr_objects, page / own->size);
	CHECK(other->order > 0);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 600; i++)
			p[i] = i % 2 ? kmalloc(64, GFP_KERNEL) :
				       kmem_cache_alloc(own, GFP_KERNEL);
		for (size_t i = 0; i < 600; i++)
			kfree(p[i]);
	}
	kmem_cache_destroy(own);
	kmem_cache_destroy(other);
	heap_verify();
}

static void a_slab_holds_at_least_one_object(void)
{
	struct kmem_cache *s;
	void *p;

	write_file("[cache big]\nslab_order = 0\n"
		   "[cache small]\nslab_order = 4\n");
	atexit(remove_file);
	s = kmem_cache_create("big", 3 * 4096, 0, 0, NULL);
	CHECK(knuma_page_size() << s->order >= 3 * 4096);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	memset(p, 1, 3 * 4096);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
	s = kmem_cache_create("small", 16, 0, 0, NULL);
	CHECK(s->nr_objects <= 256);
	CHECK(knuma_page_size() << s->order <= 512 * s->size || s->order == 0);
	kmem_cache_destroy(s);
	heap_verify();
}

static void zeroed_on_allocation(void)
{
	struct kmem_cache *s;
	char *p;

	conf("init_on_alloc", "yes");
	s = kmem_cache_create("init", 200, 0, 0, NULL);
	for (int round = 0; round < 3; round++) {
		void *bulk[30];

		p = kmalloc(100, GFP_KERNEL);
		CHECK(all_bytes(p, ksize(p), 0));
		memset(p, 1, ksize(p));
		kfree(p);
		p = kmalloc(100000, GFP_KERNEL);
		CHECK(all_bytes(p, ksize(p), 0));
		memset(p, 1, ksize(p));
		kfree(p);
		p = vmalloc(50000);
		CHECK(all_bytes(p, 50000, 0));
		memset(p, 1, 50000);
		vfree(p);
		p = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(all_bytes(p, 200, 0));
		memset(p, 1, 200);
		kmem_cache_free(s, p);
		CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 30, bulk), 30);
		for (int i = 0; i < 30; i++) {
			CHECK(all_bytes(bulk[i], 200, 0));
			memset(bulk[i], 1, 200);
		}
		kmem_cache_free_bulk(s, 30, bulk);
	}
	kmem_cache_destroy(s);
}

/* Whoever asks for pages asks for pages, and that setting has no exception. */
static void pages_are_zeroed_on_allocation_too(void)
{
	const size_t size = knuma_page_size();

	conf("init_on_alloc", "yes");
	for (int round = 0; round < 3; round++) {
		struct page *page = alloc_pages(GFP_KERNEL, 0);
		char *exact = alloc_pages_exact(50000, GFP_KERNEL);

		CHECK(all_bytes(page_address(page), size, 0));
		CHECK(all_bytes(exact, 50000, 0));
		memset(page_address(page), 1, size);
		memset(exact, 1, 50000);
		__free_pages(page, 0);
		free_pages_exact(exact, 50000);
	}
}

static void memory_in_use_stays(void)
{
	static char *p[3000];
	char *area = vmalloc(5 * MIB), *large = kmalloc(MIB, GFP_KERNEL);

	pattern_fill(area, 5 * MIB, 1);
	pattern_fill(large, MIB, 2);
	for (size_t i = 0; i < 3000; i++) {
		p[i] = kmalloc(500, GFP_KERNEL);
		pattern_fill(p[i], 500, i);
	}
	for (size_t i = 0; i < 3000; i++)
		if (i % 10)
			kfree(p[i]);
	CHECK_EQ(knuma_trim(), 0);
	for (size_t i = 0; i < 3000; i += 10)
		CHECK(pattern_holds(p[i], 500, i));
	CHECK(pattern_holds(area, 5 * MIB, 1));
	CHECK(pattern_holds(large, MIB, 2));
	for (size_t i = 0; i < 3000; i += 10)
		kfree(p[i]);
	vfree(area);
	kfree(large);
	heap_verify();
}

static void the_resident_size_falls(void)
{
	static char *p[40000], *area[40], *large[40];
	size_t before, full;

	start_here();
	before = resident_bytes();
	for (int i = 0; i < 40000; i++) {
		p[i] = kmalloc(1000, GFP_KERNEL);
		memset(p[i], 1, 1000);
	}
	for (int i = 0; i < 40; i++) {
		area[i] = vmalloc(MIB);
		memset(area[i], 1, MIB);
		large[i] = kmalloc(MIB, GFP_KERNEL);
		memset(large[i], 1, MIB);
	}
	full = resident_bytes();
	CHECK(full >= before + 115 * MIB);
	for (int i = 0; i < 40000; i++)
		kfree(p[i]);
	for (int i = 0; i < 40; i++) {
		vfree(area[i]);
		kfree(large[i]);
	}
	CHECK_EQ(knuma_trim(), 0);
	/* Descriptors stay, 1.6 %; huge pages may keep what is beside a slab. */
	/* checks knuma_trim: "purges free pages and kept areas" */
	CHECK(resident_bytes() <= before + 16 * MIB);
	CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
	heap_verify();
	/* And all of it serves again. */
	for (int i = 0; i < 40000; i++)
		memset(p[i] = kmalloc(1000, GFP_KERNEL), 2, 1000);
	for (int i = 0; i < 40000; i++)
		CHECK(all_bytes(p[i], 1000, 2));
	heap_verify();
}

static void any_number_of_areas_goes_back(void)
{
	static char *area[3000];

	start_quiet();
	for (int i = 0; i < 3000; i++) {
		area[i] = vmalloc(4096);
		area[i][0] = 1;
	}
	for (int i = 0; i < 3000; i++)
		vfree(area[i]);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
	heap_verify();
}

static void a_trim_of_nothing(void)
{
	for (int i = 0; i < 5; i++)
		CHECK_EQ(knuma_trim(), 0);
	heap_verify();
}

static void the_first_refusal_is_told(void)
{
	char *p = vmalloc(5 * MIB);

	faults_install();
	kfree(kmalloc(100, GFP_KERNEL));
	CHECK(stat_of("cached_bytes") > 0);
	memset(p, 1, 5 * MIB);
	vfree(p);
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, ENOMEM);
	/* checks knuma_trim: "-errno of the first system call that failed" */
	CHECK_EQ(knuma_trim(), -ENOMEM);
	/* checks knuma_trim: "the arrays are empty all the same" */
	CHECK_EQ(stat_of("cached_bytes"), 0);
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(what_is_set_is_what_is_got),
		child_test(every_value_got_can_be_set_again),
		child_test(mistakes),
		child_test(what_is_fixed_once_the_allocator_is_up),
		child_test(a_value_set_wins_over_the_environment),
		child_test(a_reload_of_a_running_heap),
		child_test(reloads_do_not_mix),
		child_test(sections_of_caches_are_applied),
		child_test(a_slab_holds_at_least_one_object),
		child_test(zeroed_on_allocation),
		child_test(pages_are_zeroed_on_allocation_too),
		child_test(memory_in_use_stays),
		child_test(the_resident_size_falls),
		child_test(any_number_of_areas_goes_back),
		child_test(a_trim_of_nothing),
		child_test(the_first_refusal_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

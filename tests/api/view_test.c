/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma_view(): the form of the kernel's files, byte for byte, and numbers that
 * agree with what the program holds and with the statistics.
 */
#include <knuma/stats.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <knuma/gfp.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/page/zone.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define PAGE	4096ul
#define ORDERS	11
#define OBJECTS 1000

static char text[1 << 20], folder[] = "/tmp/knuma-view-XXXXXX";

static char *view(const char *name)
{
	const long n = knuma_view(name, text, sizeof(text));

	CHECK(n > 0 && n < (long)sizeof(text));
	CHECK_EQ(strlen(text), n);
	CHECK_EQ(text[n - 1], '\n');
	return text;
}

/* The first of the lines of @at that begins with @start. */
static char *line_with(char *at, const char *start)
{
	while (at && strncmp(at, start, strlen(start))) {
		at = strchr(at, '\n');
		at += at != NULL;
	}
	CHECK(at && *at);
	return at;
}

/* What stands at *@at is @want; *@at is behind it then. */
static void expect(char **at, const char *want)
{
	CHECK(!strncmp(*at, want, strlen(want)));
	*at += strlen(want);
}

/* No memory but what a test asks for. */
static void two_nodes(void)
{
	fake_nodes(2);
	conf("reserve", "0");
	start_quiet();
}

/* slabinfo */

#define SLABINFO_HEAD                                                        \
	"slabinfo - version: 2.1\n"                                          \
	"# name            <active_objs> <num_objs> <objsize> <objperslab> " \
	"<pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : "   \
	"slabdata <active_slabs> <num_slabs> <sharedavail>\n"

struct slab_row {
	unsigned long active, objects, active_slabs, slabs;
	unsigned size, per_slab;
	int pages;
};

static struct slab_row slab_row(const char *name)
{
	char again[300], *at = view("slabinfo");
	struct slab_row r;
	unsigned zero[4];
	int n = 0;

	expect(&at, SLABINFO_HEAD);
	at = line_with(at, name);
	CHECK_EQ(sscanf(at + strlen(name),
			"%lu %lu %u %u %d : tunables %u %u %u : slabdata %lu "
			"%lu %u%n",
			&r.active, &r.objects, &r.size, &r.per_slab, &r.pages,
			&zero[0], &zero[1], &zero[2], &r.active_slabs, &r.slabs,
			&zero[3], &n),
		 11);
	CHECK_EQ(at[strlen(name) + (size_t)n], '\n');
	CHECK_EQ(zero[0] | zero[1] | zero[2] | zero[3], 0);
	snprintf(again, sizeof(again),
		 "%-17s %6lu %6lu %6u %4u %4d : tunables %4u %4u %4u : "
		 "slabdata %6lu %6lu %6lu\n",
		 name, r.active, r.objects, r.size, r.per_slab, r.pages, 0u, 0u,
		 0u, r.active_slabs, r.slabs, 0ul);
	expect(&at, again);
	return r;
}

static void slabinfo_counts_what_the_program_holds(void)
{
	static void *obj[OBJECTS];
	struct kmem_cache *s;
	struct slab_row r;

	fake_nodes(2);
	start_here();
	s = kmem_cache_create("some cache", 200, 0, 0, NULL);
	r = slab_row("some_cache");
	CHECK_EQ(r.active | r.objects | r.slabs, 0);
	CHECK_EQ(r.size, 200);
	for (int i = 0; i < OBJECTS; i++)
		obj[i] = kmem_cache_alloc_node(s, GFP_KERNEL, i % 2);
	r = slab_row("some_cache");
	CHECK_EQ(r.active, OBJECTS);
	CHECK(r.objects >= OBJECTS);
	CHECK_EQ(r.objects, r.slabs * r.per_slab);
	CHECK_EQ(r.slabs, r.active_slabs);
	CHECK(r.per_slab * r.size <= (unsigned)r.pages * PAGE);
	for (int i = 0; i < OBJECTS; i++)
		kmem_cache_free(s, obj[i]);
	CHECK_EQ(slab_row("some_cache").active, 0);
	kmem_cache_destroy(s);
	CHECK_EQ(strstr(view("slabinfo"), "some_cache"), NULL);
}

/* buddyinfo, pagetypeinfo */

static unsigned long buddy[2][ORDERS];

/* The numbers behind @prefix, each as @form prints it; the next line. */
static char *numbers(char *at, const char *prefix, const char *form, int nr,
		     unsigned long *to)
{
	expect(&at, prefix);
	for (int i = 0; i < nr; i++) {
		char again[32];

		to[i] = strtoul(at, NULL, 10);
		snprintf(again, sizeof(again), form, to[i]);
		expect(&at, again);
	}
	expect(&at, "\n");
	return at;
}

static void read_buddyinfo(void)
{
	char *at = view("buddyinfo");

	at = numbers(at, "Node 0, zone   Normal ", "%6lu ", ORDERS, buddy[0]);
	at = numbers(at, "Node 1, zone   Normal ", "%6lu ", ORDERS, buddy[1]);
	CHECK_EQ(*at, 0);
}

static unsigned long pages_of(const unsigned long blocks[ORDERS])
{
	unsigned long sum = 0;

	for (int o = 0; o < ORDERS; o++)
		sum += blocks[o] << o;
	return sum;
}

static void buddyinfo_has_all_free_pages(void)
{
	struct page *page;
	unsigned long before;

	two_nodes();
	page = alloc_pages_node(1, GFP_KERNEL, 3);
	read_buddyinfo();
	CHECK_EQ((pages_of(buddy[0]) + pages_of(buddy[1])) * PAGE,
		 stat_of("page_free_bytes"));
	CHECK_EQ(pages_of(buddy[0]) * PAGE, kn_zones[0].nr_free * PAGE);
	/* A step of growth without the block that was taken. */
	CHECK_EQ(buddy[1][3], 1);
	before = pages_of(buddy[1]);
	__free_pages(page, 3);
	drain_all_pages(NULL);
	read_buddyinfo();
	CHECK_EQ(pages_of(buddy[1]), before + 8);
}

enum {
	UNMOVABLE,
	MOVABLE,
	RECLAIMABLE,
	ISOLATE,
	TYPES
};
static unsigned long free_of[2][TYPES][ORDERS], blocks_of[2][TYPES];

static void read_pagetypeinfo(void)
{
	static const char *const names[TYPES] = {"Unmovable", "Movable",
						 "Reclaimable", "Isolate"};
	char *at = view("pagetypeinfo"), prefix[80];

	expect(&at,
	       "Page block order: 9\nPages per block:  512\n\n"
	       "Free pages count per migrate type at order       0      1 "
	       "     2      3      4      5      6      7      8      9    "
	       " 10 \n");
	for (int node = 0; node < 2; node++)
		for (int i = 0; i < TYPES; i++) {
			snprintf(prefix, sizeof(prefix),
				 "Node %4d, zone %8s, type %12s ", node,
				 "Normal", names[i]);
			at = numbers(at, prefix, "%6lu ", ORDERS,
				     free_of[node][i]);
		}
	expect(&at, "\nNumber of blocks type     Unmovable      Movable  "
		    "Reclaimable      Isolate \n");
	for (int node = 0; node < 2; node++) {
		snprintf(prefix, sizeof(prefix), "Node %d, zone %8s ", node,
			 "Normal");
		at = numbers(at, prefix, "%12lu ", TYPES, blocks_of[node]);
	}
	CHECK_EQ(*at, 0);
}

static unsigned long all_types(const unsigned long *of)
{
	return of[UNMOVABLE] + of[MOVABLE] + of[RECLAIMABLE] + of[ISOLATE];
}

static void pagetypeinfo_is_buddyinfo_by_type(void)
{
	struct page *page;

	two_nodes();
	page = alloc_pages_node(1, GFP_KERNEL, 9);
	read_buddyinfo();
	read_pagetypeinfo();
	for (int node = 0; node < 2; node++) {
		for (int o = 0; o < ORDERS; o++)
			CHECK_EQ(buddy[node][o],
				 free_of[node][UNMOVABLE][o] +
					 free_of[node][MOVABLE][o] +
					 free_of[node][RECLAIMABLE][o]);
		CHECK_EQ(all_types(blocks_of[node]),
			 kn_zones[node].managed / 512);
	}
	/* In use, so it has memory. */
	CHECK_EQ(blocks_of[1][RECLAIMABLE], 1);
	__free_pages(page, 9);
	drain_all_pages(NULL);
	read_pagetypeinfo();
	CHECK_EQ(free_of[1][RECLAIMABLE][9], 1);
	CHECK_EQ(blocks_of[1][RECLAIMABLE], 1);
	/* What goes back to the system joins what never had memory. */
	CHECK_EQ(knuma_trim(), 0);
	read_pagetypeinfo();
	CHECK_EQ(pages_of(free_of[1][RECLAIMABLE]), 0);
	CHECK_EQ(blocks_of[1][RECLAIMABLE], 0);
	CHECK_EQ(pages_of(free_of[1][MOVABLE]), kn_zones[1].managed);
	CHECK_EQ(pages_of(free_of[1][ISOLATE]), 0);
}

/* vmallocinfo */

struct area_row {
	unsigned long start, end, size, pages, node[2];
	char caller[100];
	bool unpurged;
};

/* The row of the area at @p, which must be there; *@n: rows in all. */
static struct area_row row_at(uintptr_t p, int *n)
{
	struct area_row found = {0};
	unsigned long last = 0;
	char *at = view("vmallocinfo");

	for (*n = 0; *at; ++*n) {
		struct area_row r = {0};
		char again[300];
		size_t len;

		CHECK_EQ(sscanf(at, "0x%lx-0x%lx %lu", &r.start, &r.end,
				&r.size),
			 3);
		CHECK_EQ(r.size, r.end - r.start);
		CHECK(r.start >= last);
		last = r.end;
		len = (size_t)snprintf(again, sizeof(again),
				       "0x%016lx-0x%016lx %7ld ", r.start,
				       r.end, r.size);
		expect(&at, again);
		len = strcspn(at, "\n");
		r.unpurged = !strncmp(at, "unpurged vm_area\n", len + 1);
		if (!r.unpurged) {
			char *const pages = strstr(at, "pages="), *nodes;

			CHECK(pages && pages < at + len);
			if (pages > at)
				snprintf(r.caller, sizeof(r.caller), "%.*s",
					 (int)(pages - at) - 1, at);
			r.pages = strtoul(pages + 6, &nodes, 10);
			expect(&nodes, " vmalloc");
			for (int id = 0; id < 2; id++)
				if (nodes[0] == ' ' && nodes[2] == '0' + id) {
					snprintf(again, sizeof(again),
						 " N%d=", id);
					expect(&nodes, again);
					r.node[id] = strtoul(nodes, &nodes, 10);
				}
			CHECK_EQ(nodes, at + len);
		}
		if (r.start == p)
			found = r;
		at += len + 1;
	}
	CHECK_EQ(found.start, p);
	return found;
}

static struct area_row area_row(const void *p, int *n)
{
	return row_at((uintptr_t)p, n);
}

static void vmallocinfo_has_each_area(void)
{
	struct area_row r;
	uintptr_t was;
	char *p, *q;
	int n;

	two_nodes();
	CHECK_EQ(knuma_view("vmallocinfo", text, sizeof(text)), 0);
	p = vmalloc_node(10 * PAGE, 1);
	r = area_row(p, &n);
	CHECK_EQ(n, 1);
	CHECK_EQ(r.pages, 10);
	CHECK(r.size >= 11 * PAGE); /* with the guard */
	CHECK_EQ(r.node[0] + r.node[1], 0);
	CHECK(strstr(r.caller, "+0x"));
	/* What is in memory, and only that. */
	for (int i = 0; i < 6; i++)
		p[(size_t)i * PAGE] = 1;
	r = area_row(p, &n);
	CHECK_EQ(r.node[0], 0);
	CHECK_EQ(r.node[1], 6);
	q = vmalloc_node(4 << 20, 0);
	memset(q, 1, 4 << 20);
	CHECK_EQ(area_row(q, &n).node[0], 1024);
	CHECK_EQ(n, 2);
	was = (uintptr_t)p;
	vfree(p);
	r = row_at(was, &n);
	CHECK(r.unpurged);
	CHECK_EQ(n, 2);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(area_row(q, &n).pages, 1024);
	CHECK_EQ(n, 1);
	vfree(q);
}

/* Pages are shown where they are, not where they belong. */
static void vmallocinfo_tells_pages_that_strayed(void)
{
	struct area_row r;
	char *p;
	int n;

	two_nodes();
	p = vmalloc_node(5 * PAGE, 0);
	memset(p, 1, 5 * PAGE);
	fake_pages_stray(1u << 0, 1);
	r = area_row(p, &n);
	CHECK_EQ(r.node[0], 0);
	/* checks knuma_view: "vmallocinfo asks the system where each page" */
	CHECK_EQ(r.node[1], 5);
	/* Not known is not shown. */
	fake_page_nodes_refuse(EPERM);
	r = area_row(p, &n);
	CHECK_EQ(r.pages, 5);
	CHECK_EQ(r.node[0] + r.node[1], 0);
	fake_page_nodes_refuse(0);
	vfree(p);
}

/* An exported function has a name and a length; NULL is the return address. */
static void vmallocinfo_names_the_caller(void)
{
	const char *const inside = (const char *)(uintptr_t)&strtol + 4;
	unsigned long length = 0;
	char *p, *slash;
	int n;

	two_nodes();
	p = __vmalloc_node(PAGE, 1, GFP_KERNEL, 0, inside);
	slash = strchr(area_row(p, &n).caller, '/');
	memcpy(text, area_row(p, &n).caller, 100);
	CHECK_HAS(text, "+0x4/0x");
	slash = strchr(text, '/');
	CHECK_EQ(sscanf(slash, "/0x%lx", &length), 1);
	CHECK(length > 4);
	vfree(p);
	p = __vmalloc_node(PAGE, 1, GFP_KERNEL, 0, NULL);
	memcpy(text, area_row(p, &n).caller, 100);
	/* checks __vmalloc_node: "NULL for the return address" */
	CHECK_HAS(text, "+0x");
	vfree(p);
}

static void growth_keeps_the_caller(void)
{
	const char *const inside = (const char *)(uintptr_t)&strtol + 4;
	struct area_row r;
	char *p;
	int n;

	two_nodes();
	p = __vmalloc_node(4 << 20, 1, GFP_KERNEL, 0, inside);
	p = vrealloc(p, 6 << 20, GFP_KERNEL);
	r = area_row(p, &n);
	CHECK_EQ(r.pages, 1536);
	CHECK(strstr(r.caller, "+0x4/0x"));
	vfree(p);
}

/* numastat */

static void numastat_is_the_statistics(void)
{
	static const char *const words[] = {"numa_hit",	    "numa_miss",
					    "numa_foreign", "interleave_hit",
					    "local_node",   "other_node"};
	const int both[] = {0, 1};
	char want[400] = "", name[40];
	void *p;

	two_nodes();
	kfree(kmalloc_node(100, GFP_KERNEL, 1));
	p = knuma_vmalloc_interleave(10 * PAGE, both, 2);
	CHECK_EQ(stat_of("interleave_hit.1"), p != NULL);
	for (size_t i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "%s.1", words[i]);
		snprintf(want + strlen(want), sizeof(want) - strlen(want),
			 "%s %llu\n", words[i],
			 (unsigned long long)stat_of(name));
	}
	CHECK(stat_of("numa_hit.1") > 0);
	/* checks knuma_view: "with the id of the node" */
	CHECK(!strcmp(view("node1/numastat"), want));
	vfree(p);
}

/* What the calls promise. */

static void unknown_views(void)
{
	static const char *const names[] = {"",
					    "slab",
					    "slabinfo2",
					    "numastat",
					    "node2/numastat",
					    "node01/numastat",
					    "node0/slabinfo",
					    "node-1/numastat",
					    "../slabinfo"};

	two_nodes();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		strcpy(text, "untouched");
		errno = 77;
		CHECK_EQ(knuma_view(names[i], text, sizeof(text)), -ENOENT);
		CHECK_EQ(errno, 77);
		CHECK(!strcmp(text, "untouched"));
	}
}

static void a_short_buffer_tells_what_is_needed(void)
{
	char small[20];
	long whole;

	two_nodes();
	whole = knuma_view("pagetypeinfo", NULL, 0);
	/*
	 * checks knuma_view: "as for knuma_stats_text()", "bytes of the whole
	 * text, without the zero byte"
	 */
	CHECK_EQ(knuma_view("pagetypeinfo", small, sizeof(small)), whole);
	CHECK(!strcmp(small, "Page block order: 9"));
	CHECK_EQ(strlen(view("pagetypeinfo")), whole);
}

static void slabinfo_without_memory(void)
{
	two_nodes();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	CHECK_EQ(knuma_view("slabinfo", text, sizeof(text)), -ENOMEM);
	CHECK(slab_row("kmalloc-64").size == 64);
}

static void a_first_call_starts_the_allocator(void)
{
	fake_nodes(2);
	CHECK(strstr(view("slabinfo"), "\nkmalloc-64 "));
}

/* Files. */

static void make_folder(void)
{
	CHECK(mkdtemp(folder));
}

static void remove_folder(void)
{
	char command[80];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	CHECK_EQ(system(command), 0);
}

static void expect_file(const char *dir, const char *name, unsigned mode)
{
	static char file[1 << 20];
	char path[PATH_MAX];
	struct stat st;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	CHECK(f);
	n = fread(file, 1, sizeof(file) - 1, f);
	file[n] = '\0';
	CHECK_EQ(fstat(fileno(f), &st), 0);
	/* checks knuma_view_save: "are for the user alone" */
	CHECK_EQ(st.st_mode & 0777, mode);
	fclose(f);
	CHECK(!strcmp(file, view(name)));
}

static void files_are_the_views(void)
{
	char dir[80];
	void *p;

	two_nodes();
	p = vmalloc(100000);
	make_folder();
	umask(022);
	snprintf(dir, sizeof(dir), "%s/new", folder);
	/* The second time they are there. */
	for (int i = 0; i < 2; i++) {
		errno = 77;
		/*
		 * checks knuma_view_save: "made unless it is there", "takes the
		 * place of an older one as a whole"
		 */
		CHECK_EQ(knuma_view_save(dir), 0);
		CHECK_EQ(errno, 77);
	}
	expect_file(dir, "slabinfo", 0600);
	expect_file(dir, "buddyinfo", 0644);
	expect_file(dir, "pagetypeinfo", 0600);
	expect_file(dir, "vmallocinfo", 0600);
	expect_file(dir, "node0/numastat", 0644);
	expect_file(dir, "node1/numastat", 0644);
	vfree(p);
	remove_folder();
}

static void folders_that_cannot_be(void)
{
	char path[400];

	two_nodes();
	make_folder();
	CHECK_EQ(knuma_view_save("/proc/none/views"), -ENOENT);
	CHECK_EQ(knuma_view_save("/dev/null"), -ENOTDIR);
	memset(path, 'x', 256);
	path[256] = '\0';
	/* checks knuma_view_save: "-ENAMETOOLONG for a longer @dir" */
	CHECK_EQ(knuma_view_save(path), -ENAMETOOLONG);
	/* A folder where a file should be. */
	snprintf(path, sizeof(path), "%s/buddyinfo", folder);
	CHECK_EQ(mkdir(path, 0700), 0);
	/* checks knuma_view_save: "said of the first file that failed" */
	CHECK_EQ(knuma_view_save(folder), -EISDIR);
	CHECK_EQ(rmdir(path), 0);
	/* A file where a folder should be. */
	snprintf(path, sizeof(path), "%s/node1", folder);
	close(creat(path, 0600));
	CHECK_EQ(knuma_view_save(folder), -ENOTDIR);
	remove_folder();
}

static void files_without_memory(void)
{
	two_nodes();
	make_folder();
	faults_install();
	/* For the text, and for the rows of slabinfo. */
	for (uint64_t nth = 1; nth <= 2; nth++) {
		faults_fail(FAULT_MMAP, nth, 1, ENOMEM);
		CHECK_EQ(knuma_view_save(folder), -ENOMEM);
	}
	CHECK_EQ(knuma_view_save(folder), 0);
	remove_folder();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(slabinfo_counts_what_the_program_holds),
		child_test(buddyinfo_has_all_free_pages),
		child_test(pagetypeinfo_is_buddyinfo_by_type),
		child_test(vmallocinfo_has_each_area),
		child_test(vmallocinfo_tells_pages_that_strayed),
		child_test(vmallocinfo_names_the_caller),
		child_test(growth_keeps_the_caller),
		child_test(numastat_is_the_statistics),
		child_test(unknown_views),
		child_test(a_short_buffer_tells_what_is_needed),
		child_test(slabinfo_without_memory),
		child_test(a_first_call_starts_the_allocator),
		child_test(files_are_the_views),
		child_test(folders_that_cannot_be),
		child_test(files_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

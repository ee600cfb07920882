/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/linux/...>: the kernel's header names and their small helpers. */
#define pr_fmt(fmt) "linux_test: " fmt

#include <knuma/linux/err.h>
#include <knuma/linux/gfp.h>
#include <knuma/linux/kernel.h>
#include <knuma/linux/mm.h>
#include <knuma/linux/numa.h>
#include <knuma/linux/overflow.h>
#include <knuma/linux/printk.h>
#include <knuma/linux/shrinker.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/string.h>
#include <knuma/linux/types.h>
#include <knuma/linux/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"

static void errors_in_pointers(void)
{
	int x;

	for (long e = 1; e <= MAX_ERRNO; e++) {
		CHECK(IS_ERR(ERR_PTR(-e)) && IS_ERR_OR_NULL(ERR_PTR(-e)));
		CHECK_EQ(PTR_ERR(ERR_PTR(-e)), -e);
		CHECK_EQ(PTR_ERR_OR_ZERO(ERR_PTR(-e)), -e);
	}
	CHECK(!IS_ERR(ERR_PTR(-MAX_ERRNO - 1)));
	CHECK(!IS_ERR(&x) && !IS_ERR(NULL) && !IS_ERR(ZERO_SIZE_PTR));
	CHECK(IS_ERR_OR_NULL(NULL) && !IS_ERR_OR_NULL(&x));
	CHECK_EQ(PTR_ERR_OR_ZERO(&x), 0);
	CHECK_EQ(ERR_CAST(ERR_PTR(-5)), ERR_PTR(-5));
}

struct flexible {
	u32 n;
	u64 item[];
};

/* What does not fit is SIZE_MAX, which no allocation serves. */
static void sizes_saturate(void)
{
	struct flexible *p;
	const volatile size_t half = SIZE_MAX / 2 + 1;
	size_t sum;

	CHECK_EQ(size_mul(3, 5), 15);
	CHECK_EQ(size_mul(half, 2), SIZE_MAX);
	CHECK_EQ(size_add(half, half), SIZE_MAX);
	CHECK_EQ(size_sub(5, 6), SIZE_MAX);
	CHECK_EQ(size_sub(SIZE_MAX, 6), SIZE_MAX);
	CHECK_EQ(size_sub(7, 6), 1);
	CHECK_EQ(array_size(4, 8), 32);
	CHECK_EQ(array3_size(half, 2, 0), 0);
	CHECK_EQ(array3_size(half, 2, 2), SIZE_MAX);
	CHECK_EQ(struct_size(p, item, 3), sizeof(*p) + 24);
	CHECK_EQ(struct_size(p, item, half), SIZE_MAX);
	CHECK(check_add_overflow(half, half, &sum));
	CHECK(!check_mul_overflow((size_t)2, (size_t)3, &sum) && sum == 6);
	CHECK(check_sub_overflow((size_t)2, (size_t)3, &sum));
	p = kmalloc(struct_size(p, item, half), GFP_KERNEL | __GFP_NOWARN);
	CHECK_EQ(p, NULL);
	p = kmalloc(struct_size(p, item, 10), GFP_KERNEL);
	CHECK(p && ksize(p) >= sizeof(*p) + 80);
	kfree(p);
}

struct outer {
	int before;
	struct {
		int x;
	} inner;
};

static void arithmetic(void)
{
	struct outer o = {1, {2}};
	int a = 3, b = 5, array[7], n = 0;

	CHECK_EQ(ARRAY_SIZE(array), 7);
	CHECK_EQ(DIV_ROUND_UP(7, 3), 3);
	CHECK_EQ(round_up(5u, 8u), 8);
	CHECK_EQ(round_down(13u, 8u), 8);
	CHECK_EQ(min(a, b), 3);
	CHECK_EQ(max(a++, b), 5);
	CHECK_EQ(a, 4);
	CHECK_EQ(min_t(unsigned int, -1, 5), 5);
	CHECK_EQ(max_t(int, -1, n), 0);
	CHECK_EQ(clamp_t(int, 9, 0, 5), 5);
	CHECK_EQ(clamp_t(int, -9, 0, 5), 0);
	swap(a, b);
	CHECK(a == 5 && b == 4);
	CHECK_EQ(container_of(&o.inner, struct outer, inner), &o);
	BUILD_BUG_ON(sizeof(u64) != 8);
	CHECK(sizeof(u8) == 1 && sizeof(s16) == 2 && sizeof(u32) == 4);
}

static void pages(void)
{
	CHECK_EQ(PAGE_SIZE, knuma_page_size());
	CHECK_EQ((size_t)1 << PAGE_SHIFT, PAGE_SIZE);
	CHECK_EQ(PAGE_MASK, ~(PAGE_SIZE - 1));
	CHECK_EQ(PAGE_ALIGN((size_t)1), PAGE_SIZE);
	CHECK_EQ(PAGE_ALIGN_DOWN(PAGE_SIZE + 1), PAGE_SIZE);
	CHECK(PAGE_ALIGNED(PAGE_SIZE) && !PAGE_ALIGNED(PAGE_SIZE + 1));
	CHECK_EQ(offset_in_page(PAGE_SIZE * 3 + 7), 7);
}

static void strings(void)
{
	char buf[6];

	/*
	 * checks strscpy: "length of the string in @dst", "ends in a zero
	 * byte", "may be left out when @dst is an array"
	 */
	CHECK_EQ(strscpy(buf, "hello"), 5);
	CHECK(!strcmp(buf, "hello"));
	/* checks strscpy: "-E2BIG when @src was cut short" */
	CHECK_EQ(strscpy(buf, "bananas"), -E2BIG);
	CHECK(!strcmp(buf, "banan"));
	CHECK_EQ(strscpy(buf, "pear", 3), -E2BIG);
	CHECK(!strcmp(buf, "pe"));
	CHECK_EQ(strscpy(buf, "", 1), 0);
	/* checks strscpy: "@size is 0 or above INT_MAX" */
	CHECK_EQ(strscpy(buf, "x", 0), -E2BIG);
	CHECK(strstarts("banana", "ban") && !strstarts("ba", "ban"));
	memset(buf, 1, sizeof(buf));
	memzero_explicit(buf, sizeof(buf));
	CHECK(all_bytes(buf, sizeof(buf), 0));
}

static void messages(void)
{
	pr_info("%d of %s\n", 3, "them");
	pr_err("no arguments\n");
	pr_debug("not compiled in %d\n", 1);
	printk("plain\n");
	fflush(stderr);
	CHECK(!strcmp(printed(), "linux_test: 3 of them\n"
				 "linux_test: no arguments\nplain\n"));
}

static void nodes(void)
{
	int node, n = 0;

	for_each_memory_node(node) n++;
	CHECK_EQ(n, knuma_nr_nodes());
	CHECK_EQ(node_distance(numa_mem_id(), numa_mem_id()), 10);
	CHECK(numa_node_id() >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(errors_in_pointers),
		child_test(sizes_saturate),
		child_test(arithmetic),
		child_test(pages),
		child_test(strings),
		child_test(messages),
		child_test(nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

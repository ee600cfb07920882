/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/kstring.h>: copies. */
#include <knuma/kstring.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"

static void kmemdup_copies(void)
{
	char src[300], *copy;

	pattern_fill(src, sizeof(src), 1);
	for (size_t len = 1; len <= sizeof(src); len++) {
		copy = kmemdup(src, len, GFP_KERNEL);
		/* checks kmemdup: "the copy, to be freed with kfree()" */
		CHECK(copy && copy != src && !memcmp(copy, src, len));
		kfree(copy);
	}
	/* checks kmemdup: "0 is legal and returns ZERO_SIZE_PTR" */
	CHECK_EQ(kmemdup(src, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kmemdup(NULL, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_FAILS(kmemdup(src, KMALLOC_MAX_SIZE + 1,
			    GFP_KERNEL | __GFP_NOWARN),
		    ENOMEM);
}

static void kmemdup_array_counts_in_elements(void)
{
	const uint32_t src[4] = {1, 2, 3, 4};
	const volatile size_t half = SIZE_MAX / 2 + 1;
	uint32_t *copy = kmemdup_array(src, 4, sizeof(src[0]), GFP_KERNEL);

	CHECK(copy && !memcmp(copy, src, sizeof(src)));
	kfree(copy);
	CHECK_FAILS(kmemdup_array(src, half, 2, GFP_KERNEL), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
}

static void kstrdup_copies_with_the_end(void)
{
	static char text[9000];

	for (size_t len = 0; len < sizeof(text); len += len / 10 + 1) {
		char *copy;

		memset(text, 'x', len);
		text[len] = '\0';
		copy = kstrdup(text, GFP_KERNEL);
		CHECK(copy && copy != text && !strcmp(copy, text));
		CHECK(ksize(copy) >= len + 1);
		kfree(copy);
	}
}

static void a_string_that_is_not_there(void)
{
	errno = 4;
	/*
	 * checks kstrdup, kstrndup, kmemdup_nul: "NULL on failure, and for
	 * NULL"; kstrdup: "errno is left alone when @s is NULL"
	 */
	CHECK_EQ(kstrdup(NULL, GFP_KERNEL), NULL);
	CHECK_EQ(kstrndup(NULL, 5, GFP_KERNEL), NULL);
	CHECK_EQ(kmemdup_nul(NULL, 5, GFP_KERNEL), NULL);
	CHECK_EQ(errno, 4);
}

static void kstrndup_stops_at_both_ends(void)
{
	char *copy = kstrndup("banana", 3, GFP_KERNEL);

	/* checks kstrndup: "bytes to copy at most" */
	CHECK(copy && !strcmp(copy, "ban"));
	kfree(copy);
	copy = kstrndup("banana", 6, GFP_KERNEL);
	CHECK(copy && !strcmp(copy, "banana"));
	kfree(copy);
	copy = kstrndup("banana", SIZE_MAX, GFP_KERNEL);
	CHECK(copy && !strcmp(copy, "banana"));
	kfree(copy);
	copy = kstrndup("banana", 0, GFP_KERNEL);
	CHECK(copy && !strcmp(copy, ""));
	kfree(copy);
}

/* Needs no zero byte: nothing behind @max bytes is read. */
static void kstrndup_reads_no_further(void)
{
	const size_t page = knuma_page_size();
	char *at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *copy;

	CHECK(at != MAP_FAILED && !mprotect(at + page, page, PROT_NONE));
	memcpy(at + page - 4, "edge", 4);
	copy = kstrndup(at + page - 4, 4, GFP_KERNEL);
	/* checks kstrndup: "needs no zero byte within @max bytes" */
	CHECK(copy && !strcmp(copy, "edge"));
	kfree(copy);
	copy = kmemdup_nul(at + page - 4, 4, GFP_KERNEL);
	CHECK(copy && !strcmp(copy, "edge"));
	kfree(copy);
}

static void kmemdup_nul_copies_zero_bytes_like_others(void)
{
	char *copy = kmemdup_nul("a\0b", 3, GFP_KERNEL);

	/* checks kmemdup_nul: "zero bytes are copied like others" */
	CHECK(copy && !memcmp(copy, "a\0b", 4));
	kfree(copy);
	copy = kmemdup_nul("a", 0, GFP_KERNEL);
	CHECK(copy && !*copy);
	kfree(copy);
	CHECK_FAILS(kmemdup_nul("a", SIZE_MAX, GFP_KERNEL), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
}

static const char constant[] = "constant";

/* In the program's read-only data: as it is; elsewhere: a copy. */
static void constants_are_not_copied(void)
{
	static char variable[] = "variable";
	const char *relocated = getenv("PATH"), *of_library = strerror(ENOMEM);
	const char *copy;

	/*
	 * checks kstrdup_const: "read-only data is returned as it is";
	 * kfree_const: "is a constant, and left alone"
	 */
	CHECK_EQ(kstrdup_const(constant, GFP_KERNEL), constant);
	CHECK_EQ(kstrdup_const(constant + 3, GFP_KERNEL), constant + 3);
	kfree_const(constant);
	copy = kstrdup_const(variable, GFP_KERNEL);
	/* checks kstrdup_const: "to be freed with kfree_const()" */
	CHECK(copy && copy != variable && !strcmp(copy, variable));
	CHECK(ksize(copy) >= sizeof(variable));
	kfree_const(copy);
	/* checks kstrdup_const: "One of a shared library is copied" */
	copy = kstrdup_const(of_library, GFP_KERNEL);
	CHECK(copy && copy != of_library && !strcmp(copy, of_library));
	kfree_const(copy);
	if (relocated) {
		copy = kstrdup_const(relocated, GFP_KERNEL);
		CHECK(copy && copy != relocated && !strcmp(copy, relocated));
		kfree_const(copy);
	}
	/* checks kstrdup_const: "NULL on failure, and for NULL" */
	CHECK_EQ(kstrdup_const(NULL, GFP_KERNEL), NULL);
	kfree_const(NULL);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_FAILS(kstrdup_const(variable, 1u << 30), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(kmemdup_copies),
		child_test(kmemdup_array_counts_in_elements),
		child_test(kstrdup_copies_with_the_end),
		child_test(a_string_that_is_not_there),
		child_test(kstrndup_stops_at_both_ends),
		child_test(kstrndup_reads_no_further),
		child_test(kmemdup_nul_copies_zero_bytes_like_others),
		child_test(constants_are_not_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

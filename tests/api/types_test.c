/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/types.h> and <knuma/version.h>. */
#include <knuma/types.h>
#include <knuma/version.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/child.h"

static void the_page_size_is_the_machine_s(void)
{
	/* checks knuma_page_size: "a power of two" */
	CHECK_EQ(knuma_page_size(), sysconf(_SC_PAGESIZE));
	CHECK_EQ((size_t)1 << knuma_page_shift(), knuma_page_size());
}

static void rounding(void)
{
	char text[64], *at = text;

	CHECK_EQ(ALIGN(0u, 8u), 0);
	CHECK_EQ(ALIGN(1u, 8u), 8);
	CHECK_EQ(ALIGN(8u, 8u), 8);
	CHECK_EQ(ALIGN_DOWN(15u, 8u), 8);
	CHECK(IS_ALIGNED(16, 8) && !IS_ALIGNED(17, 8));
	CHECK_EQ((uintptr_t)PTR_ALIGN(at + 1, 16) % 16, 0);
	CHECK(PTR_ALIGN(at, 1) == at);
}

static void bytes_of_an_array(void)
{
	size_t bytes = 7;

	errno = 0;
	CHECK(kn_array_bytes(3, 5, &bytes) && bytes == 15);
	CHECK(kn_array_bytes(0, SIZE_MAX, &bytes) && bytes == 0);
	CHECK(kn_array_bytes(SIZE_MAX, 1, &bytes) && bytes == SIZE_MAX);
	CHECK_EQ(errno, 0);
	CHECK(!kn_array_bytes(SIZE_MAX, 2, &bytes));
	CHECK_EQ(errno, ENOMEM);
}

static void limits(void)
{
	CHECK_EQ(KMALLOC_MAX_SIZE, (size_t)4096 << KMALLOC_MAX_ORDER);
	CHECK_EQ(MAX_PAGE_ORDER, KMALLOC_MAX_ORDER);
	CHECK(KMALLOC_MIN_SIZE <= KMALLOC_MAX_CACHE_SIZE);
	CHECK_EQ(NUMA_NO_NODE, -1);
}

static void the_version_is_the_one_compiled_with(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", KNUMA_VERSION_MAJOR,
		 KNUMA_VERSION_MINOR, KNUMA_VERSION_PATCH);
	CHECK(!strcmp(text, KNUMA_VERSION_STRING));
	/* checks knuma_version: "as KNUMA_VERSION_STRING" */
	CHECK(!strcmp(knuma_version(), KNUMA_VERSION_STRING));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(the_page_size_is_the_machine_s),
		child_test(rounding),
		child_test(bytes_of_an_array),
		child_test(limits),
		child_test(the_version_is_the_one_compiled_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

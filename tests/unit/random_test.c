/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/random.h"

#include <string.h>

#include "tests/support/child.h"

static void numbers_do_not_repeat(void)
{
	enum {
		N = 1000
	};
	static uint64_t seen[N];

	for (int i = 0; i < N; i++) {
		seen[i] = kn_random();
		for (int k = 0; k < i; k++)
			CHECK(seen[k] != seen[i]);
	}
}

/* A number that is never drawn in 1,000 tries of 8 would be a chance of 1e-58. */
static void below_means_all_that_are_below(void)
{
	bool seen[8] = {false};

	for (int i = 0; i < 1000; i++) {
		const uint32_t n = kn_random_below(8);

		CHECK(n < 8);
		seen[n] = true;
	}
	for (int i = 0; i < 8; i++)
		CHECK(seen[i]);
	CHECK_EQ(kn_random_below(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(numbers_do_not_repeat),
		child_test(below_means_all_that_are_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

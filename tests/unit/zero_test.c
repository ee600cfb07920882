/* SPDX-License-Identifier: Apache-2.0 */
/* Each byte of a place counts, and none beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/slab/zero.h"

/* What is done here, in whole steps of a loop, and with every rest of one. */
#define MOST (KN_ZERO_HERE + 2 * 256 + 16)

static char around[8 + MOST + 8] __attribute__((aligned(16)));
static char *const place = around + 8;

static void each_byte_is_looked_at(void)
{
	for (size_t size = 16; size <= MOST; size += 8) {
		memset(around, 1, sizeof(around));
		memset(place, 0, size);
		assert_true(kn_is_zero(place, size));
		for (size_t i = 0; i < size; i++) {
			place[i] = (char)0x80;
			assert_false(kn_is_zero(place, size));
			place[i] = 0;
		}
	}
}

/* By loads of 16 bytes first, which every processor has. */
static void by_whatever_loads_there_are(void **state)
{
	(void)state;
	each_byte_is_looked_at();
	kn_zero_init();
	each_byte_is_looked_at();
}

static void a_place_is_wiped_and_nothing_else(void **state)
{
	char want[sizeof(around)];

	(void)state;
	for (size_t size = 16; size <= KN_ZERO_HERE; size += 8) {
		memset(around, 1, sizeof(around));
		memset(want, 1, sizeof(want));
		memset(want + 8, 0, size);
		kn_zero_here(place, size);
		assert_memory_equal(around, want, sizeof(want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_whatever_loads_there_are),
		cmocka_unit_test(a_place_is_wiped_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

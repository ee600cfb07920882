/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/density.h"

#include "alloc/base/bits.h"
#include "numa/machine.h"

/* Pages that one call is asked for, and calls at most. */
#define SPOT   1024u
#define SPOTS  16u

/*
 * With half of the pages in use, huge pages at most double what counts as
 * memory; the fault of one costs as much as those of 45 to 150 base pages.
 */
#define SPARSE 2u

/*
 * The first page of spot @i, in @nr pages.  Each lies somewhere else in its part
 * of the range, so that areas of equal size are not met at the same place.
 */
static uint64_t spot_at(uint64_t nr, unsigned i)
{
	const uint64_t part = nr / SPOTS;

	if (part <= SPOT)
		return (uint64_t)i * SPOT;
	return part * i + (part - SPOT) * (i * 5 % SPOTS) / (SPOTS - 1);
}

/* Pages of [@at, @at + @nr * page) that are in memory, or -Exxx. */
static int present(uintptr_t at, uint64_t nr)
{
	unsigned char is_there[SPOT];
	const int err =
		kn_machine.mincore((void *)at, nr << KN_PAGE_SHIFT, is_there);
	int n = 0;

	for (uint64_t i = 0; i < nr && !err; i++)
		n += is_there[i] & 1;
	return err ? err : n;
}

int kn_density_is_sparse(uintptr_t from, uintptr_t to, uint64_t used)
{
	const uint64_t nr = (to - from) >> KN_PAGE_SHIFT;
	uint64_t asked = 0, there = 0;

	for (unsigned i = 0; i < SPOTS && spot_at(nr, i) < nr; i++) {
		const uint64_t first = spot_at(nr, i);
		const uint64_t n = KN_MIN(nr - first, (uint64_t)SPOT);
		const int found = present(from + (first << KN_PAGE_SHIFT), n);

		if (found < 0)
			return found;
		asked += n;
		there += (uint64_t)found;
	}
	/* there / asked < used / nr / SPARSE */
	return SPARSE * there * nr < used * asked;
}

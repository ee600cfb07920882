/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a burst of any size of object, the memory of the process comes down to
 * what is live and a tenth of it, and the reserve, without a call.  How long that
 * takes decides nothing: the test waits until it is so.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <knuma/malloc.h>
#include <knuma/tunables.h>

#include "alloc/config/tunables.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

#define MIB   ((size_t)1 << 20)
#define LIVE  (64 * MIB)
#define BURST (128 * MIB)

/* Of no allocator. */
static void **table(size_t n)
{
	void *p = mmap(NULL, n * sizeof(void *), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 0, n * sizeof(void *));
	return p;
}

/* Objects of @size, all written, that take @bytes of memory. */
static size_t fill(void **obj, size_t size, size_t bytes)
{
	size_t n = 0;

	for (size_t got = 0; got < bytes; n++) {
		obj[n] = knuma_malloc(size);
		CHECK(obj[n]);
		memset(obj[n], 1, size);
		got += knuma_malloc_usable_size(obj[n]);
	}
	return n;
}

static void burst_of(size_t size)
{
	void **live, **burst;
	size_t base, most, n;

	conf("background", "yes");
	conf("trim_delay_ms", "100ms");
	conf("vmalloc_delay_ms", "100ms");
	if (!a_node_has(2 * (LIVE + BURST)))
		skip_child("no node has that much memory");
	live = table(LIVE / size + 1);
	burst = table(BURST / size + 1);
	knuma_free(knuma_malloc(size));
	base = resident_bytes();
	fill(live, size, LIVE);
	n = fill(burst, size, BURST);
	most = base + LIVE + LIVE / 10 + kn_tun.reserve;
	CHECK(resident_bytes() > most);
	while (n--)
		knuma_free(burst[n]);
	while (resident_bytes() > most)
		usleep(20000);
	CHECK(resident_bytes() > LIVE);
	heap_verify();
}

#define BURST_OF(name, size)              \
	static void burst_of_##name(void) \
	{                                 \
		burst_of(size);           \
	}
BURST_OF(64_bytes, 64)
BURST_OF(1000_bytes, 1000)
BURST_OF(8_KiB, 8192)
BURST_OF(64_KiB, 65536)
BURST_OF(1_MiB, MIB)
BURST_OF(16_MiB, 16 * MIB)

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(burst_of_64_bytes), child_test(burst_of_1000_bytes),
		child_test(burst_of_8_KiB),    child_test(burst_of_64_KiB),
		child_test(burst_of_1_MiB),    child_test(burst_of_16_MiB),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

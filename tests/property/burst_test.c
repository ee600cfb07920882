/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a burst of any size of object, the memory of the process comes down to
 * what is live and a tenth of it, and the reserve, without a call.  How long that
 * takes decides nothing: the test waits until it is so.
 */
#include <pthread.h>
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

/* Starts the heap; what RSS must come down to. */
static size_t begin(size_t size)
{
	conf("background", "yes");
	conf("trim_delay_ms", "100ms");
	conf("vmalloc_delay_ms", "100ms");
	if (!a_node_has(2 * (LIVE + BURST)))
		skip_child("no node has that much memory");
	knuma_free(knuma_malloc(size));
	return resident_bytes() + LIVE + LIVE / 10 + kn_tun.reserve;
}

static void comes_down_to(size_t most)
{
	while (resident_bytes() > most)
		usleep(20000);
	CHECK(resident_bytes() > LIVE);
	heap_verify();
}

static void burst_of(size_t size)
{
	void **live, **burst;
	size_t most, n;

	live = table(LIVE / size + 1);
	burst = table(BURST / size + 1);
	most = begin(size);
	fill(live, size, LIVE);
	n = fill(burst, size, BURST);
	CHECK(resident_bytes() > most);
	while (n--)
		knuma_free(burst[n]);
	comes_down_to(most);
}

/* Each thread frees what the one before it allocated. */

#define THREADS 4

static struct crew {
	pthread_t thread;
	void **obj;
	size_t n;
} crew[THREADS];
static pthread_barrier_t together;

static void *work(void *me)
{
	static const size_t sizes[] = {1000, 65536, MIB};
	const size_t part = BURST / THREADS / KN_ARRAY_SIZE(sizes);
	struct crew *c = me, *other = &crew[(c - crew + 1) % THREADS];

	for (size_t i = 0; i < KN_ARRAY_SIZE(sizes); i++)
		c->n += fill(c->obj + c->n, sizes[i], part);
	pthread_barrier_wait(&together);
	pthread_barrier_wait(&together);
	while (other->n--)
		knuma_free(other->obj[other->n]);
	return NULL;
}

static void burst_of_threads(void)
{
	void **live = table(LIVE / 1000 + 1);
	size_t most;

	for (int i = 0; i < THREADS; i++)
		crew[i].obj = table(BURST / THREADS / 1000 + 1);
	begin(1000);
	fill(live, 1000, LIVE);
	/* Stacks of threads and their magazines are in the tenth. */
	most = resident_bytes() + LIVE / 10 + kn_tun.reserve;
	pthread_barrier_init(&together, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&crew[i].thread, NULL, work, &crew[i]),
			 0);
	pthread_barrier_wait(&together);
	CHECK(resident_bytes() > most);
	pthread_barrier_wait(&together);
	for (int i = 0; i < THREADS; i++)
		pthread_join(crew[i].thread, NULL);
	comes_down_to(most);
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
		child_test(burst_of_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What frees of a process with one thread give back, and what they leave. */
#include "alloc/core/surplus.h"

#include <knuma/malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>

#include "alloc/base/lock.h"
#include "alloc/config/tunables.h"
#include "alloc/page/zone.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

/* What the preload library calls after a free. */
void knuma_freed(void);

#define MIB	((size_t)1 << 20)
#define AREAS	32
#define MOST	512
#define HOUR_MS 3600000u

static void *area[MOST];

/* Areas that are free count whole, whatever was written to them. */
static void flow(int n)
{
	for (int i = 0; i < n; i++) {
		area[i] = knuma_malloc(MIB);
		CHECK(area[i]);
	}
}

static void ebb(int n)
{
	for (int i = 0; i < n; i++)
		knuma_free(area[i]);
}

static void start(void)
{
	start_here();
	conf("trim_delay_ms", "3600s");
	CHECK(!kn_surplus_is_there());
}

static uint64_t purged(void)
{
	return stat_of("purged_bytes");
}

static void what_is_free_goes_back(void)
{
	start();
	flow(AREAS);
	CHECK(!kn_surplus_is_there());
	ebb(AREAS);
	CHECK(kn_surplus_is_there());
	CHECK_EQ(purged(), 0);
	errno = 3;
	knuma_freed();
	CHECK_EQ(errno, 3);
	CHECK(purged() >= AREAS * MIB);
	CHECK(!kn_surplus_is_there());
	heap_verify();
}

static void trim_keep_stays(void)
{
	start();
	conf("trim_keep", "1G");
	flow(AREAS);
	ebb(AREAS);
	CHECK(!kn_surplus_is_there());
	conf("trim_keep", "1M");
	CHECK(kn_surplus_is_there());
}

/* Whoever can be asked for nothing now: the next free asks again. */
static void not_now(void)
{
	static struct kn_lock lock = KN_LOCK_INIT(map);

	start();
	flow(AREAS);
	ebb(AREAS);
	kn_lock(&lock);
	knuma_freed();
	kn_unlock(&lock);
	kn_forking = true;
	knuma_freed();
	kn_forking = false;
	__libc_single_threaded = false;
	knuma_freed();
	__libc_single_threaded = true;
	conf("trim_delay_ms", "0");
	knuma_freed();
	conf("trim_delay_ms", "3600s");
	CHECK_EQ(purged(), 0);
	knuma_freed();
	CHECK(purged() >= AREAS * MIB);
}

static void what_is_missed_is_kept(void)
{
	start();
	flow(AREAS);
	ebb(AREAS);
	kn_surplus_give_back(1000);
	CHECK(purged() >= AREAS * MIB);
	for (int i = 0; i < 3; i++) {
		const uint64_t before = purged();

		flow(AREAS);
		ebb(AREAS);
		if (kn_surplus_is_there())
			kn_surplus_give_back(1001);
		CHECK_EQ(purged(), before);
	}
	CHECK(!kn_surplus_is_there());
}

/* Once more after an hour: such waves come and go slowly. */
static void what_is_not_missed_goes(void)
{
	uint64_t now_ms = 1000;

	start();
	for (int i = 0; i < 3; i++) {
		const uint64_t before = purged();

		flow(AREAS);
		ebb(AREAS);
		CHECK(kn_surplus_is_there());
		kn_surplus_give_back(now_ms);
		CHECK(purged() >= before + AREAS * MIB);
		now_ms += HOUR_MS;
	}
}

/* What was learned of small waves is forgotten while a large one ebbs. */
static void a_large_wave_ebbs(void)
{
	start();
	conf("vmalloc_cache", "1G");
	for (int i = 0; i < 2; i++) {
		flow(AREAS);
		ebb(AREAS);
		kn_surplus_give_back(1000);
	}
	CHECK(!kn_surplus_is_there());
	CHECK(stat_of("vmalloc_cached_bytes") >= AREAS * MIB);
	flow(MOST);
	for (int i = 0; i < MOST; i++) {
		knuma_free(area[i]);
		if (kn_surplus_is_there())
			kn_surplus_give_back(1000);
	}
	CHECK(stat_of("vmalloc_cached_bytes") < AREAS / 2 * MIB);
}

static void what_cannot_go_is_not_tried_again(void)
{
	uint64_t calls;

	faults_install();
	start();
	flow(AREAS);
	ebb(AREAS);
	faults_refuse_advice(MADV_DONTNEED, -EPERM);
	knuma_freed();
	CHECK_EQ(purged(), 0);
	CHECK(!kn_surplus_is_there());
	calls = faults_calls(FAULT_MADVISE);
	knuma_freed();
	CHECK_EQ(faults_calls(FAULT_MADVISE), calls);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(what_is_free_goes_back),
		child_test(trim_keep_stays),
		child_test(not_now),
		child_test(what_is_missed_is_kept),
		child_test(what_is_not_missed_goes),
		child_test(a_large_wave_ebbs),
		child_test(what_cannot_go_is_not_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

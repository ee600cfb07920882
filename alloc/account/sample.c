/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/account/sample.h"

#include "alloc/account/ext.h"
#include "alloc/base/otel.h"
#include "alloc/base/random.h"
#include "alloc/config/tunables.h"

/* Bytes to the next point, S3. */
static struct stripe {
	uint64_t left; /* atomic; 1 at least */
} kn_cacheline stripes[KN_STAT_STRIPES];

uint64_t kn_sample_bytes;

/*
 * A number of the exponential distribution with mean 1, by comparing uniform
 * ones: J. von Neumann, Various techniques used in connection with random
 * digits, 1951.  The C library's logarithm would make every program load libm.
 */
static double exponential(void)
{
	for (double whole = 0;; whole++) {
		const uint64_t first = kn_random();
		uint64_t last = first, next;
		bool odd = true;

		while ((next = kn_random()) < last) {
			last = next;
			odd = !odd;
		}
		if (odd)
			return whole + (double)(first >> 11) * 0x1p-53;
	}
}

static uint64_t next_point(void)
{
	return 1 + (uint64_t)(exponential() * (double)kn_sample_bytes);
}

void kn_sample_init(void)
{
	kn_sample_bytes = kn_tun.sample_bytes;
	for (int i = 0; kn_sample_bytes && i < KN_STAT_STRIPES; i++)
		kn_store(&stripes[i].left, next_point());
}

/* Whether a point falls into the next @size bytes of the thread's stripe. */
static bool has_point(uint64_t size)
{
	uint64_t *const left = &stripes[kn_thread_stripe()].left;
	uint64_t old = kn_load(left), next;

	do {
		next = old > size ? old - size : next_point();
	} while (!ck_pr_cas_64_value(left, old, next, &old));
	return old <= size;
}

/*
 * 1 - exp(-@x): a series that is short below 1/16, and above by
 * 1 - exp(-2y) = (1 - exp(-y)) (1 + exp(-y)).
 */
static double probability(double x)
{
	int doublings = 0;
	double y = x, q;

	if (x > 64)
		return 1;
	for (; y > 1.0 / 16; y /= 2)
		doublings++;
	q = y / (1 + y * (0.5 + y * (1.0 / 12 - y * y / 720)));
	while (doublings--)
		q *= 2 - q;
	return q;
}

uint64_t kn_sample_weight(uint64_t size)
{
	const double bytes = (double)size;

	return (uint64_t)(bytes / probability(bytes / (double)kn_sample_bytes) +
			  0.5);
}

kn_slow uint64_t kn_sample_take(uint64_t size)
{
	return size && has_point(size) ? kn_sample_weight(size) : 0;
}

kn_slow void kn_sample_alloc(uint64_t *word, const void *p, uint64_t size,
			     uint64_t weight)
{
	kn_store(word, kn_load(word) | KN_EXT_SAMPLED);
	kn_stat_add(KN_STAT_sampled_allocs, 1);
	KN_OTEL_ALLOC(p, size, weight);
}

kn_slow void kn_sample_free(const void *p)
{
	kn_stat_add(KN_STAT_sampled_frees, 1);
	KN_OTEL_FREE(p);
}

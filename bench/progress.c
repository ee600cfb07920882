/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "bench/sample.h"

unsigned kn_progress_interval_s;

void kn_progress(const char *what, const char *unit, unsigned i, unsigned n)
{
	static uint64_t last_ns;
	const uint64_t now = kn_bench_clock(CLOCK_MONOTONIC);

	if (isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%s, %s %u of %u\033[K", what, unit, i + 1,
			n);
		return;
	}
	if (!last_ns)
		last_ns = now;
	if (!kn_progress_interval_s ||
	    now - last_ns < kn_progress_interval_s * 1000000000ull)
		return;
	last_ns = now;
	fprintf(stderr, "knuma bench: %s, %s %u of %u\n", what, unit, i + 1, n);
}

void kn_progress_clear(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/verify.c - a sample of the heap, asked where it is
 *
 * Each node's window, pages and areas, is visited in steps of about 0.6 of its
 * length, which meet every page once and lie far apart from the first few on.
 * Pages that are not in memory answer so, and stay as they are.
 */
#include <knuma/numa.h>

#include <errno.h>

#include "alloc/core/homes.h"
#include "alloc/core/start.h"
#include "alloc/page/away.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"

#define CHUNK		 512

/* Pages asked for each one wanted: most of a window may not be in memory. */
#define ASKED_PER_SAMPLE 64
#define ASKED_LEAST	 8192

static uint64_t gcd(uint64_t a, uint64_t b)
{
	return b ? gcd(b, a % b) : a;
}

/* Has no divisor in common with @n: the walk comes by every page. */
static uint64_t step_for(uint64_t n)
{
	uint64_t step = n * 618 / 1000 + 1;

	while (gcd(step, n) != 1)
		step++;
	return step;
}

static void count(int id, void **page, const int *status, size_t n,
		  unsigned long samples, struct knuma_homes *row)
{
	for (size_t i = 0; i < n && row->sampled < samples; i++) {
		if (status[i] < 0)
			continue;
		row->sampled++;
		if (status[i] == id)
			continue;
		row->away++;
		row->on_purpose += kn_is_away(page[i]);
	}
}

static int sample(int node, unsigned long samples, struct knuma_homes *row)
{
	const int id = kn_topo.kernel_id[node];
	struct kn_home_range r[KN_HOME_RANGES];
	const uint64_t total = kn_home_pages(node, r, false);
	const uint64_t step = total ? step_for(total) : 0;
	const uint64_t most =
		samples > UINT64_MAX / ASKED_PER_SAMPLE ?
			UINT64_MAX :
			KN_MAX(samples * (uint64_t)ASKED_PER_SAMPLE,
			       ASKED_LEAST + 0ull);
	uint64_t left = KN_MIN(total, most), at = 0;

	*row = (struct knuma_homes){.node = id};
	while (left && row->sampled < samples) {
		const size_t n = KN_MIN(left, (uint64_t)CHUNK);
		void *page[CHUNK], *asked[CHUNK];
		int status[CHUNK], err;

		for (size_t i = 0; i < n; i++) {
			page[i] = asked[i] = kn_home_page(r, at);
			status[i] = -ENOENT;
			at = (at + step) % total;
		}
		err = kn_page_nodes(n, asked, status);
		if (err < 0)
			return err;
		count(id, page, status, n, samples, row);
		left -= n;
	}
	kn_node_stat_add(node, KN_NODE_STAT_home_checked, row->sampled);
	kn_node_stat_add(node, KN_NODE_STAT_home_stale,
			 row->away - row->on_purpose);
	return 0;
}

long knuma_verify_placement(unsigned long samples, struct knuma_homes *rows,
			    int n)
{
	long away = 0;
	int used = 0;

	if (!kn_start())
		return -ENOMEM;
	if (!samples || n < 0)
		return -EINVAL;
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		struct knuma_homes row;
		const int err = sample(node, samples, &row);

		if (err)
			return err;
		away += (long)row.away;
		if (used < n)
			rows[used++] = row;
	}
	while (used < n)
		rows[used++] = (struct knuma_homes){.node = -1};
	return away;
}

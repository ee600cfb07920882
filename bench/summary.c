/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double kn_percentile(double *values, unsigned n, double percent)
{
	const double at = percent / 100 * (n - 1);
	const unsigned low = (unsigned)at;

	if (!n)
		return NAN;
	qsort(values, n, sizeof(values[0]), compare);
	if (low + 1 >= n)
		return values[n - 1];
	return values[low] + (at - low) * (values[low + 1] - values[low]);
}

static double cpu_of(const struct kn_sample *s)
{
	return (double)s->cpu_ns / (double)s->ops;
}

static double process_cpu_of(const struct kn_sample *s)
{
	return (double)s->process_cpu_ns / (double)s->ops;
}

static double wall_of(const struct kn_sample *s)
{
	return (double)s->wall_ns / (double)s->ops;
}

static double mib_of(uint64_t bytes)
{
	return bytes ? (double)bytes / (1 << 20) : NAN;
}

static double before_of(const struct kn_sample *s)
{
	return mib_of(s->rss_before_bytes);
}

static double peak_of(const struct kn_sample *s)
{
	return mib_of(s->rss_peak_bytes);
}

static double after_of(const struct kn_sample *s)
{
	return mib_of(s->rss_after_bytes);
}

static double anon_of(const struct kn_sample *s)
{
	return mib_of(s->anon_after_bytes);
}

#define LATENCY_OF(name, id)                                                \
	static double latency_##name(const struct kn_sample *s)             \
	{                                                                   \
		return s->latency_ns[id] ? (double)s->latency_ns[id] : NAN; \
	}

LATENCY_OF(p50, KN_LATENCY_P50)
LATENCY_OF(p90, KN_LATENCY_P90)
LATENCY_OF(p99, KN_LATENCY_P99)
LATENCY_OF(p999, KN_LATENCY_P999)
LATENCY_OF(p9999, KN_LATENCY_P9999)
LATENCY_OF(max, KN_LATENCY_MAX)

/* The columns that come from the samples of one peer. */
static const struct {
	enum kn_column column;
	double (*value)(const struct kn_sample *s);
	double percent;
} statistics[] = {
	{KN_COLUMN_cpu_ns, cpu_of, 50},
	{KN_COLUMN_cpu_p10_ns, cpu_of, 10},
	{KN_COLUMN_cpu_p90_ns, cpu_of, 90},
	{KN_COLUMN_wall_ns, wall_of, 50},
	{KN_COLUMN_process_cpu_ns, process_cpu_of, 50},
	{KN_COLUMN_rss_before_mib, before_of, 50},
	{KN_COLUMN_rss_peak_mib, peak_of, 50},
	{KN_COLUMN_rss_after_mib, after_of, 50},
	{KN_COLUMN_anon_after_mib, anon_of, 50},
	{KN_COLUMN_latency_p50_ns, latency_p50, 50},
	{KN_COLUMN_latency_p90_ns, latency_p90, 50},
	{KN_COLUMN_latency_p99_ns, latency_p99, 50},
	{KN_COLUMN_latency_p999_ns, latency_p999, 50},
	{KN_COLUMN_latency_p9999_ns, latency_p9999, 50},
	{KN_COLUMN_latency_max_ns, latency_max, 50},
};

static void summarise(struct kn_result *r, double *values)
{
	for (unsigned c = 0; c < KN_NR_COLUMNS; c++)
		r->value[c] = NAN;
	for (size_t i = 0; i < sizeof(statistics) / sizeof(statistics[0]);
	     i++) {
		for (unsigned k = 0; k < r->nr_samples; k++)
			values[k] = statistics[i].value(&r->samples[k]);
		r->value[statistics[i].column] = kn_percentile(
			values, r->nr_samples, statistics[i].percent);
	}
}

static double count_of(const struct kn_sample *s, unsigned i)
{
	return 1000 * (double)s->counts.value[i] / (double)s->ops;
}

static void summarise_counts(struct kn_result *r, double *values)
{
	if (!r->nr_samples)
		return;
	r->counted = r->samples[r->nr_samples - 1].counts;
	for (unsigned i = 0; i < r->counted.nr; i++) {
		for (unsigned k = 0; k < r->nr_samples; k++)
			values[k] = count_of(&r->samples[k], i);
		r->per_1000[i] = kn_percentile(values, r->nr_samples, 50);
	}
}

static const struct kn_result *fastest(const struct kn_result *results,
				       unsigned n)
{
	const struct kn_result *best = NULL;

	for (unsigned i = 0; i < n; i++)
		if (!results[i].peer->own && results[i].nr_samples &&
		    (!best || results[i].value[KN_COLUMN_cpu_ns] <
				      best->value[KN_COLUMN_cpu_ns]))
			best = &results[i];
	return best;
}

const struct kn_result *kn_result_own(const struct kn_result *results,
				      unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (results[i].peer->own && results[i].nr_samples)
			return &results[i];
	return NULL;
}

const struct kn_result *kn_result_base(const struct kn_workload *w,
				       const struct kn_result *results,
				       unsigned n)
{
	if (!w->base)
		return fastest(results, n);
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(results[i].peer->name, w->base) &&
		    results[i].nr_samples)
			return &results[i];
	return NULL;
}

unsigned kn_rounds_of(const struct kn_result *results, unsigned n)
{
	unsigned most = 0;

	for (unsigned i = 0; i < n; i++)
		if (results[i].nr_samples > most)
			most = results[i].nr_samples;
	return most;
}

static void fill_ratios(struct kn_result *results, unsigned n)
{
	const struct kn_result *best = fastest(results, n);
	const struct kn_result *own = kn_result_own(results, n);

	for (unsigned i = 0; i < n; i++) {
		double *v = results[i].value;

		if (best)
			v[KN_COLUMN_to_best] = v[KN_COLUMN_cpu_ns] /
					       best->value[KN_COLUMN_cpu_ns];
		if (own && !results[i].peer->own)
			v[KN_COLUMN_knuma_to_this] =
				own->value[KN_COLUMN_cpu_ns] /
				v[KN_COLUMN_cpu_ns];
	}
}

void kn_summarise(struct kn_result *results, unsigned n)
{
	double *values =
		malloc((kn_rounds_of(results, n) + 1) * sizeof(values[0]));

	if (!values)
		abort();
	for (unsigned i = 0; i < n; i++) {
		summarise(&results[i], values);
		summarise_counts(&results[i], values);
	}
	free(values);
	fill_ratios(results, n);
}

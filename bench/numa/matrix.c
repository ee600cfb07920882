/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/numa/matrix.h"

#include <math.h>

/* clang-format off */
const struct kn_measure kn_measures[KN_NR_MEASURES] = {
#define MEASURE(name, title, kind, unit, size, batch, knuma, numa, memkind, \
		help)                                                       \
	{#name, title, KN_KIND_##kind, KN_MEASURE_##unit, size, batch,      \
	 {[KN_CALLS_kmalloc_node] = knuma, [KN_CALLS_numa] = numa,          \
	  [KN_CALLS_memkind] = memkind},                                    \
	 help},
#include "bench/numa/measures.def"
#undef MEASURE
};
/* clang-format on */

bool kn_matrix_has_row(const struct kn_matrix *m, enum kn_measure_id measure,
		       int row)
{
	for (int column = 0; column < m->about.nodes.nr; column++)
		if (kn_matrix_cell(m, 0, row, column)->wanted & 1u << measure)
			return true;
	return false;
}

bool kn_matrix_has_column(const struct kn_matrix *m, enum kn_measure_id measure,
			  int column)
{
	for (int row = 0; row < m->about.nodes.nr; row++)
		if (kn_matrix_cell(m, 0, row, column)->wanted & 1u << measure)
			return true;
	return false;
}

char *kn_matrix_value(char buf[KN_VALUE_LEN], double value)
{
	const int digits = value < 10 ? 2 : value < 100 ? 1 : 0;

	if (isnan(value))
		snprintf(buf, KN_VALUE_LEN, "-");
	else
		snprintf(buf, KN_VALUE_LEN, "%.*f", digits, value);
	return buf;
}

const char *kn_measure_unit(const struct kn_measure *measure)
{
	return measure->unit == KN_MEASURE_GBS ? "GB/s" : "ns";
}

const char *kn_measure_columns(const struct kn_measure *measure)
{
	return measure->kind == KN_KIND_REMOTE ? "node of the CPU that frees" :
						 "node of the memory";
}

const char *kn_matrix_peer(const struct kn_peer *peer)
{
	if (peer->own)
		return "knuma";
	return peer->calls == KN_CALLS_numa ? "libnuma" : peer->name;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* bench/json.h - what every JSON report writes */
#ifndef KN_BENCH_JSON_H
#define KN_BENCH_JSON_H

#include <stdbool.h>
#include <stdio.h>

void kn_json_string(FILE *f, const char *s);

/* null for NULL and "". */
void kn_json_optional(FILE *f, const char *s);

/* null for NaN. */
void kn_json_number(FILE *f, double value);

/* "true" or "false". */
const char *kn_json_bool(bool value);

#endif

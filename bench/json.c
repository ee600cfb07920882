/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/json.h"

#include <math.h>

void kn_json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < ' ')
			fprintf(f, "\\u%04x", (unsigned char)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

void kn_json_optional(FILE *f, const char *s)
{
	if (s && *s)
		kn_json_string(f, s);
	else
		fputs("null", f);
}

void kn_json_number(FILE *f, double value)
{
	if (isnan(value))
		fputs("null", f);
	else
		fprintf(f, "%.6g", value);
}

const char *kn_json_bool(bool value)
{
	return value ? "true" : "false";
}

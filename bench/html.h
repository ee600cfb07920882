/* SPDX-License-Identifier: Apache-2.0 */
/* bench/html.h - a page: one file, no script, nothing from elsewhere */
#ifndef KN_BENCH_HTML_H
#define KN_BENCH_HTML_H

#include <stdio.h>

void kn_html_begin(FILE *f, const char *title, const char *heading);
void kn_html_escaped(FILE *f, const char *s);
void kn_html_end(FILE *f);

#endif

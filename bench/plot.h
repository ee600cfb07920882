/* SPDX-License-Identifier: Apache-2.0 */
/* bench/plot.h - one picture, by gnuplot */
#ifndef KN_BENCH_PLOT_H
#define KN_BENCH_PLOT_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Writes the picture of @script as SVG to @page.  @script writes gnuplot's
 * commands to a file, and gives false when there is nothing to draw.  False
 * without a picture: for that reason, or there is no gnuplot.
 */
bool kn_plot(FILE *page, bool (*script)(FILE *f, const void *arg),
	     const void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/progress.h - how far it has come, on standard error
 *
 * On a terminal one line that changes; elsewhere a line now and then, or none.
 */
#ifndef KN_BENCH_PROGRESS_H
#define KN_BENCH_PROGRESS_H

/* Seconds between two lines where there is no terminal; 0: no line at all. */
extern unsigned kn_progress_interval_s;

/* "@what, @unit @i of @n", @i from 0. */
void kn_progress(const char *what, const char *unit, unsigned i, unsigned n);

/* Takes the line on the terminal away. */
void kn_progress_clear(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* bench.h - what kfree_rcu() costs the readers of the table */
#ifndef KV_BENCH_H
#define KV_BENCH_H

#include <knuma/linux/types.h>

#define BENCH_ROUNDS_MIN 5 /* fewer have no interval worth the name */
#define BENCH_ROUNDS_MAX 999

struct bench_options {
	unsigned int rounds;
	unsigned int readers;
	unsigned int ms;      /* of one measurement; a round has eight */
	unsigned int keys;    /* values in the table */
	unsigned int bytes;   /* of a value */
	unsigned int updates; /* a second, by one thread; 0 for no limit */
};

/* Return: 0; 1 after a message. */
int bench_run(const struct bench_options *o);

#endif /* KV_BENCH_H */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/bench.h - knuma bench: this machine, this allocator, and others
 *
 *   workload  workloads.def  what is done, and who takes part
 *   peer      peers.def      who does it: an allocator behind malloc by
 *                            LD_PRELOAD, or an interface called directly
 *   round     workload.h     one workload by one peer, in a process of its own
 *   sample    sample.h       what a round measures
 *   report    columns.def    medians of the rounds, as text, JSON or CSV
 *
 * Beside the workloads there are measurements of what nodes do, each a command
 * of its own: numa/, locality/; and flood/, what waits for RCU readers.
 *
 * A round of a loop is a fresh process: this program, started once more with
 * other arguments (child.c).  No peer lives on another's warm memory.  Rounds
 * take turns, A B C, B C A, C A B, so that a disturbance of the machine falls
 * on all of them.  A figure means something as a ratio to another of the same
 * run, and nothing alone.
 *
 * This folder sees the public headers only.  It meets libknuma where its users
 * do: in the shared libraries, which it opens at run time.
 */
#ifndef KN_BENCH_BENCH_H
#define KN_BENCH_BENCH_H

/*
 * `knuma bench`, with argv[0] = "knuma bench".  Returns 0; 1 when something
 * could not be measured; 2 on wrong usage, missing peers or an interrupt.
 */
int kn_bench_main(int argc, char **argv);

#endif

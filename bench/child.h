/* SPDX-License-Identifier: Apache-2.0 */
/* bench/child.h - the process that runs a loop under one allocator */
#ifndef KN_BENCH_CHILD_H
#define KN_BENCH_CHILD_H

/* `knuma bench --child ...', for this program alone; argv[0] = "--child". */
int kn_child_main(int argc, char **argv);

#endif

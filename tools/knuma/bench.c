/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/knuma/knuma.h"

#include "bench/bench.h"

int cmd_bench(int argc, char **argv)
{
	return kn_bench_main(argc, argv);
}

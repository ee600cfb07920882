/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/loops.h"

#include "bench/calls.h"

void kn_loops_run(enum kn_calls calls, const struct kn_workload *w,
		  unsigned chunk)
{
	const kn_loop_fn run = kn_singles[calls][w->loop] ?
				       kn_singles[calls][w->loop] :
				       kn_crowds[calls][w->loop];

	if (!run)
		kn_give_up("these calls have no such loop");
	run(w, chunk);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* bench/machine.h - what the figures are of: a machine, or one that is made up */
#ifndef KN_BENCH_MACHINE_H
#define KN_BENCH_MACHINE_H

#include <stdbool.h>

struct kn_machine {
	char system[128];    /* "Linux 6.12.0 x86_64" */
	char cpu[96];	     /* the model, as the system names it */
	char hypervisor[32]; /* "": none that says so */
	bool emulated;	     /* the hypervisor computes each instruction */
};

void kn_machine_read(struct kn_machine *m);

#endif

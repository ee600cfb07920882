/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/slab/fault.h - SIGSEGV that a guarded object meets
 *
 * The handler stands before the one that it found.  It reports what
 * kn_fence_report_fault() knows, and then every signal takes the course that it
 * would have taken without: the handler found is called, or the default action
 * put back and the instruction run again.
 */
#ifndef KN_SLAB_FAULT_H
#define KN_SLAB_FAULT_H

#include "alloc/base/compiler.h"

/* Once a process.  Context: may make system calls. */
void kn_fault_install(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/config/fake_spec.h - the value of the tunable fake_nodes
 *
 *   ""  "0"                    none: the machine as it is
 *   "4"                        4 nodes; the CPUs of this machine are divided
 *   "pack:2 numa:4 core:8 pu:2"  hwloc's synthetic form: 8 nodes of 16 CPUs
 *   "pack:8 [numa] core:64 pu:2" the same form, nodes attached: 8 of 128
 *
 * Levels are those of lstopo(1), from the outside in, and multiply; the last is
 * pu.  Attributes in parentheses are read over.  Nodes and CPUs are numbered
 * from 0, CPUs of a node in a row.
 */
#ifndef KN_CONFIG_FAKE_SPEC_H
#define KN_CONFIG_FAKE_SPEC_H

#include "alloc/base/compiler.h"

#define KN_FAKE_MAX_NODES 64
#define KN_FAKE_MAX_CPUS  8192

struct kn_fake_spec {
	unsigned nr_nodes; /* 0: none */
	unsigned nr_cpus;  /* 0: those of this machine */
};

/*
 * Takes no memory.  Return: 0; -EINVAL for what is no such text; -ERANGE for
 * more nodes or CPUs than there can be.
 */
int kn_fake_spec_parse(const char *text, struct kn_fake_spec *spec);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/about.h - the head of a report about nodes
 *
 * What machine it was, which nodes, and sentences that the reader must know
 * before the figures: emulated, made up, one node only, missing, interrupted.
 * They are the same in each format.
 */
#ifndef KN_BENCH_ABOUT_H
#define KN_BENCH_ABOUT_H

#include <stdio.h>

#include "bench/machine.h"
#include "bench/nodes.h"
#include "bench/usage.h"

enum {
	KN_NOTES_MAX = 16,
	KN_NOTE_LEN = 240
};

struct kn_about {
	struct kn_machine machine;
	struct kn_nodes nodes;
	unsigned runs;
	bool quick;
	bool interrupted;
	unsigned nr_notes;
	char note[KN_NOTES_MAX][KN_NOTE_LEN];
};

/*
 * Reads the machine and asks knuma's @library for the nodes that @o wants.  Ends
 * the process with a message when there is no answer or no such node.
 */
void kn_about_read(struct kn_about *a, const char *library,
		   const struct kn_options *o);

/* Adds a sentence; those beyond KN_NOTES_MAX are dropped. */
void kn_about_note(struct kn_about *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One sentence with the peers of these calls that are not here, if any. */
void kn_about_note_missing(struct kn_about *a, unsigned who);

/* Lines of text: version, machine, nodes, notes. */
void kn_about_text(FILE *f, const struct kn_about *a);

/* The first members of an object, without the brace and the last comma. */
void kn_about_json(FILE *f, const struct kn_about *a);

#endif

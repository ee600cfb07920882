/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/rseq/entries.h - the functions that restartable sections are inlined
 * into, by pairs
 */
#ifndef KN_TESTS_RSEQ_ENTRIES_H
#define KN_TESTS_RSEQ_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A way to allocate and one to free, @n objects of @size bytes. */
struct entry {
	const char *name;
	size_t size;
	void (*alloc)(size_t size, void **obj, size_t n);
	void (*free)(void **obj, size_t n);
};

/* Longer than a batch of a magazine, so that it fills and runs empty. */
#define ENTRY_MOST 200

#define NR_ENTRIES 17
extern const struct entry entries[NR_ENTRIES];

/* The heap starts, without a background thread; then what entries need. */
void entries_start(void);

/* Frees @n objects for RCU.  They are back when entries_lost() looks. */
void entries_defer(unsigned n);

/*
 * The same, while the thread of kfree_rcu waits for a reader: it drains nothing
 * then, so a section that runs as plain code is safe.  At the end of that the
 * tracee says that it is over.  Once a process.
 */
void entries_defer_alone(unsigned n);

/* Counts in the copies of the running CPU, by words of all sizes. */
void entries_count(void);

/* Objects that are in no slab, when nothing is in use; drains all magazines. */
uint64_t entries_lost(void);

/* Drains all magazines. */
void entries_drain(void);

#endif

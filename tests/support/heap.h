/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/heap.h - what tests ask of the whole heap */
#ifndef KN_TESTS_HEAP_H
#define KN_TESTS_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the child unless zones, areas and all slabs pass their own checks. */
void heap_verify(void);

/* True when zones, areas and slabs pass. */
bool heap_is_sound(void);

/* A statistic by name; ends the child when it is unknown. */
uint64_t stat_of(const char *name);

/* A settings of the library, before or after its start; must succeed. */
void conf(const char *name, const char *value);

/* A start without background thread and without timed work. */
void start_quiet(void);

/*
 * The same for a thread that stays on its CPU: one array of each cache, one node.
 * For tests that compare levels before and after, which grow on each node that
 * the scheduler takes the thread to.
 */
void start_here(void);

/* The first half of it: nothing has started. */
void keep_this_cpu(void);

/* Fills or checks @n bytes that follow from @seed. */
void pattern_fill(void *p, size_t n, uint64_t seed);
bool pattern_holds(const void *p, size_t n, uint64_t seed);

/* All @n bytes are @byte. */
bool all_bytes(const void *p, size_t n, unsigned char byte);

/* The largest power of two that divides @n. */
size_t divisor_of(size_t n);

/*
 * An area of @n bytes is granted: where there are several nodes, one of them
 * must have that much free.
 */
bool a_node_has(size_t n);

/* Resident bytes of the process. */
size_t resident_bytes(void);

/* Every page of [@p, @p + @n) is in memory. */
bool is_present(const void *p, size_t n);

/* Hides from the compiler where @p comes from: freed, foreign, too small. */
void *launder(const void *p);

#endif

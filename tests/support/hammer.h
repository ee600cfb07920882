/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/hammer.h - threads that allocate, hand over and free */
#ifndef KN_TESTS_HAMMER_H
#define KN_TESTS_HAMMER_H

/*
 * @threads threads for about @ms milliseconds; ends the child when an object
 * has two owners or loses its content.  @meanwhile, if not NULL, is called
 * again and again by the calling thread.
 */
void hammer(int threads, int ms, void (*meanwhile)(void));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/preload/new.h - operators new and delete that are not ours
 *
 * The C++ runtime has operators of its own behind those of the preload: they
 * call malloc, which is ours, and all the others by name, which may be the
 * program's.  They know of the new-handler and throw std::bad_alloc.
 */
#ifndef KN_PRELOAD_NEW_H
#define KN_PRELOAD_NEW_H

#include <stdbool.h>
#include <stddef.h>

/* Of free(3), which is here where the program has one of its own, too. */
void kn_free(void *p);
void kn_free_aligned_sized(void *p, size_t align, size_t size);
/* What the fast path leaves over of it and of free_sized(). */
void kn_free_rest(void *p);
void kn_free_sized_rest(void *p, size_t size);

/*
 * The program has an operator new or delete of its own: what is defined by
 * calls of others has to call it.  Set before any constructor but ours.
 */
extern bool kn_new_replaced;

/*
 * The runtime's operator @name, or NULL when no C++ runtime is loaded.
 *
 * Context: any thread; the loader's lock.
 */
void *kn_new_runtime(const char *name);

#endif

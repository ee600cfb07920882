/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/vmalloc/guard.h - the page behind an area that faults */
#ifndef KN_VMALLOC_GUARD_H
#define KN_VMALLOC_GUARD_H

#include "alloc/page/frame.h"

/* Makes page @at of an area fault; sets the area's flags. */
void kn_guard_install(struct page *area, uint64_t at);

/* Undoes kn_guard_install().  False: refused, and the page still faults. */
bool kn_guard_remove(struct page *area, uint64_t at) kn_must_check;

/* Takes the two mappings that a change inside of one makes; the budget's end. */
bool kn_mappings_take(void) kn_must_check;
void kn_mappings_give(void);

/* Mappings that guards and policies have split off. */
uint64_t kn_guard_mappings(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/view/whatis.h - what lies at an address */
#ifndef KN_VIEW_WHATIS_H
#define KN_VIEW_WHATIS_H

#include "alloc/base/print.h"

/*
 * Adds what is known of @address: its kind and allocation, whether that is in
 * use, the node it is for and the one it lies on, and how the system maps it.
 * The answer is of the moment.  Never touches what lies there.
 */
void kn_whatis_json(struct kn_text *t, uintptr_t address);

#endif

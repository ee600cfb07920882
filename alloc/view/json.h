/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/view/json.h - pieces of JSON, added to a text */
#ifndef KN_VIEW_JSON_H
#define KN_VIEW_JSON_H

#include "alloc/base/print.h"

#define KN_JSON_SCHEMA \
	1 /* of all that is said; raised when a reader must change */

/*
 * "@s", quoted.  Bytes above 127 become the characters of those numbers, so
 * that a name in any encoding gives valid JSON.
 */
void kn_member_quoted(struct kn_text *t, const char *s);

/* {"schema":N - what follows are kn_member_key(), values, and }. */
void kn_object_begin(struct kn_text *t);

/* ,"@name": */
void kn_member_key(struct kn_text *t, const char *name);

void kn_member_u64(struct kn_text *t, const char *name, uint64_t value);
void kn_member_bool(struct kn_text *t, const char *name, bool value);
void kn_member_text(struct kn_text *t, const char *name, const char *value);

/* As kn_member_text(), in hexadecimal: a number cannot hold each address. */
void kn_member_address(struct kn_text *t, const char *name, uintptr_t address);

#endif

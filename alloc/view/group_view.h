/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/view/group_view.h - groups of allocations as text, JSON, OpenMetrics */
#ifndef KN_VIEW_GROUP_VIEW_H
#define KN_VIEW_GROUP_VIEW_H

#include "alloc/base/print.h"

/* A table of the first 1,000, and how many there are more; nothing without. */
void kn_groups_text(struct kn_text *t);

/* Adds the member "groups" to an object that was begun. */
void kn_groups_json(struct kn_text *t);

/* The families knuma_group_*, without # EOF; nothing without groups. */
void kn_groups_prom(struct kn_text *t);

#endif

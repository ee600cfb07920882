/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/core/gauges.h - where the statistics that are not counted come from */
#ifndef KN_CORE_GAUGES_H
#define KN_CORE_GAUGES_H

void kn_gauges_init(void);

#endif

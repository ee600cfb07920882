/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/linux/rcupdate.h - <linux/rcupdate.h>: liburcu, and kfree_rcu
 *
 * The translation unit's RCU flavour is that of the liburcu header included
 * before this one; without any it is that of <urcu.h>, which is memb unless
 * RCU_MB or RCU_SIGNAL is defined.  Link with -lurcu or what fits the flavour.
 */
#ifndef KNUMA_LINUX_RCUPDATE_H
#define KNUMA_LINUX_RCUPDATE_H

#ifndef rcu_flavor
#include <urcu.h>
#endif

#include <knuma/rcu.h>

#ifndef __rcu
#define __rcu
#endif
#define RCU_INIT_POINTER(p, v) ((void)((p) = (v)))

#endif /* KNUMA_LINUX_RCUPDATE_H */

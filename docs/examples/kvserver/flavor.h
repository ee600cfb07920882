/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flavor.h - the flavour of liburcu that this program is built with
 *
 * The one place that names it.  All files that read the table, or free what
 * was in it, include this header, because kfree_rcu() waits for the readers of
 * the flavour that its own file has included.
 *
 * rcu_quiescent_state(), rcu_thread_offline() and rcu_thread_online() exist in
 * every flavour and do nothing but in QSBR, so that the code need not ask.
 */
#ifndef KV_FLAVOR_H
#define KV_FLAVOR_H

#if defined(KV_QSBR)
#include <urcu-qsbr.h>
#define KV_FLAVOR "qsbr"
#elif defined(KV_BP)
#include <urcu-bp.h>
#define KV_FLAVOR "bp"
#else
#include <urcu.h>
#define KV_FLAVOR "memb"
#endif

#include <urcu/rculfhash.h>

#include <knuma/linux/rcupdate.h>

#endif /* KV_FLAVOR_H */

/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - what a process holds, as the system and knuma see it */
#ifndef KV_MEMORY_H
#define KV_MEMORY_H

#include <knuma/linux/types.h>

/*
 * Lines "name value": the RSS, and what knuma counts for kfree_rcu().
 * Return: bytes of text, without the zero byte that ends it.
 */
size_t memory_text(char *buf, size_t len);

/*
 * Bytes that the program holds.  Free objects that knuma keeps at hand count
 * as held, so it is made to let go of them first.
 */
u64 memory_held(void);

#endif /* KV_MEMORY_H */

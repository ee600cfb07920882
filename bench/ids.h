/* SPDX-License-Identifier: Apache-2.0 */
/* bench/ids.h - sets of CPUs or nodes, as the kernel writes them: "0-3,8" */
#ifndef KN_BENCH_IDS_H
#define KN_BENCH_IDS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	KN_IDS_MAX = 8192, /* the kernel's own limit of CPUs */
	KN_IDS_LEN = 49152 /* bytes of the longest list: every other id */
};

struct kn_ids {
	cpu_set_t set[KN_IDS_MAX / CPU_SETSIZE];
};

void kn_ids_add(struct kn_ids *ids, int id);
bool kn_ids_has(const struct kn_ids *ids, int id);
int kn_ids_count(const struct kn_ids *ids);

/* The smallest id above @id, which may be -1; -1 when there is none. */
int kn_ids_next(const struct kn_ids *ids, int id);

/* False when @text is no list of ids below KN_IDS_MAX, or an empty one. */
bool kn_ids_parse(struct kn_ids *ids, const char *text);

/* Writes the list to @buf, cut at @len bytes, and returns @buf. */
char *kn_ids_print(const struct kn_ids *ids, char *buf, size_t len);

/* Binds this thread to CPUs; false with errno when the system refuses. */
bool kn_ids_bind(const struct kn_ids *cpus);

#endif

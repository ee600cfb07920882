/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/sysfs.h - texts of sysfs and procfs, read and parsed by hand
 *
 * Used inside the first malloc: no memory, no stdio, only kn_machine.read_file
 * into the caller's buffer.  A text that does not fit loses its last item too,
 * so that no number is ever read by half.
 */
#ifndef KN_NUMA_SYSFS_H
#define KN_NUMA_SYSFS_H

#include <sys/types.h>

#include "alloc/base/compiler.h"

/* Below kn_machine.sysfs, as "cpu/possible".  Bytes read, or -Exxx. */
ssize_t kn_sysfs_read(const char *file, char *buf, size_t len);

/* A file of one node, as "distance".  Bytes read, or -Exxx. */
ssize_t kn_sysfs_read_node(int kernel_id, const char *file, char *buf,
			   size_t len);

/* Below kn_machine.procfs, as "self/status".  Bytes read, or -Exxx. */
ssize_t kn_sysfs_read_proc(const char *file, char *buf, size_t len);

/*
 * Takes the next range of an id list ("0-3,5") off @text.  False at its end,
 * and at the first thing that is no range.
 */
bool kn_sysfs_next_range(const char **text, unsigned *first, unsigned *last);

/* Takes the next number off @text, past blanks.  False where there is none. */
bool kn_sysfs_next_number(const char **text, uint64_t *value);

/* What follows @name in the line that holds it, or NULL. */
const char *kn_sysfs_field(const char *text, const char *name);

#endif

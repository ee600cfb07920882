/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/tunables.h - settings by name, and giving memory back at once
 *
 * The names are those of the configuration file; docs/reference lists them.  A
 * value set here wins over the file and the environment.
 */
#ifndef KNUMA_TUNABLES_H
#define KNUMA_TUNABLES_H

#include <knuma/types.h>

KN_BEGIN_DECLS

/**
 * knuma_conf_set - change a setting
 * @name: its name
 * @value: its value as in the file: sizes with K, M, G, times with ms, s
 *
 * Context: any thread, no signal handler.  May wait for another change.
 * Return:  0.
 * Errors:  -ENOENT when there is no such name, -EINVAL when @value cannot be
 *          read, -ERANGE when it is out of range, -EBUSY when the setting is
 *          fixed once the allocator is up.
 */
int knuma_conf_set(const char *name, const char *value) KN_API KN_MUST_CHECK;

/**
 * knuma_conf_get - read a setting
 * @name: its name
 * @buf: where to put its value, a string that knuma_conf_set() takes
 * @len: bytes in @buf
 *
 * Context: any thread, no signal handler.  May wait for a change.
 * Return:  0.
 * Errors:  -ENOENT when there is no such name, -ENOSPC when @len is too small.
 */
int knuma_conf_get(const char *name, char *buf,
		   size_t len) KN_API KN_MUST_CHECK;

/**
 * knuma_trim - give all unused memory back to the system
 *
 * Empties the arrays of all CPUs and purges free pages and kept areas, without
 * regard to age and rate.  Memory that waits for a grace period stays.  Follows
 * nodes that came, went, or were allowed or forbidden, and brings pages back to
 * their node.
 *
 * Context: Any thread, no signal handler.  Waits for locks, makes system calls,
 *          never waits for a grace period.
 * Return:  0.
 * Errors:  -errno of the first system call that failed; the rest was done.
 */
int knuma_trim(void) KN_API;

KN_END_DECLS

#endif /* KNUMA_TUNABLES_H */

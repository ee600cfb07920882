/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/tunables.h - settings by name, and giving memory back at once
 *
 * The names are those of the configuration file; knuma.conf(5) lists them.  A
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
 * knuma_conf_reload - read the configuration files again
 *
 * All or nothing: the files that were looked for when the process started are
 * read and checked as a whole, and a mistake in any line leaves every setting as
 * it is; each is printed on standard error.  Else what can change at run time
 * takes the value that the files give it, or the built-in one where they no
 * longer set it, and one line on standard error names each setting that differs
 * but is read at the start only: it holds at next start.  The environment is not
 * read again; its values, and those of knuma_conf_set(), win as before.
 *
 * Whoever has read a value of a reload by knuma_conf_get() reads no older one
 * afterwards, of any setting.  What the allocator decides by several settings,
 * it decides by all as they were before a reload, or all as they are after it.
 *
 * Context: any thread, no signal handler: a handler of SIGHUP sets a flag and
 *          the program calls this later.  Makes system calls; needs 8 KiB of
 *          stack.
 * Return:  0, also when there is no file.
 * Errors:  -EINVAL for a mistake in a file, -ENOENT when the file of
 *          KNUMA_CONF_FILE is gone, another -errno when a file cannot be read:
 *          nothing was changed.  -EBUSY when another thread reloads.
 */
int knuma_conf_reload(void) KN_API KN_MUST_CHECK;

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
 * Errors:  -errno of the first system call that failed; the arrays are empty all
 *          the same.
 */
int knuma_trim(void) KN_API;

KN_END_DECLS

#endif /* KNUMA_TUNABLES_H */

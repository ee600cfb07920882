/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/stats.h - what the allocator has done, by name, as text, as JSON
 *
 * Counters are kept per CPU and summed when they are read, so a read is not a
 * snapshot of one moment.
 */
#ifndef KNUMA_STATS_H
#define KNUMA_STATS_H

#include <knuma/types.h>

KN_BEGIN_DECLS

/**
 * knuma_stats_read - read one statistic
 * @name: its name, as in the text and in docs/reference; a statistic of nodes,
 *        such as numa_hit, is the sum of all, and numa_hit.1 that of node 1
 * @value: where to put it; written only on success
 *
 * Context: any thread, any signal handler.
 * Return:  0.
 * Errors:  -ENOENT when there is no such name.
 */
int knuma_stats_read(const char *name, uint64_t *value) KN_API KN_MUST_CHECK;

/**
 * knuma_stats_text - all statistics as text
 * @buf: where to put it; may be NULL if @len is 0
 * @len: bytes in @buf
 *
 * As snprintf(3): @buf ends in a zero byte unless @len is 0, and a result of
 * @len or more tells that it was cut short.
 *
 * Context: any thread, no signal handler.  Allocates nothing.
 * Return:  bytes of the whole text, without the zero byte.
 */
size_t knuma_stats_text(char *buf, size_t len) KN_API;

/**
 * knuma_stats_json - all statistics as one JSON object
 * @buf: where to put it; may be NULL if @len is 0
 * @len: bytes in @buf
 *
 * The member "schema" is the version of the form.  @buf, @len and the result are
 * as for knuma_stats_text().
 *
 * Context: any thread, no signal handler.  Allocates nothing.
 * Return:  bytes of the whole text, without the zero byte.
 * Notes:   Names within one version of the form are only added.
 */
size_t knuma_stats_json(char *buf, size_t len) KN_API;

/**
 * knuma_stats_print - write the text of knuma_stats_text() to a file
 * @fd: descriptor open for writing; 2 for standard error
 *
 * Context: any thread, no signal handler.  Calls write(2), allocates nothing.
 */
void knuma_stats_print(int fd) KN_API;

/**
 * knuma_view - the allocator in the form of a file of the kernel
 * @name: slabinfo, buddyinfo, pagetypeinfo or vmallocinfo; or node0/numastat,
 *        with the id of the node
 * @buf: where to put it; may be NULL if @len is 0
 * @len: bytes in @buf
 *
 * @buf and @len are as for knuma_stats_text().  vmallocinfo asks the system where
 * each page of each area lies.
 *
 * Context: any thread, no signal handler.
 * Return:  bytes of the whole text, without the zero byte; or an error.
 * Errors:  -ENOENT when there is no such view, or no such node.
 *          -ENOMEM when there is no memory for the rows of slabinfo.
 * Notes:   Each line is of one moment, the whole is not: other threads go on
 *          meanwhile, and no lock is held while it prints.  What the columns
 *          mean here is in docs/howto/watch.md.
 */
long knuma_view(const char *name, char *buf, size_t len) KN_API KN_MUST_CHECK;

/**
 * knuma_view_save - write all views of knuma_view() as files
 * @dir: the folder for them, at most 255 bytes; made unless it is there
 *
 * Each file takes the place of an older one as a whole.  Those that show
 * addresses, or names of caches, are for the user alone.  The setting view_dir
 * does the same at exit.
 *
 * Context: any thread, no signal handler.
 * Return:  0.
 * Errors:  -ENAMETOOLONG for a longer @dir, -ENOMEM, or what mkdir(2), open(2),
 *          write(2) or rename(2) said of the first file that failed.
 */
int knuma_view_save(const char *dir) KN_API KN_MUST_CHECK;

/**
 * knuma_mode - how the per-CPU arrays are protected
 *
 * Context: any thread, any signal handler.
 * Return:  "rseq" for restartable sequences, "fallback" for try-locks.
 */
const char *knuma_mode(void) KN_API;

/**
 * knuma_mode_reason - why knuma_mode() is what it is
 *
 * Context: any thread, any signal handler.
 * Return:  a short text for people, "" when there is nothing to explain.
 */
const char *knuma_mode_reason(void) KN_API;

KN_END_DECLS

#endif /* KNUMA_STATS_H */

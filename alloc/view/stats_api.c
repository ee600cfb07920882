/* SPDX-License-Identifier: Apache-2.0 */
#include <knuma/stats.h>

#include <errno.h>
#include <string.h>

#include "alloc/base/start.h"
#include "alloc/view/stats_view.h"
#include "alloc/view/views.h"

/* The dense id of the kernel id in @digits, or -1. */
static int node_of(const char *digits)
{
	int id = 0;

	if (!*digits)
		return -1;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9' || id > 9999)
			return -1;
		id = id * 10 + (*digits - '0');
	}
	for (int n = 0; n < kn_view_info.nr_nodes; n++)
		if (kn_view_info.node_id[n] == id)
			return n;
	return -1;
}

/* numa_hit of all nodes, numa_hit.1 of one. */
static int read_node_stat(const char *name, uint64_t *value)
{
	const char *dot = strchr(name, '.');
	const size_t len = dot ? (size_t)(dot - name) : strlen(name);
	const int node = dot ? node_of(dot + 1) : -1;
	char word[32] = "";
	uint64_t sum = 0;
	int id;

	if (len >= sizeof(word) || (dot && node < 0))
		return -ENOENT;
	memcpy(word, name, len);
	id = kn_node_stat_find(word);
	if (id < 0)
		return -ENOENT;
	for (int n = 0; n < kn_view_info.nr_nodes; n++)
		if (!dot || n == node)
			sum += kn_node_stat_read(n, (enum kn_node_stat)id);
	*value = sum;
	return 0;
}

/* Documented in <knuma/stats.h>. */
int knuma_stats_read(const char *name, uint64_t *value)
{
	const int saved_errno = errno, id = kn_stat_find(name);

	/* Without a heap there are its zeros to be read. */
	(void)kn_start();
	errno = saved_errno;
	if (id < 0)
		return read_node_stat(name, value);
	if (!kn_stat_known((enum kn_stat)id))
		return -ENOENT;
	*value = kn_stat_read((enum kn_stat)id);
	return 0;
}

static size_t format(char *buf, size_t len, enum kn_view_fmt fmt)
{
	const int saved_errno = errno;
	struct kn_text t = {buf, len, 0};

	(void)kn_start();
	kn_stats_format(&t, fmt);
	errno = saved_errno;
	return t.len;
}

/* Documented in <knuma/stats.h>. */
size_t knuma_stats_text(char *buf, size_t len)
{
	return format(buf, len, KN_VIEW_TEXT);
}

/* Documented in <knuma/stats.h>. */
size_t knuma_stats_json(char *buf, size_t len)
{
	return format(buf, len, KN_VIEW_JSON);
}

/* Documented in <knuma/stats.h>. */
void knuma_stats_print(int fd)
{
	const int saved_errno = errno;

	(void)kn_start();
	kn_stats_write(fd, KN_VIEW_TEXT);
	errno = saved_errno;
}

/* Documented in <knuma/stats.h>. */
long knuma_view(const char *name, char *buf, size_t len)
{
	const int saved_errno = errno;
	struct kn_text t = {buf, len, 0};
	struct kn_view_file f;
	int err = -ENOENT;

	(void)kn_start();
	if (kn_view_find(name, &f))
		err = kn_view_file_print(&t, &f);
	errno = saved_errno;
	return err ? err : (long)t.len;
}

/* Documented in <knuma/stats.h>. */
int knuma_view_save(const char *dir)
{
	const int saved_errno = errno;
	int err;

	(void)kn_start();
	err = kn_views_save(dir);
	errno = saved_errno;
	return err;
}

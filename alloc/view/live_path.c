/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/live_path.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool kn_live_folder(int i, uid_t uid, const char *runtime, char *buf,
		    size_t len)
{
	int n = 0;

	if (i == 0 && runtime && runtime[0] == '/')
		n = snprintf(buf, len, "%s/knuma", runtime);
	else if (i == 1)
		n = snprintf(buf, len, "/run/user/%u/knuma", uid);
	else if (i == 2)
		n = snprintf(buf, len, "/tmp/knuma-%u", uid);
	return n > 0 && (size_t)n < len;
}

bool kn_private_folder(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return false;
	return !lstat(dir, &st) && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && !(st.st_mode & 077);
}

bool kn_path_of_process(const char *path, int pid, char *buf, size_t len)
{
	size_t at = 0;

	for (; *path && at < len; path++) {
		if (path[0] == '%' && path[1] == 'p') {
			at += (size_t)snprintf(buf + at, len - at, "%d", pid);
			path++;
		} else {
			buf[at++] = *path;
		}
	}
	if (at >= len)
		return false;
	buf[at] = '\0';
	return true;
}

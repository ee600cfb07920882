/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/view/live_path.h - where the socket of a process is
 *
 * Without a path in the setting, in the first of these folders that can be had:
 * $XDG_RUNTIME_DIR/knuma, /run/user/UID/knuma, /tmp/knuma-UID.  The folder is
 * the user's own and closed to others, or it is not used: /tmp is everybody's.
 */
#ifndef KN_VIEW_LIVE_PATH_H
#define KN_VIEW_LIVE_PATH_H

#include <sys/types.h>

#include "alloc/base/compiler.h"

#define KN_LIVE_FOLDERS 3
#define KN_LIVE_PATH	108 /* of a socket's address, with its 0 */

/*
 * Folder @i of them for the user @uid, whose $XDG_RUNTIME_DIR is @runtime, or
 * NULL.  False when there is no such folder, or its name is too long.
 */
bool kn_live_folder(int i, uid_t uid, const char *runtime, char *buf,
		    size_t len);

/* Makes @dir unless it is there; false: it is not ours alone. */
bool kn_private_folder(const char *dir);

/* @path with each %p as @pid.  False when @buf is too small. */
bool kn_path_of_process(const char *path, int pid, char *buf, size_t len);

#endif

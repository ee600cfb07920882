/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/view/views.h - the allocator in the form of files of the kernel
 *
 * What reads /proc/slabinfo and its neighbours can read these.  Each function
 * copies what it needs, a piece at a time, and prints it in no lock; so a view is
 * not of one moment, but each line is.
 *
 * Design: docs/design/live.md.
 */
#ifndef KN_VIEW_VIEWS_H
#define KN_VIEW_VIEWS_H

#include "alloc/base/print.h"

#define KN_VIEW_NAME 32 /* of "node1023/numastat", with its 0 */

struct kn_view_file {
	char name[KN_VIEW_NAME]; /* of the file, below its folder */
	const char *help;
	int (*print)(struct kn_text *t, int node);
	int node; /* dense id, of a file of a node */
};

/* The @i-th view, from 0 on; false when there are fewer. */
bool kn_view_file(unsigned i, struct kn_view_file *f);

/* Prints the struct kn_view_file @f: 0, or -ENOMEM without memory for rows. */
int kn_view_file_print(struct kn_text *t, const void *f);

/* The one of that name; false: there is none. */
bool kn_view_find(const char *name, struct kn_view_file *f);

/*
 * Writes @buf as the file of the view @name, of this process or another one, into
 * the folder @dir, which is made unless it is there, as is node0, ... inside.
 * 0, or -Exxx: -EINVAL when no view can have that name.
 */
int kn_view_write(const char *dir, const char *name, const char *buf,
		  size_t len);

/*
 * Writes each view into the folder @dir, as kn_view_write() does.  0, or -Exxx
 * of the first that failed.
 */
int kn_views_save(const char *dir);

/* Adds the areas of all nodes, in the form of vmallocinfo; 0. */
int kn_print_vmallocinfo(struct kn_text *t, int node);

#endif

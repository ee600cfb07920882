/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/fake_nodes.h - a machine of several nodes where there is one
 *
 * The files of sysfs are fake, and so is mbind(2), which the kernel would
 * refuse for nodes that it does not have.  move_pages(2) says that pages lie on
 * the node of their window; what is tested is the window that they are in.  Call
 * these before the library starts.  KNUMA_FAKE_NODES of whoever runs the test is
 * no matter here.
 */
#ifndef KN_TESTS_FAKE_NODES_H
#define KN_TESTS_FAKE_NODES_H

#include "tests/support/fake_sysfs.h"

/* Nodes 0 to @nr - 1, at most 8, all CPUs on node 0, gigabytes free on each. */
void fake_nodes(int nr);

/* The same for @nr nodes as given; @possible: list of possible node ids. */
void fake_nodes_as(const char *possible, const struct fake_node *nodes, int nr);

/* Free memory of a node, as read from now on. */
void fake_node_free_mib(int id, int mib);

/* The process is allowed these nodes only, when it is read again. */
void fake_nodes_allow(const char *list);

/* mbind(2) calls so far; they fail with @err from now on, if it is not 0. */
int fake_mbinds(void);
void fake_mbinds_refuse(int err);

/* Pages of the windows of @nodes, a mask of ids, are said to lie on @id. */
void fake_pages_stray(unsigned nodes, int id);

/* move_pages(2) brings pages home, or fails with @err, if it is not 0. */
void fake_moves_refuse(int err);

/* The question where pages are fails with @err, if it is not 0. */
void fake_page_nodes_refuse(int err);

/* Pages that were brought home, calls that should do it, and questions. */
int fake_pages_moved(void);
int fake_moves(void);
int fake_questions(void);

#endif

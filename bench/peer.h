/* SPDX-License-Identifier: Apache-2.0 */
/* bench/peer.h - the allocators that are compared, and where they are */
#ifndef KN_BENCH_PEER_H
#define KN_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>

/* How a peer is called. */
enum kn_calls {
	KN_CALLS_malloc,       /* preloaded, through the linkage table */
	KN_CALLS_kmalloc,      /* opened, through a function pointer */
	KN_CALLS_kmalloc_node, /* the same */
	KN_CALLS_numa,	       /* the same */
	KN_NR_CALLS
};

struct kn_peer {
	const char *name;
	enum kn_calls calls;
	bool own;
	const char *names[3]; /* of its library; ends with NULL */
	char *library;	      /* its path; NULL: it is not here */
};

extern struct kn_peer kn_peers[];
extern const unsigned kn_nr_peers;

/* Looks for every library by starting a child that uses it. */
void kn_peers_find(void);

/* LD_PRELOAD for a program that calls malloc; NULL: the variable is unset. */
const char *kn_peer_preload(const struct kn_peer *peer);

/*
 * The child's half of kn_peers_find(): prints the path of the library that
 * @symbol is found in, after opening @library unless that is "".
 */
int kn_peer_print_library(const char *library, const char *symbol);

#endif

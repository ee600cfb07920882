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
	KN_CALLS_memkind,      /* the same */
	KN_CALLS_kfree_rcu,    /* opened; kmalloc, and a deferred free */
	KN_CALLS_call_rcu,     /* malloc preloaded, liburcu's call_rcu opened */
	KN_CALLS_pages,	       /* opened; alloc_pages */
	KN_CALLS_vmalloc,      /* the same; vmalloc */
	KN_CALLS_bulk,	       /* the same; kmem_cache_alloc_bulk */
	KN_NR_CALLS
};

/* Sets of calls, 1 << enum kn_calls: malloc, those of workloads.def, a node. */
#define KN_CALLS_OF_MALLOC (1u << KN_CALLS_malloc)
#define KN_CALLS_OF_LOOPS                                         \
	(KN_CALLS_OF_MALLOC | 1u << KN_CALLS_kmalloc |            \
	 1u << KN_CALLS_kmalloc_node | 1u << KN_CALLS_kfree_rcu | \
	 1u << KN_CALLS_call_rcu | 1u << KN_CALLS_numa |          \
	 1u << KN_CALLS_memkind | 1u << KN_CALLS_pages |          \
	 1u << KN_CALLS_vmalloc | 1u << KN_CALLS_bulk)

#define KN_CALLS_OF_NODES                                    \
	(1u << KN_CALLS_kmalloc_node | 1u << KN_CALLS_numa | \
	 1u << KN_CALLS_memkind)

struct kn_peer {
	const char *name;
	enum kn_calls calls;
	bool own;
	const char *package;  /* Debian's; NULL: it comes with knuma or libc */
	const char *names[3]; /* of its library; ends with NULL */
	char *path;	      /* of the library; NULL: it takes no part */
	bool missing;	      /* was looked for and not found */
};

extern struct kn_peer kn_peers[];
extern const unsigned kn_nr_peers;

/* Looks for the libraries of some calls by starting a child that uses each. */
void kn_peers_find(unsigned who);

/* One line on standard error for all of these that are missing. */
void kn_peers_say_missing(unsigned who);

/* A library that has knuma's calls, after kn_peers_find(); else the end. */
const char *kn_peers_own_library(void);

/* LD_PRELOAD for a program that calls malloc; NULL: the variable is unset. */
const char *kn_peer_preload(const struct kn_peer *peer);

/*
 * The child's half of kn_peers_find(): prints the path of the library that
 * @symbol is found in, after opening @library unless that is "".
 */
int kn_peer_print_library(const char *library, const char *symbol);

#endif

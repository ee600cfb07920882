/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peer.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/process.h"
#include "bench/usage.h"

/* clang-format off */
struct kn_peer kn_peers[] = {
#define PEER(name, calls, own, package, ...) \
	{name, KN_CALLS_##calls, own, package, {__VA_ARGS__}, NULL, false},
#include "bench/peers.def"
#undef PEER
};
/* clang-format on */

const unsigned kn_nr_peers = sizeof(kn_peers) / sizeof(kn_peers[0]);

static const char *const symbols[KN_NR_CALLS] = {
	[KN_CALLS_malloc] = "malloc",
	[KN_CALLS_kmalloc] = "knuma_kmalloc",
	[KN_CALLS_kmalloc_node] = "knuma_kmalloc_node",
	[KN_CALLS_kfree_rcu] = "knuma_kvfree_call_rcu_flavor",
	[KN_CALLS_call_rcu] = "malloc",
	[KN_CALLS_numa] = "numa_alloc_onnode",
	[KN_CALLS_pages] = "knuma_alloc_pages",
	[KN_CALLS_vmalloc] = "knuma_vmalloc",
	[KN_CALLS_bulk] = "knuma_kmem_cache_alloc_bulk",
	[KN_CALLS_memkind] = "memkind_create_fixed",
};

/* Needs no preload: it is what a program has anyway. */
static bool is_default(const struct kn_peer *peer)
{
	return peer->calls == KN_CALLS_malloc &&
	       !strcmp(peer->names[0], "libc.so.6");
}

/*
 * Asks a child where @peer's calls are when @name is used.  A preload that
 * does not exist is no error to ld.so: the answer then is another library.
 * `knuma run' is the one place that knows where knuma's own are.
 */
static bool ask(const struct kn_peer *peer, const char *name, char *path,
		size_t len)
{
	const bool opened = peer->calls == KN_CALLS_numa ||
			    peer->calls == KN_CALLS_memkind;
	const bool preloaded = !peer->own && !opened && !is_default(peer);
	const char *symbol = symbols[peer->calls];
	/* clang-format off */
	const char *own[] = {
		"knuma", "run", "--no-stat-file", "--",
		KN_SELF, "bench", "--child", "where", "", symbol, NULL};
	const char *other[] = {
		"knuma", "bench", "--child", "where",
		opened ? name : "", symbol, NULL};
	/* clang-format on */
	const struct kn_command command = {
		.path = KN_SELF,
		.argv = peer->own ? own : other,
		.preload = preloaded ? name : NULL,
		.quiet = true,
		.timeout_s = 10,
	};
	char why[KN_WHY_LEN];
	size_t n;

	if (!kn_process_run(&command, path, len - 1, &n, why))
		return false;
	path[n] = '\0';
	return true;
}

/* The last component of @path begins with @name: libc.so.6, libnuma.so.1.0 */
static bool is_named(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	return !strncmp(slash ? slash + 1 : path, name, strlen(name));
}

static void find(struct kn_peer *peer)
{
	char path[4096];

	for (size_t i = 0; peer->names[i] && !peer->path; i++)
		if (ask(peer, peer->names[i], path, sizeof(path)) &&
		    is_named(path, peer->names[i]))
			peer->path = strdup(path);
	peer->missing = !peer->path;
}

void kn_peers_find(unsigned who)
{
	for (unsigned i = 0; i < kn_nr_peers; i++)
		if (who & 1u << kn_peers[i].calls)
			find(&kn_peers[i]);
}

void kn_peers_say_missing(unsigned who)
{
	const char *before = "knuma bench: not here: ";

	for (unsigned i = 0; i < kn_nr_peers; i++)
		if (who & 1u << kn_peers[i].calls && !kn_peers[i].path) {
			fprintf(stderr, "%s%s (%s)", before, kn_peers[i].name,
				kn_peers[i].package ? kn_peers[i].package :
						      kn_peers[i].names[0]);
			before = ", ";
		}
	if (before[0] == ',')
		fputc('\n', stderr);
}

const char *kn_peers_own_library(void)
{
	for (unsigned i = 0; i < kn_nr_peers; i++)
		if (kn_peers[i].own && kn_peers[i].path)
			return kn_peers[i].path;
	kn_usage(KN_NO_LIBRARY);
}

const char *kn_peer_preload(const struct kn_peer *peer)
{
	const bool preloaded = peer->calls == KN_CALLS_malloc ||
			       peer->calls == KN_CALLS_call_rcu;

	if (!preloaded || is_default(peer))
		return NULL;
	return peer->path;
}

int kn_peer_print_library(const char *library, const char *symbol)
{
	void *handle = *library ? dlopen(library, RTLD_NOW) : RTLD_DEFAULT;
	void *address;
	Dl_info info;

	if (*library && !handle)
		return 1;
	address = dlsym(handle, symbol);
	if (!address || !dladdr(address, &info))
		return 1;
	printf("%s", info.dli_fname);
	return 0;
}

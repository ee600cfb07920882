/* SPDX-License-Identifier: Apache-2.0 */
#include <knuma/tunables.h>

#include <sched.h>

#include "alloc/base/start.h"
#include "alloc/config/tunables.h"

/* One change at a time: a value and its source are more than one word. */
static int changing;

/* Documented in <knuma/tunables.h>. */
int knuma_conf_set(const char *name, const char *value)
{
	int err;

	kn_tunables_load();
	/* Acquire: pairs with the release of start-up, which has read them. */
	if (kn_load_acquire(&kn_started))
		kn_tunables_seal();
	/* Acquire: pairs with the release below. */
	while (__atomic_exchange_n(&changing, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	err = kn_tunable_set(name, value, "knuma_conf_set");
	/* Release: pairs with the acquire above. */
	kn_store_release(&changing, 0);
	return err;
}

/* Documented in <knuma/tunables.h>. */
int knuma_conf_get(const char *name, char *buf, size_t len)
{
	int n;

	kn_tunables_load();
	n = kn_tunable_get(name, buf, len);
	return n < 0 ? n : 0;
}

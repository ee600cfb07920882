/* SPDX-License-Identifier: Apache-2.0 */
#include <knuma/tunables.h>

#include "alloc/base/lock.h"
#include "alloc/base/start.h"
#include "alloc/config/tunables.h"

/* A text, and a value with its source, are more than one word. */
static struct kn_lock lock = KN_LOCK_INIT(conf);
static kn_tls bool inside; /* this thread has the lock, or waits for it */

/*
 * KN_SEAL_LATE is a planted error for the tests: what the start reads can be set
 * until it has ended.
 */
#ifdef KN_SEAL_LATE
#define SEAL_LATE true
#else
#define SEAL_LATE false
#endif

static void enter(void)
{
	inside = true;
	kn_lock(&lock);
}

static void leave(void)
{
	kn_unlock(&lock);
	inside = false;
}

bool kn_conf_freeze(void)
{
	/* In a signal handler: the change that it interrupted will not end. */
	if (inside)
		return false;
	enter();
	if (!SEAL_LATE)
		kn_tunables_seal(true);
	leave();
	return true;
}

void kn_conf_thaw(void)
{
	enter();
	kn_tunables_seal(false);
	leave();
}

void kn_conf_lock(void)
{
	kn_lock(&lock);
}

void kn_conf_unlock(void)
{
	kn_unlock(&lock);
}

void kn_conf_reset(void)
{
	kn_lock_reset(&lock);
}

/* Documented in <knuma/tunables.h>. */
int knuma_conf_set(const char *name, const char *value)
{
	int err;

	kn_tunables_load();
	enter();
	if (SEAL_LATE && kn_load_acquire(&kn_started))
		kn_tunables_seal(true);
	err = kn_tunable_set(name, value, "knuma_conf_set");
	leave();
	return err;
}

/* Documented in <knuma/tunables.h>. */
int knuma_conf_get(const char *name, char *buf, size_t len)
{
	int n;

	kn_tunables_load();
	enter();
	n = kn_tunable_get(name, buf, len);
	leave();
	return n < 0 ? n : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <knuma/tunables.h>

#include <errno.h>
#include <stdio.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/base/atomic.h"
#include "alloc/base/print.h"
#include "alloc/base/start.h"
#include "alloc/config/cache_conf.h"
#include "alloc/config/conf.h"
#include "alloc/config/live.h"

/* A text, and a value with its source, are more than one word. */
static struct kn_lock lock = KN_LOCK_INIT(conf);
static kn_tls bool inside; /* this thread has the lock, or waits for it */
static bool reloading;	   /* atomic: somebody has what a reload tries out */
void (*kn_conf_changed)(void);

static void tell_of_change(void)
{
	void (*const changed)(void) = kn_load(&kn_conf_changed);

	if (changed)
		changed();
}

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
	kn_live_publish();
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
	kn_store(&reloading, false);
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
	if (!err)
		tell_of_change();
	return err;
}

void kn_conf_adapt(enum kn_tunable_id id, uint64_t number, const char *source)
{
	const struct kn_tunable *row = &kn_tunables[id];
	const bool back = number == UINT64_MAX;
	char text[32];

	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)(back ? row->def : number));
	kn_tunables_load();
	enter();
	if (kn_conf_live.origin[id].rank <= KN_CONF_LIMIT)
		KN_CHECK(!kn_tunable_assign(
			&kn_conf_live, row, text,
			back ? KN_CONF_BUILT_IN : KN_CONF_LIMIT, source));
	leave();
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

int kn_conf_get_source(const char *name, char value[KN_TUNABLE_LEN],
		       char source[KN_TUNABLE_LEN])
{
	int n;

	kn_tunables_load();
	enter();
	n = kn_tunable_get(name, value, KN_TUNABLE_LEN);
	if (n >= 0)
		snprintf(source, KN_TUNABLE_LEN, "%s", kn_tunable_source(name));
	leave();
	return n < 0 ? n : 0;
}

/* What a reload finds out in the lock, and tells behind it. */
struct outcome {
	bool later[KN_NR_TUNABLES]; /* changed in the file, fixed here */
	bool caches_later;
};

/*
 * Takes over what a file can say: a variable and knuma_conf_set() win over it
 * as before.
 */
static void take_over(const struct kn_conf_values *from, struct outcome *out)
{
	const struct kn_conf_values *live = &kn_conf_live;
	const bool sealed = kn_tunables_sealed();

	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const struct kn_tunable *row = &kn_tunables[i];
		const bool fixed = row->when == KN_TUNABLE_INIT && sealed;

		if (live->origin[i].rank > KN_CONF_FILE)
			continue;
		/* What others read without the lock is not even written anew. */
		if (!fixed)
			kn_tunable_copy(live, from, row);
		else if (kn_tunable_same(live, from, row))
			live->origin[i] = from->origin[i];
		else
			out->later[i] = true;
	}
	if (kn_cache_rules_same(live->caches, from->caches))
		return;
	out->caches_later = sealed;
	if (!sealed)
		*live->caches = *from->caches;
}

static void tell_what_comes_later(const struct kn_conf_values *from,
				  const struct outcome *out)
{
	char value[KN_TUNABLE_LEN];

	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		if (!out->later[i])
			continue;
		kn_tunable_text(from->tun, &kn_tunables[i], value,
				sizeof(value));
		kn_print("%s: %s = %s holds at next start",
			 kn_conf_source(from, &kn_tunables[i]),
			 kn_tunables[i].name, *value ? value : "(empty)");
	}
	if (out->caches_later)
		kn_print("the sections of caches have changed; they hold at "
			 "next start");
}

static int reload(const struct kn_conf_values *tried)
{
	struct outcome out = {0};
	int shown = 0;
	struct kn_conf_sink sink = {
		.report = kn_conf_print,
		.arg = &shown,
		.to = tried,
		.rank = KN_CONF_FILE,
	};

	kn_conf_clear(tried);
	kn_conf_files(&sink);
	if (sink.nr_mistakes) {
		kn_conf_print_rest(shown);
		kn_print("the configuration was not reloaded: nothing has "
			 "changed");
		return sink.err ?: -EINVAL;
	}
	enter();
	take_over(tried, &out);
	leave();
	tell_what_comes_later(tried, &out);
	tell_of_change();
	return 0;
}

/* Documented in <knuma/tunables.h>. */
int knuma_conf_reload(void)
{
	static struct kn_tunables tun;
	static struct kn_origin origins[KN_NR_TUNABLES];
	static struct kn_cache_rules caches;
	static const struct kn_conf_values tried = {&tun, origins, &caches};
	int err;

	kn_tunables_load();
	/* Acquire, release: one reload after the other has what is tried out. */
	if (__atomic_exchange_n(&reloading, true, __ATOMIC_ACQUIRE))
		return -EBUSY;
	err = reload(&tried);
	kn_store_release(&reloading, false);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/config/tunables.h - settings: built-in, file, environment, API
 *
 * Later sources win: built-in value; the file of KNUMA_CONF_FILE, else
 * /etc/knuma.conf and then $XDG_CONFIG_HOME/knuma/knuma.conf; the list in
 * KNUMA_CONF; KNUMA_<NAME>; knuma_conf_set().  A set-user-id program reads
 * /etc/knuma.conf only.
 *
 * The first allocation of a process runs kn_tunables_load(), so nothing here
 * allocates, uses stdio streams, or needs environ to be set.
 *
 * kn_tun is read without a lock.
 *
 *   C1  Fields of INIT rows do not change from kn_conf_freeze() on, before which
 *       no layer reads them.
 *   C2  Fields of RUNTIME rows are single words, stored whole; a text is read by
 *       knuma_conf_get(), which locks.  Those that are read
 *       together are read by kn_live_read(), see live.h.
 *   C3  A value, with its source, is written under the lock of kn_conf_lock().
 *   C4  What a reload changes, it changes in one hold of that lock, after all of
 *       it was found to be right.
 */
#ifndef KN_CONFIG_TUNABLES_H
#define KN_CONFIG_TUNABLES_H

#include "alloc/base/compiler.h"

struct kn_text;

#define KN_KIB	       (1ull << 10)
#define KN_MIB	       (1ull << 20)
#define KN_GIB	       (1ull << 30)
#define KN_TIB	       (1ull << 40)

#define KN_TUNABLE_LEN 256 /* of a string or a source, with its 0 */

enum kn_choice {
	KN_CHOICE_AUTO,
	KN_CHOICE_YES,
	KN_CHOICE_NO
};

enum kn_tunable_kind {
	KN_TUNABLE_BOOL,
	KN_TUNABLE_CHOICE,
	KN_TUNABLE_U64,
	KN_TUNABLE_SIZE,
	KN_TUNABLE_MS,
	KN_TUNABLE_STRING,
	KN_TUNABLE_NODES, /* a text, see fake_spec.h */
	KN_TUNABLE_DEBUG  /* a text, see slab_debug.h */
};

enum kn_tunable_when {
	KN_TUNABLE_INIT,
	KN_TUNABLE_RUNTIME
};

/* From where a value comes; a later one wins. */
enum kn_conf_rank {
	KN_CONF_BUILT_IN,
	KN_CONF_LIMIT, /* follows a limit of the system */
	KN_CONF_FILE,
	KN_CONF_ENVIRONMENT,
	KN_CONF_API
};

#define KN_FIELD_BOOL(name)   bool name
#define KN_FIELD_CHOICE(name) enum kn_choice name
#define KN_FIELD_U64(name)    uint64_t name
#define KN_FIELD_SIZE(name)   uint64_t name
#define KN_FIELD_MS(name)     uint64_t name
#define KN_FIELD_STRING(name) char name[KN_TUNABLE_LEN]
#define KN_FIELD_NODES(name)  char name[KN_TUNABLE_LEN]
#define KN_FIELD_DEBUG(name)  char name[KN_TUNABLE_LEN]

struct kn_tunables {
#define KN_TUNABLE(name, kind, def, min, max, unit, when, help) \
	KN_FIELD_##kind(name);
#include "alloc/config/tunables.def"
#undef KN_TUNABLE
};

extern struct kn_tunables kn_tun;

enum kn_tunable_id {
#define KN_TUNABLE(name, kind, def, min, max, unit, when, help) KN_TUN_##name,
#include "alloc/config/tunables.def"
#undef KN_TUNABLE
	KN_NR_TUNABLES
};

/* One row of tunables.def. */
struct kn_tunable {
	const char *name;
	enum kn_tunable_kind kind;
	enum kn_tunable_when when;
	const char *unit; /* of a CHOICE: its words, "auto|yes|no" */
	const char *help;
	size_t offset; /* of the field in struct kn_tunables */
	uint64_t def, min, max;
	const char *def_text; /* of a STRING, NODES or DEBUG */
};

extern const struct kn_tunable kn_tunables[KN_NR_TUNABLES];

/*
 * Fills kn_tun from files and environment; the first call does it, later ones
 * return 0.  Mistakes are printed, one line each, and skipped; with strict=yes
 * the process then ends with status 2.
 *
 * Return: the number of mistakes.
 */
int kn_tunables_load(void);

/* The same, but mistakes go to @report, and are of no consequence. */
int kn_tunables_load_with(void (*report)(void *arg, const char *message),
			  void *arg);

/* One line of variables KNUMA_<NAME> that are nothing and near to nothing. */
void kn_conf_tell_others(void);

/* Whether the INIT rows can be set no more. */
void kn_tunables_seal(bool seal);

/*
 * Start-up is about to read the INIT rows: when this has returned, a change was
 * made before or is refused.  False in a signal handler that interrupted one;
 * nothing can start there.
 */
bool kn_conf_freeze(void) kn_must_check;

/* The start failed, and may be tried again with other settings. */
void kn_conf_thaw(void);

/*
 * A RUNTIME row of numbers that nobody has set takes @number from @source, or
 * its built-in value again when that is UINT64_MAX.
 */
void kn_conf_adapt(enum kn_tunable_id id, uint64_t number, const char *source);

/* As knuma_conf_get(), with where that value comes from. */
int kn_conf_get_source(const char *name, char value[KN_TUNABLE_LEN],
		       char source[KN_TUNABLE_LEN]);

/* Called, in no lock, when settings may have changed; set by alloc/slab. */
extern void (*kn_conf_changed)(void);

/* For fork: no change is under way. */
void kn_conf_lock(void);
void kn_conf_unlock(void);
void kn_conf_reset(void);

/* Built-in values again, as before the first load: for tests. */
void kn_tunables_reset(void);

/*
 * Sets a tunable from its text, as in a file; @source is kept, cut to
 * KN_TUNABLE_LEN.
 *
 * Return: 0; -ENOENT unknown name; -EINVAL not a value of its kind; -ERANGE
 *         outside its limits; -EBUSY set too late, see kn_tunables_seal().
 */
int kn_tunable_set(const char *name, const char *value, const char *source);

/*
 * Writes the value as text that kn_tunable_set() takes back.
 *
 * Return: its length; -ENOENT unknown name; -ENOSPC @buf is too small.
 */
int kn_tunable_get(const char *name, char *buf, size_t len);

/* The same for the built-in value. */
int kn_tunable_default(const char *name, char *buf, size_t len);

/* A limit of @row as text that kn_tunable_set() takes. */
int kn_tunable_print(const struct kn_tunable *row, uint64_t number, char *buf,
		     size_t len);

/*
 * "built-in", "file:line", or the variable; NULL for an unknown name.  Context:
 * nobody sets anything meanwhile; else kn_conf_get_source().
 */
const char *kn_tunable_source(const char *name);

/* The row of @name, or NULL. */
const struct kn_tunable *kn_tunable_find(const char *name);

/* The row a misspelt @name most likely means, or NULL when none is near. */
const struct kn_tunable *kn_tunable_nearest(const char *name);

/* Adds what is wrong with @value of @row at @where; @err is of kn_tunable_set(). */
void kn_tunable_explain(const struct kn_tunable *row, const char *where,
			const char *value, int err, struct kn_text *t);

/*
 * Reads a file as kn_tunables_load() does, but sets nothing.  Each mistake is
 * given to @report as "path:line: message".
 *
 * Return: the number of mistakes; -Exxx, also reported, if the file could not
 *         be read.
 */
int kn_conf_check(const char *path,
		  void (*report)(void *arg, const char *message), void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/config/conf.h - from where settings come; for alloc/config only */
#ifndef KN_CONFIG_CONF_H
#define KN_CONFIG_CONF_H

#include "alloc/config/tunables.h"

struct kn_origin {
	enum kn_conf_rank rank;
	char source[KN_TUNABLE_LEN]; /* "file:line", or a variable */
};

struct kn_cache_rules;

/* Values with their sources: those in force, or some that are tried out. */
struct kn_conf_values {
	struct kn_tunables *tun;
	struct kn_origin *origin; /* KN_NR_TUNABLES */
	struct kn_cache_rules *caches;
};
extern const struct kn_conf_values kn_conf_live;

/* What becomes of the items and mistakes that a source contains. */
struct kn_conf_sink {
	void (*report)(void *arg, const char *message);
	void *arg;
	const struct kn_conf_values *to;
	enum kn_conf_rank rank;
	int nr_mistakes;
	int nr_files; /* read so far */
	int err;      /* of the first file that could not be read */
};

/* Reports a mistake at @where: "file:line", or the name of a variable. */
void kn_conf_mistake(struct kn_conf_sink *sink, const char *where,
		     const char *fmt, ...) kn_printf(3, 4);

/* One item of any source; whether it was right. */
bool kn_conf_item(struct kn_conf_sink *sink, const char *where,
		  const char *name, const char *value);

/* 0, or -Exxx and a mistake if it cannot be read; -ENOENT is no mistake. */
int kn_conf_file(struct kn_conf_sink *sink, const char *path);

/* The value that @row takes from @text: 0, -EINVAL or -ERANGE. */
int kn_tunable_check(const struct kn_tunable *row, const char *text);

/* The same, and stores it into the structure of which @row is a field. */
int kn_tunable_store(void *to, const struct kn_tunable *row, const char *text);

/* The same for a row of tunables.def; -EBUSY for one that is sealed. */
int kn_tunable_assign(const struct kn_conf_values *to,
		      const struct kn_tunable *row, const char *text,
		      enum kn_conf_rank rank, const char *source);

bool kn_tunable_same(const struct kn_conf_values *a,
		     const struct kn_conf_values *b,
		     const struct kn_tunable *row);

/* The value and its source. */
void kn_tunable_copy(const struct kn_conf_values *to,
		     const struct kn_conf_values *from,
		     const struct kn_tunable *row);

/* As kn_tunable_get(), of the structure that @row is a row of. */
int kn_tunable_text(const void *of, const struct kn_tunable *row, char *buf,
		    size_t len);

/* As kn_tunable_source(). */
const char *kn_conf_source(const struct kn_conf_values *of,
			   const struct kn_tunable *row);

/* Built-in values. */
void kn_conf_clear(const struct kn_conf_values *values);

/* Reports what is wrong with @value of @row; @err is of kn_tunable_check(). */
void kn_conf_bad_value(struct kn_conf_sink *sink, const char *where,
		       const struct kn_tunable *row, const char *value,
		       int err);

/* The files of this process again, found as at its start. */
void kn_conf_files(struct kn_conf_sink *sink);

/* Prints @message; counts in the int at @arg, and stops after some. */
void kn_conf_print(void *arg, const char *message);
void kn_conf_print_rest(int shown);

/* The row of @nr that a misspelt @name most likely means, or NULL. */
const struct kn_tunable *kn_conf_nearest(const struct kn_tunable *row, int nr,
					 const char *name);

/* The search for the name that a misspelt @name most likely means. */
struct kn_conf_near {
	const char *name;
	size_t distance; /* of the nearest so far */
	bool found;
};

/* Whether @candidate is near to the name, and nearer than all before it. */
bool kn_conf_nearer(struct kn_conf_near *near, const char *candidate);

bool kn_tunables_sealed(void);

/* Lets kn_tunables_load() run again. */
void kn_conf_unload(void);

/* /etc/knuma.conf; tests point it elsewhere. */
extern const char *kn_conf_system_file;

#endif

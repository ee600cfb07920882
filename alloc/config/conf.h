/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/config/conf.h - from where settings come; for alloc/config only */
#ifndef KN_CONFIG_CONF_H
#define KN_CONFIG_CONF_H

#include "alloc/config/tunables.h"

/* What becomes of the items and mistakes that a source contains. */
struct kn_conf_sink {
	void (*report)(void *arg, const char *message);
	void *arg;
	bool apply; /* set what is right, else only check it */
	int nr_mistakes;
};

/* Reports a mistake at @where: "file:line", or the name of a variable. */
void kn_conf_mistake(struct kn_conf_sink *sink, const char *where,
		     const char *fmt, ...) kn_printf(3, 4);

/* One item of any source. */
void kn_conf_item(struct kn_conf_sink *sink, const char *where,
		  const char *name, const char *value);

/* 0, or -Exxx and a mistake if it cannot be read; -ENOENT is no mistake. */
int kn_conf_file(struct kn_conf_sink *sink, const char *path);

/* The value that @row takes from @text: 0, -EINVAL or -ERANGE. */
int kn_tunable_check(const struct kn_tunable *row, const char *text);

/* Lets kn_tunables_load() run again. */
void kn_conf_unload(void);

/* /etc/knuma.conf; tests point it elsewhere. */
extern const char *kn_conf_system_file;

#endif

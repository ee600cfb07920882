/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/requests.h"

#include <errno.h>
#include <knuma/tunables.h>
#include <knuma/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "alloc/config/tunables.h"
#include "alloc/page/zone.h"
#include "alloc/slab/cache.h"
#include "alloc/view/heap_view.h"
#include "alloc/view/json.h"
#include "alloc/view/stats_view.h"
#include "alloc/view/views.h"
#include "alloc/view/whatis.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"

struct kn_request_cost kn_request_cost;

void kn_request_error(struct kn_text *t, int err, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	t->len = 0;
	kn_object_begin(t);
	kn_member_text(t, "error", message);
	kn_member_text(t, "code", strerrorname_np(err < 0 ? -err : err));
	kn_text_add(t, "}\n");
}

static const struct request {
	const char *name, *arguments, *help;
	void (*answer)(struct kn_text *t, char *arguments);
} requests[];

static void done(struct kn_text *t)
{
	kn_text_add(t, "}\n");
}

static void answer_version(struct kn_text *t, char *arguments)
{
	(void)arguments;
	kn_object_begin(t);
	kn_member_text(t, "version", kn_view_info.version);
	kn_member_u64(t, "pid", (uint64_t)getpid());
	kn_member_u64(t, "requests", kn_request_cost.requests);
	kn_member_u64(t, "refused", kn_request_cost.refused);
	kn_member_u64(t, "cpu_ns", kn_request_cost.cpu_ns);
	done(t);
}

/* A text of any length as the member "text". */
static int json_of_text(struct kn_text *t,
			int (*print)(struct kn_text *text, const void *arg),
			const void *arg)
{
	struct kn_text text;
	const int err = kn_text_map(&text, print, arg);

	if (err)
		return err;
	kn_object_begin(t);
	kn_member_text(t, "text", text.buf);
	done(t);
	kn_text_unmap(&text);
	return 0;
}

static const char *const formats[] = {
	[KN_VIEW_TEXT] = "text",
	[KN_VIEW_JSON] = "json",
	[KN_VIEW_CSV] = "csv",
	[KN_VIEW_PROM] = "openmetrics",
};

static int print_stats(struct kn_text *t, const void *fmt)
{
	if (*(const enum kn_view_fmt *)fmt == KN_VIEW_PROM)
		kn_metrics_format(t);
	else
		kn_stats_format(t, *(const enum kn_view_fmt *)fmt);
	return 0;
}

static void answer_stats(struct kn_text *t, char *arguments)
{
	const char *word = *arguments ? arguments : "json";
	int err;

	for (unsigned i = 0; i < KN_ARRAY_SIZE(formats); i++) {
		enum kn_view_fmt fmt = (enum kn_view_fmt)i;

		if (strcmp(word, formats[i]) != 0)
			continue;
		if (fmt == KN_VIEW_JSON) {
			kn_stats_format(t, fmt);
			return;
		}
		err = json_of_text(t, print_stats, &fmt);
		if (err)
			kn_request_error(t, err,
					 "stats: no memory to print "
					 "them; try again later");
		return;
	}
	kn_request_error(t, EINVAL,
			 "stats: '%.40s' is none of json, "
			 "openmetrics, text, csv",
			 word);
}

static void answer_caches(struct kn_text *t, char *arguments)
{
	struct kn_cache_rows rows;
	const int err = kn_cache_rows_take(&rows);

	(void)arguments;
	if (err) {
		kn_request_error(t, err,
				 "caches: no memory for the rows; try "
				 "again later");
		return;
	}
	kn_object_begin(t);
	kn_caches_json(t, &rows);
	done(t);
	kn_cache_rows_drop(&rows);
}

static void answer_nodes(struct kn_text *t, char *arguments)
{
	(void)arguments;
	kn_object_begin(t);
	kn_member_bool(t, "fake_nodes", kn_view_info.fake_nodes);
	kn_nodes_json(t);
	done(t);
}

static void list_views(struct kn_text *t)
{
	struct kn_view_file f;

	kn_object_begin(t);
	kn_member_key(t, "views");
	for (unsigned i = 0; kn_view_file(i, &f); i++) {
		kn_text_add(t, "%s{\"name\":\"%s\"", i ? "," : "[", f.name);
		kn_member_text(t, "help", f.help);
		kn_text_add(t, "}");
	}
	kn_text_add(t, "]");
	done(t);
}

static void answer_view(struct kn_text *t, char *arguments)
{
	struct kn_view_file f;
	int err;

	if (!*arguments) {
		list_views(t);
	} else if (!kn_view_find(arguments, &f)) {
		kn_request_error(t, ENOENT,
				 "view: there is no '%.40s'; `view' alone "
				 "lists them",
				 arguments);
	} else {
		err = json_of_text(t, kn_view_file_print, &f);
		if (err)
			kn_request_error(t, err,
					 "view: no memory to print it; try "
					 "again later");
	}
}

static void answer_whatis(struct kn_text *t, char *arguments)
{
	char *end;
	unsigned long long address;

	errno = 0;
	address = strtoull(arguments, &end, 0);
	if (*end || errno || arguments[0] == '-') {
		kn_request_error(t, EINVAL,
				 "whatis: '%.40s' is no address; "
				 "write it as 0x7f12345678",
				 arguments);
		return;
	}
	kn_object_begin(t);
	kn_whatis_json(t, (uintptr_t)address);
	done(t);
}

/*
 * A free sets its bit before it counts it, so slabs in use can look wrong for a
 * moment, but not the slabs of the same cache each time.
 */
#define CHECK_TRIES  20
#define CHECK_NAP_NS 2000000

struct check {
	int tries;
	uint64_t caches;
	bool sound;
	uint8_t found[KN_NR_IDS]; /* by cache: tries that it was unsound in */
};

static void check_cache(struct kmem_cache *s, void *arg)
{
	struct check *c = arg;

	c->caches++;
	if (kn_slab_verify(s))
		return;
	c->found[s->mag.id]++;
	c->sound &= c->found[s->mag.id] <= c->tries;
}

static void check_once(struct check *c, struct kn_text *found)
{
	c->caches = 0;
	c->sound = true;
	kn_print_into = found;
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		c->sound &= kn_zone_verify(node);
		c->sound &= kn_vmap_verify(node);
	}
	kn_cache_each(check_cache, c);
	kn_print_into = NULL;
	c->tries++;
}

static void answer_check(struct kn_text *t, char *arguments)
{
	const struct timespec nap = {.tv_nsec = CHECK_NAP_NS};
	struct check c = {0};
	char buf[4096];
	struct kn_text found;

	(void)arguments;
	do {
		if (c.tries)
			nanosleep(&nap, NULL);
		buf[0] = '\0';
		found = (struct kn_text){buf, sizeof(buf), 0};
		check_once(&c, &found);
	} while (!c.sound && c.tries < CHECK_TRIES);
	kn_object_begin(t);
	kn_member_bool(t, "sound", c.sound);
	kn_member_u64(t, "nodes", (uint64_t)kn_topo.nr_nodes);
	kn_member_u64(t, "caches", c.caches);
	if (!c.sound)
		kn_member_text(t, "found", buf);
	done(t);
}

static void answer_trim(struct kn_text *t, char *arguments)
{
	const uint64_t before = kn_stat_read(KN_STAT_purged_bytes);
	const int err = knuma_trim();

	(void)arguments;
	if (err) {
		kn_request_error(t, err,
				 "trim: the system refused to take "
				 "memory back: %s",
				 strerrordesc_np(-err));
		return;
	}
	kn_object_begin(t);
	kn_member_u64(t, "purged_bytes",
		      kn_stat_read(KN_STAT_purged_bytes) - before);
	done(t);
}

static void answer_reload(struct kn_text *t, char *arguments)
{
	char buf[4096] = "";
	struct kn_text said = {buf, sizeof(buf), 0};
	int err;

	(void)arguments;
	kn_print_into = &said;
	err = knuma_conf_reload();
	kn_print_into = NULL;
	if (err) {
		kn_request_error(t, err, "reload: nothing was changed: %s",
				 *buf ? buf : strerrordesc_np(-err));
		return;
	}
	kn_object_begin(t);
	kn_member_text(t, "said", buf);
	done(t);
}

/* The word at *@text, which is cut off it. */
static char *word(char **text)
{
	char *start = *text + strspn(*text, " \t"), *end;

	end = start + strcspn(start, " \t");
	*text = end + strspn(end, " \t");
	*end = '\0';
	return start;
}

static void unknown_setting(struct kn_text *t, const char *name)
{
	const struct kn_tunable *near = kn_tunable_nearest(name);

	kn_request_error(t, ENOENT, "unknown setting '%.40s'%s%s%s", name,
			 near ? "; the nearest is '" : "",
			 near ? near->name : "", near ? "'" : "");
}

static void say_setting(struct kn_text *t, const char *name)
{
	char value[KN_TUNABLE_LEN], source[KN_TUNABLE_LEN];

	if (kn_conf_get_source(name, value, source)) {
		unknown_setting(t, name);
		return;
	}
	kn_object_begin(t);
	kn_member_text(t, "name", name);
	kn_member_text(t, "value", value);
	kn_member_text(t, "source", source);
	kn_member_bool(t, "runtime",
		       kn_tunable_find(name)->when == KN_TUNABLE_RUNTIME);
	done(t);
}

static void answer_set(struct kn_text *t, char *arguments)
{
	const char *name = word(&arguments);
	const int err = knuma_conf_set(name, arguments);
	char buf[1024] = "";
	struct kn_text why = {buf, sizeof(buf), 0};

	switch (err) {
	case 0:
		say_setting(t, name);
		break;
	case -ENOENT:
		unknown_setting(t, name);
		break;
	case -EBUSY:
		kn_request_error(t, err,
				 "set: %s is read at start; set it in "
				 "the configuration and start again",
				 name);
		break;
	default:
		kn_tunable_explain(kn_tunable_find(name), "set", arguments, err,
				   &why);
		kn_request_error(t, err, "%s", buf);
	}
}

static void answer_get(struct kn_text *t, char *arguments)
{
	say_setting(t, word(&arguments));
}

static void answer_help(struct kn_text *t, char *arguments);

static const struct request requests[] = {
#define REQUEST(name, arguments, help) {#name, arguments, help, answer_##name},
#include "alloc/view/requests.def"
#undef REQUEST
};

static void answer_help(struct kn_text *t, char *arguments)
{
	(void)arguments;
	kn_object_begin(t);
	kn_member_key(t, "requests");
	for (size_t i = 0; i < KN_ARRAY_SIZE(requests); i++) {
		kn_text_add(t, "%s{\"name\":\"%s\"", i ? "," : "[",
			    requests[i].name);
		kn_member_text(t, "arguments", requests[i].arguments);
		kn_member_text(t, "help", requests[i].help);
		kn_text_add(t, "}");
	}
	kn_text_add(t, "]");
	done(t);
}

void kn_request_answer(char *line, struct kn_text *t)
{
	const char *const name = word(&line);
	size_t len = strlen(line);

	while (len && (line[len - 1] == ' ' || line[len - 1] == '\t' ||
		       line[len - 1] == '\r'))
		line[--len] = '\0';
	for (size_t i = 0; i < KN_ARRAY_SIZE(requests); i++) {
		const struct request *r = &requests[i];
		const bool optional = r->arguments[0] == '[';

		if (strcmp(r->name, name) != 0)
			continue;
		if ((!*line && *r->arguments && !optional) ||
		    (*line && !*r->arguments))
			kn_request_error(t, EINVAL, "usage: %s%s%s", r->name,
					 *r->arguments ? " " : "",
					 r->arguments);
		else
			r->answer(t, line);
		return;
	}
	kn_request_error(t, EINVAL,
			 "unknown request '%.40s'; `help' lists "
			 "them",
			 name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma stat - the statistics of a finished run, from the OpenMetrics text that
 * its exit wrote, or of a running process, from its socket; in any format
 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/view/stats_view.h"
#include "tools/knuma/live.h"

/* clang-format off: a table */
static const struct argp_option options[] = {
	{"output", 'o', "FORMAT", 0,
	 "text (default), json, csv or prom (OpenMetrics)", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};
/* clang-format on */

static const char *const formats[] = {
	[KN_VIEW_TEXT] = "text",
	[KN_VIEW_JSON] = "json",
	[KN_VIEW_CSV] = "csv",
	[KN_VIEW_PROM] = "prom",
	NULL,
};

struct arguments {
	enum kn_view_fmt fmt;
	const char *file;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'o':
		a->fmt = (enum kn_view_fmt)pick(state, arg, formats);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "unexpected argument '%s'", arg);
		a->file = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[FILE|PID|SOCKET]",
	.doc = "Prints the statistics of a finished run: of FILE, as `knuma run "
	       "--stat-file FILE' or the tunable stats_file left it, or of the "
	       "last `knuma run'.  Or those of a running process, by its "
	       "number or its socket; prom then has the caches, too.",
};

/* Puts a label's value in place of its quoted form; the text behind it. */
static char *unquote(char *quoted)
{
	char *to = quoted, *from = quoted + 1;

	for (; *from && *from != '"'; from++) {
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	if (*from)
		from++;
	*to = '\0';
	return from;
}

/* name="value",name="value"} of knuma_build_info */
static void take_info(struct kn_view_info *info, char *labels)
{
	while (*labels && *labels != '}') {
		char *name = labels, *value = strchr(labels, '=');

		if (!value || value[1] != '"')
			return;
		*value++ = '\0';
		labels = unquote(value);
		labels += *labels == ',';
		if (!strcmp(name, "version"))
			info->version = value;
		else if (!strcmp(name, "mode"))
			info->mode = value;
		else if (!strcmp(name, "reason"))
			info->reason = value;
		else if (!strcmp(name, "mbind"))
			info->mbind_state = value;
		else if (!strcmp(name, "nodes"))
			info->fake_nodes = !strcmp(value, "fake");
		else if (!strcmp(name, "pid"))
			info->pid = atoi(value);
		else if (!strcmp(name, "page_size"))
			info->page_size = strtoull(value, NULL, 10);
		else if (!strcmp(name, "huge_page_size"))
			info->huge_page_size = strtoull(value, NULL, 10);
	}
}

/* The column of a node, made when it is seen first; -1: too many. */
static int column(struct kn_view_info *info, int id)
{
	for (int n = 0; n < info->nr_nodes; n++)
		if (info->node_id[n] == id)
			return n;
	if (info->nr_nodes == KN_STAT_NODES)
		return -1;
	info->node_id[info->nr_nodes] = id;
	return info->nr_nodes++;
}

/* The row that a sample belongs to, without the _total of counters. */
static int row_of(char *name, int (*find)(const char *name))
{
	char *total = strstr(name, "_total");

	if (total && !total[strlen("_total")])
		*total = '\0';
	return find(name);
}

/* A later knuma may have written rows that this one does not know. */
static void take_sample(struct kn_view *v, char *line)
{
	char *value = strrchr(line, ' '), *labels = strchr(line, '{');
	uint64_t number;
	double seconds;
	int id, node, i;

	if (strncmp(line, "knuma_", 6) || !value)
		return;
	line += 6;
	if (!strncmp(line, "build_info{", 11)) {
		take_info(&v->info, line + 11);
		return;
	}
	seconds = strtod(value + 1, NULL);
	number = strtoull(value + 1, NULL, 10);
	*value = '\0';
	if (!labels) {
		i = row_of(line, kn_metric_find);
		if (i >= 0) {
			if (kn_stat_is_ms(&kn_stat_rows[i]))
				number = (uint64_t)(seconds * 1000 + 0.5);
			v->stat[i].value = number;
			v->stat[i].known = true;
		}
		return;
	}
	*labels = '\0';
	i = row_of(line, kn_node_stat_find);
	if (i < 0 || sscanf(labels + 1, "node=\"%d\"", &id) != 1)
		return;
	node = column(&v->info, id);
	if (node >= 0)
		v->node[node][i] = number;
}

/* Returns false for a file that is not whole, or not ours. */
static bool take_file(struct kn_view *v, char *text)
{
	bool whole = false;
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (!strcmp(line, "# EOF"))
			whole = true;
		else if (line[0] != '#')
			take_sample(v, line);
	}
	return whole && v->info.version;
}

static char *read_whole(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return NULL;
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = ferror(f) ? NULL : strdup("");
	}
	fclose(f);
	return text;
}

struct job {
	struct kn_view view;
	enum kn_view_fmt fmt;
};

static void print(struct kn_text *t, const void *arg)
{
	const struct job *job = arg;

	kn_view_print(t, &job->view, job->fmt);
}

static int print_process(const char *process, enum kn_view_fmt fmt)
{
	static const char *const requests[] = {
		[KN_VIEW_TEXT] = "stats text",
		[KN_VIEW_JSON] = "stats",
		[KN_VIEW_CSV] = "stats csv",
		[KN_VIEW_PROM] = "stats openmetrics",
	};
	json_t *object = live_ask(process, requests[fmt]);

	if (fmt == KN_VIEW_JSON) {
		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		fputs(text_in(object, "text"), stdout);
	}
	json_decref(object);
	return EXIT_DONE;
}

int cmd_stat(int argc, char **argv)
{
	struct arguments a = {0};
	static struct job job = {
		.view.info.mode = "unknown",
		.view.info.reason = "not said",
		.view.info.mbind_state = "unknown",
	};
	char last[256], *text, *printed;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.file && is_process(a.file))
		return print_process(a.file, a.fmt);
	if (!a.file) {
		if (!last_stat_path(last, sizeof(last)))
			fail("no private folder where a run could have left "
			     "its statistics");
		a.file = last;
	}
	text = read_whole(a.file);
	if (!text && errno == ENOENT && a.file == last)
		fail("%s does not exist: no `knuma run' left statistics, and "
		     "one whose command ends by a signal or by _exit(), as "
		     "dash does, leaves none",
		     last);
	if (!text)
		fail("%s: %s; give the file of a run, or the number or socket "
		     "of a process",
		     a.file, strerror(errno));
	if (!take_file(&job.view, text))
		fail("%s: not the whole statistics of a run", a.file);
	job.fmt = a.fmt;
	printed = text_of(print, &job);
	fputs(printed, stdout);
	free(printed);
	free(text);
	return EXIT_DONE;
}

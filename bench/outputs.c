/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/usage.h"

enum {
	MAX = 5, /* standard output, and four files */
	PATH_LEN = 4096
};

/* The page has no kn_report. */
static struct output {
	const struct kn_report *report;
	FILE *f;
	char path[PATH_LEN];
} outputs[MAX];
static unsigned nr_outputs;

static struct kn_chapter *chapters;
static unsigned nr_chapters;

static void add(const struct kn_report *report, FILE *f, const char *path)
{
	struct output *o = &outputs[nr_outputs++];

	o->report = report;
	o->f = f;
	snprintf(o->path, sizeof(o->path), "%s", path);
}

static void add_file(const struct kn_report *report, const char *folder,
		     const char *name)
{
	char path[PATH_LEN];
	FILE *f = NULL;

	errno = ENAMETOOLONG;
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) < PATH_LEN)
		f = fopen(path, "we");
	if (!f)
		kn_usage("--report: %.200s: %s", path, strerror(errno));
	add(report, f, path);
}

void kn_outputs_open(const struct kn_report *report, const char *folder)
{
	add(report, stdout, "standard output");
	if (!folder)
		return;
	if (mkdir(folder, 0777) && errno != EEXIST)
		kn_usage("--report: %s: %s", folder, strerror(errno));
	for (unsigned i = 0; kn_reports[i]; i++)
		add_file(kn_reports[i], folder, kn_reports[i]->file);
	add_file(NULL, folder, "bench.html");
}

/* A full disk shows here, or when the file is closed. */
static bool is_written(struct output *o, bool closes)
{
	int bad;

	errno = 0;
	bad = fflush(o->f);
	bad |= ferror(o->f);
	if (closes)
		bad |= fclose(o->f);
	if (bad)
		fprintf(stderr, "knuma bench: %s: %s; what was written stays\n",
			o->path, strerror(errno ? errno : EIO));
	return !bad;
}

bool kn_outputs_begin(const struct kn_run *run)
{
	bool done = true;

	for (unsigned i = 0; i < nr_outputs; i++) {
		if (outputs[i].report)
			outputs[i].report->begin(outputs[i].f, run);
		done &= is_written(&outputs[i], false);
	}
	return done;
}

/* The page is made of copies: their samples are gone by then. */
static void keep(const struct kn_workload *w, const struct kn_result *results,
		 unsigned n)
{
	struct kn_chapter *more =
		realloc(chapters, (nr_chapters + 1) * sizeof(*more));
	struct kn_result *copy = calloc(n + 1, sizeof(*copy));

	if (!more || !copy) {
		fputs("knuma bench: out of memory\n", stderr);
		exit(EXIT_USAGE);
	}
	memcpy(copy, results, n * sizeof(*copy));
	chapters = more;
	chapters[nr_chapters++] = (struct kn_chapter){w, copy, n};
}

bool kn_outputs_workload(struct kn_run *run, const struct kn_workload *w,
			 const struct kn_result *results, unsigned n)
{
	bool done = true;

	for (unsigned i = 0; i < nr_outputs; i++) {
		if (!outputs[i].report)
			continue;
		outputs[i].report->workload(outputs[i].f, run, w, results, n);
		done &= is_written(&outputs[i], false);
	}
	if (nr_outputs > 1)
		keep(w, results, n);
	run->nr_written++;
	return done;
}

bool kn_outputs_end(const struct kn_run *run)
{
	bool done = true;

	for (unsigned i = 0; i < nr_outputs; i++) {
		if (outputs[i].report)
			outputs[i].report->end(outputs[i].f, run);
		else
			kn_page_write(outputs[i].f, run, chapters, nr_chapters);
		done &= is_written(&outputs[i], outputs[i].f != stdout);
	}
	for (unsigned i = 0; i < nr_chapters; i++)
		free(chapters[i].results);
	free(chapters);
	return done;
}
